# SPDX-License-Identifier: GPL-2.0
"""Two things at a time: each change and each reset begins while another is going on.

Suspend is not among them: the root of these guests lies on virtiofs, whose driver
refuses it (recovery_suspend.py). Shutdown is the last thing that a guest does
(recovery_life.py).
"""

import itertools
import os
import random

from lab.api import test

from ._data import answered
from ._invariants import at_rest
from ._xdp import PASS, Program
from .recovery_device import pci
from .recovery_queues import OTHER, SCRIPTED

# What a user does, as commands: NIC, ID (on the virtio bus), PCI, DIR (of the driver), BPF
# (pinned programs). That one is refused while the other goes on is an answer, too.
USER = {
    "down_up": "ip link set NIC down; ip link set NIC up",
    "channels": "ethtool -L NIC combined 2; ethtool -L NIC combined 1",
    "rings": "ethtool -G NIC rx 64 tx 64; ethtool -G NIC rx 256 tx 256",
    "mtu": "ip link set NIC mtu 1300; ip link set NIC mtu 1500",
    "xdp": "ip link set dev NIC xdpdrv pinned BPF/frags; ip link set dev NIC xdpdrv off",
    "af_xdp": "timeout 1 python3 /tmp/xsk.py echo NIC 0",
    "flr": "echo 1 > PCI/reset",
    "recover": "devlink health recover virtio/ID reporter device",
    "unbind": "echo ID > DIR/unbind; echo ID > DIR/bind",
}


def needs_reset(env):
    env.device.needs_reset()


def bus_away(env):
    env.device.fault(device="bus", action="dead")


def ring_stuck(env):
    env.device.fault(device="queue-reset", action="hang", count=2)


# What the device does; it is over when its faults are cleared.
DEVICE = {"needs_reset": needs_reset, "bus_away": bus_away, "ring_stuck": ring_stuck}


# A driver that is unbound from a device that is off the bus: the core warns of its status,
# docs/security.rst.
ONLY_CORE = {"unbind", "bus_away"}


class Pairs:
    """Starts one event while the other is going on, and sees what is left."""

    def __init__(self, env, program, pick):
        self.env, self.program, self.pick = env, program, pick

    def command(self, name):
        env, text = self.env, USER[name]
        for word, value in (("NIC", env.nic), ("ID", env.virtio), ("PCI", pci(env)),
                            ("DIR", env.drivers_dir()), ("BPF", self.program.dir)):
            text = text.replace(word, value)
        return f"{{ {text}; }} > /dev/null 2>&1"

    def begin(self, name):
        """Start an event; the job to wait for, or None."""
        if name in DEVICE:
            DEVICE[name](self.env)
            return None
        return self.env.guest.start(self.command(name))

    def settled(self, why):
        """Whatever was refused or undone: the interface is there, up and useful."""
        env = self.env
        env.guest.run(f"[ -e {env.drivers_dir()}/{env.virtio} ] || "
                      f"echo {env.virtio} > {env.drivers_dir()}/bind", timeout=60)
        env.find()
        env.guest.run(f"ip link set {env.nic} xdpdrv off; ip link set {env.nic} up; "
                      f"ip addr replace 10.0.2.15/24 dev {env.nic}", check=False)
        assert answered(env.guest, OTHER, 40) is not None, f"{why}: no packets within 40 s"
        assert env.guest.run(f"timeout 5 ip link show {env.nic}", check=False).status == 0, \
            f"{why}: the instance lock is not free"

    def run(self, first, second):
        env = self.env
        # The traffic of both, whatever becomes of the interface
        traffic = env.guest.start(f"ping -q -i 0.01 -s 1000 {OTHER} > /dev/null 2>&1")
        jobs = [self.begin(first)]
        env.guest.run(f"sleep {self.pick.random() / 2:.3f}")
        jobs.append(self.begin(second))
        env.guest.run(f"sleep {self.pick.random() / 2:.3f}")
        env.device.clear()
        for job in filter(None, jobs):
            job.wait(90)
        traffic.kill()
        self.settled(f"{second} during {first}")


def seeded(env):
    """The seed of this run: VNET_SEED, or any; a short run is the same each time."""
    return int(os.environ.get("VNET_SEED") or env.rounds(full=random.randrange(1 << 32), quick=1))


@test(**{**SCRIPTED, "timeout": 3600}, quick=True)
def all_pairs(env):
    "Each event during each other, under traffic: nothing hangs, traffic flows again, books add up."
    seed = seeded(env)
    pick = random.Random(seed)
    events = [*USER, *DEVICE]
    pairs = [pair for pair in itertools.product(events, events) if set(pair) != ONLY_CORE]
    pick.shuffle(pairs)
    env.guest.put(os.path.join(os.path.dirname(__file__), "tools/xsk.py"), "/tmp/xsk.py")
    program = Program(env)
    try:
        program.plan(PASS)
        both = Pairs(env, program, pick)
        for first, second in pairs[:env.rounds(full=len(pairs), quick=6)]:
            try:
                both.run(first, second)
            except Exception as error:
                raise AssertionError(f"VNET_SEED={seed}: {second} during {first}: "
                                     f"{error}") from error
    finally:
        program.close()
    assert not env.device.violations(), env.device.violations()
    env.guest.run(f"ip link set {env.nic} down", timeout=60)
    at_rest(env)
