# SPDX-License-Identifier: GPL-2.0
"""What the XDP tests share: programs, their maps, packets that are counted."""

import json
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

from lab import SetupError
from lab.profiles import PROFILES

from ._data import TOOLS

PINS = "/sys/fs/bpf"
PORT = 5400
ABORTED, DROP, PASS, TX, REDIRECT, UNKNOWN = range(6)
FAILED, SINK, MARKED, BYTES = 6, 7, 8, 9
# What counts as lost where rings are exchanged under traffic and programs give packets away.
LOSSES = ("*_purged", "rx_drop_xdp_*", "tx_xdp_tx_drops")
EVERY = (ABORTED, DROP, PASS, TX, REDIRECT, 77)

# Every device with one tap behind it
TAPS = tuple(p.name for p in PROFILES.values()
             if p.net == "tap" and p.nics == 1 and not p.special)
# One device of each kind of receive path and of each way to switch offloads off
KINDS = ("modern-split", "packed", "legacy", "legacy-small", "small", "big", "mq", "iommu",
         "no-ctrl-vq", "mmio")


def compiled(env, name):
    """Compile tools/bpf/NAME.bpf.c; the object's path."""
    source, target = TOOLS / f"bpf/{name}.bpf.c", Path(env.guest.log) / f"{name}.o"
    done = subprocess.run(
        ["clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf",
         "-I/usr/include/x86_64-linux-gnu", "-c", str(source), "-o", str(target)],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{source.name} does not compile: {done.stderr[-500:]}")
    return target


def words(*values):
    """32 bit values as the words of a bpftool command."""
    return " ".join(f"{byte}" for byte in b"".join(struct.pack("<i", v) for v in values))


class Program:
    """tools/bpf/plan.bpf.c in the guest: its programs pinned, its maps."""

    def __init__(self, env, name="plan", dev=""):
        self.env, self.dir = env, f"{PINS}/{name}"
        env.guest.put(compiled(env, name), f"/tmp/{name}.o")
        bound = f"xdpmeta_dev {dev}" if dev else ""
        verb, where = ("load", f"{self.dir}/{name}") if dev else ("loadall", self.dir)
        env.guest.run(f"mountpoint -q {PINS} || mount -t bpf bpf {PINS}; rm -rf {self.dir}; "
                      f"mkdir -p {self.dir}; bpftool prog {verb} /tmp/{name}.o {where} {bound} "
                      f"pinmaps {self.dir}", timeout=60)

    def attach(self, nic=None, program="frags", check=True):
        return self.env.guest.run(f"ip link set dev {nic or self.env.nic} xdpdrv pinned "
                                  f"{self.dir}/{program}", check=check, timeout=60)

    def detach(self, nic=None):
        self.env.guest.run(f"ip link set dev {nic or self.env.nic} xdpdrv off", timeout=60)

    def plan(self, *actions, head=0, tail=0, meta=0, stretch=0, cpu=False):
        """From now on datagram N gets actions[N % len(actions)]; the counters start anew."""
        filled = (*actions, *[0] * (6 - len(actions)))
        value = words(PORT, len(actions), *filled, head, tail, meta, stretch, int(cpu))
        zero = "; ".join(f"bpftool map update pinned {self.dir}/counts key {words(i)} value "
                         f"{words(0, 0)}" for i in range(10))
        self.env.guest.run(f"bpftool map update pinned {self.dir}/plans key {words(0)} value "
                           f"{value}; {zero}", timeout=60)

    def target(self, nic=None, cpu=None):
        """Where redirected packets go."""
        if cpu is not None:
            command = f"map update pinned {self.dir}/cpus key {words(cpu)} value {words(192)}"
        else:
            index = int(self.env.guest.run(f"cat /sys/class/net/{nic}/ifindex").out)
            command = f"map update pinned {self.dir}/devs key {words(0)} value {words(index)}"
        self.env.guest.run(f"bpftool {command}")

    def counts(self, name="counts"):
        out = self.env.guest.run(f"bpftool -j map dump pinned {self.dir}/{name}").out
        return [int.from_bytes(bytes(int(byte, 16) for byte in entry["value"]), "little")
                for entry in json.loads(out)]

    def veth(self):
        """A veth whose far end counts and drops; redirected packets go there."""
        self.env.guest.run("ip link add v0 mtu 9000 type veth peer name v1 mtu 9000; "
                           "for d in v0 v1; do ip link set $d addrgenmode none; "
                           "ip link set $d up; done")
        self.attach("v1", "sink")
        self.target("v0")

    def close(self):
        self.env.guest.run("ip link del v0 2> /dev/null; rm -rf " + self.dir, check=False)


def back(env, count, size=200, rate=1500, keep=0, quiet=1.0, link=None):
    """Datagrams from the host's side; what came back on the tap."""
    out = env.host_ns.run(
        f"python3 {TOOLS}/back.py {link or env.host_ns.taps[0]} {env.mac} {env.ip} {PORT} {count} "
        f"{size} --rate {rate} --keep {keep} --quiet {quiet}", timeout=60 + count / rate).out
    return json.loads(out)


@contextmanager
def known(env):
    """The host's side knows the guest's MAC: who takes all packets does not answer it."""
    ns = env.host_ns
    ns.run(f"ip neigh replace {env.ip} lladdr {env.mac} nud permanent dev {ns.device}")
    try:
        yield
    finally:
        ns.run(f"ip neigh del {env.ip} dev {ns.device}")


def host_mac(env):
    """The MAC of the host's side."""
    return json.loads(env.host_ns.run(f"ip -j link show {env.host_ns.device}").out)[0]["address"]


def tap_drops(env):
    """Packets that the host's side could not give to the device."""
    link = json.loads(env.host_ns.run(f"ip -j -s link show {env.host_ns.taps[0]}").out)[0]
    return link["stats64"]["tx"]["dropped"]
