# SPDX-License-Identifier: GPL-2.0
"""What cannot be seen of packets: pages that are refused, who holds a lock, what is called when."""

import shutil
import time
from contextlib import contextmanager

from lab import build
from lab.api import test

from ._data import PORT, TOOLS, Change, Ends, counters, result
from ._xdp import PORT as PLANNED
from ._xdp import REDIRECT, Program
from .data_mtu import TAP_MAX, set_mtu
from .device import packet
from .xsk_zc import Client, total, traffic

TRACE = "/sys/kernel/tracing"
KNOB = "/sys/module/vnet/parameters/core_ring"
LARGE = {"small": 3}    # order of the pages that large buffers are cut from, else 2
JUMBO = 8000    # a ping that takes more than two pages


@contextmanager
def probe(env):
    """tools/probe loaded: call(name) reads a parameter, call(name, value) writes it."""
    module = build.make_external(env.kernel, TOOLS / "probe", "vnet_probe")
    lab = env.guest.root / "lab"
    shutil.copy(module, lab / "vnet_probe.ko")
    newer = b"page_pool_alloc_netmems" in (lab / f"{env.driver}.ko").read_bytes()
    env.guest.run("insmod /lab/vnet_probe.ko alloc=page_pool_alloc_"
                  f"{'netmems' if newer else 'pages'}")

    def parameter(name, value=None):
        path = f"/sys/module/vnet_probe/parameters/{name}"
        if value is None:
            return int(env.guest.run(f"cat {path}").out)
        return env.guest.run(f"echo {value} > {path}")
    try:
        yield parameter
    finally:
        env.guest.rmmod("vnet_probe")


@contextmanager
def traced(env, *events, functions=()):
    """Kernel events and entries of functions (as vnet_NAME, with their first argument) while it
    lasts; its lines after it."""
    run, lines = env.guest.run, []
    probes = "; ".join(f"grep -qw {name} /proc/kallsyms && echo p:vnet_{name} {name} "
                       "first=%di >> kprobe_events" for name in functions) or "true"
    enabled = [*events, *(["kprobes"] if functions else [])]
    run(f"mountpoint -q {TRACE} || mount -t tracefs none {TRACE}; cd {TRACE} && {probes}; "
        "echo > trace; " + "; ".join(f"echo 1 > events/{name}/enable" for name in enabled))
    try:
        yield lines
        run(f"cd {TRACE}; " + "; ".join(f"echo 0 > events/{name}/enable" for name in enabled))
        lines += [line for line in run(f"cat {TRACE}/trace", timeout=60).out.splitlines()
                  if not line.startswith("#")]
    finally:
        run(f"cd {TRACE}; " + "; ".join(f"echo 0 > events/{name}/enable" for name in enabled)
            + "; echo > kprobe_events; echo > trace", check=False)


def uptime(env):
    return float(env.guest.run("cat /proc/uptime").out.split()[0])


def all_answered(env, count, size):
    """Pings of the host's side, each of them answered."""
    out = env.host_ns.run(f"ping -q -c {count} -i 0.02 -W 10 -s {size} {env.ip}", timeout=60).out
    assert f" {count} received" in out, f"of {size} bytes: {out.splitlines()[-2]}"


@test(profiles=["small", "big", "modern-split"], drivers=["vnet"], timeout=150, quick=True,
      moves=["rx_alloc_fail"])
def no_large_pages(env):
    """Without pages of 32 KiB all packets arrive, and nobody works for such pages.

    They are asked for ten times a second and not for each buffer, and neither with
    emergency reserves nor by reclaim or compaction while the interface comes up.
    """
    ends = Ends(env)
    ends.serve()
    try:
        with probe(env) as told:
            told("refuse_order", LARGE.get(env.profile.name, 2))
            set_mtu(env, 9000)
            began, change = uptime(env), Change(env)
            all_answered(env, 100, JUMBO)
            all_answered(env, 100, 5000)
            if env.profile.name != "small":
                set_mtu(env, TAP_MAX)
                ends.guest(f"sizes {env.host_ns.ip} {PORT} 60000-60004 ; "
                           f"get {env.host_ns.ip} {PORT} {1 << 21}", timeout=90)
            moved, seconds = change.total(), uptime(env) - began
            assert told("refused"), "no large page was asked for"
            wrong = [name for name in moved if "drop" in name or "starved" in name]
            if told("greedy"):
                wrong.append(f"{told('greedy')} of {told('asked')} asked for at any price")
            if moved.get("rx_alloc_fail", 0) > 12 * seconds + 20:
                wrong.append(f"asked for too often in {seconds:.0f} s")
            assert not wrong, f"{wrong}: {moved}"
            told("refuse_order", 0)
            all_answered(env, 100, JUMBO)
            before = counters(env)["rx_alloc_fail"]
            all_answered(env, 100, JUMBO)
            assert counters(env)["rx_alloc_fail"] == before, "large pages are not taken again"
    finally:
        env.host_ns.run(f"ip link set {env.host_ns.device} mtu 1500")


@test(profiles=["modern-split", "packed", "small"], drivers=["vnet"], timeout=150,
      moves=["rx*starved"])
def wakeup_flags(env):
    "Both polls change the flags that tell an AF_XDP user to wake them under one lock."
    env.need_tap()
    with probe(env) as told:
        client = Client(env, "--frames 64")     # fewer than the ring takes
        count = traffic(env)
        done = client.stop()
        assert total(done, "tx") == count, (count, done)
        free, held = told("flags_free"), told("flags_held")
    assert held and not free, f"{free} of {free + held} changes without the xmit lock"


def in_softirq(lines):
    """(CPU, line) of the lines that were written there."""
    for line in lines:
        cpu, _, rest = line.partition("[")[2].partition("]")
        if rest.split()[0][2] == "s":
            yield cpu, line


ARMS = ("virtqueue_enable_cb", "virtqueue_enable_cb_prepare", "virtqueue_enable_cb_delayed")


# Our own engine asks without a call that could be seen: the core's, by the same code of ours.
@test(profiles=["packed"], drivers=["vnet"], timeout=120, quick=True)
def arms_before_it_completes(env):
    "A poll asks for the next interrupt while the queue is its own, not after it has completed."
    with traced(env, "napi/napi_poll", functions=[*ARMS, "napi_complete_done"]) as lines:
        env.host_ns.run(f"ping -q -c 100 -i 0.01 -W 5 {env.ip}")
    completed, arms, late = {}, 0, []
    for cpu, line in in_softirq(lines):
        if " napi_poll: " in line:
            completed[cpu] = False
        elif " vnet_napi_complete_done: " in line:
            completed[cpu] = True
        elif " vnet_virtqueue_enable_cb" in line:
            arms += 1
            if completed.get(cpu):
                late.append(line)
    assert arms > 50, f"{arms} polls have asked for an interrupt"
    assert not late, f"{len(late)} of {arms} too late: {late[0]}"


def planned_frame(env, size=200):
    """A datagram for plan.bpf.c, of so many bytes in all."""
    return packet.udp_frame(bytes.fromhex(env.mac.replace(":", "")), b"\x04" * 6, "10.0.2.15",
                            "10.0.2.77", PLANNED, 9, bytes(size - 42))


def at_once(env, frames):
    """Frames that one poll finds together."""
    for frame in frames[:-1]:
        env.device.inject(frame, interrupt=False)
    env.device.inject(frames[-1])
    time.sleep(1)


def offered(env, *features, **config):
    """The driver bound to the device with these features; one queue pair."""
    env.unbind()
    env.device.call("offer", features=["default", "MQ", *features])
    env.device.config(interrupt=False, **config)
    env.bind()
    env.configure()
    env.guest.run(f"ethtool -L {env.nic} combined 1; ping -q -c 1 -W 5 10.0.2.77")


@test(profiles=["scripted"], drivers=["vnet"], timeout=120, quick=True)
def redirected_bulk(env):
    "Sixty redirected frames are one notification; one that the device may not get costs no other."
    offered(env, "MTU", "-EVENT_IDX", mtu=1500)
    program = Program(env)
    try:
        program.target(env.nic)
        program.attach()
        program.plan(REDIRECT)
        change = Change(env)
        at_once(env, [planned_frame(env)] * 60)
        moved = change.total()
        assert program.counts()[REDIRECT] == moved["tx_xdp_tx"] == 60, f"{moved}"
        assert moved["tx_kicks"] < 3, f"{moved['tx_kicks']} notifications: {moved}"
        # Of one byte more than the device's MTU: the core leaves room for a VLAN tag.
        env.device.sent(clear=True)
        change = Change(env)
        at_once(env, [planned_frame(env, size) for size in (200,) * 8 + (1515,) + (200,) * 7])
        moved = change.total()
        assert moved["tx_xdp_tx"] == 15 and moved["tx_xdp_tx_drops"] == 1, f"{moved}"
        sent = sum(len(entry["frame"]) == 200 for entry in env.device.sent())
        assert sent == 15, f"the device got {sent}"
    finally:
        program.detach()
        program.close()
    assert not env.device.violations(), f"{env.device.violations()}"


@test(profiles=["scripted"], drivers=["vnet"], timeout=120, quick=True)
def refilled_in_a_poll(env):
    "A poll that finds large packets gives the device new buffers before it is through with them."
    # What our own engine offers goes through no call that could be seen.
    env.guest.run(f"echo Y > {KNOB}")
    try:
        refilled(env)
    finally:
        env.guest.run(f"echo N > {KNOB}")


def refilled(env):
    offered(env, "GUEST_TSO4")
    env.guest.run(f"ethtool -G {env.nic} rx-buf-len 2048", timeout=60)
    header = {"flags": 1, "gso_type": 1, "gso_size": 1448, "hdr_len": 54, "csum_start": 34,
              "csum_offset": 16}
    frame = packet.udp_frame(bytes.fromhex(env.mac.replace(":", "")), b"\x04" * 6, "10.0.2.15",
                             "10.0.2.77", 9, 9, bytes(40000))
    took = []
    with traced(env, "napi/napi_poll", functions=["virtqueue_kick_prepare"]) as lines:
        for last in (False,) * 6 + (True,):
            took += env.device.call("inject", queue="rx0", frame=frame.hex(), hdr=header,
                                    interrupt=last)["used"]
        time.sleep(1)
    buffers = sum(map(len, took))
    assert len(took) == 7 and 128 < buffers <= 256, f"{buffers} buffers: {took}"
    offers, polls = {}, []
    for cpu, line in in_softirq(lines):
        if " vnet_virtqueue_kick_prepare: " in line:
            offers.setdefault(cpu, []).append(line.split("first=")[1])
        elif " napi_poll: " in line:
            queues = offers.pop(cpu, [])
            polls += [max(map(queues.count, queues), default=0)] if " work 7 " in line else []
    assert polls, f"the packets came in several polls: {lines}"
    assert polls[0] >= 2, f"new buffers were offered {polls[0]} times"
    assert not env.device.violations(), f"{env.device.violations()}"


# Datagrams of one piece, or one of as many as a packet can have: of pages that are not copied.
SENDS = """python3 -c '
import mmap, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.0.2.77", 9))
for n in range(SMALL):
    s.send(b"small")
pages = [mmap.mmap(-1, 4096) for n in range(PIECES)]
for page in pages:
    page[:80] = b"large---" * 10
if pages:
    s.setsockopt(socket.SOL_SOCKET, 60, 1)
    s.sendmsg([memoryview(page)[:80] for page in pages], [], 0x4000000 | socket.MSG_DONTWAIT)
'"""


def sends(env, small, pieces):
    env.guest.run(SENDS.replace("SMALL", str(small)).replace("PIECES", str(pieces)))


def one_too_many(env):
    """(counters while it waits, counters at the end, (length, entries) of what was large)"""
    offered(env, "-INDIRECT_DESC")
    limit = f"/sys/class/net/{env.nic}/queues/tx-0/byte_queue_limits/limit_min"
    env.guest.run(f"sysctl -qw net.ipv6.conf.{env.nic}.disable_ipv6=1; echo 1000000 > {limit}; "
                  "ping -q -c 3 -i 0.2 -W 5 10.0.2.77; ip neigh replace 10.0.2.77 nud "
                  f"permanent lladdr 52:54:00:76:6e:fe dev {env.nic}")
    env.device.fault(queue="tx0", action="hold")
    sends(env, 8, 0)
    while (held := env.device.queue("tx0")["held"]) < 16:
        sends(env, 16 - held, 0)
    assert held == 16, f"the device holds {held} packets"
    env.device.sent(clear=True)
    change = Change(env)
    sends(env, 0, 17)
    time.sleep(2)
    moved = change()
    env.device.clear()
    env.device.release("tx0")
    env.guest.run("ping -q -c 3 -i 0.2 -W 5 10.0.2.77")
    return moved, change(), [(len(entry["frame"]), entry["descriptors"])
                             for entry in env.device.sent() if b"large---" in entry["frame"]]


@contextmanager
def no_stalls(env):
    """No queue is reset because the device holds its packets for long, as a slow machine does."""
    path = "/sys/module/vnet/parameters/stall_seconds"
    seconds = env.guest.run(f"cat {path}").out.strip()
    env.guest.run(f"echo 0 > {path}")
    try:
        yield
    finally:
        env.guest.run(f"echo {seconds} > {path}")


@test(profiles=["scripted"], drivers=["vnet"], timeout=120, quick=True,
      changes=["nic"])
def waits_for_room(env):
    """A packet that needs more entries than are free waits for a completion; nobody asks for ever.

    On a ring of 32 without indirect descriptors the queue goes on while 16 are free; a
    packet may take 18.
    """
    env.device.call("option", set={"queue_sizes": {"1": 32}})
    try:
        with no_stalls(env):
            moved, later, sent = one_too_many(env)
    finally:
        env.device.clear()
        env.unbind()
        env.device.call("option", set={"queue_sizes": {}})
    assert sent and sent[0][1] > 16, f"{sent}"
    assert 0 < moved["tx0_busy"] < 10, f"{moved['tx0_busy']} times refused in two seconds"
    assert moved["tx0_stop"] and later["tx0_wake"] and not later["tx0_drops"], f"{later}"
    assert sent == [(42 + 17 * 80, 18)], f"{sent}"


@test(profiles=["swiotlb"], drivers=["vnet"], timeout=150)
def synced_once(env):
    "Memory that is bounced is given to the device once for each buffer, not with its whole page."
    ends = Ends(env)
    job = ends.guest_sink(PORT, 4)
    change = Change(env)
    with traced(env, "dma/dma_sync_single_for_device") as lines:
        ends.host(f"send {env.ip} {PORT} 600 1000 --rate 400")
    received = change()["rx_packets"]
    result(job)
    sizes = [int(line.split("size=")[1].split()[0]) for line in lines if "size=" in line]
    assert received >= 600, f"{received} packets"
    assert sizes, f"nothing was synced: {lines[:2]}"
    assert max(sizes) < 1 << 15, f"{max(sizes)} bytes at once"
    assert len(sizes) < 2.5 * received, f"{len(sizes)} for {received} packets"


@test(profiles=["legacy", "legacy-small"], drivers=["vnet"], timeout=90)
def answers_of_any_length(env):
    "The used length of an answer of a legacy device does not matter (VIRTIO 1.4, 5.1.9.1)."
    change = Change(env)
    with probe(env) as told:
        for number, length in enumerate((0, 0x7fffffff)):
            told("answer_length", length)
            env.guest.run(f"ip link set {env.nic} promisc on; ip link set {env.nic} promisc off; "
                          f"ip link set {env.nic} address 52:54:00:aa:bb:0{number}")
        assert told("answers") >= 6, f"{told('answers')} answers"
    env.guest.run(f"ip link set {env.nic} address {env.mac}")
    bad = {name: n for name, n in change.total().items()
           if name.startswith("ctrl_") and name != "ctrl_sent"}
    assert not bad, f"{bad}"
    env.guest.run(f"ping -q -c 3 -i 0.1 -W 5 {env.gateway}")
