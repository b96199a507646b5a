# SPDX-License-Identifier: GPL-2.0
"""Unit tests of make kernels: what is chosen, fetched and written."""

import tempfile
import unittest
from pathlib import Path

from lab import SetupError, matrix

NAMES = ("linux-headers-6.1.0-53-amd64", "linux-headers-amd64", "linux-headers-6.12-amd64",
         "linux-headers-6.12.9+deb12-amd64", "linux-headers-6.12.10+deb13-amd64",
         "linux-headers-6.12.117+deb13-amd64", "linux-headers-6.12.117+deb13-rt-amd64",
         "linux-headers-6.12.117+deb13-common", "linux-headers-7.3-rc7-cloud-amd64",
         "linux-headers-7.3.1+deb14-cloud-amd64", "linux-headers-7.2.6+deb13-arm64")


class Choose(unittest.TestCase):
    def test_oldest_and_newest_of_each(self):
        self.assertEqual(matrix.choose(NAMES), {
            (6, 12): {"generic": ["linux-headers-6.12.9+deb12-amd64",
                                  "linux-headers-6.12.117+deb13-amd64"],
                      "rt": ["linux-headers-6.12.117+deb13-rt-amd64"]},
            (7, 3): {"cloud": ["linux-headers-7.3-rc7-cloud-amd64",
                               "linux-headers-7.3.1+deb14-cloud-amd64"]}})

    def test_depends(self):
        record = ("Package: x\nDepends: linux-base (>= 4.12~), linux-headers-7.3.4+deb13-common "
                  "(= 7.3.4-1), linux-image-7.3.4 (= 7) | linux-image-7.3.4-unsigned (= 7), "
                  "linux-kbuild-7.3.4+deb13, gcc-14\nSize: 1\n")
        self.assertEqual(matrix.depends(record), ["linux-headers-7.3.4+deb13-common",
                                                  "linux-kbuild-7.3.4+deb13"])
        self.assertEqual(matrix.depends("Package: x\n"), [])

    def test_places(self):
        text = ("a | 1.0 | http://mirror/debian trixie/main amd64 Packages\n"
                "a | 1.0 | http://mirror/debian sid/main amd64 Packages\n"
                "     a | 1.0 | http://mirror/debian trixie/main Sources\n")
        self.assertEqual(matrix.places(text), {"a": {"trixie", "sid"}})


class Table(unittest.TestCase):
    RESULTS = [[[6, 12], "generic", ["trixie", "trixie-security"], "compiled"],
               [[6, 12], "generic", ["bookworm-backports"], "does not compile"],
               [[7, 2], "cloud", ["sid"], "compiled"]]

    def test_rows(self):
        rows = matrix.table(self.RESULTS, [[6, 12]])[2:]
        self.assertEqual(rows, [
            "| 6.12 LTS | does not compile | not available | not available "
            "| 12 backports, 13 | run |\n",
            "| 6.13 to 7.1 | not available | not available | not available | | |\n",
            "| 7.2 | not available | compiled | not available | unstable | not run |\n"])

    def test_written_between_the_marks(self):
        with tempfile.TemporaryDirectory() as temp:
            path = Path(temp) / "README.md"
            path.write_text(f"a\n{matrix.BEGIN}old\n{matrix.END}b\n", encoding="ascii")
            matrix.write(path, ["new\n"])
            self.assertEqual(path.read_text(encoding="ascii"),
                             f"a\n{matrix.BEGIN}new\n{matrix.END}b\n")
            path.write_text("a\n", encoding="ascii")
            with self.assertRaisesRegex(SetupError, "no place"):
                matrix.write(path, [])


if __name__ == "__main__":
    unittest.main()
