# SPDX-License-Identifier: GPL-2.0
"""The oracle around every test: what must stand still on an honest device, and does.

A driver that heals itself hides its own defects: a lost notification is mended within
a second and the ping still comes back. So the runner looks at each interface when a test
has passed: nothing may have been healed, lost, dropped or reset, the log has no warning
of the driver, and the settings are those with which the test began, unless the test says
what may move:

    @test(moves=("tx_purged",), changes=("sysctl",), says=("the device is back",))

or, once it is known, env.may_move("rx_drop_*"), env.may_change("nic"), env.may_say("...").
moves names counters of 'ethtool -S' by globs, changes parts of the settings (beyond those
that the commands of the test itself change, see ASKED), says texts of the log by globs.
VNET_ORACLE=tell only tells what it finds, to see all at once; =counters fails by counters
alone.
A device of which a test asked something dishonest may have its driver count and say what
it likes; settings have to survive that, too.
"""

import difflib
import fnmatch
import os
import re
import time

from . import say

# Counters that an honest device leaves alone: what heals, what is lost, what fails. rx_drops
# is the sum of rx_drop_*, which say why.
QUIET = re.compile(
    r"(heal_|lost_|reset_|stalls|cpu_starved|memory_starved|hw_stats_errors"
    r"|ctrl_(refused|timeouts|late|skipped)"
    r"|rx_(drop_|alloc_fail|starved)"
    r"|tx_(drops|tx_timeouts|busy|purged|xdp_tx_drops|xsk_drops))")

# Part of the settings -> how it is read; builtins of the shell where they do.
SETTINGS = {
    "link": "ip -d link show dev $nic",
    "-k": "ethtool -k $nic",
    "-C": "ethtool -c $nic",
    "-G": "ethtool -g $nic",
    "-L": "ethtool -l $nic",
    "-X": "ethtool -x $nic",
    "xps": "for f in /sys/class/net/$nic/queues/*/[xr]ps_cpus; do read -r v < $f; "
           "echo ${f##*queues/} $v; done",
    "affinity": "for f in /sys/class/net/$nic/device/../msi_irqs/*; do [ -e $f ] && "
                "read -r v < /proc/irq/${f##*/}/smp_affinity_list && echo $v; done",
}
# What the stack keeps for an interface: for tests that take it away and give it back.
STACK = {
    "addr": "ip -o addr show dev $nic",
    "maddr": "ip maddr show dev $nic",
    "fdb": "bridge fdb show dev $nic",
    "qdisc": "tc qdisc show dev $nic",
    "ifindex": "cat /sys/class/net/$nic/ifindex",
}
# What belongs to nobody's NIC and a test must leave as it was.
MACHINE = {
    "sysctl": "cd /proc/sys/net; for f in core/busy_read core/busy_poll ipv4/ip_forward "
              "ipv4/tcp_ecn ipv4/conf/all/arp_ignore ipv6/conf/all/keep_addr_on_down "
              "ipv6/conf/all/forwarding; do read -r v < $f; echo $f $v; done; cd /",
    "others": "for f in /sys/class/net/*; do [ -e $f/device ] || echo ${f##*/}; done; "
              "for f in /run/netns/*; do [ -e $f ] && echo netns ${f##*/}; done",
    "cpus": "read -r v < /sys/devices/system/cpu/online; echo $v",
    "trace": "cd /sys/kernel/tracing && read -r on < tracing_on && read -r v < events/enable && "
             "echo $on $v; cd /",
}
# A command of the test's own -> the settings that it changes: who sets the channels need
# not say so again. Whether what was set is in force is for the test to look at.
ASKED = (
    (r"ethtool (-L|--set-channels)", ("-L", "-X", "xps", "affinity")),
    (r"ethtool (-G|--set-ring)", ("-G",)),
    (r"ethtool (-K|--features|--offload)", ("-k",)),
    (r"ethtool (-C|-Q|--coalesce)", ("-C",)),
    (r"ethtool (-X|--set-rxfh)", ("-X",)),
    (r"\bip link set\b|\btc qdisc\b|\bset_link\b|\bip -batch\b", ("link",)),
    (r"xps_cpus|rps_cpus", ("xps",)),
    (r"smp_affinity", ("affinity",)),
    (r"cpu\d/online", ("xps", "affinity")),
    (r"/unbind\b", ("link",)),      # bound anew it is down, all else begins as ever
)
MARK = "=== "
# What of it makes a test fail, by VNET_ORACLE; the rest is only told.
STRICT = ("counters", "log", "settings")
MODES = {"counters": ("counters",), "tell": (), "": STRICT}
SPENT = []      # seconds that each look of this run took
# Warnings and worse, of the driver or of what lies below it; the rest is the kernel's.
LOG = "dmesg -l emerg,alert,crit,err,warn"
OWN = re.compile(r"\bvnet\b(?!.*(taints kernel|module verification))|virtio")
# What differs without anybody having changed a setting.
NOISE = re.compile(r"^\d+: \S+ |\bqlen \d+|\balias\b.*|\bstate \w+|\bmode \w+|"
                   r"\bparentbus \S+ parentdev \S+|,?LOWER_UP|,?NO-CARRIER|\btentative\b|"
                   r"\b(valid|preferred)_lft \S+|\busers \d+|\brefcnt \d+")

FIND = """
nic=
for f in /sys/bus/virtio/devices/{virtio}/net/*/address /sys/class/net/*/address; do
    [ -e $f ] && [ -e ${{f%/*}}/device ] || continue
    read -r have < $f
    case $f in /sys/bus/*) ;; *) [ "$have" = {mac} ] || continue ;; esac
    f=${{f%/*}}; [ -e $f/master ] && [ -d $f/master/device ] || {{ nic=${{f##*/}}; break; }}
done
"""


def counters(text):
    """What 'ethtool -S' prints, as a dictionary."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.strip().rpartition(": ")
        if colon and value.lstrip("-").isdigit():
            found[name] = int(value)
    return found


def moved(before, after):
    """What has been counted and should not have been."""
    return {name: value - before.get(name, 0) for name, value in after.items()
            if QUIET.match(name) and value != before.get(name, 0)}


def allowed(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def shell(*names):
    """Shell text that prints settings of $nic, each below its name; all of them without names."""
    known = {**SETTINGS, **STACK}
    return "\n".join(f"echo '{MARK}{name}'; {known[name]}" for name in names or SETTINGS) + "\n"


def settings(env, *names):
    """{name: lines} of an interface, for a comparison by differences()."""
    text = f"nic={env.nic}\n" + shell(*names)
    return {name: plain(lines, env.nic) for name, lines in
            parts(env.guest.run(text, timeout=60, check=False).out).items()}


def differences(before, now):
    """What differs between two of these; one sentence each."""
    return [difference(name, before.get(name, []), now.get(name, []))
            for name in dict.fromkeys((*before, *now)) if before.get(name) != now.get(name)]


def script(env):
    """Shell text that prints everything at once, each part below its name."""
    lines = [FIND.format(virtio=env.virtio, mac=env.mac),
             f"echo '{MARK}nic'; echo $nic", "read -r up _ < /proc/uptime",
             f"[ -n \"$nic\" ] && {{ echo '{MARK}counters'; ethtool -S $nic"]
    lines += [shell().rstrip(), "}"]
    if env.peer:
        lines.append(f"echo '{MARK}peer'; ip netns exec peer ethtool -S {env.peer.nic}")
    lines += [f"echo '{MARK}{name}'; {command}" for name, command in MACHINE.items()]
    lines += [f"echo '{MARK}log'; {LOG}", f"echo '{MARK}end'; echo $up"]
    return "\n".join(lines) + "\n"


def parts(text):
    """The output of script() as {name: text}."""
    found, name = {}, None
    for line in text.splitlines():
        if line.startswith(MARK):
            name = line[len(MARK):]
            found[name] = []
        elif name:
            found[name].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def plain(text, nic):
    """Lines without the interface's own name and number, and without what comes and goes."""
    lines = [NOISE.sub("", line).replace(nic or "\0", "NIC").strip() for line in text.splitlines()]
    return [line for line in lines if line]


class Look:
    """What one look at a guest has found."""

    def __init__(self, text):
        told = parts(text)
        self.nic = told.get("nic", "").strip()
        self.clock = float(told["end"].split()[0]) if told.get("end") else None
        self.counters = counters(told.get("counters", ""))
        self.peer = counters(told.get("peer", ""))
        self.settings = {name: plain(told[name], self.nic) for name in (*SETTINGS, *MACHINE)
                         if name in told}
        self.log = [line for line in told.get("log", "").splitlines() if OWN.search(line)]

    def warnings(self, since):
        """(time, text) of each warning after a time of the guest's clock."""
        for line in self.log:
            told = re.match(r"\[\s*([\d.]+)\]\s*(.*)", line)
            if told and float(told[1]) > since:
                yield float(told[1]), told[2]


def difference(name, before, now):
    """How one part of the settings differs, in a few words."""
    lines = [line for line in difflib.ndiff(before, now) if line[0] in "+-"]
    gone, new = ("; ".join([line[2:] for line in lines if line[0] == sign][:4]) for sign in "-+")
    return f"{name}: '{gone}' became '{new}'"


class Oracle:
    """Judges the tests of one guest, one after the other.

    A test begins with the driver bound anew, so its counters begin at nothing and its
    settings are those of all tests that begin like it: one look per test is enough.
    """

    def __init__(self):
        self.first = {}         # whether it is up -> settings of a fresh interface
        self.since = 0.0        # the guest's clock when the test began
        self.allow = {}

    def begin(self, env, test):
        """A test starts: its settings are those of a fresh interface, learnt once."""
        self.since = env.guest.judged
        self.allow = {"moves": [*test.moves], "changes": [*test.changes], "says": [*test.says]}
        env.allow = self.allow
        env.guest.transcript.mark()
        if env.driver == "vnet" and test.up not in self.first:
            self.first[test.up] = self.look(env).settings

    def look(self, env):
        begin = time.monotonic()
        try:
            return Look(env.guest.launch(script(env)).wait(60).out)
        finally:
            SPENT.append(time.monotonic() - begin)

    def says(self, env):
        """What this profile makes the driver say when it binds."""
        return [*self.allow["says"], *env.profile.says]

    def end(self, env, test):
        """What is wrong after a test that has passed: one sentence each."""
        if env.driver != "vnet":
            return []
        now = self.look(env)
        if now.clock is None:
            return ["the guest's tools do not answer any more"]
        env.guest.judged = now.clock
        found = {"counters": [*self.counted(env, now)], "log": [*self.said(env, now)],
                 "settings": [*self.changed(env, now, test)]}
        strict = MODES.get(os.environ.get("VNET_ORACLE", ""), STRICT)
        for kind, lines in found.items():
            for line in lines if kind not in strict else ():
                say(f"      oracle: {test.name}: {line}")
        return [line for kind in strict for line in found[kind]]

    def told(self, env):
        """What has moved, for the reader of a failure; "" if nothing, or nothing can be read."""
        if env.driver != "vnet" or not env.guest.alive():
            return ""
        now = self.look(env)
        return " ".join(f"{name}={value}" for values in (now.counters, now.peer)
                        for name, value in moved({}, values).items())

    def counted(self, env, now):
        if env.device and env.device.touched:
            return
        for whose, values in (("", now.counters), ("the peer's ", now.peer)):
            wrong = {name: value for name, value in moved({}, values).items()
                     if not allowed(name, self.allow["moves"])}
            if wrong:
                yield f"{whose}counters moved on an honest device: {wrong}"

    def said(self, env, now):
        if env.device and env.device.touched:
            return
        wrong = [text for _, text in now.warnings(self.since)
                 if not allowed(text, [f"*{glob}*" for glob in self.says(env)])]
        if wrong:
            yield f"the log warns: {wrong[0]}" + (f", and {len(wrong) - 1} more lines"
                                                  if len(wrong) > 1 else "")

    def changed(self, env, now, test):
        commands = "\n".join(env.guest.transcript.commands)
        may = {*self.allow["changes"], *(name for pattern, names in ASKED for name in names
                                         if re.search(pattern, commands))}
        if env.device and "offer" in env.device.told:   # it is another device
            may |= {*SETTINGS}
        if not now.nic and "nic" not in may:
            yield "the interface is gone"
        for name, before in self.first.get(test.up, {}).items():
            have = now.settings.get(name)
            if have is not None and have != before and name not in may and "all" not in may:
                yield f"settings changed: {difference(name, before, have)}"
