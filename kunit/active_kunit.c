// SPDX-License-Identifier: GPL-2.0
/*
 * Front end, active pages: fresh blocks come in order of address from A, then
 * from B; what they hold, and what they count for in the CPU's budget.
 */
#include "common.h"
#include "../pool/harden.h"

/* Installs the blocks of a chunk as an active page of the case's CPU. */
static bool install(struct hkm_chunk *chunk, bool zeroed)
{
	struct hkm_run run = {
		.next = chunk->base,
		.end = chunk->base + chunk->nr_blocks *
		       hkm_classes[chunk->bin].size_bytes,
		.span_bytes = hkm_chunk_bytes(chunk),
		.zeroed = zeroed,
	};
	struct hkm_cpu *cpu = hkm_kunit_cpu_get();
	bool taken = hkm_cpu_install(cpu, chunk->bin, &run);

	if (taken)
		hkm_count_moving(chunk->bin, -(long)chunk->nr_blocks);
	hkm_kunit_cpu_put(cpu);
	return taken;
}

/* Two chunks that are A and B of @bin; the rings are empty. */
static void install_two(struct kunit *test, unsigned int bin,
			struct hkm_chunk **chunk)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		chunk[i] = hkm_kunit_chunk(test, bin, 0);
		KUNIT_EXPECT_TRUE(test, install(chunk[i], false));
	}
}

static void blocks_come_from_a_then_b(struct kunit *test)
{
	unsigned int id, i;

	/* A refill of large ones never makes an active page. */
	for (id = 0; !hkm_class_is_large(id); id = hkm_kunit_class_after(id)) {
		unsigned int per_page = hkm_classes[id].nr_blocks;
		const struct hkm_ring *ring = hkm_kunit_ring(id);
		struct hkm_chunk *chunk[2];
		void *blocks[2 * HKM_MAX_BLOCKS];

		install_two(test, id, chunk);
		for (i = 0; i < 2 * per_page; i++) {
			const void *base = chunk[i / per_page]->base;

			blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL);
			KUNIT_EXPECT_PTR_EQ_MSG(test, blocks[i],
						base + i % per_page * hkm_classes[id].size_bytes,
						"class %s, block %u",
						hkm_classes[id].name, i);
			KUNIT_EXPECT_EQ(test, !ring->run[0].end,
					i + 1 >= per_page);
			KUNIT_EXPECT_EQ(test, !ring->run[1].end,
					i + 1 == 2 * per_page);
		}
		/* All were hits of active pages, and no page was asked for. */
		KUNIT_EXPECT_EQ(test, ring->nr, 0);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 2);
		hkm_kunit_free_all(blocks, 2 * per_page);
	}
}

static void hits_are_counted(struct kunit *test)
{
	struct hkm_class_stats before, after;
	struct hkm_chunk *chunk[2];
	void *blocks[5];
	unsigned int i;

	install_two(test, HKM_CLASS_4K, chunk);
	hkm_stats_read(HKM_CLASS_4K, &before);
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = hkm_kunit_alloc_class(HKM_CLASS_4K, GFP_KERNEL);
	hkm_stats_read(HKM_CLASS_4K, &after);
	KUNIT_EXPECT_EQ(test, after.hits_active, before.hits_active + 5);
	KUNIT_EXPECT_EQ(test, after.hits_ring, before.hits_ring);
	KUNIT_EXPECT_EQ(test, after.slow[HKM_slow_allocs],
			before.slow[HKM_slow_allocs]);

	/* A freed block is warm: it comes before the rest of the page. */
	hkm_kfree(blocks[0]);
	KUNIT_EXPECT_PTR_EQ(test,
			    hkm_kunit_alloc_class(HKM_CLASS_4K, GFP_KERNEL),
			    blocks[0]);
	hkm_stats_read(HKM_CLASS_4K, &after);
	KUNIT_EXPECT_EQ(test, after.hits_active, before.hits_active + 5);
	KUNIT_EXPECT_EQ(test, after.hits_ring, before.hits_ring + 1);
	hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
}

static void fresh_blocks_are_zero_if_asked(struct kunit *test)
{
	unsigned int id, i;

	hkm_kunit_for_each_class(id) {
		unsigned int nr = 2 * hkm_classes[id].nr_blocks, dirty = 0;
		void *blocks[2 * HKM_MAX_BLOCKS];

		hkm_kunit_dirty_pages();
		for (i = 0; i < nr; i++)
			blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL | __GFP_ZERO);
		for (i = 0; i < nr; i++)
			dirty += !hkm_kunit_filled(blocks[i], 0,
						   hkm_classes[id].size_bytes);
		KUNIT_EXPECT_EQ_MSG(test, dirty, 0, "class %s",
				    hkm_classes[id].name);
		hkm_kunit_free_all(blocks, nr);
	}
}

static void blocks_of_an_unclear_refill_are_cleared(struct kunit *test)
{
	unsigned int id, i;

	/* The refill is for a request that wants none of it clear. */
	hkm_kunit_for_each_class(id) {
		unsigned int nr = 2 * hkm_classes[id].nr_blocks, dirty = 0;
		void *blocks[2 * HKM_MAX_BLOCKS];

		hkm_kunit_dirty_pages();
		blocks[0] = hkm_kunit_alloc_class(id, GFP_KERNEL);
		for (i = 1; i < nr; i++) {
			blocks[i] = hkm_kunit_alloc_class(id, GFP_KERNEL | __GFP_ZERO);
			dirty += !hkm_kunit_filled(blocks[i], 0,
						   hkm_classes[id].size_bytes);
		}
		KUNIT_EXPECT_EQ_MSG(test, dirty, 0, "class %s",
				    hkm_classes[id].name);
		hkm_kunit_free_all(blocks, nr);
	}
}

static void page_not_known_clear_is_cleared(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_8K, 0);
	void *p;

	memset(chunk->base, HKM_KUNIT_DIRT, HKM_CHUNK_BYTES);
	KUNIT_ASSERT_TRUE(test, install(chunk, false));
	p = hkm_kunit_alloc_class(HKM_CLASS_8K, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_PTR_EQ(test, p, chunk->base);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_8K));
	/* And no more than the block. */
	KUNIT_EXPECT_TRUE(test,
			  hkm_kunit_filled(p + SZ_8K, HKM_KUNIT_DIRT,
					   HKM_CHUNK_BYTES - SZ_8K));
	hkm_kfree(p);
}

static void page_known_clear_is_not_cleared_again(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_8K, 0);
	void *p;

	/* A lie, to see it believed. */
	memset(chunk->base, HKM_KUNIT_DIRT, HKM_CHUNK_BYTES);
	KUNIT_ASSERT_TRUE(test, install(chunk, true));
	p = hkm_kunit_alloc_class(HKM_CLASS_8K, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_PTR_EQ(test, p, chunk->base);
	KUNIT_EXPECT_TRUE(test,
			  hkm_kunit_filled(p + 16, HKM_KUNIT_DIRT, SZ_8K - 16));
	/* Once it has been a caller's, it is. */
	hkm_kfree(p);
	KUNIT_EXPECT_PTR_EQ(test, p,
			    hkm_kunit_alloc_class(HKM_CLASS_8K,
						  GFP_KERNEL | __GFP_ZERO));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_8K));
	hkm_kfree(p);
}

static void budget_counts_whole_spans(struct kunit *test)
{
	static const u32 size_bytes[] = { 10752, 40 * SZ_1K, 48 * SZ_1K };
	const struct hkm_class *cl = &hkm_classes[HKM_CLASS_DYN1];
	const struct hkm_cpu *cpu = hkm_kunit_cpu();
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(size_bytes); i++) {
		void *blocks[HKM_MAX_BLOCKS];
		struct hkm_chunk *chunk;
		u32 before;

		hkm_kunit_dyn1(test, size_bytes[i]);
		before = hkm_cpu_budget(cpu)->parked_bytes;
		chunk = hkm_kunit_chunk(test, HKM_CLASS_DYN1, 0);
		KUNIT_ASSERT_TRUE(test, install(chunk, false));
		for (j = 0; j < cl->nr_blocks; j++) {
			KUNIT_EXPECT_EQ(test, hkm_cpu_budget(cpu)->parked_bytes,
					before + hkm_span_bytes(cl));
			blocks[j] = hkm_kunit_alloc_class(HKM_CLASS_DYN1, GFP_KERNEL);
		}
		KUNIT_EXPECT_EQ(test, hkm_cpu_budget(cpu)->parked_bytes, before);
		for (j = 0; j < cl->nr_blocks; j++)
			KUNIT_EXPECT_PTR_EQ(test, blocks[j],
					    chunk->base + j * size_bytes[i]);
		hkm_kunit_free_all(blocks, cl->nr_blocks);
		hkm_kunit_empty();
	}
}

static void third_page_is_refused(struct kunit *test)
{
	const struct hkm_ring *ring = hkm_kunit_ring(HKM_CLASS_16K);
	u32 parked = hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes;
	struct hkm_chunk *chunk[3];

	install_two(test, HKM_CLASS_16K, chunk);
	chunk[2] = hkm_kunit_chunk(test, HKM_CLASS_16K, 0);
	KUNIT_EXPECT_FALSE(test, install(chunk[2], false));
	KUNIT_EXPECT_PTR_EQ(test, ring->run[0].next, chunk[0]->base);
	KUNIT_EXPECT_PTR_EQ(test, ring->run[1].next, chunk[1]->base);
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes,
			parked + 2 * HKM_CHUNK_BYTES);
	hkm_chunk_release(chunk[2]);
}

static void page_beyond_budget_is_refused(struct kunit *test)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	struct hkm_cpu *cpu = hkm_kunit_cpu();
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_16K, 0);
	u32 parked = hkm_cpu_budget(cpu)->parked_bytes;

	policy->cpu_budget_bytes = parked + HKM_CHUNK_BYTES - 1;
	KUNIT_EXPECT_FALSE(test, install(chunk, false));
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(cpu)->parked_bytes, parked);
	policy->cpu_budget_bytes++;
	KUNIT_EXPECT_TRUE(test, install(chunk, false));
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(cpu)->parked_bytes, policy->cpu_budget_bytes);
}

static void idle_page_goes_to_the_shared_tier(struct kunit *test)
{
	void *blocks[2 * HKM_MAX_BLOCKS], *p;
	u32 parked = hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes;
	struct hkm_chunk *chunk[2];
	unsigned int i, unmarked = 0;

	install_two(test, HKM_CLASS_2K, chunk);
	p = hkm_kunit_alloc_class(HKM_CLASS_2K, GFP_KERNEL);
	preempt_disable();
	hkm_cpu_flush_all(hkm_kunit_cpu());
	preempt_enable();
	KUNIT_EXPECT_EQ(test, hkm_cpu_budget(hkm_kunit_cpu())->parked_bytes, parked);
	KUNIT_EXPECT_EQ(test,
			hkm_kunit_pop_all(HKM_CLASS_2K, blocks, ARRAY_SIZE(blocks)),
			2 * HKM_MAX_BLOCKS - 1);
	/* Free blocks now, a stray free of which is to be noticed. */
	for (i = 0; i < 2 * HKM_MAX_BLOCKS - 1; i++)
		unmarked += !hkm_block_is_marked(blocks[i]) || blocks[i] == p;
	KUNIT_EXPECT_EQ(test, unmarked, 0);
	for (i = 0; i < 2 * HKM_MAX_BLOCKS - 1; i++)
		hkm_kunit_push(HKM_CLASS_2K, &blocks[i], 1);
	hkm_kfree(p);
}

static struct kunit_case active_cases[] = {
	KUNIT_CASE(blocks_come_from_a_then_b),
	KUNIT_CASE(hits_are_counted),
	KUNIT_CASE(fresh_blocks_are_zero_if_asked),
	KUNIT_CASE(blocks_of_an_unclear_refill_are_cleared),
	KUNIT_CASE(page_not_known_clear_is_cleared),
	KUNIT_CASE(page_known_clear_is_not_cleared_again),
	KUNIT_CASE(budget_counts_whole_spans),
	KUNIT_CASE(third_page_is_refused),
	KUNIT_CASE(page_beyond_budget_is_refused),
	KUNIT_CASE(idle_page_goes_to_the_shared_tier),
	{}
};

static struct kunit_suite active_suite = {
	.name = "hakmem_active",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = active_cases,
};

kunit_test_suites(&active_suite);
