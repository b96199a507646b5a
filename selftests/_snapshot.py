# SPDX-License-Identifier: GPL-2.0
"""Runs in the guest: prints all settings of an interface, as users' tools read them, as JSON.

    python3 snapshot.py INTERFACE

ip, bridge, ethtool, bpftool, and what netlink says of the device, its queues and
their NAPIs; no counters. Two snapshots are equal if nothing that can be set differs.
"""

import json
import socket
import struct
import subprocess
import sys

from netdev import DEV_GET, NAPI_GET, NLM_ACK, QUEUE_GET, Netlink, attribute, number

NAPI_ID, IRQ, TYPE, NAPI, RX = 2, 3, 3, 4, 0     # attributes of a NAPI and of a queue
ETHTOOL = ("", "-k", "-l", "-g", "-c", "-x", "-i", "-T", "--show-priv-flags",
           "--get-tunable DEV rx-copybreak")
FLOWS = ("tcp4", "udp4", "tcp6", "udp6")
# Times of life, what a carrier that went and came back leaves behind, wishes not granted
VOLATILE = {"carrier_changes", "carrier_up_count", "carrier_down_count", "stats", "stats64", "id",
            "requested"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def strip(value):
    """Without what changes by itself; lists of no order are sorted."""
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return sorted((strip(item) for item in value), key=json.dumps)
    return value


def parsed(result):
    """JSON where the tool writes it, else its lines."""
    try:
        return strip(json.loads(result.stdout))
    except ValueError:
        return result.stdout.splitlines() + result.stderr.splitlines()


def ethtool(option, name):
    words = option.replace("DEV", name).split() if "DEV" in option else option.split() + [name]
    result = run("ethtool", "--json", *words)
    if result.returncode or not result.stdout.strip().startswith(("[", "{")):
        result = run("ethtool", *words)
    return parsed(result)


def numbers(answers):
    return sorted(({key: number(value) for key, value in answer.items() if len(value) in (4, 8)}
                   for answer in answers), key=json.dumps)


def netdev(name):
    """dev-get, queue-get and napi-get of the family netdev, numbers of attributes as keys."""
    netlink = Netlink()
    index = struct.pack("=I", socket.if_nametoindex(name))
    device = [dict(reply) for reply in netlink.ask(netlink.family, DEV_GET, attribute(1, index),
                                                   NLM_ACK)]
    queues = numbers(netlink.dump(QUEUE_GET, attribute(2, index)))
    napis = numbers(netlink.dump(NAPI_GET, attribute(1, index)))
    # The core keeps the number and the settings of the NAPI of a receive queue only.
    kept = {queue.get(NAPI) for queue in queues if queue[TYPE] == RX}
    for queue in queues:
        if queue[TYPE] != RX:
            queue.pop(NAPI, None)
    return {
        "dev": numbers(device),
        "queues": sorted(queues, key=json.dumps),
        "napis": [{key: value for key, value in napi.items() if key != IRQ}
                  for napi in napis if napi[NAPI_ID] in kept],
    }


def main(name):
    state = {
        "link": parsed(run("ip", "-d", "-j", "link", "show", "dev", name)),
        "fdb": parsed(run("bridge", "-j", "fdb", "show", "dev", name)),
        "xdp": parsed(run("bpftool", "-j", "net", "show", "dev", name)),
        "netdev": netdev(name),
    }
    for option in ETHTOOL:
        state[f"ethtool {option}".strip()] = ethtool(option, name)
    for flow in FLOWS:
        state[f"ethtool -n {flow}"] = run("ethtool", "-n", name, "rx-flow-hash", flow
                                          ).stdout.splitlines()
    print(json.dumps(state))


if __name__ == "__main__":
    main(sys.argv[1])
