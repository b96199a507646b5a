# SPDX-License-Identifier: GPL-2.0
"""The virtio network device, without the bus that carries it.

The bus ("vehicle") calls the model for features, status, configuration, queue
set-up and kicks. The model calls the vehicle for interrupts and time:

  queue_interrupt(index)   config_interrupt()   call_later(seconds, func)   now()
"""

import collections
import json
import struct

from . import packet, rings, wire
from .control import ControlState, Refused
from .memory import BadAddress, GuestMemory
from .scenario import Faults
from .wire import has

DEFAULT_FEATURES = (
    "VERSION_1", "INDIRECT_DESC", "EVENT_IDX", "RING_RESET", "MAC", "STATUS",
    "MTU", "MRG_RXBUF", "CSUM", "GUEST_CSUM", "CTRL_GUEST_OFFLOADS",
    "CTRL_VQ", "CTRL_RX", "CTRL_VLAN", "CTRL_RX_EXTRA", "CTRL_MAC_ADDR",
    "GUEST_ANNOUNCE", "SPEED_DUPLEX")
DEFAULT_CONFIG = {
    "mac": "52:54:00:76:6e:01", "mtu": 1500, "max_virtqueue_pairs": None,
    "speed": 10000, "duplex": 1, "rss_max_key_size": 40, "rss_max_table": 128,
    "hash_types": 0x1ff, "tunnel_types": 0x1ff,
}
DEFAULT_OPTIONS = {
    "features": ["default"], "config": {}, "config_raw": None,
    "pairs": 1, "queue_size": 256, "queue_sizes": {}, "num_queues": None,
    "max_mac_table": 64, "max_rss_contexts": 8,
    "stats_types": sum(1 << bit for bit in wire.STATS), "stats_extra": 0,
    "accept_bad_features": False, "tx_kept": 4096, "log_kept": 50000,
    "config_length": 0x1000, "backlog": 256, "vectors": None, "net": "answer", "addresses": None,
    "peer_mac": "52:54:00:76:6e:fe",
}
BATCH = 256             # buffers served before others get their turn


def feature_mask(items):
    expanded = []
    for item in items:
        expanded.extend(DEFAULT_FEATURES if item == "default" else [item])
    return wire.features(*expanded)


def complete_options(options):
    unknown = set(options) - set(DEFAULT_OPTIONS)
    if unknown:
        raise ValueError(f"unknown option {sorted(unknown)[0]!r}; known: "
                         f"{', '.join(sorted(DEFAULT_OPTIONS))}")
    return {**DEFAULT_OPTIONS, **options}


class Queue:
    """A virtqueue of the model: its set-up, its ring, its counters."""

    def __init__(self, index, max_size):
        self.index = index
        self.max_size = max_size
        self.role = ""
        self.counters = collections.Counter()
        self.clear()

    def clear(self):
        self.size = self.max_size
        self.areas = [0, 0, 0]
        self.enabled = False
        self.ring = None
        self.taken = collections.deque()    # receive buffers not used yet
        self.held = []                      # completions kept back
        self.backlog = collections.deque()  # frames that wait for buffers
        self.unsignalled = 0
        self.timer = None

    def take(self):
        if self.taken:
            return self.taken.popleft()
        return self.ring.pop()

    def describe(self):
        about = {"index": self.index, "role": self.role, "size": self.size,
                 "max_size": self.max_size, "enabled": self.enabled,
                 "areas": list(self.areas), "held": len(self.held),
                 "taken": len(self.taken), "backlog": len(self.backlog),
                 "counters": dict(self.counters)}
        if self.ring:
            about.update(packed=self.ring.packed, broken=self.ring.broken,
                         inflight=len(self.ring.inflight),
                         **self.ring.position())
        return about


class NetModel:
    def __init__(self, options=None, vehicle=None, memory=None,
                 log_file=None):
        self.options = complete_options(options or {})
        self.vehicle = vehicle
        self.memory = memory or GuestMemory()
        self.log_file = log_file
        self.faults = Faults()
        self.network = None         # transmit(pair, header, frame)
        self.pairs = self.options["pairs"]
        self.offered = feature_mask(self.options["features"])
        self.config_values = {**DEFAULT_CONFIG, **self.options["config"]}
        unknown = set(self.config_values) - set(wire.CONFIG_FIELDS)
        if unknown:
            raise ValueError(f"unknown config field {sorted(unknown)[0]!r}; "
                             f"known: {', '.join(wire.CONFIG_FIELDS)}")
        if self.config_values["max_virtqueue_pairs"] is None:
            self.config_values["max_virtqueue_pairs"] = self.pairs
        self.config_raw = bytearray()
        if self.options["config_raw"]:
            self.config_raw = bytearray.fromhex(self.options["config_raw"])
        self.link = wire.LINK_UP
        self.generation = 0
        self.epoch = 0              # counts resets: stale timers do nothing
        self.resets = 0
        self.events = collections.deque(maxlen=self.options["log_kept"])
        self.sequence = 0
        self.observers = []         # called with every log entry
        self.violations = []
        self.sent = collections.deque(maxlen=self.options["tx_kept"])
        self.drops = collections.Counter()
        count = self.options["num_queues"]
        if count is None:
            count = 2 * self.pairs + has(self.offered, "CTRL_VQ")
        self.queues = [Queue(i, self.options["queue_size"])
                       for i in range(count)]
        self.set_queue_sizes(self.options["queue_sizes"])
        self.acked = 0
        self.status = 0
        self.control = ControlState(self)
        self._name_roles()

    def set_queue_sizes(self, sizes):
        """Largest sizes by index, for the next negotiation."""
        sizes = {int(k): v for k, v in sizes.items()}
        for queue in self.queues:
            queue.max_size = sizes.get(queue.index, self.options["queue_size"])
            if not queue.enabled:
                queue.size = queue.max_size

    # --- log ------------------------------------------------------------------
    def log(self, kind, **fields):
        self.sequence += 1
        now = self.vehicle.now() if self.vehicle else 0.0
        entry = {"seq": self.sequence, "t": round(now, 6), "kind": kind,
                 **fields}
        self.events.append(entry)
        if self.log_file:
            self.log_file.write(json.dumps(entry) + "\n")
            self.log_file.flush()
        for observer in list(self.observers):
            observer(entry)
        return entry

    def violation(self, what, **details):
        """The driver broke a rule."""
        entry = self.log("violation", what=what, **details)
        if len(self.violations) < 1000:
            self.violations.append(entry)

    # --- life -----------------------------------------------------------------
    def reset(self, why="status"):
        if self.status or self.acked or why != "status":
            self.log("reset", why=why, status=self.status)
            self.resets += 1
        self.epoch += 1
        self.status = 0
        self.acked = 0
        for queue in self.queues:
            queue.clear()
        self.control.reset()
        self._name_roles()

    def _name_roles(self):
        """Queue 2N is the control queue; N depends on the features."""
        pairs = 1
        if has(self.acked, "MQ") or has(self.acked, "RSS"):
            pairs = self.config_values["max_virtqueue_pairs"]
        if not self.acked:
            pairs = self.pairs
        for queue in self.queues:
            if (queue.index == 2 * pairs and
                    has(self.acked or self.offered, "CTRL_VQ")):
                queue.role = "cvq"
            elif queue.index < 2 * pairs:
                kind = "tx" if queue.index % 2 else "rx"
                queue.role = f"{kind}{queue.index // 2}"
            else:
                queue.role = "none"

    def role(self, index):
        return self.queues[index].role if index < len(self.queues) else "none"

    def is_enabled(self, index):
        return index < len(self.queues) and self.queues[index].enabled

    def queue_of(self, name):
        """A queue by number or role ("rx0", "tx1", "cvq")."""
        for queue in self.queues:
            if name == queue.role or str(name) == str(queue.index):
                return queue
        raise ValueError(f"there is no queue {name!r}; there are "
                         f"{', '.join(q.role for q in self.queues)}")

    # --- negotiation ----------------------------------------------------------
    def set_status(self, value):
        """A write of the driver to the status register; 0 is a reset."""
        if value == 0:
            self.reset()
            return
        new = value & ~self.status
        self._check_status(value)
        # The driver cannot clear what the device set.
        self.status = value | (self.status & wire.STATUS_NEEDS_RESET)
        if new & wire.STATUS_FEATURES_OK and not self._accept_features():
            self.status &= ~wire.STATUS_FEATURES_OK
        self.log("status", value=self.status)
        if new & wire.STATUS_DRIVER_OK and self.network:
            self.network.driver_ok()

    def _check_status(self, value):
        """Bits are set one after the other and stay."""
        gone = self.status & ~value & ~wire.STATUS_NEEDS_RESET
        if gone:
            self.violation("status-bit-cleared", status=self.status,
                           value=value)
        steps = (wire.STATUS_ACKNOWLEDGE, wire.STATUS_DRIVER,
                 wire.STATUS_FEATURES_OK, wire.STATUS_DRIVER_OK)
        for before, after in zip(steps, steps[1:]):
            if value & after and not value & before:
                self.violation("status-order", value=value)
                break

    def accept_features(self, word, value):
        """A write of the driver to 32 of the bits that it accepts."""
        if self.status & wire.STATUS_FEATURES_OK:
            self.violation("features-after-features-ok", word=word)
        self.acked &= ~(0xffffffff << 32 * word)
        self.acked |= value << 32 * word

    def _accept_features(self):
        self.log("features", acked=hex(self.acked),
                 names=wire.feature_names(self.acked))
        good = True
        extra = self.acked & ~self.offered
        if extra:
            self.violation("unoffered-feature", names=wire.feature_names(extra))
            good = False
        if not has(self.acked, "VERSION_1"):
            self.violation("no-version-1")
            good = False
        for name, groups in wire.REQUIRES.items():
            if has(self.acked, name):
                for group in groups:
                    if not any(has(self.acked, other) for other in group):
                        self.violation("feature-dependency", feature=name,
                                       needs=group)
                        good = False
        if self.faults.device("features-ok"):
            return False
        self._name_roles()
        return good or self.options["accept_bad_features"]

    def needs_reset(self):
        self.status |= wire.STATUS_NEEDS_RESET
        self.log("needs-reset")
        self.config_changed()

    def live(self):
        return bool(self.status & wire.STATUS_DRIVER_OK)

    # --- configuration space ----------------------------------------------------
    def config_changed(self, generation=True, interrupt=True):
        if generation:
            self.generation = (self.generation + 1) & 0xff
        if interrupt:
            self.vehicle.config_interrupt()

    def set_config(self, values):
        unknown = set(values) - set(wire.CONFIG_FIELDS)
        if unknown:
            raise ValueError(f"unknown config field {sorted(unknown)[0]!r}; "
                             f"known: {', '.join(wire.CONFIG_FIELDS)}")
        self.config_values.update(values)
        if "status" in values:
            self.link = values["status"]

    def set_link(self, up):
        self.link = self.link & ~wire.LINK_UP | (wire.LINK_UP if up else 0)
        self.config_changed()

    def announce(self):
        self.link |= wire.LINK_ANNOUNCE
        self.config_changed()

    def clear_announce(self):
        self.link &= ~wire.LINK_ANNOUNCE

    def config_bytes(self):
        data = bytearray(wire.CONFIG_SIZE)
        for name, (at, fmt) in wire.CONFIG_FIELDS.items():
            value = self.config_values.get(name, 0)
            if name == "mac":
                value = wire.mac_bytes(value)
            elif name == "status":
                value = self.link
            else:
                value &= (1 << 8 * struct.calcsize(fmt)) - 1
            struct.pack_into(fmt, data, at, value)
        data[:len(self.config_raw)] = self.config_raw
        return data

    def check_config_read(self, offset, length):
        """A field is read whole, and if one of its features is offered."""
        for name, (at, fmt) in wire.CONFIG_FIELDS.items():
            size = struct.calcsize(fmt)
            if not at <= offset < at + size:
                continue
            width = 1 if name == "mac" else size
            if length != width or (width > 1 and offset != at):
                self.violation("config-read-width", field=name, length=length)
            if not any(has(self.offered, need)
                       for need in wire.CONFIG_NEED[name]):
                self.violation("config-read-without-feature", field=name)
        if offset + length > self.options["config_length"]:
            self.violation("config-read-beyond-end", offset=offset,
                           length=length)

    def config_read(self, offset, length):
        honest = dict(self.config_values)
        for name, (at, fmt) in wire.CONFIG_FIELDS.items():
            if offset == at:
                self._next_of_sequence(name)
        data = self.config_bytes()[offset:offset + length]
        self.config_values = honest     # what the device itself goes by
        return bytes(data).ljust(length, b"\0")

    def _next_of_sequence(self, name):
        """Fault: a field that is another one each time it is read."""
        for rule in self.faults.rules:
            if (rule.target == "device" and rule.pattern == "config-read" and
                    rule.get("field") == name):
                values = rule.get("values")
                self.config_values[name] = values[rule.hits % len(values)]
                rule.hits += 1

    def config_write(self, offset, data):
        self.violation("config-write", offset=offset, data=data.hex())

    def read_generation(self):
        if self.faults.device("generation"):
            self.generation = (self.generation + 1) & 0xff
        return self.generation

    # --- queues -----------------------------------------------------------------
    def enable_queue(self, index):
        queue = self.queues[index]
        if queue.enabled:
            self.violation("queue-enabled-twice", queue=index)
            return
        if not self.status & wire.STATUS_FEATURES_OK:
            self.violation("queue-before-features-ok", queue=index)
        if not 1 <= queue.size <= queue.max_size:
            self.violation("bad-queue-size", queue=index, size=queue.size)
            return
        packed = has(self.acked, "RING_PACKED")
        if not packed and queue.size & (queue.size - 1):
            self.violation("bad-queue-size", queue=index, size=queue.size)
        options = {"indirect": has(self.acked, "INDIRECT_DESC"),
                   "in_order": has(self.acked, "IN_ORDER"),
                   "event_idx": has(self.acked, "EVENT_IDX")}

        def report(what, **details):
            self.violation(what, queue=queue.role, **details)
        kind = rings.PackedRing if packed else rings.SplitRing
        queue.ring = kind(self.memory, queue.size, tuple(queue.areas),
                          options, report)
        queue.enabled = True
        self.log("queue", queue=queue.role, size=queue.size, packed=packed)

    def reset_queue(self, index):
        """RING_RESET: the device lets go of every buffer."""
        queue = self.queues[index]
        if not has(self.acked, "RING_RESET"):
            self.violation("queue-reset-not-negotiated", queue=queue.role)
        self.log("queue-reset", queue=queue.role,
                 inflight=len(queue.ring.inflight) if queue.ring else 0)
        queue.counters[queue.role[:2] + "_resets"] += 1
        if queue.timer:
            queue.timer.cancel()
        queue.clear()
        self.control.queue_was_reset(index)

    def kick(self, index, data=None):
        """A doorbell. data: what was written, for NOTIFICATION_DATA."""
        if index >= len(self.queues):
            self.violation("kick-unknown-queue", queue=index)
            return
        queue = self.queues[index]
        queue.counters["kicks"] += 1
        queue.counters[queue.role[:2] + "_notifications"] += 1
        if not self.live():
            self.violation("kick-before-driver-ok", queue=queue.role)
            return
        if not queue.enabled:
            self.violation("kick-disabled-queue", queue=queue.role)
            return
        if has(self.acked, "NOTIFICATION_DATA") and data is not None:
            if data & 0xffff != index:
                self.violation("bad-notification-data", queue=queue.role,
                               data=data)
        if self.faults.queue(queue, "ignore-kick"):
            return
        self.serve(index)

    def serve(self, index):
        """Looks for work on a queue; also what a scenario's poll does."""
        queue = self.queues[index]
        if not queue.enabled or not self.live():
            return
        handler = {"rx": self._serve_rx, "tx": self._serve_tx,
                   "cv": self._serve_control}.get(queue.role[:2])
        if handler and handler(queue):
            self._later(0, self.serve, index)

    def _later(self, seconds, func, *args):
        """Runs func unless the device was reset in between."""
        epoch = self.epoch

        def run():
            if epoch == self.epoch:
                func(*args)
        return self.vehicle.call_later(seconds, run)

    def _buffers(self, queue):
        """New buffers of the driver, one batch; arms the kick at the end."""
        for _ in range(BATCH):
            chain = queue.ring.pop()
            if chain is None:
                queue.ring.want_kick(True)
                chain = queue.ring.pop()
                if chain is None:
                    return
            chain.when = self.vehicle.now()
            yield chain

    def complete(self, queue, entries, interrupt=True):
        """Returns buffers to the driver and tells it."""
        if not queue.ring:
            return
        queue.ring.push(entries)
        if interrupt:
            self.signal(queue, len(entries))

    def signal(self, queue, count=1):
        if not queue.ring:
            return
        # Once an interrupt is due, later buffers only make it more so.
        if not queue.ring.need_interrupt() and not queue.unsignalled:
            return
        packets, usecs = self.control.coalescing(queue.index, queue.role[:2])
        queue.unsignalled += count
        self._moderate(queue, packets, usecs)

    def coalescing_changed(self):
        """Interrupts that were held back may be due now."""
        for queue in self.queues:
            if queue.unsignalled:
                self._moderate(queue, *self.control.coalescing(
                    queue.index, queue.role[:2]))

    def _moderate(self, queue, packets, usecs):
        if packets > 1 and usecs and queue.unsignalled < packets:
            if queue.timer is None:
                queue.timer = self._later(usecs / 1e6, self._interrupt, queue)
            return
        self._interrupt(queue)

    def _interrupt(self, queue):
        if queue.timer:
            queue.timer.cancel()
            queue.timer = None
        queue.unsignalled = 0
        if self.faults.queue(queue, "no-interrupt"):
            queue.counters["interrupts_lost"] += 1
            return
        queue.counters["interrupts"] += 1
        queue.counters[queue.role[:2] + "_interrupts"] += 1
        self.vehicle.queue_interrupt(queue.index)

    def release(self, queue, limit=None, order="fifo", used_id=None):
        """Gives back what a fault held; returns how many."""
        held = queue.held[::-1] if order == "reverse" else list(queue.held)
        held = held[:limit]
        for entry in held:
            queue.held.remove(entry)
            chain, length, payload = entry
            if payload is not None:
                self._write(queue, chain, payload)
            self.complete(queue, [(chain, length) if used_id is None else
                                  (chain, length, used_id)])
        return len(held)

    def _hold(self, queue, rule, entry):
        """Keeps a completion: for ever or for the seconds of the rule."""
        queue.held.append(entry)
        if rule.action == "delay":
            def give():
                if entry in queue.held:
                    queue.held.remove(entry)
                    chain, length, payload = entry
                    if payload is not None:
                        self._write(queue, chain, payload)
                    self.complete(queue, [(chain, length)])
            self._later(rule.get("seconds", 1.0), give)

    def _write(self, queue, chain, data, offset=0):
        try:
            return chain.write(self.memory, data, offset)
        except BadAddress as err:
            self.violation("bad-address", queue=queue.role, addr=err.addr,
                           length=err.length)
            return 0

    # --- control queue ------------------------------------------------------------
    def _serve_control(self, queue):
        served = 0
        for chain in self._buffers(queue):
            served += 1
            self._control_command(queue, chain)
        return served == BATCH

    def _control_command(self, queue, chain):
        data = chain.read(self.memory)
        if len(data) < 2 or chain.in_len < 1:
            self.violation("short-control-chain", data=data.hex(),
                           room=chain.in_len)
            self.complete(queue, [(chain, 0)])
            return
        number = (data[0], data[1])
        rule = self.faults.command(number)
        action = rule.action if rule else "answer"
        self.control.commands += 1
        reply, decoded, status, error = b"", None, wire.CTRL_OK, None
        applied = action in ("answer", "delay")
        if rule:
            applied = rule.get("apply", applied)
        if applied:
            try:
                reply, decoded = self.control.execute(number, data[2:],
                                                      chain.in_len - 1)
            except Refused as err:
                status, error = wire.CTRL_ERR, str(err)
                self.violation("bad-command", command=list(number),
                               data=data.hex(), error=error)
        if action == "refuse":
            status, reply = wire.CTRL_ERR, b""
        if rule:
            status = rule.get("status", status)
            if rule.get("reply") is not None:
                reply = bytes.fromhex(rule.get("reply"))
        self.control.commands_ok += status == wire.CTRL_OK
        name = wire.COMMANDS.get(number, ("unknown",))[0]
        self.log("ctrl", **{
            "class": number[0], "cmd": number[1], "name": name,
            "data": data[2:].hex(), "room": chain.in_len, "status": status,
            "out": [length for _, length in chain.out],
            "in": [length for _, length in chain.inn],
            "reply": reply.hex(), "decoded": decoded, "error": error,
            "applied": applied, "fault": rule.id if rule else None,
            "action": action})
        payload = bytes([status & 0xff]) + reply
        length = len(payload)
        if rule and rule.get("used_len") is not None:
            length = rule.get("used_len")
        if action in ("never", "delay"):
            self._hold(queue, rule, (chain, length, payload))
            if action == "never" and rule.get("interrupt"):
                self._interrupt(queue)
            return
        self._write(queue, chain, payload)
        used_id = rule.get("used_id", chain.id) if rule else chain.id
        self.complete(queue, [(chain, length, used_id)],
                      not rule or rule.get("interrupt", True))
        if rule and rule.get("twice"):
            queue.ring.push_raw(used_id, length, chain.slots)
            self.signal(queue)

    # --- transmit queues ----------------------------------------------------------
    def _serve_tx(self, queue):
        done = []
        served = 0
        for chain in self._buffers(queue):
            served += 1
            try:
                self._transmit(queue, chain)
            except BadAddress as err:
                self.violation("bad-address", queue=queue.role, addr=err.addr,
                               length=err.length)
            done.append(chain)
        if done:
            self._complete_tx(queue, done)
        return served == BATCH

    def _complete_tx(self, queue, chains):
        entries = []
        extra = []
        for number, chain in enumerate(chains):
            rule = self.faults.queue(queue, "hold", "delay", "half", "twice",
                                     "wrong-id", "used-len")
            action = rule.action if rule else None
            if action in ("hold", "delay") or (action == "half" and
                                               rule.hits % 2):
                self._hold(queue, rule, (chain, 0, None))
            elif action == "wrong-id":
                entries.append((chain, 0, rule.get("used_id", 0xffff)))
            elif action == "used-len":
                entries.append((chain, rule.get("used_len", 0)))
            else:
                entries.append((chain, 0))
                if action == "twice":
                    extra.append(chain)
        if self.faults.queue(queue, "reverse"):
            entries.reverse()
        if entries:
            self.complete(queue, entries)
        for chain in extra:
            queue.ring.push_raw(chain.id, 0, chain.slots)
            self.signal(queue)

    def _transmit(self, queue, chain):
        length = wire.header_length(self.acked)
        data = chain.read(self.memory)
        if chain.inn:
            self.violation("writable-transmit-buffer", queue=queue.role)
        if len(data) < length + 14:
            self.violation("short-transmit-buffer", queue=queue.role,
                           length=len(data))
            queue.counters["tx_drop_malformed"] += 1
            return
        header = wire.unpack_header(data[:length])
        frame = data[length:]
        self._check_tx_header(queue, header, frame)
        self._check_tx_length(queue, header, frame)
        pair = queue.index // 2
        if pair >= self.control.pairs:
            self.violation("transmit-on-inactive-queue", queue=queue.role)
        counters = queue.counters
        counters["tx_packets"] += 1
        counters["tx_bytes"] += len(frame)
        needs = header["flags"] & wire.HDR_NEEDS_CSUM
        counters["tx_needs_csum" if needs else "tx_csum_none"] += 1
        if header["gso_type"]:
            counters["tx_gso_packets"] += 1
            counters["tx_gso_bytes"] += len(frame)
            body = max(len(frame) - header["hdr_len"], 0)
            segments = -(-body // (header["gso_size"] or 1)) or 1
            counters["tx_gso_segments"] += segments
            counters["tx_gso_segments_bytes"] += (
                body + segments * header["hdr_len"])
        self.sent.append({"queue": queue.role, "t": self.vehicle.now(),
                          "hdr": header, "raw_hdr": data[:length],
                          "descriptors": len(chain.out), "frame": frame})
        if self.network and self.link & wire.LINK_UP:
            self.network.transmit(pair, header, frame)

    def _check_tx_length(self, queue, header, frame):
        """A frame that is not to be segmented fits the device's MTU."""
        if not has(self.acked, "MTU") or header["gso_type"]:
            return
        most = self.config_values["mtu"] + 14
        at = 12
        while frame[at:at + 2] in (b"\x81\0", b"\x88\xa8"):
            at, most = at + 4, most + 4
        if len(frame) > most:
            self.violation("frame-longer-than-mtu", queue=queue.role,
                           length=len(frame), most=most)

    def _check_tunnel(self, header, tunnel, bad):
        """The offsets of a frame that is segmented inside a UDP tunnel."""
        if tunnel == wire.GSO_TUNNEL_IPV4 | wire.GSO_TUNNEL_IPV6:
            bad("both tunnel bits")
        if not has(self.acked, "HOST_UDP_TUNNEL_GSO"):
            bad("tunnel bits without HOST_UDP_TUNNEL_GSO")
            return
        outer = 40 if tunnel & wire.GSO_TUNNEL_IPV6 else 20
        if not (14 + outer <= header["outer_th_offset"] <=
                header["inner_nh_offset"] - 8 <= header["csum_start"] - 28):
            bad("offsets of a tunnel that are in no order")

    def _check_out_header(self, header, frame, bad):
        """outer_nh_offset is 0 or says where there is a network header."""
        at = header["outer_nh_offset"]
        if not at:
            return
        version = {b"\x08\0": 4, b"\x86\xdd": 6}.get(bytes(frame[at - 2:at]))
        if at >= len(frame) or frame[at] >> 4 != version:
            bad("outer_nh_offset is not where the network header is")

    @staticmethod
    def _exact_length(header, frame):
        """Bytes in front of the payload of a frame to be segmented."""
        if not header["gso_type"] & (wire.GSO_TUNNEL_IPV4 |
                                     wire.GSO_TUNNEL_IPV6):
            return packet.Packet(frame).headers_length()
        at = header["csum_start"]
        if header["gso_type"] & 0x1f == wire.GSO_UDP_L4:
            return at + 8
        return at + (frame[at + 12] >> 4) * 4 if len(frame) > at + 12 else None

    def _check_tx_header(self, queue, header, frame):
        def bad(what):
            self.violation("bad-transmit-header", queue=queue.role, why=what,
                           hdr=header, length=len(frame))
        if header["flags"] & wire.HDR_NEEDS_CSUM:
            if not has(self.acked, "CSUM"):
                bad("NEEDS_CSUM without CSUM")
            if header["csum_start"] + header["csum_offset"] + 2 > len(frame):
                bad("the checksum field is outside the frame")
        if header["flags"] & ~(wire.HDR_NEEDS_CSUM | wire.HDR_TUNNEL_CSUM):
            bad("flags that a driver does not set")
        gso = header["gso_type"] & ~wire.GSO_ECN
        tunnel = gso & (wire.GSO_TUNNEL_IPV4 | wire.GSO_TUNNEL_IPV6)
        needed = {wire.GSO_NONE: None, wire.GSO_TCPV4: "HOST_TSO4",
                  wire.GSO_TCPV6: "HOST_TSO6", wire.GSO_UDP: "HOST_UFO",
                  wire.GSO_UDP_L4: "HOST_USO"}
        kind = gso & ~(wire.GSO_TUNNEL_IPV4 | wire.GSO_TUNNEL_IPV6)
        if kind not in needed:
            bad("unknown gso_type")
        elif needed[kind]:
            if not has(self.acked, needed[kind]):
                bad(f"gso_type without {needed[kind]}")
            if not header["gso_size"]:
                bad("gso_size is 0")
            if not header["flags"] & wire.HDR_NEEDS_CSUM:
                bad("GSO without NEEDS_CSUM")
            if has(self.acked, "GUEST_HDRLEN"):
                exact = self._exact_length(header, frame)
                if exact is not None and header["hdr_len"] != exact:
                    bad(f"hdr_len is not {exact}")
        for name in ("num_buffers", "hash_value", "hash_report", "padding"):
            if header[name]:
                bad(f"{name} is not 0")
        if tunnel:
            self._check_tunnel(header, tunnel, bad)
            if kind not in (wire.GSO_TCPV4, wire.GSO_TCPV6, wire.GSO_UDP_L4):
                bad("tunnel bits with another gso_type")
        if header["flags"] & wire.HDR_TUNNEL_CSUM and not (
                tunnel and has(self.acked, "HOST_UDP_TUNNEL_GSO_CSUM")):
            bad("UDP_TUNNEL_CSUM without a tunnel or its feature")
        self._check_out_header(header, frame, bad)
        if header["gso_type"] & wire.GSO_ECN and not has(self.acked,
                                                         "HOST_ECN"):
            bad("ECN without HOST_ECN")

    # --- receive queues -------------------------------------------------------------
    def _serve_rx(self, queue):
        while queue.backlog:
            frame, header, options = queue.backlog[0]
            if self.deliver(queue, frame, header, options) is None:
                return False
            queue.backlog.popleft()
        queue.ring.want_kick(False)
        return False

    def receive(self, frame, header=None, pair=None):
        """A frame from the network: filter, steer, deliver. True if the
        driver gets it (perhaps later)."""
        header = dict(header or {})
        if not self.live() or not self.link & wire.LINK_UP:
            self.drops["down"] += 1
            return False
        why = self.filtered(frame)
        if why:
            self.drops["filter-" + why] += 1
            return False
        frame = self._fit_offloads(frame, header)
        if frame is None:
            self.drops["offload"] += 1
            return False
        queue = self.queues[2 * self._steer(frame, header, pair)]
        if not queue.enabled:
            self.drops["queue-disabled"] += 1
            return False
        if queue.backlog or self.deliver(queue, frame, header) is None:
            if len(queue.backlog) >= self.options["backlog"]:
                queue.counters["rx_drops"] += 1
                queue.counters["rx_drop_overruns"] += 1
                return False
            queue.backlog.append((frame, header, None))
        return True

    def filtered(self, frame):
        """Why the receive filter drops a frame; None when it passes."""
        rx = self.control.rx
        if not has(self.acked, "CTRL_RX"):
            return None
        dst = bytes(frame[:6])
        if rx["promisc"]:
            return None
        why = None
        if dst == packet.BROADCAST:
            why = "broadcast" if rx["nobcast"] else None
        elif dst[0] & 1:
            if rx["nomulti"]:
                why = "multicast"
            elif not rx["allmulti"] and dst not in self.control.multicast:
                why = "multicast"
        elif rx["nouni"]:
            why = "unicast"
        elif not rx["alluni"] and dst != self.control.mac and (
                dst not in self.control.unicast):
            why = "unicast"
        if why is None and has(self.acked, "CTRL_VLAN"):
            vlan = packet.Packet(frame).vlan
            if vlan and vlan not in self.control.vlans:
                why = "vlan"
        return why

    def _fit_offloads(self, frame, header):
        """The frame as the driver may get it, or None."""
        active = self.control.active_offloads()
        flags = header.get("flags", 0)
        gso = header.get("gso_type", 0) & ~wire.GSO_ECN
        if gso:
            names = {wire.GSO_TCPV4: ("GUEST_TSO4",),
                     wire.GSO_TCPV6: ("GUEST_TSO6",),
                     wire.GSO_UDP: ("GUEST_UFO",),
                     wire.GSO_UDP_L4: ("GUEST_USO4", "GUEST_USO6")}.get(gso)
            if not names or not any(active >> wire.FEATURES[n] & 1
                                    for n in names):
                return None
        if flags & wire.HDR_NEEDS_CSUM and not active & 1 << 1:
            frame = packet.complete_checksum(
                frame, header.get("csum_start", 0),
                header.get("csum_offset", 0))
            header["flags"] = flags & ~wire.HDR_NEEDS_CSUM
            header.pop("csum_start", None)
            header.pop("csum_offset", None)
        return frame

    def _steer(self, frame, header, pair):
        """The queue pair for a frame; also fills in the hash report."""
        config = self.control.rss or self.control.hash
        pairs = max(self.control.pairs, 1)
        value = report = 0
        if config:
            value, report = packet.rss_hash(packet.Packet(frame),
                                            bytes.fromhex(config["key"]),
                                            config["hash_types"])
            if has(self.acked, "HASH_REPORT"):
                header.setdefault("hash_value", value)
                header.setdefault("hash_report", report)
        if self.control.rss:
            table = self.control.rss["table"]
            if not report:
                return self.control.rss["unclassified"]
            return table[value & (len(table) - 1)]
        return pair % pairs if pair is not None else 0

    def deliver(self, queue, frame, header=None, options=None):
        """Writes a frame into receive buffers.

        options, all for scenarios: buffers (how many to use), used_len (a
        number or one per buffer), ids (one per buffer), raw_hdr (bytes as
        they are), interrupt. Returns the used lengths or None when there are
        too few buffers.
        """
        options = options or {}
        if not queue.ring or self.faults.queue(queue, "drop"):
            return None
        header = dict(header or {})
        size = wire.header_length(self.acked)
        wanted = options.get("buffers")
        chains = self._rx_buffers(queue, size + len(frame), wanted)
        if chains is None:
            return None
        header.setdefault("num_buffers", len(chains))
        start = options.get("raw_hdr")
        start = wire.pack_header(size, header) if start is None else start
        lengths = self._fill(queue, chains, start, bytes(frame), bool(wanted))
        claimed = options.get("used_len")
        if claimed is None:
            claimed = []
        elif not isinstance(claimed, list):
            claimed = [claimed]
        ids = options.get("ids") or []
        entries = []
        for i, chain in enumerate(chains):
            length = lengths[i]
            if i < len(claimed) and claimed[i] is not None:
                length = claimed[i]
            used_id = ids[i] if i < len(ids) and ids[i] is not None else (
                chain.id)
            entries.append((chain, length, used_id))
        self._count_rx(queue, header, frame)
        self.complete(queue, entries, options.get("interrupt", True))
        if options.get("rewrite"):
            again = dict(header, **options["rewrite"].get("hdr", {}))
            self._later(options["rewrite"].get("seconds", 0), self._write,
                        queue, chains[0], wire.pack_header(size, again))
        return [entry[1] for entry in entries]

    def least_buffer(self):
        """Bytes of the smallest receive buffer that the driver may give."""
        header = wire.header_length(self.acked)
        if has(self.acked, "MRG_RXBUF"):
            return header
        more = 8 if has(self.acked, "HASH_REPORT") else 0
        active = self.control.active_offloads()
        if any(active >> wire.FEATURES[name] & 1 for name in wire.GUEST_GSO):
            return 65601 + more
        least = 1526 + more
        if has(self.acked, "MTU"):
            least = max(least, header + 14 + self.config_values["mtu"])
        return least

    def _rx_buffers(self, queue, needed, wanted):
        chains = []
        room = 0
        single = not has(self.acked, "MRG_RXBUF") and not wanted
        while len(chains) < wanted if wanted else room < needed:
            chain = queue.take()
            if chain is None:
                queue.ring.want_kick(True)
                chain = queue.take()
            if chain is None or (single and chain.in_len < needed):
                if chain:
                    chains.append(chain)
                queue.taken.extendleft(reversed(chains))
                return None
            if chain.out:
                self.violation("readable-receive-buffer", queue=queue.role)
            if chain.in_len < self.least_buffer():
                self.violation("receive-buffer-too-small", queue=queue.role,
                               length=chain.in_len, least=self.least_buffer())
            chains.append(chain)
            room += chain.in_len
        return chains

    def _fill(self, queue, chains, start, frame, spread):
        """Header into the first buffer, the frame behind it and into the
        others; spread gives every buffer a share."""
        share = -(-len(frame) // len(chains))
        lengths = []
        done = 0
        for i, chain in enumerate(chains):
            prefix = start if i == 0 else b""
            room = max(chain.in_len - len(prefix), 0)
            part = frame[done:done + (min(room, share) if spread else room)]
            done += len(part)
            lengths.append(self._write(queue, chain, prefix + part))
        return lengths

    @staticmethod
    def _count_rx(queue, header, frame):
        counters = queue.counters
        counters["rx_packets"] += 1
        counters["rx_bytes"] += len(frame)
        flags = header.get("flags", 0)
        if flags & wire.HDR_NEEDS_CSUM:
            counters["rx_needs_csum"] += 1
        elif flags & wire.HDR_DATA_VALID:
            counters["rx_csum_valid"] += 1
        else:
            counters["rx_csum_none"] += 1
        if header.get("gso_type"):
            counters["rx_gso_packets"] += 1
            counters["rx_gso_bytes"] += len(frame)

    # --- what tests read -------------------------------------------------------------
    def statistics(self, index):
        counters = dict(self.queues[index].counters)
        if self.role(index) == "cvq":     # both count the asking command
            counters.update(command_num=self.control.commands,
                            ok_num=self.control.commands_ok + 1)
        return counters

    def state(self):
        return {
            "offered": hex(self.offered), "acked": hex(self.acked),
            "offered_names": wire.feature_names(self.offered),
            "acked_names": wire.feature_names(self.acked),
            "status": self.status, "live": self.live(),
            "generation": self.generation, "resets": self.resets,
            "link": self.link, "config": dict(self.config_values),
            "control": self.control.snapshot(),
            "queues": [queue.describe() for queue in self.queues],
            "drops": dict(self.drops), "violations": len(self.violations),
            "sequence": self.sequence, "faults": self.faults.describe(),
            "memory": self.memory.ranges(),
        }
