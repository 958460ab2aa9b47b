#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: a client takes all memory there is, and gives
# it back. Wants a guest with little.
. /files/ktap.sh

ROUNDS=5
MOST_MIB=128	# more than there is
LATER_MIB=6	# less

ktap_print_header
ktap_set_plan 10

result() { param hkm_burst "$1"; }
held() { echo "$1" >/sys/module/hkm_burst/parameters/held; }

# Until the first NULL, after which the client frees all.
exhausted() {
	local failed round=0

	while [ $round -lt $ROUNDS ]; do
		round=$((round + 1))
		failed=$(result failed)
		if held $MOST_MIB 2>/dev/null; then
			return 1
		fi
		same "requests given NULL" $((failed + 1)) "$(result failed)" || return 1
		same "blocks live in round $round" 0 "$(pool_sum objects_live)" || return 1
	done
}

# All from the pool, as before.
served() {
	local allocs pool_allocs fallbacks

	allocs=$(result allocs)
	pool_allocs=$(result pool_allocs)
	fallbacks=$(pool_sum fallbacks)
	held $LATER_MIB || return 1
	same "blocks of the pool" $(($(result allocs) - allocs)) \
		$(($(result pool_allocs) - pool_allocs)) &&
		same fallbacks "$fallbacks" "$(pool_sum fallbacks)"
}

slab_pages() { awk '$1 == "Slab:" { print $2 / 4 }' /proc/meminfo; }

# The kernel's slabs come and go with whatever else it does, by more than a hundredth
# of so little memory; chunks are none.
pages_are_back_or_slab() {
	local now

	now=$(($(free_pages) + $(slab_pages)))
	[ $((now * 100)) -ge $((before_with_slab * 99)) ] && return
	ktap_print_msg "pages free or in slabs: $before_with_slab before, $now now"
	return 1
}

# What the kernel itself takes for this, and keeps, is taken the first time: with
# so little memory it would count.
load hakmem
load hkm_burst most=$MOST_MIB
held $MOST_MIB 2>/dev/null
unload hkm_burst
unload hakmem
before=$(free_pages)
before_with_slab=$((before + $(slab_pages)))
load hakmem
load hkm_burst most=$MOST_MIB
ktap_test_result "$ROUNDS times a client gets all memory, and then NULL" exhausted
ktap_print_msg "$(result peak) MiB in blocks, of $((before / 256)); blocks $(result allocs)," \
	"of the pool $(result pool_allocs)"
ktap_test_result "a third of it was had in blocks, at least" [ $(($(result peak) * 256 * 3)) -gt "$before" ]
ktap_test_result "the kernel's allocator was asked too" [ "$(pool_sum fallbacks)" -gt 0 ]
ktap_test_result "afterwards requests are served in full" served
held 0
ktap_test_result "each request is counted in one tier" \
	same requests $(($(result allocs) + $(result failed))) \
	"$(pool_sum hits_ring hits_active slow_allocs fallbacks)"
ktap_test_result "the pool counts its blocks" same pool_allocs "$(result pool_allocs)" \
	"$(pool_sum hits_ring hits_active slow_allocs)"
ktap_test_result "and their frees" same frees "$(result pool_allocs)" "$(pool_sum frees)"
ktap_test_result "what it did not serve went to the kernel's allocator" \
	same unserved "$(pool_sum fallbacks)" "$(pool_sum unserved)"
ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
unload hkm_burst
unload hakmem
ktap_test_result "no memory is lost" pages_are_back_or_slab
ktap_finished
