# SPDX-License-Identifier: GPL-2.0
"""The kernel's own tests of network drivers, on vnet and on virtio_net.

They come from the Debian package of the source of the guest's kernel, which
lab/layers.py lays over the root, and are built once for each version. A guest
has two NICs of the driver: the tests' NETIF and, in a name space, its remote.
"""

import fnmatch
import hashlib
import json
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import SetupError, api, build, kernels, logs, outer, say
from . import options as test_options
from .guest import Guest, GuestDied
from .net import CommandFailed, have_tap

CACHE = Path("/cache/kselftest")
HERE = Path(__file__).parent
REASONS = HERE / "kselftest.reasons"
TOOLS = {"msend": "multicast", "mreceive": "multicast", "ethtool": "ethtool"}
# modules that tests look for and do not load
MODULES = ("netconsole vrf macsec veth 8021q vxlan geneve ip6_gre ipip sit pppoe sch_etf sch_fq "
           "sch_prio")
TESTS_DIR = "tools/testing/selftests"
# what the build reads of a kernel source
PARTS = ("tools", "Documentation/netlink", "include", "arch/x86", "scripts", "usr", "Makefile",
         "Kbuild", "MAINTAINERS")
TARGETS = "net/lib drivers/net drivers/net/hw"
GUEST_TREE = f"/kselftest/{TESTS_DIR}"
PREFIX6 = "fd99:0:0:1::/64"  # LOCAL_PREFIX_V6, beside the addresses of the lab
LIMIT = 200  # seconds for a test; emulation is slow
LIMITS = {"xdp.py": 900, "gro.py": 1800, "rss_ctx.py": 500, "local_termination.sh": 900,
          "ring_reconfig.py": 400, "csum.py": 300, "tso.py": 500, "psp.py": 300,
          "netpoll_basic.py": 300, "toeplitz.py": 500, "tc_flower.sh": 400}
# what a test needs and does not do: this one wants a page of the pool for every
# third packet at least, and 4000 of them a second; a page of vnet has room for
# sixteen packets of the wire, or two of these
BEFORE = {"pp_alloc_fail.py": "ip -n peer link set {peer} gso_max_size 12000; "
                              "trap 'ip -n peer link set {peer} gso_max_size 65536' EXIT"}
# tests of drivers/net/hw that are told two interfaces, back to back, and those
# that want four or six, as of a switch: not run
PAIRED = ("ethtool.sh", "ethtool_extended_state.sh", "ethtool_mm.sh", "loopback.sh")
SWITCH = ("hw_stats_l3.sh", "hw_stats_l3_gre.sh")
# tests of net/forwarding that two interfaces back to back can serve
FORWARDING = ("bridge_mdb_host.sh", "local_termination.sh", "min_max_mtu.sh", "tc_chains.sh",
              "tc_flower.sh", "tc_flower_cfm.sh")
# tests that the device with hash reports serves, beside the other one
HASH = ("toeplitz.py", "xdp_metadata.py", "rss_api.py")
# tests that want faults to be injected; the kernel of that name can, see docs/testing.rst
FAULTS = ("pp_alloc_fail.py",)
# what 'make check' runs
QUICK = ("queues.py", "napi_id.py", "napi_threaded.py", "irq.py", "stats.py")

KTAP = re.compile(r"(not )?ok \d+ (.*?)(?:\s+# ?(SKIP|XFAIL)\b\s*(.*))?$")
SHELL = re.compile(r"TEST: (.*?)\s+\[\s*(OK|PASS|FAIL|SKIP|XFAIL|XPASS)\s*\]$")
SAID = re.compile(r"# (Check failed|Exception\| +\w[\w.]*:|Exception\| *\w+(Error|Ex)\b)")
FATAL = ("(kernel)", "(guest)")  # cases that tell of the end of a guest
VERDICTS = {"OK": "pass", "PASS": "pass", "XPASS": "pass"}
LETTERS = ("pass", "fail", "skip", "xfail")


@dataclass(frozen=True)
class Test:
    """One program of the kernel's tests on one device profile."""

    path: str
    profile: str

    @property
    def name(self):
        return self.path.rpartition("/")[2]

    @property
    def key(self):
        return self.path + (" (hash)" if self.profile.endswith("hash") else "")

    @property
    def paired(self):
        """Whether it is told two interfaces of one name space."""
        return self.path.startswith(("net/forwarding/", "drivers/net/virtio_net/")) or \
            self.name in PAIRED

    @property
    def limit(self):
        return LIMITS.get(self.name, LIMIT)


# ---- the source ------------------------------------------------------------

def source(kernel):
    """The archive of the kernel's source and its version."""
    series = "{}.{}".format(*kernel.version)
    archive = Path(f"/usr/src/linux-source-{series}.tar.xz")
    if not archive.exists():
        raise SetupError(f"there is no source of Linux {series} in the guest root")
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", f"linux-source-{series}"],
                             capture_output=True, text=True, check=False).stdout
    return archive, version or series


def tree(kernel):
    """Unpack and build the tests of a kernel's source once; the directory of /kselftest."""
    archive, version = source(kernel)
    key = hashlib.sha256(f"{PARTS} {TARGETS} {compile_tests.__code__.co_consts}".encode())
    target = CACHE / f"{version}-{key.hexdigest()[:8]}"
    if (target / "done").exists():
        return target
    subprocess.run(["rm", "-rf", str(target)], check=True)
    (target / "kselftest").mkdir(parents=True)
    say(f"kselftest: unpacking and building the tests of {archive.name} (once, some minutes)")
    started = time.monotonic()
    done = subprocess.run(
        ["tar", "-xJf", str(archive), "-C", str(target / "kselftest"), "--strip-components=1",
         "--wildcards", *(f"linux-source-*/{part}" for part in PARTS)],
        capture_output=True, text=True, check=False)
    if not (target / "kselftest" / TESTS_DIR).is_dir():
        raise SetupError(f"cannot unpack {archive.name}: {done.stderr.strip()[-200:]}")
    (target / "kselftest/MAINTAINERS").touch()  # by it the tools find the top of the tree
    compile_tests(target)
    (target / "done").touch()
    say(f"kselftest: built in {time.monotonic() - started:.0f} s")
    return target


def compile_tests(target):
    """Build the helpers; a helper that does not build costs the tests that call it."""
    top = target / "kselftest"
    with open(target / "build.log", "wb") as log:
        for command in ("make -s -j2 headers",
                        f"make SHELL=/bin/bash -k -j2 -C {TESTS_DIR} TARGETS='{TARGETS}'"):
            status = subprocess.run(command, shell=True, cwd=top, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=subprocess.STDOUT, check=False).returncode
            if status and "headers" in command:
                raise SetupError("the headers of the kernel's source do not build: see "
                                 f"{outer(target)}/build.log")
    if not (top / TESTS_DIR / "net/lib/xdp_native.bpf.o").exists():
        raise SetupError(f"the helpers of the tests do not build: see {outer(target)}/build.log")


def discover(directory):
    """The tests of a built tree, in order."""
    base = directory / "kselftest" / TESTS_DIR
    found = []
    for folder in ("drivers/net", "drivers/net/hw", "drivers/net/virtio_net"):
        makefile = (base / folder / "Makefile").read_text(encoding="utf-8")
        block = re.search(r"^TEST_PROGS\s*[:+]?=((?:.*\\\n)*.*)", makefile, re.M)[1]
        found += [f"{folder}/{word}" for word in block.split() if word.endswith((".py", ".sh"))]
    found += [f"net/forwarding/{name}" for name in FORWARDING
              if (base / "net/forwarding" / name).exists()]
    found = [path for path in found if path.rpartition("/")[2] not in SWITCH]
    return [Test(path, "kselftest") for path in found] + \
        [Test(path, "kselftest-hash") for path in found if path.rpartition("/")[2] in HASH]


def chosen(tests, options):
    """The tests that were asked for, in the order in which they were."""
    words = options.test.split() or (QUICK if options.quick else ["*"])

    def rank(test):
        names = (test.path, test.key, test.name, test.name.rpartition(".")[0],
                 test.path.removeprefix("drivers/net/").rpartition(".")[0])
        return next((index for index, word in enumerate(words)
                     if any(fnmatch.fnmatch(name, word) for name in names)), None)

    return sorted((test for test in tests if rank(test) is not None
                   and not (options.quick and test.profile != "kselftest")), key=rank)


# ---- running ---------------------------------------------------------------

def parse(test, text):
    """The cases of a test's output: [name, verdict, what it said]."""
    cases, said = [], ""
    for line in text.splitlines():
        ktap, shell = KTAP.match(line), SHELL.match(line)
        if ktap:
            verdict = ktap[3].lower() if ktap[3] else "fail" if ktap[1] else "pass"
            name = ktap[2].removeprefix(test.name.rpartition(".")[0] + ".")
            cases.append([name, verdict, ktap[4] or (said if verdict == "fail" else "")])
            said = ""
        elif shell:
            cases.append([shell[1], VERDICTS.get(shell[2], shell[2].lower()), ""])
        elif line.startswith("\t") and cases and cases[-1][1] != "pass" and not cases[-1][2]:
            cases[-1][2] = line.strip()
        elif SAID.match(line):
            said = line[2:].removeprefix("Exception| ").strip()
        elif line.startswith("SKIP:") and not cases:
            cases.append(["(all)", "skip", line[5:].strip()])
    return cases


class Runner:
    """Runs tests in one guest after the other; a guest that died is replaced."""

    def __init__(self, kernel, driver, directory, options, where):
        self.kernel, self.driver, self.directory = kernel, driver, directory
        self.options, self.logs = options, where
        self.module = build.build(kernel, quiet=True) if driver == "vnet" else None
        self.guest = self.env = None
        self.boots = self.seen = 0

    def boot(self, profile):
        if self.guest and self.guest.profile.name == profile:
            return
        self.shut()
        self.boots += 1
        guest = Guest(self.kernel, profile, self.logs / f"{self.driver}-{self.boots}",
                      over=[self.directory], memory=2048, smp=4)
        guest.__enter__()
        try:
            guest.load(self.driver, self.module)
            for name, tool in TOOLS.items():
                guest.put(HERE / "kselftest_tools" / tool, f"/usr/local/bin/{name}")
            guest.run(f"chmod 755 /usr/local/bin/*; mount -t configfs none /sys/kernel/config; "
                      f"for m in {MODULES}; do modprobe $m; done", check=False, timeout=120)
            self.env = api.Env(guest, self.driver, True)
            self.env.find()
        except BaseException:
            guest.close()
            raise
        self.guest, self.seen = guest, 0

    def shut(self):
        if self.guest:
            self.guest.close()
            self.guest = None

    def command(self, test):
        """Shell code that runs a test."""
        env, limit = self.env, int(test.limit * self.options.slow * self.guest.slow)
        arguments = ""
        lines = [f"cd {GUEST_TREE}/{test.path.rpartition('/')[0]} || exit",
                 "sysctl -q -w net.ipv6.conf.all.keep_addr_on_down=1 "
                 "net.ipv6.conf.default.keep_addr_on_down=1",
                 "export TERM=dumb PYTHONDONTWRITEBYTECODE=1 PATH=/usr/local/bin:$PATH"]
        if test.paired:
            arguments = f"{env.nic} {env.peer.nic}"
            lines += [f"ip addr flush dev {env.nic}; ip netns del peer; sleep 1",
                      f"ip link set {env.nic} down",
                      "export PAUSE_ON_FAIL=no NETIF_CREATE=no STABLE_MAC_ADDRS=yes"]
        else:
            lines += [f"export NETIF={env.nic} LOCAL_V4={env.ip} LOCAL_V6={env.ip6} "
                      f"REMOTE_V4={env.peer.ip} REMOTE_V6={env.peer.ip6} REMOTE_TYPE=netns "
                      f"REMOTE_ARGS=peer LOCAL_PREFIX_V6={PREFIX6}",
                      f"ip -n peer -6 route replace {PREFIX6} via {env.ip6}",
                      BEFORE.get(test.name, "").format(peer=env.peer.nic)]
        if self.guest.slow > 1 or self.guest.accel == "tcg":  # tests that measure time do so gently
            lines.append("export KSFT_MACHINE_SLOW=yes")
        # some are not executable; those who run them start the interpreter
        lines.append(f"chmod +x {test.name}; timeout -k 20 {limit} ./{test.name} {arguments} 2>&1; "
                     "echo \"status $?\"")
        return "\n".join(line for line in lines if line)

    def run(self, test):
        """Run one test; {cases, seconds, output}."""
        started = time.monotonic()
        output, cases = "", []
        try:
            self.boot(test.profile)
            self.env.reset(up=True)
            limit = test.limit * self.options.slow + 60
            output = self.guest.run(self.command(test), timeout=limit, check=False).out
            cases = parse(test, output)
            status = int((re.findall(r"^status (\d+)$", output, re.M) or ["-1"])[-1])
            if status in (124, 137):
                cases.append(["(time)", "fail", f"did not end within {test.limit} s"])
            elif not cases:
                last = "".join([line for line in output.splitlines() if line][-2:-1])[-200:]
                skipped = status == 4 or "KsftSkipEx:" in last
                cases.append(["(all)", "skip" if skipped else "fail" if status else "pass",
                              last.rpartition("KsftSkipEx:")[2].strip()])
            complaint = self.complaint()
            if complaint:
                cases.append(["(kernel)", "fail", complaint])
                self.shut()
        except (GuestDied, CommandFailed, AssertionError, SetupError) as error:
            cases.append(["(guest)", "fail", str(error).splitlines()[0][:200]])
            self.shut()
        (self.logs / f"{self.driver}-{test.key.replace('/', '_')}.out").write_text(
            output, encoding="utf-8")
        return {"cases": cases, "seconds": round(time.monotonic() - started)}

    def complaint(self):
        """What the kernel said on the console since the last look."""
        splats = self.guest.splats(self.seen)
        self.seen = len(self.guest.console_text())
        if splats:
            return splats[0].strip()
        taint = self.guest.taint()
        return f"tainted {taint}" if taint else None


# ---- results ---------------------------------------------------------------

def results_file(kernel, driver):
    return CACHE / "results" / f"{kernel.name}-{driver}.json"


def load(kernel, driver):
    path = results_file(kernel, driver)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def store(kernel, driver, results):
    path = results_file(kernel, driver)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")


def reasons():
    """Why cases fail or are skipped: [(driver glob, case glob, text)]."""
    found = []
    for line in REASONS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            found.append(tuple(part.strip() for part in line.split("|", 2)))
    return found


def reason(known, driver, key, name):
    for drivers, pattern, text in known:
        if fnmatch.fnmatch(driver, drivers) and fnmatch.fnmatchcase(f"{key}:{name}", pattern):
            return text
    return ""


def merge(first, second):
    """The cases of a test that was run twice: what passed once has passed, with a note."""
    again = {name: verdict for name, verdict, _ in second}
    return [[name, "pass", f"second try; first: {said}"]
            if verdict == "fail" and again.get(name) == "pass" else [name, verdict, said]
            for name, verdict, said in first] + [case for case in second if case[0] in FATAL]


def puzzling(driver, test, cases):
    """Has a case failed for no known reason that another try could tell more about?"""
    known = reasons()
    failed = [name for name, verdict, _ in cases if verdict == "fail"]
    return not any(name in FATAL for name in failed) and \
        any(not reason(known, driver, test.key, name) for name in failed)


def run_one(runner, test, where):
    """Run a test, keep and tell its results; how many cases had which verdict.

    Emulation beside other work misses deadlines of tests that measure time. As in
    the network developers' CI, what fails is tried once more.
    """
    result = runner.run(test)
    driver = runner.driver
    if puzzling(driver, test, result["cases"]):
        second = runner.run(test)
        result = {"cases": merge(result["cases"], second["cases"]),
                  "seconds": result["seconds"] + second["seconds"]}
    store(runner.kernel, driver, {**load(runner.kernel, driver), test.key: result})
    known, counts, lines = reasons(), Counter(), []
    for name, verdict, said in result["cases"]:
        why = verdict == "fail" and reason(known, driver, test.key, name)
        counts["known" if why else verdict] += 1
        if verdict == "fail":
            lines.append(f"      {name}: {'known: ' + why if why else 'FAIL: ' + said}")
    text = ", ".join(f"{counts[v]} {v}" for v in (*LETTERS, "known") if counts[v])
    say(f"{where} {driver:<11} {test.key:<42} {text} ({result['seconds']} s)")
    for line in lines:
        say(line)
    return counts


def main(args):
    options = test_options.kselftest(args)
    kernel = kernels.select([options.kernel])[0] if options.kernel else kernels.default()
    if options.table:
        from . import kselftest_table
        return kselftest_table.write(kernel)
    if not have_tap():
        raise SetupError("this user may not open /dev/net/tun: run 'chmod 666 /dev/net/tun' "
                         "as root, or start again as root")
    directory = tree(kernel)
    tests = chosen(discover(directory), options)
    if not tests:
        raise SetupError(f"there is no test named {options.test!r} in {directory.name}")
    if options.list:
        for test in tests:
            say(f"{test.key} ({test.limit} s at most)")
        return 0
    where = logs.new("kselftest")
    say(f"kselftest: {len(tests)} tests of Linux {kernel.release} on {' '.join(options.drivers)}; "
        f"logs: {outer(where)}")
    counts = Counter()
    runners = [Runner(kernel, driver, directory, options, where) for driver in options.drivers]
    try:
        for number, test in enumerate(tests, 1):
            for runner in runners:
                counts += run_one(runner, test, f"[{number:>3}/{len(tests)}]")
    finally:
        for runner in runners:
            runner.shut()
    say(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip'] + counts['xfail']} "
        f"skipped, {counts['known']} known to fail (lab/kselftest.reasons)")
    return 1 if counts["fail"] else 0
