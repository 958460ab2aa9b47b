#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded, run with --icount: instructions per
# allocation and free, ours beside kmalloc's, with the learner and without.
LEARNER=/sys/kernel/hakmem/learner/enabled

# table: of what hkm_bench has printed
table() {
	dmesg | sed -n 's/.*hkm_bench: size=//p' | awk -F '[ =]' '
	function ratio(a, b) { return b ? sprintf("%.2f", a / b) : "-" }
	BEGIN {
		row = "%8s %9s %9s %12s %12s %10s %10s\n"
		printf row, "bytes", "ours hot", "ours deep", "kmalloc hot",
			"kmalloc deep", "hot ratio", "deep ratio"
	}
	{
		printf row, $1, $3, $5, $7, $9, ratio($7, $3), ratio($9, $5)
	}
	END { exit NR != 13 }'
}

insmod /modules/hakmem.ko || exit 1
echo "kernel $(uname -r), $(cat /proc/cmdline)"
echo "instructions per pair of allocation and free, without the loop; deep: 64 held"
for enabled in 1 0; do
	echo $enabled >$LEARNER || exit 1
	dmesg -c >/dev/null
	insmod /modules/hkm_bench.ko || exit 1
	[ $enabled = 1 ] && echo "learner on:" || echo "learner off:"
	table || exit 1
	rmmod hkm_bench || exit 1
done
rmmod hakmem
