# SPDX-License-Identifier: GPL-2.0
"""An AF_XDP client that accounts for every frame.

    xsk.py echo NIC QUEUES [OPTIONS]      send UDP datagrams of a port back, until SIGTERM
    xsk.py send NIC QUEUE COUNT SIZE --to MAC,IP,IP [OPTIONS]
    xsk.py bind NIC QUEUES [OPTIONS]      bind and go; what was refused, by errno

It speaks to the kernel alone: socket(2), mmap(2), bpf(2). A frame is with the user, in the
fill ring or in the transmit ring; it must come from where it was put, and once.
Prints an object with what was counted and what was wrong; send does so at SIGUSR1 as well.
"""

import argparse
import ctypes
import errno
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time

AF_XDP, SOL_XDP = 44, 283
MMAP_OFFSETS, RX_RING, TX_RING, UMEM_REG, FILL_RING, COMP_RING, STATISTICS, OPTIONS = range(1, 9)
PAGE_OFFSETS = {RX_RING: 0, TX_RING: 0x80000000, FILL_RING: 0x100000000, COMP_RING: 0x180000000}
SHARED, COPY, ZEROCOPY, NEED_WAKEUP, USE_SG = 1, 2, 4, 8, 16
CONTD, METADATA = 1, 2
UNALIGNED, TX_METADATA_LEN = 1, 4
META_LEN, META_CHECKSUM = 24, 2
SO_PREFER_BUSY_POLL, SO_BUSY_POLL, SO_BUSY_POLL_BUDGET = 69, 46, 70
MAP_CREATE, MAP_UPDATE, PROG_LOAD, LINK_CREATE = 0, 2, 5, 28
SYS_BPF = 321 if os.uname().machine == "x86_64" else 280    # asm-generic's
XSKMAP, PROG_XDP, ATTACH_XDP, DRV_MODE, XDP_PASS, REDIRECT_MAP = 17, 6, 37, 4, 2, 51
HEADERS = 42
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def bpf(command, layout, *values):
    attr = ctypes.create_string_buffer(struct.pack(layout, *values), 144)
    return check(libc.syscall(SYS_BPF, command, attr, len(attr)))


def program(table, port, frags):
    """Datagrams to a port go to the sockets in a table, all else goes on."""
    def insn(code, dst=0, src=0, off=0, imm=0):
        return struct.pack("<BBhi", code, dst | src << 4, off, imm)

    code = [insn(0xbf, 6, 1), insn(0x61, 2, 6, 0), insn(0x61, 3, 6, 4), insn(0xbf, 4, 2),
            insn(0x07, 4, imm=38), insn(0x2d, 4, 3, 12),
            insn(0x69, 5, 2, 12), insn(0x55, 5, off=10, imm=socket.htons(0x800)),
            insn(0x71, 5, 2, 23), insn(0x55, 5, off=8, imm=17),
            insn(0x69, 5, 2, 36), insn(0x55, 5, off=6, imm=socket.htons(port)),
            insn(0x61, 2, 6, 16), insn(0x18, 1, 1, imm=table), insn(0),
            insn(0xb7, 3, imm=XDP_PASS), insn(0x85, imm=REDIRECT_MAP), insn(0x95),
            insn(0xb7, 0, imm=XDP_PASS), insn(0x95)]
    text = ctypes.create_string_buffer(b"".join(code))
    license_name = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, "<IIQQIIQII16sII", PROG_XDP, len(code), ctypes.addressof(text),
               ctypes.addressof(license_name), 0, 0, 0, 0, 32 if frags else 0, b"xsk", 0,
               ATTACH_XDP)


class Ring:
    """One of the four rings of a socket; entries are numbers or descriptors."""

    def __init__(self, sock, kind, offsets, size):
        at = {RX_RING: 0, TX_RING: 4, FILL_RING: 8, COMP_RING: 12}[kind]
        self.prod_at, self.cons_at, self.desc_at, self.flags_at = offsets[at:at + 4]
        self.layout = "<QII" if kind in (RX_RING, TX_RING) else "<Q"
        self.step, self.size = struct.calcsize(self.layout), size
        self.map = mmap.mmap(sock.fileno(), self.desc_at + size * self.step,
                             offset=PAGE_OFFSETS[kind])
        self.prod, self.cons = self.word(self.prod_at), self.word(self.cons_at)

    def word(self, at):
        return struct.unpack_from("<I", self.map, at)[0]

    def wakeup(self):
        return self.word(self.flags_at) & 1

    def room(self):
        return self.size - ((self.prod - self.word(self.cons_at)) & 0xffffffff)

    def put(self, entries):
        for entry in entries:
            struct.pack_into(self.layout, self.map,
                             self.desc_at + self.prod % self.size * self.step, *entry)
            self.prod = (self.prod + 1) & 0xffffffff
        struct.pack_into("<I", self.map, self.prod_at, self.prod)

    def take(self):
        found = []
        while self.cons != self.word(self.prod_at):
            found.append(struct.unpack_from(self.layout, self.map,
                                            self.desc_at + self.cons % self.size * self.step))
            self.cons = (self.cons + 1) & 0xffffffff
        if found:
            struct.pack_into("<I", self.map, self.cons_at, self.cons)
        return found


class Socket:
    """A socket with its memory, bound to a queue."""

    def __init__(self, nic, queue, args, share=None):
        self.args, self.wrong = args, []
        self.rx = self.tx = self.done = 0
        self.packet = []
        self.sock = socket.socket(AF_XDP, socket.SOCK_RAW)
        meta = META_LEN if args.csum else 0
        if share:
            self.memory, self.base = share.memory, share.base
        else:
            total = args.frames * args.chunk * (len(args.queues) if args.shared else 1)
            self.memory = mmap.mmap(-1, total)
            self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
            self.option(UMEM_REG, struct.pack(
                "<QQIIII", self.base, total, args.chunk, args.headroom,
                (UNALIGNED if args.unaligned else 0) | (TX_METADATA_LEN if meta else 0), meta))
        for kind in (FILL_RING, COMP_RING, RX_RING, TX_RING):
            self.option(kind, struct.pack("<I", args.ring))
        raw = self.sock.getsockopt(SOL_XDP, MMAP_OFFSETS, 128)
        offsets = struct.unpack("<16Q", raw)
        self.rings = {kind: Ring(self.sock, kind, offsets, args.ring)
                      for kind in (RX_RING, TX_RING, FILL_RING, COMP_RING)}
        first = args.queues.index(queue) * args.frames if args.shared else 0
        self.where = {(first + n) * args.chunk: "user" for n in range(args.frames)}
        self.fill(list(self.where)[:args.fill])
        self.bind(nic, queue, share)
        if args.busy:
            self.sock.setsockopt(socket.SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, SO_BUSY_POLL, 50)
            self.sock.setsockopt(socket.SOL_SOCKET, SO_BUSY_POLL_BUDGET, 64)

    def option(self, name, value):
        self.sock.setsockopt(SOL_XDP, name, value)

    def bind(self, nic, queue, share):
        args = self.args
        flags = (COPY if args.copy else ZEROCOPY) | (USE_SG if args.sg else 0)
        flags |= 0 if args.no_wakeup else NEED_WAKEUP
        where = struct.pack("<HHIII", AF_XDP, SHARED if share else flags,
                            socket.if_nametoindex(nic), queue,
                            share.sock.fileno() if share else 0)
        check(libc.bind(self.sock.fileno(), where, len(where)))
        self.zerocopy = struct.unpack("<I", self.sock.getsockopt(SOL_XDP, OPTIONS, 4))[0] & 1

    def move(self, addr, old, new):
        """A frame changes hands; nobody may give what he does not have."""
        if self.args.unaligned:
            addr &= (1 << 48) - 1
        addr -= addr % self.args.chunk
        if self.where.get(addr) != old:
            self.wrong.append(f"frame {addr:#x} from {old}, but it is {self.where.get(addr)}")
        self.where[addr] = new
        return addr

    def held(self, by):
        return [addr for addr, have in self.where.items() if have == by]

    def fill(self, addrs):
        for addr in addrs:
            self.move(addr, "user", "fill")
        self.rings[FILL_RING].put([(addr,) for addr in addrs])

    def complete(self):
        """Take frames back that were sent."""
        found = [self.move(addr, "tx", "user") for addr, in self.rings[COMP_RING].take()]
        self.done += len(found)
        return found

    def receive(self):
        """Packets: each a list of (addr, len)."""
        packets = []
        for addr, size, options in self.rings[RX_RING].take():
            self.move(addr, "fill", "user")
            self.packet.append((addr, size))
            if not options & CONTD:
                packets.append(self.packet)
                self.packet = []
        self.rx += len(packets)
        return packets

    def offset(self, addr):
        """Where a descriptor's data lies in the memory."""
        if self.args.unaligned:
            return (addr & (1 << 48) - 1) + (addr >> 48)
        return addr

    def transmit(self, packets, options=0):
        for packet in packets:
            for addr, _ in packet:
                self.move(addr, "user", "tx")
            self.rings[TX_RING].put([(addr, size, options | (CONTD if n < len(packet) - 1 else 0))
                                     for n, (addr, size) in enumerate(packet)])
        self.tx += len(packets)

    def kick(self):
        """Tell the kernel what it wants to be told."""
        if self.args.busy or self.args.no_wakeup or self.rings[TX_RING].wakeup():
            self.call(lambda: self.sock.send(b"", socket.MSG_DONTWAIT))
        if self.rings[FILL_RING].wakeup():
            self.call(lambda: self.sock.recv(0, socket.MSG_DONTWAIT))

    def call(self, what):
        try:
            what()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EBUSY, errno.ENOBUFS, errno.ENETDOWN):
                self.wrong.append(f"the kernel says {error.strerror}")

    def reverse(self, packet):
        """Exchange the addresses and ports of a datagram."""
        at = self.offset(packet[0][0])
        head = self.memory[at:at + HEADERS]
        self.memory[at:at + HEADERS] = (head[6:12] + head[:6] + head[12:26] + head[30:34] +
                                        head[26:30] + head[36:38] + head[34:36] + head[38:])

    def report(self):
        stats = struct.unpack("<6Q", self.sock.getsockopt(SOL_XDP, STATISTICS, 48))
        return {"rx": self.rx, "tx": self.tx, "done": self.done, "zerocopy": self.zerocopy,
                "user": len(self.held("user")), "fill": len(self.held("fill")),
                "sending": len(self.held("tx")), "wrong": self.wrong[:5],
                "dropped": stats[0], "rx_full": stats[3], "tx_invalid": stats[2]}


def open_all(args):
    """The sockets, and what keeps the program attached."""
    socks = []
    for queue in args.queues:
        socks.append(Socket(args.nic, queue, args, socks[0] if socks and args.shared else None))
    if args.no_prog:
        return socks
    table = bpf(MAP_CREATE, "<IIIII", XSKMAP, 4, 4, 256, 0)
    for queue, sock in zip(args.queues, socks):
        key, value = ctypes.c_uint32(queue), ctypes.c_uint32(sock.sock.fileno())
        bpf(MAP_UPDATE, "<IIQQQ", table, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    args.link = bpf(LINK_CREATE, "<IIII", program(table, args.port, args.sg),
                    socket.if_nametoindex(args.nic), ATTACH_XDP, DRV_MODE)
    return socks


def echo(args):
    socks = open_all(args)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    poll = select.poll()
    for sock in socks:
        poll.register(sock.sock, select.POLLIN)
    if args.ready:
        with open(args.ready, "w", encoding="ascii"):
            pass
    while not stop:
        for sock in socks:
            packets = sock.receive()
            for packet in packets:
                sock.reverse(packet)
            sock.transmit(packets)
            back = sock.complete()
            sock.fill(back)
            if packets or back or sock.held("tx"):
                sock.kick()
        if not args.busy and not poll.poll(20):
            for sock in socks:
                sock.kick()
    finish(args, socks)


def finish(args, socks):
    """Wait for what is under way, and say how it went."""
    end = time.monotonic() + args.wait
    while any(sock.held("tx") for sock in socks) and time.monotonic() < end:
        for sock in socks:
            sock.complete()
            sock.kick()
        time.sleep(0.01)
    print(json.dumps([sock.report() for sock in socks]))


def datagram(args, seq):
    """A frame with the contents of flow.py's datagrams; a checksum for the device to finish."""
    from flow import datagram as contents  # beside this file

    to, source, dest = args.to.split(",")
    data = contents(seq, args.size)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), seq & 0xffff, 0, 64, 17, 0,
                     socket.inet_aton(source), socket.inet_aton(dest))
    ip = ip[:10] + struct.pack("!H", 0xffff ^ fold(ip)) + ip[12:]
    pseudo = fold(ip[12:20] + struct.pack("!HH", 17, 8 + len(data))) if args.csum else 0
    udp = struct.pack("!HHHH", args.port, args.port, 8 + len(data), pseudo)
    with open(f"/sys/class/net/{args.nic}/address", encoding="ascii") as file:
        own = file.read().strip()
    return (bytes.fromhex(to.replace(":", "")) + bytes.fromhex(own.replace(":", "")) +
            b"\x08\x00" + ip + udp + data)


def fold(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def send(args):
    args.no_prog, args.fill = True, 0
    sock, = open_all(args)
    piece = args.piece or args.chunk - (META_LEN if args.csum else 0)
    seq = 0
    end = time.monotonic() + 60
    signal.signal(signal.SIGUSR1, lambda *_: print(json.dumps([sock.report()]), flush=True))
    while (seq < args.count or sock.held("tx")) and time.monotonic() < end:
        free = sock.held("user")
        while seq < args.count:
            frame = datagram(args, seq)
            need = -(-len(frame) // piece)
            if need > min(len(free), sock.rings[TX_RING].room()):
                break
            packet = []
            for at in range(0, len(frame), piece):
                addr = free.pop() + (META_LEN if args.csum else 0)
                part = frame[at:at + piece]
                sock.memory[addr:addr + len(part)] = part
                packet.append((addr, len(part)))
            if args.csum:
                sock.memory[packet[0][0] - META_LEN:packet[0][0]] = struct.pack(
                    "<QHHIQ", META_CHECKSUM, 34, 6, 0, 0)
            sock.transmit([packet], METADATA if args.csum else 0)
            seq += 1
        sock.kick()
        if not sock.complete():
            time.sleep(0.002)
    finish(args, [sock])


def bind(args):
    """What becomes of binds, one after the other, all kept open."""
    result, socks = [], []
    for queue in args.queues:
        try:
            socks.append(Socket(args.nic, queue, args))
            result.append("ok")
        except OSError as error:
            result.append(errno.errorcode[error.errno])
    print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["echo", "send", "bind"])
    parser.add_argument("nic")
    parser.add_argument("queues", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("count", type=int, nargs="?", default=0)
    parser.add_argument("size", type=int, nargs="?", default=64)
    for name, value in (("frames", 512), ("chunk", 2048), ("ring", 512), ("headroom", 0),
                        ("port", 7000), ("wait", 10), ("fill", None), ("piece", None)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name in ("sg", "copy", "no-wakeup", "no-prog", "unaligned", "shared", "csum", "busy"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--to")
    parser.add_argument("--ready")
    args = parser.parse_args()
    if args.fill is None:
        args.fill = args.frames
    {"echo": echo, "send": send, "bind": bind}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
