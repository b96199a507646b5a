# SPDX-License-Identifier: GPL-2.0
"""One guest: commands, files, and an end on every path."""

import signal
import subprocess
import sys
import tempfile
import time
import unittest

from lab import kernels
from lab.guest import Guest, GuestDied
from lab.net import CommandFailed, TimedOut


def machines():
    """Process ids of the QEMUs and file servers of this session."""
    return subprocess.run(["pgrep", "-f", "^(qemu-system|/usr/libexec/virtiofsd)"],
                          capture_output=True, text=True, check=False).stdout.split()


class OneGuest(unittest.TestCase):
    def test_commands_and_files(self):
        log = tempfile.mkdtemp()
        with Guest(kernels.default(), "modern-split", log) as guest:
            result = guest.run("echo out; echo err >&2; exit 3", check=False)
            self.assertEqual((result.status, result.out, result.err), (3, "out\n", "err\n"))
            with self.assertRaisesRegex(CommandFailed, "status 3"):
                guest.run("exit 3")
            with self.assertRaises(TimedOut):
                guest.run("sleep 987 & sleep 987", timeout=1)
            self.assertEqual(guest.run("pgrep -f '[s]leep 987'; true").out, "")
            job = guest.start("sleep 1; echo done")
            self.assertIsNone(job.poll())
            self.assertEqual(job.wait().out, "done\n")
            data = bytes(range(256)) * 1000
            guest.put(data, "/tmp/deep/file")
            self.assertEqual(guest.get("/tmp/deep/file"), data)
            self.assertEqual(guest.run("uname -r").out.strip(), guest.kernel.release)
            self.assertEqual(guest.splats(), [])
            guest.run("echo 'BUG: planted' > /dev/kmsg; sleep 0.5")
            self.assertEqual(len(guest.splats()), 1)
            with self.assertRaises(GuestDied):
                guest.run("echo c > /proc/sysrq-trigger; sleep 20")
        self.assertEqual(machines(), [])

    def test_signals_end_it(self):
        code = ("import sys, lab.inside as i, signal, time\n"
                "from lab import kernels\n"
                "from lab.guest import Guest\n"
                "signal.signal(signal.SIGTERM, i.terminate)\n"
                "with Guest(kernels.default(), 'modern-split', sys.argv[1]) as g:\n"
                "    print('up', flush=True)\n"
                "    time.sleep(100)\n")
        with subprocess.Popen([sys.executable, "-c", code, tempfile.mkdtemp()],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as process:
            time.sleep(3)  # in the middle of booting
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(30), 128 + signal.SIGTERM)
        self.assertEqual(machines(), [])


if __name__ == "__main__":
    unittest.main()
