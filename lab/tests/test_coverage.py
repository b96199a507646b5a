# SPDX-License-Identifier: GPL-2.0
"""From addresses that a guest has executed to lines of the driver."""

import unittest

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
/build/x/include/vnet_hdr.h:7 (discriminator 2)
      14:	ret

0000000000000020 <vnet_two.cold>:
/build/x/data/tx.c:40
      20:	ud2
"""


class Coverage(unittest.TestCase):
    def setUp(self):
        self.code = coverage.Code(LISTING, "/build/x")

    def test_lines_of_the_driver_only(self):
        self.assertEqual(self.code.lines(), {"vnet_rx.c": {12}, "include/vnet_hdr.h": {7},
                                             "data/tx.c": {40}})
        self.assertEqual(self.code.lines({0x10, 0x11}), {"vnet_rx.c": {12}})

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

    def test_table_and_page(self):
        rows = coverage.table(self.code, {0x10})
        self.assertEqual(rows, [("hdr", 1, 0), ("rx", 1, 1), ("tx", 1, 0), ("all", 3, 1)])
        text = coverage.page(rows, {"vnet_two"}, ["-T traffic.*"])
        self.assertIn("\nrx   1               1       100 %\n", text)
        self.assertIn("``vnet_two()``", text)


if __name__ == "__main__":
    unittest.main()
