# SPDX-License-Identifier: GPL-2.0
"""Gates that compile the driver: build, in-tree, sparse, layers.

Each gate is a function that returns (findings, what it looked at).
"""

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import trees
from trees import CACHE, IN_TREE, JOBS, TOP, SetupError, say

HERE = Path(__file__).resolve().parent
CONFIG = TOP / "lab/debug-kernel/base.config"
DRIVER = f"{IN_TREE}/"
# what kbuild says about the kernel and not about the module
HARMLESS = re.compile(r"the compiler differs from the one used to build the kernel|Skipping BTF generation|"
                      r"^make(\[\d+\])?: warning: jobserver unavailable")
LOUD = re.compile(r"\bwarning:|\bWARNING\b|\bWarning:|\berror:|\bERROR\b|\*\*\*")


def loud(output):
    """The lines of a build that a clean one does not have, paths as in the project."""
    lines = dict.fromkeys(line.strip() for line in output.splitlines()
                          if LOUD.search(line) and not HARMLESS.search(line))
    return [re.sub(rf"\S*/{DRIVER}", "", line) for line in lines]


def failed(output):
    """Findings of a build that ended with an error status."""
    return loud(output) or output.strip().splitlines()[-5:] or ["the build failed without a word"]


def label(findings, what):
    return [f"{what}: {line}" for line in findings]


def have_driver():
    if not (TOP / "Kbuild").is_file():
        raise SetupError(f"{TOP} has no Kbuild file: there is no driver to compile")


@cache
def out_of_tree(release):
    """Build the module against installed headers; return its findings."""
    have_driver()
    say(f"build: gcc, headers of {release}")
    with tempfile.TemporaryDirectory(prefix="gate-") as work:
        for name in trees.driver_files():
            (Path(work) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, Path(work) / name)
        kdir = f"/lib/modules/{release}/build"
        status, output = trees.shell(f"mount --bind {work} /mnt && cd /mnt && "
                                     f"make {JOBS} -C {kdir} M=/mnt W=1 modules")
        if status:
            return failed(output)
        found = [line.replace("/mnt/", "") for line in loud(output)]
        if not (Path(work) / "vnet.ko").is_file():
            found.append("the build made no vnet.ko")
        return found


class Tree:
    """A configured kernel build directory, kept in the cache, for one series and compiler."""

    def __init__(self, series, compiler):
        have_driver()
        self.name = f"{series} {compiler}"
        self.make = f"make {JOBS} -C /mnt/src O=/mnt/build" + (" LLVM=1" if compiler == "clang" else "")
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        self.source = trees.source(series)
        key = trees.digest(CONFIG.read_text(), version, self.source.name, self.make)
        self.dir = CACHE / "gates" / f"{series}-{compiler}-{key}"
        with self.lock():
            if not (self.dir / "prepared").exists():
                self.prepare(series, compiler)

    def lock(self):
        self.dir.parent.mkdir(exist_ok=True)
        return trees.locked(self.dir)

    def prepare(self, series, compiler):
        for old in self.dir.parent.glob(f"{series}-{compiler}-*"):
            if old.is_dir():
                shutil.rmtree(old)
        say(f"preparing the kernel tree {self.name} (once, about two minutes)")
        self.dir.mkdir()
        shutil.copy(CONFIG, self.dir / "all.config")
        status, output = trees.shell(trees.mounts(self.source, self.dir) + f"""
KCONFIG_ALLCONFIG=/mnt/build/all.config {self.make} allnoconfig >/dev/null
{self.make} modules_prepare
touch /mnt/build/prepared""")
        if status:
            raise SetupError(f"the kernel tree {self.name} cannot be prepared: {failed(output)[-1]}")

    def compile(self, how, arguments="W=1", planted=""):
        """Build the driver in tree as =m or =y; (findings, output)."""
        kunit = how if (TOP / "kunit").is_dir() else "n"
        state = {"m": "module", "y": "enable", "n": "disable"}
        script = trees.mounts(self.source, self.dir) + in_tree_lines() + f"""
{planted}
cd /mnt/build
/mnt/src/scripts/config --{state[how]} VNET --{state[kunit]} VNET_KUNIT_TEST --enable NET_FAILOVER
{self.make} olddefconfig >/dev/null
grep -qx 'CONFIG_VNET={how}' .config || {{ echo 'error: Kconfig does not allow CONFIG_VNET={how}'; exit 1; }}
{self.make} prepare >/dev/null
{self.make} {arguments} {DRIVER}
"""
        with self.lock():
            status, output = trees.shell(script)
        return (failed(output) if status else loud(output)), output

    def objects(self):
        """The driver's own objects, as the last compile() left them."""
        return sorted(path for path in (self.dir / IN_TREE).rglob("*.o")
                      if (TOP / path.relative_to(self.dir / IN_TREE).with_suffix(".c")).is_file())


def in_tree_lines():
    """Shell lines that put the driver into the kernel source at /mnt/src."""
    files = " ".join(trees.driver_files())
    return f"""
mkdir /mnt/src/{IN_TREE}
(cd {TOP} && cp --parents --preserve=mode,timestamps {files} /mnt/src/{IN_TREE})
sed -i '/^endif # NETDEVICES/i source "{IN_TREE}/Kconfig"' /mnt/src/drivers/net/Kconfig
grep -q {IN_TREE} /mnt/src/drivers/net/Kconfig
echo 'obj-$(CONFIG_VNET) += vnet/' >> /mnt/src/drivers/net/Makefile
"""


def build():
    trees.need("gcc", "clang", "ld.lld")
    found = []
    for release in trees.headers():
        found += label(out_of_tree(release), f"gcc {release}")
    for series in trees.series():
        say(f"build: clang, source of {series}")
        tree = Tree(series, "clang")
        lines, _ = tree.compile("m")
        found += label(lines, f"clang {series}")
        for path in tree.objects():
            comment = subprocess.run(["llvm-readelf", "-p", ".comment", path],
                                     capture_output=True, text=True, check=False).stdout
            if "clang" not in comment or "GCC" in comment:
                found.append(f"clang {series}: {path.name} was not compiled by clang")
        if not lines and not tree.objects():
            found.append(f"clang {series}: no object was made")
    return found, f"gcc and W=1 for {len(trees.headers())} kernels, clang for {len(trees.series())}"


@cache
def in_tree_build(series, how):
    say(f"in-tree: CONFIG_VNET={how}, source of {series}")
    tree = Tree(series, "gcc")
    lines, _ = tree.compile(how)
    if not lines and not tree.objects():
        lines = ["no object was made"]
    return tree, label(lines, f"{series} ={how}")


def in_tree():
    found = []
    for series in trees.series():
        for how in "ym":
            found += in_tree_build(series, how)[1]
    return found, f"=m and =y for {len(trees.series())} kernel sources"


def sparse():
    """C=2 with a wrapper that plants a defect into every file: a check that does not find it did not run."""
    trees.need("sparse")
    found, checked = [], 0
    for series in trees.series():
        say(f"sparse: source of {series}")
        tree = Tree(series, "gcc")
        lines, output = tree.compile("m", f"C=2 CHECK={HERE}/sparse-planted")
        proven = set(re.findall(r"^sparse-planted: found in (\S+)", output, re.M))
        names = {str(path.relative_to(tree.dir / IN_TREE).with_suffix(".c")) for path in tree.objects()}
        missing = sorted(names - {name.split(f"{DRIVER}")[-1] for name in proven})
        found += label((line for line in lines if not line.startswith(("include/", "./include/", "arch/"))), series)
        found += label((f"{name}: the planted defect was not found, so sparse did not check this file" for name in missing),
                       series)
        if not names:
            found.append(f"{series}: no file was checked")
        checked += len(names)
    return found, f"{checked} files, a planted defect found in each"
