# SPDX-License-Identifier: GPL-2.0
"""Gates that read the tree: checkpatch, kernel-doc, scripts, commits."""

import os
import re
import shlex
import subprocess
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import trees
from trees import COMPANIONS, FOLDERS, IN_TREE, JOBS, TOP, say

HERE = Path(__file__).resolve().parent
LINE = 100
CLEAN = trees.CACHE / "gates/checkpatch-clean"
# Published with a subject that the rule refuses: it cannot be mended any more.
PUBLISHED = ("e5a2837",)
SUBJECT_LENGTH = 80


def copy_c_files(names):
    """Shell lines that put files into a kernel source, where the kernel's tools expect them."""
    return f"""
mkdir -p /mnt/src/{IN_TREE}
(cd {TOP} && cp --parents {shlex.join(names)} /mnt/src/{IN_TREE})
"""


def in_source(series, names, script):
    """Run shell lines at /mnt/src with the files NAMES in place; their output."""
    with tempfile.TemporaryDirectory(prefix="gate-") as build:
        _, output = trees.shell(trees.mounts(trees.tools(series), build) + copy_c_files(names) +
                                "cd /mnt/src\n" + script)
    return output


def c_files():
    return [name for name in trees.tree_files() if name.endswith((".c", ".h"))]


def of_kernel(name):
    """Is a C file part of a module, and not of a program or a BPF object?"""
    return "/" not in name or name.split("/")[0] in ("include", "kunit", *FOLDERS, *COMPANIONS)


def exceptions():
    """[(file pattern, message type)] of checkpatch.txt."""
    rows = [line.split() for line in (HERE / "checkpatch.txt").read_text("ascii").splitlines()
            if line and not line.startswith("#")]
    return [(row[0], row[1]) for row in rows]


def remembered(keys):
    """{name: key} of KEYS without the files that an earlier run has found clean."""
    try:
        clean = set(CLEAN.read_text(encoding="ascii").split())
    except FileNotFoundError:
        clean = set()
    return {name: key for name, key in keys.items() if key not in clean}


def remember(keys, dirty):
    """Write down which files were clean; those of an older tree are forgotten."""
    CLEAN.parent.mkdir(parents=True, exist_ok=True)
    temp = CLEAN.with_suffix(f".{os.getpid()}")
    temp.write_text("\n".join(key for name, key in sorted(keys.items()) if name not in dirty),
                    encoding="ascii")
    temp.rename(CLEAN)


def checkpatch():
    """A file that was clean is not looked at again until it, the script or a rule changes."""
    trees.need("perl")
    series = trees.series()[-1]
    rules = trees.tools(series).name + (HERE / "checkpatch.txt").read_text("ascii")
    names = c_files()
    keys = {name: trees.digest(rules, name, (TOP / name).read_text("utf-8")) for name in names}
    fresh = remembered(keys)
    say(f"checkpatch: {len(names)} files, {len(fresh)} of them new or changed, script of {series}")
    paths = shlex.join(f"{IN_TREE}/{name}" for name in fresh)
    output = in_source(series, list(fresh), f"""
printf '%s\\0' {paths} | xargs -0 -n 4 -P 2 \\
    perl scripts/checkpatch.pl --strict --terse --show-types --no-summary --color=never -f || true
echo checkpatch-ran""") if fresh else "checkpatch-ran"
    lines = output.strip().splitlines()
    if lines.pop() != "checkpatch-ran":
        return lines[-5:] + ["checkpatch did not run"], "nothing"
    found, free = [], exceptions()
    for line in lines:
        line = line.replace(f"{IN_TREE}/", "")
        where = re.match(r"([^:]+):\d+: \w+:(\w+):", line)
        if not where or not any(where.group(2) == kind and fnmatch(where.group(1), pattern)
                                for pattern, kind in free):
            found.append(line)
    dirty = {line.split(":")[0] for line in found}
    if dirty <= keys.keys():
        remember(keys, dirty)
    return found, f"{len(names)} files"


def kernel_doc(newest_only=False):
    names = [name for name in c_files() if of_kernel(name)]
    found = []
    chosen = trees.series()[-1:] if newest_only else trees.series()
    for series in chosen:
        say(f"kernel-doc: {len(names)} files, script of {series}")
        script = "tools/docs/kernel-doc"
        if not (trees.tools(series) / script).exists():
            script = "scripts/kernel-doc"
        paths = " ".join(shlex.quote(f"{IN_TREE}/{name}") for name in names)
        output = in_source(series, names, f"""
{script} -none -Wall {paths}
echo kernel-doc-ran""")
        lines = output.strip().splitlines()
        ran = "kernel-doc-ran" in lines[-1:]
        lines = [line for line in lines if re.search(r"warning|error", line, re.I)]
        found += dict.fromkeys(f"{series}: {line.replace(IN_TREE + '/', '')}" for line in lines)
        if not ran and not lines:
            found.append(f"{series}: kernel-doc did not run")
    return found, f"{len(names)} files with {len(chosen)} versions"


def kind(name):
    """'shell', 'python' or None, by name or by the first line."""
    if name.endswith((".py", ".sh")):
        return "python" if name.endswith(".py") else "shell"
    with open(TOP / name, "rb") as handle:
        first = handle.readline(80)
    match = re.match(rb"#!.*\b(sh|bash|dash|python3)\b", first)
    return None if not match else "python" if match.group(1) == b"python3" else "shell"


def tool(argv):
    got = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, errors="replace",
                         check=False)
    lines = (got.stdout + got.stderr).strip().splitlines()
    return lines or [f"{argv[0]} ended with status {got.returncode}"] if got.returncode else []


def scripts():
    trees.need("shellcheck", "flake8", "codespell")
    names = trees.tree_files()
    kinds = {name: kind(name) for name in names}
    shells = [name for name in names if kinds[name] == "shell"]
    pythons = [name for name in names if kinds[name] == "python"]
    say(f"scripts: {len(shells)} of shell, {len(pythons)} of Python, {len(names)} files to spell")
    shellcheck = ["shellcheck", "--format=gcc", "--external-sources"]
    started = [name for name in shells if (TOP / name).read_bytes().startswith(b"#!")]
    sourced = [name for name in shells if name not in started]
    found = tool([*shellcheck, *started])
    if sourced:
        found += tool([*shellcheck, "--shell=sh", *sourced])
    found += tool(["flake8", f"--max-line-length={LINE}", JOBS, *pythons])
    found += tool(["codespell", "--ignore-words", str(HERE / "words.txt"), *names])
    return found, f"{len(shells)} of shell, {len(pythons)} of Python, {len(names)} spell-checked"


def git(*args):
    got = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(TOP), *args],
                         capture_output=True, text=True, errors="replace", check=False)
    return got.stdout if got.returncode == 0 else None


SUBJECT = re.compile(r"(Revert \")?[\w./, -]+: \S.*")


def commits():
    """Form of the messages that are not published yet; without a remote branch, of all."""
    base = git("rev-parse", "--abbrev-ref", "@{upstream}")
    span = f"{base.strip()}..HEAD" if base else "HEAD"
    log = git("log", "--no-merges", "-z", "--format=%h%n%s%n%B", span) or ""
    found, count = [], 0
    for entry in filter(None, log.split("\0")):
        name, subject, body = entry.split("\n", 2)
        if name in PUBLISHED:
            continue
        count += 1
        if not SUBJECT.fullmatch(subject) or subject.endswith("."):
            found.append(f"{name}: the subject is not of the form 'area: verb ...': {subject}")
        if len(subject) > SUBJECT_LENGTH:
            found.append(f"{name}: the subject has {len(subject)} characters, "
                         f"{SUBJECT_LENGTH} are allowed")
        if "Signed-off-by: " not in body:
            found.append(f"{name}: no Signed-off-by: {subject}")
    return found, f"{count} messages"
