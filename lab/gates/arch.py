# SPDX-License-Identifier: GPL-2.0
"""The gate arch: the driver compiles, W=1 and sparse, for every machine of arch.toml.

Each has a kernel build directory of its own for the newest source of the root, configured and
prepared, and not compiled: what the module wants of the kernel is in its headers. The compilers
come from the layer 'cross'; machines that there is no compiler for are not passed over in
silence, see run().
"""

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import compiled
import trees
from trees import SetupError, say

TABLE = Path(__file__).with_name("arch.toml")
# what a 32-bit machine has no instruction for, and the kernel no function: / and % of 64 bits
DIVISION = re.compile(r"\bU (__aeabi_u?l(?:div|mod|divmod)|__u?(?:div|mod|divmod)di[34])$", re.M)


@dataclass(frozen=True)
class Machine:
    """One of arch.toml."""

    name: str
    arch: str
    prefix: str = ""
    config: str = ""    # lines of a .config
    must: tuple = ()

    @property
    def compiler(self):
        return f"{self.prefix}gcc"


def lines_of(words):
    """Words as SYMBOL=y and SYMBOL=n as lines of a .config."""
    return "".join(f"CONFIG_{word}\n" if not word.endswith("=n") else
                   f"# CONFIG_{word[:-2]} is not set\n" for word in words)


def machines():
    with open(TABLE, "rb") as table:
        return [Machine(name, m["arch"], m.get("prefix", ""), lines_of(m["config"]),
                        tuple(m["must"]))
                for name, m in tomllib.load(table).items()]


def not_configured(machine, text):
    """What a .config has not got of what has to be there."""
    return [f"the kernel is configured without {word}" for word in machine.must
            if f"CONFIG_{word}" not in text.splitlines()]


def compile_for(machine, series):
    """(findings, files looked at)"""
    tree = compiled.Tree(series, "gcc", machine)
    wrong = not_configured(machine, (tree.dir / ".config").read_text(encoding="ascii"))
    if wrong:
        return wrong, 0
    found, count = compiled.checked(tree, *tree.compile(compiled.PLANTED))
    for path in tree.objects():
        for name in DIVISION.findall(trees.text_of([f"{machine.prefix}nm", "-u", path])):
            found.append(f"{path.name}: division of 64 bits ({name})")
    return found, count


def wanted(names):
    """The machines of these names, all without any."""
    every = machines()
    unknown = set(names) - {machine.name for machine in every}
    if unknown:
        raise SetupError(f"there are no such machines ({' '.join(sorted(unknown))}); there are: "
                         f"{' '.join(machine.name for machine in every)}")
    return [machine for machine in every if not names or machine.name in names]


def run(*names):
    """W=1 and sparse for every machine; what cannot be compiled for is told, and no pass."""
    trees.need("sparse", "nm")
    series = trees.series()[-1]
    every = wanted(names)
    missing = [m for m in every if not shutil.which(m.compiler)]
    found, count = [], 0
    for machine in every:
        if machine in missing:
            continue
        say(f"arch: {machine.name}, source of {series}")
        lines, files = compile_for(machine, series)
        found += compiled.label(lines, machine.name)
        count += files
    if missing:
        text = (f"no compiler for {', '.join(m.name for m in missing)}: the packages of "
                "lab/layers/cross could not be installed, or lack it")
        if not found:
            raise SetupError(text)
        found.append(text)
    return found, (f"{len(every)} machines, source of {series}, W=1; {count} files, the planted "
                   "defect found in each")
