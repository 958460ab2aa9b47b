// SPDX-License-Identifier: GPL-2.0
/*
 * Refill: what a bundle of new chunks stocks, and what becomes of a request
 * when the page allocator has none.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>

#include "common.h"

static void *request(unsigned int bin)
{
	return hkm_kunit_alloc_class(bin, GFP_KERNEL);
}

static unsigned int owned(void **blocks, unsigned int nr)
{
	unsigned int i, owned = 0;

	for (i = 0; i < nr; i++)
		owned += hkm_owns(blocks[i]);
	return owned;
}

static unsigned int run_blocks(const struct hkm_run *run, u32 size_bytes)
{
	return run->end ? (run->end - run->next) / size_bytes : 0;
}

static void bundle_stocks_all_tiers(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		unsigned int bundle = hkm_kunit_policy(test)->bundle[id];
		const struct hkm_class *cl = &hkm_classes[id];
		const struct hkm_ring *ring = hkm_kunit_ring(id);
		u64 refills = hkm_kunit_counter(id, HKM_refills);
		unsigned int a, b, whole, shared, total;
		void *out[4 * HKM_MAX_BLOCKS], *p;

		p = request(id);
		KUNIT_EXPECT_TRUE(test, hkm_owns(p));
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_refills),
				refills + bundle);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id),
				bundle << cl->span_order);
		a = run_blocks(&ring->run[0], cl->size_bytes);
		b = run_blocks(&ring->run[1], cl->size_bytes);
		shared = hkm_kunit_pop_all(id, out, ARRAY_SIZE(out));

		/* Active pages first, if worth it: A has given the block. */
		total = bundle * cl->nr_blocks;
		if (cl->nr_blocks > 2) {
			KUNIT_EXPECT_EQ(test, a, cl->nr_blocks - 1);
			whole = min(bundle - 1, 1U) * cl->nr_blocks;
			KUNIT_EXPECT_EQ(test, b, whole);
		} else if (cl->nr_blocks == 2) {
			KUNIT_EXPECT_EQ(test, a, 2);
			KUNIT_EXPECT_EQ(test, b, 2);
		} else {
			KUNIT_EXPECT_EQ(test, a + b, 0);
		}
		/* Then the ring, then the shared tier; nothing is lost. */
		KUNIT_EXPECT_TRUE(test, !shared || ring->nr == ring->limit);
		KUNIT_EXPECT_EQ(test, 1 + a + b + ring->nr + shared, total);
		if (shared)
			hkm_kunit_push(id, out, shared);
		hkm_kfree(p);
		/* The CPU's whole budget is the next class's. */
		hkm_kunit_empty();
	}
}

/* Refills of a request for cleared memory. */
static u64 refills_for(unsigned int id, gfp_t gfp)
{
	u64 refills = hkm_kunit_counter(id, HKM_refills);

	hkm_kfree(hkm_kunit_alloc(hkm_classes[id].size_bytes, gfp | __GFP_ZERO));
	refills = hkm_kunit_counter(id, HKM_refills) - refills;
	hkm_kunit_empty();
	return refills;
}

/* Who cannot sleep does not wait until more is cleared than is needed. */
static void atomic_requests_clear_one_span(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		KUNIT_EXPECT_EQ(test, refills_for(id, GFP_ATOMIC), 1);
		KUNIT_EXPECT_EQ(test, refills_for(id, GFP_NOWAIT), 1);
		KUNIT_EXPECT_EQ(test, refills_for(id, GFP_KERNEL),
				hkm_kunit_policy(test)->bundle[id]);
	}
}

static void bundles_have_at_most_four_chunks(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		unsigned int bundle = hkm_kunit_policy(test)->bundle[id];

		if (hkm_class_is_large(id)) {
			KUNIT_EXPECT_EQ(test, bundle, 1);
			continue;
		}
		KUNIT_EXPECT_GE(test, bundle, 1);
		KUNIT_EXPECT_LE(test, bundle << hkm_classes[id].span_order,
				HKM_SPAN_MAX_CHUNKS);
	}
}

static void refill_comes_last(struct kunit *test)
{
	unsigned int nr = 2 * hkm_classes[HKM_CLASS_2K].nr_blocks, i;
	u64 refills = hkm_kunit_counter(HKM_CLASS_2K, HKM_refills);
	void *blocks[2 * HKM_MAX_BLOCKS + 1];

	/* As long as the first bundle lasts, there is no other. */
	for (i = 0; i < nr; i++)
		blocks[i] = request(HKM_CLASS_2K);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_2K, HKM_refills),
			refills + 2);
	blocks[nr] = request(HKM_CLASS_2K);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_2K, HKM_refills),
			refills + 4);
	hkm_kunit_free_all(blocks, nr + 1);
	/* And none while all of that is free. */
	for (i = 0; i <= nr; i++)
		blocks[i] = request(HKM_CLASS_2K);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_2K, HKM_refills),
			refills + 4);
	hkm_kunit_free_all(blocks, nr + 1);
}

static void no_page_means_kmalloc(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		struct hkm_class_stats before, after;
		void *p;

		hkm_stats_read(id, &before);
		hkm_test_pages_left = 0;
		p = request(id);
		hkm_test_pages_left = -1;
		hkm_stats_read(id, &after);
		KUNIT_EXPECT_NOT_NULL(test, p);
		KUNIT_EXPECT_FALSE(test, hkm_owns(p));
		KUNIT_EXPECT_GE(test, hkm_ksize(p), hkm_classes[id].size_bytes);
		KUNIT_EXPECT_EQ(test, after.slow[HKM_fallbacks],
				before.slow[HKM_fallbacks] + 1);
		KUNIT_EXPECT_EQ(test, after.slow[HKM_unserved],
				before.slow[HKM_unserved] + 1);
		KUNIT_EXPECT_EQ(test, after.slow[HKM_refills],
				before.slow[HKM_refills]);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
		KUNIT_EXPECT_EQ(test, hkm_stats_live(&after), 0);
		hkm_kfree(p);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
}

static void part_of_a_bundle_will_do(struct kunit *test)
{
	unsigned int id, left;

	hkm_kunit_for_each_class(id) {
		unsigned int bundle = hkm_kunit_policy(test)->bundle[id];

		for (left = 1; left <= bundle + 1; left++) {
			u64 fallbacks = hkm_kunit_counter(id, HKM_fallbacks);
			void *p;

			hkm_test_pages_left = left;
			p = request(id);
			/* One refill, of no more than a bundle. */
			KUNIT_EXPECT_EQ(test, hkm_test_pages_left,
					left > bundle ? 1 : 0);
			hkm_test_pages_left = -1;
			KUNIT_EXPECT_TRUE(test, hkm_owns(p));
			KUNIT_EXPECT_EQ(test,
					hkm_chunk_count(id) >> hkm_classes[id].span_order,
					min(left, bundle));
			KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_fallbacks),
					fallbacks);
			hkm_kfree(p);
			hkm_kunit_empty();
		}
	}
}

#define NR_REQUESTS	200

static void pool_runs_dry_gently(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_REQUESTS);
	unsigned int id, i, ours, failed;

	hkm_kunit_for_each_class(id) {
		unsigned int nr_blocks = hkm_classes[id].nr_blocks;
		u64 fallbacks = hkm_kunit_counter(id, HKM_fallbacks);

		hkm_test_pages_left = 5;
		for (i = failed = 0; i < NR_REQUESTS; i++) {
			blocks[i] = request(id);
			failed += !blocks[i];
		}
		hkm_test_pages_left = -1;
		ours = owned(blocks, NR_REQUESTS);
		KUNIT_EXPECT_EQ(test, failed, 0);
		/* To the last block of the last chunk. */
		KUNIT_EXPECT_EQ_MSG(test, ours, 5 * nr_blocks, "class %s",
				    hkm_classes[id].name);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), ours);
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_fallbacks),
				fallbacks + NR_REQUESTS - ours);
		hkm_kunit_free_all(blocks, NR_REQUESTS);
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), 0);
	}
}

static void refill_without_sleeping(struct kunit *test)
{
	static const gfp_t flags[] = { GFP_ATOMIC, GFP_NOWAIT };
	void *blocks[2 * HKM_NR_CLASSES];
	unsigned long irqflags;
	unsigned int id, i, nr;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		nr = 0;
		preempt_disable();
		hkm_kunit_for_each_class(id)
			blocks[nr++] = hkm_kunit_alloc_class(id, flags[i]);
		preempt_enable();
		KUNIT_EXPECT_EQ(test, owned(blocks, nr), nr);
		hkm_kunit_free_all(blocks, nr);
		hkm_kunit_empty();

		nr = 0;
		local_irq_save(irqflags);
		hkm_kunit_for_each_class(id)
			blocks[nr++] = hkm_kunit_alloc_class(id, flags[i]);
		local_irq_restore(irqflags);
		KUNIT_EXPECT_EQ(test, owned(blocks, nr), nr);
		local_irq_save(irqflags);
		hkm_kunit_free_all(blocks, nr);
		local_irq_restore(irqflags);
		hkm_kunit_empty();
	}
}

static void spans_fall_back_to_chunks(struct kunit *test)
{
	struct hkm_chunk *none, *chunk, *large;

	hkm_kunit_dyn1(test, 40 * SZ_1K);
	KUNIT_ASSERT_EQ(test, hkm_classes[HKM_CLASS_DYN1].span_order, 1);
	WRITE_ONCE(hkm_test_order_max, HKM_CHUNK_ORDER - 1);
	none = hkm_chunk_create(HKM_CLASS_DYN1, 0, NUMA_NO_NODE, GFP_KERNEL);
	WRITE_ONCE(hkm_test_order_max, HKM_CHUNK_ORDER);
	chunk = hkm_chunk_create(HKM_CLASS_DYN1, 0, NUMA_NO_NODE, GFP_KERNEL);
	large = hkm_chunk_create(HKM_CLASS_128K, 0, NUMA_NO_NODE, GFP_KERNEL);

	KUNIT_EXPECT_NULL(test, none);
	/* A block of 128 KiB needs them all. */
	KUNIT_EXPECT_NULL(test, large);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	KUNIT_EXPECT_EQ(test, chunk->order, HKM_CHUNK_ORDER);
	KUNIT_EXPECT_EQ(test, chunk->nr_blocks, 1);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1), 1);
	KUNIT_EXPECT_TRUE(test, hkm_owns(chunk->base + HKM_CHUNK_BYTES - 1));
	KUNIT_EXPECT_FALSE(test, hkm_owns(chunk->base + HKM_CHUNK_BYTES));
	KUNIT_EXPECT_EQ(test, compound_order(virt_to_page(chunk->base)),
			HKM_CHUNK_ORDER);
	hkm_chunk_release(chunk);
}

static void spans_are_refilled(struct kunit *test)
{
	void *blocks[12];
	unsigned int i;

	/* Two spans of 128 KiB, of three blocks each; then two more. */
	hkm_kunit_dyn1(test, 40 * SZ_1K);
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		blocks[i] = request(HKM_CLASS_DYN1);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1),
				i < 6 ? 4 : 8);
		KUNIT_EXPECT_EQ(test, hkm_ksize(blocks[i]), 40 * SZ_1K);
		memset(blocks[i], i, 40 * SZ_1K);
	}
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		KUNIT_EXPECT_TRUE(test,
				  hkm_kunit_filled(blocks[i], i, 40 * SZ_1K));
	hkm_kunit_free_all(blocks, ARRAY_SIZE(blocks));
}

static struct kunit_case refill_cases[] = {
	KUNIT_CASE(bundle_stocks_all_tiers),
	KUNIT_CASE(atomic_requests_clear_one_span),
	KUNIT_CASE(bundles_have_at_most_four_chunks),
	KUNIT_CASE(refill_comes_last),
	KUNIT_CASE(no_page_means_kmalloc),
	KUNIT_CASE(part_of_a_bundle_will_do),
	KUNIT_CASE(pool_runs_dry_gently),
	KUNIT_CASE(refill_without_sleeping),
	KUNIT_CASE(spans_are_refilled),
	KUNIT_CASE(spans_fall_back_to_chunks),
	{}
};

static struct kunit_suite refill_suite = {
	.name = "hakmem_refill",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = refill_cases,
};

kunit_test_suites(&refill_suite);
