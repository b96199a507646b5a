# SPDX-License-Identifier: GPL-2.0
"""XDP: programs come and go, under traffic and in the wrong moment."""

import json
import time

from lab.api import test
from lab.oracle import differences, settings

from ._data import Change, Ends, counters, netdev, refused, result
from ._xdp import (DROP, KINDS, LOSSES, PASS, PORT, REDIRECT, TX, Program, back, compiled,
                   tap_drops)
from .data_queues import steady, totals
from .device import packet

# NETDEV_XDP_ACT_*: basic, redirect, ndo-xmit, xsk-zerocopy, hw-offload, rx-sg, ndo-xmit-sg
BASIC, TO, XMIT, ZEROCOPY, HW, RX_SG, XMIT_SG = (1 << i for i in range(7))


# QEMU drops what it holds for a queue when that is reset; storm_counted has exact numbers.
SLACK = 2


def under_traffic(env, steps, rate=400, seconds=8):
    """Datagrams to a sink in the guest while steps are run; returns what became of them."""
    ends = Ends(env)
    job = ends.guest_sink(PORT, 4)
    change, lost = Change(env), tap_drops(env)
    sender = ends.host_start(f"send {env.ip} {PORT} {rate * seconds} 300 --rate {rate}")
    for step in steps:
        step()
    sent, passed = result(sender, 60), result(job, 60)
    env.ping()
    moved = change.total()
    missing = sent["sent"] - sent["refused"] - passed["distinct"] - (tap_drops(env) - lost)
    assert not passed["damaged"], f"{passed}"
    return missing, moved


def needs_btf(env):
    """Programs that name the kernel's functions need its types."""
    if env.kernel.layer and env.guest.run("test -e /sys/kernel/btf/vmlinux", check=False).status:
        env.skip("this debug kernel has no BTF")


@test(profiles=KINDS, drivers=["vnet"], timeout=240, moves=LOSSES)
def storm(env):
    "Attach and detach under traffic: what does not arrive was counted; settings come back."
    before, program = settings(env), Program(env)
    turns = env.rounds(full=20, quick=6)
    try:
        program.plan(PASS)
        missing, moved = under_traffic(env, [program.attach, program.detach] * turns)
        counted = moved.get("rx_drops", 0) + SLACK * 2 * turns
        assert missing <= counted, f"{missing} packets are missing, {counted} counted: {moved}"
        after = settings(env)
        assert before == after, f"{differences(before, after)}"
    finally:
        program.close()


def storm_given(env, turns):
    """Attach and detach while the scripted device sends: (given by it, seen, counters)."""
    program = Program(env)
    try:
        program.plan(PASS)
        change, given = Change(env), totals(env, "rx")
        source = env.device.call("source", count=1000000, burst=8, interval=0.004, flows=16,
                                 lossy=True)["id"]
        for _ in range(turns):
            program.attach()
            program.detach()
        env.device.call("stop", id=source)
        given = steady(env, lambda: totals(env, "rx")) - given
        moved = change()
    finally:
        program.close()
    assert moved["rx_packets"] > given / 2, f"{moved['rx_packets']} of {given} received"
    assert not env.device.violations(), f"{env.device.violations()}"
    return given, moved["rx_packets"] + moved["rx_drops"], change.total()


@test(profiles=["scripted"], drivers=["vnet"], timeout=180, quick=True, moves=LOSSES)
def storm_counted(env):
    "What the device gave is received or counted as dropped, also what came at the last moment."
    turns, before = env.rounds(full=20, quick=4), totals(env, "rx", "resets")
    given, seen, moved = storm_given(env, turns)
    resets = totals(env, "rx", "resets") - before
    assert resets >= 2 * turns, f"{resets} resets of receive rings in {turns} turns"
    assert given == seen, f"{given} given, {seen} seen: {moved}"


@test(profiles=["scripted"], drivers=["vnet"], timeout=240, moves=LOSSES)
def storm_device_reset(env):
    "Without RING_RESET the device is reset: what it gave is received or counted, all of it."
    env.unbind()
    env.device.call("offer", features=["default", "MQ", "-RING_RESET"])
    env.bind()
    env.configure()
    given, seen, moved = storm_given(env, env.rounds(full=10, quick=4))
    assert given == seen, f"{given} given, {seen} seen: {moved}"


@test(profiles=["mq", "rss", "two-nics"], drivers=["vnet"], timeout=240, moves=LOSSES)
def exchange(env):
    "One program replaces another under traffic: not a packet is lost."
    program = Program(env)
    try:
        program.plan(PASS)
        program.attach()
        turns = env.rounds(full=30, quick=8)
        swap = [lambda p=p: env.guest.run(
            f"ip -force link set dev {env.nic} xdpdrv pinned {program.dir}/{p}")
            for p in ("plain", "frags")] * turns
        missing, moved = under_traffic(env, swap)
        assert missing == 0 and not moved.get("rx_drops"), f"{missing} missing: {moved}"
    finally:
        program.detach()
        program.close()


@test(profiles=["mq", "rss"], drivers=["vnet"], timeout=240, moves=LOSSES)
def channels(env):
    "ethtool -L and -G while a program is loaded and sends packets back: it goes on running."
    program = Program(env)
    try:
        program.plan(PASS)
        program.attach()
        steps = [lambda c=c: env.guest.run(f"ethtool {c}", timeout=60) for c in
                 [f"-L {env.nic} combined {n}" for n in (1, 4, 2, 3)] +
                 [f"-G {env.nic} rx 128 tx 64", f"-G {env.nic} rx 256 tx 256"]]
        missing, moved = under_traffic(env, steps)
        counted = moved.get("rx_drops", 0) + SLACK * len(steps)
        assert missing <= counted, f"{missing} packets are missing, {counted} counted: {moved}"
        for pairs in (1, 4):
            env.guest.run(f"ethtool -L {env.nic} combined {pairs}", timeout=60)
            program.plan(TX)
            sent = back(env, 200, quiet=0.5)
            seen = program.counts()
            assert sent["back"] == seen[TX] == 200, f"{pairs} pairs: {sent}, {seen}"
    finally:
        program.detach()
        program.close()


@test(profiles=["modern-split", "mq", "legacy", "big", "no-ctrl-vq"], drivers=["vnet"],
      timeout=120, moves=LOSSES)
def down_up(env):
    "A program attached while the interface is down, kept over down and up and a new MTU."
    program = Program(env)
    try:
        env.guest.run(f"ip link set {env.nic} down")
        program.attach()
        env.guest.run(f"ip link set {env.nic} up; ip link set {env.nic} mtu 1400; "
                      f"ip link set {env.nic} mtu 1500", timeout=60)
        env.wait_carrier()
        program.plan(DROP)
        back(env, 100, quiet=0.2)
        seen = program.counts()
        assert seen[DROP] == 100, f"{seen}"
        env.guest.run(f"ip link set {env.nic} down")
        program.detach()
        env.guest.run(f"ip link set {env.nic} up")
        env.wait_carrier()
        back(env, 20, quiet=0.2)
        assert program.counts()[DROP] == 100, "the program runs after it was detached"
    finally:
        program.close()


@test(profiles=["modern-split", "packed", "small", "big", "legacy"], drivers=["vnet"], timeout=120,
      quick=True)
def mtu(env):
    "A program without frags: too large an MTU is refused, at attach and afterwards, with a reason."
    program = Program(env)
    attach = f"ip link set dev {env.nic} xdpdrv pinned {program.dir}/plain"
    try:
        program.plan(DROP)
        env.guest.run(f"ethtool -G {env.nic} rx-buf-len 2048", check=False, timeout=60)
        program.attach(program="plain")
        env.host_ns.run("true")
        most = env.guest.run(f"for m in 1600 2000 4000 9000 20000 40000; do ip link set {env.nic} "
                             "mtu $m 2> /dev/null || { echo $m; break; }; done",
                             timeout=60).out.strip()
        assert most, "a program without frags was left with an MTU of 40000"
        assert "MTU refused" in env.guest.run("dmesg").out, "the log does not say why"
        back(env, 20, quiet=0.2)
        assert program.counts()[DROP] == 20, "the program does not run after a refused MTU"
        program.detach()
        if env.profile.name == "small":
            # There one buffer holds a packet, whatever its size.
            assert most == "40000", most
            refused(env, f"ip link set {env.nic} mtu {most}")
            return
        env.guest.run(f"ip link set {env.nic} mtu {most}", timeout=60)
        refused(env, attach, "MTU", "frags")
        program.attach(program="frags")
        program.detach()
        env.guest.run(f"ip link set {env.nic} mtu 1500", timeout=60)
        program.attach(program="plain")
        program.detach()
    finally:
        program.close()


@test(profiles=["modern-split", "legacy", "big", "no-ctrl-vq", "mq"], drivers=["vnet"],
      timeout=120)
def features(env):
    "What netlink says of XDP is what the device does, with and without a program."
    program = Program(env)
    always = BASIC | TO | XMIT | RX_SG | XMIT_SG
    try:
        for step in (lambda: None, program.attach, program.detach):
            step()
            have = netdev(env)["xdp_features"]
            assert have & always == always and not have & HW, f"{have:#x}"
    finally:
        program.close()


@test(profiles=["hash", "modern-split"], drivers=["vnet"], timeout=120)
def rx_hash(env):
    "A program is told the hash of the header, and nothing where there is none."
    needs_btf(env)
    program = Program(env, "hash", dev=env.nic)
    try:
        env.guest.run(f"ethtool -K {env.nic} rxhash on", check=False)
        program.attach(program="hash")
        change, lost = Change(env), tap_drops(env)
        back(env, 30, quiet=0.3)
        answers, refusals, value, kind, error = seen = program.counts("hashes")
        why = f"{seen}, {tap_drops(env) - lost} lost, {change.total()}"
        if env.profile.name == "hash":
            assert answers >= 25 and value and kind, why
        else:
            assert not answers and refusals >= 25 and error == 61, why
        assert answers + refusals == change.total()["rx_xdp_packets"], why
        program.detach()
    finally:
        program.close()


@test(profiles=["two-nics"], drivers=["vnet"], timeout=150, quick=True, up=False, moves=LOSSES)
def redirect_nics(env):
    "From one NIC to the other, which has no program; then to one that is down."
    other = env.guest.interface(env.guest.macs[1])
    env.sysctl(net__ipv4__conf__all__arp_ignore=1)
    env.guest.run(f"ip addr add {env.ip}/24 dev {env.nic}; ip link set {env.nic} up; "
                  f"ip link set {other} up")
    env.wait_carrier()
    program = Program(env)
    try:
        program.target(other)
        program.attach()
        link = env.host_ns.taps[1]
        for state in ("up", "down", "up"):
            env.guest.run(f"ip link set {other} {state}; sleep 0.3")
            # Of another EtherType, because the bridge returns it to the first NIC.
            program.plan(REDIRECT, head=-2)
            change = Change(env, other)
            before = arrived(env, link)
            back(env, 200, quiet=0.5)
            seen, moved = program.counts(), change.total()
            assert seen[REDIRECT] == 200, f"{state}: {seen}"
            if state == "up":
                assert arrived(env, link) - before >= 200, f"{state}: {moved}"
                assert moved["tx_xdp_tx"] == 200 and not moved.get("tx_xdp_tx_drops"), f"{moved}"
            else:
                assert not moved.get("tx_xdp_tx"), f"{state}: {moved}"
    finally:
        program.detach()
        program.close()


def arrived(env, link):
    """Packets that the guest has given to a tap."""
    out = env.host_ns.run(f"ip -j -s link show {link}").out
    return json.loads(out)[0]["stats64"]["rx"]["packets"]


@test(profiles=["scripted"], drivers=["vnet"], timeout=150)
def full_ring(env):
    "XDP_TX into a ring that the device does not empty: what has no room is counted, none is lost."
    program = Program(env)
    frame = "525400990001" "020000000001" "0800" "4500002e00000000401100000a00020f0a000202" \
            "1518151800" "1a0000" + "00" * 18
    try:
        program.plan(TX)
        program.attach()
        rules = [env.device.fault(queue=f"tx{i}", action="hold") for i in range(4)]
        change = Change(env)
        for _ in range(40):
            env.device.call("inject", queue="rx0", frame=frame, count=16)
            time.sleep(0.05)
        time.sleep(1)
        moved, seen = change.total(), program.counts()
        assert seen[TX] == 640, f"{seen}"
        assert moved["rx_xdp_tx"] + moved["rx_drop_xdp_tx_err"] == 640, f"{moved}"
        assert moved["rx_drop_xdp_tx_err"] > 0, f"{moved}"
        assert moved["tx_xdp_tx"] == moved["rx_xdp_tx"], f"{moved}"
        for rule in rules:
            env.device.clear(rule)
        for i in range(4):
            env.device.release(f"tx{i}")
        env.ping()
        change = Change(env)
        env.device.call("inject", queue="rx0", frame=frame, count=16)
        time.sleep(1)
        assert change.total().get("rx_xdp_tx") == 16, f"{change.total()}"
        program.detach()
        assert not env.device.violations(), f"{env.device.violations()}"
    finally:
        program.close()


@test(profiles=["modern-split"], drivers=["vnet"], timeout=90)
def refusals(env):
    "What is no XDP program or asks for offload is refused and changes nothing."
    before = settings(env)
    env.guest.put(compiled(env, "plan"), "/tmp/plan.o")
    program = Program(env)
    try:
        refused(env, f"ip link set dev {env.nic} xdpoffload pinned {program.dir}/plain")
        refused(env, f"ip link set dev {env.nic} xdpdrv pinned {program.dir}/marked")
        assert settings(env) == before
    finally:
        program.close()


# Frames in; a queue that stops; a message that leaves by polling it.
POLLED = """
python3 -c '
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("v1", 0))
for n in range(160):
    s.send(bytes.fromhex("FRAME"))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
for n in range(600):
    try:
        s.sendto(b"x" * 64, ("10.0.2.77", 9))
    except BlockingIOError:
        break
'
"""
TRACE = "/sys/kernel/tracing"


@test(profiles=["scripted"], drivers=["vnet"], timeout=120)
def netpoll(env):
    "netpoll, with interrupts off, touches no page pool, though frames are done; they go later."
    run, device, nic = env.guest.run, env.device, env.nic
    if run("modprobe configfs; modprobe -n netconsole", check=False).status:
        env.skip("this kernel has no netconsole")
    program = Program(env)
    stalls = "/sys/module/vnet/parameters/stall_seconds"
    seconds = run(f"cat {stalls}").out.strip()
    try:
        # On a slow machine the queue may stand for longer than that.
        run(f"echo 0 > {stalls}; ethtool -L {nic} combined 1; ping -q -c 1 -W 5 10.0.2.77; "
            f"mountpoint -q {TRACE} || mount -t tracefs none {TRACE}; cd {TRACE}; "
            "for f in page_pool_put_unrefed_netmem page_pool_put_netmem_bulk "
            "page_pool_put_page_bulk xdp_return_frame xdp_return_frame_bulk; do "
            "grep -q \" $f$\" /proc/kallsyms && echo p:vnet_$f $f >> kprobe_events; done; true")
        run("ip link add v0 type veth peer name v1; for d in v0 v1; do "
            "ip link set $d addrgenmode none; ip link set $d up; done")
        program.target(nic)
        program.plan(REDIRECT)
        program.attach("v0")
        run("modprobe netconsole netconsole=6665@10.0.2.15/"
            f"{nic},6666@10.0.2.77/52:54:00:76:6e:fe")
        rule = device.fault(queue="tx0", action="hold")
        frame = packet.udp_frame(b"\x02" * 6, b"\x04" * 6, "10.0.2.77", "10.0.2.15", PORT, 9,
                                 bytes(100))
        run(POLLED.replace("FRAME", frame.hex()))
        before = counters(env)
        held = device.queue("tx0")["held"]
        # frames, and packets of the stack up to its byte queue limit, which stops it
        assert held > 160, f"the device holds {held} packets"
        # The device lets go at a command, and at once netpoll has something to say: whoever
        # looks after lost interrupts comes later.
        device.fault(queue="tx0", action="no-interrupt")
        device.when({"kind": "ctrl", "name": "rx.promisc"}, {"op": "clear", "id": rule},
                    {"op": "release", "queue": "tx0"})
        run(f"cd {TRACE}; echo > trace; echo 1 > events/kprobes/enable; "
            f"echo 1 > events/napi/enable; ip link set {nic} promisc on; "
            "echo '<1>vnet speaks' > /dev/kmsg; sleep 1; echo 0 > events/napi/enable; sleep 3; "
            "echo 0 > events/kprobes/enable")
        lines = run(f"cat {TRACE}/trace", timeout=60).out.splitlines()
        now = counters(env)
    finally:
        device.clear()
        run(f"rmmod netconsole; echo {seconds} > {stalls}; echo 0 > {TRACE}/events/kprobes/enable; "
            f"echo > {TRACE}/kprobe_events; ip link del v0", check=False)
        program.close()
    polls = [line for line in lines if f"device {nic} " in line and "budget 0" in line]
    assert polls, "netpoll has not polled"
    touched = [line for line in lines if " vnet_" in line]
    off = [line for line in touched if line.split("]", 1)[1].split()[0][0] in "dD"]
    assert not off, f"{len(off)} of {len(touched)} with interrupts off: {off[0]}"
    assert touched, "no frame went to its page pool afterwards"
    done = now["tx_packets"] - before["tx_packets"]
    assert done >= held, f"{done} of {held} packets are completed"
