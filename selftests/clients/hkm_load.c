// SPDX-License-Identifier: GPL-2.0
/*
 * Plays three loads at once, until it is unloaded: some of those of the simulator
 * (selftests/host/workload.c), in real time.
 *
 * Each is a thread, on a size class of its own, that holds as many blocks as its
 * load wants at the time, and replaces some of them meanwhile. All that it does
 * goes by the number of the step, not by when that is done; the pseudo-random
 * numbers are the same each time. So each run asks for the same, and one that did
 * not keep up says so.
 */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <hakmem.h>

#define STEP_MS		10
#define NR_PHASES	3
/* For so long it stays on one CPU, as the scheduler may have it. */
#define CPU_MS		700
/* Blocks that are replaced at a time, as devices do. */
#define BATCH		64

/**
 * struct load - a load, and how far it is
 * @name: what the simulator calls it
 * @bytes: size of its blocks
 * @base: chunks' worth of blocks that it always holds
 * @wave: of these it holds so many more during waves, in each phase
 * @period_ms: from wave to wave
 * @on_ms: how long one lasts
 * @per_s: blocks replaced a second
 * @thread: plays it
 * @rnd: its pseudo-random numbers
 * @block: the blocks held, the oldest at @first; a ring of @most
 * @most: blocks held at most
 * @first: index into @block
 * @nr: blocks held
 * @due: replacements that are due, in thousandths
 */
struct load {
	const char *name;
	u32 bytes;
	u32 base;
	u32 wave[NR_PHASES];
	u32 period_ms;
	u32 on_ms;
	u32 per_s;
	struct task_struct *thread;
	struct rnd_state rnd;
	void **block;
	u32 most;
	u32 first;
	u32 nr;
	u32 due;
};

static struct load loads[] = {
	{ "bursts", SZ_8K, 0, { 120, 120, 120 }, 4300, 700, 10000 },
	{ "phases", SZ_16K, 20, { 30, 150, 60 }, 2600, 1300, 8000 },
	{ "phase-down", SZ_32K, 20, { 300, 40, 20 }, 3100, 1000, 8000 },
};

#define NR_LOADS	ARRAY_SIZE(loads)

static uint phase_ms = 30000;
module_param(phase_ms, uint, 0444);
MODULE_PARM_DESC(phase_ms, "length of a phase; the last has no end (default 30000)");

/* Each load's thread writes its own. */
static uint behind_ms[NR_LOADS];
module_param_array(behind_ms, uint, NULL, 0444);
MODULE_PARM_DESC(behind_ms, "result: how late a step of each load was at most");

static ulong failed[NR_LOADS];
module_param_array(failed, ulong, NULL, 0444);
MODULE_PARM_DESC(failed, "result: requests of each load that got no block of the pool");

static ktime_t start;

static void take(struct load *l)
{
	void *p = hkm_kmalloc(l->bytes, GFP_KERNEL);

	if (!p || !hkm_owns(p))
		failed[l - loads]++;
	l->block[(l->first + l->nr++) % l->most] = p;
}

/* Frees one of the @nr oldest. */
static void give(struct load *l, u32 nr)
{
	u32 i = (l->first + prandom_u32_state(&l->rnd) % min(nr, l->nr)) % l->most;

	hkm_kfree(l->block[i]);
	l->block[i] = l->block[l->first];
	l->first = (l->first + 1) % l->most;
	l->nr--;
}

static u32 wanted(const struct load *l, u32 ms)
{
	u32 phase = min_t(u32, ms / phase_ms, NR_PHASES - 1);
	u32 chunks = l->base;

	if (ms % l->period_ms < l->on_ms)
		chunks += l->wave[phase];
	return chunks * (SZ_64K / l->bytes);
}

static void load_step(struct load *l, u32 ms)
{
	u32 want = wanted(l, ms), i;

	while (l->nr < want)
		take(l);
	while (l->nr > want)
		give(l, 8);
	l->due += l->per_s * STEP_MS;
	for (; l->due >= BATCH * MSEC_PER_SEC; l->due -= BATCH * MSEC_PER_SEC) {
		for (i = 0; i < BATCH && l->nr; i++)
			give(l, l->nr);
		while (i--)
			take(l);
	}
}

/* Until it is @ms since the start; or a CPU is free, if it is that already. */
static void wait_until(struct load *l, u32 ms)
{
	s64 left = ms - ktime_ms_delta(ktime_get(), start);

	if (left > 0) {
		schedule_timeout_interruptible(msecs_to_jiffies(left));
		return;
	}
	behind_ms[l - loads] = max_t(s64, behind_ms[l - loads], -left);
	cond_resched();
}

static int play(void *data)
{
	struct load *l = data;
	u32 ms;

	for (ms = 0; !kthread_should_stop(); ms += STEP_MS) {
		if (ms % CPU_MS == 0)
			set_cpus_allowed_ptr(current,
					     cpumask_of(cpumask_local_spread((l - loads) +
									     ms / CPU_MS,
									     NUMA_NO_NODE)));
		load_step(l, ms);
		wait_until(l, ms + STEP_MS);
	}
	while (l->nr)
		give(l, l->nr);
	return 0;
}

static void load_stop(struct load *l)
{
	if (!IS_ERR_OR_NULL(l->thread))
		kthread_stop(l->thread);
	kvfree(l->block);
}

static int load_start(struct load *l)
{
	unsigned int i;

	for (i = 0; i < NR_PHASES; i++)
		l->most = max(l->most, (l->base + l->wave[i]) * (SZ_64K / l->bytes));
	prandom_seed_state(&l->rnd, l->bytes);
	l->block = kvcalloc(l->most, sizeof(*l->block), GFP_KERNEL);
	if (!l->block)
		return -ENOMEM;
	l->thread = kthread_run(play, l, "hkm_load/%s", l->name);
	return PTR_ERR_OR_ZERO(l->thread);
}

static void load_exit(void)
{
	unsigned int i;

	for (i = 0; i < NR_LOADS; i++)
		load_stop(&loads[i]);
}

static int __init load_init(void)
{
	unsigned int i;
	int err;

	if (!phase_ms)
		return -EINVAL;
	start = ktime_get();
	for (i = 0; i < NR_LOADS; i++) {
		err = load_start(&loads[i]);
		if (err) {
			load_exit();
			return err;
		}
	}
	return 0;
}

module_init(load_init);
module_exit(load_exit);
MODULE_DESCRIPTION("Loads for the learner, as the simulator has them");
MODULE_LICENSE("GPL");
