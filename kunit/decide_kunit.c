// SPDX-License-Identifier: GPL-2.0
/*
 * The learner's laws, by tables of windows. Needs no pool: it runs in user space
 * too, see selftests/host.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "../learner/decide.h"

#define MID	HKM_CLASS_8K
#define LARGE	HKM_CLASS_256K
#define BUSY	10000

struct law {
	struct hkm_window window;
	struct hkm_decide_params params;
	struct hkm_decide_state state;
	struct hkm_actions actions;
};

static int law_begin(struct kunit *test)
{
	struct law *law = kunit_kzalloc(test, sizeof(*law), GFP_KERNEL);
	unsigned int id;

	if (!law)
		return -ENOMEM;
	law->params = hkm_decide_defaults;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		law->window.class[id].cap = 64;
		law->window.class[id].span_chunks = 1;
	}
	hkm_decide_init(&law->state, 0);
	test->priv = law;
	return 0;
}

static u32 cap(const struct law *law, unsigned int id)
{
	return law->window.class[id].cap;
}

static u32 cap_sum(const struct law *law)
{
	unsigned int id;
	u32 sum = 0;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		sum += cap(law, id);
	return sum;
}

/* The next second: decides, and puts the new CAPs in force. */
static void second(struct law *law)
{
	unsigned int id;

	law->window.now_ms += 1000;
	hkm_decide(&law->window, &law->params, &law->state, &law->actions);
	for (id = 0; id < HKM_NR_CLASSES; id++)
		law->window.class[id].cap = law->actions.class[id].cap_new;
}

static void seconds(struct law *law, unsigned int nr)
{
	while (nr--)
		second(law);
}

/* What a class does each second until told otherwise. */
static void rate(struct law *law, unsigned int id, u64 hits, u64 misses)
{
	struct hkm_window_class *w = &law->window.class[id];

	w->requests = 4 * (hits + misses);
	w->pops = hits / 2;
	w->reuses = hits - w->pops;
	w->refills = misses;
}

/* A second of a busy class that took and gave back so many spans. */
static void churn(struct law *law, unsigned int id, u64 refills, u64 releases)
{
	struct hkm_window_class *w = &law->window.class[id];

	w->requests = BUSY;
	w->refills = refills;
	w->releases = releases;
	second(law);
}

/* Free memory of a busy class that takes and gives back nothing. */
static void level(struct law *law, unsigned int id, u32 low, u32 high)
{
	struct hkm_window_class *w = &law->window.class[id];

	w->requests = BUSY;
	w->refills = 0;
	w->releases = 0;
	w->free = low;
	w->free_low = low;
	w->free_high = high;
}

/* A class that swings by @chunks, all of which CAP lets it keep. */
static void swing(struct law *law, unsigned int id, u32 chunks)
{
	level(law, id, 0, chunks);
}

static void step_follows_its_trace(struct kunit *test)
{
	static const u32 want[] = {
		64, 64, 72, 72, 72, 80, 80, 80, 88, 88, 88, 96, 96, 96, 104,
	};
	struct law *law = test->priv;
	unsigned int i;

	law->params.controller = HKM_CONTROLLER_STEP;
	rate(law, MID, 50, 50);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		second(law);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), want[i], "after %u s", i + 1);
		if (i % 3 != 2)
			continue;
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 1U);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason,
				HKM_REASON_BELOW_BAND);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].cap_old, want[i] - 8);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].after, 5000U);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].before,
				i == 2 ? 0U : 5000U);
	}
	rate(law, MID, 64, 36);
	for (i = 0; i < 60; i++) {
		second(law);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 104U);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
}

static void step_heeds_band_and_class(struct kunit *test)
{
	static const struct {
		unsigned int id;
		unsigned int hits;	/* of 10000 */
		unsigned int dwell;	/* seconds */
		u32 cap;
	} table[] = {
		{ MID, 0, 3, 72 },	{ MID, 6199, 3, 72 },
		{ MID, 6200, 3, 64 },	{ MID, 6500, 3, 64 },
		{ MID, 6800, 3, 64 },	{ MID, 6801, 3, 56 },
		{ MID, 10000, 3, 56 },
		{ LARGE, 0, 5, 72 },	{ LARGE, 5199, 5, 72 },
		{ LARGE, 5200, 5, 64 },	{ LARGE, 5800, 5, 64 },
		{ LARGE, 5801, 5, 56 },	{ LARGE, 10000, 5, 56 },
	};
	struct law *law = test->priv;
	unsigned int i, s;

	law->params.controller = HKM_CONTROLLER_STEP;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		rate(law, MID, 0, 0);
		rate(law, LARGE, 0, 0);
		law->window.class[table[i].id].cap = 64;
		hkm_decide_init(&law->state, law->window.now_ms);
		rate(law, table[i].id, table[i].hits, 10000 - table[i].hits);
		for (s = 1; s < table[i].dwell; s++) {
			second(law);
			KUNIT_EXPECT_EQ_MSG(test, cap(law, table[i].id), 64U,
					    "row %u", i);
		}
		second(law);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, table[i].id), table[i].cap,
				    "row %u", i);
	}
}

static void step_stays_in_range(struct kunit *test)
{
	struct law *law = test->priv;

	law->params.controller = HKM_CONTROLLER_STEP;
	rate(law, MID, 0, 100);
	rate(law, LARGE, 100, 0);
	seconds(law, 3 * 56);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 8U);
	seconds(law, 10);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 8U);
}

static void step_lets_idle_classes_be(struct kunit *test)
{
	struct law *law = test->priv;

	law->params.controller = HKM_CONTROLLER_STEP;
	seconds(law, 100);
	KUNIT_EXPECT_EQ(test, cap_sum(law), 64U * HKM_NR_CLASSES);
}

static void caps_stay_within_budget(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int controller, id, s;

	for (controller = 0; controller < HKM_NR_CONTROLLERS; controller++) {
		law->params.controller = controller;
		law->params.global_budget_chunks = 800;
		for (id = 0; id < HKM_NR_CLASSES; id++)
			law->window.class[id].cap = 64;
		for (s = 0; s < 200; s++) {
			for (id = 0; id < HKM_NR_CLASSES; id++)
				rate(law, id, 10, 90);
			for (id = 0; id < HKM_NR_CLASSES; id++)
				law->window.class[id].releases = 90;
			second(law);
			KUNIT_EXPECT_LE(test, cap_sum(law), 800U);
		}
		/* And where the budget is made smaller. */
		law->params.global_budget_chunks = 200;
		second(law);
		KUNIT_EXPECT_LE(test, cap_sum(law), 200U);
		for (id = 0; id < HKM_NR_CLASSES; id++) {
			KUNIT_EXPECT_GE(test, cap(law, id), law->params.cap_min);
			if (law->actions.class[id].reason)
				KUNIT_EXPECT_EQ(test, law->actions.class[id].reason,
						HKM_REASON_BUDGET);
		}
	}
}

static void smaller_budget_is_met_at_once(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		law->window.class[id].cap = 8;
	law->window.class[MID].cap = 512;
	law->window.class[LARGE].cap = 300;
	law->params.global_budget_chunks = 200;
	second(law);
	KUNIT_EXPECT_LE(test, cap_sum(law), 200U);
	KUNIT_EXPECT_GE(test, cap_sum(law), 198U);
	for (id = 0; id < HKM_NR_CLASSES; id++)
		KUNIT_EXPECT_GE(test, cap(law, id), 8U);
	KUNIT_EXPECT_GT(test, cap(law, MID), cap(law, LARGE));
}

static void cap_out_of_range_is_clamped(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int controller;

	for (controller = 0; controller < HKM_NR_CONTROLLERS; controller++) {
		law->params.controller = controller;
		law->window.class[MID].cap = 513;
		law->window.class[LARGE].cap = 7;
		second(law);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
		KUNIT_EXPECT_EQ(test, cap(law, LARGE), 8U);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 2U);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_CLAMP);
	}
}

/* What went back and was fetched again is granted at once, and an eighth more. */
static void cost_grows_by_what_is_regretted(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 164, 100);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	churn(law, MID, 100, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 112);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
	KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 1U);
	/* Each chunk is regretted once. */
	churn(law, MID, 100, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 112);
}

static void cost_counts_chunks_of_spans(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[LARGE].span_chunks = 4;
	churn(law, LARGE, 8, 8);
	churn(law, LARGE, 8, 0);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 64U + 36);
}

/* New load is no reason to keep more: no CAP would have saved a refill. */
static void cost_does_not_grow_with_load(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	for (s = 0; s < 60; s++)
		churn(law, MID, 100, 0);
	KUNIT_EXPECT_LE(test, cap(law, MID), 64U);
}

static void cost_forgets_what_went_long_ago(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 100);
	level(law, MID, 0, 0);
	/* It is forgotten by the slice. */
	seconds(law, law->params.hold_ms / 1000 * 5 / 4);
	churn(law, MID, 100, 0);
	KUNIT_EXPECT_LE(test, cap(law, MID), 64U);
}

/* An idle class keeps nothing, and pressure takes all: CAP has no part in it. */
static void cost_regrets_only_what_cap_would_save(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 0);
	law->window.class[MID].requests = 0;
	seconds(law, law->params.idle_ms / 1000 - 1);
	law->window.class[MID].releases = 50;
	second(law);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);

	law->window.pressure = true;
	churn(law, MID, 0, 50);
	law->window.pressure = false;
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	/* As it would have been. */
	churn(law, MID, 0, 50);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
}

static void cost_ignores_small_change(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].pops = 100000;
	churn(law, MID, 0, 20);
	churn(law, MID, 20, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_GT(test, cap(law, MID), 64U);
}

static void cost_skips_windows_with_few_samples(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	for (s = 0; s < 100; s++) {
		law->window.class[MID].requests = law->params.min_samples - 1;
		law->window.class[MID].refills = s % 2 ? 10 : 0;
		law->window.class[MID].releases = s % 2 ? 0 : 10;
		second(law);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
	/* Of large blocks, few are much. */
	law->window.class[LARGE].span_chunks = 4;
	law->window.class[LARGE].requests = 4;
	law->window.class[LARGE].releases = 10;
	second(law);
	law->window.class[LARGE].refills = 10;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 64U + 45);
}

/* The least that was ever free is of no use. */
static void cost_shrinks_to_the_swing(struct kunit *test)
{
	struct law *law = test->priv;
	u32 last = 512;
	unsigned int s;

	law->window.class[MID].cap = 512;
	level(law, MID, 400, 480);
	seconds(law, law->params.hold_ms / 1000 - 1);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	for (s = 0; s < 120; s++) {
		second(law);
		KUNIT_EXPECT_LE(test, cap(law, MID), last);
		if (cap(law, MID) != last)
			KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason,
					HKM_REASON_SHRINK);
		/* Slowly: a quarter of that for each dwell. */
		KUNIT_EXPECT_GE(test, cap(law, MID) + 100, min(last, 480U));
		last = cap(law, MID);
	}
	KUNIT_EXPECT_EQ(test, last, 80U + 10 + 1);
}

/* Far more is free than CAP lets it keep: it is scattered. */
static void cost_shrinks_below_what_is_scattered(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 64;
	level(law, MID, 300, 310);
	seconds(law, 120);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 10U + 1 + 1);
}

static void cost_heeds_dwell_when_it_shrinks(struct kunit *test)
{
	static const unsigned int ids[] = { MID, LARGE };
	struct law *law = test->priv;
	unsigned int i, s;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		unsigned int id = ids[i], dwell = id == MID ? 3 : 5, changed = 0;
		u32 last = 512;

		law->window.class[id].cap = 512;
		level(law, id, 480, 500);
		for (s = 1; s <= 120; s++) {
			second(law);
			if (cap(law, id) == last)
				continue;
			if (changed)
				KUNIT_EXPECT_EQ(test, s - changed, dwell);
			changed = s;
			last = cap(law, id);
		}
		KUNIT_EXPECT_NE(test, changed, 0U);
	}
}

/* What all of which is used is no reason to shrink, whatever CAP would allow. */
static void cost_keeps_what_is_used(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 512;
	swing(law, MID, 100);
	seconds(law, 200);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	/* Nor is a little that is left over. */
	level(law, MID, 10, 100);
	seconds(law, 200);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
}

/* The more a class swings by, the more it keeps. */
static void cost_is_monotonous(struct kunit *test)
{
	struct law *law = test->priv;
	u32 swings, last = 0;

	for (swings = 0; swings <= 512; swings += 32) {
		law->window.class[MID].cap = 512;
		hkm_decide_init(&law->state, law->window.now_ms);
		level(law, MID, 512, 512 + swings);
		seconds(law, 200);
		KUNIT_EXPECT_GE(test, cap(law, MID), last);
		KUNIT_EXPECT_GE(test, cap(law, MID), min(swings, 512U));
		last = cap(law, MID);
	}
}

static void cost_restores_and_then_waits_longer(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s, hold = law->params.hold_ms / 1000;
	u32 low;

	level(law, MID, 40, 56);
	seconds(law, hold + 20);
	low = cap(law, MID);
	KUNIT_EXPECT_LT(test, low, 40U);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_RESTORE);
	KUNIT_EXPECT_EQ(test, cap(law, MID), low + 45);
	low = cap(law, MID);
	level(law, MID, 40, 56);
	for (s = 0; s < 2 * hold - 2; s++) {
		second(law);
		KUNIT_EXPECT_EQ(test, cap(law, MID), low);
	}
	seconds(law, 4);
	KUNIT_EXPECT_LT(test, cap(law, MID), low);
}

/* Chunks that go and come although CAP has grown: it is not CAP's doing. */
static void cost_rolls_growth_back(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s, grown = 0, rolled = 0;
	u32 before;

	law->params.cap_max = 256;
	for (s = 0; s < 60; s++) {
		churn(law, MID, 50, 50);
		grown += law->actions.class[MID].reason == HKM_REASON_GROW;
		if (law->actions.class[MID].reason != HKM_REASON_ROLLBACK)
			continue;
		rolled++;
		before = law->actions.class[MID].before;
		KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
		KUNIT_EXPECT_GT(test, law->actions.class[MID].after,
				before - before / 16);
	}
	KUNIT_EXPECT_GE(test, grown, 1U);
	KUNIT_EXPECT_EQ(test, rolled, 1U);
	/* And then less and less often. */
	for (s = 0; s < 600; s++) {
		churn(law, MID, 50, 50);
		rolled += law->actions.class[MID].reason == HKM_REASON_ROLLBACK;
	}
	KUNIT_EXPECT_LE(test, rolled, 5U);
}

static void cost_keeps_growth_that_pays(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	churn(law, MID, 0, 50);
	churn(law, MID, 50, 50);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
	for (s = 0; s < 20; s++) {
		swing(law, MID, 114);
		second(law);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
}

/* Classes that are idle give first, and one that regrets as much gives nothing. */
static void cost_moves_budget_to_where_it_pays(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int id;

	law->params.global_budget_chunks = 64 * HKM_NR_CLASSES;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		if (id != MID && id != LARGE)
			law->window.class[id].requests = BUSY;
	seconds(law, law->params.idle_ms / 1000);
	churn(law, MID, 0, 50);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 8U);
	KUNIT_EXPECT_EQ(test, law->actions.class[LARGE].reason, HKM_REASON_BUDGET);
	KUNIT_EXPECT_EQ(test, cap_sum(law), 64U * HKM_NR_CLASSES);
}

static void cost_takes_nothing_from_equals(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int id, s;

	law->params.global_budget_chunks = 64 * HKM_NR_CLASSES;
	for (s = 0; s < 40; s++) {
		for (id = 0; id < HKM_NR_CLASSES; id++) {
			law->window.class[id].requests = BUSY;
			law->window.class[id].refills = s % 2 ? 50 : 0;
			law->window.class[id].releases = s % 2 ? 0 : 50;
			law->window.class[id].free_high = 114;
		}
		second(law);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
}

static void operator_has_the_last_word(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 50);
	churn(law, MID, 50, 50);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
	/* Written by somebody else, and so nothing to roll back from. */
	law->window.class[MID].cap = 90;
	swing(law, MID, 89);
	law->window.class[MID].refills = 50;
	seconds(law, 20);
	KUNIT_EXPECT_GE(test, cap(law, MID), 90U);
}

static void extreme_windows_do_no_harm(struct kunit *test)
{
	static const u64 counts[] = { 0, 1, U32_MAX, 1ULL << 40, U64_MAX };
	struct law *law = test->priv;
	unsigned int controller, id, n, s;

	law->params.cost_pop = HKM_COST_LIMIT;
	law->params.cost_reuse = HKM_COST_LIMIT;
	law->params.cost_refill = HKM_COST_LIMIT;
	law->params.cost_release = HKM_COST_LIMIT;
	law->params.hold_ms = U32_MAX;
	law->params.canary_ms = 1;
	law->params.cap_max = HKM_CAP_LIMIT;
	law->params.global_budget_chunks = U32_MAX;
	KUNIT_EXPECT_TRUE(test, hkm_decide_params_valid(&law->params));
	for (n = 0; n < HKM_NR_CONTROLLERS * 2000; n++) {
		controller = n % HKM_NR_CONTROLLERS;
		law->params.controller = controller;
		for (id = 0; id < HKM_NR_CLASSES; id++) {
			struct hkm_window_class *w = &law->window.class[id];

			/* A number of five digits, to the base of five. */
			s = n * 2477 + id * 311;
			w->requests = counts[s % 5];
			w->pops = counts[s / 5 % 5];
			w->reuses = counts[s / 25 % 5];
			w->refills = counts[s / 125 % 5];
			w->releases = counts[s / 625 % 5];
			w->free = w->pops;
			w->free_low = w->reuses;
			w->free_high = w->refills;
			w->span_chunks = max_t(u32, w->releases, 1);
			if (n % 7 == 0)
				w->cap = w->pops;
		}
		law->window.now_ms += counts[n / 2 % 5] >> 8;
		second(law);
		for (id = 0; id < HKM_NR_CLASSES; id++) {
			KUNIT_EXPECT_GE(test, cap(law, id), law->params.cap_min);
			KUNIT_EXPECT_LE(test, cap(law, id), law->params.cap_max);
		}
	}
}

static void huge_counts_do_not_wrap(struct kunit *test)
{
	struct law *law = test->priv;
	struct hkm_window_class *w = &law->window.class[MID];

	law->params.controller = HKM_CONTROLLER_STEP;
	w->requests = U64_MAX;
	w->pops = U64_MAX;
	w->reuses = U64_MAX;
	w->refills = 1;
	second(law);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].after, 9999U);
}

/* Of each sum, 1/32 is forgotten with each window. */
static void cost_figure_is_per_1000_requests(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 8);
	KUNIT_EXPECT_EQ(test, law->state.class[MID].lost, 0ULL);
	churn(law, MID, 8, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].after,
			8 * (2000 + 1500) * 1000U / (BUSY - BUSY / 32 + BUSY));
}

/* Chunks that only went through the inventory, for want of room for the swing. */
static void cost_grows_to_the_swing(struct kunit *test)
{
	struct law *law = test->priv;

	swing(law, MID, 100);
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	law->window.class[MID].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 100U + 12 + 1);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
}

static void bad_parameters_are_refused(struct kunit *test)
{
	const struct hkm_decide_params good = hkm_decide_defaults;
	struct hkm_decide_params p;

#define REFUSED(field, value)						\
do {									\
	p = good;							\
	p.field = value;						\
	KUNIT_EXPECT_FALSE_MSG(test, hkm_decide_params_valid(&p), #field); \
} while (0)
	KUNIT_EXPECT_TRUE(test, hkm_decide_params_valid(&good));
	REFUSED(controller, HKM_NR_CONTROLLERS);
	REFUSED(target_mid_bp, 10001);
	REFUSED(target_large_bp, 10001);
	REFUSED(band_bp, 10001);
	REFUSED(cap_step, 0);
	REFUSED(cap_step, HKM_CAP_LIMIT + 1);
	REFUSED(cap_min, 0);
	REFUSED(cap_min, good.cap_max + 1);
	REFUSED(cap_max, HKM_CAP_LIMIT + 1);
	REFUSED(global_budget_chunks, good.cap_min * HKM_NR_CLASSES - 1);
	REFUSED(min_samples, 0);
	REFUSED(hold_ms, HKM_SLICES - 1);
	REFUSED(canary_ms, 0);
	REFUSED(cost_pop, HKM_COST_LIMIT + 1);
	REFUSED(cost_reuse, HKM_COST_LIMIT + 1);
	REFUSED(cost_refill, HKM_COST_LIMIT + 1);
	REFUSED(cost_release, HKM_COST_LIMIT + 1);
#undef REFUSED
}

static void reasons_have_names(struct kunit *test)
{
	unsigned int i, j;

	for (i = 0; i < HKM_NR_REASONS; i++)
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, strcmp(hkm_reason_name(i),
						     hkm_reason_name(j)), 0);
}

static struct kunit_case decide_cases[] = {
	KUNIT_CASE(step_follows_its_trace),
	KUNIT_CASE(step_heeds_band_and_class),
	KUNIT_CASE(step_stays_in_range),
	KUNIT_CASE(step_lets_idle_classes_be),
	KUNIT_CASE(caps_stay_within_budget),
	KUNIT_CASE(smaller_budget_is_met_at_once),
	KUNIT_CASE(cap_out_of_range_is_clamped),
	KUNIT_CASE(cost_grows_by_what_is_regretted),
	KUNIT_CASE(cost_grows_to_the_swing),
	KUNIT_CASE(cost_counts_chunks_of_spans),
	KUNIT_CASE(cost_does_not_grow_with_load),
	KUNIT_CASE(cost_forgets_what_went_long_ago),
	KUNIT_CASE(cost_regrets_only_what_cap_would_save),
	KUNIT_CASE(cost_ignores_small_change),
	KUNIT_CASE(cost_skips_windows_with_few_samples),
	KUNIT_CASE(cost_shrinks_to_the_swing),
	KUNIT_CASE(cost_shrinks_below_what_is_scattered),
	KUNIT_CASE(cost_heeds_dwell_when_it_shrinks),
	KUNIT_CASE(cost_keeps_what_is_used),
	KUNIT_CASE(cost_is_monotonous),
	KUNIT_CASE(cost_restores_and_then_waits_longer),
	KUNIT_CASE(cost_rolls_growth_back),
	KUNIT_CASE(cost_keeps_growth_that_pays),
	KUNIT_CASE(cost_moves_budget_to_where_it_pays),
	KUNIT_CASE(cost_takes_nothing_from_equals),
	KUNIT_CASE(cost_figure_is_per_1000_requests),
	KUNIT_CASE(operator_has_the_last_word),
	KUNIT_CASE(extreme_windows_do_no_harm),
	KUNIT_CASE(huge_counts_do_not_wrap),
	KUNIT_CASE(bad_parameters_are_refused),
	KUNIT_CASE(reasons_have_names),
	{}
};

static struct kunit_suite decide_suite = {
	.name = "hakmem_decide",
	.init = law_begin,
	.test_cases = decide_cases,
};

kunit_test_suites(&decide_suite);
