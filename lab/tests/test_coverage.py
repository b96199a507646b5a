# SPDX-License-Identifier: GPL-2.0
"""From addresses that a guest has executed to lines of the driver."""

import fnmatch
import re
import tempfile
import unittest
from pathlib import Path

from lab import coverage

LISTING = """
/build/x/vnet.ko:     file format elf64-x86-64

Disassembly of section .text:

0000000000000000 <__pfx_vnet_one>:
       0:	nop

0000000000000010 <vnet_one>:
vnet_one():
/build/x/vnet_rx.c:12
      10:	push   %rbp
/usr/include/linux/list.h:30
      11:	mov    %rdi,%rbp
      12:	je     14 <vnet_one+0x4>
/build/x/kunit/../include/vnet_hdr.h:7 (discriminator 2)
      14:	ret

0000000000000020 <vnet_two.cold>:
/build/x/data/tx.c:40
      20:	jne    28 <vnet_two.cold+0x8>
      22:	call   80 <vnet_far>
/build/x/data/tx.c:41
      24:	je     14 <vnet_one+0x4>
      26:	jmp    2a <vnet_two.cold+0xa>
/build/x/data/tx.c:43
      28:	ud2
      2a:	je     80 <vnet_far>
      2c:	ret
"""


class Coverage(unittest.TestCase):
    def setUp(self):
        self.code = coverage.Code(LISTING, "/build/x")

    def test_lines_of_the_driver_only(self):
        self.assertEqual(self.code.lines(), {"vnet_rx.c": {12}, "include/vnet_hdr.h": {7},
                                             "data/tx.c": {40, 41, 43}})
        self.assertEqual(self.code.lines({0x10, 0x11}), {"vnet_rx.c": {12}})

    def test_the_same_code_of_another_checkout(self):
        other = coverage.Code(LISTING.replace("/build/x", "/build/other"), "/build/other")
        self.assertEqual(self.code.key(), other.key())
        self.assertNotEqual(self.code.key(), coverage.Code(
            LISTING.replace("vnet_rx.c:12", "vnet_rx.c:13"), "/build/x").key())

    def test_functions(self):
        self.assertEqual(self.code.functions(), {"vnet_one", "vnet_two"})
        self.assertEqual(self.code.functions({0x14}), {"vnet_one"})

    def test_spans(self):
        spans = coverage.ranges("ffffffffc0000010 ffffffffc0000014\nffffffffc0000020 "
                                "ffffffffc0000022\n")
        base = 0xffffffffc0000000
        self.assertEqual([coverage.within(spans, base + at) for at in
                          (0xf, 0x10, 0x13, 0x14, 0x20, 0x22)],
                         [False, True, True, False, True, False])

    def test_ways_of_the_drivers_own_jumps(self):
        # not that of the kernel's header, nor a way that leaves the listing
        ways = {(40, 43), (40, 40), (41, 0), (41, 41), (43, 43)}
        self.assertEqual(self.code.ways(), {"data/tx.c": ways})
        self.assertEqual(self.code.ways({(0x20, 0x22)}), {"data/tx.c": {(40, 40)}})

    def test_logs_of_guests(self):
        with tempfile.TemporaryDirectory() as name:
            logs = Path(name)
            for guest in ("ended-early", "whole"):
                (logs / guest).mkdir()
                (logs / guest / "coverage.0.vnet").write_text("0x1000\n", encoding="ascii")
            (logs / "whole/coverage.0").write_text("1020 1022\n", encoding="ascii")
            (logs / "whole/coverage.0.ways").write_text("1020 1022\n1020 1026\n1022 1026\n",
                                                        encoding="ascii")
            (logs / "whole/coverage.1.vnet").write_text("0x2000\n", encoding="ascii")
            (logs / "whole/coverage.1").write_text("1020 1026\n202a 202c\n", encoding="ascii")
            (logs / "whole/coverage.1.ways").write_text("202a 202c\n", encoding="ascii")
            found = coverage.executed(self.code, logs, "vnet")
        self.assertEqual(found, ({0x20, 0x2a}, {(0x20, 0x22), (0x2a, 0x2c)}))

    def report(self):
        """What vnet.ko executed of one line, and the unit tests of another."""
        return coverage.Report([(self.code, {0x10}, set()), (self.code, {0x20}, {(0x20, 0x28)})],
                               [("data/*", "return -ENOMEM", "it is cold")],
                               lambda path: [*["x"] * 42, "return -ENOMEM;"])

    def test_table_and_page(self):
        report = self.report()
        self.assertEqual(report.table(), [
            ("hdr", 1, 0, 0, 0, 0, 0), ("rx", 1, 1, 1, 0, 0, 0), ("tx", 3, 1, 2, 5, 1, 2),
            ("all", 5, 2, 3, 5, 1, 2)])
        text = coverage.page(report, ["7.3", "-T traffic.*"])
        self.assertIn("\nrx   1     100 %   100 %   0    --      --\n", text)
        self.assertIn("\ntx   3     33 %    67 %    5    20 %    40 %\n", text)
        self.assertIn("\n- ``-T traffic.*``\n", text)
        self.assertIn("\nnone\n", text)
        self.assertIn("- 1 of ``data/*`` like ``return -ENOMEM``: it is cold\n", text)

    def test_missed(self):
        missed = self.report().missed()
        self.assertEqual(missed["data/tx.c"], ({41, 43}, {(40, 40), (41, 0), (41, 41),
                                                          (43, 43)}))

    def test_a_reason_covers_a_line_and_the_ways_to_it(self):
        self.assertEqual(self.report().why()["data/tx.c"], {43: 0})
        self.assertEqual(self.report().unexplained()["data/tx.c"],
                         ({41}, {(40, 40), (41, 0), (41, 41)}))

    def test_reasons_are_of_the_driver(self):
        top = Path(coverage.__file__).parents[2]
        texts = {str(path.relative_to(top)): path.read_text(encoding="utf-8")
                 for path in top.rglob("*.[ch]")}
        for glob, pattern, why in coverage.reasons():
            self.assertTrue(any(fnmatch.fnmatch(path, glob) and
                                re.search(pattern, text, re.MULTILINE)
                                for path, text in texts.items()), why)


if __name__ == "__main__":
    unittest.main()
