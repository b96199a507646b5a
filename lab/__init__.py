# SPDX-License-Identifier: GPL-2.0
"""The lab of vnet: guest root, guests, devices, networks and the test runner.

host.py and root.py run on the user's machine with nothing but Python's
standard library. Everything else runs inside the guest root, in name spaces
of its own (see enter.sh), with the root's QEMU and tools.
"""

import os
import sys
from pathlib import Path


class SetupError(Exception):
    """The machine or the request is not fit: one sentence, exit status 2."""


def say(text):
    """One progress line, at once."""
    print(text, flush=True)


def outer(path):
    """A path of the cache as the user sees it."""
    return Path(str(path).replace("/cache", os.environ.get("VNET_CACHE", "/cache"), 1))


def die(text):
    """Report a set-up problem and leave with status 2."""
    sys.stdout.flush()
    print(f"vnet: {text}", file=sys.stderr, flush=True)
    sys.exit(2)
