# SPDX-License-Identifier: GPL-2.0
"""The rings against a driver side of the tests' own."""

import random
import unittest

from .. import rings
from .driver import BASE, DESC, Memory, PackedDriver, SplitDriver


class RingCase(unittest.TestCase):
    driver_class = None
    size = 8

    def setUp(self):
        self.reports = []
        self.memory = Memory()
        self.make({"indirect": True})

    def make(self, options):
        self.driver = self.driver_class(self.memory, self.size)
        self.ring = self.driver.kind(self.memory.guest, self.size,
                                     self.driver.areas, options, self.report)

    def report(self, kind, **_details):
        self.reports.append(kind)


class Common:
    def test_empty(self):
        self.assertIsNone(self.ring.pop())

    def test_chain(self):
        self.memory.guest.write(BASE + 0x8000, b"header")
        self.driver.add(out=[(BASE + 0x8000, 3), (BASE + 0x8003, 3)],
                        inn=[(BASE + 0x9000, 4), (BASE + 0x9100, 4)])
        chain = self.ring.pop()
        self.assertEqual(chain.read(self.memory.guest), b"header")
        self.assertEqual((chain.out_len, chain.in_len), (6, 8))
        self.assertEqual(chain.write(self.memory.guest, b"abcdefgh"), 8)
        self.assertEqual(self.memory.guest.read(BASE + 0x9100, 4), b"efgh")
        self.assertEqual(chain.write(self.memory.guest, b"XY", 5), 2)
        self.assertEqual(self.memory.guest.read(BASE + 0x9100, 4), b"eXYh")
        self.assertEqual(chain.write(self.memory.guest, b"too long here"), 8)
        self.ring.push([(chain, 8)])
        self.assertEqual(self.driver.used(), [(chain.id, 8)])
        self.assertEqual(self.reports, [])

    def test_waiting_takes_nothing(self):
        for number in range(3):
            self.driver.add(inn=[(BASE + 0x9000 + 16 * number, 16)])
        self.ring.pop()
        for _ in range(2):
            self.assertEqual([chain.inn for chain in self.ring.waiting()],
                             [[(BASE + 0x9010, 16)], [(BASE + 0x9020, 16)]])
        self.assertEqual(len(self.ring.inflight), 1)
        self.assertEqual(self.ring.pop().inn, [(BASE + 0x9010, 16)])
        self.assertEqual(self.reports, [])

    def test_indirect(self):
        self.driver.add(out=[(BASE + 0x8000, 3)], inn=[(BASE + 0x9000, 4)],
                        indirect=True)
        chain = self.ring.pop()
        self.assertEqual((chain.out_len, chain.in_len, chain.slots),
                         (3, 4, 1))
        self.assertEqual(self.reports, [])

    def test_indirect_not_negotiated(self):
        self.make({"indirect": False})
        self.driver.add(out=[(BASE + 0x8000, 3)], indirect=True)
        self.assertIsNotNone(self.ring.pop())
        self.assertEqual(self.reports, ["indirect-not-negotiated"])

    def test_wrap_and_order(self):
        """Random adds and completions, out of order, many times round."""
        rng = random.Random(1)
        held = []
        given = returned = 0
        for _ in range(2000):
            if rng.random() < 0.5 and len(held) < 3:
                parts = rng.randint(1, 2)
                self.driver.add(out=[(BASE + 0x8000, 8)] * parts,
                                indirect=rng.random() < 0.3)
                given += 1
                held.append(self.ring.pop())
            elif held:
                chain = held.pop(rng.randrange(len(held)))
                self.ring.push([(chain, rng.randint(0, 99))])
                returned += len(self.driver.used())
        self.assertEqual(self.reports, [])
        self.assertEqual(given - returned, len(held))
        self.assertEqual(len(self.ring.inflight), len(held))
        self.assertGreater(returned, 500)

    def test_batch(self):
        ids = [self.driver.add(inn=[(BASE + 0x8000, 8)]) for _ in range(5)]
        chains = [self.ring.pop() for _ in ids]
        self.ring.push([(chain, i) for i, chain in enumerate(chains)])
        self.assertEqual(self.driver.used(), list(zip(ids, range(5))))

    def test_wrong_id(self):
        self.driver.add(inn=[(BASE + 0x8000, 8)])
        chain = self.ring.pop()
        self.ring.push([(chain, 8, 7)])
        self.assertEqual(self.driver.used(), [(7, 8)])
        self.assertEqual(self.ring.inflight, {})

    def test_bad_address(self):
        self.driver.add(out=[(0xdead0000, 8)])
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["bad-address"])
        self.assertTrue(self.ring.broken)

    def test_zero_length(self):
        self.driver.add(out=[(BASE, 0)])
        self.assertIsNotNone(self.ring.pop())
        self.assertEqual(self.reports, ["zero-length-descriptor"])
        self.assertFalse(self.ring.broken)

    def test_bad_indirect_length(self):
        self.raw_descriptor(BASE, 24, rings.DESC_INDIRECT)
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["bad-indirect-length"])

    def test_nested_indirect(self):
        self.memory.guest.write(BASE + 0x8000, self.indirect_entry(
            BASE, 16, rings.DESC_INDIRECT))
        self.raw_descriptor(BASE + 0x8000, 16, rings.DESC_INDIRECT)
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["nested-indirect"])

    def test_interrupt_flags(self):
        self.driver.add(inn=[(BASE, 8)])
        self.ring.push([(self.ring.pop(), 8)])
        self.assertTrue(self.ring.need_interrupt())
        self.driver.no_interrupt()
        self.assertFalse(self.ring.need_interrupt())

    def test_kick_flags(self):
        self.ring.want_kick(False)
        self.assertFalse(self.driver.wants_kick_without_event())
        self.ring.want_kick(True)
        self.assertTrue(self.driver.wants_kick_without_event())

    def test_interrupt_event(self):
        self.make({"event_idx": True})
        self.ring.need_interrupt()
        self.driver.interrupt_at(1)     # after the second buffer
        wanted = []
        for _ in range(3):
            self.driver.add(inn=[(BASE, 8)])
            self.ring.push([(self.ring.pop(), 8)])
            wanted.append(self.ring.need_interrupt())
        self.assertEqual(wanted, [False, True, False])

    def test_remapped_memory(self):
        """The memory map changes under a running ring (QEMU does that)."""
        region = self.memory.guest._regions[0][1]
        self.memory.guest.clear()
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["bad-ring-address"])
        self.reports.clear()
        self.ring.broken = False
        self.memory.guest.add(BASE, region)
        self.driver.add(inn=[(BASE, 8)])
        self.assertIsNotNone(self.ring.pop())


class Split(Common, RingCase):
    driver_class = SplitDriver

    def raw_descriptor(self, addr, length, flags):
        self.driver.describe(0, addr, length, flags)
        self.driver.publish(0)

    @staticmethod
    def indirect_entry(addr, length, flags):
        return DESC.pack(addr, length, flags, 0)

    def broken_by(self, kind):
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, [kind])
        self.assertTrue(self.ring.broken)

    def test_bad_head(self):
        self.driver.publish(99)
        self.broken_by("bad-head")

    def test_index_jump(self):
        self.driver.avail_idx = 20
        self.driver.publish(0)
        self.broken_by("avail-index-jump")

    def test_loop(self):
        self.driver.describe(0, BASE, 8, rings.DESC_NEXT, 1)
        self.driver.describe(1, BASE, 8, rings.DESC_NEXT, 0)
        self.driver.publish(0)
        self.broken_by("descriptor-loop")

    def test_bad_next(self):
        self.driver.describe(0, BASE, 8, rings.DESC_NEXT, 8)
        self.driver.publish(0)
        self.broken_by("bad-next")

    def test_reuse(self):
        self.driver.add(inn=[(BASE, 8)])
        self.ring.pop()
        self.driver.publish(0)
        self.broken_by("descriptor-reuse")

    def test_order(self):
        self.driver.describe(0, BASE, 8, rings.DESC_NEXT | rings.DESC_WRITE,
                             1)
        self.driver.describe(1, BASE, 8, 0)
        self.driver.publish(0)
        self.broken_by("readable-after-writable")

    def test_unaligned(self):
        desc, avail, used = self.driver.areas
        self.ring = rings.SplitRing(self.memory.guest, self.size,
                                    (desc, avail + 1, used), {}, self.report)
        self.broken_by("unaligned-ring")

    def test_used_index_jump(self):
        self.ring.pop()
        self.ring.set_used_index(5)
        self.assertEqual(self.memory.u16(self.driver.areas[2] + 2), 5)

    def test_rewrite(self):
        self.driver.add(inn=[(BASE, 8)])
        rings.write_descriptor(self.ring, 0, {"len": ~0, "next": 77})
        self.assertEqual(DESC.unpack(self.memory.guest.read(
            self.driver.areas[0], 16)), (BASE, 0xffffffff, 2, 77))


class Packed(Common, RingCase):
    driver_class = PackedDriver

    def raw_descriptor(self, addr, length, flags):
        self.memory.guest.write(self.driver.areas[0], DESC.pack(
            addr, length, 0, flags | rings.PACKED_AVAIL))

    @staticmethod
    def indirect_entry(addr, length, flags):
        return DESC.pack(addr, length, 0, flags)

    def test_reuse(self):
        self.driver.add(inn=[(BASE, 8)])
        self.ring.pop()
        self.driver.ids.insert(0, 0)
        self.driver.add(inn=[(BASE, 8)])
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["descriptor-reuse"])

    def test_partial_chain(self):
        self.raw_descriptor(BASE, 8, rings.DESC_NEXT)
        self.assertIsNone(self.ring.pop())
        self.assertEqual(self.reports, ["partial-chain"])

    def test_odd_size(self):
        self.size = 7
        self.setUp()
        self.test_wrap_and_order()


class Event(unittest.TestCase):
    def test_need_event(self):
        self.assertTrue(rings.need_event(5, 6, 5))
        self.assertFalse(rings.need_event(5, 5, 4))
        self.assertFalse(rings.need_event(5, 7, 6))
        self.assertTrue(rings.need_event(0xffff, 0, 0xffff))
        self.assertTrue(rings.need_event(3, 10, 0))


if __name__ == "__main__":
    unittest.main()
