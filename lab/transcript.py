# SPDX-License-Identifier: GPL-2.0
"""What was done to a guest, in which order and when: for the reader of a failure."""

import threading
import time
from collections import deque

SHOWN = 10       # commands beside a failure; all are in the file
LONGEST = 160    # characters of one of them


class Transcript:
    """The commands of guest, host's side and QEMU.

    path  file that gets all of them, made when the first one comes
    """

    def __init__(self, path, now=time.monotonic):
        self.path, self.now = path, now
        self.start = now()
        self.recent = deque(maxlen=SHOWN)
        self.commands = []      # of guest and QEMU since mark()
        self.lock = threading.Lock()

    def note(self, who, command, outcome=""):
        """One line: when, who, what, how it ended."""
        text = " ".join(str(command).split())
        line = f"{self.now() - self.start:8.2f} {who:<5} {text}"
        with self.lock:
            if who != "host":
                self.commands.append(text)
            self.recent.append(line[:LONGEST] + ("..." if len(line) > LONGEST else "")
                               + (f" -> {outcome}" if outcome else ""))
            with open(self.path, "a", encoding="utf-8", errors="replace") as file:
                file.write(line + (f" -> {outcome}" if outcome else "") + "\n")

    def mark(self):
        """A test begins."""
        with self.lock:
            self.commands = []

    def last(self):
        """The last few, oldest first."""
        with self.lock:
            return list(self.recent)
