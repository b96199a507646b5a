# SPDX-License-Identifier: GPL-2.0
"""The kernels that guests boot: those of the root, and layers made by hand.

A layer is a directory CACHE/kernels/NAME with boot/vmlinuz-RELEASE and
lib/modules/RELEASE in it (a debug kernel, for example); it is laid over the
guest root of guests that boot it.
"""

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
        return (self.layer or BASE) / "lib/modules" / self.release

    @property
    def build(self):
        """The directory that external modules are built against (kbuild writes there)."""
        return Path(f"{self.layer or ''}/lib/modules") / self.release / "build"


def scan(base, layer=None, name=None):
    found = []
    for modules in sorted(base.glob("lib/modules/*/")):
        release = modules.name
        for image in (base / f"boot/vmlinuz-{release}", modules / "vmlinuz",
                      modules / "vmlinuz.unsigned"):
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
