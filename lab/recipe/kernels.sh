# SPDX-License-Identifier: GPL-2.0
# Runs in the new root: installs the kernels, their headers and one kernel
# source. Versions are resolved here from what the archive offers today.
set -e
export DEBIAN_FRONTEND=noninteractive

# The release that the meta package of suite $1 stands for.
of_suite() {
	apt-cache show "linux-headers-cloud-amd64/$1" |
		sed -n 's/^Depends:.*linux-headers-\([^ ,]*\).*/\1/p' | sort -V | tail -1
}

# The newest release whose headers are in the archive at all.
newest() {
	apt-cache pkgnames linux-headers- |
		sed -n 's/^linux-headers-\([0-9].*-cloud-amd64\)$/\1/p' | sort -V | tail -1
}

# The packages of release $1: signed if there is one, otherwise as built.
packages_of() {
	echo "linux-headers-$1"
	if apt-cache show "linux-image-$1" >/dev/null 2>&1; then
		echo "linux-image-$1"
	elif apt-cache show "linux-binary-unsigned-$1" >/dev/null 2>&1; then
		echo "linux-binary-unsigned-$1 linux-modules-$1"
	else
		echo "linux-image-$1-unsigned"
	fi
}

releases=$( (of_suite trixie; of_suite trixie-backports; newest) | sort -u)
# shellcheck disable=SC2046
set -- $(for release in $releases; do packages_of "$release"; done)
# The newest kernel source: checkpatch, kernel-doc, selftests.
source=$(apt-cache pkgnames linux-source- | grep -E '^linux-source-[0-9.]+$' | sort -V | tail -1)
set -- "$@" "$source"
echo "I: kernels: $(echo "$releases" | tr '\n' ' ')" >&2
apt-get -q -y -o APT::Install-Recommends=false install "$@" >&2
apt-get clean
rm -f /tmp/kernels.sh /tmp/dpkg.sh
