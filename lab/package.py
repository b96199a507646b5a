# SPDX-License-Identifier: GPL-2.0
"""make deb, rpm, html: what needs the tools of the layer "package" and leaves files behind.

'lab/start package try' installs, upgrades and purges what 'make deb' has made.
"""

import argparse

from . import host, layers, say

SCRIPTS = ("deb", "rpm", "html", "try")


def main(enter, args):
    parser = argparse.ArgumentParser(prog="lab package")
    parser.add_argument("what", choices=SCRIPTS)
    what = parser.parse_args(args).what
    over = [layers.ensure(enter.args[0], "package")]
    status = enter(["sh", f"/vnet/lab/make/{what}.sh", f"/cache/packages/{what}"], over)
    if not status and what != "try":
        say(f"{what}: in {host.cache_dir()}/packages/{what}")
        for path in sorted((host.cache_dir() / "packages" / what).glob("*.*")):
            say(f"  {path.name}")
    return 1 if status else 0
