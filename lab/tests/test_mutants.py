# SPDX-License-Identifier: GPL-2.0
"""Tests of lab/mutants.py and what belongs to it, without a guest."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lab import SetupError, build, mutant_bench, mutants, mutants_table, mutate, runner, verdicts
from lab.api import Skip
from lab.verdicts import Verdict

MUTANT = mutants.Mutant("m", "vnet_rx.c", "old", "new", "why", ("quick.traffic",))
TEXT = "int a(void)\n{\n\tolder;\n}\n\nint b(void)\n{\n\told;\n}\n\nint c(void)\n{\n}\n"


class Mutants(unittest.TestCase):
    def test_every_one_fits_the_source_and_names_tests(self):
        tests = {test.name: test for test in runner.discover()}
        for mutant in mutants.load():
            self.assertTrue(mutant.why, mutant.name)
            for name, profile in mutant.runs():
                self.assertIn(profile, tests[name].profiles, mutant.name)
        self.assertGreaterEqual(len(mutants.load()), 120)

    def test_one_that_does_not_fit_is_told(self):
        mutant = mutants.Mutant("m", "vnet_rx.c", "old", "new", "why", ("a.b",))
        rx, other = Path("vnet_rx.c"), Path("other.c")
        self.assertEqual(mutant.plant({rx: "an old thing"}), (rx, "an new thing"))
        for files in ({rx: "nothing"}, {rx: "old and old"}, {other: "old", Path("b.c"): "old"}):
            with self.assertRaisesRegex(SetupError, "mutant m: not one place"):
                mutant.plant(files)

    def test_a_file_or_function_that_moved_is_followed(self):
        mutant = mutants.Mutant("m", "vnet_rx.c", "old", "new", "why", ("a.b",))
        moved, other = Path("data/rx.c"), Path("data/tx.c")
        self.assertEqual(mutant.plant({moved: "old", other: "old"})[0], moved)
        self.assertEqual(mutant.plant({Path("vnet_rx.c"): "", other: "old"})[0], other)

    def test_a_test_may_name_its_profile(self):
        mutant = mutants.Mutant("m", "f", "o", "n", "w", ("a.b", "a.c@mq"), "scripted")
        self.assertEqual(list(mutant.runs()), [("a.b", "scripted"), ("a.c", "mq")])

    def test_a_planted_file_is_what_is_built(self):
        path = sorted(mutants.sources())[0]
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / path
            with build.planted(path, "defect"):
                build.bring(path, copy)
                self.assertEqual(copy.read_text(), "defect")
            build.bring(path, copy)
            self.assertEqual(copy.read_bytes(), (build.CHECKOUT / path).read_bytes())

    def test_generated(self):
        text = ("int vnet_a(int b)\n{\n\tif (b == 1 && !c)\n\t\treturn d(b - 1);\n"
                "\tmight_sleep();\n\tvnet_e(b);\t/* why */\n\tvnet_e(b);\n\treturn 0;\n}\n")
        found = {entry["name"]: entry for entry in mutate.of_file("vnet_rx.c", text)}
        self.assertEqual(set(found), {"vnet_a.equal.1", "vnet_a.and.1", "vnet_a.not.1",
                                      "vnet_a.one-less.1", "vnet_a.call.1"})
        for entry in found.values():
            self.assertEqual(text.count(entry["old"]), 1, entry)
            self.assertIn("quick.traffic", entry["tests"])
        self.assertIn("if (b != 1 && !c)", found["vnet_a.equal.1"]["new"])
        self.assertTrue(found["vnet_a.call.1"]["new"].endswith("\t;\n"))

    def test_rooms_name_tests_that_exist(self):
        tests = {test.name: test for test in runner.discover()}
        for entry in mutate.every(mutants.sources()):
            for name, profile in mutants.Mutant(**entry).runs():
                self.assertIn(profile, tests[name].profiles, entry["file"])

    def test_a_sample_is_the_commits_own(self):
        found = mutants.load()
        self.assertEqual(mutants.sample(found, 3, "a"), mutants.sample(found, 3, "a"))
        self.assertEqual(len({tuple(mutants.sample(found, 3, seed)) for seed in "abcdef"}), 6)

    def test_order(self):
        unit = mutants.Mutant("u", "f", "o", "n", "w", ("quick.unit_tests",))
        last = mutants.Mutant("s", "f", "o", "n", "w", ("quick.lost",), "scripted")
        alone = mutants.Mutant("i", "f", "o", "n", "w", ("quick.traffic",), "iommu")
        self.assertEqual([m.name for m in sorted([alone, last, MUTANT, unit], key=mutants.order)],
                         ["u", "m", "s", "i"])

    def test_a_sample_is_of_what_is_killed_in_seconds(self):
        self.assertTrue(mutants.quick(MUTANT, Verdict("k", True, "quick.traffic@mq", 9)))
        self.assertFalse(mutants.quick(MUTANT, Verdict("k", True, "quick.traffic@mq", 99)))
        self.assertFalse(mutants.quick(MUTANT, Verdict("k", False, "", 9)))
        self.assertFalse(mutants.quick(MUTANT, None))
        alone = mutants.Mutant("i", "f", "o", "n", "w", ("quick.traffic",), "iommu")
        self.assertFalse(mutants.quick(alone, Verdict("k", True, "quick.traffic@iommu", 9)))

    def test_what_needs_another_kernel_is_left_out(self):
        kernel = SimpleNamespace(layer=None)
        leaks = mutants.Mutant("i", "f", "o", "n", "w", ("a.b",), "leaks")
        self.assertIn("debug kernel", mutants.missing(leaks, {"a.b"}, kernel))
        self.assertIn("no test", mutants.missing(leaks, {}, kernel))
        self.assertIsNone(mutants.missing(MUTANT, {"quick.traffic"}, kernel))


class Verdicts(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "results"

    def test_runs_add_up(self):
        verdicts.keep("mutant b 1 killed quick.traffic@mq 7\nmutant a 1 survived - 9\n", self.path)
        verdicts.keep("mutant a 2 killed quick.xdp@packed 8\ncontrol quick.xdp@packed 5\n",
                      self.path)
        found, controls = verdicts.load(self.path)
        self.assertEqual(found, {"a": Verdict("2", True, "quick.xdp@packed", 8),
                                 "b": Verdict("1", True, "quick.traffic@mq", 7)})
        self.assertEqual(controls, {"quick.xdp@packed": "5"})
        self.assertEqual(Verdict("1", False, "", 9).line("a"), "mutant a 1 survived - 9")
        self.assertTrue(self.path.read_text().startswith("# "))

    def test_nothing_is_known_at_first(self):
        self.assertEqual(verdicts.load(self.path), ({}, {}))

    def test_a_key_is_of_the_mutant_and_its_function(self):
        mutant = mutants.Mutant("m", "vnet_rx.c", "\told;", "new", "why", ("quick.traffic",))
        path = Path("vnet_rx.c")

        def key(text, m=mutant):
            return m.key({path: text})

        self.assertEqual(key(TEXT), key(TEXT.replace("older", "other").replace("c(", "d(")))
        self.assertNotEqual(key(TEXT), key(TEXT.replace("b(", "e(")))
        other = mutants.Mutant("m", "vnet_rx.c", "\told;", "other", "why", ("quick.traffic",))
        self.assertNotEqual(key(TEXT), key(TEXT, other))

    def test_the_table_says_what_is_known_of_today(self):
        mutant = mutants.Mutant("m", "vnet_rx.c", "\told;", "new", "2 * 3", ("quick.traffic",))
        files = {Path("vnet_rx.c"): TEXT}
        for verdict, count, found in (
                (None, "0 killed, 0 survived, 1 not run", "not run"),
                (Verdict("other", True, "a.b@mq", 1), "0 killed, 0 survived, 1 not run",
                 "not run"),
                (Verdict(mutant.key(files), False, "", 1), "0 killed, 1 survived", "survived"),
                (Verdict(mutant.key(files), True, "a.b@mq", 1), "1 killed", "``a.b`` on mq")):
            told = {"m": verdict} if verdict else {}
            with mock.patch.object(verdicts, "load", return_value=(told, {})):
                page = mutants_table.page([mutant], files)
            self.assertIn(count, page)
            self.assertIn(found, page.partition("found by")[2])
            self.assertIn("2 \\* 3", page)


class FakeBench(mutant_bench.Bench):
    """Tests of which some pass and some do not, without a guest."""

    def __init__(self, verdicts_of, controls=()):
        super().__init__(SimpleNamespace(layer=None), SimpleNamespace(), mock.Mock(),
                         {f"{name}@modern-split": self.control_key(name) for name in controls})
        self.verdicts_of, self.ran = verdicts_of, []

    def try_one(self, mutant, name, _profile):
        self.ran.append((mutant.name if mutant else None, name))
        if name == "skips":
            raise Skip("cannot")
        return self.verdicts_of.get((mutant.name if mutant else None, name), "")


class Runs(unittest.TestCase):
    A = mutants.Mutant("a", "vnet_rx.c", "\told;", "x", "why", ("quick.traffic", "quick.xdp"))
    B = mutants.Mutant("b", "vnet_rx.c", "\told;", "y", "why", ("quick.xdp",))

    def go(self, bench, **options):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        into = Path(directory.name) / "into"
        run = mutants.Run([self.A, self.B], bench, {Path("vnet_rx.c"): TEXT}, SimpleNamespace(**{
            "into": into, "logs": Path(directory.name), "minutes": 0, "sample": 0,
            "generated": False, **options}))
        with mock.patch("lab.mutants.say") as said:
            run.go()
            status = run.status()
        return status, into.read_text() if into.exists() else "", said.call_args[0][0]

    def test_one_that_all_tests_pass_survives(self):
        status, text, end = self.go(FakeBench({("a", "quick.xdp"): "no"}))
        self.assertEqual((status, end), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertRegex(text, "mutant b \\w+ survived - 0\n")
        self.assertRegex(text, "mutant a \\w+ killed quick.xdp@modern-split 0\n"
                               "control quick.xdp@modern-split \\w+\n")

    def test_a_test_that_fails_without_a_defect_kills_nothing(self):
        status, text, end = self.go(FakeBench({("a", "quick.traffic"): "no", (None, "quick.xdp"):
                                               "no", ("b", "quick.xdp"): "no"}))
        self.assertEqual((status, end), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("mutant a", text)
        self.assertNotIn("mutant b", text)

    def test_a_guest_that_was_spoilt_kills_nothing(self):
        bench = FakeBench({("a", "quick.traffic"): "no", ("b", "quick.xdp"): "no",
                           (None, "quick.xdp"): "no"}, controls=["quick.xdp"])
        self.assertEqual(self.go(bench)[2], "0 passed, 2 failed, 0 skipped")

    def test_a_control_is_run_once(self):
        bench = FakeBench({("a", "quick.traffic"): "no", ("b", "quick.xdp"): "no"},
                          controls=["quick.traffic"])
        self.go(bench)
        self.assertEqual([name for mutant, name in bench.ran if not mutant], ["quick.xdp"])

    def test_a_sample_needs_none(self):
        bench = FakeBench({("a", "quick.traffic"): "no", ("b", "quick.xdp"): "no"})
        self.assertEqual(self.go(bench, sample=2, into="")[2], "2 passed, 0 failed, 0 skipped")
        self.assertFalse([name for mutant, name in bench.ran if not mutant])

    def test_one_whose_tests_skip_has_no_verdict(self):
        odd = mutants.Mutant("o", "vnet_rx.c", "\told;", "x", "why", ("quick.traffic", "skips"))
        bench = FakeBench({})
        bench.tests = ("quick.traffic", "quick.xdp", "skips")
        with mock.patch.object(Runs, "A", odd), mock.patch.object(Runs, "B", odd):
            self.assertEqual(self.go(bench), (0, "", "0 passed, 0 failed, 2 skipped"))

    def test_time(self):
        self.assertEqual(self.go(FakeBench({}), minutes=1e-9)[2], "0 passed, 0 failed, 2 skipped")
