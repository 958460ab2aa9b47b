#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded, two CPUs: the learner's thread at work. The
# trace that the design gives for the step law, under a load that more CAP helps;
# and whatever may happen to a thread meanwhile.
#   learner.sh [SECONDS [no-trace]]   SECONDS that its files and CPUs change under it;
#	without the trace on kernels too slow to play its load to the tenth of a second
. /files/ktap.sh

seconds=${1:-10} trace=${2:-trace}
TRACING=/sys/kernel/tracing
CPU1=/sys/devices/system/cpu/cpu1/online
BURST=/sys/module/hkm_burst/parameters

ktap_print_header
if [ "$trace" = trace ]; then ktap_set_plan 19; else ktap_set_plan 14; fi

# put FILE VALUE: into one of the learner's files
put() { echo "$2" >"$POOL/learner/$1"; }

get() { cat "$POOL/learner/$1"; }

cap() { cat "$POOL/classes/52k/cap_effective"; }

# Hundredths of a second since boot.
now() { tr -d . </proc/uptime | cut -d ' ' -f 1; }

# Directories of its threads, in /proc.
threads() { grep -lx hkm_learner /proc/[0-9]*/comm 2>/dev/null | sed 's,/comm$,,'; }

held() { echo "$1" >$BURST/held; }

# The pool has trimmed the class to its CAP.
trimmed() { [ "$(cat "$POOL/classes/52k/chunks")" -le "$(cap)" ]; }

# A load whose hit rate rises with CAP: 210 blocks of a chunk each come and go, and
# CAP of them are still there the next time; 79 more come just after others went. So
# the rate is (CAP + 79) / 289: 0.49 at CAP 64, 0.63 at 104. In the middle of the
# learner's window, which a second is since $1.
one_burst() {
	local phase=$((($(now) - $1) % 100))

	sleep "0.$(printf %02d $(((140 - phase) % 100)))"
	trimmed || return
	held 8
	held 5
	held 8
	held 0
	# Where the guest stood still, it may have come into two windows.
	phase=$((($(now) - $1) % 100))
	[ $phase -gt 40 ] && [ $phase -lt 80 ] || echo $phase >/stalled
}

# trace_caps SECONDS: the CAPs that the load sees in turn
trace_caps() {
	local start last='' cap end

	put enabled 1
	start=$(now)
	end=$((start + $1 * 100))
	while [ "$(now)" -lt $end ]; do
		cap=$(cap)
		[ "$cap" = "$last" ] || echo "$cap"
		last=$cap
		one_burst "$start"
	done
}

# One chunk a block, each from where it is looked for first, so that restocks count
# as the design's table has them.
step_law_set_up() {
	put enabled 0 && put controller step && put interval_ms 1000 &&
		put w_max_mode off &&
		echo 1 >"$POOL/policy/refill_bundle" &&
		echo 0 >"$POOL/classes/52k/ring_limit" &&
		echo 64 >"$POOL/classes/52k/cap"
}

# CAPs and reasons of the latest.
history() { tail -n 5 /sys/kernel/debug/hakmem/history | awk '{ print $4, $5, $6 }'; }

traced() {
	sed -n 's/.* policy_change: subject=cap class=52k old=\([0-9]*\) new=\([0-9]*\) reason=\([a-z_]*\) before=.*/\1 \2 \3/p' \
		$TRACING/trace
}

# Times that the thread went to sleep.
naps() { awk '$1 == "voluntary_ctxt_switches:" { print $2 }' "$thread/status"; }

# Time that it ran, in us.
run_us() { awk '{ print int($1 / 1000) }' "$thread/schedstat"; }

no_naps() {
	local before

	# The window that is open is closed first.
	sleep 2
	before=$(naps)
	sleep 3
	same naps "$before" "$(naps)"
}

# cost WHAT: says what share of a CPU the thread took in 5 s
cost() {
	local before

	before=$(run_us)
	sleep 5
	ktap_print_msg "$1: $((($(run_us) - before) / 5)) us a second of a CPU"
}

effective_is_requested() {
	local class

	for class in "$POOL"/classes/*; do
		same "${class##*/}" "$(cat "$class/cap")" "$(cat "$class/cap_effective")" ||
			return 1
	done
}

cap_sets_both() {
	put enabled 1 && echo 100 >"$POOL/classes/4k/cap" &&
		same effective 100 "$(cat "$POOL/classes/4k/cap_effective")"
}

# Turns all that the learner goes by while it is at work.
turn_knobs() {
	local n=0

	while :; do
		case $((n % 64)) in
		0) put enabled 0 ;;
		1) put enabled 1 ;;
		2) put controller step ;;
		34) put controller cost ;;
		esac
		put interval_ms $((100 + n % 2 * 50))
		echo $((n % 600)) >"$POOL/classes/8k/cap"
		put cap_max $((300 + n % 200))
		n=$((n + 1))
		echo $n >/turns
	done
}

switch_cpu1() {
	while :; do
		echo 0 >$CPU1
		echo 1 >$CPU1
	done
}

loads_and_goes() {
	for _ in 1 2 3 4 5; do
		load hakmem && put interval_ms 100 && load hkm_stress seconds=1 &&
			unload hkm_stress && unload hakmem || return 1
	done
}

# It sleeps until it is woken.
goes_asleep() { load hakmem && put interval_ms 100 && sleep 1 && unload hakmem; }

# Wakes up by the clock.
suspend() {
	echo 0 >/sys/class/rtc/rtc0/wakealarm &&
		echo +10 >/sys/class/rtc/rtc0/wakealarm &&
		echo mem >/sys/power/state
}

# The state that the thread is in becomes the one that is waited for.
goes_on() {
	local before left=50

	before=$(naps)
	while [ "$(naps)" = "$before" ]; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

# The step law's trace, five tests.
step_law_trace() {
	for _ in 1 2 3; do
		step_law_set_up
		rm -f /stalled
		echo 1 >$TRACING/events/hakmem/policy_change/enable
		echo >$TRACING/trace
		decisions=$(get decisions)
		caps=$(trace_caps 24 | xargs)
		[ -e /stalled ] || break
		ktap_print_msg "the guest stood still: once more"
	done
	ktap_test_result "CAP goes to where the hit rate is as wanted, and stays" \
		same caps "64 72 80 88 96 104" "$caps"
	tail -n 5 /sys/kernel/debug/hakmem/history | sed 's/^/# /'
	want="64 72 below_band 72 80 below_band 80 88 below_band 88 96 below_band 96 104 below_band"
	ktap_test_result "it is in the history" same history "$want" "$(history | xargs)"
	ktap_test_result "it is traced" same trace "$want" "$(traced | xargs)"
	ktap_test_result "it is counted" same decisions 5 "$(($(get decisions) - decisions))"
	ktap_test_result "the last one is shown" same last "$(tail -n 1 /sys/kernel/debug/hakmem/history)" \
		"$(get last_decision)"
}

# The trace gets its full size when it is first used: now, or it would count as lost.
echo 1408 >$TRACING/buffer_size_kb
before=$(free_pages)
load hakmem
thread=$(threads)
ktap_test_result "one thread" same threads 1 "$(echo "$thread" | wc -w)"
ktap_test_result "it sleeps while the pool is empty" no_naps
ktap_test_result "nothing is decided then" same last_decision none "$(get last_decision)"

load hkm_burst most=8 min_bytes=39945 max_bytes=39945 same_cpu=1
step_law_set_up
[ "$trace" = trace ] && step_law_trace
echo 0 >$TRACING/events/hakmem/policy_change/enable
put enabled 0
ktap_test_result "off: CAPs are as asked for" effective_is_requested
ktap_test_result "CAP that is written is in force" cap_sets_both
put controller cost
held 8
cost "at work"
ktap_test_result "suspend and resume" suspend
ktap_test_result "it goes on after that" goes_on
unload hkm_burst
echo 1 >"$POOL/trim"
sleep 2
cost "pool empty"

before_traffic=$(naps)
turn_knobs 2>/dev/null &
turner=$!
switch_cpu1 2>/dev/null &
switcher=$!
ktap_test_result "$seconds s of traffic, while files and CPUs change" \
	load hkm_stress seconds="$seconds"
kill $turner $switcher
wait $turner $switcher 2>/dev/null
echo 1 2>/dev/null >$CPU1
ktap_print_msg "$(cat /turns) turns, $(get decisions) decisions"
ktap_test_result "it was at work meanwhile" \
	[ "$(naps)" -ge $((before_traffic + seconds)) ]
ktap_test_result "nothing was damaged" same mismatches 0 "$(param hkm_stress mismatches)"
unload hkm_stress
put enabled 0
ktap_test_result "off again: CAPs are as asked for" effective_is_requested
unload hakmem
ktap_test_result "it goes when it is at work" loads_and_goes
ktap_test_result "it goes when it sleeps" goes_asleep
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
