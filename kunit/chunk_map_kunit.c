// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks and the chunk map: every address of a chunk is found, no other is, and
 * pages neither leave early nor stay for good.
 */
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/vmalloc.h>

#include "common.h"
#include "../pool/harden.h"
#include "../pool/tools.h"

/* Of the span at @base, the 64 KiB whose ends are not found as @want. */
static unsigned int map_errors(const void *base, unsigned int order,
			       const struct hkm_chunk *want)
{
	unsigned int i, errors = 0;

	for (i = 0; i < 1U << order; i++) {
		const void *p = base + i * HKM_CHUNK_BYTES;

		errors += hkm_kunit_lookup(p) != want;
		errors += hkm_kunit_lookup(p + 1) != want;
		errors += hkm_kunit_lookup(p + HKM_CHUNK_BYTES / 2) != want;
		errors += hkm_kunit_lookup(p + HKM_CHUNK_BYTES - 1) != want;
	}
	return errors;
}

static void all_of_a_chunk_is_found(struct kunit *test)
{
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		unsigned long bytes = hkm_span_bytes(&hkm_classes[id]);
		struct hkm_chunk *chunk = hkm_kunit_chunk(test, id, 7);
		const void *base = chunk->base;

		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)base, bytes));
		KUNIT_EXPECT_EQ(test, map_errors(base, chunk->order - HKM_CHUNK_ORDER, chunk), 0U);
		KUNIT_EXPECT_TRUE(test, hkm_owns(base));
		/* The only chunk there is. */
		KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_lookup(base - 1), (struct hkm_chunk *)NULL);
		KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_lookup(base + bytes),
				    (struct hkm_chunk *)NULL);
		hkm_chunk_release(chunk);
	}
}

static void all_of_a_span_is_found(struct kunit *test)
{
	static const struct {
		u32 size_bytes;
		unsigned int order;
	} span[] = { { 40 * SZ_1K, 1 }, { 48 * SZ_1K, 2 } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(span); i++) {
		struct hkm_chunk *chunk;
		const void *base;

		hkm_kunit_dyn1(test, span[i].size_bytes);
		chunk = hkm_kunit_chunk(test, HKM_CLASS_DYN1, 0);
		base = chunk->base;
		KUNIT_ASSERT_EQ(test, hkm_chunk_span(chunk), 1U << span[i].order);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1),
				1L << span[i].order);
		KUNIT_EXPECT_TRUE(test,
				  IS_ALIGNED((unsigned long)base,
					     HKM_CHUNK_BYTES << span[i].order));
		KUNIT_EXPECT_EQ(test, map_errors(base, span[i].order, chunk), 0U);
		KUNIT_EXPECT_FALSE(test, hkm_owns(base - 1));
		KUNIT_EXPECT_FALSE(test, hkm_owns(base + (HKM_CHUNK_BYTES << span[i].order)));
		hkm_chunk_release(chunk);
		KUNIT_EXPECT_EQ(test, map_errors(base, span[i].order, NULL), 0U);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1), 0);
	}
}

static void descriptor_is_filled_in(struct kunit *test)
{
	unsigned int id, i;

	hkm_kunit_for_each_class(id) {
		const struct hkm_class *cl = &hkm_classes[id];
		struct hkm_chunk *chunk = hkm_kunit_chunk(test, id, 31);
		unsigned int index, errors = 0;
		const void *p;

		KUNIT_EXPECT_EQ(test, chunk->bin, id);
		KUNIT_EXPECT_EQ(test, chunk->home, 31);
		KUNIT_EXPECT_EQ(test, chunk->magic, cl->magic);
		KUNIT_EXPECT_EQ(test, chunk->nr_blocks, cl->nr_blocks);
		for (i = 0; i < chunk->nr_blocks; i++) {
			p = chunk->base + i * cl->size_bytes;
			errors += chunk->slot[i].block != p;
			errors += chunk->slot[i].link != HKM_LINK_NONE;
			errors += !hkm_chunk_block_index(chunk, p, &index) ||
				  index != i;
			errors += hkm_chunk_block_index(chunk, p + 8, &index);
		}
		KUNIT_EXPECT_EQ(test, errors, 0U);
		/* What is left behind the last block is no block. */
		p = chunk->base + chunk->nr_blocks * cl->size_bytes;
		KUNIT_EXPECT_FALSE(test, hkm_chunk_block_index(chunk, p, &index));
		hkm_chunk_release(chunk);
	}
}

static void zeroed_chunk_is_clear(struct kunit *test)
{
	struct hkm_chunk *chunk;
	unsigned int id, i;

	hkm_kunit_for_each_class(id) {
		unsigned int unmarked = 0;

		hkm_kunit_dirty_pages();
		chunk = hkm_chunk_create(id, 0, NUMA_NO_NODE, GFP_KERNEL | __GFP_ZERO);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chunk);
		/* But for the marks of free blocks. */
		for (i = 0; i < chunk->nr_blocks; i++) {
			void *block = chunk->base + i * hkm_classes[id].size_bytes;

			unmarked += !hkm_block_is_marked(block);
			hkm_block_unmark(block);
			hkm_kasan_unpoison(block, hkm_classes[id].size_bytes);
		}
		KUNIT_EXPECT_EQ(test, unmarked, 0);
		KUNIT_EXPECT_TRUE(test,
				  hkm_kunit_filled(chunk->base, 0,
						   chunk->nr_blocks *
						   hkm_classes[id].size_bytes));
		hkm_chunk_release(chunk);
	}
}

static int in_data;

static void foreign_addresses_are_not_ours(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_2K, 0);
	void *small = kmalloc(64, GFP_KERNEL), *large = kmalloc(SZ_64K, GFP_KERNEL);
	void *virtual = vmalloc(SZ_64K);
	int on_stack;
	const void *foreign[] = {
		NULL, ZERO_SIZE_PTR, &on_stack, &in_data, small, large, virtual,
		(void *)foreign_addresses_are_not_ours, (void *)kfree,
		(void *)0x1000, (void *)0x7ffdeadbe000, (void *)(TASK_SIZE - 1),
		(void *)PAGE_OFFSET, (void *)(PAGE_OFFSET - 1), high_memory,
		(void *)~0UL, (void *)(~0UL - 1), (void *)LONG_MAX,
		(void *)LONG_MIN, (void *)0x5555555555555555,
		(void *)0xaaaaaaaaaaaaaaaa, (void *)0xdead000000000100,
		(void *)VMALLOC_START, (void *)(VMALLOC_END - 1), ERR_PTR(-ENOMEM),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		KUNIT_EXPECT_FALSE_MSG(test, hkm_owns(foreign[i]), "address %u", i);
		KUNIT_EXPECT_PTR_EQ(test, hkm_kunit_lookup(foreign[i]), (struct hkm_chunk *)NULL);
	}
	kfree(small);
	kfree(large);
	vfree(virtual);
	hkm_chunk_release(chunk);
}

static void random_addresses_are_not_ours(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_2K, 0);
	unsigned int i, wrong = 0;

	for (i = 0; i < 30000; i++) {
		unsigned long p = get_random_long();

		/* All over; in the kernel's half; about the direct map. */
		if (i % 3 == 1)
			p |= 0xffff800000000000;
		else if (i % 3 == 2)
			p = PAGE_OFFSET + (p & (SZ_4G - 1));
		wrong += hkm_owns((void *)p) !=
			 (p - (unsigned long)chunk->base < HKM_CHUNK_BYTES);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0U);
	hkm_chunk_release(chunk);
}

/* Where kfree() knows its own pages, it would refuse ours, loudly. */
static void stray_kfree(void *p)
{
	struct page *page = virt_to_page(p);

	if (hkm_page_is_large_kmalloc(page))
		kfree(p);
	else
		__free_pages(page, HKM_CHUNK_ORDER);
}

static void stray_kfree_frees_nothing(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_16K, 0);
	struct page *page = virt_to_page(chunk->base), *other[16];
	void *block = chunk->base;
	unsigned int i, again = 0;

	KUNIT_EXPECT_EQ(test, page_count(page), 1 + HKM_PAGE_REFS);
	memset(block, HKM_KUNIT_DIRT, SZ_16K);
	for (i = 0; i < 3; i++)
		stray_kfree(block);
	KUNIT_EXPECT_EQ(test, page_count(page), HKM_PAGE_REFS - 2);

	/* The pages are still ours: nobody else is given them. */
	for (i = 0; i < ARRAY_SIZE(other); i++) {
		other[i] = alloc_pages(GFP_KERNEL | __GFP_ZERO, HKM_CHUNK_ORDER);
		again += other[i] == page;
	}
	KUNIT_EXPECT_EQ(test, again, 0);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(block, HKM_KUNIT_DIRT, SZ_16K));
	KUNIT_EXPECT_TRUE(test, hkm_owns(block));
	while (i--)
		if (other[i])
			__free_pages(other[i], HKM_CHUNK_ORDER);

	/* Released with the wrong count, they are kept rather than freed. */
	hkm_chunk_release(chunk);
	rcu_barrier();
	KUNIT_EXPECT_FALSE(test, hkm_owns(block));
	KUNIT_ASSERT_EQ(test, page_count(page), HKM_PAGE_REFS - 2);
	/* Here it is known whose the missing references were. */
	page_ref_sub(page, HKM_PAGE_REFS - 3);
	__free_pages(page, HKM_CHUNK_ORDER);
}

static void release_waits_for_a_grace_period(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_8K, 0);
	struct page *page = virt_to_page(chunk->base);
	const void *base = chunk->base;
	struct hkm_chunk *found;
	int refs;

	/* No grace period ends in here. */
	preempt_disable();
	hkm_chunk_release(chunk);
	found = hkm_chunk_lookup(base);
	refs = page_count(page);
	preempt_enable();
	KUNIT_EXPECT_PTR_EQ(test, found, (struct hkm_chunk *)NULL);
	KUNIT_EXPECT_EQ(test, refs, 1 + HKM_PAGE_REFS);
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_8K), 0);
	KUNIT_EXPECT_EQ(test, map_errors(base, 0, NULL), 0U);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, page_count(page), 0);
}

static void chunks_are_counted(struct kunit *test)
{
	struct hkm_chunk *chunk[5];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(chunk); i++) {
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), (long)i);
		chunk[i] = hkm_kunit_chunk(test, HKM_CLASS_4K, 0);
	}
	KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_2K), 0);
	while (i--) {
		hkm_chunk_release(chunk[i]);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(HKM_CLASS_4K), (long)i);
	}
}

static struct kunit_case chunk_map_cases[] = {
	KUNIT_CASE(all_of_a_chunk_is_found),
	KUNIT_CASE(all_of_a_span_is_found),
	KUNIT_CASE(descriptor_is_filled_in),
	KUNIT_CASE(zeroed_chunk_is_clear),
	KUNIT_CASE(foreign_addresses_are_not_ours),
	KUNIT_CASE(random_addresses_are_not_ours),
	KUNIT_CASE(stray_kfree_frees_nothing),
	KUNIT_CASE(release_waits_for_a_grace_period),
	KUNIT_CASE(chunks_are_counted),
	{}
};

static struct kunit_suite chunk_map_suite = {
	.name = "hakmem_chunk_map",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = chunk_map_cases,
};

kunit_test_suites(&chunk_map_suite);
