# SPDX-License-Identifier: GPL-2.0
#
# The user's Makefile; kbuild reads Kbuild. 'make help' lists the targets.

KVER	?= $(shell uname -r)
KDIR	?= /lib/modules/$(KVER)/build
DRIVER	?= vnet
T	?=
PROFILE	?=
KERNEL	?=
J	?= 0
N	?= 0
SEED	?=
G	?=
KEEP	?=

# Python, or the way to get it: the only thing the lab cannot install itself.
LAB	:= $(CURDIR)/lab/start
# Variables of the command line that select nothing: 'make check T='.
EMPTY	= $(foreach v,T PROFILE KERNEL,$(if $(findstring command,$(origin $v)),$(if $($v),,--empty=$v)))
# Of another architecture (kbuild has a variable of this name, too, and may set it for this one)
GUESTS	= $(if $(findstring command,$(origin ARCH)),$(if $(ARCH),--arch='$(ARCH)'))
SELECT	= $(GUESTS) -d '$(DRIVER)' -j '$(J)' -T '$(T)' -p '$(PROFILE)' -k '$(KERNEL)' $(EMPTY) $(if $(KEEP),--keep)

.PHONY: all modules in-tree install uninstall clean run check check-ci check-full \
	shell kunit gates fuzz proofs bench kselftest mutants kernels dkms deb rpm dist \
	html help

all: modules

modules:
	@sh lab/make/checks.sh build '$(KDIR)'
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' modules

in-tree:
	@sh lab/make/in_tree.sh '$(KSRC)' '$(CURDIR)'

install: modules
	@sh lab/make/checks.sh install '$(KDIR)'
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' modules_install
	depmod -b '$(INSTALL_MOD_PATH)/' -a "$$(cat '$(KDIR)/include/config/kernel.release')"
	install -D -m 644 packaging/modprobe.conf '$(INSTALL_MOD_PATH)/lib/modprobe.d/vnet.conf'
	@echo "vnet: installed, but not in the initramfs and not in use; now: tools/vnetctl.sh switch NIC"

uninstall:
	@sh lab/make/uninstall.sh '$(KDIR)'

dkms:
	@sh lab/make/dkms.sh

deb rpm html:
	@$(LAB) package $@

dist:
	@sh lab/make/dist.sh '$(CURDIR)/dist'

clean:
	@sh lab/make/clean.sh '$(KDIR)' '$(CURDIR)'

run:
	@$(LAB) run $(GUESTS) -d '$(DRIVER)' -k '$(KERNEL)' -p '$(PROFILE)'

shell:
	@$(LAB) shell $(GUESTS) -d '$(DRIVER)' -k '$(KERNEL)' -p '$(PROFILE)'

check:
	@$(LAB) check $(SELECT)

check-ci:
	@$(LAB) check --ci $(SELECT)

check-full:
	@$(LAB) check --full $(SELECT)

kunit:
	@$(LAB) kunit

gates:
	@$(LAB) gates

fuzz:
	@$(LAB) fuzz 60

proofs:
	@$(LAB) proofs

bench:
	@$(LAB) bench

mutants:
	@$(LAB) mutants $(T) --sample $(N) --seed '$(SEED)' $(if $(G),--generated)

kselftest:
	@$(LAB) kselftest -d '$(DRIVER)' -T '$(T)' -k '$(KERNEL)'

kernels:
	@$(LAB) kernels

help:
	@sh lab/make/help.sh
