# SPDX-License-Identifier: GPL-2.0
"""The options of the test runner, read on both sides of the root's door."""

import argparse
import fnmatch
import re


def arch(args):
    """The architecture of the guests that arguments ask for; empty for this machine's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--arch", default="")
    return parser.parse_known_args(args)[0].arch


def kernels(args):
    """The kernels that arguments name, before they are looked at inside the root."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-k", "--kernel", "--kernels", type=words, default=[])
    return parser.parse_known_args(args)[0].kernel


def words(text):
    return [word for word in re.split(r"[ ,]+", text) if word]


def parse(args):
    parser = argparse.ArgumentParser(prog="lab test")
    parser.add_argument("-T", "--test", default="", help="name, file or glob")
    parser.add_argument("-p", "--profiles", type=words, default=[], help="device profiles")
    parser.add_argument("-k", "--kernels", type=words, default=[],
                        help="by series, as 6.12, or all")
    parser.add_argument("--arch", default="", help="guests of another architecture, as arm64")
    parser.add_argument("-d", "--driver", default="vnet", help="vnet or virtio_net")
    parser.add_argument("-j", "--jobs", type=int, default=0, help="guests at a time")
    parser.add_argument("--ci", action="store_true", help="what CI runs: half an hour")
    parser.add_argument("--full", action="store_true", help="long tests, all rounds and kernels")
    parser.add_argument("--slow", type=float, default=1.0, help="stretch every time-out")
    parser.add_argument("--list", action="store_true", help="only tell what would run")
    parser.add_argument("--keep", action="store_true",
                        help="leave the guest of the first failing test running")
    parser.add_argument("--empty", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    return parser.parse_args(args)


def kselftest(args):
    parser = argparse.ArgumentParser(prog="lab kselftest")
    parser.add_argument("-k", "--kernel", default="",
                        help="6.12, kasan; the default kernel if not given")
    parser.add_argument("-d", "--drivers", "--driver", type=words, default=["vnet"],
                        help="vnet virtio_net")
    parser.add_argument("-T", "--test", default="", help="files or globs: xdp, 'rss_*', hw/tso")
    parser.add_argument("--quick", action="store_true", help="the selection of make check")
    parser.add_argument("--slow", type=float, default=1.0, help="stretch every time limit")
    parser.add_argument("--list", action="store_true", help="only tell what would run")
    parser.add_argument("--table", action="store_true",
                        help="write the table of docs/kselftest.rst from the last results")
    return parser.parse_args(args)


def step_wanted(step, options, quick=()):
    """A step of 'make check' runs when it is asked for, or nothing in particular is.

    quick: the steps of a run that is not to take more than minutes
    """
    if options.test:
        return options.test == step
    if options.profiles or options.kernels or options.list or options.arch or \
            options.driver != "vnet":
        return False
    if step in ("arch", "debug-kernel"):
        return options.full
    return options.ci or options.full or step in quick


def names(module, options):
    """Will tests of a file of selftests/ run that are not part of a quick 'make check'?"""
    if options.test:
        return any(fnmatch.fnmatch(module, word.partition(".")[0])
                   for word in options.test.split())
    return bool(options.full or options.profiles or options.kernels)
