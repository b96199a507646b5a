# SPDX-License-Identifier: GPL-2.0
"""A guest of a test's own whose only NIC is the scripted device of selftests/device.

    with Scripted(env, pairs=2, features=["default", "MQ"]) as nut:
        nut.run("ethtool -L NIC combined 2")
        assert nut.sent("mq.pairs")["data"] == "0200"

NIC in a command stands for the interface. Leaving the block checks that the
device saw no violation and that the kernel did not complain. A guest serves the
next test, too, with the driver loaded anew, unless that needs another device than
one with other features.

The profile "scripted" is for tests that use the interface as any other; these are
for tests of the device's own settings, which the driver must find when it binds.
"""

import atexit
import itertools
import json
import time
from pathlib import Path

from lab import oracle
from lab.guest import Guest
from lab.net import lost_pings
from lab.profiles import Profile

from . import _data
from .device.client import Device

NO_NIC = Profile("test-device", "no NIC of QEMU's own", nics=0)
MAC = "52:54:00:76:6e:01"
OWN, OTHER = "192.0.2.1", "192.0.2.2"
COUNTER = itertools.count(1)


KEPT = {}


class Bench:
    """A guest with the device and the driver."""

    def __init__(self, env, options):
        self.driver, self.options = env.driver, options
        self.device = Device(**options)
        self.guest = None
        self.tools = False
        self.device.start()
        try:
            self.guest = Guest(env.kernel, NO_NIC, f"{env.guest.log}-device{next(COUNTER)}",
                               extra=self.device.qemu_args(), memory=512)
            self.guest.__enter__()
            # The module that the rest of the run is about
            module = env.guest.root / "lab" / f"{env.driver}.ko"
            self.module = module if module.exists() else None
            self.guest.load(env.driver, self.module)
        except BaseException:
            self.close()
            raise

    def fits(self, env, options):
        """Can a test with these options use it? Features can be offered anew."""
        return self.driver == env.driver and self.guest.alive() and \
            {**self.options, "features": None} == {**options, "features": None}

    def renew(self, features):
        """As after boot: the module loaded anew, no faults, no log of violations."""
        self.device.clear()
        self.device.forgive()
        self.guest.run(f"rmmod {self.driver}; for d in $(ls /sys/class/net); do "
                       "case $(readlink /sys/class/net/$d) in */virtual/*) "
                       "[ $d = lo ] || ip link del $d;; esac; done", check=False, timeout=60)
        self.device.violations(clear=True)
        self.device.sent(clear=True)
        self.device.call("offer", features=features)
        self.options = {**self.options, "features": features}
        self.guest.load(self.driver, self.module)

    def close(self):
        if self.guest:
            self.guest.close()
        self.device.stop()


def take(env, options):
    """The guest that the last test left, if it fits, or a new one."""
    bench = KEPT.pop(env.kernel.name, None)
    if bench and bench.fits(env, options):
        bench.renew(options["features"])
        return bench
    if bench:
        bench.close()
    return Bench(env, options)


@atexit.register
def close_all():
    while KEPT:
        KEPT.popitem()[1].close()


def changes(before, now, where=""):
    """Where two snapshots differ."""
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}, key=str):
            yield from changes(before.get(key), now.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now)):
            yield from changes(*pair, f"{where}[{index}]")
    else:
        yield f"{where} was {before}, is {now}"


class Scripted:
    """The guest, the device and the interface between them, for one test."""

    def __init__(self, env, **options):
        self.env, self.options, self.driver = env, options, env.driver
        self.bench = self.device = self.guest = self.nic = None
        self.since = 0

    def __enter__(self):
        self.bench = take(self.env, self.options)
        self.device, self.guest = self.bench.device, self.bench.guest
        self.splats = len(self.guest.console_text())
        try:
            self.up()
        except BaseException:
            self.bench.close()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                splats = self.guest.splats(self.splats)
                assert not splats, f"the kernel complained: {splats[0]}"
                assert self.driver != "vnet" or self.device.touched or not self.moved(), \
                    f"counters moved on an honest device: {self.moved()}"
                violations = self.device.violations()
                assert not violations, f"the device complains: {violations[0]}"
                KEPT[self.env.kernel.name] = self.bench
                self.bench = None
        finally:
            if self.bench:
                self.bench.close()

    def moved(self):
        """What was healed, lost or reset, though nobody lied to the driver."""
        text = self.guest.run(f"ethtool -S {self.nic}", check=False).out
        return {name: value for name, value in oracle.moved({}, oracle.counters(text)).items()
                if name.startswith(("heal_", "lost_", "reset_", "stalls"))}

    # ---- the guest's side ----------------------------------------------

    def run(self, command, **options):
        """Run a command; what the device receives for it is in sent()."""
        self.since = self.device.mark()
        return self.guest.run(command.replace("NIC", self.nic), **options)

    def out(self, command):
        return self.run(command).out

    def refused(self, command, *words):
        """The command fails with a message that has these words; the message."""
        result = self.run(command, check=False)
        text = result.out + result.err
        # ethtool -Q prints the error and exits with zero.
        assert result.status or "Cannot" in text, f"'{command}' was accepted"
        for word in words:
            assert word in text, f"'{command}' says: {text.strip()}, without '{word}'"
        return text

    def ping(self):
        out = self.guest.run(f"ping -n -c 3 -i 0.2 -w 20 {OTHER}", check=False).out
        assert not lost_pings(out, 3), lost_pings(out, 3)

    def counters(self):
        """ethtool -S as a dictionary."""
        return _data.counters(self)

    def settings(self):
        """What the user's tools read back, for a comparison: see _snapshot.py."""
        if not self.bench.tools:
            here = Path(__file__).parent
            self.guest.put(here / "tools" / "netdev.py", "/tmp/netdev.py")
            self.guest.put(here / "_snapshot.py", "/tmp/snapshot.py")
            self.bench.tools = True
        return json.loads(self.guest.run(f"python3 /tmp/snapshot.py {self.nic}", timeout=60).out)

    def rebind(self, features=None):
        """The driver bound anew, to a device with other features."""
        bus = "/sys/bus/virtio/drivers/vnet"
        name = self.out("basename $(readlink /sys/class/net/NIC/device)").strip()
        self.run(f"echo {name} > {bus}/unbind", timeout=60)
        if features:
            self.device.call("offer", features=features)
        self.run(f"echo {name} > {bus}/bind", timeout=60)
        self.up()

    def up(self):
        self.nic = self.guest.interface(MAC)
        assert self.nic, f"{self.env.driver} made no interface for the device"
        self.run(f"sysctl -qw net.ipv6.conf.NIC.keep_addr_on_down=1; "
                 f"ip addr add {OWN}/24 dev NIC; ip link set NIC up")

    # ---- the device's side ---------------------------------------------

    def sent(self, name):
        """The last command of that name that the last run() led to."""
        return self.device.wait_command(name, self.since)

    def not_sent(self, name):
        commands = self.device.commands(name, self.since)
        assert not commands, f"the device received {commands[-1]}"

    def control(self):
        """What the device was told, without its counts."""
        state = self.device.control()
        for name in ("commands", "commands_ok", "announce_acks"):
            del state[name]
        for name in ("unicast", "multicast"):
            state[name].sort()
        # A virtqueue with the global values of its own is as good as without.
        state["vq_coalesce"] = {
            vq: value for vq, value in state["vq_coalesce"].items()
            if value != state["coalesce"]["tx" if int(vq) % 2 else "rx"]}
        return state

    def same(self, control, settings, when):
        """Both sides say what they said before, at the latest after some seconds."""
        deadline = time.monotonic() + 10
        before = {"the device": control, **settings}
        while True:
            now = {"the device": self.control(), **self.settings()}
            if now == before or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        different = [f"{key}: {change}" for key in before
                     for change in changes(before[key], now[key])]
        assert not different, f"{when}: {'; '.join(different)[:2000]}"

    def reset(self):
        """The device asks for a reset and gets it."""
        mark = self.device.mark()
        self.device.needs_reset()
        self.device.wait(lambda: [e for e in self.device.log("status", mark)
                                  if e["value"] & 4], 20, "DRIVER_OK after a reset")
        carrier = f"/sys/class/net/{self.nic}/carrier"
        self.guest.run(f"until [ $(cat {carrier}) = 1 ]; do sleep 0.1; done",
                       timeout=20)
