# SPDX-License-Identifier: GPL-2.0
"""What is measured: each case prepares a device, opens one window, closes it."""

import contextlib
import struct
import time
from dataclasses import dataclass, field

from .machine import TAP_GUEST, TAP_HOST, BenchError, TcpPeer

BURST = 64		# packets per received burst: one NAPI budget
GAP = 30		# microseconds between ready and the next burst
IDLE_GAP = 100		# the same when the guest shall be idle in between
FAR_MAC = "02:00:00:00:00:01"


def udp_frame(nic, size):
    """A UDP packet to the guest's MAC and an address that is not the guest's.

    The stack takes it (GRO, ip_rcv, route lookup) and drops it there, so that
    no socket and no process disturbs the count.
    """
    ether = bytes.fromhex((nic.mac + FAR_MAC).replace(":", "")) + b"\x08\x00"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size - 14, 0, 0, 64, 17, 0,
                         bytes([10, 8, 0, 2]), bytes([198, 18, 0, 1]))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    header = header[:10] + struct.pack("!H", 0xffff ^ total) + header[12:]
    udp = struct.pack("!HHHH", 9, 9, size - 34, 0)
    return (ether + header + udp).ljust(size, b"\0")


@dataclass
class Sample:
    """One measurement: a window and what it is divided by."""

    units: float
    path: object = None		# the plugin's file
    seconds: float = 0.0
    bytes: int = 0
    seen: dict = field(default_factory=dict)  # events that the window must show
    value: float = None		# a case without a window


@dataclass
class Case:
    """A case; run(guest, nic, interface, scale) returns a Sample.

    A case of its own binds the device itself: run(guest, nic, driver, scale).
    """

    name: str
    title: str
    nic: str
    run: object			# with a second device: run(guest, nic, interface, scale, out)
    figure: str = "dp"		# what is compared
    unit: str = "packet"
    target: float = 1.0		# vnet / virtio_net on the split ring; packed: 1.0
    rings: tuple = ("split", "packed")
    repeats: int = 1		# times --repeat: streams depend on when their ACKs come
    quick: bool = True
    binds: bool = False
    out: str = ""		# a second device, bound to the same driver


def up(guest, nic, name):
    """Configure and open an interface."""
    address = TAP_GUEST if nic.kind == "tap" else f"10.{nic.slot}.0.1"
    guest.ask(f"addr {name} {address}")
    guest.ask(f"link {name} up")


def pktgen(burst, count=20000, queues=1):
    def run(guest, nic, name, scale):
        if queues > 1:
            guest.ask(f"channels {name} {queues}")
        up(guest, nic, name)
        total = int(count * scale)
        guest.ask("write /proc/net/pktgen/kpktgend_0 rem_device_all")
        guest.ask(f"write /proc/net/pktgen/kpktgend_0 add_device {name}")

        def option(text):
            guest.ask(f"write /proc/net/pktgen/{name} {text}")

        # one skb sent again and again: the allocation is not the driver's
        for text in ("clone_skb 1000000000", "pkt_size 60", "delay 0", f"burst {burst}",
                     "dst 10.8.0.2", f"dst_mac {FAR_MAC}", "count 2000",
                     "queue_map_min 0", f"queue_map_max {queues - 1}"):
            option(text)
        guest.ask("write /proc/net/pktgen/pgctrl start")
        option(f"count {total}")
        before = nic.backend.stat()
        path, seconds = guest.window_command("window-write /proc/net/pktgen/pgctrl start")
        time.sleep(0.01)
        sent = nic.backend.stat()["packets"] - before["packets"]
        guest.ask("write /proc/net/pktgen/kpktgend_0 rem_device_all")
        if sent < total:
            raise BenchError(f"pktgen sent {sent} packets of {total}")
        return Sample(sent, path, seconds, sent * 60)
    return run


def receive(size, burst, count, xdp=None, queues=1):
    def run(guest, nic, name, scale):
        if queues > 1:
            guest.ask(f"channels {name} {queues}")
        up(guest, nic, name)
        if xdp:
            guest.ask(f"xdp {name} {xdp}")
        frame = udp_frame(nic, size)
        gap = GAP if burst > 1 else IDLE_GAP
        total = max(int(count * scale), queues * burst) // burst * burst
        nic.backend.send(frame, max(2000, 4 * queues * burst) if burst > 1 else 200, burst, gap,
                         0, queues)
        before = nic.backend.stat()
        path, seconds = guest.window_around(
            lambda: nic.backend.send(frame, total, burst, gap, 0, queues))
        sample = Sample(total, path, seconds, total * size)
        sample.seen = {"programs" if xdp else "stack": total}
        if xdp == "tx":
            back = nic.backend.stat()["packets"] - before["packets"]
            if back < total:
                raise BenchError(f"XDP_TX returned {back} packets of {total}")
        return sample
    return run


def redirect(size, burst, count):
    "Packets that a program sends out of another device."
    def run(guest, nic, name, scale, out):
        target, target_name = out
        for device, interface in ((nic, name), out):
            up(guest, device, interface)
        guest.ask(f"xdp-redirect {name} {target_name}")
        frame = udp_frame(nic, size)
        total = int(count * scale) // burst * burst

        def move(packets):
            "No more on the way than the target's ring holds, however slow its back end is."
            started = time.monotonic()
            sent = target.backend.stat()["packets"]
            for _ in range(packets // burst):
                nic.backend.send(frame, burst, burst, GAP)
                sent += burst
                while target.backend.stat()["packets"] < sent:
                    if time.monotonic() - started > 30:
                        raise BenchError("packets that were redirected have not arrived")
            return time.monotonic() - started

        move(2048)
        path, seconds = guest.window_around(lambda: move(total))
        return Sample(total, path, seconds, total * size, {"programs": total})
    return run


@contextlib.contextmanager
def af_xdp(guest, nic, name):
    "A zero-copy socket on the first queue, until the driver leaves the device."
    up(guest, nic, name)
    nic.backend.hold()
    guest.ask(f"xsk {name}")
    nic.backend.rewind()
    yield
    nic.backend.hold()


def xsk_receive(size, burst, count):
    "Packets that a program gives to an AF_XDP socket."
    def run(guest, nic, name, scale):
        frame = udp_frame(nic, size)
        total = int(count * scale) // burst * burst

        def move(packets):
            guest.begin(f"xsk-rx {packets}")
            seconds = nic.backend.send(frame, packets, burst, GAP)
            guest.answer("xsk-rx")
            return seconds

        with af_xdp(guest, nic, name):
            move(2048)
            path, seconds = guest.window_around(lambda: move(total))
        return Sample(total, path, seconds, total * size, {"programs": total})
    return run


def xsk_send(size, count):
    "Packets of an AF_XDP socket."
    def run(guest, nic, name, scale):
        total = int(count * scale)
        with af_xdp(guest, nic, name):
            guest.ask(f"xsk-tx 2048 {size}")
            guest.skip_window()
            before = nic.backend.stat()
            path, seconds = guest.window_command(f"xsk-tx {total} {size}")
            sent = nic.backend.stat()["packets"] - before["packets"]
        if sent != total:
            raise BenchError(f"the device was given {sent} packets of {total}")
        return Sample(total, path, seconds, total * size)
    return run


def udp_send(size, count=20000):
    def run(guest, nic, name, scale):
        up(guest, nic, name)
        far = f"10.{nic.slot}.0.2"
        guest.ask(f"arp {name} {far}")
        guest.ask(f"udp-send {far} 9 500 {size}")
        guest.skip_window()
        total = int(count * scale)
        path, seconds = guest.window_command(f"udp-send {far} 9 {total} {size}")
        return Sample(total, path, seconds, total * size)
    return run


def tcp(send, mib=64):
    def run(guest, nic, name, scale):
        up(guest, nic, name)
        size, warm = int(mib * scale) << 20, 8 << 20
        peer = TcpPeer()
        thread = peer.serve(not send, size + warm)
        try:
            verb = "tcp-send" if send else "tcp-recv"
            path, seconds = guest.window_command(f"{verb} {TAP_HOST} {peer.port} {warm} {size}")
        finally:
            peer.close()
            thread.join(10)
        return Sample(size / 1024, path, seconds, size)
    return run


def zero_copy(mib=64):
    """A stream into memory of the program's, where the driver can; else an ordinary one."""
    def run(guest, nic, name, scale):
        if guest.driver_of(nic) != "vnet":
            return tcp(False, mib)(guest, nic, name, scale)
        up(guest, nic, name)
        size, warm = int(mib * scale) << 20, 8 << 20
        peer = TcpPeer()
        thread = peer.serve(True, size + warm + (1 << 20))
        try:
            path, seconds = guest.window_command(f"zc-recv {name} 4096 {TAP_HOST} {peer.port} "
                                                 f"{warm} {size}")
        finally:
            peer.close()
            thread.join(10)
        return Sample(size / 1024, path, seconds, size)
    return run


def available(guest):
    """MemAvailable in KiB, after the kernel has come to rest."""
    guest.ask("write /proc/sys/vm/drop_caches 3")
    guest.ask("write /proc/sys/vm/compact_memory 1")  # returns per-CPU pages
    guest.ask("sleep 1200")		# the counters are folded once a second
    for line in guest.ask("cat /proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    raise BenchError("the guest has no MemAvailable")


def idle_queue(guest, nic, driver, _scale):
    """KiB per queue pair, all enabled and open, nothing received yet."""
    guest.ask("write /proc/sys/vm/percpu_pagelist_high_fraction 1000000")

    def open_all():
        name = guest.bind(nic, driver)
        guest.ask(f"channels {name} {nic.pairs}")
        guest.ask(f"link {name} up")

    open_all()		# caches that the kernel keeps are filled once
    guest.bind(nic, None)
    before = available(guest)
    open_all()
    return Sample(1, value=(before - available(guest)) / nic.pairs)


CASES = [
    Case("tx64-b1", "transmit 64 B, burst 1", "mrg", pktgen(1), target=0.31),
    Case("tx64-b32", "transmit 64 B, burst 32", "mrg", pktgen(32), target=0.31),
    Case("udp-tx", "UDP send, 18 B", "mrg", udp_send(18), target=0.70),
    Case("rx64-mrg", "receive to the stack 64 B, mergeable", "mrg", receive(60, BURST, 20000),
         target=0.36),
    Case("rx64-small", "receive to the stack 64 B, small", "small", receive(60, BURST, 20000),
         target=0.45),
    Case("rx1500-mrg", "receive to the stack 1500 B, mergeable", "mrg",
         receive(1514, BURST, 20000)),
    Case("rx1500-small", "receive to the stack 1500 B, small", "small",
         receive(1514, BURST, 20000)),
    Case("rx64-irq1", "receive to the stack, one packet per interrupt", "mrg",
         receive(60, 1, 2000), target=0.46),
    Case("drop-mrg", "XDP_DROP 64 B, mergeable", "mrg", receive(60, BURST, 20000, "drop"),
         target=0.12),
    Case("drop-small", "XDP_DROP 64 B, small", "small", receive(60, BURST, 20000, "drop")),
    Case("drop-irq1", "XDP_DROP, one packet per interrupt", "mrg",
         receive(60, 1, 2000, "drop"), target=0.34),
    Case("xdptx-mrg", "XDP_TX 64 B, mergeable", "mrg", receive(60, BURST, 20000, "tx"),
         target=0.19),
    Case("xdptx-small", "XDP_TX 64 B, small", "small", receive(60, BURST, 20000, "tx")),
    Case("redirect", "XDP_REDIRECT 64 B to another device", "mrg", redirect(60, BURST, 20000),
         target=0.38, out="out"),
    Case("xsk-rx", "AF_XDP zero copy, receive 64 B", "zc", xsk_receive(60, BURST, 20000),
         target=0.55),
    Case("xsk-tx", "AF_XDP zero copy, transmit 64 B", "zc", xsk_send(60, 20000), target=0.22),
    Case("tcp-rx", "TCP stream, receive", "tap", tcp(False), "kernel", "KiB", 0.50,
         repeats=4),
    Case("tcp-tx", "TCP stream, transmit", "tap", tcp(True), "kernel", "KiB", 0.90,
         repeats=4),
    Case("zc-rx", "TCP stream, receive by io_uring zero copy; virtio_net: tcp-rx", "tap",
         zero_copy(), "kernel", "KiB", rings=("split",), repeats=2, quick=False),
    Case("rx64-mq1", "receive 64 B, 1 queue of 64", "mq", receive(60, BURST, 20480), quick=False),
    Case("rx64-mq8", "receive 64 B, 8 queues of 64", "mq",
         receive(60, BURST, 20480, queues=8), quick=False),
    Case("rx64-mq64", "receive 64 B, 64 queues", "mq",
         receive(60, BURST, 20480, queues=64), quick=False),
    Case("tx64-mq64", "transmit 64 B, burst 32, 64 queues", "mq",
         pktgen(32, queues=64), quick=False),
    Case("mem-rxq", "memory per idle queue pair", "mq", idle_queue, "KiB", "queue pair",
         0.99, binds=True),
]


def select(names, quick):
    """The cases by name or by beginning of name ('rx64'), all if none is given."""
    if not names:
        return [case for case in CASES if case.quick or not quick]
    chosen = [case for case in CASES
              if any(case.name == name or case.name.startswith(name + "-") for name in names)]
    unknown = [name for name in names
               if not any(c.name == name or c.name.startswith(name + "-") for c in CASES)]
    if unknown:
        raise BenchError(f"there is no test {unknown[0]!r}; there are: "
                         + " ".join(case.name for case in CASES))
    return chosen
