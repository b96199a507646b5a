# SPDX-License-Identifier: GPL-2.0
"""Gates that compile the driver: build, clang, in-tree, sparse, layers.

Each gate is a function that returns (findings, what it looked at). Objects of
an earlier run are removed before each build: what is up to date shows no
warnings. ccache repeats the warnings of what it has compiled before.
"""

import re
import shutil
from functools import cache
from pathlib import Path

import layering
import trees
from trees import CACHE, IN_TREE, JOBS, TOP, SetupError, say

HERE = Path(__file__).resolve().parent
STATE = CACHE / "gates"
CONFIG = TOP / "lab/debug-kernel/base.config"
DRIVER = f"{IN_TREE}/"
# what kbuild says about the kernel and not about the module
HARMLESS = re.compile(
    r"the compiler differs from the one used to build the kernel|Skipping BTF generation"
    r"|^make(\[\d+\])?: warning: jobserver unavailable")
LOUD = re.compile(r"\b(?:warning|Warning|error):|\b(?:WARNING|ERROR)\b|\*\*\* ")
NEEDED = ("VSOCKETS",)              # by the companions
MODULES = ("VNET_VSOCKMON", "VNET_PAIR")    # the companions themselves
FULL = (7, 2)   # the first kernel for which no probe fails, see docs/compat.rst
# Machines with short cache lines (m68k, openrisc, parisc), as far as one x86 compiler can tell:
# what the driver asserts about its structs has to hold there, too.
SHORT_LINES = r"#undef CONFIG_X86_L1_CACHE_SHIFT\n#define CONFIG_X86_L1_CACHE_SHIFT 4\n"
FORGET = r"find %s \( -name '*.o' -o -name '*.o.cmd' -o -name vnet_conftest.h \) -delete"


def loud(output):
    """The lines of a build that a clean one does not have, paths as in the project."""
    lines = dict.fromkeys(line.strip() for line in output.splitlines()
                          if LOUD.search(line) and not HARMLESS.search(line))
    return [re.sub(rf"(\S*/)?{DRIVER}", "", line) for line in lines]


def failed(output):
    """Findings of a build that ended with an error status: the causes before make's complaint."""
    lines = loud(output)
    causes = [line for line in lines if "*** " not in line]
    return causes or lines or output.strip().splitlines()[-5:] or ["it failed without a word"]


def label(findings, what):
    return [f"{what}: {line}" for line in findings]


def have_driver():
    if not (TOP / "Kbuild").is_file():
        raise SetupError(f"{TOP} has no Kbuild file: there is no driver to compile")


def copy_driver(target):
    """Bring TARGET up to date; of what was built there only the compile probes stay."""
    wanted = set(trees.driver_files())
    for path in target.rglob("*"):
        if path.is_file() and str(path.relative_to(target)) not in wanted and \
                "vnet_conftest.h" not in path.name:
            path.unlink()
    for name in wanted:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, target / name)


def probes(release, written):
    """Findings about the compile probes, given the header that they wrote for RELEASE."""
    def names(pattern, text):
        return set(re.findall(pattern, text, re.MULTILINE))

    defined = r"\bVNET_HAVE_(\w+)"
    made = names(r"^probe (\w+) ", (TOP / "scripts/conftest.sh").read_text(encoding="ascii"))
    read = names(defined, (TOP / "include/vnet_compat.h").read_text(encoding="ascii"))
    for name in sorted(made ^ read):
        yield f"VNET_HAVE_{name}: conftest.sh and vnet_compat.h do not both have it"
    if tuple(map(int, re.findall(r"\d+", release)[:2])) >= FULL:
        for name in sorted(made - names(defined, written)):
            yield f"scripts/conftest.sh: {release} has {name}, but the probe does not compile"


def out_of_tree(release):
    """Build the modules against installed headers; return their findings."""
    have_driver()
    say(f"build: gcc, headers of {release}")
    work = STATE / f"headers-{release}"
    with trees.locked(work):
        work.mkdir(parents=True, exist_ok=True)
        copy_driver(work)
        # another checkout's, and newer than this one's script, it may be
        (work / "vnet_conftest.h").unlink(missing_ok=True)
        status, output = trees.shell(f"mount --bind {work} /mnt\ncd /mnt\nmake {JOBS} W=1 "
                                     f"-C /lib/modules/{release}/build M=/mnt modules")
        found = [re.sub(r"(^|\s)/mnt/", r"\1", line)
                 for line in (failed(output) if status else loud(output))]
        if not status and not (work / "vnet.ko").is_file():
            found.append("the build made no vnet.ko")
        elif not status and (lacks := [name for name in trees.COMPANIONS
                                       if not (work / name / f"{name}.ko").is_file()]):
            found.append(f"the build made no {lacks[0]}.ko")
        elif not status:
            found += probes(release, (work / "vnet_conftest.h").read_text(encoding="ascii"))
            found += label(short_lines(release, work), "cache lines of 16 bytes")
    return found


def short_lines(release, work):
    """Findings of the assertions on structs, where cache lines have 16 bytes."""
    status, output = trees.shell(
        f"mount --bind {work} /mnt\nprintf '{SHORT_LINES}' > /mnt/short-lines.h\n"
        f"make -C /lib/modules/{release}/build M=/mnt KCFLAGS='-include /mnt/short-lines.h' "
        "vnet_main.o")
    return failed(output) if status else []


class Tree:
    """A configured kernel build directory, kept in the cache, for one series and compiler."""

    def __init__(self, series, compiler, machine=None):
        have_driver()
        stem, self.name = f"{series}-{compiler}", f"{series} {compiler}"
        self.make = f"make {JOBS} -C /mnt/src O=/mnt/build"
        if compiler == "clang":
            self.make += " LLVM=1"
        self.config = CONFIG.read_text(encoding="ascii")
        if machine:
            stem, self.name = f"{machine.name}.{stem}", f"{series} {machine.name}"
            self.make += f" ARCH={machine.arch} CROSS_COMPILE={machine.prefix}"
            self.config += machine.config
            compiler = machine.compiler
        self.source = trees.source(series)
        key = trees.digest(self.config, self.source.name, self.make,
                           trees.text_of([compiler, "--version"]))
        self.dir = STATE / f"{stem}-{key}"
        with trees.locked(self.dir):
            if not (self.dir / "prepared").exists():
                for old in STATE.glob(f"{stem}-*/"):
                    shutil.rmtree(old)
                self.prepare()

    def prepare(self):
        say(f"preparing the kernel tree {self.name} (once, about two minutes)")
        self.dir.mkdir()
        (self.dir / "all.config").write_text(self.config, encoding="ascii")
        status, output = trees.shell(trees.mounts(self.source, self.dir) + f"""
KCONFIG_ALLCONFIG=/mnt/build/all.config {self.make} allnoconfig >/dev/null
{self.make} modules_prepare
touch /mnt/build/prepared""")
        if status:
            raise SetupError(f"the kernel tree {self.name} cannot be prepared: "
                             f"{failed(output)[-1]}")

    def compile(self, arguments=""):
        """Build driver, companions and KUnit tests as modules, W=1; (findings, output)."""
        files = " ".join(trees.driver_files())
        script = trees.mounts(self.source, self.dir) + f"""
mkdir /mnt/src/{IN_TREE}
(cd {TOP} && cp --parents --preserve=mode,timestamps {files} /mnt/src/{IN_TREE})
sed -i '/^endif # NETDEVICES/i source "{IN_TREE}/Kconfig"' /mnt/src/drivers/net/Kconfig
echo 'obj-y += vnet/' >> /mnt/src/drivers/net/Makefile
cd /mnt/build
mkdir -p {IN_TREE}
{FORGET % IN_TREE}
/mnt/src/scripts/config --module VNET --module VNET_KUNIT_TEST --enable NET_FAILOVER \
    {" ".join(f"--module {option}" for option in (*NEEDED, *MODULES))}
{self.make} olddefconfig >/dev/null
for option in VNET {" ".join(MODULES)}; do
    grep -qx "CONFIG_$option=m" .config ||
        {{ echo "error: Kconfig refuses CONFIG_$option=m"; exit 1; }}
done
{self.make} prepare >/dev/null
{self.make} W=1 {arguments} {DRIVER}
"""
        with trees.locked(self.dir):
            status, output = trees.shell(script)
        found = failed(output) if status else loud(output)
        return found if found or self.objects() else ["no object was made"], output

    def objects(self):
        """The driver's own objects, as the last compile() left them."""
        base = self.dir / IN_TREE
        return sorted(path for path in base.rglob("*.o")
                      if (TOP / path.relative_to(base).with_suffix(".c")).is_file())


def build():
    """gcc out of tree for every kernel of the root."""
    trees.need("gcc")
    found = []
    for release in trees.headers():
        found += label(out_of_tree(release), f"gcc {release}")
    return found, f"gcc for {len(trees.headers())} kernels, W=1"


def clang():
    """clang in tree for every kernel source."""
    trees.need("clang", "ld.lld")
    found = []
    for series in trees.series():
        say(f"clang: source of {series}")
        tree = Tree(series, "clang")
        found += label(tree.compile()[0], series)
        for path in tree.objects():
            comment = trees.text_of(["llvm-readelf", "-p", ".comment", path])
            if "clang" not in comment or "GCC" in comment:
                found.append(f"{series}: {path.name} was not compiled by clang")
    return found, f"{len(trees.series())} kernel sources, W=1"


def in_tree():
    """'make in-tree' as a user types it, on a source whose additions stay in the cache."""
    trees.need("gcc", "flex", "bison", "bc")
    have_driver()
    found = []
    for series in trees.series():
        source = trees.source(series)
        say(f"in-tree: CONFIG_VNET=m and =y, source of {series}")
        layer = STATE / f"in-tree-{source.name}"
        with trees.locked(layer):
            for name in ("up", "work"):
                (layer / name).mkdir(parents=True, exist_ok=True)
            status, output = trees.shell(
                trees.overlay(source, layer / "up", layer / "work") +
                f"mkdir -p /mnt/src/{IN_TREE}\n" + FORGET % f"/mnt/src/{IN_TREE}" +
                f"\nmake -s -C {TOP} in-tree KSRC=/mnt/src")
        found += label(failed(output) if status else loud(output), series)
    return found, f"=m and =y for {len(trees.series())} kernel sources"


# what sparse says about the kernel's own headers is not ours
KERNELS = re.compile(r"(/mnt/src/|\./)?(include/(?!vnet)|arch/)")
PLANTED = f"C=2 CHECK={HERE}/sparse-planted"


@cache
def module_tree(series, arguments):
    tree = Tree(series, "gcc")
    return (tree, *tree.compile(arguments))


def checked(tree, lines, output):
    """The findings of a build with PLANTED, and the number of files that it has looked at."""
    proven = re.findall(rf"^sparse-planted: found in \S*?{DRIVER}(\S+)", output, re.M)
    names = {str(path.relative_to(tree.dir / IN_TREE).with_suffix(".c"))
             for path in tree.objects()}
    found = [line for line in lines if not KERNELS.match(line)]
    found += (f"{name}: the planted defect was not found: sparse did not check this file"
              for name in sorted(names.difference(proven)))
    return found, len(names)


def sparse():
    """C=2; a wrapper plants a defect into every file, to be found or sparse did not run."""
    trees.need("sparse")
    found, count = [], 0
    for series in trees.series():
        say(f"sparse: source of {series}")
        lines, files = checked(*module_tree(series, PLANTED))
        found += label(lines, series)
        count += files
    return found, f"{count} files, the planted defect found in each"


def layers():
    """Who calls whom, from the symbols of the objects, and the rules on the text."""
    series = trees.series()[-1]
    say(f"layers: objects of {series}")
    tree, lines, _ = module_tree(series, PLANTED)
    objects = [path for path in tree.objects() if "kunit" not in path.parts]
    if not objects:
        return label(lines, series), "nothing"
    found, count = layering.check(objects)
    return found + layering.rules(), f"{len(objects)} objects, {count} references between them"
