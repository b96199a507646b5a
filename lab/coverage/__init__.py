# SPDX-License-Identifier: GPL-2.0
"""Coverage: which lines of the driver do tests reach?

    lab/start coverage [-T TESTS] [-p PROFILES] [-k KERNEL]     as of 'lab/start test'
    lab/start coverage ... --page                               write docs/coverage.rst
    lab/start coverage ... --missed                             the lines that were not

A plugin of QEMU (executed.c) sees every block that a guest executes; no other module
is built for it and nothing is slower. Its addresses are turned into lines by the debug
information of vnet.ko. Runs add up in ~/.cache/vnet/coverage until the source changes.

Of a module that a test unloads and loads again only the first load is counted, because
it lies elsewhere afterwards.
"""

import argparse
import hashlib
import json
import re
import subprocess
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path

from .. import build, guest, kernels, say

CACHE = Path("/cache/coverage")
PAGE = build.CHECKOUT / "docs/coverage.rst"
PLUGIN = Path(__file__).parent / "executed.c"
PLACE = re.compile(r"^(/\S+):(\d+)(?: \(discriminator \d+\))?$")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\t")
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
        self.at = {}            # offset -> (file, line)
        self.function = {}      # offset -> name of the function
        place = name = None
        for line in listing.splitlines():
            symbol, where, instruction = (pattern.match(line) for pattern in
                                          (SYMBOL, PLACE, INSTRUCTION))
            if symbol:
                name, place = symbol[2], None
            elif where:
                path = where[1].removeprefix(str(top) + "/")
                place = None if path.startswith("/") else (path, int(where[2]))
            elif instruction and name and not name.startswith("__pfx_"):
                self.function[int(instruction[1], 16)] = name
                if place:
                    self.at[int(instruction[1], 16)] = place

    def lines(self, offsets=None):
        """{file: lines} that have code, or those of some offsets."""
        found = defaultdict(set)
        for offset, (path, line) in self.at.items():
            if offsets is None or offset in offsets:
                found[path].add(line)
        return found

    def functions(self, offsets=None):
        """Names of functions, or of those with one of the offsets."""
        return {name for offset, name in self.function.items()
                if offsets is None or offset in offsets}


def read(module):
    """The code of a module that was built with debug information."""
    done = subprocess.run(["objdump", "-dl", "--no-show-raw-insn", "-j", ".text", str(module)],
                          capture_output=True, text=True, check=True)
    return Code(done.stdout, module.parent)


def executed(code, logs):
    """The offsets that the guests of a run have executed."""
    found = set()
    for log in sorted(logs.glob("*/coverage")):
        base = log.with_name("coverage.text")
        if not base.exists():
            continue
        start, spans = int(base.read_text(encoding="ascii"), 16), ranges(
            log.read_text(encoding="ascii"))
        found |= {offset for offset in code.function if within(spans, start + offset)}
    return found


def keep(module, offsets):
    """Add to what earlier runs of the same module have reached; all of it."""
    key = hashlib.sha256(module.read_bytes()).hexdigest()[:12]
    path = CACHE / f"{key}.json"
    CACHE.mkdir(parents=True, exist_ok=True)
    if path.exists():
        offsets = offsets | set(json.loads(path.read_text(encoding="ascii")))
    path.write_text(json.dumps(sorted(offsets)), encoding="ascii")
    return offsets


def room(path):
    """A file's room: vnet_hdr.h is hdr, data/rx.c is rx."""
    return Path(path).stem.removeprefix("vnet_") or "vnet"


def table(code, offsets):
    """[(room, lines, reached)], all of them last."""
    every, reached = code.lines(), code.lines(offsets)
    rooms = defaultdict(lambda: [0, 0])
    for path, lines in every.items():
        rooms[room(path)][0] += len(lines)
        rooms[room(path)][1] += len(reached.get(path, ()))
    rows = [(name, *counts) for name, counts in sorted(rooms.items())]
    return [*rows, ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))]


def share(lines, reached):
    return f"{100 * reached / lines:.0f} %" if lines else "--"


def page(rows, unused, tests):
    """The text of docs/coverage.rst."""
    head = ("room", "lines with code", "reached", "")
    cells = [head, *((name, str(lines), str(reached), share(lines, reached))
                     for name, lines, reached in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    rule = " ".join("=" * max(width, 2) for width in widths)
    text = [" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in cells]
    return "\n".join([
        ".. SPDX-License-Identifier: GPL-2.0", "", "Coverage", "========", "",
        "Made by ``lab/start coverage --page``; do not edit. Lines of the driver that have code,",
        "and how many of them these tests have executed:", "",
        *(f"- ``{test}``" for test in tests), "",
        rule, text[0], rule, *text[1:], rule, "",
        "Functions that none of these tests has entered:", "",
        ", ".join(f"``{name}()``" for name in sorted(unused)) or "none", ""])


def say_missed(code, offsets):
    """The lines that no test has reached, as ranges."""
    every, reached = code.lines(), code.lines(offsets)
    for path in sorted(every):
        missed = sorted(every[path] - reached.get(path, set()))
        if missed:
            say(f"{path}: {' '.join(map(str, missed))}")


def main(args):
    from .. import runner
    parser = argparse.ArgumentParser(prog="lab coverage", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--page", action="store_true", help="write docs/coverage.rst")
    parser.add_argument("--missed", action="store_true", help="tell the lines not reached")
    parser.add_argument("--report", action="store_true", help="run nothing: earlier runs only")
    options, rest = parser.parse_known_args(args)
    kernel = kernels.default()
    status, logs = 0, None
    if not options.report:
        guest.EXECUTED = plugin()
        status = runner.main(["-k", kernel.name, *rest])
        logs = runner.last_logs()
    module = build.build(kernel, quiet=True)
    code = read(module)
    offsets = keep(module, executed(code, logs) if logs else set())
    rows = table(code, offsets)
    for name, lines, reached in rows:
        say(f"{name:<12} {lines:>6} {reached:>6} {share(lines, reached):>6}")
    if options.missed:
        say_missed(code, offsets)
    if options.page:
        text = page(rows, code.functions() - code.functions(offsets), [" ".join(rest)])
        Path("/cache/coverage/coverage.rst").write_text(text, encoding="utf-8")
        say("coverage: written to ~/.cache/vnet/coverage/coverage.rst; copy it to docs/")
    return status
