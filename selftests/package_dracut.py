# SPDX-License-Identifier: GPL-2.0
"""A machine whose initramfs is dracut's: the level early, as the documentation says."""

from pathlib import Path

from lab.api import test
from selftests.package_boot import ON, loaded_early

ITEMS = {"/etc/dracut.conf.d/vnet-early.conf":
         'install_items+=" /etc/modprobe.d/vnet-early.conf /etc/modprobe.d/broken.conf "\n'}


@test(**ON, timeout=1200)
def early(env):
    """The level early by dracut, for any machine: it takes files of /etc that are named."""
    if not Path("/usr/bin/dracut").exists():
        env.skip("the guest root has no dracut: lab/layers/dracut")
    loaded_early(env, "dracut", ITEMS)
