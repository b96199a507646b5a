# SPDX-License-Identifier: GPL-2.0
"""Configurations that know an interface by the name of its driver.

Whoever matches virtio_net no longer finds the interface when vnet drives it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

WORD = re.compile(r"\bvirtio_net\b")
BOTH = re.compile(r"(?<![\w-])vnet\b")


@dataclass(frozen=True)
class Match:
    """A line that names the driver, and what to write instead."""

    path: str
    line: int
    text: str
    mend: str

    def __str__(self):
        return f"{self.path}:{self.line}: '{self.text}' finds only virtio_net: write '{self.mend}'"


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
    (("etc/systemd/network", "run/systemd/network", "usr/lib/systemd/network",
      "usr/local/lib/systemd/network"),
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


def search(root="/"):
    """All matches on this machine."""
    found = []
    for directories, patterns, must, mend in PLACES:
        for directory in directories:
            for pattern in patterns:
                for path in sorted((Path(root) / directory).glob(pattern)):
                    if path.is_file():
                        found += look(path, must, mend)
    return found
