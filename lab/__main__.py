# SPDX-License-Identifier: GPL-2.0
"""The lab's door on the user's machine: python3 -m lab COMMAND.

Prepares the machine and the guest root, then runs the command inside the
root (lab/inside.py).
"""

import argparse
import contextlib
import fcntl
import functools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from . import SetupError, arch, check, die, host, layers, matrix, package, root, say, verdicts
from . import options as test_options

INTERRUPTED = 130  # the status of a command that ^C has ended
CHECKOUT = Path(__file__).resolve().parent.parent

COMMANDS = ("root", "build", "run", "shell", "boot", "test", "check", "unit", "gates", "kunit",
            "proofs", "fuzz", "bench", "kselftest", "mutants", "coverage", "debug-kernel",
            "kernels", "package", "exec", "gc")
# rooms that bring their own program, started on the user's machine
PROGRAMS = {"gates": "lab/gates/run", "kunit": "kunit/run", "bench": "bench/run",
            "debug-kernel": "lab/debug-kernel/build"}
# commands with a module of their own, which gets a way to enter the root
MODULES = {"kernels": matrix, "package": package}

USAGE = """commands:
  root                make the guest root if there is none, print where it is
  build               build vnet for every kernel of the root
  run                 vnet in a guest, from DHCP to iperf3; a shell if on a terminal
  shell [OPTIONS]     a shell in a guest
  boot [OPTIONS] CMD  run one command in a guest
  test [OPTIONS]      the tests of selftests/
  check [OPTIONS]     the quick checks of the source, and a guest of each kernel; --ci: the
                      lab's own tests, gates, kunit, proofs, fuzz, kselftest, then all tests
  unit                the lab's own tests
  gates, kunit        the checks of the source; the unit tests of the pure rooms
  fuzz SECONDS [ROOM] random input to the pure rooms, wire, caps and hdr
  proofs [--quick]    the engine of split rings, for every behaviour of a device
  bench               vnet beside virtio_net, instructions per packet
  kselftest [OPTIONS] the kernel's own tests of network drivers
  mutants [NAME...]   defects planted into the driver: does a test find each?
  coverage [OPTIONS]  the lines of the driver that tests reach
  debug-kernel [NAME] build the debug kernel: kasan, kcsan or faults
  kernels [WORD...]   compile for every kernel of the archive (headers only)
  package WHAT        the packages and pages: deb, rpm or html
  exec CMD...         run a command inside the guest root, without a guest
  gc                  remove everything that the lab has cached
'python3 -m lab COMMAND --help' tells the options of a command."""


def child_of(pid):
    """The only child of a process, or None."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split()[0]) if text.split() else None


def catches(pid, signum):
    """Has a process a handler of its own for a signal?"""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^SigCgt:\s*(\w+)", status, re.M)[1], 16) >> signum - 1 & 1


def session_dir(cache):
    """A mount point of our own; those of sessions that were killed go."""
    for old in cache.glob("session-*"):
        if not Path(f"/proc/{old.name.removeprefix('session-')}").exists():
            with contextlib.suppress(OSError):
                old.rmdir()
    path = cache / f"session-{os.getpid()}"
    path.mkdir(exist_ok=True)
    return path


def enter(rootdir, command, over=(), base=None, guests=""):
    """Run a command in the root, with layers over it, and return its exit status.

    BASE is the root of guests of the architecture GUESTS, if it is another one.

    The chain setpriv -> unshare -> command dies from the top: whoever kills
    this process also ends the pid name space, and every guest in it.
    """
    cache = host.cache_dir()
    prefix = [] if host.is_root() else host.user_namespace()
    with contextlib.ExitStack() as stack:
        for path in (rootdir, *over, *([base] if base else ())):
            inuse = stack.enter_context(open(f"{path}.inuse", "w", encoding="ascii"))
            fcntl.flock(inuse, fcntl.LOCK_SH)
        session = session_dir(cache)
        stack.callback(session.rmdir)
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *prefix,
             "unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
             str(CHECKOUT / "lab/enter.sh"), str(rootdir), str(cache), str(CHECKOUT),
             str(session), *command],
            env=dict(os.environ, VNET_LAYERS=" ".join(path.name for path in over),
                     VNET_BASE=str(base or ""), VNET_ARCH=guests))

        def forward(signum, _frame):
            # unshare blocks signals: hand them to the process that it waits for, the first of
            # its name space; that one gets only what it catches, and ends with unshare
            parent, pid = process.pid, child_of(process.pid)
            while pid and Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "unshare\n":
                parent, pid = pid, child_of(pid)
            if pid and catches(pid, signum):
                os.kill(pid, signum)
            elif pid:
                os.kill(parent, signal.SIGKILL)

        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, forward)
        # the terminal sends SIGINT to the command itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return process.wait()


# kernels of the archive that are not in the root: each is a layer of its name
KERNEL_LAYERS = ("rt",)
# layer -> the file of selftests/ whose tests need it
LAYERS = {"boot": "package_boot", "dracut": "package_dracut", "programs": "users",
          "managers": "users", "peers": "peers", "xdp": "xdp_clients", "monitors": "vmon"}


def test_layers(rootdir, options):
    """The layers of the tests that will run; the tests of one that cannot be had say so."""
    found = []
    for name, module in LAYERS.items():
        if options.arch or not test_options.names(module, options):
            continue
        try:
            found.append(layers.ensure(rootdir, name))
        except SetupError as error:
            say(f"layer: {error}")
    return found


def inside(rootdir, command, args, over=()):
    """A command of lab/inside.py, for guests of the architecture that its arguments name."""
    guests = arch.get(test_options.arch(args))
    base = None
    if guests is not arch.NATIVE:
        over = [*over, *(layers.ensure(rootdir, name) for name in guests.layers)]
        base = arch.ensure(guests)
    for name in KERNEL_LAYERS:
        if name in test_options.kernels(args):
            over = [*over, layers.ensure(rootdir, name)]
    return enter(rootdir, ["python3", "-m", "lab.inside", command, *args], over, base, guests.name)


def kselftest(rootdir, args):
    """The kernel's own tests: they need the source of the guest's kernel, and some packages."""
    name = test_options.kselftest(args).kernel
    # a debug kernel is one of a series, too
    built = sorted(host.cache_dir().glob(f"kernels/{name}/usr/lib/modules/*")) if name else []
    series = ".".join(built[0].name.split(".")[:2]) if built else name or \
        root.default_series(rootdir)
    return inside(rootdir, "kselftest", args, [layers.ensure(rootdir, "kselftest", series)])


def mutants(rootdir, args):
    """Defects and tests; what was found out is kept in the tree, also when it was interrupted."""
    part = host.cache_dir() / f"verdicts-{os.getpid()}"
    try:
        return inside(rootdir, "mutants", [*args, f"--into=/cache/{part.name}"])
    finally:
        if part.exists():
            verdicts.keep(part.read_text(encoding="utf-8"))
            part.unlink()


def fuzz(rootdir, args):
    """The fuzzers, with the compiler of the root; what they find interesting is kept."""
    command = ["env", "FUZZ_CORPUS=/cache/fuzz", "fuzz/run", *args]
    return enter(rootdir, command, [layers.ensure(rootdir, "fuzz")])


def proofs(rootdir, args):
    """What docs/ring.rst says is proved, by the checker of a layer."""
    return enter(rootdir, ["proofs/run", *args], [layers.ensure(rootdir, "proofs")])


def execute(rootdir, args):
    """A command inside the root; --layer=NAME before it lays one of lab/layers over the root."""
    over = []
    while args and args[0].startswith("--layer="):
        name = args.pop(0).removeprefix("--layer=")
        if not (layers.LISTS / name).is_file():
            raise SetupError(f"there is no layer {name!r}; there are: "
                             f"{' '.join(sorted(p.name for p in layers.LISTS.iterdir()))}")
        over.append(layers.ensure(rootdir, name))
    return enter(rootdir, args, over)


def gate_arch(rootdir):
    """The gate that compiles for other machines, by the compilers of a layer."""
    return execute(rootdir, ["--layer=cross", "lab/gates/run", "arch"])


def program(name, args):
    """Run the program of a room; it calls the lab itself where it needs it."""
    path = CHECKOUT / PROGRAMS[name]
    if not path.exists():
        raise SetupError(f"there is no {PROGRAMS[name]} in this checkout")
    return subprocess.run([str(path), *args], cwd=CHECKOUT, check=False).returncode


def collect_garbage(cache):
    """Remove the cache, unless a session lives in it."""
    for session in cache.glob("session-*"):
        pid = session.name.removeprefix("session-")
        if Path(f"/proc/{pid}").exists():
            raise SetupError(f"a session (process {pid}) uses {cache}: end it and start again")
    for path in cache.glob("*"):
        say(f"gc: removing {path}")
        root.remove(path)
    return 0


def main():
    parser = argparse.ArgumentParser(prog="python3 -m lab", epilog=USAGE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    times = check.Times()
    try:
        if options.command == "gc":
            return collect_garbage(host.cache_dir())
        with times.stage("root"):
            host.ensure()
            rootdir = root.ensure()
        if options.command == "root":
            print(rootdir)
            return 0
        if options.command == "exec":
            return execute(rootdir, options.args)
        if options.command in PROGRAMS:
            return program(options.command, options.args)
        if options.command in MODULES:
            return MODULES[options.command].main(functools.partial(enter, rootdir), options.args)
        if options.command in ("run", "shell", "boot", "test", "check", "kselftest", "mutants",
                               "coverage"):
            host.check_memory()
        if options.command == "fuzz":
            return fuzz(rootdir, options.args)
        if options.command == "proofs":
            return proofs(rootdir, options.args)
        if options.command == "kselftest":
            return kselftest(rootdir, options.args)
        if options.command == "mutants":
            return mutants(rootdir, options.args)
        if options.command == "check":
            return check.Check(sys.modules[__name__], rootdir, options.args, times).run()
        over = ()
        if options.command == "test":
            over = test_layers(rootdir, test_options.parse(options.args))
        return inside(rootdir, options.command, options.args, over)
    except SetupError as error:
        die(error)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    status = main()
    status = 128 - status if status < 0 else status
    if status == INTERRUPTED:
        die("interrupted; what was finished is kept, the same command goes on from there")
    sys.exit(status)
