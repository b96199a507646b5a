# SPDX-License-Identifier: GPL-2.0
"""What is on the other side of the device.

A back end gets every frame of the driver by transmit(pair, header, frame) and
gives frames to model.receive().
"""

import errno
import fcntl
import os
import socket
import struct

from . import packet, wire

MAX_FRAME = 65550
TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD = 0x400454ca, 0x400454d8, 0x400454d0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F = {"GUEST_CSUM": 1, "GUEST_TSO4": 2, "GUEST_TSO6": 4, "GUEST_ECN": 8,
         "GUEST_USO4": 0x20, "GUEST_USO6": 0x40}


class Sink:
    """Takes everything, gives nothing."""

    def __init__(self, model):
        self.model = model

    def transmit(self, pair, header, frame):
        pass

    def driver_ok(self):
        pass

    def close(self):
        pass


class Answer(Sink):
    """A host that owns every address (or those of the option "addresses"):
    answers ARP, neighbour discovery and echo requests."""

    def __init__(self, model):
        super().__init__(model)
        self.mac = wire.mac_bytes(model.options["peer_mac"])
        wanted = model.options["addresses"]
        self.addresses = None
        if wanted is not None:
            self.addresses = {packet.packed_address(text) for text in wanted}

    def transmit(self, pair, header, frame):
        reply = packet.answer(frame, self.mac, self.addresses)
        if reply:
            self.model.receive(reply, pair=pair)


class Reflect(Answer):
    """Answers as above; anything else comes back with MACs, addresses and
    ports exchanged (a UDP echo server on every port)."""

    def transmit(self, pair, header, frame):
        reply = packet.answer(frame, self.mac, self.addresses)
        if reply:
            self.model.receive(reply, pair=pair)
        elif not frame[0] & 1:
            self.model.receive(packet.reflect(frame), dict(header,
                                                           num_buffers=1),
                               pair)


class Loop(Sink):
    """Everything comes back unchanged."""

    def transmit(self, pair, header, frame):
        self.model.receive(frame, dict(header, num_buffers=1), pair)


class Forward(Sink):
    """Frames, each behind a 12-byte header, over a file descriptor."""

    def __init__(self, model, fd):
        super().__init__(model)
        self.fd = fd
        os.set_blocking(fd, False)
        model.vehicle.add_reader(fd, self._readable)

    def _readable(self):
        for _ in range(64):
            try:
                data = os.read(self.fd, 12 + MAX_FRAME)
            except OSError as err:
                if err.errno not in (errno.EAGAIN, errno.ECONNREFUSED):
                    self.model.log("network", error=str(err))
                    self.model.vehicle.remove_reader(self.fd)
                return
            if len(data) > 12 + 14:
                header = wire.unpack_header(data[:12])
                header.pop("num_buffers")
                self.model.receive(data[12:], header)

    def transmit(self, pair, header, frame):
        start = wire.pack_header(12, dict(header, num_buffers=0))
        try:
            os.write(self.fd, start + frame)
        except OSError:
            self.model.drops["network"] += 1

    def close(self):
        self.model.vehicle.remove_reader(self.fd)
        os.close(self.fd)


class Tap(Forward):
    """A tap interface of the network namespace the device runs in."""

    def __init__(self, model, name):
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR)
        except OSError as err:
            raise ValueError(f"cannot open /dev/net/tun: {err.strerror}; load "
                             f"the tun module and run as root") from None
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        request = struct.pack("16sH22x", name.encode(), flags)
        try:
            fcntl.ioctl(fd, TUNSETIFF, request)
        except OSError as err:
            os.close(fd)
            raise ValueError(f"cannot attach to tap {name}: {err.strerror}; "
                             f"create it first: ip tuntap add {name} mode tap "
                             f"vnet_hdr") from None
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
        super().__init__(model, fd)

    def driver_ok(self):
        active = self.model.control.active_offloads()
        mask = sum(flag for name, flag in TUN_F.items()
                   if active >> wire.FEATURES[name] & 1)
        try:
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, mask)
        except OSError:
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, 0)


class UnixDatagram(Forward):
    """A datagram socket, for two devices back to back or a program of a
    test: "unix:OWN:PEER"."""

    def __init__(self, model, own, peer):
        self.peer = peer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if os.path.exists(own):
            os.unlink(own)
        self.socket.bind(own)
        super().__init__(model, self.socket.fileno())

    def transmit(self, pair, header, frame):
        start = wire.pack_header(12, dict(header, num_buffers=0))
        try:
            self.socket.sendto(start + frame, self.peer)
        except OSError:
            self.model.drops["network"] += 1

    def close(self):
        self.model.vehicle.remove_reader(self.fd)
        self.socket.close()


def create(model, spec):
    """The back end of a specification such as "answer" or "tap:NAME"."""
    kind, _, rest = spec.partition(":")
    simple = {"sink": Sink, "none": Sink, "answer": Answer,
              "reflect": Reflect, "loop": Loop}
    if kind in simple and not rest:
        return simple[kind](model)
    if kind == "tap" and rest:
        return Tap(model, rest)
    if kind == "unix" and rest.count(":") == 1:
        return UnixDatagram(model, *rest.split(":"))
    raise ValueError(f"unknown network {spec!r}; known: "
                     f"{', '.join(simple)}, tap:NAME, unix:OWN:PEER")
