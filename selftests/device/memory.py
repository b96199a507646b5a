# SPDX-License-Identifier: GPL-2.0
"""Guest memory as the device sees it: a set of mapped address ranges.

16-bit accesses go through memoryview("H"): the interpreter moves such an item
with one machine access, so an index shared with the guest is never torn
(struct.pack_into would store it byte by byte).
"""

import bisect
import sys

assert sys.byteorder == "little", "the test device needs a little-endian host"


class BadAddress(Exception):
    """The guest gave an address range that is no memory of its own."""

    def __init__(self, addr, length):
        super().__init__(f"{length} bytes at {addr:#x} are not guest memory")
        self.addr = addr
        self.length = length


class GuestMemory:
    def __init__(self):
        self._bases = []
        self._regions = []      # (base, memoryview, writable)
        self.generation = 0     # changes whenever a view may have become stale

    def add(self, base, buffer, writable=True):
        """Maps a writable buffer (mmap, bytearray) at a guest address."""
        view = memoryview(buffer).cast("B")
        i = bisect.bisect(self._bases, base)
        if i and base < self._bases[i - 1] + len(self._regions[i - 1][1]):
            raise ValueError(f"a region at {base:#x} is mapped already")
        if i < len(self._bases) and base + len(view) > self._bases[i]:
            raise ValueError(f"a region behind {base:#x} is mapped already")
        self._bases.insert(i, base)
        self._regions.insert(i, (base, view, writable))
        self.generation += 1

    def remove(self, base):
        i = bisect.bisect_left(self._bases, base)
        if i == len(self._bases) or self._bases[i] != base:
            return False
        del self._bases[i], self._regions[i]
        self.generation += 1
        return True

    def clear(self):
        self._bases.clear()
        self._regions.clear()
        self.generation += 1

    def ranges(self):
        return [(base, len(view)) for base, view, _ in self._regions]

    def view(self, addr, length, write=False):
        """A memoryview of one contiguous range."""
        i = bisect.bisect(self._bases, addr) - 1
        if i >= 0:
            base, view, writable = self._regions[i]
            if addr + length <= base + len(view) and (writable or not write):
                return view[addr - base:addr - base + length]
        raise BadAddress(addr, length)

    def _pieces(self, addr, length, write):
        """The views that together make up a range."""
        pieces = []
        done = 0
        while done < length:
            at = addr + done
            i = bisect.bisect(self._bases, at) - 1
            if i < 0:
                raise BadAddress(addr, length)
            base, view, writable = self._regions[i]
            room = base + len(view) - at
            if room <= 0 or (write and not writable):
                raise BadAddress(addr, length)
            room = min(room, length - done)
            pieces.append(view[at - base:at - base + room])
            done += room
        return pieces

    def check(self, addr, length, write=False):
        self._pieces(addr, length, write)

    def read(self, addr, length):
        return b"".join(self._pieces(addr, length, False))

    def write(self, addr, data):
        done = 0
        for piece in self._pieces(addr, len(data), True):
            piece[:] = data[done:done + len(piece)]
            done += len(piece)
