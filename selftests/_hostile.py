# SPDX-License-Identifier: GPL-2.0
"""One attack of the scripted device, and the one oracle that judges what came of it.

A case is a deed of the device (or what it shows to a driver that binds) under
traffic. Whatever it is, the same must hold afterwards: the kernel does not
complain, the tools answer, packets flow again, every packet is in one counter,
the driver has broken no rule of the specification, and it can be unbound.
"""

import functools
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab import oracle
from lab.guest import GuestDied
from lab.net import CommandFailed, TimedOut

from ._data import answered
from ._invariants import at_rest
from .device import packet

FAR, OWN = "10.0.2.77", "10.0.2.15"
PEER_MAC = bytes.fromhex("525400766efe")
BASE = ("default", "MQ")
TSO = ("GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO")
MODES = {
    "mergeable": BASE + TSO,
    "small": BASE + ("-MRG_RXBUF",),
    "big": BASE + TSO + ("-MRG_RXBUF",),
    "packed": BASE + TSO + ("RING_PACKED",),
    "rss": BASE + ("RSS", "HASH_REPORT", "NOTF_COAL", "VQ_NOTF_COAL", "DEVICE_STATS"),
    "in-order": BASE + ("IN_ORDER",),
}
CONFIG = {"mtu": 1500, "max_virtqueue_pairs": 4, "speed": 10000, "duplex": 1,
          "rss_max_key_size": 40, "rss_max_table": 128, "hash_types": 0x1ff}
RECOVERY = 25       # seconds within which packets flow again
HOPELESS = 0.4      # of these times are waited for a driver that has no time-outs at all
ANSWER = 15         # seconds within which a command of the user's ends, whatever it says
LOCKED = 10         # seconds for which a command of the control queue may hold up the tools
CHATTER = 150       # lines that one attack may cost in the kernel's log
EXPECTED = Path(__file__).with_name("hostile_expected.txt")
FORGED = ("avail-index-jump", "descriptor-reuse", "ring-overrun")
OOPS = ("BUG:", "Oops", "KASAN", "general protection", "Kernel panic")


@functools.cache
def expected():
    """{case: (outcomes, seconds or None)} of hostile_expected.txt."""
    found = {}
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, outcomes, *seconds = (word.strip() for word in line.split("|"))
            found[name] = (tuple(word.strip() for word in outcomes.split(",")),
                           float(seconds[0]) if seconds else None)
    return found


def surprise(name, found, seconds):
    """Why an outcome is not the one that is written down, or None."""
    outcomes, within = expected()[name]
    if found not in outcomes:
        return f"expected was {' or '.join(outcomes)}"
    if seconds is not None and within is not None and seconds > within:
        return f"packets flow after {seconds} s, expected were {within:.0f}"
    return None


@dataclass(frozen=True)
class Case:
    """One line of the catalogue.

    name     begins with the line's key: A1 to F9
    deed     function of an Attack
    mode     what the device offers; features: and this; config: and this there
    bind     the deed is done before the driver binds, which may refuse
    exact    received packets can be added up (no entry of the ring was forged)
    forgiven the rules of which the deed itself makes a driver appear to break one
    cve      of virtio_net, that this is the regression test for
    quick    part of 'make check'
    replug   options of the device that Linux looks at when it finds the device on the bus
    limit    why no driver can stand it: it lies in the core below, see docs/security.rst
    """

    name: str
    text: str
    deed: object
    mode: str = "mergeable"
    features: tuple = ()
    config: dict = field(default_factory=dict)
    bind: bool = False
    exact: bool = True
    forgiven: tuple = ()
    cve: str = ""
    quick: bool = False
    limit: str = ""
    replug: dict = field(default_factory=dict)
    timeout: int = 120


class Attack:
    """What a deed has to hand, and the judgement."""

    def __init__(self, env, case):
        self.env, self.case, self.device = env, case, env.device
        self.guest = env.guest
        self.patience = 1 if env.driver == "vnet" else HOPELESS
        self.recovery = RECOVERY
        self.home = dict(CONFIG, mac=env.mac)
        self.honest = {"config_length": 4096}
        self.job = None
        self.mark = 0
        self.before = None
        self.said = ""
        self.console = len(self.guest.console_text())

    # ---- for deeds -----------------------------------------------------

    def run(self, command, timeout=ANSWER, check=False):
        """A command of the user's; however it ends, it ends."""
        return self.guest.run(command.replace("NIC", self.env.nic),
                              timeout=timeout * self.patience, check=check)

    def frame(self, size=200):
        """A datagram that nobody waits for."""
        mac = bytes.fromhex(self.env.mac.replace(":", ""))
        return packet.udp_frame(mac, PEER_MAC, OWN, FAR, 9, 7, b"y" * (size - 42))

    def inject(self, **options):
        return self.device.inject(options.pop("frame", None) or self.frame(), **options)

    def room(self):
        """What one receive buffer holds."""
        used = self.device.call("inject", queue="rx0", buffers=1, frame="55" * 90000)["used"]
        return used[0][0] if used else 2048     # none while the queue is being reset

    def wait(self, seconds):
        time.sleep(seconds)

    def forgive(self):
        """What was asked for so far is no fault of the driver's, nor is a reset."""
        self.mark = self.device.mark()

    # ---- the course of a case ------------------------------------------

    def offer(self):
        names = list(MODES[self.case.mode] + tuple(self.case.features))
        self.device.call("offer", features=names)
        self.device.config(interrupt=False, **{**self.home, **self.case.config})
        return names

    def restore(self):
        self.device.clear()
        self.device.call("option", set={"accept_bad_features": False, "queue_sizes": {}})
        self.device.config(interrupt=False, **self.home)
        self.device.call("config", set={}, raw=False, interrupt=False)
        self.device.link(True)
        self.env.restore_device()

    def rebind(self):
        self.env.unbind()
        self.env.bind()

    def replug(self, options):
        """The function is found on the bus anew, with these options; no driver binds to it."""
        self.device.call("option", set=options)
        auto = "/sys/bus/virtio/drivers_autoprobe"
        self.guest.run(f"pci=$(readlink -f /sys/bus/virtio/devices/{self.env.virtio}/..); "
                       f"echo 0 > {auto}; echo 1 > $pci/remove; echo 1 > /sys/bus/pci/rescan; "
                       f"echo 1 > {auto}", timeout=60)

    def traffic(self):
        """Packets in both directions, until the judgement."""
        self.job = self.guest.start(f"ping -q -i 0.05 -W 1 {FAR}")
        self.device.call("source", count=200000, burst=2, interval=0.02, size=300, to=OWN,
                         lossy=True, **{"from": FAR})
        self.wait(0.3)

    def begin(self):
        """A fresh driver under traffic; the device is honest so far."""
        if set(self.offer()) != set(BASE) or self.case.config:
            self.rebind()
            self.env.configure()
        self.run(f"ethtool -L NIC combined 1; ping -q -c 1 -W 5 {FAR}", check=True)
        self.device.violations(clear=True)
        last = None
        while self.before is None or self.packets() != last:    # the stack sends things of its own
            last, self.before = self.packets(), self.numbers()
        self.traffic()
        self.mark = self.device.mark()

    def begin_bind(self):
        """The device shows what it shows, then the driver binds: what comes of it."""
        self.env.unbind()
        self.device.violations(clear=True)
        self.offer()
        if self.case.replug:
            self.replug(self.case.replug)
        self.mark = self.device.mark()
        self.case.deed(self)
        result = self.run(f"echo {self.env.virtio} > {self.env.drivers_dir()}/bind", timeout=40)
        nic = None if result.status else self.find()
        if not nic:
            return "refuses"
        self.env.nic = nic
        done = self.run(f"ip addr add {OWN}/24 dev NIC; ip link set NIC up; ethtool -S NIC;"
                        f"ethtool -L NIC combined 2; ping -q -s 16 -c 3 -i 0.2 -w 8 {FAR}",
                        timeout=60)
        self.said = f"{done.out[-200:]}{done.err[-200:]}"
        return "stops" if done.status else "survives"

    def find(self):
        """The name of the interface, whatever its address is; of a failover, the master's."""
        path = f"/sys/bus/virtio/devices/{self.env.virtio}/net"
        return self.guest.run(f"cd {path} && for i in *; do [ -e $i/master ] || echo $i; done",
                              check=False).out.strip()

    def numbers(self):
        """Packets as the device counted them and as the driver did."""
        queues = self.device.state()["queues"]
        given = sum(q["counters"].get("rx_packets", 0) for q in queues)
        taken = sum(q["counters"].get("tx_packets", 0) for q in queues)
        return given, taken, oracle.counters(self.run("ethtool -S NIC", check=True).out)

    def packets(self):
        """Of numbers() those that only packets change."""
        given, taken, driver = self.before or (0, 0, {})
        return given, taken, driver.get("rx_packets"), driver.get("tx_packets")

    def flows(self):
        """Seconds until packets flow, None if they do not; waiting for a CPU does not count."""
        clock = self.env.deadline(0)
        taken = answered(self.guest, FAR, int(self.recovery * self.patience))
        return None if taken is None else round(min(taken, clock.spent()), 1)

    def resets(self):
        """What was reset since the deed."""
        return [entry for entry in self.device.log(since=self.mark)
                if entry["kind"] in ("reset", "queue-reset")]

    def healed(self, resets):
        """Did the driver reset anything of its own accord? Users' commands do, too."""
        if self.env.driver != "vnet" or not self.before:
            return bool(resets)
        now = self.numbers()[2]
        return any(now[name] > self.before[2][name]
                   for name in ("heal_queue_resets", "heal_device_resets"))

    def quiet(self):
        """No more traffic than is under way."""
        if self.job:
            self.job.kill()
            self.job = None
        self.device.call("stop")
        self.wait(0.5)

    def add_up(self, resets):
        """Every packet is in one counter, and nothing is left in flight."""
        if self.env.driver != "vnet" or not self.before:
            return
        # What is in flight is completed or purged.
        self.run("ip link set NIC down", check=True)
        at_rest(self.env)
        given, taken, now = self.numbers()
        given -= self.before[0]
        taken -= self.before[1]

        def grown(name):
            return now[name] - self.before[2][name]
        received = grown("rx_packets") + grown("rx_drops")
        if self.case.exact:
            assert received <= given, f"{given} packets given, {received} counted"
            assert received == given or resets, \
                f"{given} packets given, {received} counted, nothing was reset"
            accepted = grown("tx_packets") + grown("tx_purged")
            assert accepted >= taken, f"{taken} packets taken, {accepted} counted"
        # one packet, one counter: the sum of the reasons is the number of drops
        reasons = sum(grown(name) for name in now if name.startswith("rx_drop_"))
        assert not [n for n in now if n.startswith("rx_drop_")] or reasons == grown("rx_drops"), \
            f"{grown('rx_drops')} drops, {reasons} by reason"

    def judge(self):
        """The oracle; how the driver took it, and after how many seconds."""
        self.run("ip link show NIC; ip -s link show NIC", timeout=LOCKED, check=True)
        self.device.clear()
        seconds = self.flows()
        if seconds is None:
            found = self.given_up()
            self.quiet()
            return found, None
        resets = self.resets()
        healed = self.healed(resets)
        self.quiet()
        self.add_up(resets)
        return "recovers" if healed else "survives", seconds

    def state(self):
        """What there is to say about an interface that is dead."""
        lines = self.run("ip -s link show NIC; ethtool -S NIC | grep -E 'heal|reset_|stalls' | "
                         "grep -v ': 0'").out
        names = ("t", "kind", "value", "name", "what", "queue", "why")
        log = [{name: entry[name] for name in names if name in entry}
               for entry in self.device.log(since=self.mark) if entry["kind"] != "queue"]
        return f"{' '.join(lines.split())}; the device saw at last {log[-12:]}"

    def given_up(self):
        """The driver gave up cleanly: it says so, and works when the user asks it to."""
        health = self.run("devlink -j health show", check=False).out
        if '"state":"error"' not in health.replace(" ", ""):
            return "stops"
        self.run(f"devlink health recover virtio/{self.env.virtio} reporter device", timeout=30)
        self.run("ip link set NIC up")
        return "stops" if self.flows() is None else "gives up"

    def course(self):
        """Begin, deed, judgement, end of the driver."""
        if self.case.bind:
            found = self.begin_bind()
            self.restore()
            if found != "refuses":
                self.unbind()
            if self.case.replug:
                self.replug(self.honest)
            self.guest.run(f"echo {self.env.virtio} > {self.env.drivers_dir()}/bind", timeout=60)
            self.env.configure()
            assert self.flows() is not None, "an honest device does not work afterwards"
            return found, None
        self.begin()
        self.case.deed(self)
        found = self.judge()
        self.unbind()
        return found

    def unbind(self):
        self.guest.run(f"echo {self.env.virtio} > {self.env.drivers_dir()}/unbind",
                       timeout=25 * self.patience * self.env.slow)

    def verdict(self):
        """(what the driver did, seconds, why that is a failure or None)"""
        try:
            found, seconds = self.course()
            why = None if found in ("survives", "recovers", "refuses", "gives up") else \
                f"no packet comes through any more; {self.said}; {self.state()}"
        except (TimedOut, GuestDied) as error:
            found, seconds, why = "hangs", None, str(error)
        except (AssertionError, CommandFailed) as error:
            found, seconds, why = "fails", None, str(error)
        text = self.guest.console_text(self.console)
        splats = self.guest.splats(self.console)
        if splats:
            oops = [line for line in splats if any(word in line for word in OOPS)
                    and "soft lockup" not in line]
            locked = "soft lockup" in text or "blocked for more" in text or "stall" in text
            found = "oopses" if oops else "hangs" if locked else "warns"
            why = f"the kernel complained: {splats[0]}"
        elif not why and text.count("\n") > CHATTER:
            why = f"{text.count(chr(10))} lines in the kernel's log"
        return found, seconds, why

    def write(self, found, seconds, why, violations):
        """A line for selftests/tools/hostile_table.py."""
        record = {"case": self.case.name, "text": self.case.text, "cve": self.case.cve,
                  "driver": self.env.driver, "kernel": self.env.kernel.name, "found": found,
                  "seconds": seconds, "why": why, "violations": violations}
        with open(self.guest.log.parent / "hostile.jsonl", "a", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")

    def conclude(self):
        """Judge, write it down, say it."""
        if self.case.limit and self.env.driver == "vnet":
            self.write("core", None, None, 0)
            self.env.skip(self.case.limit)
        found, seconds, why = self.verdict()
        violations = []
        try:
            violations = self.device.violations()
            self.restore()
        except OSError:
            pass
        self.write(found, seconds, why, len(violations))
        assert not why, f"{found}: {why}"
        if self.env.driver == "vnet":
            why = surprise(self.case.name, found, seconds)
            assert not why, f"{found}: {why}"
        # buffers that the device gave back by a lie are given anew
        forgiven = self.case.forgiven + (() if self.case.exact else FORGED)
        violations = [v for v in violations if v["what"] not in forgiven]
        if self.env.driver == "vnet":
            assert not violations, f"the driver broke a rule: {violations[:2]}"
