# SPDX-License-Identifier: GPL-2.0
"""A result file as reStructuredText and plots, on the user's machine."""

import json
import shutil
import subprocess
from pathlib import Path

from lab import SetupError, host, say

from . import report
from .counts import DP

PLOT_HEAD = """set terminal svg size {width},420 noenhanced font 'sans,11' background 'white'
set output '{output}'
set style fill solid 0.8 border -1
set boxwidth 0.8
set xtics rotate by -45 scale 0
set grid ytics
set key outside top horizontal
"""


# ---- reStructuredText ----

def rst_table(rows, numbers_from):
    """A simple table; columns from numbers_from on are flush right."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) or 1 for i in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)

    def line(row):
        cells = [text.ljust(width) if i < numbers_from else text.rjust(width)
                 for i, (text, width) in enumerate(zip(row, widths))]
        return "  ".join(cells).rstrip()

    return "\n".join([rule, line(rows[0]), rule, *map(line, rows[1:]), rule])


def rst_facts(facts):
    lines = [f":Date: {facts['date']}",
             f":Guest: Linux {facts['kernel']}, {facts['guest']}",
             f":Kernel options: ``{facts['kernel_options']}``",
             f":QEMU: {facts['qemu']}",
             f":Drivers: {', '.join(facts['drivers'])}; {facts['repeat']} pairs of runs",
             f":Received bursts: {facts['burst']} packets"]
    lines += [f":Device {name}: {text}" for name, text in facts["devices"].items()]
    return "\n".join(lines)


def heading(text):
    return f"{text}\n{'~' * len(text)}"


def rst(data, plots):
    """The whole generated part of docs/perf.rst."""
    parts = [".. SPDX-License-Identifier: GPL-2.0",
             ".. Written by bench/run --keep; do not edit.",
             rst_facts(data["facts"]),
             heading("Compared figures"), rst_table(report.main_rows(data), 3)]
    parts += [f".. image:: perf/{plot.name}" for plot in plots]
    for ring in sorted({entry["ring"] for entry in data["results"]}, reverse=True):
        rows = list(report.bucket_rows(data, ring))
        if len(rows) > 1:
            parts += [heading(f"Where the instructions are, {ring} ring"), rst_table(rows, 2)]
    rows = list(report.memory_rows(data))
    if len(rows) > 1:
        parts += [heading("Memory: accesses, bytes, and lines that two caches did not have"),
                  rst_table(rows, 3)]
    rows = list(report.rate_rows(data))
    if len(rows) > 1:
        parts += [heading("Rates by the clock"), rst_table(rows, 3)]
    return "\n\n".join(parts) + "\n"


# ---- plots ----

def gnuplot_program():
    """gnuplot, installed if that is possible; None if not."""
    if not shutil.which("gnuplot"):
        try:
            host.install(["gnuplot-nox"])
        except SetupError as error:
            say(f"bench: no plots: {error}")
    return shutil.which("gnuplot")


def plot(script):
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if done.returncode:
        say(f"bench: gnuplot refused: {done.stderr.strip()}")
    return not done.returncode


def ratio_plot(data, output):
    """vnet / virtio_net of every test, the targets as marks."""
    entries = [entry for entry in report.good(data) if entry.get("ratio")]
    names = list(dict.fromkeys(entry["case"] for entry in entries))
    rings = list(dict.fromkeys(entry["ring"] for entry in entries))
    table = {(entry["case"], entry["ring"]): entry for entry in entries}
    lines = ["$data << EOD", "test " + " ".join(rings) + " target"]
    for name in names:
        found = [table.get((name, ring)) for ring in rings]
        target = next(entry["target"] for entry in found if entry)
        lines.append(" ".join([name, *(f"{entry['ratio']:.4f}" if entry else "-"
                                       for entry in found), str(target)]))
    lines.append("EOD")
    columns = [f"$data using {i + 2}:xtic(1) with histogram title '{ring}'"
               for i, ring in enumerate(rings)]
    columns.append(f"$data using 0:{len(rings) + 2} with points pt 9 ps 1.2 lc 'black' "
                   "title 'target'")
    script = PLOT_HEAD.format(width=200 + 45 * len(names), output=output)
    script += "set datafile missing '-'\nset style histogram clustered gap 1\nset yrange [0:1.2]\n"
    script += f"set ylabel '{data['facts']['drivers'][1]} / {data['facts']['drivers'][0]}'\n"
    script += "\n".join(lines) + "\nplot 1 with lines lc 'black' dt 2 notitle, "
    return plot(script + ", ".join(columns) + "\n")


def bucket_plot(data, ring, output):
    """The cost of the data path per packet, stacked, the drivers beside each other."""
    lines = ["$data << EOD", "test " + " ".join(DP)]
    for entry in report.good(data):
        if entry["ring"] != ring or entry["figure"] != "dp":
            continue
        for driver, of in zip(entry["drivers"], entry["figures"]):
            lines.append(" ".join([f"{entry['case']}/{driver}",
                                   *(f"{of[key]:.1f}" for key in DP)]))
        lines.append("- " + " ".join("0" for _ in DP))
    if len(lines) < 3:
        return False
    lines.append("EOD")
    columns = [f"$data using {i + 2}{':xtic(1)' if not i else ''} title '{bucket}'"
               for i, bucket in enumerate(DP)]
    script = PLOT_HEAD.format(width=200 + 18 * len(lines), output=output)
    script += "set style data histogram\nset style histogram rowstacked\n"
    script += f"set ylabel 'instructions per packet, {ring} ring'\n"
    return plot(script + "\n".join(lines) + "\nplot " + ", ".join(columns) + "\n")


def plots(data, target):
    if not gnuplot_program():
        return []
    wanted = []
    if len(data["facts"]["drivers"]) == 2:
        wanted.append((target / "ratio.svg", lambda path: ratio_plot(data, path)))
    for ring in ("split", "packed"):
        wanted.append((target / f"buckets-{ring}.svg",
                       lambda path, ring=ring: bucket_plot(data, ring, path)))
    return [path for path, draw in wanted if draw(path)]


def publish(source, target):
    """Write results.rst, the plots and the data of a result file to a directory."""
    target.mkdir(parents=True, exist_ok=True)
    data = json.loads(Path(source).read_text(encoding="utf-8"))
    text = rst(data, plots(data, target))
    (target / "results.rst").write_text(text, encoding="utf-8")
    copy = target / "results.json"
    if copy != source:
        shutil.copyfile(source, copy)
    say(f"bench: results in {target}")
