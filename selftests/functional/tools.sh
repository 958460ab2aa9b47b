#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: makes one mistake that a tool of the kernel
# has to see; run --expect says what it has to say.
#   tools.sh WHAT TEXT      WHAT of hkm_wild, and what dmesg then has
. /files/ktap.sh

ktap_print_header
ktap_set_plan 2

said() {
	dmesg | grep -E "$1" | head -n 1 | sed 's/^/# /'
	dmesg | grep -qE "$1"
}

found() {
	[ "$1" = leak ] || { said "$2"; return; }
	# Objects are reported once they are 5 s old.
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	grep -qE "$2" /sys/kernel/debug/kmemleak
}

named() {
	{ dmesg; cat /sys/kernel/debug/kmemleak; } | grep -q 'block_get.*\[hkm_wild\]\|wild_init.*\[hkm_wild\]'
}

load hakmem
load hkm_wild what="$1"
ktap_test_result "$1 is seen" found "$1" "$2"
ktap_test_result "its author is named" named
unload hkm_wild
ktap_finished
