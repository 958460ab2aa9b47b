#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what a burst leaves in the pool goes back by
# itself, at once if asked, and wholly with the module.
#   burst.sh [MIB]
. /files/ktap.sh

mib=${1:-512}
IDLE_S=10	# after which unused memory need not be kept

ktap_print_header
ktap_set_plan 24

# held MIB: has the client hold that many
held() { echo "$1" >/sys/module/hkm_burst/parameters/held; }

# within SECONDS COMMAND...: it succeeds by then
within() {
	local left=$1

	shift
	while ! "$@"; do
		[ "$left" -gt 0 ] || { ktap_print_msg "chunks: $(pool_sum chunks)"; return 1; }
		left=$((left - 1))
		sleep 1
	done
}

# at_most CHUNKS
at_most() { [ "$(pool_sum chunks)" -le "$1" ]; }

# at_least CHUNKS
at_least() { [ "$(pool_sum chunks)" -ge "$1" ]; }

# at_most_held CHUNKS: with the reserve
at_most_held() {
	at_most $(($1 - $(cat "$POOL/policy/reserve_chunks_effective")))
}

trim() { echo 1 >"$POOL/trim"; }

# state: of the pool, but for what reading and writing trim may change
state() { cat "$POOL"/classes/*/*; }

# refused TEXT: by trim, and what is free stays where it is
refused() {
	local before message

	before=$(state)
	message=$(printf '%s' "$1" | dd of="$POOL/trim" bs=8192 2>&1)
	case $message in
	*"nvalid argument"*) same state "$before" "$(state)" ;;
	*) ktap_print_msg "$message"; return 1 ;;
	esac
}

before=$(free_pages)
load hakmem
# CAP is what was asked for.
echo 0 >"$POOL/learner/enabled"
load hkm_burst most="$mib"
budget=$(pool_sum cap_effective)

# What is held is looked at until it is freed, and all of it is ever in the pool.
ktap_test_result "$mib MiB are allocated" held "$mib"
ktap_test_result "they come from the pool" \
	same pool_allocs "$(param hkm_burst allocs)" "$(param hkm_burst pool_allocs)"
ktap_test_result "the pool holds them" at_least $((mib * 16))
ktap_test_result "the other CPUs free them" held 0
ktap_test_result "15 s later CAP's $((budget / 16)) MiB are left" within 15 at_most "$budget"
ktap_test_result "these are kept" at_least 1
ktap_test_result "a class that nobody uses keeps nothing" within $((2 * IDLE_S)) at_most 0

# A part of it stays in use.
held $((mib / 4))
held $((mib / 16))
chunks=$(pool_sum chunks)
ktap_test_result "trim with blocks in use" trim
ktap_test_result "it gave something back" at_most $((chunks - 1))
ktap_test_result "the blocks in use stay" at_least $((mib / 16 * 16))
held 0

held $((mib / 4))
held 0
ktap_test_result "trim with none in use" trim
ktap_test_result "less than 1 MiB is left" at_most_held 15
ktap_test_result "nothing was damaged" same mismatches 0 "$(param hkm_burst mismatches)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"

for text in "
" 0 2 11 -1 0x1 "1 1" "$(head -c 5000 /dev/zero | tr '\0' 1)" garbage; do
	ktap_test_result "trim refuses '$(echo "$text" | head -c 10)'" refused "$text"
done

unload hkm_burst
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
