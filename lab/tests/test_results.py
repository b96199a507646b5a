# SPDX-License-Identifier: GPL-2.0
"""What the end of a run says: what has failed and why, and which skips are right."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lab import SetupError, check, options, results
from lab.results import Case

TREE = Path(__file__).resolve().parents[2]


def case(verdict, text="", where="7.3 packed", name="a.b"):
    return Case(where, name, verdict, 1.0, text)


@contextlib.contextmanager
def silence():
    """What tests print on purpose must not look like what went wrong with them."""
    saved = os.dup(1)
    with open(os.devnull, "w", encoding="ascii") as null:
        os.dup2(null.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


class Failed(unittest.TestCase):
    def test_names_and_first_lines(self):
        cases = [case("ok"), case("FAIL", "lost 3 (a.py:4)\n    12.1 guest ping", name="a.c"),
                 case("skip", "why"), case("FAIL", "", name="a.d"), case("FAIL", "x" * 500)]
        self.assertEqual(results.failed(cases), [
            "failed:", "  7.3 packed a.c: lost 3 (a.py:4)", "  7.3 packed a.d: says nothing",
            f"  7.3 packed a.b: {'x' * 150}..."])
        self.assertEqual(results.failed([case("ok"), case("skip", "why")]), [])

    def test_many_fit_on_a_screen(self):
        lines = results.failed([case("FAIL", "no", name=f"a.{n}") for n in range(100)])
        self.assertLess(len(lines), 30)
        self.assertEqual(lines[-1], "  and 80 more")

    def test_a_step_says_which_of_its_parts(self):
        for lines, said in (
                (["checkpatch: ok (9 files; 1 s, 1 s of CPU)", "  vnet_rx.c:3: x",
                  "sparse: 2 findings (3 files; 1 s)", "gates: 1 passed, 1 failed"],
                 "sparse: 2 findings (3 files; 1 s)"),
                (["test_a ok", "FAIL: test_b (lab.tests.test_lab.Net)", "Traceback", "Ran 9 tests",
                  "AssertionError: 1 != 2", "FAILED (failures=1)"],
                 "FAIL: test_b (lab.tests.test_lab.Net); AssertionError: 1 != 2"),
                (["ok 1 a", "not ok 2 b"], "not ok 2 b"),
                (["      case: FAIL: said", "3 passed"], "case: FAIL: said"),
                (["building", "no pattern knows this", ""], "no pattern knows this"),
                ([], "")):
            self.assertEqual(results.complaints(lines), said)

    def test_a_step_is_overheard_and_still_seen(self):
        code = ("from lab import check\nimport os, sys\n"
                "with check.overheard() as lines:\n"
                "    print('one', flush=True)\n    os.system('echo two; echo three >&2')\n"
                "print('heard', *lines)\n")
        done = subprocess.run(["python3", "-c", code], cwd=TREE, capture_output=True, text=True,
                              check=True)
        self.assertEqual(done.stdout, "one\ntwo\nthree\nheard one two three\n")

    def test_the_end_of_a_run(self):
        def status(_self, step):
            os.system("echo 'sparse: 2 findings (3 files)'; echo 'gates: 1 passed, 1 failed'")
            return int(step == "gates")

        def tests(run):
            run.cases.append(case("FAIL", "lost\nmore", name="a.c"))
            run.judge_skips()
            return 1

        said = []
        with mock.patch.object(check, "say", said.append), \
                mock.patch.object(check.Check, "status", status), \
                mock.patch.object(check.Check, "tests", tests), silence():
            self.assertEqual(check.Check(None, None, [], check.Times()).run(), 1)
        self.assertEqual(said[-5:-2] + said[-1:], [
            "failed:", "  check gates: sparse: 2 findings (3 files)", "  7.3 packed a.c: lost",
            "2 passed, 2 failed, 0 skipped"])
        self.assertIn("time: ", said[-2])


class Skips(unittest.TestCase):
    KNOWN = [results.Expected("6.* *", "*", "needs Linux *", "why")]

    def test_a_skip_that_nobody_expects_fails(self):
        cases = results.strict([case("skip", "needs Linux 7.0", "6.12 packed"), case("ok"),
                                case("skip", "needs Linux 7.0", "7.3 packed"),
                                case("skip", "no layer", "6.12 mq")], self.KNOWN)
        self.assertEqual([c.verdict for c in cases], ["skip", "ok", "FAIL", "FAIL"])
        self.assertIn("does not expect: no layer", cases[3].text)

    def test_only_runs_for_ci_are_strict(self):
        for args, verdict in (([], "skip"), (["--ci"], "FAIL"), (["--full"], "FAIL")):
            run = SimpleNamespace(options=options.parse(args), cases=[case("skip", "no layer")])
            check.Check.judge_skips(run)
            self.assertEqual(run.cases[0].verdict, verdict, args)

    def test_a_step_that_is_not_run_is_a_skip(self):
        def refuse(*_):
            raise SetupError("no mirror answers")

        run = check.Check(SimpleNamespace(fuzz=refuse), None, ["--ci"], check.Times())
        with silence(), mock.patch.object(check, "say", print):
            run.step("fuzz")
            sys.stdout.flush()
        run.judge_skips()
        self.assertEqual(run.cases[0].verdict, "FAIL")
        self.assertIn("no mirror answers", run.cases[0].text)

    def test_the_list(self):
        for entry in results.expected_skips():
            self.assertTrue(entry.why)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("# a comment\n\n* | a.b | why not |\n")
            file.flush()
            with self.assertRaisesRegex(SetupError, ":3 is not"):
                results.expected_skips(Path(file.name))


class Ci(unittest.TestCase):
    """.ci/run over parts that are not the real ones."""

    def run_ci(self, check_says, fresh_says, ci_says, lab_says="exit 0"):
        tree = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, tree)
        for path, text in ((".ci/run", (TREE / ".ci/run").read_text()),
                           ("bin/make", '#!/bin/sh\nif [ "$1" = check ]; then\n'
                                        f'{check_says}\nelse\n{ci_says}\nfi\n'),
                           ("lab/fresh/run", f"#!/bin/sh\n{fresh_says}\n"),
                           ("lab/start", f"#!/bin/sh\n{lab_says}\n")):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
            (tree / path).chmod(0o755)
        done = subprocess.run([str(tree / ".ci/run")], capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": f"{tree}/bin:{os.environ['PATH']}"})
        return done.returncode, done.stdout.splitlines()

    GOOD = "echo '2 passed, 0 failed, 1 skipped'"
    BAD = ("printf 'failed:\\n  %s a.b: lost\\ntime: 1 s\\n1 passed, 1 failed, 0 skipped\\n' {}; "
           "echo 'make: *** [check] Error 1'; exit 1")

    def test_all_is_well(self):
        status, lines = self.run_ci(self.GOOD, self.GOOD, self.GOOD)
        self.assertEqual((status, lines[-1]), (0, "6 passed, 0 failed, 3 skipped"))
        self.assertNotIn("failed:", lines)

    def test_failures_of_all_parts_are_named_at_the_end(self):
        status, lines = self.run_ci(self.BAD.format("one"), self.BAD.format("two"),
                                    self.BAD.format("three"))
        self.assertEqual(status, 1)
        self.assertEqual(lines[-6:-2], ["failed:", "  one a.b: lost", "  two a.b: lost",
                                        "  three a.b: lost"])
        self.assertEqual(lines[-1], "3 passed, 3 failed, 0 skipped")

    def test_a_mutant_that_survives_is_named(self):
        status, lines = self.run_ci(self.GOOD, self.GOOD, self.GOOD, (
            "[ $1 = mutants ] || exit 0; printf 'failed:\\n  mutant x survived: why\\n"
            "9 passed, 1 failed, 0 skipped\\n'; exit 1"))
        self.assertEqual(status, 1)
        self.assertEqual(lines[-4:-2], ["failed:", "  mutant x survived: why"])
        self.assertEqual(lines[-1], "15 passed, 1 failed, 3 skipped")

    def test_a_part_that_cannot_run_is_named(self):
        status, lines = self.run_ci(self.GOOD, "echo 'vnet: no room' >&2; exit 2", self.GOOD)
        self.assertEqual(status, 2)
        self.assertEqual(lines[-4:-2], ["failed:",
                                        "  lab/fresh/run: status 2: vnet: no room"])


if __name__ == "__main__":
    unittest.main()
