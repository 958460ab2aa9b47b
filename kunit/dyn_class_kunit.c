// SPDX-License-Identifier: GPL-2.0
/*
 * Dynamic classes: another size, and none while somebody uses the one there is.
 */
#include <linux/bitops.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "common.h"
#include "../pool/dyn_class.h"
#include "../pool/reclaim.h"

/* Not the one that has a size from the start. */
#define TEST_DYN	3
#define TEST_CLASS	(HKM_CLASS_DYN1 + TEST_DYN)

/* Has the class serve requests, or with 0 none. */
static bool serve(unsigned int dyn, u32 size_bytes)
{
	struct hkm_policy *policy = hkm_policy_edit();

	if (!policy)
		return false;
	policy->dyn_bytes[dyn] = size_bytes;
	return !hkm_policy_commit(policy);
}

static bool vacant(unsigned int dyn)
{
	return hkm_dyn_classes_vacant(BIT(dyn)) == BIT(dyn);
}

/* As serve(), where the class is of another size, or of none. */
static bool resize(unsigned int dyn, u32 size_bytes)
{
	if (!vacant(dyn))
		return false;
	hkm_dyn_class_resize(HKM_CLASS_DYN1 + dyn, size_bytes);
	return serve(dyn, size_bytes);
}

static void cpu_flush(void)
{
	preempt_disable();
	hkm_cpu_flush_all(hkm_kunit_cpu());
	preempt_enable();
}

static void unused_class_takes_a_size(struct kunit *test)
{
	static const u32 size[] = { 9728, 2560, 51200, 13312 };
	struct hkm_class cl = {};
	unsigned int i, bin;
	void *block;

	hkm_kunit_policy(test);
	for (i = 0; i < ARRAY_SIZE(size); i++) {
		KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, size[i]));
		hkm_class_set(&cl, size[i]);
		for (bin = TEST_CLASS; bin < hkm_nr_bins; bin += HKM_NR_CLASSES) {
			KUNIT_EXPECT_EQ(test, hkm_classes[bin].size_bytes, size[i]);
			KUNIT_EXPECT_EQ(test, hkm_classes[bin].nr_blocks, cl.nr_blocks);
			KUNIT_EXPECT_EQ(test, hkm_classes[bin].span_order, cl.span_order);
			KUNIT_EXPECT_EQ(test, hkm_classes[bin].magic, cl.magic);
		}
		block = hkm_kunit_alloc(size[i] - 100, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(TEST_CLASS), 1);
		KUNIT_EXPECT_EQ(test, hkm_chunk_bytes_held(TEST_CLASS),
				(long)hkm_span_bytes(&cl) *
				hkm_kunit_policy(test)->bundle[TEST_CLASS]);
		/* A refill is of four chunks at most, however large a span is. */
		KUNIT_EXPECT_LE(test, hkm_chunk_count(TEST_CLASS), 4);
		hkm_kfree(block);
		KUNIT_EXPECT_TRUE(test, serve(TEST_DYN, 0));
		hkm_kunit_empty();
	}
}

static void retired_class_serves_nothing(struct kunit *test)
{
	const struct hkm_policy *policy;
	unsigned int i;

	hkm_kunit_policy(test);
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 13312));
	policy = hkm_kunit_in_force();
	KUNIT_EXPECT_EQ(test, policy->bin_of[0][hkm_size_step(13000)], TEST_CLASS);
	KUNIT_EXPECT_EQ(test, policy->next_class[HKM_CLASS_8K], HKM_CLASS_DYN1);
	KUNIT_EXPECT_EQ(test, policy->next_class[HKM_CLASS_DYN1], TEST_CLASS);
	KUNIT_EXPECT_EQ(test, policy->next_class[TEST_CLASS], HKM_CLASS_16K);

	KUNIT_EXPECT_TRUE(test, serve(TEST_DYN, 0));
	policy = hkm_kunit_in_force();
	for (i = 0; i < HKM_NR_STEPS; i++)
		KUNIT_EXPECT_NE(test, policy->bin_of[0][i], TEST_CLASS);
	KUNIT_EXPECT_EQ(test, policy->next_class[HKM_CLASS_DYN1], HKM_CLASS_16K);
}

static void blocks_keep_the_class(struct kunit *test)
{
	void *block;

	hkm_kunit_policy(test);
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 13312));
	block = hkm_kunit_alloc(13000, GFP_KERNEL);
	memset(block, HKM_KUNIT_DIRT, 13000);
	KUNIT_EXPECT_TRUE(test, serve(TEST_DYN, 0));
	KUNIT_EXPECT_FALSE(test, vacant(TEST_DYN));
	hkm_reclaim_all();
	KUNIT_EXPECT_FALSE(test, vacant(TEST_DYN));
	KUNIT_EXPECT_EQ(test, hkm_ksize(block), 13312);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(block, HKM_KUNIT_DIRT, 13000));

	/* On this CPU; then in the shared tier; then nowhere. */
	hkm_kfree(block);
	KUNIT_EXPECT_FALSE(test, vacant(TEST_DYN));
	cpu_flush();
	KUNIT_EXPECT_FALSE(test, vacant(TEST_DYN));
	hkm_reclaim_all();
	KUNIT_EXPECT_TRUE(test, vacant(TEST_DYN));
}

static void room_on_a_cpu_keeps_the_class(struct kunit *test)
{
	struct hkm_ring *ring = hkm_kunit_ring(TEST_CLASS);

	KUNIT_ASSERT_TRUE(test, vacant(TEST_DYN));
	preempt_disable();
	ring->limit = 1;
	hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes += hkm_classes[TEST_CLASS].size_bytes;
	preempt_enable();
	KUNIT_EXPECT_FALSE(test, vacant(TEST_DYN));
	cpu_flush();
	KUNIT_EXPECT_TRUE(test, vacant(TEST_DYN));
}

static unsigned int nr_waits;
static bool vacant_in_wait;

static void retire_in_wait(void)
{
	WRITE_ONCE(hkm_test_pages_wait, NULL);
	nr_waits++;
	serve(TEST_DYN, 0);
	/* The room that its ring has been granted would keep it too. */
	cpu_flush();
	vacant_in_wait = vacant(TEST_DYN);
}

/* The class is retired while a request for it sleeps in the page allocator. */
static void request_holds_the_class(struct kunit *test)
{
	void *block;

	hkm_kunit_policy(test);
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 13312));
	nr_waits = 0;
	vacant_in_wait = true;
	WRITE_ONCE(hkm_test_pages_wait, retire_in_wait);
	block = hkm_kunit_alloc(13000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, nr_waits, 1);
	KUNIT_EXPECT_FALSE(test, vacant_in_wait);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(TEST_CLASS), 1);
	hkm_kfree(block);
	hkm_kunit_empty();
	KUNIT_EXPECT_TRUE(test, vacant(TEST_DYN));
}

static void refused_request_lets_go_of_the_class(struct kunit *test)
{
	void *block;

	hkm_kunit_policy(test);
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 13312));
	hkm_test_pages_left = 0;
	block = hkm_kunit_alloc(13000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(TEST_CLASS), 0);
	hkm_kfree(block);
	KUNIT_EXPECT_TRUE(test, serve(TEST_DYN, 0));
	hkm_kunit_empty();
	KUNIT_EXPECT_TRUE(test, vacant(TEST_DYN));
}

/* What was asked for before says nothing about requests for another size. */
static void resize_forgets_what_was_asked_for(struct kunit *test)
{
	struct hkm_class_stats sum;
	void *block;

	hkm_kunit_policy(test);
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 13312));
	hkm_kfree(hkm_kunit_alloc(13000, GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, serve(TEST_DYN, 0));
	hkm_kunit_empty();
	KUNIT_ASSERT_TRUE(test, resize(TEST_DYN, 24064));
	block = hkm_kunit_alloc(24000, GFP_KERNEL);
	hkm_stats_class(TEST_CLASS, &sum);
	KUNIT_EXPECT_EQ(test, hkm_stats_requested(&sum), 24000);
	hkm_kfree(block);
}

static u64 noted(size_t size)
{
	static u64 nr[HKM_NR_STEPS];

	hkm_stats_histogram(nr);
	return nr[hkm_size_step(size)];
}

static void sizes_are_noted_off_the_hot_path(struct kunit *test)
{
	u64 before[] = { noted(5120), noted(5121), noted(HKM_MAX_BYTES) };
	void *a, *b, *c, *d;

	a = hkm_kunit_alloc(5120, GFP_KERNEL);
	b = hkm_kunit_alloc(5121, GFP_KERNEL);
	c = hkm_kunit_alloc(HKM_MAX_BYTES, GFP_KERNEL);
	d = hkm_kunit_alloc(SZ_64K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, noted(5120), before[0] + 1);
	KUNIT_EXPECT_EQ(test, noted(5121), before[1] + 1);
	KUNIT_EXPECT_EQ(test, noted(HKM_MAX_BYTES), before[2] + 1);
	hkm_kfree(a);
	/* From the ring. */
	a = hkm_kunit_alloc(5120, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, noted(5120), before[0] + 1);
	hkm_kfree(a);
	hkm_kfree(b);
	hkm_kfree(c);
	hkm_kfree(d);
}

#define NR_THREADS	4
#define NR_ROUNDS	8000
#define NR_ROUNDS_MAX	(1000 * NR_ROUNDS)
#define NR_HELD		24
/* Sizes that the class is to have had before the load ends. */
#define NR_SIZES	16

struct stress {
	atomic_t nr_running;
	atomic_t nr_bad;
	unsigned int nr_sizes;
};

static void hold_some(unsigned int id, struct stress *stress)
{
	u32 size[NR_HELD] = {};
	void *held[NR_HELD] = {};
	struct rnd_state rnd;
	unsigned int i, round;

	prandom_seed_state(&rnd, id);
	for (round = 0; round < NR_ROUNDS_MAX; round++) {
		if (round >= NR_ROUNDS && READ_ONCE(stress->nr_sizes) >= NR_SIZES)
			break;
		i = prandom_u32_state(&rnd) % NR_HELD;
		if (held[i] && !hkm_kunit_filled(held[i], id, size[i]))
			atomic_inc(&stress->nr_bad);
		hkm_kfree(held[i]);
		/* Around what the class is resized to: small, so that blocks would overlap. */
		size[i] = 4200 + prandom_u32_state(&rnd) % 8000;
		held[i] = hkm_kunit_alloc(size[i], GFP_KERNEL);
		if (!held[i] || hkm_ksize(held[i]) < size[i])
			atomic_inc(&stress->nr_bad);
		if (held[i])
			memset(held[i], id, size[i]);
		cond_resched();
	}
	for (i = 0; i < NR_HELD; i++)
		hkm_kfree(held[i]);
	atomic_dec(&stress->nr_running);
}

/* A class comes and goes, with another size each time. */
static void resize_some(struct stress *stress)
{
	unsigned int dyn = 0;

	while (atomic_read(&stress->nr_running)) {
		dyn = dyn % (HKM_NR_DYN - 1) + 1;
		if (resize(dyn, 4608 + stress->nr_sizes % 14 * HKM_GRAIN_BYTES))
			WRITE_ONCE(stress->nr_sizes, stress->nr_sizes + 1);
		cond_resched();
		if (!serve(dyn % (HKM_NR_DYN - 1) + 1, 0))
			atomic_inc(&stress->nr_bad);
		hkm_reclaim_all();
	}
}

static void stress_thread(unsigned int id, void *arg)
{
	if (id)
		hold_some(id, arg);
	else
		resize_some(arg);
}

static void sizes_change_under_load(struct kunit *test)
{
	struct stress stress = {
		.nr_running = ATOMIC_INIT(NR_THREADS - 1),
		.nr_bad = ATOMIC_INIT(0),
	};
	unsigned int i;

	hkm_kunit_policy(test);
	hkm_kunit_threads(test, NR_THREADS, stress_thread, &stress);
	KUNIT_EXPECT_EQ(test, atomic_read(&stress.nr_bad), 0);
	KUNIT_EXPECT_GE(test, stress.nr_sizes, NR_SIZES);
	for (i = 1; i < HKM_NR_DYN; i++)
		KUNIT_EXPECT_TRUE(test, serve(i, 0));
	hkm_reclaim_all();
	for (i = 1; i < HKM_NR_DYN; i++)
		KUNIT_EXPECT_TRUE(test, vacant(i));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(unused_class_takes_a_size),
	KUNIT_CASE(retired_class_serves_nothing),
	KUNIT_CASE(blocks_keep_the_class),
	KUNIT_CASE(room_on_a_cpu_keeps_the_class),
	KUNIT_CASE(request_holds_the_class),
	KUNIT_CASE(refused_request_lets_go_of_the_class),
	KUNIT_CASE(resize_forgets_what_was_asked_for),
	KUNIT_CASE(sizes_are_noted_off_the_hot_path),
	KUNIT_CASE(sizes_change_under_load),
	{}
};

static struct kunit_suite dyn_class_suite = {
	.name = "hakmem_dyn_class",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = cases,
};

kunit_test_suites(&dyn_class_suite);
