#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: callers' mistakes are refused, reported once
# each, and harm nothing. Each is made, twice, on a fresh hakmem; what is reported
# of it is printed.
#   misuse.sh [KIND[:LETTERS]...]     kinds of hkm_misuse, and hakmem's debug=LETTERS
#
# Those are made only if named which the kernel itself may report, and then need
# run --expect: stray_kfree from 6.15 on; atomic_alloc; with KASAN, writes outside
# of live blocks; and with kmemleak, blocks left live. stale_free and stale_base
# need leave_live before them.
. /files/ktap.sh

ALL="nothing null zero_size huge overflow atomic_free foreign_kmalloc
	double_free double_free_large double_free_other_cpu double_free_batch double_free_remote
	double_free_active overwritten_ring overwritten_batch overwritten_remote
	interior_free tail_free foreign_vmalloc foreign_page foreign_stack
	foreign_module foreign_garbage foreign_err_ptr foreign_user
	nothing:PZU resize resize:Z resize:PZU double_free:U double_free_large:PZU
	double_free_remote:PZU double_free_active:U
	overwritten_ring:U overwritten_batch:PU overwritten_remote:PZU interior_free:U"
LEFT="leave_live stale_free stale_base leave_live:U"
WRITES="write_after_free:P write_after_free:PU write_after_free_key:PU
	write_after_free_unload:P write_after_free_unload:PU
	write_past_end:Z write_past_end:ZU write_past_new_end:ZU write_past_large:Z
	write_into_next:PZU"

kfree_refuses() {
	local major minor

	IFS=. read -r major minor _ </proc/sys/kernel/osrelease
	[ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 15 ]; }
}

# has FUNCTION: whether the kernel has it
has() { grep -q " $1\$" /proc/kallsyms; }

# site FUNCTION: a regular expression for it
site() { echo "$1+0x[0-9a-f]*/0x[0-9a-f]* \[hkm_misuse\]"; }

# sites ALLOC [FREE]: what debug=U adds to a report
sites() {
	case $letters in
	*U*) echo ", allocated by $1${2:+, freed by $2}" ;;
	esac
}

# Where in the pool the address is, for a block of class $1.
where() { echo "$address, class $1, chunk ${address%????}0000"; }

# What the log has to say of kind $1, as a regular expression. Nothing is said of
# what is allowed. Of a module that is gone a site has no name any more.
report_of() {
	local wrong get put gone="0x[0-9a-f]*"

	wrong=$(site 'free_[a-z]*')
	get=$(site 'block_get[_.a-z0-9]*')
	put=$(site block_put)
	case $1 in
	double_free_active)
		echo "double free: $(where 8k), by $wrong; refused" ;;
	double_free_large)
		echo "double free: $(where 512k), by $wrong; refused$(sites "$get" "$put")" ;;
	double_free*)
		echo "double free: $(where dyn1), by $wrong; refused$(sites "$get" "$put")" ;;
	overwritten_*)
		# Without debugging it is found later, when nobody knows by whom.
		[ -n "$letters" ] || wrong=0x0
		echo "double free: $(where dyn1), by $wrong; refused$(sites "$get" "$put")" ;;
	interior_free)
		echo "free of an address that starts no block: $(where dyn1), by $wrong; refused$(sites "$get")" ;;
	tail_free)
		echo "free of an address that starts no block: $(where 52k), by $wrong; refused" ;;
	foreign_kmalloc) ;;
	foreign_* | stale_*)
		echo "free of memory that no allocator gave out: $address, by $wrong; refused" ;;
	stray_kfree)
		kfree_refuses ||
			echo "kfree() of pool memory: $address, 2 page references missing; its pages are lost" ;;
	write_after_free)
		echo "write after free: $(where dyn1), offset 100$(sites "$get" "$put")" ;;
	write_after_free_key)
		echo "write after free: $(where dyn1), offset 8$(sites "$get" "$put")" ;;
	write_after_free_unload)
		echo "write after free: $(where dyn1), offset 100$(sites "$gone" "$gone")" ;;
	write_past_new_end)
		echo "write past the end of a block: $(where dyn1), 9000 bytes asked for$(sites "$get" "$put")" ;;
	write_past_large)
		echo "write past the end of a block: $(where 512k), 300000 bytes asked for" ;;
	write_*)
		echo "write past the end of a block: $(where dyn1), 9320 bytes asked for$(sites "$get" "$put")" ;;
	leave_live)
		echo "still in use: $address, class dyn1, 10752 bytes$(sites "$gone")" ;;
	esac
}

# Lines in the log, by kind.
lines_of() {
	case $1 in
	leave_live) echo 5 ;;
	*) report_of "$1" | wc -l ;;
	esac
}

# Frees that the pool has to refuse, by kind: each is tried twice.
rejects_of() {
	case $1 in
	interior_free) echo 6 ;;
	double_free* | overwritten_* | tail_free) echo 2 ;;
	*) echo 0 ;;
	esac
}

# Blocks that callers hold at the end, by kind.
live_of() {
	case $1 in
	leave_live) echo 4 ;;
	write_after_free_unload) echo 2 ;;
	*) echo 0 ;;
	esac
}

# Who is caught at what might sleep where it must not, by kind.
sleeper_of() {
	case $1 in
	atomic_alloc) echo hkm_kmalloc ;;
	esac
}

# It is the first whose call of might_sleep() the log has: of kmemleak, which would
# be caught at the same request, the kernel does not speak within the same second.
sleeper() {
	dmesg | awk '
	/sleeping function called/ { on = 1 }
	on && after && !/ \? / { sub(/\+0x.*/, ""); print $NF; exit }
	/__might_resched/ { after = 1 }'
}

reports() { dmesg | sed -n 's/^\[[^]]*\] hakmem: //p'; }

# reported KIND: its report is in the log, and no other
reported() {
	local text status=0

	reports | sed "s/^/# $kind: /"
	same "caught sleeping" "$(sleeper_of "$1")" "$(sleeper)" || status=1
	same "lines in the log" "$(lines_of "$1")" "$(reports | wc -l)" || status=1
	text=$(report_of "$1")
	[ -z "$text" ] || reports | grep -q "^$text\$" && return $status
	ktap_print_msg "the log does not say '$text'"
	return 1
}

# Loads hkm_misuse for a kind, with an address that leave_live left if need be.
make_mistake() {
	case $1 in
	stale_free) set -- what=stale_free stale="0x$left" ;;
	stale_base) set -- what=stale_free stale="0x${left%????}0000" ;;
	*) set -- what="$1" ;;
	esac
	load hkm_misuse rounds=$rounds "$@"
}

# harmless KIND[:LETTERS]
harmless() {
	local name=${1%%:*} letters='' status

	case $1 in
	*:*) letters=${1#*:} ;;
	esac
	dmesg -c >/dev/null
	load hakmem debug="$letters" || return 1
	if ! make_mistake "$name"; then
		unload hakmem
		return 1
	fi
	same mismatches 0 "$(param hkm_misuse mismatches)"
	status=$?
	same rejects "$(rejects_of "$name")" "$(pool_sum rejects)" || status=1
	same objects_live "$(live_of "$name")" "$(pool_sum objects_live)" || status=1
	address=$(param hkm_misuse address)
	[ "$name" != leave_live ] || left=$address
	unload hkm_misuse
	unload hakmem || return 1
	reported "$name" && return $status
}

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2086 # lists of words
	set -- $ALL
	# shellcheck disable=SC2086
	has kmemleak_scan || set -- "$@" $LEFT
	# shellcheck disable=SC2086
	has kasan_report || set -- "$@" $WRITES
	kfree_refuses || set -- "$@" stray_kfree
fi
rounds=10000
! has kasan_report || rounds=1000
ktap_print_header
ktap_set_plan $(($# + 1))
# The first time, the kernel has to say something about foreign modules too.
load hakmem
unload hakmem
before=$(free_pages)
for kind; do
	ktap_test_result "$kind" harmless "$kind"
done
ktap_test_result "no memory is lost but what was left live" pages_are_back "$before"
ktap_finished
