# SPDX-License-Identifier: GPL-2.0
"""Writes the table of docs/kselftest.rst from the last results of both drivers."""

import csv
import io
from collections import Counter
from pathlib import Path

from . import kernels, kselftest, say

DRIVERS = ("vnet", "virtio_net")
TARGET = Path("/cache/kselftest/table.rst")
HEAD = """.. SPDX-License-Identifier: GPL-2.0
.. Written by 'lab/start kselftest --table' on Linux {release}; do not edit.

"""


def row(*cells):
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(
        [" ".join(str(cell).split()).replace("*", r"\\*").replace("|", r"\\|") for cell in cells])
    return "   " + out.getvalue()


def table(title, columns, widths, rows):
    return [f".. csv-table:: {title}", "   :header: " + ", ".join(f'"{c}"' for c in columns),
            f"   :widths: {widths}", "", *rows, ""]


def verdict_of(results, driver, key, name):
    return next(((v, said) for n, v, said in results[driver].get(key, {}).get("cases", [])
                 if n == name), ("", ""))


def cases_of(results, key):
    """The names of a test's cases on either driver, in order."""
    found = {}
    for driver in DRIVERS:
        for name, _, _ in results[driver].get(key, {}).get("cases", []):
            found.setdefault(name)
    return list(found)


def results_of(kernel, driver):
    """The last results; of tests that want faults those with faults, where there are some."""
    results = kselftest.load(kernel, driver)
    for other in kernels.debug(("faults",)):
        results |= {key: result for key, result in kselftest.load(other, driver).items()
                    if key.rpartition("/")[2] in kselftest.FAULTS}
    return results


def write(kernel):
    results = {driver: results_of(kernel, driver) for driver in DRIVERS}
    known = kselftest.reasons()
    keys = list(dict.fromkeys(key for driver in DRIVERS for key in sorted(results[driver])))
    summary, details, total = [], [], {driver: Counter() for driver in DRIVERS}
    for key in sorted(keys):
        cells = [key]
        for driver in DRIVERS:
            counts = Counter(v for _, v, _ in results[driver].get(key, {}).get("cases", []))
            total[driver] += counts
            cells += [counts[v] for v in kselftest.LETTERS] if counts else ["not run", "", "", ""]
        summary.append(row(*cells))
        for name in cases_of(results, key):
            found = [verdict_of(results, driver, key, name) for driver in DRIVERS]
            if [v for v, _ in found] == ["pass", "pass"] and not any(said for _, said in found):
                continue
            why = next((text for driver, (v, _) in zip(DRIVERS, found) if v not in ("pass", "")
                        for text in [kselftest.reason(known, driver, key, name)] if text), "") or \
                next((said for _, said in found if said), "")
            details.append(row(key.removeprefix("drivers/net/"), name,
                               *(v or "not run" for v, _ in found), why))
    summary.append(row("all", *(total[driver][v] for driver in DRIVERS
                                for v in kselftest.LETTERS)))
    columns = ["test", *(f"{driver} {v}" for driver in DRIVERS for v in kselftest.LETTERS)]
    lines = table("Cases of each test", columns, "40, 8, 8, 8, 8, 8, 8, 8, 8", summary)
    lines += table("Cases that do not pass on both drivers, and why",
                   ["test", "case", *DRIVERS, "reason"], "20, 25, 8, 8, 60", details)
    TARGET.write_text(HEAD.format(release=kernel.release) + "\n".join(lines), encoding="utf-8")
    say(f"kselftest: the table is in {kselftest.outer(TARGET)}; copy it to docs/kselftest/")
    return 0
