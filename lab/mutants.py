# SPDX-License-Identifier: GPL-2.0
"""Mutants: small defects planted into the driver, each of which some test must find.

    lab/start mutants [NAME...]          names or globs; all of the list without
    lab/start mutants --sample 10        so many, chosen by the commit
    lab/start mutants --generated        those that lab/mutate.py makes, not the list

lab/mutants.toml is the list. A mutant is built from a copy of the source and run
against the tests that claim the place; it is killed when one of them fails, and
survives when all pass. One guest serves the mutants of one profile, until one is
killed in it. Status 1: one survived.
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

from . import SetupError, build, kernels, logs, outer, profiles, runner, say
from .net import have_tap

LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Mutant:
    """A defect: in FILE, the only place with the text OLD has NEW instead.

    file    its name; a file that has moved, or a function that has moved to another
            one, is found as long as the text is there once in the whole driver
    why     what is wrong then, in one line
    tests   those of which one must fail; NAME@PROFILE where it is not the one below
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple
    profile: str = "modern-split"

    def runs(self):
        """(test, profile) one after the other."""
        for name in self.tests:
            test, _, profile = name.partition("@")
            yield test, profile or self.profile

    def places(self, files):
        """[(path, how often OLD is in it)] of {path: text}, in files of the name if there are."""
        names = {self.file, self.file.removeprefix("vnet_")}
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


class Bench:
    """Guests for mutants, one at a time; it goes on with another module where it can."""

    def __init__(self, kernel, options):
        self.kernel, self.options = kernel, options
        self.tests = {test.name: test for test in runner.discover()}
        self.group = self.loaded = None

    def shut(self):
        if self.group:
            self.group.shut()
        self.group = None

    def prepare(self, profile, module):
        """A guest of a profile with this module; a kept one if that can be."""
        group = self.group
        if group and group.profile.name == profile and group.guest and \
                (module == self.loaded or self.exchange(group, module)):
            self.loaded = module
            return group
        self.shut()
        self.loaded = module
        self.group = runner.Group(self.kernel, profiles.get(profile), [], self.options)
        return self.group

    @staticmethod
    def exchange(group, module):
        """Put another module into a guest that is well; False if it cannot be."""
        try:
            group.guest.rmmod("vnet")
            group.guest.load("vnet", module)
        except Exception:  # whatever the last one has left
            return False
        group.take(group.guest)
        return True

    def judge(self, mutant):
        """(the test that found it, or None; what it said)."""
        missing = [name for name, _ in mutant.runs() if name not in self.tests]
        if missing:
            raise SetupError(f"mutant {mutant.name}: there are no tests {' '.join(missing)}")
        self.loaded = None
        path, text = mutant.plant(sources())
        with build.planted(path, text):
            with build.directory(self.kernel, "-mutant") as target:
                build.copy_sources(target)
                module = build.make(self.kernel, target, "vnet")
            for name, profile in mutant.runs():
                group = self.prepare(profile, module)
                verdict, said = group.run_one(self.tests[name], module)
                if verdict == "FAIL":
                    return name, said.split("\n")[0]
        return None, ""


def describe(mutant, found, said, seconds):
    """The verdict on one of them, for people and for programs."""
    return {"name": mutant.name, "file": mutant.file, "why": mutant.why, "killed_by": found,
            "said": said, "tests": mutant.tests, "profile": mutant.profile,
            "seconds": round(seconds)}


def choose(options):
    """The mutants that were asked for, those of one profile and of the same tests together."""
    every = generated() if options.generated else load()
    chosen = [m for m in every if not options.names
              or any(fnmatch.fnmatch(m.name, name) for name in options.names)]
    if not chosen:
        raise SetupError(f"no mutant has such a name; there are: "
                         f"{' '.join(m.name for m in every)}")
    if options.sample:
        chosen = sample(chosen, options.sample, options.seed or commit())
    return sorted(chosen, key=lambda m: (m.profile, m.tests, m.file))


def run(chosen, bench, logs_dir, loose=False):
    """Judge them; (how many were, those that survived). LOOSE: some may not compile."""
    survived, judged = [], 0
    for number, mutant in enumerate(chosen, 1):
        started = time.monotonic()
        where = f"[{number:>3}/{len(chosen)}] {mutant.name:<28}"
        try:
            found, said = bench.judge(mutant)
        except build.BuildFailed as error:
            if not loose:
                raise SetupError(f"mutant {mutant.name}: {error}") from None
            say(f"{where} does not compile")
            continue
        judged += 1
        seconds = time.monotonic() - started
        with open(logs_dir / "mutants.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(describe(mutant, found, said, seconds)) + "\n")
        if found:
            say(f"{where} killed by {found} ({seconds:.0f} s): {said}")
        else:
            survived.append(mutant)
            say(f"{where} SURVIVED {' '.join(mutant.tests)} ({seconds:.0f} s): {mutant.why}")
    return judged, survived


def main(args):
    parser = argparse.ArgumentParser(prog="lab mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--seed", default="", help="of the sample, instead of the commit")
    parser.add_argument("--generated", action="store_true", help="of lab/mutate.py")
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    options = parser.parse_args(args)
    chosen = choose(options)
    if options.list:
        for mutant in chosen:
            say(f"{mutant.name:<28} {mutant.file:<20} {mutant.profile:<12} {mutant.why}")
        say(f"{len(chosen)} mutants")
        return 0
    kernel = kernels.default()
    where = logs.new("mutants")
    bench = Bench(kernel, SimpleNamespace(logs=where, driver="vnet", full=False, slow=1.0,
                                          tap=have_tap()))
    say(f"mutants: {len(chosen)} on Linux {kernel.name}; logs: {outer(where)}")
    try:
        judged, survived = run(chosen, bench, where, options.generated)
    finally:
        bench.shut()
    if survived:
        say("survived:\n  " + "\n  ".join(f"{m.name}: {m.why}" for m in survived))
    say(f"{judged - len(survived)} passed, {len(survived)} failed, "
        f"{len(chosen) - judged} skipped")
    return 1 if survived else 0
