#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what /sys/kernel/hakmem/stats says is in the
# places where memory can be adds up to what is held. While traffic runs, the files
# are read one after the other, so that only drift can be told; at each pause of a
# client, to the byte.
#   stats.sh [SECONDS]
. /files/ktap.sh

seconds=${1:-10}
PAUSES=20
MOST_MIB=64	# held by the client

ktap_print_header
ktap_set_plan 11

# Reads all files. False if they do not hold one number each.
look() {
	now=$(cat "$POOL"/stats/bytes_*)
	case $now$(cat "$POOL"/classes/*/objects_live) in
	*[!0-9"
"]*) ktap_print_msg "not numbers: $now"; return 1 ;;
	esac
	# shellcheck disable=SC2086 # a list of words, in the order of the names
	set -- $now
	[ $# -eq 8 ] || { ktap_print_msg "not 8 values: $now"; return 1; }
	held=$1 live=$3 requested=$6
	sum=$(($2 + $3 + $4 + $5 + $7 + $8))
}

# Looks until nothing moved from one time to the next, as the tick may.
settled() {
	local last='' tries=100

	while [ $tries -gt 0 ]; do
		look || return 1
		[ "$now" != "$last" ] || return 0
		last=$now
		tries=$((tries - 1))
	done
	ktap_print_msg "no two readings agree"
	return 1
}

adds_up() { settled && same "sum, of $(echo "$now" | xargs)" "$held" "$sum"; }
holds_nothing() { settled && same "held and sum" "0 0" "$held $sum"; }
none_is_live() { settled && same "live and requested" "0 0" "$live $requested"; }

# watch PID: looks while it runs
watch() {
	local off

	looks=0 most=0 worst=0
	while kill -0 "$1" 2>/dev/null; do
		look || return 1
		off=$((sum > held ? sum - held : held - sum))
		[ "$off" -le "$worst" ] || worst=$off
		[ "$held" -le "$most" ] || most=$held
		looks=$((looks + 1))
	done
	ktap_print_msg "read $looks times, with up to $most bytes held; off by $worst at most"
	[ "$looks" -gt 0 ]
}

# pauses MIB...: the client holds that many, one after another
pauses() {
	local mib

	for mib; do
		echo "$mib" >/sys/module/hkm_burst/parameters/held || return 1
		adds_up || return 1
		[ $((mib % 4)) -ne 0 ] || echo 1 >"$POOL/trim"
		adds_up || return 1
	done
}

# within_tenth WANT GOT
within_tenth() {
	ktap_print_msg "asked for $1, bytes_requested $2"
	[ "$2" -ge $(($1 * 9 / 10)) ] && [ "$2" -le $(($1 * 11 / 10)) ]
}

load hakmem
ktap_test_result "an empty pool holds nothing" holds_nothing
load hkm_stress seconds="$seconds" softirq=1 irq=1 &
ktap_test_result "while traffic runs, each file has a number" watch $!
ktap_test_result "$seconds s of traffic" wait $!
# What moved from one file's reading to the next's is missing, or there more than
# once, and on a slow machine that may be much. What drifts goes far beyond.
ktap_test_result "the sum was never off by twice what was held" \
	[ "$worst" -lt $((2 * most)) ]
ktap_test_result "after it, the sum is what is held" adds_up
ktap_test_result "no block is live" none_is_live
echo 1 >"$POOL/trim"
ktap_test_result "trim leaves nothing anywhere" holds_nothing
unload hkm_stress
unload hakmem

load hakmem
load hkm_burst most=$MOST_MIB
# shellcheck disable=SC2046 # a list of words
ktap_test_result "at $PAUSES random pauses, the sum is what is held" pauses \
	$(awk -v n=$PAUSES -v most=$MOST_MIB 'BEGIN {
		srand(); for (; n; n--) print int(rand() * (most + 1)) }')
echo $MOST_MIB >/sys/module/hkm_burst/parameters/held
ktap_test_result "all of it comes from the pool" same pool_allocs \
	"$(param hkm_burst allocs)" "$(param hkm_burst pool_allocs)"
settled
ktap_test_result "what was asked for is known by a tenth" \
	within_tenth $((MOST_MIB << 20)) "$requested"
unload hkm_burst
echo 1 >"$POOL/trim"
ktap_test_result "trim leaves nothing anywhere, again" holds_nothing
unload hakmem
ktap_finished
