# SPDX-License-Identifier: GPL-2.0
"""The PCI function: configuration space, virtio capabilities and registers.

BAR 0 holds the virtio registers, BAR 1 the MSI-X table (which QEMU keeps).
write() returns a function when there is work that has to wait until the write
was answered: the guest's CPU stands still until then.
"""

import struct


CONFIG_SIZE = 4096
BAR0_SIZE, BAR1_SIZE = 0x10000, 0x10000
COMMON, ISR, DEVICE, NOTIFY = 0x0000, 0x1000, 0x2000, 0x8000
COMMON_SIZE, NOTIFY_MULTIPLIER = 64, 4
MAX_QUEUES = (BAR0_SIZE - NOTIFY) // NOTIFY_MULTIPLIER
MAX_VECTORS = 0x8000 // 16
MSIX_PBA = 0x8000
NO_VECTOR = 0xffff
CAP_MSIX, CAP_EXPRESS, CAP_VENDOR = 0x11, 0x10, 0x09
DEVCTL_FLR = 0x8000


def build_config(vectors, device_length):
    """(bytes, write mask, places of the PCI Express and the device capability)."""
    data = bytearray(CONFIG_SIZE)
    mask = bytearray(CONFIG_SIZE)
    struct.pack_into("<HHHHBBBB", data, 0, 0x1af4, 0x1041, 0, 0x0010, 1, 0, 0,
                     2)                             # class: Ethernet
    struct.pack_into("<HH", data, 0x2c, 0x1af4, 1)  # subsystem
    mask[4:6] = b"\x47\x04"                         # command
    mask[0x3c] = 0xff                               # interrupt line
    at = 0x40
    last = 0x34

    def add(kind, body):
        nonlocal at, last
        data[last] = at
        data[at] = kind
        data[at + 2:at + 2 + len(body)] = body
        last, here = at + 1, at
        at = (at + 2 + len(body) + 3) & ~3
        return here

    # PCI Express, version 2, endpoint, with function level reset.
    express = add(CAP_EXPRESS, struct.pack("<HIHHIHH", 2, 0x10008000, 0, 0,
                                           0x11, 0, 0x11).ljust(0x3a, b"\0"))
    mask[express + 8:express + 10] = b"\xff\x7f"    # DEVCTL but FLR
    msix = add(CAP_MSIX, struct.pack("<HII", vectors - 1, 1, MSIX_PBA | 1))
    mask[msix + 3] = 0xc0
    for kind, offset, size in ((1, COMMON, COMMON_SIZE), (3, ISR, 4),
                               (4, DEVICE, device_length)):
        device = add(CAP_VENDOR, struct.pack("<BBB3xII", 16, kind, 0, offset,
                                             size))
    add(CAP_VENDOR, struct.pack("<BBB3xIII", 20, 2, 0, NOTIFY,
                                BAR0_SIZE - NOTIFY, NOTIFY_MULTIPLIER))
    add(CAP_VENDOR, struct.pack("<BBB3xIII", 20, 5, 0, 0, 0, 0))
    return data, mask, express, device


class PciFunction:
    """The registers in front of a NetModel."""

    def __init__(self, model, interrupts):
        self.model = model
        self.interrupts = interrupts        # trigger(vector)
        self.vectors = model.options["vectors"] or len(model.queues) + 1
        if not 1 <= self.vectors <= MAX_VECTORS:
            raise ValueError(f"vectors is {self.vectors}; at most "
                             f"{MAX_VECTORS}, at least 1")
        if len(model.queues) > MAX_QUEUES:
            raise ValueError(f"more than {MAX_QUEUES} queues")
        self.config, self.config_mask, self.express, self.device_cap = (
            build_config(self.vectors, model.options["config_length"]))
        self._clear()
        self.reset_rule = None      # a reset that does not finish
        self.reset_reads = 0
        self.queue_resets = {}      # queue -> the rule that keeps it

    def _clear(self):
        self.feature_select = self.driver_select = self.queue_select = 0
        self.config_vector = NO_VECTOR
        self.queue_vectors = {}
        self.isr = 0

    def set_config_length(self, length):
        """What the capability of the device configuration says from now on."""
        struct.pack_into("<I", self.config, self.device_cap + 12, length)

    def reset(self, why):
        """A reset of the function: FLR, bus reset, a new QEMU."""
        self._clear()
        self.queue_resets.clear()
        self.reset_rule = None
        self.model.reset(why)

    def dead(self):
        """True after a surprise removal: every read gives ones."""
        return self.model.faults.device("bus") is not None

    # --- interrupts ---------------------------------------------------------
    def queue_interrupt(self, index):
        self.isr |= 1
        self._trigger(self.queue_vectors.get(index, NO_VECTOR))

    def config_interrupt(self):
        self.isr |= 2
        self._trigger(self.config_vector)

    def _trigger(self, vector):
        if vector != NO_VECTOR and not self.dead():
            self.interrupts.trigger(vector)

    # --- configuration space ---------------------------------------------------
    def config_read(self, offset, length):
        if self.dead():
            return b"\xff" * length
        return bytes(self.config[offset:offset + length]).ljust(length,
                                                                b"\0")

    def config_write(self, offset, data):
        if self.dead():
            return
        for i, byte in enumerate(data):
            at = offset + i
            if at < CONFIG_SIZE:
                mask = self.config_mask[at]
                self.config[at] = self.config[at] & ~mask | byte & mask
        flr = self.express + 9
        if offset <= flr < offset + len(data):
            if data[flr - offset] & DEVCTL_FLR >> 8:
                self.model.log("flr")
                self.reset("flr")

    # --- BAR 0 -------------------------------------------------------------------
    def read(self, offset, length):
        if self.dead():
            return b"\xff" * length
        if offset < ISR:
            return self._common_read(offset, length)
        if offset < DEVICE:
            value, self.isr = self.isr, 0
            return bytes([value]).ljust(length, b"\0")
        if offset < NOTIFY:
            self.model.check_config_read(offset - DEVICE, length)
            return self.model.config_read(offset - DEVICE, length)
        return bytes(length)

    def write(self, offset, data):
        if self.dead():
            return None
        if offset >= NOTIFY:
            queue = (offset - NOTIFY) // NOTIFY_MULTIPLIER
            value = int.from_bytes(data, "little")
            return lambda: self.model.kick(queue, value)
        if offset >= DEVICE:
            self.model.config_write(offset - DEVICE, data)
        elif offset < ISR:
            return self._common_write(offset, data)
        return None

    def _queue(self):
        if self.queue_select < len(self.model.queues):
            return self.model.queues[self.queue_select]
        return None

    def _common_read(self, offset, length):
        """Registers are built in a row so that any width can be read."""
        model = self.model
        queue = self._queue()
        generation = status = 0
        if offset <= 20 < offset + length:
            status = self._read_status()
        if offset <= 21 < offset + length:
            generation = model.read_generation()
        feature = acked = 0
        if self.feature_select < 4:
            feature = model.offered >> 32 * self.feature_select & 0xffffffff
        if self.driver_select < 4:
            acked = model.acked >> 32 * self.driver_select & 0xffffffff
        start = struct.pack("<IIIIHHBBH", self.feature_select, feature,
                            self.driver_select, acked, self.config_vector,
                            len(model.queues), status, generation,
                            self.queue_select)
        if queue is None:
            rest = bytes(40)
        else:
            index = queue.index
            stuck = self._stuck_reset(queue)
            rest = struct.pack(
                "<HHHHQQQHHHH", queue.size,
                self.queue_vectors.get(index, NO_VECTOR),
                int(queue.enabled), index, *queue.areas, index,
                int(stuck == "hang"), 0, 0)
        return (start + rest)[offset:offset + length].ljust(length, b"\0")

    def _read_status(self):
        """0 after a reset, unless a fault keeps it from finishing."""
        rule = self.reset_rule
        if rule is None:
            return self.model.status
        self.reset_reads += 1
        over = (rule.get("reads") is not None and
                self.reset_reads > rule.get("reads"))
        if rule.get("seconds") is not None:
            over = self.model.vehicle.now() > rule.until
        if rule not in self.model.faults.rules:
            over = True             # cleared by the test
        if over:
            self.reset_rule = None
            return self.model.status
        return rule.get("value", 0x0f)

    def _common_write(self, offset, data):
        value = int.from_bytes(data, "little")
        model = self.model
        if offset == 0:
            self.feature_select = value
        elif offset == 8:
            self.driver_select = value
        elif offset == 12:
            self._driver_features(value)
        elif offset == 16:
            self.config_vector = self._vector(value)
        elif offset == 20:
            return self._write_status(value & 0xff)
        elif offset == 22:
            self.queue_select = value
        elif offset >= 24:
            return self._queue_write(offset, value, len(data))
        else:
            model.violation("read-only-register", offset=offset, value=value)
        return None

    def _driver_features(self, value):
        if self.driver_select >= 4:
            return
        self.model.accept_features(self.driver_select, value)

    def _vector(self, value):
        if value >= self.vectors or self.model.faults.device("vector"):
            return NO_VECTOR
        return value

    def _write_status(self, value):
        model = self.model
        if value == 0:
            rule = model.faults.device("reset")
            if rule:
                self.reset_rule = rule
                self.reset_reads = 0
                rule.until = model.vehicle.now() + rule.get("seconds", 0)
                model.log("reset-stuck")
            self._clear()
            self.queue_resets.clear()
        # DRIVER_OK may come with work that the driver already queued.
        was_live = model.live()
        model.set_status(value)
        if not was_live and model.live():
            return lambda: [model.serve(i) for i in range(len(model.queues))
                            if model.role(i) == "cvq"]
        return None

    def _queue_write(self, offset, value, width):
        model = self.model
        queue = self._queue()
        if queue is None:
            model.violation("write-of-missing-queue", queue=self.queue_select)
            return None
        if offset == 24:
            queue.size = value
        elif offset == 26:
            self.queue_vectors[queue.index] = self._vector(value)
        elif offset == 28:
            if value:
                model.enable_queue(queue.index)
            else:
                model.violation("queue-disabled-by-write", queue=queue.role)
        elif 32 <= offset < 56:
            area, low = divmod(offset - 32, 8)
            if width == 8:
                queue.areas[area] = value
            else:
                shift = 32 if low == 4 else 0
                old = queue.areas[area] & ~(0xffffffff << shift)
                queue.areas[area] = old | value << shift
        elif offset == 58 and value == 1:
            self._reset_queue(queue)
        else:
            model.violation("read-only-register", offset=offset, value=value)
        return None

    def _reset_queue(self, queue):
        rule = self.model.faults.device("queue-reset")
        if rule:
            self.queue_resets[queue.index] = rule
            self.model.log("queue-reset-stuck", queue=queue.role,
                           action=rule.action)
            return
        self._finish_queue_reset(queue)

    def _stuck_reset(self, queue):
        """How a queue reset hangs: "hang" keeps queue_reset at 1, "refuse"
        keeps the queue enabled. It ends when the test clears the fault."""
        rule = self.queue_resets.get(queue.index)
        if rule is None:
            return None
        if rule in self.model.faults.rules:
            return rule.action
        self._finish_queue_reset(queue)
        return None

    def _finish_queue_reset(self, queue):
        self.queue_resets.pop(queue.index, None)
        self.queue_vectors.pop(queue.index, None)
        self.model.reset_queue(queue.index)
