# SPDX-License-Identifier: GPL-2.0
"""XDP with the programs that users run: xdp-tools, bpftool, DPDK's testpmd on AF_XDP."""

import json
import re

from lab.api import test

from ._data import Change, Ends, result
from ._xdp import PASS, PORT, TX, Program, back, host_mac, known, tap_drops

MODES = ["modern-split", "packed", "legacy", "big", "no-ctrl-vq"]


def unloadable(env, job):
    """Skip when a tool of the distribution cannot load its programs on this kernel at all."""
    done = job.poll()
    if done and done.status:
        text = done.out + done.err
        if "racepoint" in text or "xdp_sample" in text or "failed to load" in text.lower():
            env.skip(f"this tool does not load on Linux {env.kernel.name}: "
                     + text.strip().splitlines()[-1])
        raise AssertionError(str(done))


@test(profiles=MODES, drivers=["vnet"], timeout=120)
def xdp_loader(env):
    "Several programs on one interface by xdp-loader's dispatcher; one of them is taken away."
    ends, program = Ends(env), Program(env)
    try:
        program.plan(PASS)
        for _ in range(2):
            env.guest.run(f"xdp-loader load -m native -n plain {env.nic} /tmp/plan.o",
                          timeout=60)
        status = env.guest.run(f"xdp-loader status {env.nic}", timeout=60).out
        assert status.count("plain") == 2 and "native" in status, status
        job = ends.guest_sink(PORT, 1.5)
        back(env, 50, quiet=0.2)
        assert result(job)["distinct"] == 50
        # "=> PRIORITY NAME ID TAG ACTIONS"
        number = next(line.split()[3] for line in status.splitlines() if "plain" in line)
        env.guest.run(f"xdp-loader unload {env.nic} -i {number}", timeout=60)
        status = env.guest.run(f"xdp-loader status {env.nic}", timeout=60).out
        assert status.count("plain") == 1, status
        env.guest.run(f"xdp-loader unload -a {env.nic}", timeout=60)
        told = env.guest.run(f"xdp-loader features {env.nic}", timeout=60).out
        wrong = [line for line in told.splitlines() if line.split(":")[-1].strip() == "no"
                 and any(word in line for word in ("BASIC", "REDIRECT", "NDO_XMIT", "RX_SG"))]
        assert not wrong, told
    finally:
        env.guest.run(f"xdp-loader unload -a {env.nic}", check=False, timeout=60)
        program.close()


@test(profiles=MODES, drivers=["vnet"], timeout=120)
def xdp_filter(env):
    "xdp-filter keeps one port away, nothing else, and counts it."
    ends = Ends(env)
    env.guest.run(f"mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf; "
                  f"xdp-filter load -m native {env.nic}; xdp-filter port -m dst -p udp {PORT}",
                  timeout=60)
    try:
        job = ends.guest_sink(PORT, 1.5)
        change = Change(env)
        back(env, 60, quiet=0.2)
        assert result(job)["distinct"] == 0
        assert change.total()["rx_xdp_drops"] == 60, f"{change.total()}"
        env.guest.run(f"xdp-filter port -r -m dst -p udp {PORT}", timeout=60)
        job = ends.guest_sink(PORT, 1.5)
        back(env, 60, quiet=0.2)
        assert result(job)["distinct"] == 60
    finally:
        env.guest.run(f"xdp-filter unload {env.nic}", timeout=60)


@test(profiles=MODES, drivers=["vnet"], timeout=120)
def xdp_bench(env):
    "xdp-bench drop, pass and tx see what arrives."
    for verb, options in (("drop", "-p parse-ip"), ("tx", "-p swap-macs"), ("pass", "")):
        job = env.guest.start(f"exec timeout 30 xdp-bench {verb} {options} -m native {env.nic}")
        env.wait(lambda j=job: j.poll() or "xdp" in env.guest.run(
            f"ip -br link show {env.nic} | grep -o xdp; ip link show {env.nic} | grep -o prog/xdp; "
            "true").out, f"xdp-bench {verb} has not attached", timeout=30)
        unloadable(env, job)
        change, lost = Change(env), tap_drops(env)
        with known(env):
            sent = back(env, 60, quiet=0.5)
        env.wait(lambda c=change, n=lost: c()["rx_xdp_packets"] + tap_drops(env) - n >= 60,
                 f"{verb} has not seen 60 packets")
        moved = change.total()
        job.kill("INT")
        job.wait(30)
        if verb == "drop":
            assert moved["rx_xdp_drops"] >= 60, f"{verb}: {moved}"
        if verb == "tx":
            assert sent["back"] == 60 and moved["rx_xdp_tx"] >= 60, f"{verb}: {sent}, {moved}"


@test(profiles=["modern-split", "packed", "legacy", "small"], drivers=["vnet"], timeout=120)
def xdp_trafficgen(env):
    "xdp-trafficgen sends through a device that has no program."
    mac, change = host_mac(env), Change(env)
    job = env.guest.start(f"exec timeout 40 xdp-trafficgen udp -n 2000 -p {PORT} -m {mac} "
                          f"-I 1 {env.nic}")

    def sent():
        moved = change.total()
        return moved.get("tx_xdp_tx", 0) + moved.get("tx_xdp_tx_drops", 0)

    env.wait(lambda: job.poll() or sent() >= 2000, "2000 packets were not sent", timeout=50)
    # Some versions end by themselves, with a status that says nothing.
    if sent() < 2000:
        unloadable(env, job)
    job.kill("INT")
    job.wait(30)
    assert sent() >= 2000 and change.total()["tx_xdp_tx"] > 0, f"{change.total()}"
    env.ping(env.host_ns.ip)


def pair(env):
    """Both NICs up in one name space, each answering for its own address; the second one."""
    other = env.guest.interface(env.guest.macs[1])
    env.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__arp_ignore=1)
    env.guest.run(f"ip addr add {env.ip}/24 dev {env.nic}; ip link set {env.nic} up; "
                  f"ip addr add 10.98.0.1/24 dev {other}; ip link set {other} up; "
                  "mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf")
    env.wait_carrier()
    return other


def redirected(env, change, there, count):
    """All packets went from one NIC to the other."""
    try:
        env.wait(lambda: there.total().get("tx_xdp_tx", 0) >= count, "not all were redirected")
    except AssertionError as error:
        raise AssertionError(f"{error}: {change.total()}, {there.total()}") from None
    moved, out = change.total(), there.total()
    assert moved["rx_xdp_redirects"] == out["tx_xdp_tx"] >= count, (moved, out)
    assert not moved.get("rx_drops"), moved


@test(profiles=["two-nics"], drivers=["vnet"], timeout=120, up=False)
def xdp_forward(env):
    "xdp-forward routes from one NIC to the other."
    other, ns = pair(env), env.host_ns
    env.guest.run(f"ip neigh replace 10.98.0.2 lladdr {host_mac(env)} dev {other}; "
                  f"xdp-forward load -m native {env.nic} {other}", timeout=60)
    try:
        ns.run(f"ip route add 10.98.0.0/24 via {env.ip}")
        change, there = Change(env), Change(env, other)
        ns.run(f"python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
               f"[s.sendto(bytes(100), ('10.98.0.2', {PORT})) for _ in range(100)]\"")
        redirected(env, change, there, 100)
    finally:
        ns.run("ip route del 10.98.0.0/24", check=False)
        env.guest.run(f"xdp-forward unload {env.nic} {other}", timeout=60)


@test(profiles=["two-nics"], drivers=["vnet"], timeout=120, up=False)
def xdp_bench_redirect(env):
    "xdp-bench redirect sends all that comes to the other NIC, which has no program."
    other = pair(env)
    job = env.guest.start(f"exec timeout 60 xdp-bench redirect -m native {env.nic} {other}")
    env.wait(lambda: job.poll() or "prog/xdp" in env.guest.run(f"ip link show {env.nic}").out,
             "xdp-bench redirect has not attached", timeout=30)
    unloadable(env, job)
    change, there = Change(env), Change(env, other)
    # It exchanges the addresses: the bridge must not look for the first NIC at the second.
    port = f"bridge link set dev {env.host_ns.taps[1]} learning"
    env.host_ns.run(f"{port} off")
    try:
        with known(env):
            back(env, 100, quiet=0.5)
        redirected(env, change, there, 100)
    finally:
        env.host_ns.run(f"{port} on")
    job.kill("INT")
    job.wait(30)


@test(profiles=["modern-split", "packed"], drivers=["vnet"], timeout=120)
def xdpdump(env):
    "xdpdump shows packets before and after the program; bpftool net shows the program."
    program = Program(env)
    try:
        program.plan(TX)
        program.attach(program="plain")
        shown = json.loads(env.guest.run("bpftool -j net").out)
        assert any(entry.get("devname") == env.nic and entry.get("mode") == "driver"
                   for entry in shown[0]["xdp"]), f"{shown}"
        job = env.guest.start(f"exec timeout -s INT 12 xdpdump -i {env.nic} "
                              "--rx-capture entry,exit -w /tmp/x.pcap")
        env.wait(lambda: job.poll() or
                 not env.guest.run("test -s /tmp/x.pcap", check=False).status,
                 "xdpdump has not started", timeout=30)
        unloadable(env, job)
        back(env, 30, quiet=0.3)
        job.wait(60)
        lines = env.guest.run(f"tcpdump -nr /tmp/x.pcap udp port {PORT} 2> /dev/null | wc -l").out
        assert int(lines) >= 60, f"{lines} packets of 30 seen twice"
        program.detach()
    finally:
        program.close()


@test(profiles=["modern-split", "packed", "legacy", "small", "big", "iommu"], drivers=["vnet"],
      timeout=240)
def dpdk(env):
    "testpmd on DPDK's AF_XDP driver sends back what it receives: all packets, by zero copy."
    if env.guest.run("command -v dpdk-testpmd", check=False).status:
        env.skip("the guest root has no dpdk-testpmd: lab/layers/xdp could not be installed")
    log = "/tmp/testpmd.log"
    env.guest.run("mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf")
    job = env.guest.start(
        "exec dpdk-testpmd --no-huge -m 256 --no-pci --no-telemetry --no-shconf -l 0,1 "
        f"--vdev net_af_xdp0,iface={env.nic} -- --forward-mode=macswap --total-num-mbufs=8192 "
        f"--auto-start --stats-period=1 > {log} 2>&1 < /dev/null")
    env.wait(lambda: job.poll() or not env.guest.run(
        f"grep -q 'NIC statistics' {log}", check=False).status, "testpmd does not start", 90)
    assert not job.poll(), env.guest.run(f"tail -n 30 {log}").out
    change = Change(env)
    with known(env):
        sent = back(env, 1000, rate=500)
    moved = change.total()
    job.kill("INT")
    job.wait(60)
    text = env.guest.run(f"cat {log}").out
    received, transmitted = (int(re.findall(way + r"-packets: (\d+)", text)[-1])
                             for way in ("RX", "TX"))
    assert sent["back"] == sent["sent"] - sent["refused"] == 1000, (sent, moved, text[-1500:])
    assert received >= 1000 and transmitted == received, text[-1500:]
    assert moved["tx_xsk_packets"] >= 1000 and moved["rx_xdp_redirects"] >= 1000, moved
    env.ping(env.host_ns.ip)
