// SPDX-License-Identifier: GPL-2.0
/*
 * Policy: how one takes another's place, and what its numbers do.
 */
#include <linux/limits.h>
#include <linux/sched.h>

#include "common.h"
#include "../pool/reclaim.h"

/* What exit puts back. */
static struct hkm_policy saved;

static int policy_begin(struct kunit *test)
{
	int err = hkm_kunit_begin(test);

	/* Now that nobody else changes it. */
	saved = *hkm_kunit_in_force();
	return err;
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
	return *(u32 *)((void *)hkm_kunit_in_force() + offset);
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
		KNOB(w_max[0], 100, 200),
		KNOB(w_max[1], 100, 200),
		KNOB(w_max_mode, 0, HKM_NR_WMAX_MODES - 1),
		KNOB(cap_requested[HKM_CLASS_2K], 0, 32767),
		KNOB(cap_requested[HKM_CLASS_1M], 0, 32767),
		KNOB(cap_chunks[HKM_CLASS_2K], 0, 32767),
		KNOB(ring_limit[HKM_CLASS_2K], 0, 32),
		KNOB(ring_limit[HKM_CLASS_1M], 0, 32),
		KNOB(learner_enabled, 0, 1),
		KNOB(learner_interval_ms, 100, 2000),
		KNOB(decide.controller, 0, HKM_NR_CONTROLLERS - 1),
		KNOB(decide.target_mid_bp, 0, 10000),
		KNOB(decide.target_large_bp, 0, 10000),
		KNOB(decide.band_bp, 0, 10000),
		KNOB(decide.cap_step, 1, 32767),
		KNOB(decide.cap_min, 1, 2048 / HKM_NR_CLASSES),
		KNOB(decide.cap_max, 8, 32767),
		KNOB(decide.dwell_mid_ms, 0, 3600000),
		KNOB(decide.dwell_large_ms, 0, 3600000),
		KNOB(dyn_mode, 0, 1),
		KNOB(dyn_max, 0, 8),
		KNOB(decide.global_budget_chunks, 8 * HKM_NR_CLASSES, 1048576),
	};
#undef KNOB
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		size_t offset = knobs[i].offset;
		u32 min = knobs[i].min, max = knobs[i].max;
		u32 was = get(offset), generation;

		KUNIT_EXPECT_EQ(test, set(offset, min), 0);
		KUNIT_EXPECT_EQ(test, get(offset), min);
		KUNIT_EXPECT_EQ(test, set(offset, max), 0);
		KUNIT_EXPECT_EQ(test, get(offset), max);
		generation = hkm_kunit_in_force()->generation;
		KUNIT_EXPECT_EQ(test, set(offset, max + 1), -EINVAL);
		KUNIT_EXPECT_EQ(test, set(offset, U32_MAX), -EINVAL);
		KUNIT_EXPECT_EQ(test, set(offset, min - 1), -EINVAL);
		KUNIT_EXPECT_EQ(test, get(offset), max);
		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->generation, generation);
		KUNIT_EXPECT_EQ(test, set(offset, was), 0);
	}
}

static void each_change_is_a_generation(struct kunit *test)
{
	u32 generation = hkm_kunit_in_force()->generation;

	KUNIT_EXPECT_EQ(test, set(offsetof(struct hkm_policy, idle_ms), 2000), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->generation, generation + 1);
	/* The laws go by it too. */
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->decide.idle_ms, 2000);
	KUNIT_EXPECT_EQ(test, set(offsetof(struct hkm_policy, idle_ms), 2000), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->generation, generation + 2);
}

static void bundle_is_bounded(struct kunit *test)
{
	size_t offset = offsetof(struct hkm_policy, refill_bundle);
	unsigned int id, chunks;

	for (chunks = 1; chunks <= 4; chunks++) {
		KUNIT_EXPECT_EQ(test, set(offset, chunks), 0);
		hkm_kunit_for_each_class(id) {
			unsigned int span = 1U << hkm_classes[id].span_order;

			KUNIT_EXPECT_GE(test, hkm_kunit_in_force()->bundle[id], 1);
			if (!hkm_class_is_large(id))
				KUNIT_EXPECT_LE(test, hkm_kunit_in_force()->bundle[id] * span,
						max(chunks, span));
		}
	}
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->bundle[HKM_CLASS_8K], 2);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->bundle[HKM_CLASS_16K], 4);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->bundle[HKM_CLASS_52K], 4);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->bundle[HKM_CLASS_64K], 1);
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

static void set_w_max(struct kunit *test, u32 pct)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);

	policy->w_max_pct = pct;
	hkm_policy_set_w_max(policy);
}

static void larger_block_may_substitute(struct kunit *test)
{
	u64 substitutes = hkm_kunit_counter(HKM_CLASS_16K, HKM_substitutes);
	void *p;

	hkm_kunit_dyn1(test, 10752);
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	/* 163.84 % of what is asked for. */
	set_w_max(test, 163);
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 10752);
	hkm_kfree(p);
	hkm_kunit_empty();
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	set_w_max(test, 164);
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_16K);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_16K), 1);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_16K, HKM_substitutes),
			substitutes + 1);
}

/* Requests for 10000 bytes get blocks of @bytes. */
static void take(struct kunit *test, void **blocks, unsigned int nr, size_t bytes)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		blocks[i] = hkm_kunit_alloc(10000, GFP_KERNEL);
		KUNIT_EXPECT_EQ_MSG(test, hkm_ksize(blocks[i]), bytes, "%u of %u",
				    i, nr);
	}
}

/* With blocks of 16 KiB to be had, and what was borrowed always going back there. */
static void misses_borrow_and_refill_in_turn(struct kunit *test)
{
	void *stock[33], *lent[33], *own[13];
	unsigned int refill, i;

	hkm_kunit_dyn1(test, 10752);
	set_w_max(test, 164);
	/* A refill, so that it is known whose turn it is. */
	hkm_kfree(hkm_kunit_alloc(10000, GFP_KERNEL));
	hkm_kunit_empty();
	for (i = 0; i < ARRAY_SIZE(stock); i++)
		stock[i] = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	hkm_kunit_free_all(stock, ARRAY_SIZE(stock));
	refill = hkm_kunit_in_force()->bundle[HKM_CLASS_DYN1] *
		 hkm_classes[HKM_CLASS_DYN1].nr_blocks;
	KUNIT_ASSERT_EQ(test, refill, ARRAY_SIZE(own) - 1);
	take(test, lent, 16, SZ_16K);
	take(test, own, refill, 10752);
	take(test, lent + 16, 16, SZ_16K);
	/* Without pages it is the other's turn again. */
	hkm_test_pages_left = 0;
	take(test, lent + 32, 1, SZ_16K);
	hkm_test_pages_left = -1;
	take(test, own + refill, 1, 10752);
	hkm_kunit_free_all(lent, ARRAY_SIZE(lent));
	hkm_kunit_free_all(own, ARRAY_SIZE(own));
}

static void w_max_goes_by_the_cpu(struct kunit *test)
{
	unsigned int odd = raw_smp_processor_id() & 1;
	void *p;

	hkm_kunit_dyn1(test, 10752);
	set_w_max(test, 100);
	hkm_kunit_policy(test)->w_max[!odd] = 200;
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 10752);
	hkm_kfree(p);
	hkm_kunit_empty();
	hkm_kunit_policy(test)->w_max[odd] = 200;
	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_16K);
	hkm_kfree(p);
}

static void w_max_is_as_requested_when_off(struct kunit *test)
{
	struct hkm_policy *policy;
	unsigned int i;
	u32 epoch;

	hkm_kunit_policy(test);
	policy = hkm_policy_edit();
	KUNIT_ASSERT_NOT_NULL(test, policy);
	policy->w_max[0] = 160;
	policy->w_max[1] = 170;
	KUNIT_ASSERT_EQ(test, hkm_policy_commit(policy), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 160);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1], 170);
	for (i = 0; i < 2; i++) {
		epoch = hkm_kunit_in_force()->w_max_epoch;
		policy = hkm_policy_edit();
		KUNIT_ASSERT_NOT_NULL(test, policy);
		policy->w_max_mode = i ? HKM_WMAX_UCB1 : HKM_WMAX_OFF;
		policy->learner_enabled = !i;
		policy->w_max[1] = 170;
		KUNIT_ASSERT_EQ(test, hkm_policy_commit(policy), 0);
		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0],
				hkm_kunit_in_force()->w_max_pct);
		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1],
				hkm_kunit_in_force()->w_max_pct);
		/* The learner is to see that. */
		KUNIT_EXPECT_NE(test, hkm_kunit_in_force()->w_max_epoch, epoch);
	}
}

static void powers_of_two_have_no_substitute(struct kunit *test)
{
	void *p;

	hkm_kunit_dyn1(test, 10752);
	hkm_kfree(hkm_kunit_alloc(10752, GFP_KERNEL));
	set_w_max(test, 200);
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
	set_w_max(test, 200);
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
	KUNIT_CASE(misses_borrow_and_refill_in_turn),
	KUNIT_CASE(w_max_goes_by_the_cpu),
	KUNIT_CASE(w_max_is_as_requested_when_off),
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
