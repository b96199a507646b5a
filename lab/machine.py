# SPDX-License-Identifier: GPL-2.0
"""A guest that boots as a user's machine does: by systemd, with udev, and with vnet installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from .guest import Guest

SERVE = """[Unit]
Description=Serve the lab
[Service]
ExecStart=/bin/sh /lab/init serve
StandardOutput=null
StandardError=null
[Install]
WantedBy=multi-user.target
"""
TOP = Path("/vnet")
# devices that no test needs and that take long to find without KVM
QUICKER = "systemd.firstboot=off modprobe.blacklist=ahci,i2c_i801,lpc_ich,psmouse,evdev,pcspkr"
# what their packages enable; each machine has one of them, or another
MANAGERS = ("NetworkManager.service", "networking.service", "ssh.service")
# who makes an initramfs: how, and how to see what is in it; dracut for any machine, not this one
MAKERS = {"mkinitramfs": ("mkinitramfs -o /lab/initrd {}", "lsinitramfs /lab/initrd"),
          "dracut": ("dracut --force --no-hostonly --kver {} /lab/initrd", "lsinitrd /lab/initrd")}


def sh(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def put(root, path, text):
    """Write a file of a root that is not running."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o600 if "/system-connections/" in path else 0o644)


def install_module(root, kernel, module):
    """Put a module into the tree that modprobe looks at; None takes it out."""
    tree = Path("lib/modules") / kernel.release
    target = root / tree / "updates/vnet.ko"
    target.unlink(missing_ok=True)
    if module:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(module, target)
    sh("depmod", "-b", str(root), kernel.release)


def module_index(kernel, module, target):
    """What depmod writes for a kernel with vnet in its updates; in a guest it takes long."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "lib/modules" / kernel.release
        (tree / "updates").mkdir(parents=True)
        for path in kernel.modules.glob("*"):
            if path.name == "kernel" or path.name.startswith(("modules.order", "modules.builtin")):
                (tree / path.name).symlink_to(path)
        shutil.copy(module, tree / "updates/vnet.ko")
        sh("depmod", "-b", name, kernel.release)
        for path in tree.glob("modules.*"):
            if not path.is_symlink():
                shutil.copy(path, target)


class Machine(Guest):
    """vnetctl, its units and the module are where the packages put them.

    enable: further units. files: {path: text}, written before the first boot.
    initrd: who makes an initramfs that it boots from; what is in it is .initrd then.
    """

    init = "/lib/systemd/systemd"

    def __init__(self, kernel, log, module, *, enable=(), files=None, claim="", initrd="",
                 **options):
        self.module, self.enable, self.claim = module, enable, claim
        self.files, self.maker, self.initrd = files or {}, initrd, ""
        options["append"] = f"{QUICKER} {options.get('append', '')}"
        super().__init__(kernel, "modern-split", log, prepare=self.furnish, **options)

    def furnish(self, root):
        """What the packages and an administrator do."""
        sh("sh", str(TOP / "lab/make/tools.sh"), str(root))
        shutil.copy(TOP / "packaging/modprobe.conf", root / "usr/lib/modprobe.d/vnet.conf")
        install_module(root, self.kernel, self.module)
        put(root, "/etc/systemd/system/vnet-lab.service", SERVE)
        put(root, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        put(root, "/etc/hostname", "guest\n")
        for directory in ("etc", "var"):  # what follows an upgrade of /usr has been done
            put(root, f"/{directory}/.updated", "")
        put(root, "/etc/vnet/claim", self.claim)
        for path, text in self.files.items():
            put(root, path, text)
        for unit in MANAGERS:
            if (root / "usr/lib/systemd/system" / unit).exists():
                sh("systemctl", f"--root={root}", "--quiet", "disable", unit)
        sh("systemctl", f"--root={root}", "--quiet", "mask", "systemd-logind.service",
           "getty.target", "timers.target")
        sh("systemctl", f"--root={root}", "--quiet", "enable", "vnet-lab.service",
           "vnet-claim.service", "vnet-health.service", *self.enable)
        if self.maker:
            self.make_initrd()

    def make_initrd(self):
        """As the distribution does after the installation of a kernel."""
        for name in ("dev", "proc"):
            sh("mount", "--rbind", f"/{name}", str(self.root / name))
        try:
            make, show = (command.format(self.kernel.release).split()
                          for command in MAKERS[self.maker])
            sh("chroot", str(self.root), *make)
            self.initrd = subprocess.run(
                ["chroot", str(self.root), *show], check=True, text=True,
                stdin=subprocess.DEVNULL, capture_output=True).stdout
        finally:
            for name in ("dev", "proc"):
                sh("umount", "-R", str(self.root / name))

    def machine_args(self):
        args = super().machine_args()
        return [*args, "-initrd", str(self.root / "lab/initrd")] if self.maker else args

    def stop(self):
        """Its journal goes to the log directory: 'journalctl --file'."""
        super().stop()
        for path in self.root.glob("var/log/journal/*/system.journal"):
            shutil.copy(path, self.log)

    def driver(self, nic="eth0"):
        return self.run(f"readlink -f /sys/class/net/{nic}/device/driver", check=False
                        ).out.strip().rpartition("/")[2]

    def journal(self, unit):
        return self.run(f"journalctl -b --no-pager -u {unit}").out
