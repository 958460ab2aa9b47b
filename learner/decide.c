// SPDX-License-Identifier: GPL-2.0
/*
 * The learner's laws.
 *
 * CAP bounds the free chunks that a class keeps when its load falls. So it decides
 * how many of them go to the page allocator only to be fetched again when the load
 * rises, and nothing else: what rings, active pages and the shared tier serve
 * meanwhile is the same for any CAP.
 *
 * Step law: of the times that the front end was restocked, the share that was not
 * the page allocator's is the hit rate; CAP goes up or down by a fixed step where
 * that leaves a band.
 *
 * Cost law
 *	Swing: the most chunks in use less the fewest, over hold_ms, is what the load
 *	swings by, the working set of what is kept. Fetching and giving back does
 *	not change what is in use, and so is no swing.
 *	Grow: chunks given back are remembered for hold_ms. A refill meanwhile would
 *	not have happened with a CAP as much higher: the class regrets it. It
 *	gets what it regrets and an eighth more, or room for its swing if that is
 *	more; also where trim only sorts the swing into the inventory and out again,
 *	at some cost; and nothing where it is small change beside its other costs.
 *	Shrink: what was free all through hold_ms is of no use. Where the latest
 *	times between uses are known, twice the longest replaces hold_ms. It is given
 *	up at once, except room for the swing. If growth comes next, that was a
 *	mistake: hold_ms is doubled, and how long it was unused is one of those times.
 *	Canary: growth after which as much is regretted as before, within canary_ms,
 *	is undone, and the class then does not grow for a while.
 *	Budget: for a class that grows, those that have most to give do: an idle one
 *	all, one that keeps more than its working set that, one that lost less a quarter.
 *
 * Numbers: counts are cut to COUNT_MAX, so that no product of them with costs of
 * up to HKM_COST_LIMIT overflows.
 */
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "decide.h"
#include "../include/hkm_compat.h"

#define COUNT_MAX	BIT_ULL(28)
#define BP		10000
#define NOT_KNOWN	U32_MAX
/* hold_ms is doubled so often at most. */
#define HOLD_SHIFT_MAX	2
/* Of a sum, 1/32 is forgotten with each window. */
#define FORGET_SHIFT	5
/* Regrets below 1/32 of a class's cost are not worth memory. */
#define WORTH_SHIFT	5
/* 2 MiB: so much more than the swing is kept, and no shrink frees less. */
#define LITTLE_CHUNKS	32U
/* Growth is watched until it ends, which is at so many times the CAP at the latest. */
#define CANARY_FACTOR	8
/* After a rollback, canary_ms times this without growth; doubled so often at most. */
#define QUIET_FACTOR	12
#define QUIET_SHIFT_MAX	3

const struct hkm_decide_params hkm_decide_defaults = {
	.controller		= HKM_CONTROLLER_COST,
	.target_mid_bp		= 6500,
	.target_large_bp	= 5500,
	.band_bp		= 300,
	.cap_step		= 8,
	.cap_min		= 8,
	.cap_max		= 512,
	.dwell_mid_ms		= 3000,
	.dwell_large_ms		= 5000,
	.global_budget_chunks	= 2048,
	.min_samples		= 16,
	.hold_ms		= 20000,
	.canary_ms		= 5000,
	.idle_ms		= 10000,
	.cost_pop		= 30,
	.cost_reuse		= 300,
	.cost_refill		= 2000,
	.cost_release		= 1500,
};
EXPORT_SYMBOL_IF_KUNIT(hkm_decide_defaults);

/**
 * hkm_reason_name() - say why something was changed
 * @reason: why
 *
 * Context: Any.
 * Return: one word.
 */
const char *hkm_reason_name(enum hkm_reason reason)
{
	static const char * const names[HKM_NR_REASONS] = {
		[HKM_REASON_NONE]		= "none",
		[HKM_REASON_CLAMP]		= "clamp",
		[HKM_REASON_BELOW_BAND]	= "below_band",
		[HKM_REASON_ABOVE_BAND]	= "above_band",
		[HKM_REASON_GROW]		= "grow",
		[HKM_REASON_RESTORE]	= "restore",
		[HKM_REASON_ROLLBACK]	= "rollback",
		[HKM_REASON_SHRINK]		= "shrink",
		[HKM_REASON_BUDGET]		= "budget",
		[HKM_REASON_EXPLORE]		= "explore",
		[HKM_REASON_CANARY]		= "canary",
		[HKM_REASON_ADOPT]		= "adopt",
		[HKM_REASON_LEARNED]		= "learned",
		[HKM_REASON_RETIRED]		= "retired",
	};

	return names[reason];
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reason_name);

/**
 * hkm_decide_params_valid() - tell whether the laws can work with parameters
 * @params: the parameters
 *
 * Context: Any.
 * Return: false if one is out of its range, or contradicts another.
 */
bool hkm_decide_params_valid(const struct hkm_decide_params *params)
{
	return params->controller < HKM_NR_CONTROLLERS &&
	       params->target_mid_bp <= BP && params->target_large_bp <= BP &&
	       params->band_bp <= BP &&
	       params->cap_step && params->cap_step <= HKM_CAP_LIMIT &&
	       params->cap_min && params->cap_min <= params->cap_max &&
	       params->cap_max <= HKM_CAP_LIMIT &&
	       params->global_budget_chunks / HKM_NR_CLASSES >= params->cap_min &&
	       params->min_samples &&
	       params->hold_ms >= HKM_SLICES && params->canary_ms &&
	       params->cost_pop <= HKM_COST_LIMIT &&
	       params->cost_reuse <= HKM_COST_LIMIT &&
	       params->cost_refill <= HKM_COST_LIMIT &&
	       params->cost_release <= HKM_COST_LIMIT;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_decide_params_valid);

static u64 count(u64 n)
{
	return min_t(u64, n, COUNT_MAX);
}

static u32 span_chunks(const struct hkm_window_class *w)
{
	return clamp_t(u32, w->span_chunks, 1, HKM_LARGE_MAX_BYTES / HKM_CHUNK_BYTES);
}

static u64 chunks(const struct hkm_window_class *w, u64 spans)
{
	return count(count(spans) * span_chunks(w));
}

static u32 dwell_ms(const struct hkm_decide_params *p, unsigned int id)
{
	return hkm_class_is_large(id) ? p->dwell_large_ms : p->dwell_mid_ms;
}

static u32 cap_clamp(const struct hkm_decide_params *p, s64 cap)
{
	return clamp_t(s64, cap, p->cap_min, p->cap_max);
}

static u32 caps_total(const struct hkm_decide_state *state)
{
	unsigned int id;
	u32 sum = 0;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		sum += state->class[id].cap;
	return sum;
}

/* Chunks that the budget has left for one class. */
static u32 budget_left(const struct hkm_decide_params *p,
		       const struct hkm_decide_state *state)
{
	u32 total = caps_total(state);

	return p->global_budget_chunks - min(total, p->global_budget_chunks);
}

/* Notes a new CAP. Several for one class in one window make one change. */
static void cap_set(struct hkm_decide_state *state, struct hkm_actions *a,
		    unsigned int id, u32 cap, enum hkm_reason reason)
{
	struct hkm_class_state *s = &state->class[id];
	struct hkm_decision *d = &a->class[id];

	if (cap == s->cap)
		return;
	s->cap = cap;
	s->changed_ms = state->now_ms;
	s->shrunk = reason == HKM_REASON_SHRINK || reason == HKM_REASON_BUDGET;
	s->gave_up_ms = s->used_ms;
	d->reason = reason;
	d->cap_new = cap;
}

/* What is so whatever the law: the CAP in force, and the range it may be in. */
static void class_begin(struct hkm_decide_state *state,
			const struct hkm_window *window,
			const struct hkm_decide_params *p,
			struct hkm_actions *a, unsigned int id)
{
	struct hkm_class_state *s = &state->class[id];
	struct hkm_decision *d = &a->class[id];
	u32 cap = min_t(u32, window->class[id].cap, HKM_CAP_LIMIT);

	/* Somebody else has set it: what was being watched is over. */
	if (cap != s->cap) {
		s->cap = cap;
		s->canary_cap = 0;
		s->shrunk = false;
	}
	d->reason = HKM_REASON_NONE;
	d->cap_old = cap;
	d->cap_new = cap;
	d->before = s->figure;
	d->after = s->figure;
	cap_set(state, a, id, cap_clamp(p, cap), HKM_REASON_CLAMP);
}

/*
 * Lowers all CAPs by the same share of what is above cap_min, to fit the budget.
 * False if they do.
 */
static bool budget_enforce(struct hkm_decide_state *state,
			   const struct hkm_decide_params *p,
			   struct hkm_actions *a)
{
	u32 least = p->cap_min * HKM_NR_CLASSES, total = caps_total(state);
	unsigned int id;

	if (total <= p->global_budget_chunks)
		return false;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		u64 above = state->class[id].cap - p->cap_min;

		above = above * (p->global_budget_chunks - least) / (total - least);
		cap_set(state, a, id, p->cap_min + above, HKM_REASON_BUDGET);
	}
	return true;
}

/* The step law */

static void step_class(struct hkm_decide_state *state,
		       const struct hkm_window *window,
		       const struct hkm_decide_params *p,
		       struct hkm_actions *a, unsigned int id)
{
	const struct hkm_window_class *w = &window->class[id];
	struct hkm_class_state *s = &state->class[id];
	u32 target = hkm_class_is_large(id) ? p->target_large_bp : p->target_mid_bp;
	u64 hits = count(w->pops) + count(w->reuses);
	u64 all = hits + count(w->refills);
	s64 up = min(p->cap_step, budget_left(p, state));
	u32 rate;

	if (!all)
		return;
	rate = hits * BP / all;
	a->class[id].after = rate;
	if (state->now_ms - s->changed_ms < dwell_ms(p, id))
		return;
	if (rate + p->band_bp < target)
		cap_set(state, a, id, cap_clamp(p, s->cap + up),
			HKM_REASON_BELOW_BAND);
	else if (rate > target + p->band_bp)
		cap_set(state, a, id, cap_clamp(p, (s64)s->cap - p->cap_step),
			HKM_REASON_ABOVE_BAND);
}

/* The cost law */

/* Of one span: three quarters are for the call, the rest by its size. */
static u64 span_cost(const struct hkm_window_class *w, u64 chunk_cost)
{
	return chunk_cost * (3 + span_chunks(w)) / 4;
}

static u64 window_cost(const struct hkm_window_class *w,
		       const struct hkm_decide_params *p)
{
	return count(w->pops) * p->cost_pop +
	       count(w->reuses) * p->cost_reuse +
	       count(w->refills) * span_cost(w, p->cost_refill) +
	       count(w->releases) * span_cost(w, p->cost_release);
}

static u32 per_1000(u64 cost, u64 requests)
{
	if (!requests)
		return 0;
	return min_t(u64, cost / requests * 1000 + cost % requests * 1000 / requests,
		     U32_MAX);
}

static void sum_add(u64 *sum, u64 n)
{
	*sum += n - (*sum >> FORGET_SHIFT);
}

/* What 1000 requests of a class lost lately for want of CAP. */
static u32 class_lost(const struct hkm_class_state *s)
{
	return per_1000(s->lost, s->requests);
}

static void level_forget(u32 *low, u32 *high)
{
	*low = NOT_KNOWN;
	*high = 0;
}

static void level_note(u32 *low, u32 *high, u32 other_low, u32 other_high)
{
	*low = min(*low, other_low);
	*high = max(*high, other_high);
}

static void slices_forget(struct hkm_class_state *s, u64 now_ms)
{
	unsigned int i;

	for (i = 0; i < HKM_SLICES; i++)
		level_forget(&s->low[i], &s->high[i]);
	s->slice_ms = now_ms;
}

static u64 hold_ms(const struct hkm_class_state *s,
		   const struct hkm_decide_params *p)
{
	return (u64)p->hold_ms << s->hold_shift;
}

/* Turns to the slice of @now_ms. What is older than all of them is forgotten. */
static void slices_turn(struct hkm_class_state *s,
			const struct hkm_decide_params *p, u64 now_ms)
{
	/* So that hold_ms is covered as soon as the last of them has begun. */
	u64 slice_ms = hold_ms(s, p) / (HKM_SLICES - 1);
	unsigned int i;

	for (i = 0; i < HKM_SLICES && now_ms - s->slice_ms >= slice_ms; i++) {
		s->slice = (s->slice + 1) % HKM_SLICES;
		s->slice_ms += slice_ms;
		s->gone[s->slice] = 0;
		level_forget(&s->low[s->slice], &s->high[s->slice]);
	}
	if (now_ms - s->slice_ms >= slice_ms)
		s->slice_ms = now_ms;
}

/**
 * struct levels - free memory of a class for some time, in chunks, as if it had held
 *	as much all the time as it does now
 * @high: the most that was free
 * @swing: that less the least; more if not all of what the load swings by is held now
 * @need: a CAP that @swing fits in, and a little more
 */
struct levels {
	u32 high;
	u32 swing;
	u32 need;
};

/* Of what was used: at least @low and at most @high. */
static struct levels levels_now(const struct hkm_window_class *w, u32 low, u32 high)
{
	struct levels l = {
		.high = w->held - min(w->held, low),
		.swing = count(high - min(high, low)),
	};

	l.need = l.swing + l.swing / 8 + span_chunks(w);
	return l;
}

/* Of hold_ms, so far as it is known. */
static struct levels class_levels(const struct hkm_class_state *s,
				  const struct hkm_window_class *w)
{
	u32 low, high;
	unsigned int i;

	level_forget(&low, &high);
	for (i = 0; i < HKM_SLICES; i++)
		level_note(&low, &high, s->low[i], s->high[i]);
	return levels_now(w, low, high);
}

/* All of hold_ms is known. */
static bool class_covered(const struct hkm_class_state *s)
{
	unsigned int i;

	for (i = 0; i < HKM_SLICES; i++)
		if (s->low[i] == NOT_KNOWN)
			return false;
	return true;
}

/* So much may be of no use. */
static u32 little(const struct levels *l)
{
	return max(l->high / 8, LITTLE_CHUNKS);
}

/* Takes @nr refilled chunks off those given back, latest first; their number. */
static u32 gone_take(struct hkm_class_state *s, u64 nr)
{
	unsigned int i;
	u32 sum = 0;

	for (i = 0; i < HKM_SLICES && nr; i++) {
		u32 *gone = &s->gone[(s->slice - i) % HKM_SLICES];
		u32 took = min_t(u64, *gone, nr);

		*gone -= took;
		nr -= took;
		sum += took;
	}
	return sum;
}

static void wait_note(struct hkm_class_state *s, u64 ms)
{
	s->wait_ms[s->waits] = min_t(u64, ms, U32_MAX);
	s->waits = (s->waits + 1) % HKM_WAITS;
}

static void class_note_levels(struct hkm_class_state *s,
			      const struct hkm_window_class *w, u64 now_ms)
{
	struct levels l;

	if (w->used_low > w->used_high)
		return;
	level_note(&s->low[s->slice], &s->high[s->slice], w->used_low, w->used_high);
	l = class_levels(s, w);
	if (w->held - min(w->held, w->used_high) > little(&l)) {
		s->unused = true;
		level_note(&s->unused_low, &s->unused_high, w->used_low, w->used_high);
		return;
	}
	/* Not what was given up for want of use. */
	if (s->unused && !w->releases)
		wait_note(s, now_ms - s->used_ms);
	s->unused = false;
	s->used_ms = now_ms;
	level_forget(&s->unused_low, &s->unused_high);
}

/*
 * Remembers a window. Returns the chunks whose refill is regretted: they were
 * given back within hold_ms.
 */
static u32 class_watch(struct hkm_class_state *s,
		       const struct hkm_window_class *w,
		       const struct hkm_decide_params *p, bool pressure,
		       u64 now_ms)
{
	u64 released = chunks(w, w->releases);
	u32 regret;

	slices_turn(s, p, now_ms);
	if (w->requests)
		s->active_ms = now_ms;
	/* Not for want of CAP. */
	if (pressure || now_ms - s->active_ms >= p->idle_ms) {
		memset(s->gone, 0, sizeof(s->gone));
		return 0;
	}
	/* Before what is new is added: those refills may have come first. */
	regret = gone_take(s, chunks(w, w->refills));
	s->gone[s->slice] = count(s->gone[s->slice] + released);
	class_note_levels(s, w, now_ms);
	return regret;
}

/* Growth that has saved nothing is undone. */
static void canary_judge(struct hkm_decide_state *state,
			 const struct hkm_window_class *w,
			 const struct hkm_decide_params *p,
			 struct hkm_actions *a, unsigned int id)
{
	struct hkm_class_state *s = &state->class[id];
	u32 lost;

	if (!s->canary_cap || state->now_ms - s->canary_ms < p->canary_ms)
		return;
	if (chunks(w, s->canary_requests) < p->min_samples) {
		/* The load has gone that would tell. */
		if (state->now_ms - s->canary_ms >= hold_ms(s, p))
			s->canary_cap = 0;
		return;
	}
	lost = per_1000(s->canary_lost, s->canary_requests);
	/* Growth that was not for regrets is for shrink to judge. */
	if (s->canary_figure &&
	    lost > s->canary_figure - (s->canary_figure >> WORTH_SHIFT)) {
		a->class[id].before = s->canary_figure;
		a->class[id].after = lost;
		s->quiet_ms = state->now_ms +
			      ((u64)p->canary_ms * QUIET_FACTOR << s->quiet_shift);
		if (s->quiet_shift < QUIET_SHIFT_MAX)
			s->quiet_shift++;
		cap_set(state, a, id, cap_clamp(p, min(s->cap, s->canary_cap)),
			HKM_REASON_ROLLBACK);
	} else {
		s->quiet_shift = 0;
	}
	s->canary_cap = 0;
}

/* What is kept and not used for so long will not be soon. */
static u64 patience_ms(const struct hkm_class_state *s,
		       const struct hkm_decide_params *p)
{
	u64 longest = 0;
	unsigned int i;

	for (i = 0; i < HKM_WAITS; i++) {
		if (!s->wait_ms[i])
			return hold_ms(s, p);
		longest = max_t(u64, longest, s->wait_ms[i]);
	}
	return min(2 * longest, hold_ms(s, p));
}

/*
 * Gives up what is of no use, all of it at once: the sooner, the more that saves,
 * and it costs the same. Unless it is little anyway.
 */
static void class_shrink(struct hkm_decide_state *state,
			 const struct hkm_window_class *w,
			 const struct hkm_decide_params *p,
			 struct hkm_actions *a, unsigned int id)
{
	struct hkm_class_state *s = &state->class[id];
	u64 unused_ms = state->now_ms - s->used_ms;
	bool sooner = unused_ms < hold_ms(s, p);
	struct levels l;
	u32 cap;

	if (s->canary_cap || unused_ms < patience_ms(s, p) ||
	    state->now_ms - s->changed_ms < dwell_ms(p, id))
		return;
	if (sooner)
		l = levels_now(w, s->unused_low, s->unused_high);
	else if (class_covered(s))
		l = class_levels(s, w);
	else
		return;
	cap = max(l.need, l.swing + LITTLE_CHUNKS);
	if (cap >= s->cap || l.high <= cap + little(&l))
		return;
	/* All is well since then: the hold need not be as long. */
	if (s->hold_shift && state->now_ms - s->hold_since_ms >= hold_ms(s, p)) {
		s->hold_shift--;
		s->hold_since_ms = state->now_ms;
	}
	if (sooner) {
		/* Else what it swung by before would have it grow again. */
		slices_forget(s, state->now_ms);
		level_note(&s->low[s->slice], &s->high[s->slice],
			   s->unused_low, s->unused_high);
	}
	cap_set(state, a, id, cap_clamp(p, cap), HKM_REASON_SHRINK);
}

/* Chunks that @id would give to a class that has lost @lost. */
static u32 class_gift(const struct hkm_decide_state *state,
		      const struct hkm_window *window,
		      const struct hkm_decide_params *p, unsigned int id,
		      u64 lost)
{
	const struct hkm_class_state *s = &state->class[id];
	struct levels l = class_levels(s, &window->class[id]);
	u32 spare = s->cap - min(s->cap, p->cap_min);
	u64 wait_ms;

	if (state->now_ms - s->active_ms >= p->idle_ms)
		return spare;
	if (class_covered(s) && l.need < s->cap)
		return min(spare, s->cap - l.need);
	/* One that has given, or regretted it, is first to get on with what it has. */
	wait_ms = s->shrunk || s->hold_shift ? hold_ms(s, p) : dwell_ms(p, id);
	if (state->now_ms - s->changed_ms < wait_ms || s->lost >= lost / 2)
		return 0;
	return min(spare, s->cap / 4);
}

/* Makes room for @want chunks in the budget. Returns what there is then. */
static u32 budget_make(struct hkm_decide_state *state,
		       const struct hkm_window *window,
		       const struct hkm_decide_params *p,
		       struct hkm_actions *a, unsigned int taker, u32 want)
{
	u32 left = budget_left(p, state), gift[HKM_NR_CLASSES];
	u64 lost = state->class[taker].lost;
	unsigned int id, best;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		gift[id] = id == taker ? 0 :
			   class_gift(state, window, p, id, lost);
	while (left < want) {
		for (best = 0, id = 1; id < HKM_NR_CLASSES; id++)
			if (gift[id] > gift[best])
				best = id;
		if (!gift[best])
			break;
		gift[best] = min(gift[best], want - left);
		left += gift[best];
		cap_set(state, a, best, state->class[best].cap - gift[best],
			HKM_REASON_BUDGET);
		gift[best] = 0;
	}
	return min(left, want);
}

/* Growth by up to @up chunks, as far as canary and budget allow. */
static void class_grow(struct hkm_decide_state *state,
		       const struct hkm_window *window,
		       const struct hkm_decide_params *p,
		       struct hkm_actions *a, unsigned int id, u32 up)
{
	struct hkm_class_state *s = &state->class[id];
	s64 most = (s64)(s->canary_cap ?: s->cap) * CANARY_FACTOR;
	bool shrunk = s->shrunk;
	u32 cap = s->cap;

	most = cap_clamp(p, min((s64)cap + up, most));
	if (most <= cap)
		return;
	up = budget_make(state, window, p, a, id, most - cap);
	if (!up)
		return;
	if (!s->canary_cap) {
		s->canary_cap = cap;
		s->canary_figure = class_lost(s);
	}
	/* Its answer to what else is gone: that is not to be regretted again. */
	gone_take(s, up);
	s->canary_ms = state->now_ms;
	s->canary_new = true;
	s->canary_lost = 0;
	s->canary_requests = 0;
	if (shrunk)
		wait_note(s, state->now_ms - s->gave_up_ms);
	if (shrunk && s->hold_shift < HOLD_SHIFT_MAX) {
		s->hold_shift++;
		s->hold_since_ms = state->now_ms;
		slices_forget(s, state->now_ms);
	}
	cap_set(state, a, id, cap + up,
		shrunk ? HKM_REASON_RESTORE : HKM_REASON_GROW);
}

/*
 * Chunks by which a class should grow. Regrets are answered, an eighth over;
 * spans that only went through the inventory, if what the load swings by is why.
 */
static u32 class_want(const struct hkm_class_state *s,
		      const struct hkm_window_class *w,
		      u32 regret)
{
	u32 need = class_levels(s, w).need, want;

	want = regret + regret / 8;
	if (need > s->cap)
		want = max(want, need - s->cap);
	return want;
}

/* All of the law but growth, for one class. Returns by how much that should be. */
static u32 cost_class(struct hkm_decide_state *state,
		      const struct hkm_window *window,
		      const struct hkm_decide_params *p,
		      struct hkm_actions *a, unsigned int id)
{
	const struct hkm_window_class *w = &window->class[id];
	struct hkm_class_state *s = &state->class[id];
	u32 regret, want = 0;
	u64 lost;

	regret = class_watch(s, w, p, window->pressure, state->now_ms);
	if (chunks(w, w->requests) < p->min_samples) {
		/* Few as they are, they keep the class from being idle: see reclaim.c. */
		if (w->requests)
			class_shrink(state, w, p, a, id);
		return 0;
	}
	lost = regret * span_cost(w, p->cost_refill + p->cost_release) / span_chunks(w);
	sum_add(&s->lost, lost);
	sum_add(&s->requests, count(w->requests));
	a->class[id].after = class_lost(s);
	if (s->canary_new) {
		s->canary_new = false;
	} else {
		s->canary_lost += lost;
		s->canary_requests += count(w->requests);
	}
	if (lost + count(w->reuses) * p->cost_reuse >
	    window_cost(w, p) >> WORTH_SHIFT)
		want = class_want(s, w, regret);
	if (!want)
		class_shrink(state, w, p, a, id);
	return state->now_ms < s->quiet_ms ? 0 : want;
}

static void cost_law(struct hkm_decide_state *state,
		     const struct hkm_window *window,
		     const struct hkm_decide_params *p, struct hkm_actions *a)
{
	u32 want[HKM_NR_CLASSES];
	unsigned int id, most;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		want[id] = cost_class(state, window, p, a, id);
	/* The budget goes to those first that want most. */
	for (;;) {
		for (most = 0, id = 1; id < HKM_NR_CLASSES; id++)
			if (want[id] > want[most])
				most = id;
		if (!want[most])
			break;
		class_grow(state, window, p, a, most, want[most]);
		want[most] = 0;
	}
	for (id = 0; id < HKM_NR_CLASSES; id++)
		canary_judge(state, &window->class[id], p, a, id);
}

/**
 * hkm_decide_class_init() - forget what is remembered of a class
 * @state: of all classes
 * @class_id: the class, which then counts as changed just now
 * @now_ms: begin of its next window
 *
 * Context: Any.
 */
void hkm_decide_class_init(struct hkm_decide_state *state, unsigned int class_id,
			   u64 now_ms)
{
	struct hkm_class_state *s = &state->class[class_id];

	memset(s, 0, sizeof(*s));
	s->changed_ms = now_ms;
	s->active_ms = now_ms;
	s->used_ms = now_ms;
	slices_forget(s, now_ms);
	level_forget(&s->unused_low, &s->unused_high);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_decide_class_init);

/**
 * hkm_decide_init() - forget everything
 * @state: filled in
 * @now_ms: begin of the first window
 *
 * Context: Any.
 */
void hkm_decide_init(struct hkm_decide_state *state, u64 now_ms)
{
	unsigned int id;

	state->now_ms = now_ms;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		hkm_decide_class_init(state, id, now_ms);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_decide_init);

/**
 * hkm_decide() - decide on every class's CAP
 * @window: what was counted since the last decision
 * @params: valid parameters, see hkm_decide_params_valid()
 * @state: what is remembered from one decision to the next
 * @actions: filled in
 *
 * A pure function: of what else there is, it reads nothing and writes nothing.
 *
 * Context: Any. @state is too large for a stack.
 */
void hkm_decide(const struct hkm_window *window,
		const struct hkm_decide_params *params,
		struct hkm_decide_state *state, struct hkm_actions *actions)
{
	unsigned int id;

	state->now_ms = window->now_ms;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		class_begin(state, window, params, actions, id);
	if (budget_enforce(state, params, actions)) {
		/* Enough for one window. */
	} else if (params->controller == HKM_CONTROLLER_STEP) {
		for (id = 0; id < HKM_NR_CLASSES; id++)
			step_class(state, window, params, actions, id);
	} else {
		cost_law(state, window, params, actions);
	}

	actions->nr_changes = 0;
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		struct hkm_decision *d = &actions->class[id];

		if (d->cap_new == d->cap_old) {
			d->reason = HKM_REASON_NONE;
			continue;
		}
		state->class[id].figure = d->after;
		actions->nr_changes++;
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_decide);
