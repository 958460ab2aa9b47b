// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes that are worth a class: counts what is asked for, has hkm_dyn_decide()
 * decide, and puts that in force.
 *
 * What matters is what the blocks that callers hold were asked for. The hot path
 * notes no sizes. But a block that is added to them comes off it: rings alone serve
 * only what was freed just before. So of each class the sizes noted stand for all its
 * live blocks, the latest few thousand for the most part. The number of these is the
 * mean of the windows' ends.
 *
 * A class that is retired serves no requests from the next policy on. Its blocks
 * live as long as their holders want, and go the way of any idle class's then. After
 * that it may be given another size (pool/dyn_class.c).
 */
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "dyn.h"
#include "history.h"
#include "policy.h"
#include "sizes.h"
#include "../pool/cpu_cache.h"
#include "../pool/debug.h"
#include "../pool/dyn_class.h"
#include "../pool/stats.h"
#include "../include/hkm_compat.h"

/* Between decisions. */
#define SIZES_MS	10000
/* Of a class; from there on the older ones count less. */
#define SAMPLES_MAX	4096

/* Only the learner's thread looks at it. */
static struct sizes {
	u64 begin_ms;
	u64 live[HKM_NR_CLASSES];	/* sum over windows since */
	unsigned int nr_windows;	/* since */
	u64 seen[HKM_NR_STEPS];		/* the histogram then */
	u64 now[HKM_NR_STEPS];
	u64 samples[HKM_NR_STEPS];
	u32 generation;			/* of the policy that is decided by */
	u8 class_of[HKM_NR_STEPS];	/* by it */
	struct hkm_dyn_input input;
	struct hkm_dyn_state state;
	struct hkm_dyn_actions actions;
} sizes;

static void window_forget(struct sizes *s, u64 now_ms)
{
	memset(s->live, 0, sizeof(s->live));
	s->nr_windows = 0;
	s->begin_ms = now_ms;
}

/**
 * hkm_sizes_begin() - forget what was counted, and begin afresh
 * @now_ms: the time
 *
 * Context: The learner's thread.
 */
void hkm_sizes_begin(u64 now_ms)
{
	struct sizes *s = &sizes;

	memset(s->samples, 0, sizeof(s->samples));
	memset(&s->state, 0, sizeof(s->state));
	hkm_stats_histogram(s->seen);
	window_forget(s, now_ms);
}

/**
 * hkm_sizes_count() - add a class's live blocks at the end of a window
 * @class_id: the class
 * @live: their number
 *
 * Context: The learner's thread, before hkm_sizes_step().
 */
void hkm_sizes_count(unsigned int class_id, s64 live)
{
	sizes.live[class_id] += max_t(s64, live, 0);
}

/* Reads the policy. False if nothing is to be learned. */
static bool policy_read(struct sizes *s)
{
	const struct hkm_policy *policy;
	unsigned int i;
	bool on;

	preempt_disable();
	policy = rcu_dereference_sched(hkm_policy);
	on = policy->dyn_mode == HKM_DYN_ON;
	s->generation = policy->generation;
	s->input.dyn_max = policy->dyn_max;
	for (i = 0; i < HKM_NR_DYN; i++)
		s->input.size[i] = policy->dyn_bytes[i];
	for (i = 0; i < HKM_NR_STEPS; i++)
		s->class_of[i] = hkm_bin_class(policy->bin_of[0][i]);
	preempt_enable();
	return on;
}

/* Adds what was noted since. */
static void samples_add(struct sizes *s)
{
	unsigned int i;

	hkm_stats_histogram(s->now);
	for (i = 0; i < HKM_NR_STEPS; i++) {
		s->samples[i] += s->now[i] - s->seen[i];
		s->seen[i] = s->now[i];
	}
}

static u64 class_samples(const struct sizes *s, unsigned int class_id)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < HKM_NR_STEPS; i++)
		if (s->class_of[i] == class_id)
			sum += s->samples[i];
	return sum;
}

/* Of the smallest block that serves a step's sizes: with a red zone, and aligned. */
static size_t block_step(size_t step)
{
	u32 size = hkm_step_bytes(step);

	if (!(hkm_debug & HKM_DEBUG_REDZONE))
		return step;
	return is_power_of_2(size) ? hkm_size_step(2 * size) : step + 1;
}

/* Has the samples of a class stand for its live blocks. */
static void class_spread(struct sizes *s, unsigned int class_id)
{
	u64 all = class_samples(s, class_id), live;
	unsigned int shift = 0, i;
	size_t step;

	if (!all)
		return;
	while (all >> shift > SAMPLES_MAX)
		shift++;
	live = div_u64(s->live[class_id], s->nr_windows);
	for (i = 0; i < HKM_NR_STEPS; i++) {
		if (s->class_of[i] != class_id)
			continue;
		step = block_step(i);
		if (step < HKM_NR_STEPS)
			s->input.live[step] += div64_u64(live * s->samples[i], all);
		s->samples[i] >>= shift;
	}
}

/* Also while nothing is to be learned, so that old samples do not pile up. */
static void live_fill(struct sizes *s)
{
	unsigned int id;

	samples_add(s);
	memset(s->input.live, 0, sizeof(s->input.live));
	for (id = 0; id < HKM_CLASS_64K; id++)
		class_spread(s, id);
}

static void classes_fill(struct sizes *s)
{
	unsigned long idle = 0, vacant;
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++)
		if (!s->input.size[i])
			__set_bit(i, &idle);
	vacant = hkm_dyn_classes_vacant(idle);
	for (i = 0; i < HKM_NR_DYN; i++) {
		s->input.vacant[i] = vacant & BIT(i);
		s->input.retired[i] = idle & ~vacant & BIT(i) ?
				      hkm_classes[HKM_CLASS_DYN1 + i].size_bytes : 0;
	}
	s->input.nr_cpus = num_online_cpus();
}

/* Puts in force what was decided. The classes that have another size, one bit each. */
static unsigned long actions_apply(const struct sizes *s, u64 now_ms)
{
	struct hkm_policy *policy = hkm_policy_edit();
	unsigned long resized = 0;
	unsigned int i;

	if (!policy)
		return 0;
	/* Deciding takes its time: it may not be wanted any more. */
	if (policy->generation != s->generation) {
		hkm_policy_abort(policy);
		return 0;
	}
	for (i = 0; i < HKM_NR_DYN; i++) {
		unsigned int id = HKM_CLASS_DYN1 + i;
		struct hkm_event event = {
			.at_ms = now_ms,
			.subject = HKM_SUBJECT_SIZE,
			.class_id = id,
			.value_old = s->input.size[i],
			.value_new = s->actions.size[i],
			.reason = s->actions.reason[i],
			.before = s->actions.bytes_before >> 10,
			.after = s->actions.bytes_after >> 10,
		};

		if (event.value_new == event.value_old)
			continue;
		if (event.value_new) {
			if (event.value_new != s->input.retired[i])
				hkm_dyn_class_resize(id, event.value_new);
			/* It is to save memory: what it keeps it has to earn. */
			policy->cap_chunks[id] = policy->decide.cap_min;
			__set_bit(id, &resized);
		}
		policy->dyn_bytes[i] = event.value_new;
		hkm_history_add(&event);
	}
	hkm_policy_commit(policy);
	return resized;
}

/**
 * hkm_sizes_step() - decide, if it is time
 * @now_ms: the time
 *
 * Context: The learner's thread; may sleep.
 * Return: classes that are of another size now, one bit each.
 */
unsigned long hkm_sizes_step(u64 now_ms)
{
	unsigned long resized = 0;
	struct sizes *s = &sizes;
	bool on;

	s->nr_windows++;
	if (now_ms - s->begin_ms < SIZES_MS)
		return 0;
	on = policy_read(s);
	live_fill(s);
	if (on) {
		classes_fill(s);
		hkm_dyn_decide(&s->input, &s->state, &s->actions);
		if (memcmp(s->actions.size, s->input.size, sizeof(s->input.size)))
			resized = actions_apply(s, now_ms);
	}
	window_forget(s, now_ms);
	return resized;
}
