# SPDX-License-Identifier: GPL-2.0
"""What the kernel tells about a net device over the netlink family "netdev".

The only reader of it: _snapshot.py imports it.

    netdev.py INTERFACE    one JSON object: qstats (the device), queues (with
                           their statistics and NAPI, and whether a memory
                           provider has them), napis, pools, xdp_features (bits)

The numbers are those of include/uapi/linux/netdev.h.
"""

import json
import socket
import struct
import sys

GENL_ID_CTRL, CTRL_GETFAMILY, CTRL_FAMILY_ID, CTRL_FAMILY_NAME = 16, 3, 1, 2
NLM_F_CAPPED, NLM_F_ACK_TLVS, SOL_NETLINK, NETLINK_EXT_ACK = 0x100, 0x200, 270, 11
NLM_REQUEST, NLM_ACK, NLM_DUMP, NLMSG_ERROR, NLMSG_DONE = 1, 4, 0x300, 2, 3
DEV_GET, PAGE_POOL_GET, QUEUE_GET, NAPI_GET, QSTATS_GET = 1, 5, 10, 11, 12
QSTATS = {
    8: "rx-packets", 9: "rx-bytes", 10: "tx-packets", 11: "tx-bytes", 12: "rx-alloc-fail",
    13: "rx-hw-drops", 14: "rx-hw-drop-overruns", 15: "rx-csum-complete",
    16: "rx-csum-unnecessary", 17: "rx-csum-none", 18: "rx-csum-bad", 19: "rx-hw-gro-packets",
    20: "rx-hw-gro-bytes", 21: "rx-hw-gro-wire-packets", 22: "rx-hw-gro-wire-bytes",
    23: "rx-hw-drop-ratelimits", 24: "tx-hw-drops", 25: "tx-hw-drop-errors", 26: "tx-csum-none",
    27: "tx-needs-csum", 28: "tx-hw-gso-packets", 29: "tx-hw-gso-bytes",
    30: "tx-hw-gso-wire-packets", 31: "tx-hw-gso-wire-bytes", 32: "tx-hw-drop-ratelimits",
    33: "tx-stop", 34: "tx-wake"}


def attribute(kind, data):
    raw = struct.pack("=HH", 4 + len(data), kind) + data
    return raw.ljust(-(-len(raw) // 4) * 4, b"\0")


def attributes(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:size]
        data = data[-(-size // 4) * 4:]


def number(data):
    return int.from_bytes(data, sys.byteorder)


def why(error):
    """What the kernel says beside an errno: NLMSGERR_ATTR_MSG."""
    size, flags = struct.unpack_from("=I2xH", error)
    at = 36 if flags & NLM_F_CAPPED else 20 + struct.unpack_from("=I", error, 20)[0]
    said = dict(attributes(error[at:size])) if flags & NLM_F_ACK_TLVS else {}
    return said.get(1, b"").rstrip(b"\0").decode()


class Netlink:
    def __init__(self, family="netdev"):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.bind((0, 0))
        name = attribute(CTRL_FAMILY_NAME, family.encode() + b"\0")
        reply = self.ask(GENL_ID_CTRL, CTRL_GETFAMILY, name, NLM_ACK)
        self.family = number(dict(reply[0])[CTRL_FAMILY_ID])

    def ask(self, family, command, payload, flags):
        body = struct.pack("=BBH", command, 1, 0) + payload
        self.sock.send(struct.pack("=IHHII", 16 + len(body), family, NLM_REQUEST | flags, 1, 0) +
                       body)
        found = []
        while True:
            data = self.sock.recv(1 << 18)
            while data:
                size, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    error = -struct.unpack_from("=i", data, 16)[0]
                    if error:
                        raise OSError(error, why(data) or f"netdev command {command}")
                    return found
                found.append(list(attributes(data[20:size])))
                data = data[-(-size // 4) * 4:]

    def dump(self, command, payload=b""):
        return [dict(reply) for reply in self.ask(self.family, command, payload, NLM_DUMP)]


def main():
    ifindex = socket.if_nametoindex(sys.argv[1])
    netlink = Netlink()
    word = struct.pack("=I", ifindex)

    def counters(reply):
        return {QSTATS[kind]: number(data) for kind, data in reply.items() if kind in QSTATS}

    device = [r for r in netlink.dump(QSTATS_GET) if number(r[1]) == ifindex]
    queues = {}
    for reply in netlink.dump(QUEUE_GET, attribute(2, word)):
        name = ("tx" if number(reply[3]) else "rx") + str(number(reply[1]))
        queues[name] = {"napi": number(reply[4]) if 4 in reply else None,
                        "bound": 5 in reply or 6 in reply}
    for reply in netlink.dump(QSTATS_GET, attribute(4, struct.pack("=Q", 1))):
        if number(reply[1]) == ifindex:
            name = ("tx" if number(reply[2]) else "rx") + str(number(reply[3]))
            queues[name]["stats"] = counters(reply)
    napis = {number(r[2]): {"irq": number(r[3]) if 3 in r else None}
             for r in netlink.dump(NAPI_GET, attribute(1, word))}
    pools = [{"id": number(r[1]), "inflight": number(r[4]) if 4 in r else 0,
              "detached": 6 in r} for r in netlink.dump(PAGE_POOL_GET)
             if number(r.get(2, b"")) == ifindex]
    xdp = [number(r[3]) for r in netlink.dump(DEV_GET) if number(r[1]) == ifindex]
    print(json.dumps({"qstats": counters(device[0]) if device else {}, "queues": queues,
                      "napis": napis, "pools": pools, "xdp_features": xdp[0] if xdp else 0}))


if __name__ == "__main__":
    main()
