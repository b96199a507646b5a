# SPDX-License-Identifier: GPL-2.0
"""The small initramfs of guests whose kernel does not find the root by itself: it is behind virtio
over MMIO, or what it is behind is a module."""

import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import SetupError, build, kernels

SOURCE = Path("/vnet/lab/mmio")
FOREIGN_INIT = Path("/vnet/lab/arch-init")
FOREIGN = ("virtio_pci", "virtiofs")   # modules, and what they depend on


def libraries(program):
    """The shared libraries of a program, and its loader."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for line in out.splitlines() for word in line.split() if word.startswith("/")]


def has_module(kernel, name):
    """False if a part of the kernel is built in, or left out."""
    return any(kernel.modules.rglob(f"{name}.ko*"))


def module(kernel, name):
    """The bytes of a module of the kernel, unpacked."""
    path = next((path for word in (name, name.replace("_", "-"))
                 for path in kernel.modules.rglob(f"{word}.ko*")), None)
    if not path:
        raise SetupError(f"Linux {kernel.release} has no module {name}")
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def ordered(text, names):
    """The modules of these names with all that they depend on, in the order of insmod.

    TEXT is that of modules.dep, where what is needed by others stands last.
    """
    depends = {}
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        name = Path(path).name.partition(".")[0].replace("-", "_")
        depends[name] = [Path(word).name.partition(".")[0].replace("-", "_")
                         for word in reversed(rest.split())] + [name]
    return list(dict.fromkeys(module for name in names for module in depends.get(name, [])))


def archive(root, target):
    """Pack a directory."""
    temp = target.with_suffix(f".{os.getpid()}")
    with open(temp, "wb") as out:
        subprocess.run("find . | cpio --quiet -o -H newc", shell=True, cwd=root, stdout=out,
                       check=True)
    temp.rename(target)


def make_foreign(kernel, target):
    """An initramfs for a kernel of another architecture; the busybox is that one's, and static."""
    names = ordered((kernel.modules / "modules.dep").read_text(encoding="ascii"), FOREIGN)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("bin", "dev", "root"):
            (root / directory).mkdir()
        shutil.copy(kernels.BASE / "usr/bin/busybox", root / "bin/busybox")
        shutil.copy(FOREIGN_INIT, root / "init")
        (root / "modules").write_text("".join(f"{module}\n" for module in names),
                                      encoding="ascii")
        for one in names:
            (root / f"{one}.ko").write_bytes(module(kernel, one))
        archive(root, target)
    return target


def make(kernel):
    """Return the initramfs for a kernel, making it when its parts have changed."""
    helper = build.make_external(kernel, SOURCE, "vnet_lab_mmio")
    target = helper.with_name("initramfs.cpio")
    parts = [helper, SOURCE / "init"]
    if target.exists() and all(target.stat().st_mtime > p.stat().st_mtime for p in parts):
        return target
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("bin", "proc", "dev", "root"):
            (root / directory).mkdir()
        for file in ("/bin/busybox", *libraries("/bin/busybox")):
            (root / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / file.lstrip("/"))
        shutil.copy(SOURCE / "init", root / "init")
        shutil.copy(helper, root)
        (root / "virtio_mmio.ko").write_bytes(module(kernel, "virtio_mmio"))
        archive(root, target)
    return target
