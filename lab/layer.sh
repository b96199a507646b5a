#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Install packages into an overlay of the guest root:
# layer.sh ROOT DIRECTORY N-OPTIONS OPTION... PACKAGE...
# DIRECTORY has upper, work and root; what is installed stays in upper. Started
# as root of a new mount name space, with the network of the machine.
set -e
root=$1 dir=$2 count=$3
shift 3
PATH=$PATH:/usr/sbin:/sbin
apt=$dir/apt.conf
: > "$apt"
while [ "$count" -gt 0 ]; do
	printf '%s\n' "$1" >> "$apt"
	count=$((count - 1))
	shift
done

mount --make-rprivate /
options="lowerdir=$root,upperdir=$dir/upper,workdir=$dir/work"
mount -t overlay -o "$options,userxattr" vnet-layer "$dir/root" 2>/dev/null ||
	mount -t overlay -o "$options" vnet-layer "$dir/root"
new=$dir/root
mount -t tmpfs tmpfs "$new/tmp"
mount -t tmpfs tmpfs "$new/run"
mount -t tmpfs tmpfs "$new/var/lib/apt/lists"
mount -t tmpfs tmpfs "$new/var/cache/apt"
mount --rbind /dev "$new/dev"
mount -t proc proc "$new/proc"
mkdir -p "$new/var/cache/apt/archives/partial" "$new/var/lib/apt/lists/partial"
case " $* " in *"/testing "*)
	# Debian testing, for the packages that name it and what they need of it
	mkdir "$new/tmp/sources" "$new/tmp/preferences"
	sed -n 's/ trixie main/ testing main/p' "$new/etc/apt/sources.list" > "$new/tmp/sources/testing.list"
	printf 'Package: *\nPin: release a=testing\nPin-Priority: 1\n' > "$new/tmp/preferences/testing"
	cat >> "$apt" <<-END
		Dir::Etc::sourceparts "/tmp/sources";
		Dir::Etc::preferencesparts "/tmp/preferences";
	END
	;;
esac
cp "$apt" "$new/tmp/apt.conf"
touch "$new/etc/resolv.conf" # a file to mount over
mount --bind /etc/resolv.conf "$new/etc/resolv.conf"
mount --bind /etc/hosts "$new/etc/hosts"
# no service starts in here
printf '#!/bin/sh\nexit 101\n' > "$new/tmp/policy-rc.d"
chmod 755 "$new/tmp/policy-rc.d"
[ -e "$new/usr/sbin/policy-rc.d" ] || : > "$new/usr/sbin/policy-rc.d"
mount --bind "$new/tmp/policy-rc.d" "$new/usr/sbin/policy-rc.d"

run() {
	chroot "$new" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin APT_CONFIG=/tmp/apt.conf "$@"
}
run apt-get -q update
run apt-get -q -y --no-install-recommends -o APT::Keep-Downloaded-Packages=false \
	-o APT::Sandbox::User=root install "$@"
umount -R "$new" 2>/dev/null || umount -l "$new"
