// SPDX-License-Identifier: GPL-2.0
/*
 * Dynamic classes as the learner's thread has them come and go; which sizes are
 * worth one is for the dyn suite.
 */
#include <linux/string.h>

#include "common.h"
#include "../learner/history.h"
#include "../learner/learner.h"
#include "../pool/reclaim.h"

#define JUMBO_BYTES	9320
#define OTHER_BYTES	18000
#define NR_BLOCKS	1024
/* Enough for a decision, and for several that agree. */
#define SHORT_MS	11000
#define LONG_MS		120000

static u64 now_ms;

static void learn_for(unsigned int ms)
{
	u64 end_ms = now_ms + ms;

	for (; now_ms < end_ms; now_ms += 1000)
		hkm_learner_step(now_ms);
}

/* From a policy without dynamic classes. */
static void begin_without(struct kunit *test)
{
	now_ms = 0;
	HKM_KUNIT_EDIT(test, dyn_bytes[0], 0);
	hkm_learner_step(now_ms);
}

static unsigned int class_for(size_t size)
{
	return hkm_bin_class(hkm_kunit_in_force()->bin_of[0][hkm_size_step(size)]);
}

static unsigned int nr_serving(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < HKM_NR_DYN; i++)
		nr += hkm_kunit_in_force()->dyn_bytes[i] != 0;
	return nr;
}

static void hold(void **blocks, size_t size)
{
	unsigned int i;

	for (i = 0; i < NR_BLOCKS; i++)
		blocks[i] = hkm_kunit_alloc(size, GFP_KERNEL);
}

static void size_in_use_gets_a_class(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS), *block;
	struct hkm_event event;
	unsigned int id;

	begin_without(test);
	KUNIT_EXPECT_EQ(test, class_for(JUMBO_BYTES), HKM_CLASS_16K);
	hold(blocks, JUMBO_BYTES);
	learn_for(9000);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	learn_for(SHORT_MS - 9000);
	id = class_for(JUMBO_BYTES);
	KUNIT_ASSERT_TRUE(test, hkm_class_is_dyn(id));
	KUNIT_EXPECT_EQ(test, hkm_classes[id].size_bytes, 9728);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->dyn_bytes[id - HKM_CLASS_DYN1], 9728);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->cap_chunks[id],
			hkm_kunit_in_force()->decide.cap_min);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);

	block = hkm_kunit_alloc(JUMBO_BYTES, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 1);
	KUNIT_EXPECT_EQ(test, hkm_ksize(block), 9728);
	hkm_kfree(block);

	KUNIT_ASSERT_TRUE(test, hkm_history_get(0, &event));
	KUNIT_EXPECT_EQ(test, event.subject, HKM_SUBJECT_SIZE);
	KUNIT_EXPECT_EQ(test, event.class_id, id);
	KUNIT_EXPECT_EQ(test, event.value_old, 0);
	KUNIT_EXPECT_EQ(test, event.value_new, 9728);
	KUNIT_EXPECT_EQ(test, event.reason, HKM_REASON_LEARNED);
	KUNIT_EXPECT_LT(test, event.after, event.before);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

/* Decisions are 10 s apart, and each is about what was live since the last. */
static void little_gets_no_class(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);
	unsigned int i;

	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	/* Less than 4 MiB. */
	for (i = NR_BLOCKS / 4; i < NR_BLOCKS; i++)
		hkm_kfree(blocks[i]);
	learn_for(LONG_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	hkm_kunit_free_all(blocks, NR_BLOCKS / 4);
	hold(blocks, JUMBO_BYTES);
	learn_for(8000);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

static void size_not_in_use_loses_its_class(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS), *kept;
	unsigned int id, other;

	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	id = class_for(JUMBO_BYTES);
	KUNIT_ASSERT_TRUE(test, hkm_class_is_dyn(id));
	kept = hkm_kunit_alloc(JUMBO_BYTES, GFP_KERNEL);
	memset(kept, HKM_KUNIT_DIRT, JUMBO_BYTES);

	/* The load is another. One block of the old one stays. */
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	learn_for(SHORT_MS);
	other = class_for(OTHER_BYTES);
	KUNIT_EXPECT_TRUE(test, hkm_class_is_dyn(other));
	KUNIT_EXPECT_NE(test, other, id);
	KUNIT_EXPECT_EQ(test, class_for(JUMBO_BYTES), id);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	learn_for(LONG_MS);
	KUNIT_EXPECT_EQ(test, class_for(JUMBO_BYTES), HKM_CLASS_16K);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	KUNIT_EXPECT_EQ(test, hkm_classes[id].size_bytes, 9728);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(kept, HKM_KUNIT_DIRT, JUMBO_BYTES));

	/* It is as it was: the class that has that block serves again. */
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, class_for(JUMBO_BYTES), id);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(kept, HKM_KUNIT_DIRT, JUMBO_BYTES));
	hkm_kfree(kept);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

static void nothing_is_learned_if_off(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	/* What is there stays. */
	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_ON);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	learn_for(LONG_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	KUNIT_EXPECT_TRUE(test, hkm_class_is_dyn(class_for(JUMBO_BYTES)));
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

static void no_more_than_dyn_max_serve(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	HKM_KUNIT_EDIT(test, dyn_max, 0);
	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	HKM_KUNIT_EDIT(test, dyn_max, 1);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	HKM_KUNIT_EDIT(test, dyn_max, 0);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

/* Requests that rings serve are not noted, and need not be: they hold nothing. */
static void live_blocks_count_not_requests(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);
	unsigned int i;

	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	for (i = 0; i < 100 * NR_BLOCKS; i++)
		hkm_kfree(hkm_kunit_alloc(OTHER_BYTES, GFP_KERNEL));
	learn_for(SHORT_MS);
	KUNIT_EXPECT_TRUE(test, hkm_class_is_dyn(class_for(JUMBO_BYTES)));
	KUNIT_EXPECT_EQ(test, class_for(OTHER_BYTES), HKM_CLASS_32K);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

static void turn_off_and_on(struct kunit *test)
{
	HKM_KUNIT_EDIT(test, learner_enabled, false);
	hkm_learner_step(now_ms);
	HKM_KUNIT_EDIT(test, learner_enabled, true);
	hkm_learner_step(now_ms);
}

/* What was noted before counts no more, nor does the time. */
static void turned_on_again_it_begins_afresh(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	/* Off, it notes all the same. */
	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_ON);
	turn_off_and_on(test);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);

	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, JUMBO_BYTES);
	turn_off_and_on(test);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);

	hkm_kunit_free_all(blocks, NR_BLOCKS);
	learn_for(8000);
	turn_off_and_on(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(8000);
	KUNIT_EXPECT_EQ(test, nr_serving(), 0);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

/* Nor what a class has not saved. */
static void turned_on_again_it_retires_later(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	begin_without(test);
	hold(blocks, JUMBO_BYTES);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_TRUE(test, hkm_class_is_dyn(class_for(JUMBO_BYTES)));
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	learn_for(SHORT_MS);
	KUNIT_EXPECT_TRUE(test, hkm_class_is_dyn(class_for(OTHER_BYTES)));
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	/* The second time; the third would be the last. */
	learn_for(10000);
	KUNIT_EXPECT_EQ(test, nr_serving(), 2);
	turn_off_and_on(test);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
	hold(blocks, OTHER_BYTES);
	learn_for(20000);
	KUNIT_EXPECT_EQ(test, nr_serving(), 2);
	learn_for(LONG_MS);
	KUNIT_EXPECT_EQ(test, nr_serving(), 1);
	hkm_kunit_free_all(blocks, NR_BLOCKS);
}

static struct kunit_case sizes_cases[] = {
	KUNIT_CASE(size_in_use_gets_a_class),
	KUNIT_CASE(little_gets_no_class),
	KUNIT_CASE(size_not_in_use_loses_its_class),
	KUNIT_CASE(nothing_is_learned_if_off),
	KUNIT_CASE(no_more_than_dyn_max_serve),
	KUNIT_CASE(live_blocks_count_not_requests),
	KUNIT_CASE(turned_on_again_it_begins_afresh),
	KUNIT_CASE(turned_on_again_it_retires_later),
	{}
};

static struct kunit_suite sizes_suite = {
	.name = "hakmem_sizes",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = sizes_cases,
};

kunit_test_suites(&sizes_suite);
