#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what may be written to /sys/kernel/hakmem, and
# that nothing else changes anything.
. /files/ktap.sh

# FILE MIN MAX
KNOBS="policy/reserve_chunks 0 256
policy/cpu_budget_bytes 65536 67108864
policy/idle_ms 1000 3600000
policy/refill_bundle 1 4
policy/w_max_pct 100 200
classes/2k/cap 0 32767
classes/1m/cap 0 32767
classes/2k/ring_limit 0 32
classes/dyn1/ring_limit 0 32
learner/interval_ms 100 2000
learner/target_mid_bp 0 10000
learner/target_large_bp 0 10000
learner/band_bp 0 10000
learner/cap_step 1 32767
learner/cap_min 1 107
learner/cap_max 8 32767
learner/dwell_mid_ms 0 3600000
learner/dwell_large_ms 0 3600000
learner/global_budget_chunks 152 1048576
learner/dyn_max 0 8
learner/enabled 0 1"
NR_KNOBS=21

ktap_print_header
ktap_set_plan $((2 * NR_KNOBS + 10))

# write FILE TEXT
write() { printf '%s' "$2" 2>/dev/null >"$POOL/$1"; }

# takes FILE VALUE...
takes() {
	local file=$1 value

	shift
	for value in "$@"; do
		write "$file" "$value" || return 1
		same "$file" "$value" "$(cat "$POOL/$file")" || return 1
	done
}

# refuses FILE TEXT...
refuses() {
	local file=$1 was text

	shift
	was=$(cat "$POOL/$file")
	# What is behind a 0 byte counts, too.
	if printf '%s\0x' "$was" 2>/dev/null >"$POOL/$file"; then
		ktap_print_msg "$file took '$was' and more"
		return 1
	fi
	for text in "$@"; do
		if write "$file" "$text"; then
			ktap_print_msg "$file took '$text'"
			return 1
		fi
		same "$file" "$was" "$(cat "$POOL/$file")" || return 1
	done
}

generation() { cat "$POOL/policy/generation"; }

reserve_follows() {
	local chunks

	for chunks in 9 0 4; do
		write policy/reserve_chunks $chunks || return 1
		same "chunks in reserve" $chunks \
			"$(cat "$POOL/policy/reserve_chunks_effective")" || return 1
	done
}

cap_is_in_force() {
	write classes/16k/cap 17 && same cap_effective 17 "$(cat "$POOL/classes/16k/cap_effective")"
}

w_max_is_in_force() {
	write policy/w_max_pct 163 && same w_max_pct_effective 163 \
		"$(cat "$POOL/policy/w_max_pct_effective")"
}

load hakmem
# For these tests alone to change anything.
write learner/enabled 0
echo "$KNOBS" >/tmp/knobs
while read -r file min max; do
	was=$(cat "$POOL/$file")
	ktap_test_result "$file is from $min to $max" takes "$file" "$max" "$min" "$was"
	before=$(generation)
	refuses "$file" ' ' $((max + 1)) -1 $((min - 1)) 4294967296 18446744073709551617 \
		"$max.0" "0x$max" "${max}a" a "$max $max" "$max,$max" \
		1111111111111111111111111111111111111111111111111111111 &&
		same generation "$before" "$(generation)"
	ktap_test_result "$file takes nothing else" [ $? -eq 0 ]
done </tmp/knobs
ktap_test_result "the controller is step or cost" takes learner/controller step cost
ktap_test_result "it is nothing else" refuses learner/controller ' ' 0 1 STEP steps ste \
	'step cost' 'step,' 'step  ' cost0 none
ktap_test_result "W_MAX's mode is off or ucb1" takes learner/w_max_mode off ucb1
ktap_test_result "that is nothing else" refuses learner/w_max_mode ' ' 0 1 OFF ucb ucb11 on
ktap_test_result "dynamic classes are on or off" takes learner/dyn_mode off on
ktap_test_result "they are nothing else" refuses learner/dyn_mode ' ' 0 1 ON o of onn 'on off'
before=$(generation)
takes policy/idle_ms 5000
ktap_test_result "a change is a generation" same generation $((before + 1)) "$(generation)"
ktap_test_result "the reserve is as large as asked" reserve_follows
ktap_test_result "CAP asked for is in force" cap_is_in_force
ktap_test_result "W_MAX asked for is in force" w_max_is_in_force
unload hakmem
ktap_finished
