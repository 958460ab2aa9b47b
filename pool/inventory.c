// SPDX-License-Identifier: GPL-2.0
/*
 * Inventory: whole free chunks that are kept, per bin, so that a burst need
 * not go to the page allocator. Trim puts them there, up to the class's CAP on
 * each node; refill takes them, in any context but NMI; the shrinker gives them
 * back.
 *
 * A chunk in the inventory has all its blocks free, on its private chain: a double
 * free of one that the key missed is refused here too. The chunk belongs to the
 * list. Off the hot path by two tiers, so that a lock will do.
 */
#include <linux/spinlock.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "inventory.h"
#include "../include/hkm_compat.h"

struct inventory {
	raw_spinlock_t lock;
	struct hkm_chunk *first;	/* linked by chunk->next; under lock */
	long nr_chunks;			/* of 64 KiB; written under lock */
	long nr_blocks;			/* in these; written under lock */
};

static struct inventory inventories[HKM_MAX_BINS] = {
	[0 ... HKM_MAX_BINS - 1] = {
		.lock = __RAW_SPIN_LOCK_UNLOCKED(inventories.lock),
	},
};

/* Under the lock, so that moving blocks are counted in the same section. */
static void inventory_count(struct inventory *inv, const struct hkm_chunk *chunk,
			    int sign)
{
	WRITE_ONCE(inv->nr_chunks, inv->nr_chunks + sign * (long)hkm_chunk_span(chunk));
	WRITE_ONCE(inv->nr_blocks, inv->nr_blocks + sign * chunk->nr_blocks);
	hkm_count_moving(chunk->bin, -sign * chunk->nr_blocks);
}

static struct hkm_chunk *inventory_take(unsigned int bin)
{
	struct inventory *inv = &inventories[bin];
	struct hkm_chunk *chunk;
	unsigned long flags;

	if (!READ_ONCE(inv->nr_chunks))
		return NULL;
	raw_spin_lock_irqsave(&inv->lock, flags);
	chunk = inv->first;
	if (chunk) {
		inv->first = chunk->next;
		inventory_count(inv, chunk, -1);
	}
	raw_spin_unlock_irqrestore(&inv->lock, flags);
	return chunk;
}

/**
 * hkm_inventory_get() - take a chunk
 * @bin: its class
 *
 * Context: Any but NMI.
 * Return: a chunk whose blocks are all the caller's, or NULL.
 */
struct hkm_chunk *hkm_inventory_get(unsigned int bin)
{
	struct hkm_chunk *chunk = inventory_take(bin);

	if (chunk)
		hkm_chain_clear(chunk);
	return chunk;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_inventory_get);

/**
 * hkm_inventory_put() - keep a chunk
 * @chunk: the chunk, all its blocks the caller's and on its private chain
 * @keep: most 64 KiB chunks that its bin may keep
 *
 * Context: Any but NMI.
 * Return: false if there is no room; then it is still the caller's.
 */
bool hkm_inventory_put(struct hkm_chunk *chunk, long keep)
{
	struct inventory *inv = &inventories[chunk->bin];
	long nr = hkm_chunk_span(chunk);
	unsigned long flags;
	bool room;

	raw_spin_lock_irqsave(&inv->lock, flags);
	room = inv->nr_chunks + nr <= keep;
	if (room) {
		chunk->next = inv->first;
		inv->first = chunk;
		inventory_count(inv, chunk, 1);
	}
	raw_spin_unlock_irqrestore(&inv->lock, flags);
	return room;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_inventory_put);

/**
 * hkm_inventory_shrink() - give chunks back to the page allocator
 * @bin: their bin
 * @keep: 64 KiB chunks that may stay
 * @most: 64 KiB chunks to give back at most, but for the rest of a span
 *
 * Context: Any but NMI.
 * Return: 64 KiB chunks given back.
 */
long hkm_inventory_shrink(unsigned int bin, long keep, long most)
{
	struct hkm_chunk *chunk;
	long nr = 0;

	while (nr < most && hkm_inventory_count(bin) > keep) {
		chunk = inventory_take(bin);
		if (!chunk)
			break;
		nr += hkm_chunk_span(chunk);
		hkm_chunk_release(chunk);
	}
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_inventory_shrink);

/**
 * hkm_inventory_count() - tell what a bin keeps
 * @bin: the bin
 *
 * Context: Any.
 * Return: 64 KiB chunks.
 */
long hkm_inventory_count(unsigned int bin)
{
	return READ_ONCE(inventories[bin].nr_chunks);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_inventory_count);

/**
 * hkm_inventory_blocks() - tell how many blocks the kept chunks have
 * @bin: the bin
 *
 * Context: Any.
 * Return: their number.
 */
long hkm_inventory_blocks(unsigned int bin)
{
	return READ_ONCE(inventories[bin].nr_blocks);
}
