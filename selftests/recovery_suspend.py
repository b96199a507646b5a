# SPDX-License-Identifier: GPL-2.0
"""Suspend to RAM, suspend to idle and hibernation, in a guest that lives in memory.

The lab's guests have their root on virtiofs, whose driver refuses to be
suspended. This guest is a kernel and a small initramfs: busybox, ip, ethtool.
"""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import initramfs, oracle
from lab.api import test
from lab.net import Daemon
from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

COUNTER = itertools.count(1)
PROGRAMS = ("/usr/bin/busybox", "/usr/sbin/ip", "/usr/sbin/ethtool", "/usr/sbin/tc",
            "/usr/sbin/bridge")
LEFT_OUT = shutil.ignore_patterns("test", "unittest", "pydoc_data", "asyncio", "xml", "email",
                                  "multiprocessing")
MODULES = ("llc", "stp", "garp", "mrp", "8021q", "button")
START = """#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
exec > /dev/ttyS0 2>&1
dmesg -n 8
[ -e /modules/virtio_blk.ko ] && insmod /modules/virtio_blk.ko
[ -e /dev/vda ] && echo /dev/vda > /sys/power/resume  # where there is an image, this is the end
for m in %(modules)s; do insmod /modules/$m || echo "RESULT cannot load $m"; done
for path in /sys/class/net/*/device; do nic=${path%%/device}; nic=${nic##*/}; done
flows() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        ping -q -c 1 -W 1 10.0.2.2 >/dev/null && return
    done
    return 1
}
"""
END = """
rmmod %(driver)s || echo "RESULT cannot unload"
echo "RESULT end"
sleep 1000
"""
SETUP = START + """
ip link set $nic address 52:54:00:aa:bb:cc
ip addr add 10.0.2.15/24 dev $nic
ip link set $nic up mtu 1300
ip link set $nic promisc on
ip link add link $nic name v7 type vlan id 7
ip link set v7 up
ethtool -L $nic combined 2 >/dev/null
ethtool -G $nic rx 128 tx 64
ethtool -K $nic tx off gro off rx-gro-hw off >/dev/null 2>&1
bridge fdb add 52:54:00:11:22:33 dev $nic self
tc qdisc add dev $nic root pfifo limit 77
settings() {
""" + oracle.shell("link", "-k", "-C", "-G", "-L", "-X", "addr", "fdb", "qdisc", "ifindex") + """
} 2>/dev/null
flows || echo "RESULT no packet before"
sleep 1
settings | sed 's/valid_lft.*//; s/ tentative//' > /tmp/before
same() {
    settings | sed 's/valid_lft.*//; s/ tentative//' > /tmp/after
    cmp -s /tmp/before /tmp/after && return
    echo "RESULT other settings"
    diff /tmp/before /tmp/after
    return 1
}
"""
INIT = SETUP + """
packets=$(cat /sys/class/net/$nic/statistics/rx_packets)
i=0
while [ $i -lt %(rounds)s ]; do
    i=$((i + 1))
    %(suspend)s || echo "RESULT suspend failed"
    flows || echo "RESULT no packet after round $i"
    same || break
done
[ $(cat /sys/class/net/$nic/statistics/rx_packets) -gt $packets ] ||
    echo "RESULT counters began anew"
""" + END
SUSPENDS = {
    "mem": "{ echo deep > /sys/power/mem_sleep; echo mem > /sys/power/state; }",
    "idle": "echo freeze > /sys/power/state",
    # There is nowhere to write the image to: the devices are frozen, the image
    # is made, the devices are thawed, and only then it fails.
    "disk": "{ echo disk > /sys/power/state 2>/dev/null || dmesg | grep -q 'Waking up from "
            "system sleep state S4'; }",
    # The image is written, the machine starts again, and the kernel that it
    # starts with gives way to the one of the image.
    "swap": "{ swapon /dev/vda; echo reboot > /sys/power/disk; echo disk > /sys/power/state; }",
}


@dataclass(frozen=True)
class Inside:
    """What the guest is to do, and what happens beside it.

    init    its first program, with gaps for suspend, rounds, modules and driver
    trees   directories of the lab's root that it has, too; programs, with their libraries
    files   for its /
    forward options of QEMU's user-mode network
    tap     instead of it: a tap of the test's, which has 10.0.2.2 and every offload
    swap    the size of its disk, which has swap space, in MiB
    beside  called with what it has printed, again and again
    """

    init: str = INIT
    trees: tuple = ()
    programs: tuple = ()
    files: tuple = ()
    forward: str = ""
    tap: str = ""
    swap: int = 0
    beside: Callable = lambda text: None


def modules_of(kernel, *names):
    """Those that this kernel has as modules; a debug kernel has some built in."""
    return [name for name in names if initramfs.has_module(kernel, name)]


def disk(directory, size):
    """QEMU's arguments for a disk of swap space, and for a machine that comes back."""
    if not size:
        return ["-no-reboot"]
    path = Path(directory) / "swap"
    with open(path, "wb") as file:
        file.truncate(size << 20)
    subprocess.run(["mkswap", "-q", str(path)], check=True)
    return ["-drive", f"file={path},format=raw,if=none,id=swap",
            "-device", "virtio-blk-pci,drive=swap"]


def archive_of(env, directory, init, gaps, inside=Inside()):
    """A root of a few files; the path of its archive."""
    kernel, others = env.kernel, MODULES
    if env.driver == "virtio_net":
        others += ("failover", "net_failover", "virtio_net")
    others = modules_of(kernel, *others)
    modules = " ".join(f"{name}.ko" for name in dict.fromkeys((*others, env.driver)))
    root = Path(directory) / "root"
    for name in ("bin", "proc", "sys", "dev", "tmp", "modules"):
        (root / name).mkdir(parents=True)
    files = set()
    for tree in inside.trees:
        shutil.copytree(tree, root / tree.lstrip("/"), ignore=LEFT_OUT)
    for program in (*PROGRAMS, *inside.programs):
        text = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        files |= {program, *re.findall(r"(/\S+) \(0x", text)}
    for file in files:
        target = root / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(file), target)
    shutil.copy("/usr/bin/busybox", root / "bin/busybox")
    for name in (*others, *modules_of(kernel, *(["virtio_blk"] if inside.swap else []))):
        (root / f"modules/{name}.ko").write_bytes(initramfs.module(kernel, name))
    for file in inside.files:
        shutil.copy(file, root)
    if env.driver not in others:
        shutil.copy(env.guest.root / "lab" / f"{env.driver}.ko", root / "modules")
    (root / "init").write_text(init % {"modules": modules, "driver": env.driver, **gaps})
    (root / "init").chmod(0o755)
    archive = Path(directory) / "initramfs"
    subprocess.run(f"find . | cpio -o -H newc --quiet > {archive}", shell=True, cwd=root,
                   check=True)
    return archive


def machine(kernel, archive, qmp, *devices):
    """QEMU's command for a guest that lives in memory."""
    return ["qemu-system-x86_64", "-nodefaults", "-display", "none",
            "-machine", "q35,accel=tcg", "-cpu", "max,la57=off", "-smp", "2", "-m", "768",
            "-kernel", str(kernel.image), "-initrd", str(archive),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check "
            "no_console_suspend net.ifnames=0",
            "-qmp", f"unix:{qmp},server=on,wait=off", "-serial", "stdio", *devices]


def wake(path, console, end):
    """Wake the guest whenever it has gone to sleep."""
    monitor = QEMUMonitorProtocol(path)
    monitor.connect()
    with contextlib.suppress(EOFError, QMPError, OSError):  # QEMU may have ended
        while not end.is_set():
            for event in monitor.get_events(wait=False):
                if event["event"] == "SUSPEND":
                    time.sleep(0.2)
                    monitor.cmd("system_wakeup")
            text = console.read_text(errors="replace")
            if text.count("suspend entry (s2idle)") > text.count("suspend exit"):
                time.sleep(1)
                monitor.cmd("system_powerdown")     # the power button
            time.sleep(0.1)
    with contextlib.suppress(EOFError, QMPError, OSError):
        monitor.close()


def suspended(env, suspend, props="disable-legacy=on", rounds=3, limit=150, inside=Inside()):
    """Boot, suspend a few times, and read what the guest found; what it has printed."""
    with tempfile.TemporaryDirectory() as directory:
        archive = archive_of(env, directory, inside.init,
                             {"rounds": rounds, "suspend": SUSPENDS[suspend]}, inside)
        console, qmp = Path(f"{env.guest.log}-suspend{next(COUNTER)}.log"), f"{directory}/qmp"
        end = threading.Event()
        network = f"tap,id=n,ifname={inside.tap},script=no,downscript=no" if inside.tap else \
            f"user,id=n,ipv6=off{inside.forward}"
        command = machine(env.kernel, archive, qmp, *disk(directory, inside.swap),
                          "-netdev", network,
                          "-device", f"virtio-net-pci,netdev=n,romfile=,{props}")
        if inside.tap:
            command = env.host_ns.wrap(command)
        with open(console, "wb") as out, subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT) as qemu:
            def ended():
                text = console.read_text(errors="replace")
                inside.beside(text)
                return qemu.poll() is not None or "RESULT end" in text

            waker = threading.Thread(target=wake, args=(qmp, console, end))
            try:
                assert Daemon("qemu", qemu).listens(qmp), "QEMU does not start"
                waker.start()
                # Powering off hangs in firmware after some suspends.
                env.wait(ended, "the guest has not ended", limit)
            finally:
                end.set()
                qemu.kill()
                if waker.ident:
                    waker.join()
        text = console.read_text(errors="replace")
    judge(text, console)
    return text


def judge(text, console, end=True):
    """Nothing was wrong in the guest, by what it has printed."""
    results = [line for line in text.splitlines() if line.startswith("RESULT")]
    assert results == ["RESULT end"] * end, \
        f"{results or 'no result'}; see {console}: {text[-1500:]}"
    bad = re.search(r"BUG:|WARNING:|Call Trace:|Oops", text)
    assert not bad, f"the kernel complained: {text[bad.start():bad.start() + 800]}"


ONE = {"profiles": ["modern-split"], "up": False, "timeout": 240, "drivers": ["vnet"]}


@test(**ONE)
def to_ram(env):
    "Suspend to RAM: settings, counters and traffic survive."
    suspended(env, "mem", rounds=3, limit=220)


@test(**{**ONE, "timeout": 900}, full=True)
def to_ram_100(env):
    "A hundred times."
    suspended(env, "mem", rounds=100, limit=800)


@test(**ONE)
def to_ram_packed(env):
    "The same with packed rings."
    suspended(env, "mem", "disable-legacy=on,packed=on", rounds=2, limit=220)


@test(**ONE)
def to_ram_legacy(env):
    "The same with a device from before VIRTIO 1.0."
    suspended(env, "mem", "disable-legacy=off,disable-modern=on", rounds=2, limit=220)


@test(**ONE, quick=True)
def to_idle(env):
    "Suspend to idle; the power button wakes the guest."
    suspended(env, "idle", rounds=env.rounds(full=20, quick=2), limit=220)


@test(**ONE)
def hibernate(env):
    "Hibernation as far as the image: freeze and thaw, without the restore."
    suspended(env, "disk", rounds=1, limit=220)


def restored(env, props, rounds):
    """Hibernate to a disk and come back, a few times."""
    text = suspended(env, "swap", props, rounds, 220, Inside(swap=768))
    assert text.count("Image loading done") == rounds, text[-1500:]


@test(**ONE, quick=True)
def hibernate_restore(env):
    "Hibernation and back: the device knows nothing, everything is as it was."
    restored(env, "disable-legacy=on", 2)


@test(**ONE)
def hibernate_restore_packed(env):
    "The same with packed rings."
    restored(env, "disable-legacy=on,packed=on", 1)


@test(**ONE)
def hibernate_restore_legacy(env):
    "The same with a device from before VIRTIO 1.0."
    restored(env, "disable-legacy=off,disable-modern=on", 1)
