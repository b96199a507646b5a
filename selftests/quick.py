# SPDX-License-Identifier: GPL-2.0
"""The assertions that matter most, each in seconds: what 'make check' is made of.

lab/quick.py says which of these run where, and which tests of other files beside
them. That nothing was healed, lost or dropped is seen by the runner (lab/oracle.py).
"""

import re

from kunit import guest as kunit
from lab import oracle, profiles
from lab.api import test
from lab.net import lost_pings

from . import features
from ._data import counters
from ._xdp import DROP, PASS, REDIRECT, SINK, TX, Program, back, tap_drops
from .recovery_queues import OTHER, flows, grown, is_only, one_queue

PLUGGABLE = tuple(p.name for p in profiles.PROFILES.values()
                  if p.pluggable and p.nics == 1 and not p.special)
HOT = {"profiles": ["modern-split"], "timeout": 120, "drivers": ["vnet"]}
SCRIPTED = {"profiles": ["scripted"], "timeout": 120, "drivers": ["vnet"]}


@test(profiles=["modern-split"], up=False, timeout=300, drivers=["vnet"])
def unit_tests(env):
    "The unit tests of the pure rooms, in this guest."
    env.guest.put(kunit.build(env.kernel), "/tmp/vnet_kunit.ko")
    lines = kunit.ktap(env.guest.run(kunit.RUN.format("/tmp/vnet_kunit.ko"), timeout=200).out)
    env.guest.lies_at("vnet_kunit", kunit.PLACE)
    passed, failed, _ = kunit.count(lines)
    assert passed and not failed, [line for line in lines if "not ok" in line] or lines[-3:]


# Pings of sizes at the edges, each of which must be answered, and a megabyte through
# an echo: checksums, segmentation and merging both ways. Then what was counted.
TRAFFIC = """
dd if=/dev/urandom of=/tmp/data bs=65536 count={blocks} 2>/dev/null
for size in {sizes}; do
    ping -n -c 3 -i 0.02 -w 10 -s $size {gateway}
done
{six}
echo ==
socat -t 20 - TCP:{gateway}:5100 < /tmp/data > /tmp/back || exit
cmp /tmp/data /tmp/back || exit
"""


@test(profiles=PLUGGABLE, timeout=120)
def traffic(env):
    "What the profile is about is negotiated; packets of every kind cross; nothing is healed."
    features.profile_is_real(env)
    features.dependencies(env)
    env.host_ns.serve("socat TCP-LISTEN:5100,fork,reuseaddr EXEC:cat", 5100)
    six = f"ping -n -c 3 -i 0.02 -w 10 -s 1400 {env.host_ns.ip6}" if env.tap else ""
    sizes = "0 1 56 1472 8000" if env.tap else "0 56 1400"
    read = f"echo ==; ethtool -S {env.nic}"
    script = f"ethtool -S {env.nic}; echo ==" + TRAFFIC.format(
        sizes=sizes, gateway=env.gateway, six=six, blocks=16 if env.tap else 4) + read
    before, pings, *_, after = env.guest.run(script, timeout=90).out.split("==\n")
    lost = lost_pings(pings, 3, len(sizes.split()) + bool(six))
    assert not lost, lost
    before, after = oracle.counters(before), oracle.counters(after)
    assert after["rx0_packets"] > before["rx0_packets"], "the counters stand still"


# One record of the tracepoint for each packet that the driver gives to the stack.
TRACED = """
cd /sys/kernel/tracing || exit
echo 1 > events/net/napi_gro_receive_entry/enable
: > trace
ping -q -c 5 -i 0.02 -w 10 -s 56 {gateway} || exit
grep -c 'dev={nic} .*queue_mapping=1 ' trace
echo 0 > events/net/napi_gro_receive_entry/enable
"""


@test(**{**HOT, "profiles": ["modern-split", "packed"]})
def told(env):
    "What the driver tells about packets is true: copies, queues, segments on the wire."
    env.guest.run(f"ethtool --set-tunable {env.nic} rx-copybreak 300")
    before = counters(env)
    out = env.guest.run(TRACED.format(gateway=env.gateway, nic=env.nic)).out
    assert int(out.split()[-1]) >= 5, f"packets whose queue is recorded: {out.split()[-1]} of 5"
    change = counters(env)["rx_copybreak"] - before["rx_copybreak"]
    assert change >= 5, f"{change} of 5 small packets were copied out of their buffers"
    env.host_ns.serve("socat -u TCP-LISTEN:5100,reuseaddr OPEN:/dev/null", 5100)
    before = counters(env)
    env.guest.run(f"head -c 400000 /dev/zero | socat -u - TCP:{env.gateway}:5100")
    wire_is_told(before, counters(env), "tx_gso")
    job = env.guest.start("exec socat -u TCP-LISTEN:5101,reuseaddr OPEN:/dev/null")
    before = counters(env)
    env.host_ns.run("head -c 400000 /dev/zero | "
                    f"socat -u - TCP:{env.ip}:5101,retry=50,interval=0.1")
    assert not job.wait(20).status
    wire_is_told(before, counters(env), "rx_gro")


def wire_is_told(before, now, kind):
    """Segments of TCP as they are on the wire: each has its headers."""
    packets, size, wire, wire_size = (
        now[f"{kind}_{name}"] - before[f"{kind}_{name}"]
        for name in ("packets", "bytes", "wire_packets", "wire_bytes"))
    headers = 14 + 20 + 32  # Ethernet, IPv4, TCP with time stamps
    assert packets and wire_size == size + (wire - packets) * headers, \
        f"{kind}: {packets} packets of {size} bytes were {wire} of {wire_size} on the wire"


@test(**SCRIPTED)
def drop_told(env):
    "A packet that is dropped is in one counter, and in the tracepoint with the same reason."
    one_queue(env)
    trace = "/sys/kernel/tracing"
    env.guest.run(f"echo 1 > {trace}/events/vnet/vnet_rx_drop/enable; : > {trace}/trace")
    before = counters(env)

    def dropped():
        now = counters(env)
        return {name: now[name] - before[name] for name in now
                if name.startswith("rx_drop_") and now[name] != before[name]}

    for _ in range(3):
        env.device.inject(b"\xff" * 12 + b"\x08\x00" + bytes(50),
                          hdr={"flags": 1, "csum_start": 2000, "csum_offset": 6})
    env.wait(lambda: dropped() == {"rx_drop_bad_csum": 3}, "not three, or not there", 10)
    text = env.guest.run(f"cat {trace}/trace; echo 0 > {trace}/events/vnet/vnet_rx_drop/enable").out
    assert text.count("bad_csum") == 3, text


@test(profiles=["two-nics"], timeout=120)
def two_nics(env):
    "The two NICs of one guest reach each other."
    env.ping(env.peer.ip, sizes=[1472])
    env.ping(env.ip6, sizes=[8000], run=env.peer.run)


CHANGE = """
ping -q -i 0.02 -c 1000 {gateway} > /tmp/ping &
job=$!
sleep 0.2
for step in "-L {nic} combined 4" "-G {nic} rx 128 tx 64" "-L {nic} combined 2" \\
    "-G {nic} rx 256 tx 256"; do
    ethtool $step || exit
done
ip link set {nic} mtu 1280 || exit
ip link set {nic} mtu 1500 || exit
kill -INT $job
wait $job
ping -q -c 3 -i 0.02 -w 10 -s 1472 {gateway} || exit
ethtool -l {nic} | grep -c '^Combined:.*2$'
ethtool -g {nic} | tail -5
"""


@test(profiles=["mq"], timeout=120, drivers=["vnet"], moves=["*_purged"])
def change(env):
    "Channels, rings and MTU change under traffic, and are what was asked for; the rest stands."
    out = env.guest.run(CHANGE.format(nic=env.nic, gateway=env.gateway), timeout=90).out
    assert re.search(r"^1$", out, re.M), f"not two channels: {out}"
    refused = env.guest.run(f"ethtool -L {env.nic} combined 64", check=False)
    assert refused.status, "64 channels of 4 were accepted"


@test(**HOT)
def xdp(env):
    "Every packet goes the way that the program says: pass, drop, send back, redirect."
    program, plan = Program(env), (PASS, DROP, TX, REDIRECT)
    before, lost = counters(env), tap_drops(env)
    try:
        program.veth()
        program.plan(*plan)
        program.attach()
        sent = back(env, 80, rate=400, quiet=0.5)
        seen, now = program.counts(), counters(env)
        came = sent["sent"] - sent["refused"] - (tap_drops(env) - lost)
        assert came > 40 and sum(seen[:6]) == sum(seen[action] for action in plan) == came, \
            (came, sent, seen)
        assert sent["back"] == seen[TX] and seen[SINK] == seen[REDIRECT], (sent, seen)
        for name, action in (("tx", TX), ("redirects", REDIRECT), ("drops", DROP)):
            count = now[f"rx_xdp_{name}"] - before[f"rx_xdp_{name}"]
            assert count == seen[action], (name, count, seen)
        program.detach()
    finally:
        program.close()
    env.ping(count=2)


@test(**SCRIPTED)
def control(env):
    "A command that the device refuses, and one that it never answers: the old state stands."
    before, nic = counters(env), env.nic
    env.guest.run(f"ethtool -L {nic} combined 2")
    env.device.fault(cmd="mq.pairs", action="refuse", count=1)
    done = env.guest.run(f"ethtool -L {nic} combined 4 2>&1", check=False)
    assert done.status, done
    assert env.guest.run(f"ethtool -l {nic} | tail -1").out.split()[-1] == "2", "not two channels"
    env.device.fault(cmd="rx.promisc", action="never", count=1)
    env.guest.run(f"ip link set {nic} promisc on; ip link set {nic} promisc off; "
                  f"ping -q -c 2 -i 0.2 -w 10 {OTHER}", timeout=60)
    env.wait(lambda: grown(env, before).get("ctrl_timeouts"), "nobody noticed the silence", 20)
    flows(env, 20)
    seen = grown(env, before)
    is_only(seen, ctrl_refused=(1, 1), ctrl_timeouts=(1, 1))


@test(**SCRIPTED)
def lost(env):
    "A notification that the device did not see is repeated, an interrupt that did not come missed."
    before = one_queue(env)
    env.device.fault(queue="tx0", action="ignore-kick", count=1)
    flows(env)
    env.wait(lambda: grown(env, before).get("lost_notifications") == 1, "no lost notification", 10)
    env.device.fault(queue="rx0", action="no-interrupt")
    env.guest.run(f"ping -q -c 3 -i 2 -W 5 {OTHER}", timeout=40)
    env.device.clear()
    env.wait(lambda: grown(env, before).get("lost_interrupts"), "no lost interrupt", 10)
    is_only(grown(env, before), heal_queue_resets=(0, 0), heal_device_resets=(0, 0))


@test(profiles=["modern-split"], timeout=120, drivers=["vnet"], kernel_min=(7, 0),
      moves=["*_purged"])
def function_reset(env):
    "A function level reset, which is suspend and resume in one: settings and packets survive."
    nic, mark = env.nic, counters(env)
    env.guest.run(f"ip link set {nic} mtu 1300; ethtool -G {nic} rx 128 tx 64; "
                  f"ip link set {nic} promisc on")
    read = f"ethtool -g {nic}; ip -d link show {nic} | grep -o 'mtu [0-9]*\\|promiscuity [0-9]*'"
    before = env.guest.run(read).out
    env.guest.run(f"echo 1 > $(readlink -f /sys/class/net/{nic}/device/..)/reset", timeout=60)
    env.wait_carrier()
    env.guest.run(f"ping -q -c 3 -i 0.02 -w 20 {env.gateway}")
    after = env.guest.run(read).out
    assert before == after, f"before: {before}, after: {after}"
    now = counters(env)
    assert now["rx_packets"] > mark["rx_packets"], "the counters began anew"
