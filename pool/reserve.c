// SPDX-License-Identifier: GPL-2.0
/*
 * Reserve: chunks kept on each node for callers that cannot sleep, and so cannot
 * wait until the page allocator has 64 KiB in one piece. A chunk comes with
 * memory for a descriptor and with room in the map, so that to cut it needs nothing
 * more. Those who may sleep never get any.
 *
 * The reserve is filled from the page allocator, at load and by reclaim's tick.
 * Where memory is in pieces that may be in vain for long; so a chunk that all
 * blocks have come back to fills it first, and may be kept for its class after that.
 */
#include <linux/gfp.h>
#include <linux/minmax.h>
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

/**
 * struct reserve - one node's
 * @lock: for all of it, but for reading the numbers
 * @first: descriptors, of which only @base and @next are set
 * @nr: their number
 * @nr_coming: chunks claimed that a grace period has yet to end for
 */
struct reserve {
	raw_spinlock_t lock;
	struct hkm_chunk *first;
	unsigned int nr;
	unsigned int nr_coming;
};

static struct reserve reserves[HKM_MAX_NODES];

static struct reserve *reserve_of(const struct page *page)
{
	return &reserves[page_to_nid(page) % HKM_MAX_NODES];
}

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
	/* Until here, whoever touches blocks that were freed shows. */
	hkm_kasan_unpoison(chunk->base, HKM_CHUNK_BYTES);
	chunk->base = NULL;
	chunk->next = NULL;
	*descriptor = chunk;
	return page;
}

/**
 * hkm_reserve_claim() - tell whether a chunk is to be given back for the reserve
 * @chunk: the chunk, all of its blocks free
 *
 * Context: Any but NMI.
 * Return: true if the reserve wants it, and then waits for it.
 */
bool hkm_reserve_claim(struct hkm_chunk *chunk)
{
	struct reserve *reserve = &reserves[hkm_bin_node(chunk->bin)];
	unsigned int target = reserve_target();
	unsigned long flags;

	if (chunk->order != HKM_CHUNK_ORDER || chunk->claimed)
		return chunk->claimed;
	raw_spin_lock_irqsave(&reserve->lock, flags);
	chunk->claimed = reserve->nr + reserve->nr_coming < target;
	WRITE_ONCE(reserve->nr_coming, reserve->nr_coming + chunk->claimed);
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return chunk->claimed;
}

/**
 * hkm_reserve_unclaim() - do not wait for a chunk any more
 * @page: the first of its pages, which are lost
 *
 * Context: Any but NMI.
 */
void hkm_reserve_unclaim(const struct page *page)
{
	struct reserve *reserve = reserve_of(page);
	unsigned long flags;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	WRITE_ONCE(reserve->nr_coming, reserve->nr_coming - 1);
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
}

/**
 * hkm_reserve_put() - keep a chunk's pages
 * @page: the first of them; they were a chunk before
 * @claimed: hkm_reserve_claim() was true for it
 * @gfp: for the descriptor
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: false if the reserve is full, or without memory; then they are still the
 * caller's.
 */
bool hkm_reserve_put(struct page *page, bool claimed, gfp_t gfp)
{
	struct reserve *reserve = reserve_of(page);
	unsigned int target = reserve_target();
	struct hkm_chunk *chunk;
	unsigned long flags;
	bool room;

	chunk = kzalloc(hkm_chunk_descriptor_bytes(HKM_CHUNK_ORDER, HKM_MAX_BLOCKS), gfp);
	if (chunk)
		chunk->base = page_address(page);
	raw_spin_lock_irqsave(&reserve->lock, flags);
	WRITE_ONCE(reserve->nr_coming, reserve->nr_coming - claimed);
	room = chunk && reserve->nr < target;
	if (room) {
		chunk->next = reserve->first;
		reserve->first = chunk;
		WRITE_ONCE(reserve->nr, reserve->nr + 1);
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	if (!room)
		kfree(chunk);
	return room;
}

/**
 * hkm_reserve_missing() - tell what the reserve lacks
 * @node: index of a node
 *
 * Context: Any.
 * Return: 64 KiB chunks, without those that are on their way.
 */
unsigned int hkm_reserve_missing(unsigned int node)
{
	const struct reserve *reserve = &reserves[node];
	unsigned int target = reserve_target();
	unsigned int nr = READ_ONCE(reserve->nr) + READ_ONCE(reserve->nr_coming);

	return node_state(node, N_NORMAL_MEMORY) ? target - min(nr, target) : 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_missing);

static void reserve_fill(int nid, unsigned int target, gfp_t gfp)
{
	const struct reserve *reserve = &reserves[nid % HKM_MAX_NODES];
	struct page *page;

	while (READ_ONCE(reserve->nr) < target) {
		page = hkm_pages_get(nid, gfp | __GFP_COMP | __GFP_THISNODE, HKM_CHUNK_ORDER);
		if (!page)
			return;
		if (!hkm_map_entry_get(page_address(page), gfp) ||
		    !hkm_reserve_put(page, false, gfp)) {
			hkm_pages_put(page, HKM_CHUNK_ORDER);
			return;
		}
	}
}

/* Gives back what is over @target. */
static void reserve_drain(struct reserve *reserve, unsigned int target)
{
	struct hkm_chunk *chunk;

	while ((chunk = reserve_take(reserve, target))) {
		hkm_pages_put(virt_to_page(chunk->base), HKM_CHUNK_ORDER);
		kfree(chunk);
	}
}

/**
 * hkm_reserve_fill() - bring every node's reserve to what the policy says
 * @gfp: how hard to try; no more than GFP_KERNEL, and never for long
 *
 * Context: Task; may sleep if @gfp allows.
 */
void hkm_reserve_fill(gfp_t gfp)
{
	unsigned int target = reserve_target(), i;
	int nid;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], target);
	for_each_node_state(nid, N_NORMAL_MEMORY)
		reserve_fill(nid, target, gfp | __GFP_NOWARN | __GFP_NORETRY);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_fill);

/**
 * hkm_reserve_count() - tell what is in reserve
 *
 * Context: Any.
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
	hkm_reserve_fill(GFP_KERNEL);
}

/* After the last chunk's grace period. */
void hkm_reserve_exit(void)
{
	unsigned int i;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], 0);
}
