// SPDX-License-Identifier: GPL-2.0
/*
 * Slow path of allocation.
 *
 * A request does each of these at most once, and so never loops: active pages,
 * one batch of the shared tier, one refill; where there are several nodes, the first
 * two on each, and two refills. A refill asks the page allocator
 * outside any busy section, since it may sleep, and then installs what it got
 * on whichever CPU it is on by then: the caller's block first, active pages A
 * and B, the ring, and what is left goes to the shared tier.
 *
 * Page requests never try hard (__GFP_NORETRY): kmalloc() comes after them, and has
 * the caller's own flags to decide how hard to look. Only the first span of a refill
 * may reclaim, and not that if the inventory had one; none may use the emergency
 * reserves.
 */
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <trace/events/hakmem.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "debug.h"
#include "freelist.h"
#include "harden.h"
#include "inventory.h"
#include "reclaim.h"
#include "refill.h"
#include "trim.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

/* Flags of the caller that say how hard to try, which refill does not. */
#define HKM_GFP_EFFORT	(__GFP_NOFAIL | __GFP_RETRY_MAYFAIL | __GFP_MEMALLOC | \
			 __GFP_HIGH)

/* Lists the blocks of @run, one at least, in random order if so asked. */
static unsigned int run_list(const struct hkm_run *run, u32 size, void **blocks,
			     struct rnd_state *rnd)
{
	unsigned int nr = 0, i;
	void *block = run->next;

	do {
		i = nr;
		if (hkm_random_order) {
			i = prandom_u32_state(rnd) % (nr + 1);
			blocks[nr] = blocks[i];
		}
		blocks[i] = block;
		nr++;
		block += size;
	} while (block < run->end);
	return nr;
}

/* Spreads blocks over ring and shared tier. */
static void blocks_scatter(struct hkm_cpu *cpu, unsigned int bin,
			   void **blocks, unsigned int nr)
{
	while (nr && hkm_cpu_park(cpu, bin, *blocks)) {
		blocks++;
		nr--;
	}
	if (nr)
		hkm_freelist_push(bin, blocks, nr);
}

/*
 * Finds a place for the blocks of a new chunk, which are the caller's, but for
 * one if @block asks for it.
 */
static void chunk_install(struct hkm_cpu *cpu, const struct hkm_chunk *chunk,
			  bool zeroed, void **block, struct rnd_state *rnd)
{
	unsigned int bin = chunk->bin, nr;
	u32 size = hkm_classes[bin].size_bytes;
	void *list[HKM_MAX_BLOCKS], **blocks = list;
	struct hkm_run run = {
		.next = chunk->base,
		.end = chunk->base + chunk->nr_blocks * size,
		.span_bytes = hkm_chunk_bytes(chunk),
		.zeroed = zeroed,
	};

	if (block && !hkm_random_order) {
		*block = run.next;
		run.next += size;
		if (run.next == run.end)
			return;
		block = NULL;
	}
	/* A run of one block is not worth an active page. */
	if (!hkm_random_order && cpu != &hkm_cpu_busy &&
	    run.end - run.next > size && hkm_cpu_install(cpu, bin, &run))
		return;
	nr = run_list(&run, size, list, rnd);
	if (block) {
		*block = *blocks++;
		nr--;
	}
	blocks_scatter(cpu, bin, blocks, nr);
}

/*
 * Stocks the tiers with chunks, of which the first @nr_old are no longer clear.
 * Returns a block of the first.
 */
static void *chunks_install(struct hkm_chunk **chunk, unsigned int nr,
			    unsigned int nr_old, bool clear)
{
	struct rnd_state rnd;
	struct hkm_cpu *cpu;
	void *block = NULL;
	unsigned int i;

	/* Not inside the section: the kernel's generator takes a lock. */
	if (hkm_random_order)
		prandom_seed_state(&rnd, get_random_u64());
	preempt_disable();
	cpu = hkm_cpu_enter();
	for (i = 0; i < nr; i++) {
		bool old = i < nr_old;

		hkm_count(chunk[i]->bin, old ? HKM_reuses : HKM_refills);
		hkm_count_moving(chunk[i]->bin, -(long)chunk[i]->nr_blocks);
		/* Blocks of a chunk live longer than this request: see run_pop(). */
		chunk_install(hkm_cpu_own(cpu), chunk[i], clear && !old,
			      i ? NULL : &block, &rnd);
	}
	hkm_count(chunk[0]->bin, HKM_slow_allocs);
	hkm_count(chunk[0]->bin, HKM_refill_allocs);
	hkm_cpu_leave(cpu);
	preempt_enable();
	return block;
}

/**
 * hkm_alloc_refill() - serve a request with new pages
 * @bin: bin that it would be served from
 * @home: shard of its call site
 * @nid: node to ask for pages; NUMA_NO_NODE for any
 * @gfp: the caller's flags
 * @zeroed: set if the block is known to be clear
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: a block, or NULL if the page allocator has no chunk to spare.
 */
void *hkm_alloc_refill(unsigned int bin, unsigned int home, int nid, gfp_t gfp,
		       bool *zeroed)
{
	struct hkm_chunk *chunk[HKM_SPAN_MAX_CHUNKS];
	bool clear = want_init_on_alloc(gfp) && !(hkm_debug & HKM_DEBUG_POISON);
	unsigned int bundle, nr, nr_old;

	gfp = (gfp & ~HKM_GFP_EFFORT) | __GFP_NORETRY | __GFP_NOMEMALLOC;

	preempt_disable();
	bundle = rcu_dereference_sched(hkm_policy)->bundle[hkm_bin_class(bin)];
	preempt_enable();

	for (nr = 0; nr < bundle; nr++) {
		chunk[nr] = hkm_inventory_get(bin);
		if (!chunk[nr])
			break;
		WRITE_ONCE(chunk[nr]->home, home);
	}
	nr_old = nr;
	if (nr)
		gfp &= ~__GFP_DIRECT_RECLAIM;
	/* Who cannot sleep does not wait until more than one span is cleared. */
	if (hkm_reclaim_at_cap(bin) ||
	    (clear && !(gfp & (__GFP_DIRECT_RECLAIM | __GFP_IO))))
		bundle = 1;
	for (; nr < bundle; nr++) {
		chunk[nr] = hkm_chunk_create(bin, home, nid, gfp);
		if (!chunk[nr])
			break;
		trace_refill(chunk[nr]->bin, chunk[nr]->base,
			     hkm_chunk_bytes(chunk[nr]));
		gfp &= ~__GFP_DIRECT_RECLAIM;
	}
	if (!nr)
		return NULL;
	hkm_reclaim_kick();
	*zeroed = clear && !nr_old;
	return chunks_install(chunk, nr, nr_old, clear);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_alloc_refill);

/**
 * hkm_alloc_kept() - serve a request from the inventory, or not at all
 * @bin: bin of the block
 * @home: shard of the call site
 *
 * Context: Any but NMI.
 * Return: a block, or NULL if no chunk is kept.
 */
void *hkm_alloc_kept(unsigned int bin, unsigned int home)
{
	struct hkm_chunk *chunk = hkm_inventory_get(bin);

	if (!chunk)
		return NULL;
	WRITE_ONCE(chunk->home, home);
	return chunks_install(&chunk, 1, 1, false);
}

/**
 * hkm_alloc_reserved() - serve a request from the reserve, or not at all
 * @bin: bin of the block
 * @home: shard of the call site
 *
 * Context: Any but NMI.
 * Return: a block, or NULL if the reserve of the bin's node is empty or does not
 * fit.
 */
void *hkm_alloc_reserved(unsigned int bin, unsigned int home)
{
	struct hkm_chunk *chunk = hkm_chunk_create_reserved(bin, home);

	if (!chunk)
		return NULL;
	trace_refill(bin, chunk->base, hkm_chunk_bytes(chunk));
	hkm_count(bin, HKM_reserve_refills);
	hkm_reclaim_kick();
	return chunks_install(&chunk, 1, 1, false);
}

/*
 * Unload, after the last trim: what is left has live blocks. Names them. The
 * others are in the shared tier, and so are in a chain.
 */
static void chunk_abandon(struct hkm_chunk *chunk, void *arg)
{
	const struct hkm_class *cl = &hkm_classes[chunk->bin];
	unsigned int *live = arg, i;

	for (i = 0; i < chunk->nr_blocks; i++) {
		void *block = hkm_chunk_block(chunk, i);
		const struct hkm_track *track = hkm_debug_track(chunk, block);
		const struct hkm_slot *slot;

		slot = hkm_block_slot(rcu_dereference_protected(hkm_map, true), block,
				      (unsigned long)block - PAGE_OFFSET);
		if (slot->link != HKM_LINK_NONE || (*live)++ >= 32)
			continue;
		if (track)
			pr_err("still in use: %px, class %s, %u bytes, allocated by %pS\n",
			       block, cl->name, cl->size_bytes,
			       (void *)track->alloc_site);
		else
			pr_err("still in use: %px, class %s, %u bytes\n",
			       block, cl->name, cl->size_bytes);
	}
	kfree(chunk);
}

/**
 * hkm_pool_drain() - give every chunk back
 *
 * Chunks with live blocks are named and stay allocated for good: their users
 * must not be left with memory that belongs to somebody else.
 *
 * Context: Unload only, when nobody else uses the pool.
 */
void hkm_pool_drain(void)
{
	unsigned int live = 0, bin;
	int i;

	for_each_possible_cpu(i) {
		preempt_disable();
		hkm_cpu_flush_all(hkm_cpu_of(i));
		preempt_enable();
	}
	for (bin = 0; bin < hkm_nr_bins; bin++)
		hkm_trim_bin(bin, 0);
	/* The last look at what is released, which may report a client's mistake. */
	rcu_barrier();

	hkm_chunk_for_each(chunk_abandon, &live);
	if (live)
		pr_err("%u blocks still in use; their memory stays allocated\n",
		       live);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_pool_drain);
