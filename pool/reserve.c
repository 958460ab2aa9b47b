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
#include <linux/list.h>
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
 * @pages: chunks, by page->lru
 * @nr_pages: their number
 * @nr_coming: chunks that a grace period has yet to end for
 * @descriptor: memory for descriptors, linked by chunk->next
 * @nr_descriptors: their number
 */
struct reserve {
	raw_spinlock_t lock;
	struct list_head pages;
	unsigned int nr_pages;
	unsigned int nr_coming;
	struct hkm_chunk *descriptor;
	unsigned int nr_descriptors;
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
	struct reserve *reserve = &reserves[node];
	struct page *page = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	if (reserve->nr_pages && reserve->nr_descriptors) {
		page = list_first_entry(&reserve->pages, struct page, lru);
		list_del(&page->lru);
		WRITE_ONCE(reserve->nr_pages, reserve->nr_pages - 1);
		*descriptor = reserve->descriptor;
		reserve->descriptor = (*descriptor)->next;
		WRITE_ONCE(reserve->nr_descriptors, reserve->nr_descriptors - 1);
		(*descriptor)->next = NULL;
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return page;
}

/**
 * hkm_reserve_claim() - tell whether a chunk is to be given back for the reserve
 * @chunk: the chunk, all of its blocks free
 *
 * Context: Any but NMI.
 * Return: true if the reserve wants it.
 */
bool hkm_reserve_claim(struct hkm_chunk *chunk)
{
	struct reserve *reserve = &reserves[hkm_bin_node(chunk->bin)];
	unsigned int target = reserve_target();
	unsigned long flags;

	if (chunk->order != HKM_CHUNK_ORDER || chunk->claimed)
		return chunk->claimed;
	raw_spin_lock_irqsave(&reserve->lock, flags);
	chunk->claimed = reserve->nr_pages + reserve->nr_coming < target;
	reserve->nr_coming += chunk->claimed;
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return chunk->claimed;
}

/**
 * hkm_reserve_put() - keep a chunk's pages
 * @page: the first of them; they were a chunk before
 * @claimed: hkm_reserve_claim() was true for it
 *
 * Context: Any but NMI.
 * Return: false if the reserve is full; then they are still the caller's.
 */
bool hkm_reserve_put(struct page *page, bool claimed)
{
	struct reserve *reserve = &reserves[page_to_nid(page) % HKM_MAX_NODES];
	unsigned int target = reserve_target();
	unsigned long flags;
	bool room;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	reserve->nr_coming -= claimed;
	room = reserve->nr_pages < target;
	if (room) {
		hkm_kasan_unpoison(page_address(page), HKM_CHUNK_BYTES);
		list_add(&page->lru, &reserve->pages);
		WRITE_ONCE(reserve->nr_pages, reserve->nr_pages + 1);
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return room;
}

static void descriptor_put(struct reserve *reserve, struct hkm_chunk *chunk)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	chunk->next = reserve->descriptor;
	reserve->descriptor = chunk;
	WRITE_ONCE(reserve->nr_descriptors, reserve->nr_descriptors + 1);
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
}

/**
 * hkm_reserve_missing() - tell what the reserve lacks
 * @node: index of a node
 *
 * Return: 64 KiB chunks, without those that are on their way.
 */
unsigned int hkm_reserve_missing(unsigned int node)
{
	struct reserve *reserve = &reserves[node];
	unsigned int target = reserve_target(), nr;
	unsigned long flags;

	raw_spin_lock_irqsave(&reserve->lock, flags);
	nr = reserve->nr_pages + reserve->nr_coming;
	raw_spin_unlock_irqrestore(&reserve->lock, flags);
	return target - min(nr, target);
}

static void descriptors_fill(struct reserve *reserve, unsigned int target, gfp_t gfp)
{
	struct hkm_chunk *chunk;

	while (READ_ONCE(reserve->nr_descriptors) < target) {
		chunk = kzalloc(hkm_chunk_descriptor_bytes(HKM_CHUNK_ORDER, HKM_MAX_BLOCKS),
				gfp);
		if (!chunk)
			return;
		descriptor_put(reserve, chunk);
	}
}

static void pages_fill(int nid, unsigned int target, gfp_t gfp)
{
	struct reserve *reserve = &reserves[nid % HKM_MAX_NODES];
	struct page *page;

	while (READ_ONCE(reserve->nr_pages) < target) {
		page = hkm_pages_get(nid, gfp | __GFP_COMP | __GFP_THISNODE,
				     HKM_CHUNK_ORDER);
		if (!page)
			return;
		if (!hkm_map_entry_get(page_address(page), gfp) ||
		    !hkm_reserve_put(page, false)) {
			__free_pages(page, HKM_CHUNK_ORDER);
			return;
		}
	}
}

/* Gives back what is over @target. */
static void reserve_drain(struct reserve *reserve, unsigned int target)
{
	struct hkm_chunk *chunk, *next, *rest = NULL;
	struct page *page, *tmp;
	unsigned long flags;
	LIST_HEAD(pages);

	raw_spin_lock_irqsave(&reserve->lock, flags);
	while (reserve->nr_pages > target) {
		list_move(reserve->pages.next, &pages);
		WRITE_ONCE(reserve->nr_pages, reserve->nr_pages - 1);
	}
	while (reserve->nr_descriptors > target) {
		chunk = reserve->descriptor;
		reserve->descriptor = chunk->next;
		WRITE_ONCE(reserve->nr_descriptors, reserve->nr_descriptors - 1);
		chunk->next = rest;
		rest = chunk;
	}
	raw_spin_unlock_irqrestore(&reserve->lock, flags);

	list_for_each_entry_safe(page, tmp, &pages, lru)
		__free_pages(page, HKM_CHUNK_ORDER);
	for (chunk = rest; chunk; chunk = next) {
		next = chunk->next;
		kfree(chunk);
	}
}

/**
 * hkm_reserve_prepare() - make ready what chunks in reserve need to be cut
 *
 * Context: Task; may sleep.
 */
void hkm_reserve_prepare(void)
{
	unsigned int target = reserve_target();
	int nid;

	for_each_node_state(nid, N_MEMORY)
		descriptors_fill(&reserves[nid % HKM_MAX_NODES], target,
				 GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_prepare);

/**
 * hkm_reserve_fill() - bring every node's reserve to what the policy says
 * @gfp: how hard to look for chunks; no more than GFP_KERNEL, and never for long
 *
 * Context: Task; may sleep.
 */
void hkm_reserve_fill(gfp_t gfp)
{
	unsigned int target = reserve_target(), i;
	int nid;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], target);
	hkm_reserve_prepare();
	for_each_node_state(nid, N_MEMORY)
		pages_fill(nid, target, gfp | __GFP_NOWARN | __GFP_NORETRY);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_fill);

/**
 * hkm_reserve_count() - tell what is in reserve
 *
 * Return: 64 KiB chunks that are ready, on all nodes.
 */
long hkm_reserve_count(void)
{
	unsigned int i;
	long nr = 0;

	for (i = 0; i < HKM_MAX_NODES; i++)
		nr += min(READ_ONCE(reserves[i].nr_pages),
			  READ_ONCE(reserves[i].nr_descriptors));
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reserve_count);

/* Memory for it may come later: see hkm_reclaim_tick(). */
void __init hkm_reserve_init(void)
{
	unsigned int i;

	for (i = 0; i < HKM_MAX_NODES; i++) {
		raw_spin_lock_init(&reserves[i].lock);
		INIT_LIST_HEAD(&reserves[i].pages);
	}
	hkm_reserve_fill(GFP_KERNEL);
}

/* After the last chunk's grace period. */
void hkm_reserve_exit(void)
{
	unsigned int i;

	for (i = 0; i < HKM_MAX_NODES; i++)
		reserve_drain(&reserves[i], 0);
}
