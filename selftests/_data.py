# SPDX-License-Identifier: GPL-2.0
"""What the tests of the data path share."""

import json
import time
from pathlib import Path

from lab import oracle

TOOLS = Path(__file__).parent / "tools"
PORT = 5300


class Ends:
    """Traffic between the guest and the host's side of the tap."""

    def __init__(self, env):
        env.need_tap()
        self.env = env
        env.guest.put(TOOLS / "flow.py", "/tmp/flow.py")

    def serve(self, port=PORT):
        return self.env.host_ns.serve(f"python3 {TOOLS}/flow.py serve {port}", port)

    def guest(self, command, timeout=60):
        """Run flow.py in the guest; what it prints last, as an object."""
        command = command.replace(";", "';'")
        out = self.env.guest.run(f"python3 /tmp/flow.py {command}", timeout=timeout).out.strip()
        return json.loads(out.splitlines()[-1]) if out else {}

    def host(self, command, timeout=60):
        out = self.env.host_ns.run(f"python3 {TOOLS}/flow.py {command}", timeout=timeout).out
        return json.loads(out.strip().splitlines()[-1]) if out.strip() else {}

    def guest_start(self, command):
        return self.env.guest.start(f"exec python3 /tmp/flow.py {command}")

    def host_start(self, command):
        return self.env.host_ns.start(f"exec python3 {TOOLS}/flow.py {command}")

    def guest_sink(self, port, seconds=2):
        """Start a sink in the guest and wait until it listens."""
        job = self.guest_start(f"sink {port} {seconds}")
        self.env.wait(lambda: self.env.guest.run(f"ss -H -n -l -u sport = :{port}").out.strip(),
                      "the sink in the guest does not listen")
        return job

    def host_sink(self, port, seconds=2):
        job = self.host_start(f"sink {port} {seconds}")
        self.env.wait(lambda: self.env.host_ns.run(f"ss -H -n -l -u sport = :{port}").out.strip(),
                      "the sink of the host's side does not listen")
        return job


def answered(guest, address, limit):
    """Seconds until an address answers a ping of the guest, None if it does not within the limit.

    A ping ends with the first address that is not resolved, however long it was
    told to wait, so there are several.
    """
    begin = time.monotonic()
    done = guest.run(f"end=$(($(date +%s) + {limit})); "
                     f"until ping -q -c 1 -w 5 -i 0.2 {address}; do "
                     "[ $(date +%s) -lt $end ] || exit 1; sleep 0.2; done", check=False,
                     timeout=limit + 25)
    return None if done.status else round(time.monotonic() - begin, 1)


def result(job, timeout=60):
    """What a background flow.py printed."""
    done = job.wait(timeout)
    assert not done.status, str(done)
    return json.loads(done.out.strip().splitlines()[-1])


def counters(env, nic=None, run=None):
    """All of ethtool -S."""
    return oracle.counters((run or env.guest.run)(f"ethtool -S {nic or env.nic}").out)


class Change:
    """How the counters of ethtool -S have changed since."""

    def __init__(self, env, nic=None, run=None):
        self.args = (env, nic, run)
        self.before = counters(*self.args)

    def __call__(self):
        now = counters(*self.args)
        return {name: now[name] - value for name, value in self.before.items() if name in now}

    def total(self):
        """Changes that are not zero, totals only."""
        return {n: v for n, v in self().items() if v and not n[2:3].isdigit()}


def rtnl(env):
    """The counters of ip -s link, as (group, name): value."""
    link = json.loads(env.guest.run(f"ip -j -s -s link show {env.nic}").out)[0]["stats64"]
    return {(way, name): value for way, group in link.items() for name, value in group.items()}


def netdev(env):
    """What netlink's family netdev says; see tools/netdev.py."""
    env.guest.put(TOOLS / "netdev.py", "/tmp/netdev.py")
    return json.loads(env.guest.run(f"python3 /tmp/netdev.py {env.nic}").out)


def qstats(env):
    """The family's counters: of the device, and of each queue by its number as a text."""
    told = netdev(env)
    return {"device": told["qstats"],
            **{way: {name[2:]: queue.get("stats", {}) for name, queue in told["queues"].items()
                     if name.startswith(way)} for way in ("rx", "tx")}}


def feature(env, name):
    """Is a feature of ethtool -k on?"""
    out = env.guest.run(f"ethtool -k {env.nic}").out
    lines = [line.split(":")[1].strip() for line in out.splitlines()
             if line.split(":")[0].strip() == name]
    return bool(lines) and lines[0].startswith("on")


def refused(env, command, *words):
    """A command that must fail, with these words in what it says."""
    done = env.guest.run(command + " 2>&1", check=False)
    assert done.status, f"'{command}' was accepted"
    missing = [word for word in words if word not in done.out]
    assert not missing, f"'{command}' says nothing about {missing}: {done.out.strip()}"
