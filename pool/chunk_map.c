// SPDX-License-Identifier: GPL-2.0
/*
 * Chunk map: finds the chunk that holds an address.
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
 *   entry by a store: the entry's pages are its own. Entries over fragments have
 *   a lock, see fragment.c.
 * - Only the memory notifier replaces the top array, before hot-added pages
 *   reach the page allocator. It forbids new leaves, waits for the refills that
 *   did not see that yet, copies, publishes, and waits for the readers of the
 *   old array before it allows leaves again: at any time, all arrays in use
 *   hold the same leaves. A refill that needs a new leaf meanwhile fails, and
 *   its request falls back to the kernel allocator.
 */
#include <linux/atomic.h>
#include <linux/notifier.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "chunk.h"
#include "chunk_map.h"
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

static unsigned long direct_offset(const void *p)
{
	return (unsigned long)p - PAGE_OFFSET;
}

static unsigned long top_index(const void *p)
{
	return direct_offset(p) >> (HKM_CHUNK_SHIFT + HKM_LEAF_SHIFT);
}

static unsigned long leaf_index(const void *p)
{
	return (direct_offset(p) >> HKM_CHUNK_SHIFT) & (HKM_LEAF_ENTRIES - 1);
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
			/* Pairs with the READ_ONCE() in hkm_map_lookup(). */
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

/**
 * hkm_map_entry_get() - find an address's entry, or make it
 * @p: the address, in the direct map
 * @gfp: for the leaf
 *
 * Context: Any but NMI; may sleep if @gfp allows.
 * Return: the entry; those of the same leaf lie beside it. NULL without memory for a
 * leaf, or while the map grows.
 */
struct hkm_chunk **hkm_map_entry_get(const void *p, gfp_t gfp)
{
	struct hkm_map_leaf *leaf = map_leaf_get(p, gfp);

	return leaf ? &leaf->chunk[leaf_index(p)] : NULL;
}

/**
 * hkm_map_entry() - find the entry of an address in a chunk
 * @p: the address
 *
 * Context: Any.
 * Return: the entry.
 */
struct hkm_chunk **hkm_map_entry(const void *p)
{
	struct hkm_map_leaf *leaf;

	preempt_disable();
	/* Not changed any more; but a refill that lost a race for it may try to. */
	leaf = READ_ONCE(rcu_dereference_sched(hkm_map)->leaf[top_index(p)]);
	preempt_enable();
	return &leaf->chunk[leaf_index(p)];
}

/**
 * hkm_map_set() - set entries
 * @entry: the first
 * @nr: their number
 * @chunk: what they name from here on
 *
 * Context: Any.
 */
void hkm_map_set(struct hkm_chunk **entry, unsigned int nr,
		 struct hkm_chunk *chunk)
{
	while (nr--)
		/* Pairs with the READ_ONCE() in hkm_map_lookup(). */
		smp_store_release(entry++, chunk);
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

/**
 * hkm_map_for_each() - visit every chunk, or area, that an entry names
 * @fn: called once for each; may free it
 * @arg: handed to @fn
 *
 * Context: Unload only, when nobody else uses the pool.
 */
void hkm_map_for_each(void (*fn)(struct hkm_chunk *chunk, void *arg), void *arg)
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
