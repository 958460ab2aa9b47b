#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, with 4 CPUs, modules not loaded: CPUs go and come back at random
# under traffic, and what one had parked is everybody's once it is gone.
#   hotplug.sh CYCLES [PARAM=VALUE...]      parameters of hkm_stress
. /files/ktap.sh

cycles=$1
shift
SEED=1
PARKER=2	# the CPU that parks and goes
STOCK_MIB=1	# of blocks of 16 KiB: half in its ring, half in the shared tier

ktap_print_header
ktap_set_plan 17

result() { param hkm_stress "$1"; }
held() { echo "$1" >/sys/module/hkm_burst/parameters/held; }
use_cpu() { echo "$1" >/sys/module/hkm_burst/parameters/cpu; }
trim() { echo 1 >"$POOL/trim"; }

# is CPU 0|1
is() {
	local online

	read -r online <"/sys/devices/system/cpu/cpu$1/online" && [ "$online" -eq "$2" ]
}

# turn CPU 0|1
turn() { echo "$2" >"/sys/devices/system/cpu/cpu$1/online" && is "$1" "$2"; }

# random_cpus NUMBER: of those that can go, which the first cannot
random_cpus() {
	awk -v seed=$SEED -v nr="$1" 'BEGIN {
		srand(seed)
		for (i = 0; i < nr; i++)
			print 1 + int(rand() * 3)
	}'
}

# Turns CPUs off and on at random, $cycles times each way, and gives back what
# they leave.
cycle() {
	local cpu gone=0

	for cpu in $(random_cpus $((3 * cycles))); do
		if is "$cpu" 0; then
			turn "$cpu" 1 || return 1
			trim
		elif [ $gone -lt "$cycles" ]; then
			turn "$cpu" 0 || return 1
			gone=$((gone + 1))
		fi
	done
	for cpu in 1 2 3; do
		is $cpu 1 || turn $cpu 1 || return 1
	done
	same "CPUs gone" "$cycles" $gone
}

# Traffic runs as long as CPUs go and come.
#   cycle_under_traffic [PARAM=VALUE...]
cycle_under_traffic() {
	local pid status

	load hkm_stress seconds=3600 "$@" &
	pid=$!
	while [ ! -e /sys/module/hkm_stress/parameters/stop ]; do
		sleep 0.1
	done
	cycle
	status=$?
	[ -d "/proc/$pid" ] || { ktap_print_msg "the traffic ended early"; status=1; }
	echo 1 >/sys/module/hkm_stress/parameters/stop
	wait $pid && return $status
}

before=$(free_pages)
load hakmem
ktap_test_result "$cycles times a CPU goes, under traffic" cycle_under_traffic "$@"
ktap_print_msg "blocks: $(result task_allocs) in tasks, $(result irq_allocs) in interrupts," \
	"$(result timer_allocs) in timers; returns to a CPU: $(result returns)"
ktap_test_result "traffic came back to CPUs that had gone" [ "$(result returns)" -gt 0 ]
ktap_test_result "nothing was damaged" same mismatches 0 "$(result mismatches)"
ktap_test_result "nothing was lost" same leaked 0 "$(result leaked)"
ktap_test_result "no request failed" same failed 0 "$(result failed)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hkm_stress
trim
ktap_test_result "trim finds all of it" same chunks 0 "$(pool_sum chunks)"

# served_by_stock: what the CPU had parked is enough for another one
served_by_stock() {
	local refills

	refills=$(pool_sum refills)
	held $STOCK_MIB && same refills "$refills" "$(pool_sum refills)"
}

load hkm_burst most=$STOCK_MIB min_bytes=16384 max_bytes=16384 same_cpu=1
use_cpu $PARKER
held $STOCK_MIB
held 0
ktap_test_result "a CPU goes" turn $PARKER 0
use_cpu 0
ktap_test_result "another one has what it had parked" served_by_stock
held 0
ktap_test_result "it comes back" turn $PARKER 1
trim
use_cpu $PARKER
ktap_test_result "it is served" held $STOCK_MIB
held 0
ktap_test_result "it goes again" turn $PARKER 0
ktap_test_result "while it is gone, the pool holds its stock" \
	[ "$(pool_sum chunks)" -ge $((STOCK_MIB * 16)) ]
trim
ktap_test_result "trim finds all of that" same chunks 0 "$(pool_sum chunks)"
turn $PARKER 1
ktap_test_result "nothing of this was damaged" same mismatches 0 "$(param hkm_burst mismatches)"
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
unload hkm_burst
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
