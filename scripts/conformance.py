#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: scripts/conformance.py

Writes docs/conformance.rst from the lists in docs/conformance, and says what is
wrong with them; 'lab/gates/run conformance' does the latter alone.
"""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "lab/gates")]

import conformance  # noqa: E402


def main():
    if len(sys.argv) > 1:
        print(__doc__.strip())
        return 2
    found, looked_at = conformance.run(TOP, write=True)
    for line in found:
        print(line)
    print(f"docs/conformance.rst: {looked_at}; {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
