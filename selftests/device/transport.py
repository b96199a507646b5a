# SPDX-License-Identifier: GPL-2.0
"""The vfio-user protocol: the server side of QEMU's vfio-user-pci device."""

import json
import mmap
import os
import socket
import struct

from .pci import BAR0_SIZE, BAR1_SIZE, CONFIG_SIZE

(VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS,
 GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE) = range(1, 11)
DEVICE_RESET = 13

HEADER = struct.Struct("<HHIII")
FLAG_REPLY, FLAG_NO_REPLY, FLAG_ERROR = 0x1, 0x10, 0x20
MAX_FDS = 16                    # QEMU refuses a larger max_msg_fds
MAX_MESSAGE = 1 << 20

DEVICE_RESETS, DEVICE_PCI = 1, 2
REGION_READABLE, REGION_WRITABLE = 1, 2
REGIONS = {0: BAR0_SIZE, 1: BAR1_SIZE, 7: CONFIG_SIZE}
NUM_REGIONS, NUM_IRQS = 9, 5
CONFIG_REGION, MSIX_INDEX = 7, 2
IRQ_EVENTFD = 1
SET_DATA_EVENTFD, SET_DATA_NONE = 4, 1
DMA_WRITABLE, DMA_UNMAP_ALL = 2, 2

EINVAL, ENOTSUP = 22, 95


class ProtocolError(Exception):
    pass


class Interrupts:
    """The event descriptors of the MSI-X vectors."""

    def __init__(self):
        self.fds = {}

    def trigger(self, vector):
        fd = self.fds.get(vector)
        if fd is None:
            return False
        os.write(fd, b"\1\0\0\0\0\0\0\0")
        return True

    def set(self, start, fds):
        for i, fd in enumerate(fds):
            self.drop(start + i, 1)
            self.fds[start + i] = fd

    def drop(self, start, count):
        for vector in range(start, start + count):
            fd = self.fds.pop(vector, None)
            if fd is not None:
                os.close(fd)

    def clear(self):
        for vector in list(self.fds):
            self.drop(vector, 1)


class Server:
    """Serves one QEMU at a time on a UNIX socket; waits for the next one when
    it is gone."""

    def __init__(self, path, function, interrupts, vehicle):
        self.function = function
        self.model = function.model
        self.interrupts = interrupts
        self.vehicle = vehicle
        self.client = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)
        self.path = path
        vehicle.add_reader(self.listener.fileno(), self._connected)
        self.handlers = {
            VERSION: self._version, DMA_MAP: self._dma_map,
            DMA_UNMAP: self._dma_unmap, GET_INFO: self._get_info,
            GET_REGION_INFO: self._get_region_info,
            GET_IRQ_INFO: self._get_irq_info, SET_IRQS: self._set_irqs,
            REGION_READ: self._region_read, REGION_WRITE: self._region_write,
            DEVICE_RESET: self._device_reset,
        }

    def close(self):
        self._disconnect("server stopped")
        self.vehicle.remove_reader(self.listener.fileno())
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def _connected(self):
        client, _ = self.listener.accept()
        if self.client:
            client.close()
            return
        self.client = client
        self.model.log("connect")
        self.vehicle.add_reader(client.fileno(), self._readable)

    def _disconnect(self, why):
        if not self.client:
            return
        self.vehicle.remove_reader(self.client.fileno())
        self.client.close()
        self.client = None
        self.function.reset("disconnect")
        self.interrupts.clear()
        self.model.memory.clear()
        self.model.log("disconnect", why=why)

    def _receive(self, length):
        data = bytearray()
        while len(data) < length:
            part = self.client.recv(length - len(data))
            if not part:
                raise ProtocolError("the socket closed inside a message")
            data += part
        return bytes(data)

    def _readable(self):
        """One message: header (with the file descriptors), then the rest."""
        try:
            start, fds, _, _ = socket.recv_fds(self.client, HEADER.size,
                                               MAX_FDS)
            if not start:
                self._disconnect("QEMU closed the socket")
                return
            if len(start) < HEADER.size:
                start += self._receive(HEADER.size - len(start))
            ident, command, size, flags, _ = HEADER.unpack(start)
            if not HEADER.size <= size <= MAX_MESSAGE:
                raise ProtocolError(f"a message of {size} bytes")
            self._handle(ident, command, flags,
                         self._receive(size - HEADER.size), list(fds))
        except (OSError, ProtocolError, struct.error) as err:
            self._disconnect(str(err))

    def _handle(self, ident, command, flags, data, fds):
        handler = self.handlers.get(command)
        error, reply, later = 0, b"", None
        if handler is None:
            error = ENOTSUP
        else:
            result = handler(data, fds)
            if isinstance(result, int):
                error = result
            else:
                reply, later = result
        for fd in fds:              # what the handler did not take
            os.close(fd)
        if not flags & FLAG_NO_REPLY:
            answer = FLAG_REPLY | (FLAG_ERROR if error else 0)
            reply = b"" if error else reply
            self.client.sendall(HEADER.pack(ident, command,
                                            HEADER.size + len(reply), answer,
                                            error) + reply)
        if later:
            later()

    # Handlers return an errno, or (reply, work to do after the reply).
    def _version(self, data, _fds):
        major, _minor = struct.unpack_from("<HH", data)
        if major != 0:
            raise ProtocolError(f"vfio-user version {major} is not known")
        about = json.dumps({"capabilities": {
            "max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_MESSAGE // 2,
            "pgsizes": 4096, "max_dma_maps": 1024}})
        return struct.pack("<HH", 0, 0) + about.encode() + b"\0", None

    def _dma_map(self, data, fds):
        _, flags, offset, addr, size = struct.unpack_from("<IIQQQ", data)
        if not fds:
            return b"", None        # no RAM: not reachable, not an error
        writable = bool(flags & DMA_WRITABLE)
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        try:
            area = mmap.mmap(fds[0], size, mmap.MAP_SHARED, protection,
                             offset=offset)
            self.model.memory.add(addr, area, writable)
        except (OSError, ValueError) as err:
            self.model.log("dma-map-failed", addr=addr, size=size,
                           error=str(err))
            return EINVAL
        return b"", None

    def _dma_unmap(self, data, _fds):
        _, flags, addr, _size = struct.unpack_from("<IIQQ", data)
        if flags & DMA_UNMAP_ALL:
            self.model.memory.clear()
        else:
            self.model.memory.remove(addr)
        return data, None

    def _get_info(self, _data, _fds):
        return struct.pack("<IIII", 16, DEVICE_RESETS | DEVICE_PCI,
                           NUM_REGIONS, NUM_IRQS), None

    def _get_region_info(self, data, _fds):
        index = struct.unpack_from("<III", data)[2]
        size = REGIONS.get(index, 0)
        flags = REGION_READABLE | REGION_WRITABLE if size else 0
        return struct.pack("<IIIIQQ", 32, flags, index, 0, size, 0), None

    def _get_irq_info(self, data, _fds):
        index = struct.unpack_from("<III", data)[2]
        count = self.function.vectors if index == MSIX_INDEX else 0
        return struct.pack("<IIII", 16, IRQ_EVENTFD, index, count), None

    def _set_irqs(self, data, fds):
        _, flags, index, start, count = struct.unpack_from("<IIIII", data)
        if index != MSIX_INDEX:
            return b"", None
        if flags & SET_DATA_EVENTFD and fds:
            self.interrupts.set(start, fds)
            fds.clear()
        elif flags & SET_DATA_EVENTFD:
            self.interrupts.drop(start, count)
        elif flags & SET_DATA_NONE and not count:
            self.interrupts.clear()
        return b"", None

    def _region_read(self, data, _fds):
        offset, region, count = struct.unpack_from("<QII", data)
        if region == 0:
            value = self.function.read(offset, count)
        elif region == CONFIG_REGION:
            value = self.function.config_read(offset, count)
        else:
            value = bytes(count)
        return struct.pack("<QII", offset, region, count) + value, None

    def _region_write(self, data, _fds):
        offset, region, count = struct.unpack_from("<QII", data)
        value = data[16:16 + count]
        later = None
        if region == 0:
            later = self.function.write(offset, value)
        elif region == CONFIG_REGION:
            self.function.config_write(offset, value)
        return struct.pack("<QII", offset, region, count), later

    def _device_reset(self, _data, _fds):
        self.function.reset("bus")
        return b"", None
