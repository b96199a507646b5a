# SPDX-License-Identifier: GPL-2.0
"""Builds vnet_kunit.ko and runs it in guests; started by kunit/run inside the lab.

On a kernel with CONFIG_KUNIT the module registers its suites with it; on one
without, as Debian's, the module brings kunit/shim.c. Both print KTAP.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lab.build
from lab import SetupError, die, kernels, say
from lab.guest import Guest, GuestDied
from lab.net import CommandFailed

TOP = Path("/vnet")
CACHE = Path("/cache")
SOURCES = ("include/*.h", "policy/caps.c", "policy/wire.c", "scripts/conftest.sh",
           "kunit/Kbuild", "kunit/*.[ch]")
BOOT_SECONDS = 900  # a debug kernel under TCG is slow
RUN_SECONDS = 1800
CASE = re.compile(r"^    (ok|not ok) \d+ (\S+)(?P<skip> # SKIP)?")
SUITE = re.compile(r"^(ok|not ok) \d+ ")
# The log of a kernel has room for so much: without this at its beginning some is lost.
MARK = "vnet_kunit begins"
PLACE = "/run/vnet_kunit.text"     # where its code lay, for a run that counts lines
RUN = (f"dmesg -C; echo {MARK} > /dev/kmsg; insmod {{}}; "
       f"cat /sys/module/vnet_kunit/sections/.text > {PLACE}; dmesg -t; rmmod vnet_kunit")
PLAN = re.compile(r"^(    )?1\.\.(\d+)")


class SlowGuest(Guest):
    """A guest that may take its time to boot."""

    def boot(self, timeout=BOOT_SECONDS):
        super().boot(timeout)


def build(kernel, quiet=False):
    """Build the module for a kernel; return its path."""
    if not quiet:
        say(f"kunit: building for {kernel.release}")
    with lab.build.directory(kernel, "-kunit") as target:
        return compile_in(target, kernel)


def compile_in(target, kernel, args=()):
    """Bring the copy in TARGET up to date and build it."""
    for pattern in SOURCES:
        for path in TOP.glob(pattern):
            lab.build.bring(path.relative_to(TOP), target / path.relative_to(TOP))
    jobs = len(os.sched_getaffinity(0))
    headers = Path("/lib/modules", kernel.release, "build")
    if not headers.exists():
        headers = kernel.build
    done = subprocess.run(
        ["make", "-C", str(headers.resolve()), f"M={target / 'kunit'}", f"-j{jobs}", "W=1", *args,
         "modules"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if "rror" in line or "warning" in line]
        raise CommandFailed(f"the tests do not build for {kernel.release}:\n  "
                            + "\n  ".join(lines[:20]))
    return target / "kunit" / "vnet_kunit.ko"


def run(kernel, module):
    """Load the module in a guest; return (KTAP lines, splats)."""
    say(f"kunit: booting {kernel.release}")
    log_dir = CACHE / "logs" / f"kunit-{kernel.release}"
    shutil.rmtree(log_dir, ignore_errors=True)
    with SlowGuest(kernel, "user", log_dir, smp=1) as guest:
        shutil.copy(module, guest.root / "lab")
        log = guest.run(RUN.format("/lab/vnet_kunit.ko"), timeout=RUN_SECONDS).out
        splats = guest.splats()
    return ktap(log), splats


def ktap(log):
    """The lines of a run by RUN; one that fails among them if others have been lost."""
    before, mark, after = log.partition(MARK)
    if mark:
        return after.splitlines()[1:]
    return [*before.splitlines(), "    not ok 0 the_log_ran_over"]


def count(lines):
    """Results of KTAP lines: (passed, failed, skipped), failed also by what is missing."""
    cases = [match for line in lines if (match := CASE.match(line))]
    suites = [line for line in lines if SUITE.match(line)]
    plans = [match for line in lines if (match := PLAN.match(line))]
    wanted = sum(int(match[2]) for match in plans if match[1])
    suites_wanted = sum(int(match[2]) for match in plans if not match[1])
    failed = sum(match[1] == "not ok" for match in cases)
    skipped = sum(bool(match["skip"]) for match in cases)
    missing = max(wanted - len(cases), 0) + max(suites_wanted - len(suites), 0)
    if not cases:
        missing += 1
    return len(cases) - failed - skipped, failed + missing, skipped


def test(kernel):
    """Build, run and report; True when all is well."""
    started = time.monotonic()
    try:
        lines, splats = run(kernel, build(kernel))
    except (CommandFailed, GuestDied) as error:
        print(f"vnet: {error}", file=sys.stderr, flush=True)
        return False
    print("\n".join(lines), flush=True)
    passed, failed, skipped = count(lines)
    if splats:
        say(f"kunit: the kernel complained: {splats[0].strip()}")
    say(f"kunit: {kernel.release}: {passed} passed, {failed} failed, {skipped} skipped "
        f"({time.monotonic() - started:.0f} s)")
    return not failed and not splats


def main(names):
    chosen = kernels.select(names) if names else kernels.of_suites()
    good = [test(kernel) for kernel in chosen]
    return 0 if all(good) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        die(error)
