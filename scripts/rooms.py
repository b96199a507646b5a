#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: scripts/rooms.py

Draws docs/rooms.svg from lab/gates/layers.txt and the text of the driver, and says
what is wrong with the rooms; 'lab/gates/run layers' does the latter, and compares
with the objects.
"""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "lab/gates")]

import rooms  # noqa: E402


def main():
    if len(sys.argv) > 1:
        print(__doc__.strip())
        return 2
    found, edges = rooms.run(TOP, write=True)
    for line in found:
        print(line)
    print(f"{rooms.PICTURE}: {len(edges)} pairs of rooms; {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
