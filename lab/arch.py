# SPDX-License-Identifier: GPL-2.0
"""Machines that guests can be: this one's architecture, and others under emulation.

A guest of another architecture has a root of that one, extracted from its packages and never
run here; the kernel is one of its packages. Compilers, QEMU and the tests are this machine's,
the compiler and QEMU's program come from layers. In a session
VNET_ARCH says which, and /base is the root of the guests.
"""

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import SetupError, host, root, say

PACKAGES = Path(__file__).with_name("arch-packages")


@dataclass(frozen=True)
class Arch:
    """An architecture by Debian's name, and what of its kernels.

    kbuild    its name in the kernel, for make
    prefix    of the compiler
    layers    that have the compiler and QEMU's program
    machine   QEMU's, with PCI Express
    cpu       with everything that the emulator has and that does not cost much
    console   the first serial line
    iommu     what gives it one: more of the machine, of QEMU's arguments, of the command line
    kernels   meta packages: what is booted, and what modules are built against
    built_in  the kernel finds its root without an initramfs
    """

    name: str
    kbuild: str
    prefix: str
    layers: tuple
    qemu: str
    machine: str
    cpu: str
    console: str
    iommu: tuple
    kernels: tuple = ()
    built_in: bool = True

    @property
    def debian(self):
        return self.name.partition("-")[0]

    @property
    def make(self):
        """What make is told."""
        return [f"ARCH={self.kbuild}", f"CROSS_COMPILE={self.prefix}"] if self.prefix else []


NATIVE = Arch("amd64", "x86_64", "", (), "qemu-system-x86_64", "q35", "max", "ttyS0",
              ("", ("-device", "intel-iommu,intremap=on,device-iotlb=on"), "intel_iommu=on"))
ARCHES = {a.name: a for a in (
    NATIVE,
    Arch("arm64", "arm64", "aarch64-linux-gnu-", ("cross", "qemu-arm"), "qemu-system-aarch64",
         "virt,gic-version=3", "max,pauth-impdef=on", "ttyAMA0", (",iommu=smmuv3", (), ""),
         ("linux-image-cloud-arm64", "linux-headers-cloud-arm64")),
    # pages of 16 KiB; virtio and virtiofs are modules of this flavour
    Arch("arm64-16k", "arm64", "aarch64-linux-gnu-", ("cross", "qemu-arm"), "qemu-system-aarch64",
         "virt,gic-version=3", "max,pauth-impdef=on", "ttyAMA0", (",iommu=smmuv3", (), ""),
         ("linux-image-arm64-16k", "linux-headers-arm64-16k"), False),
)}


def get(name):
    """By name; the native one for an empty name."""
    try:
        return ARCHES[name or NATIVE.name]
    except KeyError:
        raise SetupError(f"guests cannot be {name!r}; they can be: {' '.join(ARCHES)}") from None


def current():
    """That of this session's guests."""
    return get(os.environ.get("VNET_ARCH"))


# ---- on the user's machine ------------------------------------------------

def packages(arch):
    text = PACKAGES.read_text(encoding="ascii")
    found = {*re.sub(r"#.*", "", text).split(), *arch.kernels}
    if not arch.built_in:       # what the initramfs is made of
        found = found - {"busybox"} | {"busybox-static"}
    return sorted(found)


# What the packages' own scripts would have done, which cannot run here
COMPLETE = """
cd "$1"
printf 'root:x:0:0:root:/root:/bin/bash\\nnobody:x:65534:65534::/:/bin/false\\n' > etc/passwd
printf 'root:x:0:\\ntty:x:5:\\nnogroup:x:65534:\\n' > etc/group
ln -sf mawk usr/bin/awk
ln -sf which.debianutils usr/bin/which
for modules in lib/modules/*; do
    depmod -b . "${modules##*/}"
done
"""


def make(cache, arch, target):
    if not host.which("depmod"):
        host.install(["kmod"])
    root.bootstrap(cache, target, f"the root of guests that are {arch.name}", [
        "--variant=extract", f"--architectures={arch.debian}",
        "--include=" + ",".join(packages(arch))])
    prefix = [] if host.is_root() else host.user_namespace()
    done = subprocess.run([*prefix, "sh", "-euc", COMPLETE, "sh", str(target)], text=True,
                          env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"),
                          capture_output=True, check=False)
    if done.returncode:
        root.remove(target)
        raise SetupError(f"the root of {arch.name} cannot be completed: {done.stderr.strip()}")


def ensure(arch):
    """The root of guests of another architecture, made when there is none."""
    cache = host.cache_dir()
    key = hashlib.sha256(" ".join([arch.name, COMPLETE, *packages(arch)]).encode())
    target = cache / "arch" / f"{arch.name}-{key.hexdigest()[:12]}"
    if target.exists():
        return target
    with root.lock(cache):
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            for stale in target.parent.glob(f"{arch.name}-*[0-9a-f]"):
                if not root.in_use(stale):
                    say(f"root: removing {stale.name}, which an older list made")
                    root.remove(stale)
            make(cache, arch, target)
    return target
