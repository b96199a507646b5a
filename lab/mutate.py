# SPDX-License-Identifier: GPL-2.0
"""Mutants that nobody has thought of: small changes of the driver's text, by pattern.

A comparison is turned, a call left out, a constant off by one, a barrier taken away,
a condition widened, an error ignored. Which of them means the same as before only a
reader can say. The name has the function and a number within it, so that it stays
when other functions change.
"""

import re

# function's first line: a name at the start of a line and no ';' at its end
FUNCTION = re.compile(r"^(?:[\w*]+\s+)+\*?(\w+)\(|^(\w+)\(")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
# kind -> what in a line, and what stands there instead
KINDS = (
    ("equal", re.compile(r" == "), " != "),
    ("unequal", re.compile(r" != "), " == "),
    ("least", re.compile(r" >= "), " > "),
    ("most", re.compile(r" <= "), " < "),
    ("below", re.compile(r"(?<=\w|\)) < (?=\w)"), " <= "),
    ("above", re.compile(r"(?<=\w|\)) > (?=\w)"), " >= "),
    ("and", re.compile(r" && "), " || "),
    ("or", re.compile(r" \|\| "), " && "),
    ("error", re.compile(r"^(\t+)if \(err\)$"), r"\1if (0)"),
    ("one-more", re.compile(r" \+ 1\b"), " + 2"),
    ("one-less", re.compile(r" - 1\b"), ""),
    ("not", re.compile(r"(?<=[( ])!(?=[\w(])"), ""),
    ("call", re.compile(r"^(\t+)(?!return\b|if\b|for\b|while\b|switch\b|goto\b|case\b|BUILD_BUG)"
                        r"[a-z_]\w*\([^;]*\);$"), r"\1;"),
    ("barrier", re.compile(r"^(\t+)smp_store_mb\((.*), (.*)\);$"), r"\1\2 = \3;"),
    ("once", re.compile(r"\bWRITE_ONCE\((.*), (.*)\);$"), r"\1 = \2;"),
)
WHY = {
    "equal": "a comparison is turned", "unequal": "a comparison is turned",
    "least": "off by one", "most": "off by one", "below": "off by one", "above": "off by one",
    "and": "a condition is widened", "or": "a condition is narrowed",
    "error": "an error is not looked at", "one-more": "off by one", "one-less": "off by one",
    "not": "a condition is turned", "call": "a call is left out",
    "barrier": "a barrier is left out", "once": "a store may be torn or moved",
}
# A call that only tells or counts locks of debugging changes nothing when it is left out.
IDLE = re.compile(r"\b(might_sleep|lockdep_\w+|vnet_compat_assert_locked|cpu_relax|pr_\w+|"
                  r"mutex_destroy|BUILD_BUG_ON\w*|static_assert)\(")
# What a room's tests are: its name without vnet_ -> (tests, profile); others: DEFAULT
DEFAULT = (("quick.traffic", "quick.function_reset"), "modern-split")
SCRIPTED = "scripted"
ROOMS = {
    "rx": (("quick.traffic", "quick.told", "data_mtu.large_receive"), "modern-split"),
    "rxbuf": (("quick.traffic", "data_mtu.edges_of_buffers", "data_mtu.buffers_adapt"),
              "modern-split"),
    "tx": (("quick.traffic", "quick.told", "data_io.bursts"), "modern-split"),
    "xdp": (("quick.xdp", "xdp_actions.jumbo", "xdp_life.mtu"), "modern-split"),
    "xsk": (("xsk_zc.echo", "xsk_zc.send", "xsk_zc.several_frames"), "modern-split"),
    "xsk_tx": (("xsk_zc.echo", "xsk_zc.send", "xsk_zc.several_frames"), "modern-split"),
    "queue": (("quick.change", "data_queues.napi_and_queues"), "mq"),
    "affinity": (("data_queues.spread", "data_queues.placement_stays"), "mq"),
    "cfg": (("quick.change", "data_bad.user"), "mq"),
    "watch": (("quick.lost", "recovery_queues.stall_with_ring_reset",
               "recovery_queues.lost_rx_interrupt"), SCRIPTED),
    "recovery": (("recovery_queues.stall_with_ring_reset", "recovery_device.needs_reset",
                  "recovery_queues.storm_of_needs_reset"), SCRIPTED),
    "reset": (("recovery_device.needs_reset", "recovery_queues.queue_reset_hangs"), SCRIPTED),
    "life": (("recovery_device.needs_reset", "recovery_life.start_refused",
              "recovery_device.gives_up"), SCRIPTED),
    "devlink": (("recovery_device.health_commands", "recovery_device.not_wanted"), SCRIPTED),
    "ctrl": (("quick.control", "hostile.D1_never_mq_pairs"), SCRIPTED),
    "stats": (("data_queues.sums", "quick.drop_told"), SCRIPTED),
    "filter": (("control_qemu.filter_state", "control_device.survive"), "modern-split"),
    "rss": (("control_device.survive", "control_device.refused"), "modern-split"),
    "coalesce": (("control_device.survive", "control_device.adaptive"), "modern-split"),
    "replay": (("control_device.survive", "control_device.one_pair"), "modern-split"),
    "ethtool": (("control_device.survive", "control_device.bad_input"), "modern-split"),
    "link": (("link.down_up", "control_device.speed"), "modern-split"),
    "standby": (("control_device.standby",), "modern-split"),
    "pm": (("quick.function_reset", "recovery_suspend.to_idle"), "modern-split"),
    "devcfg": (("control_device.bad_configuration", "features.mtu@mtu"), "modern-split"),
    "caps": (("quick.unit_tests",), "modern-split"),
    "wire": (("quick.unit_tests",), "modern-split"),
    "hdr": (("quick.unit_tests",), "modern-split"),
    "size": (("quick.unit_tests",), "modern-split"),
    "life.h": (("quick.unit_tests",), "modern-split"),
}
# Text for the compiler and for debugging only; and what has no statements.
LEFT_OUT = ("vnet_compat.h", "vnet_trace.h", "vnet_diag.c")


def room(name):
    """(tests, profile) of a file; a header that has a room of its own before that of the .c"""
    stem = name.removeprefix("vnet_")
    bare = stem.rpartition(".")[0]
    return ROOMS.get(stem) or ROOMS.get(bare, DEFAULT)


def blank_comments(text):
    """Comments as blanks: no line is another one than before."""
    return COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def lines_of(text):
    """(number, function, line) of each line inside a function."""
    function = inside = None
    for number, line in enumerate(blank_comments(text).splitlines()):
        head = FUNCTION.match(line)
        if head and not line.rstrip().endswith(";"):
            function = head[1] or head[2]
        if line == "{":
            inside = function
        elif line == "}":
            inside = None
        elif inside and line.strip():
            yield number, inside, line


def mutations(line):
    """(kind, line with a defect) of one line."""
    if line.lstrip().startswith("#"):
        return
    for kind, pattern, new in KINDS:
        if not pattern.search(line) or IDLE.search(line):
            continue
        changed = pattern.sub(new, line, count=1)
        if changed != line:
            yield kind, changed


def of_file(name, text):
    """The mutants of one file, as arguments of mutants.Mutant."""
    tests, profile = room(name)
    lines, numbers = text.splitlines(), {}
    for number, function, line in lines_of(text):
        if lines[number] != line:       # a comment beside it
            continue
        for kind, changed in mutations(line):
            numbers[function, kind] = numbers.get((function, kind), 0) + 1
            old, new = context(lines, number, changed)
            if text.count(old) == 1:
                yield {"name": f"{function}.{kind}.{numbers[function, kind]}", "file": name,
                       "old": old, "new": new, "tests": tests, "profile": profile,
                       "why": f"{WHY[kind]}: {line.strip()}"}


def context(lines, number, changed):
    """The line with so many before it that it is there once; (old, new)."""
    text = "\n".join(lines)
    for first in range(number, max(number - 12, -1), -1):
        before = "".join(line + "\n" for line in lines[first:number])
        old = before + lines[number] + "\n"
        if text.count(old) == 1:
            return old, before + changed + "\n"
    return lines[number] + "\n", changed + "\n"


def every(files):
    """Of all files of the driver {path: text}."""
    for path, text in files.items():
        if path.name not in LEFT_OUT:
            yield from of_file(path.name, text)
