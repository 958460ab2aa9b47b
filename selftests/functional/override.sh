#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: a file system does its work with the
# kernel's allocator and then, the same sources built with hakmem_override.h,
# with hakmem. /files has both modules and what the flash under them holds.
. /files/ktap.sh

FILES=240	# of text, and as many of what does not compress
TRACING=/sys/kernel/tracing
# Counts requests of the pool's sizes by call site.
COUNT="hist:keys=call_site.sym:size=4096 if bytes_req > 1536 && bytes_req <= 1048576"

ktap_print_header
ktap_set_plan 10

# Files of many sizes, and a link whose target is of the pool's sizes too.
make_tree() {
	local i=0 max kind

	for i in $(seq 40); do
		cat /files/input
	done >/tmp/text
	head -c 1000000 /dev/urandom >/tmp/random
	mkdir -p /tmp/tree/text /tmp/tree/random
	for i in $(seq $FILES); do
		case $((i % 3)) in
		0) max=4200 ;;
		1) max=66000 ;;
		2) max=400000 ;;
		esac
		for kind in text random; do
			tail -c +$((i * 1009)) /tmp/$kind |
				head -c $((i * 7919 % max)) >/tmp/tree/$kind/"$i"
		done
	done
	ln -s "$(printf %02000d 0)" /tmp/tree/link
	cd /tmp/tree || exit 1
	find . -type f -exec sha256sum {} + >/tmp/sums
	bytes=$(find . -type f -exec stat -c %s {} + | awk '{ sum += $1 } END { print sum }')
	cd /
}

# write_tree NAME: some files are longer at first, some are written twice.
write_tree() {
	local file

	cp -a /tmp/tree /mnt/"$1" || return 1
	cd /mnt/"$1" || return 1
	for file in */*7; do
		head -c 10000 /tmp/random >>"$file"
		sync
		truncate -s "$(stat -c %s "/tmp/tree/$file")" "$file"
	done
	for file in */*3; do
		cat "/tmp/tree/$file" >"$file"
	done
	cd /
	sync
}

tree_is_there() {
	cd /mnt/"$1" || return 1
	sha256sum -c /tmp/sums >/tmp/checked 2>&1
	cd /
	grep -v 'OK$' /tmp/checked | head -n 5 | sed 's/^/# /'
	same files $((FILES * 2)) "$(grep -c 'OK$' /tmp/checked)" &&
		same link "$(readlink /tmp/tree/link)" "$(readlink /mnt/"$1"/link)"
}

mount_flash() { mount -t ubifs ubi0:data /mnt; }

# wrote NAME: writes a tree, and finds it after a remount
wrote() {
	write_tree "$1" && umount /mnt && echo 3 >/proc/sys/vm/drop_caches &&
		mount_flash && tree_is_there "$1"
}

# found NAME: a tree that is there from the start
found() { tree_is_there "$1" && rm -r /mnt/"${1:?}"; }

# start VARIANT
start() {
	local event

	for event in "$TRACING"/events/kmem/kmalloc*; do
		echo "$COUNT" >"$event"/trigger || exit 1
	done
	insmod "/files/ubifs_$1.ko" && mount_flash || exit 1
}

# Leaves "NUMBER FUNCTION [MODULE]" for each call site in /tmp/sites.
stop() {
	local event

	umount /mnt || exit 1
	# The names are those of modules that are loaded.
	cat $TRACING/events/kmem/kmalloc*/hist |
		sed -n 's/.*call_site: \[[0-9a-f]*\] \(.*[^ ]\)  *} hitcount: *\([0-9]*\).*/\2 \1/p' |
		sort -rn >/tmp/sites
	for event in "$TRACING"/events/kmem/kmalloc*; do
		echo "!$COUNT" >"$event"/trigger
	done
	unload ubifs || exit 1
}

# asked_kernel MODULE...: their requests in /tmp/sites, but for hakmem's own
asked_kernel() {
	local module

	for module; do
		grep -F "[$module]" /tmp/sites | grep -v hkm_chunk_create
	done | awk '{ nr += $1 } END { print nr + 0 }'
}

silent() { ! dmesg | grep -iE 'hakmem:|ubi.* error'; }

load crc16
load nandsim id_bytes=0x20,0xa1,0x00,0x15 || exit 1	# 128 MiB
dd if=/files/flash of=/dev/mtd0 bs=128k 2>/dev/null
load ubi mtd=0 && load hakmem || exit 1
mkdir /mnt
make_tree
dmesg -c >/dev/null

start plain
ktap_test_result "unmodified: what it wrote is there" wrote plain
stop
asked=$(asked_kernel ubifs)
ktap_print_msg "$((FILES * 2)) files, $bytes bytes; requests for 1537 to 1048576 bytes: $asked"
grep -F '[ubifs]' /tmp/sites | sed 's/^/#   /'
ktap_test_result "unmodified: the kernel is asked for such memory" [ "$asked" -gt 1000 ]

start override
ktap_test_result "overridden: what the unmodified one wrote is there" found plain
ktap_test_result "overridden: what it wrote is there" wrote override
stop
served=$(pool_sum hits_ring hits_active slow_allocs)
missed=$(asked_kernel ubifs hakmem)
ktap_print_msg "both trees read, $((bytes * 2)) bytes, one written; hakmem served $served of $((served + missed)):"
for class in "$POOL"/classes/*; do
	ktap_print_msg "  $(cat "$class"/frees) of class ${class##*/}"
done
grep -E '\[(ubifs|hakmem)\]' /tmp/sites | sed 's/^/#   by the kernel: /'
ktap_test_result "over 90 % of such requests are served" \
	[ $((served * 10)) -gt $(((served + missed) * 9)) ]
ktap_test_result "no free was refused" same rejects 0 "$(pool_sum rejects)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"

start plain
ktap_test_result "unmodified: what the overridden one wrote is there" found override
stop
ktap_test_result "hakmem unloads" unload hakmem
ktap_test_result "nobody has anything to report" silent
ktap_finished
