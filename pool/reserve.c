// SPDX-License-Identifier: GPL-2.0
/*
 * Reserve: chunks kept on each node for callers that cannot sleep, and so cannot
 * wait until the page allocator has 64 KiB in one piece. A chunk comes with
 * memory for a descriptor and with room in the map, so that to cut it needs nothing
 * more. Those who may sleep never get any.
 *
 * The reserve is filled from the page allocator where tasks may sleep: at load,
 * and by reclaim's tick. Where memory is in pieces that may be in vain for long;
 * so a chunk that the pool gives back fills it too.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "chunk.h"
#include "chunk_map.h"
#include "reserve.h"
#include "tools.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

#define RESERVE_GFP	(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY)

/**
 * struct reserve - one node's
 * @lock: for all of it, but for reading the number
 * @first: descriptors, of which only @base and @next are set
 * @nr: their number
 */
struct reserve {
	raw_spinlock_t lock;
	struct hkm_chunk *first;
	unsigned int nr;
};

static struct reserve reserves[HKM_MAX_NODES];

static unsigned int reserve_target(void)
{
	unsigned int target;

	preempt_disable();
	target = rcu_dereference_sched(hkm_policy)->reserve_chunks;
	preempt_enable();
	return target;
}

/* Takes a chunk if there are more than @least. */
static struct hkm_chunk *reserve_take(struct reserve *reserve, unsigned int least)
{
	struct hkm_chunk *chunk = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	if (reserve->nr > least) {
		chunk = reserve->first;
		reserve->first = chunk->next;
		WRITE_ONCE(reserve->nr, reserve->nr - 1);
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return chunk;
}

/**
 * hkm_reserve_get() - take a chunk
 * @node: index of its node
 * @descriptor: set to memory for its descriptor, all zero
 *
 * Context: Any but NMI.
 * Return: its pages; NULL if there is none.
 */
struct page *hkm_reserve_get(unsigned int node, struct hkm_chunk **descriptor)
{
	struct hkm_chunk *chunk = reserve_take(&reserves[node], 0);
	struct page *page;

	if (!chunk)
		return NULL;
	page = virt_to_page(chunk->base);
	chunk->base = NULL;
	chunk->next = NULL;
	*descriptor = chunk;
	return page;
}

/**
 * hkm_reserve_put() - keep a chunk's pages
 * @page: the first of them; they were a chunk before
 * @gfp: for the descriptor
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: false if the reserve is full, or without memory; then they are still the
 * caller's.
 */
bool hkm_reserve_put(struct page *page, gfp_t gfp)
{
	struct reserve *reserve = &reserves[page_to_nid(page) % HKM_MAX_NODES];
	unsigned int target = reserve_target();
	struct hkm_chunk *chunk;
	unsigned long flags;
	bool room;

	if (READ_ONCE(reserve->nr) >= target)
		return false;
	chunk = kzalloc(hkm_chunk_descriptor_bytes(HKM_CHUNK_ORDER, HKM_MAX_BLOCKS), gfp);
	if (!chunk)
		return false;
	chunk->base = page_address(page);
	raw_spin_lock_irqsave(&reserve->lock, flags);
	room = reserve->nr < target;
	if (room) {
		hkm_kasan_unpoison(chunk->base, HKM_CHUNK_BYTES);
		chunk->next = reserve->first;
		reserve->first = chunk;
		WRITE_ONCE(reserve->nr, reserve->nr + 1);
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	if (!room)
		kfree(chunk);
	return room;
}

static bool reserve_fill(int nid, unsigned int target)
{
	struct reserve *reserve = &reserves[nid % HKM_MAX_NODES];
	struct page *page;

	while (READ_ONCE(reserve->nr) < target) {
		page = alloc_pages_node(nid, RESERVE_GFP | __GFP_COMP | __GFP_THISNODE,
					HKM_CHUNK_ORDER);
		if (!page)
			return false;
		if (!hkm_map_entry_get(page_address(page), RESERVE_GFP) ||
		    !hkm_reserve_put(page, RESERVE_GFP)) {
			__free_pages(page, HKM_CHUNK_ORDER);
			return false;
		}
	}
	return true;
}

/* Gives back what is over @target. */
static void reserve_drain(struct reserve *reserve, unsigned int target)
{
	struct hkm_chunk *chunk;

	while ((chunk = reserve_take(reserve, target))) {
		__free_pages(virt_to_page(chunk->base), HKM_CHUNK_ORDER);
		kfree(chunk);
	}
}

/**
 * hkm_reserve_fill() - bring every node's reserve to what the policy says
 *
 * Context: Task; may sleep.
 * Return: false if a node had too little memory.
 */
bool hkm_reserve_fill(void)
{
	unsigned int target = reserve_target(), i;
	bool filled = true;
	int nid;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], target);
	for_each_node_state(nid, N_MEMORY)
		filled &= reserve_fill(nid, target);
	return filled;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_fill);

/**
 * hkm_reserve_count() - tell what is in reserve
 *
 * Return: 64 KiB chunks, on all nodes.
 */
long hkm_reserve_count(void)
{
	unsigned int i;
	long nr = 0;

	for (i = 0; i < HKM_MAX_NODES; i++)
		nr += READ_ONCE(reserves[i].nr);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_count);

/* Memory for it may come later: see hkm_reclaim_tick(). */
void __init hkm_reserve_init(void)
{
	unsigned int i;

	for (i = 0; i < HKM_MAX_NODES; i++)
		raw_spin_lock_init(&reserves[i].lock);
	hkm_reserve_fill();
}

/* After the last chunk's grace period. */
void hkm_reserve_exit(void)
{
	unsigned int i;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], 0);
}
