# SPDX-License-Identifier: GPL-2.0
"""make run and make shell: a guest to look at."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import SetupError, api, build, kernels, outer, say
from .guest import Guest
from .net import HOST_NAME

LOG = Path("/cache/logs/run")
ESCAPE = "0x1d"  # Ctrl-]
PAGE = b"vnet carries traffic\n"


def parse(args, profile):
    parser = argparse.ArgumentParser(prog="lab run")
    parser.add_argument("--arch", default="", help="of another architecture, as arm64")
    parser.add_argument("-k", "--kernel", default="")
    parser.add_argument("-p", "--profile", default="")
    parser.add_argument("-d", "--driver", default="vnet")
    options = parser.parse_args(args)
    options.profile = options.profile or profile
    return options


def interactive():
    return sys.stdin.isatty() and sys.stdout.isatty()


def boot(options, shell):
    """A guest with the driver loaded, and its view of the network."""
    kernel = kernels.select([options.kernel])[0] if options.kernel else kernels.default()
    module = build.build(kernel) if options.driver == "vnet" else None
    shutil.rmtree(LOG, ignore_errors=True)
    guest = Guest(kernel, options.profile, LOG, shell=shell)
    say(f"guest: booting Linux {kernel.release}, profile {guest.profile.name}: "
        f"{guest.profile.text}")
    started = time.monotonic()
    guest.__enter__()
    try:
        say(f"guest: up after {time.monotonic() - started:.0f} s, loading {options.driver}")
        guest.load(options.driver, module)
        env = api.Env(guest, options.driver)
        env.find()
    except BaseException:
        guest.close()
        raise
    return guest, env


def lease(guest, env):
    """DHCP and a resolver."""
    env.host_ns.serve_dhcp() if env.tap else env.host_ns.serve_dns()
    guest.run(f"ip link set {env.nic} up")
    env.wait_carrier()
    guest.run(f"busybox udhcpc -n -q -t 5 -i {env.nic} -s /etc/udhcpc/default.script", timeout=60)
    address = guest.run(f"ip -4 -br addr show {env.nic}").out.split()[2]
    say(f"dhcp: {env.nic} has {address}")


def serve(env):
    """A page and an iperf3 server on the host's side."""
    root = Path("/tmp/page")
    root.mkdir(exist_ok=True)
    (root / "index.html").write_bytes(PAGE)
    env.host_ns.serve(f"busybox httpd -f -p 8080 -h {root}", 8080)
    env.host_ns.serve("iperf3 -s", 5201)


def show(guest, env):
    """Resolve, fetch, measure both ways, print what ethtool says."""
    found = guest.run(f"getent ahostsv4 {HOST_NAME}", timeout=60).out.split()[0]
    say(f"dns: {HOST_NAME} is {found}")
    page = guest.run(f"curl -sS --max-time 20 http://{HOST_NAME}:8080/", timeout=60).out
    if page.encode() != PAGE:
        raise AssertionError(f"the page of {HOST_NAME} came back changed: {page!r}")
    say(f"http: fetched http://{HOST_NAME}:8080/: {page.strip()}")
    for flag, text in (("", "guest to host"), ("-R", "host to guest")):
        out = guest.run(f"iperf3 -J -t 3 -c {HOST_NAME} {flag}", timeout=60).out
        rate = json.loads(out)["end"]["sum_received"]["bits_per_second"]
        say(f"iperf3: {text}: {rate / 1e6:.0f} Mbit/s (emulated CPU: no measure of the driver)")
    for flag in ("-i", "-S"):
        say(f"# ethtool {flag} {env.nic}")
        say(guest.run(f"ethtool {flag} {env.nic} 2>&1", check=False).out.rstrip())


def console(guest):
    """Hand the terminal to a shell in the guest until it ends or Ctrl-] is typed."""
    size = os.get_terminal_size()
    term = os.environ.get("TERM", "dumb")
    shell = guest.start("exec < /dev/hvc0 > /dev/hvc0 2>&1; cd /root; "
                        f"stty rows {size.lines} cols {size.columns}; "
                        f"export TERM={term} PS1='guest# '; exec bash --norc -i")
    attach = subprocess.Popen(["socat", f"STDIO,raw,echo=0,escape={ESCAPE}",
                               f"UNIX-CONNECT:{guest.door('shell')}"],
                              stderr=subprocess.DEVNULL)
    try:
        while attach.poll() is None and guest.alive() and shell.poll() is None:
            time.sleep(0.3)
    finally:
        if attach.poll() is None:
            attach.terminate()
        attach.wait()
        subprocess.run(["stty", "sane"], check=False)
    print()


def verdict(guest):
    splats = guest.splats()
    if splats:
        say(f"run: the kernel complained: {splats[0].strip()} (see {outer(guest.console)})")
        return 1
    return 0


def run(args):
    """make run"""
    options = parse(args, "user")
    guest, env = boot(options, interactive())
    try:
        lease(guest, env)
        serve(env)
        show(guest, env)
        status = verdict(guest)
        say(f"run: {options.driver} works" if not status else "run: failed")
        if interactive():
            say(f"You are in the guest. Try: ping {HOST_NAME}; iperf3 -c {HOST_NAME}; "
                f"ethtool -S {env.nic}; dmesg | tail. Leave with 'exit' or Ctrl-].")
            console(guest)
        return status
    finally:
        guest.close()


def shell(args):
    """make shell"""
    options = parse(args, "modern-split")
    if not interactive():
        raise SetupError("a shell needs a terminal: use 'lab/start boot COMMAND' without one")
    guest, env = boot(options, True)
    try:
        lease(guest, env)
        say(f"You are in the guest; {env.nic} is up, the host's side is {env.gateway}. "
            "Leave with 'exit' or Ctrl-].")
        console(guest)
        return verdict(guest)
    finally:
        guest.close()
