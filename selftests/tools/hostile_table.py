#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: hostile_table.py [--into docs/hostile.rst] hostile.jsonl...

Make the table of docs/hostile.rst from what runs of selftests/hostile.py left in
their log directories ('python3 -m lab test -T "hostile.*" -d DRIVER -k KERNEL').
A case that was run more than once counts as it went last. Without --into the page is
printed; with it the runs are added to what the page has recorded.
"""

import argparse
import json
import re
from pathlib import Path

HEAD = """.. SPDX-License-Identifier: GPL-2.0

What a hostile device achieves
==============================

Made by ``selftests/tools/hostile_table.py`` from runs of ``selftests/hostile.py``;
do not edit. Each line is something that the scripted device does to the driver,
under traffic. Cases of the catalogue that are not listed were not part of these
runs, nor were those with ``--`` in a column. Judged by one oracle
(``selftests/_hostile.py``):

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


def recorded(page):
    """({case: text}, {(case, driver, kernel): outcome}) of a page that was made before."""
    cases, found, runs = {}, {}, []
    widths = None
    for line in page.splitlines():
        if re.fullmatch(r"=+( =+)+", line):
            widths = [match.span() for match in re.finditer("=+", line)]
            continue
        if not widths or not line.strip():
            continue
        cells = [line[start:end].strip() for start, end in widths]
        if cells[0] == "case":
            runs = [tuple(cell.split(" ", 1)) for cell in cells[2:]]
        elif cells[0] == "outcome":
            runs = []
        elif runs:
            cases[cells[0]] = cells[1]
            found.update({(cells[0], *run): cell for run, cell in zip(runs, cells[2:])
                          if cell != "--"})
    return cases, found


def add(cases, found, path):
    """What a run has left. A case that does something else now has to run everywhere again."""
    with open(path, encoding="utf-8") as file:
        for entry in map(json.loads, file):
            name = entry["case"]
            if re.sub(r" \(CVE-[\d-]+\)$", "", cases.get(name, "")) != entry["text"]:
                for key in [key for key in found if key[0] == name]:
                    del found[key]
            cve = f" (CVE-{entry['cve']})" if entry["cve"] else ""
            cases[name] = entry["text"] + cve
            found[entry["case"], entry["driver"], entry["kernel"]] = entry["found"]


def page_of(cases, found):
    """The whole page."""
    runs = sorted({(driver, kernel) for _, driver, kernel in found})
    rows = [["case", "what the device does", *(f"{d} {k}" for d, k in runs)]]
    for name, text in sorted(cases.items()):
        rows.append([name, text, *(found.get((name, *run), "--") for run in runs)])
    sums = [["outcome", *(f"{d} {k}" for d, k in runs)]]
    for outcome in ("survives", "recovers", "refuses", "gives up", "fails", "stops", "hangs",
                    "warns", "oopses", "core"):
        sums.append([outcome, *(str(sum(have == outcome for key, have in found.items()
                                        if key[1:] == run)) for run in runs)])
    return f"{HEAD}{table(sums)}\n\n{table(rows)}\n"


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("\n")[0].partition(": ")[2])
    parser.add_argument("--into", type=Path)
    parser.add_argument("runs", nargs="+")
    options = parser.parse_args()
    cases, found = recorded(options.into.read_text("utf-8")) if options.into else ({}, {})
    for path in options.runs:
        add(cases, found, path)
    page = page_of(cases, found)
    if options.into:
        options.into.write_text(page, "utf-8")
    else:
        print(page, end="")


if __name__ == "__main__":
    main()
