# SPDX-License-Identifier: GPL-2.0
"""The gate 'conformance' finds what it is for."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gates"))

import conformance  # noqa: E402

FILES = {
    "vnet_a.c": "static int vnet_a_keep(void)\n{\n\treturn vnet_a_call(1);\n}\n",
    "policy/caps.c": "static const unsigned int vnet_caps_bits[] = {\n\tVNET_F_MQ,\n};\n",
    "kunit/a_test.c": "KUNIT_CASE(a_case),\n",
    "fuzz/a.c": "",
    "selftests/device/model.py": 'self.violation("a-rule", x=1)\n',
    "selftests/device/tests/test_a.py": 'assert "a-rule" in found\n',
    "docs/conformance/clauses.txt": "a.one | 1.1 | must | do\na.two | 1.2 | may | do more\n",
    "docs/conformance/answers.txt": "a.one | vnet_a.c:vnet_a_keep | kunit:a_case\na.two | core |\n",
    "docs/conformance/deviations.txt": "",
    "docs/conformance/untested.txt": "most: 0\n",
}
ANSWERS = "docs/conformance/answers.txt"
DEVIATION = ("[odd]\nwho: vnet\nwhy: it is\n so\n"
             "code: vnet_a.c: vnet_a_call(1)\ntest: kunit:a_case\n")


class Gate(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.top = Path(home.name)
        patch = mock.patch.object(conformance.Tree, "selftests", lambda _: {"file.test_one"})
        patch.start()
        self.addCleanup(patch.stop)
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def run_gate(self):
        conformance.run(self.top, write=True)
        return conformance.run(self.top)[0]

    def finds(self, *words):
        found = self.run_gate()
        self.assertEqual(len(found), len(words), found)
        for line, word in zip(found, words):
            self.assertIn(word, line)

    def test_good(self):
        self.finds()

    def test_page(self):
        self.run_gate()
        text = (self.top / "docs/conformance.rst").read_text("utf-8")
        self.assertIn("kept by the driver                         1", text)
        self.write("docs/conformance.rst", text + "x")
        self.assertEqual(len(conformance.run(self.top)[0]), 1)

    def test_nobody_answers(self):
        self.write(ANSWERS, "a.two | core |\n")
        self.finds("a.one: nobody answers")

    def test_unknown_names(self):
        self.write(ANSWERS, FILES[ANSWERS] + "a.three | core |\na.one | core |\nx\n")
        self.finds("no clause a.three", "second time", "not NAME")

    def test_keepers(self):
        for keeper, words in (("vnet_b.c:x", "no file"), ("vnet_a.c:vnet_a_call", "has no"),
                              ("deviation:x", "no deviation"), ("absent:MQ", "has MQ"),
                              ("elsewhere:x", "elsewhere is")):
            self.write(ANSWERS, f"a.one | {keeper} | kunit:a_case\na.two | core |\n")
            self.finds(words)

    def test_tests(self):
        for test, words in (("kunit:x", "KUnit has no"), ("fuzz:x", "no fuzz"),
                            ("device:x", "no rule"), ("profile:x", "no profile"),
                            ("file.x*", "no test in a guest"), ("nose:x", "no kind"),
                            ("", "nothing shows")):
            self.write(ANSWERS, f"a.one | vnet_a.c:vnet_a_keep | {test}\na.two | core |\n")
            self.finds(words)
        for test in ("fuzz:a", "device:a-rule", "profile:legacy", "file.test_*"):
            self.write(ANSWERS, f"a.one | vnet_a.c:vnet_a_keep | {test}\na.two | core |\n")
            self.finds()

    def test_untested(self):
        self.write("docs/conformance/untested.txt", "most: 1\na.one\n")
        self.finds("a.one has a test")
        self.write(ANSWERS, "a.one | vnet_a.c:vnet_a_keep |\na.two | core |\n")
        self.finds()
        self.write("docs/conformance/untested.txt", "most: 0\na.one\n")
        self.finds("'most:' has to be 1")
        self.write("docs/conformance/untested.txt", "most: 2\na.one\na.none\n")
        self.finds("no clause a.none")

    def test_untested_does_not_grow(self):
        got = mock.Mock(returncode=0, stdout="most: 1\na.one\n")
        with mock.patch.object(conformance.subprocess, "run", return_value=got):
            self.assertEqual(conformance.grown(self.top, ["a.one", "a.two"]), ["a.two"])

    def test_deviations(self):
        self.write("docs/conformance/deviations.txt", DEVIATION)
        self.finds("odd is no clause's")
        self.write(ANSWERS, "a.one | vnet_a.c:vnet_a_keep deviation:odd | kunit:a_case\n"
                   "a.two | core |\n")
        self.finds()
        self.write("vnet_a.c", "static int vnet_a_keep(void)\n")
        self.finds("not in vnet_a.c any more")
        self.write("docs/conformance/deviations.txt", "[odd]\nwho: vnet\nwhy: it is\n")
        self.finds("names no line", "names no test")

    def test_rules_of_the_device(self):
        self.write("selftests/device/tests/test_a.py", "")
        self.finds("no driver breaks the rule a-rule")


if __name__ == "__main__":
    unittest.main()
