// SPDX-License-Identifier: GPL-2.0
/*
 * Holds a mix of buffers of one range of sizes, and replaces them one by one in
 * random order. The range, the amount and the allocator may be changed at any time;
 * the mix follows as blocks are replaced. Each is marked when it comes, and looked at
 * before it goes.
 *
 * For the test of dynamic classes: what memory costs for each byte asked for.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <hakmem.h>

#include "pattern.h"

#define NR_THREADS	2
#define RESTS_PER_S	100
/* Replaced between two rests, as fast as may be. */
#define BATCH		256

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

/**
 * struct mixer - one thread and what it holds
 * @task: the thread
 * @rnd: its random numbers
 * @hold: the blocks
 * @nr: their number
 */
struct mixer {
	struct task_struct *task;
	struct rnd_state rnd;
	struct hold *hold;
	unsigned long nr;
};

static uint min_bytes = 9320;
module_param(min_bytes, uint, 0644);
MODULE_PARM_DESC(min_bytes, "smallest request (default 9320)");

static uint max_bytes = 9320;
module_param(max_bytes, uint, 0644);
MODULE_PARM_DESC(max_bytes, "largest request (default 9320)");

static ulong held = SZ_64M;
module_param(held, ulong, 0644);
MODULE_PARM_DESC(held, "bytes to hold, in requests of at least 2048 (default 64 MiB; most at load)");

static bool use_kmalloc;
module_param(use_kmalloc, bool, 0644);
MODULE_PARM_DESC(use_kmalloc, "take new blocks from kmalloc() (default N)");

static uint rate;
module_param(rate, uint, 0644);
MODULE_PARM_DESC(rate, "blocks to replace in a second (default 0: as many as may be)");

static atomic_long_t replaced;
static atomic_long_t failed;
static atomic_long_t mismatches;
/* Of what is held now. */
static atomic_long_t requested;
static atomic_long_t rounded;

static int result_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%ld\n", atomic_long_read(kp->arg));
}

static const struct kernel_param_ops result_ops = {
	.get = result_get,
};

#define RESULT(name, what)						\
	module_param_cb(name, &result_ops, &name, 0444);		\
	MODULE_PARM_DESC(name, "result: " what)

RESULT(replaced, "blocks that took another's place");
RESULT(failed, "requests that were given NULL");
RESULT(mismatches, "blocks that were damaged");
RESULT(requested, "bytes asked for that are held");
RESULT(rounded, "the same as ksize() has them");

static struct mixer mixers[NR_THREADS];
static unsigned long max_holds;

static void hold_drop(struct hold *hold)
{
	if (!hold->p)
		return;
	if (!pattern_ok(hold->p, hold->bytes, hold->tag)) {
		atomic_long_inc(&mismatches);
		pr_err_ratelimited("%u bytes at %p are damaged\n", hold->bytes, hold->p);
	}
	atomic_long_sub(hold->bytes, &requested);
	atomic_long_sub(hkm_ksize(hold->p), &rounded);
	hkm_kfree(hold->p);
	hold->p = NULL;
}

static void hold_take(struct mixer *mixer, struct hold *hold)
{
	u32 least = READ_ONCE(min_bytes), most = READ_ONCE(max_bytes);

	hold->bytes = least + prandom_u32_state(&mixer->rnd) % (max(most, least) - least + 1);
	hold->tag = prandom_u32_state(&mixer->rnd);
	if (READ_ONCE(use_kmalloc))
		hold->p = kmalloc(hold->bytes, GFP_KERNEL);
	else
		hold->p = hkm_kmalloc(hold->bytes, GFP_KERNEL);
	if (!hold->p) {
		atomic_long_inc(&failed);
		return;
	}
	pattern_fill(hold->p, hold->bytes, hold->tag);
	atomic_long_add(hold->bytes, &requested);
	atomic_long_add(hkm_ksize(hold->p), &rounded);
}

/* Fills up, or else replaces one. False if it has filled up. */
static bool mix_step(struct mixer *mixer)
{
	long least = READ_ONCE(held);
	struct hold *hold;

	if (mixer->nr < max_holds && atomic_long_read(&requested) < least) {
		hold_take(mixer, &mixer->hold[mixer->nr++]);
		return false;
	}
	if (!mixer->nr)
		return true;
	hold = &mixer->hold[prandom_u32_state(&mixer->rnd) % mixer->nr];
	hold_drop(hold);
	if (atomic_long_read(&requested) < least) {
		hold_take(mixer, hold);
		atomic_long_inc(&replaced);
	} else {
		*hold = mixer->hold[--mixer->nr];
	}
	return true;
}

static int mix_main(void *data)
{
	struct mixer *mixer = data;
	unsigned int batch, i;

	while (!kthread_should_stop()) {
		batch = READ_ONCE(rate) / NR_THREADS / RESTS_PER_S ?: BATCH;
		for (i = 0; i < batch;)
			i += mix_step(mixer);
		if (READ_ONCE(rate))
			msleep(MSEC_PER_SEC / RESTS_PER_S);
		else
			usleep_range(BATCH, 2 * BATCH);
	}
	for (i = 0; i < mixer->nr; i++)
		hold_drop(&mixer->hold[i]);
	return 0;
}

static void mix_stop(void)
{
	unsigned int i;

	for (i = 0; i < NR_THREADS; i++) {
		if (mixers[i].task)
			kthread_stop(mixers[i].task);
		vfree(mixers[i].hold);
	}
}

static int __init mix_init(void)
{
	unsigned int i;

	max_holds = held / SZ_2K;
	for (i = 0; i < NR_THREADS; i++) {
		struct mixer *mixer = &mixers[i];
		struct task_struct *task;

		prandom_seed_state(&mixer->rnd, i + 1);
		mixer->hold = vzalloc(array_size(max_holds, sizeof(*mixer->hold)));
		if (!mixer->hold) {
			mix_stop();
			return -ENOMEM;
		}
		task = kthread_run(mix_main, mixer, "hkm_mix/%u", i);
		if (IS_ERR(task)) {
			mix_stop();
			return PTR_ERR(task);
		}
		mixer->task = task;
	}
	return 0;
}

static void __exit mix_exit(void)
{
	mix_stop();
}

module_init(mix_init);
module_exit(mix_exit);
MODULE_DESCRIPTION("Holds a mix of buffers for the tests of hakmem");
MODULE_LICENSE("GPL");
