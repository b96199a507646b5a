#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Leases a receive queue of a network card to a virtual interface (netkit).

    lease.py VIRTUAL NIC QUEUE

Prints the number of the queue that the virtual interface has got, or "error" with the
errno of the refusal and "why". netdev.py lies beside it. The numbers are those of
include/uapi/linux/netdev.h: QUEUE_CREATE with the attributes of a queue and of a lease.
"""

import json
import socket
import struct
import sys

from netdev import NLM_ACK, Netlink, attribute, number

QUEUE_CREATE, NESTED = 16, 0x8000


def word(value):
    return struct.pack("=I", value)


def main():
    virtual, nic = (socket.if_nametoindex(name) for name in sys.argv[1:3])
    source = attribute(1, word(int(sys.argv[3]))) + attribute(3, word(0))
    lease = attribute(1, word(nic)) + attribute(2 | NESTED, source)
    payload = attribute(2, word(virtual)) + attribute(3, word(0)) + \
        attribute(8 | NESTED, lease)
    try:
        netlink = Netlink()
        reply = netlink.ask(netlink.family, QUEUE_CREATE, payload, NLM_ACK)
        print(json.dumps({"queue": number(dict(reply[0])[1])}))
    except OSError as error:
        print(json.dumps({"error": error.errno, "why": error.strerror}))


if __name__ == "__main__":
    main()
