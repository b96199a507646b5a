# SPDX-License-Identifier: GPL-2.0
"""The device model, driven without a bus."""

import struct
import unittest

from .. import packet, wire
from ..network import Answer, Reflect
from .driver import NetDriver

ALL = ["default", "MQ", "NOTF_COAL", "VQ_NOTF_COAL", "DEVICE_STATS", "RSS",
       "HASH_REPORT", "HASH_TUNNEL", "RSS_CONTEXT", "GUEST_TSO4", "HOST_TSO4"]
MAC = wire.mac_bytes("52:54:00:76:6e:01")
PEER = wire.mac_bytes("52:54:00:76:6e:fe")


def frame_to(mac=MAC, payload=b"data", port=9):
    return packet.udp_frame(mac, PEER, "192.0.2.1", "192.0.2.2", port, 7,
                            payload)


class Negotiation(unittest.TestCase):
    def test_good(self):
        nic = NetDriver()
        self.assertTrue(nic.model.live())
        self.assertEqual(nic.violations(), [])
        self.assertEqual([q.role for q in nic.model.queues],
                         ["rx0", "tx0", "cvq"])

    def test_unoffered_feature(self):
        nic = NetDriver(["VERSION_1", "MAC"],
                        accept=wire.features("VERSION_1", "MTU"))
        self.assertIn("unoffered-feature", nic.violations())
        self.assertFalse(nic.model.status & wire.STATUS_FEATURES_OK)

    def test_dependency(self):
        nic = NetDriver(["VERSION_1", "HOST_TSO4", "CSUM"],
                        accept=wire.features("VERSION_1", "HOST_TSO4"))
        self.assertIn("feature-dependency", nic.violations())

    def test_high_bits(self):
        nic = NetDriver(["default", "HOST_TSO4", "67", "127"])
        self.assertEqual(wire.header_length(nic.model.acked), 24)
        self.assertIn("127", nic.model.state()["acked_names"])

    def test_control_queue_place(self):
        """Without MQ the control queue is number 2 of five."""
        nic = NetDriver(["default", "MQ"], pairs=2,
                        accept=wire.features("VERSION_1", "CTRL_VQ"))
        self.assertEqual(nic.model.role(2), "cvq")
        nic = NetDriver(["default", "MQ"], pairs=2)
        self.assertEqual(nic.model.role(4), "cvq")

    def test_reset(self):
        nic = NetDriver()
        nic.command("rx.allmulti", b"\1")
        nic.model.set_status(0)
        self.assertEqual(nic.model.control.rx["allmulti"], 0)
        self.assertFalse(nic.model.queues[0].enabled)
        nic.start()
        self.assertTrue(nic.model.live())

    def test_options_are_checked(self):
        for options in ({"nonsense": 1}, {"features": ["FOO"]},
                        {"config": {"foo": 1}}):
            with self.assertRaises(ValueError):
                NetDriver(**options)


class Config(unittest.TestCase):
    def test_fields(self):
        nic = NetDriver(config={"mtu": 9000, "rss_max_key_size": 255})
        data = nic.model.config_read(0, 28)
        self.assertEqual(data[:6], MAC)
        self.assertEqual(struct.unpack_from("<HHH", data, 6), (1, 1, 9000))
        self.assertEqual(data[17], 255)

    def test_change_and_sequence(self):
        nic = NetDriver()
        nic.model.set_config({"mtu": 68})
        self.assertEqual(nic.model.config_read(10, 2), b"\x44\0")
        nic.model.faults.add({"device": "config-read", "action": "sequence",
                              "field": "mtu", "values": [1, 2]})
        self.assertEqual([nic.model.config_read(10, 2)[0] for _ in range(3)],
                         [1, 2, 1])

    def test_generation(self):
        nic = NetDriver()
        before = nic.model.read_generation()
        nic.model.set_link(False)
        self.assertEqual(nic.model.read_generation(), before + 1)
        self.assertEqual(nic.vehicle.config_interrupts, 1)
        nic.model.faults.add({"device": "generation", "action": "every-read"})
        self.assertNotEqual(nic.model.read_generation(),
                            nic.model.read_generation())

    def test_needs_reset(self):
        nic = NetDriver()
        nic.model.needs_reset()
        self.assertTrue(nic.model.status & wire.STATUS_NEEDS_RESET)
        nic.start()
        self.assertFalse(nic.model.status & wire.STATUS_NEEDS_RESET)


class Transmit(unittest.TestCase):
    def setUp(self):
        self.nic = NetDriver()

    def test_frame(self):
        frame = frame_to(PEER)
        ident = self.nic.send(frame)
        self.assertEqual(self.nic.queues["tx0"].used(), [(ident, 0)])
        self.assertEqual(self.nic.model.sent[-1]["frame"], frame)
        self.assertEqual(self.nic.vehicle.queue_interrupts, [1])
        self.assertEqual(self.nic.violations(), [])

    def test_bad_headers(self):
        for header in ({"gso_type": 1, "gso_size": 10, "flags": 1},
                       {"flags": 1, "csum_start": 999}, {"flags": 0x80},
                       {"gso_type": 9}, {"gso_type": 0x20},
                       {"num_buffers": 1}):
            self.nic.model.violations.clear()
            self.nic.send(frame_to(PEER), **header)
            self.assertIn("bad-transmit-header", self.nic.violations())

    def test_header_length(self):
        nic = NetDriver(["default", "HOST_TSO4", "HOST_USO", "GUEST_HDRLEN"])
        header = {"gso_type": 5, "gso_size": 9, "flags": 1, "csum_start": 34,
                  "csum_offset": 6}
        nic.send(frame_to(PEER, bytes(100)), hdr_len=42, **header)
        self.assertEqual(nic.violations(), [])
        nic.send(frame_to(PEER, bytes(100)), hdr_len=43, **header)
        self.assertEqual(nic.violations(), ["bad-transmit-header"])

    def test_kicks(self):
        self.nic.model.kick(77)
        self.assertEqual(self.nic.violations(), ["kick-unknown-queue"])
        self.nic.model.set_status(0)
        self.nic.model.kick(1)
        self.assertIn("kick-before-driver-ok", self.nic.violations())

    def test_faults(self):
        add = self.nic.model.faults.add
        used = self.nic.queues["tx0"].used
        add({"queue": "tx*", "action": "hold", "count": 2})
        first, second = self.nic.send(bytes(60)), self.nic.send(bytes(60))
        self.assertEqual(used(), [])
        queue = self.nic.model.queue_of("tx0")
        self.assertEqual(self.nic.model.release(queue, order="reverse"), 2)
        self.assertEqual([i for i, _ in used()], [second, first])
        add({"queue": "tx0", "action": "delay", "seconds": 2, "count": 1})
        self.nic.send(bytes(60))
        self.assertEqual(used(), [])
        self.nic.vehicle.run(3)
        self.assertEqual(len(used()), 1)
        add({"queue": "tx0", "action": "twice", "count": 1})
        self.nic.send(bytes(60))
        self.assertEqual(len(used()), 2)
        add({"queue": "tx0", "action": "wrong-id", "used_id": 12345,
             "count": 1})
        self.nic.send(bytes(60))
        self.assertEqual([i for i, _ in used()], [12345])
        add({"queue": "tx0", "action": "no-interrupt", "count": 1})
        before = len(self.nic.vehicle.queue_interrupts)
        self.nic.send(bytes(60))
        self.assertEqual(len(self.nic.vehicle.queue_interrupts), before)
        add({"queue": "tx0", "action": "ignore-kick", "count": 1})
        used()
        self.nic.send(bytes(60))
        self.assertEqual(used(), [])

    def test_held_at_reset(self):
        """Timers of before the reset do nothing after it."""
        self.nic.model.faults.add({"queue": "tx0", "action": "delay",
                                   "seconds": 1})
        self.nic.send(bytes(60))
        self.nic.start()
        self.nic.vehicle.run(5)
        self.assertEqual(self.nic.queues["tx0"].used(), [])

    def test_coalescing(self):
        nic = NetDriver(ALL + ["-EVENT_IDX"])
        nic.command("coal.tx", struct.pack("<II", 3, 1000))
        nic.vehicle.queue_interrupts.clear()
        nic.send(bytes(60))
        nic.send(bytes(60))
        self.assertEqual(nic.vehicle.queue_interrupts, [])
        nic.send(bytes(60))
        self.assertEqual(nic.vehicle.queue_interrupts, [1])
        nic.send(bytes(60))
        nic.vehicle.run(0.002)
        self.assertEqual(nic.vehicle.queue_interrupts, [1, 1])
        nic.send(bytes(60))
        nic.command("coal.tx", bytes(8))
        self.assertEqual(nic.vehicle.queue_interrupts[:3], [1, 1, 1])


class Receive(unittest.TestCase):
    def setUp(self):
        self.nic = NetDriver()
        self.rx = self.nic.model.queue_of("rx0")

    def test_delivery(self):
        posted = self.nic.post()
        frame = frame_to()
        self.assertTrue(self.nic.model.receive(frame))
        (ident, length), = self.nic.queues["rx0"].used()
        self.assertEqual(length, 12 + len(frame))
        data = self.nic.memory.guest.read(posted[ident], length)
        self.assertEqual(data[12:], frame)
        self.assertEqual(wire.unpack_header(data[:12])["num_buffers"], 1)

    def test_merge(self):
        self.nic.post(count=4, length=100)
        self.nic.model.deliver(self.rx, bytes(250))
        self.assertEqual([n for _, n in self.nic.queues["rx0"].used()],
                         [100, 100, 62])

    def test_spread_and_lies(self):
        posted = self.nic.post(count=4)
        lengths = self.nic.model.deliver(
            self.rx, bytes(60), {"num_buffers": 9},
            {"buffers": 3, "used_len": [None, 1 << 20], "ids": [None, None, 99]})
        self.assertEqual(lengths, [32, 1 << 20, 20])
        used = self.nic.queues["rx0"].used()
        self.assertEqual(used[2][0], 99)
        header = wire.unpack_header(self.nic.memory.guest.read(
            posted[used[0][0]], 12))
        self.assertEqual(header["num_buffers"], 9)

    def test_rewrite(self):
        posted = self.nic.post()
        self.nic.model.deliver(self.rx, bytes(60), {}, {
            "rewrite": {"seconds": 1, "hdr": {"flags": 0xff}}})
        (ident, _), = self.nic.queues["rx0"].used()
        self.nic.vehicle.run(2)
        self.assertEqual(self.nic.memory.guest.read(posted[ident], 1),
                         b"\xff")

    def test_backlog(self):
        frame = frame_to()
        for _ in range(3):
            self.assertTrue(self.nic.model.receive(frame))
        self.nic.post(count=4)
        self.assertEqual(len(self.nic.queues["rx0"].used()), 3)

    def test_too_small_buffer_stays(self):
        nic = NetDriver(["VERSION_1", "MAC"])
        nic.post(count=2, length=64)
        rx = nic.model.queue_of("rx0")
        self.assertIsNone(nic.model.deliver(rx, bytes(60)))
        self.assertIsNotNone(nic.model.deliver(rx, bytes(52)))

    def test_filter(self):
        nic, control = self.nic, self.nic.model.control
        other = frame_to(b"\x52\0\0\0\0\x05")
        multi = frame_to(b"\x01\0\x5e\0\0\x05")
        self.assertIsNone(nic.model.filtered(other))    # promiscuous
        nic.command("rx.promisc", b"\0")
        self.assertEqual(nic.model.filtered(other), "unicast")
        self.assertEqual(nic.model.filtered(multi), "multicast")
        self.assertIsNone(nic.model.filtered(frame_to()))
        table = (struct.pack("<I", 1) + other[:6] + struct.pack("<I", 1) +
                 multi[:6])
        self.assertEqual(nic.command("mac.table", table)[0], 0)
        self.assertIsNone(nic.model.filtered(other))
        self.assertIsNone(nic.model.filtered(multi))
        nic.command("rx.nomulti", b"\1")
        self.assertEqual(nic.model.filtered(multi), "multicast")
        tagged = MAC + PEER + b"\x81\0\0\x05\x08\0" + bytes(46)
        self.assertEqual(nic.model.filtered(tagged), "vlan")
        nic.command("vlan.add", b"\5\0")
        self.assertIsNone(nic.model.filtered(tagged))
        self.assertEqual(control.vlans, {5})

    def test_offloads(self):
        frame = frame_to()
        header = {"flags": 1, "csum_start": 34, "csum_offset": 6}
        self.assertEqual(self.nic.model._fit_offloads(frame, dict(header)),
                         frame)
        self.nic.command("offloads.set", bytes(8))
        header = dict(header)
        self.nic.model._fit_offloads(frame, header)
        self.assertEqual(header["flags"], 0)
        self.assertIsNone(self.nic.model._fit_offloads(frame, {
            "gso_type": 1, "gso_size": 10}))

    def test_rss(self):
        nic = NetDriver(ALL, pairs=2, config={"rss_max_key_size": 40})
        key = bytes(range(1, 41))
        config = struct.pack("<IHH4HHB", 0x3f, 3, 0, 0, 1, 0, 1, 2, 40) + key
        self.assertEqual(nic.command("mq.rss", config), (0, b""))
        nic.post("rx0", 16)
        nic.post("rx1", 16)
        for port in range(16):
            frame = frame_to(port=port)
            header = {}
            pair = nic.model._steer(frame, header, None)
            value, report = packet.rss_hash(packet.Packet(frame), key, 0x3f)
            self.assertEqual(header, {"hash_value": value, "hash_report": 3})
            self.assertEqual(pair, value & 1)
            nic.model.receive(frame)
        counts = [len(nic.queues[q].used()) for q in ("rx0", "rx1")]
        self.assertEqual(sum(counts), 16)
        self.assertTrue(all(counts))


class Network(unittest.TestCase):
    def test_arp_and_echo(self):
        nic = NetDriver()
        nic.model.network = Answer(nic.model)
        posted = nic.post()
        arp = (b"\xff" * 6 + MAC + b"\x08\x06" + b"\0\1\x08\0\6\4\0\1" + MAC +
               bytes([192, 0, 2, 1]) + bytes(6) + bytes([192, 0, 2, 2]))
        nic.send(arp)
        (ident, length), = nic.queues["rx0"].used()
        reply = nic.memory.guest.read(posted[ident] + 12, length - 12)
        self.assertEqual(reply[20:22], b"\0\2")
        self.assertEqual(reply[22:28], PEER)

    def test_reflect(self):
        nic = NetDriver()
        nic.model.network = Reflect(nic.model)
        posted = nic.post()
        sent = packet.udp_frame(PEER, MAC, "192.0.2.2", "192.0.2.1", 9, 5000,
                                b"hello")
        nic.send(sent)
        (ident, length), = nic.queues["rx0"].used()
        back = packet.Packet(nic.memory.guest.read(posted[ident] + 12,
                                                   length - 12))
        self.assertEqual((back.sport, back.dport), (9, 5000))
        self.assertEqual(back.dst, MAC)

    def test_toeplitz(self):
        """A vector of the published verification suite."""
        key = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b4"
                            "77cb2da38030f20c6a42b73bbeac01fa")
        data = (bytes([66, 9, 149, 187, 161, 142, 100, 80]) +
                struct.pack(">HH", 2794, 1766))
        self.assertEqual(packet.toeplitz(key, data), 0x51ccc178)

    def test_checksum_completion(self):
        frame = frame_to()
        udp = packet.Packet(frame).l4
        pseudo = frame[26:34] + b"\0\x11" + frame[udp + 4:udp + 6]
        partial = ~packet.checksum(pseudo) & 0xffff
        bare = (frame[:udp + 6] + struct.pack(">H", partial) +
                frame[udp + 8:])
        self.assertEqual(packet.complete_checksum(bare, udp, 6), frame)


if __name__ == "__main__":
    unittest.main()
