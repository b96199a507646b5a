# SPDX-License-Identifier: GPL-2.0
"""Finds the tests of selftests/, groups them by guest, runs and counts them."""

import fnmatch
import importlib
import itertools
import json
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import SetupError, api, arch, build, kernels, logs, oracle, outer, profiles, quick, results
from . import say, vhost_user
from . import options as test_options
from .guest import Guest, GuestDied, QMPError
from .net import CommandFailed, have_tap

SELFTESTS = Path("/vnet/selftests")


class Tally:
    """Counts results, prints a line for each, and now and then how much is left."""

    PAUSE = 30  # seconds between two lines about the rest

    def __init__(self, total):
        self.total = total
        self.cases = []
        self.lock = threading.Lock()
        self.begin()

    def begin(self):
        """The tests in guests start: the rest is estimated from here on."""
        self.start = self.told = time.monotonic()
        self.before = len(self.cases)

    def add(self, verdict, where, name, seconds=0.0, text=""):
        with self.lock:
            self.cases.append(results.Case(where, name, verdict, seconds, text))
            line = f"[{len(self.cases):>3}/{self.total}] {where:<20} {name:<32} {verdict}"
            if verdict == "ok":
                line += f" ({seconds:.1f} s)"
            elif text:
                line += f": {text}"
            say(line)
            self.tell_rest()

    def tell_rest(self):
        """About how long the rest will take, by what the tests so far have taken."""
        now, timed = time.monotonic(), len(self.cases) - self.before
        left = self.total - len(self.cases)
        if left and timed > 3 and now - self.told > self.PAUSE:
            self.told = now
            seconds = (now - self.start) / timed * left
            say(f"test: {len(self.cases)} of {self.total}, the rest takes about "
                f"{seconds / 60:.0f} min" if seconds > 90 else
                f"test: {len(self.cases)} of {self.total}, the rest takes about {seconds:.0f} s")

    @property
    def failures(self):
        return [case for case in self.cases if case.verdict == "FAIL"]

    def closing(self):
        return results.closing(self.cases)


def explain(error):
    """What an exception says, and the lines of the tests that led to it, the outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent == SELFTESTS] or frames[-1:]
    where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in ours)
    said = str(error) if isinstance(error, (AssertionError, SetupError)) else repr(error)
    return f"{said or ours[-1].line} ({where})"


class Watchdog:
    """Calls a function once when a deadline has passed, unless it is left before."""

    def __init__(self, deadline, expire):
        self.deadline, self.expire = deadline, expire
        self.left, self.expired = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.left.wait(0.5):
            if self.deadline.passed():
                self.expire(self.expired)
                return

    def __enter__(self):
        self.thread.start()
        return self.expired

    def __exit__(self, *_):
        self.left.set()
        self.thread.join()


class Group:
    """The tests of one (kernel, profile): one guest serves them all.

    The guest is one that an earlier group has left, with other devices plugged in,
    or a new one.
    """

    def __init__(self, kernel, profile, tests, options):
        self.kernel, self.profile, self.tests, self.options = kernel, profile, tests, options
        self.where = f"{kernel.name} {profile.name}"
        self.boots = itertools.count(1)
        self.guest = self.env = self.oracle = None
        self.seen = 0
        self.fresh = False

    def boot(self, module):
        """A guest with the driver."""
        self.open()
        try:
            self.guest.load(self.options.driver, module)
        except BaseException:
            self.shut()
            raise

    def open(self):
        """A guest without a driver."""
        while True:
            log = self.options.logs / f"{self.kernel.name}-{self.profile.name}-{next(self.boots)}"
            if not log.exists():
                break
        guest = Guest(self.kernel, self.profile, log, doors=getattr(self.options, "keep", False))
        guest.__enter__()
        self.seen = 0
        self.take(guest)

    def inherit(self, guest):
        """Make the guest of another group ours; its end if it cannot be."""
        self.seen = len(guest.console_text())
        try:
            guest.become(self.profile)
        except BaseException:
            guest.close()
            raise
        self.take(guest)

    def take(self, guest):
        self.guest, self.fresh, self.oracle = guest, True, oracle.Oracle()
        self.env = api.Env(guest, self.options.driver, self.options.full,
                           self.options.slow * guest.slow)

    def shut(self):
        if self.guest:
            self.guest.close()
            self.guest = None

    def run(self, module, tally, left=None):
        """Run the tests, at first in the guest that is LEFT; return a guest for the next group."""
        try:
            for test in self.tests:
                if STOP.is_set():
                    break
                started = time.monotonic()
                verdict, text = self.run_one(test, module, left)
                left = None
                if not STOP.is_set():
                    tally.add(verdict, self.where, test.name, time.monotonic() - started, text)
        except BaseException:
            self.shut()
            raise
        guest, self.guest = self.guest, None
        return guest

    def run_one(self, test, module, left=None):
        """Run one test; (verdict, text). The guest is ended when it cannot serve another."""
        hurt = True     # it is not only the test that says so
        try:
            if left:
                self.inherit(left)
            if not self.guest:
                self.boot(module)
            with Watchdog(self.env.deadline(test.timeout), self.expire) as expired:
                verdict, text = self.call(test)
            if expired.is_set():
                verdict, text = "FAIL", f"did not end within {test.timeout} s; {text}"
            complaint = self.complaint(expired.is_set())
            hurt = bool(complaint) or expired.is_set()
            if complaint:
                verdict, text = "FAIL", f"the kernel complained: {complaint}"
        except (CommandFailed, GuestDied, SetupError) as error:
            verdict, text = "FAIL", f"boot: {error}"
        except Exception as error:  # of this guest; there are others to run
            verdict, text = "FAIL", f"boot: {error!r}"
        if verdict == "FAIL":
            if self.guest:
                text += self.moved()
                text += "".join(f"\n      {line}" for line in self.guest.transcript.last())
                text += f"\n      logs: {outer(self.guest.log)}"
                self.keep(test, text)
            self.spent(hurt)
        return verdict, text

    def spent(self, _hurt):
        """A test has failed in the guest: the next one gets another."""
        self.shut()

    def call(self, test):
        try:
            if not self.fresh:
                self.env.reset(test.up)
            elif test.up:
                self.env.configure()
            else:
                self.env.find()
            self.fresh = False
            self.oracle.begin(self.env, test)
            try:
                test.func(self.env)
            finally:
                self.env.undo()
            wrong = self.oracle.end(self.env, test)
            return ("FAIL", "; ".join(wrong)) if wrong else ("ok", "")
        except api.Skip as skip:
            return "skip", str(skip)
        except Exception as error:  # a defect of the test is a failure, not the end of the run
            with open(self.guest.log / "traceback", "a", encoding="utf-8") as file:
                file.write(f"{test.name}\n{traceback.format_exc()}\n")
            return "FAIL", explain(error)

    def keep(self, test, text):
        """With --keep: leave the guest of a failure as it is until somebody ends it."""
        if not getattr(self.options, "keep", False) or STOP.is_set() or not self.guest.alive():
            return
        with KEPT:      # one at a time has the terminal
            say(f"kept: {self.where} {test.name}: {text}")
            try:
                for line in self.guest.keep():
                    say(f"      {line}")
            except (GuestDied, CommandFailed, QMPError) as error:
                say(f"      it does not answer: {error}")
            while self.guest.alive() and not STOP.is_set():
                time.sleep(0.5)

    def moved(self):
        """What the driver has counted that it need not count, below a failure."""
        try:
            found = self.oracle.told(self.env)
        except Exception:  # the guest may be in any state
            return ""
        return f"\n      counters that moved: {found}" if found else ""

    def expire(self, expired):
        """The time of a test is up: end QEMU, unless the guest is to be kept."""
        expired.set()
        if getattr(self.options, "keep", False) and not STOP.is_set():
            return
        try:
            if self.guest and self.guest.alive():
                self.guest.qemu.stop()
        except OSError:
            pass

    def decoded(self, splats):
        """The first complaint in words, with its stack; all of them go into a file of the log."""
        module = self.guest.root / "lab" / f"{self.options.driver}.ko"
        module = module if module.exists() else None
        text = "\n\n".join(splat.text(module) for splat in splats)
        (self.guest.log / "splats").write_text(text + "\n", encoding="utf-8")
        first = splats[0].text(module).split("\n")
        stack = "".join(f"\n      {line}" for line in first[1:])
        return f"{splats[0].line} (splat {splats[0].fingerprint}, {len(splats)} in all){stack}"

    def complaint(self, over):
        """What the kernel said on the console or by its taint bits since the last look.

        Of a guest that was ended, because its time was OVER, there is only the console.
        """
        splats = self.guest.complaints(self.seen)
        self.seen = len(self.guest.console_text())
        if splats:
            return self.decoded(splats)
        if over:
            return None
        if not self.guest.alive():
            return "the guest ended; its last words: " + self.guest.tail()
        taint = self.guest.taint()
        return f"tainted {taint}" if taint else None


STOP = threading.Event()
LAST = []       # directories of the logs of the runs of this process
KEPT = threading.Lock()


def discover():
    """Import every test file; returns the tests in order."""
    for path in sorted(SELFTESTS.glob("*.py")):
        if not path.name.startswith("_"):
            importlib.import_module(f"selftests.{path.stem}")
    return list(api.TESTS)


def matches(name, pattern):
    """T=ping, T=traffic, T=traffic.ping, globs, and several of them."""
    module, _, func = name.partition(".")
    return not pattern or any(fnmatch.fnmatch(part, word) for part in (name, module, func)
                              for word in pattern.split())


# What 'make check-ci' leaves to 'make check-full', to end within the time of a
# commit: these files run on every profile (on older kernels those of CORE), the
# others on the newest kernel and the first profile that they name; of LONG only
# those marked quick.
EVERYWHERE = ("traffic", "features", "link", "life")
SMOKE = ("modern-split", "traffic")  # on the debug kernel, beside the hostile device
LONG = ("control_device", "recovery_*", "hostile*", "xdp_*", "users", "peers",
        "package*", "vkit", "vmon")


def in_time(test, kernel, profile, chosen, options):
    """Does this run belong to a run of this length?"""
    if options.full or options.test or options.profiles or options.kernels:
        return True
    newest = max((k for k in chosen if not k.layer), key=lambda k: k.version)
    if not options.ci:
        return not kernel.layer and quick.has(test.name, profile.name, kernel is newest)
    if vhost_user.layer(profile.net):
        return False		# a short run installs no layers
    module = test.name.partition(".")[0]
    if kernel.layer:
        return (profile.name, module) == SMOKE or \
            module == "hostile" and test.quick and profile.name == test.profiles[0]
    if module in EVERYWHERE:
        return kernel is newest or profile.name in profiles.CORE
    if any(fnmatch.fnmatch(module, name) for name in LONG) and not test.quick:
        return False
    return kernel is newest and profile.name == test.profiles[0]


# Tests that bring a machine or programs of their own, which are this machine's
NATIVE = {"recovery_suspend": "the machine that is suspended is an x86-64",
          "recovery_migrate": "the machine that is moved is an x86-64",
          "package*": "the programs and packages are those of an x86-64",
          "users": "the layers of programs are those of an x86-64",
          "peers": "the layers of hosts are those of an x86-64",
          "xdp_clients": "the layers of programs are those of an x86-64"}


def foreign(test):
    """Why a test does not run in a guest of another architecture, or None."""
    module = test.name.partition(".")[0]
    return next((why for words, why in NATIVE.items() if fnmatch.fnmatch(module, words)), None)


def unfit(test, kernel, profile, options):
    """Why a test does not run here, or None."""
    if arch.current() is not arch.NATIVE and foreign(test):
        return foreign(test)
    if kernel.version < profile.kernel_min:
        return profile.why_min
    if kernel.version < test.kernel_min:
        return "needs Linux {}.{}".format(*test.kernel_min)
    if test.drivers and options.driver not in test.drivers:
        return f"not for {options.driver}"
    if profile.drivers and options.driver not in profile.drivers:
        return f"{options.driver} does not drive such a device"
    if profile.net not in ("user", "device") and not options.tap:
        return "this user may not open /dev/net/tun"
    return vhost_user.missing(profile.net)


def plan(tests, chosen, options, tally_skip):
    """Group the tests; skips are told at once."""
    groups = []
    for kernel in chosen:
        for profile in profiles.PROFILES.values():
            if options.profiles and profile.name not in options.profiles:
                continue
            if profile.debug and not kernel.layer:
                continue
            fit = []
            for test in tests:
                if profile.name not in test.profiles or \
                        not in_time(test, kernel, profile, chosen, options):
                    continue
                why = unfit(test, kernel, profile, options)
                if why:
                    tally_skip.append((f"{kernel.name} {profile.name}", test.name, why))
                else:
                    fit.append(test)
            if fit:
                groups.append(Group(kernel, profile, fit, options))
    return groups


def parse(args):
    options = test_options.parse(args)
    for name in options.profiles:
        profiles.get(name)
    options.jobs = options.jobs or max(1, min(4, len(os.sched_getaffinity(0))))
    options.tap = have_tap()
    return options


def build_all(chosen, options, tally):
    """Modules per kernel; a kernel that does not build is a failure and its tests do not run."""
    modules = {}
    for kernel in chosen:
        if options.driver != "vnet":
            modules[kernel] = None
            continue
        started = time.monotonic()
        try:
            modules[kernel] = build.build(kernel, quiet=True)
            tally.add("ok", kernel.name, "build", time.monotonic() - started)
        except build.BuildFailed as error:
            tally.add("FAIL", kernel.name, "build", 0, str(error))
    return modules


def tours(groups, options):
    """Groups that one guest serves, one after the other: a list of lists.

    The quick run goes with one guest of each kernel through everything that can be
    plugged in, the scripted device last; others boot anew for every profile, which
    hides nothing that an earlier profile has left.
    """
    if options.full or options.ci or options.test or options.profiles or options.kernels:
        return [[group] for group in groups]
    found = {}
    for group in groups:
        alone = None if group.profile.pluggable else group.profile.name
        found.setdefault((group.kernel, alone), []).append(group)
    for tour in found.values():
        tour.sort(key=lambda group: group.profile.net == "device")
    return sorted(found.values(), key=lambda tour: -sum(len(group.tests) for group in tour))


def run_tour(groups, module, tally):
    """Run groups one after the other, in one guest as long as it lasts."""
    guest = None
    try:
        for group in groups:
            guest = group.run(module, tally, guest)
    finally:
        if guest:
            guest.close()


def run_groups(work, options, tally):
    """Run tours side by side; an interruption ends every guest at once."""
    pool = ThreadPoolExecutor(options.jobs)
    try:
        futures = [pool.submit(run_tour, groups, module, tally) for groups, module in work]
        for future in futures:
            future.result()
    except BaseException:
        STOP.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for groups, _ in work:
            for group in groups:
                group.expire(threading.Event())
        raise
    finally:
        pool.shutdown()


def choose(options, skips):
    """The kernels of a run. One for CI has the debug kernel, too, where it has been built, and a
    full one that with the race detector."""
    if options.kernels:
        return kernels.select(options.kernels)
    chosen = kernels.every_of_root() if options.full else kernels.of_suites()
    if options.test or options.profiles or options.driver != "vnet" or \
            not (options.ci or options.full):
        return chosen
    names = ("kasan", "kcsan") if options.full else ("kasan",)
    debug = kernels.debug(names)
    for name in names:
        if name not in [kernel.name for kernel in debug]:
            skips.append((name, "debug kernel",
                          f"not built: 'lab/start debug-kernel {name}' does it"))
    return chosen + debug


def last_logs():
    """The directory of the logs of the last run, or None."""
    return LAST[-1] if LAST else None


def main(args):
    options = parse(args)
    tests = [t for t in discover() if matches(t.name, options.test)
             and (options.full or not t.full)]
    if not tests:
        raise SetupError(f"there is no test named {options.test!r}; there are: "
                         + " ".join(sorted(t.name for t in api.TESTS)))
    skips = []
    chosen = choose(options, skips)
    groups = plan(tests, chosen, options, skips)
    if not groups and not skips:
        raise SetupError("no test of this name runs on this profile; 'T=' and 'PROFILE=' "
                         "exclude each other")
    if options.list:
        for group in groups:
            say(f"{group.where}: {' '.join(t.name for t in group.tests)}")
        return 0
    options.logs = logs.new("test")
    LAST.append(options.logs)
    total = sum(len(g.tests) for g in groups) + len(skips)
    total += len(chosen) if options.driver == "vnet" else 0
    tally = Tally(total)
    work = tours(groups, options)
    say(f"test: {total} tests of {options.driver} in {len(work)} guests, "
        f"{options.jobs} at a time; logs: {outer(options.logs)}")
    modules = build_all(chosen, options, tally)
    for skip in skips:
        tally.add("skip", *skip[:2], text=skip[2])
    tally.begin()
    run_groups([(tour, modules[tour[0].kernel]) for tour in work if tour[0].kernel in modules],
               options, tally)
    if oracle.SPENT:
        say(f"test: the oracle looked {len(oracle.SPENT)} times, {sum(oracle.SPENT):.0f} s in all")
    if options.part:  # of a run that has other parts: lab/check.py puts them together
        Path(options.part).write_text(json.dumps({
            "logs": str(outer(options.logs)),
            "cases": [case.as_dict() for case in tally.cases]}), encoding="utf-8")
    else:
        results.write_junit(options.logs / "junit.xml", tally.cases)
        for line in results.failed(tally.cases):
            say(line)
        say(tally.closing())
    return 1 if tally.failures else 0
