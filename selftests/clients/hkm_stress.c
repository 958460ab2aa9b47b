// SPDX-License-Identifier: GPL-2.0
/*
 * Mixed traffic with content checks, from every context.
 *
 * Workers, bound to all online CPUs, allocate, hold and free blocks of mixed
 * sizes, most of them by way of another worker's inbox, and check what a block
 * holds before it goes. Whatever interrupts a worker on its CPU does the same:
 * with softirq=1 a timer, with irq=1 a hard interrupt, with both a tasklet too
 * (which the hard interrupt schedules), and with nmi=1 an NMI handler, for NMIs
 * that somebody injects. They get blocks from the worker, and send it theirs,
 * which go on to other contexts. Loading the module runs the test; it then stays
 * loaded, with the results in its read-only parameters.
 *
 * A block's size and owner travel beside it, never inside: so two owners of one
 * block do not agree by chance.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/kfifo.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <asm/nmi.h>
#include <hakmem.h>
#include <hkm_compat.h>

#include "pattern.h"

#define POOL_MIN_BYTES	(2 * SZ_1K)
#define POOL_MAX_BYTES	(52 * SZ_1K)
#define LARGE_MAX_BYTES	(256 * SZ_1K)

#define WORKERS_PER_CPU	2
#define WORKER_HOLDS	32
#define NESTED_HOLDS	4
#define INBOX_BLOCKS	64
#define NESTED_BLOCKS	32
#define TICK_NS		(500 * NSEC_PER_USEC)
#define TIMER_JIFFIES	(HZ / 50)
#define TIMER_STEPS_MAX	100
/* How often it looks whether it is to stop. */
#define STOP_HZ		10

enum context {
	TASK,
	TIMER,
	TASKLET,
	HARDIRQ,
	NMI,
	NR_CONTEXTS
};

/**
 * struct hold - one live block
 * @p: the block; NULL for none
 * @bytes: size asked for
 * @tag: its owner's mark, see pattern.h
 * @from: context that allocated it
 */
struct hold {
	void *p;
	u32 bytes;
	u32 tag;
	enum context from;
};

/**
 * struct tally - what one context did; only that context writes to it
 * @runs: times it ran
 * @allocs: blocks it got
 * @frees: blocks it freed
 * @taken: of these, blocks that another kind of context had allocated
 * @nested: times it interrupted another than a task
 * @failed: requests that were given NULL
 * @mismatches: blocks that were not as they had to be
 */
struct tally {
	unsigned long runs;
	unsigned long allocs;
	unsigned long frees;
	unsigned long taken;
	unsigned long nested;
	unsigned long failed;
	unsigned long mismatches;
};

/**
 * struct part - what one context does, and owns
 * @context: which it is
 * @tally: its counts
 * @rnd: its random numbers
 */
struct part {
	enum context context;
	struct tally tally;
	struct rnd_state rnd;
};

/**
 * struct nested - the part of an interrupt or NMI on one CPU
 * @part: what it does
 * @hold: blocks it keeps from one run to the next
 * @in: blocks from the worker, which alone puts; it alone gets
 * @out: blocks for the worker, which alone gets; it alone puts
 */
struct nested {
	struct part part;
	struct hold hold[NESTED_HOLDS];
	DECLARE_KFIFO(in, struct hold, NESTED_BLOCKS);
	DECLARE_KFIFO(out, struct hold, NESTED_BLOCKS);
};

/**
 * struct interrupts - all that may interrupt the tasks of one CPU
 * @running: the innermost of them that runs now, or TASK; each leaves it as found
 * @nested: their parts; TASK's is not used
 * @timer: runs TIMER
 * @tasklet: runs TASKLET
 * @tick: runs HARDIRQ
 */
struct interrupts {
	enum context running;
	struct nested nested[NR_CONTEXTS];
	struct timer_list timer;
	struct tasklet_struct tasklet;
	struct hrtimer tick;
};

/* With one user a side kfifo needs no lock, but it does not tell KCSAN so. */
#define fifo_get(fifo, hold)	data_race(kfifo_get(fifo, hold))
#define fifo_put(fifo, hold)	data_race(kfifo_put(fifo, hold))

/**
 * struct worker - a thread and what it owns
 * @task: the thread
 * @cpu: where it runs, while that is online
 * @returns: times that it came back there
 * @part: what it does
 * @hold: blocks it keeps
 * @lock: held by the worker alone, to be in atomic context
 * @inbox_lock: protects @inbox
 * @inbox: blocks sent by workers; the worker alone gets
 * @interrupts: of its CPU; NULL for all workers there but one
 */
struct worker {
	struct task_struct *task;
	int cpu;
	unsigned long returns;
	struct part part;
	struct hold hold[WORKER_HOLDS];
	spinlock_t lock;		/* for atomic context alone */
	spinlock_t inbox_lock;
	DECLARE_KFIFO(inbox, struct hold, INBOX_BLOCKS);
	struct interrupts *interrupts;
};

static uint seconds = 10;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long to run (default 10)");

static uint pause_us;
module_param(pause_us, uint, 0444);
MODULE_PARM_DESC(pause_us, "time that a worker sleeps between two steps (default 0)");

static bool stop;
module_param(stop, bool, 0644);
MODULE_PARM_DESC(stop, "written to end the run early");

static bool softirq;
module_param(softirq, bool, 0444);
MODULE_PARM_DESC(softirq, "allocate in timers too, and with irq in tasklets");

static bool irq;
module_param(irq, bool, 0444);
MODULE_PARM_DESC(irq, "allocate in hard interrupts too");

/* Where KASAN slows all down, interrupts must leave time for the rest. */
static uint tick_rest = 3;
module_param(tick_rest, uint, 0444);
MODULE_PARM_DESC(tick_rest, "least time between hard interrupts, in times that one took (default 3)");

static bool nmi;
module_param(nmi, bool, 0444);
MODULE_PARM_DESC(nmi, "allocate in NMIs of unknown origin too");

static bool faults;
module_param(faults, bool, 0444);
MODULE_PARM_DESC(faults, "refuse the workers memory, as fault injection is set up");

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
RESULT(returns, "times that a worker came back to its CPU, which had gone");

#define COUNT_RESULT(context, count, what)				\
	module_param_named(context##_##count, context##_total.count, ulong, 0444); \
	MODULE_PARM_DESC(context##_##count, "result: " what)
#define CONTEXT_RESULTS(context)					\
	static struct tally context##_total;				\
	COUNT_RESULT(context, runs, "times that it ran");		\
	COUNT_RESULT(context, allocs, "blocks it allocated");		\
	COUNT_RESULT(context, frees, "blocks it freed");		\
	COUNT_RESULT(context, taken, "of these, blocks that others allocated"); \
	COUNT_RESULT(context, nested, "times that it interrupted no task")

CONTEXT_RESULTS(task);
CONTEXT_RESULTS(timer);
CONTEXT_RESULTS(tasklet);
CONTEXT_RESULTS(irq);
CONTEXT_RESULTS(nmi);

static struct tally *const totals[NR_CONTEXTS] = {
	[TASK] = &task_total,
	[TIMER] = &timer_total,
	[TASKLET] = &tasklet_total,
	[HARDIRQ] = &irq_total,
	[NMI] = &nmi_total,
};

static struct worker *workers;
static unsigned int nr_workers;

/* By CPU; NULL for one without workers. */
static struct interrupts *interrupts_of[NR_CPUS];

static u32 random_below(struct rnd_state *rnd, u32 limit)
{
	return prandom_u32_state(rnd) % limit;
}

static u32 random_pool_bytes(struct rnd_state *rnd)
{
	return POOL_MIN_BYTES +
	       random_below(rnd, POOL_MAX_BYTES - POOL_MIN_BYTES + 1);
}

/* One in 16 is none of the pool's, one is large. */
static u32 random_bytes(struct rnd_state *rnd)
{
	switch (random_below(rnd, 16)) {
	case 0:
		return 1 + random_below(rnd, POOL_MIN_BYTES - 1);
	case 1:
		return POOL_MAX_BYTES + 1 +
		       random_below(rnd, LARGE_MAX_BYTES - POOL_MAX_BYTES);
	default:
		return random_pool_bytes(rnd);
	}
}

/* Enters a block, fresh from the allocator, in @hold and marks it. */
static void hold_take(struct hold *hold, void *p, u32 bytes, bool zeroed,
		      struct part *part)
{
	struct tally *tally = &part->tally;

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
	hold->tag = prandom_u32_state(&part->rnd);
	hold->from = part->context;
	pattern_fill(p, bytes, hold->tag);
}

static void hold_release(struct hold *hold, struct part *part)
{
	struct tally *tally = &part->tally;

	if (!pattern_ok(hold->p, hold->bytes, hold->tag)) {
		tally->mismatches++;
		pr_err_ratelimited("%u bytes at %p are damaged\n", hold->bytes,
				   hold->p);
	}
	hkm_kfree(hold->p);
	hold->p = NULL;
	tally->frees++;
	if (hold->from != part->context)
		tally->taken++;
}

static void worker_alloc(struct worker *worker, struct hold *hold)
{
	struct rnd_state *rnd = &worker->part.rnd;
	u32 bytes = random_bytes(rnd);
	bool zeroed = !random_below(rnd, 8);
	gfp_t zero = zeroed ? __GFP_ZERO : 0;
	void *p;

	if (random_below(rnd, 2)) {
		p = hkm_kmalloc(bytes, GFP_KERNEL | zero);
	} else {
		spin_lock(&worker->lock);
		p = hkm_kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN | zero);
		spin_unlock(&worker->lock);
	}
	hold_take(hold, p, bytes, zeroed, &worker->part);
}

/* Memory of kmalloc() cannot be freed in NMIs. */
static bool worker_send_up(struct worker *worker, struct hold *hold)
{
	enum context to = TASK + 1 + random_below(&worker->part.rnd,
						  NR_CONTEXTS - TASK - 1);

	if (to == NMI && !hkm_owns(hold->p))
		return false;
	return fifo_put(&worker->interrupts->nested[to].in, *hold);
}

static void worker_give_away(struct worker *worker, struct hold *hold)
{
	struct rnd_state *rnd = &worker->part.rnd;
	struct worker *to = &workers[random_below(rnd, nr_workers)];

	if ((worker->interrupts && random_below(rnd, 2) &&
	     worker_send_up(worker, hold)) ||
	    kfifo_in_spinlocked(&to->inbox, hold, 1, &to->inbox_lock))
		hold->p = NULL;
	else
		hold_release(hold, &worker->part);
}

static void worker_empty_inbox(struct worker *worker)
{
	struct hold hold;

	while (kfifo_out_spinlocked(&worker->inbox, &hold, 1, &worker->inbox_lock)) {
		hold_release(&hold, &worker->part);
		cond_resched();
	}
}

/* Sends on what the interrupts of its CPU gave it. */
static void worker_deliver(struct worker *worker)
{
	struct nested *nested = worker->interrupts->nested;
	struct hold hold;
	unsigned int i;

	for (i = 0; i < NR_CONTEXTS; i++) {
		while (fifo_get(&nested[i].out, &hold)) {
			worker_give_away(worker, &hold);
			cond_resched();
		}
	}
}

static void worker_step(struct worker *worker)
{
	struct rnd_state *rnd = &worker->part.rnd;
	struct hold *hold = &worker->hold[random_below(rnd, WORKER_HOLDS)];

	if (!hold->p)
		worker_alloc(worker, hold);
	else if (random_below(rnd, 4))
		worker_give_away(worker, hold);
	else
		hold_release(hold, &worker->part);
	worker->part.tally.runs++;
}

/* On the CPU that they are to interrupt, which pinned timers then stay on. */
static void interrupts_start(struct interrupts *irqs)
{
	if (softirq)
		mod_timer(&irqs->timer, jiffies + TIMER_JIFFIES);
	if (irq)
		hrtimer_start(&irqs->tick, ns_to_ktime(TICK_NS),
			      HRTIMER_MODE_REL_PINNED_HARD);
}

/* In the order in which they start each other. */
static void interrupts_stop(struct interrupts *irqs)
{
	hrtimer_cancel(&irqs->tick);
	tasklet_kill(&irqs->tasklet);
	timer_delete_sync(&irqs->timer);
}

/* Threads and timers of a CPU that goes move to others, and stay there. */
static void worker_return(struct worker *worker)
{
	struct interrupts *irqs = worker->interrupts;

	if (!cpu_active(worker->cpu) ||
	    set_cpus_allowed_ptr(current, cpumask_of(worker->cpu)))
		return;
	worker->returns++;
	if (irqs) {
		interrupts_stop(irqs);
		/* On two CPUs at a time, they did not leave it as found. */
		irqs->running = TASK;
		interrupts_start(irqs);
	}
}

/* Else faults spare it: they are set up for marked tasks only. */
static void worker_mark(void)
{
#ifdef CONFIG_FAULT_INJECTION
	current->make_it_fail = faults;
#endif
}

static int worker_run(void *arg)
{
	struct worker *worker = arg;

	worker_mark();
	if (worker->interrupts)
		interrupts_start(worker->interrupts);
	while (!kthread_should_stop()) {
		if (raw_smp_processor_id() != worker->cpu)
			worker_return(worker);
		worker_empty_inbox(worker);
		if (worker->interrupts)
			worker_deliver(worker);
		worker_step(worker);
		if (pause_us)
			usleep_range(pause_us, 2 * pause_us);
		else
			cond_resched();
	}
	return 0;
}

/* Hands on or frees one of the kept blocks: the caller puts another in place. */
static struct hold *nested_make_room(struct nested *nested)
{
	struct rnd_state *rnd = &nested->part.rnd;
	struct hold *hold = &nested->hold[random_below(rnd, NESTED_HOLDS)];

	if (!hold->p)
		return hold;
	if (random_below(rnd, 2) && fifo_put(&nested->out, *hold))
		hold->p = NULL;
	else
		hold_release(hold, &nested->part);
	return hold;
}

/* For an NMI only the pool's own: memory of kmalloc() cannot be freed there. */
static void nested_alloc(struct nested *nested, struct hold *hold)
{
	struct rnd_state *rnd = &nested->part.rnd;
	bool zeroed = !random_below(rnd, 8);
	gfp_t zero = zeroed ? __GFP_ZERO : 0;
	u32 bytes;
	void *p;

	if (nested->part.context == NMI) {
		bytes = random_pool_bytes(rnd);
		p = hkm_kmalloc_nolock(bytes, zero);
	} else {
		bytes = random_bytes(rnd);
		p = hkm_kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN | zero);
	}
	hold_take(hold, p, bytes, zeroed, &nested->part);
}

static void nested_run(struct interrupts *irqs, enum context context)
{
	struct nested *nested = &irqs->nested[context];
	enum context interrupted = READ_ONCE(irqs->running);
	struct hold sent;

	WRITE_ONCE(irqs->running, context);
	nested->part.tally.runs++;
	if (interrupted != TASK)
		nested->part.tally.nested++;
	if (fifo_get(&nested->in, &sent))
		hold_release(&sent, &nested->part);
	nested_alloc(nested, nested_make_room(nested));
	WRITE_ONCE(irqs->running, interrupted);
}

/* Goes on until a hard interrupt comes in between, if one does soon enough. */
static void timer_run(struct timer_list *timer)
{
	struct interrupts *irqs = container_of(timer, struct interrupts, timer);
	struct tally *tick = &irqs->nested[HARDIRQ].part.tally;
	unsigned long ticks = READ_ONCE(tick->runs);
	unsigned int i = 0;

	do {
		nested_run(irqs, TIMER);
	} while (irq && READ_ONCE(tick->runs) == ticks && ++i < TIMER_STEPS_MAX);
	mod_timer(timer, jiffies + TIMER_JIFFIES);
}

static void tasklet_run(struct tasklet_struct *tasklet)
{
	nested_run(container_of(tasklet, struct interrupts, tasklet), TASKLET);
}

static enum hrtimer_restart tick_run(struct hrtimer *timer)
{
	struct interrupts *irqs = container_of(timer, struct interrupts, tick);
	u64 start = ktime_get_ns(), took;

	nested_run(irqs, HARDIRQ);
	if (softirq)
		tasklet_schedule(&irqs->tasklet);
	took = ktime_get_ns() - start;
	hrtimer_forward_now(timer, ns_to_ktime(TICK_NS + tick_rest * took));
	return HRTIMER_RESTART;
}

static int nmi_run(unsigned int type, struct pt_regs *regs)
{
	struct interrupts *irqs = interrupts_of[smp_processor_id()];

	if (!irqs)
		return NMI_DONE;
	nested_run(irqs, NMI);
	return NMI_HANDLED;
}

static void tally_add(struct tally *sum, const struct tally *tally)
{
	sum->runs += tally->runs;
	sum->allocs += tally->allocs;
	sum->frees += tally->frees;
	sum->taken += tally->taken;
	sum->nested += tally->nested;
	sum->failed += tally->failed;
	sum->mismatches += tally->mismatches;
}

static void holds_release(struct hold *hold, unsigned int nr, struct part *part)
{
	while (nr--)
		if (hold[nr].p)
			hold_release(&hold[nr], part);
}

/*
 * After the last context has stopped: frees all, which counts as the worker's,
 * and adds up.
 */
static void interrupts_settle(struct interrupts *irqs, struct worker *worker)
{
	struct nested *nested = irqs->nested;
	struct hold hold;
	unsigned int i;

	for (i = 0; i < NR_CONTEXTS; i++) {
		while (fifo_get(&nested[i].in, &hold) ||
		       fifo_get(&nested[i].out, &hold))
			hold_release(&hold, &worker->part);
		holds_release(nested[i].hold, NESTED_HOLDS, &worker->part);
		tally_add(totals[i], &nested[i].part.tally);
	}
}

static void worker_settle(struct worker *worker)
{
	worker_empty_inbox(worker);
	holds_release(worker->hold, WORKER_HOLDS, &worker->part);
	if (worker->interrupts)
		interrupts_settle(worker->interrupts, worker);
	tally_add(&task_total, &worker->part.tally);
	returns += worker->returns;
}

static void totals_add_up(void)
{
	unsigned int i;

	for (i = 0; i < NR_CONTEXTS; i++) {
		allocs += totals[i]->allocs;
		frees += totals[i]->frees;
		mismatches += totals[i]->mismatches;
		/* In NMI, NULL only says that nothing was stocked. */
		if (i != NMI)
			failed += totals[i]->failed;
	}
	/* Lost blocks show as allocs without frees. */
	leaked = allocs - frees;
}

static void part_init(struct part *part, enum context context)
{
	static unsigned int nr_parts;

	part->context = context;
	prandom_seed_state(&part->rnd, seed + nr_parts++);
}

static struct interrupts *interrupts_create(void)
{
	struct interrupts *irqs = kvzalloc(sizeof(*irqs), GFP_KERNEL);
	unsigned int i;

	if (!irqs)
		return NULL;
	for (i = 0; i < NR_CONTEXTS; i++) {
		part_init(&irqs->nested[i].part, i);
		INIT_KFIFO(irqs->nested[i].in);
		INIT_KFIFO(irqs->nested[i].out);
	}
	timer_setup(&irqs->timer, timer_run, TIMER_PINNED);
	tasklet_setup(&irqs->tasklet, tasklet_run);
	hrtimer_setup(&irqs->tick, tick_run, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	return irqs;
}

static int worker_create(struct worker *worker, int cpu)
{
	struct task_struct *task;

	part_init(&worker->part, TASK);
	spin_lock_init(&worker->lock);
	spin_lock_init(&worker->inbox_lock);
	INIT_KFIFO(worker->inbox);

	task = kthread_create(worker_run, worker, "hkm_stress/%d", cpu);
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpu);
	/* Or kmemleak's scan, which is nice, stays preempted inside an RCU section. */
	set_user_nice(task, MAX_NICE);
	worker->task = task;
	worker->cpu = cpu;
	return 0;
}

static int workers_create(void)
{
	struct worker *worker;
	int cpu, err, i;

	for (i = 0; i < WORKERS_PER_CPU; i++) {
		for_each_online_cpu(cpu) {
			worker = &workers[nr_workers];
			err = worker_create(worker, cpu);
			if (err)
				return err;
			nr_workers++;
			if (i)
				continue;
			interrupts_of[cpu] = interrupts_create();
			if (!interrupts_of[cpu])
				return -ENOMEM;
			worker->interrupts = interrupts_of[cpu];
		}
	}
	return 0;
}

/* Also ends threads that never ran. */
static void workers_stop(void)
{
	int cpu;
	unsigned int i;

	for (i = 0; i < nr_workers; i++)
		kthread_stop(workers[i].task);
	for_each_possible_cpu(cpu)
		if (interrupts_of[cpu])
			interrupts_stop(interrupts_of[cpu]);
	for (i = 0; i < nr_workers; i++)
		worker_settle(&workers[i]);
	totals_add_up();
	for_each_possible_cpu(cpu)
		kvfree(interrupts_of[cpu]);
}

/* Until the time is up, insmod is killed, or it is told to stop. */
static int traffic_run(void)
{
	unsigned int ticks, i;
	int err;

	if (nmi) {
		err = register_nmi_handler(NMI_UNKNOWN, nmi_run, 0, "hkm_stress");
		if (err)
			return err;
	}
	for (i = 0; i < nr_workers; i++)
		wake_up_process(workers[i].task);
	for (ticks = 0; ticks < seconds * STOP_HZ && !READ_ONCE(stop); ticks++)
		if (schedule_timeout_killable(HZ / STOP_HZ))
			break;
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

	pr_info("allocs=%lu frees=%lu failed=%lu mismatches=%lu leaked=%lu\n",
		allocs, frees, failed, mismatches, leaked);
	return 0;
}

static void __exit stress_exit(void)
{
}

module_init(stress_init);
module_exit(stress_exit);
MODULE_DESCRIPTION("Mixed traffic on hakmem from every context");
MODULE_LICENSE("GPL");
