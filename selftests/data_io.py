# SPDX-License-Identifier: GPL-2.0
"""How packets get in and out beside the ordinary way: netpoll, zerocopy, stamps, polling."""

import time

from lab.api import test

from ._data import PORT, Change, Ends, netdev, result

MIB = 1 << 20


@test(profiles=["modern-split", "packed", "legacy", "mq"], drivers=["vnet"], timeout=120,
      says=["vnet line * of a text"])
def netconsole(env):
    "Kernel messages leave by netconsole while TCP fills the rings; none of them is changed."
    ends = Ends(env)
    ends.serve()
    if env.guest.run("modprobe configfs; modprobe -n netconsole", check=False).status:
        env.skip("this kernel has no netconsole")
    mac = env.host_ns.run(f"ip -br link show dev {env.host_ns.device}").out.split()[2]
    env.host_ns.serve("socat -u UDP4-RECV:6666 OPEN:/tmp/netconsole.txt,creat,trunc", 6666, "udp")
    env.guest.run(f"modprobe netconsole netconsole=6665@{env.ip}/{env.nic},"
                  f"6666@{env.host_ns.ip}/{mac}")
    try:
        jobs = [ends.guest_start(f"{verb} {env.host_ns.ip} {PORT} {24 * MIB}")
                for verb in ("put", "get")]
        env.guest.run("for i in $(seq 200); do "
                      "echo \"<1>vnet line $i of a text\" > /dev/kmsg; done")
        for job in jobs:
            done = job.wait(90)
            assert not done.status, str(done)
        lines = env.host_ns.run("cat /tmp/netconsole.txt").out.splitlines()
    finally:
        env.guest.run("rmmod netconsole")
    found = {line.split("vnet line ")[1] for line in lines if "vnet line " in line}
    assert found <= {f"{i} of a text" for i in range(1, 201)}, f"{sorted(found)[:5]}"
    # netpoll may drop when a ring is full; a driver that cannot poll loses nearly all
    assert len(found) > 150, f"{len(found)} of 200 lines have arrived"


@test(profiles=["modern-split", "packed", "legacy", "small", "no-indirect"], drivers=["vnet"])
def zerocopy(env):
    "MSG_ZEROCOPY: contents right, every send completed, nothing copied."
    ends = Ends(env)
    ends.serve()
    for address in (env.host_ns.ip, env.host_ns.ip6):
        told = ends.guest(f"put {address} {PORT} {4 * MIB} --zerocopy")
        assert told["completed"] == told["calls"] > 0, f"{told}"
        assert told["copied"] <= told["calls"] // 10, f"{told}"


# A packet socket that reads nothing until it is told to: what it got of VXLAN then.
CAPTURE = """
import json, os, socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind((sys.argv[1], 0x0800))
open("/tmp/capture.ready", "w")
while not os.path.exists("/tmp/capture.go"):
    time.sleep(0.1)
s.setblocking(False)
heads = []
try:
    while True:
        data = s.recv(2048)
        if data[36:38] == (4789).to_bytes(2, "big"):
            heads.append(data[42:50].hex())
except BlockingIOError:
    print(json.dumps(heads))
"""
VXLAN = "0800000000000700"


@test(profiles=["modern-split", "packed", "big", "no-indirect"], drivers=["vnet"], timeout=120)
def header_of_a_clone(env):
    """The virtio header is not written into bytes that somebody else still reads.

    A frame comes in VXLAN, a packet socket keeps it, and what was in it is sent: in front of
    that lies the header of VXLAN.
    """
    env.need_tap()
    env.guest.run("for m in vxlan act_mirred cls_matchall sch_ingress; do modprobe $m || exit; "
                  "done; rm -f /tmp/capture.*")
    env.guest.put(CAPTURE.encode(), "/tmp/capture.py")
    env.guest.run(f"ip link add v0 type vxlan id 7 local {env.ip} remote {env.gateway} "
                  f"dstport 4789 dev {env.nic}; ip link set v0 up; tc qdisc add dev v0 clsact; "
                  f"tc filter add dev v0 ingress matchall action mirred egress redirect "
                  f"dev {env.nic}")
    env.defer(env.guest.run, "ip link del v0")
    job = env.guest.start(f"exec python3 /tmp/capture.py {env.nic}")
    env.wait(lambda: not env.guest.run("test -e /tmp/capture.ready", check=False).status,
             "nobody captures")
    frame = "020000000001" + "020000000002" + "88b5" + "55" * 200
    change = Change(env)
    env.host_ns.run(f"python3 -c 'import socket, time; s = socket.socket(2, 2); "
                    f"[(s.sendto(bytes.fromhex(\"{VXLAN}{frame}\"), (\"{env.ip}\", 4789)), "
                    f"time.sleep(0.02)) for _ in range(20)]'")
    env.wait(lambda: change()["tx_packets"] >= 20, f"not all were sent: {change.total()}")
    env.guest.run("touch /tmp/capture.go")
    heads = result(job)
    assert len(heads) >= 20 and set(heads) == {VXLAN}, heads


# Sockets that nobody reads, and among their datagrams many for one that is read.
UNREAD = """
import socket, sys, time
NR, EVERY, EACH = 60, 17, 60
held = []
for i in range(NR):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 6000 + i))
    held.append(s)
read = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
read.bind(("", 5999))
read.settimeout(1)

def free():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("1")
    with open("/proc/meminfo") as f:
        values = dict(line.split(":") for line in f)
    return sum(int(values[name].split()[0]) for name in ("MemFree", "Buffers", "Cached"))

def charged():
    with open("/proc/net/udp") as f:
        lines = [line.split() for line in f][1:]
    return sum(int(line[4].split(":")[1], 16) for line in lines
               if 6000 <= int(line[1].split(":")[1], 16) < 6000 + NR) // 1024

before = free()
open("/tmp/ready", "w").close()
ended = time.monotonic() + 120
quiet = 0
while quiet < 3 and time.monotonic() < ended:
    try:
        read.recv(2000)
        quiet = 0
    except TimeoutError:
        quiet += 1
print(charged(), before - free())
full = free()
for s in held:
    s.close()
time.sleep(3)
print(free() - full, flush=True)
"""
SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
data = b"x" * 1000
n = 0
for turn in range(60):
    for i in range(60):
        s.sendto(data, (sys.argv[1], 6000 + i))
        for j in range(16):
            s.sendto(data, (sys.argv[1], 5999))
            n += 1
        if n % 320 == 0:
            time.sleep(0.02)
"""


@test(profiles=["modern-split", "packed", "small"], timeout=240, drivers=["vnet"])
def unread(env):
    "What a packet that nobody reads keeps is no more than 2.5 times what its socket is charged."
    env.guest.put(UNREAD.encode(), "/tmp/unread.py")
    job = env.guest.start("exec python3 /tmp/unread.py")
    env.wait(lambda: not env.guest.run("test -e /tmp/ready", check=False).status,
             "the sockets are not open", 30)
    env.host_ns.run(f"python3 -c '{SEND}' {env.ip}", timeout=120)
    done = job.wait(180)
    assert not done.status, str(done)
    # What page pools and slabs keep for later, some MiB, is gone and not kept by a packet: it
    # does not come back when the sockets are closed.
    charged, gone, kept = (int(n) for n in done.out.split()[-3:])
    print(f"  data_io.unread: {kept} KiB kept, {gone} gone, for {charged} that are charged")
    assert charged > 2000, f"only {charged} KiB were left unread"
    assert kept < 2.5 * charged, f"{kept} KiB are kept for {charged} KiB that sockets are charged"
    assert gone < 2.5 * charged + 8192, f"{gone} KiB are gone for {charged} KiB, {kept} are kept"


# Wants a quiet machine: the stack's watchdog complains when a packet is held for 5 s.
@test(profiles=["scripted"], drivers=["vnet"], full=True)
def zerocopy_waits(env):
    "Memory of the user is given back only when the device is done with it."
    env.guest.put(HELD.encode(), "/tmp/held.py")
    env.ping(count=1)
    rules = [env.device.fault(queue=f"tx{i}", action="hold") for i in range(4)]
    job = env.guest.start("exec python3 /tmp/held.py")
    env.wait(lambda: sum(env.device.queue(f"tx{i}")["held"] for i in range(4)) >= 8,
             "the device holds no packets")
    time.sleep(0.8)  # the program looks after 0.4 s; the driver's patience ends after seconds
    for rule in rules:
        env.device.clear(rule)
    for i in range(4):
        env.device.release(f"tx{i}")
    early, late = job.wait(20).out.split()
    assert early == "0", f"{early} sends were completed while the device held them"
    assert late == "8", f"{late} of 8 sends were completed at the end"
    assert not env.device.violations(), f"{env.device.violations()}"


HELD = """
import os, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 60, 1)
s.connect(("10.0.2.2", 9))
data = os.urandom(1400)
for _ in range(8):
    s.send(data, 0x4000000)
def completed():
    n = 0
    while True:
        try:
            for _, _, raw in s.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]:
                _, origin, _, _, _, first, last = struct.unpack_from("=IBBBBII", raw)
                n += (last - first + 1) * (origin == 5)
        except BlockingIOError:
            return n
time.sleep(0.4)
early = completed()
end = time.monotonic() + 15
total = early
while total < 8 and time.monotonic() < end:
    time.sleep(0.05)
    total += completed()
print(early, total)
"""


@test(profiles=["modern-split", "packed", "legacy", "small"], drivers=["vnet"])
def transmit_stamps(env):
    "Software time stamps for transmitted packets, and ethtool -T says so."
    ends = Ends(env)
    job = ends.host_sink(PORT + 40, 2)
    told = ends.guest(f"send {env.host_ns.ip} {PORT + 40} 50 500 --stamps --rate 500")
    assert told["stamps"] == 50, f"{told['stamps']} of 50 stamps"
    assert result(job)["distinct"] == 50
    out = env.guest.run(f"ethtool -T {env.nic}").out
    assert "software-transmit" in out and "software-receive" in out, out


@test(profiles=["modern-split", "packed", "mq"], drivers=["vnet"], timeout=120)
def threaded(env):
    "Threaded NAPI is switched on and off under TCP; the threads exist and do the work."
    ends = Ends(env)
    ends.serve()
    path = f"/sys/class/net/{env.nic}/threaded"
    for state in ("1", "0"):
        job = ends.guest_start(f"get {env.host_ns.ip} {PORT} {8 * MIB}")
        env.guest.run(f"echo {state} > {path}")
        done = job.wait(60)
        assert not done.status, str(done)
        threads = env.guest.run(f"ps -e -o comm | grep -c napi/{env.nic}; true").out.strip()
        if state == "1":
            assert int(threads) > 0, "threaded, but there is no thread"
        elif env.kernel.version >= (6, 17):   # before, the core stopped them with the NAPI only
            assert int(threads) == 0, f"not threaded, but there are {threads} threads"
    env.guest.run(f"echo 1 > {path}; ip link set {env.nic} down; ip link set {env.nic} up")
    ends.guest(f"get {env.host_ns.ip} {PORT} {MIB} ; put {env.host_ns.ip} {PORT} {MIB}")
    env.guest.run(f"echo 0 > {path}")
    # nor is a queue waited for that does not run
    env.guest.run(f"ip link set {env.nic} down; echo 1 > {path}; echo 0 > {path}; "
                  f"ip link set {env.nic} up")
    ends.guest(f"get {env.host_ns.ip} {PORT} {MIB}")


@test(profiles=["modern-split", "packed", "mq", "legacy"], drivers=["vnet"])
def busy_poll(env):
    "Busy polling sockets with deferred interrupts: nothing is lost, nothing hangs."
    ends = Ends(env)
    ends.serve()
    base = f"/sys/class/net/{env.nic}"
    env.sysctl(net__core__busy_read=50, net__core__busy_poll=50)
    env.guest.run(f"echo 2 > {base}/napi_defer_hard_irqs; echo 200000 > {base}/gro_flush_timeout")
    try:
        ends.guest(f"sizes {env.host_ns.ip} {PORT} 8-400 ; get {env.host_ns.ip} {PORT} {2 * MIB} "
                   f"; put {env.host_ns.ip} {PORT} {2 * MIB}")
        napis = [q["napi"] for name, q in netdev(env)["queues"].items() if name.startswith("rx")]
        assert all(napis), f"receive queues without NAPI: {napis}"
    finally:
        env.guest.run(f"echo 0 > {base}/napi_defer_hard_irqs; echo 0 > {base}/gro_flush_timeout")
    ends.guest(f"sizes {env.host_ns.ip} {PORT} 8-40")


@test(profiles=["modern-split", "packed", "legacy", "no-event-idx"], drivers=["vnet"])
def bursts(env):
    "Many small packets with xmit_more: fewer kicks than packets, stops are followed by wakes."
    env.need_tap()
    change = Change(env)
    if env.guest.run("modprobe pktgen", check=False).status:
        env.skip("this kernel has no pktgen")
    mac = env.host_ns.run(f"ip -br link show dev {env.host_ns.device}").out.split()[2]
    lines = (f"add_device {env.nic}@0", "count 4000", "burst 16", "pkt_size 60", "delay 0",
             f"dst {env.host_ns.ip}", f"dst_mac {mac}")
    script = f"echo '{lines[0]}' > /proc/net/pktgen/kpktgend_0; " + "; ".join(
        f"echo '{line}' > /proc/net/pktgen/{env.nic}@0" for line in lines[1:])
    try:
        env.guest.run(f"{script}; echo start > /proc/net/pktgen/pgctrl", timeout=60)
    finally:
        env.guest.run("rmmod pktgen", check=False)
    env.ping(count=2)
    moved = change.total()
    assert moved["tx_packets"] >= 4000, f"{moved}"
    assert moved["tx_kicks"] < 2000, f"{moved}"
    assert abs(moved.get("tx_stop", 0) - moved.get("tx_wake", 0)) <= 1, f"{moved}"
    assert not moved.get("tx_drops"), f"{moved}"
