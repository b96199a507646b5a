# SPDX-License-Identifier: GPL-2.0
"""XDP: what a program decides is what happens to the packet, and all are counted."""

from lab.api import test
from lab.oracle import differences, settings

from ._data import Change, Ends, result
from .tools.flow import datagram
from ._xdp import (ABORTED, BYTES, DROP, EVERY, FAILED, KINDS, MARKED, PASS, PORT, REDIRECT, SINK,
                   TAPS, TX, UNKNOWN, Program, back, tap_drops)


def account(env, sent, seen, moved, dropped):
    """Every packet that was sent has gone one way, and the counters say which."""
    reached = sent["sent"] - sent["refused"] - dropped
    assert sum(seen[:6]) == reached, f"{reached} packets reached the program: {seen}"
    assert sent["back"] == seen[TX], f"{sent['back']} of {seen[TX]} came back"
    assert moved.get("rx_xdp_tx", 0) == seen[TX], f"{moved}"
    assert moved.get("rx_xdp_redirects", 0) == seen[REDIRECT], f"{moved}"
    gone = seen[ABORTED] + seen[DROP] + seen[UNKNOWN]
    assert moved.get("rx_xdp_drops", 0) == gone, f"{gone} packets dropped or aborted: {moved}"
    assert moved.get("rx_drop_xdp_aborted", 0) == seen[ABORTED] + seen[UNKNOWN], f"{moved}"
    # one packet, one counter: what failed is a drop, all else was received
    assert moved.get("rx_drops", 0) == seen[ABORTED] + seen[UNKNOWN], f"{moved}"
    assert moved["rx_xdp_packets"] >= reached, f"{moved}"
    others = moved["rx_xdp_packets"] - reached
    assert moved["rx_packets"] - others == reached - moved.get("rx_drops", 0), f"{moved}"


@test(profiles=TAPS, drivers=["vnet"], timeout=120, quick=True, moves=["rx_drop_xdp_aborted"])
def actions(env):
    "Every action by turns: each packet goes the way that the program says; settings come back."
    ends, before = Ends(env), settings(env)
    program = Program(env)
    try:
        program.veth()
        program.plan(*EVERY)
        program.attach()
        job = ends.guest_sink(PORT, 4)
        change, lost = Change(env), tap_drops(env)
        sent = back(env, 600)
        seen, passed = program.counts(), result(job)
        account(env, sent, seen, change.total(), tap_drops(env) - lost)
        assert passed["distinct"] == seen[PASS], f"{passed}, {seen}"
        assert seen[SINK] == seen[REDIRECT], f"{seen[SINK]} of {seen[REDIRECT]} reached the veth"
        assert not seen[FAILED], f"{seen}"
        program.detach()
        after = settings(env)
        assert before == after, f"after detaching: {differences(before, after)}"
    finally:
        program.close()
    ends.serve()
    ends.guest(f"get {env.host_ns.ip} 5300 1000000 ; put {env.host_ns.ip} 5300 1000000")


@test(profiles=KINDS, drivers=["vnet"], timeout=120)
def cpumap(env):
    "Redirect to another CPU: the packets arrive in the stack from there."
    if env.guest.run("nproc").out.strip() == "1":
        env.skip("this machine has one CPU")
    ends, program = Ends(env), Program(env)
    try:
        program.target(cpu=1)
        program.plan(REDIRECT, cpu=True)
        program.attach()
        job = ends.guest_sink(PORT, 3)
        sent = back(env, 300)
        assert result(job)["distinct"] == sent["sent"] - sent["refused"]
        program.detach()
    finally:
        program.close()


# (head, tail): positive head takes bytes off the front, positive tail adds some at the end
SHAPES = ((0, 0), (-2, 0), (-64, 0), (-216, 0), (8, 0), (7, 0), (0, -40), (0, 60), (-20, 20))


def check_shape(frame, head, tail, size):
    """A frame that came back has the bytes that were left of the datagram."""
    assert len(frame) == 42 + size - head + tail, \
        f"head {head}, tail {tail}: {len(frame)} bytes came back"
    want = (datagram(0, size) + bytes(max(tail, 0)))[:size + tail]
    have = frame[42 - head:]
    assert have[8:] == want[8:], f"head {head}, tail {tail}: contents differ"


@test(profiles=TAPS, drivers=["vnet"], timeout=120, moves=["rx_drop_xdp_aborted"])
def adjust(env):
    "bpf_xdp_adjust_head, _tail and _meta within 256 bytes of headroom; contents stay right."
    env.need_tap()
    size, program = 400, Program(env)
    try:
        program.attach()
        for head, tail in SHAPES:
            program.plan(TX, head=head, tail=tail)
            sent = back(env, 4, size, keep=1, quiet=0.3)
            seen = program.counts()
            assert seen[TX] == sent["back"] == 4, f"head {head}, tail {tail}: {sent}, {seen}"
            check_shape(bytes.fromhex(sent["frames"][0]), head, tail, size)
    finally:
        program.detach()
        program.close()


@test(profiles=KINDS, drivers=["vnet"], timeout=120, moves=["rx_drop_xdp_aborted"])
def metadata(env):
    "Metadata of a program reaches the stack; the whole headroom can be used and given back."
    ends, program = Ends(env), Program(env)
    tc = f"tc qdisc add dev {env.nic} clsact; tc filter add dev {env.nic} ingress bpf da pinned "
    try:
        env.guest.run(tc + f"{program.dir}/marked")
        program.attach()
        for options in ({"meta": 8}, {"meta": 32}, {"stretch": -216}):
            program.plan(PASS, **options)
            job = ends.guest_sink(PORT, 1)
            back(env, 50, quiet=0.3)
            seen, passed = program.counts(), result(job)
            assert not seen[FAILED] and seen[PASS] == passed["distinct"] == 50, f"{options}: {seen}"
            assert seen[MARKED] == (50 if "meta" in options else 0), f"{options}: {seen}"
    finally:
        env.guest.run(f"tc qdisc del dev {env.nic} clsact", check=False)
        program.detach()
        program.close()


@test(profiles=["modern-split", "packed", "small", "big", "legacy", "iommu", "no-indirect",
                "no-ctrl-vq", "mtu-jumbo"], drivers=["vnet"], timeout=180, quick=True,
      moves=["rx_drop_xdp_aborted"])
def jumbo(env):
    "Packets of several buffers with every action, at an MTU of 9000; contents right."
    env.host_ns.ip_cmd("link", "set", env.host_ns.taps[0], "mtu", "9000")
    env.guest.run(f"ip link set {env.nic} mtu 9000", timeout=60)
    ends, program = Ends(env), Program(env)
    try:
        program.veth()
        program.attach()
        for buffers in ("8192", "2048"):
            if env.guest.run(f"ethtool -G {env.nic} rx-buf-len {buffers}", check=False,
                             timeout=60).status and buffers == "2048":
                break
            several(env, ends, program)
        program.detach()
    finally:
        program.close()
        env.host_ns.ip_cmd("link", "set", env.host_ns.taps[0], "mtu",
                           "9000" if env.profile.name == "mtu-jumbo" else "1500")


def several(env, ends, program):
    """Every action on large packets, then with a shorter tail."""
    size = 8900
    program.plan(*EVERY)
    job = ends.guest_sink(PORT, 3)
    change, lost = Change(env), tap_drops(env)
    sent = back(env, 120, size, rate=300)
    seen, passed = program.counts(), result(job)
    account(env, sent, seen, change.total(), tap_drops(env) - lost)
    assert passed["distinct"] == seen[PASS], f"{passed}, {seen}"
    assert seen[SINK] == seen[REDIRECT], f"{seen}"
    assert seen[BYTES] == sum(seen[:6]) * (size + 42), f"{seen}: not the whole packets"
    for tail in (-1, -700, -5000, -8000):
        program.plan(TX, tail=tail)
        sent = back(env, 3, size, keep=1, quiet=0.3)
        assert sent["back"] == 3, f"tail {tail}: {sent}, {program.counts()}"
        check_shape(bytes.fromhex(sent["frames"][0]), 0, tail, size)
