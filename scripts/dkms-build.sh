#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dkms-build.sh KDIR JOBS [VARIABLE=VALUE...]: what dkms runs in its copy of the
# source. A build that fails would leave the kernel's own package unconfigured,
# with no initramfs for it: so where vnet does not build, a stand-in takes its
# place, which refuses to load and says so.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
kdir=$1 jobs=$2
shift 2
make -j"$jobs" -C "$kdir" M="$here" "$@" modules && exit
# whoever tests the package wants to know
[ -z "$AUTOPKGTEST_TMP" ] || exit 1
echo "vnet: does not build for this kernel: a stand-in takes its place, which refuses to load"
make -C "$kdir" M="$here/stand-in" "$@" modules && mv "$here/stand-in/vnet.ko" "$here/vnet.ko"
