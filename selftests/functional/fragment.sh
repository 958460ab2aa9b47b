#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: where memory is free, but no 64 KiB of it in
# one piece, no smaller share of requests is served than by kmalloc(), what fits
# smaller pieces is served by the pool, and what is in reserve serves callers that
# cannot sleep.
. /files/ktap.sh

REQUESTS=256		# of each kind, all held at a time
RESERVE=16		# chunks
RESERVE_BYTES=53248	# one block of these in a chunk
ROUNDS=5
SIZES="2048 4096 8192 9320 16384 32768 53248"
FITTING=32768		# the largest that needs no 64 KiB

ktap_print_header
ktap_set_plan 17

result() { param hkm_fragment "$1"; }
set_param() { echo "$2" >"/sys/module/hkm_fragment/parameters/$1"; }
drop() { set_param drop "$1"; }

# take ALLOCATOR BYTES ATOMIC NUMBER: that many requests
take() {
	set_param allocator "$1" && set_param bytes "$2" && set_param atomic "$3" &&
		set_param take "$4"
}

# Free blocks of 64 KiB and more.
large_blocks() {
	awk '{ for (i = 9; i <= NF; i++) nr += $i } END { print nr + 0 }' /proc/buddyinfo
}

reserve() { cat "$POOL/policy/reserve_chunks_effective"; }

# Once what has been given back is there again, and RCU has let it go.
reserve_is_full() {
	local try=0

	while [ "$(reserve)" -lt $RESERVE ] && [ $try -lt 100 ]; do
		try=$((try + 1))
		sleep 0.1
	done
	same reserve $RESERVE "$(reserve)"
}

# never_lower BYTES ATOMIC KMALLOC: as many were served as kmalloc() served before. Or
# after: what is free may be a block less meanwhile, while the kernel moves it.
never_lower() {
	local served

	served=$(result served)
	[ "$served" -lt "$3" ] || return 0
	drop $REQUESTS
	echo 1 >"$POOL/trim"
	reserve_is_full
	take kmalloc "$1" "$2" $REQUESTS && [ "$served" -ge "$(result served)" ]
}

# row CONTEXT ATOMIC BYTES: kmalloc() comes first, so that what it has the kernel do
# for it, such as compaction, is there for both
row() {
	local kmalloc

	take kmalloc "$3" "$2" $REQUESTS || return 1
	kmalloc=$(result served)
	drop $REQUESTS
	take hkm "$3" "$2" $REQUESTS || return 1
	ktap_print_msg "$(printf '%-10s %8d %8d %8d %8d' "$1" "$3" "$(result served)" \
		"$(result of_pool)" "$kmalloc")"
	if [ "$3" -le $FITTING ]; then
		[ "$kmalloc" -eq $REQUESTS ] || memory_is_free=false
		[ "$(result of_pool)" -eq $REQUESTS ] || fitting_are_ours=false
	fi
	never_lower "$3" "$2" "$kmalloc" || lower=true
	drop $REQUESTS
	echo 1 >"$POOL/trim"
}

table() {
	local bytes

	lower=false memory_is_free=true fitting_are_ours=true
	ktap_print_msg "of $REQUESTS       bytes      hkm  of pool  kmalloc"
	for bytes in $SIZES; do
		row GFP_KERNEL N "$bytes" || return 1
	done
	for bytes in $SIZES; do
		row GFP_ATOMIC Y "$bytes" || return 1
	done
}

# served_by_reserve: as many requests as there are chunks in it, BYTES long
served_by_reserve() {
	take hkm "$1" Y $RESERVE &&
		same "blocks of the pool" $RESERVE "$(result of_pool)"
}

# Again and again, once what has been freed is there again.
reserve_serves() {
	local round=0

	while [ $round -lt $ROUNDS ]; do
		round=$((round + 1))
		reserve_is_full && served_by_reserve $RESERVE_BYTES || return 1
		drop $RESERVE
		echo 1 >"$POOL/trim"
	done
}

# Until they get nothing.
sleepers_take_all() {
	take hkm $RESERVE_BYTES N $REQUESTS || return 1
	nr_sleepers=$(result served)
	[ "$nr_sleepers" -lt $REQUESTS ]
}

# They try for longer than a grace period takes.
sleepers_stay() {
	local try=0

	while [ $try -lt 5 ]; do
		try=$((try + 1))
		sleepers_take_all
		sleep 0.1
	done
}

before=$(free_pages)
load hakmem
echo $RESERVE >"$POOL/policy/reserve_chunks"
ktap_test_result "chunks are put in reserve" reserve_is_full
ktap_test_result "memory is taken apart" load hkm_fragment
ktap_print_msg "$(result kept) of $before pages kept; 64 KiB blocks free: $(large_blocks)"
ktap_test_result "not one in a hundred chunks is left" \
	[ $(($(large_blocks) * 100)) -lt "$(result kept)" ]

ktap_test_result "requests of all kinds" table
ktap_test_result "there is memory for smaller blocks" "$memory_is_free"
ktap_test_result "no smaller share is served than by kmalloc()" [ "$lower" = false ]
ktap_test_result "what fits smaller pieces is served by the pool" "$fitting_are_ours"

take hkm_kv $((1024 * 1024)) N 32
ktap_test_result "hkm_kvmalloc() goes on to vmalloc()" same served 32 "$(result served)"
drop 32

# Nothing is stocked now: what there is, is in reserve.
echo 1 >"$POOL/trim"
ktap_test_result "the reserve is full" reserve_is_full
ktap_test_result "those who may sleep take all they can get" sleepers_take_all
ktap_test_result "but for the reserve" same reserve $RESERVE "$(reserve)"
ktap_test_result "which serves who cannot sleep, $ROUNDS times" reserve_serves
sleepers_stay
ktap_test_result "what is freed goes there again, and not to them" reserve_is_full
ktap_test_result "it serves another class" served_by_reserve 65536
drop $REQUESTS

ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
unload hkm_fragment
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
