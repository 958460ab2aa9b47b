#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: the pipeline passes data on unharmed.
. /files/ktap.sh

ktap_print_header
ktap_set_plan 22

# stream ALLOC SEED INPUT [OUTPUT]: fails as the module does
stream() {
	load hkm_pipe alloc="$1" seed="$2" input="$3" output="${4:-/tmp/out}"
}

# arrives ALLOC SEED INPUT
arrives() {
	stream "$@" || return 1
	same bytes "$(stat -c %s "$3")" "$(param hkm_pipe bytes)" &&
		same mismatches 0 "$(param hkm_pipe mismatches)" &&
		same sha256 "$(sha256sum <"$3")" "$(sha256sum </tmp/out)"
	status=$?
	unload hkm_pipe && return $status
}

# refused ERRNO ALLOC SEED INPUT [OUTPUT]
refused() {
	local want=$1

	shift
	dmesg -c >/dev/null
	if stream "$@" 2>/dev/null; then
		unload hkm_pipe
		return 1
	fi
	dmesg | grep -q "hkm_pipe: .*: error -$want " && return
	ktap_print_msg "want error $want, got $(dmesg | grep hkm_pipe:)"
	return 1
}

# Ends insmod, and with it the module, while an endless stream is under way.
killed_in_the_middle() {
	cat /dev/zero >/tmp/from &
	cat /tmp/to >/dev/null &
	insmod /modules/hkm_pipe.ko alloc="$1" input=/tmp/from output=/tmp/to &
	sleep 2
	! unload hkm_pipe 2>/dev/null || return 1
	kill -9 $!
	wait
	same module "" "$(lsmod | grep '^hkm_pipe')" &&
		same objects_live 0 "$(pool_sum objects_live)"
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

for alloc in hkm kmalloc; do
	for seed in 1 2 3; do
		ktap_test_result "$alloc: 16 MB, seed $seed" arrives $alloc $seed /tmp/big
	done
	for file in one empty page; do
		ktap_test_result "$alloc: $file" arrives $alloc 1 /tmp/$file
	done
	ktap_test_result "$alloc: killed in the middle" killed_in_the_middle $alloc
done
ktap_test_result "missing input" refused 2 hkm 1 /tmp/absent
ktap_test_result "read error" refused 22 hkm 1 /tmp/dir
ktap_test_result "missing output directory" refused 2 hkm 1 /tmp/big /tmp/absent/out
ktap_test_result "write error" refused 28 hkm 1 /tmp/big /tmp/small/out
ktap_test_result "unknown allocator" refused 22 malloc 1 /tmp/big
ktap_test_result "it works after all that" arrives hkm 1 /tmp/big
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hakmem
rm /tmp/out
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
