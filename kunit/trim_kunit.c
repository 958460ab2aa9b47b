// SPDX-License-Identifier: GPL-2.0
/*
 * Trim: whole free chunks go back, all others stay in use, whatever goes on
 * meanwhile.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "common.h"
#include "../pool/freelist.h"
#include "../pool/harden.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/trim.h"

#define STORM_THREADS	4
#define STORM_ROUNDS	3000
#define STORM_HOLDS	40

/* Puts all blocks of a new chunk on a freelist, but @held of them. */
static struct hkm_chunk *chunk_stocked(struct kunit *test, unsigned int bin,
				       unsigned int home, unsigned int held)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, bin, home);
	void *blocks[HKM_MAX_BLOCKS];

	hkm_kunit_chunk_blocks(chunk, blocks);
	hkm_kunit_push(bin, blocks + held, chunk->nr_blocks - held);
	return chunk;
}

#define NR_SCATTERED	8

/* Chunks of a class with CAP @cap, which no pass can take: a block of each is held. */
static void scatter(struct kunit *test, struct hkm_chunk **chunk, u32 cap)
{
	unsigned int i;

	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_4K] = cap;
	for (i = 0; i < NR_SCATTERED; i++)
		chunk[i] = chunk_stocked(test, HKM_CLASS_4K, i, 1);
}

/* The same, of a class that is in use and may keep one, with blocks that count. */
static void scatter_live(struct kunit *test, struct hkm_chunk **chunk)
{
	scatter(test, chunk, 1);
	hkm_kunit_policy(test)->idle_ms = 3600000;
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_SCATTERED);
}

static void whole_chunks_are_released(struct kunit *test)
{
	unsigned int id, i;

	hkm_kunit_for_each_class(id) {
		long chunks = 5L << hkm_classes[id].span_order;

		for (i = 0; i < 5; i++)
			chunk_stocked(test, id, 7 * i, 0);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), chunks);
		KUNIT_EXPECT_EQ(test, hkm_trim_bin(id, 0), chunks);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
	}
}

static void scattered_blocks_of_a_chunk_are_found(struct kunit *test)
{
	struct hkm_chunk *chunk[3];
	void *blocks[3][HKM_MAX_BLOCKS];
	unsigned int i, c;

	for (c = 0; c < 3; c++) {
		chunk[c] = hkm_kunit_chunk(test, HKM_CLASS_4K, c);
		hkm_kunit_chunk_blocks(chunk[c], blocks[c]);
	}
	/* Batches of three chunks each, and single blocks of remote stacks. */
	for (i = 0; i < chunk[0]->nr_blocks; i++) {
		void *batch[3] = { blocks[i % 3][i], blocks[(i + 1) % 3][i],
				   blocks[(i + 2) % 3][i] };

		if (i % 4) {
			hkm_kunit_push(HKM_CLASS_4K, batch, 3);
			continue;
		}
		for (c = 0; c < 3; c++)
			hkm_kunit_remote_push(HKM_CLASS_4K, batch[c]);
	}
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_4K, 0), 3);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
	/* Frees that no request made up for. */
	hkm_kunit_count_allocs(HKM_CLASS_4K,
			       3 * DIV_ROUND_UP(chunk[0]->nr_blocks, 4));
}

static void chunk_with_a_live_block_stays(struct kunit *test)
{
	struct hkm_chunk *chunk = chunk_stocked(test, HKM_CLASS_8K, 5, 1);
	void *blocks[2 * HKM_MAX_BLOCKS];
	unsigned int nr;

	chunk_stocked(test, HKM_CLASS_8K, 5, 0);
	memset(chunk->base, HKM_KUNIT_DIRT, SZ_8K);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_8K, 0), 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 1);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(chunk->base, HKM_KUNIT_DIRT, SZ_8K));
	/* The others are to be had, each once, as one batch at their home. */
	nr = hkm_kunit_pop(HKM_CLASS_8K, 5, blocks, ARRAY_SIZE(blocks));
	KUNIT_EXPECT_EQ(test, nr, chunk->nr_blocks - 1U);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(HKM_CLASS_8K, 5, blocks + nr, 1), 0U);
	blocks[nr++] = chunk->base;
	hkm_kunit_push(HKM_CLASS_8K, blocks, nr);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_8K, 0), 1);
}

#define NR_SPARSE	100

/*
 * Of a class whose chunks have four blocks, three are free in each of @chunk, and one in
 * each of as many more: 400, where 256 and twice what is kept would be let be.
 */
static void make_sparse(struct kunit *test, struct hkm_chunk **chunk)
{
	unsigned int i;

	for (i = 0; i < NR_SPARSE; i++) {
		chunk[i] = chunk_stocked(test, HKM_CLASS_16K, 1, 1);
		chunk[NR_SPARSE + i] = chunk_stocked(test, HKM_CLASS_16K, 1, 3);
	}
}

static void end_sparse(struct kunit *test, struct hkm_chunk **chunk)
{
	void *blocks[HKM_MAX_BLOCKS];
	unsigned int i;

	for (i = 0; i < 2 * NR_SPARSE; i++) {
		hkm_kunit_chunk_blocks(chunk[i], blocks);
		hkm_kunit_push(HKM_CLASS_16K, blocks, i < NR_SPARSE ? 1 : 3);
	}
	hkm_trim_bin(HKM_CLASS_16K, 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
}

static unsigned int nr_draining(struct hkm_chunk *const *chunk)
{
	unsigned int i, nr = 0;

	for (i = 0; i < NR_SPARSE; i++)
		nr += chunk[i]->home == (1 | HKM_DRAINS);
	return nr;
}

/* Of the free blocks, half: 67 times three. */
static void emptiest_chunks_drain(struct kunit *test)
{
	struct hkm_chunk **chunk = (struct hkm_chunk **)hkm_kunit_pointers(test, 2 * NR_SPARSE);

	make_sparse(test, chunk);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 0), 0);
	KUNIT_EXPECT_EQ(test, nr_draining(chunk), 67U);
	KUNIT_EXPECT_EQ(test, nr_draining(chunk + NR_SPARSE), 0U);
	/* 384 are let be where 16 chunks may be kept, and 416 where 20 may. */
	hkm_trim_bin(HKM_CLASS_16K, 20);
	KUNIT_EXPECT_EQ(test, nr_draining(chunk), 0U);
	hkm_trim_bin(HKM_CLASS_16K, 16);
	KUNIT_EXPECT_EQ(test, nr_draining(chunk), 67U);
	end_sparse(test, chunk);
}

/* What is free in whole chunks is not scattered. */
static void nothing_drains_for_whole_chunks(struct kunit *test)
{
	struct hkm_chunk **chunk = (struct hkm_chunk **)hkm_kunit_pointers(test, 2 * NR_SPARSE);
	unsigned int i;

	for (i = 0; i < 2 * NR_SPARSE; i++)
		chunk[i] = chunk_stocked(test, HKM_CLASS_16K, 1, i < NR_SPARSE ? 3 : 0);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 0), NR_SPARSE);
	KUNIT_EXPECT_EQ(test, nr_draining(chunk), 0U);
	for (i = 0; i < NR_SPARSE; i++) {
		void *blocks[HKM_MAX_BLOCKS];

		hkm_kunit_chunk_blocks(chunk[i], blocks);
		hkm_kunit_push(HKM_CLASS_16K, blocks, 3);
	}
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 0), NR_SPARSE);
}

/* Else none would ever come to be whole. */
static void same_chunks_go_on_draining(struct kunit *test)
{
	struct hkm_chunk **chunk = (struct hkm_chunk **)hkm_kunit_pointers(test, 2 * NR_SPARSE);
	u8 home[NR_SPARSE];
	unsigned int i, changed = 0;

	make_sparse(test, chunk);
	hkm_trim_bin(HKM_CLASS_16K, 0);
	for (i = 0; i < NR_SPARSE; i++)
		home[i] = chunk[i]->home;
	hkm_trim_bin(HKM_CLASS_16K, 0);
	for (i = 0; i < NR_SPARSE; i++)
		changed += home[i] != chunk[i]->home;
	KUNIT_EXPECT_EQ(test, changed, 0U);
	end_sparse(test, chunk);
}

/* As long as others have blocks, whatever is freed. */
static void draining_chunks_come_to_be_whole(struct kunit *test)
{
	struct hkm_chunk **chunk = (struct hkm_chunk **)hkm_kunit_pointers(test, 2 * NR_SPARSE);
	unsigned int i, taken = 0;
	void *block;

	make_sparse(test, chunk);
	hkm_trim_bin(HKM_CLASS_16K, 0);
	for (i = 0; i < NR_SPARSE; i++) {
		if (chunk[i]->home & HKM_DRAINS)
			hkm_kunit_push(HKM_CLASS_16K, &chunk[i]->base, 1);
		hkm_kunit_pop(HKM_CLASS_16K, i % HKM_NR_HOMES, &block, 1);
		taken += hkm_kunit_lookup(block)->home & HKM_DRAINS ? 1 : 0;
		hkm_kunit_push(HKM_CLASS_16K, &block, 1);
	}
	KUNIT_EXPECT_EQ(test, taken, 0U);
	for (i = 0; i < NR_SPARSE; i++)
		if (chunk[i]->home & HKM_DRAINS)
			chunk[i] = NULL;
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 0), 67);
	for (i = 0; i < NR_SPARSE; i++)
		if (!chunk[i])
			chunk[i] = chunk_stocked(test, HKM_CLASS_16K, 1, 1);
	end_sparse(test, chunk);
}

/* Before memory that the pool does not hold yet. */
static void draining_stock_serves_before_a_refill(struct kunit *test)
{
	struct hkm_chunk **chunk = (struct hkm_chunk **)hkm_kunit_pointers(test, 2 * NR_SPARSE);
	void **p = hkm_kunit_pointers(test, 4 * NR_SPARSE);
	u64 refills;
	unsigned int i;

	make_sparse(test, chunk);
	hkm_trim_bin(HKM_CLASS_16K, 0);
	refills = hkm_kunit_counter(HKM_CLASS_16K, HKM_refills);
	for (i = 0; i < 4 * NR_SPARSE; i++)
		p[i] = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_16K, HKM_refills), refills);
	for (i = 0; i < 4 * NR_SPARSE; i++)
		hkm_kfree(p[i]);
	hkm_reclaim_all();
	end_sparse(test, chunk);
}

static void kept_chunks_serve_refills(struct kunit *test)
{
	unsigned int bundle = hkm_kunit_policy(test)->bundle[HKM_CLASS_8K];
	u64 refills = hkm_kunit_counter(HKM_CLASS_8K, HKM_refills);
	u64 reuses = hkm_kunit_counter(HKM_CLASS_8K, HKM_reuses);
	unsigned int i;
	void *p;

	for (i = 0; i < 6; i++)
		memset(chunk_stocked(test, HKM_CLASS_8K, i, 0)->base + 16,
		       HKM_KUNIT_DIRT, SZ_8K - 16);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_8K, 4), 2);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_8K), 4);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 4);

	/* As clear as they should be, though they are not new. */
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL | __GFP_ZERO);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_8K));
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_8K), 4 - bundle);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_refills), refills);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_reuses),
			reuses + bundle);
	hkm_kfree(p);
	hkm_reclaim_all();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 0);
}

static void inventory_gives_back_no_more_than_asked(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		chunk_stocked(test, HKM_CLASS_16K, i, 0);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 8), 0);
	KUNIT_EXPECT_EQ(test, hkm_inventory_shrink(HKM_CLASS_16K, 0, 1), 1);
	KUNIT_EXPECT_EQ(test, hkm_inventory_shrink(HKM_CLASS_16K, 2, 9), 1);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_16K), 2);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_16K, 1), 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 1);
	/* There is room for a whole span, or for none of it. */
	for (i = 0; i < 2; i++)
		chunk_stocked(test, HKM_CLASS_256K, i, 0);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_256K, 7), 4);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_256K), 4);
}

static void block_of_kept_chunk_is_refused(struct kunit *test)
{
	struct hkm_chunk *chunk = chunk_stocked(test, HKM_CLASS_8K, 0, 0);
	u64 rejects = hkm_kunit_counter(HKM_CLASS_8K, HKM_rejects);
	unsigned int i;
	void *block;

	chunk_stocked(test, HKM_CLASS_8K, 1, 0);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_8K, 2), 0);
	/* A double free that the key missed. */
	for (i = 0; i < chunk->nr_blocks; i++) {
		block = chunk->slot[i].block;
		KUNIT_EXPECT_EQ(test, hkm_kunit_push(HKM_CLASS_8K, &block, 1), 0U);
	}
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_rejects),
			rejects + chunk->nr_blocks);
	KUNIT_EXPECT_EQ(test, hkm_trim_bin(HKM_CLASS_8K, 0), 2);
}

static void park_everywhere(unsigned int id, void *arg)
{
	void *p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);

	hkm_kfree(p);
}

static void every_cpu_is_flushed(struct kunit *test)
{
	unsigned int parked = 0;
	int cpu;

	hkm_kunit_threads(test, num_online_cpus(), park_everywhere, NULL);
	for_each_online_cpu(cpu)
		parked += !!hkm_cpu_parks(hkm_cpu_of(cpu), HKM_CLASS_8K);
	KUNIT_EXPECT_EQ(test, parked, num_online_cpus());
	KUNIT_EXPECT_GT(test, hkm_reclaim_all(), 0);
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_FALSE(test, hkm_cpu_parks(hkm_cpu_of(cpu), HKM_CLASS_8K));
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 0);
}

static void tick_trims_to_cap(struct kunit *test)
{
	unsigned int i;

	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_4K] = 3;
	for (i = 0; i < 10; i++)
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 3);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_4K), 3);
	KUNIT_EXPECT_TRUE(test, hkm_reclaim_at_cap(HKM_CLASS_4K));
}

/* No pass could take them, and the CPU's budget bounds them. */
static void parked_blocks_are_not_over_cap(struct kunit *test)
{
	void *p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	struct hkm_class_stats sum;
	struct hkm_cpu *cpu;

	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_8K] = 1;
	KUNIT_ASSERT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 2);
	hkm_stats_read(HKM_CLASS_8K, &sum);
	KUNIT_ASSERT_EQ(test, sum.parked, 15ULL);
	hkm_reclaim_tick();
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_at_cap(HKM_CLASS_8K));
	cpu = hkm_kunit_cpu_get();
	hkm_cpu_flush_all(hkm_cpu_own(cpu));
	hkm_kunit_cpu_put(cpu);
	hkm_reclaim_tick();
	KUNIT_EXPECT_TRUE(test, hkm_reclaim_at_cap(HKM_CLASS_8K));
	/* Seven free blocks of eight count as a chunk, too. */
	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_8K] = 2;
	hkm_reclaim_tick();
	KUNIT_EXPECT_TRUE(test, hkm_reclaim_at_cap(HKM_CLASS_8K));
	hkm_kfree(p);
}

/* A chunk whose one block is in use is in use, though a part of it never is. */
static void rest_of_a_chunk_is_not_free(struct kunit *test)
{
	void *blocks[12];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = hkm_kunit_alloc(HKM_MAX_BYTES, GFP_KERNEL);
	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_52K] =
		hkm_chunk_count(HKM_CLASS_52K) - ARRAY_SIZE(blocks) + 1;
	hkm_reclaim_tick();
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_at_cap(HKM_CLASS_52K));
	hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
}

static void refill_at_cap_takes_one(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	void *p;

	KUNIT_ASSERT_GT(test, policy->bundle[HKM_CLASS_4K], 1);
	policy->cap_chunks[HKM_CLASS_4K] = 0;
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
	p = hkm_kunit_alloc(SZ_4K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 1);
	hkm_kfree(p);
}

static void idle_stock_goes_back(struct kunit *test)
{
	void *p = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);

	hkm_kfree(p);
	hkm_kunit_policy(test)->idle_ms = 2000;
	/* The first tick sees it used. */
	hkm_reclaim_tick();
	hkm_reclaim_tick();
	KUNIT_EXPECT_GT(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	KUNIT_EXPECT_TRUE(test, hkm_cpu_parks(hkm_kunit_cpu(), HKM_CLASS_16K));
	hkm_reclaim_tick();
	KUNIT_EXPECT_FALSE(test, hkm_cpu_parks(hkm_kunit_cpu(), HKM_CLASS_16K));
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
}

static void used_stock_stays(struct kunit *test)
{
	unsigned int i;

	hkm_kunit_policy(test)->idle_ms = 2000;
	for (i = 0; i < 6; i++) {
		hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
		hkm_reclaim_tick();
	}
	KUNIT_EXPECT_GT(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	KUNIT_EXPECT_TRUE(test, hkm_cpu_parks(hkm_kunit_cpu(), HKM_CLASS_16K));
}

/* Each use counts anew, however many ticks it was not used in before. */
static void stock_used_now_and_then_stays(struct kunit *test)
{
	unsigned int i;

	hkm_kunit_policy(test)->idle_ms = 3000;
	for (i = 0; i < 12; i++) {
		if (i % 3 == 0)
			hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
		hkm_reclaim_tick();
		KUNIT_EXPECT_TRUE(test, hkm_cpu_parks(hkm_kunit_cpu(), HKM_CLASS_16K));
	}
}

/* Whether the next tick has a pass over 4 KiB blocks. */
static bool tick_passes(void)
{
	u64 pops = hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops);

	hkm_reclaim_tick();
	return hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops) != pops;
}

static void end_scattered(struct kunit *test, struct hkm_chunk **chunk)
{
	unsigned int i;

	for (i = 0; i < NR_SCATTERED; i++) {
		hkm_block_unmark(chunk[i]->base);
		hkm_kfree(chunk[i]->base);
	}
	hkm_reclaim_all();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

/* Where one chunk of eight may be kept, twice as long each time, but up to 64 / 7. */
static void pauses_double(struct kunit *test)
{
	static const unsigned int pass[] = { 1, 3, 7, 15, 25, 35 };
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int tick, i = 0;

	scatter_live(test, chunk);
	for (tick = 1; tick <= 36; tick++) {
		bool passes = tick_passes();

		KUNIT_EXPECT_EQ_MSG(test, passes, tick == pass[i], "tick %u", tick);
		i += tick == pass[i] && i + 1 < ARRAY_SIZE(pass);
	}
	end_scattered(test, chunk);
}

/* An idle class may keep nothing, whatever its CAP. */
static void pauses_of_idle_class_are_short(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i, passes = 0;

	scatter(test, chunk, 64);
	hkm_kunit_policy(test)->idle_ms = 1000;
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_SCATTERED);
	for (i = 0; i < 24; i++)
		passes += tick_passes();
	KUNIT_EXPECT_GE(test, passes, 6U);
	end_scattered(test, chunk);
}

/* A pass that gives back an eighth was none in vain, and the pauses begin anew. */
static void some_success_ends_the_pauses(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;

	scatter_live(test, chunk);
	KUNIT_EXPECT_TRUE(test, tick_passes());
	/* One block less that is in the way does not matter. */
	hkm_kunit_remote_push(HKM_CLASS_4K, chunk[0]->base);
	KUNIT_EXPECT_FALSE(test, tick_passes());
	chunk[0] = chunk_stocked(test, HKM_CLASS_4K, 0, 1);
	hkm_kunit_count_allocs(HKM_CLASS_4K, 1);
	for (i = 0; i < 4; i++)
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
	KUNIT_EXPECT_TRUE(test, tick_passes());
	KUNIT_EXPECT_TRUE(test, tick_passes());
	KUNIT_EXPECT_FALSE(test, tick_passes());
	KUNIT_EXPECT_TRUE(test, tick_passes());
	end_scattered(test, chunk);
}

/* Half of what was in the way has gone. */
static void pauses_end_with_what_they_were_for(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;

	scatter_live(test, chunk);
	for (i = 0; i < 3; i++)
		hkm_reclaim_tick();
	/* Three more would be left out. */
	for (i = 0; i < NR_SCATTERED / 2; i++)
		hkm_kunit_remote_push(HKM_CLASS_4K, chunk[i]->base);
	KUNIT_EXPECT_TRUE(test, tick_passes());
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), NR_SCATTERED / 2 + 1);
	for (; i < NR_SCATTERED; i++)
		hkm_kunit_remote_push(HKM_CLASS_4K, chunk[i]->base);
	hkm_reclaim_all();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

static void fruitless_passes_become_rare(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	u64 pops;
	unsigned int i;

	scatter(test, chunk, 1);
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_SCATTERED);
	hkm_reclaim_tick();
	pops = hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops);
	/* After one without success, the next is left out. */
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops), pops);
	hkm_reclaim_tick();
	KUNIT_EXPECT_GT(test, hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops), pops);
	for (i = 0; i < NR_SCATTERED; i++) {
		hkm_block_unmark(chunk[i]->base);
		hkm_kfree(chunk[i]->base);
	}
	KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), 8);
}

#define NR_MANY		64

/* Every fourth tick after the third, where one chunk may be kept and 59 more are. */
static void much_that_is_scattered_is_tried_more_often(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_MANY];
	unsigned int i, passes = 0;
	u64 pops;

	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_4K] = 1;
	for (i = 0; i < NR_MANY; i++)
		chunk[i] = chunk_stocked(test, HKM_CLASS_4K, i % HKM_NR_HOMES, 1);
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_MANY);
	for (i = 0; i < 31; i++) {
		pops = hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops);
		hkm_reclaim_tick();
		passes += hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops) != pops;
	}
	KUNIT_EXPECT_EQ(test, passes, 9U);
	for (i = 0; i < NR_MANY; i++) {
		hkm_block_unmark(chunk[i]->base);
		hkm_kfree(chunk[i]->base);
	}
	KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), NR_MANY);
}

static void end_of_what_was_scattered_is_noticed(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;

	scatter(test, chunk, 1);
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_SCATTERED);
	for (i = 0; i < 3; i++)
		hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 8);
	/* Three more would be left out, were all still in use. */
	for (i = 0; i < NR_SCATTERED; i++)
		hkm_kunit_remote_push(HKM_CLASS_4K, chunk[i]->base);
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 1);
	hkm_reclaim_all();
}

/* What is kept is not scattered. */
static void lower_cap_heeds_no_pause(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;

	scatter(test, chunk, 6);
	hkm_kunit_count_allocs(HKM_CLASS_4K, NR_SCATTERED);
	for (i = 0; i < 5; i++)
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
	/* Without success: the next pass is left out. */
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_4K), 5);
	policy->cap_chunks[HKM_CLASS_4K] = 2;
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_4K), 2);
	for (i = 0; i < NR_SCATTERED; i++) {
		hkm_block_unmark(chunk[i]->base);
		hkm_kfree(chunk[i]->base);
	}
	KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), 10);
}

static void pauses_end_below_cap_too(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;
	void *block;

	scatter_live(test, chunk);
	/* Two passes without success; then three are left out. */
	for (i = 0; i < 3; i++)
		hkm_reclaim_tick();
	policy->cap_chunks[HKM_CLASS_4K] = NR_SCATTERED;
	for (i = 0; i < NR_SCATTERED / 2; i++)
		hkm_kunit_remote_push(HKM_CLASS_4K, chunk[i]->base);
	hkm_reclaim_tick();
	/* As much is in the way again, but that is another matter. */
	policy->cap_chunks[HKM_CLASS_4K] = 1;
	hkm_kunit_pop(HKM_CLASS_4K, 0, &block, 1);
	hkm_kunit_count_allocs(HKM_CLASS_4K, 1);
	KUNIT_EXPECT_TRUE(test, tick_passes());
	hkm_kunit_remote_push(HKM_CLASS_4K, block);
	for (i = NR_SCATTERED / 2; i < NR_SCATTERED; i++)
		hkm_kunit_remote_push(HKM_CLASS_4K, chunk[i]->base);
	hkm_reclaim_all();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

static void pressure_heeds_no_pause(struct kunit *test)
{
	struct hkm_chunk *chunk[NR_SCATTERED];
	unsigned int i;

	scatter(test, chunk, 1);
	/* Two passes without success; then three are left out. */
	for (i = 0; i < 3; i++)
		hkm_reclaim_tick();
	for (i = 0; i < NR_SCATTERED; i++)
		hkm_kunit_push(HKM_CLASS_4K, &chunk[i]->base, 1);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 8);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

static void pressure_in_vain_waits_for_tick(struct kunit *test)
{
	struct hkm_chunk *chunk = chunk_stocked(test, HKM_CLASS_4K, 0, 1);
	u64 pops;

	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 0);
	pops = hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_4K, HKM_freelist_pops), pops);
	hkm_kunit_push(HKM_CLASS_4K, &chunk->base, 1);
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
}

/* From the inventories first, and what CPUs park last. */
static void pressure_takes_no_more_than_asked(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
		chunk_stocked(test, HKM_CLASS_16K, i, 0);
	}
	hkm_trim_bin(HKM_CLASS_4K, 3);
	hkm_trim_bin(HKM_CLASS_16K, 3);
	hkm_kfree(hkm_kunit_alloc(SZ_8K, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(4), 4);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 2);
	KUNIT_EXPECT_TRUE(test, hkm_cpu_parks(hkm_kunit_cpu(), HKM_CLASS_8K));
	/* Then whole chunks, class by class; what was found beside these is kept. */
	hkm_reclaim_all();
	for (i = 0; i < 3; i++) {
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
		chunk_stocked(test, HKM_CLASS_16K, i, 0);
	}
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(2), 2);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 3);
	hkm_reclaim_all();
	hkm_kfree(hkm_kunit_alloc(SZ_8K, GFP_KERNEL));
	KUNIT_EXPECT_GT(test, hkm_test_shrink(100), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 0);
}

/* What another's pass has in hand, and how often the shrinker waited for it. */
static void *in_hand[HKM_MAX_BLOCKS];
static unsigned int nr_in_hand, nr_waits;

static void pass_begin(void)
{
	mutex_lock(&hkm_trim_lock);
	nr_in_hand = hkm_kunit_pop_all(HKM_CLASS_4K, in_hand, ARRAY_SIZE(in_hand));
	nr_waits = 0;
}

static void pass_end(void)
{
	hkm_kunit_push(HKM_CLASS_4K, in_hand, nr_in_hand);
	mutex_unlock(&hkm_trim_lock);
}

static void pass_ends_at_third_wait(void)
{
	if (++nr_waits == 3)
		pass_end();
}

static void pass_keeps_at_first_wait(void)
{
	nr_waits++;
	pass_end();
	hkm_trim_bin(HKM_CLASS_4K, 1);
}

static void pass_goes_on(void)
{
	nr_waits++;
}

/* So that nobody is killed for want of what is just being sorted. */
static void pressure_waits_for_a_pass(struct kunit *test)
{
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	pass_begin();
	hkm_test_shrink_wait(pass_ends_at_third_wait);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	KUNIT_EXPECT_EQ(test, nr_waits, 3);
	if (nr_waits < 3)
		pass_end();
}

/* Rather than sort once more what has just been sorted. */
static void pressure_takes_what_a_pass_has_kept(struct kunit *test)
{
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	pass_begin();
	chunk_stocked(test, HKM_CLASS_16K, 0, 0);
	hkm_test_shrink_wait(pass_keeps_at_first_wait);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 1);
	if (!nr_waits)
		pass_end();
}

/* It may be no thread's turn to go on with that. */
static void pressure_does_not_wait_for_ever(struct kunit *test)
{
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	pass_begin();
	hkm_test_shrink_wait(pass_goes_on);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 0);
	KUNIT_EXPECT_GT(test, nr_waits, 0);
	KUNIT_EXPECT_LE(test, nr_waits, HZ);
	pass_end();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 1);
}

static void pressure_does_not_wait_needlessly(struct kunit *test)
{
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	chunk_stocked(test, HKM_CLASS_16K, 0, 0);
	hkm_trim_bin(HKM_CLASS_16K, 1);
	pass_begin();
	hkm_test_shrink_wait(pass_goes_on);
	/* There is something. */
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	/* There is nothing, but others will look elsewhere. */
	current->flags |= PF_KSWAPD;
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 0);
	current->flags &= ~PF_KSWAPD;
	KUNIT_EXPECT_EQ(test, nr_waits, 0);
	pass_end();
}

/* What the shrinker left over CAP goes with the next tick, and is no fault of CAP's. */
static void tick_after_pressure_is_pressure(struct kunit *test)
{
	unsigned int i;

	hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_4K] = 1;
	for (i = 0; i < 3; i++)
		chunk_stocked(test, HKM_CLASS_4K, i, 0);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(1), 1);
	KUNIT_EXPECT_TRUE(test, hkm_reclaim_was_forced());
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_was_forced());
	hkm_reclaim_tick();
	KUNIT_EXPECT_LE(test, hkm_chunk_count(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_TRUE(test, hkm_reclaim_was_forced());
	hkm_reclaim_tick();
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_was_forced());
}

/* As often as there is something, and what is kept in any case. */
static void pressure_finds_what_there_is(struct kunit *test)
{
	struct hkm_chunk *chunk;

	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	chunk_stocked(test, HKM_CLASS_4K, 0, 0);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	chunk = chunk_stocked(test, HKM_CLASS_4K, 0, 1);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 0);
	chunk_stocked(test, HKM_CLASS_4K, 1, 0);
	hkm_trim_bin(HKM_CLASS_4K, 1);
	KUNIT_EXPECT_EQ(test, hkm_test_shrink(8), 1);
	hkm_kunit_push(HKM_CLASS_4K, &chunk->base, 1);
}

static void stricter_policy_finds_idle_stock(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	unsigned int i;

	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	policy->idle_ms = 9000;
	for (i = 0; i < 6; i++)
		hkm_reclaim_tick();
	KUNIT_EXPECT_GT(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	policy->idle_ms = 2000;
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
}

static void idle_class_stays_idle(struct kunit *test)
{
	unsigned int i;

	hkm_kfree(hkm_kunit_alloc(SZ_16K, GFP_KERNEL));
	hkm_kunit_policy(test)->idle_ms = 2000;
	for (i = 0; i < 3; i++)
		hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	/* That its ring was emptied was no use of it. */
	chunk_stocked(test, HKM_CLASS_16K, 0, 0);
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
}

static void class_that_was_idle_takes_a_bundle(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	void *p = hkm_kunit_alloc(SZ_4K, GFP_KERNEL);

	hkm_kfree(p);
	policy->idle_ms = 1000;
	policy->cap_chunks[HKM_CLASS_4K] = 1;
	hkm_reclaim_tick();
	hkm_reclaim_tick();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_at_cap(HKM_CLASS_4K));
	p = hkm_kunit_alloc(SZ_4K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K),
			policy->bundle[HKM_CLASS_4K]);
	hkm_kfree(p);
}

struct storm {
	atomic_t nr_done;
	atomic_t damaged;
	atomic_long_t released;
};

/* Until trim has found something, if that takes longer. */
static bool storm_goes_on(struct storm *storm, unsigned int round)
{
	cond_resched();
	return round < STORM_ROUNDS || (round < 1000 * STORM_ROUNDS &&
					!atomic_long_read(&storm->released));
}

static void storm_thread(unsigned int id, void *arg)
{
	static const u32 sizes[] = { SZ_2K, SZ_8K, 10000, SZ_32K, 100000, SZ_512K };
	struct storm *storm = arg;
	u32 *held[STORM_HOLDS] = {}, sent[STORM_HOLDS];
	unsigned int round, i;

	if (!id) {
		while (atomic_read(&storm->nr_done) < STORM_THREADS - 1)
			atomic_long_add(hkm_reclaim_all(), &storm->released);
		return;
	}
	for (round = 0; storm_goes_on(storm, round); round++) {
		/* Now and then all are free, and so are whole chunks. */
		unsigned int holds = round / 200 % 2 ? STORM_HOLDS : 1;

		i = round % STORM_HOLDS;
		if (held[i]) {
			if (*held[i] != sent[i])
				atomic_inc(&storm->damaged);
			hkm_kfree(held[i]);
			held[i] = NULL;
		}
		if (i >= holds)
			continue;
		held[i] = hkm_kunit_alloc(sizes[round % ARRAY_SIZE(sizes)], GFP_KERNEL);
		sent[i] = (id << 24) + round;
		*held[i] = sent[i];
	}
	for (i = 0; i < STORM_HOLDS; i++)
		hkm_kfree(held[i]);
	atomic_inc(&storm->nr_done);
}

static void trim_under_traffic_loses_nothing(struct kunit *test)
{
	struct storm storm = {};
	unsigned int id;

	hkm_kunit_threads(test, STORM_THREADS, storm_thread, &storm);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.damaged), 0);
	KUNIT_EXPECT_GT(test, atomic_long_read(&storm.released), 0);
	hkm_reclaim_all();
	hkm_kunit_for_each_class(id) {
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
	}
}

static struct kunit_case trim_cases[] = {
	KUNIT_CASE(whole_chunks_are_released),
	KUNIT_CASE(scattered_blocks_of_a_chunk_are_found),
	KUNIT_CASE(chunk_with_a_live_block_stays),
	KUNIT_CASE(emptiest_chunks_drain),
	KUNIT_CASE(nothing_drains_for_whole_chunks),
	KUNIT_CASE(same_chunks_go_on_draining),
	KUNIT_CASE(draining_chunks_come_to_be_whole),
	KUNIT_CASE(draining_stock_serves_before_a_refill),
	KUNIT_CASE(kept_chunks_serve_refills),
	KUNIT_CASE(inventory_gives_back_no_more_than_asked),
	KUNIT_CASE(block_of_kept_chunk_is_refused),
	KUNIT_CASE(every_cpu_is_flushed),
	KUNIT_CASE(tick_trims_to_cap),
	KUNIT_CASE(parked_blocks_are_not_over_cap),
	KUNIT_CASE(rest_of_a_chunk_is_not_free),
	KUNIT_CASE(refill_at_cap_takes_one),
	KUNIT_CASE(idle_stock_goes_back),
	KUNIT_CASE(used_stock_stays),
	KUNIT_CASE(stock_used_now_and_then_stays),
	KUNIT_CASE(pauses_double),
	KUNIT_CASE(pauses_end_with_what_they_were_for),
	KUNIT_CASE(pauses_of_idle_class_are_short),
	KUNIT_CASE(some_success_ends_the_pauses),
	KUNIT_CASE(fruitless_passes_become_rare),
	KUNIT_CASE(much_that_is_scattered_is_tried_more_often),
	KUNIT_CASE(lower_cap_heeds_no_pause),
	KUNIT_CASE(pauses_end_below_cap_too),
	KUNIT_CASE(pressure_heeds_no_pause),
	KUNIT_CASE(pressure_in_vain_waits_for_tick),
	KUNIT_CASE(pressure_takes_no_more_than_asked),
	KUNIT_CASE(pressure_waits_for_a_pass),
	KUNIT_CASE(pressure_takes_what_a_pass_has_kept),
	KUNIT_CASE(pressure_does_not_wait_for_ever),
	KUNIT_CASE(pressure_does_not_wait_needlessly),
	KUNIT_CASE(tick_after_pressure_is_pressure),
	KUNIT_CASE(pressure_finds_what_there_is),
	KUNIT_CASE(stricter_policy_finds_idle_stock),
	KUNIT_CASE(idle_class_stays_idle),
	KUNIT_CASE(class_that_was_idle_takes_a_bundle),
	KUNIT_CASE(end_of_what_was_scattered_is_noticed),
	KUNIT_CASE(trim_under_traffic_loses_nothing),
	{}
};

static struct kunit_suite trim_suite = {
	.name = "hakmem_trim",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = trim_cases,
};

kunit_test_suites(&trim_suite);
