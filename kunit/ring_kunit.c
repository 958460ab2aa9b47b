// SPDX-License-Identifier: GPL-2.0
/*
 * Front end, rings: the order of blocks, the limits, the CPU's budget, and
 * callers that interrupt each other.
 */
#include <linux/prandom.h>

#include "common.h"
#include "../pool/freelist.h"

#define TEST_CLASS	HKM_CLASS_2K
#define HALF	(HKM_RING_SLOTS / 2)

/* What a front end's grants add up to. */
static u32 granted_bytes(const struct hkm_cpu *cpu)
{
	unsigned int id, i;
	u32 bytes = 0;

	hkm_kunit_for_each_class(id) {
		const struct hkm_ring *ring = &cpu->ring[id];

		bytes += ring->limit * hkm_classes[id].size_bytes;
		for (i = 0; i < ARRAY_SIZE(ring->run); i++)
			if (ring->run[i].end)
				bytes += ring->run[i].span_bytes;
	}
	return bytes;
}

static void alloc_all(unsigned int bin, void **blocks, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		blocks[i] = hkm_kunit_alloc_class(bin, GFP_KERNEL);
}

/* Allocates @nr blocks of a class and frees them, @times over. */
static void churn(unsigned int bin, unsigned int nr, unsigned int times)
{
	void *blocks[2 * HKM_RING_SLOTS];

	while (times--) {
		alloc_all(bin, blocks, nr);
		hkm_kunit_free_all(blocks, nr);
	}
}

/* Grants the ring of TEST_CLASS @limit slots, as growing would. */
static struct hkm_ring *ring_of_limit(unsigned long limit)
{
	struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);

	hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes += (limit - ring->limit) *
					 hkm_classes[TEST_CLASS].size_bytes;
	ring->limit = limit;
	return ring;
}

static void last_freed_is_first_out(struct kunit *test)
{
	void *blocks[HALF];
	unsigned int i;

	churn(TEST_CLASS, HKM_RING_SLOTS, 3);
	alloc_all(TEST_CLASS, blocks, HALF);
	for (i = 0; i < HALF; i++)
		hkm_kfree(blocks[i]);
	while (i--)
		KUNIT_EXPECT_PTR_EQ(test,
				    hkm_kunit_alloc_class(TEST_CLASS, GFP_KERNEL),
				    blocks[i]);
	hkm_kunit_free_all(blocks, HALF);
}

static void limit_doubles_up_to_all_slots(struct kunit *test)
{
	const struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);
	void *blocks[HKM_RING_SLOTS];
	unsigned long want;
	unsigned int i;

	alloc_all(TEST_CLASS, blocks, HKM_RING_SLOTS);
	want = ring->limit;
	KUNIT_ASSERT_EQ(test, ring->nr, 0);
	KUNIT_EXPECT_LE(test, want, 2);
	for (i = 0; i < HKM_RING_SLOTS; i++) {
		if (i == want)
			want = 2 * want ?: 1;
		hkm_kfree(blocks[i]);
		KUNIT_EXPECT_EQ(test, ring->limit, want);
		KUNIT_EXPECT_EQ(test, ring->nr, i + 1);
	}
	KUNIT_EXPECT_EQ(test, ring->limit, HKM_RING_SLOTS);
	KUNIT_EXPECT_EQ(test, granted_bytes(hkm_kunit_cpu()),
			hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes);
}

static void limit_keeps_to_the_budget(struct kunit *test)
{
	const struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);
	struct hkm_policy *policy = hkm_kunit_policy(test);
	unsigned long least = ring->limit;

	/* Room for four slots more, and for no active page. */
	policy->cpu_budget_bytes = hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes + 4 * SZ_2K;
	churn(TEST_CLASS, HKM_RING_SLOTS, 50);
	KUNIT_EXPECT_EQ(test, ring->limit, least + 4);
	KUNIT_EXPECT_PTR_EQ(test, ring->run[0].end, NULL);
	KUNIT_EXPECT_LE(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes,
			policy->cpu_budget_bytes);
	KUNIT_EXPECT_EQ(test, granted_bytes(hkm_kunit_cpu()),
			hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes);
}

static void no_budget_still_serves(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_policy(test)->cpu_budget_bytes = 0;
	hkm_kunit_for_each_class(id) {
		u64 refills;

		churn(id, HKM_RING_SLOTS, 1);
		refills = hkm_kunit_counter(id, HKM_refills);
		churn(id, HKM_RING_SLOTS, 3);
		/* All from the shared tier: what was freed comes back. */
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_refills), refills);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes, 0);
}

static void full_ring_gives_its_older_half(struct kunit *test)
{
	const struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);
	void *blocks[HKM_RING_SLOTS + 1], *out[HKM_RING_SLOTS];
	unsigned int i;
	u64 pushes;

	alloc_all(TEST_CLASS, blocks, ARRAY_SIZE(blocks));
	pushes = hkm_kunit_counter(TEST_CLASS, HKM_freelist_pushes);
	for (i = 0; i < HKM_RING_SLOTS; i++)
		hkm_kfree(blocks[i]);
	KUNIT_EXPECT_EQ(test, ring->nr, HKM_RING_SLOTS);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_freelist_pushes),
			pushes);

	hkm_kfree(blocks[HKM_RING_SLOTS]);
	KUNIT_EXPECT_EQ(test, ring->nr, HALF + 1);
	KUNIT_EXPECT_EQ(test,
			memcmp(ring->slot, blocks + HALF,
			       (HALF + 1) * sizeof(*blocks)), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_freelist_pushes),
			pushes + 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, 0, out, HKM_RING_SLOTS), HALF);
	KUNIT_EXPECT_EQ(test, memcmp(out, blocks, HALF * sizeof(*out)), 0);
	hkm_kunit_push(TEST_CLASS, out, HALF);
}

static void empty_ring_takes_a_batch(struct kunit *test)
{
	const struct hkm_ring *ring = ring_of_limit(HKM_RING_SLOTS);
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	void *blocks[HKM_MAX_BLOCKS], *p;

	hkm_kunit_chunk_blocks(chunk, blocks);
	hkm_kunit_push(TEST_CLASS, blocks, HALF);
	hkm_kunit_push(TEST_CLASS, blocks + HALF, HALF);
	p = hkm_kunit_alloc_class(TEST_CLASS, GFP_KERNEL);
	/* The batch that came last, its last block first. */
	KUNIT_EXPECT_PTR_EQ(test, p, blocks[2 * HALF - 1]);
	KUNIT_EXPECT_EQ(test, ring->nr, HALF - 1);
	KUNIT_EXPECT_EQ(test,
			memcmp(ring->slot, blocks + HALF,
			       (HALF - 1) * sizeof(p)), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(TEST_CLASS), 1);
	hkm_kfree(p);
}

static void empty_ring_gathers_small_batches(struct kunit *test)
{
	const struct hkm_ring *ring = ring_of_limit(HKM_RING_SLOTS);
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	void *blocks[HKM_MAX_BLOCKS], *p;
	unsigned int i;

	hkm_kunit_chunk_blocks(chunk, blocks);
	for (i = 0; i < HKM_MAX_BLOCKS; i += 2)
		hkm_kunit_push(TEST_CLASS, blocks + i, 2);
	p = hkm_kunit_alloc_class(TEST_CLASS, GFP_KERNEL);
	/* Two pops, and no more: a request's work is bounded. */
	KUNIT_EXPECT_EQ(test, ring->nr, 3);
	hkm_kfree(p);
}

static void empty_ring_drains_remote_stacks(struct kunit *test)
{
	const struct hkm_ring *ring = ring_of_limit(HKM_RING_SLOTS);
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	void *blocks[HKM_MAX_BLOCKS], *p;
	unsigned int i;

	hkm_kunit_chunk_blocks(chunk, blocks);
	for (i = 0; i < HKM_MAX_BLOCKS; i++)
		hkm_kunit_remote_push(TEST_CLASS, blocks[i]);
	hkm_kunit_count_allocs(TEST_CLASS, HKM_MAX_BLOCKS);
	p = hkm_kunit_alloc_class(TEST_CLASS, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, ring->nr, HALF - 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(TEST_CLASS), 1);
	/* The rest is on the freelist. */
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(TEST_CLASS, 0, blocks, HKM_MAX_BLOCKS),
			HKM_MAX_BLOCKS - HALF);
	hkm_kunit_push(TEST_CLASS, blocks, HKM_MAX_BLOCKS - HALF);
	hkm_kfree(p);
}

#define STORM_HELD	96
#define STORM_ROUNDS	20000

static void budget_holds_in_a_storm(struct kunit *test)
{
	const u32 budget = hkm_kunit_policy(test)->cpu_budget_bytes;
	void **held = hkm_kunit_pointers(test, STORM_HELD);
	const struct hkm_cpu *cpu = hkm_kunit_cpu();
	unsigned int i, over = 0, wrong = 0, failed = 0;
	struct rnd_state rnd;
	u32 most = 0;

	prandom_seed_state(&rnd, 4711);
	for (i = 0; i < STORM_ROUNDS; i++) {
		void **p = &held[prandom_u32_state(&rnd) % STORM_HELD];
		/* Phases: a few classes busy at a time, then others. */
		unsigned int id = (prandom_u32_state(&rnd) % 3 + i / 2000) %
				  HKM_NR_CLASSES;

		if (*p) {
			hkm_kfree(*p);
			*p = NULL;
		} else {
			*p = hkm_kunit_alloc_class(id, GFP_KERNEL);
			failed += !*p;
		}
		most = max(most, hkm_cpu_budget(cpu)->parked_bytes);
		over += hkm_cpu_budget(cpu)->parked_bytes > budget;
		wrong += hkm_cpu_budget(cpu)->parked_bytes != granted_bytes(cpu);
	}
	hkm_kunit_free_all(held, STORM_HELD);
	KUNIT_EXPECT_EQ(test, failed, 0);
	KUNIT_EXPECT_EQ(test, over, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	/* And it is made use of. */
	KUNIT_EXPECT_GT(test, most, budget / 2);
}

static void idle_class_makes_room(struct kunit *test)
{
	const struct hkm_ring *idle = hkm_kunit_ring(HKM_CLASS_52K);
	const struct hkm_ring *busy = hkm_kunit_ring(HKM_CLASS_32K);
	unsigned long limit;

	churn(HKM_CLASS_52K, HALF, 4);
	KUNIT_ASSERT_GE(test, idle->limit, 8);
	limit = (hkm_kunit_policy(test)->cpu_budget_bytes -
		 hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes) / SZ_32K;
	churn(HKM_CLASS_32K, HKM_RING_SLOTS, 20);
	KUNIT_EXPECT_LE(test, idle->limit, 1);
	KUNIT_EXPECT_LE(test, idle->nr, idle->limit);
	/* More than was free without it. */
	KUNIT_EXPECT_GT(test, busy->limit, limit + 4);
}

static void busy_class_keeps_its_room(struct kunit *test)
{
	const struct hkm_ring *first = hkm_kunit_ring(HKM_CLASS_52K);
	unsigned long limit;
	unsigned int i;

	churn(HKM_CLASS_52K, HALF, 4);
	limit = first->limit;
	KUNIT_ASSERT_GE(test, limit, 8);
	for (i = 0; i < 50; i++) {
		churn(HKM_CLASS_32K, 4, 1);
		churn(HKM_CLASS_52K, 1, 1);
	}
	KUNIT_EXPECT_EQ(test, first->limit, limit);
}

/*
 * What interrupts do that come while a task is in a busy section: here the same
 * task calls, with the section open.
 */
static void nested_calls_use_the_shared_tier(struct kunit *test)
{
	const struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);
	u64 frees = hkm_kunit_counter(TEST_CLASS, HKM_remote_frees), drains;
	void *blocks[HALF], *nested[HKM_MAX_BLOCKS], *drained;
	struct hkm_chunk *chunk;
	unsigned long nr, limit;
	struct hkm_cpu *cpu;
	unsigned int i;

	churn(TEST_CLASS, HALF, 3);
	alloc_all(TEST_CLASS, blocks, HALF / 2);
	chunk = hkm_kunit_chunk(test, TEST_CLASS, 0);
	hkm_kunit_chunk_blocks(chunk, nested);
	hkm_kunit_push(TEST_CLASS, nested, HKM_MAX_BLOCKS);
	nr = ring->nr;
	limit = ring->limit;
	KUNIT_ASSERT_GT(test, nr, 0);
	drains = hkm_kunit_counter(TEST_CLASS, HKM_remote_drains);

	cpu = hkm_kunit_cpu_get();
	for (i = 0; i < HKM_MAX_BLOCKS; i++)
		nested[i] = hkm_kunit_alloc_class(TEST_CLASS, GFP_NOWAIT);
	for (i = 0; i < HALF / 2; i++)
		hkm_kfree(blocks[i]);
	hkm_kunit_cpu_put(cpu);

	/* The ring was left alone; the frees went to remote stacks. */
	KUNIT_EXPECT_EQ(test, ring->nr, nr);
	KUNIT_EXPECT_EQ(test, ring->limit, limit);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_remote_frees),
			frees + HALF / 2);
	for (i = 0; i < HKM_MAX_BLOCKS; i++)
		KUNIT_EXPECT_TRUE(test, hkm_owns(nested[i]));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(TEST_CLASS), HKM_MAX_BLOCKS);

	/* With the freelists empty, nested requests get what was freed there. */
	hkm_kunit_pop_all(TEST_CLASS, blocks, ARRAY_SIZE(blocks));
	cpu = hkm_kunit_cpu_get();
	drained = hkm_kunit_alloc_class(TEST_CLASS, GFP_NOWAIT);
	hkm_kunit_cpu_put(cpu);
	KUNIT_EXPECT_TRUE(test, hkm_owns(drained));
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(TEST_CLASS, HKM_remote_drains),
			drains + 1);
	hkm_kfree(drained);
	hkm_kunit_free_all(nested, HKM_MAX_BLOCKS);
}

static void nested_refill_stocks_the_shared_tier(struct kunit *test)
{
	const struct hkm_cpu *mine = hkm_kunit_cpu();
	struct hkm_cpu *cpu;
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		const struct hkm_ring *ring = hkm_kunit_ring(id);
		void **out = hkm_kunit_pointers(test, 4 * HKM_MAX_BLOCKS), *p;
		unsigned int nr;

		cpu = hkm_kunit_cpu_get();
		p = hkm_kunit_alloc_class(id, GFP_NOWAIT);
		hkm_kunit_cpu_put(cpu);
		KUNIT_EXPECT_TRUE(test, hkm_owns(p));
		KUNIT_EXPECT_EQ(test, ring->nr, 0);
		KUNIT_EXPECT_PTR_EQ(test, ring->run[0].end, NULL);
		KUNIT_EXPECT_PTR_EQ(test, ring->run[1].end, NULL);
		nr = hkm_kunit_pop_all(id, out, 4 * HKM_MAX_BLOCKS);
		KUNIT_EXPECT_EQ(test, nr + 1,
				(hkm_chunk_count(id) >> hkm_classes[id].span_order) *
				hkm_classes[id].nr_blocks);
		hkm_kunit_push(id, out, nr);
		hkm_kfree(p);
	}
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(mine)->parked_bytes, granted_bytes(mine));
}

static struct kunit_case ring_cases[] = {
	KUNIT_CASE(last_freed_is_first_out),
	KUNIT_CASE(limit_doubles_up_to_all_slots),
	KUNIT_CASE(limit_keeps_to_the_budget),
	KUNIT_CASE(no_budget_still_serves),
	KUNIT_CASE(full_ring_gives_its_older_half),
	KUNIT_CASE(empty_ring_takes_a_batch),
	KUNIT_CASE(empty_ring_gathers_small_batches),
	KUNIT_CASE(empty_ring_drains_remote_stacks),
	KUNIT_CASE(budget_holds_in_a_storm),
	KUNIT_CASE(idle_class_makes_room),
	KUNIT_CASE(busy_class_keeps_its_room),
	KUNIT_CASE(nested_calls_use_the_shared_tier),
	KUNIT_CASE(nested_refill_stocks_the_shared_tier),
	{}
};

static struct kunit_suite ring_suite = {
	.name = "hakmem_ring",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = ring_cases,
};

kunit_test_suites(&ring_suite);
