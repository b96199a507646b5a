# SPDX-License-Identifier: GPL-2.0
"""Headers and data split, and receive memory that is a user's: io_uring zero copy, dma-bufs."""

import importlib.util
import json
import re
import sys
import sysconfig
import time

from lab.api import test

from ._data import TOOLS, Change, counters, netdev, refused, result
from .data_bad import frame, header_cases, tell, wait_alive
from .recovery_suspend import END, START, Inside, suspended
from .traffic import SIZES, transfer

SPLIT = ["modern-split", "packed", "small", "big", "legacy-small", "mmio", "no-indirect", "iommu"]
ZERO = ["modern-split", "packed", "small", "big", "mmio", "iommu", "access-platform"]
PORT, READY = 5300, "/tmp/memory.ready"
# A user who does not give memory back in time is no fault of the device or the driver.
STARVED = ["*starved", "*alloc_fail"]
SINCE = (7, 0)


def is_split(env):
    told = json.loads(env.guest.run(f"ethtool --json -g {env.nic}").out)[0]
    return told["tcp-data-split"] == "on"


def threshold(env, size=""):
    """Set and tell how many bytes are in a head, by tools/hds.py."""
    for name in ("hds.py", "netdev.py"):
        env.guest.put(TOOLS / name, f"/tmp/{name}")
    return json.loads(env.guest.run(f"python3 /tmp/hds.py {env.nic} {size}").out)


def split(env):
    """Headers and data are split until the test is over."""
    env.guest.run(f"ethtool -G {env.nic} tcp-data-split on")
    env.defer(env.guest.run, f"ethtool -G {env.nic} tcp-data-split off", check=False)


class Client:
    """tools/zcrx.py or tools/devmem.py in the guest, bound to a queue."""

    def __init__(self, env, tool, options="", queue=0, head="", nic="", prefix="", address=""):
        self.env, self.tool, self.address = env, tool, address or env.ip
        env.may_move(*STARVED)
        for name in (f"{tool}.py", "netdev.py"):
            env.guest.put(TOOLS / name, f"/tmp/{name}")
        env.guest.run(f"rm -f {READY}")
        self.job = env.guest.start(f"exec {prefix}python3 /tmp/{tool}.py {head} {nic or env.nic} "
                                   f"{queue} {PORT} --ready {READY} {options}")
        env.wait(lambda: not env.guest.run(f"test -e {READY}", check=False).status or
                 self.job.poll(), "the client is not ready", 30)

    def feed(self, size=2 << 20, pause=None):
        """The host's side sends so many random bytes; what the client counted of them."""
        ns, name = self.env.host_ns, f"/tmp/{self.env.host_ns.name}.bin"
        ns.run(f"head -c {size} /dev/urandom > {name}")
        want = ns.run(f"sha256sum < {name}").out.split()[0]
        sender = ns.start(f"exec socat -u OPEN:{name} TCP:{self.address}:{PORT}")
        if pause:
            time.sleep(1)
            pause()
        done = result(self.job, 120)
        sender.wait(20)
        assert (done.get("bytes"), done.get("sha256")) == (size, want), done
        return done

    def stop(self):
        self.env.guest.run(f"pkill -TERM -f /tmp/{self.tool}.py", check=False)
        self.job.wait(20)


def zcrx(env, options="", **more):
    return Client(env, "zcrx", options, **more)


def devmem(env, options="", **more):
    return Client(env, "devmem", options, head="receive", **more)


def denied(env, tool, options="", queue=0, head=""):
    """What the client was told when it was not let bind."""
    client = Client(env, tool, options, queue, head)
    done = result(client.job)
    assert "error" in done, done
    return done


@test(SPLIT, kernel_min=SINCE, timeout=180)
def split_traffic(env):
    "Headers and data split: packets of every size cross, both ways, no head has more than it may."
    assert not is_split(env)
    split(env)
    assert is_split(env)
    env.ping(count=2, sizes=SIZES + ((1472, 8000, 40000) if env.tap else ()))
    trace = "/sys/kernel/tracing"
    event = f"{trace}/events/net/napi_gro_receive_entry/enable"
    env.guest.run(f"echo > {trace}/trace; echo 1 > {event}")
    env.defer(env.guest.run, f"echo 0 > {event}")
    transfer(env, 1 << 20, up=False)
    out = env.guest.run(f"echo 0 > {event}; grep ' dev={env.nic} ' {trace}/trace | "
                        "sed 's/.* len=\\([0-9]*\\) data_len=\\([0-9]*\\) .*/\\1 \\2/'").out
    heads = [int(a) - int(b) for a, b in (line.split() for line in out.splitlines())]
    assert heads and max(heads) == 128 - 14, (len(heads), heads and max(heads))
    transfer(env, 1 << 20, up=True)


@test(["modern-split", "big"], kernel_min=SINCE, timeout=180)
def split_settings(env):
    "The threshold moves the boundary; what cannot be combined is refused, and nothing is lost."
    split(env)
    assert threshold(env, 512) == {"thresh": 512, "max": 1024}
    env.defer(threshold, env, 0)
    env.ping(count=2, sizes=(56, 1400))
    assert "error" in threshold(env, 1025)
    env.guest.run(f"ethtool -G {env.nic} rx 128; ip link set {env.nic} down; "
                  f"ip link set {env.nic} up")
    env.wait_carrier()
    env.defer(env.guest.run, f"ethtool -G {env.nic} rx 256")
    assert is_split(env) and threshold(env)["thresh"] == 512
    env.ping(count=2, sizes=(56, 1400))


@test(ZERO, kernel_min=SINCE, timeout=180)
def zcrx_receive(env):
    "io_uring zero copy: every byte is right, and no more are copied than lie in the heads."
    split(env)
    client = zcrx(env)
    before = Change(env)
    large = env.profile.name in ("modern-split", "packed", "big", "mmio", "iommu")
    done = client.feed(8 << 20 if large else 2 << 20)
    moved = before()
    env.ping()
    packets = moved["rx_packets"]
    assert done["copied"] <= 66 * packets, (done, packets)
    assert not large or done["copied"] <= done["bytes"] * 0.002, (done, packets)


@test(["modern-split"], kernel_min=SINCE, timeout=180)
def zcrx_pages(env):
    "Larger pages of the provider's, from a huge page: every byte is right."
    split(env)
    env.guest.run("echo 4 > /proc/sys/vm/nr_hugepages")
    env.defer(env.guest.run, "echo 0 > /proc/sys/vm/nr_hugepages")
    zcrx(env, "--page 16384").feed()
    for page in (65536,):
        assert "error" in denied(env, "zcrx", f"--page {page}")
    env.ping()


@test(["modern-split", "mmio", "mq"], kernel_min=SINCE, moves=["reset_user"], timeout=180)
def zcrx_stays(env):
    "A bound queue keeps its memory over down and up, rings, MTU, resets of function and device."
    split(env)
    client = zcrx(env)

    def disturb():
        env.guest.run(f"ip link set {env.nic} down; ip link set {env.nic} up")
        env.wait_carrier()
        env.guest.run(f"ethtool -G {env.nic} rx 128; ip link set {env.nic} mtu 1400; "
                      f"ip link set {env.nic} mtu 1500; ethtool -G {env.nic} rx 256")
        pci = f"$(readlink -f /sys/class/net/{env.nic}/device/..)/reset"
        env.guest.run(f"[ ! -e {pci} ] || echo 1 > {pci}", timeout=60)
        env.wait_carrier()
        handle = env.guest.run("devlink health show -j | grep -o 'virtio/[a-z0-9]*' | head -1").out
        if handle.strip():
            env.guest.run(f"devlink health recover {handle.strip()} reporter tx", check=False)

    client.feed(4 << 20, disturb)
    env.ping()


@test(["modern-split", "mq"], kernel_min=SINCE, says=["*set_features() failed*"], timeout=180)
def zcrx_restrains(env):
    "What a bound queue cannot live with is refused, with the reason, and the queue goes on."
    split(env)
    client = zcrx(env)
    refused(env, f"ethtool -G {env.nic} tcp-data-split off", "memory provider")
    assert "memory provider" in threshold(env, 256)["why"]
    refused(env, f"ethtool -K {env.nic} rx off")
    refused(env, f"ethtool -G {env.nic} rx 16", "memory provider")
    if env.profile.queues > 1:
        # The core asks for one more than the bound queue needs.
        refused(env, f"ethtool -L {env.nic} combined 1", "memory provider")
        env.guest.run(f"ethtool -L {env.nic} combined 2")
        env.defer(env.guest.run, f"ethtool -L {env.nic} combined {env.profile.queues}")
    client.feed()


@test(["modern-split"], kernel_min=SINCE, timeout=180)
def zcrx_starves(env):
    "A user who gives nothing back for a while is waited for: no alarm, all bytes arrive."
    split(env)
    client = zcrx(env, "--size 2097152 --hold 3")
    before = Change(env)
    client.feed()
    moved = before()
    assert moved["rx0_starved"] > 0, moved
    alarms = [n for n, v in moved.items() if v and n.startswith(("reset_", "heal_", "memory_"))]
    assert not alarms, alarms


@test(["modern-split", "iommu"], kernel_min=SINCE, timeout=180)
def devmem_receive(env):
    "A dma-buf gets what a peer sends, every byte right, but for what lies in the heads."
    split(env)
    before = Change(env)
    done = devmem(env).feed()
    packets = before()["rx_packets"]
    assert done["linear"] <= 66 * packets and done["linear"] < done["bytes"] / 20, (done, packets)
    env.ping()


@test(["modern-split", "packed", "iommu", "no-indirect"], kernel_min=(7, 2), timeout=180)
def devmem_send(env):
    "What lies in a dma-buf is sent from there; the peer gets every byte, the sender its notices."
    size, ns = 2 << 20, env.host_ns
    for name in ("devmem.py", "netdev.py"):
        env.guest.put(TOOLS / name, f"/tmp/{name}")
    env.guest.run(f"head -c {size} /dev/urandom > /tmp/data.bin")
    want = env.guest.run("sha256sum < /tmp/data.bin").out
    ns.serve(f"socat -u TCP-LISTEN:{PORT} OPEN:/tmp/{ns.name}.bin,creat,trunc", PORT)
    before = Change(env)
    done = json.loads(env.guest.run(
        f"python3 /tmp/devmem.py send {env.nic} {env.gateway} {PORT} /tmp/data.bin",
        timeout=80).out)
    assert done.get("bytes") == size and done["notices"], done
    have = env.wait(lambda: (lambda have: have if have == want else None)(
        ns.run(f"sha256sum < /tmp/{ns.name}.bin").out), "what arrived differs from what was sent")
    assert have == want and before()["tx0_drops"] == 0


@test(["modern-split"], kernel_min=SINCE, timeout=180)
def refusals(env):
    "A bind that cannot work is refused, and nothing has changed."
    assert denied(env, "zcrx")["error"] == 22
    assert "tcp-data-split" in denied(env, "devmem", head="receive")["why"]
    split(env)
    env.guest.run(f"ethtool -K {env.nic} rx off")
    done = denied(env, "devmem", head="receive")
    assert "checksum" in done["why"], done
    env.guest.run(f"ethtool -K {env.nic} rx on")
    assert "error" in denied(env, "devmem", "--page 2048", head="receive")
    threshold(env, 200)
    assert "hds-thresh" in denied(env, "devmem", head="receive")["why"]
    threshold(env, 0)
    env.guest.run(f"ethtool -G {env.nic} rx 16")
    assert "than the ring has" in denied(env, "devmem", head="receive")["why"]
    env.guest.run(f"ethtool -G {env.nic} rx 256")
    devmem(env).feed(1 << 20)


@test(["bounce"], kernel_min=SINCE, timeout=180)
def cannot_map(env):
    "Where memory that is mapped has other addresses than the device takes, nobody can bind."
    split(env)
    for tool, head in (("zcrx", ""), ("devmem", "receive")):
        denied(env, tool, head=head)
    env.ping(count=2, sizes=(56, 1400))


@test(["mq"], kernel_min=SINCE, timeout=180)
def restart_alone(env):
    "Binding and leaving one queue loses nothing on the others."
    split(env)
    before = counters(env)
    pings = env.guest.start(f"ping -q -i 0.02 -c 200 {env.gateway}")
    for _ in range(4):
        zcrx(env, "--bind", queue=3).stop()
    out = pings.wait(60).out
    moved = Change(env)
    moved.before = before
    resets = {n: v for n, v in moved().items() if v and n.startswith(("reset_", "heal_"))}
    assert not resets, resets
    assert " 0% packet loss" in out, out


# All answers of the service leave by queue pair 1, so the tap sends it what belongs to them there.
STEER = """
tc qdisc add dev {nic} clsact
tc filter add dev {nic} egress protocol ip flower ip_proto tcp src_port {port} \
    action skbedit queue_mapping 1
"""


def steer(env):
    """The service's flow comes to queue 1, until the test is over."""
    env.guest.run(STEER.format(nic=env.nic, port=PORT))
    env.defer(env.guest.run, f"tc qdisc del dev {env.nic} clsact", check=False)


def steered(env, client, disturb=None):
    """What queue 1 got of a stream of 8 MiB: all but the first packets."""
    before = Change(env)
    done = client.feed(8 << 20, disturb)
    moved = before()
    assert moved["rx1_bytes"] > done["bytes"] * 0.99, moved
    assert done["copied"] < done["bytes"] * 0.005, done
    assert moved["rx_drop_unreadable"] == 0, moved


@test(["mq"], kernel_min=SINCE, timeout=180)
def one_flow(env):
    "A flow is steered to the bound queue by the tap, other traffic goes on beside it."
    split(env)
    steer(env)
    steered(env, zcrx(env, queue=1), lambda: env.ping(sizes=(56, 1400, 8000)))


@test(["mq"], kernel_min=(7, 1), timeout=180, changes=["sysctl", "others"])
def leased(env):
    "A container receives into its own memory: its interface has leased a queue of the NIC."
    run = env.guest.run
    split(env)
    steer(env)
    run("ip netns add box; ip link add nk0 numrxqueues 2 type netkit mode l2 peer name nk1 "
        "numrxqueues 2; echo 1 > /proc/sys/net/ipv4/ip_forward")
    env.defer(run, "ip link del nk0; ip netns del box; echo 0 > /proc/sys/net/ipv4/ip_forward",
              check=False)
    for name in ("lease.py", "netdev.py"):
        env.guest.put(TOOLS / name, f"/tmp/{name}")
    told = json.loads(run(f"python3 /tmp/lease.py nk1 {env.nic} 1").out)
    assert told == {"queue": 1}, told
    run("ip link set nk1 netns box; ip addr add 10.98.0.1/24 dev nk0; ip link set nk0 up; "
        "ip -n box addr add 10.98.0.2/24 dev nk1; ip -n box link set nk1 up; "
        "ip -n box link set lo up; ip -n box route add default via 10.98.0.1")
    env.host_ns.run(f"ip route add 10.98.0.0/24 via {env.ip}")
    env.defer(env.host_ns.run, "ip route del 10.98.0.0/24", check=False)
    refused(env, f"ethtool -L {env.nic} combined 1")
    steered(env, Client(env, "zcrx", queue=1, nic="nk1", prefix="ip netns exec box ",
                        address="10.98.0.2"),
            lambda: env.ping(sizes=(56, 1400, 8000)))


@test(["scripted"], kernel_min=SINCE, timeout=300)
def liar(env):
    "A device that lies on a bound queue: each packet is in one counter, and the queue goes on."
    split(env)
    client = zcrx(env, "--bind")
    data, inject = frame(env), env.device.inject
    wait_alive(env)
    tell(env, [("no word about the checksum", ("unreadable",), lambda: inject(data)),
               ("a packet that is all head", ("rx_packets",), lambda: inject(data[:100])),
               ("checksum verified", ("rx_packets",), lambda: inject(data, hdr={"flags": 2}))],
         "statements")
    tell(env, [(what, reasons, lambda h=hdr: inject(data, hdr=h))
               for what, reasons, hdr in header_cases() if reasons and "csum" in reasons[0]],
         "headers")
    tell(env, [(f"used length {n}", ("runt",), lambda n=n: inject(data, used_len=n))
               for n in (0, 1, 11, 12, 25)], "runts")
    tell(env, [(f"used length {n}", ("overrun",), lambda n=n: inject(data, used_len=n))
               for n in (1 << 20, 0xffffffff)], "overruns")
    for number in (0, 2, 18, 65535):
        tell(env, [("one chain used", ("bad_chain",),
                    lambda n=number: inject(data, hdr={"num_buffers": n}))], f"{number} claimed")
        wait_alive(env)
    client.stop()
    wait_alive(env)
    assert not env.device.violations(), env.device.violations()[:3]


@test(["scripted"], kernel_min=SINCE, timeout=180)
def resets(env):
    "A bound queue stays bound when the device asks for a reset, or takes the queue away."
    def has(queues):
        return sorted(name for name in netdev(env)["queues"]) == sorted(queues)

    split(env)
    env.guest.run(f"ethtool -L {env.nic} combined 2")
    client = zcrx(env, "--bind", queue=1)
    data = frame(env)
    for _ in range(2):
        env.device.needs_reset()
        wait_alive(env)
        assert netdev(env)["queues"]["rx1"]["bound"]
        tell(env, [("memory that nobody reads", ("unreadable",),
                    lambda: env.device.inject(data, queue="rx1"))], "after a reset")
    env.device.fault(cmd="mq.pairs", action="refuse")
    env.device.needs_reset()
    env.wait(lambda: has(["rx0", "rx1", "tx0"]), "one pair, and the queue that is bound", 20)
    assert netdev(env)["queues"]["rx1"]["bound"]
    env.device.clear()
    # The core asks for one more than the bound queue needs.
    env.guest.run(f"ethtool -L {env.nic} combined 3")
    tell(env, [("a queue that came back", ("unreadable",),
                lambda: env.device.inject(data, queue="rx1"))], "after -L")
    env.device.fault(cmd="mq.pairs", action="refuse")
    env.device.needs_reset()
    env.wait(lambda: has(["rx0", "rx1", "tx0"]), "one pair, and the queue that is bound", 20)
    client.stop()
    env.wait(lambda: has(["rx0", "tx0"]), "the queue goes with its provider", 20)
    env.device.clear()
    wait_alive(env)


# A guest in memory, see recovery_suspend.py: it takes a stream while it sleeps and wakes.
SLEEPER = START + """
ip addr add 10.0.2.15/24 dev $nic
ip link set $nic up
ethtool -G $nic tcp-data-split on || echo "RESULT no split"
flows || echo "RESULT no packet before"
python3 /zcrx.py $nic 0 %(port)s --ready /tmp/ready > /tmp/out 2>&1 &
client=$!
while [ ! -e /tmp/ready ] && kill -0 $client; do sleep 0.2; done
echo "STAGE bound"
for round in $(seq %(rounds)s); do
    sleep 1
    %(suspend)s || echo "RESULT suspend failed"
    flows || echo "RESULT no packet after round $round"
done
echo "STAGE awake"
wait $client
echo "CLIENT $(cat /tmp/out)"
""" + END


def sleeps(env, how, swap=0):
    """A stream that began before the guest slept twice, and ends after it, is whole."""
    ns, tap, part, done = env.host_ns, "sleeper", 1 << 20, {}
    name = f"/tmp/{ns.name}.bin"
    ns.run(f"rm -f {name}.awake; head -c {2 * part} /dev/urandom > {name}")
    want = ns.run(f"sha256sum < {name}").out.split()[0]
    ns.ip_cmd("tuntap", "add", tap, "mode", "tap", "vnet_hdr")
    env.defer(ns.ip_cmd, "link", "delete", tap)
    ns.run(f"ip addr add 10.0.2.2/24 dev {tap}; ip link set {tap} up")

    def beside(text):
        if "STAGE bound" in text and "sender" not in done:
            done["sender"] = ns.start(
                f"{{ head -c {part} {name}; until [ -e {name}.awake ]; do sleep 0.2; done; "
                f"tail -c {part} {name}; }} | socat -u - TCP:10.0.2.15:{PORT}")
        if "STAGE awake" in text:
            ns.run(f"touch {name}.awake")

    text = suspended(env, how, rounds=2, limit=220, inside=Inside(
        init=SLEEPER.replace("%(port)s", str(PORT)), swap=swap, tap=tap,
        trees=(sysconfig.get_path("stdlib"),), files=(TOOLS / "zcrx.py",),
        programs=(sys.executable, importlib.util.find_spec("_ctypes").origin), beside=beside))
    told = json.loads(re.search(r"^CLIENT (.*)", text, re.M)[1])
    assert (told.get("bytes"), told.get("sha256")) == (2 * part, want), told


SLEEPS = {"profiles": ["modern-split"], "kernel_min": SINCE, "timeout": 240, "up": False}


@test(**SLEEPS)
def suspend(env):
    "A queue bound while the machine is suspended to RAM, twice: every byte arrives."
    sleeps(env, "mem")


@test(**SLEEPS, full=True)
def hibernate(env):
    "A queue bound while the machine is off, its memory on a disk, twice."
    sleeps(env, "swap", 768)


@test(["modern-split", "mmio"], kernel_min=SINCE, changes=["nic"], timeout=180)
def unbind(env):
    "The driver goes while a queue is bound, and comes again; the user is told, nobody hangs."
    split(env)
    client = zcrx(env)
    env.unbind()
    env.bind()
    client.stop()
    env.find()
    env.configure()
    env.ping()
