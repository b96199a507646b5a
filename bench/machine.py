# SPDX-License-Identifier: GPL-2.0
"""The measured machine: a small guest, its network devices and their back ends.

The guest boots from an initramfs with one program (guest.c) and the modules:
nothing else runs in it, and no other virtio device is there.
"""

import lzma
import re
import selectors
import socket
import subprocess
import threading
import time
import zlib
from pathlib import Path

BENCH = Path(__file__).resolve().parent
FIRST_SLOT = 0x10
MEMORY = "1G"
PATIENCE = 60		# seconds that the longest window may take
# One vCPU of two possible ones: with a single possible vCPU, TCG makes plain
# additions of "lock add", the kernel's memory barrier, and the back end, which
# runs on another core, loses events.
VCPUS = "1,maxcpus=2"
KERNEL_OPTIONS = ("console=ttyS0 quiet panic=-1 mitigations=off no_timer_check nokaslr "
                  "nr_cpus=1 rdinit=/init")
TAP_HOST = "10.9.0.1"
TAP_GUEST = "10.9.0.2"


class BenchError(Exception):
    """Something went wrong: one sentence."""


class GuestLost(BenchError):
    """The guest has ended or does not answer: only another boot helps."""


def run(*command, **kwargs):
    """Run a tool and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        raise BenchError(f"'{' '.join(map(str, command))}' failed: "
                         f"{(done.stderr or done.stdout).strip()}")
    return done.stdout


def compile_programs(work):
    """The plugin, the back end and the guest's program."""
    cc = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror"]
    run(*cc, "-fPIC", "-shared", "-fvisibility=hidden", "-o", work / "plugin.so",
        BENCH / "plugin.c")
    run(*cc, "-o", work / "backend", BENCH / "backend.c")
    run(*cc, "-static", "-o", work / "guest", BENCH / "guest.c", BENCH / "guest_zc.c")


# ---- initramfs ----

def cpio_entry(name, mode, data=b""):
    """One entry of a cpio archive in the "newc" form."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    entry = b"070701" + b"".join(b"%08X" % field for field in fields)
    entry += name.encode() + b"\0"
    entry += b"\0" * (-len(entry) % 4)
    return entry + data + b"\0" * (-len(data) % 4)


def write_initramfs(path, files):
    """Write an archive of {name: bytes}; programs and modules alike are 0755."""
    with open(path, "wb") as out:
        out.write(cpio_entry("dev", 0o040755))
        for name, data in files.items():
            out.write(cpio_entry(name, 0o100755, data))
        out.write(cpio_entry("TRAILER!!!", 0))


def module_files(release, name):
    """The files of a module and of what it needs, in loading order."""
    out = run("modprobe", "--show-depends", "--set-version", release, name)
    return [Path(line.split()[1]) for line in out.splitlines() if line.startswith("insmod")]


def module_bytes(path):
    data = Path(path).read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


# ---- back ends ----

class Backend:
    """A process of backend.c."""

    def __init__(self, program, path):
        self.process = subprocess.Popen([program, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()  # it listens

    def ask(self, line, expect):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != expect:
            raise BenchError(f"back end: {' '.join(answer) or 'it died'}")
        return [int(word) for word in answer[1:]]

    def send(self, frame, count, burst, gap, first=0, nr=1):
        """Send packets; return the seconds until the driver has taken them all."""
        _, us = self.ask(f"send {first} {nr} {count} {burst} {gap} {frame.hex()}", "sent")
        return us / 1e6

    def stat(self):
        packets, size, calls = self.ask("stat", "stat")
        return {"packets": packets, "bytes": size, "calls": calls}

    def hold(self):
        "Touch no queue, the driver will reset those of the first pair."
        self.ask("hold", "held")

    def rewind(self):
        "It has."
        self.ask("rewind", "held")

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


class TcpPeer:
    """The far end of a TCP stream, on the tap's side."""

    def __init__(self):
        self.listener = socket.create_server((TAP_HOST, 0))
        self.port = self.listener.getsockname()[1]

    def serve(self, sends, size):
        """Take one connection in a thread and send or receive size bytes."""
        thread = threading.Thread(target=self._serve, args=(sends, size), daemon=True)
        thread.start()
        return thread

    def _serve(self, sends, size):
        conn, _ = self.listener.accept()
        block = bytes(1 << 18)
        with conn:
            conn.settimeout(60)
            while size > 0:
                if sends:
                    part = block[:size] if size < len(block) else block
                    conn.sendall(part)
                    size -= len(part)
                else:
                    data = conn.recv(1 << 18)
                    if not data:
                        return
                    size -= len(data)
            conn.settimeout(5)
            try:
                conn.recv(1)  # until the guest has closed
            except OSError:
                pass

    def close(self):
        self.listener.close()


# ---- devices ----

class Nic:
    """A virtio network device: its back end and its options."""

    def __init__(self, name, slot, kind, options, pairs=1, resets=False):
        self.name = name
        self.slot = slot
        self.kind = kind
        self.options = options
        self.pairs = pairs
        self.resets = resets		# RING_RESET, which the back end does not see: Backend.hold()
        self.mac = f"52:54:00:00:00:{slot:02x}"
        self.backend = None
        self.virtio = None  # "virtioN"

    def start(self, work):
        """Make what QEMU connects to."""
        if self.kind == "vhost-user":
            self.backend = Backend(work / "backend", work / f"{self.name}.sock")
        else:
            run("ip", "tuntap", "add", self.name, "mode", "tap", "vnet_hdr")
            run("ip", "link", "set", self.name, "up")
            run("ip", "addr", "add", f"{TAP_HOST}/24", "dev", self.name)

    def stop(self):
        if self.backend:
            self.backend.close()

    def qemu_args(self, work, ring):
        device = (f"virtio-net-pci,netdev={self.name},addr={self.slot:#x},mac={self.mac},"
                  f"packed={'on' if ring == 'packed' else 'off'},disable-legacy=on,"
                  f"queue_reset={'on' if self.resets else 'off'}")
        if self.pairs > 1:
            device += f",mq=on,vectors={2 * self.pairs + 2}"
        if self.options:
            device += "," + self.options
        if self.kind == "vhost-user":
            return ["-chardev", f"socket,id=c-{self.name},path={work / self.name}.sock",
                    "-netdev", f"vhost-user,id={self.name},chardev=c-{self.name},"
                    f"queues={self.pairs}", "-device", device]
        return ["-netdev", f"tap,id={self.name},ifname={self.name},script=no,downscript=no,"
                "vhost=off", "-device", device]


NO_GUEST_GSO = "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_uso4=off," \
               "guest_uso6=off"


def all_nics():
    """The devices of every guest; both drivers see the same ones."""
    return [
        Nic("mrg", FIRST_SLOT, "vhost-user", ""),
        Nic("small", FIRST_SLOT + 1, "vhost-user", "mrg_rxbuf=off," + NO_GUEST_GSO),
        Nic("tap", FIRST_SLOT + 2, "tap", ""),
        Nic("mq", FIRST_SLOT + 3, "vhost-user", "", pairs=64),
        Nic("out", FIRST_SLOT + 4, "vhost-user", ""),
        Nic("zc", FIRST_SLOT + 5, "vhost-user", "iommu_platform=on," + NO_GUEST_GSO,
            resets=True),
    ]


# ---- the guest ----

class Guest:
    """QEMU with the plugin, and the program in the guest."""

    def __init__(self, work, kernel, ring, nics, vnet=None):
        self.work = work
        self.ring = ring
        self.nics = {nic.name: nic for nic in nics}
        self.windows = work / f"windows-{ring}"
        self.windows.mkdir(exist_ok=True)
        self.nr_windows = 0
        self.log = work / f"console-{ring}.log"
        self.kernel = kernel  # lab.kernels.Kernel
        self.vnet = vnet
        self.plugin = ""  # further options of the plugin
        self.modules = {}
        self.process = None
        self.port = None
        self.buffer = b""

    # -- life --

    def start(self):
        files = {"init": (self.work / "guest").read_bytes()}
        for module in ("virtio_net", "pktgen"):
            self.modules[module] = []
            for path in module_files(self.kernel.release, module):
                name = path.name.removesuffix(".xz")
                files[name] = module_bytes(path)
                self.modules[module].append("/" + name)
        if self.vnet:
            files["vnet.ko"] = Path(self.vnet).read_bytes()
            self.modules["vnet"] = ["/vnet.ko"]
        image = self.work / "initramfs"
        write_initramfs(image, files)

        for nic in self.nics.values():
            nic.start(self.work)
        ours, theirs = socket.socketpair()
        command = [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max",
            "-smp", VCPUS,
            "-m", MEMORY, "-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on",
            "-numa", "node,memdev=mem", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-kernel", str(self.kernel.image), "-initrd", str(image),
            "-append", KERNEL_OPTIONS,
            "-serial", f"file:{self.log}",
            "-chardev", f"socket,id=port,fd={theirs.fileno()}", "-serial", "chardev:port",
            "-plugin", f"{self.work / 'plugin.so'},out={self.windows}{self.plugin}",
        ]
        for nic in self.nics.values():
            command += nic.qemu_args(self.work, self.ring)
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()],
                                        stdin=subprocess.DEVNULL)
        theirs.close()
        self.port = ours
        if self._line(120) != "ready":
            raise BenchError(f"the guest does not answer; its console: {self.log}")

    def stop(self):
        if self.process and self.process.poll() is None:
            try:
                self.ask("poweroff", 5)
                self.process.wait(10)
            except (BenchError, OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        for nic in self.nics.values():
            nic.stop()
            if nic.kind == "tap":
                subprocess.run(["ip", "link", "del", nic.name], check=False)

    # -- the serial port --

    def _more(self, deadline):
        with selectors.DefaultSelector() as sel:
            sel.register(self.port, selectors.EVENT_READ)
            if not sel.select(max(0, deadline - time.monotonic())):
                raise GuestLost(f"the guest is silent; its console: {self.log}")
        try:
            data = self.port.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise GuestLost(f"the guest has ended; its console: {self.log}")
        self.buffer += data

    def _line(self, patience):
        deadline = time.monotonic() + patience
        while b"\n" not in self.buffer:
            self._more(deadline)
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode().strip()

    def _bytes(self, size, patience):
        deadline = time.monotonic() + patience
        while len(self.buffer) < size:
            self._more(deadline)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def begin(self, line):
        """Send one command of guest.c."""
        try:
            self.port.sendall(line.encode() + b"\n")
        except OSError:
            raise GuestLost(f"the guest has ended; its console: {self.log}") from None

    def ask(self, line, patience=PATIENCE):
        """Send one command of guest.c and return what it answers."""
        self.begin(line)
        return self.answer(line, patience)

    def answer(self, line, patience=PATIENCE):
        """What the guest answers to a command that was begun."""
        word, _, rest = self._line(patience).partition(" ")
        if word == "ok":
            return rest
        if word == "data":
            return self._bytes(int(rest), patience).decode(errors="replace")
        raise BenchError(f"guest: {line.split()[0]}: {rest}")

    # -- windows --

    def _window_file(self):
        """The file of the window that was closed last."""
        path = self.windows / f"{self.nr_windows:04}"
        self.nr_windows += 1
        deadline = time.monotonic() + 10
        while not path.exists():
            if time.monotonic() > deadline:
                raise BenchError("the plugin wrote no window: the guest left it open")
            time.sleep(0.01)
        return path

    def window_command(self, command):
        """A command of guest.c with a window in it: (file, seconds)."""
        ns = self.ask(command)
        return self._window_file(), int(ns) / 1e9

    def window_around(self, action):
        """A window around an action of ours: (file, the action's value)."""
        self.ask("open")
        try:
            value = action()
        finally:
            self.ask("close")
            path = self._window_file()
        return path, value

    def skip_window(self):
        """Forget a window that a warm-up made."""
        self._window_file().unlink()

    # -- modules and drivers --

    def load(self, module):
        for path in self.modules[module]:
            try:
                self.ask(f"insmod {path}")
            except BenchError as error:
                if "File exists" not in str(error):
                    raise

    def module_copy(self, module):
        """A module's file, not compressed, for objdump."""
        path = self.work / f"{module}.ko"
        path.write_bytes(module_bytes(module_files(self.kernel.release, module)[-1]))
        return path

    def virtio_name(self, nic):
        if not nic.virtio:
            names = self.ask(f"ls /sys/bus/pci/devices/0000:00:{nic.slot:02x}.0").split()
            nic.virtio = next(name for name in names if re.fullmatch(r"virtio\d+", name))
        return nic.virtio

    def driver_of(self, nic):
        """The driver's name, or None."""
        for driver in ("virtio_net", "vnet"):
            try:
                bound = self.ask(f"ls /sys/bus/virtio/drivers/{driver}").split()
                if self.virtio_name(nic) in bound:
                    return driver
            except BenchError:
                continue
        return None

    def bind(self, nic, driver):
        """Give a device to a driver (or to none) and return the interface's name."""
        now = self.driver_of(nic)
        name = self.virtio_name(nic)
        if now:
            self.ask(f"write /sys/bus/virtio/drivers/{now}/unbind {name}")
        if not driver:
            return None
        self.ask(f"write /sys/bus/virtio/drivers/{driver}/bind {name}")
        return self.ask(f"ls /sys/bus/virtio/devices/{name}/net").split()[0]

    def prepare(self, drivers):
        """Load the drivers and leave every device without one."""
        self.ask("write /proc/sys/kernel/kptr_restrict 0")
        self.ask("write /proc/sys/net/core/bpf_jit_kallsyms 1")
        for path in ("all", "default"):
            self.ask(f"write /proc/sys/net/ipv6/conf/{path}/disable_ipv6 1")
        self.load("pktgen")
        self.ask("write /sys/bus/virtio/drivers_autoprobe 0")
        for driver in dict.fromkeys(drivers):
            self.load(driver)
        for nic in self.nics.values():
            self.bind(nic, None)

    def kernel_symbols(self, cache):
        """The kernel's own symbols: the same in every boot (nokaslr), so kept."""
        checksum = zlib.crc32(self.kernel.image.read_bytes())
        path = cache / f"symbols-{self.kernel.release}-{checksum:08x}"
        if not path.exists():
            text = self.ask("symbols kernel", patience=600)
            temp = path.with_suffix(".tmp")
            temp.write_text(text, encoding="utf-8")
            temp.rename(path)
        return path.read_text(encoding="utf-8")

    def module_symbols(self):
        return self.ask("symbols module")
