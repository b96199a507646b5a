# SPDX-License-Identifier: GPL-2.0
"""What 'make check' runs: the assertions that matter most, in one guest per kernel.

The newest kernel gets everything here, older ones what is in OLDER. A guest goes
from profile to profile by hot-plugging, and ends with the scripted device, which
cannot be taken out again; profiles that need a machine of their own have a guest of
their own. docs/testing.rst says which planted defect each part finds.
"""

import fnmatch

# test, or a glob -> the profiles it runs on; None: all that it names
NEWEST = {
    "quick.traffic": None,
    "quick.two_nics": None,
    "ring.engine": ("modern-split", "packed", "big"),
    "quick.change": None,
    "quick.xdp": None,
    "xsk_zc.echo": ("modern-split",),
    "quick.control": None,
    "quick.lost": None,
    "quick.told": ("modern-split",),
    "quick.drop_told": None,
    "quick.function_reset": None,
    "quick.unit_tests": None,
    "recovery_queues.stall_with_ring_reset": ("scripted",),
    "recovery_suspend.to_idle": ("modern-split",),
    "hostile.A1_used_len_mergeable": ("scripted",),
    "hostile.A3_used_id_wild_mergeable": ("scripted",),
    "hostile.B1_headers_mergeable": ("scripted",),
    "hostile.C1_never": ("scripted",),
}
OLDER = {
    "quick.traffic": ("modern-split", "packed", "legacy", "small", "big", "mq", "no-ctrl-vq"),
    "quick.change": None,
    "quick.xdp": None,
    "xsk_zc.echo": ("packed",),
    "quick.control": None,
    "quick.told": ("modern-split",),
    "quick.unit_tests": None,
    "ring.engine": ("modern-split",),
    "recovery_queues.stall_with_ring_reset": ("scripted",),
    "hostile.A1_used_len_mergeable": ("scripted",),
}


def has(test, profile, newest):
    """Does 'make check' run a test on a profile?"""
    for pattern, names in (NEWEST if newest else OLDER).items():
        if fnmatch.fnmatch(test, pattern):
            return names is None or profile in names
    return False
