# SPDX-License-Identifier: GPL-2.0
"""The user's machine: what is installed, who we are, how much room there is."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from . import SetupError, say

PACKAGES = {  # program -> Debian package
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
}
USER_PACKAGES = {"newuidmap": "uidmap"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ROOT_BYTES = 4 << 30


def is_root():
    return os.geteuid() == 0


def have_sudo():
    """True if sudo works without asking for a password."""
    return bool(shutil.which("sudo")) and not subprocess.run(
        ["sudo", "-n", "true"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False).returncode


def which(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(
        os.environ.get("HOME") or "/root", ".cache")
    return Path(base) / "vnet"


def missing_packages():
    wanted = dict(PACKAGES)
    if not is_root():
        wanted.update(USER_PACKAGES)
    missing = {pkg for prog, pkg in wanted.items() if not which(prog)}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    return sorted(missing)


def install(packages):
    """Install host packages, or say how to."""
    names = " ".join(packages)
    if not which("apt-get"):
        raise SetupError(f"this machine has no apt-get: install {names} and start again "
                         "(on other distributions than Debian set VNET_MIRROR, too)")
    if is_root():
        sudo = []
    elif have_sudo():
        sudo = ["sudo", "-n"]
    else:
        raise SetupError(f"missing on this machine: {names}; run "
                         f"'apt-get install {names}' as root and start again")
    say(f"host: installing {names}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    log = cache_dir() / "host-install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        for args in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            if subprocess.run([*sudo, "apt-get", "-q", *args], env=env, stdout=out,
                              stderr=subprocess.STDOUT, check=False).returncode and \
                    args[0] == "install":
                raise SetupError(f"could not install {names}: see {log}")


def user_namespace():
    """The command prefix that makes an ordinary user root in a name space."""
    return ["unshare", "--user", "--map-root-user", "--map-auto"]


def check_user_namespace():
    test = subprocess.run([*user_namespace(), "--mount", "--net", "chown", "1:1", "/dev/null"],
                          capture_output=True, text=True, check=False)
    # chown of a foreign file must fail with EPERM and not earlier
    if "chown" in test.stderr:
        return
    user = os.environ.get("USER") or str(os.getuid())
    try:
        ranges = Path("/etc/subuid").read_text(encoding="ascii").splitlines()
    except OSError:
        ranges = []
    if not any(line.split(":")[0] in (user, str(os.getuid())) for line in ranges):
        raise SetupError(f"user {user} has no range in /etc/subuid: run 'usermod --add-subuids "
                         f"100000-165535 --add-subgids 100000-165535 {user}' as root, "
                         "or start again as root")
    raise SetupError("user namespaces do not work for this user "
                     f"({test.stderr.strip().splitlines()[-1:] or ['no message']}[0]): "
                     "start again as root")


def check_space(path):
    path.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path).free
    if free < ROOT_BYTES:
        raise SetupError(f"{path} has {free >> 20} MiB free and the guest root needs "
                         f"{ROOT_BYTES >> 20}: make room or set XDG_CACHE_HOME to a larger disk")


def check_memory():
    with open("/proc/meminfo", encoding="ascii") as info:
        fields = dict(line.split(":") for line in info)
    free = int(fields["MemAvailable"].split()[0]) >> 10
    if free < 1536:
        raise SetupError(f"only {free} MiB of memory are free and a guest needs 1536: "
                         "close something and start again")


def ensure():
    """Everything that must be true before a root can be made or entered."""
    if platform.machine() != "x86_64":
        raise SetupError(f"the lab needs an x86-64 machine, this is {platform.machine()}")
    missing = missing_packages()
    if missing:
        install(missing)
        missing = missing_packages()
        if missing:
            raise SetupError(f"still missing after installation: {' '.join(missing)}")
    if not is_root():
        check_user_namespace()
    cache = cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"cannot make {cache}: {error.strerror}; "
                         "set XDG_CACHE_HOME to a directory of yours") from None
    if not os.access(cache, os.W_OK):
        raise SetupError(f"cannot write to {cache}: set XDG_CACHE_HOME to a directory of yours")


def apt(*command):
    """What a program of apt prints; nothing on a machine that has none."""
    if not which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def mirror():
    """The Debian mirror: that of VNET_MIRROR, or the one that the machine's own apt uses."""
    if os.environ.get("VNET_MIRROR"):
        return os.environ["VNET_MIRROR"]
    fmt = "$(SITE)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(SUITE)$(CODENAME)"
    out = apt("apt-get", "indextargets", "--format", fmt)
    for line in out.splitlines():
        site, origin, label, component, *_ = line.split("|")
        if origin == "Debian" and label == "Debian" and component == "main":
            return site
    raise SetupError("apt on this machine knows no Debian mirror: set VNET_MIRROR to the address "
                     "of one, or add a Debian archive to /etc/apt/sources.list and run "
                     "apt-get update")


def apt_options():
    """How the machine's apt reaches its mirror, and how old that may be, for another apt."""
    out = apt("apt-config", "dump")
    return [line.rstrip(";") + ";" for line in out.splitlines()
            if line.startswith(("Acquire::http::Proxy", "Acquire::https::Proxy",
                                "Acquire::Check-Valid-Until"))
            and '""' not in line]
