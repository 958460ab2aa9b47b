// SPDX-License-Identifier: GPL-2.0
/*
 * The learner's law for W_MAX.
 *
 * A request whose own class has nothing in stock may get a block of the next larger
 * class, if that is no larger than W_MAX percent of what was asked for. That saves
 * a refill, now; the larger block is missing where it was meant for, and some of it
 * is of no use as long as it is held. Which is more depends on the sizes asked for
 * and on what lies in stock at that moment, and nobody knows it beforehand: so
 * it is tried.
 *
 * Price. What a W_MAX costs is counted in instructions off the hot path, for
 * each request to a class that may substitute or be substituted:
 *	batches from the shared tier, spans from the inventory and from the page
 *	allocator, at the prices that the CAPs are decided by; in both classes, so
 *	that a block which is missing later is paid for;
 *	a request handed to kmalloc(), as a chunk that comes and goes;
 *	a substitute, as two looks at the shared tier, and what it wastes: what its
 *	own class would not have taken, at the price of a refill of as many bytes.
 *	This follows from the sizes of both classes: nothing more need be counted.
 * For each request, not for each slow one: a refill makes many later requests cheap,
 * a substitute none, so that more of them are slow. Releases are
 * left out: what was taken goes back once, whatever W_MAX.
 *
 * Reward of a trial: b / (b + c), where c is its price and b the price when the
 * round began. It is 1/2 if nothing changes, goes from 0 to 1, and is the same for
 * a load that is ten times as dear.
 *
 * Round
 *	Watch: is enough missed that might be substituted? Else nothing is tried.
 *	Explore: HKM_WMAX_TRIALS trials, of the candidate that UCB1 picks (Auer,
 *	Cesa-Bianchi, Fischer: "Finite-time analysis of the multiarmed bandit
 *	problem", 2002): the one with the highest mean + sqrt(2 ln n / n_i).
 *	Canary: beside what is in force, the best candidate, or the runner-up if it is
 *	the best that is in force. What costs 1/100 less is adopted, and then the
 *	next best gets a canary, until one is rolled back.
 *	Rest: longer each time that a round has changed nothing, shorter if the price
 *	doubles or halves.
 *
 * Canary on half of the CPUs: first those of odd numbers, then the others have the
 * candidate. With C the price with it, B the price without, and 1, 2 the halves of
 * the time, (C1 * C2) / (B1 * B2) is the square of what the candidate does,
 * whatever the load does meanwhile, and however the CPUs differ: C1 and B1 have the
 * same time, C1 and B2 the same CPUs. What one half of the CPUs takes from the
 * shared tier may be missing on the other, though: the trials, on all CPUs,
 * are what tells of that. Where only one half of the CPUs is busy, the candidate is
 * in force on all, and then what it is to replace.
 *
 * All time is counted in windows with requests. A trial in which too little was
 * missed tells nothing: it is forgotten, and the round ends. Where a class changes its
 * size, all begins anew.
 */
#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "wmax.h"
#include "../include/hkm_compat.h"

/* Counts are cut to this, and sums, so that no product overflows. */
#define COUNT_MAX	BIT_ULL(28)
#define SUM_MAX		BIT_ULL(53)
/* A trial or canary that nobody asks anything in is given up. */
#define IDLE_MAX	60
#define REST_SHIFT_MAX	3

const u32 hkm_wmax_pct[HKM_WMAX_ARMS] = { 140, 150, 160, 170 };
EXPORT_SYMBOL_IF_KUNIT(hkm_wmax_pct);

static u64 count(u64 n)
{
	return min_t(u64, n, COUNT_MAX);
}

static void sum_add(u64 *sum, u64 n)
{
	*sum = min_t(u64, *sum + n, SUM_MAX);
}

/* Whether the next class can serve requests of a class, at @pct percent. */
static bool in_reach(const struct hkm_wmax_window *window, unsigned int id, u32 pct)
{
	const struct hkm_wmax_class *cl = &window->class[id];

	return cl->next < HKM_NR_CLASSES &&
	       window->class[cl->next].size_bytes <= cl->size_bytes * pct / 100;
}

/* As the CAPs' law has it: three quarters are for the call, the rest by size. */
static u64 refill_cost(const struct hkm_wmax_class *cl,
		       const struct hkm_decide_params *p)
{
	return (u64)p->cost_refill * (3 + cl->span_chunks) / 4;
}

static void class_sum(struct hkm_wmax_sum *sum, const struct hkm_wmax_class *cl,
		      const struct hkm_wmax_counts *n,
		      const struct hkm_decide_params *p)
{
	sum_add(&sum->requests, count(n->requests));
	sum_add(&sum->cost, count(n->pops) * p->cost_pop +
			    count(n->reuses) * p->cost_reuse +
			    count(n->refills) * refill_cost(cl, p) +
			    count(n->fallbacks) * (p->cost_refill + p->cost_release));
}

/* What comes of class @next being there for requests of @cl. */
static void pair_sum(struct hkm_wmax_sum *sum, const struct hkm_wmax_class *cl,
		     const struct hkm_wmax_class *next, unsigned int half,
		     const struct hkm_decide_params *p)
{
	const struct hkm_wmax_counts *n = &cl->half[half];
	u64 substitutes = count(next->half[half].substitutes);
	u32 more_bytes = next->size_bytes - cl->size_bytes;
	u64 waste_cost = (u64)more_bytes * p->cost_refill / HKM_CHUNK_BYTES;

	sum_add(&sum->substitutes, substitutes);
	sum_add(&sum->cost, substitutes * (2 * p->cost_pop + waste_cost));
	sum_add(&sum->missed_bytes, substitutes * next->size_bytes);
	if (next->held)
		sum_add(&sum->missed_bytes,
			(count(n->reuses) + count(n->refills)) *
			cl->span_chunks * HKM_CHUNK_BYTES +
			count(n->fallbacks) * cl->size_bytes);
}

/* Sums over the classes that any W_MAX up to @pct percent concerns. */
static void window_sum(struct hkm_wmax_sum sum[2],
		       const struct hkm_wmax_window *window, u32 pct,
		       const struct hkm_decide_params *p)
{
	unsigned long concerned = 0;
	unsigned int id, half;

	memset(sum, 0, 2 * sizeof(*sum));

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		const struct hkm_wmax_class *cl = &window->class[id];

		if (!in_reach(window, id, pct))
			continue;
		concerned |= BIT(id) | BIT(cl->next);
		for (half = 0; half < 2; half++)
			pair_sum(&sum[half], cl, &window->class[cl->next], half, p);
	}
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		const struct hkm_wmax_class *cl = &window->class[id];

		if (!(concerned & BIT(id)))
			continue;
		for (half = 0; half < 2; half++)
			class_sum(&sum[half], cl, &cl->half[half], p);
	}
}

static void sum_merge(struct hkm_wmax_sum *sum, const struct hkm_wmax_sum *more)
{
	sum_add(&sum->requests, more->requests);
	sum_add(&sum->cost, more->cost);
	sum_add(&sum->missed_bytes, more->missed_bytes);
	sum_add(&sum->substitutes, more->substitutes);
}

static struct hkm_wmax_sum both(const struct hkm_wmax_sum sum[2])
{
	struct hkm_wmax_sum all = sum[0];

	sum_merge(&all, &sum[1]);
	return all;
}

static u32 per_1000(const struct hkm_wmax_sum *sum)
{
	if (!sum->requests)
		return 0;
	return min_t(u64, sum->cost * 1000 / sum->requests, U32_MAX);
}

static bool is_enough(const struct hkm_wmax_sum *sum, u32 chunks)
{
	return sum->missed_bytes >= (u64)chunks * HKM_CHUNK_BYTES;
}

/* UCB1 */

/* 2 ln n, by n - 1. */
static const u32 two_ln[HKM_WMAX_TRIALS] = {
	0, 90852, 143997, 181704, 210952, 234849, 255054, 272557,
};

static u32 arm_mean(const struct hkm_wmax_arm *arm)
{
	return arm->trials ? arm->reward / arm->trials : 0;
}

/**
 * hkm_wmax_pick() - choose what to try next
 * @arm: the HKM_WMAX_ARMS candidates, with at most HKM_WMAX_TRIALS trials in all
 *
 * Context: Any.
 * Return: index of one that was not tried yet, or else of the one with the highest
 * upper confidence bound; of equals, the first.
 */
unsigned int hkm_wmax_pick(const struct hkm_wmax_arm *arm)
{
	unsigned int best = 0, n = 0, i;
	u32 best_bound = 0;

	for (i = 0; i < HKM_WMAX_ARMS; i++) {
		if (!arm[i].trials)
			return i;
		n += arm[i].trials;
	}
	n = min(n, HKM_WMAX_TRIALS);
	for (i = 0; i < HKM_WMAX_ARMS; i++) {
		u64 square = (u64)two_ln[n - 1] * HKM_WMAX_ONE / arm[i].trials;
		u32 bound = arm_mean(&arm[i]) + int_sqrt64(square);

		if (bound > best_bound) {
			best_bound = bound;
			best = i;
		}
	}
	return best;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_wmax_pick);

static u32 reward(u32 before, u32 cost)
{
	if (!before && !cost)
		return HKM_WMAX_ONE / 2;
	return (u64)before * HKM_WMAX_ONE / ((u64)before + cost);
}

/* What the law does */

static void set_all(struct hkm_wmax_state *s, u32 pct)
{
	s->w_max[0] = pct;
	s->w_max[1] = pct;
}

/* Begins to measure anew. */
static void phase_begin(struct hkm_wmax_state *s, enum hkm_wmax_phase phase)
{
	s->phase = phase;
	s->windows = 0;
	s->idle = 0;
	memset(s->sum, 0, sizeof(s->sum));
}

static void decided(struct hkm_wmax_decision *d, enum hkm_reason reason,
		    u32 pct_old, u32 pct_new, u32 before, u32 after)
{
	*d = (struct hkm_wmax_decision){
		.reason = reason,
		.pct_old = pct_old,
		.pct_new = pct_new,
		.before = before,
		.after = after,
	};
}

static void rest(struct hkm_wmax_state *s, u32 windows)
{
	s->rest = windows;
	s->rest_cost = 0;
	phase_begin(s, HKM_WMAX_AT_REST);
}

/* After a round that was gone through. */
static void rest_long(struct hkm_wmax_state *s)
{
	if (s->changed)
		s->rest_shift = 0;
	rest(s, HKM_WMAX_REST << s->rest_shift);
	s->rest_shift = min(s->rest_shift + 1, REST_SHIFT_MAX);
}

/* Puts back what was in force, with what is known of that and of what is tried. */
static void roll_back(struct hkm_wmax_state *s, struct hkm_wmax_decision *d,
		      u32 before, u32 after)
{
	decided(d, HKM_REASON_ROLLBACK, hkm_wmax_pct[s->trying], s->in_force,
		before, after);
	set_all(s, s->in_force);
}

/* Too little happens to tell anything. */
static void give_up(struct hkm_wmax_state *s, struct hkm_wmax_decision *d)
{
	roll_back(s, d, s->begin_cost, 0);
	rest(s, HKM_WMAX_LOOK);
}

static void trial_begin(struct hkm_wmax_state *s, struct hkm_wmax_decision *d)
{
	u32 pct_old = s->w_max[0];

	s->trying = hkm_wmax_pick(s->arm);
	set_all(s, hkm_wmax_pct[s->trying]);
	phase_begin(s, HKM_WMAX_EXPLORE);
	decided(d, HKM_REASON_EXPLORE, pct_old, s->w_max[0], s->begin_cost,
		s->last_cost);
}

static void canary_set(struct hkm_wmax_state *s, bool second)
{
	u32 pct = hkm_wmax_pct[s->trying];

	s->second = second;
	if (s->split) {
		s->w_max[second] = s->in_force;
		s->w_max[!second] = pct;
	} else {
		set_all(s, second ? s->in_force : pct);
	}
	phase_begin(s, HKM_WMAX_BESIDE);
}

/* The best candidate that is not in force, and has not had its canary. */
static bool canary_pick(struct hkm_wmax_state *s)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < HKM_WMAX_ARMS; i++) {
		if (hkm_wmax_pct[i] == s->in_force || s->tried & BIT(i))
			continue;
		if (!found || arm_mean(&s->arm[i]) > arm_mean(&s->arm[s->trying]))
			s->trying = i;
		found = true;
	}
	return found;
}

static void canary_begin(struct hkm_wmax_state *s, struct hkm_wmax_decision *d)
{
	if (!canary_pick(s)) {
		rest_long(s);
		return;
	}
	s->tried |= BIT(s->trying);
	s->enough = true;
	canary_set(s, false);
	decided(d, HKM_REASON_CANARY, s->in_force, hkm_wmax_pct[s->trying],
		s->begin_cost, s->last_cost);
}

static void watch(struct hkm_wmax_state *s, const struct hkm_decide_params *p,
		  struct hkm_wmax_decision *d)
{
	struct hkm_wmax_sum all = both(s->sum);

	if (s->windows < HKM_WMAX_TRIAL)
		return;
	if (!is_enough(&all, p->min_samples)) {
		phase_begin(s, HKM_WMAX_WATCH);
		return;
	}
	memset(s->arm, 0, sizeof(s->arm));
	s->tried = 0;
	s->substituted = false;
	s->changed = false;
	s->begin_cost = per_1000(&all);
	s->last_cost = s->begin_cost;
	trial_begin(s, d);
}

static void explore(struct hkm_wmax_state *s, const struct hkm_decide_params *p,
		    struct hkm_wmax_decision *d)
{
	struct hkm_wmax_arm *arm = &s->arm[s->trying];
	struct hkm_wmax_sum all = both(s->sum);
	u32 trials = 0;
	unsigned int i;

	if (s->windows < HKM_WMAX_TRIAL)
		return;
	if (!is_enough(&all, p->min_samples)) {
		give_up(s, d);
		return;
	}
	s->last_cost = per_1000(&all);
	arm->trials++;
	arm->reward += reward(s->begin_cost, s->last_cost);
	if (all.substitutes)
		s->substituted = true;
	/* As much as it takes for a canary, of half the length, to tell. */
	s->split = is_enough(&s->sum[0], 2 * p->min_samples) &&
		   is_enough(&s->sum[1], 2 * p->min_samples);

	for (i = 0; i < HKM_WMAX_ARMS; i++)
		trials += s->arm[i].trials;
	if (trials < HKM_WMAX_TRIALS) {
		trial_begin(s, d);
	} else if (s->substituted) {
		canary_begin(s, d);
	} else {
		/* All the same: nothing of the next class is ever in stock. */
		roll_back(s, d, s->begin_cost, s->last_cost);
		rest_long(s);
	}
}

/* One half of the time is over: notes what it cost, with the candidate and without. */
static void canary_note(struct hkm_wmax_state *s, const struct hkm_decide_params *p)
{
	struct hkm_wmax_sum all = both(s->sum);
	unsigned int half;

	if (!s->split) {
		s->canary_cost[!s->second][0] = per_1000(&all);
		s->canary_cost[!s->second][1] = per_1000(&all);
		s->enough &= is_enough(&all, p->min_samples);
		return;
	}
	for (half = 0; half < 2; half++) {
		s->canary_cost[half != s->second][s->second] = per_1000(&s->sum[half]);
		s->enough &= is_enough(&s->sum[half], p->min_samples);
	}
}

static u32 geometric_mean(const u32 cost[2])
{
	return int_sqrt64((u64)cost[0] * cost[1]);
}

static void canary(struct hkm_wmax_state *s, const struct hkm_decide_params *p,
		   struct hkm_wmax_decision *d)
{
	u32 without, with;

	if (s->windows < HKM_WMAX_CANARY)
		return;
	canary_note(s, p);
	if (!s->second) {
		canary_set(s, true);
		return;
	}
	without = geometric_mean(s->canary_cost[false]);
	with = geometric_mean(s->canary_cost[true]);
	s->last_cost = with;
	if (s->enough && with < without && (u64)with * 100 <= (u64)without * 99) {
		decided(d, HKM_REASON_ADOPT, s->in_force, hkm_wmax_pct[s->trying],
			without, with);
		s->in_force = hkm_wmax_pct[s->trying];
		s->changed = true;
		set_all(s, s->in_force);
		phase_begin(s, HKM_WMAX_ADOPTED);
	} else {
		roll_back(s, d, without, with);
		rest_long(s);
	}
}

static void at_rest(struct hkm_wmax_state *s, const struct hkm_decide_params *p)
{
	struct hkm_wmax_sum all = both(s->sum);
	u32 cost = per_1000(&all);
	bool other;

	s->rest--;
	if (!s->rest) {
		phase_begin(s, HKM_WMAX_WATCH);
		return;
	}
	if (s->windows < HKM_WMAX_LOOK)
		return;
	phase_begin(s, HKM_WMAX_AT_REST);
	if (!is_enough(&all, p->min_samples))
		return;
	other = s->rest_cost && (cost / 2 > s->rest_cost || cost < s->rest_cost / 2);
	s->rest_cost = s->rest_cost ?: max(cost, 1U);
	if (other) {
		s->rest_shift = 0;
		phase_begin(s, HKM_WMAX_WATCH);
	}
}

static bool is_trying(const struct hkm_wmax_state *s)
{
	return s->phase == HKM_WMAX_EXPLORE || s->phase == HKM_WMAX_BESIDE;
}

/* Nobody asks for anything: no time passes, but for what is only tried. */
static void idle(struct hkm_wmax_state *s, struct hkm_wmax_decision *d)
{
	if (is_trying(s) && ++s->idle >= IDLE_MAX)
		give_up(s, d);
}

/* With other classes, nothing is as it was. */
static void begin_anew(struct hkm_wmax_state *s, struct hkm_wmax_decision *d)
{
	if (is_trying(s))
		roll_back(s, d, s->begin_cost, 0);
	s->rest_shift = 0;
	phase_begin(s, HKM_WMAX_WATCH);
}

/**
 * hkm_wmax_decide() - what W_MAX is to be after a window
 * @window: the window, which began where the last one ended
 * @params: prices, and how many chunks' worth of memory must be missed for a
 *	measurement to tell anything (@min_samples)
 * @state: the law's; all zero at first. @w_max in it is what is to be in force
 * @decision: filled in
 *
 * Context: Any.
 */
void hkm_wmax_decide(const struct hkm_wmax_window *window,
		     const struct hkm_decide_params *params,
		     struct hkm_wmax_state *state,
		     struct hkm_wmax_decision *decision)
{
	struct hkm_wmax_sum now[2];

	decided(decision, HKM_REASON_NONE, 0, 0, 0, 0);
	if (window->epoch != state->epoch) {
		/* Part of this window was before that. */
		memset(state, 0, sizeof(*state));
		state->epoch = window->epoch;
		state->in_force = window->w_max;
		set_all(state, window->w_max);
		return;
	}
	if (window->relaid) {
		begin_anew(state, decision);
		return;
	}
	window_sum(now, window, max(state->in_force, hkm_wmax_pct[HKM_WMAX_ARMS - 1]),
		   params);
	if (!now[0].requests && !now[1].requests) {
		idle(state, decision);
		return;
	}
	sum_merge(&state->sum[0], &now[0]);
	sum_merge(&state->sum[1], &now[1]);
	state->windows++;
	state->idle = 0;
	switch (state->phase) {
	case HKM_WMAX_WATCH:
		watch(state, params, decision);
		break;
	case HKM_WMAX_EXPLORE:
		explore(state, params, decision);
		break;
	case HKM_WMAX_BESIDE:
		canary(state, params, decision);
		break;
	case HKM_WMAX_ADOPTED:
		canary_begin(state, decision);
		break;
	case HKM_WMAX_AT_REST:
		at_rest(state, params);
		break;
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_wmax_decide);
