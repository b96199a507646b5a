# SPDX-License-Identifier: GPL-2.0
"""The commands that run inside the guest root: python3 -m lab.inside COMMAND."""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import SetupError, build, die, kernels, outer, say
from .guest import Guest, GuestDied
from .net import CommandFailed

LOGS = Path("/cache/logs")


def guest_options(parser):
    parser.add_argument("-k", "--kernel", default="",
                        help="kernel by name, as 6.12; the newest if not given")
    parser.add_argument("--arch", default="", help="of another architecture, as arm64")
    parser.add_argument("-p", "--profile", default="modern-split", help="device profile")
    parser.add_argument("-d", "--driver", default="vnet", help="vnet, virtio_net or none")
    parser.add_argument("-a", "--append", default="", help="added to the kernel command line")
    parser.add_argument("-q", "--qemu", action="append", default=[], metavar="ARG",
                        help="a further QEMU argument (once per word)")
    parser.add_argument("-m", "--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--smp", type=int, default=2)


def make_guest(options, name, **more):
    kernel = kernels.select([options.kernel])[0] if options.kernel else kernels.default()
    guest = Guest(kernel, options.profile, LOGS / name, append=options.append,
                  extra=options.qemu, memory=options.memory, smp=options.smp, **more)
    module = build.build(kernel) if options.driver == "vnet" else None
    say(f"guest: booting Linux {kernel.release}, profile {guest.profile.name}")
    return guest, module


def cmd_boot(args):
    """Run one command in a guest and end with its status."""
    parser = argparse.ArgumentParser(prog="lab boot")
    guest_options(parser)
    parser.add_argument("-t", "--timeout", type=int, default=600, help="seconds")
    parser.add_argument("guest_command", nargs=argparse.REMAINDER)
    options = parser.parse_args(args)
    started = time.monotonic()
    guest, module = make_guest(options, "boot")
    with guest:
        say(f"guest: up after {time.monotonic() - started:.1f} s")
        if options.driver != "none":
            guest.load(options.driver, module)
        result = guest.run(" ".join(options.guest_command) or "true", options.timeout, check=False)
        print(result.out, end="", flush=True)
        print(result.err, end="", file=sys.stderr, flush=True)
        splats = guest.splats()
    if splats:
        say(f"guest: the kernel complained ({splats[0].strip()}): see {outer(guest.console)}")
        return 1
    return result.status


def cmd_build(args):
    """Build vnet for every kernel of the root."""
    parser = argparse.ArgumentParser(prog="lab build")
    parser.add_argument("kernels", nargs="*")
    status = 0
    for kernel in kernels.select(parser.parse_args(args).kernels):
        try:
            say(f"build: {outer(build.build(kernel))}")
        except build.BuildFailed as error:
            say(f"build: {error}")
            status = 1
    return status


def cmd_unit(args):
    """The lab's own tests; --quick: those that boot no guest."""
    pattern = ["-p", "test_[!g]*.py"] if args == ["--quick"] else []
    return subprocess.run([sys.executable, "-m", "unittest", "discover", "-s", "lab/tests", "-t",
                           ".", *pattern], check=False).returncode


def cmd_test(args):
    from . import runner
    return runner.main(args)


def cmd_kselftest(args):
    from . import kselftest
    return kselftest.main(args)


def cmd_mutants(args):
    from . import mutants
    return mutants.main(args)


def cmd_coverage(args):
    from . import coverage
    return coverage.main(args)


def cmd_run(args):
    from . import demo
    return demo.run(args)


def cmd_shell(args):
    from . import demo
    return demo.shell(args)


def terminate(signum, _frame):
    """SIGTERM and SIGHUP unwind like an exception: guests end on the way."""
    sys.exit(128 + signum)


def main():
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGHUP, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = globals()[f"cmd_{sys.argv[1]}"]
    try:
        return command(sys.argv[2:])
    except SetupError as error:
        die(error)
    except (CommandFailed, GuestDied, build.BuildFailed) as error:
        print(f"vnet: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
