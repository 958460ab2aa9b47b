// SPDX-License-Identifier: GPL-2.0
/*
 * What may serve instead: counts what substitutes cost and save, on both halves of the
 * CPUs, has hkm_wmax_decide() decide, and puts that in force.
 */
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "history.h"
#include "policy.h"
#include "substitutes.h"
#include "wmax.h"
#include "../pool/size_class.h"
#include "../pool/stats.h"
#include "../include/hkm_compat.h"

/* Only the learner's thread looks at it. */
static struct substitutes {
	bool counted;		/* at the window's begin, too */
	u32 in_force[2];
	struct hkm_wmax_counts then[HKM_NR_CLASSES][2];
	struct hkm_wmax_window window;
	struct hkm_wmax_state state;
} substitutes;

/* Notes a class's geometry, and whether it is another than it was. */
static void class_set(struct substitutes *s, unsigned int id, u32 next)
{
	struct hkm_wmax_class *cl = &s->window.class[id];
	u32 size_bytes = hkm_classes[id].size_bytes;

	if (cl->next != next || cl->size_bytes != size_bytes)
		s->window.relaid = true;
	cl->next = next;
	cl->size_bytes = size_bytes;
	cl->span_chunks = 1U << hkm_classes[id].span_order;
}

/* Reads the policy. False if W_MAX is not to be learned. */
static bool policy_read(struct substitutes *s)
{
	const struct hkm_policy *policy;
	unsigned int id;
	bool on;

	s->window.relaid = false;
	preempt_disable();
	policy = rcu_dereference_sched(hkm_policy);
	on = policy->w_max_mode == HKM_WMAX_UCB1;
	s->window.epoch = policy->w_max_epoch;
	s->window.w_max = policy->w_max[0];
	memcpy(s->in_force, policy->w_max, sizeof(s->in_force));
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		bool serves = !hkm_class_is_dyn(id) ||
			      policy->dyn_bytes[id - HKM_CLASS_DYN1];

		class_set(s, id, serves ? policy->next_class[id] : HKM_NR_CLASSES);
	}
	preempt_enable();
	return on;
}

static void count_half(struct substitutes *s, unsigned int id, unsigned int half)
{
	struct hkm_wmax_counts *w = &s->window.class[id].half[half];
	struct hkm_wmax_counts now, *then = &s->then[id][half];
	struct hkm_class_stats sum;

	hkm_stats_class_half(id, half, &sum);
	now = (struct hkm_wmax_counts){
		.requests = sum.hits_ring + sum.hits_active +
			    sum.slow[HKM_slow_allocs] + sum.slow[HKM_fallbacks],
		.pops = sum.slow[HKM_slow_allocs] - sum.slow[HKM_refill_allocs],
		.reuses = sum.slow[HKM_reuses],
		.refills = sum.slow[HKM_refills],
		.fallbacks = sum.slow[HKM_fallbacks],
		.substitutes = sum.slow[HKM_substitutes],
	};
	*w = (struct hkm_wmax_counts){
		.requests = now.requests - then->requests,
		/* As in learner.c. */
		.pops = max_t(s64, now.pops - then->pops, 0),
		.reuses = now.reuses - then->reuses,
		.refills = now.refills - then->refills,
		.fallbacks = now.fallbacks - then->fallbacks,
		.substitutes = now.substitutes - then->substitutes,
	};
	*then = now;
}

static void window_close(struct substitutes *s)
{
	unsigned int id;

	for (id = 0; !hkm_class_is_large(id); id++) {
		struct hkm_wmax_class *cl = &s->window.class[id];
		bool held_then = cl->held;

		cl->held = hkm_class_held(id);
		memset(cl->half, 0, sizeof(cl->half));
		if (s->counted && !held_then && !cl->held)
			continue;
		count_half(s, id, 0);
		count_half(s, id, 1);
	}
}

/* Puts in force what was decided, unless somebody else has set W_MAX meanwhile. */
static void decision_apply(const struct substitutes *s,
			   const struct hkm_wmax_decision *d, u64 now_ms)
{
	struct hkm_event event = {
		.at_ms = now_ms,
		.subject = HKM_SUBJECT_W_MAX,
		.class_id = HKM_NR_CLASSES,
		.reason = d->reason,
		.value_old = d->pct_old,
		.value_new = d->pct_new,
		.before = d->before,
		.after = d->after,
	};
	struct hkm_policy *policy = hkm_policy_edit();

	if (!policy)
		return;
	if (policy->w_max_epoch != s->state.epoch) {
		hkm_policy_abort(policy);
		return;
	}
	memcpy(policy->w_max, s->state.w_max, sizeof(policy->w_max));
	if (d->reason != HKM_REASON_NONE)
		hkm_history_add(&event);
	hkm_policy_commit(policy);
}

/**
 * hkm_substitutes_step() - at the end of each of the learner's windows
 * @params: prices
 * @now_ms: the time
 *
 * Context: The learner's thread; may sleep.
 */
void hkm_substitutes_step(const struct hkm_decide_params *params, u64 now_ms)
{
	struct substitutes *s = &substitutes;
	struct hkm_wmax_decision decision;

	if (!policy_read(s)) {
		s->counted = false;
		return;
	}
	window_close(s);
	if (s->counted) {
		hkm_wmax_decide(&s->window, params, &s->state, &decision);
		if (decision.reason != HKM_REASON_NONE ||
		    memcmp(s->in_force, s->state.w_max, sizeof(s->in_force)))
			decision_apply(s, &decision, now_ms);
	}
	s->counted = true;
}
