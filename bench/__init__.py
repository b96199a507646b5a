# SPDX-License-Identifier: GPL-2.0
"""The bench: what one packet costs, driver beside driver (see docs/perf.rst)."""
