#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded, two CPUs: the learner finds the best of the four
# candidates for W_MAX, under a load for which that is 160 %, and a worse one that
# gets a canary is rolled back. Takes two minutes.
. /files/ktap.sh

TRACING=/sys/kernel/tracing
HISTORY=/sys/kernel/debug/hakmem/history

ktap_print_header
ktap_set_plan 15

# put FILE VALUE: into one of the learner's files
put() { echo "$2" >"$POOL/learner/$1"; }

effective() { cat "$POOL/policy/w_max_pct_effective"; }
asked() { cat "$POOL/policy/w_max_pct"; }

# events [REASON]: SECONDS OLD NEW REASON BEFORE AFTER of each about W_MAX
events() {
	awk -v reason="$1" '$2 == "w_max" && (reason == "" || $6 == reason) {
		print $1, $4, $5, $6, $7, $8 }' $HISTORY
}

# What is traced of them: OLD NEW REASON
traced() {
	sed -n 's/.* policy_change: subject=w_max class=- old=\([0-9]*\) new=\([0-9]*\) reason=\([a-z]*\) before=.*/\1 \2 \3/p' \
		$TRACING/trace
}

# Waits until the round is over.
round() {
	local left=400

	while [ -z "$(events rollback)" ]; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 1
	done
}

# At least 1 % less with it than without.
adopted_as_better() {
	# shellcheck disable=SC2046 # fields
	set -- $(events adopt)
	[ $# -eq 6 ] && [ $(($6 * 100)) -le $(($5 * 99)) ]
}

rolled_back_as_worse() {
	# shellcheck disable=SC2046 # fields
	set -- $(events rollback)
	[ $# -eq 6 ] && [ "$2" != 160 ] && [ "$3" = 160 ] && [ "$6" -gt "$5" ]
}

write_sets_both() {
	echo 145 >"$POOL/policy/w_max_pct" && same effective 145 "$(effective)"
}

off_is_as_asked() {
	put w_max_mode off && same effective "$(asked)" "$(effective)"
}

# The trace gets its full size when it is first used: now, or it would count as lost.
echo 1408 >$TRACING/buffer_size_kb
before=$(free_pages)
load hakmem
# What a turn frees is gone by the next but one; the CAPs do not learn to keep it, nor
# does a class of the very size come to be.
put dyn_mode off
put cap_min 1
put cap_max 1
echo 1 >$TRACING/events/hakmem/policy_change/enable
ktap_test_result "it begins with what is asked for" same effective "$(asked)" "$(effective)"
ktap_test_result "a load is there" load hkm_turns
ktap_test_result "a round comes to its end" round
events | sed 's/^/# /'
ktap_test_result "there were eight trials" same trials 8 "$(events explore | wc -l)"
ktap_test_result "of all four" same tried "140 150 160 170" \
	"$(events explore | cut -d ' ' -f 3 | sort -u | xargs)"
ktap_test_result "the best is adopted, and no other" same adopted "150 160" \
	"$(events adopt | cut -d ' ' -f 2,3)"
ktap_test_result "its canary has shown that it is" adopted_as_better
ktap_test_result "a worse one is rolled back" rolled_back_as_worse
ktap_test_result "the best is in force" same effective 160 "$(effective)"
ktap_test_result "beside what was asked for" same asked 150 "$(asked)"
ktap_test_result "it is traced" same trace "$(events | cut -d ' ' -f 2-4)" "$(traced)"
ktap_test_result "off: it is as asked for" off_is_as_asked
put w_max_mode ucb1
ktap_test_result "what is written is in force at once" write_sets_both
ktap_print_msg "substitutes: 16k $(cat "$POOL/classes/16k/substitutes"), 52k $(cat "$POOL/classes/52k/substitutes")"
ktap_test_result "all requests were served" same failed 0 "$(param hkm_turns failed)"
unload hkm_turns
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
