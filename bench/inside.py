# SPDX-License-Identifier: GPL-2.0
"""The bench inside the guest root: boot, bind, measure, print.

bench/run enters here (python3 -m lab exec python3 -m bench.inside ...).
"""

import argparse
import json
import platform
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from lab import SetupError, build, die, kernels, say

from . import cases, counts, machine, report
from .machine import BenchError, GuestLost

CACHE = Path("/cache/bench")
KNOWN_DRIVERS = ("virtio_net", "vnet")
SEEN_BY = {"programs": "the XDP program", "stack": "the IP layer"}


def parse(args):
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Guest instructions per packet, driver beside driver, on one boot.")
    parser.add_argument("--quick", action="store_true",
                        help="one repeat, split ring, no 64-queue tests")
    parser.add_argument("--only", action="append", default=[], metavar="TEST",
                        help="a test or a family of tests (rx64); repeatable")
    parser.add_argument("--ring", choices=["split", "packed", "both"], default="",
                        help="default: both")
    parser.add_argument("--drivers", default="virtio_net,vnet",
                        help="two drivers, base first; the same twice is the null experiment")
    parser.add_argument("--repeat", type=int, default=0, metavar="N",
                        help="pairs of runs per test (default 3)")
    parser.add_argument("--symbols", nargs="?", type=int, const=50, default=0, metavar="N",
                        help="print the N symbols that cost most, driver beside driver")
    parser.add_argument("--annotate", default="", metavar="SYMBOL",
                        help="print the disassembly of a driver's function with its counts")
    parser.add_argument("--memory", action="store_true",
                        help="count loads and stores, their bytes, and misses of two caches")
    parser.add_argument("--kernel", default="", help="a kernel of the guest root (6.12)")
    parser.add_argument("--keep", action="store_true",
                        help="write tables and plots to docs/perf/ (taken by bench/run)")
    parser.add_argument("--list", action="store_true", help="list the tests and stop")
    options = parser.parse_args(args)
    options.only = [name for text in options.only for name in text.split(",")]
    options.drivers = options.drivers.split(",")
    if not 1 <= len(options.drivers) <= 2 or set(options.drivers) - set(KNOWN_DRIVERS):
        raise SetupError("--drivers takes one or two of: " + ", ".join(KNOWN_DRIVERS))
    options.repeat = options.repeat or (1 if options.quick or options.symbols or options.annotate
                                        else 3)
    short = options.quick or options.symbols or options.annotate
    ring = options.ring or ("split" if short else "both")
    options.rings = ["split", "packed"] if ring == "both" else [ring]
    return options


def measure(guest, case, driver, scale, kernel_symbols):
    """One run: a fresh bind, one window. Returns (figures, window)."""
    nic = guest.nics[case.nic]
    outs = [guest.nics[case.out]] if case.out else []
    try:
        if case.binds:
            sample = case.run(guest, nic, driver, scale)
            return {case.figure: sample.value}, None
        name = guest.bind(nic, driver)
        guest.ask(f"write /proc/sys/net/ipv4/conf/{name}/rp_filter 0")
        out = [(second, guest.bind(second, driver)) for second in outs]
        sample = case.run(guest, nic, name, scale, *out)
        symbols = counts.Symbols(kernel_symbols, guest.module_symbols())
    finally:
        guest.ask("xdp - off")
        for device in (nic, *outs):
            guest.bind(device, None)
    window = counts.Window(sample.path, symbols)
    sample.path.unlink()
    for event, expected in sample.seen.items():
        if abs(window.seen(event) - expected) > expected / 500:
            raise BenchError(f"the window shows {window.seen(event)} packets at {SEEN_BY[event]} "
                             f"instead of {expected}")
    figures = window.figures(sample.units)
    if sample.seconds:
        figures["per_second"] = sample.units / sample.seconds
        figures["gbit"] = sample.bytes * 8 / sample.seconds / 1e9
    figures["units"] = sample.units
    return figures, window


def run_case(guest, case, options, kernel_symbols):
    """The pairs of a case: A B A B."""
    runs = [[] for _ in options.drivers]
    windows = [None for _ in options.drivers]
    repeats = options.repeat * case.repeats
    for repeat in range(repeats):
        for i, driver in enumerate(options.drivers):
            started = time.monotonic()
            figures, window = measure(guest, case, driver, 1.0, kernel_symbols)
            runs[i].append(figures)
            windows[i] = window
            say(f"bench: {guest.ring:6} {case.name:13} {repeat + 1}/{repeats} {driver:10} "
                f"{figures[case.figure]:9.1f} {case.figure} per {case.unit} "
                f"({time.monotonic() - started:.1f} s)")
    return runs, windows


def complaints(guest):
    """What the guest's kernel said, once."""
    log = guest.log.read_text(errors="replace") if guest.log.exists() else ""
    for line in log.splitlines():
        if re.search(r"BUG|WARNING|Oops|Call Trace|panic|WATCHDOG", line):
            say(f"bench: the guest's kernel complained: {line.strip()}")
            return


def run_guest(ring, pending, options, kernel, module, work):
    """One boot: the pending cases, until none is left or the guest is lost."""
    wanted = {name for case in pending for name in (case.nic, case.out)}
    nics = [nic for nic in machine.all_nics() if nic.name in wanted]
    guest = machine.Guest(work, kernel, ring, nics, module)
    guest.plugin = ",mem=on" if options.memory else ""
    say(f"bench: booting Linux {kernel.release}, {ring} ring")
    try:
        guest.start()
        guest.prepare(options.drivers)
        kernel_symbols = guest.kernel_symbols(CACHE)
        while pending:
            case = pending.pop(0)
            try:
                runs, windows = run_case(guest, case, options, kernel_symbols)
            except BenchError as error:
                say(f"bench: {ring:6} {case.name:13} failed: {error}")
                yield report.failed(ring, case, str(error))
                if isinstance(error, GuestLost):
                    return
                continue
            yield report.result(ring, case, options.drivers, runs)
            if options.symbols and windows[0]:
                report.print_symbols(case, options.drivers, windows, runs, options.symbols)
            if options.annotate and windows[0]:
                report.print_annotated(options.annotate, options.drivers, windows, runs,
                                       {"vnet": module,
                                        "virtio_net": guest.module_copy("virtio_net")})
    finally:
        guest.stop()
        complaints(guest)


def run_ring(ring, chosen, options, kernel, module, work):
    """All cases on one ring format; a lost guest is followed by another.

    Cases that bind for themselves measure memory: they get a guest of their
    own, in which nothing has left pages behind.
    """
    for fresh in (False, True):
        pending = [case for case in chosen if ring in case.rings and case.binds == fresh]
        while pending:
            yield from run_guest(ring, pending, options, kernel, module, work)


def facts(kernel, options):
    """What the figures depend on."""
    version = machine.run("qemu-system-x86_64", "--version").split("\n")[0]
    return {
        "kernel": kernel.release,
        "qemu": version.replace("QEMU emulator version ", ""),
        "machine": platform.machine(),
        "kernel_options": machine.KERNEL_OPTIONS,
        "guest": f"q35, TCG, -cpu max, -smp {machine.VCPUS}, {machine.MEMORY}",
        "devices": {nic.name: f"{nic.kind}, {nic.pairs} queue pair{'s' * (nic.pairs > 1)}"
                              + (f", {nic.options}" if nic.options else "")
                    for nic in machine.all_nics()},
        "burst": cases.BURST,
        "repeat": options.repeat,
        "drivers": options.drivers,
        "date": time.strftime("%Y-%m-%d"),
    }


def save(data):
    """After every test: what has been measured is not lost with the rest."""
    temp = CACHE / "bench.json.tmp"
    temp.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    temp.rename(CACHE / "bench.json")


def terminate(_signum, _frame):
    """End like any other way out: the guest is stopped."""
    sys.exit(143)


def main(args):
    signal.signal(signal.SIGTERM, terminate)
    try:
        options = parse(args)
        chosen = cases.select(options.only, options.quick)
        if options.list:
            for case in chosen:
                print(f"{case.name:14} {case.title} ({case.figure} per {case.unit})")
            return 0
        kernel = kernels.select([options.kernel])[0] if options.kernel else kernels.default()
        CACHE.mkdir(parents=True, exist_ok=True)
        module = build.build(kernel) if "vnet" in options.drivers else None
        with tempfile.TemporaryDirectory(prefix="bench-") as work:
            machine.compile_programs(Path(work))
            data = {"facts": facts(kernel, options), "results": []}
            for ring in options.rings:
                for entry in run_ring(ring, chosen, options, kernel, module, Path(work)):
                    data["results"].append(entry)
                    save(data)
        print()
        print(report.table(data))
        return 1 if any("error" in entry for entry in data["results"]) else 0
    except KeyboardInterrupt:
        return 130
    except SetupError as error:
        die(error)
    except (BenchError, build.BuildFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
