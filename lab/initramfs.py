# SPDX-License-Identifier: GPL-2.0
"""The small initramfs of guests whose root is behind virtio over MMIO."""

import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import SetupError, build

SOURCE = Path("/vnet/lab/mmio")


def libraries(program):
    """The shared libraries of a program, and its loader."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for line in out.splitlines() for word in line.split() if word.startswith("/")]


def has_module(kernel, name):
    """False if a part of the kernel is built in, or left out."""
    return any(kernel.modules.rglob(f"{name}.ko*"))


def module(kernel, name):
    """The bytes of a module of the kernel, unpacked."""
    path = next(kernel.modules.rglob(f"{name}.ko*"), None)
    if not path:
        raise SetupError(f"Linux {kernel.release} has no module {name}")
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


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
        temp = target.with_suffix(f".{os.getpid()}")
        with open(temp, "wb") as out:
            subprocess.run("find . | cpio --quiet -o -H newc", shell=True, cwd=root, stdout=out,
                           check=True)
        temp.rename(target)
    return target
