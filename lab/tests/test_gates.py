# SPDX-License-Identifier: GPL-2.0
"""What the gates make of the machine that they find."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gates"))

import trees  # noqa: E402


class Unpacking(unittest.TestCase):
    def test_an_older_series_has_not_all_tools(self):
        self.assertEqual(trees.complaints(
            "tar: linux-source-6.12/tools/docs: Not found in archive\n"
            "tar: Exiting with failure status due to previous errors\n"), [])

    def test_a_full_disk_is_told(self):
        self.assertEqual(trees.complaints(
            "tar: a: Not found in archive\n"
            "tar: b: Cannot write: No space left on device\n"
            "tar: Exiting with failure status due to previous errors\n"),
            ["tar: b: Cannot write: No space left on device"])
