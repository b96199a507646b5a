# SPDX-License-Identifier: GPL-2.0
"""The table of rooms against the symbols of the objects, and rules on the text."""

import re

import rooms
import trees
from trees import TOP


def symbols(path):
    """(defined, undefined) names of an object."""
    rows = [line.split()[:2] for line in trees.text_of(["nm", "--format=posix", path]).splitlines()]
    return ({name for name, kind in rows if kind.isupper() and kind != "U"},
            {name for name, kind in rows if kind in "Uw"})


def room(path):
    """The name of an object's room, with its folder."""
    folder = path.parent.name
    inside = folder in (*trees.FOLDERS, *trees.COMPANIONS)
    return f"{folder}/{path.stem}" if inside else path.stem


def check(objects):
    """(findings, number of references between objects)"""
    found, told = rooms.run(TOP)
    table = rooms.Table((TOP / rooms.TABLE).read_text("ascii"))
    found += [f"{room(path)} has no place in {rooms.TABLE}" for path in objects
              if not table.house(room(path))]
    tables = {room(path): symbols(path) for path in objects}
    owner = {symbol: name for name, (defined, _) in tables.items() for symbol in defined}
    count, edges = 0, {}
    for caller, (_, wanted) in tables.items():
        for symbol in sorted(wanted):
            if symbol in owner:
                count += 1
                edges.setdefault((caller, owner[symbol]), symbol)
            elif caller in table.pure and not table.plain.fullmatch(symbol):
                found.append(f"{caller}.c is pure and refers to {symbol}")
    found += rooms.judge(table, edges)
    found += rooms.judge_alone(table, edges)
    found += [f"{rooms.PICTURE} has no dot for {caller}.c, which refers to {symbol} of {callee}.c"
              for (caller, callee), symbol in sorted(edges.items())
              if (caller, callee) not in told and caller in table.place]
    return found, count


# Questions that a driver file may ask the preprocessor: include guards, the kernel's
# configuration, tracepoint headers, the version of a build out of tree. Everything else
# is a choice by kernel.
CONDITION = re.compile(r"\s*#\s*(?:el)?if(?:n?def)?\s+(.*)")
ASKED = re.compile(r"\b(?!defined\b|IS_(?:ENABLED|REACHABLE|BUILTIN|MODULE)\b)[A-Za-z_]\w*")
ALLOWED = re.compile(r"CONFIG_\w+|_*VNET_(?:\w+_)?H_*|TRACE_HEADER_MULTI_READ|MODULE|__KERNEL__"
                     rf"|VNET_VERSION|(?:{'|'.join(trees.COMPANIONS).upper()})_(?:\w+_)?H")
# The one file of each module that may choose by kernel.
COMPAT = ("include/vnet_compat.h", *(f"{name}/{name}_compat.h" for name in trees.COMPANIONS))

STATIC = re.compile(
    r"^static\s+(?!inline\b)"
    r"(?![^;{}=()]*\b[A-Z][A-Z0-9_]+\s*\()"  # DEFINE_MUTEX(x);
    r"[^;{}=()]*\b(\w+)\s*\([^;{}]*\)[^;{}()=]*;", re.M)
MIRROR = re.compile(
    r"\b(?:deb|ftp|cdn|httpredir|snapshot|archive|mirrors?)[\w.-]*"
    r"\.(?:debian|kernel|ubuntu)\.(?:org|com|net)\b", re.I)
FORBIDDEN = (  # pattern, what is wrong, where it is right
    (r"\bLINUX_VERSION_CODE\b|\bKERNEL_VERSION\b",
     "asks for a kernel version; probe for what is needed", ()),
    (r"\bVNET_HAVE_", "chooses by kernel; only include/vnet_compat.h does",
     ("include/vnet_compat.h",)),
    (r"\bvirtio_has_feature\s*\(", "asks for a feature bit; ask struct vnet_caps",
     # the configuration space is read before the capabilities are known
     ("policy/caps.c", "vnet_main.c", "life/devcfg.c")),
    (r"\bBUG(_ON)?\s*\(", "ends the kernel; return an error", ()),
    # 32 bit: a reader in softirq waits for ever for the writer that it has interrupted
    (r"\bu64_stats_update_begin\s*\(", "lets softirqs in; count by vnet_rxs_add(), vnet_txs_add()",
     # once per poll, in softirq
     ("vnet_rx.c", "vnet_tx.c", "vmon/vmon_stats.c", "vkit/vkit_stats.c")),
)
OF_DRIVER = r"\bvnet_|\bVNET_"      # not a word of which is in a companion
OF_COMPANIONS = rf"\b(?:{'|'.join(trees.COMPANIONS)})_"     # and the other way round


def code_only(text):
    """TEXT without comments and strings, lines kept."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    return re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"', '""', text)


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def driver_rules(name):
    """Findings in one file of the driver."""
    code = code_only((TOP / name).read_text(encoding="utf-8"))
    found = []
    stranger = OF_DRIVER if name.split("/")[0] in trees.COMPANIONS else OF_COMPANIONS
    for nr, line in enumerate(code.split("\n"), 1):
        if re.search(stranger, line):
            found.append(f"{name}:{nr}: the driver and its companions do not know of each other")
        found += [f"{name}:{nr}: {wrong}" for pattern, wrong, right in FORBIDDEN
                  if name not in right and re.search(pattern, line)]
        question = CONDITION.fullmatch(line)
        if question and name not in COMPAT and \
                not all(ALLOWED.fullmatch(word) for word in ASKED.findall(question.group(1))):
            found.append(f"{name}:{nr}: the question '{line.strip()}' belongs into "
                         "include/vnet_compat.h, or the one of the companion")
    found += [f"{name}:{line_of(code, match)}: forward declaration of static {match.group(1)}()"
              for match in STATIC.finditer(code)]
    return found


def rules():
    """Findings of the rules on the driver's text, and on host names in the whole tree."""
    found = []
    for name in trees.driver_files():
        if name.endswith((".c", ".h")) and not name.startswith("kunit/"):
            found += driver_rules(name)
    for name in trees.tree_files():
        text = (TOP / name).read_bytes().decode("utf-8", "replace")
        found += [f"{name}:{line_of(text, match)}: host name of a mirror ({match.group(0)})"
                  for match in MIRROR.finditer(text)]
    return found
