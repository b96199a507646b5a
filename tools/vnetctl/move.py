# SPDX-License-Identifier: GPL-2.0
"""A device goes from one driver to the other, with a way back that needs nobody.

The dead man is armed before the device is touched. He is a shell script in
tmpfs that sleeps and then runs the way back; whoever renames the file 'armed.TOKEN'
first, he or the one who confirms, has decided. The token is his own: one who wakes up
long after his switch was confirmed has nothing to say about a later one.
"""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import capture
import checks
import managers
from system import (BUS, PATH, Refused, answer, have, last_words, load, nic_of_bus, read, run, say,
                    warn)

DEAD_MAN = """#!/bin/sh
# Written by vnetctl: unless somebody confirms within {seconds} s, go back.
PATH={path}
[ -n "$1" ] || sleep {seconds}
mv {directory}/armed.{token} {directory}/fired 2>/dev/null || exit 0
rm -f "$0"
echo "vnetctl: {name}: not confirmed within {seconds} s, back to {driver}" > /dev/kmsg
sh {script}
: > {directory}/undone
"""
CARRIER_SECONDS = 10
GATEWAY_SECONDS = 6


def unit(nic):
    return f"vnet-back-{nic.bus}"


def systemd():
    return Path("/run/systemd/system").is_dir() and have("systemd-run")


def armed(nic):
    """The file that stands for a switch which waits to be confirmed, or None."""
    return next(nic.directory.glob("armed.*"), None)


def arm(nic, script, driver, seconds):
    """Start the dead man."""
    directory, token = nic.directory, f"{os.getpid()}-{time.monotonic_ns()}"
    program = directory / f"dead-man.{token}.sh"
    program.write_text(DEAD_MAN.format(seconds=seconds, path=PATH, directory=directory, token=token,
                                       name=nic.name, driver=driver, script=script),
                       encoding="utf-8")
    for name in ("fired", "undone", "confirmed"):
        (directory / name).unlink(missing_ok=True)
    (directory / f"armed.{token}").write_text(f"{driver} {seconds}\n", encoding="ascii")
    if systemd():
        run("systemctl", "reset-failed", f"{unit(nic)}.timer", f"{unit(nic)}.service")
        status, _, errors = run(
            "systemd-run", "--quiet", "--collect", f"--unit={unit(nic)}",
            f"--on-active={seconds}s", "--timer-property=AccuracySec=100ms",
            "/bin/sh", str(program), "now")
        if not status:
            return
        warn(f"systemd-run does not arm the dead man ({errors.strip()}): he sleeps by himself")
    subprocess.Popen(["setsid", "sh", str(program)], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                     start_new_session=True, cwd="/", env={"PATH": PATH})


def disarm(nic):
    """True if it was in time."""
    waits = armed(nic)
    try:
        if not waits:
            return False
        waits.rename(nic.directory / "confirmed")
    except FileNotFoundError:
        return False
    (nic.directory / f"dead-man.{waits.suffix[1:]}.sh").unlink(missing_ok=True)
    if systemd():
        run("systemctl", "stop", f"{unit(nic)}.timer")
    return True


def go_back(nic, script):
    """At once; where the dead man has been faster he is waited for."""
    if disarm(nic):
        run("sh", str(script), timeout=60)
        return
    deadline = time.monotonic() + 60
    while not (nic.directory / "undone").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def gateways(name):
    """The next hops of default routes over an interface."""
    found = []
    for family in ("-4", "-6"):
        found += [(family, route["gateway"]) for route in
                  answer("ip", "-j", family, "route", "show", "default", "dev", name)
                  if "gateway" in route]
    return found


def ssh_hop(name):
    """The next hop, if it is over this interface, to whoever is logged in by ssh: a list."""
    client = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    for route in answer("ip", "-j", "route", "get", client) if client else ():
        if route.get("dev") == name:
            return [("-6" if ":" in client else "-4", route.get("gateway", client))]
    return []


def gateway_answers(name, gateway, seconds=GATEWAY_SECONDS):
    """Ask the neighbour by ARP or neighbour discovery."""
    family, address = gateway
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run("ip", family, "neigh", "replace", address, "dev", name, "use")
        for _ in range(10):
            state = answer("ip", "-j", family, "neigh", "show", address, "dev", name)
            if state and state[0].get("lladdr") and \
                    set(state[0].get("state", ())) & {"REACHABLE", "DELAY", "PROBE", "PERMANENT"}:
                return True
            time.sleep(0.1)
    return False


def carrier(name, seconds=CARRIER_SECONDS):
    deadline = time.monotonic() + seconds
    while read(f"/sys/class/net/{name}/carrier") != "1":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def healthy(before, command=""):
    """What is wrong with the interface after the move: a sentence, or nothing."""
    name = before.name
    was_up = f"link set dev {name} up" in before.batch
    if was_up and before.had_carrier and not carrier(name):
        return f"{name} has no carrier after {CARRIER_SECONDS} s"
    missing = set(capture.plain(before.batch)) - set(capture.plain(capture.addresses(name)))
    if missing:
        return f"{name} has lost {' '.join(sorted(missing))}"
    for gateway in before.gateways:
        if not gateway_answers(name, gateway):
            return f"the gateway {gateway[1]} does not answer over {name}"
    if command:
        status, out, errors = run("sh", "-c", command, timeout=60)
        if status:
            return f"the check '{command}' ended with status {status}: {(out + errors).strip()}"
    return ""


def look_before(nic):
    """What is there now, with what a later look is compared to."""
    before = capture.Capture(nic)
    before.manager = managers.of(nic.name)
    before.had_carrier = read(f"/sys/class/net/{nic.name}/carrier") == "1"
    before.gateways = [hop for hop in dict.fromkeys(gateways(nic.name) + ssh_hop(nic.name))
                       if gateway_answers(nic.name, hop, 3)]
    return before


def transfer(nic, before, driver):
    """Run the script of the move and put back what ethtool knows; an obstacle is a sentence."""
    script = before.write(driver, own=False)
    status, _, errors = run("sh", str(script), timeout=60)
    now = nic_of_bus(nic.bus)
    if status or now.driver != driver:
        return f"{driver} does not take {nic.bus} ({errors.strip() or last_words()})"
    if now.name != nic.name:
        return f"{nic.bus} is {now.name} now and not {nic.name}"
    for line in capture.ethtool_lines(nic.name, before.ethtool, capture.ethtool(nic.name)):
        status, _, errors = run(*line.split())
        if status:
            warn(f"{driver} does not take '{line}': {errors.strip().splitlines()[-1:]}")
    return ""


def ask(seconds):
    """ENTER keeps it. SIGUSR1 does, too; ^C, SIGTERM or silence do not."""
    kept = []
    signal.signal(signal.SIGUSR1, lambda *_: kept.append(True))
    print(f"ENTER keeps it, otherwise it goes back in {seconds} s: ", end="", flush=True)
    deadline = time.monotonic() + seconds
    try:
        while not kept and time.monotonic() < deadline:
            ready, _, _ = select.select([sys.stdin], [], [], 0.2)
            if ready:
                return bool(sys.stdin.readline())
    except KeyboardInterrupt:
        return False
    finally:
        print(flush=True)
    return bool(kept)


def obstacles(nic, driver, force):
    """Refused with all obstacles, unless --force is meant and they are soft."""
    found = checks.look(nic, driver)
    stop = [finding for finding in found if finding.hard or not force]
    if stop:
        raise Refused("\n  ".join([f"{nic.name or nic.bus} stays where it is:", *map(str, stop)]))
    for finding in found:
        warn(f"forced: {finding}")


def switch(nic, driver, *, seconds=60, command="", yes=False, force=False, wait=True):
    """Give a device to a driver; Refused when it stayed or went back."""
    if armed(nic):
        raise Refused(f"a switch of {nic.name} waits to be confirmed: 'vnetctl confirm {nic.name}' "
                      "or wait until it goes back")
    if nic.driver == driver:
        say(f"{nic.name or nic.bus} has {driver} already")
        return
    if not nic.name:
        raise Refused(f"{nic.bus} has no interface here: bind it by hand, "
                      f"echo {nic.bus} > {BUS}/drivers/{driver}/bind")
    obstacles(nic, driver, force)
    load(driver)
    before = look_before(nic)
    back = before.write(nic.driver)
    arm(nic, back, nic.driver, seconds)
    started = time.monotonic()
    trouble = transfer(nic, before, driver)
    took = time.monotonic() - started
    if not trouble:
        managers.tell(before.manager, nic.name)
        trouble = healthy(before, command)
    if trouble:
        go_back(nic, back)
        managers.tell(before.manager, nic.name)
        raise Refused(f"{trouble}; {nic.name} is back on {nic_of_bus(nic.bus).driver}")
    say(f"{nic.name} is on {driver} (moved in {took:.2f} s)")
    decide(nic, back, before, seconds - (time.monotonic() - started), yes, wait)


def decide(nic, back, before, left, yes, wait):
    """Ask whoever sits there; without one the checks have decided."""
    if not wait:
        say(f"'vnetctl confirm {nic.name}' keeps it, otherwise it goes back in {left:.0f} s")
        return
    keep = yes or not os.isatty(0) or ask(max(int(left), 1))
    if keep:
        disarm(nic)
    if (nic.directory / "confirmed").exists():  # here, or by 'vnetctl confirm' from elsewhere
        say(f"{nic.name} stays")
        return
    go_back(nic, back)
    managers.tell(before.manager, nic.name)
    raise Refused(f"not confirmed: {nic.name} is back on {nic_of_bus(nic.bus).driver}")


def confirm(nics):
    """Keep what was switched; Refused if nothing waits."""
    kept = [nic for nic in nics if disarm(nic)]
    for nic in kept:
        say(f"{nic.name or nic.bus} stays on {nic.driver}")
    if not kept:
        raise Refused("nothing waits to be confirmed (or it went back already)")


def waiting(nic):
    """A sentence about a switch that nobody has confirmed, or nothing."""
    for path, sentence in ((armed(nic), "waits to be confirmed, otherwise back to"),
                           (nic.directory / "fired", "was not confirmed and went back to")):
        text = read(path) if path else ""
        if text:
            return f"{sentence} {text.split()[0]}"
    return ""


def reload(seconds=60, force=False):
    """The installed vnet takes the place of the running one, under traffic."""
    import system
    nics = [nic for nic in system.every() if nic.driver == "vnet"]
    if not system.loaded("vnet"):
        raise Refused("vnet is not loaded: there is nothing to reload")
    for nic in nics:
        if not nic.name:
            raise Refused(f"{nic.bus} has no interface in this network namespace: move it first")
        obstacles(nic, "virtio_net", force)
        obstacles(nic, "vnet", force)
    if not system.module("filename"):
        raise Refused("there is no installed vnet for this kernel, see 'dkms status'")
    if nics:
        load("virtio_net")
    for nic in nics:
        switch(nic, "virtio_net", seconds=seconds, yes=True, force=True)
    status, _, errors = run("rmmod", "vnet")
    if status:
        raise Refused(f"vnet cannot be unloaded ({errors.strip()}): the interfaces are on "
                      "virtio_net, the old vnet is still loaded")
    load("vnet")
    for nic in nics:
        switch(nic_of_bus(nic.bus), "vnet", seconds=seconds, yes=True, force=True)
    say(f"vnet {system.versions()[0]} runs on {' '.join(n.name for n in nics) or 'no interface'}")
