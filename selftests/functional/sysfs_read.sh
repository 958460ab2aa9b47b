#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what /sys/kernel/hakmem shows.
. /files/ktap.sh

CLASSES="2k 4k 8k 16k 32k 52k dyn1 dyn2 dyn3 dyn4 dyn5 dyn6 dyn7 dyn8 64k 128k 256k 512k 1m"
POLICY="cpu_budget_bytes idle_ms refill_bundle reserve_chunks w_max_pct"
LEARNER="enabled controller interval_ms target_mid_bp target_large_bp band_bp cap_step
	cap_min cap_max dwell_mid_ms dwell_large_ms global_budget_chunks
	w_max_mode dyn_mode dyn_max"
ABI=/files/sysfs-kernel-hakmem

ktap_print_header
ktap_set_plan 9

# words WORD...: sorted, on one line
words() { printf '%s\n' "$@" | sort | xargs; }

# What the documentation has, directories too.
documented() {
	local path class

	sed -n 's/^What:[[:space:]]*//p' "$ABI" | while read -r path; do
		path=${path%/}
		case $path in
		*"<class>"*)
			for class in $CLASSES; do
				echo "${path%<class>*}$class${path#*<class>}"
			done ;;
		*) echo "$path" ;;
		esac
	done | sort
}

# lacks A B: lines of the first file that the second does not have
lacks() {
	! grep -vxFf "$2" "$1" >/tmp/lacking || { sed 's/^/# /' /tmp/lacking; return 1; }
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

	for file in "$POOL"/classes/*/* "$POOL"/policy/* "$POOL"/stats/* "$POOL"/learner/*; do
		case $file in
		*/controller | */w_max_mode | */dyn_mode | */last_decision) continue ;;
		esac
		one_number "$file" && continue
		ktap_print_msg "$file: $(cat "$file")"
		return 1
	done
}

# shellcheck disable=SC2046,SC2086 # lists of words
only_these_are_writable() {
	local knobs

	knobs=$(printf "$POOL/policy/%s\n" $POLICY; printf "$POOL/learner/%s\n" $LEARNER
		ls "$POOL"/classes/*/cap "$POOL"/classes/*/ring_limit)
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
documented >/tmp/documented
# The directory of classes is in the paths of its files.
find "$POOL" ! -path "$POOL/classes" | sort >/tmp/there
ktap_test_result "all that is documented is there" lacks /tmp/documented /tmp/there
ktap_test_result "all that is there is documented" lacks /tmp/there /tmp/documented
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
