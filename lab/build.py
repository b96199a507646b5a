# SPDX-License-Identifier: GPL-2.0
"""Builds modules inside the guest root against its kernels; the checkout stays clean."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import SetupError, arch, outer, say

CHECKOUT = Path("/vnet")
BUILD = Path("/cache/build")
PATTERNS = ("Kbuild", "Kconfig", "VERSION", "*.c", "data/*.[ch]", "life/*.[ch]", "policy/*.[ch]",
            "include/**/*.h", "scripts/*", "kunit/*", "vmon/*", "vkit/*")

COMPLAINT = re.compile(r"\b[Ee]rror\b|\*\*\*|undefined|No such file")


PATCHED = {}    # path in the checkout -> what is built in its place, see planted()


class BuildFailed(AssertionError):
    """The compiler or modpost refused."""


def sources():
    """The files that kbuild needs, relative to the checkout."""
    found = set()
    for pattern in PATTERNS:
        found |= {p.relative_to(CHECKOUT) for p in CHECKOUT.glob(pattern) if p.is_file()}
    return {p for p in found if not p.name.endswith((".o", ".ko", ".mod.c", ".cmd"))}


@contextmanager
def planted(path, text):
    """Whatever is built meanwhile has this text for one file of the checkout."""
    PATCHED[Path(path)] = text.encode()
    try:
        yield
    finally:
        del PATCHED[Path(path)]


def contents(path):
    """The bytes of a file of the checkout, as it is to be built."""
    path = Path(path)
    return PATCHED[path] if path in PATCHED else (CHECKOUT / path).read_bytes()


def bring(path, copy):
    """Bring one copy up to date, if it is not, so that make sees what changed."""
    wanted = contents(path)
    if not copy.exists() or copy.read_bytes() != wanted:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, copy)
        copy.write_bytes(wanted)


def copy_sources(target):
    """Bring a copy up to date, changed files only, so that make sees what changed."""
    wanted = sources()
    if Path("Kbuild") not in wanted:
        raise SetupError("there is no Kbuild in this checkout: nothing to build "
                         "(DRIVER=virtio_net runs the tests on the in-tree driver)")
    manifest = target / ".vnet-sources"
    if manifest.exists():
        for old in set(manifest.read_text(encoding="utf-8").split()) - set(map(str, wanted)):
            (target / old).unlink(missing_ok=True)
    manifest.write_text("\n".join(sorted(map(str, wanted))), encoding="utf-8")
    for path in wanted:
        bring(path, target / path)


@contextmanager
def directory(kernel, suffix):
    """A build directory in the cache, one session at a time, for one checkout."""
    checkout = hashlib.sha256(os.environ["VNET_CHECKOUT"].encode()).hexdigest()[:6]
    target = BUILD / f"{kernel.release}-{checkout}{suffix}"
    target.mkdir(parents=True, exist_ok=True)
    with open(target / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield target


def build(kernel, quiet=False, args=(), name="vnet"):
    """Build what Kbuild has for a kernel; return the path of vnet.ko, or of a companion.

    A companion (NAME is that of its directory, too) is None where the kernel cannot have it.
    """
    with directory(kernel, "") as target:
        if not quiet:
            say(f"build: {name} for {kernel.release}")
        copy_sources(target)
        module = make(kernel, target, "vnet", args)
        if name != "vnet":
            module = target / name / f"{name}.ko"
        return module if module.exists() else None


def make_external(kernel, source, name):
    """Build a module of the lab's own; return its path."""
    with directory(kernel, f"-{name}") as target:
        for path in source.iterdir():
            copy = target / path.name
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                shutil.copy(path, copy)
        return make(kernel, target, name)


def make(kernel, target, name, args=(), kdir=None):
    """Run kbuild in a directory; return the path of the module."""
    jobs = len(os.sched_getaffinity(0))
    done = subprocess.run(
        ["make", "-C", str(kdir or kernel.build.resolve()), f"M={target}", f"-j{jobs}",
         *arch.current().make, *args, "modules"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        check=False)
    (target / "build.log").write_text(done.stdout, encoding="utf-8")
    module = target / f"{name}.ko"
    if done.returncode or not module.exists():
        lines = [line for line in done.stdout.splitlines() if COMPLAINT.search(line)]
        raise BuildFailed(f"{name} does not build for {kernel.release} (log: "
                          f"{outer(target)}/build.log):\n  " + "\n  ".join(lines[:20]))
    return module
