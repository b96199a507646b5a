# SPDX-License-Identifier: GPL-2.0
"""Send numbered datagrams and collect what comes back on a link.

    back.py LINK MAC HOST PORT COUNT SIZE [--rate N] [--keep N] [--quiet SECONDS]

What comes back is a frame with this source address that carries a UDP datagram to
PORT or the EtherType 0x88b5. Prints one JSON object.
"""

import argparse
import json
import socket
import struct
import time
from collections import Counter

from flow import datagram

ETH_P_ALL, PACKET_OUTGOING = 3, 4
IP_MTU_DISCOVER, PMTUDISC_PROBE = 10, 3


class Tap:
    """The frames of a link."""

    def __init__(self, link, mac, port):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self.sock.bind((link, 0))
        self.sock.setblocking(False)
        self.mac, self.port = bytes.fromhex(mac.replace(":", "")), port
        self.frames, self.lengths, self.last = [], Counter(), time.monotonic()

    def mine(self, frame):
        kind, = struct.unpack_from("!H", frame, 12)
        if frame[6:12] != self.mac:
            return False
        return kind == 0x88b5 or kind == 0x800 and len(frame) >= 42 and frame[23] == 17 and \
            struct.unpack_from("!H", frame, 36)[0] == self.port

    def drain(self, keep):
        while True:
            try:
                frame, address = self.sock.recvfrom(1 << 17)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING and self.mine(frame):
                self.last = time.monotonic()
                self.lengths[len(frame)] += 1
                if len(self.frames) < keep:
                    self.frames.append(frame.hex())


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("link", str), ("mac", str), ("host", str), ("port", int),
                       ("count", int), ("size", int)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--rate", type=float, default=1500)
    parser.add_argument("--keep", type=int, default=0)
    parser.add_argument("--quiet", type=float, default=1)
    args = parser.parse_args()
    tap = Tap(args.link, args.mac, args.port)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    sock.connect((args.host, args.port))
    started, refused = time.monotonic(), 0
    for seq in range(args.count):
        try:
            sock.send(datagram(seq, args.size))
        except OSError:
            refused += 1
        tap.drain(args.keep)
        ahead = started + seq / args.rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    tap.last = time.monotonic()
    while time.monotonic() - tap.last < args.quiet:
        tap.drain(args.keep)
        time.sleep(0.02)
    print(json.dumps({"sent": args.count, "refused": refused, "back": sum(tap.lengths.values()),
                      "lengths": tap.lengths, "frames": tap.frames}))


main()
