# SPDX-License-Identifier: GPL-2.0
"""What an interface has, and the script that gives it back.

Everything is kept by name: the rebind makes another interface index, and what
'ip addr save' writes goes by that. The script is POSIX sh, its builtins and
iproute2, so that it runs when nothing else does. Rules of 'ip rule' that name an
interface stay in the kernel and find it again by its name.
"""

import json
import re
import shlex
from pathlib import Path

from system import PATH, answer, output, read

SYSCTL = ("ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh")
ATTRIBUTES = ("threaded", "gro_flush_timeout", "napi_defer_hard_irqs")
# what 'ip route show' says of a route and 'ip route add' does not take
SHOWN = re.compile(r" (?:linkdown|dead|offload|trap|rt_offload|rt_trap|notify|error -?\d+)\b")
OWN = re.compile(r"(?:local|broadcast|anycast|multicast) |fe80::/64 ")
RINGS = (("rx", "rx"), ("tx", "tx"))
COALESCE = ("rx-usecs", "rx-frames", "tx-usecs", "tx-frames")

SCRIPT = """#!/bin/sh
# Written by vnetctl: give {bus} to {driver} and put back what {name} had.
PATH={path}
cd /sys/bus/virtio || exit 1
[ -d drivers/{driver} ] || modprobe {driver}
if ! [ devices/{bus}/driver -ef drivers/{driver} ]; then
    [ ! -e devices/{bus}/driver ] || echo {bus} > devices/{bus}/driver/unbind
    echo {bus} > drivers/{driver}/bind || exit 1
fi
tries=0 now=
while [ $tries -lt 100 ]; do
    for entry in devices/{bus}/net/*; do
        [ ! -e "$entry" ] || now=${{entry##*/}}
    done
    [ -z "$now" ] || break
    tries=$((tries + 1))
    sleep 0.05
done
[ -n "$now" ] || exit 1
[ "$now" = {name} ] || [ ! -e /run/udev/control ] || udevadm settle --timeout=3
for entry in devices/{bus}/net/*; do now=${{entry##*/}}; done
[ "$now" = {name} ] || {{ ip link set "$now" down; ip link set "$now" name {name}; }}
put() {{ [ ! -w "$2" ] || echo "$1" > "$2"; }} 2>/dev/null
{before}
ip -force -batch {batch} 2>{errors}
{after}
exit 0
"""


def addresses(name):
    """Lines of 'ip -batch' for the addresses; of IPv6 not what the kernel makes by itself."""
    lines, newest_first = [], []
    for link in answer("ip", "-j", "addr", "show", "dev", name):
        for info in link.get("addr_info", ()):
            if "local" not in info or info.get("temporary") or \
                    info["family"] == "inet6" and info["scope"] == "link":
                continue
            words = ["addr", "replace"]
            peer = info.get("address")
            words += [info["local"], "peer", f"{peer}/{info['prefixlen']}"] if peer else \
                [f"{info['local']}/{info['prefixlen']}"]
            if info.get("broadcast"):
                words += ["brd", info["broadcast"]]
            if info.get("label", name) != name:
                words += ["label", info["label"]]
            words += ["dev", name, "scope", str(info["scope"])]
            if info["family"] == "inet6":
                words.append("nodad")
            words += [flag for flag in ("noprefixroute", "home", "mngtmpaddr") if info.get(flag)]
            if info.get("valid_life_time", 1 << 32) < (1 << 32) - 1:
                words += ["valid_lft", str(info["valid_life_time"]),
                          "preferred_lft", str(info["preferred_life_time"])]
            # the kernel shows those of IPv6 the newest first, and prefers that one
            (newest_first if info["family"] == "inet6" else lines).append(" ".join(words))
    return lines + newest_first[::-1]


def plain(lines):
    """The addresses among lines of 'ip -batch'."""
    return [line.split()[2] for line in lines if line.startswith("addr ")]


def routes(name):
    """Lines of 'ip -batch' for the routes of every table, those to neighbours first."""
    lines = []
    for family in ("-4", "-6"):
        for line in output("ip", family, "route", "show", "table", "all", "dev",
                           name).splitlines():
            if OWN.match(line) or line[:1].isspace() or " nexthop " in line:
                continue
            line = re.sub(r"expires (\d+)sec", r"expires \1", SHOWN.sub("", line)).strip()
            words = f"{line} dev {name}" if " via " not in line else \
                re.sub(r"( via (?:inet6? )?\S+)", rf"\1 dev {name}", line, count=1)
            lines.append((" via " in line, family == "-6", f"route replace {words}"))
    return [text for *_, text in sorted(lines, key=lambda item: item[0])]


def neighbours(name):
    return [f"neigh replace {entry['dst']} lladdr {entry['lladdr']} dev {name} nud permanent"
            for entry in answer("ip", "-j", "neigh", "show", "dev", name, "nud", "permanent")
            if "lladdr" in entry]


def link(name):
    """Lines for the link itself, and whether it is up."""
    details = answer("ip", "-j", "-d", "link", "show", "dev", name)
    details = details[0] if details else {}
    lines = [f"link set dev {name} mtu {details.get('mtu', 1500)}"]
    if details.get("permaddr", details.get("address")) != details.get("address"):
        lines.append(f"link set dev {name} address {details['address']}")
    if "txqlen" in details:
        lines.append(f"link set dev {name} txqueuelen {details['txqlen']}")
    if details.get("ifalias"):
        lines.append(f"link set dev {name} alias {shlex.quote(details['ifalias'])}")
    if details.get("group", "default") != "default":
        lines.append(f"link set dev {name} group {details['group']}")
    for flag, words in (("ALLMULTI", "allmulticast on"), ("NOARP", "arp off")):
        if flag in details.get("flags", ()):
            lines.append(f"link set dev {name} {words}")
    up = "UP" in details.get("flags", ())
    after = [f"link property add dev {name} altname {other}"
             for other in details.get("altnames", ())]
    if details.get("master"):
        after.append(f"link set dev {name} master {details['master']}")
    return lines, after, up


def sysctls(name):
    """Lines of sh for the settings that are not the default ones."""
    lines = []
    for where in SYSCTL:
        base = Path("/proc/sys/net") / where
        for path in sorted((base / name).glob("*")):
            if path.with_name(f"{path.name}_ms").exists():
                continue    # the same in seconds; the kernel's log names whoever reads it
            value = read(path)
            if value and value != read(base / "default" / path.name):
                lines.append(f"put {shlex.quote(value)} {path}")
    directory = Path("/sys/class/net") / name
    for path in [directory / attribute for attribute in ATTRIBUTES] + \
            sorted(directory.glob("queues/rx-*/rps_cpus")):
        value = read(path)
        if value.strip("0,"):
            lines.append(f"put {value} {path}")
    return lines


def ethtool(name):
    """What ethtool says: features that can be changed, channels, rings, coalescing.

    A feature that is several (tcp-segmentation-offload) is neither fixed nor not: to set it
    would set those of them that were off.
    """
    found = {"features": {}, "channels": 0, "rings": {}, "coalesce": {}}
    for entry in answer("ethtool", "--json", "-k", name):
        found["features"] = {feature: "on" if value["active"] else "off"
                             for feature, value in entry.items()
                             if isinstance(value, dict) and value.get("fixed") is False}
    for entry in answer("ethtool", "--json", "-l", name):
        found["channels"] = entry.get("combined", 0)
    for entry in answer("ethtool", "--json", "-g", name):
        found["rings"] = {key: entry[key] for key, _ in RINGS if entry.get(key)}
    for entry in answer("ethtool", "--json", "-c", name):
        found["coalesce"] = {key: entry[key] for key in COALESCE if entry.get(key)}
        for way in ("rx", "tx"):
            if entry.get(f"adaptive-{way}"):
                found["coalesce"][f"adaptive-{way}"] = "on"
    return found


def ethtool_lines(name, found, now=None):
    """Commands that bring the settings back; with NOW only what differs and can be changed."""
    now = now or {}
    lines = []
    pairs = [f"{feature} {value}" for feature, value in sorted(found["features"].items())
             if not now or now["features"].get(feature, value) != value]
    if found["channels"] and found["channels"] != now.get("channels"):
        lines.append(f"ethtool -L {name} combined {found['channels']}")
    rings = {k: v for k, v in found["rings"].items() if now.get("rings", {}).get(k) != v}
    if rings:
        lines.append(f"ethtool -G {name} " + " ".join(f"{k} {v}" for k, v in rings.items()))
    coalesce = {k: v for k, v in found["coalesce"].items()
                if now.get("coalesce", {}).get(k) != v}
    if coalesce:
        lines.append(f"ethtool -C {name} " + " ".join(f"{k} {v}" for k, v in coalesce.items()))
    if pairs:
        lines.append(f"ethtool -K {name} " + " ".join(pairs))
    return lines


class Capture:
    """All that one interface has."""

    def __init__(self, nic):
        self.nic = nic
        self.name = nic.name
        self.driver = nic.driver
        before, after, up = link(nic.name)
        self.batch = [*before, *addresses(nic.name)]
        self.batch += [f"link set dev {nic.name} up"] if up else []
        self.batch += [*routes(nic.name), *neighbours(nic.name), *after]
        self.sysctls = sysctls(nic.name)
        self.ethtool = ethtool(nic.name)
        self.manager, self.had_carrier, self.gateways = None, False, []

    def write(self, driver, own=True):
        """Write NIC-DRIVER.sh and its batch file into the directory of the NIC; the path."""
        directory = self.nic.directory
        directory.mkdir(parents=True, exist_ok=True)
        batch = directory / "batch"
        batch.write_text("\n".join(self.batch) + "\n", encoding="utf-8")
        (directory / "captured.json").write_text(json.dumps(self.ethtool), encoding="utf-8")
        after = [f"{line} >/dev/null 2>&1" for line in ethtool_lines(self.name, self.ethtool)] \
            if own else []
        script = directory / f"{driver}.sh"
        script.write_text(SCRIPT.format(
            bus=self.nic.bus, name=self.name, driver=driver, path=PATH, batch=batch,
            errors=directory / "batch.log", before="\n".join(self.sysctls),
            after="\n".join(after)), encoding="utf-8")
        return script
