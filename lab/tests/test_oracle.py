# SPDX-License-Identifier: GPL-2.0
"""The oracle around every test: what it sees, and what it lets pass."""

import subprocess
import unittest
from types import SimpleNamespace
from unittest import mock

from lab import SetupError, api, net, oracle, transcript

STRINGS = """NIC statistics:
     rx_packets: 12
     rx_drops: 0
     rx0_drops: 0
     lost_notifications: 0
     tx_purged: 0
"""


def text(strings=STRINGS, nic="eth0", mtu=1500, log="", channels="Combined: 2", extra=""):
    """What a look prints."""
    settings = "\n".join(f"=== {name}\n{value}" for name, value in (
        ("link", f"3: {nic}: <BROADCAST,UP,LOWER_UP> mtu {mtu} qdisc mq state UP mode DEFAULT\n"
                 f"    parentbus virtio parentdev virtio1"),
        ("-L", f"Channel parameters for {nic}:\n{channels}"), ("sysctl", "ipv4/tcp_ecn 2")))
    interface = f"=== counters\n{strings}{settings}\n" if nic else ""
    return f"=== nic\n{nic}\n{interface}{extra}=== log\n{log}\n=== end\n100.5\n"


class Env:
    """A guest that answers what it is told to."""

    def __init__(self, *looks, driver="vnet", device=None, says=()):
        self.looks = list(looks)
        self.guest = SimpleNamespace(launch=self.launch, judged=0.0, alive=lambda: True,
                                     transcript=transcript.Transcript("/dev/null"))
        self.driver, self.device, self.peer = driver, device, None
        self.profile = SimpleNamespace(says=says)
        self.virtio, self.mac, self.allow = "virtio1", "52:54:00:99:00:01", {}

    def launch(self, _command):
        return SimpleNamespace(wait=lambda _: SimpleNamespace(out=self.looks.pop(0)))


@mock.patch.dict("os.environ", VNET_ORACLE="")
def judge(*looks, moves=(), changes=(), says=(), then=None, **options):
    """What the oracle says of a test that begins and ends with these looks."""
    env = Env(*looks, **options)
    test = SimpleNamespace(name="a.b", up=True, moves=moves, changes=changes, says=says)
    judge_of = oracle.Oracle()
    judge_of.begin(env, test)
    if then:
        then(env)
    return judge_of.end(env, test)


class Oracle(unittest.TestCase):
    HEALED = STRINGS.replace("notifications: 0", "notifications: 3")

    def test_nothing_moved(self):
        self.assertEqual(judge(text(), text(STRINGS.replace("12", "900"))), [])

    def test_what_was_healed(self):
        found = judge(text(), text(self.HEALED))
        self.assertEqual(len(found), 1)
        self.assertIn("{'lost_notifications': 3}", found[0])
        self.assertEqual(judge(text(), text(self.HEALED), moves=["lost_*"]), [])
        self.assertTrue(judge(text(), text(self.HEALED), moves=["heal_*"]))

    def test_what_is_only_told(self):
        for mode, count in (("", 2), ("strict", 2), ("counters", 1), ("tell", 0)):
            env, judge_of = Env(text(), text(self.HEALED, mtu=1400)), oracle.Oracle()
            test = SimpleNamespace(name="a.b", up=True, moves=(), changes=(), says=())
            judge_of.begin(env, test)
            said = []
            with mock.patch.object(oracle, "say", said.append), \
                    mock.patch.dict("os.environ", VNET_ORACLE=mode):
                self.assertEqual(len(judge_of.end(env, test)), count, mode)
            self.assertEqual(len(said), 2 - count, mode)

    def test_declared_within_the_test(self):
        self.assertEqual(judge(text(), text(self.HEALED),
                               then=lambda env: env.allow["moves"].append("lost_*")), [])

    def test_the_peer_counts_too(self):
        peer = "=== peer\n" + self.HEALED
        self.assertIn("the peer's", judge(text(extra=peer), text(extra=peer))[0])

    def test_a_device_that_lied(self):
        lied, honest = (SimpleNamespace(touched=touched, told=()) for touched in (True, False))
        warned = text(self.HEALED, log="[   90.1] vnet virtio1 eth0: stalled")
        self.assertEqual(judge(text(), warned, device=lied), [])
        self.assertEqual(len(judge(text(), warned, device=honest)), 2)
        self.assertTrue(judge(text(), text(mtu=1400), device=lied), "settings survive all the same")

    def test_a_device_that_offers_other_features(self):
        other = SimpleNamespace(touched=False, told={"offer"})
        self.assertEqual(judge(text(), text(channels="Combined: 1"), device=other), [])
        self.assertEqual(len(judge(text(), text(self.HEALED), device=other)), 1)

    def test_settings(self):
        found = judge(text(), text(channels="Combined: 1", mtu=1400))
        self.assertEqual(len(found), 2)
        self.assertIn("-L: 'Combined: 2' became 'Combined: 1'", " ".join(found))
        self.assertEqual(judge(text(), text(channels="Combined: 1"), changes=["-L"]), [])

    def test_what_the_test_itself_has_asked_for(self):
        def asks(command):
            return lambda env: env.guest.transcript.note("guest", command, "status 0")

        other = text(channels="Combined: 1", mtu=1400)
        self.assertEqual(len(judge(text(), other, then=asks("ethtool -l eth0"))), 2)
        self.assertEqual(len(judge(text(), other, then=asks("ethtool -L eth0 combined 1"))), 1)
        self.assertEqual(judge(text(), other, then=asks(
            "ethtool -L eth0 combined 1; ip link set eth0 mtu 1400")), [])

    def test_bound_anew_an_interface_is_down(self):
        def binds(env):
            for word in ("unbind", "bind"):
                env.guest.transcript.note("guest", f"echo virtio1 > /sys/x/vnet/{word}", "status 0")

        down = text().replace(",UP", "").replace("qdisc mq", "qdisc noop")
        self.assertEqual(len(judge(text(), down)), 1)
        self.assertEqual(judge(text(), down, then=binds), [])
        self.assertEqual(len(judge(text(), text(channels="Combined: 1"), then=binds)), 1)

    def test_another_name_is_no_change(self):
        self.assertEqual(judge(text(), text(nic="eth7").replace("virtio1", "virtio9")), [])

    def test_the_interface_is_gone(self):
        self.assertEqual(judge(text(), text(nic="")), ["the interface is gone"])
        self.assertEqual(judge(text(), text(nic=""), changes=["nic"]), [])

    @mock.patch.dict("os.environ", VNET_ORACLE="")
    def test_warnings(self):
        old = "[    3.25] vnet virtio1 eth0: before the test\n[    4.0] other: x"
        old += "\n[    3.0] vnet: loading out-of-tree module taints kernel."
        new = old + "\n[    9.5] vnet virtio1: feature GUEST_TSO4 (7) contradicts\n" \
                    "[    9.6] virtio_net virtio0: output.0:id 9 is not a head!"

        def later(env):
            env.guest.judged = 5.0

        env = Env(text(log=old), text(log=old), text(log=new))
        test = SimpleNamespace(name="a.b", up=True, moves=(), changes=(), says=())
        judge_of = oracle.Oracle()
        later(env)
        judge_of.begin(env, test)
        self.assertEqual(judge_of.end(env, test), [])
        env.guest.judged = 5.0
        judge_of.begin(env, test)
        self.assertIn("contradicts, and 1 more lines", judge_of.end(env, test)[0])
        self.assertEqual(judge(text(), text(log=new), then=None,
                               says=["contradicts", "is not a head", "before"]), [])
        self.assertEqual(judge(text(), text(log=new), says=["is not a head", "before"])[0],
                         "the log warns: vnet virtio1: feature GUEST_TSO4 (7) contradicts")

    def test_tools_that_do_not_answer(self):
        self.assertIn("do not answer", judge(text(), "=== nic\neth0\n")[0])

    def test_another_driver_is_not_judged(self):
        self.assertEqual(judge(driver="virtio_net"), [])

    def test_the_script_is_a_shells(self):
        env = Env()
        env.peer = SimpleNamespace(nic="eth1")
        done = subprocess.run(["bash", "-n", "-c", oracle.script(env)], check=False)
        self.assertEqual(done.returncode, 0)

    def test_only_settings_that_exist_can_be_declared(self):
        with self.assertRaisesRegex(SetupError, "no settings -g"):
            api.test(changes=["-g"])


class Counters(unittest.TestCase):
    def test_parsed(self):
        self.assertEqual(oracle.counters(STRINGS)["rx_packets"], 12)
        self.assertEqual(oracle.counters("no stats available\n"), {})

    def test_what_counts_as_moved(self):
        values = {"rx_packets": 5, "rx_drops": 1, "rx_drop_runt": 1, "rx0_drops": 1, "stalls": 2,
                  "heal_kicks": 1, "tx_busy": 3, "ctrl_sent": 9, "rx_xdp_drops": 4}
        self.assertEqual(set(oracle.moved({"tx_busy": 3}, values)),
                         {"rx_drop_runt", "stalls", "heal_kicks"})


class Pings(unittest.TestCase):
    HEAD = "PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data.\n"

    def run_of(self, *numbers):
        return self.HEAD + "".join(f"64 bytes from 10.0.2.2: icmp_seq={n} ttl=64 time=0.5 ms\n"
                                   for n in numbers) + "\n3 packets transmitted\n"

    def test_all_answered(self):
        self.assertEqual(net.lost_pings(self.run_of(1, 2, 3), 3), "")
        self.assertEqual(net.lost_pings(self.run_of(2, 1, 3, 4), 3), "", "slow answers")
        self.assertEqual(net.lost_pings(self.run_of(1, 2) * 2, 2, 2), "")

    def test_a_hole_is_a_loss_though_later_ones_came(self):
        self.assertIn("number 1 of 3", net.lost_pings(self.run_of(2, 3, 4), 3))

    def test_twice(self):
        self.assertIn("twice", net.lost_pings(self.run_of(1, 2, 2, 3), 3))

    def test_no_run(self):
        self.assertIn("0 of 1 runs; ping: unknown host", net.lost_pings("ping: unknown host", 3))


class Undo(unittest.TestCase):
    def test_last_first_however_the_test_ends(self):
        env, done = SimpleNamespace(deferred=[]), []
        for number in (1, 2):
            api.Env.defer(env, done.append, number)
        api.Env.undo(env)
        self.assertEqual((done, env.deferred), ([2, 1], []))


if __name__ == "__main__":
    unittest.main()
