// SPDX-License-Identifier: GPL-2.0
/*
 * Watching: every CPU goes by the slow path, and nothing else changes.
 */
#include <linux/cpumask.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "common.h"
#include "../pool/watch.h"

#define STORM_THREADS	4
#define STORM_ROUNDS	2000
#define STORM_HOLDS	8

/* CPUs whose requests go to @stand_in, or with NULL to their own front ends. */
static unsigned int cpus_at(struct hkm_cpu *stand_in)
{
	unsigned int nr = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		nr += per_cpu(hkm_cpu_this, cpu) ==
		      (stand_in ?: hkm_cpu_of(cpu));
	return nr;
}

static void all_cpus_are_switched(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, cpus_at(NULL), num_possible_cpus());
	hkm_watch_get();
	KUNIT_EXPECT_EQ(test, cpus_at(&hkm_cpu_watched), num_possible_cpus());
	hkm_watch_put();
	KUNIT_EXPECT_EQ(test, cpus_at(NULL), num_possible_cpus());
}

static void last_watcher_ends_it(struct kunit *test)
{
	hkm_watch_get();
	hkm_watch_get();
	hkm_watch_put();
	KUNIT_EXPECT_EQ(test, cpus_at(&hkm_cpu_watched), num_possible_cpus());
	hkm_watch_put();
	KUNIT_EXPECT_EQ(test, cpus_at(NULL), num_possible_cpus());
}

static void tiers_work_as_ever(struct kunit *test)
{
	struct hkm_ring *ring = hkm_kunit_ring(HKM_CLASS_8K);
	void *p, *q;
	u64 hits;

	hkm_watch_get();
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	q = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 2);
	hkm_kfree(p);
	hkm_kfree(q);
	KUNIT_EXPECT_EQ(test, ring->nr, 2UL);
	hits = ring->hits;
	/* Last in, first out, from this CPU's ring. */
	KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_alloc(SZ_8K, GFP_KERNEL), q);
	KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_alloc(SZ_8K, GFP_KERNEL), p);
	KUNIT_EXPECT_EQ(test, ring->hits, hits + 2);
	/* What was taken while watched may be freed later, and is as good. */
	hkm_watch_put();
	hkm_kfree(p);
	hkm_kfree(q);
	KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_alloc(SZ_8K, GFP_KERNEL), q);
	hkm_kfree(q);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 0);
}

static void interrupted_section_stays_whole(struct kunit *test)
{
	struct hkm_cpu *cpu;
	void *p, *q;

	hkm_watch_get();
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	cpu = hkm_kunit_cpu_get();
	KUNIT_EXPECT_PTR_EQ(test, cpu, &hkm_cpu_watched);
	/* As from an interrupt: by way of the shared tier. */
	hkm_kfree(p);
	q = hkm_kmalloc_nolock(SZ_8K, 0);
	hkm_kunit_cpu_put(cpu);
	KUNIT_EXPECT_PTR_EQ(test, q, p);
	KUNIT_EXPECT_EQ(test, cpus_at(&hkm_cpu_watched), num_possible_cpus());
	hkm_watch_put();
	hkm_kfree(q);
}

struct storm {
	atomic_t damaged;
	atomic_t strays;
	atomic_t nr_done;
};

/* On each CPU, once a switch is over: only a section may hold it back. */
static void look_for_strays(void *arg)
{
	struct hkm_cpu *cpu = this_cpu_read(hkm_cpu_this);
	struct storm *storm = arg;

	if (cpu != &hkm_cpu_watched && cpu != &hkm_cpu_busy)
		atomic_inc(&storm->strays);
}

static void storm_thread(unsigned int id, void *arg)
{
	struct storm *storm = arg;
	u32 *held[STORM_HOLDS] = {};
	unsigned int round, i;

	if (!id) {
		do {
			hkm_watch_get();
			on_each_cpu(look_for_strays, storm, 1);
			hkm_watch_put();
			/* On one CPU a grace period is over at once. */
			cond_resched();
		} while (atomic_read(&storm->nr_done) < STORM_THREADS - 1);
		return;
	}
	for (round = 0; round < STORM_ROUNDS; round++) {
		u32 **slot = &held[round % STORM_HOLDS];

		if (*slot) {
			if (**slot != (id << 16) + round - STORM_HOLDS)
				atomic_inc(&storm->damaged);
			hkm_kfree(*slot);
		}
		*slot = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
		**slot = (id << 16) + round;
	}
	for (i = 0; i < STORM_HOLDS; i++)
		hkm_kfree(held[i]);
	atomic_inc(&storm->nr_done);
}

static void switching_under_traffic_loses_nothing(struct kunit *test)
{
	struct storm storm = {};

	hkm_kunit_threads(test, STORM_THREADS, storm_thread, &storm);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.damaged), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.strays), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 0);
	KUNIT_EXPECT_EQ(test, cpus_at(NULL), num_possible_cpus());
}

static struct kunit_case watch_cases[] = {
	KUNIT_CASE(all_cpus_are_switched),
	KUNIT_CASE(last_watcher_ends_it),
	KUNIT_CASE(tiers_work_as_ever),
	KUNIT_CASE(interrupted_section_stays_whole),
	KUNIT_CASE(switching_under_traffic_loses_nothing),
	{}
};

static struct kunit_suite watch_suite = {
	.name = "hakmem_watch",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = watch_cases,
};

kunit_test_suites(&watch_suite);
