#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what /sys/kernel/hakmem shows.
. /files/ktap.sh

CLASSES="2k 4k 8k 16k 32k 52k dyn1 64k 128k 256k 512k 1m"
POLICY="cpu_budget_bytes idle_ms refill_bundle reserve_chunks w_max_pct"
VALUES="size_bytes chunks objects_live hits_ring hits_active misses slow_allocs
	freelist_pops freelist_pushes cas_retries remote_frees remote_drains
	refills reuses cap cap_effective ring_limit inventory_chunks fallbacks frees rejects unserved
	refill_allocs reserve_refills substitutes samples"
STATS="bytes_held bytes_live bytes_parked bytes_shared bytes_inventory bytes_moving
	bytes_unusable bytes_requested"

ktap_print_header
ktap_set_plan 8

# words WORD...: sorted, on one line
words() { printf '%s\n' "$@" | sort | xargs; }

# names DIR: of what is in it
names() { find "$1" -mindepth 1 -maxdepth 1 -exec basename {} \; | sort | xargs; }

# shellcheck disable=SC2086 # lists of words
complete() {
	local class

	same "in $POOL" "classes policy stats trim" "$(names "$POOL")" || return 1
	same "in policy" "$(words $POLICY generation reserve_chunks_effective)" \
		"$(names "$POOL/policy")" || return 1
	same "in stats" "$(words $STATS)" "$(names "$POOL/stats")" || return 1
	same "in classes" "$(words $CLASSES)" "$(names "$POOL/classes")" || return 1
	for class in $CLASSES; do
		same "in $class" "$(words $VALUES)" \
			"$(names "$POOL/classes/$class")" || return 1
	done
}

# one_number FILE
one_number() {
	local text

	text=$(cat "$1"; echo .)	# the dot keeps the end of the line
	text=${text%.}
	[ "$(printf '%s' "$text" | wc -l)" -eq 1 ] || return 1
	case ${text%?} in
	'' | *[!0-9]*) return 1 ;;
	esac
}

all_numbers() {
	local file

	for file in "$POOL"/classes/*/* "$POOL"/policy/* "$POOL"/stats/*; do
		one_number "$file" && continue
		ktap_print_msg "$file: $(cat "$file")"
		return 1
	done
}

# shellcheck disable=SC2046,SC2086 # lists of words
only_these_are_writable() {
	local knobs

	knobs=$(printf "$POOL/policy/%s\n" $POLICY; ls "$POOL"/classes/*/cap "$POOL"/classes/*/ring_limit)
	same "files of mode 644" "$(words $knobs)" "$(words $(find "$POOL" -type f -perm 644))" &&
		same "files of mode 200" "$POOL/trim" "$(find "$POOL" -type f -perm 200)" &&
		same "files of other modes" "" "$(find "$POOL" -type f ! -perm 644 ! -perm 444 ! -perm 200)"
}

# Two runs over many records: every class sees some.
stream() {
	local seed

	dd if=/dev/urandom of=/tmp/in bs=1M count=8 2>/dev/null
	for seed in 1 2; do
		load hkm_pipe seed=$seed input=/tmp/in output=/tmp/out || return 1
		# One buffer more is taken to find the end of the file.
		requests=$((requests + $(param hkm_pipe records) + 1))
		unload hkm_pipe
	done
}

requests_add_up() {
	same "requests" "$requests" \
		"$(pool_sum hits_ring hits_active slow_allocs fallbacks)"
}

load hakmem
ktap_test_result "every class has its files, and there are no others" complete
ktap_test_result "one number and a newline each" all_numbers
ktap_test_result "only what is to be written can be" only_these_are_writable
ktap_test_result "no block is live without clients" same objects_live 0 "$(pool_sum objects_live)"
requests=0
ktap_test_result "a client runs" stream
ktap_test_result "each request is counted in one tier" requests_add_up
ktap_test_result "misses are slow allocations and fallbacks" \
	same misses "$(pool_sum slow_allocs fallbacks)" "$(pool_sum misses)"
ktap_test_result "no block is live after it" same objects_live 0 "$(pool_sum objects_live)"
unload hakmem
ktap_finished
