// SPDX-License-Identifier: GPL-2.0
/*
 * The learner but for its thread: what it counts, what it does with what is
 * decided, and what it remembers.
 */
#include <linux/string.h>

#include "common.h"
#include "../learner/history.h"
#include "../learner/learner.h"
#include "../pool/reclaim.h"
#include "../pool/trim.h"

/* Refilled by what active pages A and B take. */
#define TEST_CLASS	HKM_CLASS_8K
#define TEST_BYTES	SZ_8K
#define PER_CHUNK	(HKM_CHUNK_BYTES / TEST_BYTES)
#define NR_CHUNKS	16
#define NR_BLOCKS	(NR_CHUNKS * PER_CHUNK)

static const struct hkm_window_class *counted(void)
{
	return &hkm_test_learner_window()->class[TEST_CLASS];
}

static u32 cap(unsigned int class_id)
{
	return hkm_kunit_in_force()->cap_chunks[class_id];
}

static void cpu_flush(void)
{
	preempt_disable();
	hkm_cpu_flush_all(hkm_kunit_cpu());
	preempt_enable();
}

static void *alloc(void)
{
	return hkm_kunit_alloc(TEST_BYTES, GFP_KERNEL);
}

/* Counts restocks of the class, @rate_bp of 10000 without the page allocator. */
static void count_rate(u32 rate_bp)
{
	this_cpu_add(hkm_counters[TEST_CLASS].slow[HKM_reuses], rate_bp);
	this_cpu_add(hkm_counters[TEST_CLASS].slow[HKM_refills], 10000 - rate_bp);
}

/* The hit rate of a load that more CAP helps: 0.50 at 64, 0.64 at 104. */
static u32 rate_at(u32 cap)
{
	return 5000 + 35 * (cap - 64);
}

static void step_law(struct kunit *test)
{
	HKM_KUNIT_EDIT(test, decide.controller, HKM_CONTROLLER_STEP);
}

static void window_has_what_was_counted(struct kunit *test)
{
	unsigned int bundle = hkm_kunit_policy(test)->bundle[TEST_CLASS], i;
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);

	step_law(test);
	hkm_learner_step(0);
	for (i = 0; i < NR_BLOCKS; i++)
		blocks[i] = alloc();
	hkm_learner_step(1000);
	KUNIT_EXPECT_EQ(test, hkm_test_learner_window()->now_ms, 1000);
	KUNIT_EXPECT_EQ(test, counted()->requests, NR_BLOCKS);
	KUNIT_EXPECT_EQ(test, counted()->refills, NR_CHUNKS);
	KUNIT_EXPECT_EQ(test, counted()->pops, 0);
	KUNIT_EXPECT_EQ(test, counted()->reuses, 0);
	KUNIT_EXPECT_EQ(test, counted()->releases, 0);
	KUNIT_EXPECT_EQ(test, counted()->span_chunks, 1);
	KUNIT_EXPECT_EQ(test, counted()->cap, 64);

	hkm_kunit_free_all(blocks, NR_BLOCKS);
	cpu_flush();
	hkm_kfree(alloc());
	hkm_learner_step(2000);
	KUNIT_EXPECT_EQ(test, counted()->requests, 1);
	KUNIT_EXPECT_EQ(test, counted()->pops, 1);
	KUNIT_EXPECT_EQ(test, counted()->refills, 0);

	cpu_flush();
	hkm_trim_bin(TEST_CLASS, 6);
	hkm_learner_step(3000);
	KUNIT_EXPECT_EQ(test, counted()->releases, NR_CHUNKS - 6);
	KUNIT_EXPECT_EQ(test, counted()->held, 6);

	hkm_kfree(alloc());
	hkm_learner_step(4000);
	KUNIT_EXPECT_EQ(test, counted()->requests, 1);
	KUNIT_EXPECT_EQ(test, counted()->pops, 0);
	KUNIT_EXPECT_EQ(test, counted()->reuses, bundle);

	hkm_learner_step(5000);
	KUNIT_EXPECT_EQ(test, counted()->requests, 0);
}

static void levels_are_looked_at(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_BLOCKS);
	unsigned int i;

	hkm_learner_step(0);
	for (i = 0; i < NR_BLOCKS; i++)
		blocks[i] = alloc();
	hkm_learner_step(250);
	hkm_kunit_free_all(blocks, NR_BLOCKS - 4 * PER_CHUNK);
	cpu_flush();
	hkm_learner_step(1000);
	KUNIT_EXPECT_EQ(test, counted()->used_low, 0);
	KUNIT_EXPECT_EQ(test, counted()->used_high, NR_CHUNKS);
	KUNIT_EXPECT_EQ(test, counted()->held, NR_CHUNKS);

	/* What comes and goes between two looks is not seen, nor what trim has. */
	hkm_learner_step(1250);
	hkm_trim_bin(TEST_CLASS, 2);
	hkm_learner_step(2000);
	KUNIT_EXPECT_EQ(test, counted()->used_low, 4);
	KUNIT_EXPECT_EQ(test, counted()->used_high, 4);
	KUNIT_EXPECT_EQ(test, counted()->held, 6);
	hkm_kunit_free_all(blocks + NR_BLOCKS - 4 * PER_CHUNK, 4 * PER_CHUNK);
}

static void what_cpus_park_is_used(struct kunit *test)
{
	void *p = alloc();

	hkm_learner_step(0);
	hkm_learner_step(1000);
	KUNIT_EXPECT_EQ(test, counted()->used_low, hkm_kunit_in_force()->bundle[TEST_CLASS]);
	hkm_kfree(p);
	cpu_flush();
	hkm_learner_step(2000);
	KUNIT_EXPECT_EQ(test, counted()->used_high, 0);
	KUNIT_EXPECT_EQ(test, counted()->held, hkm_kunit_in_force()->bundle[TEST_CLASS]);
}

static void force_is_pressure(struct kunit *test)
{
	/* Before it began. */
	hkm_reclaim_all();
	hkm_learner_step(0);
	hkm_learner_step(1000);
	KUNIT_EXPECT_FALSE(test, hkm_test_learner_window()->pressure);
	hkm_reclaim_all();
	hkm_learner_step(2000);
	KUNIT_EXPECT_TRUE(test, hkm_test_learner_window()->pressure);
	hkm_learner_step(3000);
	KUNIT_EXPECT_FALSE(test, hkm_test_learner_window()->pressure);
	hkm_kfree(alloc());
	hkm_test_shrink(1);
	hkm_learner_step(4000);
	KUNIT_EXPECT_TRUE(test, hkm_test_learner_window()->pressure);
}

static void steps_keep_to_the_interval(struct kunit *test)
{
	void *p = alloc();

	HKM_KUNIT_EDIT(test, learner_interval_ms, 2000);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(100), 500);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(600), 500);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(1900), 200);
	KUNIT_EXPECT_NE(test, hkm_test_learner_window()->now_ms, 1900);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(2100), 500);
	KUNIT_EXPECT_EQ(test, hkm_test_learner_window()->now_ms, 2100);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(4000), 100);
	HKM_KUNIT_EDIT(test, learner_interval_ms, 1000);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(4050), 250);
	KUNIT_EXPECT_EQ(test, hkm_test_learner_window()->now_ms, 4050);
	hkm_kfree(p);
}

static void an_empty_pool_is_left_alone(struct kunit *test)
{
	void *p;

	KUNIT_EXPECT_EQ(test, hkm_learner_step(0), 250);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(1000), HKM_LEARNER_IDLE);
	p = alloc();
	KUNIT_EXPECT_EQ(test, hkm_learner_step(60000), 250);
	KUNIT_EXPECT_EQ(test, counted()->requests, 1);
	hkm_kfree(p);
	hkm_kunit_empty();
	KUNIT_EXPECT_EQ(test, hkm_learner_step(60500), 250);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(61000), HKM_LEARNER_IDLE);
}

/* The trace that the design gives, through the policy in force. */
static void step_law_moves_cap(struct kunit *test)
{
	static const u32 want[] = {
		64, 64, 64, 72, 72, 72, 80, 80, 80, 88, 88, 88, 96, 96, 96,
		104, 104, 104, 104, 104, 104, 104, 104, 104,
	};
	u64 nr = hkm_history_nr();
	struct hkm_event event;
	void *p = alloc();
	unsigned int s;

	step_law(test);
	for (s = 0; s < ARRAY_SIZE(want); s++) {
		hkm_learner_step(s * 1000);
		KUNIT_EXPECT_EQ_MSG(test, cap(TEST_CLASS), want[s], "second %u", s);
		count_rate(rate_at(cap(TEST_CLASS)));
	}
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->cap_requested[TEST_CLASS], 64);
	KUNIT_EXPECT_EQ(test, cap(HKM_CLASS_16K), 64);
	KUNIT_EXPECT_EQ(test, hkm_history_nr(), nr + 5);
	for (s = 0; s < 5; s++) {
		u32 old = 96 - 8 * s;

		KUNIT_ASSERT_TRUE(test, hkm_history_get(s, &event));
		KUNIT_EXPECT_EQ(test, event.at_ms, (5 - s) * 3000);
		KUNIT_EXPECT_EQ(test, event.subject, HKM_SUBJECT_CAP);
		KUNIT_EXPECT_EQ(test, event.class_id, TEST_CLASS);
		KUNIT_EXPECT_EQ(test, event.reason, HKM_REASON_BELOW_BAND);
		KUNIT_EXPECT_EQ(test, event.value_old, old);
		KUNIT_EXPECT_EQ(test, event.value_new, old + 8);
		KUNIT_EXPECT_EQ(test, event.after, rate_at(old));
		KUNIT_EXPECT_EQ(test, event.before, s < 4 ? rate_at(old - 8) : 0);
	}
	hkm_kfree(p);
}

/* Counts requests that missed, of which @refilled got new chunks, and their frees. */
static void count_misses(u32 nr, u32 refilled)
{
	this_cpu_add(hkm_counters[TEST_CLASS].slow[HKM_slow_allocs], nr);
	this_cpu_add(hkm_counters[TEST_CLASS].slow[HKM_refill_allocs], refilled);
	this_cpu_add(hkm_counters[TEST_CLASS].slow[HKM_remote_frees], nr);
}

/* Counters are not read all at once: a refill may be in the second of its two only. */
static void half_a_refill_is_no_pop(struct kunit *test)
{
	void *p = alloc();

	hkm_learner_step(0);
	count_misses(3, 4);
	hkm_learner_step(1000);
	KUNIT_EXPECT_EQ(test, counted()->pops, 0);
	count_misses(3, 0);
	hkm_learner_step(2000);
	KUNIT_EXPECT_EQ(test, counted()->pops, 3);
	hkm_kfree(p);
}

static void no_change_is_no_generation(struct kunit *test)
{
	void *p = alloc();
	u32 generation;

	step_law(test);
	generation = hkm_kunit_in_force()->generation;
	hkm_learner_step(0);
	count_rate(6500);
	hkm_learner_step(9000);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->generation, generation);
	count_rate(5000);
	hkm_learner_step(10000);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->generation, generation + 1);
	hkm_kfree(p);
}

static void off_is_as_requested(struct kunit *test)
{
	u64 nr = hkm_history_nr();
	void *p = alloc();

	step_law(test);
	hkm_learner_step(0);
	count_rate(5000);
	hkm_learner_step(3000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 72);
	HKM_KUNIT_EDIT(test, idle_ms, 2000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 72);

	HKM_KUNIT_EDIT(test, learner_enabled, 0);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 64);
	HKM_KUNIT_EDIT(test, cap_requested[TEST_CLASS], 20);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 20);
	count_rate(5000);
	KUNIT_EXPECT_EQ(test, hkm_learner_step(9000), HKM_LEARNER_IDLE);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 20);
	KUNIT_EXPECT_EQ(test, hkm_history_nr(), nr + 1);

	/* What it did meanwhile does not count. */
	HKM_KUNIT_EDIT(test, learner_enabled, 1);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 20);
	hkm_learner_step(10000);
	hkm_learner_step(13000);
	KUNIT_EXPECT_EQ(test, counted()->refills, 0);
	count_rate(5000);
	hkm_learner_step(14000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 28);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->cap_requested[TEST_CLASS], 20);
	hkm_kfree(p);
}

static void learner_starts_from_what_is_set(struct kunit *test)
{
	void *p = alloc();

	step_law(test);
	hkm_learner_step(0);
	count_rate(5000);
	hkm_learner_step(3000);
	HKM_KUNIT_EDIT(test, cap_chunks[TEST_CLASS], 200);
	count_rate(5000);
	hkm_learner_step(6000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 208);
	HKM_KUNIT_EDIT(test, cap_chunks[TEST_CLASS], 1000);
	hkm_learner_step(7000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 512);
	hkm_kfree(p);
}

static void another_law_begins_afresh(struct kunit *test)
{
	void *p = alloc();

	step_law(test);
	hkm_learner_step(0);
	HKM_KUNIT_EDIT(test, decide.controller, HKM_CONTROLLER_COST);
	hkm_learner_step(2000);
	step_law(test);
	count_rate(5000);
	/* Had it gone on, this would be 3 s after the begin. */
	hkm_learner_step(3000);
	count_rate(5000);
	hkm_learner_step(5000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 64);
	count_rate(5000);
	hkm_learner_step(6000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 72);
	hkm_kfree(p);
}

/* As a write to policy/w_max_pct does. */
static void set_w_max(struct kunit *test, u32 pct)
{
	struct hkm_policy *policy;

	hkm_kunit_policy(test);
	policy = hkm_policy_edit();
	KUNIT_ASSERT_NOT_NULL(test, policy);
	policy->w_max_pct = pct;
	hkm_policy_set_w_max(policy);
	KUNIT_ASSERT_EQ(test, hkm_policy_commit(policy), 0);
}

/* Windows in which class dyn1 misses what the next larger one might serve. */
static void miss_dyn1(unsigned int *seconds, unsigned int nr)
{
	while (nr--) {
		hkm_kfree(hkm_kunit_alloc(10000, GFP_KERNEL));
		this_cpu_add(hkm_counters[HKM_CLASS_DYN1].slow[HKM_refills], 100);
		hkm_learner_step(++*seconds * 1000);
	}
}

static void w_max_is_tried(struct kunit *test)
{
	void *larger = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	unsigned int seconds = 0;
	struct hkm_event event;

	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	set_w_max(test, 150);
	/* Begins; sees that it was set; and ten windows. */
	miss_dyn1(&seconds, 12);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 140);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1], 140);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max_pct, 150);
	KUNIT_ASSERT_TRUE(test, hkm_history_get(0, &event));
	KUNIT_EXPECT_EQ(test, event.at_ms, 12000);
	KUNIT_EXPECT_EQ(test, event.subject, HKM_SUBJECT_W_MAX);
	KUNIT_EXPECT_EQ(test, event.class_id, HKM_NR_CLASSES);
	KUNIT_EXPECT_EQ(test, event.reason, HKM_REASON_EXPLORE);
	KUNIT_EXPECT_EQ(test, event.value_old, 150);
	KUNIT_EXPECT_EQ(test, event.value_new, 140);

	set_w_max(test, 165);
	miss_dyn1(&seconds, 10);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 165);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1], 165);
	miss_dyn1(&seconds, 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 140);

	HKM_KUNIT_EDIT(test, w_max_mode, HKM_WMAX_OFF);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 165);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1], 165);
	miss_dyn1(&seconds, 30);
	KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 165);
	hkm_kfree(larger);
}

/* Only half of the CPUs has a load: the candidate is in force on all, and then not. */
static void w_max_canary_takes_turns(struct kunit *test)
{
	void *larger = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	struct hkm_event event = {};
	unsigned int seconds = 0, i;
	u64 nr;

	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	set_w_max(test, 150);
	while (event.reason != HKM_REASON_CANARY && seconds < 200) {
		this_cpu_add(hkm_counters[HKM_CLASS_16K].slow[HKM_substitutes], 1);
		miss_dyn1(&seconds, 1);
		hkm_history_get(0, &event);
	}
	KUNIT_ASSERT_EQ(test, event.reason, HKM_REASON_CANARY);
	nr = hkm_history_nr();
	for (i = 0; i < 10; i++) {
		u32 pct = i < 5 ? event.value_new : 150;

		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], pct);
		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[1], pct);
		/* That it is the other's turn is no decision. */
		KUNIT_EXPECT_EQ(test, hkm_history_nr(), nr);
		miss_dyn1(&seconds, 1);
	}
	KUNIT_EXPECT_EQ(test, hkm_history_nr(), nr + 1);
	hkm_kfree(larger);
}

/* Less than 1 MiB, and that once: each miss is counted in one window. */
static void w_max_needs_misses(struct kunit *test)
{
	void *larger = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	unsigned int seconds = 0;

	HKM_KUNIT_EDIT(test, dyn_mode, HKM_DYN_OFF);
	set_w_max(test, 150);
	/* As miss_dyn1(), but that it has what it needs from then on. */
	hkm_kfree(hkm_kunit_alloc(10000, GFP_KERNEL));
	hkm_learner_step(++seconds * 1000);
	hkm_learner_step(++seconds * 1000);
	this_cpu_add(hkm_counters[HKM_CLASS_DYN1].slow[HKM_refills], 10);
	while (seconds < 40) {
		hkm_kfree(hkm_kunit_alloc(10000, GFP_KERNEL));
		hkm_learner_step(++seconds * 1000);
		KUNIT_EXPECT_EQ(test, hkm_kunit_in_force()->w_max[0], 150);
	}
	hkm_kfree(larger);
}

/* Between two of its steps. */
static void off_and_on_begins_afresh(struct kunit *test)
{
	void *p = alloc();

	step_law(test);
	hkm_learner_step(0);
	HKM_KUNIT_EDIT(test, learner_enabled, 0);
	HKM_KUNIT_EDIT(test, learner_enabled, 1);
	count_rate(5000);
	hkm_learner_step(3000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 64);
	count_rate(5000);
	hkm_learner_step(6000);
	KUNIT_EXPECT_EQ(test, cap(TEST_CLASS), 72);
	hkm_kfree(p);
}

static void history_keeps_the_latest(struct kunit *test)
{
	u64 nr = hkm_history_nr();
	struct hkm_event event = {};
	unsigned int i;

	for (i = 0; i < HKM_HISTORY_EVENTS + 6; i++) {
		event.at_ms = i;
		hkm_history_add(&event);
	}
	KUNIT_EXPECT_EQ(test, hkm_history_nr(), nr + i);
	KUNIT_ASSERT_TRUE(test, hkm_history_get(0, &event));
	KUNIT_EXPECT_EQ(test, event.at_ms, i - 1);
	KUNIT_ASSERT_TRUE(test, hkm_history_get(HKM_HISTORY_EVENTS - 1, &event));
	KUNIT_EXPECT_EQ(test, event.at_ms, 6);
	KUNIT_EXPECT_FALSE(test, hkm_history_get(HKM_HISTORY_EVENTS, &event));
}

static void any_event_is_a_line(struct kunit *test)
{
	struct hkm_event event = {
		.at_ms = 12004,
		.subject = HKM_SUBJECT_CAP,
		.class_id = HKM_CLASS_512K,
		.reason = HKM_REASON_BELOW_BAND,
		.value_old = 64,
		.value_new = 72,
		.before = 5000,
		.after = 5350,
	};
	char line[HKM_EVENT_CHARS];

	hkm_event_print(&event, line);
	KUNIT_EXPECT_STREQ(test, (char *)line,
			   "12.004 cap 512k 64 72 below_band 5000 5350");
	event.subject = HKM_SUBJECT_W_MAX;
	event.class_id = HKM_NR_CLASSES;
	event.at_ms = U64_MAX;
	event.value_old = U32_MAX;
	event.value_new = U32_MAX;
	event.before = U32_MAX;
	event.after = U32_MAX;
	hkm_event_print(&event, line);
	KUNIT_EXPECT_STREQ(test, (char *)line,
			   "18446744073709551.615 w_max - 4294967295 4294967295 below_band 4294967295 4294967295");
}

static struct kunit_case learner_cases[] = {
	KUNIT_CASE(window_has_what_was_counted),
	KUNIT_CASE(levels_are_looked_at),
	KUNIT_CASE(what_cpus_park_is_used),
	KUNIT_CASE(force_is_pressure),
	KUNIT_CASE(steps_keep_to_the_interval),
	KUNIT_CASE(an_empty_pool_is_left_alone),
	KUNIT_CASE(step_law_moves_cap),
	KUNIT_CASE(half_a_refill_is_no_pop),
	KUNIT_CASE(no_change_is_no_generation),
	KUNIT_CASE(off_is_as_requested),
	KUNIT_CASE(learner_starts_from_what_is_set),
	KUNIT_CASE(another_law_begins_afresh),
	KUNIT_CASE(w_max_is_tried),
	KUNIT_CASE(w_max_needs_misses),
	KUNIT_CASE(w_max_canary_takes_turns),
	KUNIT_CASE(off_and_on_begins_afresh),
	KUNIT_CASE(history_keeps_the_latest),
	KUNIT_CASE(any_event_is_a_line),
	{}
};

static struct kunit_suite learner_suite = {
	.name = "hakmem_learner",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = learner_cases,
};

kunit_test_suites(&learner_suite);
