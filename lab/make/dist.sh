#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dist.sh DIRECTORY: vnet-VERSION.tar.gz of all files that git does not ignore,
# the same bytes for the same files; prints its name.
set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=$1
cd "$here"
version=$(cat VERSION)
git=$(command -v git) || { echo "vnet: there is no git: run 'apt-get install git'" >&2; exit 2; }
git() { command "$git" -c safe.directory='*' "$@"; }
stamp=$(git log -1 --format=%ct 2>/dev/null) ||
	{ echo "vnet: $here is no git checkout: 'make dist' needs one" >&2; exit 2; }
mkdir -p "$out"
git ls-files -coz --exclude-standard | sort -z |
	tar --null --no-recursion -c --files-from=- --owner=0 --group=0 --numeric-owner \
		--mode=u+rw,go+r,go-w --mtime="@$stamp" --transform="s,^,vnet-$version/," |
	gzip -9n > "$out/vnet-$version.tar.gz"
echo "$out/vnet-$version.tar.gz"
