# SPDX-License-Identifier: GPL-2.0
"""make kernels: does vnet compile for every kernel that the archive has?

Outside, where the network is, the headers of the oldest and the newest kernel
of each series and flavour are fetched from every Debian suite that the
machine's mirror has. Inside the root the module is compiled for one after the
other: headers only, no image, no guest. The table of README.md is written from
what came of it.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from . import SetupError, build, host, kernels, outer, say

CHECKOUT = Path(__file__).resolve().parent.parent
# suite -> how the table calls it; what the mirror does not have is left out
SUITES = {"bookworm-backports": "12 backports", "trixie": "13", "trixie-updates": "13",
          "trixie-security": "13", "trixie-backports": "13 backports", "testing": "testing",
          "sid": "unstable", "experimental": "experimental"}
HEADERS = re.compile(r"linux-headers-((\d+)\.(\d+)(?:\.\d+|-rc\d+)\S*?)-(?:(cloud|rt)-)?amd64")
FLAVOURS = ("generic", "cloud", "rt")
OLDEST = (6, 12)    # as lab/make/checks.sh has it
BEGIN, END = "<!-- written by 'make kernels' -->\n", "<!-- end -->\n"


def numbers(release):
    """A key to sort releases by: 7.3-rc7 comes before 7.3.1."""
    release = re.sub(r"-rc(\d+)", r".-1.\1", release)
    return [int(n) for n in re.findall(r"-?\d+", release)]


def choose(names):
    """{series: {flavour: [package, ...]}}: the oldest and the newest of each."""
    every = {}
    for name in names:
        found = HEADERS.fullmatch(name)
        series = found and (int(found[2]), int(found[3]))
        if series and series >= OLDEST:
            flavours = every.setdefault(series, {})
            flavours.setdefault(found[4] or "generic", {})[found[1]] = name
    return {series: {flavour: [releases[r] for r in
                               dict.fromkeys((min(releases, key=numbers),
                                              max(releases, key=numbers)))]
                     for flavour, releases in flavours.items()}
            for series, flavours in sorted(every.items())}


def depends(record):
    """What else of the kernel's headers a package needs, from its control record."""
    found = re.search(r"^Depends: (.*)$", record, re.MULTILINE)
    return re.findall(r"(linux-(?:headers-\S*common\S*|kbuild-\S+?))(?=[ ,]|$)",
                      found[1] if found else "")


def places(text):
    """{package: {suite, ...}} of what 'apt-cache madison' prints."""
    found = {}
    for line in text.splitlines():
        package, _, where = (part.strip() for part in line.split("|", 2))
        if where.endswith(" Packages"):
            found.setdefault(package, set()).add(where.split()[1].split("/")[0])
    return found


class Apt:
    """The machine's apt with lists, a cache and sources of its own."""

    def __init__(self, directory):
        self.directory = directory
        for part in ("lists/partial", "cache/archives/partial", "debs"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        self.options = [
            "-o", f"Dir::Etc::sourcelist={directory}/sources.list", "-o",
            "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={directory}/lists",
            "-o", f"Dir::Cache={directory}/cache", "-o", "APT::Sandbox::User=root",
            "-o", "APT::Architecture=amd64", "-o", "Acquire::Languages=none"]

    def run(self, program, *args, check=True):
        done = subprocess.run([program, "-q", *self.options, *args], cwd=self.directory / "debs",
                              capture_output=True, text=True, errors="replace", check=False)
        if done.returncode and check:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SetupError(f"{program} {args[0]} failed: {last}")
        return done.stdout

    def update(self):
        mirrors = {"security": security(), "": host.mirror()}
        lines = [f"deb [signed-by={host.KEYRING}] {site} {suite} main\n" for suite in SUITES
                 if (site := mirrors["security" if suite.endswith("-security") else ""])]
        (self.directory / "sources.list").write_text("".join(lines), encoding="ascii")
        # a suite that the mirror lacks is an error for apt and none for us
        self.run("apt-get", "update", check=False)

    def fetch(self, package):
        """The .deb files of a headers package, those that it needs among them."""
        wanted = [package, *depends(self.run("apt-cache", "show", "--no-all-versions", package))]
        missing = [name for name in wanted if not self.debs(name)]
        if missing:
            self.run("apt-get", "download", *missing)
        return [str(path) for name in wanted for path in self.debs(name)]

    def debs(self, package):
        return sorted((self.directory / "debs").glob(f"{package}_*.deb"))


def security():
    """The security archive that the machine's own apt uses, or None."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)|$(LABEL)"],
                         capture_output=True, text=True, check=False).stdout
    return next((line.split("|")[0] for line in out.splitlines()
                 if line.endswith("|Debian-Security")), None)


def table(results, ran):
    """The lines of README.md: results are (series, flavour, suites, verdict)."""
    lines = ["| series | generic | cloud | real-time | in Debian | guests |\n",
             "|---|---|---|---|---|---|\n"]
    before = None
    for series in sorted({tuple(r[0]) for r in results}):
        mine = [r for r in results if tuple(r[0]) == series]
        if before == OLDEST and series[0] > before[0]:
            lines.append(f"| 6.13 to {series[0]}.{series[1] - 1} | not available | not available "
                         "| not available | | |\n" if series[1] else
                         "| 6.13 and newer 6.x | not available | not available "
                         "| not available | | |\n")
        cells = []
        for flavour in FLAVOURS:
            verdicts = {r[3] for r in mine if r[1] == flavour}
            cells.append("not available" if not verdicts else
                         "compiled" if verdicts == {"compiled"} else
                         ", ".join(sorted(verdicts - {"compiled"})))
        suites = {SUITES[suite] for r in mine for suite in r[2] if suite in SUITES}
        order = [name for name in dict.fromkeys(SUITES.values()) if name in suites]
        name = "{}.{}".format(*series) + (" LTS" if series == OLDEST else "")
        lines.append(f"| {name} | {' | '.join(cells)} | {', '.join(order)} | "
                     f"{'run' if list(series) in ran else 'not run'} |\n")
        before = series
    return lines


def write(path, lines):
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SetupError(f"{path} has no place for the table of kernels")
    head, tail = text.split(BEGIN, 1)
    new = head + BEGIN + "".join(lines) + END + tail.split(END, 1)[1]
    if new != text:
        path.write_text(new, encoding="utf-8")


def main(enter, args):
    """Outside: choose, fetch, have them compiled, write the table."""
    parser = argparse.ArgumentParser(prog="lab kernels")
    parser.add_argument("releases", nargs="*",
                        help="only what has one of these in its name; README.md stays as it is")
    options = parser.parse_args(args)
    apt = Apt(host.cache_dir() / "headers")
    say("kernels: asking the archive what it has")
    apt.update()
    chosen = choose(apt.run("apt-cache", "pkgnames", "linux-headers-").split())
    jobs = [{"series": series, "flavour": flavour, "package": package}
            for series, flavours in chosen.items() for flavour in flavours
            for package in flavours[flavour]
            if not options.releases or any(word in package for word in options.releases)]
    if not jobs:
        raise SetupError("the archive has no headers of such a kernel: see "
                         f"'apt-get indextargets' and {apt.directory}")
    where = places(apt.run("apt-cache", "madison", *(job["package"] for job in jobs)))
    for job in jobs:
        say(f"kernels: fetching {job['package']}")
        job["suites"] = sorted(where.get(job["package"], ()))
        job["debs"] = [path.replace(str(host.cache_dir()), "/cache", 1)
                       for path in apt.fetch(job["package"])]
    keep = {Path(deb).name for job in jobs for deb in job["debs"]}
    if not options.releases:
        for old in (apt.directory / "debs").glob("*.deb"):
            if old.name not in keep:
                old.unlink()
    answer = apt.directory / "results.json"
    answer.unlink(missing_ok=True)
    (apt.directory / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    status = enter(["python3", "-m", "lab.matrix"])
    if answer.exists() and not options.releases:
        write(CHECKOUT / "README.md", table(**json.loads(answer.read_text(encoding="utf-8"))))
    return status


def compile_one(job):
    """Inside: 'compiled', 'refused' by the gate of make, or 'does not compile'."""
    for deb in job["debs"]:
        subprocess.run(f"dpkg-deb --fsys-tarfile {deb} | tar -x -C / --keep-directory-symlink",
                       shell=True, check=True)
    release = job["package"].removeprefix("linux-headers-")
    kdir = Path("/usr/src") / job["package"]
    gate = subprocess.run(["sh", "lab/make/checks.sh", "build", str(kdir)], cwd=build.CHECKOUT,
                          capture_output=True, text=True, check=False)
    if gate.returncode:
        say(f"kernels: {release}: refused: {gate.stderr.strip()}")
        return "refused"
    with tempfile.TemporaryDirectory() as temp:
        target = Path(temp)
        build.copy_sources(target)
        try:
            # whatever compiler a kernel was built with, the root has one
            build.make(kernels.Kernel(release, release, kdir), target, "vnet", ["CC=gcc"], kdir)
        except build.BuildFailed as error:
            log = Path(f"/cache/headers/{release}.log")
            log.write_bytes((target / "build.log").read_bytes())
            say(f"kernels: {error}".replace(f"{target}/build.log", str(outer(log))))
            return "does not compile"
        finally:
            subprocess.run(["rm", "-rf", *(f"/usr/src/{Path(deb).name.split('_')[0]}"
                                           for deb in job["debs"])], check=False)
    say(f"kernels: {release}: compiled")
    return "compiled"


def inside():
    """Inside the root: compile for each; status 1 if the gate lets one in that does not."""
    state = Path("/cache/headers")
    results = []
    for job in json.loads((state / "jobs.json").read_text(encoding="utf-8")):
        results.append((job["series"], job["flavour"], job["suites"], compile_one(job)))
    ran = [kernel.version for kernel in kernels.every_of_root()]
    (state / "results.json").write_text(json.dumps({"results": results, "ran": ran}),
                                        encoding="utf-8")
    verdicts = [verdict for *_, verdict in results]
    say(f"kernels: {verdicts.count('compiled')} compiled, {verdicts.count('refused')} refused, "
        f"{verdicts.count('does not compile')} failed")
    return 1 if "does not compile" in verdicts else 0


if __name__ == "__main__":
    sys.exit(inside())
