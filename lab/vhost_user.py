# SPDX-License-Identifier: GPL-2.0
"""Hosts that are not QEMU: processes that serve the rings of a NIC by vhost-user.

Each function starts one for a guest's NIC and returns QEMU's chardev. The
host's side reaches the guest by its interface (testpmd, Open vSwitch) or is
what the process itself makes of the guest's connections (passt).
"""

import shutil
import time

from . import SetupError, outer

TAP = "tap{}"


def wait_for(guest, name, daemon, ready):
    deadline = time.monotonic() + 40
    while not ready((guest.log / f"{name}.log").read_text(errors="replace")):
        if not daemon.running() or time.monotonic() > deadline:
            raise SetupError(f"{name} does not start: see {outer(guest.log)}/{name}.log")
        time.sleep(0.1)


def passt(guest, index):
    """passt: the guest's TCP, UDP and pings become sockets of the host's side."""
    ns, path = guest.host_ns, guest.run_dir / f"vhost{index}.sock"
    tap = TAP.format(index)
    ns.ip_cmd("tuntap", "add", tap, "mode", "tap")  # has the address, carries nothing
    ns.ip_cmd("addr", "add", f"{ns.ip}/{ns.prefix}", "dev", tap)
    ns.ip_cmd("link", "set", tap, "up")
    # its pings are those of an ordinary user
    ns.run("echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")
    daemon = guest.spawn("passt", ns.wrap([
        "passt", "--vhost-user", "--foreground", "--runas", "0:0", "--socket", str(path),
        "--interface", tap, "--address", ns.guest_ip, "--netmask", str(ns.prefix),
        "--gateway", ns.ip, "--ipv4-only"]))
    wait_for(guest, "passt", daemon, lambda text: daemon.listening(path))
    return f"socket,id=vhost{index},path={path}"


def testpmd(guest, index):
    """DPDK forwards every packet between its vhost and its tap driver."""
    ns, path = guest.host_ns, guest.run_dir / f"vhost{index}.sock"
    name, tap = f"testpmd{index}", TAP.format(index)
    daemon = guest.spawn(name, ns.wrap([
        "dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "-l", "0,1",
        f"--file-prefix={ns.name}", f"--vdev=net_vhost0,iface={path}",
        f"--vdev=net_tap0,iface={tap}", "--", "--forward-mode=io", "--auto-start",
        "--total-num-mbufs=4096", "--nb-cores=1", "--stats-period=3600"]))
    wait_for(guest, name, daemon, lambda text: "packet forwarding - ports" in text)
    ns.taps.append(tap)
    return f"socket,id=vhost{index},path={path}"


def ovs(guest, index):
    """A bridge of Open vSwitch on DPDK: the guest's port, and one of the host's side."""
    ns, work = guest.host_ns, guest.run_dir
    database, path = f"unix:{work}/db.sock", work / f"vhost{index}.sock"
    environment = ["env", *(f"OVS_{name}DIR={work}" for name in ("RUN", "LOG", "DB"))]
    control = [*environment, "ovs-vsctl", f"--db={database}", "--timeout=30"]
    ns.run(f"ovsdb-tool create {work}/conf.db /usr/share/openvswitch/vswitch.ovsschema")
    daemon = guest.spawn("ovsdb", [
        *environment, "ovsdb-server", f"--remote=p{database}", "--no-chdir",
        f"--unixctl={work}/db.ctl", f"{work}/conf.db"])
    wait_for(guest, "ovsdb", daemon, lambda text: daemon.listening(work / "db.sock"))
    ns.run(" ".join([*control, "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
                     "other_config:dpdk-init=true", "other_config:userspace-tso-enable=true",
                     "other_config:pmd-cpu-mask=0x2", "other_config:dpdk-lcore-mask=0x1",
                     f"'other_config:dpdk-extra=--no-huge --legacy-mem --file-prefix={ns.name} "
                     "-m 512 --no-pci'"]))
    daemon = guest.spawn("ovs", [*environment, *ns.wrap([
        "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", database,
        f"--unixctl={work}/ovs.ctl"])])
    ns.run(" ".join([*control, "add-br", "br0", "--", "set", "bridge", "br0",
                     "datapath_type=netdev", "--", "add-port", "br0", "guest", "--", "set",
                     "Interface", "guest", "type=dpdkvhostuserclient",
                     f"options:vhost-server-path={path}"]), timeout=60)
    wait_for(guest, "ovs", daemon, lambda text: "added interface guest" in text)
    ns.taps.append("br0")
    return f"socket,id=vhost{index},path={path},server=on"


# what a profile names as its net: the program, the layer that has it, the function
BACKENDS = {
    "passt": ("passt", "", passt),
    "testpmd": ("dpdk-testpmd", "peers", testpmd),
    "ovs": ("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "peers", ovs),
}


def layer(net):
    """The layer of the guest root that has this host, "" for none."""
    return BACKENDS.get(net, ("", "", None))[1]


def missing(net):
    """Why there is no such host here, or None."""
    program = BACKENDS.get(net, ("true", "", None))[0]
    if shutil.which(program):
        return None
    where = f": lab/layers/{layer(net)} could not be installed" if layer(net) else \
        " in the guest root"
    return f"there is no {program.rpartition('/')[2]}{where}"


def start(guest, index):
    """Start the host of a NIC; QEMU's arguments."""
    why = missing(guest.profile.net)
    if why:
        raise SetupError(why)
    return ["-chardev", BACKENDS[guest.profile.net][2](guest, index)]
