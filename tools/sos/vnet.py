# SPDX-License-Identifier: GPL-2.0
"""sos plugin: what sos' networking plugin leaves out of a machine with vnet."""

from sos.report.plugins import IndependentPlugin, Plugin


class Vnet(Plugin, IndependentPlugin):
    """vnet, a driver for virtio network devices"""

    plugin_name = "vnet"
    profiles = ("network", "virt")
    kernel_mods = ("vnet",)
    commands = ("vnetctl",)

    def setup(self):
        self.add_copy_spec(["/etc/vnet", "/var/lib/vnet", "/sys/module/vnet/parameters"])
        self.add_cmd_output(["vnetctl status", "devlink health show", "devlink dev info",
                             "modinfo vnet", "dkms status"])
        self.add_journal(units="vnet-claim")
        self.add_journal(units="vnet-health")
