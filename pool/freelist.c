// SPDX-License-Identifier: GPL-2.0
/*
 * Shared tier: freelists of batches, and remote stacks. Lock-free, any context.
 *
 * Words
 *	A chain is a list of free blocks: their slots (struct hkm_slot, outside
 *	the blocks), joined by the link words and closed by HKM_LINK_END. A
 *	batch is a chain on a freelist; the next word of its first block's slot
 *	holds the next batch. A freelist head is one 64-bit word: the first
 *	block's offset in the direct map, in grains, and above it a generation
 *	tag. Offset 0 is the empty list: x86 and UML never allocate page 0.
 *
 * Who may touch what
 *	A free block is owned by one context until a successful compare-exchange
 *	of a head hands it over. The owner alone writes its slot, with one
 *	exception: to enter a chain, a block's link is claimed by cmpxchg from
 *	HKM_LINK_NONE. For a correct caller that cannot fail. It fails for a
 *	block that is in the shared tier already (a double free which the key
 *	missed), and such a block is refused before it could damage a chain.
 *	Whoever takes a block out of a chain sets its link to HKM_LINK_NONE.
 *
 * Pop, and why ABA does no harm
 *	A popper reads the head, then the next word of the block it names, and
 *	exchanges the head for that. In between others may pop the block, hand
 *	it out, and push it again with another next word. Every push takes a new
 *	tag, so the head differs then and the exchange fails. The tag has the
 *	bits that the offset leaves: 27, or 21 with five-level paging. To fool a
 *	popper, exactly 2^27 pushes to its one shard would have to fall
 *	between its read and its exchange, and end on the same block; it runs
 *	with preemption off.
 *	A stale next word is read from the slot of a chunk that may have left
 *	the pool. Unmapped chunks are freed after a grace period, which cannot
 *	end while the popper's preemption is off; one already unmapped is looked
 *	up as hkm_no_chunk, or as what took its place: a chunk of another class, or
 *	an area (fragment.c), each of which has a slot for any address in it. Its
 *	blocks were popped before, so the head has moved on and the exchange fails,
 *	whatever was read.
 *	(R. K. Treiber, "Systems programming: coping with parallelism", IBM RJ
 *	5118, 1986; the tag is System/370's.)
 *
 * Remote stacks
 *	Pushed to by compare-exchange, which reads no next word, and only ever
 *	emptied by one exchange for NULL. Neither can suffer ABA.
 *
 * Masks
 *	A bit is set after a push, and cleared by who found the stack empty. Both
 *	sides have a full barrier between their two accesses:
 *
 *	    pusher: push; barrier (A); if bit clear: set bit
 *	    popper: clear bit; barrier (B); if stack not empty: set bit
 *
 *	Either the pusher sees the bit cleared and sets it again, or the popper
 *	sees the push and does. So stock never hides for good. A bit set over an
 *	empty stack costs whoever finds it one look; until then, one of a shard for
 *	chunks that drain makes every push look up where each of its blocks belongs.
 *
 * Ordering
 *	A push is a release and a pop an acquire of the head: what the former
 *	owner wrote to a block and its slot happens before its next owner's
 *	accesses. The links of a chain were written before that release.
 */
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "harden.h"
#include "../include/hkm_compat.h"

/* Set at init. */
static struct hkm_shared *hkm_shared __ro_after_init;
/* Bits of a head that hold the offset; one more is the tag's lowest bit. */
static u64 id_mask __ro_after_init;

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: a class's heads and masks, and a head's bits below the tag. */
struct hkm_shared *hkm_test_shared(unsigned int bin, u64 *mask)
{
	*mask = id_mask;
	return &hkm_shared[bin];
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_shared);
#endif

/* Bits of a mask for the shards of chunks that drain. */
#define DRAIN_SHARDS	GENMASK_ULL(HKM_NR_SHARDS - 1, HKM_DRAINS)

static u64 block_id(const void *block)
{
	return ((unsigned long)block - PAGE_OFFSET) >> HKM_GRAIN_SHIFT;
}

/* Trim may change it. */
static unsigned int block_home(const void *block)
{
	return READ_ONCE(hkm_chunk_resolve(hkm_map_lookup(block), block)->home);
}

/* Claims a block's slot for a chain. False: it was in the shared tier. */
static __always_inline bool slot_claim(struct hkm_slot *slot,
				       struct hkm_slot *link)
{
	struct hkm_slot *none = HKM_LINK_NONE;

	return try_cmpxchg_relaxed(&slot->link, &none, link);
}

static noinline void block_refuse(unsigned int bin, void *block)
{
	hkm_report_refused(HKM_DOUBLE_FREE, block, 0);
	hkm_count(bin, HKM_rejects);
}

static void mask_set(atomic64_t *mask, unsigned int shard)
{
	/* Barrier (A): after the push. Pairs with (B) in mask_clear(). */
	smp_mb__after_atomic();
	if (!(atomic64_read(mask) & BIT_ULL(shard)))
		atomic64_or(BIT_ULL(shard), mask);
}

/* After the caller found the shard empty. Its stack must be looked at again. */
static void mask_clear(atomic64_t *mask, unsigned int shard)
{
	atomic64_andnot(BIT_ULL(shard), mask);
	/* Barrier (B): pairs with (A) in mask_set(). */
	smp_mb__after_atomic();
}

/* Puts a chain, which the caller owns, on a freelist as one batch. */
static __always_inline void batch_push(unsigned int bin, unsigned int home,
				       struct hkm_slot *first)
{
	struct hkm_shared *shared = &hkm_shared[bin];
	atomic64_t *head = &shared->shard[home].head;
	s64 old = atomic64_read(head), new;

	for (;;) {
		WRITE_ONCE(first->next, old & id_mask);
		new = (old | id_mask) + 1;
		new |= block_id(first->block);
		/* Pairs with the acquire in batch_pop(). */
		if (likely(atomic64_try_cmpxchg_release(head, &old, new)))
			break;
		hkm_count(bin, HKM_cas_retries);
	}
	mask_set(&shared->nonempty, home);
	hkm_count(bin, HKM_freelist_pushes);
}

/* Takes the first batch off a freelist: its first slot, or NULL. */
static __always_inline struct hkm_slot *batch_pop(unsigned int bin,
						  unsigned int home)
{
	atomic64_t *head = &hkm_shared[bin].shard[home].head;
	const struct hkm_map *map = rcu_dereference_sched(hkm_map);
	s64 old = atomic64_read(head), new;

	while (old & id_mask) {
		unsigned long off = (old & id_mask) << HKM_GRAIN_SHIFT;
		struct hkm_slot *first =
			hkm_block_slot(map, (void *)(PAGE_OFFSET + off), off);

		new = (old & ~id_mask) | READ_ONCE(first->next);
		/* Pairs with the release in batch_push(). */
		if (likely(atomic64_try_cmpxchg_acquire(head, &old, new))) {
			hkm_count(bin, HKM_freelist_pops);
			return first;
		}
		hkm_count(bin, HKM_cas_retries);
	}
	return NULL;
}

/* Moves up to @max blocks of an owned chain to @blocks, the rest to @home. */
static __always_inline unsigned int
chain_take(unsigned int bin, unsigned int home, struct hkm_slot *slot,
	   void **blocks, unsigned int max)
{
	unsigned int nr;

	for (nr = 0; nr < max && slot != HKM_LINK_END; nr++) {
		struct hkm_slot *link = slot->link;

		blocks[nr] = slot->block;
		WRITE_ONCE(slot->link, HKM_LINK_NONE);
		slot = link;
	}
	hkm_count_shared(bin, -(long)nr);
	if (slot != HKM_LINK_END)
		batch_push(bin, home, slot);
	return nr;
}

/*
 * The stocked shard to look at next: @home first, then those after it; and only then
 * the ones of chunks that drain.
 */
static unsigned int mask_next(u64 mask, unsigned int home)
{
	u32 turned = ror32(mask, home);

	if (likely(turned))
		return (home + __ffs64(turned)) & (HKM_NR_HOMES - 1);
	return __ffs64(mask);
}

static bool block_drains(const void *block)
{
	return block_home(block) & HKM_DRAINS;
}

/*
 * Makes one batch of the blocks; or two, those of chunks that drain being kept apart.
 * Trim may change that meanwhile: a batch is good at any shard.
 */
static __always_inline unsigned int
blocks_push(unsigned int bin, void *const *blocks, unsigned int nr, bool apart)
{
	const struct hkm_map *map = rcu_dereference_sched(hkm_map);
	struct hkm_slot *first = HKM_LINK_END, *drains = HKM_LINK_END, **chain;
	unsigned long page_offset = PAGE_OFFSET;
	unsigned int taken = nr;
	void *const *block;

	for (block = blocks + nr; block-- > blocks; ) {
		struct hkm_slot *slot =
			hkm_block_slot(map, *block, (unsigned long)*block - page_offset);

		chain = apart && block_drains(*block) ? &drains : &first;
		if (unlikely(!slot_claim(slot, *chain))) {
			block_refuse(bin, *block);
			taken--;
			continue;
		}
		*chain = slot;
	}
	if (unlikely(!taken))
		return 0;
	hkm_count_shared(bin, taken);
	if (!apart || first != HKM_LINK_END)
		batch_push(bin, block_home(first->block), first);
	if (apart && drains != HKM_LINK_END)
		batch_push(bin, block_home(drains->block), drains);
	return taken;
}

static noinline unsigned int blocks_push_apart(unsigned int bin, void *const *blocks,
					       unsigned int nr)
{
	return blocks_push(bin, blocks, nr, true);
}

/**
 * hkm_freelist_push() - put free blocks on the freelist of their home shard
 * @bin: their class
 * @blocks: the blocks, all owned by the caller
 * @nr: their number, at least 1
 *
 * They go as one batch to the shard of the first; while freelists of chunks that
 * drain are marked as not empty, blocks of these go by themselves. A block that is in
 * the shared tier already is left out and reported.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks taken.
 */
unsigned int hkm_freelist_push(unsigned int bin, void *const *blocks,
			       unsigned int nr)
{
	if (unlikely(atomic64_read(&hkm_shared[bin].nonempty) & DRAIN_SHARDS))
		return blocks_push_apart(bin, blocks, nr);
	return blocks_push(bin, blocks, nr, false);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_freelist_push);

/**
 * hkm_freelist_pop() - take free blocks off a class's freelists
 * @bin: the class
 * @home: shard to look in first
 * @blocks: filled with the blocks
 * @max: most blocks wanted, at least 1
 *
 * Takes one batch; what is over @max of it goes back.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks; 0 if no shard has any.
 */
unsigned int hkm_freelist_pop(unsigned int bin, unsigned int home,
			      void **blocks, unsigned int max)
{
	struct hkm_shared *shared = &hkm_shared[bin];
	u64 mask = atomic64_read(&shared->nonempty);

	while (mask) {
		unsigned int shard = mask_next(mask, home);
		struct hkm_slot *first = batch_pop(bin, shard);

		if (unlikely(!first)) {
			mask_clear(&shared->nonempty, shard);
			/* The second look takes what it finds. */
			first = batch_pop(bin, shard);
			if (first)
				mask_set(&shared->nonempty, shard);
		}
		if (likely(first))
			return chain_take(bin, shard, first, blocks, max);
		mask &= ~BIT_ULL(shard);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_freelist_pop);

/**
 * hkm_remote_push() - free one block without the per-CPU tier
 * @bin: its class
 * @block: the block, owned by the caller
 *
 * Context: Any, with preemption off.
 * Return: false if the block is in the shared tier already; it is reported.
 */
bool hkm_remote_push(unsigned int bin, void *block)
{
	struct hkm_shared *shared = &hkm_shared[bin];
	struct hkm_slot *slot = hkm_block_slot(rcu_dereference_sched(hkm_map), block,
					   (unsigned long)block - PAGE_OFFSET);
	struct hkm_slot **head, *old;
	unsigned int home;

	if (!slot_claim(slot, HKM_LINK_END)) {
		block_refuse(bin, block);
		return false;
	}
	home = block_home(block);
	head = &shared->shard[home].remote;
	old = READ_ONCE(*head);
	do {
		WRITE_ONCE(slot->link, old ?: HKM_LINK_END);
		/* Pairs with the xchg() in hkm_remote_drain(). */
	} while (!try_cmpxchg_release(head, &old, slot));
	mask_set(&shared->remote_nonempty, home);
	hkm_count(bin, HKM_remote_frees);
	hkm_count_shared(bin, 1);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_remote_push);

/**
 * hkm_remote_drain() - empty one remote stack of a class
 * @bin: the class
 * @home: shard to look in first
 * @blocks: filled with its first blocks
 * @max: most blocks wanted, at least 1
 *
 * What is over @max goes to the shard's freelist as one batch.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks; 0 if no remote stack has any.
 */
unsigned int hkm_remote_drain(unsigned int bin, unsigned int home,
			      void **blocks, unsigned int max)
{
	struct hkm_shared *shared = &hkm_shared[bin];
	u64 mask = atomic64_read(&shared->remote_nonempty);

	while (mask) {
		unsigned int shard = mask_next(mask, home);
		struct hkm_slot **head = &shared->shard[shard].remote;
		struct hkm_slot *first;

		mask_clear(&shared->remote_nonempty, shard);
		/*
		 * The exchange is the second look of mask_clear(). Pairs with
		 * the release in hkm_remote_push().
		 */
		first = xchg(head, NULL);
		if (first) {
			hkm_count(bin, HKM_remote_drains);
			return chain_take(bin, shard, first, blocks, max);
		}
		mask &= ~BIT_ULL(shard);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_remote_drain);

/**
 * hkm_chain_add() - put a block on its chunk's private chain
 * @chunk: the block's chunk, whose chain is the caller's
 * @block: the block, owned by the caller; counts as moving from here on
 *
 * Context: Any, with preemption off.
 * Return: false if the block is in another chain already; it is reported.
 */
bool hkm_chain_add(struct hkm_chunk *chunk, void *block)
{
	struct hkm_slot *slot = hkm_block_slot(rcu_dereference_sched(hkm_map), block,
					       (unsigned long)block - PAGE_OFFSET);

	if (!slot_claim(slot, chunk->chain)) {
		block_refuse(chunk->bin, block);
		return false;
	}
	chunk->chain = slot;
	chunk->nr_free++;
	hkm_count_moving(chunk->bin, 1);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chain_add);

/**
 * hkm_chain_clear() - take all blocks off a chunk's private chain
 * @chunk: the chunk; the blocks are the caller's
 *
 * Context: Any.
 */
void hkm_chain_clear(struct hkm_chunk *chunk)
{
	struct hkm_slot *slot = chunk->chain, *link;

	chunk->nr_free = 0;
	for (chunk->chain = HKM_LINK_END; slot != HKM_LINK_END; slot = link) {
		link = slot->link;
		WRITE_ONCE(slot->link, HKM_LINK_NONE);
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chain_clear);

/**
 * hkm_chain_push() - put a chunk's private chain on a freelist as one batch
 * @chunk: the chunk; the blocks are the caller's, until then
 *
 * Context: Any, with preemption off.
 */
void hkm_chain_push(struct hkm_chunk *chunk)
{
	struct hkm_slot *first = chunk->chain;

	hkm_count_moving(chunk->bin, -(long)chunk->nr_free);
	hkm_count_shared(chunk->bin, chunk->nr_free);
	chunk->chain = HKM_LINK_END;
	chunk->nr_free = 0;
	batch_push(chunk->bin, chunk->home, first);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_chain_push);

int __init hkm_shared_init(void)
{
	hkm_shared = kvcalloc(hkm_nr_bins, sizeof(*hkm_shared), GFP_KERNEL);
	if (!hkm_shared)
		return -ENOMEM;
	id_mask = (1ULL << (MAX_PHYSMEM_BITS - HKM_GRAIN_SHIFT)) - 1;
	return 0;
}

void hkm_shared_exit(void)
{
	kvfree(hkm_shared);
}
