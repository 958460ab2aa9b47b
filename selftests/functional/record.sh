#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: records the requests of the demo's pipeline for
# selftests/host/simulate. Prints lines of "ms cpu + id bytes" and "ms cpu - id".
. /files/ktap.sh

EVENTS=4000
TRACING=/sys/kernel/tracing

# Blocks are numbered as they are first seen; what was allocated before is left out.
events() {
	awk -v most=$EVENTS '
	/ (alloc|free): call_site=/ {
		for (i = 1; $i !~ /^\[[0-9]+\]$/; i++)
			;
		cpu = substr($i, 2, length($i) - 2) + 0
		while ($i !~ /^[0-9]+\.[0-9]+:$/)
			i++
		now = int($i * 1000)
		if (!start)
			start = now
		op = $(i + 1)
		for (; i <= NF; i++) {
			if ($i ~ /^ptr=/)
				ptr = substr($i, 5)
			else if ($i ~ /^bytes_req=/)
				bytes = substr($i, 11)
		}
		if (op == "alloc:") {
			id[ptr] = nr_free ? reuse[nr_free--] : nr_ids++
			print now - start, cpu, "+", id[ptr], bytes
		} else if (ptr in id) {
			print now - start, cpu, "-", id[ptr]
			reuse[++nr_free] = id[ptr]
			delete id[ptr]
		} else {
			next
		}
		if (++nr == most)
			exit
	}'
}

load hakmem || exit 1
echo 8192 >$TRACING/buffer_size_kb
echo 'bytes_req > 1536' >$TRACING/events/hakmem/alloc/filter
echo 1 >$TRACING/events/hakmem/alloc/enable
echo 1 >$TRACING/events/hakmem/free/enable
for _ in 1 2 3; do
	load hkm_pipe alloc=hkm input=/files/input output=/tmp/output || exit 1
	unload hkm_pipe
	sleep 2
done
echo "# make demo's pipeline, three passes with pauses, kernel $(uname -r)."
echo "# ms cpu + id bytes: allocated; ms cpu - id: freed"
events <$TRACING/trace
echo 0 >$TRACING/events/hakmem/enable
