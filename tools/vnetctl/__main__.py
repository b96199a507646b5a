# SPDX-License-Identifier: GPL-2.0
"""vnetctl: move network devices between virtio_net and vnet, and tell how they are."""

import argparse
import json
import sys

import checks
import claim
import move
import names
import system
from system import Refused, say, warn


def parser():
    top = argparse.ArgumentParser(prog="vnetctl", description=__doc__.split(": ", 1)[1])
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    one = verbs.add_parser("status", help="devices, drivers, versions, claims, health")
    one.add_argument("--json", action="store_true")

    one = verbs.add_parser("check", help="what stands in the way of a switch; touches nothing")
    one.add_argument("nic")
    one.add_argument("--to", choices=system.DRIVERS, default="vnet")
    one.add_argument("--fix", action="store_true",
                     help="write drop-ins for files of networkd that match virtio_net, and make "
                     "comments of lines in /etc/modprobe.d that forbid it")

    one = verbs.add_parser("switch", help="give a device to vnet, with a way back")
    one.add_argument("nic")
    one.add_argument("--to", choices=system.DRIVERS, default="vnet")
    one.add_argument("--persist", action="store_true", help="claim it at boot, too")
    moving(one)

    one = verbs.add_parser("back", help="give devices to virtio_net")
    one.add_argument("nic", nargs="?")
    one.add_argument("--all", action="store_true")
    moving(one)

    one = verbs.add_parser("confirm", help="keep what was switched")
    one.add_argument("nic", nargs="?")

    one = verbs.add_parser("claim", help="which interfaces vnet gets at boot")
    what = one.add_mutually_exclusive_group()
    what.add_argument("--add", metavar="NIC")
    what.add_argument("--remove", metavar="NIC")
    what.add_argument("--retry", action="store_true", help="forget boots that went wrong")
    what.add_argument("--boot", action="store_true", help=argparse.SUPPRESS)
    what.add_argument("--health", action="store_true", help=argparse.SUPPRESS)

    one = verbs.add_parser("reload", help="take the installed vnet in place of the running one")
    one.add_argument("--dead-man", type=seconds, default=60, metavar="SECONDS")
    one.add_argument("--force", action="store_true")

    one = verbs.add_parser("report", help="an archive for a bug report, addresses masked")
    one.add_argument("-o", "--output", default="", metavar="FILE")
    one.add_argument("--plain", action="store_true", help="do not mask addresses")
    return top


def seconds(text):
    value = int(text)
    if not 5 <= value <= 3600:
        raise argparse.ArgumentTypeError("between 5 and 3600 seconds")
    return value


def moving(one):
    """The options of a move."""
    one.add_argument("--dead-man", type=seconds, default=60, metavar="SECONDS",
                     help="go back after so long unless confirmed")
    one.add_argument("--check", default="", metavar="CMD", help="must succeed after the move")
    one.add_argument("--yes", action="store_true", help="the checks confirm, nobody is asked")
    one.add_argument("--no-wait", action="store_true",
                     help="return at once; 'vnetctl confirm' must follow")
    one.add_argument("--force", action="store_true", help="though something may be lost")


def cmd_status(options):
    running, installed = system.versions()
    health = system.health()
    nics = []
    for nic in system.every():
        nics.append({"nic": nic.name, "bus": nic.bus, "driver": nic.driver,
                     "waits": move.waiting(nic),
                     "reporters": next((names_ for dev, names_ in health.items()
                                        if dev.endswith(f"/{nic.bus}")), [])})
    found = {"running": running, "installed": installed, "early": claim.early(), "nics": nics,
             "claims": claim.summary()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"vnet running {running or 'not loaded'}, installed {installed or 'not installed'}"
          f"{', early' if found['early'] else ''}")
    for nic in nics:
        print(f"{nic['nic'] or '-':<12} {nic['bus']:<9} {nic['driver'] or 'no driver':<11} "
              f"{nic['waits']}".rstrip())
    for word, entry in found["claims"].items():
        print(f"claimed: {word}: {entry['objection'] or entry['verdict']}")


def cmd_check(options):
    nic = system.find(options.nic)
    if options.fix:
        system.need_root()
        written = names.fix()
        for path in written:
            say(f"{path} adds vnet to what its file matches")
        if written:
            names.reread()
        for path in names.allow():
            say(f"{path} forbids virtio_net no more (an initramfs may have a copy: "
                "update-initramfs -u, or dracut -f)")
    found = checks.look(nic, options.to)
    for note in checks.notes():
        say(note)
    if found:
        raise Refused("\n  ".join([f"{options.nic} would stay where it is:", *map(str, found)]))
    say(f"nothing stands in the way of giving {options.nic} to {options.to}")


def cmd_switch(options):
    system.need_root()
    nic = system.find(options.nic)
    move.switch(nic, options.to, seconds=options.dead_man, command=options.check,
                yes=options.yes, force=options.force, wait=not options.no_wait)
    if options.persist and options.to == "vnet":
        claim.change(nic.name, True)


def cmd_back(options):
    system.need_root()
    if options.all == bool(options.nic):
        raise Refused("say which interface, or --all")
    nics = [nic for nic in system.every() if nic.driver == "vnet"] if options.all else \
        [system.find(options.nic)]
    for nic in nics:
        move.switch(nic, "virtio_net", seconds=options.dead_man, command=options.check,
                    yes=options.yes or options.all, force=options.force,
                    wait=not options.no_wait)


def cmd_confirm(options):
    system.need_root()
    move.confirm([system.find(options.nic)] if options.nic else system.every())


def cmd_claim(options):
    if options.add or options.remove or options.retry or options.boot or options.health:
        system.need_root()
    if options.add or options.remove:
        claim.change(options.add or options.remove, bool(options.add))
    elif options.retry:
        claim.retry()
    elif options.boot:
        claim.boot()
    elif options.health:
        claim.health()
    else:
        for word, entry in claim.summary().items():
            print(f"{word}: {entry['objection'] or entry['verdict']}")


def cmd_reload(options):
    system.need_root()
    move.reload(options.dead_man, options.force)


def cmd_report(options):
    import report   # what it needs takes its time to load
    system.need_root()
    print(report.make(options.output, options.plain))
    if names.search():
        say("something here matches virtio_net by its name, see 'vnetctl check NIC'")


def main():
    options = parser().parse_args()
    try:
        globals()[f"cmd_{options.verb}"](options)
    except Refused as error:
        warn(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        warn(f"{error.filename or ''}: {error.strerror}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
