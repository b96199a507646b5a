# SPDX-License-Identifier: GPL-2.0
"""Runs in the guest: prints the netlink counters of an interface as JSON.

    python3 qstats.py INTERFACE

{"device": {"rx-packets": 1, ...}, "rx": {"0": {...}}, "tx": {"0": {...}}}
"""

import json
import socket
import struct
import sys

NETLINK_GENERIC, NLM_F_REQUEST, NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 16, 1, 0x300, 2, 3
CTRL_ID, GETFAMILY, FAMILY_ID, FAMILY_NAME = 16, 3, 1, 2
QSTATS_GET, IFINDEX, TYPE, ID, SCOPE = 12, 1, 2, 3, 4
NAMES = dict(enumerate((
    "rx-packets", "rx-bytes", "tx-packets", "tx-bytes", "rx-alloc-fail", "rx-hw-drops",
    "rx-hw-drop-overruns", "rx-csum-complete", "rx-csum-unnecessary", "rx-csum-none",
    "rx-csum-bad", "rx-hw-gro-packets", "rx-hw-gro-bytes", "rx-hw-gro-wire-packets",
    "rx-hw-gro-wire-bytes", "rx-hw-drop-ratelimits", "tx-hw-drops", "tx-hw-drop-errors",
    "tx-csum-none", "tx-needs-csum", "tx-hw-gso-packets", "tx-hw-gso-bytes",
    "tx-hw-gso-wire-packets", "tx-hw-gso-wire-bytes", "tx-hw-drop-ratelimits", "tx-stop",
    "tx-wake"), 8))


def attribute(kind, data):
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)


def attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:length]
        data = data[(length + 3) & ~3:]


def number(data):
    return int.from_bytes(data, sys.byteorder)


class Netlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.bind((0, 0))

    def ask(self, family, command, flags, *attrs):
        """Yield the attributes of each answer."""
        body = struct.pack("=BBH", command, 1, 0) + b"".join(attrs)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), family, NLM_F_REQUEST | flags, 1, 0)
                         + body)
        while True:
            data = self.socket.recv(1 << 17)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", data, 16)[0], "netlink")
                yield dict(attributes(data[20:length]))
                if not flags:
                    return
                data = data[(length + 3) & ~3:]


def main(name):
    netlink = Netlink()
    family = number(next(netlink.ask(CTRL_ID, GETFAMILY, 0, attribute(
        FAMILY_NAME, b"netdev\0")))[FAMILY_ID])
    index = attribute(IFINDEX, struct.pack("=I", socket.if_nametoindex(name)))
    result = {"rx": {}, "tx": {}}
    for scope in (0, 1):
        for answer in netlink.ask(family, QSTATS_GET, NLM_F_DUMP, index,
                                  attribute(SCOPE, struct.pack("=I", scope))):
            values = {NAMES[k]: number(v) for k, v in answer.items() if k in NAMES}
            if TYPE in answer:
                result["tx" if number(answer[TYPE]) else "rx"][number(answer[ID])] = values
            else:
                result["device"] = values
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
