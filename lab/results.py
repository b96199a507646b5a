# SPDX-License-Identifier: GPL-2.0
"""Results for programs: JUnit's XML, which CI systems show."""

import xml.etree.ElementTree as xml
from dataclasses import asdict, dataclass


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
