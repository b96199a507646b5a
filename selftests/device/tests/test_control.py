# SPDX-License-Identifier: GPL-2.0
"""The control queue: state, refusals, log, faults."""

import struct
import unittest

from .. import wire
from .driver import NetDriver
from .test_model import ALL


class Commands(unittest.TestCase):
    def setUp(self):
        self.nic = NetDriver(ALL, pairs=2)
        self.control = self.nic.model.control

    def ok(self, name, data=b"", room=64):
        status, reply = self.nic.command(name, data, room)
        self.assertEqual(status, 0, self.nic.model.events[-1])
        return reply

    def refused(self, name, data=b"", room=64):
        self.assertEqual(self.nic.command(name, data, room)[0], 1)
        self.assertIn("bad-command", self.nic.violations())

    def test_every_command_needs_its_feature(self):
        nic = NetDriver(["VERSION_1", "CTRL_VQ"])
        for number in wire.COMMANDS:
            self.assertEqual(nic.command(number, bytes(8))[0], 1)
        self.assertEqual(nic.model.control.commands_ok, 0)

    def test_log_has_the_bytes(self):
        self.ok("mac.addr", b"\x52\1\2\3\4\5")
        entry = self.nic.model.events[-1]
        self.assertEqual((entry["kind"], entry["class"], entry["cmd"],
                          entry["data"], entry["status"]),
                         ("ctrl", 1, 1, "520102030405", 0))
        self.assertEqual(entry["decoded"], {"mac": "52:01:02:03:04:05"})

    def test_unknown(self):
        self.refused((77, 1))

    def test_mac(self):
        self.refused("mac.addr", b"\x53\1\2\3\4\5")
        self.refused("mac.addr", b"\x52\1\2\3\4")
        self.refused("mac.table", bytes(4))
        self.refused("mac.table", struct.pack("<I", 2) + bytes(10))
        self.refused("mac.table", bytes(9))
        self.ok("mac.table", bytes(8))

    def test_vlan(self):
        self.ok("vlan.add", b"\xff\x0f")
        self.refused("vlan.add", b"\0\x10")
        self.ok("vlan.del", b"\xff\x0f")
        self.assertEqual(self.control.vlans, set())

    def test_pairs(self):
        self.ok("mq.pairs", b"\2\0")
        self.refused("mq.pairs", b"\0\0")
        self.refused("mq.pairs", b"\3\0")

    def rss(self, table=(0, 1), types=1, unclassified=0, tx=2, key=b"k" * 40,
            keylen=None, mask=None):
        return struct.pack(
            f"<IHH{len(table)}HHB", types,
            len(table) - 1 if mask is None else mask, unclassified, *table,
            tx, len(key) if keylen is None else keylen) + key

    def test_rss(self):
        self.ok("mq.rss", self.rss())
        self.assertEqual(self.control.rss["table"], [0, 1])
        for bad in (self.rss(table=(0, 1, 0)), self.rss(table=(0, 2)),
                    self.rss(types=1 << 20), self.rss(key=b"k" * 41),
                    self.rss(tx=0), self.rss(unclassified=2),
                    self.rss(mask=500), self.rss(keylen=41)):
            self.refused("mq.rss", bad)
        self.nic.model.violations.clear()
        self.ok("mq.rss", self.rss(key=b"k" * 41, keylen=40))
        self.assertEqual(self.nic.violations(), ["trailing-bytes"])

    def test_hash(self):
        self.ok("mq.hash", struct.pack("<I8sB", 7, bytes(8), 40) + bytes(40))
        self.assertEqual(self.nic.violations(), [])
        self.ok("mq.hash", struct.pack("<I8sB", 7, b"\1" * 8, 0))
        self.assertEqual(self.nic.violations(), ["reserved-not-zero"])

    def test_tunnel_types(self):
        self.ok("hash.tunnel", struct.pack("<I", 0x1ff))
        self.refused("hash.tunnel", struct.pack("<I", 0x200))

    def test_rss_contexts(self):
        self.assertEqual(self.ok("rss_ctx.cap"), b"\x08\0")
        self.ok("rss_ctx.add", struct.pack("<H6x", 3) + self.rss())
        self.refused("rss_ctx.add", struct.pack("<H6x", 3) + self.rss())
        self.refused("rss_ctx.add", struct.pack("<H6x", 9) + self.rss())
        self.refused("mq.pairs", b"\1\0")
        self.ok("rss_ctx.mod", struct.pack("<H6x", 3) + self.rss((1, 1)))
        self.assertEqual(self.control.rss_contexts[3]["table"], [1, 1])
        self.ok("rss_ctx.del", struct.pack("<H6x", 3))
        self.refused("rss_ctx.del", struct.pack("<H6x", 3))

    def test_offloads(self):
        self.ok("offloads.set", struct.pack("<Q", 1 << 1 | 1 << 7))
        self.refused("offloads.set", struct.pack("<Q", 1 << 59))
        self.refused("offloads.set", struct.pack("<Q", 1 << 8))

    def test_coalescing(self):
        self.ok("coal.rx", struct.pack("<II", 5, 50))
        self.ok("coal.vq_set", struct.pack("<HHII", 2, 0, 7, 70))
        self.assertEqual(self.ok("coal.vq_get", struct.pack("<HH", 2, 0)),
                         struct.pack("<II", 7, 70))
        self.assertEqual(self.ok("coal.vq_get", struct.pack("<HH", 0, 0)),
                         struct.pack("<II", 5, 50))
        self.nic.model.reset_queue(2)
        self.nic.model.enable_queue(2)
        self.assertEqual(self.ok("coal.vq_get", struct.pack("<HH", 2, 0)),
                         struct.pack("<II", 5, 50))
        self.refused("coal.vq_set", struct.pack("<HHII", 4, 0, 7, 70))
        self.refused("coal.vq_set", struct.pack("<HHII", 9, 0, 7, 70))

    def test_statistics(self):
        caps, = struct.unpack("<Q", self.ok("stats.query"))
        self.assertTrue(caps >> 32 & 1)
        self.nic.send(bytes(60))
        reply = self.ok("stats.get", struct.pack("<H6xQ", 1, 1 << 16))
        self.assertEqual(struct.unpack_from("<BBHHHQQ", reply),
                         (16, 0, 1, 0, 56, 1, 1))
        self.refused("stats.get", struct.pack("<H6xQ", 0, 1 << 16))
        self.refused("stats.get", bytes(15))
        self.refused("stats.get", struct.pack("<H6xQ", 1, 1 << 60))
        self.refused("stats.get", struct.pack("<H6xQ", 99, 1 << 16))
        self.assertEqual(len(self.ok(
            "stats.get", struct.pack("<H6xQ", 1, 1 << 16), room=9)), 9)
        cvq = self.ok("stats.get", struct.pack("<H6xQ", 4, 1 << 32))
        _, _, _, _, size, commands, fine = struct.unpack("<BBHHHQQ", cvq)
        self.assertEqual((size, commands, fine), (24, 8, 4))

    def test_statistics_need_features(self):
        nic = NetDriver(["default", "DEVICE_STATS"])
        self.assertEqual(nic.command("stats.get", struct.pack(
            "<H6xQ", 1, 1 << 18))[0], 1)

    def test_announce(self):
        self.nic.model.announce()
        self.assertEqual(self.nic.model.link, 3)
        self.ok("announce.ack")
        self.assertEqual(self.nic.model.link, 1)

    def test_short_chain(self):
        self.nic.queues["cvq"].add(out=[(self.nic.memory.take(16), 1)])
        self.nic.kick("cvq")
        self.assertEqual(self.nic.violations(), ["short-control-chain"])


class Faults(unittest.TestCase):
    def setUp(self):
        self.nic = NetDriver(ALL)
        self.add = self.nic.model.faults.add

    def test_refuse(self):
        self.add({"cmd": "rx.promisc", "action": "refuse", "count": 1})
        self.assertEqual(self.nic.command("rx.promisc", b"\0")[0], 1)
        self.assertEqual(self.nic.model.control.rx["promisc"], 1)
        self.assertEqual(self.nic.command("rx.promisc", b"\0")[0], 0)

    def test_refuse_but_apply(self):
        self.add({"cmd": [0, 0], "action": "refuse", "apply": True,
                  "status": 0xfe})
        self.assertEqual(self.nic.command("rx.promisc", b"\0")[0], 0xfe)
        self.assertEqual(self.nic.model.control.rx["promisc"], 0)

    def test_never_and_release(self):
        self.add({"cmd": "*", "action": "never", "count": 1})
        answer = self.nic.give_command((0, 0), b"\0")
        self.assertEqual(self.nic.queues["cvq"].used(), [])
        self.assertEqual(self.nic.memory.guest.read(answer, 1), b"\xee")
        cvq = self.nic.model.queue_of("cvq")
        self.assertEqual(self.nic.model.release(cvq), 1)
        self.assertEqual(len(self.nic.queues["cvq"].used()), 1)
        self.assertEqual(self.nic.memory.guest.read(answer, 1), b"\0")

    def test_delay(self):
        self.add({"cmd": [0, "*"], "action": "delay", "seconds": 5})
        self.nic.give_command((0, 0), b"\0")
        self.nic.vehicle.run(4)
        self.assertEqual(self.nic.queues["cvq"].used(), [])
        self.nic.vehicle.run(2)
        self.assertEqual(len(self.nic.queues["cvq"].used()), 1)

    def test_answer_overrides(self):
        self.add({"cmd": "stats.get", "action": "answer", "reply": "00" * 8,
                  "used_len": 1 << 20, "used_id": 11, "twice": True})
        self.nic.give_command((8, 1), struct.pack("<H6xQ", 1, 1 << 16))
        self.assertEqual(self.nic.queues["cvq"].used(),
                         [(11, 1 << 20), (11, 1 << 20)])

    def test_skip(self):
        self.add({"cmd": "rx.promisc", "action": "refuse", "skip": 1})
        self.assertEqual([self.nic.command("rx.promisc", b"\0")[0]
                          for _ in range(3)], [0, 1, 1])

    def test_bad_rules(self):
        for rule in ({"action": "never"}, {"cmd": "foo", "action": "never"},
                     {"cmd": [1], "action": "never"},
                     {"cmd": "*", "action": "foo"},
                     {"queue": "rx0", "action": "never"},
                     {"device": "foo", "action": "stuck"},
                     {"device": "bus", "action": "stuck"},
                     {"cmd": "*", "queue": "rx0", "action": "never"}):
            with self.assertRaises(ValueError):
                self.add(rule)


if __name__ == "__main__":
    unittest.main()
