# SPDX-License-Identifier: GPL-2.0
"""Mutants: small defects planted into the driver, each of which some test must find.

    lab/start mutants [NAME...]          names or globs; all of the list without
    lab/start mutants --rest             those of which nothing is known, and survivors
    lab/start mutants --sample 10        so many of those that are quickly killed, chosen
                                         by the commit
    lab/start mutants --minutes 9        none is begun later than that
    lab/start mutants --table            a page of what is known, nothing is run
    lab/start mutants --generated        those that lab/mutate.py makes, not the list

lab/mutants.toml is the list. A mutant is built from a copy of the source and run
against the tests that claim the place; it is killed when one of them fails, and
survives when all pass. What was found is kept in lab/mutants.results, unless it is a
sample (lab/verdicts.py). Status 1: one survived.

What takes time is booting and compiling. So the next one is built while a guest runs;
a guest that has killed one goes on, with another module, unless its kernel was hurt; it
gets the devices of the next profile by hot-plugging; and what the unit tests find needs
nothing but their module. That a test fails says something only if it passes on the
driver as it is: a test that has killed is run on that, too, once and in the same guest,
until its file changes, and so is the last one that has killed in each guest.
"""

import argparse
import fnmatch
import hashlib
import json
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from . import SetupError, build, kernels, logs, mutant_bench, outer, profiles, say
from . import verdicts
from .api import Skip
from .mutant_bench import UNIT
from .net import have_tap

LIST = Path(__file__).with_suffix(".toml")
QUICK = 20      # seconds within which a mutant of a sample has been killed


@dataclass(frozen=True)
class Mutant:
    """A defect: in FILE, the only place with the text OLD has NEW instead.

    file    its name; a file that has moved, or a function that has moved to another
            one, is found as long as the text is there once in the whole driver
    why     what is wrong then, in one line
    tests   those of which one must fail; NAME@PROFILE where it is not the one below
    lives   why none can be expected to, if it survives
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple
    profile: str = "modern-split"
    lives: str = ""

    def runs(self):
        """(test, profile) one after the other."""
        for name in self.tests:
            test, _, profile = name.partition("@")
            yield test, profile or self.profile

    def places(self, files):
        """[(path, how often OLD is in it)] of {path: text}, in files of the name if there are."""
        name = self.file.rsplit("/", 1)[-1]
        names = {name, name.removeprefix("vnet_")}
        found = [(path, text.count(self.old)) for path, text in files.items()
                 if path.name in names and self.old in text]
        return found or [(path, text.count(self.old)) for path, text in files.items()
                         if self.old in text]

    def plant(self, files):
        """(path, text with the defect); SetupError if it does not fit any more."""
        found = self.places(files)
        if [count for _, count in found] != [1]:
            where = ", ".join(f"{count} in {path}" for path, count in found) or "none"
            raise SetupError(f"mutant {self.name}: not one place like '{self.old.strip()}' "
                             f"({where}): write it anew in {LIST.name}")
        path = found[0][0]
        return path, files[path].replace(self.old, self.new)

    def key(self, files):
        """Another one when the mutant or the function around its place has changed."""
        path = self.plant(files)[0]
        around = verdicts.function(files[path], files[path].index(self.old))
        return verdicts.digest(self.old, self.new, self.profile, *self.tests, around)

    @property
    def unit(self):
        """Are the unit tests the first of its tests?"""
        return self.tests[0].partition("@")[0] == UNIT


def sources():
    """{path: text} of the driver's C files."""
    return {path: (build.CHECKOUT / path).read_text(encoding="utf-8")
            for path in sorted(build.sources())
            if path.suffix in (".c", ".h") and path.parts[0] != "kunit"}


def load(path=LIST):
    """The list, checked against the source."""
    with open(path, "rb") as file:
        told = tomllib.load(file)
    found = [Mutant(name=name, **{**entry, "tests": tuple(entry["tests"])})
             for name, entry in told.items()]
    files = sources()
    for mutant in found:
        mutant.plant(files)
        profiles.get(mutant.profile)
    return found


def generated():
    """Those that nobody has thought of."""
    from . import mutate
    return [Mutant(**entry) for entry in mutate.every(sources())]


def sample(mutants, count, seed):
    """So many of them, others for every seed."""
    def order(mutant):
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).digest()
    return sorted(mutants, key=order)[:count]


def commit():
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", str(build.CHECKOUT), "rev-parse",
                           "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def known(mutants, files):
    """({name: Verdict} of those that are as they were then, the controls)."""
    found, controls = verdicts.load()
    return {m.name: found[m.name] for m in mutants
            if m.name in found and found[m.name].key == m.key(files)}, controls


def quick(mutant, verdict):
    """Is it one for a sample: killed in seconds, in a guest that others can use, too?"""
    return verdict and verdict.killed and verdict.seconds <= QUICK and \
        (mutant.unit or all(profiles.get(profile).pluggable for _, profile in mutant.runs()))


def order(mutant):
    """Unit tests first, the scripted device, which stays in a guest, last."""
    profile = next(mutant.runs())[1]
    known_profile = profiles.get(profile)
    return (not mutant.unit, not known_profile.pluggable, known_profile.net == "device",
            profile, mutant.tests, mutant.file)


def missing(mutant, tests, kernel):
    """Why it cannot be judged here, or None."""
    for name, profile in mutant.runs():
        if name not in tests:
            return f"there is no test {name}"
        if profiles.get(profile).debug and not kernel.layer:
            return "needs the debug kernel"
    return None


def choose(options, files):
    """The mutants that were asked for, in an order that costs few guests."""
    every = generated() if options.generated else load()
    chosen = [m for m in every if not options.names
              or any(fnmatch.fnmatch(m.name, name) for name in options.names)]
    if not chosen:
        raise SetupError(f"no mutant has such a name; there are: "
                         f"{' '.join(m.name for m in every)}")
    told = known(chosen, files)[0]
    if options.rest:
        chosen = [m for m in chosen if not (m.name in told and told[m.name].killed)]
    if options.sample:
        if not options.generated and not options.names:
            chosen = [m for m in chosen if quick(m, told.get(m.name))]
        chosen = sample(chosen, options.sample, options.seed or commit())
    return sorted(chosen, key=lambda m: (options.rest and m.name in told, order(m)))


class Run:
    """Judges mutants one after the other and writes down what is known of them then."""

    def __init__(self, chosen, bench, files, options):
        self.chosen, self.bench, self.files, self.options = chosen, bench, files, options
        self.survived, self.killed, self.left, self.broken = [], {}, [], []
        self.counted = 0

    def keep(self, text):
        if self.options.into:
            with open(self.options.into, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def go(self):
        begin, profile = time.monotonic(), None
        for number, mutant in enumerate(self.chosen):
            if self.options.minutes and time.monotonic() - begin > self.options.minutes * 60:
                self.left += self.chosen[number:]
                break
            now = next(mutant.runs())[1]
            if profile not in (None, now) or len(self.bench.kills) >= mutant_bench.SETTLE:
                self.settle()
            profile = now
            for other in self.chosen[number:number + 2]:
                self.bench.builder.ask(other, other.unit)
            self.one(f"[{number + 1:>3}/{len(self.chosen)}] {mutant.name:<28}", mutant)
        self.settle()

    def one(self, where, mutant):
        started = time.monotonic()
        try:
            why = missing(mutant, self.bench.tests, self.bench.kernel)
            if why:
                raise Skip(why)
            test, said = self.bench.judge(mutant)
        except Skip as skip:
            say(f"{where} not run: {skip}")
            self.left.append(mutant)
            return
        except build.BuildFailed as error:
            say(f"{where} does not compile" + ("" if self.options.generated else f": {error}"))
            self.broken.append(mutant)
            return
        verdict = verdicts.Verdict(mutant.key(self.files), bool(test), test,
                                   round(time.monotonic() - started))
        with open(self.options.logs / "mutants.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": mutant.name, "file": mutant.file, "why": mutant.why,
                                   "killed_by": test, "said": said, "tests": mutant.tests,
                                   "seconds": verdict.seconds}) + "\n")
        if test:
            self.killed[mutant.name] = verdict
            say(f"{where} killed by {test} ({verdict.seconds} s): {said}")
        else:
            self.survived.append(mutant)
            self.keep(verdict.line(mutant.name))
            say(f"{where} SURVIVED {' '.join(mutant.tests)} ({verdict.seconds} s): {mutant.why}")

    def settle(self):
        """Only what a test has killed that passes without a defect is killed."""
        if self.options.sample:     # those were settled when they became known
            self.counted = len(self.killed)
            return
        names = [kill[0] for kill in self.bench.kills]
        good, controls, bad = self.bench.settle()
        for test, said in bad.items():
            say(f"control: {test} fails on the driver as it is: {said}")
        for name in good:
            self.keep(self.killed[name].line(name))
        for test, key in controls.items():
            self.keep(f"control {test} {key}")
        self.counted += len(good)
        lost = [name for name in names if name not in good]
        self.broken += [m for m in self.chosen if m.name in lost]
        if lost:
            say(f"control: not counted: {' '.join(lost)}")

    def status(self):
        """Tell the end, with the line that ends every run."""
        lines = [f"  mutant {m.name} {title}: {m.why}" for title, mutants in
                 (("survived", self.survived), ("was not judged", self.broken)) for m in mutants]
        if lines:
            say("\n".join(["failed:", *lines]))
        failed = len(self.survived) + (0 if self.options.generated else len(self.broken))
        say(f"{self.counted} passed, {failed} failed, {len(self.left)} skipped")
        return 1 if failed else 0


def parse(args):
    parser = argparse.ArgumentParser(prog="lab mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rest", action="store_true", help="not those that were killed")
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--seed", default="", help="of the sample, instead of the commit")
    parser.add_argument("--minutes", type=float, default=0, help="none is begun later")
    parser.add_argument("--generated", action="store_true", help="of lab/mutate.py")
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    parser.add_argument("--table", action="store_true", help="what is known, as a page")
    parser.add_argument("--into", default="", help=argparse.SUPPRESS)
    return parser.parse_args(args)


def tell(chosen, told):
    """What there is, and what is known of it."""
    for mutant in chosen:
        verdict = told.get(mutant.name)
        word = "not run" if not verdict else verdict.test if verdict.killed else "survived"
        say(f"{mutant.name:<28} {mutant.file:<20} {word:<40} {mutant.why}")
    say(f"{len(chosen)} mutants")
    return 0


def main(args):
    options = parse(args)
    files = sources()
    if options.table:
        from . import mutants_table
        say(mutants_table.page(load(), files))
        return 0
    chosen = choose(options, files)
    told, controls = known(chosen, files)
    if options.list:
        return tell(chosen, told)
    kernel = kernels.default()
    options.logs = logs.new("mutants")
    if options.sample or options.generated:
        options.into = ""
    builder = mutant_bench.Builder(kernel, options.logs, files)
    bench = mutant_bench.Bench(kernel, SimpleNamespace(
        logs=options.logs, driver="vnet", full=False, slow=1.0, tap=have_tap()), builder,
        controls)
    say(f"mutants: {len(chosen)} on Linux {kernel.name}; logs: {outer(options.logs)}")
    run = Run(chosen, bench, files, options)
    try:
        run.go()
    finally:
        bench.shut()
        builder.shut()
    return run.status()
