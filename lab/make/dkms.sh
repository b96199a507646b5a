#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dkms.sh: put the source into /usr/src and let dkms build and install it.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
version=$(cat "$here/VERSION")
fail() {
	echo "vnet: $*" >&2
	exit 2
}
[ "$(id -u)" = 0 ] || fail "dkms needs root: run it as root or with sudo"
command -v dkms >/dev/null || fail "there is no dkms: run 'apt-get install dkms'"
if dkms status "vnet/$version" | grep -q .; then
	dkms remove "vnet/$version" --all || exit 1
fi
rm -rf "/usr/src/vnet-$version"
sh "$here/lab/make/source.sh" "/usr/src/vnet-$version" || exit 1
dkms add "vnet/$version" || exit 1
install -D -m 644 "$here/packaging/modprobe.conf" /lib/modprobe.d/vnet.conf || exit 1
dkms install "vnet/$version" ${KVER:+-k "$KVER"} || exit 1
echo "vnet: installed by dkms; now: vnetctl switch NIC (it is not in the initramfs)"
