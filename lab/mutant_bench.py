# SPDX-License-Identifier: GPL-2.0
"""Builds mutants and judges them in guests: see lab/mutants.py."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kunit import guest as kunit
from lab.guest import GuestDied, QMPError
from lab.net import CommandFailed

from . import SetupError, build, profiles, runner, verdicts

UNIT = "quick.unit_tests"       # it needs a guest and its own module, no driver
CCACHE = ("DEBIAN_KERNEL_USE_CCACHE=1",)
SETTLE = 12     # so many have been killed: see whether their tests pass without a defect
# End what a test has left behind, then take the driver out.
UNLOAD = """
for p in $(pgrep -P $PPID); do [ $p = $$ ] || kill -KILL -- -$p; done
[ ! -e /sys/module/vnet ] || rmmod vnet
"""


class DoesNotLoad(Exception):
    """The driver does not even load in a guest that has seen nothing yet."""


class Builder:
    """Compiles in a thread of its own; None instead of a mutant is the driver as it is."""

    def __init__(self, kernel, where, sources):
        self.kernel, self.where, self.sources = kernel, where, sources
        self.pool = ThreadPoolExecutor(1)
        self.asked = {}

    def ask(self, mutant, unit):
        """Start with it, if that has not been done."""
        key = mutant, unit
        if key not in self.asked:
            self.asked[key] = self.pool.submit(self.compile, mutant, unit)
        return self.asked[key]

    def take(self, mutant, unit):
        """The path of the module."""
        return self.ask(mutant, unit).result()

    def compile(self, mutant, unit):
        if mutant is None:
            return self.make(unit, "as-it-is")
        with build.planted(*mutant.plant(self.sources)):
            return self.make(unit, mutant.name)

    def make(self, unit, name):
        with build.directory(self.kernel, "-mutant-unit" if unit else "-mutant") as target:
            if unit:
                try:
                    module = kunit.compile_in(target, self.kernel, CCACHE)
                except CommandFailed as error:
                    raise build.BuildFailed(str(error)) from None
            else:
                build.copy_sources(target)
                module = build.make(self.kernel, target, "vnet", CCACHE)
            return Path(shutil.copy(module, self.where / f"{name}{'-unit' * unit}.ko"))

    def shut(self):
        self.pool.shutdown(cancel_futures=True)


class Group(runner.Group):
    """A guest that goes on after a test has failed, unless its kernel is hurt."""

    def spent(self, hurt):
        if hurt:
            self.shut()

    def moved(self):
        return ""


class Bench:
    """One guest at a time, as long as it is well."""

    def __init__(self, kernel, options, builder, controls):
        self.kernel, self.options, self.builder = kernel, options, builder
        self.tests = {test.name: test for test in runner.discover()}
        self.group = self.loaded = None
        self.controls = controls        # test@profile -> key of its file, when it passed
        self.kills = []                 # (mutant, test, profile), not settled yet

    # ---- guests ------------------------------------------------------------

    def shut(self):
        if self.group:
            self.group.shut()
        self.group = self.loaded = None

    def alive(self):
        return bool(self.group and self.group.guest and self.group.guest.alive())

    def open(self, profile):
        """A guest of this profile without a driver, or with one; is it a new one?"""
        if self.alive() and self.group.profile.name == profile or self.plug(profile):
            return False
        self.shut()
        self.group = Group(self.kernel, profiles.get(profile), [], self.options)
        self.group.open()
        return True

    def plug(self, name):
        """Turn the guest into one of another profile; False if that cannot be."""
        profile = profiles.get(name)
        if not self.alive() or not profile.pluggable or not self.group.profile.pluggable or \
                self.group.profile.net == "device":
            return False
        guest = self.group.guest
        try:
            guest.run(UNLOAD, timeout=30)
            guest.become(profile, driver=False)
        except (CommandFailed, GuestDied, QMPError, SetupError):
            return False
        self.group = Group(self.kernel, profile, [], self.options)
        self.group.take(guest)
        self.loaded = None
        return True

    def load(self, profile, module):
        """A guest of this profile with this module in it."""
        new = self.open(profile)
        if module == self.loaded and not new:
            return
        try:
            self.exchange(module)
        except (CommandFailed, GuestDied) as error:
            self.shut()
            if new:
                raise DoesNotLoad(str(error).split("\n", 1)[0]) from None
            self.load(profile, module)  # it may be what the last one has left

    def exchange(self, module):
        group = self.group
        group.guest.run(UNLOAD, timeout=30)
        self.loaded = None
        group.guest.load("vnet", module)
        group.take(group.guest)
        group.fresh = False
        self.loaded = module

    # ---- verdicts ----------------------------------------------------------

    def judge(self, mutant):
        """(the test that found it, with its profile, or ""; what it said)."""
        skips = []
        for name, profile in mutant.runs():
            try:
                said = self.try_one(mutant, name, profile)
            except runner.api.Skip as skip:
                skips.append(f"{name}: {skip}")
                continue
            if said:
                self.kills.append((mutant.name, name, profile))
                return f"{name}@{profile}", said
        if skips:   # it may be the one that would have found it
            raise runner.api.Skip("; ".join(skips))
        return "", ""

    def try_one(self, mutant, name, profile):
        """What a test says that fails; "" if it passes. None instead of a mutant: as it is."""
        module = self.builder.take(mutant, name == UNIT)
        if name == UNIT:
            return self.unit(module)
        try:
            self.load(profile, module)
        except DoesNotLoad as error:
            return f"does not load: {error}"
        verdict, said = self.group.run_one(self.tests[name], module)
        if verdict == "skip":
            raise runner.api.Skip(said)
        return said.split("\n")[0] or "failed" if verdict == "FAIL" else ""

    def unit(self, module):
        """The same of the unit tests, in whatever guest there is."""
        if not self.alive():
            self.open("modern-split")
        guest = self.group.guest
        try:
            guest.put(module, "/tmp/unit.ko")
            log = kunit.ktap(guest.run(kunit.RUN.format("/tmp/unit.ko"), timeout=40).out)
            hurt = self.group.complaint(False)
        except (CommandFailed, GuestDied) as error:
            log, hurt = [], str(error)
        if hurt:
            self.shut()
            return hurt.split("\n")[0]
        passed, failed, _ = kunit.count(log)
        bad = [line.strip() for line in log if line.startswith("    not ok")]
        return "" if passed and not failed else "; ".join(bad) or "not all tests have run"

    def control_key(self, name):
        """Of what a control depends on."""
        top = build.CHECKOUT
        files = sorted((top / "kunit").glob("*.c")) if name == UNIT else \
            [top / "selftests" / f"{name.partition('.')[0]}.py"]
        return verdicts.digest(*(path.read_text(encoding="utf-8") for path in files))

    def settle(self):
        """Do the tests that have killed pass without a defect?

        (names of mutants that count, {test: key} of new controls, {test: what it says}).
        """
        kills, self.kills = self.kills, []
        last = kills[-1][1:] if kills else None
        wanted = [pair for pair in dict.fromkeys(kill[1:] for kill in kills)
                  if pair == last or not self.has_control(*pair)]
        bad, new = {}, {}
        for name, profile in wanted:
            said = self.try_one(None, name, profile)
            if said:
                bad[name, profile] = said
            else:
                new[f"{name}@{profile}"] = self.control_key(name)
        hurt = any(self.has_control(*pair) for pair in bad)     # the guest, by one of them
        self.controls.update(new)
        return ([] if hurt else [kill[0] for kill in kills if kill[1:] not in bad], new,
                {"@".join(pair): said for pair, said in bad.items()})

    def has_control(self, name, profile):
        return self.controls.get(f"{name}@{profile}") == self.control_key(name)
