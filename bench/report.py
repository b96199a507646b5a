# SPDX-License-Identifier: GPL-2.0
"""Results: per case, as a table, as symbols side by side, as reStructuredText."""

import re
import statistics
import subprocess

from .counts import DP, EVENTS, MEMORY, bucket_of

SHOWN = (*DP, "other", "dp", "kernel", *EVENTS, "KiB",
         "units", *MEMORY, *(f"all-{what}" for what in MEMORY))


def best(case_figure, runs):
    """The run that stands for a driver: the least of its repeats.

    Disturbances (a starved back end, a timer) only ever add instructions.
    Whole-kernel figures of a stream scatter both ways: their median.
    """
    ordered = sorted(runs, key=lambda run: run[case_figure])
    return ordered[(len(ordered) - 1) // 2] if case_figure == "kernel" else ordered[0]


def spread(case_figure, runs):
    """The null experiment: every other run of a driver against the rest of them."""
    if len(runs) < 2:
        return None
    one, two = (best(case_figure, half)[case_figure] for half in (runs[::2], runs[1::2]))
    return abs(one / two - 1) if two else None


def rates(runs):
    """Per driver the best rate of the repeats, and the A/A spread of the first.

    The clock of a shared machine: a rate says little, its spread says how little.
    """
    key = "per_second"
    if key not in runs[0][0]:
        return None, None
    values = [run[key] for run in runs[0]]
    around = (max(values) - min(values)) / statistics.median(values) if len(values) > 1 else None
    return [max(of, key=lambda run: run[key]) for of in runs], around


def target(ring, case):
    """The targets are for the split ring; on the packed ring: no worse."""
    return case.target if ring == "split" else 1.0


def result(ring, case, drivers, runs):
    chosen = [best(case.figure, of) for of in runs]
    entry = {
        "ring": ring, "case": case.name, "title": case.title, "figure": case.figure,
        "unit": case.unit, "target": target(ring, case), "drivers": list(drivers),
        "figures": [{key: round(of[key], 4) for key in SHOWN if key in of} for of in chosen],
        "runs": [[round(run[case.figure], 2) for run in of] for of in runs],
        "spread": spread(case.figure, runs[0]),
    }
    if len(runs) == 2:
        base = chosen[0][case.figure]
        entry["ratio"] = chosen[1][case.figure] / base if base else None
    fastest, entry["rate_spread"] = rates(runs)
    if fastest:
        entry["rates"] = [{key: round(of[key], 4) for key in ("per_second", "gbit")}
                          for of in fastest]
    return entry


def failed(ring, case, error):
    return {"ring": ring, "case": case.name, "title": case.title, "figure": case.figure,
            "unit": case.unit, "target": target(ring, case), "error": error}


# ---- tables: lists of rows of text, the first one the head ----

def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def verdict(entry):
    """Whether the target of the issue is reached, with the ratio as measured."""
    if entry["drivers"][0] == entry["drivers"][1] or entry["ratio"] is None:
        return ""
    return "yes" if entry["ratio"] <= entry["target"] else "NO"


def main_rows(data):
    """One row per test: the compared figure."""
    drivers = data["facts"]["drivers"]
    pair = len(drivers) == 2
    yield ["ring", "test", "figure", *drivers,
           *(["ratio", "A/A", "target", "reached"] if pair else ["A/A"])]
    for entry in data["results"]:
        row = [entry["ring"], entry["case"], f"{entry['figure']}/{entry['unit']}"]
        if "error" in entry:
            yield row + ["failed"] + [""] * (len(drivers) - 1 + (4 if pair else 1))
            continue
        row += [f"{of[entry['figure']]:.1f}" for of in entry["figures"]]
        if pair:
            row += [f"{entry['ratio']:.3f}", percent(entry["spread"]), f"{entry['target']:.2f}",
                    verdict(entry)]
        else:
            row += [percent(entry["spread"])]
        yield row


def good(data):
    return [entry for entry in data["results"] if "error" not in entry]


def bucket_rows(data, ring):
    """Two rows per test: where the instructions are, and the events."""
    yield ["test", "driver", *DP, "dp", "other", "kernel", *EVENTS]
    for entry in good(data):
        if entry["ring"] != ring or "dp" not in entry["figures"][0]:
            continue
        for driver, of in zip(entry["drivers"], entry["figures"]):
            yield [entry["case"], driver, *(f"{of[key]:.1f}" for key in DP), f"{of['dp']:.1f}",
                   f"{of['other']:.1f}", f"{of['kernel']:.1f}",
                   *(f"{of[key]:.4f}" for key in EVENTS)]


def memory_rows(data):
    """Two rows per test: what the data path did to memory; of streams the whole kernel."""
    yield ["ring", "test", "driver", *MEMORY]
    for entry in good(data):
        if "loads" not in entry["figures"][0]:
            continue
        prefix = "all-" if entry["figure"] == "kernel" else ""
        for driver, of in zip(entry["drivers"], entry["figures"]):
            yield [entry["ring"], entry["case"], driver,
                   *(f"{of[prefix + what]:.1f}" for what in MEMORY)]


def rate_rows(data):
    """One row per test: packets or Gbit per second, with the A/A spread beside."""
    drivers = data["facts"]["drivers"]
    yield ["ring", "test", "rate", *drivers, *(["ratio"] if len(drivers) == 2 else []), "A/A"]
    for entry in good(data):
        if "rates" not in entry:
            continue
        key, unit = ("gbit", "Gbit/s") if entry["unit"] == "KiB" else ("per_second", "packet/s")
        values = [of[key] for of in entry["rates"]]
        form = "{:.2f}" if key == "gbit" else "{:.0f}"
        yield [entry["ring"], entry["case"], unit, *(form.format(value) for value in values),
               *([f"{values[1] / values[0]:.2f}"] if len(values) == 2 else []),
               percent(entry["rate_spread"])]


def aligned(lines, first_left=3):
    lines = list(lines)
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    for row in lines:
        yield "  ".join(text.ljust(width) if i < first_left else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths))).rstrip()


def table(data):
    text = "\n".join(aligned(main_rows(data)))
    rows = list(memory_rows(data))

    return text + "\n\n" + "\n".join(aligned(rows)) if len(rows) > 1 else text


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

    for bucket in (*DP, "other", "dp", "kernel"):
        line(bucket, "", [of[-1][bucket] for of in runs])
    for event in EVENTS:
        lines.append([event, "", *(f"{of[-1][event]:.4f}" for of in runs),
                      *([""] if len(drivers) == 2 else [])])
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
