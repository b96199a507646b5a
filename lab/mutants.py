# SPDX-License-Identifier: GPL-2.0
"""Mutants: small defects planted into the driver, each of which some test must find.

    lab/start mutants [NAME...]       names or globs; all of them without
    lab/start mutants --sample 10     so many, chosen by the commit

lab/mutants.toml is the list. A mutant is built from a copy of the source and run
against the tests that claim the place; it is killed when one of them fails, and
survives when all pass. Status 1: one survived.
"""

import argparse
import fnmatch
import hashlib
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

    why     what is wrong then, in one line
    tests   those of which one must fail, and the profile that they run on
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple
    profile: str = "modern-split"

    def apply(self, text):
        """The text of the file with the defect; SetupError if it does not fit any more."""
        count = text.count(self.old)
        if count != 1:
            raise SetupError(f"mutant {self.name}: {self.file} has {count} places like "
                             f"'{self.old.strip()}' and not one: write it anew in {LIST.name}")
        return text.replace(self.old, self.new)


def load(path=LIST):
    """The list, checked against the source."""
    with open(path, "rb") as file:
        told = tomllib.load(file)
    found = [Mutant(name=name, **{**entry, "tests": tuple(entry["tests"])})
             for name, entry in told.items()]
    for mutant in found:
        mutant.apply((build.CHECKOUT / mutant.file).read_text(encoding="utf-8"))
        profiles.get(mutant.profile)
    return found


def sample(mutants, count, seed):
    """So many of them, others for every seed."""
    def order(mutant):
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).digest()
    return sorted(mutants, key=order)[:count]


def commit():
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", str(build.CHECKOUT), "rev-parse",
                           "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def compile_mutant(kernel, mutant):
    """The module with the defect."""
    with build.directory(kernel, "-mutant") as target:
        build.copy_sources(target)
        path = target / mutant.file
        path.write_text(mutant.apply(path.read_text(encoding="utf-8")), encoding="utf-8")
        return build.make(kernel, target, "vnet")


def judge(mutant, module, kernel, options):
    """(the test that found it, or None; what it said)."""
    tests = [test for test in runner.discover() if test.name in mutant.tests]
    if {test.name for test in tests} != set(mutant.tests):
        raise SetupError(f"mutant {mutant.name}: not all of these tests exist: "
                         f"{' '.join(mutant.tests)}")
    for test in tests:
        group = runner.Group(kernel, profiles.get(mutant.profile), [test], options)
        try:
            verdict, text = group.run_one(test, module)
        finally:
            group.shut()
        if verdict == "FAIL":
            return test.name, text.split("\n")[0]
    return None, ""


def main(args):
    parser = argparse.ArgumentParser(prog="lab mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--seed", default="", help="of the sample, instead of the commit")
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    options = parser.parse_args(args)
    chosen = [m for m in load() if not options.names
              or any(fnmatch.fnmatch(m.name, name) for name in options.names)]
    if not chosen:
        raise SetupError(f"no mutant has such a name; there are: "
                         f"{' '.join(m.name for m in load())}")
    if options.sample:
        chosen = sample(chosen, options.sample, options.seed or commit())
    if options.list:
        for mutant in chosen:
            say(f"{mutant.name:<28} {mutant.file:<20} {mutant.why}")
        return 0
    kernel = kernels.default()
    run = SimpleNamespace(logs=logs.new("mutants"), driver="vnet", full=False, slow=1.0,
                          tap=have_tap())
    say(f"mutants: {len(chosen)} on Linux {kernel.name}; logs: {outer(run.logs)}")
    survived = []
    for number, mutant in enumerate(chosen, 1):
        started = time.monotonic()
        where = f"[{number:>3}/{len(chosen)}] {mutant.name:<28}"
        try:
            found, text = judge(mutant, compile_mutant(kernel, mutant), kernel, run)
        except build.BuildFailed as error:
            raise SetupError(f"mutant {mutant.name} does not compile: {error}") from None
        seconds = time.monotonic() - started
        if found:
            say(f"{where} killed by {found} ({seconds:.0f} s): {text}")
        else:
            survived.append(mutant)
            say(f"{where} SURVIVED {' '.join(mutant.tests)} ({seconds:.0f} s): {mutant.why}")
    say(f"{len(chosen) - len(survived)} passed, {len(survived)} failed, 0 skipped")
    return 1 if survived else 0
