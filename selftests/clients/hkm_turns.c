// SPDX-License-Identifier: GPL-2.0
/*
 * A load for which W_MAX matters: 160 % is best, by construction.
 *
 * Each CPU takes turns, for so long that what was freed in one turn is trimmed before
 * the next but one, if CAPs are low:
 *
 *	one	holds SWAPPED buffers of 16 KiB. Then it has WANTED of 52 KiB for a
 *		moment, and after those WANTED of 32 000 bytes and WANTED of 52 KiB to
 *		hold
 *	two	has freed all that, and holds SWAPPED buffers of 10 300 bytes
 *
 * Turn two finds nothing of its own class, but 16 KiB blocks that were freed just
 * before, 159.07 % of what it asks for: from 160 % on they serve, come back when turn
 * one needs them, and nothing is fetched from the page allocator. At 170 % the
 * requests for 32 000 bytes take what was stocked of 52 KiB, 166.4 %, and those for
 * 52 KiB that follow need a new chunk each, where a chunk is two blocks of 32 KiB.
 */
#include <linux/cpu.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <hakmem.h>

#define SWAPPED	200
#define WANTED	50

static uint hold_ms = 1300;
module_param(hold_ms, uint, 0444);
MODULE_PARM_DESC(hold_ms, "length of a turn (default 1300)");

static unsigned long failed;
module_param(failed, ulong, 0444);
MODULE_PARM_DESC(failed, "result: requests that were given NULL");

/**
 * struct turns - one CPU's
 * @work: what takes them
 * @two: whose turn it is
 * @nr: buffers held
 * @p: these
 */
struct turns {
	struct delayed_work work;
	bool two;
	unsigned int nr;
	void *p[SWAPPED + 2 * WANTED];
};

static DEFINE_PER_CPU(struct turns, turns);

static void take(struct turns *t, unsigned int nr, size_t bytes)
{
	while (nr--) {
		void *p = hkm_kmalloc(bytes, GFP_KERNEL);

		if (p)
			t->p[t->nr++] = p;
		else
			failed++;
	}
}

static void free_down_to(struct turns *t, unsigned int nr)
{
	while (t->nr > nr)
		hkm_kfree(t->p[--t->nr]);
}

static void turn(struct work_struct *work)
{
	struct turns *t = container_of(work, struct turns, work.work);

	free_down_to(t, 0);
	if (t->two) {
		take(t, SWAPPED, 10300);
	} else {
		take(t, SWAPPED, SZ_16K);
		take(t, WANTED, 52 * SZ_1K);
		free_down_to(t, SWAPPED);
		take(t, WANTED, 32000);
		take(t, WANTED, 52 * SZ_1K);
	}
	t->two = !t->two;
	schedule_delayed_work_on(raw_smp_processor_id(), &t->work,
				 msecs_to_jiffies(hold_ms));
}

static int __init turns_init(void)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		struct turns *t = per_cpu_ptr(&turns, cpu);

		INIT_DELAYED_WORK(&t->work, turn);
		schedule_delayed_work_on(cpu, &t->work, 0);
	}
	cpus_read_unlock();
	return 0;
}

static void __exit turns_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct turns *t = per_cpu_ptr(&turns, cpu);

		if (!t->work.work.func)
			continue;
		cancel_delayed_work_sync(&t->work);
		free_down_to(t, 0);
	}
}

module_init(turns_init);
module_exit(turns_exit);
MODULE_DESCRIPTION("A load for which W_MAX matters");
MODULE_LICENSE("GPL");
