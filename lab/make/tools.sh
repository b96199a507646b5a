#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tools.sh DESTDIR: vnetctl, its units and completion, as the packages install them.
set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
dest=$1
mkdir -p "$dest"
dest=$(cd -- "$dest" && pwd)
cd "$here/tools"
install -d "$dest/usr/sbin" "$dest/usr/share/vnet/vnetctl" "$dest/usr/lib/systemd/system" \
	"$dest/usr/share/bash-completion/completions" "$dest/etc/vnet/health.d" \
	"$dest/usr/share/doc/vnet-tools/examples"
install -m 755 vnetctl.sh "$dest/usr/sbin/vnetctl"
install -m 644 vnetctl/*.py "$dest/usr/share/vnet/vnetctl/"
install -m 644 units/*.service "$dest/usr/lib/systemd/system/"
install -m 644 completion/vnetctl "$dest/usr/share/bash-completion/completions/"
install -m 644 sos/vnet.py "$dest/usr/share/doc/vnet-tools/examples/sos-plugin-vnet.py"
