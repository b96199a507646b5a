# SPDX-License-Identifier: GPL-2.0
"""A guest goes from one QEMU to another: live, and by a snapshot.

The guest lives in memory, see recovery_suspend.py: QEMU cannot migrate a root on
virtiofs. Each QEMU has a port of one bridge, whose table says where the guest is.
"""

import contextlib
import shlex
import tempfile
from pathlib import Path

from lab.api import test
from lab.net import HostNs
from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from .recovery_suspend import COUNTER, END, SETUP, archive_of, judge, machine

HOST, GUEST, MAC = "10.0.2.2", "10.0.2.15", "52:54:00:aa:bb:cc"
THE_END = "10.0.2.9"  # once this address answers
INIT = SETUP + f"""
i=0
until ping -q -c 1 -W 1 {THE_END} >/dev/null; do
    i=$((i + 1))
    flows || echo "RESULT no packet in round $i"
    same || break
    echo "ROUND $i"
done
""" + END
# what a guest says to all when it has moved, and no QEMU in its name
ANNOUNCEMENT = f"arp and ether src {MAC} and arp[14:4] = arp[24:4]"


class Machine:
    """A QEMU with the guest, or one that gets it from somewhere."""

    def __init__(self, move, incoming=None):
        number = next(COUNTER)
        self.env, self.log = move.env, Path(f"{move.env.guest.log}-migrate{number}.log")
        qmp = f"{move.directory}/qmp{number}"
        command = machine(
            self.env.kernel, move.archive, qmp,
            "-netdev", f"tap,id=n,ifname={next(move.taps)},script=no,downscript=no,vhost=off",
            "-device", f"virtio-net-pci,netdev=n,romfile=,{move.props}",
            *(["-incoming", incoming] if incoming else []))
        self.daemon = move.ns.start(f"exec {shlex.join(command)} > {self.log} 2>&1", quiet=True)
        assert self.daemon.listens(qmp), f"QEMU does not start: {self.text()}"
        self.monitor = QEMUMonitorProtocol(qmp)
        self.monitor.connect()

    def text(self):
        return self.log.read_text(errors="replace")

    def rounds(self, count):
        """Wait until the guest has been through some more rounds."""
        before = self.text().count("ROUND")
        self.env.wait(lambda: self.text().count("ROUND") >= before + count
                      or "RESULT" in self.text(), "the guest does nothing", 120)
        judge(self.text(), self.log, end=False)

    def give(self, where):
        """Send the guest somewhere else; it goes on there."""
        self.monitor.cmd("migrate-set-parameters",
                         **{"max-bandwidth": 4 << 30, "downtime-limit": 2000})
        self.monitor.cmd("migrate", uri=where)

        def gone():
            state = self.monitor.cmd("query-migrate")
            assert state["status"] != "failed", state
            return state["status"] == "completed"
        self.env.wait(gone, "the migration does not end", 120)

    def runs(self):
        return self.monitor.cmd("query-status")["status"] == "running"

    def close(self):
        with contextlib.suppress(EOFError, QMPError, OSError):
            self.monitor.close()
        self.daemon.stop()


class Move:
    """The room of a test: a bridge with ports, and what the guest is made of."""

    def __init__(self, env, props, ports):
        self.env, self.props = env, props
        self.stack = contextlib.ExitStack()
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.archive = archive_of(env, self.directory, INIT, {})
        self.ns = HostNs()
        self.stack.callback(self.ns.close)
        for _ in range(ports):
            self.ns.add_tap(1)
        self.taps = iter(self.ns.taps)
        self.ns.configure()
        self.ns.run(f"ip addr add {HOST}/24 dev br0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def machine(self, incoming=None):
        return self.stack.enter_context(contextlib.closing(Machine(self, incoming)))

    def watch(self):
        """Ends well with the third announcement."""
        return self.ns.start(f"timeout 90 tcpdump -n -l -i br0 -c 3 '{ANNOUNCEMENT}' 2>&1")

    def arrived(self, there):
        """The guest runs there, answers, and has forgotten nothing."""
        self.env.wait(there.runs, "the guest does not run", 60)
        self.ns.run(f"ping -q -c 20 -i 0.05 -w 10 {GUEST}")
        there.rounds(3)

    def leave(self, there):
        """Let the guest unload the driver; what it has to say."""
        self.ns.run(f"ip addr add {THE_END}/24 dev br0")
        self.env.wait(lambda: "RESULT" in there.text(), "the guest has not ended", 60)
        judge(there.text(), there.log)


ONE = {"profiles": ["modern-split"], "up": False, "timeout": 300}
SPLIT, PACKED = "disable-legacy=on", "disable-legacy=on,packed=on"


def live(env, props):
    with Move(env, props, 2) as move:
        here = move.machine()
        here.rounds(2)
        path = f"unix:{move.directory}/wire"
        there = move.machine(path)
        flood = move.ns.start(f"ping -q -i 0.01 -w 300 {GUEST}")
        watch = move.watch()
        here.give(path)
        move.arrived(there)
        flood.stop()
        done = watch.wait(90)
        assert not done.status, f"fewer than 3 announcements: {done}"
        move.leave(there)


@test(**ONE, quick=True)
def migrate(env):
    "Live migration under traffic: everyone is told, repeatedly, and no setting is lost."
    live(env, SPLIT)


@test(**ONE)
def migrate_packed(env):
    "The same with packed rings."
    live(env, PACKED)


@test(**ONE)
def snapshot(env):
    "One snapshot is restored twice: each goes on where it was taken."
    with Move(env, SPLIT, 3) as move:
        first = move.machine()
        first.rounds(2)
        flood = move.ns.start(f"ping -q -i 0.01 -w 300 {GUEST}")
        path = f"file:{move.directory}/snapshot"
        first.give(path)
        first.close()
        flood.stop()
        second = move.machine(path)
        move.arrived(second)
        second.close()
        third = move.machine(path)
        move.arrived(third)
        move.leave(third)
