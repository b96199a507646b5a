# SPDX-License-Identifier: GPL-2.0
"""The kernels that guests boot: those of the root, and layers over it.

A layer is a directory CACHE/kernels/NAME with boot/vmlinuz-RELEASE and
lib/modules/RELEASE in it (a debug kernel, for example), or one of lab/layers of
this session that holds a kernel (rt); it is laid over the guest root of guests
that boot it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import SetupError

BASE = Path("/base")
LAYERS = Path("/cache/kernels")


@dataclass(frozen=True)
class Kernel:
    """A bootable kernel: short name (7.2), release, image, layer over the root."""

    name: str
    release: str
    image: Path
    layer: Path | None = None

    @property
    def version(self):
        """(major, minor)"""
        return tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", self.release).groups())

    @property
    def modules(self):
        return modules_of(self.layer or BASE) / self.release

    @property
    def slow(self):
        """How much longer than others it takes: it is for debugging."""
        return 4 if self.layer and self.layer.parent == LAYERS else 1

    @property
    def build(self):
        """The directory that external modules are built against (kbuild writes there).

        The session has that of a kernel of Debian's where it finds what it shares with others.
        """
        own = self.layer and self.layer.parent == LAYERS
        return (self.modules if own else Path("/lib/modules") / self.release) / "build"


def modules_of(base):
    """The directory of modules of a root, or of a layer over one."""
    path = base / "lib/modules"
    return path if path.is_dir() else base / "usr/lib/modules"


def scan(base, layer=None, name=None):
    found = []
    for modules in sorted(modules_of(base).glob("*/")):
        release = modules.name
        for image in (base / f"boot/vmlinuz-{release}", base / f"boot/vmlinux-{release}",
                      modules / "vmlinuz", modules / "vmlinuz.unsigned"):
            if image.exists():
                short = name or ".".join(release.split(".")[:2])
                found.append(Kernel(short, release, image, layer))
                break
    return found


def every():
    """All kernels, oldest first, layers last."""
    found = sorted(scan(BASE), key=lambda kernel: kernel.version)
    for layer in sorted(LAYERS.glob("*/")):
        found += scan(layer, layer, layer.name)
    for name in os.environ.get("VNET_LAYERS", "").split():
        layer = Path("/cache/layers") / name
        found += scan(layer, layer, name.partition(".")[0])
    return found


def every_of_root():
    return [kernel for kernel in every() if not kernel.layer]


def of_suites():
    """The kernels that the meta packages stand for: all but unsigned ones."""
    info = BASE / "var/lib/dpkg/info"
    signed = [k for k in every_of_root() if (info / f"linux-image-{k.release}.list").exists()]
    return signed or every_of_root()


def debug(names=("kasan",)):
    """The debug kernels of these names that have been built."""
    return [kernel for kernel in every() if kernel.layer and kernel.name in names]


def default():
    """The newest kernel that a meta package stands for."""
    return of_suites()[-1]


def select(names):
    """Kernels by name (7.2) or release; 'all' is every one, also layers."""
    kernels = every()
    if names == ["all"]:
        return kernels
    if not names:
        return every_of_root()
    chosen = []
    for name in names:
        match = [k for k in kernels if name in (k.name, k.release)]
        if not match:
            raise SetupError(f"there is no kernel {name!r} in the guest root; there are: "
                             f"{' '.join(k.name for k in kernels)}")
        chosen += match
    return chosen
