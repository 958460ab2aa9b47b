// SPDX-License-Identifier: GPL-2.0
/*
 * Fragments: where memory is in pieces, and no 64 KiB are free, the pages for one
 * block of a class are enough: 2^k pages, which hold one block, or two of 2 KiB.
 *
 * The map has one entry for 64 KiB. Where fragments lie, it names an area: a
 * chunk without blocks, which knows whose each page is. Most of them are not the
 * pool's. Its magic of 0 lets no address be a block, so that the hot path of free
 * has no test for areas: it takes a block of a fragment for an odd address, and
 * comes here from there. For the shared tier an area is a chunk of blocks of 2 KiB: it
 * has a slot for each place where a block of a fragment may start, and they are found
 * as any other's. Those of places where none starts are taken for ever.
 *
 * Who may do what:
 * - area_lock protects areas, and the map's entries from when they name an area
 *   until they name none again. While one does, no chunk can want the entry: an
 *   area has a page of its 64 KiB that is not free. It goes with its last fragment,
 *   before that one's pages are given back.
 * - Any context looks up, with preemption off: fragments and areas outlive a
 *   grace period once unlinked.
 * - A slot belongs to its block, as a chunk's do.
 */
#include <linux/container_of.h>
#include <linux/kmemleak.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "chunk.h"
#include "chunk_map.h"
#include "fragment.h"
#include "../include/hkm_compat.h"

#define AREA_PAGES	(1U << HKM_CHUNK_ORDER)
#define AREA_SLOTS	(HKM_CHUNK_BYTES / SZ_2K)

/**
 * struct area - what fragments of the same 64 KiB share
 * @fragment: per page, whose it is; NULL if not the pool's. Under area_lock
 * @nr_pages: pages that are the pool's. Under area_lock
 * @entry: what the map names
 */
struct area {
	struct hkm_chunk *fragment[AREA_PAGES];
	unsigned int nr_pages;
	struct hkm_chunk entry;
};

static DEFINE_RAW_SPINLOCK(area_lock);

static struct area *area_of(const struct hkm_chunk *entry)
{
	return container_of(entry, struct area, entry);
}

static struct hkm_slot *area_slot(struct area *area, const void *block)
{
	return &area->entry.slot[(block - area->entry.base) / SZ_2K];
}

static unsigned int area_page(const void *p)
{
	return ((unsigned long)p & (HKM_CHUNK_BYTES - 1)) >> PAGE_SHIFT;
}

static struct area *area_alloc(const void *p, gfp_t gfp)
{
	struct area *area;
	unsigned int i;

	area = kzalloc(struct_size(area, entry.slot, AREA_SLOTS), gfp);
	if (!area)
		return NULL;
	/* A slot is no reference to its block; fragments are named here only. */
	kmemleak_scan_area(area->fragment, sizeof(area->fragment), gfp);
	area->entry.base = (void *)((unsigned long)p & ~(HKM_CHUNK_BYTES - 1));
	area->entry.slot_magic = hkm_classes[HKM_CLASS_2K].magic;
	area->entry.order = HKM_CHUNK_ORDER;
	for (i = 0; i < AREA_SLOTS; i++) {
		area->entry.slot[i].block = area->entry.base + i * SZ_2K;
		area->entry.slot[i].link = HKM_LINK_END;
	}
	return area;
}

static void area_free_rcu(struct rcu_head *rcu)
{
	kfree(area_of(container_of(rcu, struct hkm_chunk, rcu)));
}

/* Makes a fragment's pages the pool's. Under area_lock. */
static void area_add(struct area *area, struct hkm_chunk *chunk)
{
	unsigned int nr = 1U << chunk->order, i;

	for (i = 0; i < chunk->nr_blocks; i++)
		WRITE_ONCE(area_slot(area, hkm_chunk_block(chunk, i))->link, HKM_LINK_NONE);
	for (i = 0; i < nr; i++)
		/* Pairs with the READ_ONCE() in hkm_fragment_lookup(). */
		smp_store_release(&area->fragment[area_page(chunk->base) + i],
				  chunk);
	area->nr_pages += nr;
}

/**
 * hkm_fragment_map() - make a fragment known
 * @chunk: the fragment
 * @gfp: for the area
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: false without memory, or, rarely, if others interfere.
 */
bool hkm_fragment_map(struct hkm_chunk *chunk, gfp_t gfp)
{
	struct hkm_chunk **entry = hkm_map_entry_get(chunk->base, gfp);
	struct area *fresh = NULL;
	unsigned long flags;
	bool mapped = true;

	if (!entry)
		return false;
	if (READ_ONCE(*entry) == &hkm_no_chunk) {
		fresh = area_alloc(chunk->base, gfp);
		if (!fresh)
			return false;
	}
	raw_spin_lock_irqsave(&area_lock, flags);
	if (*entry != &hkm_no_chunk) {
		area_add(area_of(*entry), chunk);
	} else if (fresh) {
		hkm_map_set(entry, 1, &fresh->entry);
		area_add(fresh, chunk);
		fresh = NULL;
	} else {
		/* The area that was there has gone. */
		mapped = false;
	}
	raw_spin_unlock_irqrestore(&area_lock, flags);
	kfree(fresh);
	return mapped;
}

/**
 * hkm_fragment_unmap() - make a fragment unknown
 * @chunk: the fragment, none of whose blocks is anybody's but the caller's
 *
 * Context: Any but NMI.
 */
void hkm_fragment_unmap(struct hkm_chunk *chunk)
{
	struct hkm_chunk **entry = hkm_map_entry(chunk->base);
	unsigned int nr = 1U << chunk->order, i;
	unsigned long flags;
	struct area *area;
	bool last;

	raw_spin_lock_irqsave(&area_lock, flags);
	area = area_of(*entry);
	for (i = 0; i < chunk->nr_blocks; i++)
		WRITE_ONCE(area_slot(area, hkm_chunk_block(chunk, i))->link, HKM_LINK_END);
	for (i = 0; i < nr; i++)
		WRITE_ONCE(area->fragment[area_page(chunk->base) + i], NULL);
	area->nr_pages -= nr;
	last = !area->nr_pages;
	if (last)
		hkm_map_set(entry, 1, &hkm_no_chunk);
	raw_spin_unlock_irqrestore(&area_lock, flags);
	if (last)
		call_rcu_hurry(&area->entry.rcu, area_free_rcu);
}

/**
 * hkm_fragment_lookup() - find the fragment that holds an address
 * @entry: what the map has for the address: an area, or &hkm_no_chunk
 * @p: the address
 *
 * Context: Any, with preemption off.
 * Return: the fragment, or &hkm_no_chunk.
 */
struct hkm_chunk *hkm_fragment_lookup(const struct hkm_chunk *entry, const void *p)
{
	struct hkm_chunk *chunk;

	if (entry == &hkm_no_chunk)
		return &hkm_no_chunk;
	/* Pairs with the smp_store_release() in area_add(). */
	chunk = READ_ONCE(area_of(entry)->fragment[area_page(p)]);
	return chunk ?: &hkm_no_chunk;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_fragment_lookup);

/**
 * hkm_area_dissolve() - visit the fragments of an area, for the last time
 * @entry: the area, which is freed
 * @fn: called for each fragment; frees it
 * @arg: handed to @fn
 *
 * Context: Unload only, when nobody else uses the pool.
 */
void hkm_area_dissolve(struct hkm_chunk *entry,
		       void (*fn)(struct hkm_chunk *chunk, void *arg), void *arg)
{
	struct area *area = area_of(entry);
	struct hkm_chunk *last = NULL;
	unsigned int i;

	for (i = 0; i < AREA_PAGES; i++) {
		struct hkm_chunk *chunk = area->fragment[i];

		if (chunk && chunk != last)
			fn(chunk, arg);
		last = chunk;
	}
	kfree(area);
}
