# SPDX-License-Identifier: GPL-2.0
"""Receives a TCP stream by io_uring zero copy.

    zcrx.py NIC QUEUE PORT [OPTIONS]

Binds the queue, listens, takes one connection and reads to its end. Every buffer is
returned once, in the order in which it came. Where the kernel finds no memory to copy a
head to, because all of it is here, buffers are returned, the kernel is told to look at
them (it does not by itself for that purpose), and it is asked again. Prints one
object: bytes, sha256, pieces (completions), copied (bytes that the kernel copied), short
(times without memory), or "error" with the errno of whatever was refused.

The structs are those of include/uapi/linux/io_uring.h and io_uring/zcrx.h.
"""

import argparse
import ctypes
import errno
import hashlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time

SETUP, ENTER, REGISTER = 425, 426, 427
CQE32, SINGLE_ISSUER, DEFER_TASKRUN = 1 << 11, 1 << 12, 1 << 13
REGISTER_ZCRX, ZCRX_CTRL, RECV_ZC, MULTISHOT, GETEVENTS, MORE = 32, 36, 58, 2, 1, 2
OFF_SQ, OFF_CQ, OFF_SQES = 0, 0x8000000, 0x10000000
AREA_SHIFT, HEADER, STATS, USER_REGION, HUGE = 48, 4096, 1, 1, 0x40000
PARAMS = struct.Struct("=7I3I" + "8IQ" * 2)
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def address(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Ring:
    """An io_uring without any library: one submission, completions of 32 bytes."""

    def __init__(self, entries=512):
        params = bytearray(PARAMS.size)
        struct.pack_into("=3I", params, 0, 0, 0, CQE32 | SINGLE_ISSUER | DEFER_TASKRUN)
        self.fd = check(libc.syscall(SETUP, entries, ctypes.c_char_p(address(params))))
        words = PARAMS.unpack(params)
        sq, cq = words[10:18], words[19:27]
        self.sqes = mmap.mmap(self.fd, words[0] * 64, offset=OFF_SQES)
        self.sq = mmap.mmap(self.fd, sq[6] + words[0] * 4, offset=OFF_SQ)
        self.cq = mmap.mmap(self.fd, cq[5] + words[1] * 32, offset=OFF_CQ)
        self.sq_at, self.cq_at = sq, cq

    def word(self, memory, at, value=None):
        if value is None:
            return struct.unpack_from("=I", memory, at)[0]
        struct.pack_into("=I", memory, at, value)
        return value

    def submit(self, sqe):
        tail = self.word(self.sq, self.sq_at[1])
        slot = tail & self.word(self.sq, self.sq_at[2])
        self.sqes[slot * 64:slot * 64 + 64] = sqe
        self.word(self.sq, self.sq_at[6] + slot * 4, slot)
        self.word(self.sq, self.sq_at[1], (tail + 1) & 0xffffffff)
        check(libc.syscall(ENTER, self.fd, 1, 0, 0, None, 0))

    def completions(self):
        """Those that there are, after a wait for one; a sleep of the machine ends the wait."""
        if libc.syscall(ENTER, self.fd, 0, 1, GETEVENTS, None, 0) < 0 and \
                ctypes.get_errno() != errno.EINTR:
            raise OSError(ctypes.get_errno(), "io_uring_enter")
        head, mask = self.word(self.cq, self.cq_at[0]), self.word(self.cq, self.cq_at[2])
        found = []
        while head != self.word(self.cq, self.cq_at[1]):
            found.append(struct.unpack_from("=QiIQQ", self.cq,
                                            self.cq_at[5] + (head & mask) * 32))
            head = (head + 1) & 0xffffffff
        self.word(self.cq, self.cq_at[0], head)
        return found


class Area:
    """Memory of the user's that a receive queue is given."""

    def __init__(self, ring, nic, queue, size, page):
        self.entries = 4096
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (HUGE if page > mmap.PAGESIZE else 0)
        self.memory = mmap.mmap(-1, size, flags=flags)
        self.rq = mmap.mmap(-1, HEADER + self.entries * 16 + mmap.PAGESIZE)
        stats = HEADER + self.entries * 16
        event = bytearray(struct.pack("=QIIQ9Q", 0, 0, STATS, stats, *[0] * 9))
        region = bytearray(struct.pack("=QQIIQ4Q", address(self.rq), len(self.rq), USER_REGION,
                                       0, 0, *[0] * 4))
        area = bytearray(struct.pack("=QQQII2Q", address(self.memory), size, 0, 0, 0, 0, 0))
        reg = bytearray(struct.pack("=4I2Q4I2Q2IQ2Q", socket.if_nametoindex(nic), queue,
                                    self.entries, 0, address(area), address(region), 0, 0, 0, 0,
                                    0, 0, 0, page if page > mmap.PAGESIZE else 0,
                                    address(event), 0, 0))
        check(libc.syscall(REGISTER, ring.fd, REGISTER_ZCRX, ctypes.c_char_p(address(reg)), 1))
        _, self.tail_at, self.rqes = struct.unpack_from("=3I", reg, 32)
        self.token = struct.unpack_from("=Q", area, 16)[0]
        self.id = struct.unpack_from("=I", reg, 64)[0]
        self.stats, self.tail = stats, 0

    def give_back(self, offset, length):
        at = self.rqes + (self.tail & (self.entries - 1)) * 16
        struct.pack_into("=QII", self.rq, at, offset | self.token, length, 0)
        self.tail = (self.tail + 1) & 0xffffffff
        struct.pack_into("=I", self.rq, self.tail_at, self.tail)

    def flush(self, ring):
        ctrl = bytearray(struct.pack("=II2Q6Q", self.id, 0, *[0] * 8))
        check(libc.syscall(REGISTER, ring.fd, ZCRX_CTRL, ctypes.c_char_p(address(ctrl)), 0))

    def copied(self):
        return struct.unpack_from("=QQ", self.rq, self.stats)[1]


def receive(ring, area, conn, options):
    """Read the stream to its end."""
    digest, done, held = hashlib.sha256(), {"bytes": 0, "pieces": 0, "short": 0}, []
    recv = struct.pack("=BBHiQQIIQHHI2Q", RECV_ZC, 0, MULTISHOT, conn.fileno(), 0, 0, 0, 0, 1, 0,
                       0, area.id, 0, 0)
    ring.submit(recv)
    started = time.monotonic()
    while True:
        for _, res, flags, offset, _ in ring.completions():
            if res > 0:
                at = offset & ((1 << AREA_SHIFT) - 1)
                digest.update(memoryview(area.memory)[at:at + res])
                done["bytes"] += res
                done["pieces"] += 1
                held.append((at, res))
            elif res == -errno.ENOMEM:
                done["short"] += 1
            elif res < 0:
                return {**done, "error": -res}
            asked = flags & MORE
            if not asked and res == 0:
                return {**done, "sha256": digest.hexdigest(), "copied": area.copied()}
        if time.monotonic() - started >= options.hold:
            for piece in held:
                area.give_back(*piece)
            held.clear()
        if not asked:
            area.flush(ring)
            ring.submit(recv)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nic")
    parser.add_argument("queue", type=int)
    parser.add_argument("port", type=int)
    parser.add_argument("--size", type=int, default=4 << 20)
    parser.add_argument("--page", type=int, default=mmap.PAGESIZE)
    parser.add_argument("--ready")
    parser.add_argument("--hold", type=float, default=0,
                        help="seconds in which nothing is given back")
    parser.add_argument("--bind", action="store_true", help="bind, and wait for SIGTERM")
    options = parser.parse_args()
    try:
        ring = Ring()
        area = Area(ring, options.nic, options.queue, options.size, options.page)
        server = socket.create_server(("", options.port), family=socket.AF_INET6,
                                      dualstack_ipv6=True)
        # What nobody has read must not be all that there is.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.size // 8)
        if options.ready:
            with open(options.ready, "w", encoding="ascii") as ready:
                ready.write("ready\n")
        if options.bind:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            select.select([], [], [])
        conn = server.accept()[0]
        print(json.dumps(receive(ring, area, conn, options)))
    except OSError as error:
        print(json.dumps({"error": error.errno}))


if __name__ == "__main__":
    main()
