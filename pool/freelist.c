// SPDX-License-Identifier: GPL-2.0
/*
 * Shared tier: freelists of batches, and remote stacks. Lock-free, any context.
 *
 * Words
 *	A chain is a list of free blocks, linked by the link word of their slots
 *	(struct hkm_slot, outside the blocks) and closed by HKM_LINK_END. A
 *	batch is a chain on a freelist; the next word of its first block's slot
 *	holds the next batch. A freelist head is one 64-bit word: the first
 *	block's offset in the direct map, in grains, and above it a generation
 *	tag. Offset 0 is the empty list: page 0 is never allocated.
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
 *	up as NULL, and only shows that the head has moved on.
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
 *	sees the push and does. So stock never hides for good; a bit set over an
 *	empty stack costs its finder one look.
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
#include "freelist.h"
#include "harden.h"
#include "stats.h"
#include "../include/hkm_compat.h"

/* Set at init. */
static struct hkm_shared *hkm_shared __ro_after_init;
static unsigned int tag_shift __ro_after_init;

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests: a class's heads and masks, and the tag's place in a head. */
struct hkm_shared *hkm_test_shared(unsigned int class_id, unsigned int *shift)
{
	*shift = tag_shift;
	return &hkm_shared[class_id];
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_shared);
#endif

static u64 id_mask(void)
{
	return (1ULL << tag_shift) - 1;
}

static u64 block_id(const void *block)
{
	return ((unsigned long)block - PAGE_OFFSET) >> HKM_GRAIN_SHIFT;
}

static void *id_block(u64 id)
{
	return (void *)(PAGE_OFFSET + (unsigned long)(id << HKM_GRAIN_SHIFT));
}

/* The slot of a block, or NULL if its chunk has left the pool. */
static struct hkm_slot *block_slot(const void *block)
{
	struct hkm_chunk *chunk = hkm_chunk_lookup(block);
	unsigned int index;

	if (!chunk)
		return NULL;
	hkm_block_index(block - chunk->base, chunk->magic, &index);
	return &chunk->slot[index];
}

static unsigned int block_home(const void *block)
{
	return hkm_chunk_lookup(block)->home;
}

static bool slot_claim(struct hkm_slot *slot, void *link)
{
	return cmpxchg_relaxed(&slot->link, HKM_LINK_NONE, link) ==
	       HKM_LINK_NONE;
}

/* Claims an owned block for a chain. False: it was in the shared tier. */
static bool block_claim(unsigned int class_id, void *block, void *link)
{
	struct hkm_slot *slot = block_slot(block);

	if (likely(slot && slot_claim(slot, link)))
		return true;
	hkm_report(HKM_DOUBLE_FREE, block, 0);
	hkm_count(class_id, HKM_rejects);
	return false;
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
static void batch_push(unsigned int class_id, unsigned int home, void *first)
{
	struct hkm_shared *shared = &hkm_shared[class_id];
	atomic64_t *head = &shared->shard[home].head;
	struct hkm_slot *slot = block_slot(first);
	s64 old = atomic64_read(head), new;

	for (;;) {
		WRITE_ONCE(slot->next, old & id_mask());
		new = (old & ~id_mask()) + (1ULL << tag_shift);
		new |= block_id(first);
		/* Pairs with the acquire in batch_pop(). */
		if (atomic64_try_cmpxchg_release(head, &old, new))
			break;
		hkm_count(class_id, HKM_cas_retries);
	}
	mask_set(&shared->nonempty, home);
	hkm_count(class_id, HKM_freelist_pushes);
}

/* Takes the first batch off a freelist: its first block, or NULL. */
static void *batch_pop(unsigned int class_id, unsigned int home)
{
	atomic64_t *head = &hkm_shared[class_id].shard[home].head;
	s64 old = atomic64_read(head), new;

	while (old & id_mask()) {
		void *first = id_block(old & id_mask());
		struct hkm_slot *slot = block_slot(first);

		if (unlikely(!slot)) {
			old = atomic64_read(head);
			continue;
		}
		new = (old & ~id_mask()) | READ_ONCE(slot->next);
		/* Pairs with the release in batch_push(). */
		if (atomic64_try_cmpxchg_acquire(head, &old, new)) {
			hkm_count(class_id, HKM_freelist_pops);
			return first;
		}
		hkm_count(class_id, HKM_cas_retries);
	}
	return NULL;
}

/* Moves up to @max blocks of an owned chain to @blocks, the rest to @home. */
static unsigned int chain_take(unsigned int class_id, unsigned int home,
			       void *block, void **blocks, unsigned int max)
{
	unsigned int nr;

	for (nr = 0; nr < max && block != HKM_LINK_END; nr++) {
		struct hkm_slot *slot = block_slot(block);

		blocks[nr] = block;
		block = slot->link;
		WRITE_ONCE(slot->link, HKM_LINK_NONE);
	}
	if (block != HKM_LINK_END)
		batch_push(class_id, home, block);
	return nr;
}

/* The stocked shard to look at next: @home first, then the ones after it. */
static unsigned int mask_next(u64 mask, unsigned int home)
{
	u64 turned = (mask >> home) | (mask << (-home & 63));

	return (home + __ffs64(turned)) & (HKM_NR_SHARDS - 1);
}

/**
 * hkm_freelist_push() - put free blocks on the freelist of their home shard
 * @class_id: their class
 * @blocks: the blocks, all owned by the caller
 * @nr: their number, at least 1
 *
 * They go as one batch to the shard of the first. A block that is in the
 * shared tier already is left out and reported.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks taken.
 */
unsigned int hkm_freelist_push(unsigned int class_id, void *const *blocks,
			       unsigned int nr)
{
	void *first = HKM_LINK_END;
	unsigned int taken = 0;

	while (nr--) {
		if (!block_claim(class_id, blocks[nr], first))
			continue;
		first = blocks[nr];
		taken++;
	}
	if (taken)
		batch_push(class_id, block_home(first), first);
	return taken;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_freelist_push);

/**
 * hkm_freelist_pop() - take free blocks off a class's freelists
 * @class_id: the class
 * @home: shard to look in first
 * @blocks: filled with the blocks
 * @max: most blocks wanted, at least 1
 *
 * Takes one batch; what is over @max of it goes back.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks; 0 if no shard has any.
 */
unsigned int hkm_freelist_pop(unsigned int class_id, unsigned int home,
			      void **blocks, unsigned int max)
{
	struct hkm_shared *shared = &hkm_shared[class_id];
	u64 mask = atomic64_read(&shared->nonempty);

	while (mask) {
		unsigned int shard = mask_next(mask, home);
		void *first = batch_pop(class_id, shard);

		if (first)
			return chain_take(class_id, shard, first, blocks, max);
		mask_clear(&shared->nonempty, shard);
		if (atomic64_read(&shared->shard[shard].head) & id_mask())
			mask_set(&shared->nonempty, shard);
		mask &= ~BIT_ULL(shard);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_freelist_pop);

/**
 * hkm_remote_push() - free one block without the per-CPU tier
 * @class_id: its class
 * @block: the block, owned by the caller
 *
 * Context: Any, with preemption off.
 * Return: false if the block is in the shared tier already; it is reported.
 */
bool hkm_remote_push(unsigned int class_id, void *block)
{
	struct hkm_shared *shared = &hkm_shared[class_id];
	struct hkm_slot *slot;
	unsigned int home;
	void **head, *old;

	if (!block_claim(class_id, block, HKM_LINK_END))
		return false;
	home = block_home(block);
	head = &shared->shard[home].remote;
	slot = block_slot(block);
	old = READ_ONCE(*head);
	do {
		WRITE_ONCE(slot->link, old ?: HKM_LINK_END);
		/* Pairs with the xchg() in hkm_remote_drain(). */
	} while (!try_cmpxchg_release(head, &old, block));
	mask_set(&shared->remote_nonempty, home);
	hkm_count(class_id, HKM_remote_frees);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_remote_push);

/**
 * hkm_remote_drain() - empty one remote stack of a class
 * @class_id: the class
 * @home: shard to look in first
 * @blocks: filled with its first blocks
 * @max: most blocks wanted, at least 1
 *
 * What is over @max goes to the shard's freelist as one batch.
 *
 * Context: Any, with preemption off.
 * Return: the number of blocks; 0 if no remote stack has any.
 */
unsigned int hkm_remote_drain(unsigned int class_id, unsigned int home,
			      void **blocks, unsigned int max)
{
	struct hkm_shared *shared = &hkm_shared[class_id];
	u64 mask = atomic64_read(&shared->remote_nonempty);

	while (mask) {
		unsigned int shard = mask_next(mask, home);
		void **head = &shared->shard[shard].remote;
		void *first;

		mask_clear(&shared->remote_nonempty, shard);
		/*
		 * The exchange is the second look of mask_clear(). Pairs with
		 * the release in hkm_remote_push().
		 */
		first = xchg(head, NULL);
		if (first) {
			hkm_count(class_id, HKM_remote_drains);
			return chain_take(class_id, shard, first, blocks, max);
		}
		mask &= ~BIT_ULL(shard);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_remote_drain);

int __init hkm_shared_init(void)
{
	hkm_shared = kvcalloc(HKM_NR_CLASSES, sizeof(*hkm_shared), GFP_KERNEL);
	if (!hkm_shared)
		return -ENOMEM;
	tag_shift = MAX_PHYSMEM_BITS - HKM_GRAIN_SHIFT;
	return 0;
}

void hkm_shared_exit(void)
{
	kvfree(hkm_shared);
}
