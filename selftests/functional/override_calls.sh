#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: hakmem_override.h sends a module's calls of
# the kernel's allocation functions to hakmem.
#   override_calls.sh [samples]   hakmem serves some with samples
. /files/ktap.sh

all_called() { same failures 0 "$(param hkm_override_client failures)" && [ "$KTAP_NR" -gt 40 ]; }
silent() { ! dmesg | grep hakmem:; }

ktap_print_header
load hakmem ${1:+sample_interval_ms=1} || exit 1
dmesg -c >/dev/null
load hkm_override_client ${1:+samples=1} || exit 1
dmesg | sed -n 's/.*hkm_override_client: //p' >/tmp/results
ktap_set_plan $(($(grep -cE '^(not )?ok ' /tmp/results) + 5))
while read -r line; do
	case $line in
	"ok "*) ktap_test_pass "${line#ok }" ;;
	"not ok "*) ktap_test_fail "${line#not ok }" ;;
	*) ktap_print_msg "$line" ;;
	esac
done </tmp/results
ktap_test_result "all functions were called" all_called
unload hkm_override_client
ktap_test_result "all blocks were freed" same objects_live 0 "$(pool_sum objects_live)"
ktap_test_result "no free was refused" same rejects 0 "$(pool_sum rejects)"
ktap_test_result "hakmem unloads" unload hakmem
ktap_test_result "hakmem has nothing to report" silent
ktap_finished
