# SPDX-License-Identifier: GPL-2.0
"""Time limits that mean "this hangs", on a machine that has other things to do.

Time in which a process was ready to run and another program had the CPU does not
count towards a limit: on an idle machine a limit is what it says, on a busy one it
stretches as much as the processes were kept waiting, and what hangs without using
the CPU is found as early as on an idle one. Linux counts the waiting of every
thread in /proc/PID/task/TID/schedstat; where that is missing, limits are wall time.
"""

import contextlib
import time
from pathlib import Path

MOST = 20  # a limit stretches to so many times its length at most


def delays(pid):
    """{thread: seconds that it has waited for a CPU} of a process; {} when it is gone."""
    found = {}
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):
                text = (thread / "schedstat").read_text(encoding="ascii")
                found[thread.name] = int(text.split()[1]) / 1e9
    return found


class Deadline:
    """A limit in seconds for what some processes do together.

    seconds  how long it may take on an idle machine
    pids     the processes that have to run for it; of each, the thread that waited
             longest counts
    """

    def __init__(self, seconds, pids=(), now=time.monotonic):
        self.seconds, self.now = seconds, now
        self.start = now()
        self.before = {pid: delays(pid) for pid in pids}

    def waited(self):
        """Seconds for which the processes waited for a CPU."""
        total = 0.0
        for pid, before in self.before.items():
            total += max((delay - before.get(thread, 0.0)
                          for thread, delay in delays(pid).items()), default=0.0)
        return total

    def spent(self):
        """Seconds that count: without those of waiting for a CPU."""
        elapsed = self.now() - self.start
        return elapsed - min(self.waited(), elapsed * (1 - 1 / MOST))

    def passed(self):
        """Is the time up?"""
        return self.now() - self.start > self.seconds and self.spent() > self.seconds
