#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# /usr/sbin/vnetctl, and vnetctl of a checkout: the program is a directory of Python.
program=$(dirname -- "$(readlink -f -- "$0")")/vnetctl/__main__.py
[ -e "$program" ] || program=/usr/share/vnet/vnetctl
exec /usr/bin/python3 -B "${program%/__main__.py}" "$@"
