# SPDX-License-Identifier: GPL-2.0
"""Checksums and segmentation, both ways: what arrives is right, and who did the work."""

from lab.api import test

from ._data import PORT, TOOLS, Change, Ends, feature, netdev, result
from .device import packet

MODES = ("modern-split", "packed", "legacy", "big", "mmio", "iommu", "no-indirect", "hash",
         "no-ctrl-vq")
SMALL = ("small", "legacy-small", "no-offloads")
MIB = 1 << 20


def check_clean(change):
    """No packet was dropped for what its header said, none by transmit."""
    bad = {name: n for name, n in change.total().items()
           if "drop" in name or name in ("tx_busy", "rx_alloc_fail")}
    assert not bad, f"{bad}"


@test(profiles=MODES + SMALL, drivers=["vnet"])
def tcp_segments(env):
    "TSO over IPv4 and IPv6: the device cuts what the guest sends and joins what it receives."
    ends = Ends(env)
    ends.serve()
    for address in (env.host_ns.ip, env.host_ns.ip6):
        change = Change(env)
        ends.guest(f"put {address} {PORT} {3 * MIB} ; get {address} {PORT} {3 * MIB}")
        moved = change.total()
        if env.profile.name in ("no-offloads",):
            assert not moved.get("tx_gso_packets"), f"{moved}"
        else:
            packets = moved.get("tx_gso_packets", 0)
            assert packets and moved["tx_gso_wire_packets"] > 2 * packets, f"{moved}"
            assert moved["tx_gso_wire_bytes"] > moved["tx_gso_bytes"] > 2 * MIB, f"{moved}"
        if env.profile.name in SMALL:
            assert not moved.get("rx_gro_packets"), f"{moved}"
        else:
            packets = moved.get("rx_gro_packets", 0)
            assert packets and moved["rx_gro_wire_packets"] > 2 * packets, f"{moved}"
            assert moved["rx_gro_wire_bytes"] > moved["rx_gro_bytes"], f"{moved}"
        check_clean(change)


@test(profiles=["modern-split", "packed", "big"], drivers=["vnet"])
def tso_off(env):
    "With TSO off the guest cuts; the bytes are the same."
    ends = Ends(env)
    ends.serve()
    env.guest.run(f"ethtool -K {env.nic} tso off")
    change = Change(env)
    ends.guest(f"put {env.host_ns.ip} {PORT} {MIB}")
    assert not change.total().get("tx_gso_packets"), f"{change.total()}"
    env.guest.run(f"ethtool -K {env.nic} tso on")
    ends.guest(f"put {env.host_ns.ip} {PORT} {MIB}")
    assert change.total().get("tx_gso_packets"), f"{change.total()}"


@test(profiles=["modern-split", "packed", "legacy", "big"], drivers=["vnet"])
def ecn(env):
    "Segmentation with ECN: congestion is marked in both directions, nothing is lost."
    ends = Ends(env)
    ends.serve()
    env.sysctl(env.host_ns.run, net__ipv4__tcp_ecn=1)
    env.sysctl(net__ipv4__tcp_ecn=1)
    env.guest.put(NFT_CE.encode(), "/tmp/ce.nft")
    env.guest.run("nft -f /tmp/ce.nft")
    change = Change(env)
    try:
        for address in (env.host_ns.ip, env.host_ns.ip6):
            ends.guest(f"put {address} {PORT} {MIB} ; get {address} {PORT} {MIB}")
        marked = env.guest.run("nft list table inet ce").out
        seen = [int(line.split("packets ")[1].split()[0]) for line in marked.splitlines()
                if "packets" in line]
    finally:
        env.guest.run("nft delete table inet ce")
    assert len(seen) == 4 and all(seen), f"packets marked: {seen}"
    check_clean(change)


# Every 7th data packet that is ECN capable meets congestion; CWR is counted both ways.
NFT_CE = """
table inet ce {
    chain out {
        type filter hook output priority 0
        tcp flags & cwr == cwr tcp flags & syn == 0 counter
        ip ecn { ect0, ect1 } numgen inc mod 7 == 0 ip ecn set ce counter
        ip6 ecn { ect0, ect1 } numgen inc mod 7 == 0 ip6 ecn set ce
    }
    chain in {
        type filter hook input priority 0
        tcp flags & cwr == cwr tcp flags & syn == 0 counter
        ip ecn { ect0, ect1 } numgen inc mod 7 == 0 ip ecn set ce counter
        ip6 ecn { ect0, ect1 } numgen inc mod 7 == 0 ip6 ecn set ce
    }
}
"""


@test(profiles=["modern-split", "packed", "mmio", "no-indirect"], drivers=["vnet"])
def udp_segments(env):
    "USO over IPv4 and IPv6 both ways: every datagram arrives as it was sent."
    ends = Ends(env)
    assert feature(env, "tx-udp-segmentation"), "the device does not segment UDP"
    for number, address in enumerate((env.ip, env.ip6)):
        far = (env.host_ns.ip, env.host_ns.ip6)[number]
        change = Change(env)
        job = ends.host_sink(PORT + 10 + number)
        ends.guest(f"send {far} {PORT + 10 + number} 400 20000 --gso 1000 --rate 4000")
        got = result(job)
        assert got["distinct"] == got["datagrams"] == 400, f"{got}"
        moved = change.total()
        assert moved.get("tx_gso_packets") == 20 and moved["tx_gso_wire_packets"] == 400, f"{moved}"
        job = ends.guest_sink(PORT + 20 + number)
        ends.host(f"send {address} {PORT + 20 + number} 400 20000 --gso 1000 --rate 4000")
        got = result(job)
        assert got["distinct"] == got["datagrams"] == 400, f"{got}"
        assert change.total().get("rx_gro_packets") == 20, f"{change.total()}"
        check_clean(change)


# QEMU without vhost leaves the offsets of the tunnel's headers zero: vnet finds them.
@test(profiles=["two-tunnels"], drivers=["vnet"], kernel_min=(6, 17))
def tunnel_segments(env):
    "TCP in VXLAN and Geneve, with and without outer checksum: segmented by the devices."
    guest, peer = env.guest, env.peer
    guest.put(TOOLS / "flow.py", "/tmp/flow.py")
    job = peer.start(f"exec python3 /tmp/flow.py serve {PORT}")
    env.wait(lambda: peer.run(f"ss -H -n -l -t sport = :{PORT}").out, "the server does not listen")
    for name, link in TUNNELS.items():
        for (where, own, far, inner) in (("", env.ip, env.peer.ip, 1),
                                         ("-n peer", env.peer.ip, env.ip, 2)):
            guest.run(f"ip {where} link add tun0 type " + link.format(own=own, far=far) +
                      f"; ip {where} addr add 10.98.0.{inner}/24 dev tun0; "
                      f"ip {where} link set tun0 up")
        sent, got = Change(env), Change(env, env.peer.nic, env.peer.run)
        guest.run(f"python3 /tmp/flow.py put 10.98.0.2 {PORT} {2 * MIB} ';' "
                  f"get 10.98.0.2 {PORT} {2 * MIB}", timeout=60)
        for way, change in (("sender", sent), ("receiver", got)):
            moved = change.total()
            assert moved.get("tx_gso_packets", 0) > 10, f"{name}, {way}: {moved}"
            assert moved.get("rx_gro_packets", 0) > 10, f"{name}, {way}: {moved}"
            check_clean(change)
        guest.run("ip link delete tun0; ip -n peer link delete tun0")
    job.kill()


TUNNELS = {
    "vxlan": "vxlan id 7 dstport 4789 local {own} remote {far} noudpcsum",
    "vxlan with checksum": "vxlan id 7 dstport 4789 local {own} remote {far} udpcsum",
    "geneve": "geneve id 7 remote {far} noudpcsum",
    "geneve with checksum": "geneve id 7 remote {far} udpcsum",
}


@test(profiles=["modern-split", "packed", "small", "big", "legacy"], drivers=["vnet"])
def transmit_checksum(env):
    "Checksums are left to the device, or written by the guest when it is told to."
    ends = Ends(env)
    ends.serve()
    for state, counter, other in (("on", "tx_needs_csum", "tx_csum_none"),
                                  ("off", "tx_csum_none", "tx_needs_csum")):
        env.guest.run(f"ethtool -K {env.nic} tx {state}")
        change = Change(env)
        ends.guest(f"sizes {env.host_ns.ip} {PORT} 8-40 ; sizes {env.host_ns.ip6} {PORT} 8-40")
        moved = change.total()
        assert moved.get(counter, 0) >= 66, f"tx {state}: {moved}"
        assert moved.get(other, 0) <= 12, f"tx {state}: {moved}"


def udp_errors(env):
    lines = env.guest.run("grep ^Udp: /proc/net/snmp").out.splitlines()
    values = dict(zip(lines[0].split()[1:], map(int, lines[1].split()[1:])))
    return values["InCsumErrors"], values["InDatagrams"]


def bad_udp(env, port):
    """A UDP frame for the guest whose checksum is wrong; without one, right."""
    host = bytes.fromhex("060000000000")
    frame = packet.udp_frame(bytes.fromhex(env.mac.replace(":", "")), host, env.ip,
                             env.gateway, port, 9, b"not what it was")
    return frame[:-1] + b"?", frame


@test(profiles=["modern-split", "packed", "small", "big", "legacy"], drivers=["vnet"])
def receive_checksum(env):
    "A wrong checksum is found by the stack, with RXCSUM on and off, and RXCSUM can be switched."
    env.need_tap()
    wrong, right = bad_udp(env, 7)
    send = ("import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); "
            f"s.bind(('{env.host_ns.device}', 0)); "
            "[s.send(bytes.fromhex(f)) for f in ({frames})]")
    job = env.guest.start("exec socat -u UDP4-RECV:7 /dev/null")
    env.wait(lambda: env.guest.run("ss -H -n -l -u sport = :7").out, "socat does not listen")
    for state in ("off", "on"):
        env.guest.run(f"ethtool -K {env.nic} rx {state}")
        assert feature(env, "rx-checksumming") == (state == "on")
        errors, taken = udp_errors(env)
        frames = ",".join([f"'{wrong.hex()}'"] * 5 + [f"'{right.hex()}'"] * 5)
        env.host_ns.run('python3 -c "' + send.format(frames=frames) + '"')
        env.wait(lambda e=errors, t=taken: udp_errors(env) == (e + 5, t + 5),
                 f"rx {state}: {errors}, {taken} became {udp_errors(env)}", 5)
    job.kill()


@test(profiles=["modern-split", "packed", "legacy", "big", "no-ctrl-vq", "mq", "hash"],
      drivers=["vnet"], timeout=120)
def gro_hw(env):
    "The device's merging is switched at run time, with traffic before, between and after."
    ends = Ends(env)
    ends.serve()
    for state in ("on", "off", "on"):
        env.guest.run(f"ethtool -K {env.nic} rx-gro-hw {state}")
        env.wait_carrier()
        assert feature(env, "rx-gro-hw") == (state == "on"), f"rx-gro-hw is not {state}"
        change = Change(env)
        ends.guest(f"get {env.host_ns.ip} {PORT} {2 * MIB}")
        merged = change.total().get("rx_gro_packets", 0)
        assert bool(merged) == (state == "on"), f"rx-gro-hw {state}: {change.total()}"
        check_clean(change)


@test(profiles=["modern-split", "no-ctrl-vq"], drivers=["vnet"], timeout=120)
def gro_hw_under_load(env):
    "A TCP stream lives through switching of GRO_HW and RXCSUM."
    ends = Ends(env)
    ends.serve()
    job = ends.guest_start(f"get {env.host_ns.ip} {PORT} {48 * MIB}")
    for turn in range(env.rounds(full=20, quick=4)):
        state = ("off", "on")[turn % 2]
        env.guest.run(f"ethtool -K {env.nic} rx-gro-hw {state}; ethtool -K {env.nic} rx {state}")
    done = job.wait(90)
    assert not done.status, str(done)


# IPv4 packets that the driver gives to the stack with a hash.
HASHED = """
cd /sys/kernel/tracing || exit
echo 1 > events/net/napi_gro_receive_entry/enable
: > trace
ping -q -c 5 -i 0.02 -w 10 {gateway} > /dev/null
grep 'dev={nic} .*protocol=0x0800' trace | grep -vc ' hash=0x00000000 '
echo 0 > events/net/napi_gro_receive_entry/enable
"""


@test(profiles=["hash"], drivers=["vnet"])
def receive_hash(env):
    "The hash that the device has written is the packet's; switched off there is none."
    for state in ("on", "off"):
        env.guest.run(f"ethtool -K {env.nic} rxhash {state}")
        out = env.guest.run(HASHED.format(gateway=env.gateway, nic=env.nic)).out
        least, most = (5, 99) if state == "on" else (0, 0)
        assert least <= int(out) <= most, f"rxhash {state}: {out.strip()} of 5 have a hash"


@test(profiles=["modern-split", "legacy", "big"], drivers=["vnet"])
def qstats_agree(env):
    "What netlink counts of segmentation is what ethtool counts."
    ends = Ends(env)
    ends.serve()
    ends.guest(f"put {env.host_ns.ip} {PORT} {MIB} ; get {env.host_ns.ip} {PORT} {MIB}")
    change = Change(env)
    told, table = netdev(env)["qstats"], change.before
    for here, there in (("tx-hw-gso-packets", "tx_gso_packets"),
                        ("tx-hw-gso-wire-packets", "tx_gso_wire_packets"),
                        ("rx-hw-gro-packets", "rx_gro_packets"),
                        ("tx-needs-csum", "tx_needs_csum")):
        assert 0 < told[here] <= table[there] + 20 and table[there] <= told[here] + 20, \
            f"{here} is {told[here]} and {there} is {table[there]}"


UFO_RECEIVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", {port})); sock.settimeout(20)
print("ready", flush=True)
data = sock.recv(1 << 16)
print(len(data), data == bytes(i & 255 for i in range({size})))
"""


@test(profiles=["scripted"], drivers=["vnet"])
def udp_fragments(env):
    "UFO: a datagram that the host did not fragment arrives as one, in every receive mode."
    size, port = 8000, PORT + 30
    data = packet.udp_frame(bytes.fromhex(env.mac.replace(":", "")), bytes.fromhex("525400766efe"),
                            "10.0.2.15", "10.0.2.2", port, 7, bytes(i & 255 for i in range(size)))
    hdr = {"flags": 1, "gso_type": 3, "gso_size": 1480, "hdr_len": 42, "csum_start": 34,
           "csum_offset": 6}
    for features in (["default", "MQ", "GUEST_UFO"], ["default", "MQ", "GUEST_UFO", "RING_PACKED"],
                     ["default", "MQ", "GUEST_UFO", "-MRG_RXBUF"]):
        env.device.call("offer", features=features)
        env.unbind()
        env.bind()
        env.configure()
        change = Change(env)
        job = env.guest.start(f"exec python3 -c '{UFO_RECEIVER.format(port=port, size=size)}'")
        env.wait(lambda: env.guest.run(f"ss -H -n -l -u sport = :{port}").out, "no receiver")
        env.device.inject(data, hdr=hdr, **({"buffers": 6} if "-MRG_RXBUF" not in features else {}))
        done = job.wait(30)
        assert f"{size} True" in done.out, f"{features}: {done.out}, {change.total()}"
        assert change.total().get("rx_gro_packets") == 1, f"{features}: {change.total()}"
