# SPDX-License-Identifier: GPL-2.0
"""Coverage: which lines of the driver do tests reach, and which ways do they take?

    lab/start coverage [-T TESTS] [-p PROFILES] [-k KERNEL]     as of 'lab/start test'
    lab/start coverage --report                                 earlier runs only
    lab/start coverage --logs NAME                              what a run has left that was
                                                                interrupted (~/.cache/vnet/logs)
    lab/start coverage ... --missed                             what was not reached, but for
                                                                what reasons.txt tells of
    lab/start coverage --report --page > docs/coverage.rst      the page

A plugin of QEMU (executed.c) sees every block of the module that a guest executes; no
other module is built for it. Addresses are turned into lines by the debug information of
vnet.ko. A way leads from a line to a line by a conditional jump: 'if' has two of them,
'if (a && b)' three. What leads to another file (an inlined function, or back from it) is one
way, wherever it leads. Where a function is inlined in several places a line and a way count
once, and are reached when one of the copies is. What quick.unit_tests executes counts,
too: the pure rooms are another module there, of the same lines. Runs add up in
~/.cache/vnet/coverage until the source changes.

A module that is loaded again lies elsewhere: Guest.insmod() has the plugin begin anew.
What a test loads by itself (modprobe) is not counted.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import shlex
import subprocess
import textwrap
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path

from .. import build, guest, kernels, say

CACHE = Path("/cache/coverage")
REASONS = Path(__file__).with_name("reasons.txt")
PLUGIN = Path(__file__).parent / "executed.c"
PLACE = re.compile(r"^(/\S+):(\d+)(?: \(discriminator \d+\))?$")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\t(?:(?!jmp)j[a-z]+ +([0-9a-f]+) )?")
SYMBOL = re.compile(r"^([0-9a-f]+) <(\w+)(?:\.(?:cold|part|isra|constprop)[.\w]*)?>:$")


def plugin():
    """Compile the plugin; its path."""
    target = Path("/run/vnet-executed.so")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden",
                    "-o", str(target), str(PLUGIN)], check=True)
    return target


def ranges(text):
    """[(first, last)] of what the plugin wrote, in order."""
    return [tuple(int(word, 16) for word in line.split()) for line in text.splitlines()]


def within(spans, address):
    """Is an address in one of the ordered spans?"""
    index = bisect_right(spans, (address, 1 << 64)) - 1
    return index >= 0 and spans[index][0] <= address < spans[index][1]


class Code:
    """The instructions of .text of a module: where each comes from."""

    def __init__(self, listing, top):
        self.at = {}            # offset -> (file, line) of the driver
        self.function = {}      # offset -> name of the function
        self.place = {}         # offset -> (file, line), also of the kernel's headers
        self.jumps = {}         # offset of a conditional jump -> where it may lead
        place = name = jump = None
        for line in listing.splitlines():
            symbol, where, instruction = (pattern.match(line) for pattern in
                                          (SYMBOL, PLACE, INSTRUCTION))
            if symbol:
                name, place, jump = symbol[2], None, None
            elif where:
                path = os.path.normpath(where[1])
                place = path.removeprefix(f"{top}/"), int(where[2])
            elif instruction and name and not name.startswith("__pfx_"):
                offset = int(instruction[1], 16)
                if jump is not None:
                    self.jumps[jump] += (offset,)
                    jump = None
                self.function[offset] = name
                if place:
                    self.place[offset] = place
                if place and not place[0].startswith("/"):
                    self.at[offset] = place
                    if instruction[2]:
                        jump, self.jumps[offset] = offset, (int(instruction[2], 16),)

    def lines(self, offsets=None):
        """{file: lines} that have code, or those of some offsets."""
        found = defaultdict(set)
        for offset, (path, line) in self.at.items():
            if offsets is None or offset in offsets:
                found[path].add(line)
        return found

    def ways(self, taken=None):
        """{file: (line, line)} of all conditional jumps, or of those [(from, to)] offsets.

        The second one is 0 in another file.
        """
        found = defaultdict(set)
        for offset, targets in self.jumps.items():
            path, line = self.at[offset]
            for target in targets:
                if target in self.place and (taken is None or (offset, target) in taken):
                    there, other = self.place[target]
                    found[path].add((line, other if there == path else 0))
        return found

    def key(self):
        """The same for the same code, wherever it was built."""
        text = repr((sorted(self.at.items()), sorted(self.jumps.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def functions(self, offsets=None):
        """Names of functions, or of those with one of the offsets."""
        return {name for offset, name in self.function.items()
                if offsets is None or offset in offsets}


def read(module, top):
    """The code of a module that was built with debug information."""
    done = subprocess.run(["objdump", "-dl", "--no-show-raw-insn", "-j", ".text", str(module)],
                          capture_output=True, text=True, check=True)
    return Code(done.stdout, top)


def executed(code, logs, name):
    """What the guests of a run have executed of a module: (offsets, ways)."""
    found, taken = set(), set()
    for base in sorted(logs.glob(f"*/coverage.*.{name}")):
        log = base.with_suffix("")
        if not log.exists():        # that guest was ended before its time
            continue
        start, spans = int(base.read_text(encoding="ascii"), 16), ranges(
            log.read_text(encoding="ascii"))
        found |= {offset for offset in code.function if within(spans, start + offset)}
        taken |= {(last - start, first - start) for last, first in ranges(
            Path(f"{log}.ways").read_text(encoding="ascii"))
            if last - start in code.jumps and first - start in code.jumps[last - start]}
    return found, taken


def keep(code, found, taken, run=""):
    """Add to what earlier runs of the same code have reached; all of it, and the runs."""
    path = CACHE / f"{code.key()}.json"
    CACHE.mkdir(parents=True, exist_ok=True)
    runs = []
    if path.exists():
        old = json.loads(path.read_text(encoding="ascii"))
        found, taken = found | set(old["offsets"]), taken | set(map(tuple, old["ways"]))
        runs = old["runs"]
    runs += [run] if run and run not in runs else []
    path.write_text(json.dumps({"offsets": sorted(found), "ways": sorted(taken), "runs": runs}),
                    encoding="ascii")
    return found, taken, runs


def merged(*maps):
    """{file: set} of several of these."""
    found = defaultdict(set)
    for one in maps:
        for path, what in one.items():
            found[path] |= what
    return found


class Report:
    """What there is of the driver, and what was reached of it, in its own module or another.

    parts: [(code, offsets, ways)], that of vnet.ko first
    reasons: [(glob of files, pattern of lines, why)] for lines that no test reaches
    text: a function that tells the lines of a file
    """

    def __init__(self, parts, known=(), text=None):
        code = parts[0][0]
        self.known, self.text = known, text
        self.lines, self.ways = code.lines(), code.ways()
        self.lines_reached = merged(*(part.lines(found) for part, found, _ in parts))
        self.ways_reached = merged(*(part.ways(taken) for part, _, taken in parts))
        entered = {name for part, found, _ in parts for name in part.functions(found)}
        self.unused = code.functions() - entered
        # what is said of lines of every file says nothing of functions that were never entered
        self.entered = {place for offset, place in code.at.items()
                        if code.function[offset] in entered}

    def missed(self):
        """{file: (lines, ways)} that were not reached."""
        return {path: (lines - self.lines_reached[path],
                       self.ways[path] - self.ways_reached[path])
                for path, lines in self.lines.items()}

    def why(self):
        """{file: {line: number of the reason}} of lines that were not reached."""
        found = {}
        for path, (lines, _) in self.missed().items():
            fit = [(number, re.compile(pattern)) for number, (glob, pattern, _) in
                   enumerate(self.known) if fnmatch.fnmatch(path, glob)]
            text = self.text(path) if fit and lines else ()
            found[path] = {line: number for number, pattern in reversed(fit) for line in lines
                           if pattern.search(text[line - 1]) and
                           (self.known[number][0] != "*" or (path, line) in self.entered)}
        return found

    def unexplained(self):
        """The same as missed(), without lines that have a reason, and the ways to them."""
        why = self.why()
        return {path: (lines - why[path].keys(),
                       {(line, to) for line, to in ways
                        if line not in why[path] and to not in why[path]})
                for path, (lines, ways) in self.missed().items()}

    def table(self):
        """[(room, lines, reached, or explained, ways, reached, or explained)], and all of them."""
        rooms, open_ones = defaultdict(lambda: [0] * 6), self.unexplained()
        for path, missed in self.missed().items():
            for first, every, one, other in zip((0, 3), (self.lines[path], self.ways[path]),
                                                missed, open_ones[path]):
                for index, number in enumerate((0, len(one), len(other))):
                    rooms[room(path)][first + index] += len(every) - number
        rows = [(name, *counts) for name, counts in sorted(rooms.items())]
        return [*rows, ("all", *(sum(row[index] for row in rows) for index in range(1, 7)))]


def room(path):
    """A file's room: vnet_hdr.h is hdr, data/rx.c is rx."""
    return Path(path).stem.removeprefix("vnet_") or "vnet"


def share(number, reached):
    return f"{100 * reached / number:.0f} %" if number else "--"


def grid(cells):
    """A table of reST with a head."""
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    rule = " ".join("=" * max(width, 2) for width in widths)
    text = [" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in cells]
    return [rule, text[0], rule, *text[1:], rule]


def reasons(path=REASONS):
    """[(glob of files, pattern of lines, why)]: what no test reaches, and why that is so."""
    rows = [[word.strip() for word in line.split(" | ", 2)]
            for line in path.read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")]
    return [tuple(row) for row in rows]


def cells(counts):
    """Numbers of a row of Report.table() as a reader wants them."""
    lines, *reached, ways, gone, told = counts
    return (str(lines), *(share(lines, number) for number in reached),
            str(ways), share(ways, gone), share(ways, told))


def page(report, runs):
    """The text of docs/coverage.rst."""
    rows = [(name, *cells(counts)) for name, *counts in report.table()]
    uses = [number for lines in report.why().values() for number in lines.values()]
    return "\n".join([
        ".. SPDX-License-Identifier: GPL-2.0", "", "Coverage", "========", "",
        "Made by ``lab/start coverage --report --page > docs/coverage.rst``; :doc:`testing` says",
        "how it is measured. Of each room the lines that have code, and the ways that lead from a",
        "line by a conditional jump; how many of them were reached, and how many were or have a",
        "reason below.", "",
        *grid([("room", "lines", "reached", "or told", "ways", "reached", "or told"), *rows]), "",
        "These tests were run for it, each on Linux " + runs[0] + ":", "",
        *(f"- ``{run}``" for run in runs[1:]), "",
        "Functions that nothing of this has entered:", "",
        # the macros of tracepoints make more of them
        textwrap.fill(", ".join(f"``{name}()``" for name in sorted(report.unused)
                                if name.startswith("vnet_")) or "none",
                      width=100, break_long_words=False, break_on_hyphens=False), "",
        "Lines that no test reaches, and why:", "",
        *(f"- {uses.count(number)} of ``{glob}`` like ``{pattern}``: {why}"
          for number, (glob, pattern, why) in enumerate(report.known)), ""])


def say_missed(report):
    """What no test has reached, without a reason: lines, and ways as line>line."""
    for path, (lines, ways) in sorted(report.unexplained().items()):
        words = [str(line) for line in sorted(lines)]
        words += [f"{line}>{to or 'elsewhere'}" for line, to in sorted(ways)
                  if line not in lines]
        if words:
            say(f"{path}: {' '.join(words)}")


def main(args):
    from kunit import guest as kunit

    from .. import runner
    parser = argparse.ArgumentParser(prog="lab coverage", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--page", action="store_true", help="print docs/coverage.rst")
    parser.add_argument("--missed", action="store_true", help="tell what was not reached")
    parser.add_argument("--report", action="store_true", help="run nothing: earlier runs only")
    parser.add_argument("--logs", default="", help="run nothing: what this run has left")
    options, rest = parser.parse_known_args(args)
    kernel = kernels.default()
    status, logs = 0, None
    if options.logs:
        logs = Path("/cache/logs", options.logs)
    elif not options.report:
        guest.EXECUTED = plugin()
        status = runner.main(["-k", kernel.name, *rest])
        logs = runner.last_logs()
    parts, runs = [], []
    for name, module in (("vnet", build.build(kernel, quiet=True)),
                         ("vnet_kunit", kunit.build(kernel, quiet=True))):
        code = read(module, module.parent if name == "vnet" else module.parent.parent)
        found, taken = executed(code, logs, name) if logs else (set(), set())
        found, taken, told = keep(code, found, taken, "" if options.report else shlex.join(rest))
        parts.append((code, found, taken))
        runs = runs or told
    report = Report(parts, reasons(), lambda path: (build.CHECKOUT / path).read_text(
        encoding="utf-8").splitlines())
    if options.page:
        say(page(report, [kernel.name, *runs]))
        return status
    for name, *counts in report.table():
        say(f"{name:<12} " + " ".join(f"{cell:>6}" for cell in cells(counts)))
    if options.missed:
        say_missed(report)
    return status
