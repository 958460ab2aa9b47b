#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what memory costs for each byte that callers
# ask for, with fixed classes only, with those that the learner adds, and with
# kmalloc(); for jumbo frames, other buffers after them, and all sizes mixed.
. /files/ktap.sh

TRACING=/sys/kernel/tracing
MIX=/sys/module/hkm_mix/parameters
MIB=$((1024 * 1024))
HELD=$((256 * MIB))
# All sizes mixed: CAP, which is so many chunks of each class, should not be what counts.
MIXED=$((2048 * MIB))

ktap_print_header
ktap_set_plan 19

mix() { cat "$MIX/$1"; }

learner() { echo "$2" >"$POOL/learner/$1"; }

# until_true SECONDS COMMAND...
until_true() {
	local left=$1

	shift
	while ! "$@"; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 1
	done
}

is_full() { [ "$(mix requested)" -ge $((held - 65536)) ] && [ "$(mix requested)" -le $((held + MIB)) ]; }

has_replaced() { [ "$(mix replaced)" -ge "$1" ]; }

# replace TIMES: as many blocks again, so often. Of those before, there is one left in
# e^TIMES; a few would do to keep many spans from being given back.
replace() {
	local each=$((($(mix min_bytes) + $(mix max_bytes)) / 2))

	until_true 900 is_full &&
		until_true 900 has_replaced $(($(mix replaced) + $1 * held / each))
}

# Memory held for 1000 bytes asked for.
ours() { echo $(($(cat "$POOL/stats/bytes_held") * 1000 / $(mix requested))); }
kmallocs() { echo $(($(mix rounded) * 1000 / $(mix requested))); }

at_most() { [ "$(ours)" -le "$1" ]; }

sizes() { cat "$POOL"/classes/dyn?/size_bytes | grep -vx 0 | sort -n | xargs; }

decimal() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

only_fixed() {
	learner dyn_max 0 && learner dyn_mode on && until_true 60 no_sizes &&
		learner dyn_mode off && learner dyn_max 8 && replace 12
}

# Soon, and then for good.
stays_at_most() { until_true 240 at_most "$1" && replace 12 && at_most "$1"; }

others_too() { learner dyn_mode on && until_true 60 some_sizes && replace 12; }

# figures NAME HELD LEAST MOST BOUND: of a load, three figures; BOUND is for that with the
# classes learned, for 1000 bytes
figures() {
	local name=$1 held=$2 bound=$5 fixed learned kernel

	echo "$3" >$MIX/min_bytes
	echo "$4" >$MIX/max_bytes
	echo "$held" >$MIX/held
	ktap_test_result "$name: only fixed classes serve" only_fixed
	# What is kept from the load before is not these classes' fault.
	echo 1 >"$POOL/trim"
	sleep 5
	fixed=$(ours)
	ktap_test_result "$name: others are learned" others_too
	ktap_test_result "$name: at most $(decimal "$bound") bytes for each, once learned" \
		stays_at_most "$bound"
	learned=$(ours)
	echo Y >$MIX/use_kmalloc
	replace 5
	kernel=$(kmallocs)
	echo N >$MIX/use_kmalloc
	ktap_print_msg "$name: $(decimal "$fixed") fixed classes, $(decimal "$learned") learned ($(sizes)), $(decimal "$kernel") kmalloc"
	ktap_test_result "$name: less than with fixed classes, and than kmalloc's" \
		test "$learned" -lt "$fixed" -a "$learned" -lt "$kernel"
}

no_sizes() { [ -z "$(serving)" ]; }
some_sizes() { [ -n "$(serving)" ]; }

# Sizes that serve requests, by what was decided: learned and not retired since.
serving() {
	sed -n 's/.* policy_change: subject=size class=\([a-z0-9]*\) .* new=\([0-9]*\) .*/\1 \2/p' \
		$TRACING/trace | awk '{ now[$1] = $2 }
		END { for (class in now) if (now[class]) print now[class] }'
}

ktap_test_result "hakmem loads without dynamic classes" \
	insmod /modules/hakmem.ko dyn1_bytes=0
learner dyn_mode off
echo 1 >$TRACING/events/hakmem/policy_change/enable
ktap_test_result "a client holds memory" insmod /modules/hkm_mix.ko held=$MIXED
figures "jumbo frames, 9320 bytes" $HELD 9320 9320 1150
figures "then 12000 bytes" $HELD 12000 12000 1150
figures "then 2048 to 53248 bytes" $MIXED 2048 53248 1150
ktap_test_result "no block was damaged" same mismatches 0 "$(mix mismatches)"
ktap_test_result "no request failed" same failed 0 "$(mix failed)"
ktap_test_result "the client unloads" rmmod hkm_mix
echo 1 >"$POOL/trim"
ktap_test_result "nothing is held" same bytes_held 0 "$(cat "$POOL/stats/bytes_held")"
ktap_test_result "hakmem unloads" rmmod hakmem
ktap_finished
