#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, modules not loaded: plays hkm_load's loads under each policy, on a
# new pool each time. Prints, as CSV, the counters of their classes each second as
# they are, and as lines of "# " what is to be said beside. For learner.awk.
#   learner.sh SECONDS [POLICY...]
. /files/ktap.sh

LOADS="bursts:8k:8 phases:16k:4 phase-down:32k:2"
COUNTERS="freelist_pops freelist_pushes remote_drains reuses refills releases"
seconds=$1
shift
[ $# -gt 0 ] || set -- static-8 static-32 static-64 static-128 static-256 static-512 \
	step step-98-64 step-98-256 cost

# Hundredths of a second since boot.
now() {
	local up

	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# wait_until TIME: in hundredths since boot
wait_until() {
	local left=$(($1 - $(now)))

	[ $left -le 0 ] || sleep "$((left / 100)).$(printf %02d $((left % 100)))"
}

put() { echo "$2" >"$POOL/learner/$1"; }

# A policy is static-CAP, cost, step, or step-TARGET-STEP, as in the simulator; or
# default: all that the module does by itself.
policy_set() {
	local class target

	[ "$1" != default ] || return 0
	# CAP alone is what differs.
	put enabled 0 && put w_max_mode off && put dyn_mode off || return 1
	echo 0 >"$POOL/policy/reserve_chunks" || return 1
	case $1 in
	static-*)
		for class in "$POOL"/classes/*; do
			echo "${1#static-}" >"$class/cap" || return 1
		done
		return
		;;
	step-*-*)
		target=${1#step-}
		put target_mid_bp "${target%-*}00" && put cap_step "${target#*-}" || return 1
		;;
	esac
	put controller "${1%%-*}" && put enabled 1
}

# Adds the free memory of each load's class to $free, in blocks.
look() {
	local load class per chunks live sums=''

	for load in $LOADS; do
		IFS=: read -r _ class per <<-END
		$load
		END
		read -r chunks <"$POOL/classes/$class/chunks"
		read -r live <"$POOL/classes/$class/objects_live"
		sums="$sums $((${free%% *} + chunks * per - live))"
		free=${free#* }
	done
	free="${sums# } "
}

# line POLICY SECOND: of each load
line() {
	local load class per counter value text

	for load in $LOADS; do
		IFS=: read -r load class per <<-END
		$load
		END
		read -r value <"$POOL/classes/$class/cap_effective"
		text="$1,$2,$load,$value,$(((${free%% *} + 2 * per) / (4 * per)))"
		free=${free#* }
		for counter in $COUNTERS; do
			read -r value <"$POOL/classes/$class/$counter"
			text="$text,$value"
		done
		echo "$text"
	done
}

# Time that the learner's thread ran, in us.
run_us() { awk '{ print int($1 / 1000) }' "$thread/schedstat"; }

play() {
	local start second=0 quarter free ran

	load hakmem || return 1
	policy_set "$1" || return 1
	thread=$(grep -lx hkm_learner /proc/[0-9]*/comm 2>/dev/null | sed 's,/comm$,,')
	ran=$(run_us)
	free="0 0 0 "
	line "$1" 0
	load hkm_load phase_ms=$((seconds * 1000 / 3)) || return 1
	start=$(now)
	while [ $second -lt "$seconds" ]; do
		free="0 0 0 "
		for quarter in 1 2 3 4; do
			wait_until $((start + second * 100 + quarter * 25))
			look
		done
		second=$((second + 1))
		line "$1" $second
	done
	[ $(($(now) - start)) -le $((seconds * 100 + 50)) ] ||
		ktap_print_msg "$1: looks came $(($(now) - start - seconds * 100))0 ms late"
	ktap_print_msg "$1: learner's thread $((($(run_us) - ran) / seconds)) us a second;" \
		"late at most, ms: $(param hkm_load behind_ms);" \
		"not served: $(param hkm_load failed)"
	unload hkm_load && unload hakmem
}

echo "policy,second,load,cap,free_chunks,pops,pushes,drains,reuses,refills,releases"
for policy; do
	play "$policy" || exit 1
done
