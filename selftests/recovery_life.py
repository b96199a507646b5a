# SPDX-License-Identifier: GPL-2.0
"""Life has one owner: what begins while something else has not ended, and what never ends."""

import time

from lab.api import test
from lab.guest import Guest

from ._xdp import Program
from .recovery_device import away, pci
from .recovery_queues import (OTHER, SCRIPTED, counters, flows, grown, healthy, is_only,
                              one_queue)

FLOOD = ("ip neigh replace 10.0.2.99 lladdr 02:00:00:00:00:77 nud permanent dev NIC; "
         "while :; do echo x > /dev/udp/10.0.2.99/9; done")
# reboot(2), as the last thing that a shutdown does
REBOOT = "python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x01234567)'"


def flood(env):
    """Datagrams as fast as a shell can, whatever becomes of the interface."""
    return env.guest.start(f"bash -c '{FLOOD.replace('NIC', env.nic)}' 2>/dev/null")


def follows_link(env):
    """The configuration interrupt is heard."""
    env.device.link(False)
    env.wait(lambda: not env.carrier(), "the link went down and the carrier stays")
    env.device.link(True)
    env.wait_carrier()


def flr(env):
    env.guest.run(f"echo 1 > {pci(env)}/reset", timeout=60, check=False)


@test(**SCRIPTED, quick=True)
def start_refused(env):
    "After a function level reset the device refuses to start: no queue is used, it comes back."
    one_queue(env)
    job = flood(env)
    flr(env)
    flows(env)
    # The virtio core negotiates first, where it knows of the reset.
    env.device.fault(device="features-ok", action="refuse", skip=1, count=3)
    flr(env)
    time.sleep(2)
    env.device.clear()
    flows(env, 30)
    job.kill()
    follows_link(env)
    healthy(env)


@test(**SCRIPTED, quick=True)
def core_refused(env):
    "The same, but the virtio core is refused and does not tell the driver."
    one_queue(env)
    job = flood(env)
    env.device.fault(device="features-ok", action="refuse", count=1)
    flr(env)
    flows(env, 30)
    job.kill()
    follows_link(env)
    healthy(env)


@test(**SCRIPTED, quick=True)
def bus_dies_in_ring_reset(env):
    "A bus that goes while a ring is reset, and comes back: the rings are touched by nobody else."
    one_queue(env)
    env.device.fault(device="queue-reset", action="hang")
    job = env.guest.start(f"ethtool -G {env.nic} rx 128")
    time.sleep(0.7)
    env.device.fault(device="bus", action="dead")
    time.sleep(5)
    job.wait(60)
    env.guest.run(f"timeout 2 ip link show {env.nic}")
    env.device.clear()
    flows(env, 60)
    assert "128" in env.guest.run(f"ethtool -g {env.nic} | tail -n +8").out
    healthy(env)


@test(**SCRIPTED, quick=True)
def ring_reset_never_ends(env):
    "Rings that cannot be reset are used as they are; the device is not reset over and over."
    before = one_queue(env)
    rule = env.device.fault(device="queue-reset", action="hang")
    env.guest.run(f"ethtool -G {env.nic} rx 128", timeout=60)
    flows(env, 30)
    time.sleep(15)
    is_only(grown(env, before), heal_device_resets=(0, 2))
    flows(env)
    env.device.clear(rule)
    env.guest.run(f"ethtool -G {env.nic} rx 64", timeout=60)
    flows(env)
    healthy(env)


@test(**SCRIPTED, quick=True)
def rings_while_down(env):
    "A ring size that was set while the interface was down is the ring's."
    one_queue(env)
    for size in (64, 256, 32):
        env.guest.run(f"ip link set {env.nic} down; ethtool -G {env.nic} rx {size} tx {size}; "
                      f"ip link set {env.nic} up", timeout=60)
        flows(env)
        sizes = [env.device.queue(role)["size"] for role in ("rx0", "tx0")]
        assert sizes == [size, size], f"rings of {sizes} entries"
    healthy(env)


@test(**SCRIPTED)
def comes_back_alone(env):
    "A device that was given up is tried on, and comes back without anybody's help."
    before = one_queue(env)
    away(env)
    env.wait(lambda: grown(env, before).get("heal_given_up"), "it was not given up", 60)
    time.sleep(10)
    said = env.guest.run("dmesg | grep -c 'does not come back'").out.strip()
    assert said == "1", f"said {said} times"
    env.device.clear()
    flows(env, 40)
    is_only(grown(env, before), heal_given_up=(1, 1))
    healthy(env)


@test(profiles=["modern-split"], drivers=["vnet"], timeout=90, quick=True)
def detach_always(env):
    "A program goes although without it the ring is too small for one packet."
    program = Program(env)
    try:
        env.guest.run(f"ip link set {env.nic} mtu 9000")
        program.attach()
        env.guest.run(f"ethtool -G {env.nic} rx 32")
        program.detach()
        env.guest.run(f"ping -q -c 3 -i 0.2 -w 10 -M do -s 1400 {env.gateway}")
        program.attach()
        env.guest.run(f"ethtool -G {env.nic} rx 32")
        env.unbind()
        env.bind()
    finally:
        program.close()


QUIET = """
cd /sys/kernel/tracing || exit
events="events/workqueue/workqueue_execute_start/enable events/napi/napi_poll/enable"
echo > trace; for e in $events; do echo 1 > $e; done
sleep 20; for e in $events; do echo 0 > $e; done
echo works $(grep -c 'function vnet_watch_work' trace)
echo polls $(grep -c 'napi_poll.*NIC' trace)
"""


@test(**SCRIPTED, quick=True)
def idle_costs_nothing(env):
    "Where nothing goes on there is no work, no poll; and a packet that stalls then is noticed."
    one_queue(env)
    env.guest.run(f"sysctl -qw net.ipv6.conf.{env.nic}.disable_ipv6=1; sleep 8")
    seen = dict(line.split() for line in env.guest.run(
        QUIET.replace("NIC", env.nic), timeout=60).out.splitlines())
    assert seen == {"works": "0", "polls": "0"}, f"in 20 s: {seen}"
    before = counters(env)
    env.device.fault(queue="tx0", action="ignore-kick", count=1)
    seconds = flows(env)
    assert seconds < 6, f"it took {seconds:.1f} s"
    time.sleep(2)
    is_only(grown(env, before), lost_notifications=(1, 1), heal_queue_resets=(0, 0),
            heal_device_resets=(0, 0))
    healthy(env)


THREADS = "ps -eo pid,comm | grep 'napi/NIC' | sort"


@test(**SCRIPTED, quick=True)
def threads_stay(env):
    "NAPI threads, and with them what the user has set of them, survive changes and resets."
    one_queue(env)
    env.guest.run(f"echo 1 > /sys/class/net/{env.nic}/threaded")
    before = env.guest.run(THREADS.replace("NIC", env.nic)).out
    assert "napi/" in before, "there are no threads"
    for step in (f"ip link set {env.nic} mtu 1400", f"ethtool -G {env.nic} rx 128"):
        env.guest.run(step)
        after = env.guest.run(THREADS.replace("NIC", env.nic)).out
        assert after == before, f"{step}: {before} -> {after}"
    mark = env.device.mark()
    env.device.needs_reset()
    env.device.wait(lambda: [e for e in env.device.log("status", mark) if e["value"] & 4],
                    20, "DRIVER_OK")
    flows(env)
    after = env.guest.run(THREADS.replace("NIC", env.nic)).out
    assert after == before, f"reset: {before} -> {after}"
    env.guest.run(f"echo 0 > /sys/class/net/{env.nic}/threaded")
    healthy(env)


@test(**SCRIPTED, quick=True)
def shutdown(env):
    "At reboot the device is reset once, and nobody starts it again."
    with Guest(env.kernel, "scripted", f"{env.guest.log}-shutdown") as guest:
        guest.load(env.driver, env.guest.root / "lab" / f"{env.driver}.ko")
        nic = guest.interface(guest.macs[0])
        guest.run(f"ip addr add 10.0.2.15/24 dev {nic}; ip link set {nic} up;"
                  f"ping -q -c 2 -i 0.2 -W 5 {OTHER}")
        guest.start(f"ping -q -i 0.002 {OTHER}")
        time.sleep(1)
        mark = guest.device.mark()
        guest.start(REBOOT)
        guest.device.wait(lambda: guest.device.log("reset", mark), 30, "a reset")
        env.wait(lambda: not guest.alive(), "the guest does not end", 40)
        log = guest.device.log(since=mark)
        started = [e for e in log if e["kind"] == "status" and e["value"]]
        assert not started, f"after the shutdown: {log}"
        assert not [e for e in log if e["kind"] == "queue-reset"], log
        text = guest.console_text()
        assert "resetting" not in text, text[-1500:]
