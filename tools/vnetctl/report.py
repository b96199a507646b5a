# SPDX-License-Identifier: GPL-2.0
"""One archive for a bug report. Addresses are masked, each by a name of its own."""

import io
import ipaddress
import os
import re
import tarfile
import time
from pathlib import Path

from system import every, have, health, output, read, run, versions

MAC = re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")
IP4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
# a candidate: whether it is an address, and not a time or a PCI device, is asked of ipaddress
IP6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]*[0-9a-fA-F](?![\w:])")
KEPT = {"127.0.0.1", "::1", "0.0.0.0", "255.255.255.255", "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff"}
FEATURES = Path("/sys/bus/virtio/devices")
BITS = {0: "CSUM", 1: "GUEST_CSUM", 2: "CTRL_GUEST_OFFLOADS", 3: "MTU", 5: "MAC", 7: "GUEST_TSO4",
        8: "GUEST_TSO6", 9: "GUEST_ECN", 10: "GUEST_UFO", 11: "HOST_TSO4", 12: "HOST_TSO6",
        13: "HOST_ECN", 14: "HOST_UFO", 15: "MRG_RXBUF", 16: "STATUS", 17: "CTRL_VQ",
        18: "CTRL_RX", 19: "CTRL_VLAN", 20: "CTRL_RX_EXTRA", 21: "GUEST_ANNOUNCE", 22: "MQ",
        23: "CTRL_MAC_ADDR", 27: "ANY_LAYOUT", 28: "INDIRECT_DESC", 29: "EVENT_IDX",
        32: "VERSION_1", 33: "ACCESS_PLATFORM", 34: "RING_PACKED", 35: "IN_ORDER",
        36: "ORDER_PLATFORM", 37: "SR_IOV", 38: "NOTIFICATION_DATA", 40: "RING_RESET",
        41: "ADMIN_VQ", 50: "DEVICE_STATS", 52: "VQ_NOTF_COAL", 53: "NOTF_COAL",
        54: "GUEST_USO4", 55: "GUEST_USO6", 56: "HOST_USO", 57: "HASH_REPORT",
        59: "GUEST_HDRLEN", 60: "RSS", 61: "RSC_EXT", 62: "STANDBY", 63: "SPEED_DUPLEX"}
ETHTOOL = {"driver": "-i", "features": "-k", "statistics": "-S", "channels": "-l", "rings": "-g",
           "coalescing": "-c", "flow-hash": "-x", "registers": "-d", "time-stamping": "-T"}


def is_ip6(text):
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


class Masks:
    """The same address gets the same name everywhere."""

    def __init__(self, plain):
        self.plain, self.names = plain, {}

    def name(self, kind):
        def replace(match):
            found = match.group()
            if found.lower() in KEPT or kind == "ip6" and not is_ip6(found):
                return found
            key = (kind, found.lower())
            return self.names.setdefault(
                key, f"<{kind}-{sum(1 for k, _ in self.names if k == kind) + 1}>")
        return replace

    def __call__(self, text):
        if self.plain:
            return text
        text = MAC.sub(self.name("mac"), text)
        text = IP4.sub(self.name("ip4"), text)
        return IP6.sub(self.name("ip6"), text)


def features(bus):
    """The bits that the device and the driver agree on, by name."""
    bits = read(FEATURES / bus / "features")
    return "\n".join(f"{bit:3} {BITS.get(bit, '')}".rstrip()
                     for bit, value in enumerate(bits) if value == "1")


def of_machine():
    """Sections that are there once: (name, text)."""
    yield "versions", "\n".join([
        "vnet running, installed: {} {}".format(*versions()), f"kernel: {' '.join(os.uname())}",
        f"command line: {read('/proc/cmdline')}", f"taint: {read('/proc/sys/kernel/tainted')}",
        f"distribution: {read('/etc/os-release')}",
        f"machine: {read('/sys/class/dmi/id/sys_vendor')} "
        f"{read('/sys/class/dmi/id/product_name')} {read('/sys/class/dmi/id/product_version')}",
        f"hypervisor: {output('systemd-detect-virt').strip()}",
        "dkms:\n" + output("dkms", "status"), "modinfo:\n" + output("modinfo", "vnet")])
    yield "parameters", "\n".join(f"{path.name}: {read(path)}" for path in
                                  sorted(Path("/sys/module/vnet/parameters").glob("*")))
    yield "links", output("ip", "-d", "-s", "link") + output("ip", "addr")
    yield "health", output("devlink", "health", "show", "-j", "-p")
    yield "info", output("devlink", "dev", "info")
    yield "kernel-log", "\n".join(line for line in output("dmesg").splitlines()
                                  if re.search(r"vnet|virtio|NETDEV WATCHDOG|taint", line))
    yield "interrupts", "\n".join(line for line in read("/proc/interrupts").splitlines()
                                  if "CPU" in line or "virtio" in line)
    yield "softnet", read("/proc/net/softnet_stat")
    yield "sysctl", output("sysctl", "net.core", "net.ipv4.tcp_congestion_control")
    yield "events", output("head", "-c", "200000", "/sys/kernel/tracing/trace") \
        if "1" in read("/sys/kernel/tracing/events/vnet/enable") else "tracing is off"
    yield "journal", output("journalctl", "-b", "--no-pager", "-u", "vnet-*") \
        if have("journalctl") else "no journal"


def of_nic(nic):
    """Sections of one device."""
    yield "virtio", f"driver {nic.driver}\nfeatures in use:\n{features(nic.bus)}"
    for name, option in ETHTOOL.items():
        yield name, "".join(run("ethtool", option, nic.name)[1:]) if nic.name else "no interface"
    reports = []
    for dev, reporters in health().items():
        if dev.endswith(f"/{nic.bus}"):
            for reporter in reporters:
                for verb in (("diagnose",), ("dump", "show")):
                    reports.append(f"{reporter} {verb[0]}:\n" + "".join(run(
                        "devlink", "health", *verb, dev, "reporter", reporter)[1:]))
    yield "diagnose", "\n".join(reports) or "no health reporters"


def sections():
    yield from of_machine()
    for nic in every():
        for name, text in of_nic(nic):
            yield f"{nic.name or nic.bus}/{name}", text


def make(path="", plain=False):
    """Write the archive; its path."""
    masks = Masks(plain)
    stem = time.strftime("vnet-report-%Y%m%d-%H%M%S")
    target = Path(path or f"{stem}.tar.{'zst' if have('zstd') else 'gz'}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if target.suffix == ".gz" else "w") as archive:
        for name, text in sections():
            data = (masks(text).rstrip() + "\n").encode()
            info = tarfile.TarInfo(f"{stem}/{name}.txt")
            info.size, info.mtime = len(data), int(time.time())
            archive.addfile(info, io.BytesIO(data))
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as out:
        out.write(buffer.getvalue())
    if target.suffix == ".zst":
        plain_tar = target.with_suffix("")
        target.rename(plain_tar)
        run("zstd", "-q", "-f", "--rm", str(plain_tar), "-o", str(target), timeout=120)
    return target
