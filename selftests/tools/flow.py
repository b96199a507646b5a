# SPDX-License-Identifier: GPL-2.0
"""Traffic with known contents, for both ends of a test.

    flow.py serve PORT                       TCP and UDP server: gives, takes, echoes
    flow.py get HOST PORT BYTES              take a stream over TCP and check it
    flow.py put HOST PORT BYTES [--zerocopy] send one; the server checks it
    flow.py sizes HOST PORT SIZES [--retries N]  datagrams of these sizes there and back, DF set;
                                             one that is lost fails, unless it may be sent again
    flow.py sink PORT [SECONDS]              count numbered datagrams until nothing comes
    flow.py send HOST PORT COUNT SIZE [--gso N] [--rate N] [--stamps]

Several commands may follow each other, with a word ";" between them. Everything fails
with a sentence and status 1 when data is lost or changed.
"""

import argparse
import json
import select
import socket
import struct
import sys
import time

# 4093 is prime: a page or a buffer in the wrong place is seen
BLOCK = (bytes((i * i * 31 + i * 7) >> 3 & 255 for i in range(4093)) * 257)[:1 << 20]
SOL_UDP, UDP_SEGMENT = 17, 103
SO_ZEROCOPY, MSG_ZEROCOPY, SO_EE_ORIGIN_ZEROCOPY = 60, 0x4000000, 5
SO_TIMESTAMPING, SCM_TSTAMP_SND = 37, 0
SOF_TX_SOFTWARE, SOF_SOFTWARE, SOF_OPT_ID, SOF_OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3


def block(number):
    """MiB number N of a stream: its number, then what is always there."""
    return struct.pack("<Q", number) + BLOCK[8:]


def datagram(seq, size):
    at = seq * 61 % 65521
    return (struct.pack("<Q", seq) + BLOCK[at:at + max(size - 8, 0)])[:max(size, 8)]


def stream(size):
    for number in range(-(-size // len(BLOCK))):
        yield block(number)[:min(len(BLOCK), size - number * len(BLOCK))]


def check_stream(conn, size):
    """Receive so many bytes; None or what is wrong."""
    for number, want in enumerate(stream(size)):
        have = bytearray(len(want))
        view = memoryview(have)
        while view:
            got = conn.recv_into(view)
            if not got:
                return f"the stream ends in MiB {number}"
            view = view[got:]
        if have != want:
            at = next(i for i, (a, b) in enumerate(zip(have, want)) if a != b)
            return f"MiB {number} of the stream is changed at byte {at}"
    return None


def serve_tcp(conn):
    with conn, conn.makefile("rb", buffering=0) as lines:
        verb, size = lines.readline().split()
        if verb == b"GET":
            for part in stream(int(size)):
                conn.sendall(part)
        else:
            conn.sendall((check_stream(conn, int(size)) or "ok").encode() + b"\n")


def serve(args):
    from threading import Thread  # only the server needs it, and starting counts in a guest

    tcp = socket.create_server(("", args.port), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = udp_socket(args.port)
    while True:
        ready, _, _ = select.select([tcp, udp], [], [])
        if tcp in ready:
            Thread(target=serve_tcp, args=[tcp.accept()[0]], daemon=True).start()
        if udp in ready:
            data, peer = udp.recvfrom(1 << 16)
            try:
                udp.sendto(data, peer)
            except OSError:  # a size that this end cannot send is the other end's failure
                pass


def udp_socket(port=None):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    if port is not None:
        sock.bind(("", port))
    return sock


def mapped(host):
    return host if ":" in host else "::ffff:" + host


def get(args):
    with socket.create_connection((args.host, args.port), 20) as conn:
        conn.sendall(f"GET {args.bytes}\n".encode())
        wrong = check_stream(conn, args.bytes)
    if wrong:
        sys.exit(wrong)


def completions(conn, sent):
    """Take zero-copy completions from the error queue; (completed, copied)."""
    done = copied = 0
    deadline = time.monotonic() + 10
    while done < sent and time.monotonic() < deadline:
        try:
            _, ancillary, _, _ = conn.recvmsg(0, 512, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        for _, _, data in ancillary:
            _, origin, _, code, _, first, last = struct.unpack_from("=IBBBBII", data)
            if origin == SO_EE_ORIGIN_ZEROCOPY:
                done += last - first + 1
                copied += code * (last - first + 1)
    return done, copied


def put(args):
    conn = socket.create_connection((args.host, args.port), 20)
    if args.zerocopy:
        conn.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    conn.sendall(f"PUT {args.bytes}\n".encode())
    parts, calls = [], 0
    for part in stream(args.bytes):
        if not args.zerocopy:
            conn.sendall(part)
            continue
        parts.append(part)  # stays until the kernel is done with it
        view = memoryview(part)
        while view:
            view = view[conn.send(view[:1 << 16], MSG_ZEROCOPY):]
            calls += 1
    answer = conn.recv(200).decode().strip()
    if answer != "ok":
        sys.exit(answer or "the server closed the connection")
    if args.zerocopy:
        conn.settimeout(0)
        done, copied = completions(conn, calls)
        print(json.dumps({"calls": calls, "completed": done, "copied": copied}))
        if done != calls:
            sys.exit(f"{done} of {calls} zero-copy sends were completed")


def parse_sizes(text):
    for item in text.split(","):
        first, _, last = item.partition("-")
        yield from range(int(first), int(last or first) + 1)


def sizes(args):
    sock = udp_socket()
    sock.settimeout(1 if args.retries else 15)
    sock.connect((mapped(args.host), args.port))
    retries = 0
    for seq, size in enumerate(parse_sizes(args.sizes)):
        data = datagram(seq, size)
        for _ in range(args.retries + 1):
            sock.send(data)
            try:
                back = sock.recv(1 << 16)
                while len(back) >= 8 and back[:8] != data[:8]:  # late answer to an earlier one
                    back = sock.recv(1 << 16)
                break
            except TimeoutError:
                retries += 1
        else:
            sys.exit(f"no answer to a datagram of {size} bytes")
        if back != data:
            sys.exit(f"a datagram of {size} bytes came back changed ({len(back)} bytes)")
    print(json.dumps({"retries": retries}))


def sink(args):
    sock = udp_socket(args.port)
    seen, damaged, datagrams, last, swaps = set(), 0, 0, -1, 0
    sock.settimeout(args.seconds + 20)
    print("listening", file=sys.stderr, flush=True)
    try:
        while True:
            data = sock.recv(1 << 16)
            sock.settimeout(args.seconds)
            seq = struct.unpack_from("<Q", data)[0]
            if data != datagram(seq, len(data)):
                damaged += 1
            datagrams += 1
            swaps += seq < last
            last = seq
            seen.add(seq)
    except TimeoutError:
        pass
    print(json.dumps({"datagrams": datagrams, "distinct": len(seen), "damaged": damaged,
                      "reordered": swaps, "last": last}))
    if damaged:
        sys.exit(f"{damaged} datagrams were changed")


def stamps(sock):
    """Software transmit time stamps that wait in the error queue."""
    found = 0
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return found
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING:
                seconds = struct.unpack_from("=q", data)[0]
                found += abs(seconds - time.time()) < 60


def send(args):
    sock = udp_socket()
    sock.connect((mapped(args.host), args.port))
    if args.gso:
        sock.setsockopt(SOL_UDP, UDP_SEGMENT, args.gso)
    if args.stamps:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING,
                        SOF_TX_SOFTWARE | SOF_SOFTWARE | SOF_OPT_ID | SOF_OPT_TSONLY)
    started, seq, refused = time.monotonic(), 0, 0
    per_send = max(args.size // args.gso, 1) if args.gso else 1
    while seq < args.count:
        data = datagram(seq, args.size)
        if args.gso:
            data = b"".join(datagram(seq + i, args.gso) for i in range(per_send))
        try:
            sock.send(data)
        except OSError:  # no route or no buffer for a moment: it never left
            refused += per_send
        seq += per_send
        if args.rate:
            ahead = started + seq / args.rate - time.monotonic()
            if ahead > 0.001:
                time.sleep(ahead)
    result = {"sent": seq, "refused": refused, "seconds": time.monotonic() - started}
    if args.stamps:
        time.sleep(0.5)
        result["stamps"] = stamps(sock)
    print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    def command(func, *names):
        sub = commands.add_parser(func.__name__)
        sub.set_defaults(func=func)
        for name in names:
            sub.add_argument(name, type=str if name in ("host", "sizes") else int)
        return sub

    command(serve, "port")
    command(get, "host", "port", "bytes")
    command(put, "host", "port", "bytes").add_argument("--zerocopy", action="store_true")
    command(sizes, "host", "port", "sizes").add_argument("--retries", type=int, default=0)
    command(sink, "port").add_argument("seconds", type=float, nargs="?", default=2)
    sub = command(send, "host", "port", "count", "size")
    sub.add_argument("--gso", type=int, default=0)
    sub.add_argument("--rate", type=float, default=0)
    sub.add_argument("--stamps", action="store_true")
    words, todo = sys.argv[1:], []
    while ";" in words:
        todo.append(words[:words.index(";")])
        words = words[words.index(";") + 1:]
    for words in (*todo, words):
        args = parser.parse_args(words)
        try:
            args.func(args)
        except TimeoutError:
            sys.exit(f"{' '.join(words)}: nothing came in time")


if __name__ == "__main__":
    main()
