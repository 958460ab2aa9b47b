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
#define OTHER	HKM_CLASS_16K
#define LARGE	HKM_CLASS_256K
#define BUSY	10000

struct law {
	struct hkm_window window;
	struct hkm_decide_params params;
	struct hkm_decide_state state;
	struct hkm_actions actions;
};

static void law_reset(struct law *law)
{
	unsigned int id;

	memset(law, 0, sizeof(*law));
	law->params = hkm_decide_defaults;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		law->window.class[id].cap = 64;
		law->window.class[id].span_chunks = 1;
	}
	hkm_decide_init(&law->state, 0);
}

static int law_begin(struct kunit *test)
{
	struct law *law = kunit_kzalloc(test, sizeof(*law), GFP_KERNEL);

	if (!law)
		return -ENOMEM;
	law_reset(law);
	test->priv = law;
	return 0;
}

static u32 cap(const struct law *law, unsigned int id)
{
	return law->window.class[id].cap;
}

/* Forgets all that was before, with another CAP in force. */
static void begin_with(struct law *law, u32 cap)
{
	law->window.class[MID].cap = cap;
	hkm_decide_init(&law->state, law->window.now_ms);
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

/* More than any test has free. */
#define HELD	10000

/* Free memory of a busy class that takes and gives back nothing. */
static void level(struct law *law, unsigned int id, u32 low, u32 high)
{
	struct hkm_window_class *w = &law->window.class[id];

	w->requests = BUSY;
	w->refills = 0;
	w->releases = 0;
	w->held = HELD;
	w->used_low = HELD - high;
	w->used_high = HELD - low;
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
	/* Also by a step that is more than there is. */
	law->params.cap_step = 20;
	law->window.class[LARGE].cap = 12;
	second(law);
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

/* Of several times that chunks were given back, the latest, and that once. */
static void cost_regrets_the_latest_first(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	churn(law, MID, 0, 40);
	for (s = 0; s < 9; s++)
		churn(law, MID, 0, 0);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 45);

	begin_with(law, 64);
	churn(law, MID, 0, 40);
	for (s = 0; s < 9; s++)
		churn(law, MID, 0, 0);
	churn(law, MID, 0, 40);
	/* Too few requests for growth, which would settle the others too. */
	law->window.class[MID].requests = 1;
	law->window.class[MID].releases = 0;
	law->window.class[MID].refills = 40;
	second(law);
	for (s = 0; s < 14; s++)
		churn(law, MID, 0, 0);
	/* Those that are left went 27 s ago. */
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
}

/* As after a time without memory, when nobody decides. */
static void cost_goes_on_after_a_gap(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 50);
	law->window.now_ms += 3600000;
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	churn(law, MID, 0, 50);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
}

/* Never both in one window: what is regretted is no sign of too much. */
static void cost_grows_or_shrinks(struct kunit *test)
{
	struct law *law = test->priv;

	level(law, MID, 140, 156);
	seconds(law, law->params.hold_ms / 1000 - 2);
	law->window.class[MID].releases = 40;
	second(law);
	law->window.class[MID].releases = 0;
	law->window.class[MID].refills = 40;
	/* It has been unused for long enough. */
	second(law);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 45);
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

	churn(law, MID, 0, 50);
	law->window.class[MID].requests = 0;
	law->window.class[MID].releases = 0;
	seconds(law, law->params.idle_ms / 1000 - 1);
	law->window.class[MID].releases = 50;
	second(law);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);

	churn(law, MID, 0, 50);
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

/* Twelve chunks, against all that the class costs in that window. */
static void cost_weighs_what_is_regretted(struct kunit *test)
{
	static const struct {
		u32 span_chunks;
		u32 pops;
		u32 reuses;
		u32 refills;
		u32 releases;
		bool grows;
	} table[] = {
		{ 1, 43900, 0, 12, 0, true },	{ 1, 44100, 0, 12, 0, false },
		{ 1, 74500, 100, 12, 0, true },	{ 1, 75500, 100, 12, 0, false },
		{ 1, 0, 0, 665, 0, true },	{ 1, 0, 0, 680, 0, false },
		{ 1, 0, 0, 12, 870, true },	{ 1, 0, 0, 12, 890, false },
		/* Each further chunk of a span costs a quarter of the first. */
		{ 4, 0, 0, 165, 0, true },	{ 4, 0, 0, 171, 0, false },
		{ 4, 0, 0, 3, 217, true },	{ 4, 0, 0, 3, 223, false },
	};
	struct law *law = test->priv;
	struct hkm_window_class *w = &law->window.class[MID];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		w->cap = 64;
		w->span_chunks = table[i].span_chunks;
		w->pops = 0;
		w->reuses = 0;
		hkm_decide_init(&law->state, law->window.now_ms);
		churn(law, MID, 0, 12 / table[i].span_chunks);
		w->pops = table[i].pops;
		w->reuses = table[i].reuses;
		churn(law, MID, table[i].refills, table[i].releases);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID) > 64, table[i].grows,
				    "row %u", i);
	}
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

/* The least that was ever free is of no use: it is given up in one go, after hold_ms. */
static void cost_shrinks_to_the_swing(struct kunit *test)
{
	static const struct {
		u32 low;
		u32 high;
		u32 cap;
	} table[] = {
		/* Room for the swing and 2 MiB, or an eighth more if that is more. */
		{ 400, 480, 80 + 32 },
		{ 600, 1000, 400 + 50 + 1 },
		/* Far more is free than CAP lets it keep: it is scattered. */
		{ 2000, 2010, 10 + 32 },
		/* Not where that frees less than 2 MiB, or an eighth of what is free. */
		{ 64, 164, 512 },
		{ 65, 165, 100 + 32 },
		{ 120, 560, 512 },
		{ 130, 570, 440 + 55 + 1 },
	};
	struct law *law = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		begin_with(law, 512);
		level(law, MID, table[i].low, table[i].high);
		seconds(law, law->params.hold_ms / 1000 - 1);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), 512U, "row %u", i);
		second(law);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), table[i].cap, "row %u", i);
		if (table[i].cap != 512)
			KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason,
					HKM_REASON_SHRINK);
		seconds(law, 100);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), table[i].cap, "row %u", i);
	}
	/* Nor to more than there is, nor below the range. */
	begin_with(law, 64);
	level(law, MID, 400, 500);
	seconds(law, 100);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	law->window.class[MID].cap = 512;
	law->params.cap_min = 60;
	hkm_decide_init(&law->state, law->window.now_ms);
	level(law, MID, 480, 500);
	seconds(law, law->params.hold_ms / 1000);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 60U);
}

/* A few requests a second keep a class from being idle: then its CAP must fall. */
static void cost_shrinks_under_a_trickle(struct kunit *test)
{
	struct law *law = test->priv;

	begin_with(law, 512);
	level(law, MID, 480, 500);
	law->window.class[MID].requests = 1;
	seconds(law, law->params.hold_ms / 1000 - 1);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 20U + 32);
}

/* Growth whose load has gone before it could be judged is no canary for ever. */
static void cost_shrinks_what_was_never_judged(struct kunit *test)
{
	struct law *law = test->priv;
	u32 figure;

	churn(law, MID, 0, 400);
	churn(law, MID, 400, 0);
	KUNIT_EXPECT_GT(test, cap(law, MID), 400U);
	figure = law->actions.class[MID].after;
	KUNIT_EXPECT_GT(test, figure, 0U);
	level(law, MID, 480, 500);
	law->window.class[MID].requests = 1;
	seconds(law, 3 * law->params.hold_ms / 1000);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 20U + 32);
	/* So few requests do not change what the law goes by. */
	KUNIT_EXPECT_EQ(test, law->state.class[MID].figure, figure);
}

/* Nor does it shrink before. */
static void cost_keeps_growth_until_it_is_judged(struct kunit *test)
{
	struct law *law = test->priv;

	law->params.canary_ms = 40000;
	level(law, MID, 480, 500);
	churn(law, MID, 0, 400);
	churn(law, MID, 400, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	level(law, MID, 480, 500);
	seconds(law, 39);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	seconds(law, 2);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 20U + 32);
}

/* Of large blocks few requests are much: they tell of growth that saves nothing. */
static void cost_judges_growth_by_large_requests(struct kunit *test)
{
	struct law *law = test->priv;
	struct hkm_window_class *w = &law->window.class[LARGE];
	unsigned int s, rolled = 0;

	law->window.class[LARGE].cap = 8;
	hkm_decide_init(&law->state, 0);
	w->span_chunks = 16;
	for (s = 0; s < 300; s++) {
		w->requests = s % 3 == 0;
		w->refills = w->requests;
		w->releases = w->requests;
		second(law);
		rolled += law->actions.class[LARGE].reason == HKM_REASON_ROLLBACK;
		KUNIT_EXPECT_LE(test, cap(law, LARGE), 64U);
	}
	KUNIT_EXPECT_GE(test, rolled, 1U);
}

static void cost_heeds_dwell_when_it_shrinks(struct kunit *test)
{
	static const unsigned int ids[] = { MID, LARGE };
	struct law *law = test->priv;
	unsigned int i;

	law->params.dwell_mid_ms = 30000;
	law->params.dwell_large_ms = 40000;
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		unsigned int id = ids[i];

		hkm_decide_init(&law->state, law->window.now_ms);
		law->window.class[id].cap = 512;
		level(law, id, 480, 500);
		seconds(law, id == MID ? 29 : 39);
		KUNIT_EXPECT_EQ(test, cap(law, id), 512U);
		second(law);
		KUNIT_EXPECT_EQ(test, cap(law, id), 20U + 32);
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

/* A load that uses all of 300 chunks, @every seconds. */
static void waves(struct law *law, unsigned int every, unsigned int nr)
{
	while (nr--) {
		level(law, MID, 0, 300);
		second(law);
		level(law, MID, 300, 300);
		seconds(law, every - 1);
	}
}

/* For twice as long as that took lately: hold_ms is for what is not as well known. */
static void cost_gives_up_sooner_what_was_used_often(struct kunit *test)
{
	static const struct {
		unsigned int first;	/* wait, in seconds */
		unsigned int more;	/* waits of 3 s */
		unsigned int patience;
		unsigned int wrong;	/* times that a shrink was */
	} table[] = {
		{ 3, HKM_WAITS - 1, 6 },
		{ 7, HKM_WAITS - 1, 14 },
		{ 7, HKM_WAITS, 6 },
		{ 15, HKM_WAITS - 1, 20 },
		{ 3, HKM_WAITS - 2, 20 },
		/* Of what it knows well, a wrong one says nothing. */
		{ 3, HKM_WAITS - 1, 6, 1 },
	};
	struct law *law = test->priv;
	unsigned int i, waits;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		begin_with(law, 512);
		law->state.class[MID].hold_shift = table[i].wrong;
		waves(law, table[i].first, 1);
		waves(law, 3, table[i].more);
		level(law, MID, 0, 300);
		second(law);
		/* And then no more than 40 of it. */
		level(law, MID, 260, 300);
		seconds(law, table[i].patience - 1);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), 512U, "row %u", i);
		/* hold_ms is told by the slice. */
		seconds(law, table[i].patience < 20 ? 1 : 4);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), 40U + 32, "row %u", i);
		/* Which is all that it swings by from then on. */
		waits = law->state.class[MID].waits;
		law->window.class[MID].held -= 512 - cap(law, MID);
		law->window.class[MID].releases = 512 - cap(law, MID);
		second(law);
		KUNIT_EXPECT_EQ_MSG(test, law->state.class[MID].waits, waits, "row %u", i);
		law->window.class[MID].releases = 0;
		law->window.class[MID].reuses = 64;
		second(law);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), 40U + 32, "row %u", i);
	}
}

/* How long that would have been is known when it is regretted. */
static void cost_knows_waits_that_it_gave_up_in(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 512;
	waves(law, 3, HKM_WAITS);
	level(law, MID, 0, 300);
	second(law);
	level(law, MID, 260, 300);
	seconds(law, 6);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 40U + 32);
	law->window.class[MID].held -= 250;
	churn(law, MID, 0, 250);
	churn(law, MID, 250, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_RESTORE);
	waves(law, 3, HKM_WAITS - 1);
	level(law, MID, 0, 300);
	second(law);
	/* That took 8 s. */
	level(law, MID, 260, 300);
	seconds(law, 15);
	KUNIT_EXPECT_GT(test, cap(law, MID), 300U);
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 40U + 32);
}

/* Trim has them, not the load. */
static void cost_takes_releases_for_no_swing(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 512;
	level(law, MID, 400, 480);
	seconds(law, law->params.hold_ms / 1000);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 80U + 32);
	law->window.class[MID].releases = 368;
	law->window.class[MID].held -= 368;
	second(law);
	law->window.class[MID].releases = 0;
	law->window.class[MID].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 80U + 32);
	KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
}

/* The more a class swings by, the more it keeps. */
static void cost_is_monotonous(struct kunit *test)
{
	struct law *law = test->priv;
	u32 swings, last = 0;

	for (swings = 0; swings <= 512; swings += 32) {
		begin_with(law, 512);
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

	level(law, MID, 140, 156);
	seconds(law, hold + 20);
	low = cap(law, MID);
	KUNIT_EXPECT_EQ(test, low, 16U + 32);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_RESTORE);
	KUNIT_EXPECT_EQ(test, cap(law, MID), low + 45);
	KUNIT_EXPECT_EQ(test, law->state.class[MID].hold_shift, 1);
	low = cap(law, MID);
	level(law, MID, 140, 156);
	for (s = 0; s < 2 * hold - 2; s++) {
		second(law);
		KUNIT_EXPECT_EQ(test, cap(law, MID), low);
	}
	seconds(law, 4);
	KUNIT_EXPECT_LT(test, cap(law, MID), low);
	/* Nothing was wrong with it for so long. */
	KUNIT_EXPECT_EQ(test, law->state.class[MID].hold_shift, 0);
}

/* An idle class keeps nothing: its CAP may stay for when it is used again. */
static void cost_shrinks_no_idle_class(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 512;
	waves(law, 3, HKM_WAITS);
	level(law, MID, 0, 300);
	second(law);
	level(law, MID, 260, 300);
	law->window.class[MID].requests = 0;
	seconds(law, 100);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
}

static void cost_waits_four_times_as_long_at_most(struct kunit *test)
{
	struct law *law = test->priv;
	struct hkm_class_state *s = &law->state.class[MID];
	unsigned int shift, hold = law->params.hold_ms / 1000;

	for (shift = 1; shift <= 2; shift++) {
		begin_with(law, 64);
		level(law, MID, 140, 156);
		seconds(law, hold);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 16U + 32);
		s->hold_shift = shift;
		churn(law, MID, 0, 40);
		churn(law, MID, 40, 0);
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason,
				HKM_REASON_RESTORE);
		KUNIT_EXPECT_EQ(test, s->hold_shift, 2);
	}
	/* As long again each time that all is well. */
	law->window.class[MID].cap = 512;
	level(law, MID, 480, 500);
	seconds(law, 4 * hold + 12);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 20U + 32);
	KUNIT_EXPECT_EQ(test, s->hold_shift, 1);
	law->window.class[MID].cap = 512;
	seconds(law, 3);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 20U + 32);
	KUNIT_EXPECT_EQ(test, s->hold_shift, 1);
}

/* A shrink before that time is over does not tell that all is well. */
static void cost_waits_as_long_for_some_time(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.class[MID].cap = 512;
	waves(law, 3, HKM_WAITS);
	level(law, MID, 0, 300);
	second(law);
	level(law, MID, 260, 300);
	seconds(law, 6);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 40U + 32);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_RESTORE);
	waves(law, 3, HKM_WAITS);
	level(law, MID, 0, 300);
	second(law);
	level(law, MID, 260, 300);
	seconds(law, 12);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 40U + 32);
	KUNIT_EXPECT_EQ(test, law->state.class[MID].hold_shift, 1);
}

/* Nor is growth a restore, or the wait longer, if somebody else has set CAP since. */
static void growth_is_a_restore_only_after_a_shrink(struct kunit *test)
{
	struct law *law = test->priv;

	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
	KUNIT_EXPECT_EQ(test, law->state.class[MID].hold_shift, 0);

	begin_with(law, 64);
	level(law, MID, 140, 156);
	seconds(law, law->params.hold_ms / 1000);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 16U + 32);
	law->window.class[MID].cap = 60;
	swing(law, MID, 16);
	churn(law, MID, 0, 40);
	churn(law, MID, 40, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
	KUNIT_EXPECT_EQ(test, law->state.class[MID].hold_shift, 0);
}

/* Chunks that go and come although CAP has grown: it is not CAP's doing. */
static void cost_rolls_growth_back(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s, grown = 0, rolled = 0;
	u32 before = 0;

	law->params.cap_max = 256;
	for (s = 0; s < 60; s++) {
		churn(law, MID, 50 + s, 50 + s);
		if (law->actions.class[MID].reason == HKM_REASON_GROW && !grown++)
			before = law->actions.class[MID].after;
		if (law->actions.class[MID].reason != HKM_REASON_ROLLBACK)
			continue;
		rolled++;
		/* Of several changes, the first. */
		KUNIT_EXPECT_EQ(test, law->actions.class[MID].before, before);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
		KUNIT_EXPECT_GT(test, law->actions.class[MID].after,
				before - before / 16);
	}
	KUNIT_EXPECT_GE(test, grown, 2U);
	KUNIT_EXPECT_EQ(test, rolled, 1U);
	/* And then less and less often. */
	for (s = 0; s < 600; s++) {
		churn(law, MID, 50, 50);
		rolled += law->actions.class[MID].reason == HKM_REASON_ROLLBACK;
	}
	KUNIT_EXPECT_LE(test, rolled, 5U);
}

/* Seconds of chunks that go and come, until something is decided. */
static unsigned int churn_until(struct law *law, enum hkm_reason reason)
{
	unsigned int s = 0;

	do
		churn(law, MID, 50, 50);
	while (law->actions.class[MID].reason != reason && ++s < 1000);
	return s + 1;
}

/* It is judged 5 s after it ended, and then does without, longer each time. */
static void cost_tries_growth_less_often_in_vain(struct kunit *test)
{
	static const unsigned int quiet[] = { 60, 120, 240, 480, 480 };
	struct law *law = test->priv;
	unsigned int i;

	law->params.cap_max = 120;
	churn(law, MID, 0, 50);
	churn_until(law, HKM_REASON_GROW);
	for (i = 0; i < ARRAY_SIZE(quiet); i++) {
		KUNIT_EXPECT_EQ(test, cap(law, MID), 120U);
		KUNIT_EXPECT_EQ(test, churn_until(law, HKM_REASON_ROLLBACK), 5U);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
		KUNIT_EXPECT_EQ(test, churn_until(law, HKM_REASON_GROW), quiet[i]);
	}
	/* But not once it has paid. */
	for (i = 0; i < 6; i++)
		churn(law, MID, 0, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 120U);
	law->window.class[MID].cap = 64;
	churn_until(law, HKM_REASON_GROW);
	KUNIT_EXPECT_EQ(test, churn_until(law, HKM_REASON_ROLLBACK), 5U);
	KUNIT_EXPECT_EQ(test, churn_until(law, HKM_REASON_GROW), quiet[0]);
}

/* Of what was lost, 1/32. */
static void cost_asks_growth_for_little(struct kunit *test)
{
	static const u32 lost[] = { 24, 25 };	/* chunks, of 25.4 before */
	struct law *law = test->priv;
	const struct hkm_decision *d = &law->actions.class[MID];
	unsigned int i, s;

	law->params.cap_max = 120;
	for (i = 0; i < ARRAY_SIZE(lost); i++) {
		begin_with(law, 64);
		churn(law, MID, 0, 50);
		churn(law, MID, 50, 50);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 120U);
		for (s = 0; s < 5; s++)
			churn(law, MID, lost[i], lost[i]);
		if (!i) {
			KUNIT_EXPECT_EQ(test, cap(law, MID), 120U);
			continue;
		}
		KUNIT_EXPECT_EQ(test, d->reason, HKM_REASON_ROLLBACK);
		KUNIT_EXPECT_EQ(test, d->before, 50 * 3500 * 1000U / (2 * BUSY - BUSY / 32));
		KUNIT_EXPECT_EQ(test, d->after, 25 * 3500 * 1000U / BUSY);
	}
}

/* What was lost before the latest growth is no sign that it was in vain. */
static void cost_judges_growth_by_what_follows(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	churn(law, MID, 0, 50);
	churn(law, MID, 50, 0);
	churn(law, MID, 0, 400);
	churn(law, MID, 400, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
	for (s = 0; s < 10; s++)
		churn(law, MID, 0, 0);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 512U);
}

/* It was not for what is regretted, which so is no sign that it was in vain. */
static void cost_judges_no_growth_to_the_swing(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	law->params.cap_max = 300 + 37 + 1;
	swing(law, MID, 300);
	law->window.class[MID].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 300U + 37 + 1);
	law->window.class[MID].reuses = 0;
	for (s = 0; s < 20; s++) {
		churn(law, MID, 50, 50);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
}

static void rollback_heeds_budget_and_range(struct kunit *test)
{
	struct law *law = test->priv;

	law->params.cap_max = 120;
	churn(law, MID, 0, 50);
	churn_until(law, HKM_REASON_GROW);
	law->params.cap_min = 80;
	KUNIT_EXPECT_EQ(test, churn_until(law, HKM_REASON_ROLLBACK), 5U);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 80U);

	law_reset(law);
	law->params.cap_max = 120;
	churn(law, MID, 0, 50);
	churn_until(law, HKM_REASON_GROW);
	/* To 32 and 20 each, exactly. */
	law->params.global_budget_chunks = 32 + 20 * (HKM_NR_CLASSES - 1);
	churn_until(law, HKM_REASON_BUDGET);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 32U);
	seconds(law, 10);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 32U);
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
	/* If it was wrong to take that, it is a restore. */
	law->params.global_budget_chunks *= 2;
	churn(law, LARGE, 0, 50);
	churn(law, LARGE, 50, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[LARGE].reason, HKM_REASON_RESTORE);
}

/* A budget that is used up: by one class that may give, and by the one that is to grow. */
static void budget_of_two(struct law *law, u32 giver)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		law->window.class[id].cap = law->params.cap_min;
		law->window.class[id].requests = 0;
		law->window.class[id].refills = 0;
	}
	law->window.class[MID].cap = 64;
	law->window.class[OTHER].cap = giver;
	law->params.global_budget_chunks = cap_sum(law);
	hkm_decide_init(&law->state, law->window.now_ms);
}

/* To one that wants 56 chunks and has lost 175000 instructions. */
static void cost_gives_what_can_be_spared(struct kunit *test)
{
	static const struct {
		u32 cap;
		u32 swing;
		unsigned int age;	/* seconds, before the two that it takes */
		u32 gift;
		u32 lost;
		bool shrunk;
		u8 hold_shift;
	} table[] = {
		/* A quarter, if it was not changed just now. */
		{ 100, 200, 0, 0 },
		{ 100, 200, 1, 25 },
		{ 9, 200, 1, 1 },
		/* Nor if it has lost half as much. */
		{ 100, 200, 1, 25, 80000 },
		{ 100, 200, 1, 0, 100000 },
		/* For longer if it has given before, or regretted that. */
		{ 100, 200, 17, 0, 0, true },
		{ 100, 200, 18, 25, 0, true },
		{ 100, 200, 17, 0, 0, false, 1 },
		{ 100, 200, 38, 25, 0, false, 1 },
		/* All but what its swing needs, if that is known; and no more than is wanted. */
		{ 60, 20, 22, 60 - 23 },
		{ 300, 20, 22, 56 },
		{ 60, 20, 10, 15 },
	};
	struct law *law = test->priv;
	struct hkm_class_state *s = &law->state.class[OTHER];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		budget_of_two(law, table[i].cap);
		swing(law, OTHER, table[i].swing);
		seconds(law, table[i].age);
		s->lost = table[i].lost;
		s->shrunk = table[i].shrunk;
		s->hold_shift = table[i].hold_shift;
		churn(law, MID, 0, 50);
		churn(law, MID, 50, 0);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, OTHER), table[i].cap - table[i].gift,
				    "row %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cap(law, MID), 64 + table[i].gift, "row %u", i);
	}
}

/* Where nothing can be spared there is no growth that could be in vain. */
static void cost_grows_once_there_is_budget(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	budget_of_two(law, law->params.cap_min);
	for (s = 0; s < 20; s++)
		churn(law, MID, 50, 50);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	law->params.global_budget_chunks += 100;
	churn(law, MID, 50, 50);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
}

/* All that want to, and where the budget is short those first that want most. */
static void cost_lets_several_grow(struct kunit *test)
{
	struct law *law = test->priv;

	for (;;) {
		law->window.class[OTHER].requests = BUSY;
		law->window.class[OTHER].refills = 0;
		law->window.class[OTHER].releases = 100;
		churn(law, MID, 0, 50);
		law->window.class[OTHER].refills = 100;
		law->window.class[OTHER].releases = 0;
		churn(law, MID, 50, 0);
		if (law->params.global_budget_chunks < 2048)
			break;
		KUNIT_EXPECT_EQ(test, cap(law, OTHER), 64U + 112);
		KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
		budget_of_two(law, 64);
		law->params.global_budget_chunks += 100;
	}
	KUNIT_EXPECT_EQ(test, cap(law, OTHER), 64U + 100);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
}

/* Whatever the time was when it began. */
static void cost_takes_no_new_class_for_idle(struct kunit *test)
{
	struct law *law = test->priv;

	law->window.now_ms = 100000;
	hkm_decide_init(&law->state, law->window.now_ms);
	law->params.global_budget_chunks = 64 * HKM_NR_CLASSES;
	churn(law, MID, 0, 50);
	churn(law, MID, 50, 0);
	KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
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
			law->window.class[id].held = 114;
			law->window.class[id].used_high = 114;
		}
		second(law);
		KUNIT_EXPECT_EQ(test, law->actions.nr_changes, 0U);
	}
}

static void operator_has_the_last_word(struct kunit *test)
{
	struct law *law = test->priv;
	unsigned int s;

	churn(law, MID, 0, 50);
	churn(law, MID, 50, 50);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U + 56);
	/* Written by somebody else, and so nothing to roll back from. */
	law->window.class[MID].cap = 90;
	swing(law, MID, 89);
	for (s = 0; s < 20; s++) {
		churn(law, MID, 50, 50);
		KUNIT_EXPECT_GE(test, cap(law, MID), 90U);
	}
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
			w->held = w->pops;
			w->used_low = w->reuses;
			w->used_high = w->refills;
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
	/* Of a span of four chunks, seven quarters. */
	law->window.class[LARGE].span_chunks = 4;
	churn(law, LARGE, 0, 8);
	churn(law, LARGE, 8, 0);
	KUNIT_EXPECT_EQ(test, law->actions.class[LARGE].after,
			8 * (2000 + 1500) / 4 * 7 * 1000U / (BUSY - BUSY / 32 + BUSY));
}

/* Chunks that only went through the inventory, for want of room for the swing. */
static void cost_grows_to_the_swing(struct kunit *test)
{
	struct law *law = test->priv;

	swing(law, MID, 300);
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	law->window.class[MID].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 300U + 37 + 1);
	KUNIT_EXPECT_EQ(test, law->actions.class[MID].reason, HKM_REASON_GROW);
	/* Some of which is not held any more. */
	begin_with(law, 64);
	swing(law, MID, 150);
	law->window.class[MID].releases = 86;
	law->window.class[MID].held -= 86;
	law->window.class[MID].reuses = 0;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 64U);
	law->window.class[MID].releases = 0;
	law->window.class[MID].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, MID), 150U + 18 + 1);
	/* There is room for a span more. */
	hkm_decide_init(&law->state, law->window.now_ms);
	law->window.class[LARGE].span_chunks = 4;
	swing(law, LARGE, 300);
	law->window.class[LARGE].reuses = 64;
	second(law);
	KUNIT_EXPECT_EQ(test, cap(law, LARGE), 300U + 37 + 4);
}

/* By whichever is more. */
static void cost_grows_to_the_swing_or_by_regret(struct kunit *test)
{
	static const struct {
		u32 swing;
		u32 regret;
		u32 cap;
	} table[] = {
		{ 70, 100, 64 + 112 }, { 300, 50, 300 + 37 + 1 },
	};
	struct law *law = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		begin_with(law, 64);
		swing(law, MID, table[i].swing);
		churn(law, MID, 0, table[i].regret);
		churn(law, MID, table[i].regret, 0);
		KUNIT_EXPECT_EQ(test, cap(law, MID), table[i].cap);
	}
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
	p = good;
	p.hold_ms = HKM_SLICES;
	KUNIT_EXPECT_TRUE(test, hkm_decide_params_valid(&p));
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
	KUNIT_CASE(cost_grows_to_the_swing_or_by_regret),
	KUNIT_CASE(cost_grows_or_shrinks),
	KUNIT_CASE(cost_regrets_the_latest_first),
	KUNIT_CASE(cost_goes_on_after_a_gap),
	KUNIT_CASE(cost_counts_chunks_of_spans),
	KUNIT_CASE(cost_does_not_grow_with_load),
	KUNIT_CASE(cost_forgets_what_went_long_ago),
	KUNIT_CASE(cost_regrets_only_what_cap_would_save),
	KUNIT_CASE(cost_ignores_small_change),
	KUNIT_CASE(cost_weighs_what_is_regretted),
	KUNIT_CASE(cost_skips_windows_with_few_samples),
	KUNIT_CASE(cost_shrinks_to_the_swing),
	KUNIT_CASE(cost_shrinks_under_a_trickle),
	KUNIT_CASE(cost_shrinks_what_was_never_judged),
	KUNIT_CASE(cost_keeps_growth_until_it_is_judged),
	KUNIT_CASE(cost_judges_growth_by_large_requests),
	KUNIT_CASE(cost_heeds_dwell_when_it_shrinks),
	KUNIT_CASE(cost_keeps_what_is_used),
	KUNIT_CASE(cost_gives_up_sooner_what_was_used_often),
	KUNIT_CASE(cost_knows_waits_that_it_gave_up_in),
	KUNIT_CASE(cost_takes_releases_for_no_swing),
	KUNIT_CASE(cost_is_monotonous),
	KUNIT_CASE(cost_restores_and_then_waits_longer),
	KUNIT_CASE(cost_shrinks_no_idle_class),
	KUNIT_CASE(cost_waits_four_times_as_long_at_most),
	KUNIT_CASE(cost_waits_as_long_for_some_time),
	KUNIT_CASE(growth_is_a_restore_only_after_a_shrink),
	KUNIT_CASE(cost_rolls_growth_back),
	KUNIT_CASE(cost_tries_growth_less_often_in_vain),
	KUNIT_CASE(cost_asks_growth_for_little),
	KUNIT_CASE(cost_judges_growth_by_what_follows),
	KUNIT_CASE(cost_judges_no_growth_to_the_swing),
	KUNIT_CASE(rollback_heeds_budget_and_range),
	KUNIT_CASE(cost_keeps_growth_that_pays),
	KUNIT_CASE(cost_moves_budget_to_where_it_pays),
	KUNIT_CASE(cost_gives_what_can_be_spared),
	KUNIT_CASE(cost_grows_once_there_is_budget),
	KUNIT_CASE(cost_lets_several_grow),
	KUNIT_CASE(cost_takes_no_new_class_for_idle),
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
