// SPDX-License-Identifier: GPL-2.0
/*
 * Shared tier, remote stacks: single blocks go in, all come out at once.
 */
#include "common.h"
#include "../pool/freelist.h"

#define TEST_CLASS		HKM_CLASS_4K
#define HOME		9
#define NR_BLOCKS	16	/* of a 4 KiB class's chunk */

static struct hkm_shared *shared_tier(void)
{
	u64 mask;

	return hkm_test_shared(TEST_CLASS, &mask);
}

static bool shard_is_marked(unsigned int shard)
{
	return atomic64_read(&shared_tier()->remote_nonempty) & BIT_ULL(shard);
}

/* Frees by remote stack, of blocks that no request was counted for. */
static unsigned int push_all(void **blocks, unsigned int nr)
{
	unsigned int i, taken = 0;

	for (i = 0; i < nr; i++)
		taken += hkm_kunit_remote_push(TEST_CLASS, blocks[i]);
	hkm_kunit_count_allocs(TEST_CLASS, taken);
	return taken;
}

static void **new_blocks(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	hkm_kunit_chunk_blocks(hkm_kunit_chunk(test, TEST_CLASS, HOME), blocks);
	return blocks;
}

static void drain_takes_newest_first(struct kunit *test)
{
	void **blocks = new_blocks(test), *out[NR_BLOCKS];
	unsigned int i;

	KUNIT_EXPECT_EQ(test, push_all(blocks, NR_BLOCKS), (unsigned int)NR_BLOCKS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, NR_BLOCKS),
			(unsigned int)NR_BLOCKS);
	for (i = 0; i < NR_BLOCKS; i++)
		KUNIT_EXPECT_PTR_EQ(test, out[i], blocks[NR_BLOCKS - 1 - i]);
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, 1), 0U);
	hkm_kunit_push(TEST_CLASS, blocks, NR_BLOCKS);
}

static void rest_of_a_drain_becomes_a_batch(struct kunit *test)
{
	void **blocks = new_blocks(test), *out[NR_BLOCKS];
	unsigned int max, i;

	for (max = 1; max < NR_BLOCKS; max++) {
		push_all(blocks, NR_BLOCKS);
		KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, max), max);
		KUNIT_EXPECT_PTR_EQ(test, shared_tier()->shard[HOME].remote,
				    (struct hkm_slot *)NULL);
		/* One batch, of the same shard, in the same order. */
		KUNIT_EXPECT_EQ(test, atomic64_read(&shared_tier()->nonempty),
				BIT_ULL(HOME));
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out + max, NR_BLOCKS),
				NR_BLOCKS - max);
		for (i = 0; i < NR_BLOCKS; i++)
			KUNIT_EXPECT_PTR_EQ(test, out[i], blocks[NR_BLOCKS - 1 - i]);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, HOME, out, 1), 0U);
	}
	hkm_kunit_push(TEST_CLASS, blocks, NR_BLOCKS);
}

static void mask_follows_stock(struct kunit *test)
{
	void **blocks = new_blocks(test), *out[NR_BLOCKS];

	KUNIT_EXPECT_FALSE(test, shard_is_marked(HOME));
	push_all(blocks, 3);
	KUNIT_EXPECT_TRUE(test, shard_is_marked(HOME));
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, 3), 3U);
	KUNIT_EXPECT_FALSE(test, shard_is_marked(HOME));
	/* A bit over an empty stack costs a look, and goes. */
	atomic64_or(BIT_ULL(HOME), &shared_tier()->remote_nonempty);
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, 3), 0U);
	KUNIT_EXPECT_FALSE(test, shard_is_marked(HOME));
	push_all(blocks, 1);
	KUNIT_EXPECT_TRUE(test, shard_is_marked(HOME));
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, 0, out, 3), 1U);
	hkm_kunit_push(TEST_CLASS, blocks, NR_BLOCKS);
}

static void every_shard_is_found(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	unsigned int home, from, missed = 0;
	void *block = chunk->base, *out;

	for (home = 0; home < HKM_NR_SHARDS; home++) {
		chunk->home = home;
		for (from = 0; from < HKM_NR_SHARDS; from++) {
			out = NULL;
			missed += push_all(&block, 1) != 1;
			missed += !shard_is_marked(home);
			missed += hkm_kunit_drain(TEST_CLASS, from, &out, 1) != 1;
			missed += out != block;
		}
	}
	KUNIT_EXPECT_EQ(test, missed, 0U);
	hkm_chunk_release(chunk);
}

static void home_comes_first(struct kunit *test)
{
	struct hkm_chunk *near = hkm_kunit_chunk(test, TEST_CLASS, HOME);
	struct hkm_chunk *far = hkm_kunit_chunk(test, TEST_CLASS, HOME - 1);
	void *out = NULL;

	push_all(&near->base, 1);
	push_all(&far->base, 1);
	hkm_kunit_drain(TEST_CLASS, HOME, &out, 1);
	KUNIT_EXPECT_PTR_EQ(test, out, near->base);
	hkm_kunit_drain(TEST_CLASS, HOME, &out, 1);
	KUNIT_EXPECT_PTR_EQ(test, out, far->base);
	hkm_chunk_release(near);
	hkm_chunk_release(far);
}

static void second_push_is_refused(struct kunit *test)
{
	void **blocks = new_blocks(test), *out[NR_BLOCKS];
	u64 rejects = hkm_kunit_counter(TEST_CLASS, HKM_rejects);

	/* Twice there. */
	KUNIT_EXPECT_EQ(test, push_all(blocks, 2), 2U);
	KUNIT_EXPECT_EQ(test, push_all(blocks, 2), 0U);
	/* There, then on a freelist; first of the chain included (link END). */
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, blocks, 2), 0U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects + 4);
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(TEST_CLASS, HOME, out, NR_BLOCKS), 2U);
	/* On a freelist, then there. */
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(TEST_CLASS, blocks, 2), 2U);
	KUNIT_EXPECT_EQ(test, push_all(blocks, 2), 0U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_rejects), rejects + 6);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop_all(TEST_CLASS, out, NR_BLOCKS), 2U);
	hkm_kunit_push(TEST_CLASS, blocks, NR_BLOCKS);
}

static void pushes_and_drains_are_counted(struct kunit *test)
{
	void **blocks = new_blocks(test), *out[NR_BLOCKS];
	u64 frees = hkm_kunit_counter(TEST_CLASS, HKM_remote_frees);
	u64 drains = hkm_kunit_counter(TEST_CLASS, HKM_remote_drains);

	push_all(blocks, 5);
	hkm_kunit_drain(TEST_CLASS, HOME, out, NR_BLOCKS);
	hkm_kunit_drain(TEST_CLASS, HOME, out, NR_BLOCKS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_remote_frees),
			frees + 5);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_remote_drains),
			drains + 1);
	hkm_kunit_push(TEST_CLASS, blocks, NR_BLOCKS);
}

#define STORM_PUSHERS	3
#define STORM_THREADS	(STORM_PUSHERS + 2)
#define STORM_PUSHES	1008	/* whole chunks for each */
#define STORM_BLOCKS	(STORM_PUSHERS * STORM_PUSHES)

struct storm {
	void **blocks;
	atomic_t pushers;
	atomic_t refused;
	atomic_t drained;
	atomic_t conflicts;
};

/* Takes all there is; marks each block, so that none is taken twice. */
static unsigned int storm_take(struct storm *storm, unsigned int id)
{
	void *out[NR_BLOCKS];
	unsigned int nr, i;

	nr = hkm_kunit_drain(TEST_CLASS, HOME, out, NR_BLOCKS) ?:
	     hkm_kunit_pop(TEST_CLASS, HOME, out, NR_BLOCKS);
	for (i = 0; i < nr; i++)
		if (cmpxchg((u64 *)out[i], 0, id + 1))
			atomic_inc(&storm->conflicts);
	atomic_add(nr, &storm->drained);
	return nr;
}

static void storm_thread(unsigned int id, void *arg)
{
	struct storm *storm = arg;
	unsigned int i;

	if (id < STORM_PUSHERS) {
		for (i = 0; i < STORM_PUSHES; i++)
			if (!push_all(&storm->blocks[id * STORM_PUSHES + i], 1))
				atomic_inc(&storm->refused);
		atomic_dec(&storm->pushers);
		return;
	}
	while (atomic_read(&storm->pushers)) {
		storm_take(storm, id);
		cond_resched();
	}
	while (storm_take(storm, id))
		cond_resched();
}

static void nothing_is_lost_in_a_storm(struct kunit *test)
{
	struct storm storm = { .pushers = ATOMIC_INIT(STORM_PUSHERS) };
	unsigned int i;

	storm.blocks = hkm_kunit_pointers(test, STORM_BLOCKS);
	for (i = 0; i < STORM_BLOCKS; i += NR_BLOCKS)
		hkm_kunit_chunk_blocks(hkm_kunit_chunk(test, TEST_CLASS, HOME),
				       storm.blocks + i);
	for (i = 0; i < STORM_BLOCKS; i++)
		*(u64 *)storm.blocks[i] = 0;
	hkm_kunit_threads(test, STORM_THREADS, storm_thread, &storm);

	/* Both may have stopped at a moment when neither mask bit was set. */
	while (storm_take(&storm, STORM_THREADS))
		;
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.refused), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.conflicts), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.drained), STORM_BLOCKS);
	for (i = 0; i < STORM_BLOCKS; i += NR_BLOCKS)
		hkm_kunit_push(TEST_CLASS, storm.blocks + i, NR_BLOCKS);
}

static struct kunit_case remote_cases[] = {
	KUNIT_CASE(drain_takes_newest_first),
	KUNIT_CASE(rest_of_a_drain_becomes_a_batch),
	KUNIT_CASE(mask_follows_stock),
	KUNIT_CASE(every_shard_is_found),
	KUNIT_CASE(home_comes_first),
	KUNIT_CASE(second_push_is_refused),
	KUNIT_CASE(pushes_and_drains_are_counted),
	KUNIT_CASE(nothing_is_lost_in_a_storm),
	{}
};

static struct kunit_suite remote_suite = {
	.name = "hakmem_remote",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = remote_cases,
};

kunit_test_suites(&remote_suite);
