# SPDX-License-Identifier: GPL-2.0
"""Configurations that know an interface by the name of its driver.

Whoever matches virtio_net no longer finds the interface when vnet drives it, and
who forbids virtio_net has nothing left when vnet is missing.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from system import have, run, write

NETWORKD = ("etc/systemd/network", "run/systemd/network", "usr/lib/systemd/network",
            "usr/local/lib/systemd/network")
DROP_IN = "99-vnet.conf"
DRIVER = re.compile(r"Driver\s*=\s*(!?)")
WORD = re.compile(r"\bvirtio_net\b")
BOTH = re.compile(r"(?<![\w-])vnet\b")
MODPROBE = ("etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d")
# the word is the same to modprobe with either line
FORBIDDEN = re.compile(r"blacklist\s+virtio[-_]net\s*$|"
                       r"install\s+virtio[-_]net\s+(?:\S*/)?(?:false|true|:)\s*$")


@dataclass(frozen=True)
class Match:
    """A line that names the driver, and what to write instead."""

    path: str
    line: int
    text: str
    mend: str
    why: str = "finds only virtio_net"
    how: str = "write"

    def __str__(self):
        return f"{self.path}:{self.line}: '{self.text}' {self.why}: {self.how} '{self.mend}'"


def netplan(text):
    return re.sub(r"driver\s*:\s*.*", "driver: [virtio_net, vnet]", text)


def networkd(text):
    return re.sub(r"\bvirtio_net\b", "virtio_net vnet", text)


def udev(text):
    return re.sub(r'"([^"]*\bvirtio_net\b[^"]*)"', r'"\1|vnet"', text)


def manager(text):
    if "driver:" in text:
        return re.sub(r"driver:virtio_net", "driver:virtio_net,driver:vnet", text)
    return re.sub(r"\bvirtio_net\b;?", "virtio_net;vnet;", text)


# (directories, patterns, what a line must have to be a match, mend)
PLACES = (
    (("etc/netplan", "run/netplan", "usr/lib/netplan"), ("*.yaml",), r"driver\s*:", netplan),
    (NETWORKD,
     ("*.network", "*.link", "*.netdev", "*.d/*.conf"), r"Driver\s*=", networkd),
    (("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d"), ("*.rules",),
     r"DRIVERS?\}?\s*==", udev),
    (("etc/NetworkManager", "run/NetworkManager", "usr/lib/NetworkManager"),
     ("*.conf", "conf.d/*.conf", "system-connections/*.nmconnection"), r"driver", manager),
    (("etc/cloud", "run/cloud-init"), ("*.cfg", "cloud.cfg.d/*.cfg", "network-config*"),
     r"driver\s*:", netplan),
    # Talos, and tools that look into the driver's directory in sysfs
    (("etc",), ("rc.local", "cron.d/*", "network/if-up.d/*"), r"virtio_net", networkd),
    (("usr/bin", "usr/local/bin", "usr/local/sbin"),
     ("google_set_multiqueue", "set_multiqueue"), r"drivers/virtio_net",
     lambda text: text.replace("drivers/virtio_net", "drivers/vnet")),
)


def look(path, must, mend):
    """The matches in one file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(("#", ";")) or not WORD.search(text) or BOTH.search(text):
            continue
        if re.search(must, text):
            yield Match(str(path), number, text, mend(text))


def drop_ins(path):
    """The name of the directory of drop-ins that a file of networkd or udev's links has."""
    parent = path.parent.name
    return parent if parent.endswith(".d") else f"{path.name}.d"


def mended(root, path):
    """True if a drop-in names vnet for such a file."""
    return any(DRIVER.match(line.strip()) and BOTH.search(line)
               for directory in NETWORKD
               for other in (Path(root) / directory / drop_ins(path)).glob("*.conf")
               for line in other.read_text(encoding="utf-8", errors="replace").splitlines())


def settled(found):
    """Without what netplan makes of its own files, which is mended with them, or made anew."""
    made = [match for match in found if re.search(r"(^|/)run/(?!netplan/).*netplan", match.path)]
    if any("/netplan/" in match.path for match in found):
        return [match for match in found if match not in made]
    return [replace(match, how="run", mend="netplan apply") if match in made else match
            for match in found]


def search(root="/"):
    """All matches on this machine."""
    found = []
    for directories, patterns, must, mend in PLACES:
        for directory in directories:
            for pattern in patterns:
                for path in sorted((Path(root) / directory).glob(pattern)):
                    if path.is_file() and not (mend is networkd and directories is NETWORKD and
                                               mended(root, path)):
                        found += look(path, must, mend)
    return settled(found)


def forbidden(root="/"):
    """Lines of modprobe.d that leave a machine without any network when vnet is not there."""
    found = []
    for path in [path for directory in MODPROBE
                 for path in sorted((Path(root) / directory).glob("*.conf"))]:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [Match(str(path), number, text, f"# {text}",
                        "keeps the one driver away that has the network where vnet fails")
                  for number, text in enumerate(map(str.strip, lines), 1)
                  if FORBIDDEN.match(text)]
    return found


def allow(root="/"):
    """Make comments of such lines where the administrator's are; the paths of those written."""
    written = []
    for match in forbidden(root):
        path = Path(match.path)
        if str(path.parent.relative_to(root)) != MODPROBE[0]:
            continue
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        lines[match.line - 1] = match.mend
        write(path, "\n".join(lines) + "\n")
        path.chmod(0o644)
        written.append(str(path))
    return list(dict.fromkeys(written))


def fix(root="/"):
    """Write drop-ins for what networkd and udev's links match; the paths of those written.

    A second Driver= adds to the first one, so what is there stays as it is.
    """
    written = []
    for match in search(root):
        path = Path(match.path)
        sign = DRIVER.match(match.text)
        if not sign or str(path.parent.relative_to(root)).removesuffix(
                f"/{drop_ins(path)}") not in NETWORKD:
            continue
        target = Path(root) / NETWORKD[0] / drop_ins(path) / DROP_IN
        if str(target) not in written:
            write(target, "# Written by 'vnetctl check --fix'; goes when vnet-tools is purged\n"
                          f"[Match]\nDriver={sign[1]}vnet\n")
            target.chmod(0o644)
            written.append(str(target))
    return written


def reread():
    """Let those who read such files do so again; who does not run reads them when he starts."""
    for command in (("networkctl", "reload"), ("udevadm", "control", "--reload")):
        if have(command[0]):
            run(*command)
