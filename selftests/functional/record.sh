#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: records the requests of a file system at work,
# UBIFS built with hakmem_override.h, for selftests/host/simulate. /files has what
# override.sh needs. Prints lines of "ms cpu + id bytes" and "ms cpu - id".
. /files/ktap.sh

EVENTS=2400
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

# Writes files, reads them back, and removes them, with pauses.
work() {
	local i max

	for i in $(seq 60); do
		case $((i % 3)) in
		0) max=4200 ;;
		1) max=66000 ;;
		2) max=400000 ;;
		esac
		head -c $((i * 7919 % max)) /files/input >/mnt/"$i"
		if [ $((i % 12)) -eq 0 ]; then
			sync
			echo 3 >/proc/sys/vm/drop_caches
			cat /mnt/* >/dev/null
			usleep 700000
			rm /mnt/*
		fi
	done
}

load crc16
load nandsim id_bytes=0x20,0xa1,0x00,0x15 || exit 1	# 128 MiB
dd if=/files/flash of=/dev/mtd0 bs=128k 2>/dev/null
load ubi mtd=0 && load hakmem && insmod /files/ubifs_override.ko || exit 1
mount -t tracefs tracefs $TRACING
mkdir /mnt
mount -t ubifs ubi0:data /mnt || exit 1
echo 8192 >$TRACING/buffer_size_kb
echo 'bytes_req > 1536' >$TRACING/events/hakmem/alloc/filter
echo 1 >$TRACING/events/hakmem/alloc/enable
echo 1 >$TRACING/events/hakmem/free/enable
work
echo "# UBIFS: 60 files of up to 400 KB written, read and removed, kernel $(uname -r)."
echo "# ms cpu + id bytes: allocated; ms cpu - id: freed"
events <$TRACING/trace
echo 0 >$TRACING/events/hakmem/enable
umount /mnt
