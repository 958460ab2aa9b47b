#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded, on a kernel with kmemleak and KUnit: what the
# pool itself needs for fragments is no leak.
. /files/ktap.sh

ktap_print_header
ktap_set_plan 2

no_leak() {
	# Objects are reported once they are 5 s old.
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	! grep -q . /sys/kernel/debug/kmemleak
}

load hakmem
ktap_test_result "a client holds blocks of fragments" load hkm_pieces
ktap_test_result "kmemleak finds no leak" no_leak
unload hkm_pieces
unload hakmem
ktap_finished
