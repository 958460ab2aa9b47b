#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: bad parameters are refused and named.
. /files/ktap.sh

BAD="1 512 2561 8192 53248 53760 999999 -1 4294969856 abc"
GOOD="0 2560 10752 52736"

ktap_print_header
ktap_set_plan 16

# refused VALUE: EINVAL, or ERANGE for what is no 32-bit number
refused() {
	local text

	dmesg -c >/dev/null
	if text=$(load hakmem dyn1_bytes="$1" 2>&1); then
		unload hakmem
		return 1
	fi
	case $text in
	*"nvalid argument"* | *"nvalid parameter"* | *"out of range"* | *"not representable"*) ;;
	*)
		ktap_print_msg "insmod said: $text"
		return 1
		;;
	esac
	if ! dmesg | grep -q dyn1_bytes; then
		ktap_print_msg "the log does not name the parameter"
		return 1
	fi
	[ ! -e "$POOL" ] && ! lsmod | grep -q '^hakmem '
}

# accepted VALUE
accepted() {
	load hakmem dyn1_bytes="$1" || return 1
	same dyn1 "$1" "$(cat "$POOL"/classes/dyn1/size_bytes)"
	status=$?
	unload hakmem && return $status
}

before=$(free_pages)
for value in $BAD; do
	ktap_test_result "dyn1_bytes=$value is refused" refused "$value"
done
for value in $GOOD; do
	ktap_test_result "dyn1_bytes=$value is accepted" accepted "$value"
done
# The kernel itself ignores parameters that a module does not have.
unknown() {
	load hakmem no_such_knob=1 && unload hakmem
}

ktap_test_result "an unknown parameter is ignored" unknown
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
