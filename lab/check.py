# SPDX-License-Identifier: GPL-2.0
"""make check, check-ci and check-full: steps, then tests in guests, and one closing line."""

import json
import os
import resource
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import SetupError, host, options, results, say

# What runs before the tests in guests, and with which arguments in a quick run,
# which leaves out what takes more than some seconds.
STEPS = ("unit", "gates", "arch", "kunit", "proofs", "fuzz", "kselftest", "debug-kernel")
QUICK = {"unit": ["--quick"], "gates": ["--quick"], "proofs": ["--quick"]}


@dataclass
class Stage:
    """What a part of the run has cost: seconds by the clock, and of CPU time."""

    name: str
    wall: float
    cpu: float


class Times:
    """The parts of a run, in their order."""

    def __init__(self):
        self.stages = []

    @contextmanager
    def stage(self, name):
        wall, cpu = time.monotonic(), cpu_seconds()
        try:
            yield
        finally:
            self.stages.append(Stage(name, time.monotonic() - wall, cpu_seconds() - cpu))

    def text(self):
        told = [*self.stages, Stage("all", sum(s.wall for s in self.stages),
                                    sum(s.cpu for s in self.stages))]
        return "time: " + ", ".join(f"{s.name} {s.wall:.0f} s ({s.cpu:.0f} s of CPU)"
                                    for s in told if s.wall >= 0.5)


@contextmanager
def overheard(most=2000):
    """What this process and those that it starts print meanwhile: the last lines, at the end.

    It is printed as ever. A process that stays behind and keeps the pipe open is not waited for.
    """
    lines = deque(maxlen=most)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(fd) for fd in (1, 2)]
    reading, writing = os.pipe()

    def repeat():
        with os.fdopen(reading, "rb") as pipe:
            for line in pipe:
                os.write(saved[0], line)
                lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    thread = threading.Thread(target=repeat, daemon=True)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    thread.start()
    try:
        yield lines
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for fd, old in zip((1, 2), saved):
            os.dup2(old, fd)
        thread.join(5)
        if not thread.is_alive():
            for fd in saved:
                os.close(fd)


def cpu_seconds():
    return sum(resource.getrusage(who)[field] for field in (0, 1)
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def arguments(step, parsed):
    """Of a step in a run of this length."""
    if step in QUICK and not (parsed.ci or parsed.full or parsed.test):
        return QUICK[step]
    if step == "fuzz":
        return ["60" if parsed.full else "10"]
    if step == "kselftest" and not parsed.full:
        return ["--quick"]
    return []


class Check:
    """One run. DOOR has the functions that go into the root (lab/__main__.py)."""

    def __init__(self, door, rootdir, args, times):
        self.door, self.rootdir, self.args, self.times = door, rootdir, args, times
        self.options = options.parse(args)
        self.cases = []

    def status(self, step):
        """Run a step; its exit status, or None if this machine cannot do it."""
        door, args = self.door, arguments(step, self.options)
        try:
            if step == "unit":
                return door.inside(self.rootdir, step, args)
            if step == "arch":
                return door.gate_arch(self.rootdir)
            if step == "fuzz":
                return door.fuzz(self.rootdir, args)
            if step == "proofs":
                return door.proofs(self.rootdir, args)
            if step == "kselftest":
                return door.kselftest(self.rootdir, args)
        except SetupError as error:
            say(f"check: {step}: not run: {error}")
            return None
        if step == "debug-kernel":
            return door.program(step, ["kasan"]) or door.program(step, ["kcsan"])
        return door.program(step, args)

    def step(self, name):
        """Run a step and count it; a status that ends the run, or None."""
        say(f"check: {name}")
        with self.times.stage(name), overheard() as lines:
            status = self.status(name)
        if status is not None and (status > 2 or status < 0):  # ended by a signal: so are we
            return status
        verdict = "skip" if status is None else "FAIL" if status else "ok"
        say(f"check: {name}: {verdict}")
        self.cases.append(results.Case("check", name, verdict, self.times.stages[-1].wall,
                                       "" if verdict == "ok" else results.complaints(lines)))
        return None

    def tests(self):
        """The tests in guests: their status, and their results among ours."""
        part = host.cache_dir() / f"part-{os.getpid()}.json"
        try:
            with self.times.stage("layers"):
                over = self.door.test_layers(self.rootdir, self.options)
            with self.times.stage("tests"):
                status = self.door.inside(self.rootdir, "test",
                                          [*self.args, f"--part=/cache/{part.name}"], over)
            if status in (0, 1):
                told = json.loads(part.read_text(encoding="utf-8"))
                self.cases += [results.Case(**case) for case in told["cases"]]
                self.judge_skips()
                logs = Path(told["logs"])
                results.write_junit(logs / "junit.xml", self.cases)
                say(f"check: results for programs: {logs}/junit.xml")
            return status
        finally:
            part.unlink(missing_ok=True)

    def judge_skips(self):
        """A run for CI skips what is known to have to be skipped; all else would go unseen."""
        if self.options.ci or self.options.full:
            results.strict(self.cases, results.expected_skips())

    def run(self):
        say_empty(self.options)
        for step in STEPS:
            if not options.step_wanted(step, self.options, QUICK):
                continue
            status = self.step(step)
            if status is not None:
                return status
        if self.options.test not in STEPS:
            status = self.tests()
            if status not in (0, 1):
                return status
        self.judge_skips()
        for line in results.failed(self.cases):
            say(line)
        say(self.times.text())
        say(results.closing(self.cases))
        return 1 if any(case.verdict == "FAIL" for case in self.cases) else 0


def say_empty(parsed):
    """A variable that was given and is empty selects nothing: say what that means."""
    for name in parsed.empty:
        say(f"check: {name}= is empty and selects nothing in particular: running everything")
