# SPDX-License-Identifier: GPL-2.0
"""Real hosts: what works, and how; lab/peers_table.py makes docs/peers-table.rst of it."""

import contextlib
import json
import re
from pathlib import Path

from lab import hosts, profiles
from lab.api import test

from . import _xdp, xsk_zc
from ._data import TOOLS, counters

RESULTS = Path("/cache/peers")
DEVICE = Path(__file__).parent / "device"
FEATURES = {"tx-checksumming": "csum", "tcp-segmentation-offload": "TSO",
            "tx-udp-segmentation": "USO", "tx-udp_tnl-segmentation": "tunnel GSO",
            "rx-checksumming": "rx csum", "rx-gro-hw": "rx GRO"}
ECHOED = 20


class Host:
    """The far end: an address that answers, and where its servers run."""

    def __init__(self, env):
        self.env, self.nic, self.ip, self.virtio = env, env.nic, env.gateway, env.virtio
        self.wire = env.tap  # the host's side can send frames

    def serve(self):
        self.env.host_ns.stop_daemons()
        self.env.host_ns.serve("iperf3 -s", 5201)

    def settle(self):
        """The interface can be used after something was done to it."""
        self.env.wait_carrier()

    def bound(self):
        """The driver was unbound and bound."""
        self.env.configure()
        self.nic = self.env.nic
        self.settle()


class Inner(Host):
    """A vDPA device of the guest's own, which a program of the guest serves by VDUSE.

    The far end is a name space of the guest.
    """

    FAR, OWN = "10.96.0.1", "10.96.0.2"

    def __init__(self, env, *words):
        super().__init__(env)
        self.ip, self.wire, self.server = self.FAR, False, None
        run, nics = env.guest.run, self.nics()
        for name in ("tun", "vduse", "virtio_vdpa"):
            if run(f"modprobe {name}", check=False).status:
                env.skip(f"Linux {env.kernel.release} has no module {name}")
        for name in ("__init__", "memory", "rings"):
            env.guest.put(DEVICE / f"{name}.py", f"/tmp/device/{name}.py")
        env.guest.put(TOOLS / "vduse_net.py", "/tmp/vduse_net.py")
        run("ip netns add far")
        self.job = env.guest.start("exec ip netns exec far python3 /tmp/vduse_net.py vduse0 tap0 "
                                   f"52:54:00:76:6e:96 {' '.join(words)} > /tmp/vduse.log 2>&1")
        env.wait(lambda: self.log() or self.job.poll(), "no word of the program that serves it")
        assert self.log() == "up\n", f"the device cannot be served: {self.log()}"
        run(f"ip -n far addr add {self.FAR}/24 dev tap0; ip -n far link set tap0 up")
        run("vdpa dev add name vduse0 mgmtdev vduse", timeout=60)
        env.wait(lambda: self.nics() - nics, f"{env.driver} makes no interface of the device", 30)
        self.nic, = self.nics() - nics
        self.virtio = run(f"basename $(readlink /sys/class/net/{self.nic}/device)").out.strip()
        self.bound()

    def nics(self):
        return set(self.env.guest.run("ls /sys/class/net").out.split())

    def log(self):
        return self.env.guest.run("cat /tmp/vduse.log", check=False).out

    def serve(self):
        if self.server:
            self.server.kill()
        self.server = self.env.guest.start("exec ip netns exec far iperf3 -s")
        self.env.wait(lambda: self.env.guest.run(
            "ip netns exec far ss -H -n -l -t sport = :5201").out.strip(), "iperf3 is not there")

    def settle(self):
        self.env.wait(lambda: self.env.guest.run(
            f"cat /sys/class/net/{self.nic}/carrier", check=False).out.strip() == "1",
            f"{self.nic} has no carrier")

    def bound(self):
        self.nic = self.env.guest.run(f"ls /sys/bus/virtio/devices/{self.virtio}/net").out.strip()
        self.env.guest.run(f"ip addr replace {self.OWN}/24 dev {self.nic}; "
                           f"ip link set {self.nic} up")
        self.settle()

    def close(self):
        run, log = self.env.guest.run, self.log()
        if self.server:
            self.server.kill()
        run("vdpa dev del vduse0", check=False, timeout=60)
        self.job.kill()
        run("ip netns del far", check=False)
        assert log == "up\n", f"the device complains: {log}"


def reach(env, host):
    env.wait(lambda: not env.guest.run(f"ping -q -c 1 -W 1 {host.ip}", check=False).status,
             "no answer", 10)
    env.ping(host.ip, count=20, sizes=[1400])


def stream(env, host, seconds=2):
    """TCP both ways, four connections; a stalled one ends with an error."""
    host.serve()
    for reverse in ("", "-R"):
        out = env.guest.run(f"iperf3 -J -P 4 -t {seconds} -c {host.ip} {reverse}", timeout=60).out
        end = json.loads(out)["end"]["sum_received"]
        assert end["bytes"] > 200000, out[-300:]


def works(env, host):
    reach(env, host)
    stream(env, host, 4)
    return "yes"


def offloads(env, host):
    """The offloads that are on, by what ethtool says."""
    out = env.guest.run(f"ethtool -k {host.nic}").out
    on = {line.split(":")[0].strip() for line in out.splitlines() if ": on" in line}
    return ", ".join(text for name, text in FEATURES.items() if name in on) or "none"


def seen(env, host):
    """Packets that a program has seen, by the driver's counters."""
    return sum(value for name, value in counters(env, host.nic).items()
               if re.fullmatch(r"rx(?:_queue_)?\d+_xdp_packets", name))


def said(done):
    lines = [line.strip() for line in (done.out + done.err).splitlines() if line.strip()]
    text = next((line for line in lines if line.startswith("Error:")), lines[-1] if lines else "")
    return "no: " + text.removeprefix("Error:").removeprefix("RTNETLINK answers:").strip(" .")


def xdp(env, host):
    """A program in the driver: it sees the packets, traffic goes on with it and after it."""
    program = _xdp.Program(env)
    try:
        done = program.attach(host.nic, check=False)
        if done.status:
            return said(done)
        host.settle()
        before = seen(env, host)
        reach(env, host)
        stream(env, host)
        assert seen(env, host) - before > 100, "the program sees nothing"
        program.detach(host.nic)
        host.settle()
        reach(env, host)
    finally:
        program.close()
    return "yes"


def zero_copy(env, host):
    """An AF_XDP socket: it can be bound; datagrams come back through it where that can be seen."""
    env.guest.put(TOOLS / "xsk.py", "/tmp/xsk.py")
    bound = hosts.bind(env.guest, host.nic)
    if bound == "yes" and host.wire and env.driver == "vnet":
        client = xsk_zc.Client(env)
        xsk_zc.traffic(env, f"64-{63 + ECHOED}")
        done = client.stop()
        assert xsk_zc.total(done, "rx") >= ECHOED, done
        bound = "yes, echo"
    reach(env, host)
    return bound


def reset(env, host):
    """Everything is put back after each kind of reset."""
    did = []
    nic, path = host.nic, f"/sys/bus/virtio/devices/{host.virtio}"
    kinds = [("rings", f"ethtool -G {nic} rx 128 tx 128"),
             ("link", f"ip link set {nic} down; ip link set {nic} up"),
             ("bind", f"echo {host.virtio} > {env.drivers_dir()}/unbind; "
                      f"echo {host.virtio} > {env.drivers_dir()}/bind")]
    if env.driver == "vnet":
        kinds.insert(0, ("device", f"devlink health recover virtio/{host.virtio} reporter device"))
        if not env.guest.run(f"test -e {path}/../reset", check=False).status:
            kinds.insert(1, ("function", f"echo 1 > $(readlink -f {path})/../reset"))
    for name, command in kinds:
        done = env.guest.run(command, timeout=60, check=False)
        if done.status and name == "rings":
            continue  # the device has one size only
        assert not done.status, f"{name}: {done}"
        if name == "bind":
            host.bound()
        host.settle()
        reach(env, host)
        did.append(name)
    stream(env, host)
    return ", ".join(did)


COLUMNS = {"works": works, "offloads": offloads, "xdp": xdp, "zero copy": zero_copy,
           "reset": reset}


def look(env, host):
    """Fill a row of the matrix; fails with the first thing that did not work."""
    row, failed = {}, []
    for name, check in COLUMNS.items():
        try:
            row[name] = check(env, host)
        except AssertionError as error:
            row[name] = "fails"
            failed.append(f"{name}: {error}")
            if name == "works" or not env.guest.alive():
                break
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{env.kernel.name}-{env.driver}-{env.profile.name}.json"
    path.write_text(json.dumps({"kernel": env.kernel.release, **row}), encoding="utf-8")
    assert not failed, "; ".join(failed)


@test(profiles=profiles.PEERS, timeout=400)
def matrix(env):
    "Pings, TCP, XDP, AF_XDP and resets on this host."
    look(env, Host(env))


@test(profiles=profiles.INNER_PEERS, timeout=400)
def inner(env):
    "The same on a vDPA device of the guest's own."
    words = ["packed"] if env.profile.name.endswith("packed") else []
    with contextlib.closing(Inner(env, *words)) as host:
        look(env, host)
