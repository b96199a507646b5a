# SPDX-License-Identifier: GPL-2.0
"""The lab's door on the user's machine: python3 -m lab COMMAND.

Prepares the machine and the guest root, then runs the command inside the
root (lab/inside.py).
"""

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import SetupError, die, host, root

CHECKOUT = Path(__file__).resolve().parent.parent

USAGE = """commands:
  root                make the guest root if there is none, print where it is
  build               build vnet for every kernel of the root
  run                 vnet in a guest, from DHCP to iperf3; a shell if on a terminal
  shell [OPTIONS]     a shell in a guest
  boot [OPTIONS] CMD  run one command in a guest
  test [OPTIONS]      the tests of selftests/
  unit                the lab's own tests
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


def enter(rootdir, command):
    """Run a command in the root and return its exit status.

    The chain setpriv -> unshare -> command dies from the top: whoever kills
    this process also ends the pid name space, and every guest in it.
    """
    cache = host.cache_dir()
    prefix = [] if host.is_root() else host.user_namespace()
    with contextlib.ExitStack() as stack:
        inuse = stack.enter_context(open(f"{rootdir}.inuse", "w", encoding="ascii"))
        fcntl.flock(inuse, fcntl.LOCK_SH)
        session = tempfile.mkdtemp(prefix="vnet-lab-")
        stack.callback(os.rmdir, session)
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *prefix,
             "unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
             str(CHECKOUT / "lab/enter.sh"), str(rootdir), str(cache), str(CHECKOUT),
             session, *command])

        def forward(signum, _frame):
            # unshare blocks signals: hand them to the process that it waits for
            pid = child_of(process.pid)
            while pid and Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "unshare\n":
                pid = child_of(pid)
            if pid:
                os.kill(pid, signum)

        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, forward)
        # the terminal sends SIGINT to the command itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return process.wait()


def main():
    parser = argparse.ArgumentParser(prog="python3 -m lab", epilog=USAGE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["root", "build", "run", "shell", "boot", "test",
                                            "unit", "exec", "gc"])
    parser.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        if options.command == "gc":
            for path in host.cache_dir().glob("*"):
                root.remove(path)
            return 0
        host.ensure()
        rootdir = root.ensure()
        if options.command == "root":
            print(rootdir)
            return 0
        if options.command == "exec":
            return enter(rootdir, options.args)
        if options.command in ("run", "shell", "boot", "test"):
            host.check_memory()
        return enter(rootdir, ["python3", "-m", "lab.inside", options.command, *options.args])
    except SetupError as error:
        die(error)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    status = main()
    sys.exit(128 - status if status < 0 else status)
