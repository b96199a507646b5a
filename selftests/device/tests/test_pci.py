# SPDX-License-Identifier: GPL-2.0
"""The PCI function and the vfio-user protocol, spoken by hand."""

import json
import mmap
import os
import socket
import struct
import tempfile
import unittest

from .. import pci, transport, wire
from ..client import Device, DeviceError
from ..model import NetModel
from .driver import Vehicle


class Interrupts:
    def __init__(self):
        self.raised = []

    def trigger(self, vector):
        self.raised.append(vector)
        return True


class Function(unittest.TestCase):
    def setUp(self):
        self.vehicle = Vehicle()
        self.model = NetModel({"features": ["default", "67", "HOST_TSO4"]},
                              self.vehicle)
        self.interrupts = Interrupts()
        self.function = pci.PciFunction(self.model, self.interrupts)
        self.vehicle.queue_interrupt = self.function.queue_interrupt
        self.vehicle.config_interrupt = self.function.config_interrupt

    def read(self, offset, length):
        return int.from_bytes(self.function.read(offset, length), "little")

    def write(self, offset, value, length):
        later = self.function.write(offset, value.to_bytes(length, "little"))
        if later:
            later()

    def test_capabilities(self):
        config = self.function.config
        seen = {}
        at = config[0x34]
        while at:
            kind = config[at]
            seen.setdefault(kind, []).append(at)
            self.assertEqual(at % 4, 0)
            at = config[at + 1]
        self.assertEqual(len(seen[pci.CAP_VENDOR]), 5)
        types = [config[at + 3] for at in seen[pci.CAP_VENDOR]]
        self.assertEqual(sorted(types), [1, 2, 3, 4, 5])
        msix, = seen[pci.CAP_MSIX]
        self.assertEqual(struct.unpack_from("<H", config, msix + 2)[0], 3)

    def test_features_128(self):
        offered = 0
        for word in range(5):
            self.write(0, word, 4)
            offered |= self.read(4, 4) << 32 * word
        self.assertEqual(offered, self.model.offered)
        self.write(8, 2, 4)
        self.write(12, 8, 4)
        self.assertEqual(self.model.acked, 1 << 67)
        self.assertEqual(self.read(12, 4), 8)

    def test_queue_registers(self):
        self.write(22, 1, 2)
        self.assertEqual(self.read(24, 2), 256)
        self.write(24, 64, 2)
        self.write(32, 0x1000, 4)
        self.write(36, 1, 4)
        self.write(40, 0x2_0000_2000, 8)
        self.write(26, 2, 2)
        queue = self.model.queues[1]
        self.assertEqual((queue.size, queue.areas[:2]),
                         (64, [0x1_0000_1000, 0x2_0000_2000]))
        self.assertEqual(self.read(26, 2), 2)
        self.write(26, 99, 2)
        self.assertEqual(self.read(26, 2), pci.NO_VECTOR)
        self.write(22, 50, 2)
        self.assertEqual(self.read(24, 2), 0)

    def test_status_and_reset(self):
        self.write(20, 3, 1)
        self.assertEqual(self.read(20, 1), 3)
        self.model.faults.add({"device": "reset", "action": "stuck",
                               "reads": 2})
        self.write(20, 0, 1)
        self.assertEqual([self.read(20, 1) for _ in range(3)],
                         [0x0f, 0x0f, 0])

    def test_stuck_until_cleared(self):
        self.model.faults.add({"device": "reset", "action": "stuck"})
        self.write(20, 0, 1)
        self.assertEqual(self.read(20, 1), 0x0f)
        self.model.faults.clear()
        self.assertEqual(self.read(20, 1), 0)

    def test_config_interrupt_and_isr(self):
        self.write(16, 0, 2)
        self.model.set_link(False)
        self.assertEqual(self.interrupts.raised, [0])
        self.assertEqual(self.read(pci.ISR, 1), 2)
        self.assertEqual(self.read(pci.ISR, 1), 0)

    def test_dead(self):
        self.model.faults.add({"device": "bus", "action": "dead"})
        self.assertEqual(self.read(20, 1), 0xff)
        self.assertEqual(self.function.config_read(0, 4), b"\xff" * 4)
        self.write(20, 0, 1)
        self.model.announce()
        self.assertEqual(self.interrupts.raised, [])

    def test_flr(self):
        self.write(20, 3, 1)
        at = self.function.express + 8
        self.function.config_write(at, struct.pack("<H", 0x8010))
        self.assertEqual(self.model.status, 0)
        self.assertEqual(self.function.config_read(at, 2), b"\x10\0")

    def test_read_only(self):
        self.function.config_write(0, b"\0\0\0\0")
        self.assertEqual(self.function.config_read(0, 2), b"\xf4\x1a")
        self.write(18, 5, 2)
        self.assertEqual(self.model.violations[-1]["what"],
                         "read-only-register")


class Process(unittest.TestCase):
    """The real process; the test plays QEMU."""

    def connect(self, device):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(10)
        client.connect(os.path.join(device.directory, "vfio.sock"))
        self.addCleanup(client.close)
        return client

    @staticmethod
    def ask(client, command, data=b"", fds=()):
        message = transport.HEADER.pack(7, command, 16 + len(data), 0, 0)
        socket.send_fds(client, [message + data], list(fds))
        ident, _, size, flags, error = transport.HEADER.unpack(
            client.recv(16, socket.MSG_WAITALL))
        body = client.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""
        assert ident == 7 and flags & 1
        return error, body

    def test_conversation(self):
        with Device() as device:
            client = self.connect(device)
            error, body = self.ask(client, transport.VERSION,
                                   struct.pack("<HH", 0, 0) + b"{}\0")
            self.assertEqual(error, 0)
            caps = json.loads(body[4:-1])["capabilities"]
            self.assertLessEqual(caps["max_msg_fds"], 16)
            _, body = self.ask(client, transport.GET_INFO, bytes(16))
            self.assertEqual(struct.unpack("<IIII", body), (16, 3, 9, 5))
            _, body = self.ask(client, transport.GET_REGION_INFO,
                               struct.pack("<IIIIQQ", 32, 0, 7, 0, 0, 0))
            self.assertEqual(struct.unpack("<IIIIQQ", body)[4], 4096)
            memfd = os.memfd_create("guest")
            self.addCleanup(os.close, memfd)
            os.truncate(memfd, 1 << 16)
            error, _ = self.ask(client, transport.DMA_MAP, struct.pack(
                "<IIQQQ", 32, 3, 0, 0x10000, 1 << 16), [memfd])
            self.assertEqual(error, 0)
            self.assertEqual(device.state()["memory"], [[0x10000, 1 << 16]])
            with mmap.mmap(memfd, 1 << 16) as area:
                area[16:20] = b"spam"
                self.assertEqual(device.call("memory", addr=0x10010,
                                             length=4)["data"],
                                 b"spam".hex())
            event = os.eventfd(0, os.EFD_NONBLOCK)
            self.addCleanup(os.close, event)
            self.ask(client, transport.SET_IRQS, struct.pack(
                "<IIIII", 20, 0x24, 2, 1, 1), [event])
            device.call("interrupt", vector=1)
            self.assertEqual(os.eventfd_read(event), 1)
            # A doorbell is answered, whatever it leads to.
            error, _ = self.ask(client, transport.REGION_WRITE, struct.pack(
                "<QIIH", pci.NOTIFY, 0, 2, 0))
            self.assertEqual(error, 0)
            self.assertEqual(device.violations()[-1]["what"],
                             "kick-before-driver-ok")
            self.assertEqual(self.ask(client, 99)[0], transport.ENOTSUP)
            self.ask(client, transport.DMA_UNMAP, struct.pack(
                "<IIQQ", 24, 0, 0x10000, 1 << 16))
            self.assertEqual(device.state()["memory"], [])
            client.close()
            device.wait(lambda: not device.state()["connected"])

    def test_garbage_ends_the_connection_only(self):
        with Device() as device:
            client = self.connect(device)
            client.sendall(transport.HEADER.pack(1, 1, 3, 0, 0))
            self.assertEqual(client.recv(16), b"")
            self.assertFalse(device.state()["connected"])

    def test_errors_reach_the_test(self):
        with Device() as device:
            for call in (lambda: device.call("foo"),
                         lambda: device.fault(cmd="foo", action="never"),
                         lambda: device.queue("rx9"),
                         lambda: device.call("inject", queue="rx9"),
                         lambda: device.release("rx9")):
                with self.assertRaises(DeviceError):
                    call()
            self.assertTrue(device.alive())
        with self.assertRaisesRegex(DeviceError, "unknown feature"):
            Device(features=["FOO"]).start()

    def test_ends_with_its_parent(self):
        device = Device().start()
        process = device.process
        process.stdin.close()
        self.assertEqual(process.wait(5), 0)
        device.stop()

    def test_when(self):
        with Device() as device:
            device.when({"kind": "connect"}, {"op": "link", "up": False},
                        {"op": "needs-reset"})
            self.connect(device)
            device.wait(lambda: device.state()["status"] & 0x40)
            self.assertEqual(device.state()["link"], 0)

    def test_log_file(self):
        with tempfile.TemporaryDirectory() as directory:
            with Device(directory=directory) as device:
                device.needs_reset()
                with open(device.log_path, encoding="utf-8") as file:
                    kinds = [json.loads(line)["kind"] for line in file]
            self.assertIn("needs-reset", kinds)
            self.assertEqual(wire.STATUS_NEEDS_RESET, 0x40)

    def test_back_to_back(self):
        """Two devices joined by datagram sockets."""
        with tempfile.TemporaryDirectory() as directory:
            ends = [os.path.join(directory, name) for name in "ab"]
            with Device(net=f"unix:{ends[0]}:{ends[1]}") as one:
                with Device(net=f"unix:{ends[1]}:{ends[0]}") as two:
                    self.assertTrue(one.alive() and two.alive())


if __name__ == "__main__":
    unittest.main()
