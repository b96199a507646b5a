# SPDX-License-Identifier: GPL-2.0
"""Tests of what is made of the unit tests' log (kunit/guest.py)."""

import unittest

from kunit import guest as kunit


class UnitTests(unittest.TestCase):
    LOG = ("KTAP version 1\n1..2\n    KTAP version 1\n    1..1\n    not ok 1 one\nnot ok 1 a\n"
           "    KTAP version 1\n    1..1\n    ok 1 two\nok 2 b\n")

    def test_what_failed_is_found(self):
        self.assertEqual(kunit.count(kunit.ktap(f"{kunit.MARK}\n" + self.LOG)), (1, 1, 0))

    def test_a_log_that_ran_over_is_a_failure(self):
        lost = self.LOG[self.LOG.index("not ok 1 a"):]
        self.assertEqual(kunit.count(kunit.ktap(lost)), (1, 1, 0))
