#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: tasks are refused pages for chunks, or memory for
# their descriptors, in 1, 10, 50 and 100 % of all cases, while trim makes them
# ask again and again. kmalloc() is refused the same.
#   fault.sh [SECONDS]      for each; needs CONFIG_FAIL_PAGE_ALLOC, CONFIG_FAILSLAB
#                           and the kernel argument slub_debug=A,kmalloc-*
. /files/ktap.sh

seconds=${1:-2}
FAULTS=/sys/kernel/debug
MOST=1000000000	# faults: never reached, but counted down from

ktap_print_header
ktap_set_plan 43

result() { param hkm_stress "$1"; }

# set_up KIND: but for how many
set_up() {
	echo Y >"$FAULTS/$1/task-filter"
	echo N >"$FAULTS/$1/ignore-gfp-wait"
	echo 1 >"$FAULTS/$1/interval"
	echo 0 >"$FAULTS/$1/verbose"
}

# traffic KIND PERCENT: with trim, and faults of which it sets the number
traffic() {
	local pid

	echo $MOST >"$FAULTS/$1/times"
	echo "$2" >"$FAULTS/$1/probability"
	load hkm_stress seconds="$seconds" softirq=1 irq=1 faults=1 &
	pid=$!
	while [ -d "/proc/$pid" ]; do
		echo 1 >"$POOL/trim"
		sleep 0.1
	done
	echo 0 >"$FAULTS/$1/probability"
	injected=$((MOST - $(cat "$FAULTS/$1/times")))
	wait $pid
}

# row KIND PERCENT: of the table, and its tests
row() {
	local fallbacks served

	fallbacks=$(pool_sum fallbacks)
	served=$(pool_sum hits_ring hits_active slow_allocs)
	ktap_test_result "$1 $2 %: traffic" traffic "$1" "$2"
	fallbacks=$(($(pool_sum fallbacks) - fallbacks))
	served=$(($(pool_sum hits_ring hits_active slow_allocs) - served))
	ktap_print_msg "$(printf '%-16s %3d %% %8d %8d %8d %8d %8d' "$1" "$2" "$injected" \
		"$(result allocs)" $served $fallbacks "$(result failed)")"
	[ "$2" -lt 50 ] || ktap_test_result "$1 $2 %: requests were left to kmalloc()" \
		[ $fallbacks -gt 0 ]
	[ "$2" -lt 100 ] || ktap_test_result "$1 $2 %: some got NULL" [ "$(result failed)" -gt 0 ]
	ktap_test_result "$1 $2 %: nothing was damaged" same mismatches 0 "$(result mismatches)"
	ktap_test_result "$1 $2 %: nothing was lost" same leaked 0 "$(result leaked)"
	ktap_test_result "$1 $2 %: no block is live" same objects_live 0 "$(pool_sum objects_live)"
	unload hkm_stress
}

set_up fail_page_alloc
echo N >$FAULTS/fail_page_alloc/ignore-gfp-highmem
echo 0 >$FAULTS/fail_page_alloc/min-order
# Only kmalloc()'s: kmemleak, refused memory for its own, may give up.
set_up failslab
echo Y >$FAULTS/failslab/cache-filter

before=$(free_pages)
load hakmem
ktap_print_msg "refused             share   faults   blocks  of pool  kmalloc     NULL"
for kind in fail_page_alloc failslab; do
	for percent in 1 10 50 100; do
		row $kind $percent
	done
done
fallbacks=$(pool_sum fallbacks)
ktap_test_result "without faults: traffic" load hkm_stress seconds="$seconds" faults=1
ktap_test_result "no request failed" same failed 0 "$(result failed)"
ktap_test_result "nor was left to kmalloc()" same fallbacks "$fallbacks" "$(pool_sum fallbacks)"
unload hkm_stress
echo 1 >"$POOL/trim"
ktap_test_result "trim finds all of it" same chunks 0 "$(pool_sum chunks)"
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
