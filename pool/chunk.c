// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks and the chunk map.
 *
 * The map is a table of two levels over the direct map: a top array with one
 * pointer per 32 MiB, and leaves of one page with one descriptor pointer per
 * 64 KiB. Ranges that never held a chunk share one empty leaf, and entries
 * without a chunk one descriptor, so that a look-up tests for neither. At 8
 * bytes per 64 KiB the tables take 0.012 % of the memory that the pool ever
 * touched.
 *
 * Who may do what, without locks:
 * - Any context looks up, with preemption off. It reads the top array, a leaf
 *   and an entry, all of which outlive a grace period once unlinked.
 * - A refill installs a leaf by cmpxchg (two refills may race for one) and an
 *   entry by a store: the entry's pages are its own.
 * - Only the memory notifier replaces the top array, before hot-added pages
 *   reach the page allocator. It forbids new leaves, waits for the refills that
 *   did not see that yet, copies, publishes, and waits for the readers of the
 *   old array before it allows leaves again: at any time, all arrays in use
 *   hold the same leaves. A refill that needs a new leaf meanwhile fails, and
 *   its request falls back to the kernel allocator.
 *
 * Pages and descriptors are given back after a grace period, because a popper
 * of the shared tier may still look at a chunk that has just gone; see
 * freelist.c.
 */
#include <linux/atomic.h>
#include <linux/kmemleak.h>
#include <linux/notifier.h>
#include <linux/page_ref.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <trace/events/hakmem.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "debug.h"
#include "harden.h"
#include "tools.h"
#include "../include/hkm_compat.h"

struct hkm_map __rcu *hkm_map;
EXPORT_SYMBOL_IF_KUNIT(hkm_map);

/* Its one slot is taken for ever, so that no block of it can be claimed. */
struct hkm_chunk hkm_no_chunk = {
	.slot = { { .link = HKM_LINK_END } },
};
EXPORT_SYMBOL_IF_KUNIT(hkm_no_chunk);

/* Stands for every 32 MiB without a chunk; never written to after init. */
static struct hkm_map_leaf empty_leaf;

/* Set while the top array is being replaced; see above. */
static bool map_growing;

/* 64 KiB chunks held, per class. */
static atomic_long_t nr_chunks[HKM_MAX_BINS];
/* Of these, bytes behind the last block of a span. */
static atomic_long_t unusable_bytes[HKM_MAX_BINS];
/* Pages of released chunks that a grace period has yet to end for. */
static atomic_long_t pages_leaving;

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: page allocations that succeed before one fails; < 0: no limit. */
int hkm_test_pages_left = -1;
EXPORT_SYMBOL_IF_KUNIT(hkm_test_pages_left);

static bool test_page_fails(void)
{
	if (likely(hkm_test_pages_left < 0))
		return false;
	return !hkm_test_pages_left || !hkm_test_pages_left--;
}
#else
static bool test_page_fails(void)
{
	return false;
}
#endif

static unsigned long direct_offset(const void *p)
{
	return (unsigned long)p - PAGE_OFFSET;
}

static unsigned long top_index(const void *p)
{
	return direct_offset(p) >> (HKM_CHUNK_SHIFT + HKM_LEAF_SHIFT);
}

static void leaf_init(struct hkm_map_leaf *leaf)
{
	unsigned int i;

	for (i = 0; i < HKM_LEAF_ENTRIES; i++)
		leaf->chunk[i] = &hkm_no_chunk;
}

static struct hkm_map *map_alloc(unsigned long nr)
{
	struct hkm_map *map = kvmalloc(struct_size(map, leaf, nr), GFP_KERNEL);
	unsigned long i;

	if (!map)
		return NULL;
	map->nr = nr;
	for (i = 0; i < nr; i++)
		map->leaf[i] = &empty_leaf;
	return map;
}

/* The leaf for @p, made if need be. NULL: no memory, or the map is growing. */
static struct hkm_map_leaf *map_leaf_get(const void *p, gfp_t gfp)
{
	unsigned long top = top_index(p);
	struct hkm_map_leaf *leaf, *fresh = NULL;
	struct hkm_map *map;

retry:
	preempt_disable();
	map = rcu_dereference_sched(hkm_map);
	leaf = top < map->nr ? READ_ONCE(map->leaf[top]) : NULL;
	if (leaf == &empty_leaf) {
		leaf = NULL;
		/* Pairs with synchronize_rcu() in map_grow(). */
		if (fresh && !READ_ONCE(map_growing)) {
			/* Pairs with the READ_ONCE() in hkm_chunk_lookup(). */
			leaf = cmpxchg_release(&map->leaf[top], &empty_leaf,
					       fresh);
			if (leaf == &empty_leaf) {
				leaf = fresh;
				fresh = NULL;
			}
		}
	}
	preempt_enable();

	if (!leaf && !fresh && top < map->nr) {
		fresh = kmalloc(sizeof(*fresh), gfp);
		if (fresh) {
			leaf_init(fresh);
			goto retry;
		}
	}
	kfree(fresh);
	return leaf;
}

static void map_set(struct hkm_map_leaf *leaf, const void *p,
		    struct hkm_chunk *chunk)
{
	unsigned long i = direct_offset(p) >> HKM_CHUNK_SHIFT;

	/* Pairs with the READ_ONCE() in hkm_chunk_lookup(). */
	smp_store_release(&leaf->chunk[i & (HKM_LEAF_ENTRIES - 1)], chunk);
}

static int map_grow(unsigned long nr)
{
	struct hkm_map *old = rcu_dereference_protected(hkm_map, true);
	struct hkm_map *map;

	if (nr <= old->nr)
		return 0;
	map = map_alloc(nr);
	if (!map)
		return -ENOMEM;

	WRITE_ONCE(map_growing, true);
	/* Pairs with the section in map_leaf_get(): it has ended or saw that. */
	synchronize_rcu();
	memcpy(map->leaf, old->leaf, array_size(old->nr, sizeof(*old->leaf)));
	rcu_assign_pointer(hkm_map, map);
	/* While the old map has readers, no leaf may be in the new one alone. */
	synchronize_rcu();
	WRITE_ONCE(map_growing, false);
	kvfree(old);
	return 0;
}

/* Runs one at a time: the memory hotplug lock is held. */
static int map_memory_event(struct notifier_block *nb, unsigned long action,
			    void *data)
{
	const struct memory_notify *mem = data;
	const void *last;

	if (action != MEM_GOING_ONLINE)
		return NOTIFY_OK;
	last = __va(PFN_PHYS(mem->start_pfn + mem->nr_pages - 1));
	if (map_grow(top_index(last) + 1))
		pr_warn("no memory to map added memory; its pages stay unused here\n");
	return NOTIFY_OK;
}

static struct notifier_block map_memory_nb = {
	.notifier_call = map_memory_event,
};

int __init hkm_chunk_map_init(void)
{
	struct hkm_map *map;

	leaf_init(&empty_leaf);
	map = map_alloc(top_index(high_memory - 1) + 1);
	if (!map)
		return -ENOMEM;
	RCU_INIT_POINTER(hkm_map, map);
	return 0;
}

int __init hkm_map_watch_init(void)
{
	return register_memory_notifier(&map_memory_nb);
}

/* From here on the top array stays the same. */
void hkm_map_watch_exit(void)
{
	unregister_memory_notifier(&map_memory_nb);
}

/* After the last call into the pool. */
void hkm_chunk_map_exit(void)
{
	struct hkm_map *map = rcu_dereference_protected(hkm_map, true);
	unsigned long i;

	/* hkm_chunk_release() still has pages and descriptors in flight. */
	rcu_barrier();
	for (i = 0; i < map->nr; i++)
		if (map->leaf[i] != &empty_leaf)
			kfree(map->leaf[i]);
	kvfree(map);
}

static bool chunk_map(struct hkm_chunk *chunk, gfp_t gfp)
{
	/* A span is naturally aligned, and so never crosses a leaf. */
	struct hkm_map_leaf *leaf = map_leaf_get(chunk->base, gfp);
	unsigned int i;

	if (!leaf)
		return false;
	for (i = 0; i < 1U << chunk->span_order; i++)
		map_set(leaf, chunk->base + i * HKM_CHUNK_BYTES, chunk);
	return true;
}

static void chunk_unmap(struct hkm_chunk *chunk)
{
	struct hkm_map_leaf *leaf;
	unsigned int i;

	preempt_disable();
	/* Not changed any more; but a refill that lost a race for it may try to. */
	leaf = READ_ONCE(rcu_dereference_sched(hkm_map)->leaf[top_index(chunk->base)]);
	preempt_enable();
	for (i = 0; i < 1U << chunk->span_order; i++)
		map_set(leaf, chunk->base + i * HKM_CHUNK_BYTES,
			&hkm_no_chunk);
}

static struct page *pages_get(int nid, gfp_t gfp, unsigned int order)
{
	if (nid == NUMA_NO_NODE)
		return alloc_pages(gfp, HKM_CHUNK_ORDER + order);
	return alloc_pages_node(nid, gfp, HKM_CHUNK_ORDER + order);
}

/* Bytes that no block takes. */
static long chunk_unusable(const struct hkm_chunk *chunk)
{
	return (HKM_CHUNK_BYTES << chunk->span_order) -
	       chunk->nr_blocks * hkm_classes[chunk->bin].size_bytes;
}

/* A span comes, or with @sign -1 goes; its blocks are in no tier. */
static void chunk_account(const struct hkm_chunk *chunk, int sign)
{
	/* In one section: see hkm_count_shared(). */
	preempt_disable();
	atomic_long_add(sign * (1L << chunk->span_order), &nr_chunks[chunk->bin]);
	atomic_long_add(sign * chunk_unusable(chunk), &unusable_bytes[chunk->bin]);
	hkm_count_moving(chunk->bin, sign * chunk->nr_blocks);
	preempt_enable();
}

/**
 * hkm_chunk_create() - take a span of pages and make it known
 * @bin: bin to cut it for; what is got from another node is that node's
 * @home: shard its blocks belong to
 * @nid: node to ask, or NUMA_NO_NODE for what the task's policy says
 * @gfp: how hard to try; with __GFP_ZERO the blocks are cleared
 *
 * A class that prefers a span of several chunks gets a single chunk where no
 * such span is free, unless its block is as large as the span. All blocks are
 * marked as free, also those that will be handed out unused: a free of one that
 * is not live is then refused.
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: the descriptor, whose blocks are all the caller's; NULL on failure.
 */
struct hkm_chunk *hkm_chunk_create(unsigned int bin, unsigned int home,
				   int nid, gfp_t gfp)
{
	const struct hkm_class *cl = &hkm_classes[bin];
	unsigned int order = cl->span_order, nr, i;
	bool divisible = order && !hkm_bin_is_large(bin);
	struct hkm_chunk *chunk;
	struct page *page;

	if (test_page_fails())
		return NULL;
	gfp |= __GFP_COMP | __GFP_NOWARN;
	/* Reclaim is for what the request cannot do without: room for a block. */
	page = pages_get(nid, divisible ? gfp & ~__GFP_DIRECT_RECLAIM : gfp, order);
	if (!page && divisible) {
		order = 0;
		page = pages_get(nid, gfp, 0);
	}
	if (!page)
		return NULL;

	bin = hkm_bin_on(bin, page_to_nid(page));
	nr = (HKM_CHUNK_BYTES << order) / cl->size_bytes;
	gfp &= ~(__GFP_COMP | __GFP_THISNODE);
	chunk = kzalloc(struct_size(chunk, slot, nr + 1) +
			hkm_debug_track_bytes(nr), gfp);
	if (!chunk)
		goto free_page;
	/*
	 * A slot is no reference to its block. (Nor is the rcu_head then, in a
	 * chunk that is on its way out, to the next callback's; but not for long.)
	 */
	kmemleak_no_scan(chunk);
	chunk->base = page_address(page);
	chunk->magic = cl->magic;
	chunk->ring_offset = bin * sizeof(struct hkm_ring);
	chunk->bin = bin;
	chunk->home = home;
	chunk->span_order = order;
	chunk->nr_blocks = nr;
	if (unlikely(hkm_debug))
		hkm_debug_create(chunk);
	/*
	 * The rest behind the last block starts at a multiple of the block size
	 * too. Marked as free for ever, it is refused like a double free.
	 */
	for (i = 0; i <= nr; i++) {
		chunk->slot[i].block = chunk->base + i * cl->size_bytes;
		if (i < nr || nr * cl->size_bytes < HKM_CHUNK_BYTES << order)
			hkm_block_mark(chunk->slot[i].block);
	}
	chunk->slot[nr].link = HKM_LINK_END;
	chunk->chain = HKM_LINK_END;

	if (!chunk_map(chunk, gfp))
		goto free_chunk;
	page_ref_add(page, HKM_PAGE_REFS);
	for (i = 0; i < nr; i++)
		hkm_kasan_poison(chunk->slot[i].block, cl->size_bytes);
	if (nr * cl->size_bytes < HKM_CHUNK_BYTES << order)
		hkm_kasan_poison(chunk->slot[nr].block,
				 (HKM_CHUNK_BYTES << order) - nr * cl->size_bytes);
	chunk_account(chunk, 1);
	return chunk;

free_chunk:
	kfree(chunk);
free_page:
	__free_pages(page, HKM_CHUNK_ORDER + order);
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_create);

static void chunk_free_rcu(struct rcu_head *rcu)
{
	struct hkm_chunk *chunk = container_of(rcu, struct hkm_chunk, rcu);
	struct page *page = virt_to_page(chunk->base);

	/* More than ours: somebody is only looking, and will put it back. */
	if (page_ref_count(page) > HKM_PAGE_REFS) {
		page_ref_sub(page, HKM_PAGE_REFS);
		__free_pages(page, HKM_CHUNK_ORDER + chunk->span_order);
	} else {
		/* Whose the missing ones are is unknown: the pages are lost. */
		hkm_report(HKM_STRAY_KFREE, chunk->base, 0,
			   "%u page references missing; its pages are lost",
			   HKM_PAGE_REFS + 1 - page_ref_count(page));
	}
	atomic_long_sub(1L << (HKM_CHUNK_ORDER + chunk->span_order), &pages_leaving);
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
 * hkm_chunk_release() - give a span back to the page allocator
 * @chunk: none of its blocks is anybody's but the caller's
 *
 * Context: Any but NMI.
 */
void hkm_chunk_release(struct hkm_chunk *chunk)
{
	if (unlikely(hkm_debug))
		hkm_debug_release(chunk);
	trace_trim(chunk->bin, chunk->base, 1U << chunk->span_order);
	chunk_account(chunk, -1);
	atomic_long_add(1L << (HKM_CHUNK_ORDER + chunk->span_order), &pages_leaving);
	chunk_unmap(chunk);
	call_rcu(&chunk->rcu, chunk_free_rcu);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_release);

/**
 * hkm_chunk_for_each() - visit every chunk
 * @fn: called once for each; may release it
 * @arg: handed to @fn
 *
 * Context: Unload only, when nobody else uses the pool.
 */
void hkm_chunk_for_each(void (*fn)(struct hkm_chunk *chunk, void *arg),
			void *arg)
{
	struct hkm_map *map = rcu_dereference_protected(hkm_map, true);
	unsigned long top, i;

	for (top = 0; top < map->nr; top++) {
		struct hkm_map_leaf *leaf = map->leaf[top];

		for (i = 0; leaf != &empty_leaf && i < HKM_LEAF_ENTRIES; i++) {
			struct hkm_chunk *chunk = leaf->chunk[i];

			/* A span has several entries: its first one counts. */
			if (chunk != &hkm_no_chunk &&
			    (i == 0 || leaf->chunk[i - 1] != chunk))
				fn(chunk, arg);
		}
		cond_resched();
	}
}

/**
 * hkm_chunk_count() - 64 KiB chunks that a class holds
 * @bin: the class
 *
 * Return: their number now.
 */
long hkm_chunk_count(unsigned int bin)
{
	return atomic_long_read(&nr_chunks[bin]);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chunk_count);

/**
 * hkm_chunk_unusable_bytes() - tell what the spans of a bin cannot hand out
 * @bin: the bin
 *
 * Return: bytes behind the last blocks.
 */
long hkm_chunk_unusable_bytes(unsigned int bin)
{
	return atomic_long_read(&unusable_bytes[bin]);
}
