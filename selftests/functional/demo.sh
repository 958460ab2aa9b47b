#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: what make demo shows. Streams /files/input
# through the pipeline, once with hkm_kmalloc() and once with kmalloc().
. /files/ktap.sh

PASSES=5
same_data=yes

# stream ALLOC: one pass; sets nr, bytes, ns
stream() {
	load hkm_pipe alloc="$1" input=/files/input output=/tmp/output || exit 1
	nr=$(param hkm_pipe records)
	bytes=$(param hkm_pipe bytes)
	# One buffer more is taken, to find the end of the file.
	ns=$(($(param hkm_pipe alloc_ns) / (nr + 1)))
	unload hkm_pipe
	[ "$(sha256sum </tmp/output)" = "$sha" ] || same_data=NO
}

# row ALLOC: several passes, of which the least disturbed one counts
row() {
	local pass=0 least=

	while [ $pass -lt $PASSES ]; do
		pass=$((pass + 1))
		stream "$1"
		[ -n "$least" ] && [ "$least" -le "$ns" ] || least=$ns
	done
	printf '%-12s %10d %8d.%d %12d %12s\n' "$1" "$nr" $((bytes / 1000000)) \
		$((bytes / 100000 % 10)) "$least" $same_data
}

# tier TEXT REQUESTS
tier() { printf '  %-26s %8d  %3d %%\n' "$1" "$2" $(($2 * 100 / total)); }

before=$(free_pages)
load hakmem || exit 1
sha=$(sha256sum </files/input)
# The first pass would pay for pages that nobody has used before.
stream kmalloc

echo "Each pass streams the input through two stages; ns: allocation and free of a"
echo "record, the least of $PASSES passes."
echo
printf '%-12s %10s %10s %12s %12s\n' allocator records MB ns/record "same SHA-256"
row kmalloc
row hkm
total=$(pool_sum hits_ring hits_active slow_allocs fallbacks)
[ "$total" -gt 0 ] || exit 1
echo
echo "hkm_kmalloc() served the $total requests of its passes from"
refilled=$(pool_sum refill_allocs)
chunks=$(pool_sum chunks)
tier "1 this CPU's rings" "$(pool_sum hits_ring)"
tier "  this CPU's active pages" "$(pool_sum hits_active)"
tier "2 the shared tier" $(($(pool_sum slow_allocs) - refilled))
tier "3 new chunks" "$refilled"
tier "4 the kernel's allocator" "$(pool_sum fallbacks)"
echo "  memory held: $chunks chunks, $((chunks * 64)) KiB; blocks live: $(pool_sum objects_live)"

unload hakmem || exit 1
rm /tmp/output
echo
echo "unloaded: $(free_pages) pages free, $before before loading"
[ ! -e "$POOL" ] && pages_are_back "$before" && [ $same_data = yes ]
