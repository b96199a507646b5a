#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes and changes pairs of the kinds vkit and netkit with attributes that ip cannot give.

link.py add|set NAME KIND [peer=NAME] [peer_ns=NAME] [mode=N] [policy=N] [peer_policy=N] ...
link.py frame NIC SIZE COUNT    sends COUNT Ethernet frames of SIZE bytes
link.py netkit NIC PROGRAM      a pinned program for what the other end of a netkit sends

A refusal is what the kernel says, with the number of the attribute that it is about.
"""

import ctypes
import os
import socket
import struct
import sys

RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 16, 1, 4, 0x400, 0x200
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
KIND, DATA, NESTED = 1, 2, 0x8000
SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
TYPES = {"peer": (1, ""), "primary": (2, "B"), "policy": (3, "I"), "peer_policy": (4, "I"),
         "mode": (5, "I"), "scrub": (6, "I"), "peer_scrub": (7, "I"), "headroom": (8, "H"),
         "tailroom": (9, "H"), "pairing": (10, "I")}


def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def data_of(words):
    """The attributes of the kind, that of the peer first."""
    wanted = dict(word.split("=", 1) for word in words)
    name, space = wanted.pop("peer", None), wanted.pop("peer_ns", None)
    out = b""
    if name:
        inner = attr(IFLA_IFNAME, name.encode() + b"\0")
        if space:
            inner += attr(IFLA_NET_NS_FD,
                          struct.pack("<I", os.open(f"/run/netns/{space}", os.O_RDONLY)))
        out += attr(1 | NESTED, bytes(16) + inner)
    for key, value in wanted.items():
        number, form = TYPES[key]
        out += attr(number, struct.pack("<" + form, int(value)))
    return out


def request(verb, name, kind, *words):
    flags = NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if verb == "add" else 0)
    info = attr(KIND, kind.encode()) + attr(DATA | NESTED, data_of(words))
    body = bytes(16) + attr(IFLA_IFNAME, name.encode() + b"\0") + \
        attr(IFLA_LINKINFO | NESTED, info)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        link.send(struct.pack("<IHHII", 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body)
        answer = link.recv(65536)
    error = -struct.unpack_from("<i", answer, 16)[0]
    return (error, *told(answer)) if error else None


def told(answer):
    """(message, offset of the attribute in the request) of an extended acknowledgment."""
    text, offset, place = "", 0, 16 + 4 + struct.unpack_from("<I", answer, 20)[0]
    if struct.unpack_from("<H", answer, 6)[0] & 0x100:      # capped: the header alone
        place = 16 + 4 + 16
    while place + 4 <= len(answer):
        length, kind = struct.unpack_from("<HH", answer, place)
        value = answer[place + 4:place + length]
        if kind == 1:
            text = value.rstrip(b"\0").decode()
        elif kind == 2:
            offset = struct.unpack("<I", value)[0]
        place += (length + 3) & ~3 or 4
    return text, offset


def bpf(command, data):
    """The system call; what it returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(data + bytes(128 - len(data)), 128)
    got = libc.syscall(321, command, buffer, 128)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def netkit(nic, program):
    """BPF_PROG_ATTACH with BPF_NETKIT_PEER; the interface is the host's end."""
    path = ctypes.create_string_buffer(program.encode())
    opened = bpf(7, struct.pack("<QII", ctypes.addressof(path), 0, 0))
    bpf(8, struct.pack("<IIII", socket.if_nametoindex(nic), opened, 55, 0))


def frames(nic, size, count):
    frame = bytes(12) + b"\x08\x00" + bytes(max(0, int(size) - 14))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((nic, 0))
        for _ in range(int(count)):
            try:
                raw.send(frame)
            except OSError as error:    # what the transmit function says of a drop
                if error.errno != 105:
                    raise


if __name__ == "__main__":
    if sys.argv[1] in ("frame", "netkit"):
        {"frame": frames, "netkit": netkit}[sys.argv[1]](*sys.argv[2:])
    else:
        wrong = request(*sys.argv[1:])
        if wrong:
            sys.exit(f"errno {wrong[0]} ({os.strerror(wrong[0])}): {wrong[1]} "
                     f"[attribute at {wrong[2]}]")
