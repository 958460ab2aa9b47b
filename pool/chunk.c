// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks: pages from the page allocator, cut into blocks, and back to it.
 *
 * Pages and descriptors are given back after a grace period, because a popper
 * of the shared tier may still look at a chunk that has just gone; see
 * freelist.c.
 */
#include <linux/atomic.h>
#include <linux/kmemleak.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/page_ref.h>
#include <linux/slab.h>
#include <trace/events/hakmem.h>

#include "chunk.h"
#include "chunk_map.h"
#include "cpu_cache.h"
#include "debug.h"
#include "fragment.h"
#include "harden.h"
#include "reserve.h"
#include "tools.h"
#include "../include/hkm_compat.h"

/* Pages held, per bin. */
static atomic_long_t nr_pages[HKM_MAX_BINS];
/* Of these, bytes behind the last block of a chunk. */
static atomic_long_t unusable_bytes[HKM_MAX_BINS];
/* Pages of released chunks that a grace period has yet to end for. */
static atomic_long_t pages_leaving;

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: chunks that can be had before one cannot; < 0: no limit. */
int hkm_test_pages_left = -1;
EXPORT_SYMBOL_IF_KUNIT(hkm_test_pages_left);
/* Test hook: the page allocator has nothing of a higher order. */
unsigned int hkm_test_order_max = UINT_MAX;
EXPORT_SYMBOL_IF_KUNIT(hkm_test_order_max);

/* Test hook: called before the page allocator is asked. */
void (*hkm_test_pages_wait)(void);
EXPORT_SYMBOL_IF_KUNIT(hkm_test_pages_wait);

static void test_pages_wait(void)
{
	typeof(hkm_test_pages_wait) wait = READ_ONCE(hkm_test_pages_wait);

	if (unlikely(wait))
		wait();
}

static bool test_chunk_fails(void)
{
	if (likely(hkm_test_pages_left < 0))
		return false;
	return !hkm_test_pages_left || !hkm_test_pages_left--;
}

static bool test_order_fails(unsigned int order)
{
	return order > READ_ONCE(hkm_test_order_max);
}
#else
static void test_pages_wait(void) { }

static bool test_chunk_fails(void)
{
	return false;
}

static bool test_order_fails(unsigned int order)
{
	return false;
}
#endif

/**
 * hkm_pages_get() - ask the page allocator
 * @nid: node to ask, or NUMA_NO_NODE for what the task's policy says
 * @gfp: how hard to try
 * @order: of the pages
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: the pages, or NULL.
 */
struct page *hkm_pages_get(int nid, gfp_t gfp, unsigned int order)
{
	struct page *page;

	test_pages_wait();
	if (test_order_fails(order))
		return NULL;
	page = nid == NUMA_NO_NODE ? alloc_pages(gfp, order) :
				     alloc_pages_node(nid, gfp, order);
	/* A late free of their first byte must not be taken for kmalloc()'s. */
	if (page)
		set_page_private(page, 1);
	return page;
}

/*
 * Pages to cut blocks of a class from: a whole span, or else one chunk, or else just
 * what a block needs. Reclaim is for the last of these, which the request cannot do
 * without; as SLUB has it.
 */
static struct page *pages_find(const struct hkm_class *cl, int nid, gfp_t gfp,
			       unsigned int *order)
{
	unsigned int least = get_order(cl->size_bytes);
	struct page *page;

	*order = HKM_CHUNK_ORDER + cl->span_order;
	while (*order > least) {
		page = hkm_pages_get(nid, gfp & ~__GFP_DIRECT_RECLAIM, *order);
		if (page)
			return page;
		*order = *order > HKM_CHUNK_ORDER ? HKM_CHUNK_ORDER : least;
	}
	return hkm_pages_get(nid, gfp, least);
}

static unsigned int blocks_in(unsigned int order, const struct hkm_class *cl)
{
	return (PAGE_SIZE << order) / cl->size_bytes;
}

static bool chunk_map(struct hkm_chunk *chunk, gfp_t gfp)
{
	struct hkm_chunk **entry;

	if (hkm_chunk_is_fragment(chunk))
		return hkm_fragment_map(chunk, gfp);
	/* A span is naturally aligned, and so never crosses a leaf. */
	entry = hkm_map_entry_get(chunk->base, gfp);
	if (!entry)
		return false;
	hkm_map_set(entry, hkm_chunk_span(chunk), chunk);
	return true;
}

static void chunk_unmap(struct hkm_chunk *chunk)
{
	if (hkm_chunk_is_fragment(chunk))
		hkm_fragment_unmap(chunk);
	else
		hkm_map_set(hkm_map_entry(chunk->base), hkm_chunk_span(chunk),
			    &hkm_no_chunk);
}

/* Bytes behind the last block. */
static long chunk_rest(const struct hkm_chunk *chunk)
{
	return hkm_chunk_bytes(chunk) -
	       chunk->nr_blocks * hkm_classes[chunk->bin].size_bytes;
}

/* A chunk comes, or with @sign -1 goes; its blocks are in no tier. */
static void chunk_account(const struct hkm_chunk *chunk, int sign)
{
	/* In one section: see hkm_count_shared(). */
	preempt_disable();
	atomic_long_add(sign * (1L << chunk->order), &nr_pages[chunk->bin]);
	atomic_long_add(sign * chunk_rest(chunk), &unusable_bytes[chunk->bin]);
	hkm_count_moving(chunk->bin, sign * chunk->nr_blocks);
	preempt_enable();
}

/*
 * Cuts pages into blocks, by a descriptor that is all zero, and makes them known.
 * All blocks are marked as free, also those that will be handed out unused: a
 * free of one that is not live is then refused. False without memory for that.
 */
static bool chunk_set_up(struct hkm_chunk *chunk, struct page *page,
			 unsigned int order, unsigned int bin,
			 unsigned int home, gfp_t gfp)
{
	const struct hkm_class *cl = &hkm_classes[bin];
	unsigned int nr = blocks_in(order, cl), i;
	unsigned long rest;

	/*
	 * A slot is no reference to its block. (Nor is the rcu_head then, in a
	 * chunk that is on its way out, to the next callback's; but not for long.)
	 */
	kmemleak_no_scan(chunk);
	chunk->base = page_address(page);
	chunk->magic = cl->magic;
	chunk->slot_magic = cl->magic;
	chunk->ring_offset = bin * sizeof(struct hkm_ring);
	chunk->bin = bin;
	chunk->home = home;
	chunk->order = order;
	chunk->nr_blocks = nr;
	chunk->chain = HKM_LINK_END;
	if (unlikely(hkm_debug))
		hkm_debug_create(chunk);
	for (i = 0; i < nr; i++)
		hkm_block_mark(hkm_chunk_block(chunk, i));
	/*
	 * The rest behind the last block starts at a multiple of the block size
	 * too. Marked as free for ever, it is refused like a double free.
	 */
	rest = chunk_rest(chunk);
	if (rest)
		hkm_block_mark(hkm_chunk_block(chunk, nr));
	if (!hkm_chunk_is_fragment(chunk)) {
		for (i = 0; i <= nr; i++)
			chunk->slot[i].block = hkm_chunk_block(chunk, i);
		chunk->slot[nr].link = HKM_LINK_END;
	}

	if (!chunk_map(chunk, gfp))
		return false;
	page_ref_add(page, HKM_PAGE_REFS);
	for (i = 0; i < nr; i++)
		hkm_kasan_poison(hkm_chunk_block(chunk, i), cl->size_bytes);
	if (rest)
		hkm_kasan_poison(hkm_chunk_block(chunk, nr), rest);
	chunk_account(chunk, 1);
	return true;
}

/**
 * hkm_pages_put() - give pages back to the page allocator
 * @page: the first of them
 * @order: of them
 *
 * Context: Any but NMI.
 */
void hkm_pages_put(struct page *page, unsigned int order)
{
	set_page_private(page, 0);
	__free_pages(page, order);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_pages_put);

/**
 * hkm_chunk_descriptor_bytes() - size of a chunk's descriptor
 * @order: of its pages
 * @nr_blocks: blocks in it
 *
 * Return: bytes.
 */
size_t hkm_chunk_descriptor_bytes(unsigned int order, unsigned int nr_blocks)
{
	unsigned int nr_slots = order < HKM_CHUNK_ORDER ? 0 : nr_blocks + 1;
	const struct hkm_chunk *chunk;

	return struct_size(chunk, slot, nr_slots) + hkm_debug_track_bytes(nr_blocks);
}

/**
 * hkm_chunk_create() - take pages and make them known
 * @bin: bin to cut them for; what is got from another node is that node's
 * @home: shard its blocks belong to
 * @nid: node to ask, or NUMA_NO_NODE for what the task's policy says
 * @gfp: how hard to try; with __GFP_ZERO the blocks are cleared
 *
 * A class that prefers a span of several chunks gets a single chunk where no
 * such span is free, and a class of small blocks where no chunk is free a fragment.
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: the descriptor, whose blocks are all the caller's; NULL on failure.
 */
struct hkm_chunk *hkm_chunk_create(unsigned int bin, unsigned int home,
				   int nid, gfp_t gfp)
{
	const struct hkm_class *cl = &hkm_classes[bin];
	struct hkm_chunk *chunk;
	unsigned int order;
	struct page *page;

	if (test_chunk_fails())
		return NULL;
	page = pages_find(cl, nid, gfp | __GFP_COMP | __GFP_NOWARN, &order);
	if (!page)
		return NULL;
	gfp = (gfp & ~__GFP_THISNODE) | __GFP_NOWARN;
	chunk = kzalloc(hkm_chunk_descriptor_bytes(order, blocks_in(order, cl)), gfp);
	if (chunk && chunk_set_up(chunk, page, order,
				  hkm_bin_on(bin, page_to_nid(page)), home, gfp))
		return chunk;
	kfree(chunk);
	hkm_pages_put(page, order);
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_create);

/**
 * hkm_chunk_create_reserved() - take a chunk of the reserve and make it known
 * @bin: bin to cut it for; the node is its
 * @home: shard its blocks belong to
 *
 * Context: Any but NMI.
 * Return: the descriptor, whose blocks are all the caller's; NULL if the node's
 * reserve is empty, or blocks of the class are larger than a chunk.
 */
struct hkm_chunk *hkm_chunk_create_reserved(unsigned int bin, unsigned int home)
{
	struct hkm_chunk *chunk;
	struct page *page;

	if (hkm_classes[bin].size_bytes > HKM_CHUNK_BYTES)
		return NULL;
	page = hkm_reserve_get(hkm_bin_node(bin), &chunk);
	if (!page)
		return NULL;
	/* What it needs of the map has been made for the reserve. */
	chunk_set_up(chunk, page, HKM_CHUNK_ORDER, bin, home, 0);
	return chunk;
}

static void chunk_free_rcu(struct rcu_head *rcu)
{
	struct hkm_chunk *chunk = container_of(rcu, struct hkm_chunk, rcu);
	struct page *page = virt_to_page(chunk->base);

	/* More than ours: somebody is only looking, and will put it back. */
	if (page_ref_count(page) > HKM_PAGE_REFS) {
		page_ref_sub(page, HKM_PAGE_REFS);
		if (!chunk->claimed || !hkm_reserve_put(page, true, GFP_NOWAIT | __GFP_NOWARN))
			hkm_pages_put(page, chunk->order);
	} else {
		if (chunk->claimed)
			hkm_reserve_unclaim(page);
		/* Whose the missing ones are is unknown: the pages are lost. */
		hkm_report(HKM_STRAY_KFREE, chunk->base, 0,
			   "%u page references missing; its pages are lost",
			   HKM_PAGE_REFS + 1 - page_ref_count(page));
	}
	if (!chunk->claimed)
		atomic_long_sub(1L << chunk->order, &pages_leaving);
	kfree(chunk);
}

/**
 * hkm_chunk_pages_leaving() - tell what is on its way to the page allocator
 *
 * Return: pages, there after rcu_barrier().
 */
long hkm_chunk_pages_leaving(void)
{
	return atomic_long_read(&pages_leaving);
}

/**
 * hkm_chunk_release() - give a chunk back to the page allocator
 * @chunk: none of its blocks is anybody's but the caller's
 *
 * Context: Any but NMI.
 */
void hkm_chunk_release(struct hkm_chunk *chunk)
{
	if (unlikely(hkm_debug))
		hkm_debug_release(chunk);
	trace_trim(chunk->bin, chunk->base, hkm_chunk_bytes(chunk));
	chunk_account(chunk, -1);
	hkm_count(chunk->bin, HKM_releases);
	if (!hkm_reserve_claim(chunk))
		atomic_long_add(1L << chunk->order, &pages_leaving);
	chunk_unmap(chunk);
	call_rcu_hurry(&chunk->rcu, chunk_free_rcu);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_release);

struct visit {
	void (*fn)(struct hkm_chunk *chunk, void *arg);
	void *arg;
};

static void entry_visit(struct hkm_chunk *entry, void *arg)
{
	const struct visit *visit = arg;

	if (entry->magic)
		visit->fn(entry, visit->arg);
	else
		hkm_area_dissolve(entry, visit->fn, visit->arg);
}

/**
 * hkm_chunk_for_each() - visit every chunk, for the last time
 * @fn: called once for each; frees it
 * @arg: handed to @fn
 *
 * Context: Unload only, when nobody else uses the pool.
 */
void hkm_chunk_for_each(void (*fn)(struct hkm_chunk *chunk, void *arg),
			void *arg)
{
	struct visit visit = { fn, arg };

	hkm_map_for_each(entry_visit, &visit);
}

/**
 * hkm_chunk_bytes_held() - memory that a bin holds
 * @bin: the bin
 *
 * Context: Any.
 * Return: bytes.
 */
long hkm_chunk_bytes_held(unsigned int bin)
{
	return atomic_long_read(&nr_pages[bin]) << PAGE_SHIFT;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_bytes_held);

/**
 * hkm_chunk_count() - memory that a bin holds
 * @bin: the bin
 *
 * Context: Any.
 * Return: 64 KiB chunks; what its fragments are together is rounded up.
 */
long hkm_chunk_count(unsigned int bin)
{
	return DIV_ROUND_UP(hkm_chunk_bytes_held(bin), HKM_CHUNK_BYTES);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_count);

/**
 * hkm_chunk_unusable_bytes() - tell what the chunks of a bin cannot hand out
 * @bin: the bin
 *
 * Return: bytes behind the last blocks.
 */
long hkm_chunk_unusable_bytes(unsigned int bin)
{
	return atomic_long_read(&unusable_bytes[bin]);
}
