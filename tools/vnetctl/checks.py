# SPDX-License-Identifier: GPL-2.0
"""What stands in the way of a switch, looked at before anything is touched."""

from dataclasses import dataclass
from pathlib import Path

import names
from system import answer, loaded, module, output, read, run, versions

NETWORK_ROOT = ("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs", "fuse.glusterfs")
PLAIN_QDISCS = {"noqueue", "mq", "pfifo_fast", "fq", "fq_codel", "pfifo", "bfifo", "cake"}
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@dataclass(frozen=True)
class Finding:
    """One obstacle; what is hard cannot be overruled by --force."""

    text: str
    hard: bool = False

    def __str__(self):
        return self.text


def root_over_network():
    """Why the root file system, or a disk, hangs on the network; nothing if it does not."""
    for line in read("/proc/mounts").splitlines():
        _, where, kind, *_ = line.split()
        if where == "/" and kind in NETWORK_ROOT:
            return f"the root file system is {kind}"
    if any(Path("/sys/class/iscsi_session").glob("*")):
        return "there is an iSCSI session"
    if any(Path("/sys/block").glob("nbd*/pid")):
        return "there is a network block device (nbd)"
    return ""


def uppers(name):
    found = sorted(path.name[len("upper_"):]
                   for path in Path("/sys/class/net", name).glob("upper_*"))
    if found:
        yield Finding(f"{' '.join(found)} sits on {name} and would lose it: take it off first, or "
                      "--force and set it up anew afterwards")


def programs(name):
    for link in answer("ip", "-j", "-d", "link", "show", "dev", name):
        if link.get("xdp"):
            yield Finding(f"an XDP program is attached to {name} and would go: detach it, or "
                          "--force and attach it again afterwards")
    if f" {name}:" in output("ss", "-H", "--xdp"):
        yield Finding(f"an AF_XDP socket is bound to {name} and would be dead: end its program, or "
                      "--force and start it again afterwards")


def qdiscs(name):
    default = read("/proc/sys/net/core/default_qdisc")
    kinds = {entry.get("kind", "") for entry in answer("tc", "-j", "qdisc", "show", "dev", name)}
    other = sorted(kinds - PLAIN_QDISCS - {default, ""})
    if other:
        yield Finding(f"{name} has qdiscs or filters ({' '.join(other)}) that would go: note them "
                      "('tc qdisc', 'tc filter') and use --force")


def multipath(name):
    text = output("ip", "route", "show", "table", "all") + \
        output("ip", "-6", "route", "show", "table", "all")
    for line in text.splitlines():
        if "nexthop " in line and f" dev {name} " in line + " ":
            yield Finding(f"a route with several next hops uses {name} ({line.strip()}): it would "
                          "lose this one; --force and add it again afterwards")


def signature():
    """What is known about signatures: sentences."""
    found = []
    enforced = read("/sys/module/module/parameters/sig_enforce") == "Y"
    lockdown = read("/sys/kernel/security/lockdown")
    try:
        secure = Path(SECURE_BOOT).read_bytes()[-1] == 1
    except (OSError, IndexError):
        secure = False
    signer = module("signer")
    found.append(f"Secure Boot {'on' if secure else 'off'}, signatures "
                 f"{'enforced' if enforced else 'not enforced'}, lockdown "
                 f"{lockdown or 'unknown'}; vnet is signed by {signer or 'nobody'}")
    if signer and run("mokutil", "--sb-state")[0] != 127:
        known = "is already enrolled" in "".join(
            run("mokutil", "--test-key", "/var/lib/dkms/mok.pub")[1:])
        found.append(f"the key of dkms is {'' if known else 'not '}enrolled")
    return found, enforced and not signer


def target(driver):
    """Can this driver be had at all?"""
    if loaded(driver):
        return
    status, _, errors = run("modprobe", "--dry-run", driver)
    if status:
        yield Finding(f"there is no module {driver} for this kernel ({errors.strip()}): "
                      "install it, see 'dkms status'", hard=True)
    elif driver == "vnet" and module("version").endswith("-stand-in"):
        yield Finding("vnet did not build for this kernel, what is installed is a stand-in that "
                      "does not load: see 'dkms status' and make.log under /var/lib/dkms/vnet",
                      hard=True)
    elif driver == "vnet" and signature()[1]:
        yield Finding("this kernel takes only signed modules and vnet is not signed: see "
                      "security-boot in the documentation", hard=True)


def boot_line():
    """virtio_net is kept away by the boot loader's line."""
    for word in read("/proc/cmdline").split():
        key, _, value = word.partition("=")
        if key in ("module_blacklist", "modprobe.blacklist") and \
                {"virtio_net", "virtio-net"} & set(value.split(",")):
            yield Finding(f"'{word}' on the kernel's command line keeps the one driver away that "
                          "has the network where vnet fails: take it out of the boot loader's file")


def look(nic, driver):
    """All obstacles to giving a device to a driver."""
    found = list(target(driver))
    why = root_over_network()
    if why:
        found.append(Finding(f"{why}: a switch may cut it off; use the level 'early' for that, "
                             "or --force if it is not over this interface"))
    if nic.name:
        for part in (uppers, programs, qdiscs, multipath):
            found += part(nic.name)
    if driver == "vnet":
        found += [Finding(str(match)) for match in names.search() + names.forbidden()]
        found += boot_line()
    return found


def notes():
    """What one may want to know and that is no obstacle."""
    running, installed = versions()
    lines = signature()[0]
    if running and installed and running != installed:
        lines.append(f"running is vnet {running}, installed {installed}: 'vnetctl reload' "
                     "takes the new one")
    return lines
