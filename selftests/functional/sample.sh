#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: sample_interval_ms. Makes the kernel oops
# twice; run --expect says with what.
#   sample.sh [SECONDS]     of traffic
. /files/ktap.sh

seconds=${1:-10}
BAD="3600001 -1 4294967295 abc"

ktap_print_header
ktap_set_plan 18

# refused VALUE
refused() {
	dmesg -c >/dev/null
	if load hakmem sample_interval_ms="$1" 2>/dev/null; then
		unload hakmem
		return 1
	fi
	dmesg | grep -q sample_interval_ms && [ ! -e "$POOL" ]
}

took_samples() {
	ktap_print_msg "$(pool_sum samples) samples"
	[ "$(pool_sum samples)" -gt 0 ]
}

says() {
	dmesg | grep -qE "$1" && return
	ktap_print_msg "the log does not say '$1'"
	return 1
}

result() { param hkm_stress "$1"; }

for value in $BAD; do
	ktap_test_result "sample_interval_ms=$value is refused" refused "$value"
done

# The first time, the kernel keeps some memory for it.
load hakmem sample_interval_ms=1
unload hakmem
before=$(free_pages)
dmesg -c >/dev/null
load hakmem sample_interval_ms=1
ktap_test_result "$seconds s of traffic" load hkm_stress seconds="$seconds" irq=1
ktap_test_result "samples were taken" took_samples
ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
ktap_test_result "nothing was lost" same leaked 0 "$(result leaked)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
ktap_test_result "nothing was reported" eval '! dmesg | grep "hakmem: "'
unload hkm_stress
unload hakmem
ktap_test_result "no mapping is left" same mappings 0 \
	"$(grep -c ' 69632 .*vmap' /proc/vmallocinfo)"
ktap_test_result "no memory is lost" pages_are_back "$before"

# oopses WHAT TEXT: a mistake does, and the log has whose memory it was
oopses() {
	dmesg -c >/dev/null
	load hkm_sample_oops what="$1" || return 1
	same survived N "$(param hkm_sample_oops survived)"
	status=$?
	unload hkm_sample_oops
	says "$2" && return $status
}

author='sample_get.*\[hkm_sample_oops\]'
echo 0 >/proc/sys/kernel/panic_on_oops
load hakmem sample_interval_ms=1
ktap_test_result "a write past the end faults" oopses past_end \
	"hakmem: fault at .*: offset 8192 in a sample of 8192 bytes, allocated by $author"
ktap_test_result "a read after free faults" oopses after_free \
	"hakmem: fault at .*: offset 100 in a sample of 8192 bytes, allocated by $author.*, freed by .*sample_put"
ktap_test_result "samples were freed nevertheless" unload hakmem
ktap_test_result "none is said to be live" eval '! dmesg | grep "still in use"'

# A sample that is live at the end stays so.
leave_live() {
	load hakmem sample_interval_ms=1
	load hkm_sample_oops what=leave_live || return 1
	unload hkm_sample_oops
	unload hakmem && says "still in use: .* a sample of 8192 bytes, allocated by"
}

ktap_test_result "a sample left live is named" leave_live
ktap_test_result "hakmem loads again" load hakmem sample_interval_ms=100
unload hakmem
ktap_finished
