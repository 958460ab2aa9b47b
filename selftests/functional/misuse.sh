#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: callers' mistakes are refused, reported and
# harm nothing. Each is made on a fresh hakmem, which reports each kind once.
#   misuse.sh [KIND...]
#
# From 6.15 on kfree() itself refuses what kmalloc() did not give out, and warns:
# there stray_kfree is made only if named, and needs run --expect.
. /files/ktap.sh

ALL="nothing null zero_size huge overflow foreign_kmalloc foreign_vmalloc
	foreign_stack foreign_module double_free double_free_other_cpu
	interior_free tail_free leave_live"

kfree_refuses() {
	local major minor

	IFS=. read -r major minor _ </proc/sys/kernel/osrelease
	[ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 15 ]; }
}

# What the log has to say, by kind. Nothing is said of what is allowed.
report_of() {
	case $1 in
	double_free*) echo "double free" ;;
	interior_free | tail_free) echo "starts no block" ;;
	foreign_vmalloc | foreign_stack | foreign_module) echo "that no allocator gave out" ;;
	stray_kfree) kfree_refuses || echo "kfree() of pool memory" ;;
	leave_live) echo "3 blocks still in use" ;;
	esac
}

# Frees that the pool has to refuse, by kind.
rejects_of() {
	case $1 in
	double_free* | tail_free) echo 1 ;;
	interior_free) echo 3 ;;
	*) echo 0 ;;
	esac
}

live_of() {
	case $1 in
	leave_live) echo 3 ;;
	*) echo 0 ;;
	esac
}

reported() {
	local text

	text=$(report_of "$1")
	if [ -n "$text" ]; then
		dmesg | grep -q "hakmem: .*$text" && return
		ktap_print_msg "the log does not say '$text'"
		return 1
	fi
	! dmesg | grep 'hakmem: '
}

harmless() {
	dmesg -c >/dev/null
	load hakmem || return 1
	if ! load hkm_misuse what="$1"; then
		unload hakmem
		return 1
	fi
	same mismatches 0 "$(param hkm_misuse mismatches)"
	status=$?
	same rejects "$(rejects_of "$1")" "$(pool_sum rejects)" || status=1
	same objects_live "$(live_of "$1")" "$(pool_sum objects_live)" || status=1
	unload hkm_misuse
	unload hakmem || return 1
	reported "$1" && return $status
}

# The chunks of three classes stay behind for good.
live_blocks_are_named() {
	for class in 2k dyn1 52k; do
		dmesg | grep -q "hakmem: still in use: .* class $class" && continue
		ktap_print_msg "no block of class $class is named"
		return 1
	done
}

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2086 # a list of words
	set -- $ALL
	kfree_refuses || set -- "$@" stray_kfree
fi
ktap_print_header
ktap_set_plan $(($# + 3))
# The first time, the kernel has to say something about foreign modules too.
load hakmem
unload hakmem
before=$(free_pages)
for kind; do
	ktap_test_result "$kind" harmless "$kind"
done
ktap_test_result "leave_live again, after blocks were left before" harmless leave_live
ktap_test_result "blocks left live are named" live_blocks_are_named
ktap_test_result "no memory is lost but theirs" pages_are_back "$before"
ktap_finished
