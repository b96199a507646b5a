# SPDX-License-Identifier: GPL-2.0
"""Unit tests of vnetctl and of the packages: what needs no device."""

import re
import sys
import tempfile
import time
import unittest
import warnings
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools/vnetctl"))

import capture  # noqa: E402
import checks  # noqa: E402
import claim  # noqa: E402
import managers  # noqa: E402
import move  # noqa: E402
import names  # noqa: E402
import report  # noqa: E402
import system  # noqa: E402

VERSION = (TOP / "VERSION").read_text(encoding="ascii").strip()


class Names(unittest.TestCase):
    FILES = {
        "etc/netplan/1.yaml": ("      driver: virtio_net", "driver: [virtio_net, vnet]"),
        "etc/systemd/network/a.network": ("Driver=virtio_net", "Driver=virtio_net vnet"),
        "etc/systemd/network/b.link.d/x.conf": ("Driver=virtio_net", "Driver=virtio_net vnet"),
        "etc/udev/rules.d/7.rules": ('DRIVERS=="virtio_net", NAME="x"',
                                     'DRIVERS=="virtio_net|vnet", NAME="x"'),
        "etc/NetworkManager/conf.d/c.conf": ("match-device=driver:virtio_net",
                                             "match-device=driver:virtio_net,driver:vnet"),
        "etc/NetworkManager/system-connections/e.nmconnection": ("driver=virtio_net;",
                                                                 "driver=virtio_net;vnet;"),
        "etc/cloud/cloud.cfg.d/9.cfg": ("driver: virtio_net", "driver: [virtio_net, vnet]"),
    }

    def test_found_with_a_mend_that_is_none(self):
        with tempfile.TemporaryDirectory() as temp:
            for name, (text, _) in self.FILES.items():
                path = Path(temp) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"# virtio_net driver:\n{text}\n", encoding="ascii")
            found = {match.path.removeprefix(f"{temp}/"): match for match in names.search(temp)}
            self.assertEqual(set(found), set(self.FILES))
            for name, (_, mend) in self.FILES.items():
                self.assertEqual((found[name].line, found[name].mend), (2, mend))
                Path(temp, name).write_text(mend + "\n", encoding="ascii")
            self.assertEqual(names.search(temp), [])

    def test_what_netplan_makes_follows_its_own_files(self):
        files = {"etc/netplan/1.yaml": "driver: virtio_net",
                 "run/systemd/network/10-netplan-lab.network": "Driver=virtio_net",
                 "run/udev/rules.d/90-netplan.rules": 'ENV{ID_NET_DRIVER}=="virtio_net"'}
        with tempfile.TemporaryDirectory() as temp:
            for name, text in files.items():
                path = Path(temp) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"[Match]\n{text}\n", encoding="ascii")
            yaml = Path(temp) / "etc/netplan/1.yaml"
            self.assertEqual([match.path for match in names.search(temp)], [str(yaml)])
            self.assertEqual(names.fix(temp), [])
            yaml.write_text("driver: [virtio_net, vnet]\n", encoding="ascii")
            found = names.search(temp)
            self.assertEqual(len(found), 2)
            self.assertEqual({(match.how, match.mend) for match in found},
                             {("run", "netplan apply")})

    def test_drop_ins_of_networkd(self):
        with tempfile.TemporaryDirectory() as temp:
            for name, text in (("etc/systemd/network/a.network", "Driver=virtio_net"),
                               ("run/systemd/network/n.network", "Driver=!virtio_net veth"),
                               ("etc/systemd/network/b.link.d/x.conf", "Driver=virtio_net"),
                               ("etc/netplan/1.yaml", "driver: virtio_net")):
                path = Path(temp) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"[Match]\n{text}\n", encoding="ascii")
            etc = Path(temp) / "etc/systemd/network"
            self.assertEqual(sorted(names.fix(temp)), [
                f"{etc}/{name}.d/99-vnet.conf" for name in ("a.network", "b.link", "n.network")])
            for name, text in (("a.network", "vnet"), ("n.network", "!vnet"), ("b.link", "vnet")):
                self.assertIn(f"[Match]\nDriver={text}\n",
                              (etc / f"{name}.d/99-vnet.conf").read_text(encoding="ascii"))
            # netplan's own file is its owner's to change
            self.assertEqual([match.path for match in names.search(temp)],
                             [f"{temp}/etc/netplan/1.yaml"])
            self.assertEqual(names.fix(temp), [])

    def test_forbidden(self):
        with tempfile.TemporaryDirectory() as temp:
            for name, text in (("etc/modprobe.d/a.conf", "options loop max_part=8\n"
                                                         "blacklist virtio_net\nblacklist foo\n"),
                               ("etc/modprobe.d/b.conf", "install virtio-net /bin/false\n"),
                               ("etc/modprobe.d/c.conf", "# blacklist virtio_net\nblacklist vnet\n"
                                                         "blacklist virtio_net_failover\n"
                                                         "softdep virtio_net pre: vnet\n"),
                               ("usr/lib/modprobe.d/d.conf", "  blacklist   virtio-net \n")):
                path = Path(temp) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="ascii")
            self.assertEqual([(match.path.removeprefix(f"{temp}/"), match.line)
                              for match in names.forbidden(temp)],
                             [("etc/modprobe.d/a.conf", 2), ("etc/modprobe.d/b.conf", 1),
                              ("usr/lib/modprobe.d/d.conf", 1)])
            etc = Path(temp) / "etc/modprobe.d"
            self.assertEqual(names.allow(temp), [str(etc / "a.conf"), str(etc / "b.conf")])
            self.assertEqual((etc / "a.conf").read_text(encoding="ascii"),
                             "options loop max_part=8\n# blacklist virtio_net\nblacklist foo\n")
            # a package's file is not the administrator's
            self.assertEqual([match.path for match in names.forbidden(temp)],
                             [f"{temp}/usr/lib/modprobe.d/d.conf"])

    def test_forbidden_by_the_boot_loader(self):
        for line, wanted in (("quiet modprobe.blacklist=psmouse,virtio_net", 1),
                             ("module_blacklist=virtio-net ro", 1), ("virtio_net.x=1", 0),
                             ("module_blacklist=vnet", 0)):
            with mock.patch.object(checks, "read", lambda path, line=line: line):
                self.assertEqual(len(list(checks.boot_line())), wanted, line)


class Masks(unittest.TestCase):
    def test_addresses_go_and_others_stay(self):
        text = ("52:54:00:99:00:01 10.99.0.2/24 2001:db8::1/64 fe80::5054:ff:fe99:1 "
                "0000:01:00.0 7.3.4+deb13 12:30:59 127.0.0.1 10.99.0.2")
        masked = report.Masks(False)(text)
        self.assertEqual(masked, "<mac-1> <ip4-1>/24 <ip6-1>/64 <ip6-2> 0000:01:00.0 7.3.4+deb13 "
                                 "12:30:59 127.0.0.1 <ip4-1>")
        self.assertEqual(report.Masks(True)(text), text)


class Routes(unittest.TestCase):
    SHOWN = {"-4": "default via 10.0.0.1 proto dhcp src 10.0.0.2 metric 100 linkdown\n"
                   "10.0.0.0/24 proto kernel scope link src 10.0.0.2\n"
                   "local 10.0.0.2 table local proto kernel scope host src 10.0.0.2\n",
             "-6": "2001:db8::/64 proto ra metric 100 expires 86000sec pref medium\n"
                   "fe80::/64 proto kernel metric 256 pref medium\n"}

    def test_neighbours_first(self):
        with mock.patch.object(capture, "output", lambda _, family, *rest: self.SHOWN[family]):
            self.assertEqual(capture.routes("e0"), [
                "route replace 10.0.0.0/24 proto kernel scope link src 10.0.0.2 dev e0",
                "route replace 2001:db8::/64 proto ra metric 100 expires 86000 pref medium dev e0",
                "route replace default via 10.0.0.1 dev e0 proto dhcp src 10.0.0.2 metric 100"])


class Features(unittest.TestCase):
    def test_one_that_is_several_is_left_out(self):
        said = {"ifname": "e0",
                "tcp-segmentation-offload": {"active": True, "fixed": None, "requested": None},
                "tx-tcp-segmentation": {"active": True, "fixed": False, "requested": True},
                "tx-tcp-mangleid-segmentation": {"active": False, "fixed": False,
                                                 "requested": False},
                "highdma": {"active": True, "fixed": True, "requested": False}}
        with mock.patch.object(capture, "answer",
                               lambda *words: [said] if "-k" in words else []):
            found = capture.ethtool("e0")
        self.assertEqual(capture.ethtool_lines("e0", found), [
            "ethtool -K e0 tx-tcp-mangleid-segmentation off tx-tcp-segmentation on"])


class Hops(unittest.TestCase):
    def test_whoever_is_logged_in(self):
        routes = {"192.0.2.9": {"dev": "e0", "gateway": "10.0.0.1"}, "10.0.0.7": {"dev": "e0"},
                  "fd00::7": {"dev": "e0"}, "127.0.0.1": {"dev": "lo"}}
        with mock.patch.object(move, "answer", lambda *words: [routes[words[-1]]]):
            for client, hops in (("192.0.2.9", [("-4", "10.0.0.1")]), ("127.0.0.1", []),
                                 ("10.0.0.7", [("-4", "10.0.0.7")]), ("", []),
                                 ("fd00::7", [("-6", "fd00::7")])):
                with mock.patch.dict(move.os.environ, SSH_CONNECTION=f"{client} 50000 10.0.0.2 22"):
                    self.assertEqual(move.ssh_hop("e0"), hops)


class Managers(unittest.TestCase):
    def test_connections_of_network_manager(self):
        self.addCleanup(mock.patch.stopall)
        mock.patch.object(managers, "have", lambda program: True).start()
        mock.patch.object(managers.Path, "is_dir", lambda path: True).start()
        for state, found in (("100 (connected)", True), ("50 (connecting (starting IP))", True),
                             ("100 (connected (externally))", False), ("10 (unmanaged)", False),
                             ("20 (unavailable)", False), ("", False)):
            said = {"GENERAL.STATE": state, "GENERAL.CON-UUID": "a-b"}
            with mock.patch.object(managers, "output", lambda *words, **_: said[words[2]] + "\n"):
                manager = managers.network_manager("e0")
            self.assertEqual(bool(manager), found, state)
            if found:
                self.assertEqual(manager.commands[0][2:], ("up", "uuid", "a-b", "ifname", "e0"))


class Claim(unittest.TestCase):
    def test_verdicts(self):
        with tempfile.TemporaryDirectory() as temp, \
                mock.patch.object(claim, "STATE", Path(temp)), \
                mock.patch.object(claim, "what", return_value="1:k"), \
                mock.patch.object(claim, "boot_id", return_value="now"):
            for text, objected in (("trying 1:k now", False), ("trying 1:k before", True),
                                   ("bad 1:k before", True), ("bad 1:k now", True),
                                   ("good 1:k before", False), ("bad 0:k before", False),
                                   ("trying 1:j before", False), ("", False), ("x", False)):
                (Path(temp) / "e0").write_text(text + "\n", encoding="ascii")
                self.assertEqual(bool(claim.objection("e0")), objected, text)


class Boot(unittest.TestCase):
    """What is written when, with a device that exists on paper."""

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.top = Path(temp.name)
        self.list = self.top / "claim"
        self.list.write_text("# mine\ne0  # the uplink\n", encoding="ascii")
        self.driver, self.boot, self.done, self.trouble = "virtio_net", "one", [], ""
        before = mock.Mock(manager=None)
        before.write = lambda driver, own=True: f"to-{driver}"
        for target, name, value in (
                (claim, "LIST", self.list), (claim, "STATE", self.top / "boot"),
                (claim, "MOTD", self.top / "motd.d/vnet"), (claim, "HOOKS", self.top / "hooks"),
                (claim, "find", lambda word: system.Nic("virtio9", word, self.driver)),
                (claim, "load", lambda driver: None), (claim, "run", self.script),
                (claim, "nic_of_bus", lambda bus: system.Nic(bus, "e0", self.driver)),
                (claim, "boot_id", lambda: self.boot), (claim, "what", lambda: "1:k"),
                (claim, "trouble_of", lambda name: self.trouble),
                (claim, "every", lambda: [system.Nic("virtio9", "e0", self.driver)]),
                (claim.names, "forbidden", lambda: []),
                (claim.checks, "root_over_network", lambda: ""),
                (move.capture, "Capture", lambda nic: before),
                (move, "look_before", lambda nic: before), (move, "transfer", self.transfer)):
            patch = mock.patch.object(target, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        for name in ("say", "warn"):
            mock.patch.object(claim, name).start()
        self.addCleanup(mock.patch.stopall)

    def script(self, *command, **_):
        if command[0] in ("udevadm", "modprobe"):
            self.driver = self.driver or "virtio_net"
            return 0, "", ""
        self.done.append(command[-1])
        self.driver = command[-1].removeprefix("to-")
        return 0, "", ""

    def transfer(self, nic, before, driver):
        self.done.append(f"transfer, {self.state()}")
        self.driver = "" if self.trouble else driver
        return self.trouble

    def state(self):
        return claim.verdict("e0")[0]

    def test_good(self):
        claim.boot()
        self.assertEqual(self.done, ["transfer, trying"])   # on the disk before the bind
        claim.health()
        self.assertEqual((self.state(), self.driver), ("good", "vnet"))
        self.boot, self.driver = "two", "virtio_net"
        claim.boot()
        self.assertEqual(self.driver, "vnet")

    def test_refused_by_vnet(self):
        self.trouble = "vnet does not take virtio9"
        claim.boot()
        self.assertEqual((self.state(), self.driver), ("bad", "virtio_net"))
        self.assertIn("does not take", (self.top / "motd.d/vnet").read_text())

    def test_nobody_has_loaded_virtio_net(self):
        self.driver = ""
        claim.boot()
        self.assertEqual((self.done, self.driver), (["transfer, trying"], "vnet"))

    def test_no_network(self):
        claim.boot()
        self.trouble = "e0 has no carrier"
        claim.health()
        self.assertEqual((self.state(), self.driver), ("bad", "virtio_net"))
        self.boot, self.trouble, self.done = "two", "", []
        claim.boot()
        self.assertEqual((self.done, self.driver), ([], "virtio_net"))
        self.assertIn("did not bring e0 up", (self.top / "motd.d/vnet").read_text())
        claim.retry()
        claim.boot()
        self.assertEqual(self.driver, "vnet")

    def test_a_boot_without_an_end(self):
        claim.boot()
        self.boot, self.driver, self.done = "two", "virtio_net", []
        claim.boot()
        self.assertEqual((self.done, self.driver), ([], "virtio_net"))
        claim.health()  # nothing was tried in this boot: no verdict
        self.assertEqual(self.state(), "trying")


class DeadMan(unittest.TestCase):
    """The real script, with a way back that only leaves a mark."""

    def setUp(self):
        warnings.simplefilter("ignore", ResourceWarning)   # nobody waits for him
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.directory = Path(temp.name)
        self.nic = mock.Mock(bus="virtio9", directory=self.directory)
        self.nic.name = "e0"
        self.back = self.directory / "back.sh"
        self.back.write_text(f"echo x >> {self.directory}/back\n", encoding="ascii")
        for name, value in (("systemd", lambda: False),
                            ("DEAD_MAN", move.DEAD_MAN.replace("/dev/kmsg", "/dev/null"))):
            patch = mock.patch.object(move, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def undone(self, seconds=0.0):
        """Has the way back run, at the latest after so long?"""
        end = time.monotonic() + seconds
        while not (self.directory / "back").exists() and time.monotonic() < end:
            time.sleep(0.05)
        return (self.directory / "back").exists()

    def test_nobody_confirms(self):
        move.arm(self.nic, self.back, "virtio_net", 1)
        self.assertIn("otherwise back to virtio_net", move.waiting(self.nic))
        self.assertTrue(self.undone(30))
        self.assertIn("went back to virtio_net", move.waiting(self.nic))
        self.assertFalse(move.disarm(self.nic))
        self.assertEqual(list(self.directory.glob("dead-man.*")), [])

    def test_who_is_too_late_waits_for_him(self):
        self.back.write_text(f"sleep 1; echo x >> {self.directory}/undone-by\n", encoding="ascii")
        move.arm(self.nic, self.back, "virtio_net", 1)
        while not (self.directory / "fired").exists():
            time.sleep(0.05)
        move.go_back(self.nic, self.back)
        self.assertEqual((self.directory / "undone-by").read_text(encoding="ascii"), "x\n")

    def test_confirmed_from_elsewhere(self):
        move.arm(self.nic, self.back, "virtio_net", 30)
        before = mock.Mock(manager=None)
        with mock.patch.object(move, "ask", lambda seconds: not move.disarm(self.nic)), \
                mock.patch.object(move.os, "isatty", lambda fd: True), \
                mock.patch.object(move, "say") as say:
            move.decide(self.nic, self.back, before, 30, False, True)
        say.assert_called_once_with("e0 stays")
        self.assertFalse(self.undone())

    def test_confirmed_and_a_later_switch(self):
        move.arm(self.nic, self.back, "virtio_net", 2)
        time.sleep(1)   # he sleeps already
        self.assertTrue(move.disarm(self.nic))
        move.arm(self.nic, self.back, "vnet", 10)
        self.assertFalse(self.undone(3))
        self.assertIn("otherwise back to vnet", move.waiting(self.nic))
        self.assertTrue(move.disarm(self.nic))
        self.assertEqual(move.waiting(self.nic), "")


class Packages(unittest.TestCase):
    def test_one_version(self):
        first = (TOP / "debian/changelog").read_text(encoding="ascii").splitlines()[0]
        self.assertEqual(re.search(r"\((.*)-\d+\)", first)[1], VERSION)
        self.assertIn(f"\n## {VERSION}\n", (TOP / "CHANGELOG.md").read_text(encoding="utf-8"))

    def test_kernels_of_dkms_are_those_of_make(self):
        text = (TOP / "dkms.conf.in").read_text(encoding="ascii")
        pattern = re.compile(re.search(r'EXCLUSIVE_KERNEL="(.*)"', text)[1])
        for release, wanted in (("6.1.0-53-amd64", False), ("6.11.9", False), ("6.12.95", True),
                                ("6.20.1", True), ("7.0.0", True), ("7.3-rc7", True),
                                ("10.1.2", True), ("5.15.0", False)):
            self.assertEqual(bool(pattern.search(release)), wanted, release)


if __name__ == "__main__":
    unittest.main()
