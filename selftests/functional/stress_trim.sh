#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded, two CPUs: mixed traffic while memory is taken
# back all the time: by trim, by the shrinker, and by a CPU that goes and comes.
#   stress_trim.sh [SECONDS]
. /files/ktap.sh

seconds=${1:-10}
cpu1=/sys/devices/system/cpu/cpu1/online
rounds=/rounds

ktap_print_header
ktap_set_plan 6

result() { param hkm_stress "$1"; }

take_back() {
	local n=0

	while :; do
		echo 1 >"$POOL/trim"
		case $((n % 4)) in
		0) echo 0 >$cpu1 ;;
		1) echo 2 >/proc/sys/vm/drop_caches ;;
		2) echo 1 >$cpu1 ;;
		esac
		n=$((n + 1))
		echo $n >$rounds
	done
}

all_is_back() {
	echo 1 >"$POOL/trim"
	same chunks 0 "$(pool_sum chunks)"
}

before=$(free_pages)
load hakmem
take_back 2>/dev/null &
ktap_test_result "$seconds s of traffic" load hkm_stress seconds="$seconds" softirq=1 irq=1
kill $!
wait $! 2>/dev/null
ktap_print_msg "$(result allocs) blocks, $(cat $rounds) rounds, $(pool_sum refills) refills"
ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
ktap_test_result "nothing was lost" same leaked 0 "$(result leaked)"
unload hkm_stress
# What that CPU parks, too; it may be offline now.
echo 1 2>/dev/null >$cpu1
load hkm_stress seconds=1
unload hkm_stress
ktap_test_result "a CPU goes" eval "echo 0 >$cpu1"
ktap_test_result "all memory can be taken back" all_is_back
echo 1 >$cpu1
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
