#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# checks.sh build|install KDIR: can this be done here? If not: one sentence, status 2.
what=$1 kdir=$2

fail() {
	echo "vnet: $*" >&2
	exit 2
}

[ -n "$kdir" ] || fail "KDIR is empty: give the build directory of a kernel"
if [ ! -d "$kdir" ]; then
	case $kdir in
	"/lib/modules/$(uname -r)/build")
		fail "there are no headers of the running kernel ($kdir): run 'apt-get install linux-headers-$(uname -r)', or give KDIR= of another kernel" ;;
	*)
		fail "there is no directory $kdir: KDIR must be the build directory of a kernel, as /lib/modules/<release>/build" ;;
	esac
fi
[ -f "$kdir/Makefile" ] || fail "$kdir is no kernel build directory (it has no Makefile): KDIR must be one, as /lib/modules/<release>/build"
[ -f "$kdir/.config" ] || fail "the kernel in $kdir is not configured: run 'make olddefconfig modules_prepare' there"
[ -f "$kdir/include/config/kernel.release" ] || fail "the kernel in $kdir is not prepared: run 'make modules_prepare' there"

version=$(cat "$kdir/include/config/kernel.release")
major=${version%%.*}
minor=${version#*.}
minor=${minor%%[!0-9]*}
if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 12 ]; }; then
	fail "the kernel in $kdir is $version: vnet needs Linux 6.12 or newer"
fi
grep -q '^CONFIG_VIRTIO=[ym]' "$kdir/.config" || fail "the kernel in $kdir has no CONFIG_VIRTIO: vnet needs it"
grep -q '^CONFIG_MODULES=y' "$kdir/.config" || fail "the kernel in $kdir loads no modules: build it in with 'make in-tree KSRC=...'"

cc=${CC:-gcc}
command -v "${cc%% *}" >/dev/null || fail "there is no compiler '${cc%% *}': run 'apt-get install gcc', or give CC="

if [ "$what" = install ]; then
	[ "$(id -u)" = 0 ] || [ -n "$INSTALL_MOD_PATH" ] || fail "installing into /lib/modules needs root: run it as root or with sudo"
fi
exit 0
