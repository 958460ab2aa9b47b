#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: hakmem loads and unloads time and again.
. /files/ktap.sh

ROUNDS=50

ktap_print_header
ktap_set_plan 4

# Blocks come and go in each round, so that there are chunks to give back.
rounds() {
	local i=0

	while [ $i -lt $ROUNDS ]; do
		i=$((i + 1))
		load hakmem || return 1
		[ -d "$POOL/classes" ] || seen="$seen absent:$i"
		load hkm_misuse what=nothing || return 1
		same "check of round $i" 0 "$(param hkm_misuse mismatches)" || return 1
		unload hkm_misuse
		unload hakmem || return 1
		[ ! -e "$POOL" ] || seen="$seen present:$i"
	done
}

# The first round also takes what the kernel keeps for any module.
load hakmem
unload hakmem
before=$(free_pages)
seen=
ktap_test_result "loads and unloads $ROUNDS times" rounds
ktap_test_result "$POOL comes and goes with it" same "out of step" "" "$seen"
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_test_result "a client cannot load without it" eval '! load hkm_pipe 2>/dev/null'
ktap_finished
