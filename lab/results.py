# SPDX-License-Identifier: GPL-2.0
"""Results for programs: JUnit's XML, which CI systems show."""

import fnmatch
import re
import xml.etree.ElementTree as xml
from dataclasses import asdict, dataclass
from pathlib import Path

from . import SetupError

SKIPS = Path(__file__).with_name("skips.txt")
NAMED = 20      # failures that the end of a run names
TOLD = 150      # characters of what each of them said
# Lines of the output of a step that say what went wrong there.
COMPLAINT = re.compile(
    r"^(FAIL|ERROR): |\bFAIL: |^not ok |^\s*\d*\.? ?not ok |: \d+ findings|SURVIVED|\berror:"
    r"|^SUMMARY: |^vnet: |: not run: |^[\w.]*(Error|Exception)\b|: \d+ of \d+ failed")


@dataclass
class Case:
    """One result: where (kernel and profile), name, "ok", "FAIL" or "skip", what was said."""

    where: str
    name: str
    verdict: str
    seconds: float = 0.0
    text: str = ""

    as_dict = asdict


def closing(cases):
    """The line that ends every run."""
    count = {verdict: sum(case.verdict == verdict for case in cases)
             for verdict in ("ok", "FAIL", "skip")}
    return f"{count['ok']} passed, {count['FAIL']} failed, {count['skip']} skipped"


def first_line(text):
    """What a failure says, for a list that is to be short."""
    line = text.strip().split("\n")[0].strip()
    return line[:TOLD] + ("..." if len(line) > TOLD else "")


def failed(cases):
    """The lines that name what has failed and why; none if nothing has."""
    bad = [case for case in cases if case.verdict == "FAIL"]
    lines = [f"  {case.where} {case.name}: {first_line(case.text) or 'says nothing'}"
             for case in bad[:NAMED]]
    if len(bad) > NAMED:
        lines.append(f"  and {len(bad) - NAMED} more")
    return ["failed:", *lines] if bad else []


def complaints(lines, most=4):
    """Of the output of a step, what says which of its parts failed; the last line if none does."""
    found = list(dict.fromkeys(line.strip() for line in lines if COMPLAINT.search(line)))
    found = found or [line.strip() for line in lines if line.strip()][-1:]
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(line[:TOLD] for line in found[:most]) + more


# ---- skips -----------------------------------------------------------------

@dataclass(frozen=True)
class Expected:
    """Skips that are right: globs of where, of the name and of what it says, and why."""

    where: str
    name: str
    text: str
    why: str

    def fits(self, case):
        return all(fnmatch.fnmatchcase(have, want) for have, want in (
            (case.where, self.where), (case.name, self.name), (case.text, self.text)))


def expected_skips(path=SKIPS):
    """The list of lab/skips.txt."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            words = [word.strip() for word in line.split("|", 3)]
            if len(words) != 4 or not all(words):
                raise SetupError(f"{path.name}:{number} is not 'where | name | text | why'")
            found.append(Expected(*words))
    return found


def strict(cases, known):
    """The cases of a run that may skip only what is KNOWN: other skips are failures."""
    for case in cases:
        if case.verdict == "skip" and not any(entry.fits(case) for entry in known):
            case.verdict = "FAIL"
            case.text = f"skipped, which {SKIPS.name} does not expect: {case.text}"
    return cases


def printable(text):
    """XML has no characters for most control codes, which consoles are full of."""
    return "".join(c if c >= " " or c in "\n\t" else "?" for c in text)


def write_junit(path, cases):
    """Write a file with one suite."""
    suite = xml.Element("testsuite", name="vnet", tests=str(len(cases)),
                        failures=str(sum(case.verdict == "FAIL" for case in cases)),
                        skipped=str(sum(case.verdict == "skip" for case in cases)),
                        time=f"{sum(case.seconds for case in cases):.1f}")
    for case in cases:
        item = xml.SubElement(suite, "testcase", classname=case.where, name=case.name,
                              time=f"{case.seconds:.1f}")
        text = printable(case.text)
        if case.verdict == "FAIL":
            xml.SubElement(item, "failure", message=text.split("\n")[0]).text = text
        elif case.verdict == "skip":
            xml.SubElement(item, "skipped", message=text)
    xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
