// SPDX-License-Identifier: GPL-2.0
/*
 * Which sizes are worth a class.
 *
 * A request is served from the smallest class that fits, so that classes divide
 * the sizes among them: each has those from the next smaller one to its own. Given
 * what is live of each size, the memory that a division costs is a sum over its
 * classes, and the best division of the sizes up to some class is the best of those
 * up to the class before it, and that one: dynamic programming, as for the best
 * histogram of so many buckets. A class costs for each block what a span costs, divided
 * by the blocks in it; that need not grow with the block. The fixed classes
 * are always there.
 *
 * Each class more has CPUs park some of its blocks, and leaves chunks in part unused:
 * it must save more than that (its rent).
 *
 * Nothing is changed for little. What is live is an estimate, and a class that has
 * retired keeps its memory until its last block is freed. So another set of classes
 * must save 1/32 of all memory, and 1 MiB; and a class that does not pay its rent
 * goes only when it has not three times running, or to make room.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "dyn.h"
#include "../include/hkm_compat.h"

/* With less live memory there is nothing to be learned, or gained. */
#define LIVE_MIN_BYTES	(4ULL * SZ_1M)
#define GAIN_MIN_BYTES	SZ_1M
#define GAIN_SHIFT	5
#define USELESS_MAX	3
/* Rent: what a CPU parks for a class that it uses now and then; of all, 1/256. */
#define RENT_CPU_BYTES	SZ_128K
#define RENT_SHIFT	8

/* Classes, one bit for the step of each one's size. */
struct set {
	DECLARE_BITMAP(bits, HKM_NR_STEPS);
};

static bool is_fixed(unsigned int step)
{
	unsigned int id;

	for (id = 0; id < HKM_CLASS_DYN1; id++)
		if (hkm_classes[id].size_bytes == hkm_step_bytes(step))
			return true;
	return false;
}

static void block_bytes_fill(struct hkm_dyn_state *state)
{
	struct hkm_class cl;
	unsigned int step;

	for (step = 0; step < HKM_NR_STEPS; step++) {
		hkm_class_set(&cl, hkm_step_bytes(step));
		state->block_bytes[step] = DIV_ROUND_UP(hkm_span_bytes(&cl), cl.nr_blocks);
	}
}

/* The fixed classes, and the dynamic ones of @size. */
static void set_fill(struct set *set, const u32 size[HKM_NR_DYN])
{
	unsigned int i;

	bitmap_zero(set->bits, HKM_NR_STEPS);
	for (i = 0; i < HKM_NR_STEPS; i++)
		if (is_fixed(i))
			__set_bit(i, set->bits);
	for (i = 0; i < HKM_NR_DYN; i++)
		if (size[i])
			__set_bit(hkm_size_step(size[i]), set->bits);
}

/* Memory that the live blocks cost with a set of classes. */
static u64 set_bytes(const struct hkm_dyn_input *input,
		     const struct hkm_dyn_state *state, const struct set *set)
{
	unsigned int step = HKM_NR_STEPS, class = step;
	u64 sum = 0;

	while (step--) {
		if (test_bit(step, set->bits))
			class = step;
		sum += input->live[step] * state->block_bytes[class];
	}
	return sum;
}

/* What a set saves by one of its classes. */
static u64 class_saves(const struct hkm_dyn_input *input,
		       const struct hkm_dyn_state *state, const struct set *set,
		       u32 size)
{
	u64 with = set_bytes(input, state, set), without;
	struct set less = *set;

	__clear_bit(hkm_size_step(size), less.bits);
	without = set_bytes(input, state, &less);
	return without - min(with, without);
}

static unsigned int nr_serving(const u32 size[HKM_NR_DYN])
{
	unsigned int i, nr = 0;

	for (i = 0; i < HKM_NR_DYN; i++)
		nr += size[i] != 0;
	return nr;
}

static u64 live_bytes(const struct hkm_dyn_input *input)
{
	unsigned int step;
	u64 sum = 0;

	for (step = 0; step < HKM_NR_STEPS; step++)
		sum += input->live[step] * hkm_step_bytes(step);
	return sum;
}

static u64 rent(const struct hkm_dyn_input *input, u64 bytes)
{
	return (u64)input->nr_cpus * RENT_CPU_BYTES + (bytes >> RENT_SHIFT);
}

/*
 * Ends a division with a class of the size of step @last: finds where it is best
 * to begin that, with @nr dynamic classes used up to it.
 */
static void best_end(const struct hkm_dyn_input *input, struct hkm_dyn_state *state,
		     unsigned int nr, unsigned int last, u64 rent)
{
	unsigned int before = is_fixed(last) ? nr : nr - 1, first = last + 1;
	u64 bytes = is_fixed(last) ? 0 : rent, least = U64_MAX;

	if (!nr && !is_fixed(last)) {
		state->best[nr][last + 1] = U64_MAX;
		return;
	}
	do {
		first--;
		bytes += input->live[first] * state->block_bytes[last];
		if (state->best[before][first] != U64_MAX &&
		    state->best[before][first] + bytes < least) {
			least = state->best[before][first] + bytes;
			state->from[nr][last + 1] = first;
		}
		/* A fixed class has its own sizes and those below it. */
	} while (first && !is_fixed(first - 1));
	state->best[nr][last + 1] = least;
}

/* Finds the best set of classes, at most dyn_max of them dynamic. Its cost, with rent. */
static u64 best_set(const struct hkm_dyn_input *input, struct hkm_dyn_state *state,
		    u64 rent, struct set *set)
{
	unsigned int nr, last, best = 0, end = HKM_NR_STEPS;

	for (nr = 0; nr <= input->dyn_max; nr++) {
		state->best[nr][0] = 0;
		for (last = 0; last < HKM_NR_STEPS; last++)
			best_end(input, state, nr, last, rent);
		if (state->best[nr][HKM_NR_STEPS] < state->best[best][HKM_NR_STEPS])
			best = nr;
	}
	bitmap_zero(set->bits, HKM_NR_STEPS);
	for (nr = best; end; ) {
		last = end - 1;
		__set_bit(last, set->bits);
		end = state->from[nr][end];
		nr -= !is_fixed(last);
	}
	return state->best[best][HKM_NR_STEPS];
}

static void size_set(const struct hkm_dyn_input *input,
		     struct hkm_dyn_actions *actions, unsigned int i, u32 size)
{
	actions->size[i] = size;
	if (size == input->size[i])
		actions->reason[i] = HKM_REASON_NONE;
	else
		actions->reason[i] = size ? HKM_REASON_LEARNED : HKM_REASON_RETIRED;
}

/* Of some classes that serve, one at least, retires the one that saves least. */
static void drop_least(const struct hkm_dyn_input *input,
		       const struct hkm_dyn_state *state,
		       struct hkm_dyn_actions *actions, const unsigned long *some)
{
	u64 least = U64_MAX, saves;
	unsigned int i, worst = 0;
	struct set set;

	set_fill(&set, actions->size);
	for_each_set_bit(i, some, HKM_NR_DYN) {
		saves = class_saves(input, state, &set, actions->size[i]);
		if (saves <= least) {
			least = saves;
			worst = i;
		}
	}
	size_set(input, actions, worst, 0);
}

/* Retires those that save least, until no more than dyn_max serve. */
static void drop_excess(const struct hkm_dyn_input *input,
			const struct hkm_dyn_state *state,
			struct hkm_dyn_actions *actions)
{
	while (nr_serving(actions->size) > input->dyn_max) {
		DECLARE_BITMAP(serving, HKM_NR_DYN) = {};
		unsigned int i;

		for (i = 0; i < HKM_NR_DYN; i++)
			if (actions->size[i])
				__set_bit(i, serving);
		drop_least(input, state, actions, serving);
	}
}

/*
 * Retires those that have not paid their rent for long; not what is of the best set,
 * beside which it is the others that save nothing.
 */
static void drop_useless(const struct hkm_dyn_input *input,
			 struct hkm_dyn_state *state,
			 struct hkm_dyn_actions *actions, u64 rent,
			 const struct set *best)
{
	struct set set;
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++) {
		set_fill(&set, actions->size);
		if (!actions->size[i] ||
		    test_bit(hkm_size_step(actions->size[i]), best->bits) ||
		    class_saves(input, state, &set, actions->size[i]) >= rent)
			state->useless[i] = 0;
		else if (++state->useless[i] >= USELESS_MAX)
			size_set(input, actions, i, 0);
	}
}

/* Takes out of a set what some classes serve, or other such classes could again. */
static void set_serve(const struct hkm_dyn_input *input,
		      struct hkm_dyn_actions *actions, struct set *set)
{
	unsigned int i, step;

	for (i = 0; i < HKM_NR_DYN; i++)
		if (actions->size[i])
			__clear_bit(hkm_size_step(actions->size[i]), set->bits);
	for (i = 0; i < HKM_NR_DYN; i++) {
		if (!input->retired[i])
			continue;
		step = hkm_size_step(input->retired[i]);
		if (__test_and_clear_bit(step, set->bits))
			size_set(input, actions, i, input->retired[i]);
	}
}

/*
 * Has the classes serve the sizes of @set, as far as there are vacant ones. What else
 * they serve they go on with until it is of no use for long: the load may come back.
 * But where all classes serve there will be no vacant one unless one of these goes.
 */
static void set_adopt(const struct hkm_dyn_input *input,
		      const struct hkm_dyn_state *state,
		      struct hkm_dyn_actions *actions, struct set *set)
{
	DECLARE_BITMAP(others, HKM_NR_DYN) = {};
	unsigned int i, step;

	for (i = 0; i < HKM_NR_DYN; i++)
		if (actions->size[i] &&
		    !test_bit(hkm_size_step(actions->size[i]), set->bits))
			__set_bit(i, others);
	for (step = 0; step < HKM_NR_STEPS; step++)
		if (is_fixed(step))
			__clear_bit(step, set->bits);
	set_serve(input, actions, set);
	if (!bitmap_empty(set->bits, HKM_NR_STEPS) &&
	    nr_serving(actions->size) == HKM_NR_DYN && !bitmap_empty(others, HKM_NR_DYN)) {
		drop_least(input, state, actions, others);
		bitmap_zero(set->bits, HKM_NR_STEPS);
	}
	/* Larger ones have more to save. */
	for (i = 0, step = HKM_NR_STEPS; step--; ) {
		if (!test_bit(step, set->bits))
			continue;
		while (i < HKM_NR_DYN && !input->vacant[i])
			i++;
		if (i == HKM_NR_DYN)
			break;
		size_set(input, actions, i++, hkm_step_bytes(step));
	}
	drop_excess(input, state, actions);
}

/**
 * hkm_dyn_decide() - decide on the sizes of the dynamic classes
 * @input: what is live, and which classes there are
 * @state: what is remembered; all zero to begin with
 * @actions: filled in
 *
 * A pure function: of what else there is, it reads the sizes of the fixed
 * classes only.
 *
 * Context: Any. @state is too large for a stack.
 */
void hkm_dyn_decide(const struct hkm_dyn_input *input, struct hkm_dyn_state *state,
		    struct hkm_dyn_actions *actions)
{
	struct set now, best;
	u64 each, bytes, least, cost, gain;
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++) {
		actions->size[i] = input->size[i];
		actions->reason[i] = HKM_REASON_NONE;
	}
	block_bytes_fill(state);
	set_fill(&now, actions->size);
	bytes = set_bytes(input, state, &now);
	actions->bytes_before = bytes;
	actions->bytes_after = bytes;

	drop_excess(input, state, actions);
	if (live_bytes(input) >= LIVE_MIN_BYTES) {
		each = rent(input, bytes);
		least = best_set(input, state, each, &best);
		drop_useless(input, state, actions, each, &best);
		set_fill(&now, actions->size);
		cost = set_bytes(input, state, &now) + nr_serving(actions->size) * each;
		gain = max_t(u64, bytes >> GAIN_SHIFT, GAIN_MIN_BYTES);
		if (least + gain <= cost)
			set_adopt(input, state, actions, &best);
	}
	set_fill(&now, actions->size);
	actions->bytes_after = set_bytes(input, state, &now);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_dyn_decide);
