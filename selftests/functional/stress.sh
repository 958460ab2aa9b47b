#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: mixed traffic from tasks and interrupts.
# Under the name of stress_nmi.sh, and with run --nmi, from NMIs too.
#   stress.sh [SECONDS [PARAM=VALUE...]]     parameters of hkm_stress
. /files/ktap.sh

seconds=${1:-10}
[ $# -eq 0 ] || shift
contexts=irq
case $0 in
*_nmi.sh) contexts="irq nmi" ;;
esac

ktap_print_header
ktap_set_plan 7

result() { param hkm_stress "$1"; }

all_contexts_took_part() {
	local context

	for context in $contexts; do
		[ "$(result "${context}_allocs")" -gt 0 ] && continue
		ktap_print_msg "no blocks were allocated in $context"
		return 1
	done
}

before=$(free_pages)
load hakmem
for context in $contexts; do
	set -- "$@" "$context=1"
done
ktap_test_result "$seconds s of traffic" load hkm_stress seconds="$seconds" "$@"
ktap_print_msg "$(result allocs) blocks, $(result irq_allocs) of them in interrupts," \
	"$(result nmi_allocs) in $(result nmi_runs) NMIs"
ktap_test_result "all contexts took part" all_contexts_took_part
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
