# SPDX-License-Identifier: GPL-2.0
"""A guest: boots the root over virtiofs, runs commands, always ends."""

import base64
import importlib
import itertools
import json
import logging
import os
import re
import resource
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

from qemu.qmp import ExecuteError, QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from . import SetupError, arch, initramfs, outer, profiles, say, splats, vhost_user
from .net import CommandFailed, Daemon, HostNs, Result, TimedOut, have_tap
from .patience import Deadline
from .transcript import Transcript

# a connection that ends with its guest is no news
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

COUNTER = itertools.count()
UP = "vnet-lab: guest is up"
MAC = "52:54:00:99:00:{:02x}"
# Shell code: wait until the NICs that were plugged in have interfaces.
FOUND = """
for mac in {macs}; do
    for i in $(seq 300); do
        grep -qs $mac /sys/class/net/*/address && continue 2
        sleep 0.1
    done
    echo "no interface for $mac" >&2
    exit 1
done
"""
EXECUTED = None  # QEMU's plugin of lab/coverage, for a run that counts lines
PORTS = 2  # root ports for NICs, of every guest that has PCI
# bad page, died, warning, soft lockup
TAINT_WARN = 1 << 9
TAINT_BAD = 1 << 5 | 1 << 7 | TAINT_WARN | 1 << 14

# What says that the detector of a debug kernel is at work.
DETECTORS = {"kasan": ("/proc/lockdep_stats", r"debug_locks: +1"),
             "kcsan": ("/sys/kernel/debug/kcsan", "enabled: 1")}


class GuestDied(AssertionError):
    """QEMU ended, the kernel panicked, or the guest does not answer any more."""


class NotUp(GuestDied):
    """The guest did not boot in time: of QEMU's or the kernel's own doing, no driver is loaded."""


class Process:
    """A command that runs in the guest's background."""

    def __init__(self, guest, command, pid):
        self.guest, self.command, self.pid = guest, command, pid
        self.result = None

    def poll(self):
        """The Result when it has ended, otherwise None."""
        if self.result is None:
            status = self.guest.agent("guest-exec-status", pid=self.pid)
            if status["exited"]:
                code = status.get("exitcode", 128 + status.get("signal", 0))
                self.result = Result(self.command, code, *(
                    base64.b64decode(status.get(key, "")).decode(errors="replace")
                    for key in ("out-data", "err-data")))
        return self.result

    def wait(self, timeout=30):
        """Wait for its end; return a Result."""
        deadline = self.guest.deadline(timeout)
        pause = 0.01
        while self.poll() is None:
            if deadline.passed():
                self.kill()
                raise TimedOut(f"guest: '{self.command}' did not end within {timeout} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        return self.result

    def kill(self, signal="KILL"):
        """End it and everything it started."""
        if self.poll() is None:
            self.guest.execute(["/bin/kill", f"-{signal}", "--", f"-{self.pid}"])


class Guest:
    """One virtual machine and its network.

    with Guest(kernel, profile, log) as guest:
        guest.run("uname -r").out

    extra: further QEMU arguments. memory in MiB. shell: a console for a user.
    over: directories laid over the root, beside the layers of the session.
    doors: the sockets of that console and of QEMU's debugger are beside the logs, where
    somebody outside finds them; see keep().
    prepare: a function that gets the guest's root before it boots.
    """

    init = "/lab/init"

    def __init__(self, kernel, profile, log, *, append="", extra=(), memory=1024, smp=2,
                 shell=False, over=(), doors=False, prepare=None):
        self.kernel = kernel
        self.profile = profiles.get(profile) if isinstance(profile, str) else profile
        self.log = Path(log)
        self.append, self.extra, self.memory, self.smp = append, extra, memory, smp
        self.shell = shell or doors
        self.doors, self.prepare = doors, prepare
        self.slow = kernel.slow
        self.arch = arch.current()
        self.accel = os.environ.get("VNET_ACCEL") or "tcg"
        layers = os.environ.get("VNET_LAYERS", "").split() if self.arch is arch.NATIVE else []
        self.over = [*over, *(Path("/cache/layers") / name for name in layers)]
        self.run_dir = Path(f"/run/guest{next(COUNTER)}")
        self.root = self.run_dir / "root"
        self.macs = [MAC.format(i + 1) for i in range(self.profile.nics)]
        self.netdev_args = {}  # of each NIC
        self.device = None  # the scripted one, see selftests/device
        self.processes = []
        self.monitor = self.ga = self.qemu = self.host_ns = None
        self.judged = 0.0  # the guest's clock at the oracle's last look
        self.loads = 0      # how often the driver was loaded again, of a run that counts lines
        self.transcript = Transcript(self.log / "commands.log")
        self.lock = threading.Lock()
        self.share, self.boots = itertools.count(), itertools.count(1)

    # ---- life ----------------------------------------------------------

    def __enter__(self):
        try:
            try:
                self.boot()
            except NotUp as error:
                self.close()
                say(f"guest: {error}; the driver is not there yet, so it is started once more")
                self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    @property
    def console(self):
        return self.log / "console.log"

    def console_text(self, start=0):
        try:
            return self.console.read_text(encoding="utf-8", errors="replace")[start:]
        except FileNotFoundError:
            return ""

    def whole_console(self, start=0):
        """The console from an offset on, not in the middle of a report of a race."""
        for _ in range(30):
            text = self.console_text(start)
            if not splats.half(text):
                break
            time.sleep(0.1)
        return text

    def splats(self, start=0):
        """Lines of the console that tell of a defect, from an offset on."""
        return splats.lines(self.whole_console(start))

    def complaints(self, start=0):
        """The same as complaints with their stacks, see lab/splats.py."""
        return splats.find(self.whole_console(start))

    def taint(self):
        """What taints the kernel and should not; 0 after a warning that is the kernel's own."""
        taint = int(self.launch("cat /proc/sys/kernel/tainted").wait().out) & TAINT_BAD
        if any("WARNING:" in known for known in splats.KNOWN.findall(self.console_text())):
            taint &= ~TAINT_WARN
        return taint

    def boot(self, timeout=120):
        if self.profile.net == "tap" and not have_tap():
            raise SetupError("this user may not open /dev/net/tun: run 'chmod 666 /dev/net/tun' "
                             "as root, or start again as root")
        self.log.mkdir(parents=True, exist_ok=True)
        if not self.root.is_mount():
            self.make_root()
        self.host_ns = HostNs(self.pids, self.transcript.note)
        self.netdev_args = {index: self.netdev(index) for index in range(self.profile.nics)}
        netdevs = [*self.netdev_args.values()]
        if self.host_ns.taps:
            self.host_ns.configure()
        self.start_virtiofsd()
        if self.profile.device is not None:
            self.start_device()
            netdevs.append(self.device.qemu_args(bus="rp0"))
        command = [*self.machine_args(), *itertools.chain(*netdevs), *self.extra]
        (self.log / "qemu.cmd").write_text(shlex.join(command) + "\n", encoding="utf-8")
        self.qemu = self.spawn("qemu", self.host_ns.wrap(command))
        self.monitor = self.connect("qmp", negotiate=True)
        self.wait_console(UP, timeout)
        self.ga = self.connect("agent", negotiate=False)
        self.ga.settimeout(timeout)
        self.agent("guest-sync", id=int(time.time()))

    def pids(self):
        """The processes that have to run for the guest to get on."""
        found = [daemon.popen.pid for daemon in self.processes]
        if self.device and self.device.process:
            found.append(self.device.process.pid)
        return found

    def deadline(self, seconds):
        """A limit for what the guest does; a debug kernel has more time."""
        return Deadline(seconds * self.slow, self.pids())

    def make_root(self):
        """An overlay of the guest's own on the root."""
        for name in ("layer", "root"):
            (self.run_dir / name).mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "vnet-guest", str(self.run_dir / "layer")],
                       check=True)
        upper, work = self.run_dir / "layer/upper", self.run_dir / "layer/work"
        upper.mkdir()
        work.mkdir()
        lower = ":".join(dict.fromkeys(str(p) for p in (self.kernel.layer, *self.over, "/base")
                                       if p))
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        for extra in (",userxattr", ""):
            done = subprocess.run(["mount", "-t", "overlay", "-o", options + extra, "vnet-guest",
                                   str(self.root)], capture_output=True, text=True, check=False)
            if not done.returncode:
                break
        else:
            raise SetupError(f"cannot mount an overlay: {done.stderr.strip()}")
        lab = self.root / "lab"
        lab.mkdir()
        shutil.copy("/vnet/lab/guest_init.sh", lab / "init")
        if self.prepare:
            self.prepare(self.root)

    def spawn(self, name, command):
        """Start a helper process of the guest, its output in the log directory."""
        with open(self.log / f"{name}.log", "wb") as out:
            popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, start_new_session=True)
        daemon = Daemon(name, popen)
        self.processes.append(daemon)
        return daemon

    def start_virtiofsd(self):
        path = self.run_dir / "fs.sock"
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        daemon = self.spawn("virtiofsd", [
            "/usr/libexec/virtiofsd", f"--socket-path={path}", f"--shared-dir={self.root}",
            "--sandbox=none", "--cache=always", f"--rlimit-nofile={min(limit, 65536)}",
            "--log-level=error"])
        if not daemon.listens(path):
            raise SetupError(f"virtiofsd does not start: see {outer(self.log)}/virtiofsd.log")

    def start_device(self):
        """The process that plays the NIC."""
        client = importlib.import_module("selftests.device.client")
        mac = MAC.format(1)
        options = dict(self.profile.device)
        options["config"] = {"mac": mac, **options.get("config", {})}
        self.device = client.Device(**options).start()
        self.macs = [mac]

    def door(self, name):
        """The path of a socket that people use."""
        return (self.log if self.doors else self.run_dir) / f"{name}.sock"

    def socket(self, name):
        path = self.door(name) if name == "shell" else f"{self.run_dir / name}.sock"
        return f"socket,id={name},path={path},server=on,wait=off"

    @property
    def mmio(self):
        """True if the NICs are behind virtio over MMIO."""
        return self.profile.machine == "microvm"

    @property
    def microvm(self):
        """True if all devices are; then there is no PCI and no ACPI."""
        return self.mmio and self.arch is arch.NATIVE

    def cpu(self):
        if self.accel == "kvm":
            return "host"
        return "max,la57=off" if self.kernel.layer else self.arch.cpu

    def initrd_args(self):
        if self.microvm:
            return ["-initrd", str(initramfs.make(self.kernel))]
        if not self.arch.built_in:
            return ["-initrd", str(initramfs.make_foreign(self.kernel, self.run_dir / "initrd"))]
        return []

    def machine_args(self):
        machine, bus = ("microvm,acpi=off,pic=on,pit=on,rtc=on", "device") if self.microvm else \
            (self.arch.machine, "pci")
        iommu, append = [], self.append
        if self.profile.iommu:
            more, iommu, option = self.arch.iommu
            machine, append = machine + more, f"{option} iommu.strict=1 {append}"
        append = (f"root=root rootfstype=virtiofs rw init={self.init} "
                  f"console={self.arch.console} quiet panic=-1 "
                  "mitigations=off no_timer_check init_on_alloc=1 net.ifnames=0 "
                  f"{self.profile.append} {append}")
        return [
            self.arch.qemu, "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", f"{machine},accel={self.accel},memory-backend=mem",
            "-cpu", self.cpu(),
            "-smp", str(self.smp),
            "-m", f"{self.memory}M",
            "-object", f"memory-backend-memfd,id=mem,size={self.memory}M,share=on",
            "-kernel", str(self.kernel.image), "-append", append,
            *self.initrd_args(),
            *([] if self.microvm else itertools.chain(
                *(["-device", f"pcie-root-port,id=rp{index},chassis={index + 1}"]
                  for index in range(PORTS)))),
            "-chardev", self.socket("qmp"), "-mon", "chardev=qmp,mode=control",
            "-serial", f"file:{self.console}", *iommu, *self.profile.args,
            "-chardev", f"socket,id=fs,path={self.run_dir}/fs.sock",
            "-device", f"vhost-user-fs-{bus},chardev=fs,tag=root",
            "-device", f"virtio-serial-{bus}",
            "-chardev", self.socket("agent"),
            "-device", "virtserialport,chardev=agent,name=vnet.agent",
            *(["-plugin", f"{EXECUTED},out={self.log}/coverage"] if EXECUTED else []),
            *(["-chardev", self.socket("shell"), "-device", "virtconsole,chardev=shell"]
              if self.shell else []),
        ]

    def props(self, index):
        """The properties of one NIC: the far one may have its own."""
        return self.profile.far_props if index and self.profile.far_props else self.profile.props

    def netdev(self, index):
        """The arguments of one NIC and its back end."""
        profile, args = self.profile, []
        if profile.net == "tap":
            mtu = int(profile.props.get("host_mtu", profile.wire))
            tap = self.host_ns.add_tap(profile.queues, mtu)
            backend = f"tap,id=net{index},ifname={tap},script=no,downscript=no,vhost=off"
            if profile.queues > 1:
                backend += f",queues={profile.queues}"
        elif profile.net in vhost_user.BACKENDS:
            args = vhost_user.start(self, index)
            backend = f"vhost-user,id=net{index},chardev=vhost{index}"
        else:
            backend = f"user,id=net{index}"
        device = "virtio-net-device" if self.mmio else "virtio-net-pci"
        props = [device, f"id=nic{index}", f"netdev=net{index}", f"mac={self.macs[index]}"]
        props += [f"{key}={value}" for key, value in self.props(index).items()]
        if not self.mmio:
            props += [f"bus=rp{index}", "romfile="]
        return [*args, "-netdev", backend, "-device", ",".join(props)]

    def connect(self, name, negotiate):
        path = self.run_dir / f"{name}.sock"
        if not self.qemu.listens(path):
            text = (self.log / "qemu.log").read_text(errors="replace").strip()
            raise GuestDied(f"QEMU does not start: {text or 'no message'}")
        monitor = QEMUMonitorProtocol(str(path))
        try:
            monitor.connect(negotiate=negotiate)
        except (QMPError, OSError, EOFError) as error:
            raise GuestDied(f"QEMU does not answer at {name}: {error}") from error
        return monitor

    def wait_console(self, text, timeout):
        """Wait until the console shows a text."""
        deadline = self.deadline(timeout)
        while text not in self.console_text():
            if not self.qemu.running():
                raise GuestDied("the guest ended while booting; its last words: " + self.tail())
            if deadline.passed():
                raise NotUp(f"the guest did not come up within {timeout} s; its last words: "
                            + (self.tail() or "none"))
            time.sleep(0.1)

    def tail(self, lines=15):
        return "\n    ".join(self.console_text().strip().splitlines()[-lines:])

    def alive(self):
        return self.qemu is not None and self.qemu.running()

    def restart(self):
        """Switch it off and on: what was written to its root is there, nothing else is."""
        self.stop()
        for socket in self.run_dir.glob("*.sock*"):
            socket.unlink()
        self.console.rename(self.log / f"console-{next(self.boots)}.log")
        self.boot()

    def close(self):
        """End the guest and everything around it; never fails."""
        self.stop()
        for mount in (self.root, self.run_dir / "layer"):
            subprocess.run(["umount", "-l", str(mount)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def stop(self):
        """End its processes; its root stays."""
        if self.monitor and self.alive():
            try:
                self.monitor.settimeout(5)
                self.monitor.cmd("quit")
                self.qemu.popen.wait(60 if EXECUTED else 5)  # it writes down what it saw
            except (QMPError, OSError, EOFError, subprocess.TimeoutExpired):
                pass
        for monitor in (self.monitor, self.ga):
            try:
                if monitor:
                    monitor.close()
            except (QMPError, OSError, EOFError):
                pass
        self.monitor = self.ga = None
        for daemon in reversed(self.processes):
            daemon.stop()
        self.processes = []
        if self.device:
            self.device.stop()
            self.device = None
        if self.host_ns:
            self.host_ns.close()
            self.host_ns = None

    # ---- QEMU ----------------------------------------------------------

    def qmp(self, command, **args):
        """A QMP command; names with a hyphen are given as **{"a-b": value}."""
        self.transcript.note("qmp", f"{command} {args or ''}")
        with self.lock:
            return self.monitor.cmd(command, **args)

    def hmp_say(self, command):
        """A command of QEMU's own monitor that has something to say; what it says."""
        return self.qmp("human-monitor-command", **{"command-line": command}).strip()

    def hmp(self, command):
        """A command of QEMU's own monitor, for what has the syntax of the command line."""
        said = "\n".join(line for line in self.hmp_say(command).splitlines()
                         if not line.startswith("warning: "))
        if said:
            raise SetupError(f"QEMU refuses '{command}': {said}")

    def qmp_event(self, name, timeout=30, **data):
        """Wait for a QMP event with this data."""
        deadline = self.deadline(timeout)
        while not deadline.passed():
            for event in self.monitor.get_events(wait=False):
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    return event
            time.sleep(0.05)
        raise TimedOut(f"no {name} event within {timeout} s")

    def set_link(self, up, nic=0):
        self.qmp("set_link", name=f"nic{nic}", up=up)

    def unplug(self, nic=0):
        """Take a NIC out (PCI hot-unplug) and wait until it is gone."""
        self.monitor.clear_events()
        self.qmp("device_del", id=f"nic{nic}")
        self.qmp_event("DEVICE_DELETED", timeout=60, device=f"nic{nic}")

    def plug(self, nic=0):
        """Put a NIC that was taken out back."""
        self.hmp("device_add " + self.netdev_args[nic][-1])

    def become(self, profile, driver=True):
        """Take the NICs out and put those of another profile in; what is loaded stays loaded.
        Without a driver there are no interfaces to wait for.

        Both profiles are pluggable ones, and the scripted device is the last of a guest:
        QEMU does not take it out.
        """
        for index in range(self.profile.nics):
            self.unplug(index)
            self.qmp("netdev_del", id=f"net{index}")
        if self.profile.nics > 1:   # see Env.configure()
            self.run("[ ! -e /run/netns/peer ] || ip netns delete peer")
        self.host_ns.clear()
        self.profile = profile
        self.macs = [MAC.format(i + 1) for i in range(profile.nics)]
        self.netdev_args = {index: self.netdev(index) for index in range(profile.nics)}
        if self.host_ns.taps:
            self.host_ns.configure()
        for args in self.netdev_args.values():
            for option, value in zip(args[::2], args[1::2]):
                self.hmp(f"{option[1:]}_add {value}")
        if profile.device is not None:
            self.start_device()
            self.qmp("device_add", **json.loads(self.device.qemu_args(bus="rp0")[-1]))
        if driver:
            self.run(FOUND.format(macs=" ".join(self.macs)))

    def keep(self):
        """Open the doors: a shell on the console of users, and QEMU's debugger; how to get in."""
        shell, gdb = self.door("shell"), self.door("gdb")
        self.start("while :; do setsid -c bash --norc -i < /dev/hvc0 > /dev/hvc0 2>&1; sleep 1; "
                   "done")
        self.hmp_say(f"gdbserver unix:{gdb},server=on,wait=off")
        loaded = self.run("cat /sys/module/vnet/sections/.text", check=False).out.strip()
        symbols = f" -ex 'add-symbol-file {outer(self.log)}/vnet.ko {loaded}'" if loaded else ""
        if loaded:
            shutil.copy(self.root / "lab/vnet.ko", self.log)
        return [f"shell: socat STDIO,raw,echo=0,escape=0x1d UNIX-CONNECT:{outer(shell)}"
                "   (Enter; leave with Ctrl-])",
                f"gdb:   gdb -ex 'target remote {outer(gdb)}'{symbols}",
                f"logs:  {outer(self.log)}",
                "end:   'poweroff -f' in the guest, or ^C here"]

    # ---- commands ------------------------------------------------------

    def agent(self, command, **args):
        """A command of the QEMU guest agent."""
        if not self.alive():
            raise GuestDied("the guest ended; its last words: " + self.tail())
        try:
            with self.lock:
                self.ga.settimeout(180)
                return self.ga.cmd(command, **args)
        except ExecuteError:
            raise
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise GuestDied(f"the guest does not answer ({error!r}); its last words: "
                            + self.tail()) from None

    def execute(self, argv):
        """Start a program; return the guest's process id."""
        return self.agent("guest-exec", path=argv[0], arg=list(argv[1:]),
                          **{"capture-output": True})["pid"]

    def start(self, command):
        """Start a shell command in the background; return a Process."""
        self.transcript.note("guest", f"{command} &")
        return self.launch(command)

    def launch(self, command):
        return Process(self, command, self.execute(["/usr/bin/setsid", "bash", "-c", command]))

    def run(self, command, timeout=30, check=True):
        """Run a shell command in the guest; return a Result."""
        begin, outcome = time.monotonic(), "no end"
        try:
            result = self.launch(command).wait(timeout)
            outcome = f"status {result.status}"
        finally:
            self.transcript.note("guest", command, f"{outcome}, {time.monotonic() - begin:.1f} s")
        if check and result.status:
            raise CommandFailed(f"guest: {result}")
        return result

    def put(self, source, path):
        """Copy a file (or bytes) of the lab into the guest."""
        name = f"share{next(self.share)}"
        if isinstance(source, bytes):
            (self.root / "lab" / name).write_bytes(source)
        else:
            shutil.copy(source, self.root / "lab" / name)
        self.run(f"mkdir -p $(dirname {path}) && cp /lab/{name} {path}")

    def get(self, path):
        """The bytes of a file of the guest."""
        name = f"share{next(self.share)}"
        self.run(f"cat {path} > /lab/{name}")
        return (self.root / "lab" / name).read_bytes()

    # ---- drivers -------------------------------------------------------

    def load(self, driver, module=None):
        """Load a driver: the module file if one is given, else by name."""
        if module:      # written by the guest itself, which has cached the one before
            self.put(module, f"/lab/{driver}.ko")
            self.run(f"for m in $(modinfo -F depends /lab/{driver}.ko | tr , ' '); do "
                     f"modprobe $m || exit; done")
        self.insmod(driver)
        if self.kernel.name in DETECTORS:
            self.check_detector(*DETECTORS[self.kernel.name])

    def lies_at(self, module, path):
        """For a run that counts lines: a file of the guest says where a module's code lies."""
        if EXECUTED:
            (self.log / f"coverage.{self.loads}.{module}").write_text(
                self.run(f"cat {path}").out, encoding="ascii")

    def check_detector(self, path, wanted):
        """A debug kernel that has stopped looking finds nothing: say so."""
        if not re.search(wanted, self.run(f"cat {path} 2>/dev/null; true").out):
            raise SetupError(f"the debug kernel does not look for errors: {path} has no "
                             f"'{wanted}'; see {outer(self.log)}/console.log")

    def insmod(self, driver):
        if self.mmio and not self.microvm:  # where the initramfs has not done it
            self.run("modprobe virtio_mmio")
        if EXECUTED and driver == "vnet":
            if (self.log / f"coverage.{self.loads}.vnet").exists():     # it will lie elsewhere
                (self.log / "coverage.cut").touch()
                self.loads += 1
        self.run(f"if [ -e /lab/{driver}.ko ]; then insmod /lab/{driver}.ko; "
                 f"else modprobe {driver}; fi", timeout=60)
        if driver == "vnet":
            self.lies_at("vnet", "/sys/module/vnet/sections/.text")

    def rmmod(self, driver):
        self.run(f"rmmod {driver}", timeout=60)

    def virtio_nics(self):
        """The virtio names (virtio3) of the network devices, in the order of the MACs."""
        out = self.run("cd /sys/bus/virtio/devices && grep -l 0x0001 */device; true").out
        return sorted((line.split("/")[0] for line in out.split()),
                      key=lambda name: int(name.removeprefix("virtio")))

    def interface(self, mac):
        """The interface with a MAC, or None."""
        out = self.run(f"grep -l {mac} /sys/class/net/*/address; true").out.split()
        return out[0].split("/")[4] if out else None
