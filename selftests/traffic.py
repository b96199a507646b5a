# SPDX-License-Identifier: GPL-2.0
"""Packets cross: ping, DHCP, TCP both ways, UDP both ways."""

import json

from lab.api import test
from lab.net import HOST_NAME

SIZES = (0, 1, 18, 56, 1000, 1400)


@test()
def ping(env):
    "The far side answers pings of every size, over IPv4 and IPv6."
    sizes = SIZES + ((1472, 8000, 40000) if env.tap else ())
    env.ping(count=2, sizes=sizes)
    if env.tap:
        env.ping(env.host_ns.ip6, count=2, sizes=(1400,))
        env.ping(env.ip, count=5, run=env.host_ns.run)


@test(up=False)
def dhcp(env):
    "A lease is granted, and the name of the host's side resolves."
    if env.tap:
        env.host_ns.serve_dhcp()
    else:
        env.host_ns.serve_dns()
    env.guest.run(f"ip link set {env.nic} up")
    env.wait_carrier()
    out = env.guest.run(f"busybox udhcpc -n -q -f -t 5 -i {env.nic} "
                        "-s /etc/udhcpc/default.script 2>&1", timeout=60).out
    assert "obtained" in out, out
    address = env.guest.run(f"ip -4 -br addr show {env.nic}").out
    assert ("10.99.0.1" if env.tap else "10.0.2.") in address, address
    found = env.guest.run(f"getent ahostsv4 {HOST_NAME}", timeout=60).out
    assert env.gateway in found, found


def transfer(env, size, up):
    """Send random bytes over TCP and compare what arrives."""
    port = 5100
    make = f"head -c {size} /dev/urandom > /tmp/{env.host_ns.name}.bin"
    if up:
        env.guest.run(make.replace(env.host_ns.name, "data"))
        want = env.guest.run("sha256sum < /tmp/data.bin").out
        env.host_ns.serve(f"socat -u TCP-LISTEN:{port} "
                          f"OPEN:/tmp/{env.host_ns.name}.bin,creat,trunc", port)
        env.guest.run(f"socat -u OPEN:/tmp/data.bin TCP:{env.gateway}:{port}", timeout=60)
        have = env.wait(lambda: (lambda have: have if have == want else None)(
            env.host_ns.run(f"sha256sum < /tmp/{env.host_ns.name}.bin").out),
            "what arrived differs from what was sent")
    else:
        env.host_ns.run(make)
        want = env.host_ns.run(f"sha256sum < /tmp/{env.host_ns.name}.bin").out
        env.host_ns.serve(f"socat -u OPEN:/tmp/{env.host_ns.name}.bin TCP-LISTEN:{port}", port)
        have = env.guest.run(f"socat -u TCP:{env.gateway}:{port} - | sha256sum", timeout=60).out
    assert have == want, "what arrived differs from what was sent"


@test()
def tcp_send(env):
    "4 MiB over TCP to the far side arrive unchanged."
    transfer(env, 4 << 20, up=True)


@test()
def tcp_receive(env):
    "4 MiB over TCP from the far side arrive unchanged."
    transfer(env, 4 << 20, up=False)


def excuses(env):
    """Datagrams lost where the driver has no part: full sockets, and the tap of a busy guest."""
    read = "nstat -asz UdpRcvbufErrors | awk 'END {print $2}'"
    found = int(env.guest.run(read).out) + int(env.host_ns.run(read).out)
    for tap in env.host_ns.taps:
        link = json.loads(env.host_ns.run(f"ip -j -s link show {tap}").out)[0]
        found += link["stats64"]["tx"]["dropped"]
    return found


@test()
def udp(env):
    "UDP both ways: datagrams of many sizes come back unchanged, a stream arrives."
    sizes = (1, 17, 64, 500, 1400) + ((1472, 9000) if env.tap else ())
    env.host_ns.serve("socat -b 65536 UDP4-RECVFROM:5101,fork EXEC:cat", 5101, "udp")
    env.guest.put(ECHO.encode(), "/tmp/echo.py")
    env.guest.run(f"python3 /tmp/echo.py {env.gateway} 5101 {' '.join(map(str, sizes))}")
    for reverse in ("", "-R") if env.tap else ("",):
        env.host_ns.stop_daemons()
        env.host_ns.serve("iperf3 -s -1", 5201)
        before = excuses(env)
        out = env.guest.run(f"iperf3 -J -u -b 5M -l 1200 -t 1 -c {env.gateway} {reverse}",
                            timeout=60).out
        total = json.loads(out)["end"]["sum"]
        assert total["packets"] > 20, f"{total['packets']} packets {reverse}"
        lost, excused = total["lost_packets"], excuses(env) - before
        if not env.tap:     # QEMU's network drops what its socket does not take, and is silent
            excused += total["packets"] // 20
        assert lost <= excused, \
            f"{lost} of {total['packets']} lost {reverse}, {excused} accounted for"


ECHO = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(15)
s.connect((sys.argv[1], int(sys.argv[2])))
for size in map(int, sys.argv[3:]):
    data = os.urandom(size)
    s.send(data)
    try:
        back = s.recv(65536)
    except TimeoutError:
        sys.exit(f"no answer to a datagram of {size} bytes")
    if back != data:
        sys.exit(f"a datagram of {size} bytes came back changed")
"""


@test(profiles=["two-nics"])
def two_nics(env):
    "The two NICs of one guest reach each other, TCP both ways."
    env.ping(env.peer.ip)
    env.ping(env.ip6, run=env.peer.run)
    server = env.peer.start("iperf3 -s")
    env.wait(lambda: env.peer.run("ss -H -n -l -t sport = :5201").out.strip(),
             "iperf3 does not listen")
    for reverse in ("", "-R"):
        out = env.guest.run(f"iperf3 -J -n 4M -c {env.peer.ip} {reverse}", timeout=60).out
        assert json.loads(out)["end"]["sum_received"]["bytes"] >= 4 << 20, out
    server.kill()
