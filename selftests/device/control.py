# SPDX-License-Identifier: GPL-2.0
"""What the driver configured over the control queue, and the command parser.

A command that breaks a rule of the specification is refused and named in
the list of errors that goes to the log with the command.
"""

import struct

from . import wire
from .wire import has


class Refused(Exception):
    """The device answers the command with an error."""


class ControlState:
    """Everything that commands can set; reset() is the state after reset."""

    def __init__(self, device):
        self.device = device
        self.reset()

    def reset(self):
        config = self.device.config_values
        self.mac = wire.mac_bytes(config["mac"])
        # Everything is delivered until the driver says otherwise.
        self.rx = dict.fromkeys(("promisc", "allmulti", "alluni", "nomulti",
                                 "nouni", "nobcast"), 0)
        self.rx["promisc"] = 1
        self.unicast = []
        self.multicast = []
        self.table_set = False
        self.vlans = set()
        self.pairs = 1
        self.rss = None             # parsed RSS_CONFIG
        self.hash = None            # parsed HASH_CONFIG
        self.tunnel_types = 0
        self.rss_contexts = {}
        self.offloads = None        # None: never set, all accepted ones on
        self.coalesce = {"rx": (0, 0), "tx": (0, 0)}    # packets, usecs
        self.vq_coalesce = {}
        self.announce_acks = 0
        self.commands = 0
        self.commands_ok = 0

    def snapshot(self):
        return {
            "mac": wire.mac_text(self.mac),
            "rx": dict(self.rx),
            "unicast": [wire.mac_text(m) for m in self.unicast],
            "multicast": [wire.mac_text(m) for m in self.multicast],
            "table_set": self.table_set,
            "vlans": sorted(self.vlans),
            "pairs": self.pairs,
            "rss": self.rss, "hash": self.hash,
            "tunnel_types": self.tunnel_types,
            "rss_contexts": {str(k): v for k, v in self.rss_contexts.items()},
            "offloads": self.active_offloads(),
            "offload_names": [name for bit, name in wire.OFFLOAD_BITS.items()
                              if self.active_offloads() >> bit & 1],
            "coalesce": {k: list(v) for k, v in self.coalesce.items()},
            "vq_coalesce": {str(k): list(v)
                            for k, v in sorted(self.vq_coalesce.items())},
            "announce_acks": self.announce_acks,
            "commands": self.commands, "commands_ok": self.commands_ok,
        }

    def active_offloads(self):
        legal = sum(1 << bit for bit, name in wire.OFFLOAD_BITS.items()
                    if has(self.device.acked, name))
        return legal if self.offloads is None else self.offloads & legal

    def coalescing(self, queue, role):
        return self.vq_coalesce.get(queue, self.coalesce.get(role, (0, 0)))

    def queue_was_reset(self, queue):
        """Per-queue coalescing falls back to the last global values."""
        self.vq_coalesce.pop(queue, None)

    # --- parsing ----------------------------------------------------------------
    def execute(self, number, data, room):
        """Carries a command out. Returns (reply bytes, decoded values);
        raises Refused."""
        entry = wire.COMMANDS.get(number)
        if entry is None:
            raise Refused(f"no such command {number[0]}/{number[1]}")
        name, needed = entry
        if not any(has(self.device.acked, feature) for feature in needed):
            raise Refused(f"{name} without {' or '.join(needed)}")
        if number[0] == 1 and not has(self.device.acked, "CTRL_RX"):
            self.device.violation("mac-command-without-ctrl-rx", command=name)
        handler = getattr(self, "_do_" + name.replace(".", "_"), None)
        if handler is None:         # the rx modes differ by their name only
            return b"", self._set_mode(name.split(".")[1], data)
        result = handler(data, room)
        return result if isinstance(result, tuple) else (b"", result)

    @staticmethod
    def _exactly(data, length, what):
        if len(data) != length:
            raise Refused(f"{what} has {len(data)} bytes, not {length}")

    def _set_mode(self, mode, data):
        self._exactly(data, 1, f"rx.{mode}")
        self.rx[mode] = data[0]
        return {mode: data[0]}

    def _do_mac_table(self, data, _room):
        tables = []
        at = 0
        for kind in ("unicast", "multicast"):
            if len(data) < at + 4:
                raise Refused(f"the {kind} table has no count")
            count = struct.unpack_from("<I", data, at)[0]
            at += 4
            if len(data) < at + 6 * count:
                raise Refused(f"the {kind} table is shorter than its count "
                              f"{count}")
            tables.append([data[at + 6 * i:at + 6 * i + 6]
                           for i in range(count)])
            at += 6 * count
        if at != len(data):
            raise Refused(f"{len(data) - at} bytes follow the tables")
        limit = self.device.options["max_mac_table"]
        if sum(map(len, tables)) > limit:
            raise Refused(f"more than {limit} addresses")
        if any(mac[0] & 1 for mac in tables[0]):
            raise Refused("a multicast address is in the unicast table")
        if not all(mac[0] & 1 for mac in tables[1]):
            raise Refused("a unicast address is in the multicast table")
        self.unicast, self.multicast = tables
        self.table_set = True
        return {"unicast": [wire.mac_text(m) for m in tables[0]],
                "multicast": [wire.mac_text(m) for m in tables[1]]}

    def _do_mac_addr(self, data, _room):
        self._exactly(data, 6, "mac.addr")
        if data[0] & 1:
            raise Refused("a multicast address as the device's own")
        self.mac = bytes(data)
        return {"mac": wire.mac_text(data)}

    def _vlan(self, data):
        self._exactly(data, 2, "vlan")
        vid = struct.unpack("<H", data)[0]
        if vid > 4095:
            raise Refused(f"VLAN {vid} is above 4095")
        return vid

    def _do_vlan_add(self, data, _room):
        vid = self._vlan(data)
        self.vlans.add(vid)
        return {"vid": vid}

    def _do_vlan_del(self, data, _room):
        vid = self._vlan(data)
        self.vlans.discard(vid)
        return {"vid": vid}

    def _do_announce_ack(self, data, _room):
        self._exactly(data, 0, "announce.ack")
        self.announce_acks += 1
        self.device.clear_announce()
        return {}

    def _check_pairs(self, pairs):
        limit = self.device.pairs
        if not 1 <= pairs <= limit:
            raise Refused(f"{pairs} queue pairs, the device has {limit}")

    def _do_mq_pairs(self, data, _room):
        self._exactly(data, 2, "mq.pairs")
        pairs = struct.unpack("<H", data)[0]
        self._check_pairs(pairs)
        if self.rss_contexts:
            raise Refused("mq.pairs while RSS contexts exist")
        self.pairs = pairs
        self.rss = None
        return {"pairs": pairs}

    def _key(self, data, length):
        """The hash key at the end of a command. Bytes behind it (virtio_net
        7.2 sends one) are a fault of the driver that devices bear."""
        if len(data) < length:
            raise Refused(f"the key has {len(data)} bytes, the command says "
                          f"{length}")
        if len(data) > length:
            self.device.violation("trailing-bytes", length=len(data) - length)
        return data[:length]

    def _parse_rss(self, data):
        """The body of RSS_CONFIG, also used by RSS contexts."""
        if len(data) < 8:
            raise Refused("mq.rss is shorter than its fixed part")
        types, mask, unclassified = struct.unpack_from("<IHH", data)
        entries = mask + 1
        at = 8 + 2 * entries
        if len(data) < at + 3:
            raise Refused(f"mq.rss is shorter than a table of {entries}")
        table = list(struct.unpack_from(f"<{entries}H", data, 8))
        max_tx, key_length = struct.unpack_from("<HB", data, at)
        key = self._key(data[at + 3:], key_length)
        return {"hash_types": types, "table": table,
                "unclassified": unclassified, "max_tx_vq": max_tx,
                "key": key.hex()}

    def _check_hash(self, config):
        values = self.device.config_values
        if config["hash_types"] & ~values["hash_types"]:
            raise Refused("a hash type that the device does not support")
        if len(config["key"]) // 2 > values["rss_max_key_size"]:
            raise Refused("a key longer than rss_max_key_size")

    def _check_rss(self, config):
        self._check_hash(config)
        entries = len(config["table"])
        if entries & (entries - 1):
            raise Refused(f"a table of {entries} entries, not a power of two")
        if entries > self.device.config_values["rss_max_table"]:
            raise Refused("a table longer than rss_max_table")
        limit = self.device.pairs
        queues = config["table"] + [config["unclassified"]]
        if max(queues) >= limit:
            raise Refused("a receive queue that does not exist")
        if not all(self.device.is_enabled(2 * pair) for pair in set(queues)):
            self.device.violation("rss-queue-not-enabled",
                                  queues=sorted(set(queues)))
        if not 1 <= config["max_tx_vq"] <= limit:
            raise Refused(f"max_tx_vq is {config['max_tx_vq']}")

    def _do_mq_rss(self, data, _room):
        config = self._parse_rss(data)
        self._check_rss(config)
        self.rss = config
        self.pairs = config["max_tx_vq"]
        return dict(config)

    def _do_mq_hash(self, data, _room):
        if len(data) < 13:
            raise Refused("mq.hash is shorter than its fixed part")
        types, reserved, key_length = struct.unpack_from("<I8sB", data)
        key = self._key(data[13:], key_length)
        config = {"hash_types": types, "key": key.hex()}
        self._check_hash(config)
        if reserved != bytes(8):
            self.device.violation("reserved-not-zero", command="mq.hash",
                                  value=reserved.hex())
        self.hash = config
        return dict(config)

    def _do_offloads_set(self, data, _room):
        self._exactly(data, 8, "offloads.set")
        mask = struct.unpack("<Q", data)[0]
        for bit in range(64):
            if not mask >> bit & 1:
                continue
            name = wire.OFFLOAD_BITS.get(bit)
            if name is None or not has(self.device.acked, name):
                raise Refused(f"offload bit {bit} was not negotiated")
        self.offloads = mask
        return {"offloads": [wire.OFFLOAD_BITS[b] for b in range(64)
                             if mask >> b & 1]}

    def _coalesce(self, side, data):
        self._exactly(data, 8, f"coal.{side}")
        values = struct.unpack("<II", data)
        self.coalesce[side] = values
        # A global command overrides what was set per queue.
        parity = 0 if side == "rx" else 1
        for queue in [q for q in self.vq_coalesce if q % 2 == parity]:
            del self.vq_coalesce[queue]
        self.device.coalescing_changed()
        return {"max_packets": values[0], "max_usecs": values[1]}

    def _do_coal_tx(self, data, _room):
        return self._coalesce("tx", data)

    def _do_coal_rx(self, data, _room):
        return self._coalesce("rx", data)

    def _data_queue(self, index):
        role = self.device.role(index)
        if role[:2] not in ("rx", "tx") or not self.device.is_enabled(index):
            raise Refused(f"queue {index} is no enabled data queue")
        if index // 2 >= self.pairs:
            self.device.violation("coalescing-queue-not-in-use", queue=role)
        return role[:2]

    def _do_coal_vq_set(self, data, _room):
        self._exactly(data, 12, "coal.vq_set")
        queue, reserved, packets, usecs = struct.unpack("<HHII", data)
        self._data_queue(queue)
        if reserved:
            self.device.violation("reserved-not-zero", command="coal.vq_set")
        self.vq_coalesce[queue] = (packets, usecs)
        self.device.coalescing_changed()
        return {"vq": queue, "max_packets": packets, "max_usecs": usecs}

    def _do_coal_vq_get(self, data, room):
        self._exactly(data, 4, "coal.vq_get")
        queue = struct.unpack_from("<H", data)[0]
        packets, usecs = self.coalescing(queue, self._data_queue(queue))
        if room < 8:
            raise Refused("no room for the reply of coal.vq_get")
        return struct.pack("<II", packets, usecs), {
            "vq": queue, "max_packets": packets, "max_usecs": usecs}

    def _do_hash_tunnel(self, data, _room):
        self._exactly(data, 4, "hash.tunnel")
        types = struct.unpack("<I", data)[0]
        if types & ~self.device.config_values["tunnel_types"]:
            raise Refused("a tunnel type that the device does not support")
        self.tunnel_types = types
        return {"tunnel_types": types}

    # RSS contexts: le16 id, six reserved bytes, then the body of RSS_CONFIG.
    def _do_rss_ctx_cap(self, data, _room):
        self._exactly(data, 0, "rss_ctx.cap")
        limit = self.device.options["max_rss_contexts"]
        return struct.pack("<H", limit), {"max": limit}

    def _rss_context(self, data, exists):
        if len(data) < 8:
            raise Refused("an RSS context command shorter than 8 bytes")
        ident = struct.unpack_from("<H", data)[0]
        if not 1 <= ident <= self.device.options["max_rss_contexts"]:
            raise Refused(f"RSS context {ident} is out of range")
        if (ident in self.rss_contexts) != exists:
            raise Refused(f"RSS context {ident} "
                          f"{'does not exist' if exists else 'exists'}")
        config = self._parse_rss(data[8:])
        self._check_rss(config)
        self.rss_contexts[ident] = config
        return dict(config, id=ident)

    def _do_rss_ctx_add(self, data, _room):
        return self._rss_context(data, False)

    def _do_rss_ctx_mod(self, data, _room):
        return self._rss_context(data, True)

    def _do_rss_ctx_del(self, data, _room):
        if len(data) < 2:
            raise Refused("rss_ctx.del without an id")
        ident = struct.unpack_from("<H", data)[0]
        if self.rss_contexts.pop(ident, None) is None:
            raise Refused(f"RSS context {ident} does not exist")
        return {"id": ident}

    # Statistics.
    def _do_stats_query(self, data, room):
        self._exactly(data, 0, "stats.query")
        if room < 8:
            raise Refused("no room for the capabilities")
        caps = self.device.options["stats_types"]
        return struct.pack("<Q", caps), {"types": caps}

    def _do_stats_get(self, data, room):
        if not data or len(data) % 16:
            raise Refused(f"stats.get has {len(data)} bytes")
        reply = b""
        wanted = []
        for at in range(0, len(data), 16):
            queue, _, types = struct.unpack_from("<H6sQ", data, at)
            wanted.append([queue, types])
            role = self.device.role(queue)
            self._check_stats(queue, role, types)
            for bit, (_kind, names) in wire.STATS.items():
                if not types >> bit & 1:
                    continue
                counters = self.device.statistics(queue)
                values = [counters.get(name, 0) for name in names]
                values += [7] * self.device.options["stats_extra"]
                reply += struct.pack("<BBHHH", bit, 0, queue, 0,
                                     8 + 8 * len(values))
                reply += struct.pack(f"<{len(values)}Q", *values)
        # What does not fit is cut off, even inside a record.
        reply = reply[:room]
        return reply, {"wanted": wanted}

    def _check_stats(self, queue, role, types):
        for bit in range(64):
            if not types >> bit & 1:
                continue
            if not self.device.options["stats_types"] >> bit & 1:
                raise Refused(f"statistics type {bit} is not supported")
            kind = wire.STATS.get(bit, ("none",))[0]
            if not role.startswith(kind[:2]):
                raise Refused(f"{kind} statistics of queue {queue}")
            needed = wire.STATS_NEED.get(bit)
            if needed and not any(has(self.device.acked, f) for f in needed):
                raise Refused(f"{kind} statistics without "
                              f"{' or '.join(needed)}")
