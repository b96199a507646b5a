#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# clean.sh KDIR CHECKOUT: by kbuild where there is one, by hand otherwise.
kdir=$1 checkout=$2

if [ -f "$kdir/Makefile" ] && [ -f "$kdir/.config" ] && command -v gcc >/dev/null; then
	make -s -C "$kdir" M="$checkout" clean && exit 0
fi
cd "$checkout" || exit 2
find . -path ./.git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
	-o -name '.*.cmd' -o -name 'modules.order' -o -name 'Module.symvers' \) -exec rm -f {} +
