# SPDX-License-Identifier: GPL-2.0
"""Who manages an interface, and how it is told that the interface is back."""

from dataclasses import dataclass
from pathlib import Path

from system import have, output, run, warn

# states of NetworkManager in which a device is nobody's
UNMANAGED = ("", "0", "10", "20")


@dataclass(frozen=True)
class Manager:
    """Its name, and commands of which the first that works is enough."""

    name: str
    commands: tuple


def networkd(name):
    if not Path("/run/systemd/netif/links").is_dir() or not have("networkctl"):
        return None
    text = output("networkctl", "--no-pager", "status", name, timeout=10)
    if "Network File: " not in text or "Network File: n/a" in text:
        return None
    return Manager("systemd-networkd", (("networkctl", "reconfigure", name),))


def network_manager(name):
    """By its connection: it takes an interface that comes with addresses for somebody else's."""
    if not Path("/run/NetworkManager").is_dir() or not have("nmcli"):
        return None
    state = output("nmcli", "-g", "GENERAL.STATE", "device", "show", name, timeout=10).strip()
    uuid = output("nmcli", "-g", "GENERAL.CON-UUID", "device", "show", name, timeout=10).strip()
    if state.partition(" ")[0] in UNMANAGED or "external" in state:
        return None
    again = (("nmcli", "connection", "up", "uuid", uuid, "ifname", name),) if uuid else ()
    return Manager("NetworkManager", (*again, ("nmcli", "device", "connect", name)))


def ifupdown(name):
    try:
        lines = Path("/run/network/ifstate").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    if not any(line.split("=")[0] == name for line in lines):
        return None
    return Manager("ifupdown", (("ifup", "--force", name),))


def of(name):
    """The manager of an interface, or None; to be asked while the interface is there."""
    return next((found for found in (ask(name) for ask in (networkd, network_manager, ifupdown))
                 if found), None)


def tell(manager, name):
    """The addresses are back already; leases and the rest are the manager's."""
    if not manager:
        return
    errors = ""
    for command in manager.commands:
        status, _, errors = run(*command, timeout=60)
        if not status:
            return
    warn(f"{manager.name} does not take {name} back ({errors.strip()}); the addresses are there")
