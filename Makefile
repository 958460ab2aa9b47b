# SPDX-License-Identifier: GPL-2.0
# For people; Kbuild is for the kernel's build system. "make help" lists targets.

VERSION := 0.1.0
KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= 6.1
LANE ?= count
INPUT ?=
DKMS_DIR := /usr/src/hakmem-$(VERSION)

ifneq ($(words $(CURDIR)),1)
$(error the kernel's build system takes no path with spaces; move $(CURDIR))
endif

root = [ "$$(id -u)" -eq 0 ] || { echo "make: needs root: sudo make $@" >&2; false; }

all: module

module: $(KDIR)/Makefile
	@$(MAKE) -C "$(KDIR)" M="$(CURDIR)" HAKMEM_VERSION=$(VERSION) modules

$(KDIR)/Makefile:
	@echo "make: no kernel build directory at $(KDIR)." >&2
	@echo "make: install its headers (sudo apt-get install linux-headers-$$(uname -r)), or name another: make KDIR=<dir>" >&2
	@false

clean:
	@rm -rf build
	@find . -name .git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name '.*.d' -o -name modules.order \
		-o -name Module.symvers \) -exec rm -f {} +

install: module
	@[ -n "$(INSTALL_MOD_PATH)" ] || $(root)
	@$(MAKE) -C "$(KDIR)" M="$(CURDIR)" HAKMEM_VERSION=$(VERSION) modules_install
	@PATH="$$PATH:/sbin" depmod -a -b "$(INSTALL_MOD_PATH)/" \
		"$$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h")"
	@echo "hakmem is installed; load it with: modprobe hakmem"

dkms-install:
	@$(root)
	@selftests/vm/need dkms openssl
	@rm -rf "$(DKMS_DIR)"
	@install -d "$(DKMS_DIR)"
	@cp -r --preserve=mode,timestamps COPYING Kbuild Makefile dkms.conf dkms hakmem_kmod.c include kunit learner pool "$(DKMS_DIR)"
	@$(MAKE) -s -C "$(DKMS_DIR)" clean
	@dkms status hakmem/$(VERSION) | grep -q . || dkms add hakmem/$(VERSION)
	@{ dkms build --force hakmem/$(VERSION) && dkms install --force hakmem/$(VERSION); } || \
		{ echo "make: this version is not installed, see above; try again, or undo it: sudo make dkms-remove" >&2; false; }
	@echo "hakmem $(VERSION) is installed; load it with: modprobe hakmem"

# Also what DKMS does not know of any more, after a build that failed.
dkms-remove:
	@$(root)
	@if dkms status hakmem/$(VERSION) 2>/dev/null | grep -q .; then dkms remove hakmem/$(VERSION) --all; fi
	@rm -rf "$(DKMS_DIR)"
	@for ko in /lib/modules/*/updates/dkms/hakmem.ko*; do \
		PATH="$$PATH:/sbin"; kernel=$${ko#/lib/modules/}; \
		[ "$$(modinfo -F version "$$ko" 2>/dev/null)" != $(VERSION) ] || \
			{ rm "$$ko" && depmod "$${kernel%%/*}"; } || exit; \
	done
	@echo "hakmem $(VERSION) is not installed by DKMS any more"

demo:
	@selftests/demo "$(KERNEL)" $(if $(INPUT),"$(INPUT)")

test:
	@selftests/run

bench:
	@selftests/bench/run "$(LANE)"

check:
	@selftests/check

help:
	@echo "make                  build hakmem.ko for the running kernel (or KDIR=<build dir>)"
	@echo "make demo             boot a VM and stream a file through the allocator (INPUT=<file> KERNEL=6.1|6.12)"
	@echo "make test             every test, in VMs: about an hour, 80 min the first time, which builds five kernels"
	@echo "make check            static checks"
	@echo "make bench            instructions per call, ours beside kmalloc's (LANE=count); what the learner's"
	@echo "                      laws cost and keep, live (LANE=learner, a quarter of an hour)"
	@echo "make install          install the module for the running kernel (or KDIR; INSTALL_MOD_PATH=<root>)"
	@echo "make dkms-install     install it by DKMS, for this and later kernels; dkms-remove undoes it"
	@echo "make clean            remove what was built (kernels stay in \$${HKM_CACHE:-~/.cache/hakmem})"

# Those that build modules for the VMs share the directories that they build in.
.NOTPARALLEL:
.PHONY: all module clean install dkms-install dkms-remove demo test bench check help
