// SPDX-License-Identifier: GPL-2.0
/*
 * Fragments: what the pool does where memory is in pieces.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "common.h"
#include "../pool/freelist.h"
#include "../pool/harden.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/trim.h"

/* The page allocator has no chunk. */
static void memory_break(void)
{
	WRITE_ONCE(hkm_test_order_max, HKM_CHUNK_ORDER - 1);
}

static bool fits(unsigned int id)
{
	return hkm_classes[id].size_bytes && hkm_classes[id].size_bytes <= SZ_32K;
}

static struct hkm_chunk *map_entry(const void *p)
{
	struct hkm_chunk *entry;

	preempt_disable();
	entry = hkm_map_lookup(p);
	preempt_enable();
	return entry;
}

static void classes_that_fit_are_served(struct kunit *test)
{
	unsigned int id;

	memory_break();
	hkm_kunit_for_each_class(id) {
		u32 size = hkm_classes[id].size_bytes;
		void *p = hkm_kunit_alloc_class(id, GFP_KERNEL);
		struct hkm_chunk *chunk;

		KUNIT_ASSERT_EQ_MSG(test, hkm_owns(p), fits(id), "class %s",
				    hkm_classes[id].name);
		if (!fits(id)) {
			hkm_kfree(p);
			continue;
		}
		chunk = hkm_kunit_lookup(p);
		KUNIT_ASSERT_NOT_NULL(test, chunk);
		KUNIT_EXPECT_EQ(test, chunk->order, get_order(size));
		KUNIT_EXPECT_EQ(test, compound_order(virt_to_page(p)), get_order(size));
		KUNIT_EXPECT_EQ(test, chunk->nr_blocks, size == SZ_2K ? 2 : 1);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)p,
						   is_power_of_2(size) ? size : PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, hkm_ksize(p), size);
		memset(p, HKM_KUNIT_DIRT, size);
		hkm_kfree(p);
		KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
}

static void blocks_are_used_again(struct kunit *test)
{
	unsigned int id;

	memory_break();
	hkm_kunit_for_each_class(id) {
		unsigned int bundle = hkm_kunit_policy(test)->bundle[id], i;
		u64 refills;
		void *p;

		if (!fits(id))
			continue;
		refills = hkm_kunit_counter(id, HKM_refills);
		for (i = 0; i < 100; i++) {
			p = hkm_kunit_alloc_class(id, GFP_KERNEL);
			KUNIT_EXPECT_TRUE(test, hkm_owns(p));
			hkm_kfree(p);
		}
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_refills), refills + bundle);
	}
}

static void only_its_own_pages_are_the_pools(struct kunit *test)
{
	unsigned int id, others = 0;

	memory_break();
	hkm_kunit_for_each_class(id) {
		struct hkm_chunk *chunk;
		unsigned long bytes, i;
		const void *base, *area;

		if (!fits(id))
			continue;
		chunk = hkm_kunit_chunk(test, id, 7);
		base = chunk->base;
		bytes = hkm_chunk_bytes(chunk);
		area = (void *)((unsigned long)base & ~(HKM_CHUNK_BYTES - 1));
		for (i = 0; i < HKM_CHUNK_BYTES; i += SZ_1K) {
			bool own = area + i >= base && area + i < base + bytes;

			others += hkm_kunit_lookup(area + i) != (own ? chunk : NULL);
		}
		KUNIT_EXPECT_EQ(test, others, 0);
		hkm_chunk_release(chunk);
		KUNIT_EXPECT_PTR_EQ(test, map_entry(base), &hkm_no_chunk);
	}
}

#define NR_FRAGMENTS	256

/* Neighbours come and go in another order each, and leave nothing behind. */
static void neighbours_share_an_area(struct kunit *test)
{
	struct hkm_chunk **chunks = (void *)hkm_kunit_pointers(test, NR_FRAGMENTS);
	void **bases = hkm_kunit_pointers(test, NR_FRAGMENTS);
	unsigned int shared = 0, lost = 0, i;

	memory_break();
	for (i = 0; i < NR_FRAGMENTS; i++) {
		chunks[i] = hkm_kunit_chunk(test, i % 3 ? HKM_CLASS_4K : HKM_CLASS_2K, i % 64);
		bases[i] = chunks[i]->base;
		shared += i && map_entry(bases[i]) == map_entry(bases[i - 1]);
	}
	KUNIT_EXPECT_GT(test, shared, 0);
	for (i = 0; i < NR_FRAGMENTS; i += 2)
		hkm_chunk_release(chunks[i]);
	for (i = 0; i < NR_FRAGMENTS; i++)
		lost += hkm_kunit_lookup(bases[i]) != (i % 2 ? chunks[i] : NULL);
	KUNIT_EXPECT_EQ(test, lost, 0);
	for (i = 1; i < NR_FRAGMENTS; i += 2)
		hkm_chunk_release(chunks[i]);
	for (i = 0; i < NR_FRAGMENTS; i++)
		lost += map_entry(bases[i]) != &hkm_no_chunk;
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_2K), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

static void count_is_of_pages(struct kunit *test)
{
	struct hkm_chunk *chunks[17];
	unsigned int i;

	memory_break();
	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		chunks[i] = hkm_kunit_chunk(test, HKM_CLASS_4K, 0);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), i < 16 ? 1 : 2);
	}
	for (i = 0; i < ARRAY_SIZE(chunks); i++)
		hkm_chunk_release(chunks[i]);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), 0);
}

static void shared_tier_takes_them(struct kunit *test)
{
	unsigned int id, nr, i;
	void *in[2], *out[2];

	memory_break();
	hkm_kunit_for_each_class(id) {
		struct hkm_chunk *chunk;

		if (!fits(id))
			continue;
		chunk = hkm_kunit_chunk(test, id, 7);
		nr = chunk->nr_blocks;
		hkm_kunit_chunk_blocks(chunk, in);
		KUNIT_EXPECT_EQ(test, hkm_kunit_push(id, in, nr), nr);
		/* What is there already is refused. */
		KUNIT_EXPECT_EQ(test, hkm_kunit_push(id, in, 1), 0);
		KUNIT_EXPECT_EQ(test, hkm_kunit_pop(id, 0, out, 2), nr);
		hkm_kunit_count_allocs(id, nr);
		for (i = 0; i < nr; i++)
			KUNIT_EXPECT_TRUE(test, hkm_kunit_remote_push(id, out[i]));
		KUNIT_EXPECT_FALSE(test, hkm_kunit_remote_push(id, out[0]));
		KUNIT_EXPECT_EQ(test, hkm_kunit_drain(id, 0, out, 2), nr);
		KUNIT_EXPECT_TRUE(test, out[0] == in[0] || out[0] == in[nr - 1]);
		hkm_chunk_release(chunk);
		/* Unknown from here on: nothing to claim. */
		KUNIT_EXPECT_EQ(test, hkm_kunit_push(id, in, 1), 0);
	}
}

/* As chunks, so that those of different call sites do not meet in one shard. */
static void blocks_go_to_their_home(struct kunit *test)
{
	struct hkm_shared *shared;
	struct hkm_chunk *chunk;
	void *block[2];
	u64 mask;

	memory_break();
	shared = hkm_test_shared(HKM_CLASS_4K, &mask);
	chunk = hkm_kunit_chunk(test, HKM_CLASS_4K, 7);
	hkm_kunit_chunk_blocks(chunk, block);
	KUNIT_EXPECT_EQ(test, hkm_kunit_push(HKM_CLASS_4K, block, 1), 1);
	KUNIT_EXPECT_TRUE(test, atomic64_read(&shared->shard[7].head) & mask);
	KUNIT_EXPECT_FALSE(test, atomic64_read(&shared->shard[0].head) & mask);
	KUNIT_EXPECT_EQ(test, hkm_kunit_pop(HKM_CLASS_4K, 0, block, 1), 1);
	hkm_chunk_release(chunk);
}

#define NR_LIVE		1000

/* What blocks leave of their pages is not free: nothing can be had for it. */
static void waste_is_not_free_memory(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_LIVE);
	unsigned int i;

	hkm_kunit_dyn1(test, 10752);
	memory_break();
	for (i = 0; i < NR_LIVE; i++)
		blocks[i] = hkm_kunit_alloc(10752, GFP_KERNEL);
	hkm_reclaim_tick();
	hkm_reclaim_tick();
	KUNIT_EXPECT_FALSE(test, hkm_reclaim_at_cap(HKM_CLASS_DYN1));
	hkm_kunit_free_all(blocks, NR_LIVE);
}

/* What a class may keep it keeps, in pieces or not. */
static void stock_up_to_cap_stays(struct kunit *test)
{
	unsigned int cap = hkm_kunit_policy(test)->cap_chunks[HKM_CLASS_4K];
	unsigned int nr = (cap + 2) * HKM_CHUNK_BYTES / SZ_4K, i;
	void **blocks = hkm_kunit_pointers(test, nr);

	memory_break();
	for (i = 0; i < nr; i++)
		blocks[i] = hkm_kunit_alloc(SZ_4K, GFP_KERNEL);
	hkm_kunit_free_all(blocks, nr);
	hkm_reclaim_unpark(HKM_CLASS_4K);
	KUNIT_EXPECT_GT(test, hkm_chunk_count(HKM_CLASS_4K), (long)cap);
	hkm_reclaim_tick();
	KUNIT_EXPECT_LE(test, hkm_chunk_count(HKM_CLASS_4K), (long)cap + 1);
	KUNIT_EXPECT_GE(test, hkm_chunk_count(HKM_CLASS_4K), (long)cap / 2);
}

static void none_needed_is_kept(struct kunit *test)
{
	void *p;

	memory_break();
	p = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	hkm_kfree(p);
	hkm_reclaim_all();
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
	p = hkm_kunit_alloc(SZ_16K, GFP_KERNEL);
	hkm_kfree(p);
	preempt_disable();
	hkm_cpu_flush_all(hkm_kunit_cpu());
	preempt_enable();
	KUNIT_EXPECT_GT(test, hkm_trim_bin(HKM_CLASS_16K, 0), 0);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_16K), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_16K), 0);
}

static void fragment_with_a_live_block_stays(struct kunit *test)
{
	void *a, *b;

	memory_break();
	a = hkm_kunit_alloc(SZ_2K, GFP_KERNEL);
	b = hkm_kunit_alloc(SZ_2K, GFP_KERNEL);
	memset(a, HKM_KUNIT_DIRT, SZ_2K);
	KUNIT_ASSERT_PTR_EQ(test, hkm_kunit_lookup(a), hkm_kunit_lookup(b));
	hkm_kfree(b);
	hkm_reclaim_all();
	KUNIT_EXPECT_TRUE(test, hkm_owns(a));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(a, HKM_KUNIT_DIRT, SZ_2K));
	hkm_kfree(a);
	hkm_reclaim_all();
	KUNIT_EXPECT_FALSE(test, hkm_owns(a));
}

/* Also where the ring is somebody else's. */
static void interrupted_context_frees(struct kunit *test)
{
	struct hkm_cpu *cpu;
	void *p;

	memory_break();
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	cpu = hkm_kunit_cpu_get();
	hkm_kfree(p);
	hkm_kunit_cpu_put(cpu);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_drain(HKM_CLASS_8K, 0, &p, 1), 1);
	hkm_kunit_count_allocs(HKM_CLASS_8K, 1);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_remote_push(HKM_CLASS_8K, p));
}

static unsigned long reports(enum hkm_misuse what)
{
	return atomic_long_read(&hkm_test_reports[what]);
}

static void mistakes_are_refused(struct kunit *test)
{
	unsigned long doubles = reports(HKM_DOUBLE_FREE);
	unsigned long interiors = reports(HKM_INTERIOR_FREE);
	unsigned long foreigns = reports(HKM_FOREIGN_FREE);
	const void *area, *other;
	unsigned int i;
	void *p;

	hkm_kunit_dyn1(test, 10752);
	memory_break();
	p = hkm_kunit_alloc(10000, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, hkm_owns(p));
	hkm_kfree(p + 512);
	hkm_kfree(p + SZ_4K);
	/* The rest behind the block. */
	hkm_kfree(p + 10752);
	KUNIT_EXPECT_EQ(test, reports(HKM_INTERIOR_FREE), interiors + 3);
	area = (void *)((unsigned long)p & ~(HKM_CHUNK_BYTES - 1));
	for (i = 0; i < HKM_CHUNK_BYTES; i += PAGE_SIZE) {
		other = area + i;
		if (!hkm_owns(other) && !PageSlab(virt_to_head_page(other)) &&
		    !PageCompound(virt_to_page(other)))
			break;
	}
	if (i < HKM_CHUNK_BYTES) {
		hkm_kfree(other);
		KUNIT_EXPECT_EQ(test, reports(HKM_FOREIGN_FREE), foreigns + 1);
	}
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_DYN1), 1);
	hkm_kfree(p);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, reports(HKM_DOUBLE_FREE), doubles + 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_DYN1), 0);
}

#define STORM_THREADS	4
#define STORM_ROUNDS	4000
#define STORM_HOLDS	24

struct storm {
	atomic_t nr_done;
	atomic_t damaged;
	atomic_t fragments;
};

/*
 * The first thread gives back all there is, again and again, and mends and breaks
 * memory; not before the others have had fragments, for they may be done soon.
 */
static void storm_thread(unsigned int id, void *arg)
{
	static const u32 sizes[] = { SZ_2K, SZ_4K, SZ_8K, 10000, SZ_16K, SZ_32K };
	struct storm *storm = arg;
	u32 *held[STORM_HOLDS] = {}, sent[STORM_HOLDS];
	unsigned int round, i;

	for (round = 0; !id && atomic_read(&storm->nr_done) < STORM_THREADS - 1; round++) {
		bool mend = round % 4 == 0 && atomic_read(&storm->fragments);

		WRITE_ONCE(hkm_test_order_max, mend ? UINT_MAX : HKM_CHUNK_ORDER - 1);
		hkm_reclaim_all();
	}
	for (round = 0; id && round < STORM_ROUNDS; round++) {
		i = round % (round / 100 % 2 ? STORM_HOLDS : 2);
		if (held[i]) {
			if (*held[i] != sent[i])
				atomic_inc(&storm->damaged);
			hkm_kfree(held[i]);
		}
		held[i] = hkm_kunit_alloc(sizes[round % ARRAY_SIZE(sizes)], GFP_KERNEL);
		preempt_disable();
		if (!hkm_map_lookup(held[i])->magic && hkm_chunk_lookup(held[i]))
			atomic_inc(&storm->fragments);
		preempt_enable();
		sent[i] = (id << 24) + round;
		*held[i] = sent[i];
		cond_resched();
	}
	for (i = 0; id && i < STORM_HOLDS; i++)
		hkm_kfree(held[i]);
	atomic_inc(&storm->nr_done);
}

static void storm_loses_nothing(struct kunit *test)
{
	struct storm storm = {};
	unsigned int id;

	memory_break();
	hkm_kunit_threads(test, STORM_THREADS, storm_thread, &storm);
	KUNIT_EXPECT_EQ(test, atomic_read(&storm.damaged), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&storm.fragments), 0);
	hkm_reclaim_all();
	hkm_kunit_for_each_class(id) {
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
	}
}

static struct kunit_case fragment_cases[] = {
	KUNIT_CASE(classes_that_fit_are_served),
	KUNIT_CASE(blocks_are_used_again),
	KUNIT_CASE(only_its_own_pages_are_the_pools),
	KUNIT_CASE(neighbours_share_an_area),
	KUNIT_CASE(count_is_of_pages),
	KUNIT_CASE(shared_tier_takes_them),
	KUNIT_CASE(blocks_go_to_their_home),
	KUNIT_CASE(waste_is_not_free_memory),
	KUNIT_CASE(stock_up_to_cap_stays),
	KUNIT_CASE(none_needed_is_kept),
	KUNIT_CASE(fragment_with_a_live_block_stays),
	KUNIT_CASE(interrupted_context_frees),
	KUNIT_CASE(mistakes_are_refused),
	KUNIT_CASE(storm_loses_nothing),
	{}
};

static struct kunit_suite fragment_suite = {
	.name = "hakmem_fragment",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = fragment_cases,
};

kunit_test_suites(&fragment_suite);
