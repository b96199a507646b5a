# SPDX-License-Identifier: GPL-2.0
"""Headers and data split, and receive memory that is a user's: io_uring zero copy, dma-bufs."""

import json
import time

from lab.api import test

from ._data import TOOLS, Change, counters, refused, result
from .data_bad import frame, header_cases, tell, wait_alive
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

    def __init__(self, env, tool, options="", queue=0, head=""):
        self.env, self.tool = env, tool
        for name in (f"{tool}.py", "netdev.py"):
            env.guest.put(TOOLS / name, f"/tmp/{name}")
        env.guest.run(f"rm -f {READY}")
        self.job = env.guest.start(f"exec python3 /tmp/{tool}.py {head} {env.nic} {queue} {PORT} "
                                   f"--ready {READY} {options}")
        env.wait(lambda: not env.guest.run(f"test -e {READY}", check=False).status or
                 self.job.poll(), "the client is not ready", 30)

    def feed(self, size=2 << 20, pause=None):
        """The host's side sends so many random bytes; what the client counted of them."""
        ns, name = self.env.host_ns, f"/tmp/{self.env.host_ns.name}.bin"
        ns.run(f"head -c {size} /dev/urandom > {name}")
        want = ns.run(f"sha256sum < {name}").out.split()[0]
        sender = ns.start(f"exec socat -u OPEN:{name} TCP:{self.env.ip}:{PORT}")
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
    done = client.feed()
    moved = before()
    env.ping()
    packets = moved["rx_packets"]
    assert done["copied"] <= 66 * packets, (done, packets)
    if env.profile.name in ("modern-split", "packed", "big", "mmio", "iommu"):
        assert done["copied"] <= done["bytes"] * 0.004, (done, packets)


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
    "A bound queue keeps its memory over down and up, rings, MTU, and resets of the device."
    split(env)
    client = zcrx(env)

    def disturb():
        env.guest.run(f"ip link set {env.nic} down; ip link set {env.nic} up")
        env.wait_carrier()
        env.guest.run(f"ethtool -G {env.nic} rx 128; ip link set {env.nic} mtu 1400; "
                      f"ip link set {env.nic} mtu 1500; ethtool -G {env.nic} rx 256")
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
        env.guest.run(f"ethtool -L {env.nic} combined 1")
        env.defer(env.guest.run, f"ethtool -L {env.nic} combined {env.profile.queues}")
    client.feed()


@test(["modern-split"], kernel_min=SINCE, moves=STARVED, timeout=180)
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
    devmem(env).feed(1 << 20)


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
