# SPDX-License-Identifier: GPL-2.0
"""The lab's parts that need no guest."""

import fcntl
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lab import SetupError, arch, check, host, initramfs, kernels, kselftest, layers, net
from lab import options, patience, profiles, quick, results, root, runner, transcript, vhost_user
from lab import __main__ as door
from lab.guest import Guest, GuestDied, NotUp


class Profiles(unittest.TestCase):
    def test_names_and_bits_are_consistent(self):
        for name, profile in profiles.PROFILES.items():
            self.assertEqual(name, profile.name)
            self.assertTrue(profile.text)
            self.assertFalse(set(profile.on) & set(profile.off), name)
            for bit in profile.on + profile.off:
                self.assertIn(bit, profiles.BITS)

    def test_issue_names_exist(self):
        for name in ("modern-split packed in-order legacy small big mq rss iommu no-ctrl-vq mmio "
                     "tunnel no-event-idx no-indirect").split():
            self.assertEqual(profiles.get(name).name, name)

    def test_unknown_name_says_what_there_is(self):
        with self.assertRaisesRegex(SetupError, "modern-split"):
            profiles.get("nonsense")


class Architectures(unittest.TestCase):
    def guest(self, name, profile="modern-split"):
        with mock.patch.dict(os.environ, {"VNET_ARCH": name, "VNET_LAYERS": "cross.1"}):
            return Guest(kernels.Kernel("x", "7.3.4", Path("/x")), profile, "/nowhere")

    def test_unknown_name_says_what_there_is(self):
        with self.assertRaisesRegex(SetupError, "arm64"):
            arch.get("vax")

    def test_the_native_one_needs_nothing(self):
        for name in ("", "amd64"):
            self.assertIs(arch.get(name), arch.NATIVE)
        self.assertEqual(arch.NATIVE.make, [])
        self.assertEqual(options.arch(["-T", "x", "-k", "rt,kasan"]), "")
        self.assertEqual(options.kernels(["-T", "x", "-k", "rt,kasan"]), ["rt", "kasan"])
        self.assertEqual(options.arch(["--arch=arm64", "true"]), "arm64")

    def test_layers_of_programs_are_not_for_foreign_guests(self):
        self.assertEqual(len(self.guest("").over), 1)
        self.assertEqual(self.guest("arm64").over, [])

    def test_nics_on_mmio_leave_a_foreign_machine_its_pci(self):
        for name, micro in (("", True), ("arm64", False)):
            guest = self.guest(name, "mmio")
            guest.host_ns = mock.Mock(add_tap=lambda *_: "tap0")
            self.assertEqual((guest.mmio, guest.microvm), (True, micro))
            self.assertIn("virtio-net-device", guest.netdev(0)[-1])
            with mock.patch("lab.initramfs.make"):
                args = guest.machine_args()
            self.assertEqual("-initrd" in args, micro)
            self.assertEqual(args[0], arch.get(name).qemu)
            self.assertIn(arch.get(name).console, args[args.index("-append") + 1])

    def test_what_brings_its_own_machine_is_told(self):
        self.assertIn("suspended", runner.foreign(SimpleNamespace(name="recovery_suspend.to_idle")))
        self.assertIn("x86", runner.foreign(SimpleNamespace(name="package_boot.claimed")))
        self.assertIsNone(runner.foreign(SimpleNamespace(name="recovery_device.flr")))

    def test_modules_in_the_order_that_they_are_loaded_in(self):
        text = ("kernel/a/virtio_pci.ko.xz: kernel/a/legacy-lib.ko.xz kernel/a/virtio.ko.xz\n"
                "kernel/a/legacy-lib.ko.xz:\nkernel/a/virtio.ko.xz:\nkernel/b/other.ko:\n")
        self.assertEqual(initramfs.ordered(text, ("virtio_pci", "built_in")),
                         ["virtio", "legacy_lib", "virtio_pci"])

    def test_lists_of_packages(self):
        for other in set(arch.ARCHES.values()) - {arch.NATIVE}:
            for name in other.layers:
                self.assertTrue(layers.packages(name))
            self.assertTrue(set(other.kernels) < set(arch.packages(other)))
            self.assertIn(f"{other.prefix.rstrip('-')}".replace("_", "-"),
                          " ".join(layers.packages("cross")))


class Sockets(unittest.TestCase):
    CODE = ("import socket, sys, time\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.bind(sys.argv[1])\n"
            "time.sleep(float(sys.argv[2]))\n"
            "s.listen(1)\n"
            "time.sleep(100)\n")

    def start(self, path, pause):
        return net.Daemon("server", subprocess.Popen(
            [sys.executable, "-c", self.CODE, str(path), str(pause)], start_new_session=True))

    def test_bound_is_not_listening(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "sock"
            daemon = self.start(path, 0.5)
            try:
                while not path.exists():
                    self.assertTrue(daemon.running())
                    time.sleep(0.01)
                self.assertFalse(daemon.listening(path))
                self.assertTrue(daemon.listens(path))
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
            finally:
                daemon.stop()
            self.assertFalse(daemon.listens(path))

    def test_never_listens(self):
        with tempfile.TemporaryDirectory() as directory:
            daemon = self.start(Path(directory) / "sock", 100)
            try:
                self.assertFalse(daemon.listens(Path(directory) / "sock", timeout=1))
            finally:
                daemon.stop()


class Recipe(unittest.TestCase):
    def test_no_exact_version(self):
        for path in root.RECIPE.iterdir():
            self.assertNotRegex(path.read_text(), r"\d+\.\d+\.\d+", path.name)

    def test_comment_does_not_change_the_hash(self):
        before = root.recipe_hash()
        with mock.patch.object(root, "recipe_packages", return_value=root.recipe_packages()):
            self.assertEqual(before, root.recipe_hash())
        with mock.patch.object(root, "recipe_packages", return_value=["other"]):
            self.assertNotEqual(before, root.recipe_hash())


class Layers(unittest.TestCase):
    def test_a_layer_is_keyed_by_root_and_packages(self):
        cache, one, other = Path("/c"), Path("/c/root-1"), Path("/c/root-2")
        first = layers.path(cache, one, "kselftest", "7.2")
        self.assertIn("linux-source-7.2", layers.packages("kselftest", "7.2"))
        self.assertNotEqual(first, layers.path(cache, other, "kselftest", "7.2"))
        self.assertNotEqual(first, layers.path(cache, one, "kselftest", "7.3"))
        self.assertRegex(first.name, r"^[^: ]+$")

    def test_a_newer_layer_removes_old_ones_that_no_session_holds(self):
        with tempfile.TemporaryDirectory() as cache, mock.patch.object(layers, "make") as made, \
                mock.patch.object(host, "cache_dir", return_value=Path(cache)), \
                mock.patch.object(host, "check_space"), \
                mock.patch.object(host, "is_root", return_value=True):
            held, left = (Path(cache, f"layers/xdp.{n}") for n in (1, 2))
            for layer in (held, left):
                layer.mkdir(parents=True)
            with open(f"{held}.inuse", "w", encoding="ascii") as inuse:
                fcntl.flock(inuse, fcntl.LOCK_SH)
                layers.ensure(Path(cache, "root-1"), "xdp")
                self.assertTrue(held.exists())
                self.assertTrue(Path(inuse.name).exists())
                self.assertFalse(left.exists())
            layers.ensure(Path(cache, "root-1"), "xdp")
            self.assertFalse(held.exists())
            self.assertEqual(made.call_count, 2)

    def test_no_exact_version(self):
        for path in layers.LISTS.iterdir():
            self.assertNotRegex(path.read_text(), r"\d+\.\d+", path.name)


class NotRun(unittest.TestCase):
    """What cannot be had is one sentence, and never counts as passed."""

    ROOT = Path("/c/root-1")
    NONE = SetupError("could not install linux-source-7.2 (E: no such package): see the log")

    def setUp(self):
        self.said = []
        for module in (door, check):
            patch = mock.patch.object(module, "say", self.said.append)
            patch.start()
            self.addCleanup(patch.stop)

    def test_package_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as cache, mock.patch.object(layers, "say"), \
                mock.patch.object(layers.root, "remove"), \
                mock.patch.object(host, "apt_options", return_value=[]):
            path = Path(cache)
            (path / "layers").mkdir()

            def install(_command, stdout, **_options):
                stdout.write(b"Reading\nE: Unable to locate package nonsense\n")
                return SimpleNamespace(returncode=100)

            with mock.patch.object(layers.subprocess, "run", install), \
                    self.assertRaisesRegex(SetupError, "nonsense .E: Unable to locate") as caught:
                layers.make(path, self.ROOT, path / "layers/x.1", ["nonsense"])
            self.assertEqual(len(str(caught.exception).splitlines()), 1)
            self.assertFalse((path / "layers/x.1").exists())

    def test_no_source_in_the_root(self):
        kernel = kernels.Kernel("9.9", "9.9.1", Path("/x"))
        with self.assertRaisesRegex(SetupError, "no source of Linux 9.9"):
            kselftest.tree(kernel)

    def test_kselftest_without_source_is_a_skip(self):
        with mock.patch.object(door.layers, "ensure", side_effect=self.NONE), \
                mock.patch.object(door.root, "default_series", return_value="7.2"), \
                mock.patch.object(door, "inside") as inside:
            run = check.Check(door, self.ROOT, ["-T", "kselftest"], check.Times())
            self.assertEqual(run.run(), 0)
        inside.assert_not_called()
        self.assertIn(f"check: kselftest: not run: {self.NONE}", self.said)
        self.assertEqual(self.said[-1], "0 passed, 0 failed, 1 skipped")

    def test_layer_of_programs_is_left_out(self):
        with mock.patch.object(door.layers, "ensure", side_effect=self.NONE):
            self.assertEqual(door.test_layers(self.ROOT, options.parse(["-T", "users"])), [])
        self.assertEqual(self.said, [f"layer: {self.NONE}"] * 2)

    def test_layers_are_those_of_the_tests_that_run(self):
        with mock.patch.object(door.layers, "ensure", lambda _root, name: name):
            for args, wanted in (([], []), (["-T", "traffic.ping"], []),
                                 (["-T", "peers.*"], ["peers"]),
                                 (["-T", "xdp_*"], ["xdp"]),
                                 (["-T", "package_boot.claim"], ["boot"]),
                                 (["-T", "package_dracut.*"], ["dracut"]),
                                 (["-T", "package.*"], []),
                                 (["--full"], ["boot", "dracut", "programs", "managers", "peers",
                                               "xdp", "monitors"])):
                self.assertEqual(door.test_layers(self.ROOT, options.parse(args)), wanted, args)

    def test_host_that_is_not_installed(self):
        test = SimpleNamespace(kernel_min=(0, 0), drivers=(), name="x")
        kernel = kernels.Kernel("7.2", "7.2.1", Path("/x"))
        opts = SimpleNamespace(driver="vnet", tap=True)
        with mock.patch.object(vhost_user.shutil, "which", return_value=None):
            self.assertIn("lab/layers/peers",
                          runner.unfit(test, kernel, profiles.get("ovs-dpdk"), opts))
        with mock.patch.object(vhost_user.shutil, "which", return_value="/x"):
            self.assertIsNone(runner.unfit(test, kernel, profiles.get("ovs-dpdk"), opts))


class Kselftest(unittest.TestCase):
    KTAP = """TAP version 13
1..4
ok 1 xdp.pass_sb
# Exception| net.lib.CmdExitFailure: Command failed
not ok 2 xdp.drop_mb
ok 3 xdp.offload # SKIP device does not support it
ok 4 xdp.late # XFAIL too slow
# Totals: pass:1 fail:1 xfail:1 xpass:0 skip:1 error:0
status 1
"""
    SHELL = """TEST: lo: unicast IPv4 to primary address       [ OK ]
TEST: max mtu                                   [FAIL]
\tpacket of 1500 bytes did not pass
"""

    def parse(self, path, text):
        return kselftest.parse(kselftest.Test(path, "kselftest"), text)

    def test_ktap(self):
        self.assertEqual([
            ["pass_sb", "pass", ""],
            ["drop_mb", "fail", "net.lib.CmdExitFailure: Command failed"],
            ["offload", "skip", "device does not support it"],
            ["late", "xfail", "too slow"]], self.parse("drivers/net/xdp.py", self.KTAP))

    def test_shell(self):
        self.assertEqual([
            ["lo: unicast IPv4 to primary address", "pass", ""],
            ["max mtu", "fail", "packet of 1500 bytes did not pass"]],
            self.parse("net/forwarding/min_max_mtu.sh", self.SHELL))

    def test_order_is_that_of_the_words(self):
        tests = [kselftest.Test(f"drivers/net/{name}", "kselftest") for name in
                 ("hw/irq.py", "ping.py", "xdp.py")]
        options = SimpleNamespace(test="xdp *", quick=False)
        self.assertEqual(["xdp.py", "irq.py", "ping.py"],
                         [test.name for test in kselftest.chosen(tests, options)])

    def test_second_try(self):
        first = [["a", "pass", ""], ["b", "fail", "too late"], ["c", "fail", "wrong"]]
        second = [["a", "fail", "x"], ["b", "pass", ""], ["c", "fail", "wrong"]]
        self.assertEqual(kselftest.merge(first, second),
                         [["a", "pass", ""], ["b", "pass", "second try; first: too late"],
                          ["c", "fail", "wrong"]])
        self.assertEqual(kselftest.merge(first, [["(kernel)", "fail", "BUG"]])[-1],
                         ["(kernel)", "fail", "BUG"])

    def test_what_is_tried_again(self):
        test = kselftest.Test("drivers/net/x.py", "kselftest")
        with mock.patch.object(kselftest, "reasons", return_value=[("*", "*x.py:known", "why")]):
            for cases, wanted in (([["a", "pass", ""]], False), ([["known", "fail", ""]], False),
                                  ([["a", "fail", ""]], True),
                                  ([["a", "fail", ""], ["(kernel)", "fail", "BUG"]], False)):
                self.assertEqual(kselftest.puzzling("vnet", test, cases), wanted, cases)

    def test_every_known_failure_has_a_reason(self):
        for drivers, pattern, text in kselftest.reasons():
            self.assertIn(":", pattern)
            self.assertTrue(drivers and text)


class Host(unittest.TestCase):
    TARGETS = ("http://a/security|Debian|Debian-Security|main|x\n"
               "http://b/other|Other|Other|main|x\n"
               "http://c/debian|Debian|Debian|contrib|x\n"
               "http://d/debian|Debian|Debian|main|x\n")

    def test_mirror_is_the_machines_own(self):
        with mock.patch.object(host, "apt", return_value=self.TARGETS):
            self.assertEqual(host.mirror(), "http://d/debian")

    def test_mirror_of_the_users_choice(self):
        with mock.patch.dict(host.os.environ, VNET_MIRROR="http://e/debian"):
            self.assertEqual(host.mirror(), "http://e/debian")

    def test_no_mirror_is_a_sentence(self):
        with mock.patch.object(host, "which", return_value=None):
            with self.assertRaisesRegex(SetupError, "VNET_MIRROR"):
                host.mirror()
            self.assertEqual(host.apt_options(), [])

    def test_no_rights_to_install(self):
        with mock.patch.object(host, "is_root", return_value=False), \
                mock.patch.object(host, "have_sudo", return_value=False), \
                mock.patch.object(host, "which", return_value="/usr/bin/apt-get"):
            with self.assertRaisesRegex(SetupError, "apt-get install mmdebstrap"):
                host.install(["mmdebstrap"])

    def test_no_space(self):
        with mock.patch.object(host.shutil, "disk_usage",
                               return_value=SimpleNamespace(free=1 << 20)):
            with self.assertRaisesRegex(SetupError, "make room"):
                host.check_space(Path("/tmp"))


class Kernels(unittest.TestCase):
    FOUND = [kernels.Kernel(name, f"{name}.1-cloud", Path("/x")) for name in ("6.12", "7.2")]

    def setUp(self):
        patch = mock.patch.object(kernels, "every", return_value=self.FOUND)
        patch.start()
        self.addCleanup(patch.stop)

    def test_by_name_and_release(self):
        self.assertEqual(kernels.select(["7.2"]), self.FOUND[1:])
        self.assertEqual(kernels.select(["6.12.1-cloud"]), self.FOUND[:1])

    def test_unknown(self):
        with self.assertRaisesRegex(SetupError, "6.12 7.2"):
            kernels.select(["5.10"])

    def test_version(self):
        self.assertEqual(self.FOUND[0].version, (6, 12))


class Selection(unittest.TestCase):
    def test_names(self):
        for pattern in ("", "ping", "traffic", "traffic.ping", "p*", "udp ping"):
            self.assertTrue(runner.matches("traffic.ping", pattern), pattern)
        for pattern in ("pin", "link", "traffic.udp"):
            self.assertFalse(runner.matches("traffic.ping", pattern), pattern)

    def test_every_skip_says_why(self):
        test = SimpleNamespace(kernel_min=(7, 0), drivers=(), name="x")
        kernel = kernels.Kernel("6.12", "6.12.1", Path("/x"))
        opts = SimpleNamespace(driver="vnet", tap=True)
        self.assertIn("7.0", runner.unfit(test, kernel, profiles.get("packed"), opts))
        self.assertIn("63", runner.unfit(test, kernel, profiles.get("tunnel"), opts))

    def test_steps(self):
        def wanted(step, *args):
            return options.step_wanted(step, options.parse(args), check.QUICK)

        for args, steps in (((), "unit gates proofs"),
                            (["--ci"], "unit gates kunit proofs fuzz kselftest"),
                            (["--full"], " ".join(check.STEPS)), (["-T", "fuzz"], "fuzz"),
                            (["-T", "ping"], ""), (["-p", "packed"], ""),
                            (["-T", "arch"], "arch"), (["--arch", "arm64"], "")):
            self.assertEqual([step for step in check.STEPS if wanted(step, *args)], steps.split(),
                             args)

    def test_an_empty_variable_is_told(self):
        with mock.patch.object(check, "say") as say:
            check.say_empty(options.parse(["--empty=T", "-T", ""]))
        self.assertIn("T= is empty", say.call_args[0][0])

    def test_debug_kernel_of_a_whole_run(self):
        kasan = kernels.Kernel("kasan", "7.3.4", Path("/x"), Path("/layer"))
        with mock.patch.object(kernels, "of_suites", return_value=Kernels.FOUND), \
                mock.patch.object(kernels, "every", return_value=[*Kernels.FOUND, kasan]):
            for args, last in ((["--ci"], kasan), ([], Kernels.FOUND[-1]),
                               (["--ci", "-T", "ping"], Kernels.FOUND[-1])):
                self.assertIs(runner.choose(options.parse(args), [])[-1], last)
            skips = []
            runner.choose(options.parse(["--full"]), skips)
            self.assertEqual([name for name, *_ in skips], ["kcsan"])
        skips = []
        with mock.patch.object(kernels, "of_suites", return_value=Kernels.FOUND), \
                mock.patch.object(kernels, "every", return_value=Kernels.FOUND):
            self.assertEqual(runner.choose(options.parse(["--ci"]), skips), Kernels.FOUND)
        self.assertEqual(len(skips), 1)

    def test_the_quick_run_names_what_exists(self):
        tests = {test.name: test for test in runner.discover()}
        for pattern, names in [*quick.NEWEST.items(), *quick.OLDER.items()]:
            self.assertIn(pattern, tests)
            for name in names or ():
                self.assertIn(name, tests[pattern].profiles, pattern)

    def test_tours(self):
        kernel = kernels.Kernel("7.2", "7.2.1", Path("/x"))
        groups = [runner.Group(kernel, profiles.get(name), ["test"], None)
                  for name in ("scripted", "packed", "mmio", "mq")]
        self.assertEqual([[group.profile.name for group in tour] for tour in
                          runner.tours(groups, options.parse([]))],
                         [["packed", "mq", "scripted"], ["mmio"]])
        self.assertEqual(len(runner.tours(groups, options.parse(["--ci"]))), 4)

    def test_guest_that_does_not_start_fails_its_tests_only(self):
        test = SimpleNamespace(name="a.b", timeout=1, up=True)
        group = runner.Group(kernels.Kernel("7.2", "7.2.1", Path("/x")),
                             profiles.get("packed"), [test, test], None)
        tally = runner.Tally(2)
        with mock.patch.object(runner, "say"), \
                mock.patch.object(runner.Group, "boot", side_effect=ConnectionRefusedError()):
            group.run(None, tally)
        self.assertEqual(tally.closing(), "0 passed, 2 failed, 0 skipped")

    def test_a_guest_is_kept_until_it_ends(self):
        answers = [True, True, False]

        def alive():
            return answers.pop(0)

        for keep, lines in ((False, []), (True, ["kept: 7.2 packed a.b: lost", "      shell: x"])):
            group = runner.Group(kernels.Kernel("7.2", "7.2.1", Path("/x")),
                                 profiles.get("packed"), [], SimpleNamespace(keep=keep))
            group.guest = SimpleNamespace(alive=alive, keep=lambda: ["shell: x"])
            said = []
            with mock.patch.object(runner, "say", said.append):
                group.keep(SimpleNamespace(name="a.b"), "lost")
            self.assertEqual(said, lines)

    def test_closing_line(self):
        tally = runner.Tally(3)
        with mock.patch.object(runner, "say"):
            tally.add("ok", "7.2 packed", "a.b")
            tally.add("skip", "7.2 packed", "a.c", text="why")
        self.assertEqual(tally.closing(), "1 passed, 0 failed, 1 skipped")

    def test_the_rest_is_estimated(self):
        tally, said = runner.Tally(10), []
        with mock.patch.object(runner, "say", said.append):
            tally.add("ok", "7.2", "build", 500)
            tally.begin()
            tally.start -= 100
            tally.told -= 100
            for _ in range(4):
                tally.add("ok", "7.2", "a.b", 25)
        self.assertEqual([line for line in said if "rest" in line],
                         ["test: 5 of 10, the rest takes about 2 min"])

    def test_results_for_programs(self):
        cases = [results.Case("7.2 packed", "a.b", "ok", 1.25),
                 results.Case("7.2 packed", "a.c", "FAIL", 2, "lost\x1b[0m\n  logs: /x"),
                 results.Case("7.2 mq", "a.d", "skip", 0, "why")]
        with tempfile.NamedTemporaryFile() as file:
            results.write_junit(file.name, cases)
            suite = xml.parse(file.name).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("skipped")),
                         ("3", "1", "1"))
        self.assertEqual(suite[1][0].get("message"), "lost?[0m")
        self.assertEqual(suite[2][0].get("message"), "why")

    def test_a_failure_names_the_line_of_the_test(self):
        with tempfile.TemporaryDirectory() as directory, \
                mock.patch.object(runner, "SELFTESTS", Path(directory)):
            path = Path(directory) / "some.py"
            path.write_text("def outer(f):\n    inner(f)\n\n\ndef inner(f):\n    f()\n")
            code = {}
            exec(compile(path.read_text(), str(path), "exec"), code)

            def broken():
                raise net.CommandFailed("guest: 'x' ended with status 1")

            try:
                code["outer"](broken)
            except net.CommandFailed as error:
                self.assertEqual(runner.explain(error),
                                 "guest: 'x' ended with status 1 (some.py:2, some.py:6)")

    def test_the_last_commands_are_told(self):
        with tempfile.TemporaryDirectory() as directory:
            noted = transcript.Transcript(Path(directory) / "log", iter(range(100)).__next__)
            for number in range(10):
                noted.note("guest", f"echo {number}\n", "status 0")
            self.assertEqual(len(noted.last()), transcript.SHOWN)
            self.assertEqual(noted.last()[-1], "   10.00 guest echo 9 -> status 0")
            self.assertEqual(len(noted.path.read_text().splitlines()), 10)

    def test_discovered_tests_are_documented(self):
        tests = runner.discover()
        self.assertTrue(tests)
        for test in tests:
            self.assertTrue(test.func.__doc__, test.name)


class Patience(unittest.TestCase):
    """A limit means "hangs", not "this machine is slow"."""

    def passed(self, elapsed, waited):
        now = itertools.chain((0,), itertools.repeat(elapsed))
        with mock.patch.object(patience, "delays", side_effect=[{"1": 5.0}, {"1": 5.0 + waited}]):
            return patience.Deadline(10, [1], lambda: next(now)).passed()

    def test_idle_machine(self):
        self.assertFalse(self.passed(9.9, 0))
        self.assertTrue(self.passed(10.1, 0))

    def test_busy_machine(self):
        self.assertFalse(self.passed(39, 30))
        self.assertTrue(self.passed(41, 30))

    def test_not_for_ever(self):
        self.assertTrue(self.passed(201, 10000))

    def test_threads_that_come_and_go(self):
        with mock.patch.object(patience, "delays", side_effect=[{"1": 5.0, "2": 1.0},
                                                                {"2": 3.0, "3": 1.5}]):
            self.assertEqual(patience.Deadline(10, [1]).waited(), 2.0)

    def test_a_process_that_is_gone(self):
        self.assertEqual(patience.delays(2 ** 22 + 1), {})
        self.assertTrue(patience.delays(os.getpid()))


class HostSide(unittest.TestCase):
    def setUp(self):
        self.ns = net.HostNs()
        self.addCleanup(self.ns.close)

    def test_run(self):
        result = self.ns.run("echo out; echo err >&2; exit 3", check=False)
        self.assertEqual((result.status, result.out, result.err), (3, "out\n", "err\n"))
        with self.assertRaisesRegex(net.CommandFailed, "status 3"):
            self.ns.run("exit 3")

    def test_time_out_ends_the_whole_group(self):
        with self.assertRaises(net.TimedOut):
            self.ns.run("sleep 987 & sleep 987", timeout=0.5)
        out = self.ns.run("pgrep -f '[s]leep 987'; true").out
        self.assertEqual(out, "")

    def test_daemons_end_with_the_name_space(self):
        daemon = self.ns.serve("socat TCP-LISTEN:5000,fork PIPE", 5000)
        self.assertTrue(daemon.running())
        self.ns.close()
        self.assertFalse(daemon.running())

    def test_server_that_ends_at_once(self):
        with self.assertRaisesRegex(net.CommandFailed, "ended at once"):
            self.ns.serve("exit 4", 5000)


class GuestThatDoesNotBoot(unittest.TestCase):
    def enter(self, *outcomes):
        guest = Guest(kernels.Kernel("7.2", "7.2.1", Path("/x")), profiles.get("packed"), "/tmp/x")
        with mock.patch.object(Guest, "boot", side_effect=outcomes) as boot, \
                mock.patch.object(Guest, "close"), mock.patch("lab.guest.say"):
            try:
                with guest:
                    return "up", boot.call_count
            except GuestDied as error:
                return str(error), boot.call_count

    def test_is_started_once_more(self):
        self.assertEqual(self.enter(NotUp("slow"), None), ("up", 2))
        self.assertEqual(self.enter(NotUp("slow"), NotUp("again"), None), ("again", 2))

    def test_that_ended_is_not(self):
        self.assertEqual(self.enter(GuestDied("panic"), None), ("panic", 1))


class GuestArguments(unittest.TestCase):
    def test_arguments_follow_the_profile(self):
        kernel = kernels.Kernel("7.2", "7.2.1", Path("/boot/x"))
        guest = Guest(kernel, profiles.get("packed"), "/tmp/x")
        guest.host_ns = SimpleNamespace(add_tap=lambda queues, mtu: "tap0")
        args = " ".join(guest.netdev(0))
        self.assertIn("packed=on", args)
        self.assertIn("virtio-net-pci", args)
        guest = Guest(kernel, profiles.get("mmio"), "/tmp/x")
        guest.host_ns = SimpleNamespace(add_tap=lambda queues, mtu: "tap0")
        self.assertIn("virtio-net-device", " ".join(guest.netdev(0)))
        with mock.patch("lab.initramfs.make", return_value=Path("/x")):
            self.assertIn("microvm", " ".join(guest.machine_args()))


if __name__ == "__main__":
    unittest.main()
