# SPDX-License-Identifier: GPL-2.0
"""What the gates make of the machine that they find."""

import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gates"))

import arch  # noqa: E402
import compiled  # noqa: E402
import trees  # noqa: E402
from trees import SetupError  # noqa: E402


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


class Machines(unittest.TestCase):
    def test_every_one_says_what_it_must_be(self):
        names = [machine.name for machine in arch.machines()]
        self.assertEqual(len(names), len(set(names)))
        for machine in arch.machines():
            self.assertTrue(machine.must, machine.name)

    def test_what_kconfig_has_refused_is_told(self):
        machine = arch.Machine("x", "arm", must=("HIGHMEM=y", "CPU_V7=y"))
        self.assertEqual(arch.not_configured(machine, "CONFIG_CPU_V7=y\nCONFIG_HIGHMEM=yes\n"),
                         ["the kernel is configured without HIGHMEM=y"])
        self.assertEqual(arch.lines_of(["PCI=n", "MMU=y"]),
                         "# CONFIG_PCI is not set\nCONFIG_MMU=y\n")

    def test_headers_of_the_kernel_are_not_ours(self):
        for line in ("/mnt/src/arch/arc/include/asm/checksum.h:62:26: warning: x",
                     "./include/linux/x.h:1:1: warning: x", "arch/x86/include/x.h:1:1: error: x"):
            self.assertTrue(compiled.KERNELS.match(line), line)
        for line in ("include/vnet_hdr.h:1:1: warning: x", "policy/wire.c:1:1: warning: x"):
            self.assertFalse(compiled.KERNELS.match(line), line)

    def test_unknown_machine_says_what_there_is(self):
        self.assertEqual([m.name for m in arch.wanted(["m68k"])], ["m68k"])
        with self.assertRaisesRegex(SetupError, "vax.*m68k"):
            arch.wanted(["vax"])

    def test_divisions_of_64_bits(self):
        self.assertEqual(arch.DIVISION.findall("         U __aeabi_uldivmod\n"
                                               "         U div_u64\n         U __umoddi3\n"),
                         ["__aeabi_uldivmod", "__umoddi3"])

    def test_a_missing_compiler_is_no_pass(self):
        with mock.patch.object(arch.trees, "need"), \
                mock.patch.object(arch.trees, "series", lambda: ["7.3"]), \
                mock.patch.object(arch, "say"), \
                mock.patch.object(arch, "compile_for", lambda *_: ([], 1)), \
                mock.patch.object(arch.shutil, "which", lambda name: "m68k" not in name):
            with self.assertRaisesRegex(SetupError, "no compiler for m68k"):
                arch.run()
