#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: bad writes to every file of the pool that can be
# written. None is taken, and none changes anything.
#   fuzz.sh [WRITES] [SEED]
. /files/ktap.sh

writes=${1:-10000}
seed=${2:-$(date +%s)}

ktap_print_header
ktap_set_plan 7

# FILE LEAST MOST of each, below POOL. What takes a word has numbers of its own: it
# is as if it took none.
files() {
	local file bounds

	cd "$POOL" || return
	find . -type f -perm -200 | sed 's,^./,,' | sort | while read -r file; do
		case ${file##*/} in
		trim) bounds="1 1" ;;
		enabled) bounds="0 1" ;;
		controller | dyn_mode | w_max_mode) bounds="1 0" ;;
		dyn_max) bounds="0 8" ;;
		reserve_chunks) bounds="0 256" ;;
		cpu_budget_bytes) bounds="65536 67108864" ;;
		idle_ms) bounds="1000 3600000" ;;
		refill_bundle) bounds="1 4" ;;
		w_max_pct) bounds="100 200" ;;
		interval_ms) bounds="100 2000" ;;
		*_bp) bounds="0 10000" ;;
		cap_step) bounds="1 32767" ;;
		cap_min) bounds="1 107" ;;
		cap_max) bounds="8 32767" ;;
		dwell_*_ms) bounds="0 3600000" ;;
		global_budget_chunks) bounds="152 1048576" ;;
		cap) bounds="0 32767" ;;
		ring_limit) bounds="0 32" ;;
		*) bounds="" ;;
		esac
		echo "$file $bounds"
	done
}

# Lines of FILE and TEXT, which printf's %b is to print: \0NNN for any byte.
texts() {
	awk -v writes="$writes" -v seed="$seed" '
	function rnd(n) { return int(rand() * n) }
	function digits(n,  s) { for (s = 1 + rnd(9); n > 1; n--) s = s rnd(10); return s }
	function byte(b) { return sprintf("\\0%03o", b) }
	function bytes(n,  s) { for (s = ""; n > 0; n--) s = s byte(rnd(256)); return s }
	# No digit, no sign, and no newline, which may end a number.
	function junk(  b) {
		do
			b = rnd(256)
		while (b == 10 || b == 43 || b >= 48 && b <= 57)
		return byte(b)
	}
	function good() { return least[f] + rnd(most[f] - least[f] + 1) }
	function text(kind,  s) {
		if (kind == 0) return most[f] + 1 + rnd(1000000)
		if (kind == 1) return "-" good()
		if (kind == 2) return digits(11 + rnd(20))
		if (kind == 3) return good() junk()
		if (kind == 4) return junk() good()
		if (kind == 5) return good() " " good()
		if (kind == 6) return "0x" sprintf("%x", good())
		if (kind == 7) return good() "." rnd(10)
		if (kind == 8) return good() byte(10) good()
		if (kind == 9) return good() byte(0) bytes(rnd(9))
		if (kind == 10) return junk() bytes(1 + rnd(40))
		if (kind == 11) return digits(100 + rnd(300))
		if (kind == 12) return byte(10)
		if (kind == 13) return junk()
		if (kind == 14) return good() byte(10) byte(10)
		return least[f] > 0 ? rnd(least[f]) : "-1"
	}
	BEGIN { srand(seed) }
	NF == 3 { name[n] = $1; least[n] = $2; most[n] = $3; n++ }
	END {
		for (i = 0; i < writes; i++) {
			f = i % n
			print name[f], text(rnd(16))
		}
	}' /tmp/files
}

# All that may be written, and what follows from it.
state() {
	local file

	for file in "$POOL"/policy/* "$POOL"/learner/* "$POOL"/classes/*/cap \
		"$POOL"/classes/*/cap_effective "$POOL"/classes/*/ring_limit; do
		echo "$file $(cat "$file")"
	done
}

# Says which were taken.
write_all() {
	local file text taken=0

	while read -r file text; do
		printf '%b' "$text" 2>/dev/null >"$POOL/$file" || continue
		taken=$((taken + 1))
		ktap_print_msg "$file took '$text'"
	done </tmp/texts
	same writes "$writes" "$(wc -l </tmp/texts)" && same taken 0 "$taken"
}

# A page and more: it comes in pieces. Of noughts, each would be a number.
long_ones() {
	local digit file _

	for digit in 7 0; do
		head -c 10000 /dev/zero | tr '\0' $digit >/tmp/long
		while read -r file _; do
			dd if=/tmp/long of="$POOL/$file" bs=10000 2>/dev/null || continue
			ktap_print_msg "$file took 10000 times $digit"
			return 1
		done </tmp/files
	done
}

# The same way, what is good is taken.
good_is_taken() {
	printf '%b' '\0061\0065\0061' >"$POOL/policy/w_max_pct" &&
		same w_max_pct 151 "$(cat "$POOL/policy/w_max_pct")"
}

ktap_test_result "hakmem loads" load hakmem
files >/tmp/files
ktap_test_result "bounds of all files are known" same without "" \
	"$(awk 'NF != 3 { print } END { if (!NR) print "there are none" }' /tmp/files)"
# So that nobody else changes anything.
echo 0 >"$POOL/learner/enabled"
texts >/tmp/texts
ktap_test_result "a good write is taken" good_is_taken
before=$(state)
ktap_test_result "$writes bad writes to $(wc -l </tmp/files) files, seed $seed: none is taken" \
	write_all
ktap_test_result "nothing has changed" same state "$before" "$(state)"
ktap_test_result "nor by what is longer than a page" long_ones
ktap_test_result "nothing has changed by that" same state "$before" "$(state)"
unload hakmem
ktap_finished
