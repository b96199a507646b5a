# SPDX-License-Identifier: GPL-2.0
"""Machines that boot by systemd with vnet installed: what claims a device, early and late.

Each has a root of its own that lives from one boot to the next, as a disk does.
"""

import contextlib
import re
import subprocess
from pathlib import Path

from lab import build
from lab.api import quote, test
from lab.guest import GuestDied
from lab.machine import Machine, install_module, put
from selftests.package import ECHO, STREAM, cut

ON = {"profiles": ["modern-split"], "drivers": ["vnet"]}
BROKEN = Path(__file__).with_name("tools") / "broken"
STATE = "var/lib/vnet/boot/eth0"
MOTD = "/run/motd.d/vnet"
NETWORKD = {"/etc/systemd/network/10-lab.network":
            "[Match]\nName=eth0\n[Network]\nAddress=10.99.0.2/24\nGateway=10.99.0.1\n"}


def machine(env, name, **options):
    """A machine with the vnet under test, which is to have eth0."""
    options.setdefault("module", env.guest.root / "lab/vnet.ko")
    options.setdefault("claim", "eth0\n")
    options.setdefault("files", NETWORKD)
    options.setdefault("enable", ["systemd-networkd.service"])
    return Machine(env.kernel, env.guest.log / name, **options)


def booted(guest):
    """The boot has ended: none of our units failed, and the network is there."""
    guest.run("systemctl is-system-running --wait; true", timeout=400)
    failed = guest.run("systemctl --failed --plain --no-legend").out
    assert "vnet" not in failed, f"{failed}\n{guest.journal('vnet-*')}"
    guest.run(f"ping -q -c 3 -i 0.2 -W 10 {guest.host_ns.ip}")


def on(guest, driver):
    assert guest.driver() == driver, \
        f"the driver is {guest.driver()}: {guest.journal('vnet-claim')}"


def state(guest):
    """What is on the disk, seen without the guest."""
    path = guest.root / STATE
    return path.read_text(encoding="ascii").split()[0] if path.exists() else ""


def started(guest, unit, what):
    return int(guest.run(f"systemctl show --value -p {what}Monotonic {unit}").out)


def stays(guest, why):
    """It is on virtio_net, with its network, and says so to whoever looks."""
    booted(guest)
    on(guest, "virtio_net")
    assert why in guest.journal("vnet-claim"), guest.journal("vnet-claim")
    assert why in guest.run(f"cat {MOTD}").out


@test(**ON, timeout=900)
def claim(env):
    """Claimed before the network is configured; the timer of the dead man; no module."""
    with machine(env, "claim") as guest:
        booted(guest)
        on(guest, "vnet")
        assert state(guest) == "good", guest.journal("vnet-*")
        assert not guest.run(f"cat {MOTD}", check=False).out
        assert started(guest, "vnet-claim", "ActiveEnterTimestamp") <= \
            started(guest, "systemd-networkd", "ExecMainStartTimestamp")

        guest.run("vnetctl switch eth0 --to virtio_net --no-wait --dead-man 300", timeout=240)
        on(guest, "virtio_net")
        assert "vnet-back-" in guest.run("systemctl list-timers --all").out
        guest.run("vnetctl confirm", timeout=60)
        assert "vnet-back-" not in guest.run("systemctl list-units --all").out
        guest.run("vnetctl switch eth0 --no-wait --dead-man 60", timeout=240)
        on(guest, "vnet")
        with cut(guest):
            env.wait(lambda: guest.driver() == "virtio_net", "the dead man did not come", 200)
        env.wait(lambda: "vnet-back-" not in guest.run("systemctl list-units --all").out,
                 "units of the dead man are left")
        booted(guest)

        install_module(guest.root, env.kernel, None)
        guest.restart()
        stays(guest, "vnet does not load")


@test(**ON, timeout=900)
def blacklist(env):
    """A machine that has forbidden virtio_net and lost its vnet: the network comes, and is said."""
    forbids = "/etc/modprobe.d/old.conf"
    with machine(env, "blacklist", module=None,
                 files={**NETWORKD, forbids: "blacklist virtio_net\n"}) as guest:
        stays(guest, "vnet does not load")
        assert f"{forbids}:1" in guest.run(f"cat {MOTD}").out
        done = guest.run("vnetctl check eth0 --to vnet", timeout=60, check=False)
        assert done.status == 1 and f"{forbids}:1" in done.err, done.err
        done = guest.run("vnetctl check eth0 --fix", timeout=60, check=False)
        assert f"{forbids} forbids virtio_net no more" in done.out, done
        install_module(guest.root, env.kernel, env.guest.root / "lab/vnet.ko")
        guest.restart()
        booted(guest)
        on(guest, "vnet")
        assert not guest.run(f"cat {MOTD}", check=False).out


@test(**ON, timeout=900)
def crash(env):
    """A vnet that panics when it gets the device: the next boot is on virtio_net, and says so."""
    broken = build.make_external(env.kernel, BROKEN, "vnet")
    with machine(env, "crash", module=broken, claim="") as guest:
        put(guest.root, "/etc/vnet/claim", "eth0\n")
        with contextlib.suppress(GuestDied):    # it may be up before it panics
            guest.restart()
        env.wait(lambda: not guest.alive(), "it does not panic", 300)
        assert "a panic that was planted" in guest.console_text()
        assert state(guest) == "trying"
        guest.restart()
        stays(guest, "did not end well")
        assert "did not end well" in guest.run("vnetctl status", timeout=60).out
        # the next version is tried again
        install_module(guest.root, env.kernel, env.guest.root / "lab/vnet.ko")
        guest.restart()
        booted(guest)
        on(guest, "vnet")
        assert state(guest) == "good"


@test(**ON, timeout=900)
def oops(env):
    """A vnet that dies in its probe and never lets go of the device: the boot ends all the same."""
    broken = build.make_external(env.kernel, BROKEN, "vnet")
    with machine(env, "oops", module=broken, files={
            **NETWORKD, "/etc/modprobe.d/broken.conf": "options vnet how=oops\n"}) as guest:
        guest.run("systemctl is-system-running --wait; true", timeout=400)
        assert state(guest) == "bad", guest.journal("vnet-*")
        guest.restart()
        stays(guest, "did not bring eth0 up")


def loaded_early(env, maker, files):
    """softdep in the initramfs: with vnet, with a vnet that refuses, without vnet."""
    broken = build.make_external(env.kernel, BROKEN, "vnet")
    files = {**NETWORKD, **files,
             "/etc/modprobe.d/vnet-early.conf": "softdep virtio_net pre: vnet\n",
             "/etc/modprobe.d/broken.conf": "options vnet how=refuse\n"}
    with machine(env, f"early-{maker}", files=files, claim="", initrd=maker) as guest:
        assert "/updates/vnet.ko" in guest.initrd, guest.initrd
        booted(guest)
        on(guest, "vnet")
        assert ", early" in guest.run("vnetctl status", timeout=60).out
        kernel = guest.run("dmesg").out
        assert re.search(r"vnet.*\n(.*\n)*.*systemd\[1\]: .* running in system mode", kernel), \
            kernel[-3000:]

        install_module(guest.root, env.kernel, broken)
        guest.make_initrd()
        assert "/updates/vnet.ko" in guest.initrd, guest.initrd
        guest.restart()
        booted(guest)
        on(guest, "virtio_net")
        assert guest.run("cat /sys/module/vnet/version").out.strip() == "0.0.1-broken"

        install_module(guest.root, env.kernel, None)
        guest.make_initrd()
        assert "vnet.ko" not in guest.initrd, guest.initrd
        guest.restart()
        booted(guest)
        on(guest, "virtio_net")


@test(**ON, timeout=1200)
def early(env):
    """The level early by initramfs-tools."""
    loaded_early(env, "mkinitramfs", {})


SSHD = "UsePAM no\nStrictModes no\nUseDNS no\nPermitRootLogin yes\n"


class Login:
    """ssh to a machine; what the other end prints is in a file while the session lasts."""

    def __init__(self, guest, key):
        self.guest, self.count = guest, 0
        self.ssh = f"ssh -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null " \
                   f"-o LogLevel=ERROR root@{guest.host_ns.guest_ip}"

    def run(self, command):
        return self.guest.host_ns.run(f"{self.ssh} {quote(command)}", timeout=300)

    def terminal(self, command):
        """A session with a terminal, in which ENTER is pressed when press() is called."""
        self.count += 1
        self.key, self.out = (self.guest.log / f"{name}{self.count}" for name in ("enter", "out"))
        job = self.guest.host_ns.start(
            f"{{ until [ -e {self.key} ]; do sleep 0.2; done; echo; until [ -e {self.key}.end ]; "
            f"do sleep 0.2; done; }} | {self.ssh} -tt {quote(command)} > {self.out} 2>&1; "
            f"touch {self.key} {self.key}.end")
        return job

    def said(self):
        return self.out.read_text(encoding="utf-8", errors="replace") if self.out.exists() else ""

    def press(self):
        self.key.touch()

    def leave(self):
        """The terminal's end; by then the session has to be over."""
        self.key.touch()
        self.key.with_suffix(".end").touch()


@test(**ON, timeout=900)
def ssh(env):
    """Over ssh on the very interface: a session lives, ENTER keeps, nobody there goes back."""
    if not Path("/usr/sbin/sshd").exists():
        env.skip("the guest root has no sshd: lab/layers/boot")
    key = env.guest.log / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True,
                   stdin=subprocess.DEVNULL)
    files = {**NETWORKD, "/etc/ssh/sshd_config.d/lab.conf": SSHD,
             "/root/.ssh/authorized_keys": key.with_suffix(".pub").read_text(encoding="ascii")}
    with machine(env, "ssh", claim="", files=files,
                 enable=["systemd-networkd.service", "ssh.service"]) as guest:
        booted(guest)
        on(guest, "virtio_net")
        login = Login(guest, key)
        done = login.run("vnetctl switch eth0 --yes --dead-man 300; echo status $?; sleep 1; "
                         "echo $SSH_CONNECTION")
        assert "eth0 stays" in done.out and "status 0" in done.out and \
            guest.host_ns.ip in done.out.splitlines()[-1], done
        on(guest, "vnet")

        job = login.terminal("vnetctl back eth0 --dead-man 300; echo status $?")
        env.wait(lambda: "ENTER keeps it" in login.said(), "nobody is asked", 200)
        on(guest, "virtio_net")
        login.press()
        env.wait(lambda: "status 0" in login.said(), f"ENTER is not heard: {login.said()}", 60)
        assert "eth0 stays" in login.said(), login.said()
        login.leave()
        job.wait(60)

        job = login.terminal("vnetctl switch eth0 --dead-man 60; echo status $?")
        env.wait(lambda: "ENTER keeps it" in login.said(), "nobody is asked", 200)
        on(guest, "vnet")
        with cut(guest):    # of whoever sits at the other end, not of what he types
            env.wait(lambda: guest.driver() == "virtio_net", "the dead man did not come", 200)
        env.wait(lambda: "status 1" in login.said(), f"the session is dead: {login.said()}", 120)
        assert "not confirmed: eth0 is back on virtio_net" in login.said(), login.said()
        login.leave()
        job.wait(60)
        assert "waits" not in login.run("vnetctl status").out


def serve(guest):
    guest.host_ns.serve_dhcp()
    guest.host_ns.serve(ECHO, 5001)


def managed(env, name, enable, files, has, prepare=None):
    """A manager has eth0 by DHCP: at boot, and after switches under a TCP stream."""
    with machine(env, name, enable=enable, files=files,
                 claim="" if prepare else "eth0\n") as guest:
        serve(guest)
        booted(guest)
        if prepare:
            prepare(guest)
            guest.restart()
            serve(guest)
            booted(guest)
        on(guest, "vnet")
        env.wait(lambda: state(guest) == "good", guest.journal("vnet-health"))
        job = guest.start(f"exec python3 -c {quote(STREAM)} {guest.host_ns.ip}")
        for driver in ("virtio_net", "vnet"):
            done = guest.run(f"vnetctl switch eth0 --to {driver} --yes --dead-man 900",
                             timeout=300)
            assert "does not take eth0 back" not in done.err, done.err
            on(guest, driver)
            env.wait(lambda: has(guest), f"{name} has lost eth0", 60)
            text = guest.run("ip addr show eth0; ip route show dev eth0").out
            assert "10.99.0.1" in text and "default via" in text, text
        guest.run("touch /tmp/enough")
        done = job.wait(60)
        assert done.status == 0, done.err
        print(f"{name}: longest silence {done.out.split()[0]} s")


def matched(env, name, path, text, line, fix="vnetctl check eth0 --fix"):
    """networkd has a configuration that matches virtio_net: it is mended, claim, another boot."""
    said = text.splitlines()[line - 1].strip()

    def mend(guest):
        on(guest, "virtio_net")
        done = guest.run("vnetctl switch eth0 --yes", timeout=60, check=False)
        assert done.status == 1 and f"{path}:{line}: '{said}'" in done.err, done.err
        on(guest, "virtio_net")
        guest.run(f"{fix} && vnetctl claim --add eth0", timeout=120)

    managed(env, name, ["systemd-networkd.service"], {path: text},
            lambda guest: "configured" in guest.run("networkctl --no-pager status eth0",
                                                    check=False).out, mend)


@test(**ON, timeout=900)
def networkd(env):
    """systemd-networkd with a file of its own."""
    matched(env, "networkd", "/etc/systemd/network/10-lab.network",
            "[Match]\nDriver=virtio_net\n[Network]\nDHCP=ipv4\n", 2)


# The line is mended by hand; what netplan has made of it before is found until it does so again.
NETPLAN = """
said=$(vnetctl check eth0 2>&1) && exit 1
case $said in */run/*) exit 2 ;; esac
sed -i 's/driver: virtio_net/driver: [virtio_net, vnet]/' /etc/netplan/50-lab.yaml
vnetctl check eth0 2>&1 | grep "run 'netplan apply'" || exit 3
netplan generate && vnetctl check eth0"""


@test(**ON, timeout=900)
def netplan(env):
    """netplan, which writes networkd's files at each boot: what check says is written there."""
    if not Path("/usr/sbin/netplan").exists():
        env.skip("the guest root has no netplan: lab/layers/boot")
    matched(env, "netplan", "/etc/netplan/50-lab.yaml",
            "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    lab:\n"
            "      match:\n        driver: virtio_net\n      dhcp4: true\n", 7, NETPLAN)


@test(**ON, timeout=900)
def network_manager(env):
    """NetworkManager by a keyfile."""
    if not Path("/usr/sbin/NetworkManager").exists():
        env.skip("the guest root has no NetworkManager: lab/layers/boot")
    path = "/etc/NetworkManager/system-connections/lab.nmconnection"
    files = {path: "[connection]\nid=lab\ntype=ethernet\ninterface-name=eth0\n"
                   "[ipv4]\nmethod=auto\n[ipv6]\nmethod=disabled\n"}
    managed(env, "NetworkManager", ["NetworkManager.service"], files, lambda guest:
            guest.run("nmcli -g GENERAL.STATE,GENERAL.CONNECTION device show eth0",
                      check=False).out.split("\n")[:2] == ["100 (connected)", "lab"])


@test(**ON, timeout=900)
def ifupdown(env):
    """ifupdown with 'auto', which brings nothing up by itself that goes and comes back."""
    if not Path("/usr/sbin/ifup").exists():
        env.skip("the guest root has no ifupdown: lab/layers/boot")
    files = {"/etc/network/interfaces": "auto lo\niface lo inet loopback\n"
                                        "auto eth0\niface eth0 inet dhcp\n"}
    managed(env, "ifupdown", ["networking.service"], files, lambda guest: "eth0" in
            guest.run("ifquery --state", check=False).out)
