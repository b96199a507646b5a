# SPDX-License-Identifier: GPL-2.0
"""The monitor of vsock traffic: what it shows, what it hides, what it counts.

Traffic is that of the loopback transport, so no virtual machine is needed: the CID of
every socket is 1, and ports tell connections apart. Whoever captures does so by a packet
socket, as tcpdump does, which is used where its own filters and words matter.
"""

import collections
import re
import shutil
import struct
import subprocess
from pathlib import Path

from lab import build, oracle
from lab.api import test

ON = ["modern-split"]
TOOL = "/tmp/vsock.py"
OPS = ("unknown", "connect", "disconnect", "control", "payload")
SERVER = 5000
Packet = collections.namedtuple("Packet", "src dst op length payload")


def load(env):
    """The module and the loopback transport; the kernel's own monitor is not there."""
    module = build.build(env.kernel, quiet=True, name="vmon")
    if not module:
        env.skip("this kernel has no vsock (CONFIG_VSOCKETS)")
    env.guest.run("modprobe vsock_loopback; rmmod vsockmon 2>/dev/null; true")
    env.guest.put("/vnet/selftests/tools/vsock.py", TOOL)
    env.guest.load("vmon", module)
    env.defer(env.guest.run, "rmmod vmon; modprobe -r vsockmon vhost_vsock; true", check=False)


def space(env, name, parent=None):
    """A network name space; the sockets of its children may have addresses of their own."""
    enter = f"nsenter --net=/run/netns/{parent} " if parent else ""
    env.guest.run(f"{enter}ip netns add {name}")
    env.defer(env.guest.run, f"ip netns delete {name}", check=False)


def at(name, command):
    return f"nsenter --net=/run/netns/{name} {command}" if name else command


def background(env, name, words, user=""):
    """Start the tool in a name space; return when it is ready."""
    out = f"/tmp/out-{len(env.deferred)}"
    job = env.guest.start(f"exec {user}{at(name, f'python3 {TOOL} {words}')} > {out} 2>&1")
    env.defer(job.kill)
    env.wait(lambda: "ready" in env.guest.run(f"cat {out}; true", check=False).out,
             f"'{words}' is not ready: {env.guest.run(f'cat {out}', check=False).out}")
    return job


def monitor(env, name="", nic="vmon0"):
    env.guest.run(at(name, f"ip link add {nic} type vsockmon"))
    env.guest.run(at(name, f"ip link set {nic} up"))


class Capture:
    """The frames of a monitor, from now on until read()."""

    def __init__(self, env, name="", nic="vmon0"):
        self.env, self.path = env, f"/tmp/{name or 'init'}-{nic}.pcap"
        self.job = background(env, name, f"capture {nic} {self.path}")

    def read(self):
        self.env.guest.run("sleep 0.7")
        self.env.guest.run(f"pkill -TERM -f '{TOOL} capture .*{self.path}'")
        self.job.wait(30)
        return packets(self.env.guest.get(self.path))


def packets(data):
    """The packets of a pcap file; everything about its form is asserted."""
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, link) == (0xa1b2c3d4, 271), f"{magic:x} {link}"
    found, place = [], 24
    while place < len(data):
        _, _, taken, length = struct.unpack_from("<IIII", data, place)
        assert taken == length, "cut"
        frame = data[place + 16:place + 16 + taken]
        place += 16 + taken
        scid, dcid, sport, dport, op, transport, hdr = struct.unpack_from("<QQIIHHH", frame)
        assert (transport, hdr) == (2, 44), f"transport {transport}, header of {hdr} bytes"
        virtio = struct.unpack_from("<QQIIIHH", frame, 32)
        assert virtio[:4] == (scid, dcid, sport, dport), f"{virtio} in a packet of {frame[:32]}"
        assert len(frame) == 76 + virtio[4], f"{len(frame)} bytes, payload of {virtio[4]}"
        found.append(Packet((scid, sport), (dcid, dport), OPS[op], length, virtio[4]))
    return found


def counters(env, name="", nic="vmon0"):
    return oracle.counters(env.guest.run(at(name, f"ethtool -S {nic}")).out)


def totals(env, name="", nic="vmon0"):
    out = env.guest.run(at(name, f"sh -c 'ip -s link show {nic}'")).out
    rx_bytes, rx_packets = re.search(r"RX:.*\n\s+(\d+)\s+(\d+)", out).groups()
    return int(rx_packets), int(rx_bytes)


def send(env, name="", port=SERVER, size=1000, count=1, cid=1):
    env.guest.run(at(name, f"python3 {TOOL} send {cid} {port} {size} {count}"), timeout=90)


def ports(found):
    return {end[1] for packet in found for end in (packet.src, packet.dst) if end[1] < 10000}


@test(profiles=ON, timeout=180)
def shows(env):
    "Every packet is shown once, whole, and counted by its operation; as vsockmon shows it."
    load(env)
    background(env, "", f"serve {SERVER}")
    seen = {}
    for module in ("vmon", "vsockmon"):
        if module == "vsockmon":
            env.guest.run("rmmod vmon; modprobe vsockmon")
        monitor(env)
        shot = Capture(env)
        send(env, size=200000, count=3)
        found = seen[module] = shot.read()
        by_op = collections.Counter(packet.op for packet in found)
        assert by_op["payload"] and by_op["connect"] == 6, by_op
        assert sum(packet.payload for packet in found) == 3 * (200000 + 8), by_op
        assert totals(env) == (len(found), sum(packet.length for packet in found)), totals(env)
        if module == "vmon":
            told = counters(env)
            assert {op: told[op] for op in OPS} == {op: by_op[op] for op in OPS}, (told, by_op)
            assert not told["hidden"] + told["short"] + told["lost"], told
        env.guest.run("ip link delete vmon0")
    for key in (lambda packet: packet.op, lambda packet: packet.src[0]):
        assert {key(packet) for packet in seen["vmon"]} == \
            {key(packet) for packet in seen["vsockmon"]}


@test(profiles=ON, timeout=120)
def large(env):
    "A packet of 64 KiB, the largest there is, is shown whole; the MTU is its length."
    load(env)
    background(env, "", f"serve {SERVER}")
    monitor(env)
    shot = Capture(env)
    send(env, size=1 << 20)
    longest = max(packet.length for packet in shot.read())
    mtu = env.guest.run("cat /sys/class/net/vmon0/mtu").out.strip()
    assert str(longest) == mtu == "65612", (longest, mtu)


@test(profiles=ON)
def bounds(env):
    "An MTU that is too small or too large is refused, and so is an address; with a reason."
    load(env)
    monitor(env)
    run = env.guest.run
    for mtu, good in ((76, True), (65612, True), (75, False), (65613, False)):
        for command in (f"ip link set vmon0 mtu {mtu}",
                        f"ip link add vmon1 mtu {mtu} type vsockmon && ip link delete vmon1"):
            done = run(command, check=False)
            assert (done.status == 0) == good, done
            assert good or "mtu" in done.err, done
    assert "65612" in run("ip link show vmon0").out
    done = run("ip link add vmon1 address 02:00:00:00:00:01 type vsockmon", check=False)
    assert done.status and "has no address" in done.err, done
    shown = run("ethtool -i vmon0; ethtool vmon0; ethtool -T vmon0; ip -d link show vmon0").out
    for words in ("driver: vmon", "Link detected: yes", "software-receive", "vsockmon"):
        assert words in shown, shown


@test(profiles=ON, timeout=120)
def tcpdump(env):
    "tcpdump names the packets, and its filters choose among them."
    load(env)
    background(env, "", f"serve {SERVER}")
    monitor(env)
    out = {}
    for name, words in (("all", ""), ("long", "greater 1000")):
        out[name] = env.guest.start(f"exec timeout 60 tcpdump -n -l -i vmon0 {words} "
                                    f"> /tmp/{name} 2>/tmp/{name}.err")
        env.defer(out[name].kill)
        env.wait(lambda path=f"/tmp/{name}.err": "listening on" in
                 env.guest.run(f"cat {path}; true", check=False).out, "tcpdump does not listen")
    send(env, size=3000)
    env.guest.run("sleep 1; pkill tcpdump; sleep 0.5")
    told = env.guest.run("cat /tmp/all").out
    for words in ("VIRTIO", "CONNECT", "PAYLOAD", "DISCONNECT", f"1.{SERVER}"):
        assert words in told, told
    chosen = env.guest.run("cat /tmp/long").out
    assert "PAYLOAD" in chosen and "CONNECT" not in chosen, chosen


@test(profiles=ON, timeout=120)
def wireshark(env):
    "Wireshark's dissector reads every packet, and finds the two connections in them."
    if not shutil.which("tshark"):
        env.skip("the guest root has no tshark: lab/layers/monitors could not be installed")
    load(env)
    background(env, "", f"serve {SERVER}")
    monitor(env)
    shot = Capture(env)
    send(env, size=3000, count=2)
    found = shot.read()
    path = Path(env.guest.log) / "wireshark.pcap"
    path.write_bytes(env.guest.get(shot.path))
    fields = [word for name in ("src_cid", "src_port", "dst_cid", "dst_port", "op", "trans")
              for word in ("-e", f"vsock.{name}")]
    done = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "fields", *fields],
                          capture_output=True, text=True, check=True)
    rows = [tuple(int(value, 0) for value in line.split("\t"))
            for line in done.stdout.splitlines()]
    assert rows == [(*packet.src, *packet.dst, OPS.index(packet.op), 2) for packet in found], \
        (rows[:3], found[:3])
    told = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", "_ws.malformed"],
                          capture_output=True, text=True, check=True).stdout
    assert not told, told


@test(profiles=ON, timeout=180, quick=True)
def spaces(env):
    "A monitor shows what its name space sends or gets, and nothing else; that of init all."
    load(env)
    serving = {"": (5000,), "a": (5001, 5003), "b": (5002,)}
    for name in ("a", "b"):
        space(env, name)
    for name, numbers in serving.items():
        background(env, name, "serve " + " ".join(map(str, numbers)))
        monitor(env, name)
    shots = {name: Capture(env, name) for name in serving}
    for name, port in (("", 5000), ("a", 5001), ("b", 5002), ("b", 5003)):
        send(env, name, port, size=70000)
    found = {name: shot.read() for name, shot in shots.items()}
    assert ports(found[""]) == {5000, 5001, 5002, 5003}, ports(found[""])
    assert ports(found["a"]) == {5001, 5003}, ports(found["a"])
    assert ports(found["b"]) == {5002, 5003}, ports(found["b"])
    for name, seen in found.items():    # of what it may see nothing is missing
        sizes = collections.Counter(packet.dst[1] for packet in seen
                                    for _ in range(packet.payload))
        for port in ports(seen):
            assert sizes[port] == 70000, (name, port, sizes)
        told = counters(env, name)
        assert sum(told[op] for op in OPS) == len(seen), (name, told, len(seen))
        assert bool(told["hidden"]) == bool(name) and not told["lost"], (name, told)


@test(profiles=ON, timeout=180)
def unprivileged(env):
    "A user without rights, root in a name space of its own, sees no packet of others."
    load(env)
    env.guest.run("sysctl -q -w kernel.unprivileged_userns_clone=1 2>/dev/null; "
                  "sysctl -q -w user.max_user_namespaces=1000; true")
    background(env, "", f"serve {SERVER}")
    env.guest.run("mkdir -m 777 -p /tmp/nobody")
    script = ("ip link add vmon0 type vsockmon && ip link set vmon0 up && "
              "tc qdisc add dev vmon0 clsact && "
              "tc filter add dev vmon0 egress matchall action pass && "
              f"python3 {TOOL} capture vmon0 /tmp/nobody/pcap; "
              "ethtool -S vmon0; tc -s filter show dev vmon0 egress")
    job = env.guest.start("exec setpriv --reuid 65534 --regid 65534 --clear-groups "
                          f"unshare -U -r -n sh -c '{script}' > /tmp/nobody/out 2>&1")
    env.defer(job.kill)
    env.wait(lambda: "ready" in env.guest.run("cat /tmp/nobody/out; true").out,
             "no capture: " + env.guest.run("cat /tmp/nobody/out; true").out)
    send(env, size=100000, count=3)
    env.guest.run("sleep 0.5; pkill -TERM -f '^python3 .*capture vmon0'")
    job.wait(30)
    out = env.guest.run("cat /tmp/nobody/out").out
    assert not packets(env.guest.get("/tmp/nobody/pcap")), "packets of init were shown"
    told = oracle.counters(out)
    assert told["hidden"] > 6 and not told["lost"], out
    assert not any(told[op] for op in OPS), out
    assert "Sent 0 bytes 0 pkt" in out, out     # nor has any program of its own had them


@test(profiles=ON, timeout=180, kernel_min=(7, 0))
def local(env):
    "Name spaces whose sockets have addresses of their own: the same ports, and no mix-up."
    load(env)
    space(env, "parent")
    env.guest.run(at("parent", "sh -c 'echo local > /proc/sys/net/vsock/child_ns_mode'"))
    for name in ("l1", "l2"):
        space(env, name, "parent")
        assert "local" in env.guest.run(at(name, "cat /proc/sys/net/vsock/ns_mode")).out
        monitor(env, name)
    for name in ("", "l1"):
        background(env, name, f"serve {SERVER}")
    shots = {name: Capture(env, name) for name in ("l1", "l2")}
    send(env, "l1", size=5000)
    found = {name: shot.read() for name, shot in shots.items()}
    assert sum(packet.payload for packet in found["l1"]) == 5000 + 8, found["l1"]
    assert not found["l2"], found["l2"]
    # the same addresses in l2 and in init: neither a listener nor a connection lets l2 see init's
    background(env, "l2", f"serve {SERVER}")
    shot = Capture(env, "l2")
    background(env, "", f"hold 1 {SERVER} 6001")
    background(env, "l2", f"hold 1 {SERVER} 6002")
    send(env, "", size=5000)
    found = shot.read()
    seen = {port for packet in found for port in (packet.src[1], packet.dst[1])}
    assert seen == {SERVER, 6002}, found[:5]
    # both have the very same connection: nobody can tell, so nothing is shown
    background(env, "", f"hold 1 {SERVER} 6002")
    env.guest.run("sleep 0.5")
    shot = Capture(env, "l2")
    env.guest.run("sleep 0.5")
    assert not shot.read(), "a packet of init's, or one that looks like it"
    told = counters(env, "l2")
    assert told["hidden"] and not told["lost"], told


@test(profiles=ON, timeout=120)
def alias(env):
    "A CID of this machine that has to be asked for: the packets that wait are not lost."
    load(env)
    env.guest.run("modprobe vhost_vsock")
    space(env, "a")
    background(env, "a", f"serve {SERVER}")
    monitor(env, "a")
    shot = Capture(env, "a")
    for _ in range(3):
        send(env, "", size=3000, cid=2)
        env.guest.run("sleep 1.1")
    found = shot.read()
    by_op = collections.Counter(packet.op for packet in found)
    assert by_op["connect"] == 6, by_op
    assert sum(packet.payload for packet in found) == 3 * 3008, by_op
    assert not counters(env, "a")["lost"], counters(env, "a")


@test(profiles=ON, timeout=120)
def two(env):
    "Two monitors of a name space show the same."
    load(env)
    space(env, "a")
    background(env, "a", f"serve {SERVER}")
    shots = []
    for name in ("", "a"):
        for nic in ("vmon0", "vmon1"):
            monitor(env, name, nic)
            shots.append(Capture(env, name, nic))
    send(env, "a", size=50000, count=2)
    first, *others = [[packet[:5] for packet in shot.read()] for shot in shots]
    assert len(first) > 10, first
    for other in others:
        assert sorted(first) == sorted(other), (len(first), len(other))


@test(profiles=ON, timeout=300)
def moves(env):
    "Up, down, to another name space and away under traffic; unloaded while it is up."
    load(env)
    space(env, "a")
    for name in ("", "a"):
        background(env, name, f"serve {SERVER + bool(name)}")
    for name in ("", "a"):
        background(env, name, f"flow 1 {SERVER + bool(name)}")
    run = env.guest.run
    for _ in range(env.rounds(20, 3)):
        monitor(env)
        monitor(env, "a", "vmon1")
        for where, other in (("", "a"), ("a", "1")):
            run(at(where, "ip link set vmon0 down"))
            run(at(where, "ip link set vmon0 up"))
            run(at(where, f"ip link set vmon0 netns {other}"))
            run(at(other.strip("1"), "ip link set vmon0 up"))
        run("sleep 0.3")
        before = totals(env)[0]
        env.wait(lambda: totals(env)[0] > before, "no packets after all that")
        run("ip netns add dies")
        monitor(env, "dies", "vmon2")
        run("ip netns delete dies")
        run("rmmod vmon && insmod /lab/vmon.ko")
        assert "vmon" not in run("ip link; ip -n a link").out
    run("pkill -TERM -f '^python3 .* flow '; sleep 1")
    told = run("cat /tmp/out-*").out.split()
    counts = [int(word) for word in told if word.isdigit()]
    assert len(counts) == 2 and min(counts) > 0, told


@test(profiles=ON)
def taken(env):
    "Of two drivers of the kind the first that is loaded has it; the other says why it fails."
    load(env)
    run = env.guest.run
    assert run("modprobe vsockmon", check=False).status
    run("rmmod vmon; modprobe vsockmon")
    assert run("insmod /lab/vmon.ko", check=False).status
    assert "another module has the kind vsockmon" in run("dmesg | tail -3").out
    run("rmmod vsockmon; insmod /lab/vmon.ko")
