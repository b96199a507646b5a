# SPDX-License-Identifier: GPL-2.0
"""The guest root: made once by mmdebstrap, kept in the cache, keyed by its recipe."""

import fcntl
import hashlib
import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from . import SetupError, host, say

RECIPE = Path(__file__).with_name("recipe")
PROGRESS = re.compile(r"I: ((?:running apt|downloading|extracting|installing|kernels:|cleaning).*)")
LISTS = (RECIPE / "packages", Path(__file__).with_name("gates") / "packages")


def recipe_packages():
    """The package names of the lists, comments dropped."""
    text = "\n".join(path.read_text(encoding="ascii") for path in LISTS)
    return sorted(set(re.sub(r"#.*", "", text).split()))


def recipe_hash():
    """Changes when a package or a script of the recipe changes, not with a comment."""
    digest = hashlib.sha256(" ".join(recipe_packages()).encode())
    for path in sorted(RECIPE.glob("*.sh")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def lock(cache):
    """One session at a time makes or removes roots."""
    with open(cache / "root.lock", "w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("root: another session is making the guest root, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove(path):
    """Remove a root, also one whose files belong to our subordinate users."""
    prefix = [] if host.is_root() else host.user_namespace()
    subprocess.run([*prefix, "rm", "-rf", "--one-file-system", str(path)], check=False)


def in_use(path):
    """A session holds a shared lock on the root that it runs in, and on its layers."""
    try:
        handle = os.open(f"{path}.inuse", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def old_roots(cache, keep):
    """Roots of other recipes that no session runs in."""
    return [path for path in cache.glob("root-*[0-9a-f]")
            if path.is_dir() and path != keep and not in_use(path)]


def remove_old(cache, keep):
    for path in old_roots(cache, keep):
        say(f"root: removing {path.name}, which an older recipe made")
        remove(path)
        Path(f"{path}.inuse").unlink(missing_ok=True)


def progress(process, log):
    """Repeat mmdebstrap's own progress lines while it works."""
    with open(log, "w", encoding="utf-8") as out:
        for line in process.stderr:
            out.write(line)
            out.flush()
            told = PROGRESS.match(line)
            if told:
                say(f"root: {told[1]}")
    return process.wait()


def make(cache, target):
    hook = RECIPE / "kernels.sh"
    bootstrap(cache, target, "the guest root", [
        "--variant=apt",
        "--include=" + ",".join(recipe_packages()),
        f"--essential-hook=cp -a '{RECIPE}/dpkg.sh' \"$1/tmp/dpkg.sh\" && "
        "chroot \"$1\" sh /tmp/dpkg.sh",
        f"--customize-hook=cp '{hook}' \"$1/tmp/kernels.sh\" && chroot \"$1\" sh /tmp/kernels.sh"])


def bootstrap(cache, target, what, arguments):
    """Have mmdebstrap make a root, WHAT, of Debian stable and its backports."""
    host.check_space(cache)
    mirror = host.mirror()
    temp = cache / f"making-{os.getpid()}"
    log = cache / "root.log"
    say(f"root: making {what} in {target} (once, two to five minutes; log: {log})")
    command = [
        "mmdebstrap", "--mode=root",
        "--aptopt=APT::Default-Release \"trixie-backports\"",
        "--aptopt=APT::Install-Recommends \"false\"",
        "--aptopt=Acquire::Languages \"none\"",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        *(f"--aptopt={option}" for option in host.apt_options()),
        *arguments, "trixie", str(temp),
        f"deb {mirror} trixie main",
        f"deb {mirror} trixie-backports main",
    ]
    prefix = ["setpriv", "--pdeathsig", "KILL"]
    if not host.is_root():
        prefix += [*host.user_namespace(), "--mount", "--pid", "--fork", "--kill-child"]
    # the distribution's Python first: a version manager's takes seconds to start
    env = dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ["PATH"], LC_ALL="C",
               TMPDIR=str(cache))
    started = time.monotonic()
    try:
        with subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, errors="replace", env=env) as process:
            status = progress(process, log)
        if status:
            last = log.read_text(encoding="utf-8").strip().splitlines()
            errors = [line for line in last if line.startswith("E: ")] or last[-1:]
            raise SetupError(f"mmdebstrap could not make {what} ({errors[0]}): see {log}; "
                             "check the network and apt's mirror, then start again")
        temp.rename(target)
    finally:
        if temp.exists():
            remove(temp)
    say(f"root: ready after {time.monotonic() - started:.0f} s")


def default_series(rootdir):
    """The series (7.2) of the newest kernel that a meta package stands for; see kernels.py."""
    signed = [p.name for p in (rootdir / "var/lib/dpkg/info").glob("linux-image-[0-9]*.list")]
    found = [re.match(r"linux-image-(\d+)\.(\d+)", name) for name in signed]
    if not found:
        raise SetupError("the guest root has no kernel image: run 'lab/start gc' and try again")
    return "{}.{}".format(*max((int(m[1]), int(m[2])) for m in found if m))


def ensure():
    """Return the guest root, making it first when there is none for this recipe."""
    cache = host.cache_dir()
    target = cache / f"root-{recipe_hash()}"
    if target.exists() and not old_roots(cache, target):
        return target
    with lock(cache):
        for stale in (*cache.glob("making-*"), *cache.glob("mmdebstrap.*")):
            remove(stale)
        if not target.exists():
            make(cache, target)
        remove_old(cache, target)
    return target
