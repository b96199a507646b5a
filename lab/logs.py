# SPDX-License-Identifier: GPL-2.0
"""Directories for the logs of a run, in the cache."""

import contextlib
import shutil
import time
from pathlib import Path

LOGS = Path("/cache/logs")


def new(kind, keep=5, hours=3):
    """A directory for the logs of a run, named by its kind and the time; old ones go.

    The newest stay, and those that another run may still write to.
    """
    for path in sorted(LOGS.glob(f"{kind}-*"))[:-keep]:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - hours * 3600:
                shutil.rmtree(path, ignore_errors=True)
    while True:
        path = LOGS / time.strftime(f"{kind}-%Y%m%d-%H%M%S")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:  # another run began in the same second
            time.sleep(0.3)
