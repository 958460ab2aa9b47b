// SPDX-License-Identifier: GPL-2.0
/*
 * The learner's thread.
 *
 * A window is what the pool's counters grow by in learner/interval_ms; several
 * looks at what is free tell how the load swings in it. At its end hkm_decide()
 * says which CAPs should change. Those that somebody else has set meanwhile stay.
 *
 * The thread has nothing to do while the pool holds no memory, or the learner is
 * off, and then sleeps until it is woken: by a change in learner/, or by the
 * reclaim tick, which finds each second that the pool holds memory. Requests
 * know nothing of it.
 *
 * Which larger class may serve (substitutes.c) and which sizes are worth a class
 * (sizes.c) is decided after the CAPs, at the end of the same windows.
 */
#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "decide.h"
#include "history.h"
#include "learner.h"
#include "policy.h"
#include "sizes.h"
#include "substitutes.h"
#include "../pool/chunk.h"
#include "../pool/reclaim.h"
#include "../pool/size_class.h"
#include "../pool/stats.h"
#include "../include/hkm_compat.h"

/* Looks at what is free, in each window. */
#define LOOKS		4

/* Counters of a class, all but @held only ever growing. */
struct counts {
	u64 requests;
	u64 pops;
	u64 reuses;
	u64 refills;
	u64 releases;
	bool held;		/* chunks, so that the others may have grown */
};

/* What the thread knows; nobody else looks at it. */
static struct learner {
	bool running;		/* a window is open */
	u32 epoch;		/* of the policy, then */
	u32 generation;		/* of the policy that is decided by */
	u32 interval_ms;
	u64 begin_ms;		/* of the window */
	struct counts then[HKM_NR_CLASSES];	/* then */
	u32 low[HKM_NR_CLASSES];		/* of what was used since */
	u32 high[HKM_NR_CLASSES];
	struct hkm_decide_params params;
	struct hkm_window window;
	struct hkm_decide_state state;
	struct hkm_actions actions;
} learner;

static bool pool_held(void)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		if (hkm_class_held(id))
			return true;
	return false;
}

static u32 class_held(unsigned int id)
{
	return hkm_class_sum(id, hkm_chunk_count);
}

static void class_count(unsigned int id, struct counts *now)
{
	struct hkm_class_stats sum;

	hkm_stats_class(id, &sum);
	hkm_sizes_count(id, hkm_stats_live(&sum));
	*now = (struct counts){
		.requests = sum.hits_ring + sum.hits_active +
			    sum.slow[HKM_slow_allocs],
		.pops = sum.slow[HKM_slow_allocs] - sum.slow[HKM_refill_allocs],
		.reuses = sum.slow[HKM_reuses],
		.refills = sum.slow[HKM_refills],
		.releases = sum.slow[HKM_releases],
		.held = hkm_class_held(id),
	};
}

static void window_open(struct learner *l, u64 now_ms)
{
	l->begin_ms = now_ms;
	memset(l->low, 0xff, sizeof(l->low));
	memset(l->high, 0, sizeof(l->high));
}

static void window_look(struct learner *l)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		u32 held = class_held(id), free = hkm_class_sum(id, hkm_stats_free_chunks);
		u32 used = held - min(held, free);

		/* Neither is to be had with chunks that come or go meanwhile. */
		if (class_held(id) != held)
			continue;
		l->low[id] = min(l->low[id], used);
		l->high[id] = max(l->high[id], used);
	}
}

/* After a last look. */
static void window_close_class(struct learner *l, unsigned int id)
{
	struct hkm_window_class *w = &l->window.class[id];
	struct counts now, *then = &l->then[id];

	*w = (struct hkm_window_class){
		.span_chunks = 1U << hkm_classes[id].span_order,
		.cap = w->cap,
	};
	if (!then->held && !hkm_class_held(id))
		return;
	class_count(id, &now);
	w->requests = now.requests - then->requests;
	/* A refill may be in one of its counters, and not yet in the other. */
	w->pops = max_t(s64, now.pops - then->pops, 0);
	w->reuses = now.reuses - then->reuses;
	w->refills = now.refills - then->refills;
	w->releases = now.releases - then->releases;
	w->held = class_held(id);
	w->used_low = l->low[id];
	w->used_high = l->high[id];
	*then = now;
}

static void window_close(struct learner *l, u64 now_ms)
{
	unsigned int id;

	l->window.now_ms = now_ms;
	l->window.pressure = hkm_reclaim_was_forced();
	for (id = 0; id < HKM_NR_CLASSES; id++)
		window_close_class(l, id);
}

/* Reads the policy. False if the learner is off. */
static bool policy_read(struct learner *l)
{
	const struct hkm_policy *policy;
	unsigned int id;
	bool enabled;

	preempt_disable();
	policy = rcu_dereference_sched(hkm_policy);
	enabled = policy->learner_enabled;
	/* The laws' figures have different units. It may have been off meanwhile. */
	if (policy->decide.controller != l->params.controller ||
	    policy->learner_epoch != l->epoch)
		l->running = false;
	l->epoch = policy->learner_epoch;
	l->generation = policy->generation;
	l->params = policy->decide;
	l->interval_ms = policy->learner_interval_ms;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		l->window.class[id].cap = policy->cap_chunks[id];
	preempt_enable();
	return enabled;
}

/* Forgets what was learned, and begins afresh. */
static void learner_begin(struct learner *l, u64 now_ms)
{
	unsigned int id;

	hkm_decide_init(&l->state, now_ms);
	for (id = 0; id < HKM_NR_CLASSES; id++)
		class_count(id, &l->then[id]);
	hkm_sizes_begin(now_ms);
	hkm_reclaim_was_forced();
	window_open(l, now_ms);
	l->running = true;
}

/* Puts in force what was decided, unless somebody has changed the policy meanwhile. */
static void learner_apply(struct learner *l)
{
	struct hkm_policy *policy = hkm_policy_edit();
	unsigned int id;

	if (!policy)
		return;
	if (policy->generation != l->generation) {
		hkm_policy_abort(policy);
		return;
	}
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		const struct hkm_decision *d = &l->actions.class[id];
		struct hkm_event event = {
			.at_ms = l->window.now_ms,
			.subject = HKM_SUBJECT_CAP,
			.class_id = id,
			.reason = d->reason,
			.value_old = d->cap_old,
			.value_new = d->cap_new,
			.before = d->before,
			.after = d->after,
		};

		if (d->reason == HKM_REASON_NONE)
			continue;
		policy->cap_chunks[id] = d->cap_new;
		hkm_history_add(&event);
	}
	hkm_policy_commit(policy);
}

/* A class of another size is another class. */
static void sizes_learn(struct learner *l)
{
	unsigned long resized = hkm_sizes_step(l->window.now_ms);
	unsigned int id;

	for_each_set_bit(id, &resized, HKM_NR_CLASSES)
		hkm_decide_class_init(&l->state, id, l->window.now_ms);
}

/**
 * hkm_learner_step() - what the thread does each time that it wakes up
 * @now_ms: the time, by a clock that stands still in suspend
 *
 * Context: The learner's thread; may sleep.
 * Return: ms until it is to be called again; HKM_LEARNER_IDLE: not until it is woken.
 */
unsigned int hkm_learner_step(u64 now_ms)
{
	struct learner *l = &learner;
	u64 passed_ms;

	if (!policy_read(l)) {
		l->running = false;
		return HKM_LEARNER_IDLE;
	}
	if (!l->running)
		learner_begin(l, now_ms);
	window_look(l);
	passed_ms = now_ms - l->begin_ms;
	if (passed_ms < l->interval_ms)
		return min_t(u64, l->interval_ms / LOOKS,
			     l->interval_ms - passed_ms);
	window_close(l, now_ms);
	hkm_decide(&l->window, &l->params, &l->state, &l->actions);
	if (l->actions.nr_changes)
		learner_apply(l);
	sizes_learn(l);
	hkm_substitutes_step(&l->params, now_ms);
	window_open(l, now_ms);
	return pool_held() ? l->interval_ms / LOOKS : HKM_LEARNER_IDLE;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_learner_step);

static DECLARE_WAIT_QUEUE_HEAD(learner_wait);
static bool woken;
static bool idle;

/**
 * hkm_learner_wake() - the policy has changed: have the learner look at it
 *
 * Context: Task.
 */
void hkm_learner_wake(void)
{
	/* Pairs with xchg() in learner_main(): the thread then sees the policy. */
	smp_store_release(&woken, true);
	wake_up(&learner_wait);
}

/**
 * hkm_learner_kick() - the pool holds memory: there may be something to learn
 *
 * Called each second, and so may miss a thread that is just about to sleep.
 *
 * Context: Task.
 */
void hkm_learner_kick(void)
{
	if (READ_ONCE(idle))
		hkm_learner_wake();
}

static int learner_main(void *unused)
{
	unsigned int ms;

	set_freezable();
	while (!kthread_should_stop()) {
		ms = hkm_learner_step(ktime_to_ms(ktime_get()));
		WRITE_ONCE(idle, ms == HKM_LEARNER_IDLE);
		wait_event_freezable_timeout(learner_wait, READ_ONCE(woken) ||
					     kthread_should_stop(),
					     msecs_to_jiffies(ms));
		/* Pairs with smp_store_release() in hkm_learner_wake(). */
		xchg(&woken, false);
	}
	return 0;
}

static struct task_struct *learner_task;

int hkm_learner_init(void)
{
	struct task_struct *task = kthread_run(learner_main, NULL, "hkm_learner");

	if (IS_ERR(task))
		return PTR_ERR(task);
	learner_task = task;
	return 0;
}

void hkm_learner_exit(void)
{
	if (learner_task)
		kthread_stop(learner_task);
	learner_task = NULL;
}

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: the steps are the test's, and begin afresh; or are not any more. */
int hkm_test_learner_own(bool own)
{
	hkm_learner_exit();
	learner.running = false;
	return own ? 0 : hkm_learner_init();
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_learner_own);

/* Test hook: the window that was closed last. */
const struct hkm_window *hkm_test_learner_window(void)
{
	return &learner.window;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_learner_window);
#endif
