// SPDX-License-Identifier: GPL-2.0
/*
 * Holds as much memory as it is told to, in blocks of mixed sizes.
 *
 * Writing to the parameter held, in MiB, allocates up to that on one CPU, or
 * frees blocks down to that, in random order, on all others at once. Each block
 * is marked when it comes, and looked at before it goes. A request that is given
 * NULL ends the burst: all is freed again, and the write fails with ENOMEM.
 *
 * For the tests of how memory comes back. One writer at a time: as it is with
 * the parameters of a module.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <hakmem.h>

#include "pattern.h"

/* Where memory is short, NULL is wanted, and nobody killed. */
#define BURST_GFP	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/**
 * struct hold - one live block
 * @p: the block
 * @bytes: size asked for
 * @tag: its mark, see pattern.h
 */
struct hold {
	void *p;
	u32 bytes;
	u32 tag;
};

static uint most = 512;
module_param(most, uint, 0444);
MODULE_PARM_DESC(most, "MiB that will be held at most (default 512)");

static uint min_bytes = SZ_2K;
module_param(min_bytes, uint, 0444);
MODULE_PARM_DESC(min_bytes, "smallest request (default 2048)");

static uint max_bytes = 52 * SZ_1K;
module_param(max_bytes, uint, 0444);
MODULE_PARM_DESC(max_bytes, "largest request (default 53248)");

static int cpu;
module_param(cpu, int, 0644);
MODULE_PARM_DESC(cpu, "where to allocate (default 0)");

static bool same_cpu;
module_param(same_cpu, bool, 0644);
MODULE_PARM_DESC(same_cpu, "free there too, and not on the others");

#define RESULT(name, what)						\
	static unsigned long name;					\
	module_param(name, ulong, 0444);				\
	MODULE_PARM_DESC(name, "result: " what)

RESULT(allocs, "blocks allocated");
RESULT(pool_allocs, "of these, blocks of the pool");
RESULT(failed, "requests that were given NULL");
RESULT(peak, "MiB held when there were most");

static atomic_long_t mismatches;

static struct workqueue_struct *queue;
static DEFINE_PER_CPU(struct work_struct, works);
static struct rnd_state rnd;

static struct hold *holds;
static unsigned long nr_holds, max_holds;
static unsigned long held_bytes;

/* What the threads are at. */
static unsigned long want_bytes;
static unsigned long nr_keep;
static atomic_long_t next_free;

static void allocate(struct work_struct *work)
{
	while (held_bytes < want_bytes && nr_holds < max_holds) {
		struct hold *hold = &holds[nr_holds];

		hold->bytes = min_bytes + prandom_u32_state(&rnd) %
					  (max_bytes - min_bytes + 1);
		hold->p = hkm_kmalloc(hold->bytes, BURST_GFP);
		if (!hold->p) {
			failed++;
			break;
		}
		allocs++;
		pool_allocs += hkm_owns(hold->p);
		hold->tag = nr_holds++;
		held_bytes += hold->bytes;
		pattern_fill(hold->p, hold->bytes, hold->tag);
		cond_resched();
	}
	peak = max(peak, held_bytes / SZ_1M);
}

/* Takes blocks as long as there are any to be freed. */
static void release(struct work_struct *work)
{
	long i;

	while ((i = atomic_long_dec_return(&next_free)) >= (long)nr_keep) {
		struct hold *hold = &holds[i];

		if (!pattern_ok(hold->p, hold->bytes, hold->tag)) {
			atomic_long_inc(&mismatches);
			pr_err_ratelimited("%u bytes at %p are damaged\n",
					   hold->bytes, hold->p);
		}
		hkm_kfree(hold->p);
		cond_resched();
	}
}

static void holds_shuffle(void)
{
	unsigned long i, j;

	for (i = nr_holds; i > 1; i--) {
		j = prandom_u32_state(&rnd) % i;
		swap(holds[i - 1], holds[j]);
	}
}

/* Runs @fn on the CPU of allocations, or else on all others; waits for the end. */
static void run_on(bool there, work_func_t fn)
{
	unsigned int nr = 0;
	int i;

	for_each_online_cpu(i) {
		struct work_struct *work = per_cpu_ptr(&works, i);
		bool is_there = i == cpu;

		if (is_there != there)
			continue;
		INIT_WORK(work, fn);
		queue_work_on(i, queue, work);
		nr++;
	}
	flush_workqueue(queue);
	/* The only CPU, or one that went away meanwhile. */
	if (!nr)
		fn(NULL);
}

static void hold_less(unsigned long bytes)
{
	unsigned long i;

	holds_shuffle();
	for (i = nr_holds; i && held_bytes > bytes; i--)
		held_bytes -= holds[i - 1].bytes;
	nr_keep = i;
	atomic_long_set(&next_free, nr_holds);
	run_on(same_cpu, release);
	nr_holds = nr_keep;
}

static int held_set(const char *text, const struct kernel_param *kp)
{
	unsigned long failed_before = failed;
	unsigned int mib;
	int err = kstrtouint(text, 0, &mib);

	if (err)
		return err;
	if (!holds || mib > most)
		return -EINVAL;
	want_bytes = (unsigned long)mib * SZ_1M;
	if (held_bytes > want_bytes) {
		hold_less(want_bytes);
		return 0;
	}
	run_on(true, allocate);
	if (failed == failed_before)
		return 0;
	hold_less(0);
	return -ENOMEM;
}

static int held_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%lu\n", held_bytes / SZ_1M);
}

static const struct kernel_param_ops held_ops = {
	.set = held_set,
	.get = held_get,
};
module_param_cb(held, &held_ops, NULL, 0644);
MODULE_PARM_DESC(held, "MiB held now; after load, written to say how many");

static int mismatches_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&mismatches));
}

static const struct kernel_param_ops mismatches_ops = {
	.get = mismatches_get,
};
module_param_cb(mismatches, &mismatches_ops, NULL, 0444);
MODULE_PARM_DESC(mismatches, "result: blocks that were damaged");

static int __init burst_init(void)
{
	if (!min_bytes || min_bytes > max_bytes)
		return -EINVAL;
	prandom_seed_state(&rnd, 1);
	queue = create_workqueue("hkm_burst");
	if (!queue)
		return -ENOMEM;
	max_holds = (unsigned long)most * SZ_1M / min_bytes + 1;
	holds = kvcalloc(max_holds, sizeof(*holds), GFP_KERNEL);
	if (holds)
		return 0;
	destroy_workqueue(queue);
	return -ENOMEM;
}

static void __exit burst_exit(void)
{
	hold_less(0);
	destroy_workqueue(queue);
	kvfree(holds);
}

module_init(burst_init);
module_exit(burst_exit);
MODULE_DESCRIPTION("Bursts of allocations from hakmem");
MODULE_LICENSE("GPL");
