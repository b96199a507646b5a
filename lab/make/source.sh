#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# source.sh TARGET: what dkms builds from, with its dkms.conf.
set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
target=$1
version=$(cat "$here/VERSION")
mkdir -p "$target/include" "$target/scripts" "$target/stand-in"
target=$(cd -- "$target" && pwd)
cd "$here"
cp Kbuild Kconfig VERSION ./*.c "$target/"
rm -f "$target"/*.mod.c
for folder in data life policy; do
	mkdir -p "$target/$folder"
	cp "$folder"/*.[ch] "$target/$folder/"
done
cp include/*.h "$target/include/"
cp scripts/conftest.sh scripts/dkms-build.sh "$target/scripts/"
cp packaging/stand-in/* "$target/stand-in/"
sed "s/@VERSION@/$version/" dkms.conf.in > "$target/dkms.conf"
