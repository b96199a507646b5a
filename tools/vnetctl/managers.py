# SPDX-License-Identifier: GPL-2.0
"""Who manages an interface, and how it is told that the interface is back."""

from pathlib import Path

from system import have, output, run, warn


def networkd(name):
    if not Path("/run/systemd/netif/links").is_dir() or not have("networkctl"):
        return False
    text = output("networkctl", "--no-pager", "status", name, timeout=10)
    return "Network File: " in text and "Network File: n/a" not in text


def network_manager(name):
    if not Path("/run/NetworkManager").is_dir() or not have("nmcli"):
        return False
    state = output("nmcli", "-g", "GENERAL.STATE", "device", "show", name, timeout=10)
    return bool(state) and not state.startswith("10")


def ifupdown(name):
    try:
        lines = Path("/run/network/ifstate").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any(line.split("=")[0] == name for line in lines)


# (name, does it manage, commands of which the first that works is enough)
MANAGERS = (
    ("systemd-networkd", networkd, (("networkctl", "reconfigure", "{}"),)),
    ("NetworkManager", network_manager, (("nmcli", "device", "reapply", "{}"),
                                         ("nmcli", "device", "connect", "{}"))),
    ("ifupdown", ifupdown, (("ifup", "--force", "{}"),)),
)


def of(name):
    """The manager of an interface, or None; to be asked while the interface is there."""
    return next((manager for manager in MANAGERS if manager[1](name)), None)


def tell(manager, name):
    """The addresses are back already; leases and the rest are the manager's."""
    if not manager:
        return
    for command in manager[2]:
        status, _, errors = run(*(word.format(name) for word in command), timeout=60)
        if not status:
            return
    warn(f"{manager[0]} does not take {name} back ({errors.strip()}); the addresses are there")
