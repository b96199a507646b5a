#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# html.sh DIRECTORY: the pages; a warning of Sphinx is an error. Runs in the
# layer "package".
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=$1
rm -rf "$out"
exec python3 -m sphinx -W --keep-going -q -b html -d "$(mktemp -d)" "$here/docs" "$out"
