# SPDX-License-Identifier: GPL-2.0
"""Gate: what the driver does about each driver clause of VIRTIO 1.4.

The files are in docs/conformance; one line is one entry, its fields are
separated by '|':

  clauses.txt     NAME | SECTION | KIND | what it asks for, in our own words
  answers.txt     NAME | who answers for it | what shows it
  deviations.txt  [NAME] and lines "who:", "why:", "code:", "test:"
  untested.txt    names of kept clauses that nothing shows; the list may shrink

The gate compares them with the code and the tests, and docs/conformance.rst,
which is made of them, with what it should be.
"""

import importlib
import importlib.util
import re
import subprocess
import sys
import textwrap
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from unittest import mock

KINDS = ("must", "must-not", "should", "should-not", "may", "text")
WORDS = {"core": "the virtio core", "stack": "the network stack"}
ELSEWHERE = {"owner": "a driver of the device's owner", "ccw": "channel I/O, where vnet never ran",
             "unused": "a facility that no network device has"}
STATES = {  # in the order of the table
    "kept": "kept by the driver", "partly": "kept, with a deviation", "deviates": "deviation",
    "core": "kept by the virtio core", "core-deviates": "deviation of the virtio core",
    "absent": "of a feature that the driver does not have",
    "elsewhere": "no clause for this driver",
}


def entries(path, fields):
    """[(line number, [field, ...])] of a file; a line with other fields is None."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split("|")]
            found.append((number, parts if len(parts) == fields else None))
    return found


def deviations(path):
    """{name: {key: [value, ...]}}"""
    found, current, last = {}, None, None
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("["):
            current = found.setdefault(line.strip("[] "), {})
        elif line[0].isspace() and last:        # goes on
            last[-1] += " " + line.strip()
        else:
            key, _, value = line.partition(":")
            last = current.setdefault(key.strip(), [])
            last.append(value.strip())
    return found


def defined(text, name):
    """Does C or Python text define a function, or a table, of this name?"""
    return re.search(rf"^(?!\s*return\b)[\w\s*]*\b{re.escape(name)}(\[\])?\s*(\(|=)|"
                     rf"^\s*def {re.escape(name)}\(", text, re.M) is not None


class Tree:
    """The code and the tests that answers name."""

    def __init__(self, top):
        self.top = Path(top)
        self.cache = {}
        self.rules = set()          # of the scripted device
        for path in self.top.glob("selftests/device/*.py"):
            text = path.read_text("utf-8")
            self.rules |= set(re.findall(
                r"""(?:violation|report|BrokenRing)\(\s*["']([a-z0-9-]+)["']""", text))
        self.shown = "".join(path.read_text("utf-8") for path in
                             self.top.glob("selftests/device/tests/*.py"))
        self.kunit = set()
        for path in self.top.glob("kunit/*_test.c"):
            self.kunit |= set(re.findall(r"KUNIT_CASE(?:_SLOW)?\((\w+)\)",
                                         path.read_text("utf-8")))
        self.guest = self.selftests()

    def selftests(self):
        """Names of the tests in a guest; nothing here talks to QEMU."""
        if importlib.util.find_spec("qemu") is None:
            sys.modules.update({name: mock.MagicMock() for name in
                                ("qemu", "qemu.qmp", "qemu.qmp.legacy")})
        api = importlib.import_module("lab.api")
        for path in sorted(self.top.glob("selftests/[!_]*.py")):
            importlib.import_module(f"selftests.{path.stem}")
        return {entry.name for entry in api.TESTS}

    def text(self, name):
        if name not in self.cache:
            path = self.top / name
            self.cache[name] = path.read_text("utf-8") if path.is_file() else None
        return self.cache[name]

    def keeper(self, token):
        """Why a keeper FILE:FUNCTION is none, or None."""
        name, _, func = token.partition(":")
        name = f"include/{name}" if name.endswith(".h") else name
        if self.text(name) is None:
            return f"there is no file {name}"
        if not defined(self.text(name), func):
            return f"{name} has no {func}()"
        return None

    def test(self, token):
        """Why a test is none, or None."""
        kind, _, name = token.partition(":")
        if not name:
            return None if any(fnmatch(test, token) for test in self.guest) else \
                f"no test in a guest is called {token}"
        if kind == "kunit":
            return None if name in self.kunit else f"KUnit has no {name}"
        if kind == "fuzz":
            return None if self.text(f"fuzz/{name}.c") is not None else f"there is no fuzz/{name}.c"
        if kind == "device":
            return None if name in self.rules else f"the scripted device has no rule {name}"
        if kind == "profile":
            known = importlib.import_module("lab.profiles").PROFILES
            return None if name in known else f"there is no profile {name}"
        return f"'{token}' is no kind of test"

    def accepted(self, feature):
        """Does the driver ask for a feature?"""
        table = re.search(r"vnet_caps_bits\[\] = \{(.*?)\};", self.text("policy/caps.c"), re.S)
        return re.search(rf"\bVNET_F_{feature},", table.group(1)) is not None


class Books:
    """The files of docs/conformance, and what is wrong with them."""

    def __init__(self, top, tree):
        self.home = Path(top) / "docs/conformance"
        self.tree = tree
        self.found = []
        self.clauses, self.answers = {}, {}
        self.deviations = deviations(self.home / "deviations.txt")
        self.untested = self.read_untested()
        self.read_clauses()
        self.read_answers()

    def say(self, text):
        self.found.append(text)

    def read_untested(self):
        lines = (self.home / "untested.txt").read_text("utf-8").splitlines()
        most = [line for line in lines if line.startswith("most:")]
        names = [line.strip() for line in lines
                 if line.strip() and not line.startswith(("#", "most:"))]
        if len(most) != 1 or len(names) != int(most[0].partition(":")[2]):
            self.say(f"untested.txt: 'most:' has to be {len(names)}, the number of names")
        return names

    def read_clauses(self):
        for number, row in entries(self.home / "clauses.txt", 4):
            if row is None or row[2] not in KINDS or not all(row):
                self.say(f"clauses.txt:{number}: not NAME | SECTION | KIND | words")
            elif row[0] in self.clauses:
                self.say(f"clauses.txt:{number}: {row[0]} for the second time")
            else:
                self.clauses[row[0]] = row[1:]

    def read_answers(self):
        for number, row in entries(self.home / "answers.txt", 3):
            if row is None or not row[1]:
                self.say(f"answers.txt:{number}: not NAME | keepers | tests")
            elif row[0] not in self.clauses:
                self.say(f"answers.txt:{number}: there is no clause {row[0]}")
            elif row[0] in self.answers:
                self.say(f"answers.txt:{number}: {row[0]} for the second time")
            else:
                self.answers[row[0]] = (row[1].split(), row[2].split())

    def state(self, name):
        """One of STATES."""
        keepers = self.answers[name][0]
        kinds = {token.partition(":")[0] for token in keepers}
        if "deviation" in kinds:
            whose = {self.deviations.get(token.partition(":")[2], {}).get("who", ["vnet"])[0]
                     for token in keepers if token.startswith("deviation:")}
            if whose == {"core"}:
                return "core-deviates"
            return "deviates" if kinds == {"deviation"} else "partly"
        for kind in ("absent", "elsewhere"):
            if kind in kinds:
                return kind
        return "core" if kinds == {"core"} else "kept"

    def check_keepers(self, name):
        for token in self.answers[name][0]:
            kind, _, what = token.partition(":")
            if token in WORDS:
                continue
            if kind == "deviation":
                if what not in self.deviations:
                    self.say(f"{name}: there is no deviation {what}")
            elif kind == "absent":
                if what != "admin" and self.tree.accepted(what):
                    self.say(f"{name}: the driver has {what}")
            elif kind == "elsewhere":
                if what not in ELSEWHERE:
                    self.say(f"{name}: elsewhere is {', '.join(ELSEWHERE)}, not {what}")
            else:
                why = self.tree.keeper(token)
                if why:
                    self.say(f"{name}: {why}")

    def check_tests(self, name):
        tests = self.answers[name][1]
        for token in tests:
            why = self.tree.test(token)
            if why:
                self.say(f"{name}: {why}")
        needed = self.state(name) in ("kept", "partly", "deviates")
        if needed and not tests and name not in self.untested:
            self.say(f"{name}: nothing shows that it is kept")
        if tests and name in self.untested:
            self.say(f"untested.txt: {name} has a test")

    def check_deviations(self):
        used = {token.partition(":")[2] for keepers, _ in self.answers.values()
                for token in keepers if token.startswith("deviation:")}
        for name, about in self.deviations.items():
            if name not in used:
                self.say(f"deviations.txt: {name} is no clause's")
            if not about.get("why") or about.get("who", [""])[0] not in ("vnet", "core"):
                self.say(f"deviations.txt: {name} needs 'why:', and 'who:' vnet or core")
            for line in about.get("code", []):
                file, _, text = line.partition(": ")
                if text not in (self.tree.text(file) or ""):
                    self.say(f"deviations.txt: {name}: '{text}' is not in {file} any more")
            if about.get("who") == ["vnet"]:
                for key, what in (("code", "no line of the code"), ("test", "no test")):
                    if not about.get(key):
                        self.say(f"deviations.txt: {name} names {what}")
            for token in " ".join(about.get("test", [])).split():
                why = self.tree.test(token)
                if why:
                    self.say(f"deviations.txt: {name}: {why}")

    def check_rules(self):
        """What the scripted device asks for it must be seen to ask for."""
        for rule in sorted(self.tree.rules):
            if f'"{rule}"' not in self.tree.shown:
                self.say(f"selftests/device/tests: no driver breaks the rule {rule}")

    def check(self):
        for name in self.clauses:
            if name not in self.answers:
                self.say(f"{name}: nobody answers for it")
        for name in self.answers:
            self.check_keepers(name)
            self.check_tests(name)
        for name in self.untested:
            if name not in self.answers:
                self.say(f"untested.txt: there is no clause {name}")
        self.check_deviations()
        self.check_rules()
        return self.found


# ---- docs/conformance.rst ------------------------------------------------------


HEAD = """\
.. SPDX-License-Identifier: GPL-2.0
.. Written by scripts/conformance.py from docs/conformance/.

Conformance
===========

Every clause of VIRTIO 1.4 that asks something of a driver, who keeps it, and what
shows that it is kept. The words are ours and short; the standard has the last one.
Names of clauses are ours, too, and stay when the standard is numbered anew. The
lists are in ``docs/conformance/``; the gate *conformance* compares them with the code
and the tests, see :doc:`testing`. They name functions and tests instead of the
other way round: one function keeps up to thirty clauses, and code that is full of
references is hard to read.

*kunit:*, *fuzz:*, *device:* and *profile:* are a KUnit case, a fuzzer, a rule that the
scripted device holds the driver to in every test on it, and a profile of the lab; all
other tests run in a guest. *core* is the virtio core of Linux, *stack* what the network
stack does because of what the driver tells it.
"""


def titled(text, mark):
    return f"{text}\n{mark * len(text)}\n"


def wrapped(text, first="", rest=""):
    return "\n".join(textwrap.wrap(text, 84, initial_indent=first, subsequent_indent=rest,
                                   break_long_words=False, break_on_hyphens=False))


def literal(tokens):
    return ", ".join(f"``{token}``" for token in tokens)


def clause_text(books, name):
    section, kind, words = books.clauses[name]
    keepers, tests = books.answers[name]
    state = books.state(name)
    line = f"``{name}`` ({section}, {kind.replace('-', ' ')}): {words}. "
    named = [token for token in keepers if not token.startswith(("elsewhere:", "absent:"))]
    line += f"*{STATES[state]}*"
    if state == "elsewhere":
        where = [token.partition(":")[2] for token in keepers]
        line += f" ({', '.join(ELSEWHERE.get(name, name) for name in where)})"
    elif state == "absent":
        line += f" ({', '.join(token.partition(':')[2] for token in keepers)})"
    elif named != ["core"]:
        line += f": {literal(named)}"
    if tests:
        line += f"; shown by {literal(tests)}"
    return wrapped(line + ".", "* ", "  ")


def render(books):
    """The text of docs/conformance.rst."""
    count = Counter(books.state(name) for name in books.clauses if name in books.answers)
    parts = [HEAD]
    width = max(map(len, STATES.values()))
    rule = f"{'=' * width} ======="
    parts += [rule, f"{'clauses':<{width}} number", rule]
    parts += [f"{words:<{width}} {count[state]}" for state, words in STATES.items()]
    parts += [f"{'all':<{width}} {sum(count.values())}", rule, ""]
    untested = len(books.untested)
    parts += [f"Kept, and nothing shows it: {untested}.\n" if untested else
              "Nothing is kept that no test shows.\n"]
    parts.append(titled("Deviations", "-"))
    for name, about in sorted(books.deviations.items(),
                              key=lambda item: (item[1].get("who") != ["vnet"], item[0])):
        whose = "of the virtio core. " if about.get("who") == ["core"] else ""
        tests = " ".join(about.get("test", [])).split()
        shown = f" Shown by {literal(tests)}." if tests else ""
        parts.append(wrapped(f"``{name}``: {whose}{about['why'][0]}{shown}", "* ", "  "))
    parts += ["", titled("Clauses", "-")]
    parts += [clause_text(books, name) for name in books.clauses if name in books.answers]
    return "\n".join(parts) + "\n"


# ---- the gate ------------------------------------------------------------------


def grown(top, names):
    """Names that are new in untested.txt since what is published."""
    got = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(top), "show",
                          "@{upstream}:docs/conformance/untested.txt"],
                         capture_output=True, text=True, check=False)
    if got.returncode:
        return []
    return sorted(set(names) - {line.strip() for line in got.stdout.splitlines()})


def run(top, write=False):
    books = Books(top, Tree(top))
    found = books.check()
    found += [f"untested.txt: {name} is new: write a test" for name in grown(top, books.untested)]
    page = Path(top) / "docs/conformance.rst"
    text = render(books)
    if write:
        page.write_text(text, "utf-8")
    elif not page.exists() or page.read_text("utf-8") != text:
        found.append("docs/conformance.rst is not what the lists make: "
                     "run scripts/conformance.py")
    return found, f"{len(books.clauses)} clauses, {len(books.deviations)} deviations"
