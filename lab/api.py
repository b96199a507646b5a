# SPDX-License-Identifier: GPL-2.0
"""What a test file of selftests/ sees: the decorator and the environment.

    from lab.api import test

    @test(profiles=["modern-split", "packed"], timeout=60)
    def ping(env):
        "The host's side answers."
        env.guest.run(f"ping -c 3 {env.host_ns.ip}")

A test fails by an exception (assert, CommandFailed) or by what the kernel
says on its console while it runs.
"""

import re
import time
from dataclasses import dataclass

from . import SetupError, oracle
from . import profiles as known
from .net import lost_pings
from .patience import Deadline

TESTS = []

# Shell code of the guest, mostly builtins: a process costs 50 ms under emulation.
RESET = """
cd {dir} || exit
for d in virtio*; do [ -e $d ] && echo $d > unbind; done
[ -e /run/netns/peer ] && ip netns delete peer
for f in /sys/bus/virtio/devices/*/device; do
    read -r id < $f
    d=${{f%/device}}
    [ $id = 0x0001 ] && {{ echo ${{d##*/}} > bind || exit; }}
done
"""
FIND = """
for f in /sys/bus/virtio/devices/*/device; do
    read -r id < $f
    [ $id = 0x0001 ] && {{ d=${{f%/device}}; echo ${{d##*/}}; break; }}
done
n=0
for mac in {macs}; do
    nic=-
    for f in /sys/class/net/*/address; do
        read -r have < $f
        [ "$have" = $mac ] && {{ d=${{f%/address}}; nic=${{d##*/}}; }}
    done
    n=$((n + 1))
    eval nic$n=$nic
    echo $nic
done
"""
UP = """
ip {where} -batch - <<END || exit
addr add {ip4}/24 dev {nic}
addr add {ip6}/64 dev {nic} nodad
link set {nic} up
END
"""
CARRIER = """
for i in $(seq 600); do
    read -r up < /sys/class/net/$nic1/carrier && [ $up = 1 ] && break
    sleep 0.1
done
[ "$up" = 1 ] || { echo "$nic1 has no carrier" >&2; exit 1; }
"""


class Skip(Exception):
    """The test cannot say anything here; the text says why."""


@dataclass(frozen=True)
class Test:
    """One test function and where it runs."""

    name: str
    func: object
    profiles: tuple
    timeout: int
    full: bool
    up: bool
    drivers: tuple
    kernel_min: tuple
    quick: bool
    moves: tuple = ()
    changes: tuple = ()
    says: tuple = ()


def test(profiles=known.SINGLE_PAIR, *, timeout=90, full=False, up=True, drivers=(),
         kernel_min=(0, 0), quick=False, moves=(), changes=(), says=()):
    """Make a function a test.

    profiles    names of device profiles; one run for each and each kernel
    timeout     seconds after which the guest is ended and the test has failed
    full        run only by 'make check-full'
    up          the interfaces have addresses and are up when the test starts
    drivers     run only on these drivers
    kernel_min  run only on this kernel and newer ones
    quick       run by 'make check' though the rest of its file is too long for it
    moves       counters that an honest device leaves alone and this test moves (globs)
    changes     settings that are others when it ends: names of oracle.SETTINGS and MACHINE
    says        warnings of the driver that it provokes (globs); see lab/oracle.py
    """
    for name in profiles:
        known.get(name)
    unknown = {*changes} - {*oracle.SETTINGS, *oracle.MACHINE, "nic"}
    if unknown:
        raise SetupError(f"there are no settings {' '.join(sorted(unknown))}; there are: "
                         f"{' '.join((*oracle.SETTINGS, *oracle.MACHINE))} nic")

    def register(func):
        module = func.__module__.rsplit(".", 1)[-1]
        TESTS.append(Test(f"{module}.{func.__name__}", func, tuple(profiles), timeout, full, up,
                          tuple(drivers), kernel_min, quick, tuple(moves), tuple(changes),
                          tuple(says)))
        return func
    return register


class Peer:
    """The second NIC of the guest, in a network name space of its own."""

    def __init__(self, env, nic):
        self.env, self.nic = env, nic
        self.ip, self.ip6 = env.host_ns.peer_ip, env.host_ns.peer_ip6

    def run(self, command, **options):
        return self.env.guest.run(f"ip netns exec peer bash -c {quote(command)}", **options)

    def start(self, command):
        return self.env.guest.start(f"exec ip netns exec peer bash -c {quote(command)}")


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


class Env:
    """One test's view of a booted guest.

    guest    run(), start(), put(), get(): see lab/guest.py
    nic      name of the interface under test; mac its address; virtio its bus name
    host_ns  far side of the tap: run(), start(), serve(); ip, ip6 its addresses
    ip, ip6  the guest's addresses
    peer     the second NIC (profile two-nics): run(), start(), nic, ip
    device   the scripted device (profile scripted): see selftests/device/README.md
    full     True under 'make check-full'; driver, profile, kernel: what runs
    slow     how much longer everything may take (--slow)
    """

    def __init__(self, guest, driver, full=False, slow=1.0):
        self.guest, self.driver, self.full, self.slow = guest, driver, full, slow
        self.kernel, self.profile = guest.kernel, guest.profile
        self.host_ns = guest.host_ns
        self.device = guest.device
        self.mac = guest.macs[0]
        self.ip, self.ip6 = self.host_ns.guest_ip, self.host_ns.guest_ip6
        self.nic = self.peer = self.virtio = None
        self.uptime = 0.0
        self.deferred = []
        self.allow = {"moves": [], "changes": [], "says": []}

    # ---- what the oracle may find (lab/oracle.py) -------------------------

    def may_move(self, *counters):
        """These counters (globs) move from here on, though the device is honest."""
        self.allow["moves"] += counters

    def may_change(self, *settings):
        """These settings are not those of the beginning when the test ends."""
        self.allow["changes"] += settings

    def may_say(self, *texts):
        """The driver may warn of this (globs)."""
        self.allow["says"] += texts

    # ---- what must be undone -----------------------------------------------

    def defer(self, func, *args, **options):
        """Call this when the test is over, however it ends; the last one first."""
        self.deferred.append((func, args, options))

    def undo(self):
        """Do what was deferred."""
        while self.deferred:
            func, args, options = self.deferred.pop()
            func(*args, **options)

    def sysctl(self, run=None, **values):
        """Set these (net__ipv4__tcp_ecn=1) in the guest, or where RUN runs, for this test."""
        run = run or self.guest.run
        for name, value in values.items():
            name = name.replace("__", ".")
            before = run(f"sysctl -n {name}").out.strip()
            run(f"sysctl -q -w {name}={value}")
            self.defer(run, f"sysctl -q -w {name}='{before}'")

    # ---- packets ----------------------------------------------------------

    def ping(self, to=None, count=3, sizes=(56,), *, within=20, interval=0.05, options="",
             run=None):
        """Each of COUNT pings of each size is answered, and once; the times that it took, in ms.

        run: where from, env.guest.run if not given
        """
        to = to or self.gateway
        text = "".join(f"ping -n -c {count} -i {interval} -w {within} -s {size} {options} {to}; "
                       for size in sizes)
        out = (run or self.guest.run)(text, timeout=within * len(sizes) + 10, check=False).out
        lost = lost_pings(out, count, len(sizes))
        assert not lost, f"pings of {to}, sizes {sizes}: {lost}"
        return [float(ms) for ms in re.findall(r" time=([\d.]+) ms", out)]

    @property
    def tap(self):
        """True if the host's side is on the same wire, by a tap."""
        return self.profile.net in ("tap", "testpmd", "ovs")

    @property
    def gateway(self):
        """The address of the host's side as the guest sees it."""
        return self.host_ns.ip if self.addressed else "10.0.2.2"

    @property
    def addressed(self):
        """True if the guest has the addresses of the lab, not those of a user-mode network."""
        return self.tap or self.profile.net == "passt"

    def skip(self, why):
        raise Skip(why)

    def need_tap(self):
        if not self.tap:
            self.skip("QEMU's user-mode network has no far side that can call the guest")

    def rounds(self, full, quick):
        return full if self.full else quick

    def qmp(self, command, **args):
        return self.guest.qmp(command, **args)

    def set_link(self, up):
        self.guest.set_link(up)

    def deadline(self, seconds):
        """A limit for something that the guest has to do."""
        return Deadline(seconds * self.slow, self.guest.pids())

    def stopwatch(self):
        """A function that tells the seconds since now, but those of waiting for a CPU."""
        return self.deadline(0).spent

    def wait(self, condition, what, timeout=20):
        """Wait until a condition holds; its value."""
        deadline = self.deadline(timeout)
        while True:
            value = condition()
            if value:
                return value
            if deadline.passed():
                raise AssertionError(f"after {timeout} s: {what}")
            time.sleep(0.1)

    # ---- the interfaces ------------------------------------------------

    def drivers_dir(self):
        return f"/sys/bus/virtio/drivers/{self.driver}"

    def unbind(self, virtio=None):
        self.guest.run(f"echo {virtio or self.virtio} > {self.drivers_dir()}/unbind", timeout=60)

    def bind(self, virtio=None):
        self.guest.run(f"echo {virtio or self.virtio} > {self.drivers_dir()}/bind", timeout=60)

    def find(self):
        """Learn the names of the interfaces."""
        out = self.guest.run(FIND.format(macs=" ".join(self.guest.macs))).out.split()
        self.learn(out)
        return out[1:]

    def learn(self, words):
        """Take over what FIND printed: the bus name of the first NIC, then the interfaces."""
        for name, mac in zip(words[1:], self.guest.macs):
            if name == "-":
                raise AssertionError(f"{self.driver} made no interface for {mac}")
        self.virtio, self.nic = words[:2]
        if len(words) > 2:
            self.peer = Peer(self, words[2])

    def configure(self):
        """Addresses and link up; a second NIC goes to the name space 'peer'."""
        self.prepare(reset=False, up=True)

    def reset(self, up=False):
        """A device as after boot: driver bound anew, no addresses, link up, no helpers."""
        self.host_ns.stop_daemons()
        lied = self.device and self.device.touched
        if self.device:
            self.restore_device()
        for index in range(self.profile.nics):
            self.guest.set_link(True, index)
        self.prepare(reset=True, up=up)
        if lied:    # what is said until now is the last test's
            self.guest.judged = self.uptime

    def prepare(self, reset, up):
        """Bring the interfaces into a known state by one script."""
        ns = self.host_ns
        script = [RESET.format(dir=self.drivers_dir())] if reset else []
        script.append(FIND.format(macs=" ".join(self.guest.macs)))
        if up:
            ip4, ip6 = (self.ip, self.ip6) if self.addressed else ("10.0.2.15", "fec0::15")
            script.append(UP.format(nic="$nic1", where="", ip4=ip4, ip6=ip6))
            if not self.addressed:
                script.append("ip route add default via 10.0.2.2")
            if self.profile.nics > 1:
                script.append("ip netns add peer; ip link set $nic2 netns peer; "
                              "ip -n peer link set lo up")
                script.append(UP.format(nic="$nic2", where="-n peer", ip4=ns.peer_ip,
                                        ip6=ns.peer_ip6))
            script.append(CARRIER)
        script.append("read -r up _ < /proc/uptime; echo $up")
        *words, uptime = self.guest.run("\n".join(script), timeout=90).out.split()
        self.uptime = float(uptime)
        self.learn(words)

    def carrier(self):
        return self.guest.run(f"cat /sys/class/net/{self.nic}/carrier").out.strip() == "1"

    def wait_carrier(self):
        self.wait(self.carrier, f"{self.nic} has no carrier")

    def restore_device(self):
        """The scripted device forgets what a test made of it."""
        self.device.clear()
        self.device.call("network", net=self.profile.device.get("net", "answer"))
        self.device.call("offer", features=self.profile.device["features"])
        self.device.call("violations", clear=True)
        self.device.forgive()
