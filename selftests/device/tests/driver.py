# SPDX-License-Identifier: GPL-2.0
"""The driver's side of both rings, in memory of our own, for unit tests."""

import struct

from .. import rings, wire
from ..memory import GuestMemory
from ..model import NetModel

BASE = 0x100000
DESC = struct.Struct("<QIHH")


class Vehicle:
    """Time that a test moves, interrupts that it counts."""

    def __init__(self):
        self.time = 0.0
        self.queue_interrupts = []
        self.config_interrupts = 0
        self.timers = []

    def now(self):
        return self.time

    def queue_interrupt(self, index):
        self.queue_interrupts.append(index)

    def config_interrupt(self):
        self.config_interrupts += 1

    def call_later(self, seconds, func):
        timer = Timer(self.time + seconds, func)
        self.timers.append(timer)
        return timer

    def run(self, seconds=0.0):
        self.time += seconds
        due = [t for t in self.timers if t.when <= self.time]
        self.timers = [t for t in self.timers if t.when > self.time]
        for timer in due:
            if timer.func:
                timer.func()


class Timer:
    def __init__(self, when, func):
        self.when = when
        self.func = func

    def cancel(self):
        self.func = None


class Memory:
    """Guest memory with a simple allocator."""

    def __init__(self, size=1 << 20):
        self.guest = GuestMemory()
        self.guest.add(BASE, bytearray(size))
        self.next = BASE

    def take(self, length, align=16):
        self.next = (self.next + align - 1) & ~(align - 1)
        addr = self.next
        self.next += length
        return addr

    def u16(self, addr, value=None):
        if value is None:
            return int.from_bytes(self.guest.read(addr, 2), "little")
        self.guest.write(addr, (value & 0xffff).to_bytes(2, "little"))
        return value


class SplitDriver:
    kind = rings.SplitRing

    def __init__(self, memory, size):
        self.memory, self.size = memory, size
        self.areas = (memory.take(16 * size), memory.take(6 + 2 * size),
                      memory.take(6 + 8 * size))
        self.free = list(range(size))
        self.avail_idx = self.used_idx = 0
        self.chains = {}

    def describe(self, index, addr, length, flags, link=0):
        self.memory.guest.write(self.areas[0] + 16 * index,
                                DESC.pack(addr, length, flags, link))

    def add(self, out=(), inn=(), indirect=False):
        """Gives buffers to the device; returns the head."""
        parts = [(a, n, 0) for a, n in out] + [
            (a, n, rings.DESC_WRITE) for a, n in inn]
        if indirect:
            table = self.memory.take(16 * len(parts))
            for i, (addr, length, flags) in enumerate(parts):
                last = i == len(parts) - 1
                self.memory.guest.write(table + 16 * i, DESC.pack(
                    addr, length, flags | (0 if last else 1), i + 1))
            parts = [(table, 16 * len(parts), rings.DESC_INDIRECT)]
        taken = [self.free.pop(0) for _ in parts]
        for i, (index, (addr, length, flags)) in enumerate(zip(taken, parts)):
            last = i == len(parts) - 1
            self.describe(index, addr, length, flags | (0 if last else 1),
                          0 if last else taken[i + 1])
        self.chains[taken[0]] = taken
        self.publish(taken[0])
        return taken[0]

    def publish(self, head):
        base = self.areas[1]
        self.memory.u16(base + 4 + 2 * (self.avail_idx % self.size), head)
        self.avail_idx += 1
        self.memory.u16(base + 2, self.avail_idx)

    def used(self):
        """What came back: [(id, length)]."""
        found = []
        while self.memory.u16(self.areas[2] + 2) != self.used_idx & 0xffff:
            at = self.areas[2] + 4 + 8 * (self.used_idx % self.size)
            head, length = struct.unpack("<II", self.memory.guest.read(at, 8))
            self.free += self.chains.pop(head, [])
            found.append((head, length))
            self.used_idx += 1
        return found

    def no_interrupt(self):
        self.memory.u16(self.areas[1], 1)

    def interrupt_at(self, event):
        self.memory.u16(self.areas[1] + 4 + 2 * self.size, event)

    def wants_kick_without_event(self):
        return not self.memory.u16(self.areas[2]) & 1


class PackedDriver:
    kind = rings.PackedRing

    def __init__(self, memory, size):
        self.memory, self.size = memory, size
        self.areas = (memory.take(16 * size), memory.take(4),
                      memory.take(4))
        self.avail, self.avail_wrap = 0, 1
        self.next_used, self.used_wrap = 0, 1
        self.ids = list(range(size))
        self.chains = {}

    def add(self, out=(), inn=(), indirect=False):
        parts = [(a, n, 0) for a, n in out] + [
            (a, n, rings.DESC_WRITE) for a, n in inn]
        if indirect:
            table = self.memory.take(16 * len(parts))
            for i, (addr, length, flags) in enumerate(parts):
                self.memory.guest.write(table + 16 * i,
                                        DESC.pack(addr, length, 0, flags))
            parts = [(table, 16 * len(parts), rings.DESC_INDIRECT)]
        ident = self.ids.pop(0)
        self.chains[ident] = len(parts)
        first = None
        for i, (addr, length, flags) in enumerate(parts):
            flags |= 0 if i == len(parts) - 1 else rings.DESC_NEXT
            flags |= (rings.PACKED_AVAIL if self.avail_wrap
                      else rings.PACKED_USED)
            at = self.areas[0] + 16 * self.avail
            data = DESC.pack(addr, length, ident, flags)
            if first is None:       # published last
                first = (at, data)
            else:
                self.memory.guest.write(at, data)
            self.avail += 1
            if self.avail == self.size:
                self.avail, self.avail_wrap = 0, self.avail_wrap ^ 1
        self.memory.guest.write(*first)
        return ident

    def used(self):
        found = []
        while True:
            at = self.areas[0] + 16 * self.next_used
            _, length, ident, flags = DESC.unpack(
                self.memory.guest.read(at, 16))
            if not (bool(flags & rings.PACKED_USED) ==
                    bool(flags & rings.PACKED_AVAIL) == bool(self.used_wrap)):
                return found
            found.append((ident, length))
            self.ids.append(ident)
            self.next_used += self.chains.pop(ident, 1)
            if self.next_used >= self.size:
                self.next_used -= self.size
                self.used_wrap ^= 1

    def no_interrupt(self):
        self.memory.u16(self.areas[1] + 2, rings.EVENT_DISABLE)

    def interrupt_at(self, event, wrap=1):
        self.memory.u16(self.areas[1], event | wrap << 15)
        self.memory.u16(self.areas[1] + 2, rings.EVENT_DESC)

    def wants_kick_without_event(self):
        return self.memory.u16(self.areas[2] + 2) != rings.EVENT_DISABLE


class NetDriver:
    """A driver for a NetModel: negotiates, sets queues up, sends commands."""

    def __init__(self, features=("default",), accept=None, size=16, **options):
        self.vehicle = Vehicle()
        self.memory = Memory()
        options = {"queue_size": size, "features": list(features), **options}
        self.model = NetModel(options, self.vehicle, self.memory.guest)
        self.size = size
        self.accept = accept
        self.queues = {}
        self.start()

    def start(self):
        model = self.model
        model.set_status(0)
        model.set_status(wire.STATUS_ACKNOWLEDGE | wire.STATUS_DRIVER)
        model.acked = model.offered if self.accept is None else self.accept
        model.set_status(model.status | wire.STATUS_FEATURES_OK)
        kind = (PackedDriver if wire.has(model.acked, "RING_PACKED")
                else SplitDriver)
        for queue in model.queues:
            driver = kind(self.memory, self.size)
            self.queues[queue.role] = driver
            queue.size, queue.areas = self.size, list(driver.areas)
            model.enable_queue(queue.index)
        model.set_status(model.status | wire.STATUS_DRIVER_OK)

    def index(self, role):
        return self.model.queue_of(role).index

    def kick(self, role):
        self.model.kick(self.index(role))

    def post(self, role="rx0", count=4, length=256):
        """Receive buffers; returns {id: address}."""
        posted = {}
        for _ in range(count):
            addr = self.memory.take(length)
            posted[self.queues[role].add(inn=[(addr, length)])] = addr
        self.kick(role)
        return posted

    def send(self, frame, role="tx0", **header):
        length = wire.header_length(self.model.acked)
        data = wire.pack_header(length, header) + frame
        addr = self.memory.take(len(data))
        self.memory.guest.write(addr, data)
        ident = self.queues[role].add(out=[(addr, length),
                                           (addr + length, len(frame))])
        self.kick(role)
        return ident

    def give_command(self, number, data=b"", room=64):
        """Puts a command into the control queue; returns where its answer
        will be."""
        out = bytes(number) + data
        addr = self.memory.take(len(out))
        self.memory.guest.write(addr, out)
        answer = self.memory.take(1 + room)
        self.memory.guest.write(answer, b"\xee" * (1 + room))
        self.queues["cvq"].add(out=[(addr, 2), (addr + 2, len(data))]
                               if data else [(addr, 2)],
                               inn=[(answer, 1 + room)])
        self.kick("cvq")
        return answer

    def command(self, number, data=b"", room=64):
        """(status, reply) of a command that is answered at once."""
        if isinstance(number, str):
            number = wire.COMMAND_OF_NAME[number]
        answer = self.give_command(number, data, room)
        used = self.queues["cvq"].used()
        assert len(used) == 1, f"{len(used)} answers"
        length = used[0][1]
        raw = self.memory.guest.read(answer, max(length, 1))
        return raw[0], raw[1:]

    def violations(self):
        return [entry["what"] for entry in self.model.violations]
