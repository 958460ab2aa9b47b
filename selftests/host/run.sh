#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the allocator in user space and runs freelist_stress: as it is, under
# the address, undefined behaviour and thread sanitizers, and with two faults
# that it must find; then the learner's laws, by tables and in simulated time.
# What these are known to miss is listed. Prints KTAP; takes a minute.
#
#   run.sh [SECONDS]      of each stress test, default 2
set -euo pipefail
here=$(CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"

need gcc make libc6-dev
seconds=${1:-2}
out=$HKM_TOP/build/host
count=0 failed=0

result() { # STATUS NAME
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count $2"
	else
		failed=1
		echo "not ok $count $2"
	fi
}

# stress FLAVOUR: its report goes to $out/FLAVOUR.log.
stress() {
	timeout 120 "$out/stress_$1" "$seconds" >"$out/$1.log" 2>&1
}

# law SUITE: of KUnit, in user space
law() {
	timeout 120 "$out/$1_test" >"$out/$1.log" 2>&1
}

# Its table and curves go to $out/simulate.
simulate() {
	mkdir -p "$out/simulate"
	timeout 600 "$out/simulate_laws" "$here/recording.txt" "$out/simulate" \
		>"$out/simulate.log" 2>&1
}

# passes NAME COMMAND...: each of its cases is one of ours. It logs to $out/NAME.log.
passes() {
	local rc=0 line

	"${@:2}" || rc=$?
	while read -r line; do
		case $line in
		ok\ *) result 0 "$1: ${line#ok * }" ;;
		not\ ok\ *\#\ TODO\ *) echo "# known: ${line#not ok * }" ;;
		not\ ok\ *) result 1 "$1: ${line#not ok * }" ;;
		\#*) echo "$line" ;;
		esac
	done <"$out/$1.log"
	[ $rc -eq 0 ] || sed 's/^/# /' "$out/$1.log"
	result $rc "$1: exit status"
}

# finds NAME FLAVOUR REGEX: fails in one of three runs, with a line that matches.
finds() {
	local rc=1 tries=3

	while [ $rc -ne 0 ] && ((tries-- > 0)); do
		if { ! stress "$2"; } 2>/dev/null && grep -Eq "$3" "$out/$2.log"; then
			rc=0
		fi
	done
	result $rc "$1"
}

mkdir -p "$out"
make -s -C "$here" -j "$(nproc)" >&2
echo "KTAP version 1"
passes plain stress plain
passes asan stress asan
passes tsan stress tsan
for suite in decide wmax dyn; do
	passes $suite law $suite
done
passes simulate simulate
finds "a pop without acquire is found" tsan_weak 'data race .* in (chain_take|block_take)'
finds "a tag of one bit is found" plain_tag1 '^ok 7 '
echo "1..$count"
exit $failed
