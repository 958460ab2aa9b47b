// SPDX-License-Identifier: GPL-2.0
/*
 * Trim: whole free chunks leave the shared tier.
 *
 * A pass over a bin takes its free blocks out of the shared tier by the same
 * pops that requests use, and groups them by chunk: each chunk has a private
 * chain for it. A chunk all of whose blocks came together is nobody else's, for
 * a block has one owner. It goes to the inventory, up to what may be kept, or to
 * the page allocator; the blocks of all others go back, a batch for each chunk. So
 * trim is one more caller of the shared tier. Requests never wait for it; one that
 * finds nothing while it holds the stock refills, at worst.
 *
 * Draining: where callers replace blocks one by one, what is free stays scattered
 * over chunks that hardly ever come to be whole. So, if far more blocks are scattered
 * than may be kept, the emptiest chunks drain: their home becomes a shard that is
 * searched last. Their freed blocks wait there for the others. A batch goes to its first
 * block's shard; while draining shards hold blocks, it is split.
 * Requests are served from the other chunks, which become fuller, and from these before
 * they would refill. At most half of the free blocks drain at a time: without others to
 * take their place, those just set free would be taken again.
 *
 * hkm_trim_lock protects passes and the chunks' private chains. Passes allocate
 * nothing and wait for nobody, and so may run in reclaim. When they do run is
 * reclaim.c's.
 */
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "chunk.h"
#include "freelist.h"
#include "inventory.h"
#include "reserve.h"
#include "trim.h"
#include "../include/hkm_compat.h"

DEFINE_MUTEX(hkm_trim_lock);	/* see above */
EXPORT_SYMBOL_IF_KUNIT(hkm_trim_lock);

/* Takes one pop's worth of blocks; their number. New chunks join @touched. */
static unsigned int collect_some(unsigned int bin,
				 struct hkm_chunk **touched)
{
	void *blocks[HKM_MAX_BLOCKS];
	unsigned int nr, i;

	preempt_disable();
	nr = hkm_freelist_pop(bin, 0, blocks, ARRAY_SIZE(blocks)) ?:
	     hkm_remote_drain(bin, 0, blocks, ARRAY_SIZE(blocks));
	for (i = 0; i < nr; i++) {
		struct hkm_chunk *chunk = hkm_chunk_lookup(blocks[i]);

		if (!hkm_chain_add(chunk, blocks[i]))
			continue;
		if (chunk->nr_free == 1) {
			chunk->next = *touched;
			*touched = chunk;
		}
	}
	preempt_enable();
	return nr;
}

/* Less than so many chunks of free blocks beyond twice CAP are let be. */
#define DRAIN_CHUNKS	64

/**
 * struct pass - what a pass over a bin may keep, and does
 * @keep: 64 KiB chunks
 * @most: 64 KiB chunks to give back; what else is free stays, whatever @keep
 * @kept_bytes: of what stays, in fragments
 * @scattered: free blocks in chunks that are not wholly free
 * @drain: these are too many
 * @half: of them; no more drain at once: these serve requests instead
 * @released_bytes: given back
 */
struct pass {
	long keep;
	long most;
	u64 kept_bytes;
	long scattered;
	bool drain;
	long half;
	u64 released_bytes;
};

/* 64 KiB chunks given back; what was in fragments is rounded up. */
static long chunks_released(const struct pass *pass)
{
	return DIV_ROUND_UP(pass->released_bytes, HKM_CHUNK_BYTES);
}

/* 64 KiB chunks that may stay, as things are. */
static long chunks_kept(const struct pass *pass)
{
	return chunks_released(pass) < pass->most ? pass->keep : LONG_MAX;
}

/* A fragment is kept where it is, after whole chunks. */
static bool fragment_stays(const struct hkm_chunk *chunk, struct pass *pass)
{
	long keep = chunks_kept(pass) - hkm_inventory_count(chunk->bin);

	if (!hkm_chunk_is_fragment(chunk) ||
	    (long)((pass->kept_bytes + hkm_chunk_bytes(chunk)) >> HKM_CHUNK_SHIFT) >= keep)
		return false;
	pass->kept_bytes += hkm_chunk_bytes(chunk);
	return true;
}

/* Blocks of so many chunks. */
static long chunk_blocks(unsigned int bin, long chunks)
{
	return (chunks >> hkm_classes[bin].span_order) * hkm_classes[bin].nr_blocks;
}

/* Free blocks that may stay scattered: what is kept in no other form. */
static long blocks_kept(unsigned int bin, const struct pass *pass)
{
	return chunk_blocks(bin, max(pass->keep - hkm_inventory_count(bin), 0L));
}

/* Has a chunk drain if, beside those that do, more is scattered than may stay. */
static void chunk_drain(struct hkm_chunk *chunk, struct pass *pass)
{
	bool drains = pass->drain && !hkm_chunk_is_fragment(chunk) &&
		      pass->scattered > max(blocks_kept(chunk->bin, pass), pass->half);

	if (drains)
		pass->scattered -= chunk->nr_free;
	WRITE_ONCE(chunk->home, (chunk->home & ~HKM_DRAINS) | (drains ? HKM_DRAINS : 0));
}

static void chunk_settle(struct hkm_chunk *chunk, struct pass *pass)
{
	if (chunk->nr_free < chunk->nr_blocks)
		chunk_drain(chunk, pass);
	if (chunk->nr_free < chunk->nr_blocks || fragment_stays(chunk, pass)) {
		preempt_disable();
		hkm_chain_push(chunk);
		preempt_enable();
		return;
	}
	if (!hkm_chunk_is_fragment(chunk) && !hkm_reserve_claim(chunk) &&
	    hkm_inventory_put(chunk, chunks_kept(pass)))
		return;
	pass->released_bytes += hkm_chunk_bytes(chunk);
	hkm_chunk_release(chunk);
}

/* Of each number of live blocks, chunks that drain and others. */
#define NR_RANKS	(2 * HKM_MAX_BLOCKS)

/*
 * Sorts a list of chunks by live blocks; those that drain come before their like, so
 * that they go on. Returns the free blocks beside live ones.
 */
static long chunks_sort(struct hkm_chunk *list, struct hkm_chunk *ranks[NR_RANKS])
{
	struct hkm_chunk *chunk;
	unsigned int live, rank;
	long scattered = 0;

	memset(ranks, 0, NR_RANKS * sizeof(*ranks));
	while ((chunk = list)) {
		list = chunk->next;
		live = chunk->nr_blocks - chunk->nr_free;
		rank = 2 * live + !(chunk->home & HKM_DRAINS);
		chunk->next = ranks[rank];
		ranks[rank] = chunk;
		if (live)
			scattered += chunk->nr_free;
		cond_resched();
	}
	return scattered;
}

/**
 * hkm_trim_bin_locked() - hkm_trim_bin() by a holder of hkm_trim_lock
 * @bin: the bin
 * @keep: 64 KiB chunks that may stay, in its inventory or else as fragments
 * @most: 64 KiB chunks to give back at most, but for the rest of a span; what else
 *	is free goes to the inventory
 *
 * Context: Task; may sleep.
 * Return: 64 KiB chunks given back; what was in fragments is rounded up.
 */
long hkm_trim_bin_locked(unsigned int bin, long keep, long most)
{
	/* All there could be: others push while this goes on. */
	u64 left = hkm_chunk_count(bin) * HKM_MAX_BLOCKS;
	struct hkm_chunk *touched = NULL, *ranks[NR_RANKS], *chunk;
	struct pass pass = { .keep = keep, .most = most };
	unsigned int nr, rank;

	lockdep_assert_held(&hkm_trim_lock);
	do {
		nr = collect_some(bin, &touched);
		left -= min_t(u64, left, nr);
		cond_resched();
	} while (nr && left);

	pass.released_bytes = (u64)hkm_inventory_shrink(bin, keep, most) << HKM_CHUNK_SHIFT;
	pass.scattered = chunks_sort(touched, ranks);
	pass.drain = pass.scattered > 2 * blocks_kept(bin, &pass) +
				      chunk_blocks(bin, DRAIN_CHUNKS);
	pass.half = pass.scattered / 2;
	for (rank = 0; rank < NR_RANKS; rank++) {
		while ((chunk = ranks[rank])) {
			ranks[rank] = chunk->next;
			chunk_settle(chunk, &pass);
			cond_resched();
		}
	}
	return chunks_released(&pass);
}

/**
 * hkm_trim_bin() - give back the whole chunks of the shared tier
 * @bin: the bin
 * @keep: 64 KiB chunks that may stay, in its inventory or else as fragments
 *
 * Context: Task; may sleep.
 * Return: 64 KiB chunks given back.
 */
long hkm_trim_bin(unsigned int bin, long keep)
{
	long nr;

	mutex_lock(&hkm_trim_lock);
	nr = hkm_trim_bin_locked(bin, keep, LONG_MAX);
	mutex_unlock(&hkm_trim_lock);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_trim_bin);
