# SPDX-License-Identifier: GPL-2.0
"""Results: per case, as a table, as symbols side by side, as reStructuredText."""

import re
import statistics
import subprocess

from .counts import DP, bucket_of

SHOWN = (*DP, "other", "dp", "kernel", "notifications", "interrupts", "polls", "per_second",
         "gbit", "KiB", "units")


def best(case_figure, runs):
    """The run that stands for a driver: the least of its repeats.

    Disturbances (a starved back end, a timer) only ever add instructions.
    Whole-kernel figures of a stream scatter both ways: their median.
    """
    ordered = sorted(runs, key=lambda run: run[case_figure])
    return ordered[(len(ordered) - 1) // 2] if case_figure == "kernel" else ordered[0]


def spread(case_figure, runs):
    """The A/A spread: how far repeats of one driver lie apart, relative."""
    values = [run[case_figure] for run in runs]
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if len(values) > 1 and middle else None


def rate_ratio(runs):
    """Median of the rates of the last driver over the first one's, and the A/A spread."""
    key = "per_second"
    if len(runs) < 2 or key not in runs[0][0]:
        return None, None
    medians = [statistics.median(run[key] for run in of) for of in runs]
    return medians[1] / medians[0], spread(key, runs[0])


def result(ring, case, drivers, runs):
    chosen = [best(case.figure, of) for of in runs]
    entry = {
        "ring": ring, "case": case.name, "title": case.title, "figure": case.figure,
        "unit": case.unit, "target": case.target, "drivers": list(drivers),
        "figures": [{key: round(of[key], 4) for key in SHOWN if key in of} for of in chosen],
        "runs": [[round(run[case.figure], 2) for run in of] for of in runs],
        "spread": spread(case.figure, runs[0]),
    }
    if len(runs) == 2:
        base = chosen[0][case.figure]
        entry["ratio"] = chosen[1][case.figure] / base if base else None
        entry["rate_ratio"], entry["rate_spread"] = rate_ratio(runs)
    return entry


def failed(ring, case, error):
    return {"ring": ring, "case": case.name, "title": case.title, "figure": case.figure,
            "unit": case.unit, "target": case.target, "error": error}


# ---- the table ----

def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def ratio_text(value):
    return "" if value is None else f"{value:.3f}"


def rows(data):
    """The table's rows as text."""
    drivers = data["facts"]["drivers"]
    head = ["ring", "test", "figure", *drivers]
    if len(drivers) == 2:
        head += ["ratio", "A/A", "target", "reached", "rate", "rate A/A"]
    yield head
    for entry in data["results"]:
        row = [entry["ring"], entry["case"], f"{entry['figure']}/{entry['unit']}"]
        if "error" in entry:
            yield row + ["failed"] + [""] * (len(head) - len(row) - 1)
            continue
        row += [f"{of[entry['figure']]:.1f}" for of in entry["figures"]]
        if len(drivers) == 2:
            ratio = entry["ratio"]
            null = drivers[0] == drivers[1]
            verdict = "" if null or ratio is None else \
                "yes" if ratio <= entry["target"] else "NO"
            row += [ratio_text(ratio), percent(entry["spread"]),
                    "" if null else f"{entry['target']:.2f}", verdict,
                    ratio_text(entry.get("rate_ratio")), percent(entry.get("rate_spread"))]
        yield row


def aligned(lines, first_left=3):
    lines = list(lines)
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    for row in lines:
        yield "  ".join(text.ljust(width) if i < first_left else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths))).rstrip()


def table(data):
    return "\n".join(aligned(rows(data)))


# ---- the profile ----

def symbol_rows(drivers, windows, units, limit):
    """Rows (bucket, symbol, per unit of each driver): the most expensive first."""
    costs = {}
    for i, window in enumerate(windows):
        for (name, module), count in window.by_symbol.items():
            key = (bucket_of(name, module), name, module)
            costs.setdefault(key, [0.0] * len(windows))[i] = count / units[i]
    ordered = sorted(costs.items(), key=lambda item: -max(item[1]))
    return [(bucket, f"{name} [{module}]" if module else name, values)
            for (bucket, name, module), values in ordered[:limit]]


def print_symbols(case, drivers, windows, runs, limit):
    units = [of[-1]["units"] for of in runs]
    head = ["bucket", "symbol", *drivers]
    if len(drivers) == 2:
        head.append("difference")
    lines = [head]

    def line(bucket, name, values):
        row = [bucket, name, *(f"{value:.1f}" for value in values)]
        if len(values) == 2:
            row.append(f"{values[1] - values[0]:+.1f}")
        lines.append(row)

    for bucket in (*DP, "other", "dp", "kernel", "notifications", "interrupts", "polls"):
        line(bucket, "", [of[-1][bucket] for of in runs])
    for bucket, name, values in symbol_rows(drivers, windows, units, limit):
        line(bucket, name, values)
    print(f"\n{case.name}: {case.title}, instructions per {case.unit}")
    print("\n".join(aligned(lines, 2)), flush=True)


def print_annotated(symbol, drivers, windows, runs, modules):
    """The disassembly of a driver's function, each line with its count per unit."""
    for driver, window, of in zip(drivers, windows, runs):
        counts = window.offsets(symbol, driver)
        if not counts:
            continue
        text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", f"--disassemble={symbol}",
                               str(modules[driver])], capture_output=True, text=True,
                              check=False).stdout
        start = None
        print(f"\n{symbol} [{driver}], executions per unit")
        for line in text.splitlines():
            head = re.match(rf"([0-9a-f]+) <{re.escape(symbol)}>:", line)
            if head:
                start = int(head[1], 16)
            insn = re.match(r"\s+([0-9a-f]+):\t(.*)", line)
            if start is None or not insn:
                continue
            if re.search(r"R_X86_64", line):
                print(f"{'':8} {line.strip()}")
                continue
            count = counts.get(int(insn[1], 16) - start, 0) / of[-1]["units"]
            print(f"{count:8.3f} {insn[2]}" if count else f"{'':8} {insn[2]}")
