// SPDX-License-Identifier: GPL-2.0
/*
 * Mixed traffic with content checks, from every context.
 *
 * Workers, bound to all online CPUs, allocate, hold and free blocks of mixed
 * sizes, most of them by way of another worker's inbox, and check what a block
 * holds before it goes. With irq=1 a hard interrupt on every CPU, and with nmi=1
 * an NMI handler (for NMIs that somebody injects), do the same and hand blocks
 * to the workers. Loading the module runs the test; it then stays loaded, with
 * the results in its read-only parameters.
 *
 * A block's size and owner travel beside it, never inside: so two owners of one
 * block do not agree by chance.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/kfifo.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/nmi.h>
#include <hakmem.h>
#include <hkm_compat.h>

#include "pattern.h"

#define POOL_MIN_BYTES	(2 * SZ_1K)
#define POOL_MAX_BYTES	(52 * SZ_1K)
#define OUTSIDE_MAX_BYTES	(128 * SZ_1K)

#define WORKERS_PER_CPU	2
#define WORKER_HOLDS	32
#define NESTED_HOLDS	4
#define INBOX_BLOCKS	64
#define NESTED_BLOCKS	32
#define TICK_NS		(500 * NSEC_PER_USEC)

/**
 * struct hold - one live block
 * @p: the block; NULL for none
 * @bytes: size asked for
 * @tag: its owner's mark, see pattern.h
 */
struct hold {
	void *p;
	u32 bytes;
	u32 tag;
};

/**
 * struct tally - what one context did; only that context writes to it
 * @runs: times it ran
 * @allocs: blocks it got
 * @frees: blocks it freed
 * @failed: requests that were given NULL
 * @mismatches: blocks that were not as they had to be
 */
struct tally {
	unsigned long runs;
	unsigned long allocs;
	unsigned long frees;
	unsigned long failed;
	unsigned long mismatches;
};

/**
 * struct nested - an interrupt's or NMI's part on one CPU
 * @tally: its counts
 * @rnd: its random numbers
 * @hold: blocks it keeps from one run to the next
 * @box: blocks it hands to its worker; it alone puts, the worker alone gets
 */
struct nested {
	struct tally tally;
	struct rnd_state rnd;
	struct hold hold[NESTED_HOLDS];
	DECLARE_KFIFO(box, struct hold, NESTED_BLOCKS);
};

/**
 * struct worker - a thread and what it owns
 * @task: the thread
 * @tally: its counts
 * @rnd: its random numbers
 * @hold: blocks it keeps
 * @lock: held by the worker alone, to be in atomic context
 * @inbox_lock: serialises those that put into @inbox
 * @inbox: blocks sent by other workers; the worker alone gets
 * @timer: fires on the worker's CPU
 * @tick: what @timer owns
 * @nmi: what the NMI handler owns on the worker's CPU
 */
struct worker {
	struct task_struct *task;
	struct tally tally;
	struct rnd_state rnd;
	struct hold hold[WORKER_HOLDS];
	spinlock_t lock;		/* for atomic context alone */
	spinlock_t inbox_lock;		/* who puts into inbox */
	DECLARE_KFIFO(inbox, struct hold, INBOX_BLOCKS);
	struct hrtimer timer;
	struct nested tick;
	struct nested nmi;
};

static uint seconds = 10;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long to run (default 10)");

static bool irq;
module_param(irq, bool, 0444);
MODULE_PARM_DESC(irq, "allocate in hard interrupts too");

static bool nmi;
module_param(nmi, bool, 0444);
MODULE_PARM_DESC(nmi, "allocate in NMIs of unknown origin too");

static uint seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "seed of the random numbers");

#define RESULT(name, what)						\
	static unsigned long name;					\
	module_param(name, ulong, 0444);				\
	MODULE_PARM_DESC(name, "result: " what)

RESULT(allocs, "blocks allocated");
RESULT(frees, "blocks freed");
RESULT(failed, "requests of tasks and interrupts that were given NULL");
RESULT(mismatches, "blocks that were damaged, or not zero though asked for");
RESULT(leaked, "blocks lost on the way");
RESULT(irq_allocs, "blocks allocated in hard interrupts");
RESULT(nmi_runs, "NMIs taken");
RESULT(nmi_allocs, "blocks allocated in NMIs");

static struct worker *workers;
static unsigned int nr_workers;

/* The first worker of each CPU, for the NMI handler. */
static struct worker *worker_of_cpu[NR_CPUS];

static u32 random_below(struct rnd_state *rnd, u32 limit)
{
	return prandom_u32_state(rnd) % limit;
}

static u32 random_pool_bytes(struct rnd_state *rnd)
{
	return POOL_MIN_BYTES +
	       random_below(rnd, POOL_MAX_BYTES - POOL_MIN_BYTES + 1);
}

/* One in eight is none of the pool's. */
static u32 random_bytes(struct rnd_state *rnd)
{
	switch (random_below(rnd, 16)) {
	case 0:
		return 1 + random_below(rnd, POOL_MIN_BYTES - 1);
	case 1:
		return POOL_MAX_BYTES + 1 +
		       random_below(rnd, OUTSIDE_MAX_BYTES - POOL_MAX_BYTES);
	default:
		return random_pool_bytes(rnd);
	}
}

/* Enters a block, fresh from the allocator, in @hold and marks it. */
static void hold_take(struct hold *hold, void *p, u32 bytes, bool zeroed,
		      struct tally *tally, struct rnd_state *rnd)
{
	if (!p) {
		tally->failed++;
		return;
	}
	tally->allocs++;
	if (zeroed && memchr_inv(p, 0, bytes)) {
		tally->mismatches++;
		pr_err_ratelimited("%u bytes at %p are not zero\n", bytes, p);
	}
	hold->p = p;
	hold->bytes = bytes;
	hold->tag = prandom_u32_state(rnd);
	pattern_fill(p, bytes, hold->tag);
}

static void hold_release(struct hold *hold, struct tally *tally)
{
	if (!pattern_ok(hold->p, hold->bytes, hold->tag)) {
		tally->mismatches++;
		pr_err_ratelimited("%u bytes at %p are damaged\n", hold->bytes,
				   hold->p);
	}
	hkm_kfree(hold->p);
	hold->p = NULL;
	tally->frees++;
}

static void worker_alloc(struct worker *worker, struct hold *hold)
{
	u32 bytes = random_bytes(&worker->rnd);
	bool zeroed = !random_below(&worker->rnd, 8);
	gfp_t zero = zeroed ? __GFP_ZERO : 0;
	void *p;

	if (random_below(&worker->rnd, 2)) {
		p = hkm_kmalloc(bytes, GFP_KERNEL | zero);
	} else {
		spin_lock(&worker->lock);
		p = hkm_kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN | zero);
		spin_unlock(&worker->lock);
	}
	hold_take(hold, p, bytes, zeroed, &worker->tally, &worker->rnd);
}

static void worker_give_away(struct worker *worker, struct hold *hold)
{
	struct worker *to = &workers[random_below(&worker->rnd, nr_workers)];

	if (kfifo_in_spinlocked(&to->inbox, hold, 1, &to->inbox_lock))
		hold->p = NULL;
	else
		hold_release(hold, &worker->tally);
}

static void worker_empty_boxes(struct worker *worker)
{
	struct hold hold;

	while (kfifo_get(&worker->inbox, &hold) ||
	       kfifo_get(&worker->tick.box, &hold) ||
	       kfifo_get(&worker->nmi.box, &hold)) {
		hold_release(&hold, &worker->tally);
		cond_resched();
	}
}

static void worker_step(struct worker *worker)
{
	struct hold *hold = &worker->hold[random_below(&worker->rnd,
						       WORKER_HOLDS)];

	if (!hold->p)
		worker_alloc(worker, hold);
	else if (random_below(&worker->rnd, 4))
		worker_give_away(worker, hold);
	else
		hold_release(hold, &worker->tally);
	worker->tally.runs++;
}

static bool first_on_its_cpu(const struct worker *worker)
{
	return worker == worker_of_cpu[smp_processor_id()];
}

static int worker_run(void *arg)
{
	struct worker *worker = arg;

	/* A pinned timer fires on the CPU that starts it. */
	if (irq && first_on_its_cpu(worker))
		hrtimer_start(&worker->timer, ns_to_ktime(TICK_NS),
			      HRTIMER_MODE_REL_PINNED_HARD);
	while (!kthread_should_stop()) {
		worker_empty_boxes(worker);
		worker_step(worker);
		cond_resched();
	}
	return 0;
}

/* Frees or hands on one of the kept blocks: the caller puts another in place. */
static struct hold *nested_make_room(struct nested *nested)
{
	struct hold *hold = &nested->hold[random_below(&nested->rnd,
						       NESTED_HOLDS)];

	nested->tally.runs++;
	if (!hold->p)
		return hold;
	if (random_below(&nested->rnd, 2) && kfifo_put(&nested->box, *hold))
		hold->p = NULL;
	else
		hold_release(hold, &nested->tally);
	return hold;
}

static enum hrtimer_restart tick_run(struct hrtimer *timer)
{
	struct worker *worker = container_of(timer, struct worker, timer);
	struct nested *tick = &worker->tick;
	struct hold *hold = nested_make_room(tick);
	u32 bytes = random_bytes(&tick->rnd);
	bool zeroed = !random_below(&tick->rnd, 8);

	hold_take(hold,
		  hkm_kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN |
			      (zeroed ? __GFP_ZERO : 0)),
		  bytes, zeroed, &tick->tally, &tick->rnd);
	hrtimer_forward_now(timer, ns_to_ktime(TICK_NS));
	return HRTIMER_RESTART;
}

/* Only the pool's own blocks: those of kmalloc() cannot be freed here. */
static int nmi_run(unsigned int type, struct pt_regs *regs)
{
	struct worker *worker = worker_of_cpu[smp_processor_id()];
	struct nested *part;
	struct hold *hold;
	bool zeroed;
	u32 bytes;

	if (!worker)
		return NMI_DONE;
	part = &worker->nmi;
	hold = nested_make_room(part);
	bytes = random_pool_bytes(&part->rnd);
	zeroed = !random_below(&part->rnd, 8);
	hold_take(hold, hkm_kmalloc_nolock(bytes, zeroed ? __GFP_ZERO : 0),
		  bytes, zeroed, &part->tally, &part->rnd);
	return NMI_HANDLED;
}

static void holds_release(struct hold *hold, unsigned int nr,
			  struct tally *tally)
{
	while (nr--)
		if (hold[nr].p)
			hold_release(&hold[nr], tally);
}

/* After the last context has stopped: frees all and adds up. */
static void worker_settle(struct worker *worker)
{
	struct nested *tick = &worker->tick, *part = &worker->nmi;
	struct tally *tally = &worker->tally;

	worker_empty_boxes(worker);
	holds_release(worker->hold, WORKER_HOLDS, tally);
	holds_release(tick->hold, NESTED_HOLDS, tally);
	holds_release(part->hold, NESTED_HOLDS, tally);

	irq_allocs += tick->tally.allocs;
	nmi_allocs += part->tally.allocs;
	nmi_runs += part->tally.runs;
	allocs += tally->allocs + tick->tally.allocs + part->tally.allocs;
	frees += tally->frees + tick->tally.frees + part->tally.frees;
	/* In NMI, NULL only says that nothing was stocked. */
	failed += tally->failed + tick->tally.failed;
	mismatches += tally->mismatches + tick->tally.mismatches +
		      part->tally.mismatches;
}

static int worker_create(struct worker *worker, int cpu)
{
	struct task_struct *task;
	unsigned int i = worker - workers;

	prandom_seed_state(&worker->rnd, seed + 3 * i);
	prandom_seed_state(&worker->tick.rnd, seed + 3 * i + 1);
	prandom_seed_state(&worker->nmi.rnd, seed + 3 * i + 2);
	spin_lock_init(&worker->lock);
	spin_lock_init(&worker->inbox_lock);
	INIT_KFIFO(worker->inbox);
	INIT_KFIFO(worker->tick.box);
	INIT_KFIFO(worker->nmi.box);
	hrtimer_setup(&worker->timer, tick_run, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);

	task = kthread_create(worker_run, worker, "hkm_stress/%u", i);
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpu);
	worker->task = task;
	return 0;
}

static int workers_create(void)
{
	int cpu, err, i;

	for (i = 0; i < WORKERS_PER_CPU; i++) {
		for_each_online_cpu(cpu) {
			err = worker_create(&workers[nr_workers], cpu);
			if (err)
				return err;
			if (!i)
				worker_of_cpu[cpu] = &workers[nr_workers];
			nr_workers++;
		}
	}
	return 0;
}

/* Also ends threads that never ran. Lost blocks show as allocs without frees. */
static void workers_stop(void)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++)
		kthread_stop(workers[i].task);
	for (i = 0; i < nr_workers; i++)
		hrtimer_cancel(&workers[i].timer);
	for (i = 0; i < nr_workers; i++)
		worker_settle(&workers[i]);
	leaked = allocs - frees;
}

/* Until the time is up, or insmod is killed. */
static int traffic_run(void)
{
	unsigned int i;
	int err;

	if (nmi) {
		err = register_nmi_handler(NMI_UNKNOWN, nmi_run, 0, "hkm_stress");
		if (err)
			return err;
	}
	for (i = 0; i < nr_workers; i++)
		wake_up_process(workers[i].task);
	schedule_timeout_killable(seconds * HZ);
	if (nmi)
		unregister_nmi_handler(NMI_UNKNOWN, "hkm_stress");
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static int __init stress_init(void)
{
	int err;

	workers = kvcalloc(num_possible_cpus(),
			   WORKERS_PER_CPU * sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return -ENOMEM;
	err = workers_create();
	if (!err)
		err = traffic_run();
	workers_stop();
	kvfree(workers);
	if (err)
		return err;

	pr_info("allocs=%lu frees=%lu failed=%lu mismatches=%lu irq_allocs=%lu nmi_allocs=%lu leaked=%lu\n",
		allocs, frees, failed, mismatches, irq_allocs, nmi_allocs,
		leaked);
	return 0;
}

static void __exit stress_exit(void)
{
}

module_init(stress_init);
module_exit(stress_exit);
MODULE_DESCRIPTION("Mixed traffic on hakmem from every context");
MODULE_LICENSE("GPL");
