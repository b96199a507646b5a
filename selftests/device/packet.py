# SPDX-License-Identifier: GPL-2.0
"""Just enough Ethernet, IP, TCP/UDP and ICMP for the network side."""

import ipaddress
import socket
import struct

ETH_IP, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86dd
ETH_VLAN, ETH_QINQ = 0x8100, 0x88a8
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
BROADCAST = b"\xff" * 6

# Hash types of the specification; the report value is the bit index + 1.
HASH_IPV4, HASH_TCPV4, HASH_UDPV4 = 1 << 0, 1 << 1, 1 << 2
HASH_IPV6, HASH_TCPV6, HASH_UDPV6 = 1 << 3, 1 << 4, 1 << 5


def checksum(data):
    """The Internet checksum of data (already inverted)."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def complete_checksum(frame, start, offset):
    """Does what NEEDS_CSUM asks for; None when the place is not in it."""
    if start + offset + 2 > len(frame):
        return None
    out = bytearray(frame)
    value = checksum(frame[start:]) or 0xffff
    struct.pack_into(">H", out, start + offset, value)
    return bytes(out)


class Packet:
    """Where things are in a frame; fields are None when they are not there."""

    def __init__(self, frame):
        self.frame = bytes(frame)
        self.dst, self.src = self.frame[0:6], self.frame[6:12]
        self.vlan = None
        self.l3 = 14
        self.ethertype = self._u16(12)
        while self.ethertype in (ETH_VLAN, ETH_QINQ):
            if self.vlan is None:
                self.vlan = (self._u16(self.l3) or 0) & 0xfff
            self.ethertype = self._u16(self.l3 + 2)
            self.l3 += 4
        self.proto = self.l4 = self.ip_src = self.ip_dst = None
        self.sport = self.dport = None
        self.fragment = False
        if self.ethertype == ETH_IP and len(self.frame) >= self.l3 + 20:
            self.l4 = self.l3 + 4 * (self.frame[self.l3] & 15)
            self.proto = self.frame[self.l3 + 9]
            self.ip_src = self.frame[self.l3 + 12:self.l3 + 16]
            self.ip_dst = self.frame[self.l3 + 16:self.l3 + 20]
            self.fragment = bool(self._u16(self.l3 + 6) & 0x3fff)
        elif self.ethertype == ETH_IPV6 and len(self.frame) >= self.l3 + 40:
            self.l4 = self.l3 + 40
            self.proto = self.frame[self.l3 + 6]
            self.ip_src = self.frame[self.l3 + 8:self.l3 + 24]
            self.ip_dst = self.frame[self.l3 + 24:self.l3 + 40]
        if (self.proto in (TCP, UDP) and not self.fragment and
                len(self.frame) >= self.l4 + 4):
            self.sport, self.dport = struct.unpack_from(">HH", self.frame,
                                                        self.l4)

    def headers_length(self):
        """Bytes up to the end of the TCP or UDP header, or None."""
        if self.sport is None:
            return None
        if self.proto == UDP:
            return self.l4 + 8
        if len(self.frame) < self.l4 + 20:
            return None
        return self.l4 + 4 * (self.frame[self.l4 + 12] >> 4)

    def _u16(self, at):
        if len(self.frame) < at + 2:
            return None
        return struct.unpack_from(">H", self.frame, at)[0]


def toeplitz(key, data):
    """The Toeplitz hash of RSS."""
    key_bits = len(key) * 8
    window = int.from_bytes(key, "big")
    result = 0
    for i in range(len(data) * 8):
        if data[i // 8] >> (7 - i % 8) & 1:
            shift = key_bits - 32 - i
            part = window >> shift if shift >= 0 else window << -shift
            result ^= part & 0xffffffff
    return result


def rss_hash(packet, key, types):
    """(hash value, report) for the hash types that are on; (0, 0) if none
    applies."""
    if packet.ip_src is None or not key:
        return 0, 0
    base = 0 if len(packet.ip_src) == 4 else 3
    if packet.sport is not None:
        bit = base + (1 if packet.proto == TCP else 2)
        if types >> bit & 1:
            data = (packet.ip_src + packet.ip_dst +
                    struct.pack(">HH", packet.sport, packet.dport))
            return toeplitz(key, data), bit + 1
    if types >> base & 1:
        return toeplitz(key, packet.ip_src + packet.ip_dst), base + 1
    return 0, 0


# --- answers ------------------------------------------------------------------

def answer(frame, mac, addresses=None):
    """What a host that owns the MAC and the addresses replies, or None.

    addresses is a set of packed IP addresses; None answers for every address
    except in an announcement of the sender for itself.
    """
    packet = Packet(frame)
    if packet.ethertype == ETH_ARP:
        return _answer_arp(packet, mac, addresses)
    if packet.dst != mac and not packet.dst[0] & 1:
        return None
    if packet.proto == ICMP and frame[packet.l4:packet.l4 + 1] == b"\x08":
        if addresses is None or packet.ip_dst in addresses:
            return _answer_echo(packet, mac)
    if packet.proto == ICMPV6 and len(frame) > packet.l4:
        if frame[packet.l4] == 135:
            return _answer_neighbour(packet, mac, addresses)
        if frame[packet.l4] == 128 and packet.dst == mac:
            return _answer_echo6(packet, mac)
    return None


def _answer_arp(packet, mac, addresses):
    arp = packet.frame[packet.l3:packet.l3 + 28]
    if len(arp) < 28 or arp[6:8] != b"\0\x01":
        return None
    sender, target = arp[14:18], arp[24:28]
    if sender in (target, bytes(4)):
        return None             # an announcement or a probe
    if addresses is not None and target not in addresses:
        return None
    reply = (arp[:6] + b"\0\x02" + mac + target + packet.src + sender)
    return (packet.src + mac + packet.frame[12:packet.l3] +
            reply).ljust(60, b"\0")


def _swap_ip(packet, mac, l4):
    """The frame turned round, with a new transport part."""
    head = bytearray(packet.src + mac + packet.frame[12:packet.l4])
    at, size = ((packet.l3 + 12, 4) if len(packet.ip_src) == 4 else
                (packet.l3 + 8, 16))
    head[at:at + 2 * size] = packet.ip_dst + packet.ip_src
    return bytes(head) + l4


def _answer_echo(packet, mac):
    total = struct.unpack_from(">H", packet.frame, packet.l3 + 2)[0]
    body = bytearray(packet.frame[packet.l4:packet.l3 + total])
    if len(body) < 8 or packet.fragment:
        return None
    body[0] = 0
    body[2:4] = b"\0\0"
    body[2:4] = struct.pack(">H", checksum(bytes(body)))
    return _swap_ip(packet, mac, bytes(body)).ljust(60, b"\0")


def _icmp6(source, target, body):
    pseudo = source + target + struct.pack(">II", len(body), ICMPV6)
    body = bytearray(body)
    body[2:4] = b"\0\0"
    body[2:4] = struct.pack(">H", checksum(pseudo + bytes(body)))
    return bytes(body)


def _answer_echo6(packet, mac):
    body = b"\x81" + packet.frame[packet.l4 + 1:]
    body = _icmp6(packet.ip_dst, packet.ip_src, body)
    return _swap_ip(packet, mac, body)


def _answer_neighbour(packet, mac, addresses):
    target = packet.frame[packet.l4 + 8:packet.l4 + 24]
    if len(target) < 16 or packet.ip_src == bytes(16):
        return None             # duplicate address detection
    if addresses is not None and target not in addresses:
        return None
    body = (b"\x88\0\0\0\x60\0\0\0" + target + b"\x02\x01" + mac)
    body = _icmp6(target, packet.ip_src, body)
    header = bytearray(packet.frame[packet.l3:packet.l3 + 40])
    header[4:6] = struct.pack(">H", len(body))
    header[8:40] = target + packet.ip_src
    return (packet.src + mac + packet.frame[12:packet.l3] + bytes(header) +
            body)


def reflect(frame):
    """The frame sent back by its receiver: MACs, addresses and ports
    exchanged, so that a UDP sender sees an echo. Checksums stay right."""
    packet = Packet(frame)
    out = bytearray(frame)
    out[0:12] = packet.src + packet.dst
    if packet.ip_src is not None:
        at, size = ((packet.l3 + 12, 4) if len(packet.ip_src) == 4 else
                    (packet.l3 + 8, 16))
        out[at:at + 2 * size] = packet.ip_dst + packet.ip_src
    if packet.sport is not None:
        struct.pack_into(">HH", out, packet.l4, packet.dport, packet.sport)
    return bytes(out)


def udp_frame(dst, src, ip_dst, ip_src, dport, sport, payload):
    """A UDP/IPv4 or UDP/IPv6 frame with right checksums; addresses as text,
    MACs as bytes."""
    to, frm = ipaddress.ip_address(ip_dst), ipaddress.ip_address(ip_src)
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    pseudo = frm.packed + to.packed
    if to.version == 4:
        pseudo += struct.pack(">BBH", 0, UDP, len(udp))
    else:
        pseudo += struct.pack(">II", len(udp), UDP)
    value = checksum(pseudo + udp) or 0xffff
    udp = udp[:6] + struct.pack(">H", value) + udp[8:]
    if to.version == 4:
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0x4000,
                         64, UDP, 0, frm.packed, to.packed)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        kind = ETH_IP
    else:
        ip = struct.pack(">IHBB16s16s", 6 << 28, len(udp), UDP, 64,
                         frm.packed, to.packed)
        kind = ETH_IPV6
    return dst + src + struct.pack(">H", kind) + ip + udp


def packed_address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return socket.inet_pton(family, text)
