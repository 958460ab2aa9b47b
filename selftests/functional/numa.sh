#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, with several NUMA nodes, modules not loaded: memory is the node's
# that it should be, goes home when it is freed elsewhere, and all comes back.
#   numa.sh NODES [movable]   so many have memory; one more, which the kernel may not
#                             use for itself
. /files/ktap.sh

ktap_print_header
ktap_set_plan 8

# nodes_with KIND
nodes_with() { sed 's/-/ /;s/,/\n/g' "/sys/devices/system/node/has_$1" |
	awk '{ nr += NF > 1 ? $2 - $1 + 1 : 1 } END { print nr }'; }

the_nodes() {
	same "nodes" "$1" "$(nodes_with normal_memory)" &&
		same "nodes with any memory" $(($1 + ${2:-0})) "$(nodes_with memory)"
}

# at_least WHAT LEAST GOT
at_least() {
	[ "$3" -ge "$2" ] && return
	ktap_print_msg "$1: want $2 at least, got $3"
	return 1
}

ktap_test_result "the guest has the nodes" the_nodes "$1" ${2:+1}
load hakmem
unload hakmem
before=$(free_pages)
load hakmem
load hkm_numa
ktap_test_result "requests for a node are honoured, contents stay" \
	same mismatches 0 "$(param hkm_numa mismatches)"
ktap_test_result "each CPU is served from its node" \
	same from_elsewhere 0 "$(param hkm_numa from_elsewhere)"
sent=$(param hkm_numa sent_away)
back=$(param hkm_numa came_home)
ktap_print_msg "$back of $sent blocks freed on another node served their own again"
ktap_test_result "blocks freed far away go home" at_least came_home $((sent * 3 / 4)) "$back"
unload hkm_numa

load hkm_stress seconds=5
ktap_test_result "traffic between nodes is right" same mismatches 0 \
	"$(param hkm_stress mismatches)"
unload hkm_stress
ktap_test_result "no block is live" same objects_live 0 "$(pool_sum objects_live)"
echo 1 >"$POOL/trim"
ktap_test_result "trim gives all back, of all nodes" same chunks 0 "$(pool_sum chunks)"
unload hakmem
ktap_test_result "no memory is lost" pages_are_back "$before"
ktap_finished
