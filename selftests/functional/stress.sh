#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: mixed traffic from tasks and all that may
# interrupt them on their CPU: timers and tasklets (softirq), hard interrupts.
# Under the name of stress_nmi.sh, and with run --nmi, from NMIs too.
#   stress.sh [SECONDS [PARAM=VALUE...]]     parameters of hkm_stress
. /files/ktap.sh

seconds=${1:-10}
[ $# -eq 0 ] || shift
contexts="task timer tasklet irq"
case $0 in
*_nmi.sh) contexts="$contexts nmi" ;;
esac

ktap_print_header
ktap_set_plan 9

result() { param hkm_stress "$1"; }

# results COUNT: of all contexts, in a line
results() {
	local context line=

	for context in $contexts; do
		line="$line $context $(result "${context}_$1")"
	done
	echo "$1:$line"
}

# each COUNT [CONTEXT...]: none of these contexts, or of all, has counted 0
each() {
	local context count=$1

	shift
	# shellcheck disable=SC2086 # a list of words
	[ $# -gt 0 ] || set -- $contexts
	for context; do
		[ "$(result "${context}_$count")" -gt 0 ] && continue
		ktap_print_msg "$context: $count is 0"
		return 1
	done
}

before=$(free_pages)
load hakmem
set -- softirq=1 irq=1 "$@"
case $contexts in
*nmi) set -- nmi=1 "$@" ;;
esac
ktap_test_result "$seconds s of traffic" load hkm_stress seconds="$seconds" "$@"
ktap_print_msg "$(result allocs) blocks"
for count in runs allocs frees taken nested; do
	ktap_print_msg "$(results $count)"
done
ktap_test_result "all contexts allocated" each allocs
ktap_test_result "all contexts freed what others had allocated" each taken
ktap_test_result "hard interrupts came in softirqs" each nested irq
ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
ktap_test_result "nothing was lost" same leaked 0 "$(result leaked)"
ktap_test_result "no request of tasks and interrupts failed" same failed 0 "$(result failed)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
ktap_print_msg "tiers: ring $(pool_sum hits_ring), active $(pool_sum hits_active)," \
	"slow $(pool_sum slow_allocs), fallback $(pool_sum fallbacks); remote frees" \
	"$(pool_sum remote_frees), CAS retries $(pool_sum cas_retries)"
unload hkm_stress
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
