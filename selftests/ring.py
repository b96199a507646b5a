# SPDX-License-Identifier: GPL-2.0
"""The two engines of a ring: who drives which, and the place where interrupts are lost."""

import json

from lab.api import test
from lab.net import lost_pings

from .quick import PLUGGABLE

# Rings that our own engine leaves to the core, by profile: (receive, transmit)
CORE = {"packed": (1, 1), "in-order": (1, 1), "packed-in-order": (1, 1), "no-indirect": (0, 1),
        "big": (1, 0), "legacy-small": (1, 0), "iommu-packed": (1, 1)}
KNOB = "/sys/module/vnet/parameters/core_ring"

# Datagrams one after the other: each is an interrupt of its own, both ways.
ECHO = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 5101))
s.settimeout(5)
worst = 0
for i in range(int(sys.argv[2])):
    began = time.monotonic()
    s.send(b"%d" % i)
    assert s.recv(100) == b"%d" % i
    worst = max(worst, time.monotonic() - began)
print(worst)
"""


def rings(env, reporter):
    """What devlink tells of each queue of one direction."""
    told = json.loads(env.guest.run(
        f"devlink -j health diagnose virtio/{env.virtio} reporter {reporter}").out)
    found = []

    def walk(value):
        if isinstance(value, dict):
            if "engine" in value:
                found.append(value)
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                walk(part)

    walk(told)
    return found


def engines(env):
    return tuple({ring["engine"] for ring in rings(env, way)} for way in ("rx", "tx"))


@test(profiles=PLUGGABLE, timeout=120, drivers=["vnet"])
def engine(env):
    "Our own engine drives what it can; the knob leaves all to the core; both carry packets."
    core = CORE.get(env.profile.name, (0, 0))
    own = tuple({"core"} if way else {"vnet"} for way in core)
    assert engines(env) == own, f"{engines(env)} and not {own}"
    try:
        for value, want in (("Y", ({"core"}, {"core"})), ("N", own)):
            env.guest.run(f"echo {value} > {KNOB}; ip link set {env.nic} down; "
                          f"ip link set {env.nic} up")
            assert engines(env) == want, f"core_ring {value}: {engines(env)} and not {want}"
            text = env.guest.run(f"ping -n -c 20 -i 0.02 -w 15 {env.gateway}", timeout=30).out
            assert not lost_pings(text, 20), lost_pings(text, 20)
    finally:
        env.guest.run(f"echo N > {KNOB}")


@test(profiles=["modern-split", "no-event-idx"], timeout=300, drivers=["vnet"])
def wrap(env):
    """Where the used index comes to rest on 0 the core loses the interrupt: it is found.

    65536 packets with an interrupt each, about 300 of them around that place one by one.
    """
    env.host_ns.serve("socat UDP4-LISTEN:5101,fork,reuseaddr EXEC:cat", 5101, "udp")
    env.guest.put(ECHO.encode(), "/tmp/echo.py")

    def at(way):
        ring, = rings(env, way)
        assert ring["engine"] == "vnet"
        return ring

    left = 0x10000 - max(at("rx")["used_idx"], at("tx")["used_idx"])
    assert left > 1000, "the index is nearly round already"
    env.guest.run(f"ping -f -q -s 0 -c {left - 300} -w 200 {env.host_ns.ip}", timeout=220)
    start = at("rx")["found_at_wrap"]
    worst = float(env.guest.run(f"python3 /tmp/echo.py {env.host_ns.ip} 700", timeout=120).out)
    ring = at("rx")
    assert ring["used_idx"] < 1000, f"the index has not come round: {ring['used_idx']}"
    # One is lost; on a busy machine a look may come before an interrupt that is on its way.
    found = ring["found_at_wrap"] - start
    assert 1 <= found <= 5, f"{found} interrupts were found lost at the wrap, and not 1"
    print(f"the longest of 700 round trips took {worst * 1000:.1f} ms")
