# SPDX-License-Identifier: GPL-2.0
"""At boot: the interfaces that vnet is to have, and a dead man across boots.

virtio_net has brought them up as it always does; before the network is
configured they are moved. What happened is on the disk before the move, so that
a boot that ends in a crash, or without a network, is followed by one on
virtio_net:

    trying WHAT BOOT    written before the bind
    good WHAT BOOT      the network came up
    bad WHAT BOOT       it did not, or vnet refused the device

WHAT is the installed vnet and the kernel: another one is tried again.
"""

import os
import time
from pathlib import Path

import checks
import managers
import move
import names
from system import (Refused, boot_id, every, find, load, nic_of_bus, output, read, run, say,
                    versions, warn, write)

LIST = Path("/etc/vnet/claim")
STATE = Path("/var/lib/vnet/boot")
HOOKS = Path("/etc/vnet/health.d")
MOTD = Path("/run/motd.d/vnet")
SETTLE_SECONDS = 60
APPEAR_SECONDS = 5


def wanted():
    """The words of the list: interface names or addresses."""
    words = []
    for line in read(LIST).splitlines():
        words += line.partition("#")[0].split()
    return list(dict.fromkeys(words))


def change(word, add):
    """Put an interface on the list or take it off."""
    if add:
        find(word)
    words = [other for other in wanted() if other != word] + ([word] if add else [])
    write(LIST, "# interfaces that vnet gets at boot: names or addresses, one a line\n" +
          "".join(f"{other}\n" for other in words))
    if not add:
        (STATE / word).unlink(missing_ok=True)
    say(f"{word} {'is claimed for vnet' if add else 'stays with virtio_net'} from the next boot on")


def what():
    return f"{versions()[1] or 'unknown'}:{os.uname().release}"


def verdict(word):
    """(state, what, boot) as it was written last."""
    parts = read(STATE / word).split()
    return tuple(parts[:3]) if len(parts) >= 3 else ("", "", "")


def note(word, state):
    write(STATE / word, f"{state} {what()} {boot_id()}\n")


def objection(word):
    """Why an interface is not to be moved in this boot; nothing if it may be."""
    state, which, boot = verdict(word)
    if which != what():
        return ""
    if state == "bad":
        return f"vnet {which} did not bring {word} up in an earlier boot"
    if state == "trying" and boot != boot_id():
        return f"the boot that tried vnet {which} on {word} did not end well"
    return ""


def tell(text):
    """In the journal, and to whoever logs in."""
    warn(text)
    MOTD.parent.mkdir(parents=True, exist_ok=True)
    with open(MOTD, "a", encoding="utf-8") as out:
        out.write(f"vnet: {text}\n")


def unforbid():
    """By its name virtio_net comes although it is blacklisted; vnet is loaded by nothing else."""
    if all(nic.driver for nic in every()):
        return
    run("modprobe", "virtio_net")
    for match in names.forbidden():
        tell(str(match))


def appear(word):
    """The device, for which udev may still have to load virtio_net, or to name it."""
    if Path("/run/udev/control").exists():
        run("udevadm", "settle", f"--timeout={SETTLE_SECONDS}",
            f"--exit-if-exists=/sys/class/net/{word}", timeout=SETTLE_SECONDS + 5)
    unforbid()
    deadline = time.monotonic() + APPEAR_SECONDS
    while True:
        try:
            return find(word)
        except Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def take(word):
    """Move one interface; it is on virtio_net again when that fails."""
    nic = appear(word)
    if nic.driver == "vnet":
        return
    why = objection(word)
    if why:
        raise Refused(f"{why}: {word} stays on virtio_net ('vnetctl claim --retry' tries again)")
    why = checks.root_over_network()
    if why:
        raise Refused(f"{why}: {word} stays on virtio_net, see the level 'early'")
    load("vnet")
    before = move.capture.Capture(nic)
    back = before.write(nic.driver)
    note(word, "trying")
    trouble = move.transfer(nic, before, "vnet")
    if trouble:
        note(word, "bad")
        run("sh", str(back), timeout=60)
        raise Refused(f"{trouble}; {word} is on {nic_of_bus(nic.bus).driver or 'no driver'}")
    say(f"{word} is on vnet {versions()[0]}")


def boot():
    """Before the network is configured. What goes wrong leaves virtio_net, and is said."""
    MOTD.unlink(missing_ok=True)
    for word in wanted():
        try:
            take(word)
        except Refused as error:
            tell(str(error))


def hooks(name):
    """The first program of the directory that fails, and what it said."""
    for path in sorted(HOOKS.glob("*")):
        if os.access(path, os.X_OK):
            status, out, errors = run(str(path), name, timeout=60)
            if status:
                return f"{path} ended with status {status}: {(out + errors).strip()}"
    return ""


def trouble_of(name):
    """Is the network there? A sentence, or nothing."""
    if not move.carrier(name):
        return f"{name} has no carrier"
    for gateway in move.gateways(name):
        if not move.gateway_answers(name, gateway):
            return f"the gateway {gateway[1]} does not answer over {name}"
    return hooks(name)


def health():
    """When the network is up, or should be: the verdict on this boot."""
    for word in wanted():
        state, _, when = verdict(word)
        if state != "trying" or when != boot_id():
            continue
        try:
            nic = find(word)
        except Refused as error:
            tell(str(error))
            continue
        trouble = trouble_of(nic.name)
        if not trouble:
            note(word, "good")
            say(f"{word}: the network is up")
            continue
        note(word, "bad")
        before = move.look_before(nic)
        load("virtio_net")
        run("sh", str(before.write("virtio_net")), timeout=60)
        managers.tell(before.manager, nic.name)
        tell(f"{trouble}: {word} is back on {nic_of_bus(nic.bus).driver or 'no driver'}")


def retry():
    """Forget the verdicts."""
    for path in STATE.glob("*"):
        path.unlink()
    say("the next boot tries vnet again")


def early():
    """True if modprobe loads vnet before virtio_net."""
    return "softdep virtio_net pre: vnet" in output("modprobe", "--showconfig")


def summary():
    """{word: {'driver', 'verdict', ...}} for status."""
    found = {}
    drivers = {nic.name: nic.driver for nic in every()}
    for word in wanted():
        state, which, _ = verdict(word)
        found[word] = {"driver": drivers.get(word, ""), "verdict": state or "none yet",
                       "what": which, "objection": objection(word)}
    return found
