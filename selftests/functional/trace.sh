#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what the tracepoints show.
. /files/ktap.sh

TRACING=/sys/kernel/tracing

ktap_print_header
ktap_set_plan 8

count() { grep -cE "$1" /tmp/trace; }

run_client() {
	load hkm_wild
	# While its symbols are there.
	cat $TRACING/trace >/tmp/trace
	unload hkm_wild
	echo >$TRACING/trace
}

load hakmem
run_client
ktap_test_result "off: nothing is traced" same events 0 "$(count ' (alloc|free|refill): ')"

echo 1 >$TRACING/events/hakmem/enable
refills=$(cat "$POOL/classes/dyn1/refills")
run_client
refills=$(($(cat "$POOL/classes/dyn1/refills") - refills))
ktap_test_result "each allocation is traced" same allocs 100 \
	"$(count ' alloc: call_site=.*\[hkm_wild\].* bytes_req=9320 bytes_alloc=10752 gfp_flags=GFP_KERNEL class=dyn1$')"
ktap_test_result "each free is traced" same frees 100 \
	"$(count ' free: call_site=.*\[hkm_wild\].* class=dyn1$')"
ktap_test_result "each refill is traced" same refills "$refills" \
	"$(count ' refill: class=dyn1 base=.* bytes=65536$')"
grep -E ' (alloc|free|refill): ' /tmp/trace | head -n 3 | sed 's/^/# /'

load hkm_misuse what=double_free
unload hkm_misuse
cat $TRACING/trace >/tmp/trace
ktap_test_result "each mistake is traced" same misuses 2 \
	"$(count ' misuse: kind=double_free ptr=')"

echo 0 >$TRACING/events/hakmem/enable
echo >$TRACING/trace
run_client
ktap_test_result "off again: nothing is traced" same events 0 "$(count ' (alloc|free|refill): ')"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"

# Turned off by the unload itself.
echo 1 >$TRACING/events/hakmem/enable
unload_traced() { unload hakmem && load hakmem && load hkm_wild && unload hkm_wild && unload hakmem; }
ktap_test_result "unload while events are on" unload_traced
ktap_finished
