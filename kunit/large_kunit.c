// SPDX-License-Identifier: GPL-2.0
/*
 * Large blocks, of 64 KiB to 1 MiB: the classes, what a CPU may park of them,
 * and what serves when there are no pages for one. What the other suites ask of
 * every class they ask of these too.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "common.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/trim.h"
#include "../pool/watch.h"

#define NR_LARGE	(HKM_NR_CLASSES - HKM_CLASS_64K)

/* Origin and size hidden from the compiler, which would see the mistakes. */
static noinline void *hidden(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

static size_t hidden_size(size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return size;
}

static void *resize(void *p, size_t size, gfp_t gfp)
{
	return hidden(hkm_krealloc(hidden(p), hidden_size(size), gfp));
}

/* A request while the page allocator has nothing for the pool. */
static void *request_without_pages(size_t size, gfp_t gfp)
{
	void *p;

	hkm_test_pages_left = 0;
	p = hkm_kunit_alloc(size, gfp);
	hkm_test_pages_left = -1;
	return p;
}

/* Puts @nr new blocks of a class in the shared tier, full of dirt. */
static void stock(struct kunit *test, unsigned int bin, unsigned int nr)
{
	void *block;

	while (nr--) {
		block = hkm_kunit_chunk(test, bin, 0)->base;
		memset(block + 16, HKM_KUNIT_DIRT,
		       hkm_classes[bin].size_bytes - 16);
		hkm_kunit_push(bin, &block, 1);
	}
}

/* Moves all that is free of a class to the inventory. */
static void keep_all(unsigned int bin)
{
	unsigned long bins[BITS_TO_LONGS(HKM_MAX_BINS)] = { BIT(bin) };
	struct hkm_cpu *cpu = hkm_kunit_cpu_get();

	hkm_cpu_flush(cpu, bins);
	hkm_kunit_cpu_put(cpu);
	hkm_trim_bin(bin, 64);
}

static void sizes_go_to_their_class(struct kunit *test)
{
	unsigned int not_owned = 0, wrong_class = 0, misaligned = 0;
	size_t size, want;
	u8 *p;

	for (size = HKM_MAX_BYTES + 1; size <= HKM_LARGE_MAX_BYTES;
	     size = min(size + 1021, size < SZ_1M ? SZ_1M : SZ_1M + 1)) {
		want = roundup_pow_of_two(size);
		p = hkm_kunit_alloc(size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p);
		not_owned += !hkm_owns(p) || !hkm_owns(p + size - 1);
		wrong_class += hkm_ksize(p) != want;
		misaligned += !IS_ALIGNED((unsigned long)p, want);
		p[0] = 1;
		p[size - 1] = 2;
		hkm_kfree(p);
	}
	KUNIT_EXPECT_EQ(test, not_owned, 0);
	KUNIT_EXPECT_EQ(test, wrong_class, 0);
	KUNIT_EXPECT_EQ(test, misaligned, 0);
}

static void class_borders(struct kunit *test)
{
	unsigned int id;
	void *p;

	for (id = HKM_CLASS_64K; id < HKM_NR_CLASSES; id++) {
		size_t size = hkm_classes[id].size_bytes;

		p = hkm_kunit_alloc(size, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 1);
		hkm_kfree(p);
		p = hkm_kunit_alloc(size + 1, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
		KUNIT_EXPECT_EQ(test, hkm_owns(p), id != HKM_CLASS_1M);
		hkm_kfree(p);
	}
	p = hkm_kunit_alloc(SZ_128K, GFP_KERNEL | __GFP_ACCOUNT);
	KUNIT_EXPECT_NOT_NULL(test, p);
	KUNIT_EXPECT_FALSE(test, hkm_owns(p));
	hkm_kfree(p);
}

static void contents_are_kept(struct kunit *test)
{
	unsigned int nr = 4 * NR_LARGE, changed = 0, i;
	void **blocks = hkm_kunit_pointers(test, nr);

	for (i = 0; i < nr; i++) {
		unsigned int id = HKM_CLASS_64K + i % NR_LARGE;

		blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, blocks[i]);
		memset(blocks[i], i, hkm_classes[id].size_bytes);
	}
	for (i = 0; i < nr; i++)
		changed += !hkm_kunit_filled(blocks[i], i, hkm_ksize(blocks[i]));
	KUNIT_EXPECT_EQ(test, changed, 0);
	hkm_kunit_free_all(blocks, nr);
}

/* Of blocks that come and go many at a time, what the ring keeps. */
static void expect_parked(struct kunit *test, unsigned int bin,
			  unsigned long most)
{
	const struct hkm_ring *ring = hkm_kunit_ring(bin);
	void *blocks[24];
	unsigned int times, i;

	for (times = 0; times < 40; times++) {
		for (i = 0; i < ARRAY_SIZE(blocks); i++)
			blocks[i] = hkm_kunit_alloc_class(bin, GFP_KERNEL);
		hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
	}
	KUNIT_EXPECT_EQ_MSG(test, ring->limit, most, "class %s",
			    hkm_classes[bin].name);
	KUNIT_EXPECT_LE(test, ring->nr, most);
	KUNIT_EXPECT_PTR_EQ(test, ring->run[0].end, NULL);
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes,
			most * hkm_classes[bin].size_bytes);
}

static void ring_holds_half_the_budget(struct kunit *test)
{
	static const unsigned long most[NR_LARGE] = { 8, 4, 2, 1, 0 };
	unsigned int i;

	for (i = 0; i < NR_LARGE; i++) {
		expect_parked(test, HKM_CLASS_64K + i, most[i]);
		hkm_kunit_empty();
	}
	/* Whatever the budget is. */
	hkm_kunit_policy(test)->cpu_budget_bytes = 5 * SZ_128K;
	expect_parked(test, HKM_CLASS_128K, 2);
}

static void ring_serves(struct kunit *test)
{
	unsigned int id, i;

	for (id = HKM_CLASS_64K; id < HKM_CLASS_1M; id++) {
		struct hkm_class_stats before, after;
		void *p = hkm_kunit_alloc_class(id, GFP_KERNEL);

		hkm_kfree(p);
		hkm_stats_read(id, &before);
		for (i = 0; i < 10; i++) {
			KUNIT_EXPECT_PTR_EQ(test, p, hkm_kunit_alloc_class(id, GFP_KERNEL));
			hkm_kfree(p);
		}
		hkm_stats_read(id, &after);
		KUNIT_EXPECT_EQ(test, after.hits_ring, before.hits_ring + 10);
		KUNIT_EXPECT_EQ(test, after.slow[HKM_slow_allocs],
				before.slow[HKM_slow_allocs]);
	}
}

static void largest_goes_by_the_shared_tier(struct kunit *test)
{
	struct hkm_class_stats before, after;
	void *p = hkm_kunit_alloc(SZ_1M, GFP_KERNEL);
	unsigned int i;

	hkm_kfree(p);
	hkm_stats_read(HKM_CLASS_1M, &before);
	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_PTR_EQ(test, p, hkm_kunit_alloc(SZ_1M, GFP_KERNEL));
		hkm_kfree(p);
	}
	hkm_stats_read(HKM_CLASS_1M, &after);
	KUNIT_EXPECT_EQ(test, after.hits_ring, before.hits_ring);
	KUNIT_EXPECT_EQ(test, after.slow[HKM_freelist_pops],
			before.slow[HKM_freelist_pops] + 10);
	KUNIT_EXPECT_EQ(test, after.slow[HKM_freelist_pushes],
			before.slow[HKM_freelist_pushes] + 10);
	KUNIT_EXPECT_EQ(test, after.slow[HKM_refills], before.slow[HKM_refills]);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_1M), 16);
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes, 0);
}

static void cap_is_in_chunks(struct kunit *test)
{
	u64 reuses = hkm_kunit_counter(HKM_CLASS_1M, HKM_reuses);
	void *p;

	stock(test, HKM_CLASS_1M, 7);
	stock(test, HKM_CLASS_256K, 3);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_1M), 7 * 16);
	hkm_reclaim_tick();
	/* By default four blocks of 1 MiB, and 16 of 256 KiB. */
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_1M), 4 * 16);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_1M), 4 * 16);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_256K), 3 * 4);
	p = hkm_kunit_alloc(SZ_1M, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_1M), 3 * 16);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_1M, HKM_reuses), reuses + 1);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), 4 * 16 + 3 * 4);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_1M), 0);
}

static void live_blocks_are_not_trimmed(struct kunit *test)
{
	unsigned int id;

	for (id = HKM_CLASS_64K; id < HKM_NR_CLASSES; id++) {
		long chunks = 1L << hkm_classes[id].span_order;
		void *p = hkm_kunit_alloc_class(id, GFP_KERNEL);

		memset(p, HKM_KUNIT_DIRT, hkm_classes[id].size_bytes);
		stock(test, id, 2);
		KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), 2 * chunks);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), chunks);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT,
							 hkm_classes[id].size_bytes));
		hkm_kfree(p);
		KUNIT_EXPECT_EQ(test, hkm_reclaim_all(), chunks);
	}
}

/* A request of class @id came to a block of the next larger, and goes back. */
static void expect_larger(struct kunit *test, unsigned int id, void *p)
{
	size_t size = hkm_classes[id].size_bytes;

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	KUNIT_ASSERT_EQ(test, hkm_ksize(p), 2 * size);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)p, 2 * size));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(id + 1), 1);
	memset(p, HKM_KUNIT_DIRT, size);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(id + 1), 0);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
}

static void larger_block_serves_without_pages(struct kunit *test)
{
	unsigned int id;

	for (id = HKM_CLASS_64K; id < HKM_CLASS_1M; id++) {
		u64 fallbacks = hkm_kunit_counter(id, HKM_fallbacks);
		u64 unserved = hkm_kunit_counter(id, HKM_unserved);
		size_t size = hkm_classes[id].size_bytes;

		/* From the shared tier, the ring, and the inventory. */
		stock(test, id + 1, 1);
		expect_larger(test, id, request_without_pages(size, GFP_KERNEL));
		hkm_kunit_empty();
		hkm_kfree(hkm_kunit_alloc_class(id + 1, GFP_KERNEL));
		expect_larger(test, id, request_without_pages(size, GFP_ATOMIC));
		hkm_kunit_empty();
		stock(test, id + 1, 1);
		keep_all(id + 1);
		KUNIT_EXPECT_GT(test, hkm_inventory_count(id + 1), 0);
		expect_larger(test, id, request_without_pages(size, GFP_KERNEL));
		hkm_kunit_empty();
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_fallbacks), fallbacks);
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_unserved), unserved);
	}
}

static void larger_block_is_the_last_resort(struct kunit *test)
{
	void *p;

	stock(test, HKM_CLASS_256K, 1);
	p = hkm_kunit_alloc(SZ_128K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_128K);
	hkm_kfree(p);
	p = request_without_pages(SZ_128K, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_128K);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_256K), 0);
}

/* What is neither the class's nor the next larger's is left alone. */
static void no_block_is_twice_too_large(struct kunit *test)
{
	static const struct {
		size_t size;
		unsigned int stocked;
	} request[] = {
		{ SZ_64K, HKM_CLASS_256K }, { SZ_256K, HKM_CLASS_1M },
		{ SZ_128K, HKM_CLASS_64K }, { SZ_1M, HKM_CLASS_512K },
		{ 40000, HKM_CLASS_64K }, { 9320, HKM_CLASS_64K },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(request); i++) {
		void *p;

		stock(test, request[i].stocked, 1);
		p = request_without_pages(request[i].size, GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL(test, p);
		KUNIT_EXPECT_FALSE_MSG(test, hkm_owns(p), "request %u", i);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(request[i].stocked), 0);
		hkm_kfree(p);
		hkm_kunit_empty();
	}
}

static void nolock_takes_what_is_stocked(struct kunit *test)
{
	void *p, *q;

	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(SZ_128K, 0));
	stock(test, HKM_CLASS_128K, 1);
	stock(test, HKM_CLASS_256K, 2);
	p = hidden(hkm_kmalloc_nolock(SZ_128K, __GFP_ZERO));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_128K);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_128K));
	q = hidden(hkm_kmalloc_nolock(SZ_128K, __GFP_ZERO));
	KUNIT_EXPECT_EQ(test, hkm_ksize(q), SZ_256K);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(q, 0, SZ_256K));
	hkm_kfree(q);
	/* The inventory has a lock. */
	keep_all(HKM_CLASS_256K);
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(SZ_128K, 0));
	hkm_kfree(p);
}

static void zeroed_means_all_of_it(struct kunit *test)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	unsigned int id;
	void *p;

	for (id = HKM_CLASS_64K; id < HKM_NR_CLASSES; id++) {
		size_t size = hkm_classes[id].size_bytes;

		/* Stocked; from the inventory; of the next larger class; new. */
		stock(test, id, 1);
		p = hkm_kunit_alloc(size - 5, gfp);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, size));
		memset(p, HKM_KUNIT_DIRT, size - 5);
		hkm_kfree(p);
		keep_all(id);
		p = hkm_kunit_alloc(size - 5, gfp);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, size));
		hkm_kfree(p);
		hkm_kunit_empty();
		if (id != HKM_CLASS_1M) {
			stock(test, id + 1, 1);
			p = request_without_pages(size - 5, gfp);
			KUNIT_EXPECT_EQ(test, hkm_ksize(p), 2 * size);
			KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, hkm_ksize(p)));
			hkm_kfree(p);
			hkm_kunit_empty();
		}
		p = hkm_kunit_alloc(size - 5, gfp);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, size));
		hkm_kfree(p);
	}
}

static void krealloc_crosses_the_border(struct kunit *test)
{
	/* Up from mid sizes, within large ones, out of the pool. */
	static const size_t size[] = {
		40000, HKM_MAX_BYTES, HKM_MAX_BYTES + 1, SZ_64K, SZ_64K + 1,
		300000, SZ_1M, SZ_1M + 1,
	};
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	void *p = hkm_kunit_alloc(size[0], gfp), *q;
	unsigned int i;

	memset(p, HKM_KUNIT_DIRT, 1000);
	for (i = 1; i < ARRAY_SIZE(size); i++) {
		size_t usable = hkm_ksize(p);

		q = resize(p, size[i], gfp);
		KUNIT_ASSERT_NOT_NULL(test, q);
		KUNIT_EXPECT_EQ(test, q == p, size[i] <= usable);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(q, HKM_KUNIT_DIRT, 1000));
		KUNIT_EXPECT_TRUE_MSG(test, hkm_kunit_filled(q + 1000, 0, size[i] - 1000),
				      "size %zu", size[i]);
		KUNIT_EXPECT_EQ(test, hkm_owns(q), size[i] <= SZ_1M);
		p = q;
	}
	hkm_kfree(p);

	/* From the kernel's into the pool. */
	p = resize(hkm_kunit_alloc(100, gfp), 100000, gfp);
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_128K);
	/* A block stays where it is, however little of it is needed. */
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 3000, gfp), p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_128K);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_128K));
	hkm_kfree(p);
}

static void wrong_frees_are_refused(struct kunit *test)
{
	unsigned int id, i;

	for (id = HKM_CLASS_64K; id < HKM_NR_CLASSES; id++) {
		unsigned int chunks = 1U << hkm_classes[id].span_order;
		u64 rejects = hkm_kunit_counter(id, HKM_rejects);
		void *p = hkm_kunit_alloc_class(id, GFP_KERNEL);

		/* Each 64 KiB of it has an entry of its own in the map. */
		for (i = 1; i < chunks; i++) {
			hkm_kfree(hidden(p + i * HKM_CHUNK_BYTES));
			KUNIT_EXPECT_EQ(test, hkm_ksize(p + i * HKM_CHUNK_BYTES), 0);
		}
		hkm_kfree(hidden(p + hkm_classes[id].size_bytes - 1));
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_rejects), rejects + chunks);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 1);
		hkm_kfree(p);
		hkm_kfree(hidden(p));
		KUNIT_EXPECT_EQ(test, hkm_ksize(hidden(p)), 0);
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_rejects), rejects + chunks + 1);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
}

static void kvmalloc_uses_the_pool_if_it_can(struct kunit *test)
{
	void *p = hidden(hkm_kvmalloc(hidden_size(300000), GFP_KERNEL));

	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	memset(p, HKM_KUNIT_DIRT, 300000);
	hkm_test_pages_left = 0;
	p = hidden(hkm_kvrealloc(p, 300000, hidden_size(600000), GFP_KERNEL | __GFP_ZERO));
	hkm_test_pages_left = -1;
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_FALSE(test, hkm_owns(p));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 300000));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p + 300000, 0, 300000));
	hkm_kvfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_512K), 0);
}

static void watched_requests_are_served(struct kunit *test)
{
	unsigned int id;

	hkm_watch_get();
	for (id = HKM_CLASS_64K; id < HKM_NR_CLASSES; id++) {
		void *p = hkm_kunit_alloc_class(id, GFP_KERNEL);

		KUNIT_EXPECT_TRUE(test, hkm_owns(p));
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 1);
		hkm_kfree(p);
		KUNIT_EXPECT_PTR_EQ(test, p, hkm_kunit_alloc_class(id, GFP_KERNEL));
		hkm_kfree(p);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
	hkm_watch_put();
}

static struct kunit_case large_cases[] = {
	KUNIT_CASE(sizes_go_to_their_class),
	KUNIT_CASE(class_borders),
	KUNIT_CASE(contents_are_kept),
	KUNIT_CASE(ring_holds_half_the_budget),
	KUNIT_CASE(ring_serves),
	KUNIT_CASE(largest_goes_by_the_shared_tier),
	KUNIT_CASE(cap_is_in_chunks),
	KUNIT_CASE(live_blocks_are_not_trimmed),
	KUNIT_CASE(larger_block_serves_without_pages),
	KUNIT_CASE(larger_block_is_the_last_resort),
	KUNIT_CASE(no_block_is_twice_too_large),
	KUNIT_CASE(nolock_takes_what_is_stocked),
	KUNIT_CASE(zeroed_means_all_of_it),
	KUNIT_CASE(krealloc_crosses_the_border),
	KUNIT_CASE(wrong_frees_are_refused),
	KUNIT_CASE(kvmalloc_uses_the_pool_if_it_can),
	KUNIT_CASE(watched_requests_are_served),
	{}
};

static struct kunit_suite large_suite = {
	.name = "hakmem_large",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = large_cases,
};

kunit_test_suites(&large_suite);
