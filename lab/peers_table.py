# SPDX-License-Identifier: GPL-2.0
"""Writes docs/peers-table.rst from what selftests/peers.py has seen last.

    python3 -m lab test -T peers -d vnet      # and -d virtio_net
    python3 -m lab exec python3 -m lab.peers_table > docs/peers-table.rst
"""

import json
import sys
from pathlib import Path

from . import kernels, profiles
from .hosts import table

RESULTS = Path("/cache/peers")
COLUMNS = ("works", "offloads", "xdp", "zero copy", "reset")


def cells(path):
    if not path.exists():
        return ["not run"] + [""] * (len(COLUMNS) - 1)
    row = json.loads(path.read_text(encoding="utf-8"))
    return [row.get(column, "") for column in COLUMNS]


def main():
    kernel = kernels.select(sys.argv[1:])[0] if sys.argv[1:] else kernels.default()
    rows, names = [], profiles.PEERS + profiles.INNER_PEERS
    for name in names:
        for driver in ("vnet", "virtio_net"):
            rows.append((name if driver == "vnet" else "", driver,
                         *cells(RESULTS / f"{kernel.name}-{driver}-{name}.json")))
    print(".. SPDX-License-Identifier: GPL-2.0\n\n.. Written by lab.peers_table; do not edit.\n")
    print(f"Linux {kernel.release}\n")
    print(table(rows, ("host", "driver", *COLUMNS)))
    print()
    print(table([(name, profiles.get(name).text) for name in names],
                ("host", "what it is")))


main()
