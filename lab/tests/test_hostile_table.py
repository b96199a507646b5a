# SPDX-License-Identifier: GPL-2.0
"""The page of docs/hostile.rst: what was recorded stays when runs are added."""

import importlib.util
import json
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def tool():
    path = TOP / "selftests/tools/hostile_table.py"
    spec = importlib.util.spec_from_file_location("hostile_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page(unittest.TestCase):
    def setUp(self):
        self.tool = tool()

    def test_what_is_recorded_is_read(self):
        page = (TOP / "docs/hostile.rst").read_text("utf-8")
        cases, found = self.tool.recorded(page)
        self.assertGreater(len(cases), 150)
        self.assertEqual(self.tool.page_of(cases, found), page)

    def test_a_run_is_added(self):
        cases, found = {"A1": "what (CVE-1)"}, {("A1", "vnet", "6.12"): "survives"}
        entry = {"case": "A1", "text": "what", "cve": "", "driver": "vnet", "kernel": "7.3",
                 "found": "recovers"}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as run:
            run.write(json.dumps(entry) + "\n" + json.dumps({**entry, "case": "A2"}) + "\n")
            run.flush()
            self.tool.add(cases, found, run.name)
        page = self.tool.page_of(cases, found)
        self.assertEqual(self.tool.recorded(page), (cases, found))
        row = next(line for line in page.splitlines() if line.startswith("A1"))
        self.assertEqual(row.split(), ["A1", "what", "survives", "recovers"])
        row = next(line for line in page.splitlines() if line.startswith("A2"))
        self.assertEqual(row.split(), ["A2", "what", "--", "recovers"])

    def test_another_deed_has_other_outcomes(self):
        cases, found = {"A1": "what (CVE-1)"}, {("A1", "vnet", "6.12"): "survives"}
        entry = {"case": "A1", "text": "another", "cve": "1", "driver": "vnet", "kernel": "7.3",
                 "found": "recovers"}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as run:
            run.write(json.dumps(entry) + "\n")
            run.flush()
            self.tool.add(cases, found, run.name)
        self.assertEqual(found, {("A1", "vnet", "7.3"): "recovers"})


if __name__ == "__main__":
    unittest.main()
