#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
cat <<'TEXT'
Build
  make [KDIR=DIR]        vnet.ko (and vkit, vmon) for the running kernel or the one of KDIR
  make in-tree KSRC=DIR  put vnet into a kernel source, build it =m and =y
  make kernels           build for every kernel of the archive, headers only
  make install           install vnet.ko (as root), make uninstall, make clean
  make dkms              the same by dkms, for every kernel to come (as root)
  make deb, make rpm     packages: vnet-dkms, vnet-tools
  make dist              a tarball of the source in dist/; make html: the pages

Try
  make run               vnet in a guest: DHCP, a page, iperf3; then a shell
  make shell             a shell in a guest (PROFILE= KERNEL= DRIVER=)

Test
  make check             the assertions that matter most, in minutes; one closing
                         line 'N passed, N failed, N skipped'
    T=NAME               one test, one file of tests, or a glob
    PROFILE='A B'        device profiles (lab/profiles.py)
    KERNEL=6.12          a kernel of the guest root, by its series
    ARCH=arm64           guests of another architecture, emulated (docs/machines.rst)
    DRIVER=virtio_net    the in-tree driver instead
    J=N                  guests at a time
    KEEP=1               leave the guest of the first failing test running, and say how to get in
  make check-ci          what CI runs after that, about half an hour
  make check-full        the long tests and all rounds, on every kernel: hours
  make gates             compilers, sparse, checkpatch, kernel-doc, layers
  make kunit             unit tests of the pure rooms
  make proofs            the ring's engine, for every behaviour of a device
  make fuzz              random input to them, a minute for each
  make mutants           defects planted into the driver (T=NAME one of them): does
                         a test find each?
    N=10 SEED=HASH       so many of them, chosen by the commit or by SEED
    G=1                  of those that are made by pattern (lab/mutate.py)
  make kselftest         the kernel's own tests of network drivers (T= KERNEL=
                         DRIVER='vnet virtio_net')
  make bench             vnet and virtio_net side by side

The first command makes a guest root in ~/.cache/vnet (or XDG_CACHE_HOME):
about 2 GB, two to five minutes. 'lab/start gc' removes it.
TEXT
