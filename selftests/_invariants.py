# SPDX-License-Identifier: GPL-2.0
"""What holds for an interface that is down, whatever happened before: nothing is
in flight, no memory is kept, and everybody who counts counts the same."""

import json
import time
from pathlib import Path

from lab import oracle

TOOL = Path(__file__).parent / "tools" / "netdev.py"
SEPARATOR = "=== next ==="


def ask(env):
    """Everything in one go: netlink, ethtool, rtnl, the queues of the stack, devlink."""
    nic = env.nic
    commands = (
        f"python3 /tmp/netdev.py {nic}", f"ethtool -S {nic}", f"ip -j -s link show {nic}",
        f"cat /sys/class/net/{nic}/queues/tx-*/byte_queue_limits/inflight",
        f"devlink -j health diagnose virtio/{env.virtio} reporter tx",
        f"devlink -j health diagnose virtio/{env.virtio} reporter rx")
    text = env.guest.run(f"; echo '{SEPARATOR}'; ".join(commands), timeout=60).out
    told, lines, link, inflight, tx, rx = text.split(SEPARATOR)
    return {"netdev": json.loads(told), "counters": oracle.counters(lines),
            "rtnl": json.loads(link)[0]["stats64"], "bql": [int(n) for n in inflight.split()],
            "queues": json.loads(tx)["queues"] + json.loads(rx)["queues"]}


def wrong(have):
    """What does not hold of what ask() told; one sentence each."""
    counters, qstats = have["counters"], have["netdev"]["qstats"]
    if have["netdev"]["pools"]:
        yield f"page pools that are left: {have['netdev']['pools']}"
    if any(have["bql"]):
        yield f"bytes in flight for the stack: {have['bql']}"
    for queue in have["queues"]:
        held = queue.get("slots_in_flight", 0) + queue.get("slots_posted", 0)
        if held:
            yield f"{held} buffers of queue {queue['queue']} are with the device"
    for way in ("rx", "tx"):
        seen = {"ethtool": counters[f"{way}_packets"], "rtnl": have["rtnl"][way]["packets"]}
        if f"{way}-packets" in qstats:
            seen["netlink"] = qstats[f"{way}-packets"]
        if len(set(seen.values())) > 1:
            yield f"{way} packets: {seen}"
        queues = sum(value for name, value in counters.items() if name.startswith(way)
                     and name[2:-len("_packets")].isdigit() and name.endswith("_packets"))
        if queues > counters[f"{way}_packets"]:
            yield f"{way} packets: the queues have {queues}, the device {seen['ethtool']}"


def at_rest(env, patience=5):
    """The interface is down; what still travels through the stack is given a moment."""
    if env.guest.run("test -e /tmp/netdev.py", check=False).status:
        env.guest.put(TOOL, "/tmp/netdev.py")
    deadline = time.monotonic() + patience
    while True:
        found = list(wrong(ask(env)))
        if not found or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert not found, f"interface down, and {'; '.join(found)}"
