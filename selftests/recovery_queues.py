# SPDX-License-Identifier: GPL-2.0
"""The driver heals what goes wrong in one queue: the lowest rung of the ladder that helps."""

import re
import time

from lab.api import test

from ._data import answered, counters
from ._invariants import at_rest

SCRIPTED = {"profiles": ["scripted"], "timeout": 150, "drivers": ["vnet"]}
OTHER = "10.0.2.77"


def grown(env, before):
    """What has been counted since, without the queues' own counters."""
    after = counters(env)
    return {key: after[key] - before[key] for key in after
            if after[key] != before.get(key) and not re.match(r"[rt]x\d*_", key)}


def one_queue(env):
    """All traffic takes queue pair 0; the counters now."""
    env.guest.run(f"ethtool -L {env.nic} combined 1")
    env.ping(OTHER, count=2)
    return counters(env)


def flows(env, seconds=10):
    """Packets flow again; the seconds that it took."""
    spent = env.stopwatch()
    taken = answered(env.guest, OTHER, seconds)
    assert taken is not None, f"no packets within {seconds} s"
    return spent()


def healthy(env):
    """Nobody hangs, nobody complains, and the driver comes and goes."""
    env.guest.run(f"timeout 2 ip link show {env.nic}")
    env.ping(OTHER)
    assert not env.device.violations(), env.device.violations()
    env.unbind()
    env.bind()


def features(env, *names):
    """The device offers other features to a driver that is bound anew."""
    env.unbind()
    env.device.call("offer", features=["default", "MQ", *names])
    env.bind()
    env.configure()


def is_only(seen, **wanted):
    for key, (low, high) in wanted.items():
        assert low <= seen.get(key, 0) <= high, f"{key} is {seen.get(key, 0)}; all: {seen}"


@test(**SCRIPTED)
def lost_notification(env):
    "A notification that the device did not see is repeated; nothing is reset."
    before = one_queue(env)
    env.device.fault(queue="tx0", action="ignore-kick", count=1)
    seconds = flows(env)
    time.sleep(2)
    is_only(grown(env, before), lost_notifications=(1, 1), heal_kicks=(1, 2),
            heal_queue_resets=(0, 0), heal_device_resets=(0, 0))
    assert seconds < 6, f"it took {seconds:.1f} s"
    healthy(env)


@test(**SCRIPTED)
def stale_event_index(env):
    "After a snapshot the device asks for no notification that would come: traffic goes on."
    before = one_queue(env)
    env.device.call("ring", queue="tx0", action="kick-event", value=0x7fff)
    seconds = flows(env)
    env.device.call("ring", queue="tx0", action="unfreeze")
    time.sleep(2)
    is_only(grown(env, before), heal_queue_resets=(0, 0), heal_device_resets=(0, 0))
    assert seconds < 6, f"it took {seconds:.1f} s"
    healthy(env)


@test(**SCRIPTED)
def lost_tx_interrupt(env):
    "Completions without an interrupt are found."
    before = one_queue(env)
    env.device.fault(queue="tx0", action="no-interrupt")
    env.ping(OTHER, count=6, interval=1)
    seen = grown(env, before)
    env.device.clear()
    is_only(seen, lost_interrupts=(1, 9), heal_queue_resets=(0, 0), heal_device_resets=(0, 0))
    healthy(env)


@test(**SCRIPTED)
def lost_rx_interrupt(env):
    "Packets that came without an interrupt are found within a second or two."
    before = one_queue(env)
    env.device.fault(queue="rx0", action="no-interrupt")
    times = env.ping(OTHER, count=5, interval=2, within=40)
    seen = grown(env, before)
    env.device.clear()
    assert max(times) < 2500, f"an answer was found after {max(times):.0f} ms"
    is_only(seen, lost_interrupts=(1, 9), heal_device_resets=(0, 1))
    healthy(env)


def stalled(env):
    """Transmitted packets are held back until something is reset; seconds until it was."""
    mark = env.device.mark()
    for kind in ("queue-reset", "reset"):
        env.device.when({"kind": kind}, {"op": "clear"})
    env.device.fault(queue="tx0", action="hold")
    job = env.guest.start(f"ping -q -i 0.2 {OTHER}")
    spent = env.stopwatch()
    env.device.wait(lambda: env.device.log("queue-reset", mark) or env.device.log("reset", mark),
                    20, "a reset")
    seconds = spent()
    flows(env)
    job.kill()
    return seconds


@test(**SCRIPTED)
def stall_with_ring_reset(env):
    "A transmit queue that stalls is notified, then reset by itself."
    before = one_queue(env)
    seconds = stalled(env)
    seen = grown(env, before)
    is_only(seen, stalls=(2, 4), heal_kicks=(1, 2), heal_queue_resets=(1, 1),
            heal_device_resets=(0, 0), lost_notifications=(0, 0))
    assert counters(env)["tx_purged"] > before["tx_purged"], "what was in flight is not counted"
    assert seconds < 9, f"it took {seconds:.1f} s"
    healthy(env)


@test(**SCRIPTED)
def channels_refused(env):
    "A queue that was started in vain, because the device refused it, is not taken for stalled."
    before = one_queue(env)
    env.device.fault(cmd="mq.pairs", action="refuse")
    assert env.guest.run(f"ethtool -L {env.nic} combined 2", check=False).status
    env.device.clear()
    time.sleep(12)   # the stack waits for ten seconds
    seen = env.guest.run(f"cat /sys/class/net/{env.nic}/queues/tx-*/tx_timeout").out.split()
    assert set(seen) == {"0"}, f"transmit time-outs by queue: {seen}"
    is_only(grown(env, before), heal_kicks=(0, 0), heal_queue_resets=(0, 0),
            heal_device_resets=(0, 0))
    healthy(env)


@test(**SCRIPTED)
def down_with_packets_held(env):
    "What the device holds when the interface goes down is purged, and no more in flight."
    before = one_queue(env)
    env.device.fault(queue="tx0", action="hold")
    env.guest.run(f"ping -q -c 3 -i 0.2 -W 1 {OTHER}", check=False)
    env.guest.run(f"ip link set {env.nic} down")
    assert counters(env)["tx_purged"] > before["tx_purged"], "what was in flight is not counted"
    at_rest(env)
    env.device.clear()
    env.guest.run(f"ip link set {env.nic} up")
    flows(env)


@test(**SCRIPTED)
def stall_without_ring_reset(env):
    "A device without ring reset is reset as a whole."
    features(env, "-RING_RESET")
    before = one_queue(env)
    seconds = stalled(env)
    is_only(grown(env, before), stalls=(2, 4), heal_kicks=(1, 2), heal_queue_resets=(0, 0),
            heal_device_resets=(1, 1))
    assert seconds < 9, f"it took {seconds:.1f} s"
    healthy(env)


@test(**SCRIPTED)
def queue_reset_hangs(env):
    "A queue that does not finish its reset is left to a reset of the device."
    before = one_queue(env)
    env.device.fault(device="queue-reset", action="hang")
    env.device.fault(queue="tx0", action="hold")
    mark = env.device.mark()
    job = env.guest.start(f"ping -q -i 0.2 {OTHER}")
    env.device.wait(lambda: env.device.log("reset", mark), 25, "a reset of the device")
    env.device.clear()
    flows(env, 20)
    job.kill()
    is_only(grown(env, before), heal_queue_resets=(1, 1), heal_device_resets=(1, 4))
    healthy(env)


@test(**SCRIPTED)
def wrong_used_id(env):
    "A used entry for no buffer breaks the ring; the ring is reset."
    for role in ("rx0", "tx0"):
        before = one_queue(env)
        env.device.call("ring", queue=role, action="used", id=9999)
        env.device.call("interrupt", queue=role)
        env.guest.start(f"ping -q -c 3 -i 0.2 {OTHER}")
        env.wait(lambda: grown(env, before).get("reset_broken_ring"), "no broken ring", 15)
        flows(env, 15)
        is_only(grown(env, before), heal_queue_resets=(1, 2), heal_device_resets=(0, 0))
    healthy(env)


@test(**SCRIPTED)
def impossible_chain(env):
    "A packet that claims no buffers costs the ring, not the device."
    before = one_queue(env)
    env.device.fault(queue="rx0", action="no-interrupt")  # all come before the driver has one
    for _ in range(20):
        env.device.inject(b"\xff" * 12 + b"\x08\x00" + bytes(50), hdr={"num_buffers": 0})
    env.device.clear()
    env.device.call("interrupt", queue="rx0")
    env.wait(lambda: grown(env, before).get("heal_queue_resets"), "no reset of the ring", 15)
    flows(env)
    is_only(grown(env, before), reset_bad_chain=(1, 6), heal_queue_resets=(1, 6),
            heal_device_resets=(0, 0))
    healthy(env)


@test(**SCRIPTED)
def storm_of_needs_reset(env):
    "Resets that follow one another come ever later."
    before = one_queue(env)
    for _ in range(100):
        env.device.needs_reset()
        time.sleep(0.1)
    seen = grown(env, before)
    is_only(seen, heal_device_resets=(3, 9))
    flows(env, 30)
    healthy(env)
