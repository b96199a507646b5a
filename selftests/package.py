# SPDX-License-Identifier: GPL-2.0
"""Versions, packages and vnetctl: what brings the driver onto a machine and off it."""

import contextlib
import io
import json
import re
import shutil
import tarfile
import time
from pathlib import Path

from lab.api import quote, test
from lab.guest import Guest
from lab.machine import module_index
from selftests.users import Udev

TOP = Path(__file__).resolve().parent.parent
VERSION = (TOP / "VERSION").read_text(encoding="ascii").strip()


@test(profiles=["modern-split", "legacy"], drivers=["vnet"], quick=True)
def version(env):
    """Module, devlink and ethtool say what runs; the version is that of the file VERSION."""
    run = env.guest.run
    assert run("cat /sys/module/vnet/version").out.strip() == VERSION
    info = json.loads(run("devlink -j dev info").out)["info"]
    found = next(value for name, value in info.items() if name.endswith(env.virtio))
    assert found["driver"] == "vnet", found
    assert found["versions"]["running"] == {"vnet": VERSION}, found
    assert found["versions"]["fixed"] == {
        "virtio.id": "1af4:0001",
        "virtio.interface": "legacy" if env.profile.name == "legacy" else "modern"}, found
    lines = dict(line.split(": ", 1) for line in run(f"ethtool -i {env.nic}").out.splitlines()
                 if ": " in line)
    assert lines["driver"] == "vnet", lines
    # a driver in the kernel has the kernel's version, so this is the core's to say
    assert lines["version"] == run("uname -r").out.strip(), lines


# A stream of lines to an echo and back: prints the longest silence, or dies.
STREAM = """
import os, socket, sys, time
peer = socket.create_connection((sys.argv[1], 5001), 10)
peer.settimeout(30)
longest, last, count = 0, time.monotonic(), 0
while not os.path.exists("/tmp/enough"):
    peer.sendall(b"x" * 64)
    got = 0
    while got < 64:
        part = peer.recv(64)
        assert part, "the peer has closed"
        got += len(part)
    now = time.monotonic()
    if now - last > longest:
        longest = now - last
        with open("/tmp/longest", "w") as out:
            out.write(f"{longest:.3f}")
    last, count = now, count + 1
    time.sleep(0.01)
print(f"{longest:.3f} {count}")
"""
ECHO = "socat TCP-LISTEN:5001,fork,reuseaddr EXEC:cat"
MATCH = "network:\n  ethernets:\n    x:\n      match: {name: y}\n      match:\n" \
        "        driver: virtio_net\n"


LONG = "--dead-man 900"    # a busy machine makes everything slow
CTL = "PYTHONDONTWRITEBYTECODE=1 python3 /lab/vnetctl"
INSTALL = "dir=/lib/modules/$(uname -r); mkdir -p $dir/updates && " \
          "cp /lab/vnet.ko $dir/updates && cp /lab/index/* $dir && modprobe virtio_net"


def install(guest):
    """Put vnetctl and the module into a guest."""
    shutil.copytree(TOP / "tools/vnetctl", guest.root / "lab/vnetctl", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__"))
    index = guest.root / "lab/index"
    if not index.exists():
        index.mkdir()
        module_index(guest.kernel, guest.root / "lab/vnet.ko", index)
    guest.run(INSTALL, timeout=240)


class Box:
    """vnetctl in a guest in which vnet is installed, and virtio_net is there to go back to."""

    def __init__(self, env):
        self.env, self.run = env, env.guest.run
        install(env.guest)
        self.run("rm -f /tmp/enough")
        self.run(f"ip route add default via {env.gateway} dev {env.nic}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # the next test finds its device free, for vnet to bind
        self.run("rm -rf /run/vnet /etc/vnet /var/lib/vnet /etc/netplan; modprobe vnet; "
                 "rmmod virtio_net; rm -rf /lib/modules/$(uname -r)/updates", timeout=60,
                 check=False)
        bus = f"/sys/bus/virtio/drivers/vnet/{self.env.virtio}"
        self.run(f"[ -e {bus} ] || echo {self.env.virtio} > {bus.rpartition('/')[0]}/bind",
                 check=False)

    def ctl(self, words, status=0, timeout=240):
        done = self.run(f"{CTL} {words} </dev/null", timeout=timeout, check=False)
        text = done.out + done.err
        assert done.status == status, f"vnetctl {words}: status {done.status}: {text}"
        return text

    def driver(self):
        return self.run(f"readlink -f /sys/bus/virtio/devices/{self.env.virtio}/driver"
                        ).out.strip().rpartition("/")[2]

    def on(self, driver):
        assert self.driver() == driver, f"the driver is {self.driver()}"


@contextlib.contextmanager
def cut(env):
    """Whoever sits at the other end of the wire hears nothing any more."""
    for tap in env.host_ns.taps:
        env.host_ns.run(f"nft add table netdev {tap}; nft add chain netdev {tap} cut "
                        f"'{{ type filter hook ingress device {tap} priority 0; policy drop; }}'")
    yield
    for tap in env.host_ns.taps:
        env.host_ns.run(f"nft delete table netdev {tap}")


@contextlib.contextmanager
def other(env, append=""):
    """A machine of its own on virtio_net, with vnet installed and not loaded."""
    log = env.guest.log / f"other{append.replace('.', '-')}"
    with Guest(env.kernel, "modern-split", log, append=append) as guest:
        shutil.copy(env.guest.root / "lab/vnet.ko", guest.root / "lab/vnet.ko")
        install(guest)
        yield guest


def shown(env):
    """What an administrator sees of the interface, without what may change by itself."""
    nic = env.nic
    text = env.guest.run(
        f"ip -o addr show dev {nic} | grep -v fe80 | cut -d' ' -f2-; ip route show table all "
        f"dev {nic} | grep -v fe80 | sort; ip -6 route show table all dev {nic} | "
        f"grep -v -e fe80 -e ff00 | sort; ip neigh show dev {nic} nud permanent; "
        f"ip -o link show dev {nic} | grep -o -e 'mtu [0-9]*' -e 'altname [^ ]*' -e 'alias .*'; "
        f"cat /sys/class/net/{nic}/address /proc/sys/net/ipv4/conf/{nic}/rp_filter; "
        f"ethtool -k {nic} | grep -e '^tcp-seg.*:' -e mangleid -e '^generic-rec'"
        ).out
    return re.sub(r"\d+sec|\\", "", text).splitlines()


def furnish(env):
    """Settings of many kinds, all of which have to be there after a switch."""
    nic = env.nic
    env.guest.run(
        f"ip addr add 10.99.7.7/24 dev {nic} label {nic}:x; ip addr add 2001:db8:7::7/64 dev {nic} "
        f"nodad; ip addr add 10.99.8.8/32 dev {nic} valid_lft 5000 preferred_lft 4000; "
        f"ip route add 192.0.2.0/24 via {env.gateway} metric 50; ip route add 198.51.100.0/24 via "
        f"{env.gateway} table 77; ip route add 2001:db8:9::/64 via 2001:db8:7::1; "
        f"ip rule add oif {nic} lookup 77; ip neigh add 10.99.7.9 lladdr 02:00:00:00:00:09 "
        f"dev {nic} nud permanent; ip link set {nic} mtu 1400 alias uplink; "
        f"ip link property add dev {nic} altname lab-uplink; "
        f"ip link set dev {nic} address 52:54:00:99:00:77; "
        f"echo 2 > /proc/sys/net/ipv4/conf/{nic}/rp_filter; ethtool -K {nic} tso off gro off")


@test(profiles=["modern-split"], drivers=["vnet"], timeout=600)
def switch(env):
    """A TCP stream lives through switches back and forth; everything is put back."""
    with Box(env) as box:
        furnish(env)
        before = shown(env)
        env.host_ns.serve(ECHO, 5001)
        job = env.guest.start(f"exec python3 -c {quote(STREAM)} {env.gateway}")
        for _ in range(2):
            box.ctl(f"switch {env.nic} --to virtio_net --yes {LONG}")
            box.on("virtio_net")
            assert shown(env) == before, f"{before} became {shown(env)}"
            box.ctl(f"switch {env.nic} --yes {LONG}")
            box.on("vnet")
            assert shown(env) == before, f"{before} became {shown(env)}"
        assert env.nic in env.guest.run("ip rule").out
        env.guest.run("touch /tmp/enough")
        done = job.wait(60)
        assert done.status == 0, done.err
        longest, count = done.out.split()
        print(f"switch: 4 switches, longest silence {longest} s, {count} echoes")
        # under a second where the machine has nothing else to do
        assert float(longest) < 10 * env.slow, f"a silence of {longest} s"


@test(profiles=["modern-split"], drivers=["vnet"], timeout=3600, full=True)
def hundred(env):
    """A hundred switches under one TCP stream, which lives; everything is put back."""
    with Box(env) as box:
        furnish(env)
        before = shown(env)
        env.host_ns.serve(ECHO, 5001)
        job = env.guest.start(f"exec python3 -c {quote(STREAM)} {env.gateway}")
        took = []
        for count in range(1, 101):
            driver = "virtio_net" if count % 2 else "vnet"
            text = box.ctl(f"switch {env.nic} --to {driver} --yes {LONG}")
            took.append(float(re.search(r"moved in ([\d.]+) s", text)[1]))
            if count % 20 < 2:
                box.on(driver)
                assert shown(env) == before, f"{before} became {shown(env)}"
            assert job.poll() is None, f"after {count} switches: {job.poll().err}"
            if count % 20 == 0:
                longest = env.guest.run("cat /tmp/longest").out
                print(f"hundred: {count} switches, longest silence {longest} s", flush=True)
        env.guest.run("touch /tmp/enough")
        done = job.wait(60)
        assert done.status == 0, done.err
        longest, echoes = done.out.split()
        print(f"hundred: 100 switches, longest silence {longest} s, {echoes} echoes; moved in "
              f"{sorted(took)[50]:.2f} s, at most {max(took):.2f} s")
        assert float(longest) < 10 * env.slow, f"a silence of {longest} s"


@test(profiles=["modern-split"], drivers=["vnet"], timeout=500,
      says=["vnetctl: * not confirmed within * s, back to *"])
def dead_man(env):
    """Nobody confirms, the tap is cut, a check fails: back on the old driver, addresses there."""
    with Box(env) as box:
        before = shown(env)
        text = box.ctl(f"switch {env.nic} --to virtio_net --dead-man 60 --no-wait")
        assert "waits to be confirmed, otherwise back to vnet" in box.ctl("status")
        box.on("virtio_net")
        assert "confirm" in text, text
        assert "waits to be confirmed" in box.ctl(
            f"switch {env.nic} --yes", status=1)
        with cut(env):
            env.wait(lambda: box.driver() == "vnet", "the dead man did not go back", 120)
        env.wait(lambda: shown(env) == before, "addresses are missing after the way back")
        assert "nothing waits" in box.ctl("confirm", status=1)

        box.ctl(f"switch {env.nic} --to virtio_net --no-wait {LONG}")
        state = f"/run/vnet/{env.virtio}"
        env.guest.run(f"cp {state}/dead-man.*.sh /run/first.sh")
        box.ctl(f"confirm {env.nic}")
        env.guest.run("sh /run/first.sh now")
        box.on("virtio_net")
        # nor does the first one undo a later switch
        box.ctl(f"switch {env.nic} --no-wait {LONG}")
        env.guest.run("sh /run/first.sh now")
        box.on("vnet")
        box.ctl(f"confirm {env.nic}")

        text = box.ctl(f"switch {env.nic} --to virtio_net --yes --check 'echo no; false' {LONG}",
                       status=1)
        assert "status 1: no" in text, text
        box.on("vnet")
        assert shown(env) == before
        env.ping()


@test(profiles=["modern-split"], drivers=["vnet"], timeout=500)
def obstacles(env):
    """What would be lost, or cannot be, is a sentence, and nothing is touched."""
    with Box(env) as box:
        nic = env.nic
        index = env.guest.run(f"cat /sys/class/net/{nic}/ifindex").out

        def refused(words, what):
            text = box.ctl(words, status=1)
            assert what in text, f"{words}: {text}"
            box.on("vnet")
            assert env.guest.run(f"cat /sys/class/net/{nic}/ifindex").out == index

        there = f"switch {nic} --to virtio_net --yes"
        refused("switch nosuch", "there is no interface nosuch")
        refused("switch lo", "lo is no virtio network device")
        refused("back", "say which interface")
        for setup, undo, what in (
                (f"ip link add link {nic} name v9 type vlan id 9", "ip link del v9", "v9 sits on"),
                (f"tc qdisc add dev {nic} clsact", f"tc qdisc del dev {nic} clsact", "clsact"),
                (f"ip route add 203.0.113.0/24 nexthop via {env.gateway} dev {nic} "
                 f"nexthop via {env.gateway[:-1]}9 dev {nic}", "ip route del 203.0.113.0/24",
                 "several next hops")):
            env.guest.run(setup)
            refused(there, what)
            env.guest.run(undo)
        env.guest.put(MATCH.encode(), "/etc/netplan/50-x.yaml")
        text = box.ctl(f"check {nic}", status=1)
        assert "/etc/netplan/50-x.yaml:6" in text and "[virtio_net, vnet]" in text, text
        env.guest.run("rm -r /etc/netplan")
        box.ctl(f"check {nic} --to virtio_net")


# {file of a machine that knows its interface by the driver: (text, line, what to write)}
KNOWING = {
    "/etc/netplan/50-x.yaml": (MATCH, 6, "driver: [virtio_net, vnet]"),
    "/etc/systemd/network/20-x.network": ("[Match]\nDriver=virtio_net\n[Network]\nDHCP=yes\n", 2,
                                          "Driver=virtio_net vnet"),
    "/etc/systemd/network/20-x.link": ("[Match]\nDriver=virtio_net\n[Link]\nMTUBytes=1400\n", 2,
                                       "Driver=virtio_net vnet"),
    "/etc/udev/rules.d/70-x.rules": ('SUBSYSTEM=="net", DRIVERS=="virtio_net", NAME="uplink"\n', 1,
                                     'DRIVERS=="virtio_net|vnet"'),
    "/etc/NetworkManager/conf.d/x.conf": (
        "[device-x]\nmatch-device=driver:virtio_net\nmanaged=1\n", 2,
        "match-device=driver:virtio_net,driver:vnet"),
    "/etc/cloud/cloud.cfg.d/9-x.cfg": (
        "network:\n  ethernets:\n    a:\n      match:\n        driver: virtio_net\n", 5,
        "driver: [virtio_net, vnet]"),
    "/etc/modprobe.d/x.conf": ("options loop max_part=8\nblacklist virtio_net\n", 2,
                               "# blacklist virtio_net"),
}
MENDED = ("/etc/systemd/network/20-x.network", "/etc/systemd/network/20-x.link",
          "/etc/modprobe.d/x.conf")   # by --fix
ALIAS = "modprobe --show-depends virtio:d00000001v00001AF4"


@test(profiles=["modern-split"], drivers=["vnet"], timeout=500)
def fix(env):
    """Files that know the driver by its name, or forbid it: named; mended by check --fix."""
    directories = " ".join(sorted({path.rpartition("/")[0] for path in KNOWING}))
    with Box(env) as box, contextlib.ExitStack() as cleanup:
        nic = env.nic
        there = env.guest.run(f"ls -d {directories} 2>/dev/null; true").out.split()
        made = [path for path in directories.split() if path not in there]
        cleanup.callback(env.guest.run, "rm -rf /etc/systemd/network/20-x.*; rm -f " +
                         " ".join(KNOWING) + "; rmdir -p " + " ".join(made) + " 2>/dev/null; true")
        box.ctl(f"switch {nic} --to virtio_net --yes {LONG}")
        for path, (text, *_) in KNOWING.items():
            env.guest.put(text.encode(), path)
        index = env.guest.run(f"cat /sys/class/net/{nic}/ifindex").out

        def named(words, status, paths):
            """These files, each with its line and what to write, and no other."""
            text = box.ctl(words, status=status)
            for path, (_, line, mend) in KNOWING.items():
                found = [said for said in text.splitlines() if f"{path}:{line}: " in said]
                assert len(found) == (path in paths), f"{path}: {text}"
                assert all(mend in said for said in found), f"{path}: {text}"
            return text

        named(f"check {nic}", 1, KNOWING)
        named(f"switch {nic} --yes", 1, KNOWING)
        box.on("virtio_net")
        assert env.guest.run(f"cat /sys/class/net/{nic}/ifindex").out == index
        assert "virtio_net.ko" not in env.guest.run(ALIAS, check=False).out

        rest = set(KNOWING) - set(MENDED)
        named(f"check {nic} --fix", 1, rest)
        drop_in = env.guest.run("cat /etc/systemd/network/20-x.link.d/99-vnet.conf").out
        assert drop_in.endswith("[Match]\nDriver=vnet\n"), drop_in
        assert env.guest.run("cat /etc/modprobe.d/x.conf").out == \
            "options loop max_part=8\n# blacklist virtio_net\n"
        assert "virtio_net.ko" in env.guest.run(ALIAS).out
        for path in rest:   # what it says is what has to be written
            text, line, mend = KNOWING[path]
            lines = text.splitlines()
            lines[line - 1] = re.sub(r"driver: virtio_net|DRIVERS==.*?\"(?=,)|match-device=.*",
                                     mend, lines[line - 1])
            env.guest.put("\n".join(lines).encode() + b"\n", path)
        named(f"check {nic}", 0, ())
        named(f"switch {nic} --yes {LONG}", 0, ())
        box.on("vnet")
        env.ping()


@test(profiles=["modern-split"], drivers=["vnet"], timeout=500)
def signature(env):
    """A kernel that takes signed modules only: a sentence, and virtio_net keeps the network."""
    with other(env, "module.sig_enforce=1") as guest:
        for words in ("check eth0", "switch eth0 --yes"):
            done = guest.run(f"{CTL} {words}", timeout=240, check=False)
            assert done.status == 1 and "takes only signed modules" in done.err, done
        done = guest.run(f"{CTL} claim --add eth0 && {CTL} claim --boot", timeout=240)
        assert "vnet does not load" in done.err and "reject" in done.err, done.err
        assert "virtio_net" in guest.run("readlink -f /sys/class/net/eth0/device/driver").out


@test(profiles=["modern-split"], drivers=["vnet"], timeout=600)
def claim(env):
    """At boot: good, no network after the bind, a crash between bind and health, a new version."""
    with Box(env) as box:
        nic, state = env.nic, "/var/lib/vnet/boot/" + env.nic

        def begin():
            """As after boot: the interface has virtio_net and nothing else."""
            if box.driver() != "virtio_net":
                box.ctl(f"switch {nic} --to virtio_net --yes {LONG}")
            env.guest.run(f"ip addr flush dev {nic}; ip link set {nic} down")

        def network():
            env.guest.run(f"ip addr add {env.ip}/24 dev {nic}; ip link set {nic} up; "
                          f"ip route add default via {env.gateway}")

        box.ctl(f"claim --add {nic}")
        begin()
        box.ctl("claim --boot")
        box.on("vnet")
        assert env.guest.run(f"cat {state}").out.startswith("trying ")
        network()
        box.ctl("claim --health")
        assert env.guest.run(f"cat {state}").out.startswith("good ")
        box.on("vnet")

        # the host drops everything after the bind
        begin()
        box.ctl("claim --boot")
        network()
        with cut(env):
            text = box.ctl("claim --health")
        assert "does not answer" in text and "back on virtio_net" in text, text
        box.on("virtio_net")
        assert env.ip in env.guest.run(f"ip addr show {nic}").out

        # so the next boot stays where it is, until somebody asks for another try
        begin()
        assert "stays on virtio_net" in box.ctl("claim --boot")
        box.on("virtio_net")
        assert "did not bring" in box.ctl("status")
        box.ctl("claim --retry")

        # a machine that is switched off between bind and health
        begin()
        with other(env) as guest:
            guest.run(f"{CTL} claim --add eth0 && {CTL} claim --boot", timeout=240)
            assert "/vnet" in guest.run("readlink -f /sys/class/net/eth0/device/driver").out
            left = guest.get("/var/lib/vnet/boot/eth0")
            guest.qemu.stop()
        assert left.startswith(b"trying "), left
        env.guest.put(left, state)
        text = box.ctl("claim --boot")
        assert "did not end well" in text, text
        box.on("virtio_net")
        # a new version is tried again
        env.guest.run(f"sed -i 's/ [^ ]*:/ 0.0.1-old:/' {state}")
        box.ctl("claim --boot")
        box.on("vnet")

        # without the module nothing happens
        begin()
        env.guest.run("rmmod vnet; rm -r /lib/modules/$(uname -r)/updates", timeout=60)
        assert "does not load" in box.ctl("claim --boot")
        box.on("virtio_net")
        env.guest.run("insmod /lab/vnet.ko")


@test(profiles=["modern-split"], drivers=["vnet"], timeout=500, quick=True)
def reload(env):
    """The module is replaced under iperf3; the connection lives."""
    with Box(env) as box:
        env.host_ns.serve("iperf3 -s", 5201)
        env.host_ns.serve(ECHO, 5001)
        job = env.guest.start(f"exec python3 -c {quote(STREAM)} {env.gateway}")
        load = env.guest.start(f"exec iperf3 -c {env.gateway} -t 60 -b 5M")
        text = box.ctl(f"reload {LONG}", timeout=300)
        assert f"vnet {VERSION}/" in text, text
        box.on("vnet")
        env.guest.run("touch /tmp/enough")
        done = job.wait(60)
        assert done.status == 0, done.err
        print(f"reload: longest silence {done.out.split()[0]} s")
        assert load.wait(120).status == 0, load.wait(1).err


@test(profiles=["modern-split"], drivers=["vnet"], timeout=300)
def report(env):
    """Every section is there, and no address."""
    with Box(env) as box:
        box.ctl("report -o /tmp/r.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(env.guest.get("/tmp/r.tar.gz"))) as archive:
            texts = {member.name.split("/", 1)[1]: archive.extractfile(member).read().decode()
                     for member in archive}
        wanted = {"versions", "parameters", "links", "health", "info", "kernel-log", "interrupts",
                  "softnet", "sysctl", "events", "journal"}
        wanted |= {f"{env.nic}/{name}" for name in (
            "virtio", "driver", "features", "statistics", "channels", "rings", "coalescing",
            "registers", "diagnose")}
        assert not wanted - {name.removesuffix(".txt") for name in texts}, sorted(texts)
        text = "\n".join(texts.values())
        for secret in (env.mac, env.ip, env.ip6, env.gateway):
            assert secret not in text, f"{secret} is in the report"
        assert "<mac-1>" in text and "<ip4-1>" in text
        assert VERSION in texts["versions.txt"] and "VERSION_1" in texts[f"{env.nic}/virtio.txt"]
        assert '"reporter"' in texts["health.txt"] and "entries_free" in \
            texts[f"{env.nic}/diagnose.txt"]


@test(profiles=["modern-split"], drivers=["vnet"], timeout=400)
def networkd(env):
    """systemd-networkd, with udev, has the interface: it is there for it after a switch."""
    daemon = "/usr/lib/systemd/systemd-networkd"
    if env.guest.run(f"[ -x {daemon} ]", check=False).status:
        env.skip("the guest root has no systemd-networkd")
    nic = env.nic
    with Box(env) as box, contextlib.closing(Udev(env)):
        env.guest.put(f"[Match]\nName={nic}\n[Network]\nAddress={env.ip}/24\n"
                      f"Gateway={env.gateway}\nLinkLocalAddressing=no\n".encode(),
                      "/etc/systemd/network/10-test.network")
        env.guest.run(f"chmod 644 /etc/systemd/network/10-test.network; ip addr flush dev {nic}; "
                      f"ip link set {nic} down; mkdir -p /run/systemd/netif/{{links,leases,lldp}}; "
                      "chown -R systemd-network: /run/systemd/netif")
        job = env.guest.start(f"exec {daemon} > /tmp/networkd.log 2>&1")

        def configured():
            return env.ip in env.guest.run(f"ip addr show {nic}").out and \
                "default via" in env.guest.run(f"ip route show dev {nic}").out

        try:
            env.wait(configured, "networkd does not configure the interface", 60)
            for driver in ("virtio_net", "vnet"):
                box.ctl(f"switch {nic} --to {driver} --yes {LONG}")
                box.on(driver)
                for _ in range(5):  # the manager sees a new interface and does its part
                    time.sleep(1)
                    assert configured(), env.guest.run("ip addr; ip route; "
                                                       "tail /tmp/networkd.log").out
                env.ping()
        finally:
            job.kill("TERM")
            env.guest.run("rm /etc/systemd/network/10-test.network")
