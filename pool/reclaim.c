// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim: when memory that is held but not used is given back, see trim.c.
 *
 * Once a second while the pool holds memory, a class that holds more than its
 * CAP in free chunks is trimmed to that; what a CPU parks for a class that it has
 * not used for the policy's idle_ms goes to the shared tier, and a class that no
 * CPU has used for as long keeps nothing. On request (sysfs trim), under memory
 * pressure (shrinker), before the kernel kills for memory (OOM notifier), and
 * when a CPU goes away.
 *
 * What a CPU parks is moved to the shared tier by an interrupt on that CPU,
 * unless it hits a busy section; for a dead CPU, by whoever saw it die.
 *
 * hkm_trim_lock protects the ages below too.
 */
#include <linux/bitmap.h>
#include <linux/cpuhotplug.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/oom.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "inventory.h"
#include "reclaim.h"
#include "reserve.h"
#include "trim.h"
#include "../include/hkm_compat.h"
#include "../learner/learner.h"
#include "../learner/policy.h"

#define TICK_MS		1000
/* Ticks between fruitless passes double up to this; to less, the more there is to gain. */
#define PAUSE_MAX	64
#define PAUSE_MIN	3
/* Interrupts sent to a CPU that was busy each time. */
#define FLUSH_TRIES	10
/* Jiffies that the shrinker waits for trim at most. */
#define SCAN_WAITS	(HZ / 10)

/**
 * struct bin_age - what reclaim knows of a bin
 * @at_cap: free memory that no CPU parks was at or over CAP at the latest tick
 * @pause: ticks until the next pass
 * @next_pause: @pause after a fruitless pass
 * @live: blocks that callers held at the latest fruitless pass
 * @scattered: since the latest tick the shrinker found nothing to give back
 */
struct bin_age {
	bool at_cap;
	u8 pause;
	u8 next_pause;
	s64 live;
	bool scattered;
};

static struct bin_age bin_ages[HKM_MAX_BINS];

/*
 * Of the reserve: as @pause and @next_pause above, and the chunks missing then.
 * Under hkm_trim_lock.
 */
static struct {
	u8 pause;
	u8 next_pause;
	unsigned int missing;
} reserve_age;

/* Memory was given back that CAP would have let stay. */
static bool forced;
/* Or is going to be, by the next tick. Under hkm_trim_lock. */
static bool tick_forced;

/* Some of the bins, one bit each. */
struct bin_set {
	DECLARE_BITMAP(bits, HKM_MAX_BINS);
};

struct cpu_flush {
	struct bin_set bins;
	bool busy;
};

static void this_cpu_flush(void *arg)
{
	struct hkm_cpu *cpu = hkm_cpu_enter();
	struct cpu_flush *flush = arg;

	flush->busy = cpu == &hkm_cpu_busy;
	if (!flush->busy)
		hkm_cpu_flush(hkm_cpu_own(cpu), flush->bins.bits);
	hkm_cpu_leave(cpu);
}

/*
 * Moves what a CPU parks of @bins to the shared tier, if it is online. Under
 * no lock against hotplug: that could not be taken in reclaim. A CPU that parks
 * nothing is left alone: it may be asleep.
 */
static void cpu_flush(int cpu, const struct bin_set *bins)
{
	const struct hkm_cpu *parker = hkm_cpu_of(cpu);
	struct cpu_flush flush = { .busy = true };
	unsigned int bin, i;

	for_each_set_bit(bin, bins->bits, hkm_nr_bins)
		if (hkm_cpu_parks(parker, bin))
			__set_bit(bin, flush.bins.bits);
	if (bitmap_empty(flush.bins.bits, HKM_MAX_BINS))
		return;
	for (i = 0; flush.busy && i < FLUSH_TRIES; i++)
		if (smp_call_function_single(cpu, this_cpu_flush, &flush, 1))
			return;
}

static void cpus_flush(const struct bin_set *bins)
{
	int cpu;

	for_each_online_cpu(cpu)
		cpu_flush(cpu, bins);
}

/* Blocks that callers hold, of what hkm_stats_read() has found. */
static s64 live_blocks(const struct hkm_class_stats *sum)
{
	return max_t(s64, hkm_stats_live(sum), 0);
}

/*
 * What a bin keeps and @blocks more that are free, in 64 KiB chunks: about what a
 * pass could give back, were it not scattered.
 */
static long free_chunks(unsigned int bin, s64 blocks)
{
	const struct hkm_class *cl = &hkm_classes[bin];
	long spans;

	/* A class not in use has no blocks in a span. */
	if (blocks <= 0)
		return hkm_inventory_count(bin);
	spans = (blocks + cl->nr_blocks - 1) / cl->nr_blocks;
	return hkm_inventory_count(bin) + (spans << cl->span_order);
}

/* Ages a ring. True if it has not been used for long. */
static bool ring_age(struct hkm_ring *ring, unsigned int idle_ticks)
{
	u64 uses = hkm_ring_uses(ring);

	if (uses != ring->idle_uses) {
		ring->idle_uses = uses;
		ring->idle_ticks = 0;
	} else if (ring->idle_ticks < idle_ticks) {
		ring->idle_ticks++;
	}
	/* More, where the policy has become stricter. */
	return ring->idle_ticks >= idle_ticks;
}

/* Flushes idle rings. Fills @all with the bins that are idle on all CPUs. */
static void cpus_age(unsigned int idle_ticks, struct bin_set *all)
{
	struct bin_set idle;
	unsigned int bin;
	int i;

	bitmap_fill(all->bits, HKM_MAX_BINS);
	for_each_possible_cpu(i) {
		struct hkm_ring *ring = hkm_cpu_of(i)->ring;

		bitmap_zero(idle.bits, HKM_MAX_BINS);
		for (bin = 0; bin < hkm_nr_bins; bin++) {
			if (ring_age(&ring[bin], idle_ticks))
				__set_bit(bin, idle.bits);
			else
				__clear_bit(bin, all->bits);
		}
		cpu_flush(i, &idle);
		/* What that has moved was no use of them. */
		for_each_set_bit(bin, idle.bits, hkm_nr_bins)
			ring[bin].idle_uses = hkm_ring_uses(&ring[bin]);
	}
}

/* Most ticks to leave out for a bin that holds @excess chunks more than @keep. */
static long pause_max(long keep, long excess)
{
	return clamp_t(long, PAUSE_MAX * keep / excess, PAUSE_MIN, PAUSE_MAX);
}

static void bin_tick(unsigned int bin, long cap, bool idle)
{
	struct bin_age *age = &bin_ages[bin];
	long keep = idle ? 0 : cap, held, got;
	struct hkm_class_stats sum;
	s64 live;

	hkm_stats_read(bin, &sum);
	live = live_blocks(&sum);
	/* What CPUs park is out of the reach of a pass. */
	held = free_chunks(bin, sum.shared);
	if (age->pause && live > age->live / 2) {
		/* What was in the way is still there, but not in what is kept. */
		age->pause--;
		held -= hkm_inventory_shrink(bin, keep, LONG_MAX);
	} else if (held > keep) {
		got = hkm_trim_bin_locked(bin, keep, LONG_MAX);
		age->pause = 0;
		if (got >= (held - keep + 7) / 8) {
			age->next_pause = 0;
		} else {
			/* What is free is scattered, and may be for long. */
			age->next_pause = min_t(long, 2 * age->next_pause + 1,
						pause_max(keep, held - keep));
			age->pause = age->next_pause;
			age->live = live;
		}
		held -= got;
	} else {
		age->pause = 0;
	}
	WRITE_ONCE(age->at_cap, held >= cap);
	WRITE_ONCE(age->scattered, false);
}

static unsigned int reserve_missing(void)
{
	unsigned int node, nr = 0;

	for (node = 0; node < hkm_nr_bins / HKM_NR_CLASSES; node++)
		nr += hkm_reserve_missing(node);
	return nr;
}

/* Fills the reserve, if need be with what the pool itself has in one piece. */
static void reserve_tick(const unsigned int *cap)
{
	unsigned int missing = reserve_missing(), bin;
	struct bin_set bins = {};
	long got;

	if (reserve_age.pause && missing <= reserve_age.missing) {
		reserve_age.pause--;
		return;
	}
	/* Nobody waits for it: no compaction, but by the kernel's own thread. */
	hkm_reserve_fill(GFP_NOWAIT);
	for (bin = 0; bin < hkm_nr_bins; bin++)
		if (!hkm_bin_is_large(bin) && hkm_reserve_missing(hkm_bin_node(bin)))
			__set_bit(bin, bins.bits);
	cpus_flush(&bins);
	for_each_set_bit(bin, bins.bits, hkm_nr_bins) {
		missing = hkm_reserve_missing(hkm_bin_node(bin));
		if (!missing)
			continue;
		got = hkm_inventory_shrink(bin, 0, missing);
		if (got < missing)
			hkm_trim_bin_locked(bin, cap[hkm_bin_class(bin)], LONG_MAX);
	}
	missing = reserve_missing();
	reserve_age.next_pause = missing ? min(2 * reserve_age.next_pause + 1, PAUSE_MAX) : 0;
	reserve_age.pause = reserve_age.next_pause;
	reserve_age.missing = missing;
}

/**
 * hkm_reclaim_tick() - what is to be done each second
 *
 * Context: Task; may sleep.
 */
void hkm_reclaim_tick(void)
{
	unsigned int bin, idle_ticks, cap[HKM_NR_CLASSES];
	const struct hkm_policy *policy;
	struct bin_set idle;

	preempt_disable();
	policy = rcu_dereference_sched(hkm_policy);
	idle_ticks = max(policy->idle_ms / TICK_MS, 1U);
	for (bin = 0; bin < HKM_NR_CLASSES; bin++)
		cap[bin] = policy->cap_chunks[bin];
	preempt_enable();

	mutex_lock(&hkm_trim_lock);
	reserve_tick(cap);
	cpus_age(idle_ticks, &idle);
	for (bin = 0; bin < hkm_nr_bins; bin++)
		bin_tick(bin, cap[hkm_bin_class(bin)], test_bit(bin, idle.bits));
	if (tick_forced)
		WRITE_ONCE(forced, true);
	tick_forced = false;
	mutex_unlock(&hkm_trim_lock);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reclaim_tick);

static void tick_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(tick_work, tick_work_fn);

#if IS_ENABLED(CONFIG_KUNIT)
static bool test_ticks;

/* Test hook: the tick is the test's, and begins afresh; or is not any more. */
void hkm_test_tick_own(bool own)
{
	unsigned int bin;
	int i;

	WRITE_ONCE(test_ticks, own);
	cancel_delayed_work_sync(&tick_work);
	memset(bin_ages, 0, sizeof(bin_ages));
	memset(&reserve_age, 0, sizeof(reserve_age));
	for_each_possible_cpu(i) {
		for (bin = 0; bin < hkm_nr_bins; bin++) {
			struct hkm_ring *ring = &hkm_cpu_of(i)->ring[bin];

			ring->idle_uses = 0;
			ring->idle_ticks = 0;
		}
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_tick_own);

static bool tick_off(void)
{
	return READ_ONCE(test_ticks);
}
#else
static bool tick_off(void)
{
	return false;
}
#endif

/**
 * hkm_reclaim_kick() - the pool holds memory: have it looked after
 *
 * Context: Any but NMI.
 */
void hkm_reclaim_kick(void)
{
	if (!tick_off() && !delayed_work_pending(&tick_work))
		queue_delayed_work(system_power_efficient_wq, &tick_work,
				   msecs_to_jiffies(TICK_MS));
}

static void tick_work_fn(struct work_struct *work)
{
	unsigned int bin;

	hkm_reclaim_tick();
	hkm_learner_kick();
	for (bin = 0; bin < hkm_nr_bins; bin++)
		if (hkm_chunk_count(bin))
			return hkm_reclaim_kick();
}

/**
 * hkm_reclaim_at_cap() - tell whether a refill should take no more than it needs
 * @bin: the bin
 *
 * Context: Any.
 * Return: true if the bin held free memory up to its CAP a moment ago.
 */
bool hkm_reclaim_at_cap(unsigned int bin)
{
	return READ_ONCE(bin_ages[bin].at_cap);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reclaim_at_cap);

/**
 * hkm_reclaim_was_forced() - tell whether memory was given back whatever the CAP
 *
 * For the one caller there is: it is told once.
 *
 * Context: Any.
 * Return: true if so since the latest call.
 */
bool hkm_reclaim_was_forced(void)
{
	return READ_ONCE(forced) && xchg(&forced, false);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reclaim_was_forced);

/**
 * hkm_reclaim_unpark() - move what all CPUs park of a class to the shared tier
 * @class_id: the class
 *
 * For a policy that lets them park less.
 *
 * Context: Task; may sleep.
 */
void hkm_reclaim_unpark(unsigned int class_id)
{
	struct bin_set bins = {};
	unsigned int bin;

	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		__set_bit(bin, bins.bits);
	cpus_flush(&bins);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reclaim_unpark);

/**
 * hkm_reclaim_all() - give back all that can be
 *
 * Context: Task; may sleep.
 * Return: 64 KiB chunks given back.
 */
long hkm_reclaim_all(void)
{
	struct bin_set all;
	unsigned int bin;
	long nr = 0;

	bitmap_fill(all.bits, HKM_MAX_BINS);
	mutex_lock(&hkm_trim_lock);
	cpus_flush(&all);
	for (bin = 0; bin < hkm_nr_bins; bin++)
		nr += hkm_trim_bin_locked(bin, 0, LONG_MAX);
	mutex_unlock(&hkm_trim_lock);
	WRITE_ONCE(forced, true);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_reclaim_all);

/* Whether a bin may have something to give back besides its inventory. */
static bool bin_shrinkable(unsigned int bin)
{
	return hkm_chunk_count(bin) && !READ_ONCE(bin_ages[bin].scattered);
}

/*
 * The shrinker's objects are chunks. It does not heed the tick's pauses, which may
 * be long; so that it does not try in vain again and again, a bin that was
 * found scattered does not count until the next tick.
 */
static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	struct hkm_class_stats sum;
	unsigned int bin;
	long nr = 0;

	for (bin = 0; bin < hkm_nr_bins; bin++) {
		if (!bin_shrinkable(bin)) {
			nr += hkm_inventory_count(bin);
			continue;
		}
		hkm_stats_read(bin, &sum);
		/* What trim has in hand too, so that scans come to wait for it. */
		nr += free_chunks(bin, sum.shared + sum.moving + sum.parked);
	}
	return nr ?: SHRINK_EMPTY;
}

/* Gives back up to @want chunks of those that are kept whole. */
static long inventories_shrink(long want)
{
	unsigned int bin;
	long nr = 0;

	for (bin = 0; bin < hkm_nr_bins && nr < want; bin++)
		nr += hkm_inventory_shrink(bin, 0, want - nr);
	return nr;
}

/* Gives back up to @want chunks of what else is free. */
static long bins_shrink(long want)
{
	struct bin_set bins = {};
	unsigned int bin;
	long nr = 0, got;

	for (bin = 0; bin < hkm_nr_bins; bin++)
		if (bin_shrinkable(bin))
			__set_bit(bin, bins.bits);
	/* What that moves, and what is found beside, may be over CAP. */
	tick_forced = true;
	cpus_flush(&bins);
	for_each_set_bit(bin, bins.bits, hkm_nr_bins) {
		if (nr >= want)
			break;
		got = hkm_trim_bin_locked(bin, 0, want - nr);
		if (!got)
			WRITE_ONCE(bin_ages[bin].scattered, true);
		nr += got;
	}
	return nr;
}

#if IS_ENABLED(CONFIG_KUNIT)
static void (*test_wait)(void);

/* Test hook: the shrinker does @wait where it would wait, unless that is NULL. */
void hkm_test_shrink_wait(void (*wait)(void))
{
	WRITE_ONCE(test_wait, wait);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_shrink_wait);

static bool test_waits(void)
{
	typeof(test_wait) wait = READ_ONCE(test_wait);

	if (wait)
		wait();
	return wait;
}
#else
static bool test_waits(void)
{
	return false;
}
#endif

/*
 * To give nothing means that there is nothing: the kernel may come to kill. So one that
 * finds trim at work waits for what that has in hand; not for long, as it may not be
 * running. kswapd kills nobody, and has more to look for.
 */
static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	long want = sc->nr_to_scan, nr;
	unsigned int waits = 0;

	WRITE_ONCE(forced, true);
	for (;;) {
		nr = inventories_shrink(want);
		if (nr >= want || (nr && waits))
			break;
		if (mutex_trylock(&hkm_trim_lock)) {
			nr += bins_shrink(want - nr);
			mutex_unlock(&hkm_trim_lock);
			break;
		}
		if (nr || current_is_kswapd() || waits++ >= SCAN_WAITS)
			break;
		if (!test_waits())
			schedule_timeout_uninterruptible(1);
	}
	/* Again: the learner may have asked meanwhile. */
	WRITE_ONCE(forced, true);
	return nr ?: SHRINK_STOP;
}

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: memory pressure, for @nr chunks. Returns those given back. */
unsigned long hkm_test_shrink(unsigned long nr)
{
	struct shrink_control sc = { .nr_to_scan = nr };

	if (shrink_count(NULL, &sc) == SHRINK_EMPTY)
		return 0;
	nr = shrink_scan(NULL, &sc);
	return nr == SHRINK_STOP ? 0 : nr;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_shrink);
#endif

static struct shrinker *reclaim_shrinker;

/*
 * Memory is so short that a task is about to be killed. Waiting for the lock is
 * right: those that hold it never wait for memory.
 */
static int oom_event(struct notifier_block *nb, unsigned long unused, void *freed)
{
	long pages;

	hkm_reclaim_all();
	/* What the shrinker gave back may still be waiting for its grace period. */
	pages = hkm_chunk_pages_leaving();
	if (pages) {
		rcu_barrier();
		*(unsigned long *)freed += pages;
	}
	return NOTIFY_OK;
}

static struct notifier_block oom_nb = {
	.notifier_call = oom_event,
};

/* Before its first instruction. */
static int cpu_comes(unsigned int cpu)
{
	hkm_policy_cpu_comes(cpu);
	return 0;
}

/* After its last instruction. Nobody else touches its front end any more. */
static int cpu_dead(unsigned int cpu)
{
	preempt_disable();
	hkm_cpu_flush_all(hkm_cpu_of(cpu));
	preempt_enable();
	return 0;
}

static int hotplug_state;

int __init hkm_reclaim_init(void)
{
	int err;

	reclaim_shrinker = hkm_shrinker_alloc("mm-hakmem", shrink_count, shrink_scan);
	if (!reclaim_shrinker)
		return -ENOMEM;
	err = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "mm/hakmem",
					cpu_comes, cpu_dead);
	if (err < 0)
		goto shrinker;
	hotplug_state = err;
	err = register_oom_notifier(&oom_nb);
	if (err)
		goto cpuhp;
	return 0;

cpuhp:
	cpuhp_remove_state_nocalls(hotplug_state);
shrinker:
	hkm_shrinker_free(reclaim_shrinker);
	return err;
}

/* After the last refill. */
void hkm_reclaim_exit(void)
{
	unregister_oom_notifier(&oom_nb);
	cpuhp_remove_state_nocalls(hotplug_state);
	hkm_shrinker_free(reclaim_shrinker);
	cancel_delayed_work_sync(&tick_work);
}
