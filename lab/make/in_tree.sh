#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# in_tree.sh KSRC CHECKOUT: put vnet and its companions into drivers/net/vnet of a
# kernel source and build them as modules and built in. Doing it again changes nothing.
ksrc=$1 checkout=$2
jobs=$(nproc)

fail() {
	echo "vnet: $*" >&2
	exit 2
}

# Add a line to a file before the first line that matches, or at its end.
add_line() {
	file=$1 line=$2 before=$3
	grep -qxF "$line" "$file" && return
	if grep -q "$before" "$file"; then
		sed -i "0,\\|$before|s||$line\\n&|" "$file" ||
			fail "cannot write to $file"
	else
		printf '%s\n' "$line" >> "$file" || fail "cannot write to $file"
	fi
	echo "in-tree: added '$line' to $file"
}

[ -n "$ksrc" ] || fail "say which kernel source: make in-tree KSRC=/path/to/linux"
[ -d "$ksrc" ] || fail "there is no directory $ksrc: KSRC must be a kernel source"
[ -f "$ksrc/drivers/net/Kconfig" ] && [ -f "$ksrc/drivers/net/Makefile" ] && [ -f "$ksrc/Kbuild" ] ||
	fail "$ksrc is no kernel source (it has no drivers/net/Kconfig): headers alone do not do"
[ -w "$ksrc/drivers/net" ] || fail "$ksrc/drivers/net is not writable: copy the source to a place of yours"
for tool in gcc flex bison bc make; do
	command -v "$tool" >/dev/null || fail "there is no $tool: run 'apt-get install $tool'"
done

ksrc=$(cd "$ksrc" && pwd) || exit 2
target=$ksrc/drivers/net/vnet
mkdir -p "$target" || fail "cannot make $target"
[ ! -e "$target/Makefile" ] || rm -f "$target/Makefile"
for item in Kbuild Kconfig include data life policy scripts kunit vkit vmon; do
	[ -e "$checkout/$item" ] && cp -a -u "$checkout/$item" "$target/"
done
cp -a -u "$checkout"/*.c "$target/" || fail "cannot copy vnet to $target"
for header in "$checkout"/*.h; do
	[ -e "$header" ] && cp -a -u "$header" "$target/"
done
# what is gone here is gone there
for file in "$target"/*.c "$target"/*/*.c; do
	case $file in *.mod.c) continue ;; esac
	[ -e "$checkout/${file#"$target"/}" ] || rm -f "$file"
done
echo "in-tree: vnet is in $target"

add_line "$ksrc/drivers/net/Kconfig" 'source "drivers/net/vnet/Kconfig"' \
	'^source "drivers/net/vmxnet3/Kconfig"'
# always gone through: a companion can be had without the driver
# shellcheck disable=SC2016	# the text of a Makefile
sed -i '/^obj-$(CONFIG_VNET) += vnet\/$/d' "$ksrc/drivers/net/Makefile" ||
	fail "cannot write to $ksrc/drivers/net/Makefile"
# shellcheck disable=SC2016	# the text of a Makefile
add_line "$ksrc/drivers/net/Makefile" "obj-y += vnet/" '^obj-\$(CONFIG_VXLAN)'

# the pages, where the source has its documentation
pages=$ksrc/Documentation/networking
if [ -f "$pages/device_drivers/ethernet/index.rst" ] && [ -f "$pages/devlink/index.rst" ]; then
	mkdir -p "$pages/device_drivers/ethernet/vnet"
	cp "$checkout/docs/in-tree/vnet.rst" "$pages/device_drivers/ethernet/vnet/vnet.rst" ||
		fail "cannot copy the pages to $pages"
	cp "$checkout/docs/in-tree/devlink.rst" "$pages/devlink/vnet.rst" ||
		fail "cannot copy the pages to $pages"
	add_line "$pages/device_drivers/ethernet/index.rst" '   vnet/vnet' '^   wangxun/'
	add_line "$pages/devlink/index.rst" '   vnet' '^   zl3073x'
fi

cd "$ksrc" || exit 2
if [ ! -f .config ]; then
	echo "in-tree: the source has no .config, taking the default one"
	make -s defconfig || exit 1
fi
for mode in m y; do
	echo "in-tree: building with CONFIG_VNET=$mode"
	case $mode in
	m) scripts/config -e MODULES -e NET -e NETDEVICES -e PCI -e VIRTIO_MENU -e VIRTIO_PCI \
		-e BPF_SYSCALL -e NET_CLS_ACT -m VSOCKETS \
		-m VNET -m VNET_VSOCKMON -m VNET_PAIR ;;
	y) scripts/config -e VSOCKETS -e VNET -e VNET_VSOCKMON -e VNET_PAIR ;;
	esac
	make -s olddefconfig || exit 1
	for option in VNET VNET_VSOCKMON VNET_PAIR; do
		grep -q "^CONFIG_$option=$mode" .config ||
			fail "the configuration of $ksrc does not allow CONFIG_$option=$mode: see what Kconfig says $option depends on"
	done
	make -j"$jobs" prepare modules_prepare || exit 1
	make -j"$jobs" W=1 drivers/net/vnet/ || exit 1
done
[ -f drivers/net/vnet/built-in.a ] || fail "kbuild made no drivers/net/vnet/built-in.a: see its messages above"
echo "in-tree: built as module and built in"
