#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: a process that needs the memory that the pool
# keeps for later gets it, from the shrinker, and nobody is killed. Wants a guest
# with not much more memory than the pool is made to hold.
#   pressure.sh [MIB]      blocks that are held, and then freed
. /files/ktap.sh

mib=${1:-84}
LIVE_MIB=1	# stays in use
LIVE_KIB=6144	# chunks that has blocks in
SPARE_KIB=16384	# what the kernel may need meanwhile
TRACING=/sys/kernel/tracing
EVENT=$TRACING/events/hakmem/trim

ktap_print_header
ktap_set_plan 8

# held MIB: has the client hold that many
held() { echo "$1" >/sys/module/hkm_burst/parameters/held; }

free_kib() { awk '$1 == "MemFree:" { print $2 }' /proc/meminfo; }

kills() { awk '$1 == "oom_kill" { print $2 }' /proc/vmstat; }

# fill KIB: a process takes that much
fill() { dd if=/dev/zero of=/mnt/hog bs=64k count=$(($1 / 64)) 2>/dev/null; }

# Chunks given back, by what for.
trims() {
	awk '
	/ trim: / { sub(/.*bytes=/, ""); chunks = $1 / 65536 }
	/=> (shrink_scan|oom_event|hkm_reclaim_tick)/ {
		sub(/.*=> /, ""); sub(/ .*/, ""); sum[$1] += chunks
	}
	END { print sum["shrink_scan"] + 0, sum["oom_event"] + 0,
	      sum["hkm_reclaim_tick"] + 0 }' $TRACING/trace
}

# What is free stays in the pool until it is wanted: nothing is over CAP, or idle.
keep_all() {
	local file

	echo 0 >"$POOL/learner/enabled"
	for file in "$POOL"/classes/*/cap; do
		echo 32767 >"$file"
	done
	echo 3600000 >"$POOL/policy/idle_ms"
}

# squeeze: a process takes all that is free, and what blocks leave that are freed
# just before; sets given, by the shrinker, and stock, in chunks
squeeze() {
	local need status=0

	held "$mib" || return 1
	stock=$(pool_sum chunks)
	need=$(($(free_kib) + stock * 64 - LIVE_KIB - SPARE_KIB))
	echo >$TRACING/trace
	held $LIVE_MIB
	fill $need || status=1
	ktap_print_msg "$((need / 1024)) MiB taken, pool: $((stock / 16)) MiB before," \
		"$(($(pool_sum chunks) / 16)) after; free: $(($(free_kib) / 1024)) MiB"
	rm /mnt/hog
	# shellcheck disable=SC2046 # numbers
	set -- $(trims)
	given=$1
	ktap_print_msg "chunks given back to the shrinker: $1, before a kill: $2, each second: $3"
	return $status
}

mkdir /mnt
mount -t tmpfs -o size=100% tmpfs /mnt
echo 2048 >$TRACING/buffer_size_kb
before=$(free_pages)
load hakmem
keep_all
load hkm_burst most="$mib"
echo 1 >"$EVENT/enable"
echo stacktrace >"$EVENT/trigger"
killed=$(kills)
given=0 stock=0
ktap_test_result "a process gets what the pool keeps" squeeze
ktap_test_result "nobody is killed" same kills "$killed" "$(kills)"
ktap_test_result "it is the shrinker that gives it" [ $((2 * given)) -gt "$stock" ]
echo '!stacktrace' >"$EVENT/trigger"
echo 0 >"$EVENT/enable"
echo >$TRACING/trace

ktap_test_result "requests are served again" held $((mib / 2))
held 0
ktap_test_result "what was in use was not damaged" same mismatches 0 "$(param hkm_burst mismatches)"
ktap_test_result "no request was given NULL" same failed 0 "$(param hkm_burst failed)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hkm_burst
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
