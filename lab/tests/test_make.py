# SPDX-License-Identifier: GPL-2.0
"""Wrong input to the Makefile: one sentence that says what to do, status 2, nothing left behind."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from lab import build


class Refusals(unittest.TestCase):
    def setUp(self):
        self.tree = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.tree)
        for name in ("Makefile", "lab"):
            source = Path("/vnet") / name
            if source.is_dir():
                shutil.copytree(source, self.tree / name)
            else:
                shutil.copy(source, self.tree / name)
        self.before = self.listing()

    def listing(self):
        return sorted(str(p) for p in self.tree.rglob("*"))

    def make(self, *args, path=None):
        env = {"PATH": path or "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.tree)}
        return subprocess.run(["/usr/bin/make", "-C", str(self.tree), *args], env=env, text=True,
                              capture_output=True, check=False)

    def refused(self, text, *args, path=None):
        done = self.make(*args, path=path)
        self.assertEqual(done.returncode, 2, done)
        lines = [line for line in done.stderr.splitlines() if line.startswith("vnet: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(text, lines[0])
        self.assertEqual(self.listing(), self.before)

    def kernel(self, release, config="CONFIG_MODULES=y\nCONFIG_VIRTIO=m\n"):
        kdir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, kdir)
        (kdir / "include/config").mkdir(parents=True)
        (kdir / "include/config/kernel.release").write_text(release)
        (kdir / "Makefile").write_text("")
        (kdir / ".config").write_text(config)
        return kdir

    def test_no_such_kdir(self):
        self.refused("no directory /nonexistent", "KDIR=/nonexistent")

    def test_empty_kdir(self):
        self.refused("KDIR is empty", "KDIR=")

    def test_no_headers_of_the_running_kernel(self):
        self.refused("linux-headers-", f"KVER={subprocess.getoutput('uname -r')}")

    def test_kdir_is_something_else(self):
        self.refused("is no kernel build directory", "KDIR=/usr")

    def test_old_kernel(self):
        self.refused("6.12 or newer", f"KDIR={self.kernel('6.1.0-9-amd64')}")

    def test_kernel_without_virtio(self):
        self.refused("CONFIG_VIRTIO", f"KDIR={self.kernel('7.2.1', 'CONFIG_MODULES=y')}")

    def test_no_compiler(self):
        tools = self.tree.parent / (self.tree.name + "-bin")
        tools.mkdir()
        self.addCleanup(shutil.rmtree, tools)
        for tool in ("sh", "uname", "cat", "grep"):
            (tools / tool).symlink_to(shutil.which(tool))
        self.refused("no compiler", f"KDIR={self.kernel('7.2.1')}", path=str(tools))
        self.refused("no compiler 'nocc'", "CC=nocc", f"KDIR={self.kernel('7.2.1')}")

    def test_in_tree(self):
        self.refused("KSRC=", "in-tree")
        self.refused("no directory /nonexistent", "in-tree", "KSRC=/nonexistent")
        self.refused("is no kernel source", "in-tree", "KSRC=/usr")

    def test_help_and_clean_always_work(self):
        self.assertEqual(self.make("help").returncode, 0)
        self.assertEqual(self.make("clean", "KDIR=/nonexistent").returncode, 0)


class Source(unittest.TestCase):
    """What dkms and the packages build from, and what the lab copies, is all there."""

    def setUp(self):
        objects = re.findall(r"^\t(\S+)\.o \\$", Path("/vnet/Kbuild").read_text("utf-8"), re.M)
        self.assertGreater(len(objects), 20)
        self.wanted = {f"{name}.c" for name in objects}

    def test_of_dkms(self):
        with tempfile.TemporaryDirectory() as target:
            subprocess.run(["sh", "/vnet/lab/make/source.sh", target], check=True)
            have = {str(path.relative_to(target)) for path in Path(target).rglob("*.c")}
        # what takes the driver's place where it cannot be built
        self.assertEqual(have - {"stand-in/vnet.c"}, self.wanted)

    def test_of_the_lab(self):
        have = {str(path) for path in build.sources() if path.suffix == ".c"}
        beside = ("kunit/", "vkit/", "vmon/")
        self.assertEqual({name for name in have if not name.startswith(beside)}, self.wanted)


if __name__ == "__main__":
    unittest.main()
