#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# uninstall.sh KDIR: what 'make install' and 'make dkms' have put here. A module
# that is loaded stays loaded: whoever has it keeps the network until the reboot.
kdir=$1
version=$(cat "$(dirname -- "$0")/../../VERSION")
[ "$(id -u)" = 0 ] || [ -n "$INSTALL_MOD_PATH" ] || {
	echo "vnet: removing from /lib/modules needs root: run it as root or with sudo" >&2
	exit 2
}
release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null) || release=${kdir%/build}
release=${release##*/}
rm -f "$INSTALL_MOD_PATH/lib/modules/$release"/updates/vnet.ko* \
	"$INSTALL_MOD_PATH/lib/modules/$release"/updates/vkit/vkit.ko* \
	"$INSTALL_MOD_PATH/lib/modules/$release"/updates/vmon/vmon.ko* \
	"$INSTALL_MOD_PATH/lib/modprobe.d/vnet.conf"
rmdir "$INSTALL_MOD_PATH/lib/modules/$release/updates/vmon" \
	"$INSTALL_MOD_PATH/lib/modules/$release/updates/vkit" 2>/dev/null
depmod -b "$INSTALL_MOD_PATH/" -a "$release" || exit 1
if [ -z "$INSTALL_MOD_PATH" ] && command -v dkms >/dev/null; then
	dkms status "vnet/$version" 2>/dev/null | grep -q . && dkms remove "vnet/$version" --all
	rm -rf "/usr/src/vnet-$version"
fi
if [ -z "$INSTALL_MOD_PATH" ] && [ -d /sys/module/vnet ]; then
	echo "vnet: the module stays loaded until the reboot; 'vnetctl back --all' gives its devices to virtio_net now"
fi
exit 0
