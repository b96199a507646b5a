# SPDX-License-Identifier: GPL-2.0
"""Sets where headers and data are split, and tells: an older ethtool does not know it.

    hds.py NIC [BYTES]

Prints one object: thresh and max, or "error" and "why". netdev.py lies beside it. The numbers
are those of include/uapi/linux/ethtool_netlink_generated.h.
"""

import json
import socket
import struct
import sys

from netdev import NLM_ACK, Netlink, attribute, number

RINGS_GET, RINGS_SET, HEADER, THRESH, THRESH_MAX, NESTED = 15, 16, 1, 17, 18, 0x8000


def main():
    netlink = Netlink("ethtool")
    nic = attribute(1, struct.pack("=I", socket.if_nametoindex(sys.argv[1])))
    header = attribute(HEADER | NESTED, nic)
    try:
        if len(sys.argv) > 2:
            netlink.ask(netlink.family, RINGS_SET,
                        header + attribute(THRESH, struct.pack("=I", int(sys.argv[2]))), NLM_ACK)
        told = dict(netlink.ask(netlink.family, RINGS_GET, header, NLM_ACK)[0])
        print(json.dumps({"thresh": number(told[THRESH]), "max": number(told[THRESH_MAX])}))
    except OSError as error:
        print(json.dumps({"error": error.errno, "why": error.strerror}))


if __name__ == "__main__":
    main()
