# SPDX-License-Identifier: GPL-2.0
"""Networks of a guest: a name space of the host's side, taps, small servers."""

import itertools
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass

from . import SetupError
from .patience import Deadline

COUNTER = itertools.count()
SO_ACCEPTCON = 1 << 16  # in the flags of /proc/net/unix: listens
HOST_NAME = "host.vnet.test"  # what the lab's DNS server answers for the host's side


@dataclass
class Result:
    """What a command left behind."""

    command: str
    status: int
    out: str
    err: str

    def __str__(self):
        text = f"'{self.command}' ended with status {self.status}"
        for name, part in (("stdout", self.out), ("stderr", self.err)):
            if part.strip():
                text += f"\n  {name}: " + part.strip()[-2000:].replace("\n", "\n    ")
        return text


class CommandFailed(AssertionError):
    """A command that had to work did not."""


class TimedOut(CommandFailed):
    """A command did not end in time."""


def lost_pings(text, count, runs=1):
    """What is missing in the output of one or more runs of 'ping -c COUNT', or "".

    Each of the first COUNT requests has one answer. Whether ping sent more, because
    answers were slow, does not matter; a hole in the numbers does.
    """
    heads = re.split(r"^PING ", text, flags=re.M)[1:]
    if len(heads) != runs:
        return f"{len(heads)} of {runs} runs; {text.strip()[-200:]}"
    for head in heads:
        seen = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl=", head)]
        missing = sorted(set(range(1, count + 1)) - set(seen))
        if missing:
            return f"no answer to number {', '.join(map(str, missing[:9]))} of {count}: " \
                f"{head.splitlines()[0]}"
        if len(seen) != len(set(seen)):
            return f"{len(seen) - len(set(seen))} answers came twice: {head.splitlines()[0]}"
    return ""


def have_tap():
    """True if this process may make taps."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
        return True
    except OSError:
        return False


def sh(*args):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(args)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Daemon:
    """A process in the back; ends with its owner.

    pids: a function that tells which other processes it has to wait for.
    """

    def __init__(self, command, popen, pids=tuple):
        self.command = command
        self.popen = popen
        self.pids = pids

    def running(self):
        return self.popen.poll() is None

    def listening(self, path):
        """Does anything in its network namespace accept connections at a UNIX socket?

        The file is there a moment before: between bind() and listen() a
        connection is refused.
        """
        try:
            with open(f"/proc/{self.popen.pid}/net/unix", encoding="utf-8") as table:
                sockets = [line.split() for line in table]
        except FileNotFoundError:
            return False
        return any(words[-1] == str(path) and int(words[3], 16) & SO_ACCEPTCON
                   for words in sockets)

    def listens(self, path, timeout=60):
        """Wait until it does; False if it ends before, or never does."""
        deadline = Deadline(timeout, [self.popen.pid])
        while self.running() and not deadline.passed():
            if self.listening(path):
                return True
            time.sleep(0.02)
        return False

    def wait(self, timeout=30):
        """Wait for its end; return a Result."""
        deadline, pause = Deadline(timeout, [self.popen.pid, *self.pids()]), timeout
        while True:
            try:
                out, err = self.popen.communicate(timeout=pause)
                break
            except subprocess.TimeoutExpired:
                pause = 0.5
                if deadline.passed():
                    self.stop()
                    raise TimedOut(f"'{self.command}' did not end within {timeout} s") from None
        return Result(self.command, self.popen.returncode, out or "", err or "")

    def stop(self):
        """End it and everything it started."""
        if self.running():
            for signum, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, 5)):
                try:
                    os.killpg(self.popen.pid, signum)
                except ProcessLookupError:
                    break
                try:
                    self.popen.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream:
                stream.close()


class HostNs:
    """The host's side of a guest: a network name space of its own.

    run() and start() execute shell commands there. Addresses are fixed:
    ip/ip6 here, guest_ip/guest_ip6 for the guest, peer_* for its second NIC.
    pids: a function that tells which processes have to run for the guest to answer;
    note: one that writes down a command (Transcript.note()).
    """

    ip, guest_ip, peer_ip = "10.99.0.1", "10.99.0.2", "10.99.0.3"
    ip6, guest_ip6, peer_ip6 = "fd99::1", "fd99::2", "fd99::3"
    prefix, prefix6 = 24, 64

    def __init__(self, pids=tuple, note=lambda *_: None):
        self.name = f"vnet{next(COUNTER)}"
        self.pids, self.note = pids, note
        self.daemons = []
        self.taps, self.device = [], None
        sh("ip", "netns", "add", self.name)
        self.ip_cmd("link", "set", "lo", "up")

    def wrap(self, argv):
        return ["nsenter", f"--net=/run/netns/{self.name}", *argv]

    def ip_cmd(self, *args):
        sh("ip", "-n", self.name, *args)

    def add_tap(self, queues, mtu=0):
        """A tap for one NIC; all taps of a guest are ports of one bridge if there are two."""
        tap = f"tap{len(self.taps)}"
        multi = ["multi_queue"] if queues > 1 else []
        self.ip_cmd("tuntap", "add", tap, "mode", "tap", "vnet_hdr", *multi)
        # an address of its own that no guest NIC can have
        self.ip_cmd("link", "set", tap, "address", f"06:00:00:00:00:{len(self.taps):02x}")
        if mtu:
            self.ip_cmd("link", "set", tap, "mtu", str(mtu))
        self.taps.append(tap)
        return tap

    def configure(self):
        """Give the host's side its addresses, once all taps exist."""
        device = self.taps[0]
        if len(self.taps) > 1:
            device = "br0"
            # LLDP and time stamps of peers pass, as on a wire; STP does while the bridge has none
            self.ip_cmd("link", "add", device, "type", "bridge", "mcast_snooping", "0",
                        "group_fwd_mask", "0xfff8")
            for tap in self.taps:
                self.ip_cmd("link", "set", tap, "master", device)
            # where br_netfilter is loaded a bridge drops bad IP headers and puts fragments together
            self.run("for file in /proc/sys/net/bridge/bridge-nf-call-*; do "
                     "[ ! -e $file ] || echo 0 > $file; done")
        for link in {*self.taps, device}:
            self.run(f"echo 1 > /proc/sys/net/ipv6/conf/{link}/disable_ipv6; true"
                     if link != device else
                     f"echo 0 > /proc/sys/net/ipv6/conf/{link}/accept_dad; true")
            self.ip_cmd("link", "set", link, "up")
        self.ip_cmd("addr", "add", f"{self.ip}/{self.prefix}", "dev", device)
        self.run(f"ip addr add {self.ip6}/{self.prefix6} dev {device} nodad", check=False)
        self.device = device

    def clear(self):
        """Remove the taps and what lies over them; daemons end."""
        self.stop_daemons()
        for link in dict.fromkeys([self.device, *self.taps] if self.taps else []):
            self.ip_cmd("link", "delete", link)
        self.taps, self.device = [], None

    def run(self, command, timeout=30, check=True):
        """Run a shell command on the host's side; return a Result."""
        result = self.launch(command).wait(timeout)
        self.note("host", command, f"status {result.status}")
        if check and result.status:
            raise CommandFailed(f"host: {result}")
        return result

    def start(self, command, quiet=False):
        """Start a shell command on the host's side; it ends with the test."""
        self.note("host", f"{command} &")
        return self.launch(command, quiet)

    def launch(self, command, quiet=False):
        sink = subprocess.DEVNULL if quiet else subprocess.PIPE
        popen = subprocess.Popen(self.wrap(["bash", "-c", command]), text=True,
                                 errors="replace", stdin=subprocess.DEVNULL, stdout=sink,
                                 stderr=sink, start_new_session=True)
        daemon = Daemon(command, popen, self.pids)
        self.daemons = [d for d in self.daemons if d.running()] + [daemon]
        return daemon

    def serve(self, command, port, proto="tcp"):
        """Start a server and wait until it listens on a port."""
        daemon = self.start(command, quiet=True)
        listen = f"ss -H -n -l --{proto} sport = :{port}"
        for _ in range(100):
            if self.run(listen, check=False).out.strip():
                return daemon
            if not daemon.running():
                raise CommandFailed(f"host: '{command}' ended at once with status "
                                    f"{daemon.popen.returncode}")
            time.sleep(0.05)
        raise TimedOut(f"host: '{command}' does not listen on port {port}")

    def serve_dhcp(self):
        """DHCP (10.99.0.100 and up) and DNS on the tap."""
        return self.serve(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --group=root "
            f"--interface={self.device} --bind-interfaces --except-interface=lo --no-resolv "
            "--no-hosts --leasefile-ro --no-ping --dhcp-authoritative --pid-file= "
            f"--dhcp-range=10.99.0.100,10.99.0.200,1h --address=/{HOST_NAME}/{self.ip}",
            67, "udp")

    def serve_dns(self):
        """DNS for QEMU's user-mode network, which asks the name server 127.0.0.1.

        The host's side is 10.0.2.2 for the guest there.
        """
        return self.serve(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --group=root "
            "--interface=lo --bind-interfaces --no-resolv --no-hosts --pid-file= "
            f"--address=/{HOST_NAME}/10.0.2.2", 53, "udp")

    def stop_daemons(self):
        for daemon in self.daemons:
            daemon.stop()
        self.daemons = []

    def close(self):
        self.stop_daemons()
        subprocess.run(["ip", "netns", "delete", self.name], check=False,
                       stderr=subprocess.DEVNULL)
