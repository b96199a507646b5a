# SPDX-License-Identifier: GPL-2.0
"""Versions, packages and vnetctl: what brings the driver onto a machine and off it."""

import json
from pathlib import Path

from lab.api import test

TOP = Path(__file__).resolve().parent.parent
VERSION = (TOP / "VERSION").read_text(encoding="ascii").strip()


@test(profiles=["modern-split", "legacy"], drivers=["vnet"])
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
