# SPDX-License-Identifier: GPL-2.0
"""What tests use: starts the device process and talks to it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from . import wire

# The directory to which the name of this package is relative.
PACKAGE_HOME = os.path.abspath(os.path.join(
    os.path.dirname(__file__), *[".."] * len(__package__.split("."))))
# Operations after which the driver has no reason to count or to say anything.
HONEST = {"state", "log", "violations", "tx", "link", "announce", "network", "offer", "source",
          "stop", "clear", "ring-state"}
START_TIMEOUT, STOP_TIMEOUT, CALL_TIMEOUT = 20, 5, 30


class DeviceError(Exception):
    """The device process refused an operation or is gone."""


class Device:
    """A test device in a process of its own; use it as a context manager.

    directory: where its sockets and log.jsonl go (a new one by default). root:
    the root directory QEMU runs in by chroot; the directory must be below it.
    options: see README.md ("Options").
    """

    def __init__(self, directory=None, root="/", name="nut", **options):
        self.name = name
        self.root = os.path.abspath(root)
        self.options = options
        self._own_directory = directory is None
        self._wanted_directory = directory
        self.directory = None
        self.process = None
        self._socket = None
        self._stream = None
        self.told = set()       # the operations that it was asked for since forgive()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- life -------------------------------------------------------------------
    def start(self):
        if self._own_directory:
            parent = os.path.join(self.root, "tmp")
            os.makedirs(parent, exist_ok=True)
            self.directory = tempfile.mkdtemp(prefix="vnetdev-", dir=parent)
        else:
            self.directory = os.path.abspath(self._wanted_directory)
            os.makedirs(self.directory, exist_ok=True)
        for name in ("vfio.sock", "control.sock"):
            path = os.path.join(self.directory, name)
            if os.path.exists(path):
                os.unlink(path)
        errors = os.path.join(self.directory, "stderr")
        with open(errors, "wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __package__, self.directory,
                 json.dumps(self.options)],
                cwd=PACKAGE_HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stderr)
        ready = self.process.stdout.readline()
        if ready.strip() != b"ready":
            self.process.wait(STOP_TIMEOUT)
            with open(errors, encoding="utf-8", errors="replace") as file:
                text = file.read().strip()
            self.stop()
            raise DeviceError(text or "the device process ended at once")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CALL_TIMEOUT)
        self._socket.connect(os.path.join(self.directory, "control.sock"))
        self._stream = self._socket.makefile("rb")
        return self

    def stop(self):
        """Ends the process for sure and removes a directory of our own."""
        if self._stream:
            self._stream.close()
            self._socket.close()
            self._stream = self._socket = None
        if self.process:
            self.process.stdin.close()      # the device ends by itself
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None
        if self._own_directory and self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def log_path(self):
        return os.path.join(self.directory, "log.jsonl")

    # --- QEMU -------------------------------------------------------------------
    def qemu_args(self, bus=None, **properties):
        """-device arguments. Without bus a pcie-root-port comes with it."""
        args = []
        if bus is None:
            bus = f"rp-{self.name}"
            args = ["-device", f"pcie-root-port,id={bus},"
                               f"chassis={sum(map(ord, self.name)) % 200 + 1}"]
        path = os.path.join(self.directory, "vfio.sock")
        if self.root != "/":
            if not path.startswith(self.root + "/"):
                raise DeviceError(f"{path} is not below {self.root}; give a "
                                  f"directory that is")
            path = path[len(self.root):]
        device = {"driver": "vfio-user-pci", "id": self.name, "bus": bus,
                  "socket": {"type": "unix", "path": path}, **properties}
        return args + ["-device", json.dumps(device)]

    @staticmethod
    def memory_args(size="512M"):
        """Guest memory that the device can map; QEMU's -m must be the same."""
        return ["-m", size, "-object",
                f"memory-backend-memfd,id=vnetmem,size={size},share=on",
                "-numa", "node,memdev=vnetmem"]

    # --- operations -------------------------------------------------------------
    @property
    def touched(self):
        """Was it told to do what an honest device does not do?"""
        return bool(self.told - HONEST)

    def forgive(self):
        """It is an honest device from here on."""
        self.told.clear()

    def call(self, op, **fields):
        """Any operation of the control socket; returns the reply."""
        if self._socket is None:
            raise DeviceError("the device is not started")
        self.told.add(op)
        try:
            self._socket.sendall(json.dumps({"op": op, **fields}).encode() +
                                 b"\n")
            line = self._stream.readline()
        except OSError as err:
            raise DeviceError(f"the device does not answer: {err}") from None
        if not line:
            raise DeviceError("the device process is gone; see "
                              f"{self.directory}/stderr")
        reply = json.loads(line)
        if not reply.pop("ok"):
            raise DeviceError(reply["error"])
        return reply

    def state(self):
        return self.call("state")["state"]

    def control(self):
        """What the driver configured (MAC, modes, RSS, coalescing, ...)."""
        return self.state()["control"]

    def queue(self, role):
        for queue in self.state()["queues"]:
            if role in (queue["role"], queue["index"]):
                return queue
        raise DeviceError(f"there is no queue {role!r}")

    def mark(self):
        """The place in the log where now is; for since=."""
        return self.call("log", limit=0)["sequence"]

    def log(self, kind=None, since=0):
        return self.call("log", kind=kind, since=since)["entries"]

    def commands(self, name=None, since=0):
        """Control commands that came in, oldest first."""
        return [entry for entry in self.log("ctrl", since)
                if name in (None, entry["name"])]

    def violations(self, clear=False):
        return self.call("violations", clear=clear)["violations"]

    def sent(self, queue=None, clear=False, limit=None):
        """Frames the driver transmitted; "frame" and "raw_hdr" as bytes."""
        frames = self.call("tx", queue=queue, clear=clear,
                           limit=limit)["frames"]
        for entry in frames:
            entry["frame"] = bytes.fromhex(entry["frame"])
            entry["raw_hdr"] = bytes.fromhex(entry["raw_hdr"])
        return frames

    def inject(self, frame=b"", queue="rx0", hdr=None, **options):
        """A frame into a receive queue; returns how many were delivered."""
        if "raw_hdr" in options:
            options["raw_hdr"] = bytes(options["raw_hdr"]).hex()
        return self.call("inject", frame=bytes(frame).hex(), queue=queue,
                         hdr=hdr or {}, **options)["delivered"]

    def fault(self, **fields):
        """Adds a rule; returns its number for clear()."""
        if isinstance(fields.get("reply"), (bytes, bytearray)):
            fields["reply"] = bytes(fields["reply"]).hex()
        return self.call("fault", **fields)["id"]

    def clear(self, ident=None):
        return self.call("clear", id=ident)["cleared"]

    def release(self, queue, **fields):
        return self.call("release", queue=queue, **fields)["released"]

    def when(self, match, *todo, **fields):
        """Runs operations when a log entry matches (see README.md)."""
        self.call("when", match=match, do=list(todo), **fields)

    def link(self, up):
        self.call("link", up=up)

    def announce(self):
        self.call("announce")

    def needs_reset(self):
        self.call("needs-reset")

    def config(self, interrupt=True, **values):
        return self.call("config", set=values, interrupt=interrupt)["config"]

    def wait(self, condition, timeout=10, what="the condition"):
        """Calls condition() until it is true; returns its value."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise DeviceError(f"{what} did not come within {timeout} s")
            time.sleep(0.05)

    def wait_command(self, name, since=0, timeout=10):
        if name not in wire.COMMAND_OF_NAME:
            raise ValueError(f"unknown command {name!r}")
        return self.wait(lambda: self.commands(name, since), timeout,
                         f"command {name}")[-1]

    def wait_live(self, timeout=60):
        """Until the driver has set DRIVER_OK."""
        self.wait(lambda: self.state()["live"], timeout, "DRIVER_OK")
