# SPDX-License-Identifier: GPL-2.0
"""Sphinx: the pages as HTML ('make html'); nothing but what Sphinx brings."""

from pathlib import Path

project = "vnet"
author = "The vnet authors"
version = release = (Path(__file__).resolve().parent.parent / "VERSION").read_text(
    encoding="ascii").strip()
exclude_patterns = ["hosts-table.rst", "peers-table.rst", "kselftest/table.rst",
                    "perf/results.rst", "man/*"]
html_theme = "alabaster"
html_show_copyright = False
html_theme_options = {"description": "a virtio network driver that heals itself"}
smartquotes = False
