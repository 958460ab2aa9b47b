// SPDX-License-Identifier: GPL-2.0
/*
 * Memory comes from the node that was asked for, and goes back to it. Loading the
 * module does it; the parameter mismatches holds what went wrong.
 */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/topology.h>
#include <linux/workqueue.h>
#include <hakmem.h>

#include "pattern.h"

#define BLOCKS		400
/* With more of them, requests for a node are the kernel's. */
#define MAX_NODES	8
#define SPAN_BYTES	(64 * 1024)

static const size_t sizes[] = { 2048, 8192, 9320, 32768, 40960, 53248 };

static uint mismatches;
module_param(mismatches, uint, 0444);
MODULE_PARM_DESC(mismatches, "result: blocks and addresses that were not as they had to be");

static uint from_elsewhere;
module_param(from_elsewhere, uint, 0444);
MODULE_PARM_DESC(from_elsewhere, "result: blocks of a node farther away than need be");

static uint came_home;
module_param(came_home, uint, 0444);
MODULE_PARM_DESC(came_home, "result: blocks freed far away that their own node used again");

static uint sent_away;
module_param(sent_away, uint, 0444);
MODULE_PARM_DESC(sent_away, "result: as many, to compare with");

static void *blocks[BLOCKS], *again[BLOCKS];

static int node_of(const void *p)
{
	return page_to_nid(virt_to_page(p));
}

/* Whether this CPU has memory nearer than where @p is. */
static bool is_far(const void *p)
{
	int here = numa_node_id(), nid;

	for_each_node_state(nid, N_NORMAL_MEMORY)
		if (node_distance(here, nid) < node_distance(here, node_of(p)))
			return true;
	return false;
}

static void ask_for_node(size_t bytes, gfp_t flags, int nid)
{
	void *p = hkm_kmalloc_node(bytes, flags, nid);

	mismatches += !p || node_of(p) != nid ||
		      (nr_node_ids <= MAX_NODES && !hkm_owns(p));
	hkm_kfree(p);
}

/* Requests for a node, from this CPU. */
static void ask_for_nodes(void)
{
	unsigned int i;
	int nid;

	for_each_node_state(nid, N_NORMAL_MEMORY) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			ask_for_node(sizes[i], GFP_KERNEL, nid);
			ask_for_node(sizes[i], GFP_ATOMIC, nid);
			ask_for_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, nid);
		}
	}
	/* No such node, or none with memory: as kmalloc_node() has it. */
	for_each_online_node(nid) {
		void *p;

		if (node_state(nid, N_NORMAL_MEMORY))
			continue;
		p = hkm_kmalloc_node(8192, GFP_KERNEL, nid);
		mismatches += !p || node_of(p) == nid;
		hkm_kfree(p);
	}
}

static long node_blocks_get(void *arg)
{
	void **to = arg;
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		to[i] = hkm_kmalloc(8192, GFP_KERNEL);
		if (!to[i]) {
			mismatches++;
			continue;
		}
		pattern_fill(to[i], 8192, i);
		from_elsewhere += is_far(to[i]);
	}
	return 0;
}

static long node_blocks_put(void *arg)
{
	void **from = arg;
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		mismatches += from[i] && !pattern_ok(from[i], 8192, i);
		hkm_kfree(from[i]);
	}
	ask_for_nodes();
	return 0;
}

/* Blocks of one node, freed on another, serve the first one again. */
static void send_away(int cpu, int far_cpu)
{
	unsigned int i, j, back = 0;

	work_on_cpu(cpu, node_blocks_get, blocks);
	work_on_cpu(far_cpu, node_blocks_put, blocks);
	work_on_cpu(cpu, node_blocks_get, again);
	for (i = 0; i < BLOCKS; i++)
		for (j = 0; j < BLOCKS; j++)
			back += again[i] == blocks[j];
	came_home += back;
	sent_away += BLOCKS;
	work_on_cpu(cpu, node_blocks_put, again);
}

static int __init hkm_numa_init(void)
{
	int cpu, far_cpu;

	for_each_online_cpu(cpu)
		for_each_online_cpu(far_cpu)
			if (cpu_to_mem(cpu) != cpu_to_mem(far_cpu))
				send_away(cpu, far_cpu);
	return 0;
}

static void __exit hkm_numa_exit(void)
{
}

module_init(hkm_numa_init);
module_exit(hkm_numa_exit);
MODULE_DESCRIPTION("Test of hakmem: NUMA nodes");
MODULE_AUTHOR("hakmem developers");
MODULE_LICENSE("GPL");
