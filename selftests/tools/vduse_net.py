#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: vduse_net.py NAME TAP MAC [packed]

A virtio-net device in user space of the guest itself: VDUSE carries the rings,
a tap the packets, which arrive in the name space where this is started. What
the tap has in front of a packet is the header of virtio-net; nothing is copied
but the packet. The rings are those of the test device (package 'device' beside
this file). Prints 'up' when 'vdpa dev add' may be called.
"""

import errno
import fcntl
import mmap
import os
import selectors
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from device.memory import BadAddress, GuestMemory  # noqa: E402
from device.rings import PackedRing, SplitRing  # noqa: E402

SIZE, HEADER, BATCH = 256, 12, 32
PAIR = (0, 1)
RX, TX = PAIR
LONGEST = HEADER + 65550
NUM_BUFFERS = struct.Struct("<H")

# VIRTIO 1.3, 5.1.3 and 6: CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, GUEST_TSO6, HOST_TSO4,
# HOST_TSO6, MRG_RXBUF, STATUS; INDIRECT_DESC, EVENT_IDX, VERSION_1, ACCESS_PLATFORM
BITS = (0, 1, 3, 5, 7, 8, 11, 12, 15, 16, 28, 29, 32, 33)
INDIRECT, EVENT_IDX, RING_PACKED = 28, 29, 34
NET, DRIVER_OK, LINK_UP = 1, 4, 1

# linux/vduse.h
GET_VQ_STATE, SET_STATUS, UPDATE_IOTLB = range(3)
REQUEST, RESPONSE = struct.Struct("<II16x128s"), struct.Struct("<II16x128x")
CONFIG = struct.Struct("<256sIIQII52xI")
VQ_INFO = struct.Struct("<IIQQQHHHHB7x")
ENTRY = struct.Struct("<QQQB7x")


def code(direction, number, size):
    return direction << 30 | size << 16 | 0x81 << 8 | number


CREATE_DEV = code(1, 2, CONFIG.size)
IOTLB_GET_FD = code(3, 0x10, ENTRY.size)
DEV_GET_FEATURES = code(2, 0x11, 8)
VQ_SETUP = code(1, 0x14, 32)
VQ_GET_INFO = code(3, 0x15, VQ_INFO.size)
VQ_SETUP_KICKFD = code(1, 0x16, 8)
VQ_INJECT_IRQ = code(1, 0x17, 4)

# linux/if_tun.h
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454ca, 0x400454d0, 0x400454d8
TAP_FLAGS = 0x0002 | 0x1000 | 0x4000    # TAP, NO_PI, VNET_HDR
CSUM, TSO4, TSO6 = 1, 2, 4


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_FLAGS))
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
    fcntl.ioctl(fd, TUNSETOFFLOAD, CSUM | TSO4 | TSO6)
    return fd


def create(name, mac, packed):
    """Make the device; its file."""
    features = sum(1 << bit for bit in BITS + ((RING_PACKED,) if packed else ()))
    space = mac + struct.pack("<HHH", LINK_UP, 1, 1500)
    control = os.open("/dev/vduse/control", os.O_RDWR)
    fcntl.ioctl(control, CREATE_DEV, CONFIG.pack(name.encode(), 0, NET, features, len(PAIR), 4096,
                                                 len(space)) + space)
    fd = os.open(f"/dev/vduse/{name}", os.O_RDWR | os.O_NONBLOCK)
    for index in PAIR:
        fcntl.ioctl(fd, VQ_SETUP, struct.pack("<IH26x", index, SIZE))
    return fd


class Memory(GuestMemory):
    """What the driver has mapped; looked up when the device comes upon it."""

    def __init__(self, fd):
        super().__init__()
        self.fd = fd

    def _fetch(self, addr):
        """Map the region around an address; False if the driver has mapped none."""
        if any(base <= addr < base + length for base, length in self.ranges()):
            return False
        entry = bytearray(ENTRY.pack(0, addr, addr, 0))
        try:
            fd = fcntl.ioctl(self.fd, IOTLB_GET_FD, entry)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT, errno.EPERM):
                return False
            raise
        offset, start, last, perm = ENTRY.unpack(entry)
        prot = (mmap.PROT_READ if perm & 1 else 0) | (mmap.PROT_WRITE if perm & 2 else 0)
        area = mmap.mmap(fd, last - start + 1, mmap.MAP_SHARED, prot | mmap.PROT_READ,
                         offset=offset)
        os.close(fd)
        self.add(start, area, bool(perm & 2))
        return True

    def _mapped(self, look, addr, *rest):
        """What a look at an address finds, after a second look if it had to be mapped."""
        try:
            return look(addr, *rest)
        except BadAddress:
            if not self._fetch(addr):
                raise
            return look(addr, *rest)

    def _pieces(self, addr, length, write):
        return self._mapped(super()._pieces, addr, length, write)

    def view(self, addr, length, write=False):
        return self._mapped(super().view, addr, length, write)

    def forget(self, start, last):
        for base, length in self.ranges():
            if base <= last and start < base + length:
                self.remove(base)


class Device:
    def __init__(self, name, wire, mac, packed):
        self.wire = wire
        self.fd = create(name, mac, packed)
        self.memory = Memory(self.fd)
        self.rings, self.kicks = {}, {}
        self.spare, self.packet, self.listens = [], None, False
        self.loop = selectors.DefaultSelector()
        self.loop.register(self.fd, selectors.EVENT_READ, self.request)

    def serve(self):
        while True:
            for key, _ in self.loop.select():
                if key.fd in self.loop.get_map():  # the one before may have stopped the rings
                    key.data()

    def request(self):
        kind, number, body = REQUEST.unpack(os.read(self.fd, REQUEST.size))
        if kind == SET_STATUS:
            if not body[0]:
                self.stop()
            elif body[0] & DRIVER_OK and not self.rings:
                self.start()
        elif kind == UPDATE_IOTLB:
            self.memory.forget(*struct.unpack_from("<QQ", body))
        os.write(self.fd, RESPONSE.pack(number, int(kind == GET_VQ_STATE)))

    def start(self):
        features, = struct.unpack("<Q", fcntl.ioctl(self.fd, DEV_GET_FEATURES, bytes(8)))
        options = {"indirect": features >> INDIRECT & 1, "event_idx": features >> EVENT_IDX & 1}
        kind = PackedRing if features >> RING_PACKED & 1 else SplitRing
        for index in PAIR:
            info = VQ_INFO.unpack(fcntl.ioctl(self.fd, VQ_GET_INFO, VQ_INFO.pack(
                index, *[0] * 9)))
            self.rings[index] = kind(self.memory, info[1], info[2:5], options, self.report)
            kick = os.eventfd(0, os.EFD_NONBLOCK)
            fcntl.ioctl(self.fd, VQ_SETUP_KICKFD, struct.pack("<Ii", index, kick))
            self.kicks[index] = kick
        self.loop.register(self.kicks[TX], selectors.EVENT_READ, self.transmit)
        self.loop.register(self.kicks[RX], selectors.EVENT_READ, self.receive)
        self.listen(True)
        self.transmit()

    def stop(self):
        self.listen(False)
        for fd in self.kicks.values():
            self.loop.unregister(fd)
            os.close(fd)
        self.rings, self.kicks, self.spare, self.packet = {}, {}, [], None
        self.memory.clear()  # nobody tells when the memory of rings is given back

    def report(self, kind, **details):
        print("violation", kind, details, flush=True)

    def drain(self, index):
        try:
            os.eventfd_read(self.kicks[index])
        except BlockingIOError:
            pass

    def done(self, index, entries):
        """Give buffers back, and tell the driver if it wants to know."""
        if entries:
            self.rings[index].push(entries)
            if self.rings[index].need_interrupt():
                fcntl.ioctl(self.fd, VQ_INJECT_IRQ, struct.pack("<I", index))

    def transmit(self):
        """What the driver has made available goes to the tap."""
        self.drain(TX)
        ring, done = self.rings[TX], []
        while True:
            ring.want_kick(False)
            chain = ring.pop()
            if chain is None or len(done) == BATCH:
                self.done(TX, done)
                done = []
            if chain is None:
                ring.want_kick()
                chain = ring.pop()  # what came before the wish was seen
            if chain is None:
                return
            try:
                os.write(self.wire, chain.read(self.memory))
            except OSError as error:  # the tap is down, or refuses the packet
                print("tap:", error, flush=True)
            done.append((chain, 0))

    def buffers(self, length):
        """Buffers of the driver for a packet; none if they do not suffice."""
        ring = self.rings[RX]
        while sum(chain.in_len for chain in self.spare) < length:
            ring.want_kick(False)
            chain = ring.pop()
            if chain is None:
                ring.want_kick()
                chain = ring.pop()  # what came before the wish was seen
            if chain is None:
                return []
            self.spare.append(chain)
        taken = []
        while sum(chain.in_len for chain in taken) < length:
            taken.append(self.spare.pop(0))
        return taken

    def receive(self):
        """Packets of the tap go into buffers of the driver, or wait for a kick."""
        self.drain(RX)
        for _ in range(BATCH):
            if not self.packet:
                try:
                    self.packet = bytearray(os.read(self.wire, LONGEST))
                except BlockingIOError:
                    break
            chains = self.buffers(len(self.packet))
            if not chains:
                self.listen(False)
                return
            NUM_BUFFERS.pack_into(self.packet, HEADER - NUM_BUFFERS.size, len(chains))
            used, at = [], 0
            for chain in chains:
                length = chain.write(self.memory, self.packet[at:])
                used.append((chain, length))
                at += length
            self.packet = None
            self.done(RX, used)
        self.listen(True)

    def listen(self, wanted):
        """To the tap; while a packet waits for buffers, the next one may wait there."""
        if wanted and not self.listens:
            self.loop.register(self.wire, selectors.EVENT_READ, self.receive)
        elif self.listens and not wanted:
            self.loop.unregister(self.wire)
        self.listens = wanted


def main():
    name, interface, mac, *rest = sys.argv[1:]
    device = Device(name, tap(interface), bytes.fromhex(mac.replace(":", "")), rest == ["packed"])
    print("up", flush=True)
    device.serve()


main()
