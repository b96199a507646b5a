# SPDX-License-Identifier: GPL-2.0
"""Each rule that the device holds a driver to, against a driver that breaks it.

What the other tests break on their way is not repeated here.
"""

import struct
import unittest

from .. import pci, rings, wire
from ..model import NetModel
from .driver import BASE, Memory, NetDriver, PackedDriver, SplitDriver, Vehicle
from .test_model import ALL, PEER, frame_to


class Status(unittest.TestCase):
    def setUp(self):
        self.nic = NetDriver()
        self.model = self.nic.model

    def test_an_honest_driver(self):
        self.nic.start()
        self.assertEqual(self.nic.violations(), [])

    def test_bit_cleared(self):
        self.model.set_status(wire.STATUS_ACKNOWLEDGE | wire.STATUS_DRIVER)
        self.assertIn("status-bit-cleared", self.nic.violations())

    def test_order(self):
        for value in (wire.STATUS_DRIVER, wire.STATUS_ACKNOWLEDGE |
                      wire.STATUS_FEATURES_OK, 1 | 2 | wire.STATUS_DRIVER_OK):
            self.model.set_status(0)
            self.model.violations.clear()
            self.model.set_status(value)
            self.assertIn("status-order", self.nic.violations())

    def test_late_features(self):
        self.model.accept_features(0, 1 << 5)
        self.assertEqual(self.nic.violations(), ["features-after-features-ok"])

    def test_without_version_1(self):
        nic = NetDriver(accept=wire.features("MAC"))
        self.assertIn("no-version-1", nic.violations())

    def test_features_before(self):
        self.model.set_status(0)
        self.model.set_status(wire.STATUS_ACKNOWLEDGE)
        self.model.accept_features(1, 1)
        self.assertEqual((self.nic.violations(), self.model.acked),
                         ([], 1 << 32))

    def test_dependencies(self):
        """Of several groups each counts, of a group one member."""
        tunnel = ["HOST_TSO4", "HOST_TSO6", "HOST_USO"]
        for features, good in (
                (["HASH_TUNNEL"], False), (["HASH_TUNNEL", "RSS"], True),
                (["RSC_EXT", "GUEST_TSO4"], False),
                (["RSC_EXT", "HOST_TSO4"], True),
                (["HOST_UDP_TUNNEL_GSO", *tunnel[:2]], False),
                (["HOST_UDP_TUNNEL_GSO", *tunnel], True),
                (["GUEST_UDP_TUNNEL_GSO", "GUEST_TSO4", "GUEST_USO6"], False)):
            nic = NetDriver(["default", *features])
            self.assertEqual("feature-dependency" not in nic.violations(),
                             good, features)


class Registers(unittest.TestCase):
    def setUp(self):
        self.model = NetModel({"features": ["VERSION_1", "MAC", "MTU"]}, Vehicle())
        self.function = pci.PciFunction(self.model, None)

    def read(self, offset, length):
        self.model.violations.clear()
        self.function.read(pci.DEVICE + offset, length)
        return [entry["what"] for entry in self.model.violations]

    def test_fields(self):
        for at in range(6):
            self.assertEqual(self.read(at, 1), [])
        self.assertEqual(self.read(10, 2), [])
        self.assertEqual(self.read(6, 2), ["config-read-without-feature"])
        self.assertEqual(self.read(12, 4), ["config-read-without-feature"])
        for offset, length in ((0, 4), (10, 1), (11, 1)):
            self.assertEqual(self.read(offset, length), ["config-read-width"])

    def test_end(self):
        self.model.options["config_length"] = 11
        self.assertEqual(self.read(0, 1), [])
        self.assertEqual(self.read(10, 2), ["config-read-beyond-end"])

    def test_queues(self):
        def write(offset, value, length):
            self.function.write(offset, value.to_bytes(length, "little"))
        write(22, 9, 2)
        write(24, 16, 2)
        write(22, 0, 2)
        write(28, 0, 2)
        write(58, 1, 2)
        write(pci.DEVICE + 0, 0x52, 1)
        self.assertEqual([entry["what"] for entry in self.model.violations],
                         ["write-of-missing-queue", "queue-disabled-by-write",
                          "queue-reset-not-negotiated", "config-write"])


class Ring(unittest.TestCase):
    def make(self, kind, size=4, **options):
        self.reports = []
        self.memory = Memory()
        self.driver = kind(self.memory, size)
        self.ring = self.driver.kind(
            self.memory.guest, size, self.driver.areas,
            {"indirect": True, **options}, lambda what, **_: self.reports.append(what))

    def parts(self, number):
        return [(BASE + 0x9000 + 64 * i, 64) for i in range(number)]

    def test_length(self):
        for kind in (SplitDriver, PackedDriver):
            self.make(kind)
            self.driver.add(inn=self.parts(4), indirect=True)
            self.ring.pop()
            self.assertEqual(self.reports, [])
            self.driver.add(inn=self.parts(5), indirect=True)
            self.ring.pop()
            self.assertEqual(self.reports, ["chain-longer-than-queue"])

    def test_available_flags(self):
        for event_idx, flags, good in ((False, 1, True), (False, 2, False),
                                       (True, 0, True), (True, 1, False)):
            self.make(SplitDriver, event_idx=event_idx)
            self.memory.u16(self.driver.areas[1], flags)
            self.driver.add(inn=self.parts(1))
            self.ring.pop()
            self.assertEqual(self.reports, [] if good else ["avail-flags"])

    def test_in_order(self):
        self.make(SplitDriver, in_order=True)
        self.driver.add(inn=self.parts(2))
        self.ring.pop()
        self.assertEqual(self.reports, [])
        self.driver.free.reverse()
        self.driver.add(inn=self.parts(2))
        self.ring.pop()
        self.assertEqual(self.reports, ["descriptors-out-of-order"])

    def test_indirect_in_order(self):
        self.make(SplitDriver, in_order=True)
        head = self.driver.add(inn=self.parts(3), indirect=True)
        table = struct.unpack("<Q", self.memory.guest.read(
            self.driver.areas[0] + 16 * head, 8))[0]
        for index, link in ((0, 2), (2, 1)):
            self.memory.guest.write(table + 16 * index + 12, struct.pack(
                "<HH", rings.DESC_WRITE | rings.DESC_NEXT, link))
        self.memory.guest.write(table + 16 + 12, struct.pack("<HH", 2, 0))
        self.ring.pop()
        self.assertEqual(self.reports, ["descriptors-out-of-order"] * 2)

    def test_indirect_flags(self):
        self.make(PackedDriver)
        self.driver.add(inn=self.parts(2), indirect=True)
        table = struct.unpack("<Q", self.memory.guest.read(
            self.driver.areas[0], 8))[0]
        self.memory.guest.write(table + 14, struct.pack("<H", 3))
        self.ring.pop()
        self.assertEqual(self.reports, ["indirect-flags"])

    def test_indirect_with_next(self):
        self.make(SplitDriver)
        head = self.driver.add(inn=self.parts(2), indirect=True)
        self.memory.guest.write(self.driver.areas[0] + 16 * head + 12,
                                struct.pack("<H", 5))
        self.ring.pop()
        self.assertEqual(self.reports, ["indirect-with-next"])

    def test_overrun(self):
        self.make(PackedDriver)
        for number in range(4):
            self.driver.add(inn=self.parts(1))
            self.ring.pop()
        self.driver.ids.append(9)
        self.driver.add(inn=self.parts(1))
        self.ring.pop()
        self.assertEqual(self.reports, ["ring-overrun"])


class Queues(unittest.TestCase):
    def test_enabling(self):
        nic = NetDriver()
        model = nic.model
        model.enable_queue(0)
        self.assertEqual(nic.violations(), ["queue-enabled-twice"])
        model.set_status(0)
        model.violations.clear()
        for size in (0, 17, 12):
            model.queues[0].size = size
            model.enable_queue(0)
            self.assertEqual(nic.violations()[-2:],
                             ["queue-before-features-ok", "bad-queue-size"])

    def test_notifications(self):
        nic = NetDriver(["default", "NOTIFICATION_DATA"])
        nic.model.kick(1, 1 | 5 << 16)
        self.assertEqual(nic.violations(), [])
        nic.model.kick(1, 2)
        self.assertEqual(nic.violations(), ["bad-notification-data"])
        nic.model.queues[1].enabled = False
        nic.model.violations.clear()
        nic.model.kick(1)
        self.assertEqual(nic.violations(), ["kick-disabled-queue"])

    def test_transmit(self):
        nic = NetDriver(["default", "MQ"], pairs=2)
        nic.send(frame_to(PEER), role="tx1")
        nic.send(b"", role="tx0")
        self.assertEqual(nic.violations(), ["transmit-on-inactive-queue",
                                            "zero-length-descriptor",
                                            "short-transmit-buffer"])


class Packets(unittest.TestCase):
    TUNNEL = ["default", "HOST_TSO4", "HOST_TSO6", "HOST_USO",
              "HOST_UDP_TUNNEL_GSO", "GUEST_HDRLEN"]

    def test_length(self):
        nic = NetDriver()
        nic.send(frame_to(PEER, bytes(1472)))
        self.assertEqual(nic.violations(), [])
        nic.send(frame_to(PEER, bytes(1473)))
        self.assertEqual(nic.violations(), ["frame-longer-than-mtu"])

    def test_length_with_tag(self):
        nic = NetDriver()
        frame = frame_to(PEER, bytes(1472))
        tag = b"\x81\0\0\5"
        nic.send(frame[:12] + tag + frame[12:])
        nic.send(frame[:12] + b"\x88\xa8\0\6" + tag + frame[12:])
        self.assertEqual(nic.violations(), [])
        nic.send(frame[:12] + tag + frame[12:] + b"x")
        self.assertEqual(nic.violations(), ["frame-longer-than-mtu"])

    def test_tunnel(self):
        good = {"flags": 1, "gso_type": 0x25, "gso_size": 100, "hdr_len": 92,
                "csum_start": 84, "csum_offset": 6, "outer_th_offset": 34,
                "inner_nh_offset": 64}
        for changes in ({}, {"gso_type": 0x65}, {"outer_th_offset": 30},
                        {"inner_nh_offset": 40}, {"inner_nh_offset": 70},
                        {"flags": 9}, {"hdr_len": 91}, {"gso_type": 0x20}):
            nic = NetDriver(self.TUNNEL)
            nic.send(frame_to(PEER, bytes(400)), **{**good, **changes})
            self.assertEqual(bool(nic.violations()), bool(changes), changes)

    def test_outer_checksum_alone(self):
        nic = NetDriver(self.TUNNEL + ["HOST_UDP_TUNNEL_GSO_CSUM"])
        nic.send(frame_to(PEER), flags=9, csum_start=34, csum_offset=6)
        self.assertEqual(nic.violations(), ["bad-transmit-header"])

    def test_outer_network_header(self):
        for at, good in ((0, True), (14, True), (15, False), (4000, False)):
            nic = NetDriver(["default", "OUT_NET_HEADER"])
            nic.send(frame_to(PEER), outer_nh_offset=at)
            self.assertEqual(not nic.violations(), good, at)

    def receive(self, length, *features):
        nic = NetDriver(["default", *features])
        nic.post(length=length)
        nic.model.receive(frame_to())
        return nic.violations()

    def test_buffers(self):
        small = ["receive-buffer-too-small"]
        self.assertEqual(self.receive(12), [])
        self.assertEqual(self.receive(11)[:1], small)
        self.assertEqual(self.receive(1526, "-MRG_RXBUF"), [])
        self.assertEqual(self.receive(1525, "-MRG_RXBUF"), small)
        self.assertEqual(self.receive(1533, "-MRG_RXBUF", "HASH_REPORT"), small)
        self.assertEqual(self.receive(65601, "-MRG_RXBUF", "GUEST_TSO4"), [])
        self.assertEqual(self.receive(65600, "-MRG_RXBUF", "GUEST_TSO4"), small)

    def test_buffers_of_the_mtu(self):
        nic = NetDriver(["default", "-MRG_RXBUF"], config={"mtu": 9000})
        nic.post(length=9025)
        nic.model.receive(frame_to())
        self.assertEqual(nic.violations(), ["receive-buffer-too-small"])

    def test_kinds_of_buffers(self):
        nic = NetDriver()
        addr = nic.memory.take(256)
        nic.queues["rx0"].add(out=[(addr, 128)], inn=[(addr + 128, 128)])
        nic.queues["tx0"].add(out=[(addr, 128)], inn=[(addr + 128, 128)])
        nic.queues["cvq"].add(out=[(addr, 1)], inn=[(addr + 128, 1)])
        for role in nic.queues:
            nic.kick(role)
        nic.model.receive(frame_to())
        for rule in ("readable-receive-buffer", "writable-transmit-buffer",
                     "short-control-chain"):
            self.assertIn(rule, nic.violations())

    def test_length_of_statistics(self):
        nic = NetDriver(ALL, pairs=2, stats_extra=2)
        status, reply = nic.command("stats.get", struct.pack("<H6sQ", 0, bytes(6), 1),
                                    room=512)
        self.assertEqual((status, len(reply)), (0, 8 + 8 * 8))
        self.assertEqual(struct.unpack_from("<BBHHH", reply)[4], len(reply))


class Commands(unittest.TestCase):
    def test_mac_without_receive_modes(self):
        nic = NetDriver(["VERSION_1", "CTRL_VQ", "MAC", "CTRL_MAC_ADDR"])
        self.assertEqual(nic.command("mac.addr", b"\x52\1\2\3\4\5")[0], 0)
        self.assertEqual(nic.violations(), ["mac-command-without-ctrl-rx"])

    def test_queues_not_in_use(self):
        nic = NetDriver(ALL, pairs=2)
        data = struct.pack("<HHII", 2, 0, 1, 1)
        nic.command("coal.vq_set", data)
        self.assertEqual(nic.violations(), ["coalescing-queue-not-in-use"])
        nic.model.violations.clear()
        nic.command("mq.pairs", b"\2\0")
        nic.command("coal.vq_set", data)
        self.assertEqual(nic.violations(), [])

    def test_queues_not_enabled(self):
        nic = NetDriver(ALL, pairs=2)
        nic.model.queues[2].enabled = False
        data = struct.pack("<IHH2HHB", 1, 1, 0, 0, 1, 2, 40) + bytes(40)
        nic.command("mq.rss", data)
        self.assertEqual(nic.violations(), ["rss-queue-not-enabled"])

    def test_offload_that_is_none(self):
        nic = NetDriver(["default", "HOST_TSO4", "RSC_EXT"])
        self.assertEqual(nic.command("offloads.set", struct.pack("<Q", 1 << 61))[0], 1)

    def test_statistics_of_merged_packets(self):
        """USO alone is not among what the receive counters ask for."""
        nic = NetDriver(["default", "DEVICE_STATS", "GUEST_USO4"])
        data = struct.pack("<H6sQ", 0, bytes(6), 1 << 2)
        self.assertEqual(nic.command("stats.get", data)[0], 1)
        self.assertIn("bad-command", nic.violations())
