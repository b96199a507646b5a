#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# deb.sh DIRECTORY: the Debian packages, checked by lintian. Runs in the layer "package".
set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=$1
version=$(cat "$here/VERSION")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh "$here/lab/make/dist.sh" "$work" >/dev/null
cd "$work"
tar -xf "vnet-$version.tar.gz"
# by Debian's form of a source package the directory debian comes on its own
tar -cf "vnet_$version.orig.tar" --exclude="vnet-$version/debian" --sort=name "vnet-$version"
gzip -9n "vnet_$version.orig.tar"
rm "vnet-$version.tar.gz"
cd "vnet-$version"
dpkg-buildpackage -us -uc -rfakeroot
cd ..
lintian --allow-root --fail-on error,warning --info --display-info ./*.changes
mkdir -p "$out"
rm -f "$out"/vnet_* "$out"/vnet-*.deb
mv vnet_* vnet-*.deb "$out/"
