#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sockets of AF_VSOCK, and a capture of a monitor, for selftests/vmon.py.

vsock.py serve PORT...             answer on these ports, until it is ended
vsock.py send CID PORT SIZE COUNT  COUNT connections, one after the other: SIZE bytes
                                   there, their number back
vsock.py flow CID PORT             connections until it is ended, refused ones among them
vsock.py hold CID PORT FROM        one connection from port FROM; bytes now and then
vsock.py capture NIC FILE          every frame of an interface into a pcap file
"""

import signal
import socket
import struct
import sys
import threading
import time

LINKTYPE_VSOCK = 271
LONGEST = 70000
CHUNK = 65536
SO_RCVBUFFORCE = 33


def answer(connection):
    with connection:
        got = 0
        while data := connection.recv(CHUNK):
            got += len(data)
        connection.sendall(struct.pack("<Q", got))


def listen(port):
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((socket.VMADDR_CID_ANY, port))
    listener.listen(64)
    return listener


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def serve(*ports):
    for port in ports:
        threading.Thread(target=accept, args=(listen(int(port)),), daemon=True).start()
    print("ready", flush=True)
    signal.pause()


def once(cid, port, size):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        client.connect((cid, port))
        left = size
        while left:
            left -= client.send(bytes(min(left, CHUNK)))
        client.shutdown(socket.SHUT_WR)
        got = b""
        while data := client.recv(64):
            got += data
        if struct.unpack("<Q", got) != (size,):
            sys.exit(f"sent {size} bytes, {got!r} came back")


def send(cid, port, size, count):
    for _ in range(int(count)):
        once(int(cid), int(port), int(size))


def until_ended():
    """A list that is empty when somebody has ended this program."""
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    print("ready", flush=True)
    return going


def flow(cid, port):
    count, going = 0, until_ended()
    while going:
        once(int(cid), int(port), 3000)
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as client:
            try:
                client.connect((int(cid), 1))
            except OSError:
                count += 1
        time.sleep(0.05)
    print(count)


def hold(cid, port, source):
    client = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    client.bind((socket.VMADDR_CID_ANY, int(source)))
    client.connect((int(cid), int(port)))
    print("ready", flush=True)
    while True:
        client.sendall(bytes(100))
        time.sleep(0.02)


def capture(nic, path):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    try:
        tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    except PermissionError:
        pass        # nothing is to be seen there anyway
    tap.bind((nic, 3))
    tap.settimeout(0.3)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, LONGEST, LINKTYPE_VSOCK))
        going = until_ended()
        while going:
            try:
                frame = tap.recv(LONGEST)
            except TimeoutError:
                continue
            except OSError:     # the interface is down
                time.sleep(0.05)
                continue
            out.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


if __name__ == "__main__":
    {"serve": serve, "send": send, "flow": flow, "hold": hold,
     "capture": capture}[sys.argv[1]](*sys.argv[2:])
