#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# rpm.sh DIRECTORY: the packages for dkms on distributions with rpm, checked by
# rpmlint. Runs in the layer "package".
set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=$1
version=$(cat "$here/VERSION")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/SOURCES" "$work/SPECS"
sh "$here/lab/make/dist.sh" "$work/SOURCES" >/dev/null
sed "s/@VERSION@/$version/" "$here/packaging/vnet.spec.in" > "$work/SPECS/vnet.spec"
rpmbuild --quiet --nodeps --define "_topdir $work" -ba "$work/SPECS/vnet.spec"
rpmlint -c "$here/packaging/rpmlint.toml" "$work"/RPMS/noarch/*.rpm "$work/SPECS/vnet.spec"
mkdir -p "$out"
rm -f "$out"/*.rpm
mv "$work"/RPMS/noarch/*.rpm "$work"/SRPMS/*.rpm "$out/"
