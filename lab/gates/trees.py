# SPDX-License-Identifier: GPL-2.0
"""Kernel sources, kernel build directories and the files of the driver.

Everything here runs inside the guest root (python3 -m lab exec). A kernel
build always sees its source at /mnt/src and its output at /mnt/build, so that
ccache finds what an earlier version of either has compiled.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from lab import SetupError, die, say  # noqa: E402

CACHE = Path("/cache")
IN_TREE = "drivers/net/vnet"
FOLDERS = ("data", "life", "policy")     # of rooms, beside those at the top
COMPANIONS = ("vmon", "vkit")      # modules of their own, beside the driver
JOBS = f"-j{len(os.sched_getaffinity(0))}"
SOURCE_BYTES = 3 << 30
ENV = {
    "PATH": "/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin",
    "CCACHE_DIR": str(CACHE / "ccache"),
    "CCACHE_MAXSIZE": "6G",
    "CCACHE_COMPILERCHECK": "content",
    "CCACHE_NOHASHDIR": "1",
    "KBUILD_BUILD_TIMESTAMP": "@0",
    "KBUILD_BUILD_USER": "vnet",
    "KBUILD_BUILD_HOST": "vnet",
}


def enter_root(script, layers=()):
    """Start SCRIPT again inside the guest root, with layers over it, unless it runs there."""
    if os.environ.get("VNET_LAB"):
        return
    inner = "/vnet/" + str(Path(script).resolve().relative_to(TOP))
    os.environ["PYTHONPATH"] = str(TOP)
    os.execvp(sys.executable, [sys.executable, "-m", "lab", "exec",
                               *(f"--layer={name}" for name in layers), "python3", inner,
                               *sys.argv[1:]])


def run(main):
    """Leave with main()'s status; a set-up problem is one sentence and status 2."""
    try:
        sys.exit(main())
    except SetupError as error:
        die(error)
    except KeyboardInterrupt:
        sys.exit(130)


def shell(script, on_line=None):
    """Run shell lines in a mount name space of their own; (status, output)."""
    lines = []
    with subprocess.Popen(["unshare", "--mount", "bash", "-euc", script],
                          env=dict(os.environ, **ENV), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as job:
        for line in job.stdout:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))
    return job.returncode, "".join(lines)


def text_of(argv):
    """What a program prints; it must not fail."""
    return subprocess.run(argv, capture_output=True, text=True, errors="replace",
                          check=True).stdout


def need(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        raise SetupError(f"the guest root has no {', '.join(missing)}: make it anew with the "
                         "packages of lab/gates/packages ('lab/start gc', then start again)")


def digest(*parts):
    state = hashlib.sha256()
    for part in parts:
        state.update(part.encode() + b"\0")
    return state.hexdigest()[:12]


@contextlib.contextmanager
def locked(path):
    """Two sessions must not fill the same directory; the one that it is in is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another session that uses {Path(path).name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def outer(path):
    """A path of the cache as the user sees it."""
    return str(path).replace(str(CACHE), os.environ.get("VNET_CACHE", str(CACHE)), 1)


def numbers(name):
    return [int(n) for n in re.findall(r"\d+", name)]


def headers():
    """Kernel releases whose headers the root holds, oldest first."""
    found = [path.parent.name for path in Path("/lib/modules").glob("*/build")]
    if not found:
        raise SetupError("the guest root has no kernel headers: run 'lab/start gc' and try again")
    return sorted(found, key=numbers)


def series():
    """Series of the kernel sources that the root holds, oldest first."""
    found = [path.name[len("linux-source-"):-len(".tar.xz")]
             for path in Path("/usr/src").glob("linux-source-*.tar.xz")]
    if not found:
        raise SetupError("the guest root has no kernel source: run 'lab/start gc' and try again")
    return sorted(found, key=numbers)


# What checkpatch and kernel-doc are made of, and by what checkpatch knows a kernel source. An
# older series has not all of it.
TOOLS = ("scripts", "tools/docs", "tools/lib/python", "COPYING", "CREDITS", "Kbuild", "Makefile",
         "MAINTAINERS", "README")
TOP_LEVEL = ("Documentation", "arch", "include", "drivers/net", "fs", "init", "ipc", "kernel",
             "lib")


def source(name):
    """The unpacked source of series NAME; nobody writes to it."""
    version = text_of(["dpkg-query", "-W", "-f", "${Version}", f"linux-source-{name}"])
    return unpacked(CACHE / f"linux-source-{version}", name,
                    # graphics drivers are a third of the tree; their Kconfig files are wanted
                    ["--exclude=linux-source-*/drivers/gpu/*.[ch]"])


def tools(name):
    """The part of the source of series NAME that checks text: all of it where it is unpacked."""
    version = text_of(["dpkg-query", "-W", "-f", "${Version}", f"linux-source-{name}"])
    whole = CACHE / f"linux-source-{version}"
    if whole.is_dir():
        return whole
    part = unpacked(CACHE / f"linux-tools-{version}", name,
                    [f"linux-source-{name}/{path}" for path in TOOLS])
    for path in TOP_LEVEL:
        (part / path).mkdir(parents=True, exist_ok=True)
    return part


def unpacked(path, name, arguments):
    """A directory of the cache with what tar takes out of the source of series NAME."""
    if not path.is_dir():
        with locked(path):
            if not path.is_dir():
                unpack(name, path, arguments)
    return path


def unpack(name, path, arguments):
    if shutil.disk_usage(CACHE).free < SOURCE_BYTES:
        raise SetupError(f"the cache needs {SOURCE_BYTES >> 30} GiB free for a kernel source: "
                         "make room or set XDG_CACHE_HOME to a larger disk")
    say(f"unpacking {path.name} (once)")
    work = Path(f"{path}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    tar = subprocess.run(["tar", "-xJf", f"/usr/src/linux-source-{name}.tar.xz", "-C", str(work),
                          "--strip-components=1", *arguments],
                         env=dict(os.environ, XZ_DEFAULTS="--threads=0", LC_ALL="C"),
                         capture_output=True, text=True, check=False)
    told = complaints(tar.stderr)
    if tar.returncode and told:
        shutil.rmtree(work, ignore_errors=True)
        raise SetupError(f"cannot unpack linux-source-{name}: {told[0]}")
    work.rename(path)


def complaints(stderr):
    """What tar says, but for what an archive does not have and the line that sums up."""
    return [line for line in stderr.strip().splitlines()
            if not re.search(r": Not found in archive$|previous errors$", line)]


def overlay(src, upper, work):
    """Shell lines that show SRC at /mnt/src, with what is written to it in UPPER."""
    options = shlex.quote(f"lowerdir={src},upperdir={upper},workdir={work}")
    return f"""
mkdir -p /mnt/src
mount -t overlay -o {options},userxattr vnet /mnt/src 2>/dev/null ||
    mount -t overlay -o {options} vnet /mnt/src
"""


def mounts(src, build):
    """Shell lines that show SRC (writes vanish) and BUILD to a kernel build."""
    return f"""
mount -t tmpfs vnet /mnt
mkdir /mnt/src /mnt/build /mnt/up /mnt/work
{overlay(src, "/mnt/up", "/mnt/work")}
mount --bind {shlex.quote(str(build))} /mnt/build
"""


def driver_files():
    """What kbuild sees of the project, companions too, relative to its top."""
    found = [*TOP.glob("*.c"), *(TOP / "include").rglob("*.h"), *(TOP / "kunit").rglob("*.[ch]")]
    found += [path for folder in (*FOLDERS, *COMPANIONS) for path in (TOP / folder).glob("*.[ch]")]
    names = ("Kbuild", "Makefile", "Kconfig", "VERSION")
    found += [path for sub in (".", "kunit", *COMPANIONS) for name in names
              if (path := TOP / sub / name).is_file()]
    found += (TOP / "scripts").glob("*.sh")
    return sorted(str(path.relative_to(TOP)) for path in found if not path.name.endswith(".mod.c"))


def tree_files():
    """Every file of the project that git does not ignore."""
    got = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(TOP), "ls-files", "-coz",
                          "--exclude-standard"], capture_output=True, text=True, check=False)
    if got.returncode:
        raise SetupError(f"git cannot list the files of {TOP} ({got.stderr.strip()}): "
                         "the gates need a git checkout")
    names = set(got.stdout.split("\0")) - {""}
    return sorted(name for name in names if (TOP / name).is_file())
