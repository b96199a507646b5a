# SPDX-License-Identifier: GPL-2.0
"""The pair for containers: programs inside of xmit, and what becomes of packets then.

A container is a network name space with one end, eth0; the host's end is in the name space
of the machine. Programs are those of tools/bpf/pair.bpf.c, attached by tc or by bpftool,
as they would be to a veth.
"""

import re

from lab import build, oracle
from lab.api import test

from ._xdp import compiled, words

ON = ["modern-split"]
LINK = "/tmp/link.py"
PINS = "/sys/fs/bpf/pair"


def load(env, options=""):
    module = build.build(env.kernel, quiet=True, name="vkit")
    if not module:
        env.skip("this kernel has no tcx (CONFIG_NET_XGRESS)")
    env.sysctl(net__ipv6__conf__default__disable_ipv6=1)    # no packets but those of the test
    env.guest.put("/vnet/selftests/tools/link.py", LINK)
    env.guest.put(module, "/lab/vkit.ko")
    env.guest.put(compiled(env, "pair"), "/tmp/pair.o")
    env.guest.run(f"rmmod veth 2>/dev/null; insmod /lab/vkit.ko {options} && "
                  "(mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf) && "
                  f"rm -rf {PINS} && mkdir -p {PINS} && "
                  f"bpftool prog loadall /tmp/pair.o {PINS} pinmaps {PINS}", timeout=60)
    env.defer(env.guest.run, f"rm -rf {PINS}; rmmod vkit", check=False, timeout=60)


class Container:
    """A name space with one end of a pair: run(); host: the name of the other end."""

    def __init__(self, env, number, kind="vkit", **attributes):
        self.env, self.name, self.host = env, f"c{number}", f"host{number}"
        self.ip, self.gateway = f"10.50.{number}.2", f"10.50.{number}.1"
        run = env.guest.run
        run(f"ip netns add {self.name}")
        env.defer(run, f"ip netns delete {self.name}", check=False)
        if kind == "veth":
            run(f"ip link add {self.host} type veth peer name eth0 netns {self.name}")
        else:
            told = " ".join(f"{key}={value}" for key, value in attributes.items())
            run(f"python3 {LINK} add {self.host} {kind} peer=eth0 peer_ns={self.name} {told}")
        run(f"ip netns exec {self.name} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1")
        run(f"ip addr add {self.gateway}/24 dev {self.host}; ip link set {self.host} up; "
            f"ip -n {self.name} addr add {self.ip}/24 dev eth0; ip -n {self.name} link set lo up; "
            f"ip -n {self.name} link set eth0 up; "
            f"ip -n {self.name} route add default via {self.gateway} dev eth0")

    def run(self, command, **options):
        return self.env.guest.run(f"ip netns exec {self.name} {command}", **options)

    def start(self, command):
        job = self.env.guest.start(f"exec ip netns exec {self.name} {command}")
        self.env.defer(job.kill)
        return job

    def attach(self, program, where="ingress", tcx=False):
        """A program at the host's end; by clsact, or by bpftool as tcx."""
        run = self.env.guest.run
        if tcx:
            run(f"bpftool net attach tcx_{where} pinned {PINS}/{program} dev {self.host}")
        else:
            run(f"tc qdisc replace dev {self.host} clsact; tc filter add dev {self.host} {where} "
                f"bpf da object-pinned {PINS}/{program}")

    def detach(self, tcx=False):
        self.env.guest.run(f"bpftool net detach tcx_ingress dev {self.host}" if tcx else
                           f"tc qdisc delete dev {self.host} clsact")

    def counters(self, inside=True):
        """Of the end in the container, or of the host's."""
        run = self.run if inside else self.env.guest.run
        return oracle.counters(run(f"ethtool -S {'eth0' if inside else self.host}").out)

    def ping(self, to, good=True, count=3):
        within = 15 if good else 2      # what is dropped in xmit is sent again: ENOBUFS
        done = self.run(f"ping -n -c {count} -i 0.05 -W 1 -w {within} {to}", check=False)
        got = int(re.search(r"(\d+) received", done.out).group(1))
        assert got == count if good else got == 0, done


def aim(env, interface=""):
    """The interface that programs redirect to; their count of packets starts anew."""
    index = env.guest.run(f"cat /sys/class/net/{interface}/ifindex").out if interface else 0
    env.guest.run(f"bpftool map update pinned {PINS}/plans key {words(0)} value "
                  f"{words(int(index))}; bpftool map update pinned {PINS}/plans key {words(1)} "
                  f"value {words(0)}")


def seen(env):
    """Packets that programs have seen since aim()."""
    out = env.guest.run(f"bpftool -j map lookup pinned {PINS}/plans key {words(1)}").out
    match = re.search(r'"value":\[([^\]]*)\]', out)
    return int.from_bytes(bytes(int(byte.strip('"'), 0) for byte in match[1].split(",")), "little")


@test(profiles=ON, timeout=120)
def passes(env):
    "L2 and L3: ping both ways and TCP; nothing is dropped, everything is counted once."
    load(env)
    for number, mode in ((1, 0), (2, 1)):
        box = Container(env, number, mode=mode)
        box.ping(box.gateway)
        env.guest.run(f"ping -n -c 3 -i 0.05 -w 15 {box.ip}")
        env.guest.start("exec iperf3 -s -1")
        env.guest.run("sleep 1")
        box.run(f"iperf3 -c {box.gateway} -t 2", timeout=60)
        for inside in (True, False):
            told = box.counters(inside)
            assert told["queued"] > 10 and not told["runs"], told
            assert not any(value for key, value in told.items() if key.startswith("drop")), told
        shown = box.run("ip -d link show eth0").out
        assert ("NOARP" in shown) == bool(mode), shown
    assert "driver: vkit" in env.guest.run("ethtool -i host1; ethtool -T host1").out


@test(profiles=ON, timeout=150, quick=True)
def verdicts(env):
    "Programs at the host's end, by tc and by tcx, run inside xmit, once for each packet."
    load(env)
    box = Container(env, 1)
    dropped = 0
    for tcx in (False, True):
        for program, good in (("pass", True), ("next", True), ("drop", False)):
            aim(env)
            before = box.counters()
            box.attach(program, tcx=tcx)
            box.ping(box.gateway, good)
            told, count = box.counters(), seen(env)
            box.detach(tcx)
            runs = told["runs"] - before["runs"]
            assert count == runs and (runs == 3 if good else runs >= 3), \
                (program, tcx, count, runs)
            dropped += 0 if good else runs
            assert not told["drop_loop"] + told["drop_down"], told
    told = box.run("ip -s link show eth0").out
    assert re.search(rf"TX:.*\n.*?\d+ +\d+ +0 +{dropped} ", told), (dropped, told)


@test(profiles=ON, timeout=150)
def redirects(env):
    "redirect_peer and redirect_neigh from container to container, for L3 and L2."
    load(env)
    env.sysctl(net__ipv4__ip_forward=1)
    for kind, options in (("vkit", {"mode": 1}),):
        one, two = Container(env, 1, kind, **options), Container(env, 2, kind, **options)
        one.ping(two.ip)    # by the host's stack: whoever answers is there
        for program in ("redirect_peer", "redirect_neigh"):
            aim(env, two.host)
            before = one.counters()
            one.attach(program)
            one.ping(two.ip)
            told = one.counters()
            one.detach()
            assert seen(env) == told["runs"] - before["runs"] == 3, (program, seen(env), told)
    three = Container(env, 3, mode=0)
    aim(env, three.host)
    one.attach("redirect_neigh")
    one.ping(three.ip)
    one.detach()


@test(profiles=ON, timeout=200)
def assigns(env):
    "bpf_sk_assign: a proxy at the host gets connections and datagrams for others; L3 and L2."
    load(env, "veth=1")
    env.guest.run("ip route add local 1.2.3.4/32 dev lo")
    env.defer(env.guest.run, "ip route delete local 1.2.3.4/32 dev lo", check=False)
    for number, kind in ((1, "vkit"), (2, "veth")):
        box = Container(env, number, kind)
        aim(env)
        box.attach("assign")
        env.guest.run("rm -f /tmp/tcp /tmp/udp")
        server = env.guest.start("exec socat -u TCP4-LISTEN:9999,fork,reuseaddr "
                                 "OPEN:/tmp/tcp,creat,append")
        datagrams = env.guest.start("exec socat -u UDP4-RECV:9999 OPEN:/tmp/udp,creat,append")
        for job in (server, datagrams):
            env.defer(job.kill)
        env.guest.run("sleep 1.5")
        box.run("sh -c 'head -c 300000 /dev/zero | tr \"\\0\" x | socat -u - TCP4:1.2.3.4:80'",
                timeout=60)
        for _ in range(3):
            box.run("sh -c 'echo hello | socat -u - UDP4:1.2.3.4:53'")
        env.guest.run("sleep 1")
        got = env.guest.run("cat /tmp/tcp | wc -c; cat /tmp/udp").out.split()
        assert got == ["300000", "hello", "hello", "hello"], (kind, got)
        told = box.counters()
        assert told["runs"] > 5 and seen(env) > 5, (kind, told)
        server.kill()
        datagrams.kill()
        box.detach()


@test(profiles=ON, timeout=150)
def one_cpu(env):
    "TCP between container and host, both on one CPU, with a program that runs inside xmit."
    load(env)
    box = Container(env, 1)
    box.attach("pass")
    server = env.guest.start("exec taskset -c 0 iperf3 -s")
    env.defer(server.kill)
    env.guest.run("sleep 1")
    for way in ("", "-R", "--bidir"):
        box.run(f"taskset -c 0 iperf3 -c {box.gateway} -t 3 {way}", timeout=60)
    told = box.counters()
    assert told["runs"] > 100 and not told["drop_loop"], told


@test(profiles=ON, timeout=120)
def loops(env):
    "A program that leads packets back into the pair: bounded, counted, and the pair goes on."
    load(env)
    run = env.guest.run
    run(f"python3 {LINK} add lo1 vkit peer=lo2 mode=1; ip link set lo1 up; ip link set lo2 up")
    aim(env, "lo2")
    run(f"tc qdisc add dev lo1 clsact; tc filter add dev lo1 ingress bpf da "
        f"object-pinned {PINS}/redirect")
    run(f"python3 {LINK} frame lo2 100 5")
    told = oracle.counters(run("ethtool -S lo2").out)
    assert told["drop_loop"] == 5 and told["runs"] == 20, told
    run("tc qdisc delete dev lo1 clsact")
    run(f"python3 {LINK} frame lo2 100 5; ip link delete lo1")


@test(profiles=ON, timeout=150, changes=["others"])
def bridge(env):
    "As the port of a bridge: frames pass, programs run after the queue; afterwards inside xmit."
    load(env)
    run = env.guest.run
    boxes = [Container(env, number, mode=0) for number in (1, 2)]
    run("ip link add br7 type bridge; ip link set br7 up")
    env.defer(run, "ip link delete br7", check=False)
    for box in boxes:
        run(f"ip link set {box.host} master br7")
    boxes[1].run("ip addr add 10.50.1.3/24 dev eth0")
    boxes[0].ping("10.50.1.3")
    aim(env)
    boxes[0].attach("drop")
    boxes[0].ping("10.50.1.3", False)
    assert seen(env) >= 1 and not boxes[0].counters()["runs"], boxes[0].counters()
    boxes[0].detach()
    boxes[0].ping("10.50.1.3")
    run(f"ip link set {boxes[0].host} nomaster; ip link set {boxes[0].host} down; "
        f"ip link set {boxes[0].host} up")
    boxes[0].attach("pass")
    boxes[0].ping(boxes[0].gateway)
    assert boxes[0].counters()["runs"] >= 3, boxes[0].counters()


@test(profiles=ON, timeout=150)
def policies(env):
    "What no program decides about is dropped if the policy says so; a program lets it pass."
    load(env)
    box = Container(env, 1, peer_policy=2)
    box.ping(box.gateway, False)
    assert box.counters()["drop_policy"] >= 3, box.counters()
    box.attach("pass")
    box.ping(box.gateway)
    box.detach()
    box.ping(box.gateway, False)
    env.guest.run(f"python3 {LINK} set {box.host} vkit peer_policy=0")
    box.ping(box.gateway)
    env.guest.run(f"python3 {LINK} set {box.host} vkit policy=2")
    box.ping(box.gateway, False)
    assert box.counters(False)["drop_policy"] >= 3, box.counters(False)


@test(profiles=ON)
def refusals(env):
    "Wrong attributes are refused with a sentence and the attribute; the old state stands."
    load(env)
    run = env.guest.run
    cases = (
        ("add bad vkit policy=1", 22, "a policy is to pass"),
        ("add bad vkit peer_policy=7", 22, "a policy is to pass"),
        ("add bad vkit mode=2", 34, "range"),
        ("add bad vkit scrub=2", 34, "range"),
        ("add bad vkit primary=1", 22, "cannot be set"),
        ("add bad vkit pairing=1 policy=2", 95, "a single device"),
        ("set good vkit mode=0", 13, "only the policies"),
        ("set good vkit headroom=10", 13, "only the policies"),
        ("set peer vkit policy=2", 13, "by its host's end"),
        ("set good vkit policy=5", 22, "a policy is to pass"),
    )
    run(f"python3 {LINK} add good vkit peer=peer mode=1 headroom=300 tailroom=20")
    for command, error, text in cases:
        done = run(f"python3 {LINK} {command}", check=False)
        assert done.status and f"errno {error} " in done.err and text in done.err, done
        assert "[attribute at 0]" not in done.err, done
    done = run("ip link set good address 02:00:00:00:00:01", check=False)
    assert done.status, done
    links = run("ip link").out
    assert "bad" not in links and "good" in links, links
    run(f"python3 {LINK} add single vkit pairing=1; ip link set single up; ip link delete single")
    run("ip link delete good")
    assert "peer" not in run("ip link").out


@test(profiles=ON, timeout=200)
def dies(env):
    "Ends deleted, moved and taken down under traffic, and name spaces that die with them."
    load(env)
    run = env.guest.run
    run("ip netns add away")
    env.defer(run, "ip netns delete away", check=False)
    for number in range(env.rounds(20, 5)):
        box = Container(env, number)
        if number % 2:
            box.attach("pass")
        box.start(f"ping -q -i 0.005 -w 20 {box.gateway}")
        run("sleep 0.3")
        how = number % 5
        if how == 0:
            run(f"ip link delete {box.host}")
        elif how == 1:
            run(f"ip netns pids {box.name} | xargs -r kill; ip netns delete {box.name}")
        elif how == 2:
            run(f"ip -n {box.name} link delete eth0")
        elif how == 3:
            run(f"ip link set {box.host} netns away; ip -n away link set {box.host} up; "
                f"ip -n away link delete {box.host}")
        else:
            run(f"ip link set {box.host} down; ip link set {box.host} up; "
                f"ip -n {box.name} link set eth0 down; ip netns delete {box.name}")
    env.undo()
    assert "host" not in run("ip link").out


@test(profiles=ON, timeout=150)
def gro(env):
    "What is forwarded into a container in pieces is put together before its stack sees it."
    load(env, "veth=1")
    env.sysctl(net__ipv4__ip_forward=1)
    sender, box = Container(env, 1), Container(env, 2)
    sender.run("ethtool -K eth0 tso off gso off sg off tx off")
    box.start("iperf3 -s -1")
    env.guest.run("sleep 1")
    sender.run(f"iperf3 -c {box.ip} -t 3 -M 1000", timeout=60)
    sent = box.counters(False)
    assert not any(value for key, value in sent.items() if key.startswith("drop")), sent
    got = int(re.search(r"IpInReceives\s+(\d+)", box.run("nstat -asz IpInReceives").out)[1])
    assert got * 2 < sent["queued"], (got, sent)


@test(profiles=ON, timeout=120)
def as_veth(env):
    "Registered as veth: ip's own words make the pair; with veth.ko there, it says why not."
    load(env, "veth=1")
    run = env.guest.run
    box = Container(env, 1, "veth")
    assert "driver: vkit" in box.run("ethtool -i eth0").out
    assert "veth" in run(f"ip -d link show {box.host}").out
    box.ping(box.gateway)
    assert run("modprobe veth", check=False).status
    run("ip link delete host1; rmmod vkit; modprobe veth")
    assert run("insmod /lab/vkit.ko veth=1", check=False).status
    assert "another module has the kind veth" in run("dmesg | tail -3").out
    run("rmmod veth; insmod /lab/vkit.ko")
