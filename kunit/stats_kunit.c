// SPDX-License-Identifier: GPL-2.0
/*
 * Accounting: each byte held is in one place, at each moment.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/stop_machine.h>

#include "common.h"
#include "../pool/harden.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/trim.h"

#define TEST_CLASS	HKM_CLASS_8K
#define TEST_BYTES	SZ_8K

#define STORM_MOMENTS	200
#define STORM_HOLDS	12
#define STORM_MAILBOXES	32
#define STORM_TICK_NS	(500 * NSEC_PER_USEC)
/* Where KASAN slows all down, interrupts must leave time for the rest. */
#define STORM_TICK_SHARE 3

static s64 places_sum(const struct hkm_totals *totals)
{
	return totals->live + totals->parked + totals->shared +
	       totals->inventory + totals->moving + totals->unusable;
}

/* The case alone uses the pool: what @want leaves out is 0. */
static void expect_places(struct kunit *test, const char *when,
			  struct hkm_totals want)
{
	struct hkm_totals now;

	hkm_totals_read(&now);
	KUNIT_EXPECT_EQ_MSG(test, now.held, want.held, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.live, want.live, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.parked, want.parked, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.shared, want.shared, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.inventory, want.inventory, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.moving, want.moving, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.unusable, want.unusable, "%s", when);
}

static void cpu_flush(void)
{
	preempt_disable();
	hkm_cpu_flush_all(hkm_kunit_cpu());
	preempt_enable();
}

static void each_step_moves_bytes(struct kunit *test)
{
	s64 held = hkm_kunit_policy(test)->bundle[TEST_CLASS] * HKM_CHUNK_BYTES;
	struct hkm_chunk *chunk;
	void *blocks[3];
	unsigned int i;

	expect_places(test, "at first", (struct hkm_totals){});
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = hkm_kunit_alloc(TEST_BYTES, GFP_KERNEL);
	expect_places(test, "allocated", (struct hkm_totals){
		.held = held, .live = 3 * TEST_BYTES, .parked = held - 3 * TEST_BYTES });
	hkm_kfree(blocks[0]);
	expect_places(test, "one freed", (struct hkm_totals){
		.held = held, .live = 2 * TEST_BYTES, .parked = held - 2 * TEST_BYTES });
	cpu_flush();
	expect_places(test, "flushed", (struct hkm_totals){
		.held = held, .live = 2 * TEST_BYTES, .shared = held - 2 * TEST_BYTES });
	hkm_kfree(blocks[1]);
	hkm_kfree(blocks[2]);
	cpu_flush();
	expect_places(test, "all flushed", (struct hkm_totals){
		.held = held, .shared = held });
	hkm_trim_bin(TEST_CLASS, 1);
	expect_places(test, "trimmed", (struct hkm_totals){
		.held = HKM_CHUNK_BYTES, .inventory = HKM_CHUNK_BYTES });
	chunk = hkm_inventory_get(TEST_CLASS);
	expect_places(test, "taken", (struct hkm_totals){
		.held = HKM_CHUNK_BYTES, .moving = HKM_CHUNK_BYTES });
	hkm_chunk_release(chunk);
	expect_places(test, "released", (struct hkm_totals){});
}

static void rest_of_a_span_is_unusable(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		struct hkm_chunk *chunk = hkm_kunit_chunk(test, id, 0);
		s64 held = hkm_chunk_bytes(chunk);
		u32 size = hkm_classes[id].size_bytes;

		expect_places(test, hkm_classes[id].name, (struct hkm_totals){
			.held = held, .moving = chunk->nr_blocks * size,
			.unusable = held % size });
		hkm_chunk_release(chunk);
		expect_places(test, hkm_classes[id].name, (struct hkm_totals){});
	}
}

static void interrupted_requests_count(struct kunit *test)
{
	s64 held = hkm_kunit_policy(test)->bundle[TEST_CLASS] * HKM_CHUNK_BYTES;
	struct hkm_cpu *cpu;
	void *p;

	/* See atomic_requests_clear_one_span(). */
	if (want_init_on_alloc(GFP_NOWAIT))
		held = HKM_CHUNK_BYTES;
	cpu = hkm_kunit_cpu_get();
	p = hkm_kunit_alloc(TEST_BYTES, GFP_NOWAIT);
	hkm_kunit_cpu_put(cpu);
	expect_places(test, "refilled", (struct hkm_totals){
		.held = held, .live = TEST_BYTES, .shared = held - TEST_BYTES });
	cpu = hkm_kunit_cpu_get();
	hkm_kfree(p);
	hkm_kunit_cpu_put(cpu);
	expect_places(test, "freed", (struct hkm_totals){ .held = held, .shared = held });
	cpu = hkm_kunit_cpu_get();
	p = hkm_kunit_alloc(TEST_BYTES, GFP_NOWAIT);
	hkm_kunit_cpu_put(cpu);
	expect_places(test, "again", (struct hkm_totals){
		.held = held, .live = TEST_BYTES, .shared = held - TEST_BYTES });
	hkm_kfree(p);
}

static void trim_of_live_chunks_puts_all_back(struct kunit *test)
{
	void *p = hkm_kunit_alloc(TEST_BYTES, GFP_KERNEL);
	s64 held;

	cpu_flush();
	hkm_trim_bin(TEST_CLASS, 0);
	held = hkm_chunk_bytes_held(TEST_CLASS);
	KUNIT_EXPECT_GT(test, held, TEST_BYTES);
	expect_places(test, "trimmed", (struct hkm_totals){
		.held = held, .live = TEST_BYTES, .shared = held - TEST_BYTES });
	hkm_kfree(p);
}

/* One that the key missed is in the ring twice, but in the shared tier once. */
static void double_free_counts_once(struct kunit *test)
{
	s64 held = hkm_kunit_policy(test)->bundle[TEST_CLASS] * HKM_CHUNK_BYTES;
	void *p = hkm_kunit_alloc(TEST_BYTES, GFP_KERNEL);

	hkm_kfree(p);
	hkm_block_unmark(p);
	hkm_kfree(p);
	expect_places(test, "freed twice", (struct hkm_totals){
		.held = held, .live = -TEST_BYTES, .parked = held + TEST_BYTES });
	cpu_flush();
	expect_places(test, "flushed", (struct hkm_totals){ .held = held, .shared = held });
}

static void sizes_off_the_hot_path_are_noted(struct kunit *test)
{
	struct hkm_class_stats before, after;
	void *p;

	hkm_stats_class(TEST_CLASS, &before);
	p = hkm_kunit_alloc(7000, GFP_KERNEL);
	hkm_kfree(p);
	hkm_stats_class(TEST_CLASS, &after);
	KUNIT_EXPECT_EQ(test, after.asked, before.asked + 1);
	KUNIT_EXPECT_EQ(test, after.asked_bytes, before.asked_bytes + 7000);

	p = hkm_kunit_alloc(8000, GFP_KERNEL);
	hkm_kfree(p);
	hkm_stats_class(TEST_CLASS, &after);
	KUNIT_EXPECT_EQ(test, after.asked, before.asked + 1);
}

static void requested_is_live_blocks_times_mean(struct kunit *test)
{
	struct hkm_class_stats sum = { .hits_ring = 5, .hits_active = 3, .frees = 2 };
	struct hkm_totals totals;
	void *p;

	KUNIT_EXPECT_EQ(test, hkm_stats_requested(&sum), 0);
	sum.asked = 2;
	sum.asked_bytes = 9000;
	KUNIT_EXPECT_EQ(test, hkm_stats_requested(&sum), 6 * 4500);

	p = hkm_kunit_alloc(7000, GFP_KERNEL);
	hkm_stats_class(TEST_CLASS, &sum);
	hkm_totals_read(&totals);
	KUNIT_EXPECT_EQ(test, totals.requested, sum.asked_bytes / sum.asked);
	hkm_kfree(p);
	hkm_totals_read(&totals);
	KUNIT_EXPECT_EQ(test, totals.requested, 0);
}

/**
 * struct storm - threads and interrupts that use the pool, and one that looks
 * @traffic: one per thread but the first two
 * @mailbox: blocks on their way to whoever takes them
 * @over: set when there were moments enough
 * @moments: times that all CPUs were stopped
 * @wrong: of these, with a sum that is not what is held
 * @bad: the first of these
 * @seen: the most found at any place
 */
struct storm {
	struct traffic *traffic;
	void *mailbox[STORM_MAILBOXES];
	bool over;
	unsigned int moments;
	unsigned int wrong;
	struct hkm_totals bad;
	struct hkm_totals seen;
};

/**
 * struct interrupt - something that interrupts a thread
 * @timer: does so
 * @storm: what it is part of
 * @rnd: its random numbers
 * @runs: times it came
 */
struct interrupt {
	struct hrtimer timer;
	struct storm *storm;
	struct rnd_state rnd;
	unsigned long runs;
};

/**
 * struct traffic - one thread, and the interrupts of its CPU
 * @storm: what it is part of
 * @rnd: its random numbers
 * @hard: a hard interrupt
 * @soft: a softirq
 */
struct traffic {
	struct storm *storm;
	struct rnd_state rnd;
	struct interrupt hard;
	struct interrupt soft;
};

static int moment(void *arg)
{
	struct storm *storm = arg;
	struct hkm_totals now;

	hkm_totals_read(&now);
	storm->moments++;
	if (places_sum(&now) != now.held && !storm->wrong++)
		storm->bad = now;
	storm->seen.live = max(storm->seen.live, now.live);
	storm->seen.parked = max(storm->seen.parked, now.parked);
	storm->seen.shared = max(storm->seen.shared, now.shared);
	storm->seen.inventory = max(storm->seen.inventory, now.inventory);
	storm->seen.moving = max(storm->seen.moving, now.moving);
	storm->seen.unusable = max(storm->seen.unusable, now.unusable);
	return 0;
}

/*
 * On one CPU, which nothing preempts, whoever moves blocks has put them down before
 * another thread looks.
 */
static bool moving_is_seen(void)
{
	return num_online_cpus() > 1;
}

/* Until something was found at each place, if that takes longer. */
static bool storm_goes_on(const struct storm *storm)
{
	const struct hkm_totals *seen = &storm->seen;

	return storm->moments < STORM_MOMENTS ||
	       (storm->moments < 100 * STORM_MOMENTS &&
		!(seen->live && seen->parked && seen->shared && seen->inventory &&
		  (seen->moving || !moving_is_seen()) && seen->unusable));
}

static void look(struct storm *storm)
{
	while (storm_goes_on(storm)) {
		usleep_range(1, 1 + get_random_u32() % 4096);
		stop_machine(moment, storm, NULL);
	}
	WRITE_ONCE(storm->over, true);
}

static void take_back(struct storm *storm)
{
	while (!READ_ONCE(storm->over)) {
		u32 r = get_random_u32();

		/* Half of the time memory is in pieces. */
		WRITE_ONCE(hkm_test_order_max, r & BIT(19) ? HKM_CHUNK_ORDER - 1 : UINT_MAX);
		switch (r % 4) {
		case 0:
			hkm_reclaim_all();
			break;
		case 1:
			hkm_reclaim_tick();
			break;
		case 2:
			hkm_test_shrink(r >> 2 & 63);
			break;
		default:
			hkm_trim_bin((r >> 8) % hkm_nr_bins, r >> 2 & 63);
		}
		usleep_range(1, 1 + (r >> 20));
	}
}

static void *storm_alloc(u32 r, gfp_t gfp)
{
	unsigned int id = r % 4 ? (r >> 2) % HKM_CLASS_64K : (r >> 2) % HKM_NR_CLASSES;

	return hkm_kunit_alloc(hkm_classes[id].size_bytes - (r >> 16 & 511),
			       gfp | __GFP_NOWARN);
}

/* Puts a block of its own, or none, in the place of another's, which it frees. */
static enum hrtimer_restart interrupt_run(struct hrtimer *timer)
{
	struct interrupt *irq = container_of(timer, struct interrupt, timer);
	u32 r = prandom_u32_state(&irq->rnd);
	void **box = &irq->storm->mailbox[r % STORM_MAILBOXES];
	u64 start = ktime_get_ns(), took;
	void *p = NULL;

	if (r >> 8 & 3)
		p = storm_alloc(prandom_u32_state(&irq->rnd), GFP_ATOMIC);
	hkm_kfree(xchg(box, p));
	irq->runs++;
	took = ktime_get_ns() - start;
	hrtimer_forward_now(timer, ns_to_ktime(STORM_TICK_NS + STORM_TICK_SHARE * took));
	return HRTIMER_RESTART;
}

static void interrupt_start(struct interrupt *irq, struct storm *storm,
			    enum hrtimer_mode mode)
{
	irq->storm = storm;
	prandom_seed_state(&irq->rnd, get_random_u32());
	hrtimer_setup(&irq->timer, interrupt_run, CLOCK_MONOTONIC, mode);
	hrtimer_start(&irq->timer, ns_to_ktime(STORM_TICK_NS), mode);
}

static void traffic_step(struct traffic *traffic, void **held)
{
	u32 r = prandom_u32_state(&traffic->rnd);
	void **hold = &held[r % STORM_HOLDS];

	r >>= 4;
	if (!*hold) {
		*hold = storm_alloc(prandom_u32_state(&traffic->rnd), GFP_KERNEL);
	} else if (r % 4) {
		*hold = xchg(&traffic->storm->mailbox[(r >> 2) % STORM_MAILBOXES], *hold);
	} else {
		hkm_kfree(*hold);
		*hold = NULL;
	}
}

static void traffic_run(struct traffic *traffic)
{
	void *held[STORM_HOLDS] = {};

	prandom_seed_state(&traffic->rnd, get_random_u32());
	interrupt_start(&traffic->hard, traffic->storm, HRTIMER_MODE_REL_PINNED_HARD);
	interrupt_start(&traffic->soft, traffic->storm, HRTIMER_MODE_REL_PINNED_SOFT);
	while (!READ_ONCE(traffic->storm->over)) {
		traffic_step(traffic, held);
		cond_resched();
	}
	hrtimer_cancel(&traffic->hard.timer);
	hrtimer_cancel(&traffic->soft.timer);
	hkm_kunit_free_all(held, STORM_HOLDS);
}

static void storm_thread(unsigned int id, void *arg)
{
	struct storm *storm = arg;

	if (id == 0)
		look(storm);
	else if (id == 1)
		take_back(storm);
	else
		traffic_run(&storm->traffic[id - 2]);
}

static void sum_is_held_at_random_moments(struct kunit *test)
{
	unsigned int nr = 2 * num_online_cpus(), i;
	struct traffic *traffic = kunit_kcalloc(test, nr, sizeof(*traffic), GFP_KERNEL);
	struct storm storm = { .traffic = traffic };
	struct hkm_totals now;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, traffic);
	for (i = 0; i < nr; i++)
		traffic[i].storm = &storm;
	hkm_kunit_threads(test, nr + 2, storm_thread, &storm);
	hkm_kunit_free_all(storm.mailbox, STORM_MAILBOXES);

	KUNIT_EXPECT_EQ_MSG(test, storm.wrong, 0U,
			    "of %u; first: held %lld, live %lld, parked %lld, shared %lld, inventory %lld, moving %lld, unusable %lld",
			    storm.moments, storm.bad.held, storm.bad.live,
			    storm.bad.parked, storm.bad.shared, storm.bad.inventory,
			    storm.bad.moving, storm.bad.unusable);
	KUNIT_EXPECT_GT(test, storm.seen.live, 0);
	KUNIT_EXPECT_GT(test, storm.seen.parked, 0);
	KUNIT_EXPECT_GT(test, storm.seen.shared, 0);
	KUNIT_EXPECT_GT(test, storm.seen.inventory, 0);
	if (moving_is_seen())
		KUNIT_EXPECT_GT(test, storm.seen.moving, 0);
	KUNIT_EXPECT_GT(test, storm.seen.unusable, 0);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_GT(test, traffic[i].hard.runs, 0UL);
		KUNIT_EXPECT_GT(test, traffic[i].soft.runs, 0UL);
	}
	hkm_totals_read(&now);
	KUNIT_EXPECT_EQ(test, now.live, 0);
	KUNIT_EXPECT_EQ(test, places_sum(&now), now.held);
	kunit_info(test, "%u moments; most live %lld, parked %lld, shared %lld, inventory %lld, moving %lld\n",
		   storm.moments, storm.seen.live, storm.seen.parked,
		   storm.seen.shared, storm.seen.inventory, storm.seen.moving);
}

static void halves_are_of_the_cpus(struct kunit *test)
{
	unsigned int odd = raw_smp_processor_id() & 1;
	struct hkm_class_stats before[2], now[2], all;
	unsigned int half;

	for (half = 0; half < 2; half++)
		hkm_stats_class_half(HKM_CLASS_8K, half, &before[half]);
	hkm_kfree(hkm_kunit_alloc(SZ_8K, GFP_KERNEL));
	hkm_kfree(hkm_kunit_alloc(SZ_8K, GFP_KERNEL));
	for (half = 0; half < 2; half++)
		hkm_stats_class_half(HKM_CLASS_8K, half, &now[half]);
	hkm_stats_class(HKM_CLASS_8K, &all);
	KUNIT_EXPECT_EQ(test, now[odd].slow[HKM_slow_allocs],
			before[odd].slow[HKM_slow_allocs] + 1);
	KUNIT_EXPECT_EQ(test, now[odd].hits_ring, before[odd].hits_ring + 1);
	KUNIT_EXPECT_EQ(test, now[!odd].slow[HKM_slow_allocs],
			before[!odd].slow[HKM_slow_allocs]);
	KUNIT_EXPECT_EQ(test, now[!odd].hits_ring, before[!odd].hits_ring);
	KUNIT_EXPECT_EQ(test, now[0].frees + now[1].frees, all.frees);
	KUNIT_EXPECT_EQ(test, now[0].parked + now[1].parked, all.parked);
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(each_step_moves_bytes),
	KUNIT_CASE(rest_of_a_span_is_unusable),
	KUNIT_CASE(interrupted_requests_count),
	KUNIT_CASE(trim_of_live_chunks_puts_all_back),
	KUNIT_CASE(double_free_counts_once),
	KUNIT_CASE(sizes_off_the_hot_path_are_noted),
	KUNIT_CASE(requested_is_live_blocks_times_mean),
	KUNIT_CASE(halves_are_of_the_cpus),
	KUNIT_CASE(sum_is_held_at_random_moments),
	{}
};

static struct kunit_suite stats_suite = {
	.name = "hakmem_stats",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = stats_cases,
};

kunit_test_suites(&stats_suite);
