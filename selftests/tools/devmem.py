# SPDX-License-Identifier: GPL-2.0
"""A TCP stream into, or out of, a dma-buf (devmem TCP).

    devmem.py receive NIC QUEUE PORT [OPTIONS]    take one connection, read to its end
    devmem.py send NIC ADDRESS PORT FILE          send what FILE has, out of a dma-buf
    devmem.py bind NIC QUEUE                      bind the queue, wait for SIGTERM

The dma-buf is memory of the user's (udmabuf). Prints one object: bytes, sha256, linear
(bytes that were not in the dma-buf), or "error" with the errno of what was refused, and
"why" where the kernel has said so. netdev.py lies beside it.

The numbers are those of include/uapi: asm-generic/socket.h, linux/uio.h, udmabuf.h, netdev.h.
"""

import argparse
import ctypes
import fcntl
import hashlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys

from netdev import NLM_ACK, Netlink, attribute, number

BIND_RX, BIND_TX = 13, 15
LINEAR, DMABUF, DONTNEED, ZEROCOPY = 78, 79, 80, 60
MSG_SOCK_DEVMEM, MSG_ZEROCOPY, NESTED = 0x2000000, 0x4000000, 0x8000
UDMABUF_CREATE = 0x40187542
libc = ctypes.CDLL(None, use_errno=True)


class Buffer:
    """Memory, and a dma-buf of it."""

    def __init__(self, size):
        self.memfd = os.memfd_create("devmem", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memfd, size)
        fcntl.fcntl(self.memfd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        with open("/dev/udmabuf", "rb+", buffering=0) as maker:
            self.fd = fcntl.ioctl(maker, UDMABUF_CREATE,
                                  bytearray(struct.pack("=IIQQ", self.memfd, 1, 0, size)))
        self.memory = mmap.mmap(self.memfd, size)


def bind(netlink, command, nic, buffer, queues=(), page=0):
    """Bind the buffer; its number."""
    payload = attribute(1, struct.pack("=I", socket.if_nametoindex(nic)))
    for queue in queues:
        payload += attribute(2 | NESTED, attribute(1, struct.pack("=I", queue)) +
                             attribute(3, struct.pack("=I", 0)))
    payload += attribute(3, struct.pack("=I", buffer.fd))
    if page:
        payload += attribute(5, struct.pack("=I", page))
    return number(dict(netlink.ask(netlink.family, command, payload, NLM_ACK)[0])[4])


def receive(conn, buffer):
    digest, done = hashlib.sha256(), {"bytes": 0, "linear": 0}
    while True:
        data, cmsgs, _, _ = conn.recvmsg(1 << 16, 1 << 14, MSG_SOCK_DEVMEM)
        total, tokens = len(data), []
        if not cmsgs:
            digest.update(data)
            done["linear"] += len(data)
        for level, kind, payload in cmsgs:
            at, size, token = struct.unpack_from("=QII", payload)
            if (level, kind) == (socket.SOL_SOCKET, LINEAR):
                digest.update(data[:size])
                data = data[size:]
                done["linear"] += size
            elif (level, kind) == (socket.SOL_SOCKET, DMABUF):
                digest.update(memoryview(buffer.memory)[at:at + size])
                tokens.append(struct.pack("=II", token, 1))
        if tokens:
            conn.setsockopt(socket.SOL_SOCKET, DONTNEED, b"".join(tokens))
        if not total:
            return {**done, "sha256": digest.hexdigest()}
        done["bytes"] += total


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
                ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


def send(conn, number_of, size):
    """Send @size bytes of the bound buffer, by their offsets."""
    conn.setsockopt(socket.SOL_SOCKET, ZEROCOPY, 1)
    control = ctypes.create_string_buffer(struct.pack("=QiiIxxxx", 20, socket.SOL_SOCKET, DMABUF,
                                                      number_of), 24)
    at = notices = sends = 0
    while at < size:
        iov = ctypes.create_string_buffer(struct.pack("=QQ", at, min(size - at, 1 << 17)), 16)
        msg = Msghdr(None, 0, ctypes.addressof(iov), 1, ctypes.addressof(control), 24, 0)
        sent = libc.sendmsg(conn.fileno(), ctypes.byref(msg), MSG_ZEROCOPY)
        if sent < 0:
            raise OSError(ctypes.get_errno(), "sendmsg")
        at += sent
        sends += 1
    conn.shutdown(socket.SHUT_WR)
    conn.recv(1)
    while notices < sends:
        select.select([], [], [conn], 10)
        for _, _, payload in conn.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1]:
            low, high = struct.unpack_from("=2I", payload, 8)
            notices += high - low + 1
    return {"bytes": at, "notices": notices}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["receive", "send", "bind"])
    parser.add_argument("nic")
    parser.add_argument("where")
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--size", type=int, default=8 << 20)
    parser.add_argument("--page", type=int, default=0)
    parser.add_argument("--ready")
    options = parser.parse_args()
    try:
        buffer, netlink = Buffer(options.size), Netlink()
        if options.what == "send":
            with open(options.file, "rb") as source:
                data = source.read()
            buffer.memory[:len(data)] = data
            found = bind(netlink, BIND_TX, options.nic, buffer)
            conn = socket.create_connection((options.where, options.port))
            print(json.dumps(send(conn, found, len(data))))
            return
        bind(netlink, BIND_RX, options.nic, buffer, [int(options.where)], options.page)
        server = socket.create_server(("", options.port), family=socket.AF_INET6,
                                      dualstack_ipv6=True)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.size // 8)
        if options.ready:
            with open(options.ready, "w", encoding="ascii") as ready:
                ready.write("ready\n")
        if options.what == "bind":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            select.select([], [], [])
        print(json.dumps(receive(server.accept()[0], buffer)))
    except OSError as error:
        print(json.dumps({"error": error.errno, "why": error.strerror}))


if __name__ == "__main__":
    main()
