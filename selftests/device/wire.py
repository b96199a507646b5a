# SPDX-License-Identifier: GPL-2.0
"""Names and wire formats of the virtio network device (VIRTIO 1.4)."""

import struct

FEATURES = {
    "CSUM": 0, "GUEST_CSUM": 1, "CTRL_GUEST_OFFLOADS": 2, "MTU": 3, "MAC": 5,
    "GUEST_TSO4": 7, "GUEST_TSO6": 8, "GUEST_ECN": 9, "GUEST_UFO": 10,
    "HOST_TSO4": 11, "HOST_TSO6": 12, "HOST_ECN": 13, "HOST_UFO": 14,
    "MRG_RXBUF": 15, "STATUS": 16, "CTRL_VQ": 17, "CTRL_RX": 18,
    "CTRL_VLAN": 19, "CTRL_RX_EXTRA": 20, "GUEST_ANNOUNCE": 21, "MQ": 22,
    "CTRL_MAC_ADDR": 23, "INDIRECT_DESC": 28, "EVENT_IDX": 29,
    "VERSION_1": 32, "ACCESS_PLATFORM": 33, "RING_PACKED": 34, "IN_ORDER": 35,
    "ORDER_PLATFORM": 36, "SR_IOV": 37, "NOTIFICATION_DATA": 38,
    "NOTIF_CONFIG_DATA": 39, "RING_RESET": 40, "ADMIN_VQ": 41, "SUSPEND": 43,
    "DEVICE_STATS": 50, "HASH_TUNNEL": 51, "VQ_NOTF_COAL": 52,
    "NOTF_COAL": 53, "GUEST_USO4": 54, "GUEST_USO6": 55, "HOST_USO": 56,
    "HASH_REPORT": 57, "GUEST_HDRLEN": 59, "RSS": 60, "RSC_EXT": 61,
    "STANDBY": 62, "SPEED_DUPLEX": 63, "RSS_CONTEXT": 64,
    "GUEST_UDP_TUNNEL_GSO": 65, "GUEST_UDP_TUNNEL_GSO_CSUM": 66,
    "HOST_UDP_TUNNEL_GSO": 67, "HOST_UDP_TUNNEL_GSO_CSUM": 68,
    "OUT_NET_HEADER": 69, "IPSEC": 70,
}
FEATURE_BITS = 128
NAME_OF_BIT = {bit: name for name, bit in FEATURES.items()}

# A feature and the features of which the driver has to accept at least one
# per tuple (VIRTIO 1.4, "Feature bit requirements" of the network device).
REQUIRES = {
    "GUEST_TSO4": [("GUEST_CSUM",)], "GUEST_TSO6": [("GUEST_CSUM",)],
    "GUEST_ECN": [("GUEST_TSO4", "GUEST_TSO6")],
    "GUEST_UFO": [("GUEST_CSUM",)],
    "GUEST_USO4": [("GUEST_CSUM",)], "GUEST_USO6": [("GUEST_CSUM",)],
    "HOST_TSO4": [("CSUM",)], "HOST_TSO6": [("CSUM",)],
    "HOST_ECN": [("HOST_TSO4", "HOST_TSO6")],
    "HOST_UFO": [("CSUM",)], "HOST_USO": [("CSUM",)],
    "CTRL_RX": [("CTRL_VQ",)], "CTRL_VLAN": [("CTRL_VQ",)],
    "CTRL_RX_EXTRA": [("CTRL_VQ",)], "GUEST_ANNOUNCE": [("CTRL_VQ",)],
    "MQ": [("CTRL_VQ",)], "CTRL_MAC_ADDR": [("CTRL_VQ",)],
    "CTRL_GUEST_OFFLOADS": [("CTRL_VQ",)], "NOTF_COAL": [("CTRL_VQ",)],
    "VQ_NOTF_COAL": [("CTRL_VQ",)], "DEVICE_STATS": [("CTRL_VQ",)],
    "RSS": [("CTRL_VQ",)],
    "HASH_TUNNEL": [("CTRL_VQ",), ("RSS", "HASH_REPORT")],
    "RSS_CONTEXT": [("CTRL_VQ",), ("RSS",)],
    "RSC_EXT": [("HOST_TSO4", "HOST_TSO6")],
    "GUEST_UDP_TUNNEL_GSO": [("GUEST_TSO4",), ("GUEST_TSO6",),
                             ("GUEST_USO4",), ("GUEST_USO6",)],
    "GUEST_UDP_TUNNEL_GSO_CSUM": [("GUEST_UDP_TUNNEL_GSO",)],
    "HOST_UDP_TUNNEL_GSO": [("HOST_TSO4",), ("HOST_TSO6",), ("HOST_USO",)],
    "HOST_UDP_TUNNEL_GSO_CSUM": [("HOST_UDP_TUNNEL_GSO",)],
}

STATUS_ACKNOWLEDGE, STATUS_DRIVER, STATUS_DRIVER_OK = 1, 2, 4
STATUS_FEATURES_OK, STATUS_NEEDS_RESET, STATUS_FAILED = 8, 64, 128

LINK_UP, LINK_ANNOUNCE = 1, 2
HDR_NEEDS_CSUM, HDR_DATA_VALID, HDR_RSC_INFO, HDR_TUNNEL_CSUM = 1, 2, 4, 8
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 3, 4, 5
GSO_TUNNEL_IPV4, GSO_TUNNEL_IPV6, GSO_ECN = 0x20, 0x40, 0x80


def features(*items):
    """A 128-bit mask from names, bit numbers, "-NAME" (take away) or masks
    of the form "0x..."."""
    mask = 0
    for item in items:
        text = str(item).strip().upper()
        remove = text.startswith("-")
        text = text.lstrip("-")
        if text.startswith("0X"):
            bits = int(text, 16)
        elif text.isdigit():
            bits = 1 << int(text)
        elif text in FEATURES:
            bits = 1 << FEATURES[text]
        else:
            raise ValueError(f"unknown feature {item!r}")
        mask = mask & ~bits if remove else mask | bits
    if mask >> FEATURE_BITS:
        raise ValueError("a feature bit is above 127")
    return mask


def feature_names(mask):
    return [NAME_OF_BIT.get(bit, str(bit))
            for bit in range(FEATURE_BITS) if mask >> bit & 1]


def has(mask, name):
    return bool(mask >> FEATURES[name] & 1)


# --- the header in front of every packet -----------------------------------

_HDR = struct.Struct("<BBHHHHHIHHHHH")
HDR_FIELDS = ("flags", "gso_type", "hdr_len", "gso_size", "csum_start",
              "csum_offset", "num_buffers", "hash_value", "hash_report",
              "padding", "outer_th_offset", "inner_nh_offset",
              "outer_nh_offset")


def header_length(acked):
    if has(acked, "OUT_NET_HEADER"):
        return 32
    if any(has(acked, f"{side}_UDP_TUNNEL_GSO") for side in ("GUEST", "HOST")):
        return 24
    if has(acked, "HASH_REPORT"):
        return 20
    return 12


def pack_header(length, fields):
    """Header bytes; an unknown field name is an error, a value is cut to its
    width so that a test can say ~0."""
    unknown = set(fields) - set(HDR_FIELDS)
    if unknown:
        raise ValueError(f"unknown header field {sorted(unknown)[0]!r}; "
                         f"known: {', '.join(HDR_FIELDS)}")
    widths = (0xff, 0xff) + (0xffff,) * 5 + (0xffffffff,) + (0xffff,) * 5
    values = [int(fields.get(name, 0)) & width
              for name, width in zip(HDR_FIELDS, widths)]
    return _HDR.pack(*values).ljust(length, b"\0")[:length]


def unpack_header(data):
    values = _HDR.unpack(bytes(data)[:_HDR.size].ljust(_HDR.size, b"\0"))
    return dict(zip(HDR_FIELDS, values))


# --- configuration space ----------------------------------------------------

CONFIG_FIELDS = {
    # name: (offset, struct format)
    "mac": (0, "6s"), "status": (6, "<H"), "max_virtqueue_pairs": (8, "<H"),
    "mtu": (10, "<H"), "speed": (12, "<I"), "duplex": (16, "B"),
    "rss_max_key_size": (17, "B"), "rss_max_table": (18, "<H"),
    "hash_types": (20, "<I"), "tunnel_types": (24, "<I"),
}
CONFIG_SIZE = 28
# The features of which one has to be offered before a field is looked at.
CONFIG_NEED = {
    "mac": ("MAC",), "status": ("STATUS",), "max_virtqueue_pairs": ("MQ", "RSS"),
    "mtu": ("MTU",), "speed": ("SPEED_DUPLEX",), "duplex": ("SPEED_DUPLEX",),
    "rss_max_key_size": ("RSS", "HASH_REPORT"), "rss_max_table": ("RSS",),
    "hash_types": ("RSS", "HASH_REPORT"), "tunnel_types": ("HASH_TUNNEL",),
}


def mac_bytes(text):
    raw = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(raw) != 6:
        raise ValueError(f"{text!r} is not a MAC address")
    return raw


def mac_text(raw):
    return ":".join(f"{b:02x}" for b in raw)


# --- control commands -------------------------------------------------------

CTRL_OK, CTRL_ERR = 0, 1
# (class, command): (name, features of which one must have been accepted)
COMMANDS = {
    (0, 0): ("rx.promisc", ("CTRL_RX",)),
    (0, 1): ("rx.allmulti", ("CTRL_RX",)),
    (0, 2): ("rx.alluni", ("CTRL_RX_EXTRA",)),
    (0, 3): ("rx.nomulti", ("CTRL_RX_EXTRA",)),
    (0, 4): ("rx.nouni", ("CTRL_RX_EXTRA",)),
    (0, 5): ("rx.nobcast", ("CTRL_RX_EXTRA",)),
    (1, 0): ("mac.table", ("CTRL_RX",)),
    (1, 1): ("mac.addr", ("CTRL_MAC_ADDR",)),
    (2, 0): ("vlan.add", ("CTRL_VLAN",)),
    (2, 1): ("vlan.del", ("CTRL_VLAN",)),
    (3, 0): ("announce.ack", ("GUEST_ANNOUNCE",)),
    (4, 0): ("mq.pairs", ("MQ",)),
    (4, 1): ("mq.rss", ("RSS",)),
    (4, 2): ("mq.hash", ("HASH_REPORT",)),
    (5, 0): ("offloads.set", ("CTRL_GUEST_OFFLOADS",)),
    (6, 0): ("coal.tx", ("NOTF_COAL",)),
    (6, 1): ("coal.rx", ("NOTF_COAL",)),
    (6, 2): ("coal.vq_set", ("VQ_NOTF_COAL",)),
    (6, 3): ("coal.vq_get", ("VQ_NOTF_COAL",)),
    (7, 0): ("hash.tunnel", ("HASH_TUNNEL",)),
    (8, 0): ("stats.query", ("DEVICE_STATS",)),
    (8, 1): ("stats.get", ("DEVICE_STATS",)),
    (9, 0): ("rss_ctx.cap", ("RSS_CONTEXT",)),
    (9, 1): ("rss_ctx.add", ("RSS_CONTEXT",)),
    (9, 2): ("rss_ctx.mod", ("RSS_CONTEXT",)),
    (9, 3): ("rss_ctx.del", ("RSS_CONTEXT",)),
}
COMMAND_OF_NAME = {entry[0]: key for key, entry in COMMANDS.items()}

# The bits of CTRL_GUEST_OFFLOADS and the feature that makes each one legal.
OFFLOAD_BITS = {
    1: "GUEST_CSUM", 7: "GUEST_TSO4", 8: "GUEST_TSO6", 9: "GUEST_ECN",
    10: "GUEST_UFO", 46: "GUEST_UDP_TUNNEL_GSO",
    47: "GUEST_UDP_TUNNEL_GSO_CSUM", 54: "GUEST_USO4", 55: "GUEST_USO6",
}
GUEST_GSO = ("GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO", "GUEST_USO4",
             "GUEST_USO6")

# Statistics that need one of these features.
STATS_NEED = {
    1: ("GUEST_CSUM",), 17: ("CSUM",),
    2: ("GUEST_TSO4", "GUEST_TSO6"),
    18: ("HOST_TSO4", "HOST_TSO6", "HOST_USO"),
    3: ("SPEED_DUPLEX",), 19: ("SPEED_DUPLEX",),
}

# Statistics: type bit -> counters of its record, in wire order.
STATS = {
    32: ("cvq", ("command_num", "ok_num")),
    0: ("rx_basic", ("rx_notifications", "rx_packets", "rx_bytes",
                     "rx_interrupts", "rx_drops", "rx_drop_overruns")),
    1: ("rx_csum", ("rx_csum_valid", "rx_needs_csum", "rx_csum_none",
                    "rx_csum_bad")),
    2: ("rx_gso", ("rx_gso_packets", "rx_gso_bytes",
                   "rx_gso_packets_coalesced", "rx_gso_bytes_coalesced")),
    3: ("rx_speed", ("rx_ratelimit_packets", "rx_ratelimit_bytes")),
    16: ("tx_basic", ("tx_notifications", "tx_packets", "tx_bytes",
                      "tx_interrupts", "tx_drops", "tx_drop_malformed")),
    17: ("tx_csum", ("tx_csum_none", "tx_needs_csum")),
    18: ("tx_gso", ("tx_gso_packets", "tx_gso_bytes", "tx_gso_segments",
                    "tx_gso_segments_bytes", "tx_gso_packets_noseg",
                    "tx_gso_bytes_noseg")),
    19: ("tx_speed", ("tx_ratelimit_packets", "tx_ratelimit_bytes")),
}
