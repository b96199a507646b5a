# SPDX-License-Identifier: GPL-2.0
"""Layers: packages that only some rooms need, laid over the guest root.

A layer is a list of packages, lab/layers/NAME, installed once into an overlay
of the root and kept in the cache. Whoever does not need it does not pay for
it, and a machine that cannot get it loses one part and not the root.
"""

import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

from . import SetupError, host, root, say

LISTS = Path(__file__).with_name("layers")


def packages(name, series=""):
    """The package names of a layer; the kselftests need the source of a kernel series, too."""
    text = (LISTS / name).read_text(encoding="ascii")
    found = set(re.sub(r"#.*", "", text).split())
    if series:
        found.add(f"linux-source-{series}")
    return sorted(found)


def label(name, series=""):
    return f"{name}-{series}" if series else name


def path(cache, rootdir, name, series=""):
    """Where a layer of this root is kept."""
    key = hashlib.sha256(" ".join([rootdir.name, *packages(name, series)]).encode())
    return cache / "layers" / f"{label(name, series)}.{key.hexdigest()[:12]}"


def make(cache, rootdir, target, wanted):
    log = cache / "layers" / f"{target.name}.log"
    temp = target.with_name(f"making-{os.getpid()}-{target.name}")
    for part in ("upper", "work", "root"):
        (temp / part).mkdir(parents=True)
    say(f"layer: installing {' '.join(wanted)} over the guest root (once, about a minute)")
    command = ["setpriv", "--pdeathsig", "KILL", *([] if host.is_root() else host.user_namespace()),
               "unshare", "--mount", "--pid", "--fork", "--kill-child",
               str(Path(__file__).with_name("layer.sh")), str(rootdir), str(temp),
               str(len(host.apt_options())), *host.apt_options(), *wanted]
    started = time.monotonic()
    try:
        with open(log, "wb") as out:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, check=False).returncode
        if status:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            errors = [line for line in lines if line.startswith("E: ")] or lines[-1:] or [""]
            raise SetupError(f"could not install {' '.join(wanted)} ({errors[0]}): see {log}")
        (temp / "upper").rename(target)
    finally:
        root.remove(temp)
    say(f"layer: ready after {time.monotonic() - started:.0f} s")


def ensure(rootdir, name, series=""):
    """The path of a layer, made when there is none; SetupError if it cannot be had."""
    cache = host.cache_dir()
    target = path(cache, rootdir, name, series)
    if target.exists():
        return target
    (cache / "layers").mkdir(parents=True, exist_ok=True)
    with root.lock(cache):
        if not target.exists():
            for stale in (cache / "layers").glob(f"*{label(name, series)}.*"):
                if not root.in_use(str(stale).removesuffix(".log").removesuffix(".inuse")):
                    root.remove(stale)
            host.check_space(cache)
            make(cache, rootdir, target, packages(name, series))
    return target
