#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# try.sh DIRECTORY: the packages of 'make deb' are installed, upgraded, removed
# and purged in a throw-away root (a session of the lab with the layer "package").
# No guest: what they do to a running network is selftests/package.py, and how a
# machine boots with them selftests/package_boot.py.
packages=${1%/*}/deb
version=$(cat /vnet/VERSION)
log=$(mktemp)
passed=0

fail() {
	echo "try: $*" >&2
	tail -n 30 "$log" >&2
	exit 1
}

ok() {
	echo "try: $*: ok"
	passed=$((passed + 1))
}

# Every file but those of others: logs, dpkg's own, the key that dkms makes once, and what
# depmod says of the kernels that are none.
files() {
	find / -xdev \( -path /tmp -o -path /run -o -path /cache -o -path /vnet -o -path /base \
		-o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /root \
		-o -path '/var/lib/dkms/mok.*' -o -path '/usr/lib/modules/*-99-amd64' \) -prune -o -printf '%p %y %m %l\n' | sort
}

[ -e "$packages/vnet-dkms_$version-1_all.deb" ] || fail "there are no packages: run 'make deb' first"
export DEBIAN_FRONTEND=noninteractive
new=$(find /lib/modules -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort -V | tail -1)

# one kernel to build for is enough here, 'make kernels' is about the others
for dir in /lib/modules/*; do
	[ "${dir##*/}" = "$new" ] || rm -f "$dir/build"
done
# a kernel that vnet is not for, with headers that would not build either
old=6.1.0-99-amd64
mkdir -p /lib/modules/$old /usr/src/linux-headers-$old/include/config
ln -sfn /usr/src/linux-headers-$old /lib/modules/$old/build
printf 'CONFIG_MODULES=y\n' > /usr/src/linux-headers-$old/.config
printf 'all:\n\tfalse\n' > /usr/src/linux-headers-$old/Makefile

# and one that it should be for and does not build for
newer=6.99.0-99-amd64
kdir=$(readlink -f "/lib/modules/$new/build")
mkdir -p /lib/modules/$newer /usr/src/linux-headers-$newer
ln -sfn /usr/src/linux-headers-$newer /lib/modules/$newer/build
ln -sfn "$kdir/include" "$kdir/.config" /usr/src/linux-headers-$newer/
echo "real := $kdir" > /usr/src/linux-headers-$newer/Makefile
cat >> /usr/src/linux-headers-$newer/Makefile <<'END'
modules:
	case $(M) in */stand-in) ;; *) echo no such field; false ;; esac
	$(MAKE) -C $(real) M=$(M) modules
END
for release in $old $newer "$new"; do
	depmod "$release" 2>/dev/null
done

before=$(mktemp)
files > "$before"

dpkg -i "$packages"/vnet-*.deb > "$log" 2>&1 || fail "dpkg does not install the packages"
dkms status | tee -a "$log" | grep -q "vnet/$version" || fail "dkms does not know vnet"
ok "install"

dkms autoinstall -k $old >> "$log" 2>&1 || fail "a kernel that vnet is not for makes autoinstall fail"
[ ! -e /lib/modules/$old/updates/dkms/vnet.ko ] || fail "vnet was built for $old"
/etc/kernel/postinst.d/dkms $old /boot/vmlinuz-$old >> "$log" 2>&1 ||
	fail "the installation of a kernel that vnet is not for fails"
ok "installation of a kernel that it is not for"

/etc/kernel/postinst.d/dkms $newer /boot/vmlinuz-$newer >> "$log" 2>&1 ||
	fail "the installation of a kernel that vnet does not build for fails"
[ "$(modinfo -k $newer -F version vnet)" = "$version-stand-in" ] || fail "there is no stand-in for $newer"
AUTOPKGTEST_TMP=/tmp dkms build --force "vnet/$version" -k $newer >> "$log" 2>&1 &&
	fail "a test of the package does not see that the build fails"
ok "installation of a kernel that it does not build for"

dkms status -k "$new" | grep -q "vnet/$version.*installed" ||
	dkms install "vnet/$version" -k "$new" >> "$log" 2>&1 || fail "vnet does not build by dkms for $new"
module=$(modinfo -k "$new" -n vnet) || fail "modinfo finds no vnet for $new"
[ "$(modinfo -k "$new" -F version vnet)" = "$version" ] || fail "$module has another version"
[ -n "$(modinfo -k "$new" -F signer vnet)" ] || fail "$module is not signed by dkms"
ok "dkms, signed, for $new"

# the alias must not choose vnet by luck; by name, and 'early', it loads
alias=virtio:d00000001v00001AF4
modprobe -S "$new" --show-depends $alias | grep -q virtio_net.ko || fail "$alias does not lead to virtio_net"
! modprobe -S "$new" --show-depends $alias | grep -q /vnet.ko || fail "$alias leads to vnet"
modprobe -S "$new" --show-depends vnet | grep -q /vnet.ko || fail "vnet cannot be loaded by name"
echo 'softdep virtio_net pre: vnet' > /etc/modprobe.d/vnet-early.conf
modprobe -S "$new" --show-depends $alias | grep -q /vnet.ko || fail "'early' does not load vnet"
rm /etc/modprobe.d/vnet-early.conf
ok "which driver the alias loads, alone and with softdep"

vnetctl status >> "$log" 2>&1 || fail "vnetctl does not run"
vnetctl --help | grep -q claim || fail "vnetctl --help"
ok "vnetctl runs"

work=$(mktemp -d)
dpkg-deb -R "$packages/vnet-dkms_$version-1_all.deb" "$work/p"
sed -i "s/^Version: .*/Version: $version-2/" "$work/p/DEBIAN/control"
dpkg-deb -b "$work/p" "$work/vnet-dkms_$version-2_all.deb" > /dev/null
echo 'blacklist virtio_net' > /etc/modprobe.d/old.conf
! grep -q 'is blacklisted' "$log" || fail "a blacklist is seen where there is none"
dpkg -i "$work/vnet-dkms_$version-2_all.deb" >> "$log" 2>&1 || fail "the upgrade fails"
grep -q 'virtio_net is blacklisted' "$log" || fail "it is not said that virtio_net is blacklisted"
rm /etc/modprobe.d/old.conf
dkms status | grep -q "vnet/$version.*$new.*installed" || fail "after the upgrade dkms says: $(dkms status)"
ok "upgrade"

unit=multi-user.target.wants/vnet-claim.service
echo eth0 > /etc/vnet/claim
mkdir -p /var/lib/vnet/boot /etc/systemd/network/x.network.d
echo "good 1 2" > /var/lib/vnet/boot/eth0
echo "# Written by 'vnetctl check --fix'" > /etc/systemd/network/x.network.d/99-vnet.conf
dpkg --remove vnet-tools vnet-dkms >> "$log" 2>&1 || fail "dpkg does not remove the packages"
[ -e /etc/vnet/claim ] || fail "removing the package takes the configuration"
for left in /usr/sbin/vnetctl /usr/share/vnet /usr/src/vnet-* /lib/modules/*/updates/dkms/vnet.ko*; do
	[ ! -e "$left" ] || fail "removing leaves $left"
done
touch /etc/dkms/no-autoinstall	# it has been built twice
dpkg -i "$work/vnet-dkms_$version-2_all.deb" "$packages"/vnet-tools_*.deb >> "$log" 2>&1 ||
	fail "the packages cannot be installed again"
rm /etc/dkms/no-autoinstall
[ "$(cat /etc/vnet/claim)" = eth0 ] || fail "the configuration is lost"
[ -e /etc/systemd/system/$unit ] || fail "the unit is not enabled any more"
ok "remove keeps the configuration, install takes it up again"

dpkg --purge vnet-tools vnet-dkms >> "$log" 2>&1 || fail "dpkg does not purge the packages"
files > "$before.after"
diff "$before" "$before.after" >> "$log" || fail "purge leaves or takes something:" "$(diff "$before" "$before.after" | head)"
ok "purge leaves nothing"
tree=$(mktemp -d)
cp -a /vnet "$work/checkout"
make -s -C "$work/checkout" KDIR="$kdir" INSTALL_MOD_PATH="$tree" install >> "$log" 2>&1 || fail "make install fails"
grep -q vnet "$tree/lib/modules/$new/modules.dep" || fail "depmod has not run in INSTALL_MOD_PATH"
grep -q 'vmon/vmon\.ko' "$tree/lib/modules/$new/modules.dep" || fail "make install brings no vmon"
grep -q 'vkit/vkit\.ko' "$tree/lib/modules/$new/modules.dep" || fail "make install brings no vkit"
[ -e "$tree/lib/modprobe.d/vnet.conf" ] || fail "make install brings no modprobe.d/vnet.conf"
[ ! -e /lib/modprobe.d/vnet.conf ] || fail "make install writes outside of INSTALL_MOD_PATH"
make -s -C "$work/checkout" KDIR="$kdir" INSTALL_MOD_PATH="$tree" uninstall >> "$log" 2>&1 || fail "make uninstall fails"
[ -z "$(find "$tree" -name 'v*')" ] || fail "make uninstall leaves $(find "$tree" -name 'v*')"
! grep -q vnet "$tree/lib/modules/$new/modules.dep" || fail "make uninstall runs no depmod"
ok "make install and uninstall, in a tree of their own"

KVER=$new sh /vnet/lab/make/dkms.sh >> "$log" 2>&1 || fail "make dkms fails"
modinfo -k "$new" -n vnet | grep -q dkms || fail "make dkms installs nothing"
sh /vnet/lab/make/uninstall.sh "$kdir" >> "$log" 2>&1 || fail "make uninstall fails after make dkms"
files > "$before.after"
diff "$before" "$before.after" >> "$log" || fail "make uninstall leaves or takes something:" "$(diff "$before" "$before.after" | head)"
ok "make dkms and uninstall"
echo "try: $passed passed"
