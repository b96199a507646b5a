# SPDX-License-Identifier: GPL-2.0
"""What the machine says: processes, modules and the virtio network devices in sysfs."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BUS = Path("/sys/bus/virtio")
RUN = Path("/run/vnet")
DRIVERS = ("vnet", "virtio_net")
NET_ID = 1
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Refused(Exception):
    """What was asked for cannot be done; nothing, or nothing more, was touched."""


def say(text):
    print(f"vnetctl: {text}", flush=True)


def warn(text):
    print(f"vnetctl: {text}", file=sys.stderr, flush=True)


def run(*command, timeout=30):
    """Run a program; (status, output, errors). A program that is not there is status 127.

    One that does not end is 124. It is killed and not waited for: it may hang in the
    kernel, where nothing ends it.
    """
    try:
        child = subprocess.Popen(command, text=True, errors="replace",
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=dict(os.environ, PATH=PATH, LC_ALL="C.UTF-8"))
    except FileNotFoundError:
        return 127, "", f"there is no {command[0]}"
    try:
        out, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        return 124, "", f"{command[0]} did not end within {timeout} s"
    return child.returncode, out, errors


def output(*command, **options):
    """What a program prints, or nothing."""
    return run(*command, **options)[1]


def answer(*command):
    """What a program prints as JSON, or an empty list."""
    try:
        return json.loads(output(*command))
    except ValueError:
        return []


def have(program):
    return shutil.which(program, path=PATH) is not None


def read(path):
    """The text of a small file, or nothing."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def need_root():
    if os.geteuid() != 0:
        raise Refused("this needs root: start it again with sudo")


@dataclass(frozen=True)
class Nic:
    """A virtio network device: its name on the bus, its interface ('' without), its driver."""

    bus: str
    name: str
    driver: str

    @property
    def mac(self):
        return read(f"/sys/class/net/{self.name}/address") if self.name else ""

    @property
    def directory(self):
        """Where the state of a switch is kept: tmpfs, gone with the boot."""
        return RUN / self.bus


def nic_of_bus(bus):
    device = BUS / "devices" / bus
    driver = device / "driver"
    name = next((path.name for path in sorted(device.glob("net/*"))), "")
    return Nic(bus, name, driver.resolve().name if driver.exists() else "")


def every():
    """All virtio network devices."""
    found = []
    for device in sorted(BUS.glob("devices/virtio*"), key=lambda path: int(path.name[6:])):
        if int(read(device / "device") or "0", 16) == NET_ID:
            found.append(nic_of_bus(device.name))
    return found


def find(word):
    """The device with this interface, bus name or address; Refused if there is none."""
    nics = every()
    for nic in nics:
        if word in (nic.name, nic.bus) or word.lower() == nic.mac:
            return nic
    path = Path("/sys/class/net") / word
    if "/" not in word and path.exists():
        driver = (path / "device/driver").resolve().name if (path / "device").exists() else ""
        raise Refused(f"{word} is no virtio network device" +
                      (f" (its driver is {driver})" if driver and driver != "driver" else ""))
    names = " ".join(nic.name or nic.bus for nic in nics)
    raise Refused(f"there is no interface {word} here; virtio network devices: "
                  f"{names or 'none'} (one in another network namespace shows no name)")


def loaded(driver):
    return (BUS / "drivers" / driver).is_dir()


def last_words():
    """The kernel's last lines about modules and vnet."""
    lines = [line for line in output("dmesg").splitlines()
             if re.search(r"vnet|virtio_net|module|Key was rejected|Lockdown", line)]
    return re.sub(r"^\[[^]]*\] *", "", lines[-1]) if lines else "no message of the kernel"


def load(driver):
    """Load a driver; Refused with the kernel's reason if it does not come."""
    if loaded(driver):
        return
    status, _, errors = run("modprobe", driver)
    if status or not loaded(driver):
        raise Refused(f"{driver} does not load ({errors.strip() or 'no message'}; the kernel: "
                      f"{last_words()}); nothing was touched, see 'vnetctl check'")


def module(field, driver="vnet"):
    """A field of the installed module, or nothing."""
    return output("modinfo", "-F", field, driver).strip()


def versions():
    """(running, installed) of vnet, each 'VERSION/SRCVERSION' or nothing."""
    both = []
    for version, source in ((read("/sys/module/vnet/version"), read("/sys/module/vnet/srcversion")),
                            (module("version"), module("srcversion"))):
        both.append(f"{version or '-'}/{source or '-'}" if version or source else "")
    return tuple(both)


def health():
    """{device: [reporter, ...]}"""
    try:
        found = json.loads(output("devlink", "-j", "health", "show"))["health"]
    except (ValueError, KeyError):
        return {}
    return {dev: [entry["reporter"] for entry in entries if "reporter" in entry]
            for dev, entries in found.items()}


def boot_id():
    return read("/proc/sys/kernel/random/boot_id")


def write(path, text):
    """Replace a file, on the disk before this returns."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.new")
    with open(temp, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temp.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
