# SPDX-License-Identifier: GPL-2.0
"""A hostile device: the catalogue of attacks, each a test under the one oracle of _hostile.py.

The letters are those of the catalogue: A receive rings, B receive headers, C transmit
rings, D control queue, E configuration and features, F life cycle. What virtio_net
makes of the same cases is in docs/hostile.rst (selftests/tools/hostile_table.py).
"""

import os
import random
import struct
import time

from lab.api import test

from ._hostile import FAR, FORGED, LOCKED, OWN, PEER_MAC, Attack, Case
from ._xdp import PASS, Program
from .device import packet
from .xsk_zc import Client

CASES = []


def case(name, text, **fields):
    """Make a function of an Attack a case."""
    def register(deed):
        CASES.append(Case(name, text, deed, **fields))
        return deed
    return register


def each(prefix, values, **fields):
    """One case per value of a deed with a second argument; text is formatted with it."""
    def register(deed):
        text = fields.pop("text")
        for key, value in values.items():
            more = {k: v(value) if callable(v) else v for k, v in fields.items()}
            CASES.append(Case(f"{prefix}_{key}", text.format(key),
                              lambda a, v=value: deed(a, v), **more))
        return deed
    return register


# ---- A: receive rings -----------------------------------------------------------

LENGTHS = (0, 1, 11, 12, 25)
CVE_LENGTH = {"mergeable": "2021-47352", "small": "2021-47352", "big": "2026-64552",
              "packed": "2021-47352"}

for _mode in ("mergeable", "small", "big", "packed"):
    @case(f"A1_used_len_{_mode}", f"impossible used lengths ({_mode} buffers)", mode=_mode,
          cve=CVE_LENGTH[_mode], quick=_mode == "mergeable", exact=False)
    def used_len(a):
        room = a.room()
        for length in (*LENGTHS, *range(room + 1, room + 21), 1 << 20, 0x7fffffff, 0xffffffff):
            a.inject(used_len=length)
            a.inject()


@case("A1_used_len_mtu_buffers", "used lengths above buffers sized by the MTU", mode="mergeable",
      features=("-MRG_RXBUF", "-GUEST_TSO4", "-GUEST_TSO6", "-GUEST_UFO"), config={"mtu": 9000},
      cve="2025-40292", exact=False)
def used_len_mtu(a):
    used_len(a)


@case("A1_used_len_follower", "used lengths of a second buffer, also where a program would have "
      "them in one piece", cve="2025-38375", exact=False)
def used_len_follower(a):
    program = Program(a.env)
    program.plan(PASS)
    for name in (None, "plain", "frags"):
        if name:
            program.attach(program=name)
        for length in (0, 1, 4097, 65536, 1 << 20, 0xffffffff):
            a.inject(used_len=[None, length], buffers=2)
            a.inject()
        if name:
            program.detach()
    program.close()


@case("A1_used_len_xsk", "used lengths above the frames of an AF_XDP socket", cve="2025-38413",
      exact=False)
def used_len_xsk(a):
    client = Client(a.env)
    used_len(a)
    client.stop()


@each("A2_num_buffers", {str(n): n for n in (0, 2, 17, 18, 19, 64, 65535)},
      text="a packet that claims {} buffers and has one", exact=False)
def num_buffers(a, number):
    for _ in range(4):
        a.inject(hdr={"num_buffers": number})
        a.wait(0.1)


for _mode in ("mergeable", "packed"):
    @case(f"A3_used_id_wild_{_mode}", f"a used id out of range ({_mode})", mode=_mode, exact=False,
          quick=_mode == "mergeable")
    def id_wild(a):
        a.inject(ids=[60000])

    @case(f"A3_used_id_never_{_mode}", f"a used id that was never given ({_mode})", mode=_mode,
          exact=False)
    def id_never(a):
        a.device.call("ring", queue="tx0", action="used", id=255, len=0, slots=1)
        a.inject(ids=[255])

    @case(f"A3_used_twice_{_mode}", f"a receive buffer is completed twice ({_mode})", mode=_mode,
          exact=False)
    def used_twice(a):
        held = a.device.call("ring-state", queue="rx0")["buffers"]
        ident = held[0]["id"] if held else 0
        for _ in range(2):
            a.device.call("ring", queue="rx0", action="used", id=ident, len=60, slots=1)


@each("A3_used_index", {"ahead": 300, "far_ahead": 30000, "back": -2},
      text="the used index jumps ({})", exact=False)
def used_index(a, delta):
    a.device.call("ring", queue="rx0", action="used-index", delta=delta)


def rewrite(a, **fields):
    """Rewrite descriptors of packets that the device holds, then let it give them back."""
    a.device.fault(queue="tx0", action="hold")
    a.wait(0.5)
    held = a.device.wait(lambda: a.device.call("ring-state", queue="tx0")["buffers"], 5,
                         "a packet that the device holds")
    for entry in held:
        a.device.call("ring", queue="tx0", action="descriptor", index=entry["id"], fields=fields,
                      interrupt=False)
    a.device.clear()
    a.device.release("tx0")


@case("A4_descriptors_split", "addresses, lengths and links of descriptors are rewritten (split)",
      exact=False)
def descriptors(a):
    rewrite(a, addr=0xdead000, len=0xffffffff, next=0xffff)


@case("A4_descriptors_packed", "all of the descriptors is rewritten (packed)", mode="packed",
      exact=False)
def descriptors_packed(a):
    rewrite(a, addr=0xdead000, len=0xffffffff, flags=0xffff, id=0xffff)


@case("A4_flags_split", "flags of descriptors are rewritten (split)", exact=False)
def flags(a):
    rewrite(a, flags=0xffff)


@case("A5_no_interrupt", "received packets without an interrupt")
def no_interrupt(a):
    a.device.fault(queue="rx0", action="no-interrupt")
    for _ in range(20):
        a.inject()
    a.wait(3)


@each("A5_storm", {"rx": {"queue": "rx0"}, "tx": {"queue": "tx0"}, "config": {"config": True},
                   "idle_queue": {"queue": "rx3"}},
      text="a storm of interrupts for nothing ({})")
def storm(a, target):
    a.device.call("storm", what={"op": "interrupt", **target}, rate=4000, seconds=2)
    a.wait(2.5)


@case("A5_interrupt_early", "interrupts before DRIVER_OK and after a reset", bind=True, quick=True)
def interrupt_early(a):
    shots = [{"op": "interrupt", "vector": v} for v in range(6)]
    for status in (3, 11, 15):
        a.device.when({"kind": "status", "value": status}, *shots)
    a.device.when({"kind": "queue"}, *shots, count=3)
    a.device.when({"kind": "reset"}, *shots)


@case("A5_interrupt_removed", "interrupts go on for a second after the driver is gone")
def interrupt_removed(a):
    for vector in range(6):
        a.device.call("storm", what={"op": "interrupt", "vector": vector}, rate=500, seconds=3)
    a.quiet()
    a.unbind()
    a.wait(1.5)
    a.env.bind()
    a.env.configure()
    a.before = None
    a.forgive()


@case("A6_header_changes", "headers are rewritten while the driver reads them", exact=False)
def header_changes(a):
    for number in range(100):
        a.inject(rewrite={"seconds": 0, "hdr": {"num_buffers": number % 4, "flags": number & 15,
                                                "gso_type": number & 255}})


@case("A7_in_order", "completions out of order though IN_ORDER was negotiated", mode="in-order",
      exact=False)
def in_order(a):
    held = a.device.call("ring-state", queue="rx0")["buffers"]
    for entry in held[3:9:2]:
        a.device.call("ring", queue="rx0", action="used", id=entry["id"], len=60, slots=1)
    a.inject(ids=[17])


# ---- B: receive headers ---------------------------------------------------------

EDGE = (0, 1, 13, 14, 33, 34, 54, 199, 200, 65534, 65535)


def tcp_frame(a, to, size, words=5):
    """A TCP segment of so many bytes in all, with a header of so many words."""
    head = struct.pack(">HHIIBBHHH", 9, 9, 1, 1, words << 4, 0x10, 1000, 0, 0)
    data = head.ljust(4 * words, b"\1") + bytes(size - 34 - 4 * words)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0x4000, 64, 6, 0,
                     packet.packed_address(FAR), packet.packed_address(to))
    ip = ip[:10] + struct.pack(">H", packet.checksum(ip)) + ip[12:]
    return bytes.fromhex(a.env.mac.replace(":", "")) + PEER_MAC + b"\x08\0" + ip + data


def udp(a, to, size):
    mac = bytes.fromhex(a.env.mac.replace(":", ""))
    return packet.udp_frame(mac, PEER_MAC, to, FAR, 9, 7, bytes(size - 42))


# What the number is about: the frames, and their headers.
CVE_HEADERS = {
    "2023-53439": ("the checksum begins where the transport header counts as not set", udp,
                   (65549,), [{"flags": 1, "csum_start": 65535 - room, "csum_offset": 6}
                              for room in range(56, 86, 2)]),
    "2023-54051": ("a segment size that means a list of fragments", tcp_frame, (200, 1400),
                   [{"gso_type": 1, "gso_size": 0xffff, "flags": flags, "csum_start": 34,
                     "csum_offset": 16} for flags in (0, 1, 2)]),
    "2024-43817": ("segments that end before the checksum's place", udp, (90, 1400),
                   [{"gso_type": kind, "gso_size": size, "flags": 1, "csum_start": start,
                     "csum_offset": 6} for kind in (3, 5) for size in (1, 8, 30, 1300)
                    for start in (34, 80)]),
    "2024-43897": ("a checksum that is not where its protocol has it", udp, (200, 1400),
                   [{"gso_type": kind, "gso_size": 100, "flags": 1, "csum_start": start,
                     "csum_offset": offset} for kind in (1, 3, 5)
                    for start, offset in ((34, 16), (34, 2), (20, 6), (100, 6), (65535, 6))]),
    "2024-49947": ("a checksum that begins before the transport header", tcp_frame, (200, 1400),
                   [{"gso_type": kind, "gso_size": 100, "flags": 1, "csum_start": start,
                     "csum_offset": 16} for kind in (0, 1) for start in (0, 10, 14, 24, 33)]),
    "2024-49948": ("a TCP header longer than what is left of the packet",
                   lambda a, to, size: tcp_frame(a, to, size, 15), (94, 96, 110),
                   [{"gso_type": 1, "gso_size": 8, "flags": 1, "csum_start": 34,
                     "csum_offset": 16}]),
    "2025-38622": ("a fragmented UDP packet (UFO) for a socket", udp, (200, 1400),
                   [{"gso_type": 3, "gso_size": 8 * size, "flags": flags, "csum_start": 34,
                     "csum_offset": 6} for size in (1, 20) for flags in (0, 1)]),
}

# A socket for what is for the guest, and a way out, in software, for what is not.
ROUTER = """
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.NIC.rp_filter=0 \
    net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.NIC.send_redirects=0
ethtool -K NIC tx off
ip neigh replace FAR lladdr 52:54:00:76:6e:fe nud permanent dev NIC
ip route replace 192.0.2.0/24 via FAR dev NIC
"""
UNROUTE = """
ip route del 192.0.2.0/24; ip neigh del FAR dev NIC; ethtool -K NIC tx on tso on gso on
sysctl -qw net.ipv4.ip_forward=0
"""
SOCKET = """exec python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9))
while True:
    s.recv(65536)
'"""


def make_cve_case(number, text, make, sizes, headers):
    """One number's frames, to the socket and through the router."""
    @case(f"B1_header_CVE_{number.replace('-', '_')}", f"headers, delivered and routed: {text}",
          cve=number)
    def cve_headers(a):
        a.run(ROUTER.replace("FAR", FAR), check=True)
        job = a.guest.start(SOCKET)
        try:
            for size in sizes:
                for to in (OWN, "192.0.2.9"):
                    frame = make(a, to, size)
                    for header in headers:
                        a.inject(frame=frame, hdr=header)
            a.wait(0.5)
            if "54051" in number:
                # To see that the way out is one: the same without a lie
                a.device.call("tx", clear=True)
                a.inject(frame=make(a, "192.0.2.9", sizes[-1]))
                a.wait(0.5)
                out = [f for f in a.device.call("tx")["frames"] if "c0000209" in f["frame"]]
                assert out, "the guest routes nothing"
        finally:
            job.kill()
            a.run(UNROUTE.replace("FAR", FAR))


for _cve, _entry in CVE_HEADERS.items():
    make_cve_case(_cve, *_entry)


for _mode in ("mergeable", "big", "small"):
    @case(f"B1_headers_{_mode}", f"300 headers of edge values ({_mode})", mode=_mode, timeout=180,
          quick=_mode == "mergeable")
    def headers(a):
        pick = random.Random(1)
        for number in range(300):
            raw = struct.pack("<BBHHHHH", pick.randrange(16), pick.randrange(256),
                              *(pick.choice(EDGE) for _ in range(4)), 1)
            a.inject(raw_hdr=raw, interrupt=number % 8 == 7)


@case("B2_hash_report", "hash reports of every value", mode="rss")
def hash_report(a):
    for report in (*range(16), 255, 256, 0x7fff, 0xffff):
        a.inject(hdr={"hash_report": report, "hash_value": 0xffffffff})


@case("B3_frames", "runts, giants, empty frames and tags within tags")
def frames(a):
    good = a.frame(200)
    for size in (1, 13, 14, 15, 20, 33, 34, 41, 59, 60):
        a.inject(frame=good[:size])
    for size in (1515, 4000, 16000, 65000):
        a.inject(frame=a.frame(size))
    tags = b"\x88\xa8\x00\x05" + b"\x81\x00\x00\x07" * 12
    for count in range(0, len(tags), 4):
        a.inject(frame=good[:12] + tags[:count] + good[12:])


@case("B3_small_frames_leak", "20000 small frames into big buffers leave no memory behind",
      mode="big", cve="2021-47367", timeout=240)
def small_frames(a):
    a.quiet()
    available = "awk '/MemAvailable/ {print $2}' /proc/meminfo"
    a.device.call("source", count=4000, burst=64, interval=0.005, size=60)
    a.wait(4)
    before = int(a.run(available).out)
    a.device.call("source", count=16000, burst=64, interval=0.005, size=60)
    a.wait(12)
    lost = before - int(a.run(available).out)
    assert lost < 20000, f"{lost} kB less memory after 16000 frames"


# ---- C: transmit rings ----------------------------------------------------------


@case("C1_never", "transmitted packets are never completed, then again", quick=True)
def tx_never(a):
    a.device.fault(queue="tx0", action="hold")
    a.wait(8)


@case("C1_late", "transmitted packets are completed 3 seconds late")
def tx_late(a):
    a.device.fault(queue="tx0", action="delay", seconds=3)
    a.wait(7)


@case("C1_half", "every second packet is completed")
def tx_half(a):
    a.device.fault(queue="tx0", action="half")
    a.wait(5)


@case("C1_twice", "transmitted packets are completed twice", exact=False)
def tx_twice(a):
    a.device.fault(queue="tx0", action="twice")
    a.wait(1)


@case("C1_wrong_id", "transmitted packets are completed under another id", exact=False, quick=True)
def tx_wrong_id(a):
    a.device.fault(queue="tx0", action="wrong-id")
    a.wait(1)


@case("C1_reverse", "transmitted packets are completed last first")
def tx_reverse(a):
    a.device.fault(queue="tx0", action="delay", seconds=0.3, count=20)
    a.device.fault(queue="tx0", action="reverse")
    a.wait(1)
    a.device.release("tx0", order="reverse")
    a.wait(1)


@case("C1_used_len", "transmitted packets come back with a length", exact=False)
def tx_used_len(a):
    a.device.fault(queue="tx0", action="used-len", used_len=0xffffffff)
    a.wait(1)


@case("C2_in_order_reset", "DEVICE_NEEDS_RESET of a device that completes in order",
      mode="in-order")
def in_order_reset(a):
    a.device.needs_reset()
    a.wait(1)


@case("C2_stop_reset", "the device holds all packets and asks for a reset")
def tx_stop_reset(a):
    a.device.fault(queue="tx*", action="hold")
    a.wait(0.5)
    a.device.needs_reset()
    a.wait(1)


HOLDING = {
    "down": "ip link set NIC down; ip link set NIC up",
    "resize": "ethtool -G NIC tx 64 rx 128",
    "channels": "ethtool -L NIC combined 4; ethtool -L NIC combined 1",
    "mtu": "ip link set NIC mtu 1000; ip link set NIC mtu 1500",
    "mac": "ip link set NIC address 52:54:00:12:34:56",
    "offloads": "ethtool -K NIC rx off tx off gro off; ethtool -K NIC rx on tx on gro on",
    "netns": "ip netns add other; ip link set NIC netns other; ip netns exec other ip link set NIC "
             "up; sleep 0.3; ip netns del other; sleep 1; ip addr replace 10.0.2.15/24 dev NIC; "
             "ip link set NIC up",
}


@each("C3_hold", HOLDING, text="the device holds all packets while the user says: {}",
      cve=lambda c: "2024-56674" if "down" in c else "")
def tx_hold(a, command):
    a.device.fault(queue="tx*", action="hold")
    a.wait(0.5)
    a.run(command, timeout=20)


# A packet that keeps its route: a queue that looks at it, in a name space that goes.
ROUTED = """
for m in 8021q sch_prio cls_flow; do modprobe -q $m; done
ethtool -C NIC tx-frames 0
devlink health set virtio/VIRTIO reporter device auto_recover false
tc qdisc replace dev NIC root handle 1: prio
tc filter add dev NIC parent 1: protocol all prio 1 handle 1 flow hash keys dst divisor 3 || exit 9
ip netns add leaves
ip link add link NIC name v7 netns leaves type vlan id 7
ip -n leaves link set v7 up
ip -n leaves addr add fd07::1/64 dev v7 nodad
ip -n leaves neigh add fd07::2 lladdr 52:54:00:76:6e:fe dev v7 nud permanent
"""
SENDS = """python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for n in range(5):
    s.sendto(b"x" * 100, ("fd07::2", 9))
'"""


@case("C3_hold_route", "the device holds packets whose route goes with its name space "
      "(tx-frames 0)", cve="2026-31469")
def tx_hold_route(a):
    done = a.run(ROUTED.replace("VIRTIO", a.env.virtio), timeout=40)
    assert done.status != 9, f"no filter that keeps routes: {done.err}"
    if a.job:
        a.job.kill()
        a.job = None
    a.device.fault(queue="tx*", action="hold")
    a.device.call("tx", clear=True)
    a.run(f"ip netns exec leaves {SENDS}; sleep 0.2", check=True)
    sent = [f for f in a.device.call("tx")["frames"] if "fd07" in f["frame"]]
    a.run("ip netns del leaves; for i in 1 2; do ip netns add n$i; ip -n n$i link set lo up; "
          "ip netns del n$i; done; sleep 1", timeout=40)
    assert len(sent) >= 5, f"the device holds {len(sent)} of the 5 datagrams"
    a.device.clear()
    a.device.call("release", queue="tx0")
    a.run("ping -q -c 5 -i 0.1 -W 1 10.0.2.77; sleep 1")
    a.run("tc qdisc del dev NIC root; ethtool -C NIC tx-frames 1;"
          f"devlink health set virtio/{a.env.virtio} reporter device auto_recover true")


def unbind_meanwhile(a):
    """Unbind the driver while the device misbehaves; bind it to an honest one."""
    a.quiet()
    a.unbind()
    a.device.clear()
    a.env.bind()
    a.env.configure()
    a.before = None
    a.forgive()


@case("C3_hold_unbind", "the device holds all packets while the driver is unbound")
def tx_hold_unbind(a):
    a.device.fault(queue="tx*", action="hold")
    a.wait(0.5)
    unbind_meanwhile(a)


# ---- D: control queue -----------------------------------------------------------

COMMANDS = {
    "rx.promisc": "ip link set NIC promisc on; ip link set NIC promisc off",
    "mac.table": "bridge fdb add 52:54:00:11:22:33 dev NIC self",
    "mac.addr": "ip link set NIC address 52:54:00:12:34:56",
    "vlan.add": "ip link add link NIC name v9 type vlan id 9; ip link del v9",
    "mq.pairs": "ethtool -L NIC combined 2",
    "mq.rss": "ethtool -X NIC equal 1",
    "offloads.set": "ethtool -K NIC rx off; ethtool -K NIC rx on",
    "coal.rx": "ethtool -C NIC rx-usecs 30",
    "coal.tx": "ethtool -C NIC tx-frames 8",
    "coal.vq_set": "ethtool -Q NIC queue_mask 1 --coalesce rx-usecs 20",
    "stats.get": "ethtool -S NIC",
}
RSS_ONLY = ("mq.rss", "coal.rx", "coal.tx", "coal.vq_set", "stats.get")


# A device that says it has done these and has not just loses packets; only it knows.
ADDRESSING = ("mac.addr", "mq.pairs", "mq.rss")


def everything(a, but=()):
    """Every command that a user can lead to."""
    for name, command in COMMANDS.items():
        if name not in but:
            a.run(command, timeout=40)


@each("D1_never", {name: (name, command) for name, command in COMMANDS.items()},
      text="the command {} is never answered", timeout=150,
      mode=lambda v: "rss" if v[0] in RSS_ONLY else "mergeable",
      quick=lambda v: v[0] == "mq.pairs")
def ctrl_never(a, value):
    name, command = value
    a.device.fault(cmd=name, action="never")
    begin = time.monotonic()
    a.run(command, timeout=30)
    a.run("ip link show NIC", timeout=LOCKED)
    assert time.monotonic() - begin < 25


@each("D1_never_at_probe", {"mq.pairs": "mq.pairs", "all": "*"}, bind=True, timeout=180,
      text="the command {} is never answered, from probe on")
def ctrl_never_probe(a, name):
    a.device.fault(cmd=name, action="never")


ANSWERS = {
    "late": {"action": "delay", "seconds": 7},
    "no_interrupt": {"action": "answer", "interrupt": False},
    "interrupt_only": {"action": "never", "interrupt": True},
    "status_0xff": {"action": "answer", "status": 0xff},
    "status_2": {"action": "answer", "status": 2},
    "used_len_0": {"action": "answer", "used_len": 0},
    "used_len_huge": {"action": "answer", "used_len": 0xffffffff},
    "wrong_id": {"action": "answer", "used_id": 0xfff0},
    "twice": {"action": "answer", "twice": True},
    "reply_huge": {"action": "answer", "reply": "ff" * 4000},
    "refused_but_done": {"action": "refuse", "apply": True},
    "done_but_not": {"action": "answer", "apply": False},
}


@each("D1_answer", ANSWERS, text="answers to control commands: {}", mode="rss", timeout=240)
def ctrl_answer(a, fields):
    count = 2 if fields["action"] in ("never", "delay") or "used_id" in fields else 12
    a.device.fault(cmd="*", count=count, **fields)
    everything(a, () if fields.get("apply", True) else ADDRESSING)


def record(kind, vq, size, body=b""):
    return struct.pack("<BBHHH", kind, 0, vq, 0, size) + body


STATS = {
    "empty": b"", "size_0": record(0, 0, 0), "size_7": record(0, 0, 7),
    "short": record(0, 0, 56, bytes(10)), "huge": record(0, 0, 65535, bytes(100)),
    "any_queue": record(0, 65535, 56, bytes(48)), "unknown": record(77, 0, 56, bytes(48)),
    "duplicate": record(0, 0, 56, bytes(48)) * 20, "endless": record(0, 0, 0) * 60,
}


@each("D2_stats", STATS, text="replies to a question for statistics: {}", mode="rss")
def stats(a, reply):
    a.device.fault(cmd="stats.get", action="answer", reply=reply.hex())
    for _ in range(3):
        a.run("ethtool -S NIC")


@case("D2_stats_capabilities", "statistics that nobody knows, and others at each question",
      mode="rss")
def stats_capabilities(a):
    for types in ("ff" * 8, "00" * 8, "0123456789abcdef", ""):
        a.device.fault(cmd="stats.query", action="answer", reply=types)
        a.device.needs_reset()
        a.wait(1)
        a.run("ethtool -S NIC")
        a.device.clear()


LIFE = {
    "open": "ip link set NIC down; ip link set NIC up promisc on",
    "down": "ip link set NIC promisc on; ip link set NIC down; ip link set NIC up",
}


@each("D4_dead", LIFE, text="the control queue dies: {}", timeout=150)
def ctrl_dead(a, command):
    a.device.fault(cmd="*", action="never")
    a.run(command, timeout=40)


@case("D4_dead_unbind", "the control queue dies, then the driver is unbound", timeout=150)
def ctrl_dead_unbind(a):
    a.device.fault(cmd="*", action="never")
    a.guest.start(f"ip link set {a.env.nic} promisc on")
    a.wait(0.5)
    unbind_meanwhile(a)


# ---- E: configuration and features ----------------------------------------------

@each("E1_pairs", {str(n): n for n in (0, 1, 5, 0x8000, 0x8001, 0xffff)},
      text="max_virtqueue_pairs is {}, the device has 4", bind=True,
      config=lambda n: {"max_virtqueue_pairs": n})
def pairs(_attack, _value):
    pass


@each("E2_mtu", {str(n): n for n in (0, 67, 68, 65535)}, text="the MTU is {}", bind=True,
      config=lambda n: {"mtu": n})
def mtu(_attack, _value):
    pass


@case("E2_mtu_changes", "the MTU is another one each time it is read", bind=True)
def mtu_changes(a):
    a.device.fault(device="config-read", action="sequence", field="mtu",
                   values=[1500, 67, 65535, 0, 9000])


@case("E1_pairs_change", "max_virtqueue_pairs is another one each time it is read", bind=True)
def pairs_change(a):
    a.device.fault(device="config-read", action="sequence", field="max_virtqueue_pairs",
                   values=[4, 0, 65535, 1])


@each("E3_rss_table", {str(n): n for n in (0, 1, 127, 129, 512, 65535)}, bind=True, mode="rss",
      text="the RSS table has {} entries", config=lambda n: {"rss_max_table": n})
def rss_table(_attack, _value):
    pass


@each("E3_rss_key", {str(n): n for n in (0, 1, 39, 41, 255)}, bind=True, mode="rss",
      text="the RSS key has {} bytes", config=lambda n: {"rss_max_key_size": n},
      cve="2024-53082")
def rss_key(_attack, _value):
    pass


@each("E3_hash_types", {"none": 0, "all": 0xffffffff}, bind=True, mode="rss",
      text="hash types: {}", config=lambda n: {"hash_types": n})
def hash_types(_attack, _value):
    pass


@case("E3_hash_without_rss", "hash reports without steering", bind=True,
      features=("HASH_REPORT",), cve="2024-35981")
def hash_without_rss(_attack):
    pass


@each("E4_mac", {"zero": "00:00:00:00:00:00", "multicast": "01:00:5e:00:00:01",
                 "broadcast": "ff:ff:ff:ff:ff:ff"}, text="the MAC address is {}", bind=True,
      config=lambda mac: {"mac": mac})
def mac(_attack, _value):
    pass


@case("E4_speed", "speed and duplex make no sense", bind=True,
      config={"speed": 0xfffffffe, "duplex": 77})
def speed(_attack):
    pass


@case("E5_link_flaps", "the link goes up and down 400 times a second")
def link_flaps(a):
    for up in (False, True):
        a.device.call("storm", what={"op": "link", "up": up}, rate=200, seconds=2)
    a.wait(2.5)
    a.device.link(True)


@case("E5_announce_always", "an announcement is asked for all the time")
def announce_always(a):
    a.device.call("storm", what={"op": "announce"}, rate=500, seconds=2)
    a.wait(2.5)


@case("E5_announce_in_probe", "an announcement is asked for while the driver binds", bind=True,
      cve="2025-38551")
def announce_in_probe(a):
    for status in (3, 11, 15):
        a.device.when({"kind": "status", "value": status}, {"op": "announce"})
    a.device.when({"kind": "ctrl"}, {"op": "announce"})


@case("E5_generation", "the generation of the configuration changes with every read", bind=True)
def generation(a):
    a.device.fault(device="generation", action="every-read")


def random_features(seed):
    pick = random.Random(seed)
    return tuple(str(bit) for bit in range(128) if pick.random() < 0.5) + ("VERSION_1",)


@each("E6_features", {"all": tuple(str(bit) for bit in range(128)), "none": ("-0x" + "f" * 32,),
                      **{f"random_{n}": random_features(n) for n in range(6)}}, bind=True,
      text="offered features: {}", features=lambda bits: bits, exact=False)
def features(a, _bits):
    a.device.call("option", set={"accept_bad_features": True})


DEPENDENT = {
    "rss_without_ctrl": ("RSS", "-CTRL_VQ"), "mq_without_ctrl": ("-CTRL_VQ",),
    "tso_without_csum": ("HOST_TSO4", "HOST_TSO6", "HOST_USO", "-CSUM"),
    "lro_without_csum": ("GUEST_TSO4", "GUEST_USO4", "-GUEST_CSUM"),
    "tunnel_alone": ("GUEST_UDP_TUNNEL_GSO", "HOST_UDP_TUNNEL_GSO"),
    "standby_without_mac": ("STANDBY", "-MAC"), "coal_without_ctrl": ("NOTF_COAL", "-CTRL_VQ"),
    "offloads_without_ctrl": ("CTRL_GUEST_OFFLOADS", "-CTRL_VQ"),
    "contexts_without_rss": ("RSS_CONTEXT",), "rsc_without_tso": ("RSC_EXT",),
}


@each("E6_depends", DEPENDENT, bind=True, text="features without those they depend on: {}",
      mode="in-order", features=lambda names: names)
def depends(_attack, _names):
    pass


@case("E6_refused", "the device refuses the features that the driver takes", bind=True)
def refused(a):
    a.device.fault(device="features-ok", action="refuse")


@case("E6_others_after_reset", "other features, and fewer queues, after a reset")
def others(a):
    a.device.call("offer", features=["default"])
    a.device.config(interrupt=False, max_virtqueue_pairs=1, mtu=1400)
    a.device.needs_reset()
    a.wait(2)
    a.offer()
    a.device.needs_reset()
    a.wait(2)


# The size is taken back while the driver has it: a reset of the queue asks for it again.
@each("E7_queue_size", {str(n): n for n in (1, 2, 3, 4, 100, 32768)}, bind=True,
      forgiven=("bad-queue-size",), text="queues of size {}")
def queue_size(a, size):
    a.device.call("option", set={"queue_sizes": {str(i): size for i in range(9)}})


@each("E7_missing", {"rx1": 2, "tx0": 1, "cvq": 8}, bind=True, text="queue {} is missing")
def queue_missing(a, index):
    a.device.call("option", set={"queue_sizes": {str(index): 0}})


# 12 bytes are what a device without SPEED_DUPLEX and RSS has.
@each("E9_short", {str(n): n for n in (1, 7, 12, 16, 23)}, bind=True, mode="rss",
      text="the configuration space has {} bytes", replug=lambda n: {"config_length": n})
def config_short(_attack, _length):
    pass


@case("E8_no_vectors", "the device gives no interrupt vectors", bind=True)
def no_vectors(a):
    a.device.fault(device="vector", action="refuse")


# ---- F: life --------------------------------------------------------------------


# The driver takes back the rings of a device that is gone; this one reads on.


@case("F1_bus_dies", "all reads give ones for three seconds (surprise removal), then a reset",
      forgiven=FORGED)
def bus_dies(a):
    a.device.fault(device="bus", action="dead")
    a.wait(3)
    a.run("ip link show NIC; ethtool NIC", timeout=10)


@case("F1_bus_dies_long", "all reads give ones for 20 seconds, longer than is waited for",
      forgiven=FORGED)
def bus_dies_long(a):
    a.device.fault(device="bus", action="dead")
    a.wait(20)
    a.run("ip link show NIC; ethtool NIC", timeout=10)


@case("F2_needs_reset", "DEVICE_NEEDS_RESET")
def needs_reset(a):
    a.device.needs_reset()


@case("F2_storm", "DEVICE_NEEDS_RESET, 20 times a second", timeout=180)
def reset_storm(a):
    a.device.call("storm", what={"op": "needs-reset", "live": True}, rate=20, seconds=3)
    a.wait(3.5)


@case("F2_reset_refused", "the device refuses its features after it asked for a reset")
def reset_refused(a):
    a.device.fault(device="features-ok", action="refuse", count=2)
    a.device.needs_reset()
    a.wait(2)


STORMS = {
    "rings": "for i in 64 128 256 64; do ethtool -G NIC rx $i tx $i; done",
    "channels": "for i in 2 4 1 3 1; do ethtool -L NIC combined $i; done",
    "all": "(for i in 2 4 1; do ethtool -L NIC combined $i; done) & "
           "(for i in 64 256; do ethtool -G NIC rx $i; done) & "
           "(for i in 900 1500; do ip link set NIC mtu $i; done) & "
           "(for i in on off; do ip link set NIC promisc $i; ethtool -K NIC tx $i gro $i; done) & "
           "(for i in 1 2; do ip link set NIC down; ip link set NIC up; done) & wait; "
           "ethtool -K NIC tx on gro on; ip link set NIC up",
}


@each("F3_resets_and", STORMS, text="resets of the device race with changes of {}", timeout=180)
def race(a, command):
    a.device.call("storm", what={"op": "needs-reset", "live": True}, rate=4, seconds=4)
    a.run(command, timeout=60)
    a.run("ip link set NIC up")


@case("F5_cpu_hotplug", "a CPU goes and comes under traffic")
def cpu_hotplug(a):
    cpu = "/sys/devices/system/cpu/cpu1/online"
    a.run(f"for i in 1 2 3; do echo 0 > {cpu}; sleep 0.3; echo 1 > {cpu}; sleep 0.3; done",
          timeout=60)


@case("F7_down_up", "down and up under traffic", cve="2024-56674")
def down_up(a):
    a.run("for i in $(seq 15); do ip link set NIC down; ip link set NIC up; done", timeout=60)


@case("F9_reset_stuck", "a reset takes 5 seconds")
def reset_stuck(a):
    a.device.fault(device="reset", action="stuck", seconds=5)
    a.device.needs_reset()
    a.wait(4)
    a.run("ip link show NIC", timeout=LOCKED)
    a.wait(2)


@case("F9_reset_stuck_xsk", "an AF_XDP socket is closed while a reset takes 8 seconds", exact=False)
def reset_stuck_xsk(a):
    client = Client(a.env)
    a.device.fault(device="reset", action="stuck", seconds=8)
    a.device.needs_reset()
    a.wait(4)
    client.stop()
    a.wait(5)


@case("F9_queue_reset_stuck", "the reset of a queue does not end until the device is reset")
def queue_reset_stuck(a):
    a.device.when({"kind": "reset"}, {"op": "clear"})
    a.device.fault(device="queue-reset", action="hang")
    a.device.fault(queue="tx0", action="hold")
    a.wait(12)


# ---- the tests ------------------------------------------------------------------


def make_test(entry):
    """Register one case as hostile.NAME."""
    def run(env):
        Attack(env, entry).conclude()
    run.__name__ = entry.name.replace(".", "_")
    run.__module__ = __name__
    run.__doc__ = entry.text
    test(profiles=["scripted", "leaks"] if entry.quick else ["scripted"],
         timeout=entry.timeout, quick=entry.quick, changes=["nic"], says=["*"])(run)


for _case in CASES:
    make_test(_case)


@test(profiles=["scripted"], drivers=["vnet"], timeout=900)
def campaign(env):
    "Deeds in any order, several at a time, without a fresh driver; VNET_SEED repeats a run."
    seed = int(os.environ.get("VNET_SEED") or random.randrange(1 << 32))
    print(f"  hostile.campaign: VNET_SEED={seed}", flush=True)
    pick = random.Random(seed)
    deeds = [c for c in CASES if not c.bind and c.mode == "mergeable" and not c.config
             and not c.limit and c.name[:2] not in ("B3", "F9") and "unbind" not in c.name
             and "removed" not in c.name and "netns" not in c.name]
    attack = Attack(env, Case("campaign", "random deeds", None, exact=False))
    attack.recovery += 64   # after many resets the next one is that far away
    attack.begin()
    told = []
    for _ in range(env.rounds(full=20, quick=4)):
        for entry in pick.sample(deeds, 3):
            told.append(entry.name)
            entry.deed(attack)
        attack.wait(pick.random())
        attack.device.clear()
        attack.device.link(True)
        attack.run("ip link set NIC up; ip link show NIC")
        assert attack.flows() is not None, f"seed {seed}, after {told}: no packets"
        attack.quiet()
        attack.add_up(attack.resets())
        attack.run("ip link set NIC up", check=True)
        assert attack.flows() is not None, f"seed {seed}: no packets after down and up"
        attack.traffic()
    attack.quiet()
    attack.unbind()
    attack.restore()
