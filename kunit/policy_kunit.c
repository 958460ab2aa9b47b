// SPDX-License-Identifier: GPL-2.0
/*
 * Policy: how one takes another's place, and what its numbers do.
 */
#include <linux/limits.h>
#include <linux/sched.h>

#include "common.h"
#include "../pool/reclaim.h"

static const struct hkm_policy *in_force(void)
{
	return rcu_dereference_protected(hkm_policy, true);
}

/* What exit puts back. */
static struct hkm_policy saved;

static int policy_begin(struct kunit *test)
{
	saved = *in_force();
	return hkm_kunit_begin(test);
}

static void policy_end(struct kunit *test)
{
	struct hkm_policy *policy;

	hkm_kunit_end(test);
	policy = hkm_policy_edit();
	KUNIT_ASSERT_NOT_NULL(test, policy);
	*policy = saved;
	KUNIT_EXPECT_EQ(test, hkm_policy_commit(policy), 0);
}

/* Sets one number, at @offset into the policy. */
static int set(size_t offset, u32 value)
{
	struct hkm_policy *policy = hkm_policy_edit();

	if (!policy)
		return -ENOMEM;
	*(u32 *)((void *)policy + offset) = value;
	return hkm_policy_commit(policy);
}

static u32 get(size_t offset)
{
	return *(u32 *)((void *)in_force() + offset);
}

static void numbers_have_bounds(struct kunit *test)
{
#define KNOB(field, min, max) { offsetof(struct hkm_policy, field), min, max }
	static const struct {
		size_t offset;
		u32 min, max;
	} knobs[] = {
		KNOB(reserve_chunks, 0, 256),
		KNOB(cpu_budget_bytes, SZ_64K, SZ_64M),
		KNOB(idle_ms, 1000, 3600000),
		KNOB(refill_bundle, 1, 4),
		KNOB(w_max_pct, 100, 200),
		KNOB(cap_requested[HKM_CLASS_2K], 0, 32767),
		KNOB(cap_requested[HKM_CLASS_1M], 0, 32767),
		KNOB(ring_limit[HKM_CLASS_2K], 0, 32),
		KNOB(ring_limit[HKM_CLASS_1M], 0, 32),
	};
#undef KNOB
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		size_t offset = knobs[i].offset;
		u32 min = knobs[i].min, max = knobs[i].max, generation;

		KUNIT_EXPECT_EQ(test, set(offset, min), 0);
		KUNIT_EXPECT_EQ(test, get(offset), min);
		KUNIT_EXPECT_EQ(test, set(offset, max), 0);
		KUNIT_EXPECT_EQ(test, get(offset), max);
		generation = in_force()->generation;
		KUNIT_EXPECT_EQ(test, set(offset, max + 1), -EINVAL);
		KUNIT_EXPECT_EQ(test, set(offset, U32_MAX), -EINVAL);
		KUNIT_EXPECT_EQ(test, set(offset, min - 1), -EINVAL);
		KUNIT_EXPECT_EQ(test, get(offset), max);
		KUNIT_EXPECT_EQ(test, in_force()->generation, generation);
	}
}

static void each_change_is_a_generation(struct kunit *test)
{
	u32 generation = in_force()->generation;

	KUNIT_EXPECT_EQ(test, set(offsetof(struct hkm_policy, idle_ms), 2000), 0);
	KUNIT_EXPECT_EQ(test, in_force()->generation, generation + 1);
	KUNIT_EXPECT_EQ(test, set(offsetof(struct hkm_policy, idle_ms), 2000), 0);
	KUNIT_EXPECT_EQ(test, in_force()->generation, generation + 2);
}

static void bundle_is_bounded(struct kunit *test)
{
	size_t offset = offsetof(struct hkm_policy, refill_bundle);
	unsigned int id, chunks;

	for (chunks = 1; chunks <= 4; chunks++) {
		KUNIT_EXPECT_EQ(test, set(offset, chunks), 0);
		for (id = 0; id < HKM_NR_CLASSES; id++) {
			unsigned int span = 1U << hkm_classes[id].span_order;

			KUNIT_EXPECT_GE(test, in_force()->bundle[id], 1);
			if (!hkm_class_is_large(id))
				KUNIT_EXPECT_LE(test, in_force()->bundle[id] * span,
						max(chunks, span));
		}
	}
	KUNIT_EXPECT_EQ(test, in_force()->bundle[HKM_CLASS_52K], 4);
}

#define NR_BLOCKS	(2 * HKM_RING_SLOTS)

static void ring_keeps_to_its_limit(struct kunit *test)
{
	size_t offset = offsetof(struct hkm_policy, ring_limit[HKM_CLASS_4K]);
	static const u32 limits[] = { 0, 1, 5, HKM_RING_SLOTS };
	const struct hkm_ring *ring = hkm_kunit_ring(HKM_CLASS_4K);
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);
	unsigned int i, round, j;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		KUNIT_EXPECT_EQ(test, set(offset, limits[i]), 0);
		hkm_reclaim_unpark(HKM_CLASS_4K);
		KUNIT_EXPECT_EQ(test, ring->limit, 0UL);
		for (round = 0; round < 50; round++) {
			for (j = 0; j < NR_BLOCKS; j++)
				blocks[j] = hkm_kunit_alloc(SZ_4K, GFP_KERNEL);
			hkm_kunit_free_all(blocks, NR_BLOCKS);
		}
		KUNIT_EXPECT_EQ(test, ring->limit, (unsigned long)limits[i]);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_4K), 0);
	}
}

static void larger_block_may_substitute(struct kunit *test)
{
	u64 substitutes = hkm_kunit_counter(HKM_CLASS_16K, HKM_substitutes);
	void *p;

	hkm_kunit_dyn1(test, 10752);
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	/* 163.84 % of what is asked for. */
	hkm_kunit_policy(test)->w_max_pct = 163;
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 10752);
	hkm_kfree(p);
	hkm_kunit_empty();
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	hkm_kunit_policy(test)->w_max_pct = 164;
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_16K);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_16K), 1);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_16K, HKM_substitutes),
			substitutes + 1);
}

static void powers_of_two_have_no_substitute(struct kunit *test)
{
	void *p;

	hkm_kunit_dyn1(test, 10752);
	hkm_kfree(hkm_kunit_alloc(10752, GFP_KERNEL));
	hkm_kunit_policy(test)->w_max_pct = 200;
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_8K);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)p, SZ_8K));
	hkm_kfree(p);
	hkm_kunit_empty();
	hkm_kfree(hkm_kunit_alloc(10752, GFP_KERNEL));
	p = hkm_kunit_alloc(SZ_8K - 1, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 10752);
	hkm_kfree(p);
}

static void nothing_stocked_is_no_substitute(struct kunit *test)
{
	void *p;

	hkm_kunit_dyn1(test, 10752);
	hkm_kunit_policy(test)->w_max_pct = 200;
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 10752);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	hkm_kfree(p);
}

static struct kunit_case policy_cases[] = {
	KUNIT_CASE(numbers_have_bounds),
	KUNIT_CASE(each_change_is_a_generation),
	KUNIT_CASE(bundle_is_bounded),
	KUNIT_CASE(ring_keeps_to_its_limit),
	KUNIT_CASE(larger_block_may_substitute),
	KUNIT_CASE(powers_of_two_have_no_substitute),
	KUNIT_CASE(nothing_stocked_is_no_substitute),
	{}
};

static struct kunit_suite policy_suite = {
	.name = "hakmem_policy",
	.init = policy_begin,
	.exit = policy_end,
	.test_cases = policy_cases,
};

kunit_test_suites(&policy_suite);
