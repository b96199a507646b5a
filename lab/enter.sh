#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Enter the guest root: enter.sh ROOT CACHE CHECKOUT SESSION COMMAND...
# Started as root of new mount, pid and network name spaces. The root is the
# lower layer of an overlay, so nothing that a session does changes it; the
# layers of VNET_LAYERS (lab/layers.py) lie over it. VNET_BASE is the root of the
# guests, where that is another one (lab/arch.py).
set -e
root=$1 cache=$2 checkout=$3 session=$4
shift 4
PATH=$PATH:/usr/sbin:/sbin

mount --make-rprivate /
mount -t tmpfs -o mode=755 vnet-lab "$session"
mkdir "$session/upper" "$session/work" "$session/root"
lower=$root
for layer in $VNET_LAYERS; do
	lower=$cache/layers/$layer:$lower
done
options="lowerdir=$lower,upperdir=$session/upper,workdir=$session/work"
mount -t overlay -o "$options,userxattr" vnet-lab "$session/root" 2>/dev/null ||
	mount -t overlay -o "$options" vnet-lab "$session/root"

new=$session/root
mount --rbind /dev "$new/dev"
mount -t proc proc "$new/proc"
mount -t sysfs sysfs "$new/sys" 2>/dev/null || mount --rbind /sys "$new/sys"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
# 'ip -n' takes /sys away before it mounts another: an ordinary user gets none
# where none is left
mkdir "$new/run/sysfs"
mount --bind "$new/sys" "$new/run/sysfs"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
mkdir -p "$new/vnet" "$new/cache" "$new/base" "$new/run/netns"
mount --bind "$checkout" "$new/vnet"
mount -o remount,bind,ro "$new/vnet"
mount --bind "$cache" "$new/cache"
mount --bind "${VNET_BASE:-$root}" "$new/base"
mount -o remount,bind,ro "$new/base" 2>/dev/null || true
# the headers of the guests' kernels where they find those that they share with ours, and
# programs of this machine's
for modules in ${VNET_BASE:+"$VNET_BASE"/usr/lib/modules/*}; do
	release=${modules##*/}
	mkdir -p "$new/usr/src/linux-headers-$release" "$new/usr/lib/modules/$release"
	mount --bind "$VNET_BASE/usr/src/linux-headers-$release" "$new/usr/src/linux-headers-$release"
	ln -s "/usr/src/linux-headers-$release" "$new/usr/lib/modules/$release/build"
done
printf 'nameserver 127.0.0.1\n' > "$new/etc/resolv.conf"
printf '127.0.0.1 localhost\n' > "$new/etc/hosts"
chroot "$new" ip link set lo up

# a process under a chroot may not make user name spaces, which passt needs
cd "$new"
mkdir -p .old
pivot_root . .old
exec chroot . /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 \
	PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/vnet PYTHONDONTWRITEBYTECODE=1 \
	CCACHE_DIR=/cache/ccache VNET_LAB=1 VNET_CACHE="$cache" VNET_CHECKOUT="$checkout" \
	VNET_ACCEL="${VNET_ACCEL:-}" VNET_ARCH="${VNET_ARCH:-}" VNET_SEED="${VNET_SEED:-}" \
	VNET_ORACLE="${VNET_ORACLE:-}" VNET_LAYERS="$VNET_LAYERS" \
	sh -c 'umount -l /.old && rmdir /.old && cd /vnet && exec "$@"' sh "$@"
