# SPDX-License-Identifier: GPL-2.0
"""What the kernel complains of on its console: found, named, and decoded.

A splat has a fingerprint, made of what is complained of and of the functions that led
to it, without addresses, numbers of processes and CPUs: the same defect has the same one
in every run. IGNORED is the list of those that are the kernel's own.
"""

import hashlib
import re
import subprocess
from dataclasses import dataclass, field

# Lines that tell of a defect, wherever they stand.
SPLAT = re.compile(
    r"BUG:|WARNING:|RIP:|Call [Tt]race:|Oops|Unable to handle kernel|Internal error:"
    r"|general protection|Kernel panic|KASAN:|KCSAN:|UBSAN:"
    r"|possible circular locking|inconsistent lock state|suspicious RCU|sleeping function called"
    r"|stalled pool shutdown|blocked for more than|soft lockup|hard LOCKUP|rcu_.*detected stall"
    r"|unregister_netdevice: waiting|NETDEV WATCHDOG|refcount_t:|ref_tracker:|list_add corruption"
    r"|list_del corruption|memory leak|DMA-API:|scheduling while atomic|use-after-free")
# Of these the ones that stand within a complaint and do not begin one.
WITHIN = re.compile(r"RIP:|Call [Tt]race:|Oops|Internal error:|Kernel panic|end Kernel panic")
# The kernel's own, which nobody here can help, and why.
IGNORED = (
    (r"[^\n]*INFO: trying to register non-static key(?:(?!</TASK>).)*?"
     r"net_failover_get_stats.*?</TASK>",
     "net_failover never initializes its lock, which only lockdep minds (and is off from then on)"),
    (r"[^\n]*WARNING: fs/proc/generic\.c(?:(?!end trace).)*? unregister_irq_proc"
     r".*?end trace[^\n]*",
     "an interrupt whose files in /proc could not be made for want of memory complains when they "
     "go"),
)
KNOWN = re.compile("|".join(f"(?:{pattern})" for pattern, _ in IGNORED), re.DOTALL)

# A data race as KCSAN tells of it: the core kernel has some, and a stack that
# goes through a driver is not yet the driver's.
RACE_BEGIN, RACE_END = "BUG: KCSAN:", "Reported by Kernel Concurrency Sanitizer"
RACE = re.compile(f"{RACE_BEGIN}.*?{RACE_END}", re.DOTALL)
ACCESS = re.compile(r" by (?:task|interrupt)[^\n]*:\s*\n((?:[^\n]*\n){3})")

TIME = re.compile(r"^\[[ T\d.]+\]\s?")
# function+0x1a/0x40 [module]; with '?' before it where the stack is not sure
FRAME = re.compile(r"^ *(\? )?([\w.]+)\+(0x[0-9a-f]+)/(0x[0-9a-f]+)(?: \[(\w+)[^\]]*\])?\s*$")
RIP = re.compile(r"RIP: \w+:([\w.]+)\+(0x[0-9a-f]+)/(0x[0-9a-f]+)(?: \[(\w+)[^\]]*\])?")
END = re.compile(r"---\[ end trace|</TASK>|={20,}$")
# Functions that every splat of a kind goes through.
GENERIC = re.compile(r"dump_stack|print_report|kasan_|__kasan|print_address|report_bug|handle_bug|"
                     r"exc_|asm_|__warn|warn_slowpath|die|__die|oops_|show_|lock_acquire|"
                     r"__lock_acquire|print_circular|check_noncircular|check_prev|validate_chain|"
                     r"lockdep_rcu|kcsan_|__tsan|ubsan_|__ubsan|page_fault|bad_area")
LONGEST = 120       # lines of one splat
DEEPEST = 5         # functions of a fingerprint


@dataclass
class Splat:
    """One complaint: its first line, and its stack as (function, offset, size, module)."""

    line: str
    frames: list = field(default_factory=list)

    @property
    def functions(self):
        """Those that say where it is."""
        return [name for name, *_ in self.frames if not GENERIC.match(name)]

    @property
    def fingerprint(self):
        """The same for the same defect."""
        text = " ".join([plain(self.line), *self.functions[:DEEPEST]])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def text(self, module=None):
        """For the reader of a failure: fingerprint, line, and the stack, with lines of the code."""
        code = decode(self.frames, module) if module else {}
        stack = [f"  {name}+{offset}{f' [{mod}]' if mod else ''}"
                 f"{' ' + code[name, offset] if (name, offset) in code else ''}"
                 for name, offset, _, mod in self.frames[:12]]
        return "\n".join([f"splat {self.fingerprint}: {self.line}", *stack])


def plain(line):
    """A line without what differs from run to run."""
    line = re.sub(r"CPU#\d+: \S+", "", line)
    line = re.sub(r"\b(CPU|PID|UID|GID|Comm|addr|address)[:#]? ?\S+", "", line)
    line = re.sub(r"\+?0x[0-9a-f]+(/0x[0-9a-f]+)?|\b[0-9a-f]{12,16}\b|\b\d+\b", "N", line)
    return " ".join(line.split())


def own_race(match):
    """A race with a driver of NICs among the first three functions of an access, or nothing."""
    return match.group() if any(re.search(r"\[(vnet|virtio_net)\]", functions)
                                for functions in ACCESS.findall(match.group())) else ""


def filtered(text):
    """A console without what is the kernel's own."""
    return RACE.sub(own_race, KNOWN.sub("", text))


def half(text):
    """Does it end in the middle of a race, so that nobody can say yet whose it is?"""
    return text.rfind(RACE_BEGIN) > text.rfind(RACE_END)


def lines(text):
    """The lines of a console that tell of a defect."""
    return [line for line in filtered(text).splitlines() if SPLAT.search(line)]


def find(text):
    """The complaints of a console, in their order."""
    found, current, left = [], None, 0
    for line in filtered(text).splitlines():
        line = TIME.sub("", line)
        if left <= 0:
            current = None
        if SPLAT.search(line) and not (current and WITHIN.search(line)):
            current, left = Splat(line.strip()), LONGEST
            found.append(current)
        if current is None:
            continue
        left -= 1
        place = RIP.search(line)
        if place:
            current.frames.append(place.groups())
        frame = FRAME.match(line)
        if frame and not frame[1]:
            current.frames.append(frame.groups()[1:])
        if END.search(line) and current.frames:
            current = None
    return found


def decode(frames, module):
    """{(function, offset): "file:line"} for the frames of a module with debug information."""
    symbols = {}
    done = subprocess.run(["nm", str(module)], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tT":
            symbols.setdefault(words[2], int(words[0], 16))
    wanted = [(name, offset) for name, offset, _, mod in frames
              if name in symbols and (mod or module.suffix != ".ko")]
    if not wanted:
        return {}
    # the address on a stack is that of the next instruction
    addresses = [hex(symbols[name] + max(int(offset, 16) - 1, 0)) for name, offset in wanted]
    done = subprocess.run(["addr2line", "-e", str(module), "-j", ".text", *addresses],
                          capture_output=True, text=True, check=False)
    places = [line.split(" ")[0].rpartition("/")[2] for line in done.stdout.splitlines()]
    return {key: place for key, place in zip(wanted, places) if not place.startswith("?")}
