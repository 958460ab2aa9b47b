// SPDX-License-Identifier: GPL-2.0
/*
 * The learner's law for W_MAX, by tables and under loads whose prices are known.
 * Needs no pool: it runs in user space too, see selftests/host.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/string.h>

#include "../learner/wmax.h"

/* 10.5 KiB, and what may serve instead. */
#define SMALL	HKM_CLASS_DYN1
#define LARGE	HKM_CLASS_16K
#define ONE	HKM_WMAX_ONE

/**
 * struct world - a load, and the law that sees it
 * @window: the latest window
 * @params: what the law goes by
 * @state: what it remembers
 * @decision: what it has decided last
 * @refills: for each request, what a window costs with each candidate
 * @other_refills: with any other W_MAX
 * @half_pct: the same, of each half of the CPUs, in percent
 * @noise_pct: by so much each window differs at most
 * @rnd: what the noise follows from
 * @nr: decisions so far, by reason
 */
struct world {
	struct hkm_wmax_window window;
	struct hkm_decide_params params;
	struct hkm_wmax_state state;
	struct hkm_wmax_decision decision;
	u32 refills[HKM_WMAX_ARMS];
	u32 other_refills;
	u32 half_pct[2];
	u32 noise_pct;
	u32 rnd;
	u32 nr[HKM_NR_REASONS];
};

static int world_begin(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	unsigned int id;

	if (!w)
		return -ENOMEM;
	w->params = hkm_decide_defaults;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		w->window.class[id].next = HKM_NR_CLASSES;
	w->window.class[SMALL] = (struct hkm_wmax_class){
		.size_bytes = 10752,
		.span_chunks = 1,
		.next = LARGE,
		.held = true,
	};
	w->window.class[LARGE] = (struct hkm_wmax_class){
		.size_bytes = SZ_16K,
		.span_chunks = 1,
		.next = HKM_NR_CLASSES,
		.held = true,
	};
	for (id = 0; id < HKM_WMAX_ARMS; id++)
		w->refills[id] = 1000;
	w->other_refills = 1000;
	w->half_pct[0] = 100;
	w->half_pct[1] = 100;
	w->window.epoch = 1;
	w->window.w_max = 150;
	test->priv = w;
	return 0;
}

static u32 noisy(struct world *w, u32 n)
{
	if (!w->noise_pct)
		return n;
	/* As Numerical Recipes has it: the upper bits are good enough. */
	w->rnd = w->rnd * 1664525 + 1013904223;
	return n * (100 - w->noise_pct + (w->rnd >> 16) % (2 * w->noise_pct + 1)) / 100;
}

static u32 refills_at(const struct world *w, u32 pct)
{
	unsigned int i;

	for (i = 0; i < HKM_WMAX_ARMS; i++)
		if (hkm_wmax_pct[i] == pct)
			return w->refills[i];
	return w->other_refills;
}

/* The next window, as it is on CPUs that go by what the law wants. */
static void window(struct world *w)
{
	unsigned int half;

	for (half = 0; half < 2; half++) {
		u32 refills = refills_at(w, w->state.w_max[half]);

		w->window.class[SMALL].half[half] = (struct hkm_wmax_counts){
			.requests = w->half_pct[half] ? 10000 : 0,
			.refills = noisy(w, refills * w->half_pct[half] / 100),
		};
		w->window.class[LARGE].half[half].substitutes = !!w->half_pct[half];
	}
	hkm_wmax_decide(&w->window, &w->params, &w->state, &w->decision);
	w->nr[w->decision.reason]++;
}

static void windows(struct world *w, unsigned int nr)
{
	while (nr--)
		window(w);
}

/* Goes on until something is decided for that reason; false if nothing is for long. */
static bool until(struct world *w, enum hkm_reason reason)
{
	unsigned int left = 10000;

	do
		window(w);
	while (w->decision.reason != reason && --left);
	return left;
}

/* From the first window on, to the end of the first round. */
static bool round_of(struct world *w)
{
	return until(w, HKM_REASON_ROLLBACK);
}

static bool on_all(const struct world *w, u32 pct)
{
	return w->state.w_max[0] == pct && w->state.w_max[1] == pct;
}

static u32 tried(const struct world *w)
{
	return hkm_wmax_pct[w->state.trying];
}

static void each_is_tried_once_first(struct kunit *test)
{
	struct hkm_wmax_arm arm[HKM_WMAX_ARMS] = {};
	unsigned int i;

	for (i = 0; i < HKM_WMAX_ARMS; i++) {
		KUNIT_EXPECT_EQ(test, hkm_wmax_pick(arm), i);
		arm[i].trials = 1;
		/* Nothing is as good as not to be known. */
		arm[i].reward = ONE - i;
	}
	arm[2].trials = 0;
	KUNIT_EXPECT_EQ(test, hkm_wmax_pick(arm), 2);
}

/*
 * Means in percent. The bounds: 4 trials, sqrt(2 ln 4) = 1.665; of 5, once 1.794,
 * twice 1.269; of 7, once 1.973, twice 1.395, three times 1.139.
 */
static void picks_are_as_by_hand(struct kunit *test)
{
	static const struct {
		u32 trials[HKM_WMAX_ARMS];
		u32 mean[HKM_WMAX_ARMS];
		unsigned int pick;
	} table[] = {
		{ { 1, 1, 1, 1 }, { 50, 50, 70, 40 }, 2 },
		{ { 1, 1, 1, 1 }, { 50, 50, 50, 50 }, 0 },
		/* 2.294 2.294 1.969 2.194 */
		{ { 1, 1, 2, 1 }, { 50, 50, 70, 40 }, 0 },
		/* 2.184 2.204 2.169 2.194: without the factor 2 it would be 2. */
		{ { 1, 1, 2, 1 }, { 39, 41, 90, 40 }, 1 },
		/* 2.194 2.194 2.269 2.194 */
		{ { 1, 1, 2, 1 }, { 40, 40, 100, 40 }, 2 },
		/* 1.795 1.845 1.739 2.373 */
		{ { 2, 2, 2, 1 }, { 40, 45, 60, 40 }, 3 },
		/* 1.995 1.973 1.739 1.995 */
		{ { 2, 1, 3, 1 }, { 60, 0, 60, 2 }, 0 },
	};
	struct hkm_wmax_arm arm[HKM_WMAX_ARMS];
	unsigned int i, a;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		for (a = 0; a < HKM_WMAX_ARMS; a++) {
			arm[a].trials = table[i].trials[a];
			arm[a].reward = table[i].mean[a] * ONE / 100 * arm[a].trials;
		}
		KUNIT_EXPECT_EQ_MSG(test, hkm_wmax_pick(arm), table[i].pick,
				    "line %u", i);
	}
}

static void best_of_four_is_found(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int best, seed, a;

	for (best = 0; best < HKM_WMAX_ARMS; best++) {
		for (seed = 0; seed < 8; seed++) {
			memset(&w->state, 0, sizeof(w->state));
			memset(w->nr, 0, sizeof(w->nr));
			for (a = 0; a < HKM_WMAX_ARMS; a++)
				w->refills[a] = a == best ? 850 : 1000 + 20 * a;
			w->noise_pct = 20;
			w->rnd = seed;
			KUNIT_EXPECT_TRUE(test, round_of(w));
			KUNIT_EXPECT_EQ_MSG(test, w->state.in_force,
					    hkm_wmax_pct[best], "seed %u", seed);
			KUNIT_EXPECT_TRUE(test, on_all(w, hkm_wmax_pct[best]));
			KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_EXPLORE],
					HKM_WMAX_TRIALS);
			KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT],
					best == 1 ? 0 : 1);
			KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_CANARY],
					w->nr[HKM_REASON_ADOPT] + 1);
		}
	}
}

/* What a round is, window by window. */
static void round_keeps_its_times(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[2] = 500;
	window(w);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	windows(w, HKM_WMAX_TRIAL);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_EXPLORE);
	KUNIT_EXPECT_EQ(test, w->decision.pct_old, 150);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 140);
	/* 1000 refills at 2000 and a substitute for 10000 requests. */
	KUNIT_EXPECT_EQ(test, w->decision.before, 200023);
	KUNIT_EXPECT_TRUE(test, on_all(w, 140));
	windows(w, HKM_WMAX_TRIAL - 1);
	KUNIT_EXPECT_TRUE(test, on_all(w, 140));
	window(w);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	KUNIT_EXPECT_EQ(test, w->decision.pct_old, 140);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 150);
	windows(w, HKM_WMAX_TRIAL * (HKM_WMAX_TRIALS - 1));
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_CANARY);
	KUNIT_EXPECT_EQ(test, w->decision.before, 200023);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_EXPLORE], HKM_WMAX_TRIALS);
	KUNIT_EXPECT_EQ(test, w->state.w_max[0], 150);
	KUNIT_EXPECT_EQ(test, w->state.w_max[1], 160);
	windows(w, HKM_WMAX_CANARY);
	KUNIT_EXPECT_EQ(test, w->state.w_max[0], 160);
	KUNIT_EXPECT_EQ(test, w->state.w_max[1], 150);
	windows(w, HKM_WMAX_CANARY);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ADOPT);
	KUNIT_EXPECT_EQ(test, w->decision.pct_old, 150);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 160);
	KUNIT_EXPECT_EQ(test, w->decision.before, 200023);
	KUNIT_EXPECT_EQ(test, w->decision.after, 100023);
	KUNIT_EXPECT_TRUE(test, on_all(w, 160));
	/* The next best, which is worse now. */
	window(w);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_CANARY);
	KUNIT_EXPECT_EQ(test, w->decision.after, 100023);
	windows(w, 2 * HKM_WMAX_CANARY);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 160);
	KUNIT_EXPECT_TRUE(test, on_all(w, 160));
}

static void canary_asks_for_one_percent(struct kunit *test)
{
	static const struct {
		u32 refills;
		bool adopted;
	} table[] = {
		{ 900, true }, { 989, true }, { 991, false }, { 999, false },
	};
	struct world *w = test->priv;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(table); i++) {
		unsigned int row = i / 2;

		memset(&w->state, 0, sizeof(w->state));
		w->half_pct[1] = i % 2 ? 100 : 0;
		w->refills[3] = table[row].refills;
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
		KUNIT_EXPECT_EQ(test, w->decision.pct_new, 170);
		KUNIT_EXPECT_TRUE(test, round_of(w));
		KUNIT_EXPECT_EQ_MSG(test, w->state.in_force,
				    table[row].adopted ? 170 : 150,
				    "%u refills", table[row].refills);
	}
}

static void bad_candidate_is_rolled_back(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[0] = 1300;
	w->refills[2] = 1200;
	w->refills[3] = 1400;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	KUNIT_EXPECT_EQ(test, tried(w), 160);
	windows(w, 2 * HKM_WMAX_CANARY);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
	KUNIT_EXPECT_EQ(test, w->decision.pct_old, 160);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 150);
	KUNIT_EXPECT_EQ(test, w->decision.before, 200023);
	KUNIT_EXPECT_EQ(test, w->decision.after, 240023);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT], 0);
}

/* What looked best when it was tried may be so no more. */
static void canary_has_the_last_word(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[0] = 500;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	KUNIT_EXPECT_EQ(test, tried(w), 140);
	w->refills[0] = 1100;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->state.in_force, 150);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT], 0);
}

/* Nor does a candidate have two of them in a round. */
static void each_has_one_canary(struct kunit *test)
{
	static const u32 want[] = { 160, 170, 140 };
	struct world *w = test->priv;
	unsigned int i;

	w->refills[2] = 500;
	w->refills[3] = 600;
	w->refills[0] = 700;
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
		KUNIT_EXPECT_EQ(test, tried(w), want[i]);
		w->refills[w->state.trying] = 400 - 100 * i;
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_ADOPT));
	}
	/* The one that was in force at first is left. */
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	KUNIT_EXPECT_EQ(test, tried(w), 150);
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->state.in_force, 140);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_EXPLORE], HKM_WMAX_TRIALS);
}

/* A canary during which the load changes by the window, and the CPUs differ. */
static void drift(struct kunit *test, u32 refills, u32 change_pct, bool adopted)
{
	struct world *w = test->priv;
	unsigned int i;

	memset(&w->state, 0, sizeof(w->state));
	w->refills[2] = 500;
	w->half_pct[0] = 1000;
	w->half_pct[1] = 3000;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	KUNIT_EXPECT_EQ(test, tried(w), 160);
	w->refills[2] = refills;
	for (i = 0; i < 2 * HKM_WMAX_CANARY; i++) {
		w->half_pct[0] = w->half_pct[0] * change_pct / 100;
		w->half_pct[1] = w->half_pct[1] * change_pct / 100;
		window(w);
	}
	KUNIT_EXPECT_EQ_MSG(test, w->state.in_force, adopted ? 160 : 150,
			    "%u refills, %u %%", refills, change_pct);
}

static void drift_does_not_fool_it(struct kunit *test)
{
	static const u32 change_pct[] = { 120, 100, 80 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(change_pct); i++) {
		drift(test, 1000, change_pct[i], false);
		drift(test, 1030, change_pct[i], false);
		drift(test, 970, change_pct[i], true);
	}
}

static void one_half_takes_turns(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int half;

	w->refills[3] = 700;
	/* As with one CPU. */
	for (half = 0; half < 2; half++) {
		memset(&w->state, 0, sizeof(w->state));
		w->half_pct[half] = 100;
		w->half_pct[!half] = 0;
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
		KUNIT_EXPECT_TRUE(test, on_all(w, 170));
		windows(w, HKM_WMAX_CANARY);
		KUNIT_EXPECT_TRUE(test, on_all(w, 150));
		windows(w, HKM_WMAX_CANARY);
		KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ADOPT);
		KUNIT_EXPECT_EQ(test, w->decision.before, 200023);
		KUNIT_EXPECT_EQ(test, w->decision.after, 140023);
		KUNIT_EXPECT_TRUE(test, on_all(w, 170));
	}
}

/* As much as it takes for a canary on one half, in half of a trial's time, to tell. */
static void halves_that_see_too_little_take_turns(struct kunit *test)
{
	struct world *w = test->priv;

	w->params.min_samples = 7000;
	w->refills[3] = 700;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	KUNIT_EXPECT_TRUE(test, on_all(w, 170));
}

static void nothing_begins_without_need(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	/* Less than 1 MiB in ten windows, of both halves, but for substitutes. */
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 0;
	windows(w, 200);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_NONE], 200);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));

	/* The other class holds nothing. */
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 1000;
	w->window.class[LARGE].held = false;
	windows(w, 200);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_NONE], 400);

	/* It is too large for any candidate. */
	w->window.class[LARGE].held = true;
	w->window.class[LARGE].size_bytes = 41 * 512;
	windows(w, 200);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_NONE], 600);
	/* But not for what is in force. */
	w->window.epoch++;
	w->window.w_max = 196;
	windows(w, 2 * HKM_WMAX_TRIAL);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_EXPLORE], 1);
	w->window.epoch++;
	w->window.w_max = 150;
	windows(w, 200);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_EXPLORE], 1);

	w->window.class[LARGE].size_bytes = SZ_16K;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_EXPLORE));

	/* 170 % is just enough. */
	w->window.epoch++;
	w->window.class[SMALL].size_bytes = 5120;
	w->window.class[LARGE].size_bytes = 8704;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_EXPLORE));
}

/* What might have been substituted, and what was: 1 MiB in ten windows is enough. */
static void misses_are_added_up(struct kunit *test)
{
	static const struct {
		struct hkm_wmax_counts small;
		u32 substitutes;
		u32 span_chunks;
		bool enough;
	} table[] = {
		{ { .refills = 16 }, 0, 1, true },	{ { .refills = 15 }, 0, 1 },
		{ { .refills = 4 }, 0, 4, true },	{ { .refills = 3 }, 0, 4 },
		{ { .reuses = 16 }, 0, 1, true },	{ { .reuses = 15 }, 0, 1 },
		{ { .fallbacks = 98 }, 0, 1, true },	{ { .fallbacks = 97 }, 0, 1 },
		{ {}, 64, 1, true },			{ {}, 63, 1 },
	};
	struct world *w = test->priv;
	struct hkm_wmax_counts *small = w->window.class[SMALL].half;
	struct hkm_wmax_counts *large = w->window.class[LARGE].half;
	unsigned int i, j;

	small[1].requests = 1000;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		memset(&w->state, 0, sizeof(w->state));
		memset(&small[0], 0, sizeof(small[0]));
		large[0].substitutes = 0;
		w->window.class[SMALL].span_chunks = table[i].span_chunks;
		for (j = 0; j <= HKM_WMAX_TRIAL; j++) {
			if (j == HKM_WMAX_TRIAL) {
				small[0] = table[i].small;
				large[0].substitutes = table[i].substitutes;
			}
			hkm_wmax_decide(&w->window, &w->params, &w->state, &w->decision);
		}
		KUNIT_EXPECT_EQ_MSG(test, w->decision.reason,
				    table[i].enough ? HKM_REASON_EXPLORE : HKM_REASON_NONE,
				    "row %u", i);
	}
}

static void trial_of_too_little_is_forgotten(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_EXPLORE));
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 0;
	windows(w, HKM_WMAX_TRIAL);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
	KUNIT_EXPECT_EQ(test, w->decision.after, 0);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		KUNIT_EXPECT_EQ(test, w->state.arm[i].trials, 0);
}

static void canary_of_too_little_is_rolled_back(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[2] = 500;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	/* It is as good as it looked, but one half of the CPUs does not say so. */
	w->half_pct[0] = 0;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->state.in_force, 150);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT], 0);

	/* Nor do both, if they see too little. */
	w->half_pct[0] = 100;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	w->params.min_samples = 5 * 1000;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT], 0);

	/* Nor where they take turns. */
	memset(&w->state, 0, sizeof(w->state));
	w->params = hkm_decide_defaults;
	w->half_pct[1] = 0;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	w->params.min_samples = 5 * 1000;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ADOPT], 0);
}

static void no_time_passes_without_requests(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_EXPLORE));
	windows(w, HKM_WMAX_TRIAL - 2);
	for (i = 0; i < 2; i++) {
		w->half_pct[0] = 0;
		w->half_pct[1] = 0;
		windows(w, 50);
		KUNIT_EXPECT_TRUE(test, on_all(w, 140));
		w->half_pct[0] = 100;
		window(w);
	}
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_EXPLORE);
	KUNIT_EXPECT_EQ(test, w->decision.after, w->decision.before);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));

	/* But what is only tried is not left so for ever. */
	w->half_pct[0] = 0;
	windows(w, 59);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ROLLBACK], 0);
	window(w);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ROLLBACK], 1);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	windows(w, 1000);
	KUNIT_EXPECT_EQ(test, w->nr[HKM_REASON_ROLLBACK], 1);
}

/* As when policy/w_max_pct is written, whatever the law is at. */
static void it_goes_on_from_what_is_set(struct kunit *test)
{
	static const enum hkm_reason at[] = {
		HKM_REASON_EXPLORE, HKM_REASON_CANARY, HKM_REASON_ADOPT,
		HKM_REASON_ROLLBACK,
	};
	struct world *w = test->priv;
	unsigned int i;

	w->refills[2] = 500;
	w->other_refills = 600;
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		KUNIT_EXPECT_TRUE(test, until(w, at[i]));
		w->window.epoch++;
		w->window.w_max = 185 + i;
		window(w);
		KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_NONE);
		KUNIT_EXPECT_TRUE(test, on_all(w, 185 + i));
		windows(w, HKM_WMAX_TRIAL);
		KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_EXPLORE);
		KUNIT_EXPECT_EQ(test, w->decision.pct_old, 185 + i);
	}
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_ADOPT));
	KUNIT_EXPECT_EQ(test, w->decision.pct_old, 188);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 160);

	/* Not a candidate, and better than those. */
	w->window.epoch++;
	w->other_refills = 300;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->state.in_force, 188);
}

/* Windows from the end of a round to the first trial of the next. */
static unsigned int rest(struct world *w)
{
	unsigned int nr = 0;

	do {
		window(w);
		nr++;
	} while (w->decision.reason == HKM_REASON_NONE && nr < 100000);
	return nr;
}

static void rest_is_longer_each_time(struct kunit *test)
{
	static const u32 want[] = { 600, 1200, 2400, 4800, 4800 };
	struct world *w = test->priv;
	unsigned int i;

	w->refills[0] = 2000;
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		KUNIT_EXPECT_TRUE(test, round_of(w));
		KUNIT_EXPECT_EQ(test, rest(w), want[i] + HKM_WMAX_TRIAL);
	}
	/* Something is adopted. */
	w->refills[0] = 100;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, w->state.in_force, 140);
	KUNIT_EXPECT_EQ(test, rest(w), 600 + HKM_WMAX_TRIAL);
	/* Not in this round. */
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, rest(w), 1200 + HKM_WMAX_TRIAL);
}

static void rest_is_short_after_giving_up(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_EXPLORE));
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 0;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 1000;
	KUNIT_EXPECT_EQ(test, rest(w), HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
}

static void rest_follows_when_no_candidate_is_left(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	/* Each is better than the one before, and that than any other. */
	w->window.w_max = 185;
	for (i = 0; i < HKM_WMAX_ARMS; i++) {
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
		w->refills[w->state.trying] = 800 - 100 * i;
		KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_ADOPT));
	}
	KUNIT_EXPECT_EQ(test, rest(w), 1 + 600 + HKM_WMAX_TRIAL);
}

static void another_load_ends_the_rest(struct kunit *test)
{
	struct world *w = test->priv;

	KUNIT_EXPECT_TRUE(test, round_of(w));
	windows(w, 3 * HKM_WMAX_LOOK);
	w->half_pct[0] = 180;
	w->half_pct[1] = 180;
	KUNIT_EXPECT_EQ(test, rest(w), 600 - 3 * HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
	KUNIT_EXPECT_TRUE(test, round_of(w));
	windows(w, 3 * HKM_WMAX_LOOK);
	w->half_pct[0] = 80;
	w->half_pct[1] = 80;
	KUNIT_EXPECT_EQ(test, rest(w), HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
	/* And those that follow are as at first. */
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, rest(w), 600 + HKM_WMAX_TRIAL);
	KUNIT_EXPECT_TRUE(test, round_of(w));
	windows(w, 3 * HKM_WMAX_LOOK);
	w->half_pct[0] = 170;
	w->half_pct[1] = 170;
	KUNIT_EXPECT_EQ(test, rest(w), HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
	/* By several steps, each small. */
	KUNIT_EXPECT_TRUE(test, round_of(w));
	windows(w, HKM_WMAX_LOOK);
	w->half_pct[0] = 110;
	w->half_pct[1] = 110;
	windows(w, HKM_WMAX_LOOK);
	w->half_pct[0] = 80;
	w->half_pct[1] = 80;
	KUNIT_EXPECT_EQ(test, rest(w), HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
}

static void quiet_times_do_not_end_the_rest(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, round_of(w));
	windows(w, 2 * HKM_WMAX_LOOK);
	/* Less than 1 MiB, but for requests that rings serve. */
	w->half_pct[1] = 0;
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 0;
	windows(w, HKM_WMAX_LOOK);
	w->half_pct[1] = 100;
	for (i = 0; i < HKM_WMAX_ARMS; i++)
		w->refills[i] = 1000;
	KUNIT_EXPECT_EQ(test, rest(w), 600 - 3 * HKM_WMAX_LOOK + HKM_WMAX_TRIAL);
}

static void other_classes_begin_anew(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[2] = 500;
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_CANARY));
	w->window.relaid = true;
	window(w);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	window(w);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_NONE);
	w->window.relaid = false;
	windows(w, HKM_WMAX_TRIAL);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_EXPLORE);

	/* What was adopted stays. */
	KUNIT_EXPECT_TRUE(test, until(w, HKM_REASON_ADOPT));
	w->window.relaid = true;
	window(w);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_NONE);
	KUNIT_EXPECT_TRUE(test, on_all(w, 160));
}

/* Nor is the rest as long as with those that there were. */
static void other_classes_have_short_rests(struct kunit *test)
{
	struct world *w = test->priv;

	KUNIT_EXPECT_TRUE(test, round_of(w));
	w->window.relaid = true;
	window(w);
	w->window.relaid = false;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	KUNIT_EXPECT_EQ(test, rest(w), 600 + HKM_WMAX_TRIAL);
}

/* As window(), but that nothing was substituted; until something else is decided. */
static unsigned int without_stock(struct world *w, enum hkm_reason reason)
{
	unsigned int nr = 0, half;

	do {
		for (half = 0; half < 2; half++) {
			w->window.class[SMALL].half[half].requests = 10000;
			w->window.class[SMALL].half[half].refills =
				refills_at(w, w->state.w_max[half]);
			w->window.class[LARGE].half[half].substitutes = 0;
		}
		hkm_wmax_decide(&w->window, &w->params, &w->state, &w->decision);
	} while ((w->decision.reason == HKM_REASON_NONE ||
		  w->decision.reason == reason) && ++nr < 2000);
	return nr;
}

static void nothing_ever_stocked_is_no_canary(struct kunit *test)
{
	struct world *w = test->priv;

	w->refills[1] = 2000;
	KUNIT_EXPECT_EQ(test, without_stock(w, HKM_REASON_EXPLORE),
			HKM_WMAX_TRIAL * (HKM_WMAX_TRIALS + 1));
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
	KUNIT_EXPECT_EQ(test, w->decision.pct_new, 150);
	KUNIT_EXPECT_TRUE(test, on_all(w, 150));
	KUNIT_EXPECT_EQ(test, without_stock(w, HKM_REASON_NONE) + 1, 600 + HKM_WMAX_TRIAL);

	/* Nor if something was in the round before. */
	w->refills[1] = 1000;
	KUNIT_EXPECT_TRUE(test, round_of(w));
	without_stock(w, HKM_REASON_EXPLORE);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_ROLLBACK);
}

static void huge_counts_do_not_wrap(struct kunit *test)
{
	struct world *w = test->priv;
	unsigned int i;

	w->window.class[SMALL].half[0].requests = U64_MAX;
	w->window.class[SMALL].half[0].refills = U64_MAX;
	for (i = 0; i <= HKM_WMAX_TRIAL; i++)
		hkm_wmax_decide(&w->window, &w->params, &w->state, &w->decision);
	KUNIT_EXPECT_EQ(test, w->decision.before, 2000 * 1000);
}

/* All that has a price, in both classes, over ten windows. */
static void price_is_as_by_hand(struct kunit *test)
{
	struct world *w = test->priv;
	struct hkm_wmax_counts *small = w->window.class[SMALL].half;
	struct hkm_wmax_counts *large = w->window.class[LARGE].half;
	unsigned int i;

	w->window.class[LARGE].span_chunks = 4;
	small[0] = (struct hkm_wmax_counts){
		.requests = 500, .pops = 10, .reuses = 2, .refills = 3,
	};
	small[1] = (struct hkm_wmax_counts){ .requests = 100, .fallbacks = 2 };
	large[0] = (struct hkm_wmax_counts){ .requests = 300, .refills = 1 };
	large[1] = (struct hkm_wmax_counts){ .requests = 100, .substitutes = 4 };
	/* Nobody's business: it is out of reach. */
	w->window.class[HKM_CLASS_32K] = (struct hkm_wmax_class){
		.size_bytes = SZ_32K, .span_chunks = 1, .next = HKM_CLASS_52K,
		.held = true, .half[0] = { .requests = 1000, .refills = 1000 },
	};
	w->window.class[HKM_CLASS_52K].size_bytes = 56 * SZ_1K;
	for (i = 0; i <= HKM_WMAX_TRIAL; i++)
		hkm_wmax_decide(&w->window, &w->params, &w->state, &w->decision);
	KUNIT_EXPECT_EQ(test, w->decision.reason, HKM_REASON_EXPLORE);
	/*
	 * 10 * 30 + 2 * 300 + 3 * 2000; 2 * 3500; 2000 * 7 / 4; and 4 times 60 and
	 * 5632 of 65536 parts of 2000: 18324 for 1000 requests.
	 */
	KUNIT_EXPECT_EQ(test, w->decision.before, 18324);
	KUNIT_EXPECT_EQ(test, w->decision.after, 18324);
}

static struct kunit_case wmax_cases[] = {
	KUNIT_CASE(each_is_tried_once_first),
	KUNIT_CASE(picks_are_as_by_hand),
	KUNIT_CASE(price_is_as_by_hand),
	KUNIT_CASE(round_keeps_its_times),
	KUNIT_CASE(best_of_four_is_found),
	KUNIT_CASE(canary_asks_for_one_percent),
	KUNIT_CASE(bad_candidate_is_rolled_back),
	KUNIT_CASE(canary_has_the_last_word),
	KUNIT_CASE(each_has_one_canary),
	KUNIT_CASE(drift_does_not_fool_it),
	KUNIT_CASE(one_half_takes_turns),
	KUNIT_CASE(halves_that_see_too_little_take_turns),
	KUNIT_CASE(nothing_begins_without_need),
	KUNIT_CASE(misses_are_added_up),
	KUNIT_CASE(trial_of_too_little_is_forgotten),
	KUNIT_CASE(canary_of_too_little_is_rolled_back),
	KUNIT_CASE(no_time_passes_without_requests),
	KUNIT_CASE(it_goes_on_from_what_is_set),
	KUNIT_CASE(rest_is_longer_each_time),
	KUNIT_CASE(rest_is_short_after_giving_up),
	KUNIT_CASE(rest_follows_when_no_candidate_is_left),
	KUNIT_CASE(another_load_ends_the_rest),
	KUNIT_CASE(quiet_times_do_not_end_the_rest),
	KUNIT_CASE(other_classes_begin_anew),
	KUNIT_CASE(other_classes_have_short_rests),
	KUNIT_CASE(nothing_ever_stocked_is_no_canary),
	KUNIT_CASE(huge_counts_do_not_wrap),
	{}
};

static struct kunit_suite wmax_suite = {
	.name = "hakmem_wmax",
	.init = world_begin,
	.test_cases = wmax_cases,
};

kunit_test_suites(&wmax_suite);
