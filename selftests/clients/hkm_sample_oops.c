// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a mistake with a sample of hakmem: as the parameter what says, past_end,
 * after_free, or leave_live. A thread makes the first two, which must fault, and
 * the oops ends it: the parameter survived tells whether it did not.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <hakmem.h>

/* So that its end is the end of its slot. */
#define BLOCK_BYTES	SZ_8K
#define WAIT_MS		30000

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "past_end, after_free, or leave_live");

static bool survived;
module_param(survived, bool, 0444);
MODULE_PARM_DESC(survived, "result: the mistake was not a fault");

/* The first sample to come. */
static noinline u8 *sample_get(void)
{
	unsigned int ms;
	u8 *p;

	for (ms = 0; ms < WAIT_MS; ms++) {
		p = hkm_kmalloc(BLOCK_BYTES, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(p);
		if (is_vmalloc_addr(p))
			return p;
		hkm_kfree(p);
		usleep_range(1000, 2000);
	}
	return NULL;
}

/* Waits until it is unmapped. */
static noinline void sample_put(u8 *p)
{
	unsigned int ms;
	u8 byte;

	hkm_kfree(p);
	for (ms = 0; ms < WAIT_MS; ms++) {
		if (copy_from_kernel_nofault(&byte, p, 1))
			return;
		usleep_range(1000, 2000);
	}
}

static DECLARE_COMPLETION(begun);

static int mistake_make(void *arg)
{
	u8 *p = arg;

	complete(&begun);
	if (!strcmp(what, "past_end")) {
		WRITE_ONCE(p[BLOCK_BYTES], 1);
	} else {
		sample_put(p);
		(void)READ_ONCE(p[100]);
	}
	WRITE_ONCE(survived, true);
	return 0;
}

static int thread_run(u8 *p)
{
	struct task_struct *task = kthread_create(mistake_make, p, "hkm_mistake");

	if (IS_ERR(task)) {
		hkm_kfree(p);
		return PTR_ERR(task);
	}
	get_task_struct(task);
	wake_up_process(task);
	/* One that has not begun would be stopped before. */
	wait_for_completion(&begun);
	kthread_stop(task);
	put_task_struct(task);
	if (!strcmp(what, "past_end"))
		hkm_kfree(p);
	return 0;
}

static int __init sample_oops_init(void)
{
	u8 *p;

	if (strcmp(what, "past_end") && strcmp(what, "after_free") &&
	    strcmp(what, "leave_live"))
		return -EINVAL;
	p = sample_get();
	if (!p)
		return -ETIMEDOUT;
	return strcmp(what, "leave_live") ? thread_run(p) : 0;
}

static void __exit sample_oops_exit(void)
{
}

module_init(sample_oops_init);
module_exit(sample_oops_exit);
MODULE_DESCRIPTION("Mistakes with samples of hakmem");
MODULE_LICENSE("GPL");
