// SPDX-License-Identifier: GPL-2.0
/*
 * What clients call: kmalloc()'s rules, the pool's own, and mistakes that are
 * refused without harm.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "common.h"
#include "../pool/tools.h"

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

static bool served(size_t size)
{
	return size >= HKM_MIN_BYTES && size <= HKM_LARGE_MAX_BYTES;
}

static void every_size_is_served(struct kunit *test)
{
	unsigned int failed = 0, misplaced = 0, small = 0;
	size_t size;

	for (size = 1; size <= 2 * HKM_LARGE_MAX_BYTES; size += 1 + size / 97) {
		void *p = hkm_kunit_alloc(size, GFP_KERNEL);
		size_t usable = hkm_ksize(p);

		failed += !p;
		misplaced += hkm_owns(p) != served(size);
		small += usable < size;
		if (p)
			memset(p, HKM_KUNIT_DIRT, size);
		hkm_kfree(p);
	}
	KUNIT_EXPECT_EQ(test, failed, 0);
	KUNIT_EXPECT_EQ(test, misplaced, 0);
	KUNIT_EXPECT_EQ(test, small, 0);
}

static void pool_begins_and_ends_where_it_says(struct kunit *test)
{
	static const size_t size[] = { 1536, 1537, 2048, 53248, 53249, SZ_1M, SZ_1M + 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(size); i++) {
		void *p = hkm_kunit_alloc(size[i], GFP_KERNEL);

		KUNIT_EXPECT_NOT_NULL(test, p);
		KUNIT_EXPECT_EQ_MSG(test, hkm_owns(p), i >= 1 && i <= 5,
				    "size %zu", size[i]);
		hkm_kfree(p);
	}
}

static void zero_and_impossible_sizes(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_alloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	KUNIT_EXPECT_NULL(test, hkm_kunit_alloc(SIZE_MAX, GFP_KERNEL | __GFP_NOWARN));
	KUNIT_EXPECT_NULL(test, hkm_kunit_alloc(SIZE_MAX / 2, GFP_KERNEL | __GFP_NOWARN));
	KUNIT_EXPECT_NULL(test, hkm_kunit_alloc(KMALLOC_MAX_SIZE + 1,
						GFP_KERNEL | __GFP_NOWARN));
	hkm_kfree(NULL);
	hkm_kfree(ZERO_SIZE_PTR);
	hkm_kfree_sensitive(NULL);
	hkm_kfree_sensitive(ZERO_SIZE_PTR);
	KUNIT_EXPECT_EQ(test, hkm_ksize(NULL), 0);
	KUNIT_EXPECT_EQ(test, hkm_ksize(ZERO_SIZE_PTR), 0);
	KUNIT_EXPECT_FALSE(test, hkm_owns(ZERO_SIZE_PTR));
}

static void arrays_check_for_overflow(struct kunit *test)
{
	size_t huge = hidden_size(SIZE_MAX / 2 + 2);
	void *p;

	/* 2 * huge is 2 once it has wrapped around. */
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_array(2, huge, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_array(huge, 2, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, hkm_kcalloc(huge, 2, GFP_KERNEL));
	KUNIT_EXPECT_PTR_EQ(test, hkm_kcalloc(0, huge, GFP_KERNEL), ZERO_SIZE_PTR);

	p = hidden(hkm_kmalloc_array(hidden_size(100), 40, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_4K);
	memset(p, HKM_KUNIT_DIRT, 100 * 40);
	hkm_kfree(p);
	p = hidden(hkm_kcalloc(hidden_size(100), 40, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), SZ_4K);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_4K));
	hkm_kfree(p);
}

static void zeroed_means_all_of_it(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		size_t size = hkm_classes[id].size_bytes;
		void *p = hkm_kunit_alloc(size, GFP_KERNEL), *again;

		memset(p, HKM_KUNIT_DIRT, size);
		hkm_kfree(p);
		again = hidden(hkm_kzalloc(hidden_size(size - 5), GFP_KERNEL));
		KUNIT_EXPECT_PTR_EQ(test, again, p);
		KUNIT_EXPECT_EQ(test, hkm_ksize(again), size);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(again, 0, size));
		hkm_kfree(again);
	}
}

static void ksize_is_the_block(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		size_t size = hkm_classes[id].size_bytes;
		void *p = hkm_kunit_alloc(size - 1, GFP_KERNEL);

		KUNIT_EXPECT_EQ(test, hkm_ksize(p), size);
		KUNIT_EXPECT_EQ(test, hkm_ksize(p + 8), 0);
		KUNIT_EXPECT_EQ(test, hkm_ksize(p + size - 1), 0);
		hkm_kfree(p);
	}
}

static void blocks_are_aligned(struct kunit *test)
{
	unsigned int wrong = 0, i;
	void *blocks[40];
	size_t size;

	for (size = HKM_MIN_BYTES; size <= HKM_MAX_BYTES; size += 509) {
		for (i = 0; i < 4; i++) {
			blocks[i] = hkm_kunit_alloc(size, GFP_KERNEL);
			wrong += !IS_ALIGNED((unsigned long)blocks[i], 512);
		}
		hkm_kunit_free_all(blocks, 4);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	for (size = SZ_2K; size <= SZ_32K; size *= 2) {
		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			blocks[i] = hkm_kunit_alloc(size, GFP_KERNEL);
			wrong += !IS_ALIGNED((unsigned long)blocks[i], size);
		}
		hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void blocks_do_not_overlap(struct kunit *test)
{
	unsigned int id, i, changed;
	void *blocks[70];

	hkm_kunit_for_each_class(id) {
		size_t size = hkm_classes[id].size_bytes;

		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			blocks[i] = hkm_kunit_alloc(size, GFP_KERNEL);
			memset(blocks[i], i, size);
		}
		for (i = changed = 0; i < ARRAY_SIZE(blocks); i++)
			changed += !hkm_kunit_filled(blocks[i], i, size);
		KUNIT_EXPECT_EQ(test, changed, 0);
		hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
	}
}

static void krealloc_keeps_contents(struct kunit *test)
{
	/* Below the pool, across, within it, to its end, beyond; and back. */
	static const size_t size[] = {
		100, 1536, 1537, 2000, 5000, 4097, 9000, 30000, 53248, 53249,
		100000, SZ_1M, SZ_1M + 1, 53248, 40000, 3000, 1000, 60000, 2048, 64,
	};
	void *p = hkm_kunit_alloc(size[0], GFP_KERNEL);
	size_t old = size[0], kept, usable;
	unsigned int i;

	memset(p, 0, old);
	for (i = 1; i < ARRAY_SIZE(size); i++) {
		usable = hkm_ksize(p);
		p = resize(p, size[i], GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p);
		kept = min(old, size[i]);
		KUNIT_EXPECT_TRUE_MSG(test, hkm_kunit_filled(p, i - 1, kept),
				      "%zu to %zu", old, size[i]);
		KUNIT_EXPECT_GE(test, hkm_ksize(p), size[i]);
		/* What is large enough stays; all else goes where it belongs. */
		if (size[i] > usable)
			KUNIT_EXPECT_EQ(test, hkm_owns(p), served(size[i]));
		memset(p, i, size[i]);
		old = size[i];
	}
	hkm_kfree(p);
}

static void krealloc_keeps_block_that_fits(struct kunit *test)
{
	void *p = hkm_kunit_alloc(9000, GFP_KERNEL);
	size_t usable = hkm_ksize(p);

	KUNIT_EXPECT_PTR_EQ(test, resize(p, usable, GFP_KERNEL), p);
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 1, GFP_KERNEL), p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), usable);
	hkm_kfree(p);
}

static void krealloc_of_nothing_and_to_nothing(struct kunit *test)
{
	void *p = resize(NULL, 3000, GFP_KERNEL);

	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_4K), 0);
	p = resize(ZERO_SIZE_PTR, 3000, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	hkm_kfree(p);
	KUNIT_EXPECT_PTR_EQ(test, resize(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	/* From the kernel's, freed there. */
	p = hkm_kunit_alloc(100, GFP_KERNEL);
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
}

static void krealloc_zeroes_the_rest(struct kunit *test)
{
	static const size_t size[] = { 2000, 2048, 3000, 9000, 20000, 53248 };
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	unsigned int i, id;
	void *p;

	/* Every block to be had is dirty. */
	hkm_kunit_for_each_class(id) {
		p = hkm_kunit_alloc_class(id, GFP_KERNEL);
		memset(p, HKM_KUNIT_DIRT, hkm_classes[id].size_bytes);
		hkm_kfree(p);
	}
	p = hkm_kunit_alloc(1600, gfp);
	memset(p, HKM_KUNIT_DIRT, 1600);
	for (i = 0; i < ARRAY_SIZE(size); i++) {
		p = resize(p, size[i], gfp);
		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 1600));
		KUNIT_EXPECT_TRUE_MSG(test,
				      hkm_kunit_filled(p + 1600, 0, size[i] - 1600),
				      "size %zu", size[i]);
	}
	hkm_kfree(p);
}

static void krealloc_zeroes_after_shrinking(struct kunit *test)
{
	/* In the pool; in the kernel's; from that into the pool. */
	static const size_t size[][3] = {
		{ 4000, 1700, 4096 }, { 30000, 2000, 32768 },
		{ 4000, 1700, 9000 }, { 500, 300, 512 }, { 500, 300, 3000 },
	};
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(size); i++) {
		size_t kept = size[i][1];
		void *p = hkm_kunit_alloc(size[i][0], gfp);

		memset(p, HKM_KUNIT_DIRT, size[i][0]);
		p = resize(resize(p, kept, gfp), size[i][2], gfp);
		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, kept));
		if (served(size[i][0]))
			KUNIT_EXPECT_TRUE_MSG(test,
					      hkm_kunit_filled(p + kept, 0, size[i][2] - kept),
					      "case %u", i);
		hkm_kfree(p);
	}
}

static void krealloc_of_no_block_is_refused(struct kunit *test)
{
	void *p = hkm_kunit_alloc(SZ_4K, GFP_KERNEL), *virtual = vmalloc(SZ_4K);

	memset(p, HKM_KUNIT_DIRT, SZ_4K);
	KUNIT_EXPECT_NULL(test, resize(p + 512, SZ_8K, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, resize(virtual, SZ_8K, GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, SZ_4K));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_4K), 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 0);
	vfree(virtual);
	hkm_kfree(p);
}

static void krealloc_failure_keeps_the_block(struct kunit *test)
{
	void *p = hkm_kunit_alloc(3000, GFP_KERNEL);

	memset(p, HKM_KUNIT_DIRT, 3000);
	KUNIT_EXPECT_NULL(test, resize(p, SIZE_MAX / 2, GFP_KERNEL | __GFP_NOWARN));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 3000));
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_4K), 1);
	hkm_kfree(p);
}

/* What @what is refused as: counted, and its class's blocks stay as they are. */
static void expect_refused(struct kunit *test, unsigned int bin,
			   const void *what)
{
	u64 rejects = hkm_kunit_counter(bin, HKM_rejects);
	s64 live = hkm_kunit_live(bin);

	hkm_kfree(hidden((void *)what));
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(bin, HKM_rejects),
			rejects + 1);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(bin), live);
}

static void double_free_is_refused(struct kunit *test)
{
	unsigned int id, i, j, twice;
	void *blocks[8], *p;

	hkm_kunit_for_each_class(id) {
		p = hkm_kunit_alloc_class(id, GFP_KERNEL);
		hkm_kfree(p);
		expect_refused(test, id, p);
		expect_refused(test, id, p);
		for (i = 0; i < ARRAY_SIZE(blocks); i++)
			blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL);
		for (i = twice = 0; i < ARRAY_SIZE(blocks); i++)
			for (j = 0; j < i; j++)
				twice += blocks[i] == blocks[j];
		KUNIT_EXPECT_EQ(test, twice, 0);
		hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
		/* Also of blocks that have left the ring. */
		for (i = 0; i < ARRAY_SIZE(blocks); i++)
			expect_refused(test, id, blocks[i]);
	}
}

static void nested_double_free_is_refused(struct kunit *test)
{
	void *p = hkm_kunit_alloc_class(HKM_CLASS_4K, GFP_KERNEL);
	struct hkm_cpu *cpu;

	cpu = hkm_kunit_cpu_get();
	hkm_kfree(p);
	hkm_kunit_cpu_put(cpu);
	expect_refused(test, HKM_CLASS_4K, p);
}

static void free_of_unused_block_is_refused(struct kunit *test)
{
	void *p = hkm_kunit_alloc_class(HKM_CLASS_8K, GFP_KERNEL), *next;

	/* The next block of the active page, which nobody has had so far. */
	expect_refused(test, HKM_CLASS_8K, p + SZ_8K);
	next = hkm_kunit_alloc_class(HKM_CLASS_8K, GFP_KERNEL);
	KUNIT_EXPECT_PTR_EQ(test, next, p + SZ_8K);
	hkm_kfree(next);
	hkm_kfree(p);
}

static void interior_free_is_refused(struct kunit *test)
{
	static const unsigned int offset[] = { 1, 8, 16, 512, 1024, 2047 };
	unsigned int id, i;

	hkm_kunit_for_each_class(id) {
		u32 size = hkm_classes[id].size_bytes;
		void *p = hkm_kunit_alloc(size, GFP_KERNEL);

		memset(p, HKM_KUNIT_DIRT, size);
		for (i = 0; i < ARRAY_SIZE(offset); i++)
			expect_refused(test, id, p + offset[i]);
		expect_refused(test, id, p + size / 2);
		expect_refused(test, id, p + size - 1);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, size));
		hkm_kfree(p);
	}
}

static void free_of_the_tail_is_refused(struct kunit *test)
{
	void *p = hkm_kunit_alloc_class(HKM_CLASS_52K, GFP_KERNEL);

	/* 12 KiB that no block covers, at a multiple of the block size. */
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED((unsigned long)p, HKM_CHUNK_BYTES));
	expect_refused(test, HKM_CLASS_52K, p + HKM_MAX_BYTES);
	expect_refused(test, HKM_CLASS_52K, p + HKM_MAX_BYTES + 512);
	expect_refused(test, HKM_CLASS_52K, p + HKM_CHUNK_BYTES - 1);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p + HKM_MAX_BYTES), 0);
	/* The block's end is its owner's: writing there changes nothing. */
	memset(p, HKM_KUNIT_DIRT, HKM_MAX_BYTES);
	expect_refused(test, HKM_CLASS_52K, p + HKM_MAX_BYTES);
	hkm_kfree(p);
}

static int in_data;

static void foreign_memory_is_handed_on(struct kunit *test)
{
	struct kmem_cache *cache = kmem_cache_create("hkm_kunit", 96, 0, 0, NULL);
	void *virtual = vmalloc(SZ_4K);
	int on_stack = 0;
	size_t size;

	/* kmalloc()'s goes back to it. */
	for (size = 8; size <= SZ_256K; size *= 2)
		hkm_kfree(hidden(kmalloc(size, GFP_KERNEL)));
	hkm_kfree_sensitive(hidden(kmalloc(100, GFP_KERNEL)));
	hkm_kfree_sensitive(hidden(kmalloc(SZ_128K, GFP_KERNEL)));
	if (cache)
		hkm_kfree(hidden(kmem_cache_alloc(cache, GFP_KERNEL)));
	/* A leak would be told of here. */
	kmem_cache_destroy(cache);

	/* Nobody's is reported, and left alone. */
	hkm_kfree(hidden(&in_data));
	hkm_kfree(hidden(&on_stack));
	hkm_kfree(hidden(virtual));
	hkm_kfree(hidden(foreign_memory_is_handed_on));
	hkm_kfree(hidden((void *)0x1000));
	hkm_kfree(hidden((void *)~0UL));
	KUNIT_EXPECT_EQ(test, in_data + on_stack, 0);
	KUNIT_EXPECT_NOT_NULL(test, virtual);
	memset(virtual, 0, SZ_4K);
	vfree(virtual);
}

static void flags_of_kmalloc_only(struct kunit *test)
{
	static const gfp_t flags[] = {
		__GFP_ACCOUNT, __GFP_RECLAIMABLE, __GFP_THISNODE,
		IS_ENABLED(CONFIG_ZONE_DMA) ? __GFP_DMA : __GFP_ACCOUNT,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		void *p = hkm_kunit_alloc(SZ_4K, GFP_KERNEL | flags[i]);

		KUNIT_EXPECT_NOT_NULL(test, p);
		KUNIT_EXPECT_FALSE_MSG(test, hkm_owns(p), "flags %#x",
				       (__force unsigned int)flags[i]);
		hkm_kfree(p);
		KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(SZ_4K, flags[i]));
	}
}

static void node_requests(struct kunit *test)
{
	void *p = hidden(hkm_kmalloc_node(SZ_8K, GFP_KERNEL, NUMA_NO_NODE));

	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	hkm_kfree(p);
	p = hidden(hkm_kmalloc_node(SZ_8K, GFP_KERNEL, numa_node_id()));
	KUNIT_EXPECT_NOT_NULL(test, p);
	KUNIT_EXPECT_EQ(test, hkm_owns(p), num_online_nodes() == 1);
	hkm_kfree(p);
}

static void nolock_gives_what_is_stocked(struct kunit *test)
{
	u64 unserved = hkm_kunit_counter(HKM_CLASS_8K, HKM_unserved);
	void *blocks[16], *p;
	unsigned int nr;

	/* Nothing is: and nothing is asked for elsewhere. */
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(SZ_8K, 0));
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_unserved),
			unserved + 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 0);
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(HKM_MIN_BYTES - 1, 0));
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(hidden_size(HKM_LARGE_MAX_BYTES + 1), 0));
	KUNIT_EXPECT_NULL(test, hkm_kmalloc_nolock(hidden_size(0), 0));

	/* One bundle is: 16 blocks, one of them ours. */
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	for (nr = 0; nr < ARRAY_SIZE(blocks); nr++) {
		blocks[nr] = hidden(hkm_kmalloc_nolock(SZ_8K, 0));
		if (!blocks[nr])
			break;
		memset(blocks[nr], HKM_KUNIT_DIRT, SZ_8K);
	}
	KUNIT_EXPECT_EQ(test, nr, 15);
	hkm_kunit_free_all(blocks, nr);
	hkm_kfree(p);
	/* And cleared if so wished. */
	p = hidden(hkm_kmalloc_nolock(SZ_8K, __GFP_ZERO));
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_8K));
	hkm_kfree(p);
}

static void nested_nolock_takes_the_shared_tier(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_8K, 0);
	void *blocks[HKM_MAX_BLOCKS], *p, *none;
	struct hkm_cpu *cpu;

	hkm_kunit_chunk_blocks(chunk, blocks);
	cpu = hkm_kunit_cpu_get();
	none = hkm_kmalloc_nolock(SZ_8K, 0);
	hkm_kunit_push(HKM_CLASS_8K, blocks, chunk->nr_blocks);
	p = hidden(hkm_kmalloc_nolock(SZ_8K, 0));
	hkm_kunit_cpu_put(cpu);
	KUNIT_EXPECT_NULL(test, none);
	KUNIT_EXPECT_PTR_EQ(test, p, blocks[0]);
	hkm_kfree(p);
}

static void sensitive_free_clears(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		u32 size = hkm_classes[id].size_bytes;
		void *p = hkm_kunit_alloc(size, GFP_KERNEL);

		memset(p, HKM_KUNIT_DIRT, size);
		/* Refused, and so it must not clear either. */
		hkm_kfree_sensitive(hidden(p + 512));
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, size));
		hkm_kfree_sensitive(p);
		/* All but the key of a free block, its second word. */
		hkm_kasan_unpoison(p, size);
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(hidden(p), 0, 8));
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(hidden(p) + 16, 0, size - 16));
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
}

static void free_block_has_no_size(struct kunit *test)
{
	void *p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	u64 rejects = hkm_kunit_counter(HKM_CLASS_8K, HKM_rejects);

	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(hidden(p)), 0U);
	KUNIT_EXPECT_NULL(test, hkm_krealloc(hidden(p), 5000, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, hkm_krealloc(hidden(p), SZ_16K, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_rejects),
			rejects + 2);
}

static void live_blocks_are_counted(struct kunit *test)
{
	unsigned int id, i;
	void *blocks[50];

	hkm_kunit_for_each_class(id) {
		for (i = 0; i < ARRAY_SIZE(blocks); i++) {
			blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL);
			KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), i + 1);
		}
		while (i--) {
			hkm_kfree(blocks[i]);
			KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), i);
		}
	}
}

static struct kunit_case api_cases[] = {
	KUNIT_CASE(every_size_is_served),
	KUNIT_CASE(pool_begins_and_ends_where_it_says),
	KUNIT_CASE(zero_and_impossible_sizes),
	KUNIT_CASE(arrays_check_for_overflow),
	KUNIT_CASE(zeroed_means_all_of_it),
	KUNIT_CASE(ksize_is_the_block),
	KUNIT_CASE(blocks_are_aligned),
	KUNIT_CASE(blocks_do_not_overlap),
	KUNIT_CASE(krealloc_keeps_contents),
	KUNIT_CASE(krealloc_keeps_block_that_fits),
	KUNIT_CASE(krealloc_of_nothing_and_to_nothing),
	KUNIT_CASE(krealloc_zeroes_the_rest),
	KUNIT_CASE(krealloc_zeroes_after_shrinking),
	KUNIT_CASE(krealloc_of_no_block_is_refused),
	KUNIT_CASE(krealloc_failure_keeps_the_block),
	KUNIT_CASE(double_free_is_refused),
	KUNIT_CASE(nested_double_free_is_refused),
	KUNIT_CASE(free_of_unused_block_is_refused),
	KUNIT_CASE(interior_free_is_refused),
	KUNIT_CASE(free_of_the_tail_is_refused),
	KUNIT_CASE(foreign_memory_is_handed_on),
	KUNIT_CASE(flags_of_kmalloc_only),
	KUNIT_CASE(node_requests),
	KUNIT_CASE(nolock_gives_what_is_stocked),
	KUNIT_CASE(nested_nolock_takes_the_shared_tier),
	KUNIT_CASE(sensitive_free_clears),
	KUNIT_CASE(free_block_has_no_size),
	KUNIT_CASE(live_blocks_are_counted),
	{}
};

static struct kunit_suite api_suite = {
	.name = "hakmem_api",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = api_cases,
};

kunit_test_suites(&api_suite);
