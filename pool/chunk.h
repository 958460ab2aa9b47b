/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunks: spans of pages cut into blocks, their descriptors, and the map that
 * finds the descriptor of any address.
 */
#ifndef _HKM_CHUNK_H
#define _HKM_CHUNK_H

#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "size_class.h"

/**
 * struct hkm_slot - link words of one block while it is in the shared tier
 * @link: slot of the next block in the same chain; HKM_LINK_NONE while the block
 *	is not in the shared tier, HKM_LINK_END for the last of a chain. Claimed
 *	by cmpxchg from HKM_LINK_NONE; then owned by the claimer.
 * @block: the block; constant
 * @next: first block of the next batch (compressed), in a batch's first slot
 *
 * The words live here and not in the block: a caller that writes to a block
 * after freeing it can then never damage a list, and a popper that reads the
 * link of a block which somebody else has just taken reads no caller's data.
 */
struct hkm_slot {
	struct hkm_slot *link;
	void *block;
	u64 next;
};

#define HKM_LINK_NONE	((struct hkm_slot *)0)
#define HKM_LINK_END	((struct hkm_slot *)1)

/**
 * struct hkm_chunk - descriptor of a page block that is cut into blocks
 * @base: first block; the page block's first byte
 * @magic: copy of the class's, beside @base for the free path; 0 in an area, so
 *	that no address is a block of it, see fragment.c
 * @slot_magic: of the distance between slots: that of blocks, but in an area
 * @ring_offset: where in a CPU's front end the class's ring is
 * @bin: size class and node
 * @home: shard of the call site that it was allocated for, or beside it the one of
 *	those that drain, see trim.c
 * @order: of the page block: of a span of 1 to 16 chunks, or less in a fragment
 * @claimed: the reserve waits for it
 * @nr_blocks: blocks in it
 * @nr_free: blocks on @chain
 * @chain: private chain of the blocks that trim has collected
 * @next: next chunk in trim's list, or in the inventory
 * @rcu: descriptors and pages outlive a grace period: poppers may look
 * @slot: one per block, and one taken for ever: for the rest behind the last;
 *	none in a fragment, whose area has them
 *
 * Constant from hkm_chunk_create() on, but for @slot; for @claimed, @nr_free, @chain and
 * @next, which trim or the inventory own; and for @home, which a refill sets while
 * all blocks are its own, and trim while some are.
 */
struct hkm_chunk {
	void *base;
	u64 magic;
	u64 slot_magic;
	u32 ring_offset;
	u8 bin;
	u8 home;
	u8 order;
	bool claimed;
	u16 nr_blocks;
	u16 nr_free;
	struct hkm_slot *chain;
	struct hkm_chunk *next;
	struct rcu_head rcu;
	struct hkm_slot slot[];
};

/*
 * References held on a chunk's pages beside the page allocator's own. On older
 * kernels each stray kfree() of pool memory drops one, and frees nothing.
 */
#define HKM_PAGE_REFS	1024

#define HKM_LEAF_SHIFT		9	/* one page of entries: 32 MiB */
#define HKM_LEAF_ENTRIES	(1UL << HKM_LEAF_SHIFT)

struct hkm_map_leaf {
	struct hkm_chunk *chunk[HKM_LEAF_ENTRIES];
};

/**
 * struct hkm_map - top of the chunk map
 * @nr: leaves it has room for
 * @leaf: never NULL: ranges without chunks share one empty leaf, as entries
 *	without one share hkm_no_chunk
 */
struct hkm_map {
	unsigned long nr;
	struct hkm_map_leaf *leaf[];
};

extern struct hkm_map __rcu *hkm_map;
/* Stands for "not the pool's". Its magic of 0 lets no address be a block. */
extern struct hkm_chunk hkm_no_chunk;

/**
 * hkm_map_lookup() - find what the map has for an address
 * @p: any address whatsoever; nothing near it is read
 *
 * Context: Any, with preemption off.
 * Return: a chunk; an area, of which hkm_fragment_lookup() tells more; or
 * &hkm_no_chunk for an address not of the pool.
 */
static __always_inline struct hkm_chunk *hkm_map_lookup(const void *p)
{
	unsigned long off = (unsigned long)p - PAGE_OFFSET;
	const struct hkm_map *map = rcu_dereference_sched(hkm_map);
	unsigned long top = off >> (HKM_CHUNK_SHIFT + HKM_LEAF_SHIFT);
	const struct hkm_map_leaf *leaf;

	if (unlikely(top >= map->nr))
		return &hkm_no_chunk;
	/* Pairs with the cmpxchg_release() in map_leaf_get(). */
	leaf = READ_ONCE(map->leaf[top]);
	/* Pairs with the smp_store_release() in hkm_map_set(). */
	return READ_ONCE(leaf->chunk[(off >> HKM_CHUNK_SHIFT) &
				     (HKM_LEAF_ENTRIES - 1)]);
}

/*
 * The same for the offset in the direct map of what is, or was, a block: such
 * an address is inside the map, which only grows.
 */
static __always_inline struct hkm_chunk *
hkm_map_lookup_block(const struct hkm_map *map, unsigned long off)
{
	unsigned long top = off >> (HKM_CHUNK_SHIFT + HKM_LEAF_SHIFT);
	const struct hkm_map_leaf *leaf = READ_ONCE(map->leaf[top]);

	return READ_ONCE(leaf->chunk[(off >> HKM_CHUNK_SHIFT) &
				     (HKM_LEAF_ENTRIES - 1)]);
}

struct hkm_chunk *hkm_fragment_lookup(const struct hkm_chunk *area, const void *p);

/* The chunk of @p, by what hkm_map_lookup() had for it; or &hkm_no_chunk. */
static inline struct hkm_chunk *hkm_chunk_resolve(struct hkm_chunk *entry,
						  const void *p)
{
	return likely(entry->magic) ? entry : hkm_fragment_lookup(entry, p);
}

/**
 * hkm_chunk_lookup() - find the chunk that holds an address
 * @p: any address whatsoever; nothing near it is read
 *
 * Context: Any, with preemption off.
 * Return: the descriptor, or NULL for an address not of the pool.
 */
static inline struct hkm_chunk *hkm_chunk_lookup(const void *p)
{
	struct hkm_chunk *chunk = hkm_chunk_resolve(hkm_map_lookup(p), p);

	return chunk == &hkm_no_chunk ? NULL : chunk;
}

/*
 * The slot of a block, by its offset in the direct map; hkm_no_chunk's if its
 * chunk has left the pool.
 */
static __always_inline struct hkm_slot *
hkm_block_slot(const struct hkm_map *map, const void *block, unsigned long off)
{
	struct hkm_chunk *entry = hkm_map_lookup_block(map, off);
	unsigned int index;

	hkm_block_index(block - entry->base, entry->slot_magic, &index);
	return &entry->slot[index];
}

static inline bool hkm_chunk_is_fragment(const struct hkm_chunk *chunk)
{
	return chunk->order < HKM_CHUNK_ORDER;
}

static inline unsigned long hkm_chunk_bytes(const struct hkm_chunk *chunk)
{
	return PAGE_SIZE << chunk->order;
}

/* 64 KiB chunks in a span. */
static inline unsigned int hkm_chunk_span(const struct hkm_chunk *chunk)
{
	return 1U << (chunk->order - HKM_CHUNK_ORDER);
}

/* The block of a number; that of nr_blocks is the rest behind the last. */
static inline void *hkm_chunk_block(const struct hkm_chunk *chunk,
				    unsigned int index)
{
	return chunk->base + index * hkm_classes[chunk->bin].size_bytes;
}

/* Whether @p is where a block of @chunk starts, or the rest behind the last. */
static __always_inline bool hkm_chunk_block_start(const struct hkm_chunk *chunk,
						  const void *p)
{
	u32 offset = p - chunk->base;

	return offset * chunk->magic < chunk->magic;
}

/* The block that starts at @p; false if none does. */
static inline bool hkm_chunk_block_index(const struct hkm_chunk *chunk,
					 const void *p, unsigned int *index)
{
	return hkm_block_index(p - chunk->base, chunk->magic, index) &&
	       *index < chunk->nr_blocks;
}

struct hkm_chunk *hkm_chunk_create(unsigned int bin, unsigned int home,
				   int nid, gfp_t gfp);
struct hkm_chunk *hkm_chunk_create_reserved(unsigned int bin, unsigned int home);
void hkm_pages_put(struct page *page, unsigned int order);
struct page *hkm_pages_get(int nid, gfp_t gfp, unsigned int order);
size_t hkm_chunk_descriptor_bytes(unsigned int order, unsigned int nr_blocks);
void hkm_chunk_release(struct hkm_chunk *chunk);
void hkm_chunk_for_each(void (*fn)(struct hkm_chunk *chunk, void *arg),
			void *arg);
long hkm_chunk_bytes_held(unsigned int bin);
long hkm_chunk_count(unsigned int bin);
long hkm_chunk_unusable_bytes(unsigned int bin);
long hkm_chunk_pages_leaving(void);

#if IS_ENABLED(CONFIG_KUNIT)
extern int hkm_test_pages_left;
extern unsigned int hkm_test_order_max;
extern void (*hkm_test_pages_wait)(void);
#endif

#endif /* _HKM_CHUNK_H */
