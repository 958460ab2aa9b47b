// SPDX-License-Identifier: GPL-2.0
/*
 * Shared tier, freelists: batches keep their blocks and their order, shards are
 * searched from home on, and a stale head is never taken for a fresh one.
 */
#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "common.h"
#include "../pool/freelist.h"

#define TEST_CLASS		HKM_CLASS_2K
#define HOME		5

static struct hkm_shared *shared_tier(void)
{
	u64 mask;

	return hkm_test_shared(TEST_CLASS, &mask);
}

static u64 id_mask(void)
{
	u64 mask;

	hkm_test_shared(TEST_CLASS, &mask);
	return mask;
}

static u64 head_of(unsigned int shard)
{
	return atomic64_read(&shared_tier()->shard[shard].head);
}

static u64 tag_of(unsigned int shard)
{
	return head_of(shard) / (id_mask() + 1);
}

static u64 id_of(const void *block)
{
	return ((unsigned long)block - PAGE_OFFSET) >> HKM_GRAIN_SHIFT;
}

static bool shard_is_marked(unsigned int shard)
{
	return atomic64_read(&shared_tier()->nonempty) & BIT_ULL(shard);
}

static struct hkm_slot *slot_of(const void *block)
{
	struct hkm_slot *slot = NULL;
	struct hkm_chunk *chunk;
	unsigned int index;

	preempt_disable();
	chunk = hkm_chunk_lookup(block);
	if (chunk && hkm_chunk_block_index(chunk, block, &index))
		slot = &chunk->slot[index];
	preempt_enable();
	return slot;
}

/* Blocks of a new chunk, HKM_MAX_BLOCKS of them. */
static void **new_blocks(struct kunit *test, unsigned int home)
{
	void **blocks = hkm_kunit_pointers(test, HKM_MAX_BLOCKS);

	hkm_kunit_chunk_blocks(hkm_kunit_chunk(test, TEST_CLASS, home), blocks);
	return blocks;
}

static void batches_come_back_whole(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	unsigned int nr;

	for (nr = 1; nr <= HKM_MAX_BLOCKS; nr++) {
		KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, blocks, nr), nr);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, HKM_MAX_BLOCKS), nr);
		KUNIT_EXPECT_EQ(test, memcmp(out, blocks, nr * sizeof(*out)), 0);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 1), 0U);
	}
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void batches_are_a_stack(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	unsigned int at;

	/* Batches of 1, 2, ... 7 blocks. */
	for (at = 0; at < 7; at++)
		hkm_kunit_push(TEST_CLASS, blocks + at * (at + 1) / 2, at + 1);
	while (at--) {
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, HKM_MAX_BLOCKS),
				at + 1);
		KUNIT_EXPECT_EQ(test,
				memcmp(out, blocks + at * (at + 1) / 2,
				       (at + 1) * sizeof(*out)), 0);
	}
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void rest_of_a_batch_goes_back(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	unsigned int max;

	for (max = 1; max < 16; max++) {
		hkm_kunit_push(TEST_CLASS, blocks, 16);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, max), max);
		KUNIT_EXPECT_TRUE(test, shard_is_marked(HOME));
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out + max, 16),
				16 - max);
		KUNIT_EXPECT_EQ(test, memcmp(out, blocks, 16 * sizeof(*out)), 0);
	}
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void blocks_go_to_their_home(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	unsigned int home, from, missed = 0;
	void *block = chunk->base, *out;

	/* From every shard, every other one is found. */
	for (home = 0; home < HKM_NR_SHARDS; home++) {
		chunk->home = home;
		for (from = 0; from < HKM_NR_SHARDS; from++) {
			out = NULL;
			hkm_kunit_push(TEST_CLASS, &block, 1);
			missed += (head_of(home) & id_mask()) != id_of(block);
			missed += !shard_is_marked(home);
			missed += hkm_kunit_pop(TEST_CLASS, from, &out, 1) != 1;
			missed += out != block;
		}
	}
	KUNIT_EXPECT_EQ(test, missed, 0U);
	hkm_chunk_release(chunk);
}

static void home_comes_first(struct kunit *test)
{
	static const unsigned int home[] = { 5, 20, 31 };
	/* Where to look first, and the order in which shards are then found. */
	static const unsigned int from[][4] = {
		{ 0, 0, 1, 2 }, { 5, 0, 1, 2 }, { 6, 1, 2, 0 },
		{ 20, 1, 2, 0 }, { 21, 2, 0, 1 }, { 31, 2, 0, 1 },
	};
	struct hkm_chunk *chunk[3];
	unsigned int i, j;
	void *out;

	for (i = 0; i < 3; i++)
		chunk[i] = hkm_kunit_chunk(test, TEST_CLASS, home[i]);
	for (i = 0; i < ARRAY_SIZE(from); i++) {
		for (j = 0; j < 3; j++)
			hkm_kunit_push(TEST_CLASS, &chunk[j]->base, 1);
		for (j = 0; j < 3; j++) {
			out = NULL;
			KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, from[i][0], &out, 1), 1U);
			KUNIT_EXPECT_PTR_EQ_MSG(test, out, chunk[from[i][j + 1]]->base,
						"from %u, pop %u", from[i][0], j);
		}
	}
	for (i = 0; i < 3; i++)
		hkm_chunk_release(chunk[i]);
}

/* Whatever the call site: others' stock is taken before it. */
static void draining_stock_comes_last(struct kunit *test)
{
	struct hkm_chunk *drains = hkm_kunit_chunk(test, TEST_CLASS, HOME | HKM_DRAINS);
	struct hkm_chunk *other = hkm_kunit_chunk(test, TEST_CLASS, HOME - 1);
	unsigned int home;
	void *out;

	for (home = 0; home < HKM_NR_HOMES; home++) {
		hkm_kunit_push(TEST_CLASS, &other->base, 1);
		hkm_kunit_push(TEST_CLASS, &drains->base, 1);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, home, &out, 1), 1U);
		KUNIT_EXPECT_PTR_EQ(test, out, other->base);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, home, &out, 1), 1U);
		KUNIT_EXPECT_PTR_EQ(test, out, drains->base);
	}
	hkm_chunk_release(drains);
	hkm_chunk_release(other);
}

/* Else what is freed with others would be handed out with them. */
static void draining_blocks_go_by_themselves(struct kunit *test)
{
	struct hkm_chunk *drains = hkm_kunit_chunk(test, TEST_CLASS, HOME | HKM_DRAINS);
	struct hkm_chunk *other = hkm_kunit_chunk(test, TEST_CLASS, HOME);
	void *a[HKM_MAX_BLOCKS], *b[HKM_MAX_BLOCKS], *out[HKM_MAX_BLOCKS];

	hkm_kunit_chunk_blocks(drains, a);
	hkm_kunit_chunk_blocks(other, b);
	/* Where none of them are in stock, nothing is worth a batch more. */
	hkm_kunit_push(TEST_CLASS, (void *[]){ b[0], a[0], b[1] }, 3);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 3U);

	hkm_kunit_push(TEST_CLASS, &a[0], 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS,
					     (void *[]){ a[1], b[0], a[2], b[1] }, 4), 4U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, (void *[]){ b[2], b[3] }, 2), 2U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, (void *[]){ a[3], a[0], a[3] }, 3), 1U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 2U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], b[2]);
	KUNIT_EXPECT_PTR_EQ(test, out[1], b[3]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 2U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], b[0]);
	KUNIT_EXPECT_PTR_EQ(test, out[1], b[1]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 1U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], a[3]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 2U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], a[1]);
	KUNIT_EXPECT_PTR_EQ(test, out[1], a[2]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 1U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], a[0]);
	hkm_chunk_release(drains);
	hkm_chunk_release(other);
}

static void mask_follows_stock(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];

	KUNIT_EXPECT_FALSE(test, shard_is_marked(HOME));
	hkm_kunit_push(TEST_CLASS, blocks, 4);
	hkm_kunit_push(TEST_CLASS, blocks + 4, 4);
	KUNIT_EXPECT_TRUE(test, shard_is_marked(HOME));
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 4), 4U);
	KUNIT_EXPECT_TRUE(test, shard_is_marked(HOME));
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 4), 4U);
	/* Who finds the shard empty clears the bit, and only that one. */
	atomic64_or(BIT_ULL(HOME + 1), &shared_tier()->nonempty);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 4), 0U);
	KUNIT_EXPECT_EQ(test, atomic64_read(&shared_tier()->nonempty), 0);
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&shared_tier()->nonempty),
			BIT_ULL(HOME));
}

static void push_takes_a_new_tag(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out;
	u64 tags = U64_MAX / (id_mask() + 1) + 1, tag = tag_of(HOME);
	unsigned int i;

	for (i = 0; i < HKM_MAX_BLOCKS; i++) {
		hkm_kunit_push(TEST_CLASS, &blocks[i], 1);
		tag = (tag + 1) % tags;
		KUNIT_EXPECT_EQ(test, tag_of(HOME), tag);
	}
	for (i = 0; i < HKM_MAX_BLOCKS; i++) {
		hkm_kunit_pop(TEST_CLASS, HOME, &out, 1);
		KUNIT_EXPECT_EQ(test, tag_of(HOME), tag);
	}
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void tag_wraps_around(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];

	KUNIT_ASSERT_EQ(test, head_of(HOME) & id_mask(), 0ULL);
	/* An empty list whose tag is all ones. */
	atomic64_set(&shared_tier()->shard[HOME].head, ~id_mask());
	hkm_kunit_push(TEST_CLASS, blocks, 3);
	KUNIT_EXPECT_EQ(test, tag_of(HOME), 0ULL);
	KUNIT_EXPECT_EQ(test, head_of(HOME), id_of(blocks[0]));
	hkm_kunit_push(TEST_CLASS, blocks + 3, 2);
	KUNIT_EXPECT_EQ(test, tag_of(HOME), 1ULL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 2U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out + 2, 9), 3U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], blocks[3]);
	KUNIT_EXPECT_PTR_EQ(test, out[2], blocks[0]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 9), 0U);

	/* The same with stock in the list. */
	hkm_kunit_push(TEST_CLASS, blocks, 3);
	atomic64_or(~id_mask(), &shared_tier()->shard[HOME].head);
	hkm_kunit_push(TEST_CLASS, blocks + 3, 2);
	KUNIT_EXPECT_EQ(test, tag_of(HOME), 0ULL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop_all(TEST_CLASS, out, HKM_MAX_BLOCKS), 5U);
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void second_push_is_refused(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	void *twice[] = { blocks[0], blocks[1], blocks[0] };
	u64 rejects = hkm_kunit_counter(TEST_CLASS, HKM_rejects);

	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, twice, 3), 2U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects + 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, blocks, 2), 0U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects + 3);
	/* One in the middle that is there already: the others are taken. */
	twice[0] = blocks[2];
	twice[2] = blocks[3];
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, twice, 3), 2U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects + 4);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop_all(TEST_CLASS, out, HKM_MAX_BLOCKS), 4U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS),
			(unsigned int)HKM_MAX_BLOCKS);
}

/* What another CPU may do between a popper's reads and its exchange. */
static void stale_exchange_fails(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *a = blocks[0], *b = blocks[1];
	atomic64_t *head = &shared_tier()->shard[HOME].head;
	void *out[4];
	u64 seen, next;

	hkm_kunit_push(TEST_CLASS, &b, 1);
	hkm_kunit_push(TEST_CLASS, &a, 1);

	/* The popper reads the head, which names A, and A's next word, B. */
	seen = atomic64_read(head);
	next = READ_ONCE(slot_of(a)->next);
	KUNIT_ASSERT_EQ(test, seen & id_mask(), id_of(a));
	KUNIT_ASSERT_EQ(test, next, id_of(b));

	/* Others take A and B, and give A back. */
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 1), 1U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 1), 1U);
	hkm_kunit_push(TEST_CLASS, &a, 1);

	/* A is first again; a bare pointer would put B, which is taken, there. */
	KUNIT_EXPECT_EQ(test, atomic64_read(head) & id_mask(), id_of(a));
	KUNIT_EXPECT_NE(test,
			atomic64_cmpxchg(head, seen, (seen & ~id_mask()) | next),
			(s64)seen);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop_all(TEST_CLASS, out, 4), 1U);
	KUNIT_EXPECT_PTR_EQ(test, out[0], a);
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static void pops_and_pushes_are_counted(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	u64 pushes = hkm_kunit_counter(TEST_CLASS, HKM_freelist_pushes);
	u64 pops = hkm_kunit_counter(TEST_CLASS, HKM_freelist_pops);

	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_freelist_pushes),
			pushes + 1);
	hkm_kunit_pop(TEST_CLASS, HOME, out, HKM_MAX_BLOCKS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_freelist_pops),
			pops + 1);
	hkm_kunit_pop(TEST_CLASS, HOME, out, HKM_MAX_BLOCKS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_freelist_pops),
			pops + 1);
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

#define STORM_THREADS	4
#define STORM_BLOCKS	12	/* few, so that the same ones come round often */

struct storm {
	unsigned long end;
	atomic_t conflicts;
	atomic_t rounds;
};

/* Block's first word: the thread that holds it, plus one; 0 for none. */
static bool owner_change(void *block, u64 from, u64 to)
{
	return cmpxchg((u64 *)block, from, to) == from;
}

static void storm_thread(unsigned int id, void *arg)
{
	struct storm *storm = arg;
	void *held[STORM_BLOCKS];
	struct rnd_state rnd;
	unsigned int nr = 0, i;

	prandom_seed_state(&rnd, id + 1);
	while (time_before(jiffies, storm->end)) {
		u32 dice = prandom_u32_state(&rnd);
		unsigned int more = 0, less;

		if (nr < STORM_BLOCKS)
			more = hkm_kunit_pop(TEST_CLASS, HOME, held + nr,
					     1 + dice % (STORM_BLOCKS - nr));
		for (i = nr; i < nr + more; i++)
			if (!owner_change(held[i], 0, id + 1))
				atomic_inc(&storm->conflicts);
		nr += more;
		/* Batches of 1 or 2 make the head pass the same block often. */
		less = min(nr, 1 + (dice >> 8) % ((dice >> 16) % 4 ? 2 : 8));
		for (i = nr - less; i < nr; i++)
			if (!owner_change(held[i], id + 1, 0))
				atomic_inc(&storm->conflicts);
		nr -= less;
		if (less)
			hkm_kunit_push(TEST_CLASS, held + nr, less);
		atomic_inc(&storm->rounds);
		cond_resched();
	}
	for (i = 0; i < nr; i++)
		if (!owner_change(held[i], id + 1, 0))
			atomic_inc(&storm->conflicts);
	if (nr)
		hkm_kunit_push(TEST_CLASS, held, nr);
}

static void no_block_has_two_owners(struct kunit *test)
{
	void **blocks = new_blocks(test, HOME), *out[HKM_MAX_BLOCKS];
	u64 rejects = hkm_kunit_counter(TEST_CLASS, HKM_rejects);
	struct storm storm = { .end = jiffies + HZ };
	unsigned int i, nr;

	for (i = 0; i < HKM_MAX_BLOCKS; i++)
		*(u64 *)blocks[i] = 0;
	for (i = 0; i < STORM_BLOCKS; i++)
		hkm_kunit_push(TEST_CLASS, &blocks[i], 1);
	hkm_kunit_threads(test, STORM_THREADS, storm_thread, &storm);

	KUNIT_EXPECT_EQ(test, atomic_read(&storm.conflicts), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&storm.rounds), 1000);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects);
	nr = hkm_kunit_pop_all(TEST_CLASS, out, HKM_MAX_BLOCKS);
	KUNIT_EXPECT_EQ(test, nr, (unsigned int)STORM_BLOCKS);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, owner_change(out[i], 0, 1));
	kunit_info(test, "%d rounds, %llu exchanges repeated in all so far\n",
		   atomic_read(&storm.rounds),
		   hkm_kunit_counter(TEST_CLASS, HKM_cas_retries));
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS);
}

static struct kunit_case freelist_cases[] = {
	KUNIT_CASE(batches_come_back_whole),
	KUNIT_CASE(batches_are_a_stack),
	KUNIT_CASE(rest_of_a_batch_goes_back),
	KUNIT_CASE(blocks_go_to_their_home),
	KUNIT_CASE(home_comes_first),
	KUNIT_CASE(draining_stock_comes_last),
	KUNIT_CASE(draining_blocks_go_by_themselves),
	KUNIT_CASE(mask_follows_stock),
	KUNIT_CASE(push_takes_a_new_tag),
	KUNIT_CASE(tag_wraps_around),
	KUNIT_CASE(second_push_is_refused),
	KUNIT_CASE(stale_exchange_fails),
	KUNIT_CASE(pops_and_pushes_are_counted),
	KUNIT_CASE(no_block_has_two_owners),
	{}
};

static struct kunit_suite freelist_suite = {
	.name = "hakmem_freelist",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = freelist_cases,
};

kunit_test_suites(&freelist_suite);
