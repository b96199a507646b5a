#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: fail_nth.py VIRTIO DRIVER [LIMIT]

Do what users do with an interface while the first, the second, ... the n-th
allocation of memory fails, until none is left to fail. Needs a kernel with
FAULT_INJECTION, and xsk.py, devmem.py and netdev.py beside it. Prints one line for each deed: the
allocations that it makes and how often it failed. After a deed that failed, what
the interface was must be in force. What the kernel makes of it is in its log.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys

import devmem
import netdev
import xsk

DEBUG = "/sys/kernel/debug"
SIOCSIFFLAGS, SIOCGIFFLAGS, SIOCGIFMTU, SIOCSIFMTU, SIOCETHTOOL = \
    0x8914, 0x8913, 0x8921, 0x8922, 0x8946
GRINGPARAM, SRINGPARAM, GCHANNELS, SCHANNELS = 0x10, 0x11, 0x3c, 0x3d
UP = 1
SOCKET = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def prepare():
    """Every allocation may fail, and nothing is said about it."""
    for name in ("failslab", "fail_page_alloc"):
        for option, value in (("ignore-gfp-wait", "N"), ("verbose", "0"), ("min-order", "0")):
            with contextlib.suppress(OSError), \
                    open(f"{DEBUG}/{name}/{option}", "w", encoding="ascii") as file:
                file.write(value)


def ioctl(nic, number, data):
    return fcntl.ioctl(SOCKET, number, struct.pack("16s", nic.encode()) + data)[16:]


def ethtool(nic, words):
    command = bytearray(struct.pack(f"{len(words)}I", *words))
    buffer = (ctypes.c_char * len(command)).from_buffer(command)
    ioctl(nic, SIOCETHTOOL, struct.pack("Q16x", ctypes.addressof(buffer)))
    return bytes(command)


def settings(nic):
    """What a deed that fails must leave alone."""
    return (ioctl(nic, SIOCGIFMTU, bytes(24)), ethtool(nic, [GRINGPARAM] + [0] * 8),
            ethtool(nic, [GCHANNELS] + [0] * 8))


def flags(nic, up):
    ioctl(nic, SIOCSIFFLAGS, struct.pack("H22x", UP if up else 0))


def sysfs(path, text):
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


class Program:
    """An XDP program that is attached and detached."""

    def __init__(self, nic):
        table = xsk.bpf(xsk.MAP_CREATE, "<IIIII", xsk.XSKMAP, 4, 4, 256, 0)
        self.prog = xsk.program(table, 7, False)
        self.nic, self.link = nic, None

    def attach(self):
        self.link = xsk.bpf(xsk.LINK_CREATE, "<IIII", self.prog, socket.if_nametoindex(self.nic),
                            xsk.ATTACH_XDP, xsk.DRV_MODE)

    def detach(self):
        if self.link is not None:
            os.close(self.link)
            self.link = None


class Pool(xsk.Socket):
    """An AF_XDP socket that is bound later."""

    ARGS = argparse.Namespace(
        frames=64, chunk=4096, queues=[0], shared=False, headroom=0, unaligned=False, csum=False,
        ring=64, fill=64, copy=False, sg=False, no_wakeup=False, busy=False)

    def __init__(self, nic):
        super().__init__(nic, 0, self.ARGS)

    def bind(self, nic, queue, share):
        pass

    def connect(self, nic):
        super().bind(nic, 0, None)


class Bind:
    """A socket is prepared, bound and closed; only the bind is under test."""

    def __init__(self, nic):
        self.nic = nic
        self.pool = Pool(nic)

    def deed(self):
        self.pool.connect(self.nic)

    def undo(self):
        self.pool.sock.close()
        self.pool = Pool(self.nic)


class Provider:
    """A dma-buf is bound to a receive queue; who closes the socket parts them."""

    def __init__(self, nic):
        self.nic, self.buffer = nic, devmem.Buffer(4 << 20)
        self.netlink = netdev.Netlink()

    def deed(self):
        devmem.bind(self.netlink, devmem.BIND_RX, self.nic, self.buffer, [0])

    def undo(self):
        self.netlink.sock.close()
        self.netlink = netdev.Netlink()


def split(nic, on):
    """Headers and data apart; whether the driver does it."""
    return not subprocess.run(["ethtool", "-G", nic, "tcp-data-split", "on" if on else "off"],
                              capture_output=True, check=False).returncode


def attempts(deed, undo, limit, look=lambda: None):
    """(allocations failed, times that the deed failed)"""
    failed = 0
    before = look()
    for number in range(1, limit):
        control = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        os.write(control, str(number).encode())
        good = True
        try:
            deed()
        except OSError:
            good = False
            failed += 1
        left = int(os.pread(control, 16, 0))
        if left:
            os.pwrite(control, b"0", 0)
        os.close(control)
        assert good or look() == before, f"allocation {number}: failed, and changed something"
        with contextlib.suppress(OSError):
            undo()
        if left:
            return number - 1, failed
    return limit, failed


def main():
    virtio, driver = sys.argv[1:3]
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    where = f"/sys/bus/virtio/drivers/{driver}"
    prepare()

    def nic():
        return os.listdir(f"/sys/bus/virtio/devices/{virtio}/net")[0]

    def bound(yes):
        if os.path.exists(f"{where}/{virtio}") != yes:
            sysfs(f"{where}/{'bind' if yes else 'unbind'}", virtio)

    bound(False)
    print("bind:", *attempts(lambda: sysfs(f"{where}/bind", virtio), lambda: bound(False), limit),
          flush=True)
    bound(True)
    name = nic()
    flags(name, False)
    deeds = {
        "up": (lambda: flags(name, True), lambda: flags(name, False)),
        "ring": (lambda: ethtool(name, [SRINGPARAM, 0, 0, 0, 0, 64, 0, 0, 64]),
                 lambda: ethtool(name, [SRINGPARAM, 0, 0, 0, 0, 256, 0, 0, 256])),
        "channels": (lambda: ethtool(name, [SCHANNELS, 0, 0, 0, 0, 0, 0, 0, 2]),
                     lambda: ethtool(name, [SCHANNELS, 0, 0, 0, 0, 0, 0, 0, 1])),
        "mtu": (lambda: ioctl(name, SIOCSIFMTU, struct.pack("i20x", 1000)),
                lambda: ioctl(name, SIOCSIFMTU, struct.pack("i20x", 1500))),
    }
    program, bind = Program(name), Bind(name)
    deeds["attach"] = (program.attach, program.detach)
    deeds["xsk"] = (bind.deed, bind.undo)
    for what, (deed, undo) in deeds.items():
        if what != "up":
            flags(name, True)
        with contextlib.suppress(OSError):
            undo()
        print(f"{what}:", *attempts(deed, undo, limit, lambda: settings(name)), flush=True)
    if split(name, True):
        provider = Provider(name)
        print("provider:", *attempts(provider.deed, provider.undo, limit,
                                     lambda: settings(name)), flush=True)
        provider.undo()
        split(name, False)
    flags(name, True)


if __name__ == "__main__":
    main()
