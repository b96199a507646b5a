# SPDX-License-Identifier: GPL-2.0
"""Queues change while packets flow; every packet is delivered or counted."""

import re
import time

from lab.api import test

from ._data import PORT, TOOLS, Change, Ends, counters, netdev, result, rtnl
from .data_inside import traced

MIB = 1 << 20
OWN = "10.0.2.15"  # the guest, where there is no tap


def tcp_survives(env, steps):
    """TCP in both directions while shell steps are run; the bytes must be right."""
    ends = Ends(env)
    ends.serve()
    jobs = {verb: None for verb in ("put", "get")}

    def busy():
        for verb, job in jobs.items():
            if job and job.poll():
                assert not job.poll().status, str(job.poll())
            if not job or job.poll():
                jobs[verb] = ends.guest_start(f"{verb} {env.host_ns.ip} {PORT} {32 * MIB}")

    before = counters(env)
    for step in steps:
        busy()
        env.guest.run(step.format(nic=env.nic), timeout=60)
        now = counters(env)
        back = [n for n in before if n in now and now[n] < before[n]
                and ("packets" in n or "bytes" in n)]
        assert not back, f"after '{step}' these have gone back: {back}"
        before = now
    for job in jobs.values():
        ended = job.wait(120)
        assert not ended.status, str(ended)
    env.ping(env.host_ns.ip)


@test(profiles=["mq", "rss"], drivers=["vnet"], timeout=240)
def channels_under_tcp(env):
    "ethtool -L up and down under TCP: the streams survive, no counter runs backwards."
    turns = env.rounds(full=10, quick=2)
    tcp_survives(env, [f"ethtool -L {{nic}} combined {n}" for n in (1, 4, 2, 3) * turns])


@test(profiles=["modern-split", "packed", "small", "big", "legacy", "no-indirect"],
      drivers=["vnet"], timeout=240)
def rings_under_tcp(env):
    "ethtool -G smaller and larger under TCP."
    turns = env.rounds(full=10, quick=1)
    tcp_survives(env, [f"ethtool -G {{nic}} rx {rx} tx {tx}" for rx, tx in
                       ((128, 64), (64, 128), (256, 256), (128, 256), (64, 64), (256, 32)) * turns])


@test(profiles=["modern-split", "packed", "legacy"], drivers=["vnet"], timeout=120)
def tiny_rings(env):
    "The smallest rings that the driver accepts still move packets of every size."
    ends = Ends(env)
    ends.serve()
    accepted = []
    for tx in (1, 2, 4, 8, 16):
        done = env.guest.run(f"ethtool -G {env.nic} tx {tx}", check=False, timeout=60)
        if done.status:
            continue
        accepted.append(tx)
        ends.guest(f"put {env.host_ns.ip} {PORT} {MIB} ; put {env.host_ns.ip} {PORT} {MIB} "
                   "--zerocopy", timeout=90)
    env.guest.run(f"ethtool -G {env.nic} tx 256", timeout=60)
    for rx in (1, 2, 4, 8, 16, 32):
        done = env.guest.run(f"ethtool -G {env.nic} rx {rx}", check=False, timeout=60)
        if done.status:
            continue
        accepted.append(-rx)
        ends.guest(f"get {env.host_ns.ip} {PORT} {MIB}", timeout=90)
    assert accepted, "no small ring was accepted"


# ---- the scripted device: what it gave and took is known exactly -------------


def totals(env, role, what="packets"):
    """Frames that the device has put into receive rings or taken from transmit rings, or @what."""
    return sum(queue["counters"].get(f"{role}_{what}", 0)
               for queue in env.device.state()["queues"])


def steady(env, read):
    """A value once it has stopped changing."""
    value = read()
    while True:
        time.sleep(0.4)
        again = read()
        if again == value:
            return value
        value = again


def books(env, role, look):
    """Frames by the device's count and what look() finds, no packet between the two."""
    while True:
        frames = steady(env, lambda: totals(env, role))
        seen = look()
        if totals(env, role) == frames:
            return frames, seen


CHANGES = ("ethtool -G {nic} rx 128 tx 128", "ethtool -L {nic} combined 1",
           "ethtool -G {nic} rx 256 tx 256", "ethtool -L {nic} combined 4",
           "ethtool -L {nic} combined 2", "ip link set {nic} mtu 1400",
           "ip link set {nic} mtu 1500", "ethtool -L {nic} combined 4",
           "ip link set {nic} down; ip link set {nic} up")


@test(profiles=["scripted"], drivers=["vnet"], timeout=180, moves=["*_purged", "tx_drops"])
def receive_loss_is_counted(env):
    "rx under -G, -L, MTU and down/up: what the device gave is received or counted as dropped."
    given, counted = books(env, "rx", lambda: Change(env))
    source = env.device.call("source", count=1000000, burst=8, interval=0.004, flows=16,
                             to=OWN, lossy=True)["id"]
    for step in CHANGES * env.rounds(full=10, quick=1):
        env.guest.run(step.format(nic=env.nic), timeout=60)
    env.device.call("stop", id=source)
    last, change = books(env, "rx", counted)
    given = last - given
    seen = change["rx_packets"] + change["rx_drops"]
    assert change["rx_packets"] > 100, f"{change['rx_packets']} packets received"
    # between the last look at a ring and its reset the device may use a few buffers more
    slack = 8 * len(CHANGES) * env.rounds(full=10, quick=1)
    assert given - slack <= seen <= given, f"{given} given, {seen} seen, of these dropped " \
        f"{change['rx_drops']}"
    check_sums(env)


@test(profiles=["scripted"], drivers=["vnet"], timeout=180, moves=["*_purged", "tx_drops"])
def transmit_loss_is_counted(env):
    "tx under the same: what the stack gave to the driver is sent or counted as lost."
    env.guest.put(TOOLS / "flow.py", "/tmp/flow.py")
    env.ping(count=2)
    taken, counted = books(env, "tx", lambda: Change(env))
    link = rtnl(env)
    job = env.guest.start("exec python3 /tmp/flow.py send 10.0.2.2 9 3000 200 --rate 600")
    for step in CHANGES[:-1] * env.rounds(full=10, quick=1):
        env.guest.run(step.format(nic=env.nic), timeout=60)
    job.wait(90)
    last, change = books(env, "tx", counted)
    taken = last - taken
    assert taken > 1000, f"the device took {taken} frames"
    assert change["tx_packets"] <= taken <= change["tx_packets"] + change["tx_purged"], \
        f"the device took {taken} frames, the driver says {change['tx_packets']} sent and " \
        f"{change['tx_purged']} purged"
    dropped = rtnl(env)["tx", "dropped"] - link["tx", "dropped"]
    assert dropped == change["tx_purged"] + change["tx_drops"], f"{dropped} dropped, {change}"
    check_sums(env)


def check_sums(env):
    """rtnl, ethtool -S and netlink agree, and so do the queues with their total."""
    table, link, told = at_once(env)
    for way in ("rx", "tx"):
        for what in ("packets", "bytes"):
            values = (table[f"{way}_{what}"], link[way, what], told["qstats"][f"{way}-{what}"])
            assert len(set(values)) == 1, f"{way} {what}: {values}"
            queues = sum(q["stats"][f"{way}-{what}"] for name, q in told["queues"].items()
                         if name.startswith(way))
            assert queues <= values[0], f"{way} {what}: queues {queues}, device {values[0]}"


def at_once(env):
    """ethtool -S, rtnl and netlink, between which no packet has passed."""
    for _ in range(10):
        first, link, told, last = counters(env), rtnl(env), netdev(env), counters(env)
        if all(first[f"{way}_packets"] == last[f"{way}_packets"] for way in ("rx", "tx")):
            return first, link, told
    raise AssertionError("packets never cease to flow")


@test(profiles=["scripted"], drivers=["vnet"])
def sums(env):
    "Without traffic: rtnl, ethtool -S and netlink say the same, queues add up, after -L down too."
    source = env.device.call("source", count=400, burst=8, interval=0.01, flows=16, to=OWN)["id"]
    env.ping(count=20)
    steady(env, lambda: totals(env, "rx"))
    env.device.call("stop", id=source)
    for pairs in (4, 1, 4):
        env.guest.run(f"ethtool -L {env.nic} combined {pairs}")
        table, link, told = at_once(env)
        assert table["rx_packets"] > 400 and table["tx_packets"] >= 20, f"{table}"
        for way in ("rx", "tx"):
            for what in ("packets", "bytes"):
                name = f"{way}_{what}"
                values = (table[name], link[way, what], told["qstats"][f"{way}-{what}"])
                assert len(set(values)) == 1, f"{pairs} pairs: {name}: {values}"
                queues = [table.get(f"{way}{i}_{what}") for i in range(pairs)]
                parts = [told["queues"][f"{way}{i}"]["stats"][f"{way}-{what}"]
                         for i in range(pairs)]
                assert queues == parts, f"{pairs} pairs: {name}: {queues}, {parts}"
                if pairs == 4:
                    assert sum(queues) == table[name], f"{name}: {queues}, {table[name]}"


@test(profiles=["scripted"], drivers=["vnet"], timeout=120, moves=["rx_drop_purged"])
def nothing_stale(env):
    "Frames that nobody polled before down are not delivered after up; they are counted."
    taken = "awk '/^Udp:/ && $2 ~ /^[0-9]/ {print $2 + $3}' /proc/net/snmp"
    env.device.call("option", set={"backlog": 0})  # the device keeps no frame for later
    for size in (100, 3000):  # one buffer and two
        before, given = counters(env), totals(env, "rx")
        rule = env.device.fault(queue="rx*", action="no-interrupt")
        source = env.device.call("source", count=100000, burst=2, interval=0.01, size=size,
                                 to=OWN, lossy=True)["id"]
        out = env.guest.run(f"{taken}; sleep 0.1; ip link set {env.nic} down; {taken}").out
        env.device.call("stop", id=source)
        given = totals(env, "rx") - given
        inflight = {q["role"]: q.get("inflight", 0) for q in env.device.state()["queues"]}
        assert not any(n for role, n in inflight.items() if role[:2] in ("rx", "tx")), \
            f"the device holds buffers of a stopped interface: {inflight}"
        env.device.clear(rule)
        out += env.guest.run(f"ip link set {env.nic} up; sleep 0.5; {taken}").out
        _, down, up = map(int, out.split())
        assert up == down, f"{up - down} stale datagrams were delivered"
        after = counters(env)
        got = after["rx_packets"] - before["rx_packets"]
        purged = after["rx_drop_purged"] - before["rx_drop_purged"]
        assert purged, "no frame waited when the interface went down: the test says nothing"
        # the device may use a few buffers between the last look at a ring and its reset
        assert given - 8 <= got + purged <= given + 8, \
            f"frames of {size} bytes: {given} given, {got} delivered, {purged} purged"
        env.ping()
    env.device.call("option", set={"backlog": 256})


@test(profiles=["modern-split", "packed", "small", "big", "legacy"], drivers=["vnet"])
def memory_comes_back(env):
    "Down gives the pools back, up makes new ones."
    env.need_tap()
    env.host_ns.run(f"ping -q -f -c 300 -w 10 {env.ip}")
    assert netdev(env)["pools"], "no page pool says that it is this interface's"
    for _ in range(3):
        env.guest.run(f"ip link set {env.nic} down")
        env.wait(lambda: not netdev(env)["pools"], f"pools stay: {netdev(env)['pools']}", 10)
        env.guest.run(f"ip link set {env.nic} up")
        assert netdev(env)["pools"], "no page pool is known after up"


@test(profiles=["modern-split", "mq"], drivers=["vnet"])
def napi_and_queues(env):
    "Netlink links every receive queue with its NAPI, after down and up too."
    for _ in range(2):
        told = netdev(env)
        count = min(env.profile.queues, 2)
        for way in ("rx", "tx"):
            names = [name for name in told["queues"] if name.startswith(way)]
            assert len(names) == count, f"{names}"
        # the core gives no number to a NAPI that only transmits
        assert all(str(told["queues"][f"rx{i}"]["napi"]) in told["napis"]
                   for i in range(count)), f"{told}"
        env.guest.run(f"ip link set {env.nic} down; ip link set {env.nic} up")


# ---- interrupts --------------------------------------------------------------

def interrupts(env, name):
    """Of the virtqueues of this name, so far."""
    lines = env.guest.run(f"grep '{env.virtio}-{name}' /proc/interrupts").out.splitlines()
    return sum(int(word) for line in lines for word in line.split()[1:] if word.isdigit())


def burst(env, name, run, to):
    """Interrupts of virtqueues while one end pings the other 400 times, 2 ms apart."""
    before = interrupts(env, name)
    env.ping(to, count=400, interval=0.002, run=run)
    return interrupts(env, name) - before


def told(env, what):
    """A value of 'ethtool -c'."""
    out = env.guest.run(f"ethtool -c {env.nic}").out
    return next(line.split()[1] for line in out.splitlines() if line.startswith(f"{what}:"))


@test(profiles=["modern-split", "packed", "no-event-idx"], drivers=["vnet"], timeout=240)
def moderation(env):
    "Where the device coalesces nothing the driver moderates: rx-usecs, tx-usecs, queues, adaptive."
    nic, ns, run = env.nic, env.host_ns, env.guest.run
    assert told(env, "rx-usecs") == "0"
    rx, tx = burst(env, "input", ns.run, env.ip), burst(env, "output", run, env.gateway)
    run(f"ethtool -C {nic} rx-usecs 20000 tx-usecs 20000")
    for when in ("set", "after a resize"):
        assert told(env, "rx-usecs") == told(env, "tx-usecs") == "20000"
        held = burst(env, "input", ns.run, env.ip), burst(env, "output", run, env.gateway)
        print(f"  data_queues.moderation: {env.profile.name}, {when}: interrupts for 400 pings: "
              f"rx {rx} -> {held[0]}, tx {tx} -> {held[1]}", flush=True)
        assert held[0] * 4 < rx and held[1] * 4 < tx, f"{when}: {rx, tx} became {held}"
        run(f"ethtool -G {nic} rx 128")
    run(f"ethtool -C {nic} tx-usecs 0; ethtool -Q {nic} queue_mask 1 --coalesce rx-usecs 0")
    out = run(f"ethtool -Q {nic} queue_mask 1 --show-coalesce").out
    assert "rx-usecs: 0" in re.sub(r"[ \t]+", " ", out), out
    assert burst(env, "input", ns.run, env.ip) * 2 > rx, "a queue keeps what was taken from it"
    out = run(f"ethtool -C {nic} rx-usecs 100001", check=False)
    assert out.status and "up to 100000" in out.err, out
    run(f"ethtool -C {nic} adaptive-rx on adaptive-tx on")
    env.ping(ns.ip, count=2000, interval=0.001)
    run(f"ethtool -C {nic} adaptive-rx off adaptive-tx off rx-usecs 0")
    env.ping()


@test(profiles=["modern-split"], drivers=["vnet"], timeout=120)
def moderation_frames(env):
    "rx-frames ends the wait early; the first packet after a pause does not wait at all."
    def interrupted(words):
        env.guest.run(f"ethtool -C {env.nic} {words}; sleep 0.3")
        return burst(env, "input", env.host_ns.run, env.ip)

    assert told(env, "rx-frames") == "1"
    each, none = interrupted("rx-usecs 0"), interrupted("rx-usecs 100000")
    eight = interrupted("rx-frames 8")
    print(f"  data_queues.moderation_frames: interrupts for 400 pings: {each}, "
          f"{none} by time alone, {eight} for frames 8", flush=True)
    assert each > 200 and each / 20 < eight < each / 4 and none < eight / 2, (each, eight, none)
    with traced(env, "napi") as lines:
        env.guest.run("sleep 1")
    polls = [line for line in lines if f"device {env.nic} " in line]
    assert len(polls) < 4, f"an idle queue is polled: {polls[:5]}"
    first = [env.ping(env.ip, count=1, run=env.host_ns.run)[0] for _ in range(3)]
    assert min(first) < 50, first


# ---- CPUs --------------------------------------------------------------------

@test(profiles=["mq", "rss"], drivers=["vnet"])
def spread(env):
    "Queues are spread over the CPUs: XPS and interrupt affinity are set, each pair on its CPU."
    env.guest.run(f"ethtool -L {env.nic} combined 2; sleep 0.5")
    xps = [int(env.guest.run(f"cat /sys/class/net/{env.nic}/queues/tx-{i}/xps_cpus").out
               .replace(",", ""), 16) for i in range(2)]
    assert sorted(xps) == [1, 2], f"XPS masks: {xps}"
    lines = env.guest.run("grep -E 'input|output' /proc/interrupts").out.splitlines()
    irqs = {line.split()[-1].split("-")[-1]: line.split(":")[0].strip() for line in lines}
    where = {name: env.guest.run(f"cat /proc/irq/{irq}/smp_affinity_list").out.strip()
             for name, irq in irqs.items()}
    assert where["input.0"] == where["output.0"] != where["input.1"] == where["output.1"], \
        f"{where}"


def placed(env, irqs="smp_affinity"):
    """XPS of the two queues, and the CPUs of their interrupts."""
    nic = env.nic
    return env.guest.run(
        f"cat /sys/class/net/{nic}/queues/tx-[01]/xps_cpus; for d in $(grep -E "
        f"'{env.virtio}-(input|output)' /proc/interrupts | cut -d: -f1); do "
        f"cat /proc/irq/$d/{irqs}; done").out.split()


@test(profiles=["mq"], drivers=["vnet"], timeout=120)
def placement_stays(env):
    "XPS and interrupt affinity that the user has set survive resets, channels and hotplug."
    nic = env.nic
    env.guest.run(f"ethtool -L {nic} combined 2")
    ours = placed(env)
    env.guest.run(f"echo 2 > /sys/class/net/{nic}/queues/tx-0/xps_cpus; "
                  f"echo 1 > /sys/class/net/{nic}/queues/tx-1/xps_cpus; "
                  f"for q in input.0 output.0; do i=$(grep {env.virtio}-$q /proc/interrupts | "
                  f"cut -d: -f1); echo 2 > /proc/irq/$(echo $i)/smp_affinity; done; "
                  f"for q in input.1 output.1; do i=$(grep {env.virtio}-$q /proc/interrupts | "
                  f"cut -d: -f1); echo 1 > /proc/irq/$(echo $i)/smp_affinity; done")
    env.guest.run(f"for c in 0 1; do taskset -c $c ping -q -c 5 -i 0.1 -w 10 {env.gateway}; done")
    users = placed(env)
    assert users != ours, f"nothing was set: {users}"
    # An interrupt moves when it comes for the next time; the kernel tells nobody before.
    moved = [i for i, mask in enumerate(placed(env, "effective_affinity")) if mask == users[i]]
    path = env.guest.run(f"readlink -f /sys/class/net/{nic}/device/..").out.strip()
    for step in (f"echo 1 > {path}/reset", f"ip link set {nic} mtu 1400",
                 f"ethtool -L {nic} combined 1; ethtool -L {nic} combined 2",
                 f"ip link set {nic} down; ip link set {nic} up",
                 "echo 0 > /sys/devices/system/cpu/cpu1/online; sleep 1; "
                 "echo 1 > /sys/devices/system/cpu/cpu1/online"):
        env.guest.run(f"{step}; sleep 1.5", timeout=60)
        env.guest.run(f"ping -q -c 1 -w 10 {env.gateway}")
        now = placed(env)
        assert now[:2] == users[:2], f"XPS after '{step}': {now}, was {users}"
        if "cpu1" not in step:
            assert all(now[i] == users[i] for i in moved), f"after '{step}': {now}, was {users}"


@test(profiles=["modern-split", "mq", "legacy"], drivers=["vnet"], timeout=180)
def cpu_hotplug(env):
    "A CPU goes and comes back under TCP."
    steps = ["echo 0 > /sys/devices/system/cpu/cpu1/online; sleep 0.3",
             "echo 1 > /sys/devices/system/cpu/cpu1/online; sleep 0.3"]
    if env.guest.run("test -e /sys/devices/system/cpu/cpu1/online", check=False).status:
        env.skip("the CPU of this guest cannot be taken away")
    try:
        tcp_survives(env, steps * env.rounds(full=20, quick=3))
    finally:
        env.guest.run("echo 1 > /sys/devices/system/cpu/cpu1/online; true")


# ---- many queues -------------------------------------------------------------


@test(profiles=["queues-64"], drivers=["vnet"], timeout=240)
def sixty_four(env):
    "64 queue pairs: up, -L 1 and 64, traffic on many of them, down, unload."
    ends = Ends(env)
    ends.serve()
    for pairs in (64, 1, 64):
        env.guest.run(f"ethtool -L {env.nic} combined {pairs}", timeout=60)
        ends.guest(f"put {env.host_ns.ip} {PORT} {2 * MIB} ; get {env.host_ns.ip} {PORT} {2 * MIB}")
    change = Change(env)
    job = ends.guest_sink(PORT + 30, 2)
    senders = " & ".join(f"python3 {TOOLS}/flow.py send {env.ip} {PORT + 30} 50 100"
                         for _ in range(16))
    env.host_ns.run(senders + " & wait", timeout=60)
    got = result(job)
    assert got["datagrams"] > 400, f"{got}"
    used = [name for name, n in change().items() if n and name.startswith("rx")
            and name.endswith("_packets") and name[2:3].isdigit()]
    assert len(used) >= 4, f"packets came in on {used}"
    told = netdev(env)
    assert len(told["queues"]) == 128, f"{len(told['queues'])} queues"
    env.guest.run(f"ip link set {env.nic} down", timeout=60)
    env.guest.run(f"ip link set {env.nic} up", timeout=60)
    env.ping(env.host_ns.ip)
    env.guest.rmmod("vnet")
    env.guest.insmod("vnet")
