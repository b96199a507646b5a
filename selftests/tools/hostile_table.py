#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: hostile_table.py hostile.jsonl... > docs/hostile.rst

Make the table of docs/hostile.rst from what runs of selftests/hostile.py left in
their log directories ('python3 -m lab test -T "hostile.*" -d DRIVER -k KERNEL').
A case that was run more than once counts as it went last.
"""

import json
import sys

HEAD = """.. SPDX-License-Identifier: GPL-2.0

What a hostile device achieves
==============================

Made by ``selftests/tools/hostile_table.py`` from runs of ``selftests/hostile.py``;
do not edit. Each line is something that the scripted device does to the driver,
under traffic. Cases of the catalogue that are not listed were not part of these
runs. Judged by one oracle (``selftests/_hostile.py``):

- *survives*: packets flow, nothing had to be reset
- *recovers*: packets flow again after a reset of a queue or of the device
- *refuses*: the driver does not bind, says why, and works with an honest device
- *gives up*: the device has refused to come back several times; the driver says so
  (no carrier, health *error*) and starts it when the user asks (``devlink health``,
  ``ip link set up``)
- *stops*: no packet comes through any more, until the driver is bound anew
- *hangs*: a command of the user's, the driver's unbinding or the machine hangs
- *fails*: packets flow, but something else does not hold: packets that nobody
  counted, a command that takes too long, memory that is lost
- *warns*, *oopses*: the kernel complains or crashes
- *core*: not run, no driver can stand it (:doc:`security`, limits)

The kernels *kasan* and *kcsan* are the debug kernels (Linux 7.3 with KASAN, lockdep and
others; with the detector of data races; see :doc:`testing`), where any complaint of
theirs would be a *warns* or *oopses*.

Where the device offers DEVICE_STATS (the cases of its mode *rss*), virtio_net of Linux
7.2 warns as soon as somebody reads ``ethtool -S`` (UBSAN, an array index), whatever the
device does otherwise: most of its *warns* are this one.

"""


def table(rows):
    """A table of reStructuredText, columns as wide as they need."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    cases, found = {}, {}
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                cases[entry["case"]] = entry
                found[entry["case"], entry["driver"], entry["kernel"]] = entry["found"]
    runs = sorted({(driver, kernel) for _, driver, kernel in found})
    rows = [["case", "what the device does", *(f"{d} {k}" for d, k in runs)]]
    for name, entry in sorted(cases.items()):
        text = entry["text"] + (f" (CVE-{entry['cve']})" if entry["cve"] else "")
        rows.append([name, text, *(found.get((name, *run), "--") for run in runs)])
    sums = [["outcome", *(f"{d} {k}" for d, k in runs)]]
    for outcome in ("survives", "recovers", "refuses", "gives up", "fails", "stops", "hangs",
                    "warns", "oopses", "core"):
        sums.append([outcome, *(str(sum(have == outcome for key, have in found.items()
                                        if key[1:] == run)) for run in runs)])
    print(HEAD + table(sums) + "\n\n" + table(rows))


if __name__ == "__main__":
    main()
