# SPDX-License-Identifier: GPL-2.0
"""The driver heals the device as a whole, tells the user, and lets go of a dead one."""

import json
import re
import time

from lab import oracle
from lab.api import test
from lab.guest import Guest

from .recovery_queues import OTHER, SCRIPTED, counters, flows, grown, healthy, is_only, one_queue

QEMU = ("modern-split", "packed", "legacy", "no-ctrl-vq", "mq")


def devlink(env, command, check=True):
    return env.guest.run(f"devlink -j health {command}", check=check)


def reporter(env, name):
    """One reporter as 'devlink health show' has it."""
    for reporters in json.loads(devlink(env, "show").out)["health"].values():
        for entry in reporters:
            if entry["reporter"] == name:
                return entry
    raise AssertionError(f"there is no reporter {name}")


def settings(env):
    """What the user's tools read back; counters and times left out."""
    return oracle.settings(env, *oracle.SETTINGS, *oracle.STACK)


def same(env, before, when):
    """Nothing that the user has set, and nothing that the stack keeps, is another one."""
    env.wait_carrier()
    changed = oracle.differences(before, settings(env))
    assert not changed, f"{when}: {'; '.join(changed)}"


# What is set -> the profiles of QEMU that cannot do it; every other one has to.
STEPS = {
    "ip link set NIC mtu 1300": (),
    "ip link set NIC promisc on": (),
    "ip link add link NIC name v7 type vlan id 7": (),
    "ip link set v7 up": (),
    "tc qdisc add dev NIC root handle 7: pfifo limit 77": (),
    "ethtool -G NIC rx 128 tx 64": (),
    "ethtool -K NIC gro off tx off": (),
    "ethtool -K NIC rx-gro-hw off": (),
    "ethtool -L NIC combined 2": tuple(name for name in QEMU if name != "mq"),
    "ethtool -C NIC rx-usecs 9": QEMU,
    "ethtool -C NIC tx-frames 0": (),
    "bridge fdb add 52:54:00:11:22:33 dev NIC self": (),
    "ip maddr add 01:00:5e:01:02:03 dev NIC": (),
}


def change_settings(env):
    """Everything that the device has."""
    script = "".join(f"{step.replace('NIC', env.nic)} || echo 'refused: {step}'\n"
                     for step in STEPS)
    out = env.guest.run(script + "sleep 0.5", timeout=60).out
    refused = {line.removeprefix("refused: ") for line in out.splitlines()
               if line.startswith("refused: ")}
    wanted = {step for step, profiles in STEPS.items() if env.profile.name in profiles}
    assert refused == wanted, f"refused and should not be, or the other way: {refused ^ wanted}"


def pci(env):
    return env.guest.run(f"readlink -f /sys/class/net/{env.nic}/device/..").out.strip()


@test(profiles=QEMU, timeout=180, drivers=["vnet"], moves=["*_purged"])
def function_level_reset(env):
    "A PCI function level reset: connections and settings survive it."
    change_settings(env)
    before, count = settings(env), counters(env)
    path = pci(env)
    methods = env.guest.run(f"cat {path}/reset_method", check=False).out.split()
    if not methods and env.profile.name == "legacy":
        env.skip("the device has no reset method")
    assert methods, "the kernel knows no way to reset the function"
    job = env.guest.start(f"ping -i 0.05 -c 200 -q {env.gateway}")
    for _ in range(env.rounds(full=20, quick=3)):
        spent = env.stopwatch()
        env.guest.run(f"echo 1 > {path}/reset", timeout=60)
        env.guest.run(f"ping -q -c 1 -i 0.1 -w 20 {env.gateway}")
        seconds = spent()
        assert seconds < 12, f"it took {seconds:.1f} s"
    job.kill()
    same(env, before, "after a function level reset")
    after = counters(env)
    assert after["rx_packets"] > count["rx_packets"], "the counters began anew"
    env.unbind()
    env.bind()


@test(**SCRIPTED)
def lost_state(env):
    "A device that forgot everything is started again."
    before = one_queue(env)
    path = pci(env)
    env.guest.run(f"setpci -s {path.rsplit('/', 1)[1]} CAP_EXP+8.w=8000:8000", check=False)
    assert env.device.log("flr", 0), "the function was not reset: has the guest no setpci?"
    env.wait(lambda: grown(env, before).get("reset_lost_state"), "nobody noticed")
    flows(env)
    # until it is noticed, whoever sends notifies a device that is not started
    seen = {entry["what"] for entry in env.device.violations(clear=True)}
    assert seen <= {"kick-before-driver-ok"}, seen
    healthy(env)


@test(**SCRIPTED, quick=True)
def needs_reset(env):
    "DEVICE_NEEDS_RESET: the device is back within a second or so."
    before = one_queue(env)
    mark = env.device.mark()
    env.device.needs_reset()
    spent = env.stopwatch()
    env.device.wait(lambda: [e for e in env.device.log("status", mark) if e["value"] & 4],
                    20, "DRIVER_OK")
    seconds = spent()
    flows(env)
    is_only(grown(env, before), reset_needs_reset=(1, 1), heal_device_resets=(1, 1))
    assert seconds < 4, f"it took {seconds:.1f} s"
    healthy(env)


@test(**SCRIPTED)
def reset_takes_long(env):
    "A reset that takes seconds holds up nobody, and the device comes back when it is done."
    before = one_queue(env)
    env.device.fault(device="reset", action="stuck", seconds=6)
    env.device.needs_reset()
    time.sleep(3.5)
    env.guest.run(f"timeout 1 ip link show {env.nic}; timeout 1 ip addr")
    env.wait(lambda: grown(env, before).get("reset_late"), "the reset has not ended", 20)
    env.device.clear()
    flows(env, 20)
    healthy(env)


@test(**SCRIPTED)
def unbind_in_slow_reset(env):
    "The driver can be taken off while a reset is pending."
    one_queue(env)
    env.device.fault(device="reset", action="stuck", seconds=6)
    env.device.needs_reset()
    time.sleep(1)
    env.guest.run(f"ip link set {env.nic} down", timeout=20)
    env.unbind()
    env.device.clear()
    env.bind()


def away(env):
    """The device needs a reset and does not come back from it, until its faults are cleared."""
    env.device.fault(device="features-ok", action="refuse")
    env.device.needs_reset()
    env.wait(lambda: not env.carrier(), "the device has not gone")


@test(**SCRIPTED)
def gives_up(env):
    "A device that refuses to come back is given up: no carrier, no hang; the user can revive it."
    before = one_queue(env)
    away(env)
    env.wait(lambda: grown(env, before).get("heal_given_up"), "it was not given up", 40)
    assert not env.carrier()
    spent = env.stopwatch()
    env.guest.run("ip link show; ip -s link show")
    assert spent() < 3
    assert reporter(env, "device")["state"] == "error", reporter(env, "device")
    env.guest.run(f"ip link set {env.nic} down; ip link set {env.nic} up", check=False)
    assert devlink(env, f"recover virtio/{env.virtio} reporter device", check=False).status
    env.device.clear()
    devlink(env, f"recover virtio/{env.virtio} reporter device")
    assert reporter(env, "device")["state"] == "healthy"
    env.guest.run(f"ip link set {env.nic} up")
    flows(env)
    healthy(env)


@test(**SCRIPTED)
def up_revives(env):
    "A device that was given up, and comes back while the interface is down, goes up with it."
    before = one_queue(env)
    up = f"ip link set {env.nic} up"
    env.device.fault(device="bus", action="dead")
    env.wait(lambda: grown(env, before).get("heal_given_up"), "it was not given up", 40)
    env.guest.run(f"ip link set {env.nic} down")
    for _ in range(2):
        refused = env.guest.run(up, check=False)
        assert refused.status and "Input/output" in refused.err, refused
    assert reporter(env, "device")["state"] == "error", reporter(env, "device")
    env.device.clear()
    time.sleep(2)
    env.guest.run(up)
    flows(env)
    env.wait(lambda: reporter(env, "device")["state"] == "healthy", "devlink was not told")
    # It may have come back by itself before.
    is_only(grown(env, before), reset_user=(2, 3))
    healthy(env)


@test(**SCRIPTED)
def change_while_away(env):
    "What the user changes while a device does not come back holds when it does."
    before = one_queue(env)
    away(env)
    env.guest.run(f"ethtool -L {env.nic} combined 2; ip link set {env.nic} mtu 1400; "
                  f"ethtool -L {env.nic} combined 3", timeout=60)
    rings = env.guest.run(f"ethtool -G {env.nic} rx 128", check=False)
    assert rings.status and "try again" in rings.err, rings
    assert not grown(env, before).get("heal_given_up"), "it was given up before"
    env.device.clear()
    env.wait_carrier()
    flows(env)
    now = env.guest.run(f"ethtool -l {env.nic}; ethtool -g {env.nic}; ip link show {env.nic}").out
    assert re.search(r"Combined:\s+3\b", now) and "mtu 1400" in now, now
    assert len(re.findall(r"RX:\s+256\b", now)) == 2, now
    assert all(env.device.queue(f"rx{pair}")["enabled"] for pair in range(3))
    env.guest.run(f"ethtool -L {env.nic} combined 1; ip link set {env.nic} mtu 1500")
    healthy(env)


@test(**SCRIPTED)
def tools_while_away(env):
    "Whatever becomes of what users try while a device does not come back, nothing breaks."
    one_queue(env)
    away(env)
    for command in ("ethtool -K NIC rx off", "ethtool -K NIC rx on", "ethtool -C NIC rx-usecs 5",
                    "ip link set NIC promisc on", "ip link set NIC promisc off",
                    "ip link add link NIC name v9 type vlan id 9", "ip link del v9",
                    "ip link set NIC address 52:54:00:00:77:01",
                    f"ip link set NIC address {env.mac}",
                    "ethtool -x NIC", "ethtool -d NIC", "ethtool -t NIC", "ethtool -S NIC",
                    f"devlink health diagnose virtio/{env.virtio} reporter tx",
                    f"devlink health diagnose virtio/{env.virtio} reporter rx"):
        env.guest.run(command.replace("NIC", env.nic), timeout=20, check=False)
    env.device.clear()
    devlink(env, f"recover virtio/{env.virtio} reporter device", check=False)
    env.guest.run(f"ip link set {env.nic} up")
    flows(env)
    healthy(env)


@test(**SCRIPTED)
def unbind_dead(env):
    "A device that was given up can be unbound, and bound when it is well again."
    before = one_queue(env)
    away(env)
    env.wait(lambda: grown(env, before).get("heal_given_up"), "it was not given up", 40)
    env.unbind()
    env.device.clear()
    env.bind()
    env.configure()
    flows(env)


@test(**SCRIPTED)
def health_commands(env):
    "devlink health show, diagnose, dump and set answer for all reporters."
    one_queue(env)
    device = f"virtio/{env.virtio}"
    for name in ("tx", "rx", "ctrl", "device"):
        assert reporter(env, name)["state"] == "healthy"
        assert devlink(env, f"diagnose {device} reporter {name}").out.strip("{}\n"), name
        assert devlink(env, f"dump show {device} reporter {name}").out.strip("{}\n"), name
        devlink(env, f"dump clear {device} reporter {name}")
    assert "used_idx" in devlink(env, f"diagnose {device} reporter tx").out
    healthy(env)


@test(**SCRIPTED)
def not_wanted(env):
    "With auto_recover off nothing is healed; the user recovers by hand."
    device = f"virtio/{env.virtio}"
    before = one_queue(env)
    # Or byte queue limits stop the queue, and the stack's watchdog complains.
    env.guest.run(f"echo 100000 > /sys/class/net/{env.nic}/queues/tx-0/byte_queue_limits/limit_min")
    devlink(env, f"set {device} reporter tx auto_recover false")
    mark = env.device.mark()
    env.device.fault(queue="tx0", action="hold")
    env.guest.run(f"ping -q -c 3 -i 0.2 -W 1 {OTHER}", check=False)
    env.wait(lambda: reporter(env, "tx")["state"] == "error", "nothing was reported")
    time.sleep(7)
    is_only(grown(env, before), heal_kicks=(0, 0), heal_queue_resets=(0, 0),
            heal_device_resets=(0, 0))
    assert not env.device.log("queue-reset", mark) and not env.device.log("reset", mark)
    assert "event" in devlink(env, f"dump show {device} reporter tx").out
    env.device.clear()
    devlink(env, f"recover {device} reporter tx")
    assert reporter(env, "tx")["state"] == "healthy"
    flows(env)
    is_only(grown(env, before), reset_user=(1, 1), heal_device_resets=(1, 1))
    healthy(env)


@test(profiles=["modern-split", "packed"], drivers=["vnet"], timeout=120, quick=True,
      moves=["*_purged"])
def tcp_survives(env):
    "A TCP connection survives function level resets."
    env.host_ns.serve("iperf3 -s -1", 5201)
    job = env.guest.start(f"iperf3 -J -t 12 -c {env.gateway}")
    time.sleep(3)
    path = pci(env)
    spent = env.stopwatch()
    env.guest.run(f"echo 1 > {path}/reset", timeout=30)
    seconds = spent()
    time.sleep(3)
    env.guest.run(f"echo 1 > {path}/reset", timeout=30)
    done = json.loads(job.wait(60).out)
    assert "error" not in done, done["error"]
    last = done["intervals"][-3:]
    assert all(entry["sum"]["bytes"] for entry in last), f"no bytes at the end: {last}"
    assert seconds < 5, f"a reset took {seconds:.1f} s"


def longest_gap(env, target, deed):
    """Seconds for which no packet came back, around a deed."""
    env.guest.run("rm -f /tmp/gap")
    job = env.guest.start(f"ping -D -i 0.02 -w 14 {target} > /tmp/gap")
    time.sleep(2)
    deed()
    job.wait(30)
    text = env.guest.run("cat /tmp/gap").out
    times = [float(t) for t in re.findall(r"^\[([\d.]+)\] \d+ bytes from", text, re.MULTILINE)]
    assert len(times) > 100, text[-500:]
    # The end counts, too: nothing may come back any more.
    return max(b - a for a, b in zip(times, times[1:] + [times[0] + 13.5]))


@test(**SCRIPTED, full=True)
def times(env):
    "How long no packet comes through: NEEDS_RESET, FLR, a stalled queue, a broken ring."
    one_queue(env)
    path = pci(env)

    def hold():
        for kind in ("queue-reset", "reset"):
            env.device.when({"kind": kind}, {"op": "clear"})
        env.device.fault(queue="tx0", action="hold")

    def broken():
        env.device.call("ring", queue="rx0", action="used", id=9999)

    def flr():
        env.guest.run(f"echo flr > {path}/reset_method; echo 1 > {path}/reset", timeout=30)

    for what, deed, limit in (("NEEDS_RESET", env.device.needs_reset, 2),
                              ("function level reset", flr, 4),
                              ("broken ring", broken, 3), ("stalled queue", hold, 8)):
        gap = longest_gap(env, OTHER, deed)
        print(f"  recovery_device.times: {env.kernel.name}: {what}: {gap:.2f} s", flush=True)
        assert gap < limit, f"{what}: nothing for {gap:.1f} s"
        time.sleep(2)


@test(**SCRIPTED, quick=True)
def surprise_removal(env):
    "A device that vanishes under traffic (all reads give ones) can be removed."
    with Guest(env.kernel, "scripted", f"{env.guest.log}-surprise") as guest:
        guest.load(env.driver, env.guest.root / "lab" / f"{env.driver}.ko")
        nic = guest.interface(guest.macs[0])
        guest.run(f"ip addr add 10.0.2.15/24 dev {nic}; ip link set {nic} up;"
                  f"ping -q -c 2 -i 0.2 -W 5 {OTHER}")
        guest.start(f"ping -q -i 0.01 {OTHER}")
        path = guest.run(f"readlink -f /sys/class/net/{nic}/device/..").out.strip()
        guest.device.fault(device="bus", action="dead")
        time.sleep(1.5)
        guest.run(f"timeout 5 ip link show {nic}")
        guest.run(f"echo 1 > {path}/remove", timeout=40)
        assert guest.interface(guest.macs[0]) is None, "the interface is still there"
        guest.run(f"timeout 20 rmmod {env.driver}", timeout=30)
        # The virtio core warns that the status of a device that is gone is not zero.
        splats = [line for line in guest.splats() if "WARNING:" in line or "BUG:" in line]
        assert all("virtio_dev_remove" in line for line in splats), splats
