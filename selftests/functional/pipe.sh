#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: the pipeline passes data on unharmed.
. /files/ktap.sh

KNOBS=/sys/module/hkm_pipe/parameters

ktap_print_header
ktap_set_plan 22

# stream ALLOC SEED INPUT [OUTPUT]: fails as the run does
stream() {
	echo "$1" >$KNOBS/alloc
	echo "$2" >$KNOBS/seed
	echo "$3" >$KNOBS/input
	echo "${4:-/tmp/out}" >$KNOBS/output
	{ echo 1 >$KNOBS/run; } 2>/tmp/error
}

# arrives ALLOC SEED INPUT
arrives() {
	stream "$@" || {
		cat /tmp/error
		return 1
	}
	same bytes "$(stat -c %s "$3")" "$(param hkm_pipe bytes)" &&
		same mismatches 0 "$(param hkm_pipe mismatches)" &&
		same sha256 "$(sha256sum <"$3")" "$(sha256sum </tmp/out)"
}

# refused TEXT ALLOC SEED INPUT [OUTPUT]
refused() {
	local text=$1

	shift
	! stream "$@" && grep -q "$text" /tmp/error && return
	ktap_print_msg "want '$text', got '$(cat /tmp/error)'"
	return 1
}

# Unloads the client while an endless stream is under way.
unload_in_the_middle() {
	cat /dev/zero >/tmp/from &
	cat /tmp/to >/dev/null &
	stream "$1" 1 /tmp/from /tmp/to &
	sleep 2
	unload hkm_pipe || return 1
	wait
	same "the run's error" 1 "$(grep -c 'shutdown' /tmp/error)" || cat /tmp/error
	same objects_live 0 "$(pool_sum objects_live)" && load hkm_pipe
}

mkdir /tmp/dir /tmp/small
mount -t tmpfs -o size=1m tmpfs /tmp/small
mkfifo /tmp/from /tmp/to
dd if=/dev/urandom of=/tmp/big bs=1M count=16 2>/dev/null
printf x >/tmp/one
: >/tmp/empty
head -c 2032 /tmp/big >/tmp/page	# with its header, the smallest record
before=$(free_pages)
load hakmem
load hkm_pipe

for alloc in hkm kmalloc; do
	for seed in 1 2 3; do
		ktap_test_result "$alloc: 16 MB, seed $seed" arrives $alloc $seed /tmp/big
	done
	for file in one empty page; do
		ktap_test_result "$alloc: $file" arrives $alloc 1 /tmp/$file
	done
	ktap_test_result "$alloc: unload in the middle" unload_in_the_middle $alloc
done
ktap_test_result "missing input" refused "No such file" hkm 1 /tmp/absent
ktap_test_result "read error" refused "Invalid argument" hkm 1 /tmp/dir
ktap_test_result "missing output directory" refused "No such file" hkm 1 /tmp/big /tmp/absent/out
ktap_test_result "write error" refused "No space left" hkm 1 /tmp/big /tmp/small/out
ktap_test_result "unknown allocator" refused "Invalid argument" malloc 1 /tmp/big
ktap_test_result "it works after all that" arrives hkm 1 /tmp/big
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hkm_pipe
unload hakmem
rm /tmp/out
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
