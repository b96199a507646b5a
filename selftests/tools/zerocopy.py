# SPDX-License-Identifier: GPL-2.0
"""Bind an AF_XDP socket in zero-copy mode: zerocopy.py INTERFACE [QUEUE]

Prints yes, or no and the reason; the socket is closed again.
"""

import ctypes
import mmap
import os
import socket
import struct
import sys

AF_XDP, SOL_XDP = 44, 283
RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 2, 4, 5, 6
XDP_ZEROCOPY = 1 << 2
CHUNKS, CHUNK = 256, 4096


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    sock = socket.socket(AF_XDP, socket.SOCK_RAW)
    area = mmap.mmap(-1, CHUNKS * CHUNK)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    sock.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQIIII", address, CHUNKS * CHUNK, CHUNK,
                                                   0, 0, 0))
    for ring in (FILL_RING, COMPLETION_RING, RX_RING):
        sock.setsockopt(SOL_XDP, ring, 256)
    name = struct.pack("=HHIII", AF_XDP, XDP_ZEROCOPY, socket.if_nametoindex(sys.argv[1]),
                       int(sys.argv[2]) if len(sys.argv) > 2 else 0, 0)
    if libc.bind(sock.fileno(), name, len(name)):
        print("no: " + os.strerror(ctypes.get_errno()))
    else:
        print("yes")


main()
