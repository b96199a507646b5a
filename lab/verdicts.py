# SPDX-License-Identifier: GPL-2.0
"""What is known of each mutant: lab/mutants.results, which every run adds to.

    mutant NAME KEY killed|survived TEST SECONDS     TEST: that failed, or -
    control TEST KEY                                 passes on the driver as it is

The key of a mutant is made of its definition and of the function around its place; that
of a control of the file with the test. A line with another key than today's counts for
nothing. Runs without anything but Python's standard library.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("mutants.results")


@dataclass(frozen=True)
class Verdict:
    """One line about a mutant."""

    key: str
    killed: bool
    test: str
    seconds: int

    def line(self, name):
        word = "killed" if self.killed else "survived"
        return f"mutant {name} {self.key} {word} {self.test or '-'} {self.seconds}"


def digest(*texts):
    """A short key of some texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def function(text, at):
    """The part of a C file around an offset, up to the ends of functions."""
    first = text.rfind("\n}", 0, at) + 1
    last = text.find("\n}", at)
    return text[first:last if last > 0 else len(text)]


def entries(text):
    """{(kind, name): line} of the text of a file of results."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {tuple(line.split()[:2]): line for line in lines}


def load(path=RESULTS):
    """({name: Verdict}, {test: key of its control})."""
    found = entries(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = {}
    for (kind, name), line in found.items():
        if kind == "mutant":
            key, word, test, seconds = line.split()[2:]
            known[name] = Verdict(key, word == "killed", "" if test == "-" else test,
                                  int(seconds))
    return known, {name: line.split()[2] for (kind, name), line in found.items()
                   if kind == "control"}


def keep(text, path=RESULTS):
    """Put the lines of a run into the file; the latest about each mutant stands."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    found = {**entries(old), **entries(text)}
    head = [line for line in old.splitlines() if line.startswith("#")] or \
        ["# What 'lab/start mutants' has shown: see lab/verdicts.py. Not to be edited."]
    path.write_text("\n".join([*head, *(found[key] for key in sorted(found))]) + "\n",
                    encoding="utf-8")
