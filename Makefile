# SPDX-License-Identifier: GPL-2.0
# For people; Kbuild is for the kernel's build system. "make help" lists targets.

VERSION := 0.1.0
KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= 6.1
LANE ?= count
INPUT ?=
DKMS_DIR := /usr/src/hakmem-$(VERSION)

all: module

module: $(KDIR)/Makefile
	@$(MAKE) -C "$(KDIR)" M="$(CURDIR)" HAKMEM_VERSION=$(VERSION) modules

$(KDIR)/Makefile:
	@echo "make: no kernel build directory at $(KDIR)." >&2
	@echo "make: get it with: sudo apt-get install linux-headers-amd64, or give another: make KDIR=<dir>" >&2
	@false

clean:
	@rm -rf build
	@find . -name .git -prune -o \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name modules.order \
		-o -name Module.symvers \) -exec rm -f {} +

install: module
	@$(MAKE) -C "$(KDIR)" M="$(CURDIR)" HAKMEM_VERSION=$(VERSION) modules_install
	@depmod -a "$$($(MAKE) -s -C "$(KDIR)" kernelrelease)"
	@echo "hakmem is installed; load it with: modprobe hakmem"

dkms-install:
	@selftests/vm/need dkms
	@install -d "$(DKMS_DIR)"
	@cp -rp COPYING Kbuild Makefile dkms.conf dkms hakmem_kmod.c include kunit learner pool "$(DKMS_DIR)"
	@dkms status hakmem/$(VERSION) | grep -q . || dkms add hakmem/$(VERSION)
	@dkms install --force hakmem/$(VERSION)
	@echo "hakmem $(VERSION) is installed; load it with: modprobe hakmem"

dkms-remove:
	@dkms remove hakmem/$(VERSION) --all
	@rm -rf "$(DKMS_DIR)"

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
	@echo "make test             every test, in VMs (about an hour); builds the test kernels first (20 min, once)"
	@echo "make check            static checks"
	@echo "make bench            instructions per call, ours beside kmalloc's (LANE=count); what the learner's"
	@echo "                      laws cost and keep, live (LANE=learner, a quarter of an hour)"
	@echo "make install          install the module for the running kernel"
	@echo "make dkms-install     install it by DKMS, for this and later kernels; dkms-remove undoes it"
	@echo "make clean            remove what was built (kernels stay in \$${HKM_CACHE:-~/.cache/hakmem})"

.PHONY: all module clean install dkms-install dkms-remove demo test bench check help
