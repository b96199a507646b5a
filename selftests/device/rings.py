# SPDX-License-Identifier: GPL-2.0
"""The device side of split and packed virtqueues.

Every ring checks the driver while it serves it. What the driver did wrong is
passed to report(kind, **details); what leaves no way to go on (a head that
does not exist, a loop, memory that is not there) also breaks the ring, as a
real device would by asking for a reset.
"""

import copy
import struct

from .memory import BadAddress

DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4
PACKED_AVAIL, PACKED_USED = 1 << 7, 1 << 15
EVENT_ENABLE, EVENT_DISABLE, EVENT_DESC = 0, 1, 2

_DESC = struct.Struct("<QIHH")


class BrokenRing(Exception):
    """The driver gave something impossible; the ring stops."""

    def __init__(self, kind, **details):
        super().__init__(kind)
        self.kind = kind
        self.details = details


class Chain:
    """One buffer of the driver: readable parts, then writable parts."""

    __slots__ = ("id", "out", "inn", "slots", "descs", "when")

    def __init__(self, head):
        self.id = head
        self.out = []       # (address, length), the device reads
        self.inn = []       # (address, length), the device writes
        self.slots = 1      # ring entries taken (packed)
        self.descs = []     # descriptors taken (split)
        self.when = 0.0     # when the device took it

    @property
    def out_len(self):
        return sum(length for _, length in self.out)

    @property
    def in_len(self):
        return sum(length for _, length in self.inn)

    def read(self, memory):
        return b"".join([memory.read(a, n) for a, n in self.out])

    def write(self, memory, data, offset=0):
        """Writes into the writable part; returns the bytes that fitted."""
        done = 0
        for addr, length in self.inn:
            if offset >= length:
                offset -= length
                continue
            part = data[done:done + length - offset]
            if not part:
                break
            memory.write(addr + offset, part)
            done += len(part)
            offset = 0
        return done


def need_event(event, new, old):
    """True when the index passed event on its way from old to new."""
    return (new - event - 1) & 0xffff < (new - old) & 0xffff


class Ring:
    """What split and packed rings share."""

    packed = False

    def __init__(self, memory, size, areas, options, report):
        self.memory = memory
        self.size = size
        self.areas = areas                      # (desc, driver, device)
        self.indirect = options.get("indirect", False)
        self.event_idx = options.get("event_idx", False)
        self.in_order = options.get("in_order", False)
        self.report = report
        self.broken = False
        self.inflight = {}                      # id -> Chain
        self.freeze_event = False               # scenario: stale kick event
        self._generation = -1
        self._checked = False
        self._signalled = None                  # where the last interrupt was

    # Views of the three areas, looked up again when the memory map changed.
    def _areas(self):
        raise NotImplementedError

    def _sync(self):
        if self._generation == self.memory.generation:
            return
        try:
            self._desc, self._driver, self._device = [
                self.memory.view(addr, length, write)
                for addr, length, write in self._areas()]
        except BadAddress as err:
            raise BrokenRing("bad-ring-address", addr=err.addr,
                             length=err.length) from None
        if not self._checked:
            self._checked = True
            self._check_alignment()
        self._map()
        self._generation = self.memory.generation

    def _check_alignment(self):
        names = ("descriptor", "driver", "device")
        for name, addr, align in zip(names, self.areas, self.ALIGN):
            if addr % align:
                raise BrokenRing("unaligned-ring", area=name, addr=addr)

    def _guard(self, func, *args):
        if self.broken:
            return None
        try:
            self._sync()
            return func(*args)
        except BrokenRing as err:
            self.broken = True
            self.report(err.kind, fatal=True, **err.details)
            return None

    def pop(self):
        """The next buffer of the driver, or None."""
        return self._guard(self._pop)

    def waiting(self):
        """The buffers that the driver has made available and pop() has not taken."""
        kept = {name: copy.copy(value) if isinstance(value, dict) else value
                for name, value in vars(self).items()}
        found = list(iter(self.pop, None))
        vars(self).update(kept)
        return found

    def push(self, entries):
        """Returns buffers: [(chain, used length)] or [(chain, length, id)].

        All of them become visible to the driver at once. The optional id is
        the one to announce instead of the chain's own.
        """
        self._guard(self._push, [(entry[0].slots, entry[1],
                                  entry[2] if len(entry) > 2 else entry[0].id)
                                 for entry in entries])
        for entry in entries:
            if self.inflight.get(entry[0].id) is entry[0]:
                self._forget(entry[0])

    def push_raw(self, used_id, length, slots=1):
        """A used entry that belongs to no buffer (a lie)."""
        self._guard(self._push, [(slots, length, used_id)])

    def want_kick(self, wanted=True):
        """Says whether the driver is to notify about new buffers."""
        if not self.freeze_event:
            self._guard(self._want_kick, wanted)

    def need_interrupt(self):
        """True when the driver wants to be told what was pushed since the
        last call that returned for a push."""
        return bool(self._guard(self._need_interrupt))

    def _forget(self, chain):
        del self.inflight[chain.id]

    def _check_length(self, chain):
        """No buffer has more elements than the ring, indirect or not."""
        length = len(chain.out) + len(chain.inn)
        if length > self.size:
            self.report("chain-longer-than-queue", length=length)

    def _element(self, chain, addr, length, flags, where):
        """Adds one descriptor to a chain after checking it."""
        write = bool(flags & DESC_WRITE)
        if not length:
            self.report("zero-length-descriptor", index=where, addr=addr)
        else:
            try:
                self.memory.check(addr, length, write)
            except BadAddress:
                raise BrokenRing("bad-address", index=where, addr=addr,
                                 length=length) from None
        if write:
            chain.inn.append((addr, length))
        elif chain.inn:
            raise BrokenRing("readable-after-writable", index=where)
        else:
            chain.out.append((addr, length))

    def _indirect_table(self, addr, length, where):
        if not self.indirect:
            self.report("indirect-not-negotiated", index=where)
        if not length or length % 16:
            raise BrokenRing("bad-indirect-length", index=where,
                             length=length)
        try:
            return self.memory.read(addr, length)
        except BadAddress:
            raise BrokenRing("bad-address", index=where, addr=addr,
                             length=length) from None


class SplitRing(Ring):
    ALIGN = (16, 2, 4)

    def __init__(self, *args):
        super().__init__(*args)
        self.last_avail = 0
        self.used_idx = 0
        self._owned = {}                        # descriptor -> head

    def _areas(self):
        desc, driver, device = self.areas
        return ((desc, 16 * self.size, False),
                (driver, 6 + 2 * self.size, False),
                (device, 6 + 8 * self.size, True))

    def _map(self):
        self._avail16 = self._driver.cast("H")
        self._used16 = self._device.cast("H")
        self._used32 = self._device[4:4 + 8 * self.size].cast("I")

    def _pop(self):
        waiting = (self._avail16[1] - self.last_avail) & 0xffff
        if not waiting:
            return None
        if waiting > self.size:
            raise BrokenRing("avail-index-jump", avail=self._avail16[1],
                             last=self.last_avail)
        if self._avail16[0] not in ((0,) if self.event_idx else (0, 1)):
            self.report("avail-flags", flags=self._avail16[0])
        head = self._avail16[2 + self.last_avail % self.size]
        if head >= self.size:
            raise BrokenRing("bad-head", head=head)
        chain = self._walk(head)
        self._check_length(chain)
        self.last_avail = (self.last_avail + 1) & 0xffff
        for index in chain.descs:
            self._owned[index] = head
        self.inflight[head] = chain
        return chain

    def _walk(self, head):
        chain = Chain(head)
        index = head
        while True:
            if index in self._owned:
                raise BrokenRing("descriptor-reuse", index=index,
                                 head=self._owned[index])
            if index in chain.descs:
                raise BrokenRing("descriptor-loop", index=index)
            chain.descs.append(index)
            addr, length, flags, link = _DESC.unpack_from(self._desc,
                                                          16 * index)
            if flags & DESC_INDIRECT:
                if flags & DESC_NEXT:
                    self.report("indirect-with-next", index=index)
                self._walk_indirect(chain, addr, length, index)
                return chain
            self._element(chain, addr, length, flags, index)
            if not flags & DESC_NEXT:
                return chain
            if link >= self.size:
                raise BrokenRing("bad-next", index=index, next=link)
            if self.in_order and link != (index + 1) % self.size:
                self.report("descriptors-out-of-order", index=index, next=link)
            index = link

    def _walk_indirect(self, chain, addr, length, where):
        table = self._indirect_table(addr, length, where)
        seen = set()
        index = 0
        while True:
            if index in seen:
                raise BrokenRing("descriptor-loop", index=where)
            seen.add(index)
            addr, size, flags, link = _DESC.unpack_from(table, 16 * index)
            if flags & DESC_INDIRECT:
                raise BrokenRing("nested-indirect", index=where)
            self._element(chain, addr, size, flags, where)
            if not flags & DESC_NEXT:
                return
            if link >= len(table) // 16:
                raise BrokenRing("bad-next", index=where, next=link)
            if self.in_order and link != index + 1:
                self.report("descriptors-out-of-order", index=where, next=link)
            index = link

    def _forget(self, chain):
        super()._forget(chain)
        for index in chain.descs:
            self._owned.pop(index, None)

    def _push(self, entries):
        for _, length, used_id in entries:
            slot = self.used_idx % self.size
            self._used32[2 * slot] = used_id & 0xffffffff
            self._used32[2 * slot + 1] = length & 0xffffffff
            self.used_idx = (self.used_idx + 1) & 0xffff
        self._used16[1] = self.used_idx

    def _want_kick(self, wanted):
        if self.event_idx:
            event = self.last_avail if wanted else self.last_avail - 1
            self._used16[2 + 4 * self.size] = event & 0xffff
        else:
            self._used16[0] = 0 if wanted else 1

    def _need_interrupt(self):
        old, self._signalled = self._signalled, self.used_idx
        if not self.event_idx:
            return not self._avail16[0] & 1
        if old is None:
            return True
        return need_event(self._avail16[2 + self.size], self.used_idx, old)

    # --- what only scenarios use --------------------------------------------
    def set_used_index(self, value):
        """Lets the used index jump; the device keeps its own count."""
        def store():
            self._used16[1] = value & 0xffff
        self._guard(store)

    def set_kick_event(self, value):
        def store():
            self._used16[2 + 4 * self.size] = value & 0xffff
        self._guard(store)

    def position(self):
        return {"next_avail": self.last_avail, "next_used": self.used_idx}


class PackedRing(Ring):
    packed = True
    ALIGN = (16, 4, 4)

    def __init__(self, *args):
        super().__init__(*args)
        self.next_avail = 0
        self.avail_wrap = 1
        self.next_used = 0
        self.used_wrap = 1
        self._slots_taken = 0

    def _areas(self):
        desc, driver, device = self.areas
        return ((desc, 16 * self.size, True), (driver, 4, False),
                (device, 4, True))

    def _map(self):
        self._desc16 = self._desc.cast("H")
        self._desc32 = self._desc.cast("I")
        self._driver16 = self._driver.cast("H")
        self._device16 = self._device.cast("H")

    def _is_avail(self, index, wrap):
        flags = self._desc16[8 * index + 7]
        return (bool(flags & PACKED_AVAIL) == bool(wrap) and
                bool(flags & PACKED_USED) != bool(wrap))

    def _pop(self):
        if not self._is_avail(self.next_avail, self.avail_wrap):
            return None
        chain = Chain(0)
        chain.slots = 0
        index, wrap = self.next_avail, self.avail_wrap
        while True:
            if self._slots_taken + chain.slots == self.size:
                raise BrokenRing("ring-overrun", index=index)
            if not self._is_avail(index, wrap):
                raise BrokenRing("partial-chain", index=index)
            addr, length, used_id, flags = _DESC.unpack_from(self._desc,
                                                             16 * index)
            chain.slots += 1
            if flags & DESC_INDIRECT:
                if flags & DESC_NEXT or chain.slots > 1:
                    self.report("indirect-with-next", index=index)
                self._walk_indirect(chain, addr, length, index)
            else:
                self._element(chain, addr, length, flags, index)
            index += 1
            if index == self.size:
                index, wrap = 0, wrap ^ 1
            if not flags & DESC_NEXT or flags & DESC_INDIRECT:
                break
        chain.id = used_id
        if used_id in self.inflight:
            raise BrokenRing("descriptor-reuse", id=used_id)
        self._check_length(chain)
        self.next_avail, self.avail_wrap = index, wrap
        self._slots_taken += chain.slots
        self.inflight[used_id] = chain
        return chain

    def _walk_indirect(self, chain, addr, length, where):
        table = self._indirect_table(addr, length, where)
        for i in range(len(table) // 16):
            addr, size, _, flags = _DESC.unpack_from(table, 16 * i)
            if flags & DESC_INDIRECT:
                raise BrokenRing("nested-indirect", index=where)
            if flags & ~DESC_WRITE:
                self.report("indirect-flags", index=where, flags=flags)
            self._element(chain, addr, size, flags, where)

    def _forget(self, chain):
        super()._forget(chain)
        self._slots_taken -= chain.slots

    def _push(self, entries):
        # The flags of the first descriptor go last: they publish the batch.
        first = None
        for slots, length, used_id in entries:
            index = self.next_used
            self._desc16[8 * index + 6] = used_id & 0xffff
            self._desc32[4 * index + 2] = length & 0xffffffff
            flags = (PACKED_AVAIL | PACKED_USED) if self.used_wrap else 0
            flags |= DESC_WRITE if length else 0
            if first is None:
                first = (index, flags)
            else:
                self._desc16[8 * index + 7] = flags
            self.next_used += slots
            if self.next_used >= self.size:
                self.next_used -= self.size
                self.used_wrap ^= 1
        if first:
            self._desc16[8 * first[0] + 7] = first[1]

    def _want_kick(self, wanted):
        if not wanted:
            self._device16[1] = EVENT_DISABLE
        elif self.event_idx:
            self._device16[0] = self.next_avail | self.avail_wrap << 15
            self._device16[1] = EVENT_DESC
        else:
            self._device16[1] = EVENT_ENABLE

    def _need_interrupt(self):
        old = self._signalled
        self._signalled = (self.next_used, self.used_wrap)
        mode = self._driver16[1] & 3
        if mode == EVENT_DISABLE:
            return False
        if mode == EVENT_ENABLE or old is None:
            return True
        event, wrap = self._driver16[0] & 0x7fff, self._driver16[0] >> 15
        before = old[0] - (self.size if old[1] != self.used_wrap else 0)
        if wrap != self.used_wrap:
            event -= self.size
        return need_event(event, self.next_used, before)

    # --- what only scenarios use --------------------------------------------
    def set_kick_event(self, value):
        def store():
            self._device16[0] = value & 0xffff
            self._device16[1] = EVENT_DESC
        self._guard(store)

    def position(self):
        return {"next_avail": self.next_avail, "avail_wrap": self.avail_wrap,
                "next_used": self.next_used, "used_wrap": self.used_wrap}


def write_descriptor(ring, index, fields):
    """Scenario: overwrites parts of a descriptor after the driver gave it."""
    offsets = {"addr": (0, 8), "len": (8, 4)}
    if ring.packed:
        offsets.update(id=(12, 2), flags=(14, 2))
    else:
        offsets.update(flags=(12, 2), next=(14, 2))
    for name, value in fields.items():
        if name not in offsets:
            raise ValueError(f"a descriptor has no field {name!r} here; "
                             f"known: {', '.join(offsets)}")
        at, width = offsets[name]
        value = int(value) & ((1 << 8 * width) - 1)
        ring.memory.write(ring.areas[0] + 16 * (index % ring.size) + at,
                          value.to_bytes(width, "little"))
