#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Checks the models in every interleaving, and that each variant with a fault is
# found out. Prints KTAP; takes about half a minute and 1.5 GB.
set -euo pipefail
here=$(CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"

need spin gcc libc6-dev
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
names=() wants=()

# verify DIR MODEL FLAG...: leaves the checker's report in DIR.log.
verify() {
	mkdir "$1"
	cd "$1"
	spin -a "${@:3}" "$here/$2.pml"
	gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
	./pan -m100000
} >"$1.log" 2>&1

# model NAME WANT MODEL FLAG...: WANT is the assertion that must fail, or empty.
model() {
	names+=("$1")
	wants+=("$2")
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
		wait -n || true
	done
	verify "$tmp/${#names[@]}" "${@:3}" &
}

report() { # INDEX
	local log=$tmp/$(($1 + 1)).log want=${wants[$1]} verdict=ok

	if [ -n "$want" ]; then
		grep -qF "assertion violated $want" "$log" || verdict='not ok'
	elif ! grep -q 'errors: 0$' "$log" ||
	     grep -Eq 'assertion violated|Search not completed|max search depth|[1-9][0-9]* of [0-9]+ states' "$log"; then
		verdict='not ok'
	fi
	echo "$verdict $(($1 + 1)) ${names[$1]}:$(sed -En 's/^ *([0-9]+) states, stored.*/ \1/p' "$log") states"
	[ "$verdict" = ok ] || { failed=1; sed 's/^/# /' "$log"; }
}

aba='(after==next[old])'
hidden='( !(head)||nonempty)'
hidden_remote='( !(remote)||remote_nonempty)'

model "3 contexts, 6 operations" '' freelist -DPROCS=3 -DOPS=6
model "2 contexts, 8 operations" '' freelist -DPROCS=2 -DOPS=8
model "NO_TAG lets a stale pop succeed" "$aba" freelist -DNO_TAG
model "NO_TAG gives a block to two" '((b!=0)&&' freelist -DNO_TAG -DOWNERS_ONLY
model "NARROW_TAG lets a stale pop succeed" "$aba" freelist -DNARROW_TAG
model "NO_RECHECK hides stock" "$hidden" freelist -DNO_RECHECK
model "PLAIN_ORDER hides stock" "$hidden_remote" freelist -DPLAIN_ORDER
model "LATE_CLEAR hides stock" "$hidden_remote" freelist -DLATE_CLEAR
model "NO_BARRIER_A hides stock" "$hidden" freelist -DNO_BARRIER_A
model "NO_BARRIER_B hides stock" "$hidden" freelist -DNO_BARRIER_B
model "no leaf is lost while the chunk map grows" '' map_grow
model "NO_GRACE loses a leaf" leaf_in map_grow -DNO_GRACE
model "EARLY_ALLOW loses a leaf" leaf_in map_grow -DEARLY_ALLOW
wait

failed=0
echo "KTAP version 1"
echo "1..${#names[@]}"
for i in "${!names[@]}"; do
	report "$i"
done
exit $failed
