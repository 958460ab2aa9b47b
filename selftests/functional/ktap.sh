# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# For guest scripts: . /files/ktap.sh
#
# KTAP output with the function names of the kernel's ktap_helpers.sh, which
# 6.1 does not have, and what the scripts want to know of the module.

KTAP_NR=0
KTAP_FAILED=0
POOL=/sys/kernel/hakmem

ktap_print_header() { echo "TAP version 13"; }
ktap_print_msg() { echo "# $*"; }

# ktap_set_plan NUMBER
ktap_set_plan() {
	KTAP_PLAN=$1
	echo "1..$1"
}

# ktap_test_pass NAME...
ktap_test_pass() {
	KTAP_NR=$((KTAP_NR + 1))
	echo "ok $KTAP_NR - $*"
}

# ktap_test_fail NAME...
ktap_test_fail() {
	KTAP_NR=$((KTAP_NR + 1))
	KTAP_FAILED=$((KTAP_FAILED + 1))
	echo "not ok $KTAP_NR - $*"
}

# ktap_test_result NAME COMMAND...: passes if the command succeeds
ktap_test_result() {
	local name=$1

	shift
	if "$@"; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
	fi
}

# Ends the script, with failure unless every test of the plan ran and passed.
ktap_finished() {
	[ "$KTAP_NR" -eq "$KTAP_PLAN" ] ||
		ktap_print_msg "$KTAP_NR tests ran, planned were $KTAP_PLAN"
	[ "$KTAP_FAILED" -eq 0 ] && [ "$KTAP_NR" -eq "$KTAP_PLAN" ]
	exit
}

# same WHAT WANT GOT: whether they are; says so if not
same() {
	[ "$2" = "$3" ] && return
	ktap_print_msg "$1: want '$2', got '$3'"
	return 1
}

# load NAME [PARAM=VALUE...] and unload NAME
load() {
	local name=$1

	shift
	insmod "/modules/$name.ko" "$@"
}

unload() { rmmod "$1"; }

# param MODULE NAME: value of a module's parameter
param() { cat "/sys/module/$1/parameters/$2"; }

# pool_sum COUNTER...: sum over all classes
pool_sum() {
	local sum=0 counter file value

	for counter; do
		for file in "$POOL"/classes/*/"$counter"; do
			read -r value <"$file"
			sum=$((sum + value))
		done
	done
	echo "$sum"
}

# Free pages, those in per-CPU lists too, once what is on its way is there.
# Shrinking the slab caches also empties KASAN's quarantine, which may hold
# 1/32 of the memory.
free_pages() {
	local cache

	sync
	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$cache"
	done
	sleep 1
	awk '$1 == "nr_free_pages" || $1 == "count:" { nr += $2 } END { print nr }' \
		/proc/zoneinfo
}

# pages_are_back BEFORE: free pages within 1 % of what they were
pages_are_back() {
	local now

	now=$(free_pages)
	[ $((now * 100)) -ge $(($1 * 99)) ] && return
	ktap_print_msg "free pages: $1 before, $now now"
	return 1
}
