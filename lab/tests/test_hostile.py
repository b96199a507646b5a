# SPDX-License-Identifier: GPL-2.0
"""What is written down of the outcomes of attacks."""

import re
import unittest
from pathlib import Path
from unittest import mock

from selftests import _hostile, hostile


class Hostile(unittest.TestCase):
    """What comes of an attack is written down; each run and docs/hostile.rst are compared."""

    def outcomes(self):
        """{case: outcomes on vnet} of the table."""
        lines = (Path(__file__).parents[2] / "docs/hostile.rst").read_text().splitlines()
        rules = [n for n, line in enumerate(lines) if line.startswith("=" * 20)]
        columns = [m.span() for m in re.finditer("=+", lines[rules[0]])]
        heads, *rows = [[line[first:last].strip() for first, last in columns]
                        for line in (lines[rules[0] + 1], *lines[rules[1] + 1:rules[2]])]
        return {row[0]: {cell for head, cell in zip(heads, row)
                         if head.startswith("vnet ") and cell not in ("--", "core")}
                for row in rows}

    def test_every_case_has_an_expectation(self):
        self.assertEqual(set(_hostile.expected()),
                         {case.name for case in hostile.CASES if not case.limit})

    def test_the_page_says_the_same(self):
        for name, found in self.outcomes().items():
            if found:
                self.assertLessEqual(found, set(_hostile.expected()[name][0]), name)

    def test_surprises(self):
        with mock.patch.object(_hostile, "expected", return_value={
                "A": (("recovers", "survives"), 5.0), "E": (("refuses",), None)}):
            for name, found, seconds, said in (
                    ("A", "survives", 1.0, None), ("A", "recovers", 5.0, None),
                    ("A", "recovers", 5.1, "after 5.1 s, expected were 5"),
                    ("A", "gives up", None, "expected was recovers or survives"),
                    ("E", "refuses", None, None), ("E", "survives", 1.0, "expected was refuses")):
                why = _hostile.surprise(name, found, seconds)
                self.assertTrue(why is None if said is None else said in why, (name, found, why))


if __name__ == "__main__":
    unittest.main()
