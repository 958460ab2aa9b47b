// SPDX-License-Identifier: GPL-2.0
/*
 * Slow path of allocation.
 *
 * A request does each of these at most once, and so never loops: active pages,
 * one batch of the shared tier, one refill. The refill asks the page allocator
 * outside any busy section, since it may sleep, and then installs what it got
 * on whichever CPU it is on by then: the caller's block first, active pages A
 * and B, the ring, and what is left goes to the shared tier.
 *
 * Page requests never try hard (__GFP_NORETRY): where no order-4 page is at
 * hand, kmalloc() may still find a smaller one, and has the caller's own flags
 * to decide how hard to look. Only the first span of a refill may reclaim, and
 * none may use the emergency reserves.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "harden.h"
#include "refill.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

/* Flags of the caller that say how hard to try, which refill does not. */
#define HKM_GFP_EFFORT	(__GFP_NOFAIL | __GFP_RETRY_MAYFAIL | __GFP_MEMALLOC | \
			 __GFP_HIGH)

/* Spreads the blocks of @run over ring and shared tier. */
static void run_scatter(struct hkm_cpu *cpu, unsigned int class_id,
			struct hkm_run *run)
{
	u32 size = hkm_classes[class_id].size_bytes;
	void *blocks[HKM_MAX_BLOCKS];
	unsigned int nr = 0;

	for (; run->next < run->end; run->next += size) {
		if (!hkm_cpu_park(cpu, class_id, run->next))
			blocks[nr++] = run->next;
	}
	if (nr)
		hkm_freelist_push(class_id, blocks, nr);
}

/**
 * hkm_alloc_refill() - serve a request with new pages
 * @class_id: class of the request
 * @home: shard of its call site
 * @gfp: the caller's flags
 * @zeroed: set if the block is known to be clear
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: a block, or NULL if the page allocator has no chunk to spare.
 */
void *hkm_alloc_refill(unsigned int class_id, unsigned int home, gfp_t gfp,
		       bool *zeroed)
{
	struct hkm_chunk *chunk[HKM_SPAN_MAX_CHUNKS];
	unsigned int bundle, nr, i;
	struct hkm_cpu *cpu;
	struct hkm_run run;
	void *block;

	/* Blocks of a chunk live longer than this request: see run_pop(). */
	run.zeroed = want_init_on_alloc(gfp);
	gfp = (gfp & ~HKM_GFP_EFFORT) | __GFP_NORETRY | __GFP_NOMEMALLOC;

	preempt_disable();
	bundle = rcu_dereference_sched(hkm_policy)->bundle[class_id];
	preempt_enable();

	for (nr = 0; nr < bundle; nr++) {
		chunk[nr] = hkm_chunk_create(class_id, home, gfp);
		if (!chunk[nr])
			break;
		gfp &= ~__GFP_DIRECT_RECLAIM;
	}
	if (!nr)
		return NULL;

	preempt_disable();
	cpu = hkm_cpu_enter();
	block = chunk[0]->base;
	for (i = 0; i < nr; i++) {
		u32 size = hkm_classes[class_id].size_bytes;

		hkm_count(class_id, HKM_refills);
		run.next = chunk[i]->base + (i ? 0 : size);
		run.end = chunk[i]->base + chunk[i]->nr_blocks * size;
		run.span_bytes = HKM_CHUNK_BYTES << chunk[i]->span_order;
		/* A run of one block is not worth an active page. */
		if (cpu == &hkm_cpu_busy || run.end - run.next <= size ||
		    !hkm_cpu_install(cpu, class_id, &run))
			run_scatter(cpu, class_id, &run);
	}
	hkm_count(class_id, HKM_slow_allocs);
	hkm_count(class_id, HKM_refill_allocs);
	hkm_cpu_leave(cpu);
	preempt_enable();

	*zeroed = run.zeroed;
	return block;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_alloc_refill);

/*
 * Unload. Everybody who could call in is gone, so that a block is either in the
 * pool's hands or still a caller's.
 */
static void block_collect(void *block)
{
	struct hkm_chunk *chunk = hkm_chunk_lookup(block);
	unsigned int index;

	hkm_block_index(block - chunk->base, chunk->magic, &index);
	if (chunk->slot[index].link == HKM_LINK_NONE) {
		chunk->slot[index].link = HKM_LINK_END;
		chunk->nr_free++;
	}
}

/* Frees the chunk if it is whole; else names its live blocks. */
static void chunk_retire(struct hkm_chunk *chunk, void *arg)
{
	const struct hkm_class *cl = &hkm_classes[chunk->class_id];
	unsigned int *live = arg, i;

	if (chunk->nr_free == chunk->nr_blocks) {
		hkm_chunk_release(chunk);
		return;
	}
	for (i = 0; i < chunk->nr_blocks; i++) {
		if (chunk->slot[i].link != HKM_LINK_NONE)
			continue;
		if ((*live)++ < 32)
			pr_err("still in use: %px, class %s, %u bytes\n",
			       chunk->base + i * cl->size_bytes, cl->name,
			       cl->size_bytes);
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
	void *blocks[HKM_RING_SLOTS];
	unsigned int live = 0, id, nr;
	int i;

	for_each_possible_cpu(i) {
		preempt_disable();
		hkm_cpu_drain(per_cpu_ptr(hkm_cpus, i));
		preempt_enable();
	}
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		do {
			preempt_disable();
			nr = hkm_freelist_pop(id, 0, blocks, ARRAY_SIZE(blocks)) ?:
			     hkm_remote_drain(id, 0, blocks, ARRAY_SIZE(blocks));
			for (i = 0; i < nr; i++)
				block_collect(blocks[i]);
			preempt_enable();
			cond_resched();
		} while (nr);
	}

	hkm_chunk_for_each(chunk_retire, &live);
	if (live)
		pr_err("%u blocks still in use; their memory stays allocated\n",
		       live);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_pool_drain);
