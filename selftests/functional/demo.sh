#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what make demo shows. Streams /files/input
# through the pipeline, once with hkm_kmalloc() and once with kmalloc().
. /files/ktap.sh

KNOBS=/sys/module/hkm_pipe/parameters
failed=0

# stream ALLOC: sets mb, nr, ns_hkm or ns_kmalloc
stream() {
	echo "$1" >$KNOBS/alloc
	echo 1 >$KNOBS/run || exit 1
	nr=$(param hkm_pipe records)
	mb=$(($(param hkm_pipe bytes) * 10 / 1048576))
	ns=$(($(param hkm_pipe alloc_ns) / (nr + 1)))
	if [ "$(sha256sum </tmp/output)" = "$sha" ]; then
		equal="equal to the input's"
	else
		equal="DIFFERENT"
		failed=1
	fi
	printf '%-12s %8d %8d.%d %12d   %s\n' "$1" "$nr" $((mb / 10)) $((mb % 10)) "$ns" "$equal"
}

# tier TEXT REQUESTS
tier() { printf '  %-28s %8d  %3d %%\n' "$1" "$2" $(($2 * 100 / total)); }

before=$(free_pages)
load hakmem && load hkm_pipe || exit 1
echo /files/input >$KNOBS/input
echo /tmp/output >$KNOBS/output
sha=$(sha256sum </files/input)

echo
printf '%-12s %8s %10s %12s   %s\n' allocator records MB ns/record "SHA-256 of the output"
stream hkm
total=$(pool_sum hits_ring hits_active slow_allocs fallbacks)
[ "$total" -gt 0 ] || exit 1
# A batch taken from the shared tier serves one request at once.
shared=$(pool_sum freelist_pops remote_drains)
tiers=$(
	tier "1 this CPU's rings" "$(pool_sum hits_ring)"
	tier "  this CPU's active pages" "$(pool_sum hits_active)"
	tier "2 shared tier" "$shared"
	tier "3 new chunks" $(($(pool_sum slow_allocs) - shared))
	tier "4 the kernel's allocator" "$(pool_sum fallbacks)"
)
chunks=$(pool_sum chunks)
stream kmalloc
echo "(ns/record: allocation and free; one buffer more is taken to find the end)"
echo
echo "hkm_kmalloc() served $total requests from"
echo "$tiers"
echo "  memory held: $chunks chunks, $((chunks * 64)) KiB; blocks live: $(pool_sum objects_live)"

unload hkm_pipe && unload hakmem || exit 1
rm /tmp/output
after=$(free_pages)
echo
echo "unloaded: $after pages free, $before before loading"
[ ! -e "$POOL" ] && pages_are_back "$before" && [ $failed -eq 0 ]
