// SPDX-License-Identifier: GPL-2.0
/*
 * Reserve: chunks for callers that cannot sleep; and how a policy is changed.
 */
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>

#include "common.h"
#include "../pool/harden.h"
#include "../pool/inventory.h"
#include "../pool/reclaim.h"
#include "../pool/reserve.h"
#include "../pool/trim.h"

#define NR_CHUNKS	3

static int reserve_set(unsigned int chunks)
{
	struct hkm_policy *policy = hkm_policy_edit();
	int err;

	if (!policy)
		return -ENOMEM;
	policy->reserve_chunks = chunks;
	err = hkm_policy_commit(policy);
	if (!err)
		hkm_reserve_fill(GFP_KERNEL);
	return err;
}

static unsigned int requested(void)
{
	unsigned int chunks;

	preempt_disable();
	chunks = rcu_dereference_sched(hkm_policy)->reserve_chunks;
	preempt_enable();
	return chunks;
}

static unsigned int saved;

static int reserve_begin(struct kunit *test)
{
	saved = requested();
	return hkm_kunit_begin(test) ?: reserve_set(NR_CHUNKS);
}

static void reserve_end(struct kunit *test)
{
	hkm_kunit_end(test);
	KUNIT_EXPECT_EQ(test, reserve_set(saved), 0);
}

static void is_filled_as_asked(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
	KUNIT_EXPECT_EQ(test, reserve_set(2 * NR_CHUNKS), 0);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), 2 * NR_CHUNKS);
	KUNIT_EXPECT_EQ(test, reserve_set(0), 0);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), 0);
	KUNIT_EXPECT_EQ(test, reserve_set(HKM_RESERVE_CHUNKS_MAX), 0);
	KUNIT_EXPECT_EQ(test, reserve_set(HKM_RESERVE_CHUNKS_MAX + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, requested(), HKM_RESERVE_CHUNKS_MAX);
}

/* Atomic requests of a class until one is left to kmalloc(): how many before. */
static unsigned int atomic_requests(struct kunit *test, unsigned int id, void **blocks)
{
	unsigned int nr;

	hkm_test_pages_left = 0;
	for (nr = 0; nr <= NR_CHUNKS * HKM_MAX_BLOCKS; nr++) {
		blocks[nr] = hkm_kunit_alloc_class(id, GFP_ATOMIC | __GFP_NOWARN);
		if (!hkm_owns(blocks[nr])) {
			hkm_kfree(blocks[nr]);
			break;
		}
	}
	hkm_test_pages_left = -1;
	return nr;
}

static void serves_those_who_cannot_sleep(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_CHUNKS * HKM_MAX_BLOCKS + 1);
	unsigned int id;

	hkm_kunit_for_each_class(id) {
		u32 size = hkm_classes[id].size_bytes;
		u64 refills = hkm_kunit_counter(id, HKM_reserve_refills);
		unsigned int nr = atomic_requests(test, id, blocks);

		KUNIT_EXPECT_EQ_MSG(test, nr, NR_CHUNKS * (HKM_CHUNK_BYTES / size),
				    "class %s", hkm_classes[id].name);
		KUNIT_EXPECT_EQ(test, hkm_kunit_counter(id, HKM_reserve_refills),
				refills + (nr ? NR_CHUNKS : 0));
		KUNIT_EXPECT_EQ(test, hkm_kunit_live(id), nr);
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), nr ? NR_CHUNKS : 0);
		hkm_kunit_free_all(blocks, nr);
		hkm_reclaim_all();
		KUNIT_EXPECT_EQ(test, hkm_chunk_count(id), 0);
		/* Those released are the reserve's, but not before a grace period. */
		rcu_barrier();
		hkm_reserve_fill(GFP_KERNEL);
	}
}

/* What a request got that the reserve is not for: kmalloc()'s, and that is as it was. */
static void expect_unreserved(struct kunit *test, void *p)
{
	KUNIT_EXPECT_FALSE(test, hkm_owns(p));
	hkm_kvfree(p);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
	hkm_reclaim_all();
	rcu_barrier();
}

static void serves_no_one_else(struct kunit *test)
{
	void *p;

	hkm_test_pages_left = 0;
	p = hkm_kunit_alloc(52 * SZ_1K, GFP_KERNEL);
	hkm_test_pages_left = -1;
	expect_unreserved(test, p);
}

static void what_comes_back_fills_it(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_CHUNKS * HKM_MAX_BLOCKS + 1);
	unsigned int nr;

	nr = atomic_requests(test, HKM_CLASS_52K, blocks);
	KUNIT_EXPECT_EQ(test, nr, NR_CHUNKS);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), 0);
	hkm_kunit_free_all(blocks, nr);
	hkm_reclaim_all();
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
	nr = atomic_requests(test, HKM_CLASS_8K, blocks);
	KUNIT_EXPECT_EQ(test, nr, NR_CHUNKS * 8);
	hkm_kunit_free_all(blocks, nr);
	hkm_reclaim_all();
	rcu_barrier();
}

/* Before a class may keep it: those who may sleep would get it from there. */
static void comes_before_the_inventory(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_CHUNKS * HKM_MAX_BLOCKS + 1);
	unsigned int nr;

	nr = atomic_requests(test, HKM_CLASS_52K, blocks);
	hkm_kunit_free_all(blocks, nr);
	hkm_reclaim_unpark(HKM_CLASS_52K);
	hkm_trim_bin(HKM_CLASS_52K, 64);
	KUNIT_EXPECT_EQ(test, hkm_inventory_count(HKM_CLASS_52K), 0);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
}

/* Where the page allocator has nothing: by the tick, from any class. */
static void pool_itself_fills_it(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_CHUNKS * HKM_MAX_BLOCKS + 1);
	void *p[2 * NR_CHUNKS];
	unsigned int nr, i;

	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = hkm_kunit_alloc(52 * SZ_1K, GFP_KERNEL);
	hkm_kunit_free_all(p, ARRAY_SIZE(p));
	hkm_reclaim_unpark(HKM_CLASS_52K);
	hkm_trim_bin(HKM_CLASS_52K, 64);
	KUNIT_ASSERT_GE(test, hkm_inventory_count(HKM_CLASS_52K), 2 * NR_CHUNKS);
	nr = atomic_requests(test, HKM_CLASS_8K, blocks);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), 0);
	hkm_test_order_max = HKM_CHUNK_ORDER - 1;
	hkm_reclaim_tick();
	hkm_test_order_max = UINT_MAX;
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
	/* And no more than that. */
	KUNIT_EXPECT_GE(test, hkm_chunk_count(HKM_CLASS_52K), NR_CHUNKS);
	hkm_kunit_free_all(blocks, nr);
}

/* Else those who may sleep would get it first, until the class has been idle for long. */
static void freed_blocks_fill_it_soon(struct kunit *test)
{
	void **blocks = hkm_kunit_pointers(test, NR_CHUNKS * HKM_MAX_BLOCKS + 1);
	unsigned int nr;

	nr = atomic_requests(test, HKM_CLASS_52K, blocks);
	hkm_kunit_free_all(blocks, nr);
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), 0);
	hkm_test_order_max = HKM_CHUNK_ORDER - 1;
	hkm_reclaim_tick();
	hkm_test_order_max = UINT_MAX;
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
}

/* A stray kfree() has taken a page reference, and nobody knows whose. */
static void lost_chunk_is_not_waited_for(struct kunit *test)
{
	struct hkm_chunk *chunk = hkm_kunit_chunk(test, HKM_CLASS_52K, 0);
	struct page *page = virt_to_page(chunk->base);
	unsigned int missing;

	hkm_test_order_max = HKM_CHUNK_ORDER - 1;
	KUNIT_EXPECT_EQ(test, reserve_set(NR_CHUNKS + 1), 0);
	hkm_test_order_max = UINT_MAX;
	KUNIT_EXPECT_EQ(test, hkm_reserve_missing(0), 1);
	page_ref_dec(page);
	/* No grace period ends meanwhile. */
	preempt_disable();
	hkm_chunk_release(chunk);
	missing = hkm_reserve_missing(0);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, missing, 0);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_reserve_missing(0), 1);
	page_ref_sub(page, HKM_PAGE_REFS - 1);
	hkm_pages_put(page, HKM_CHUNK_ORDER);
}

static void blocks_are_clear_where_asked(struct kunit *test)
{
	void *p, *q;

	hkm_test_pages_left = 0;
	p = hkm_kunit_alloc(52 * SZ_1K, GFP_ATOMIC | __GFP_ZERO);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, 52 * SZ_1K));
	memset(p, HKM_KUNIT_DIRT, 52 * SZ_1K);
	hkm_kfree(p);
	hkm_test_pages_left = -1;
	hkm_reclaim_all();
	rcu_barrier();
	hkm_reclaim_tick();
	hkm_test_pages_left = 0;
	q = hkm_kunit_alloc(52 * SZ_1K, GFP_ATOMIC | __GFP_ZERO);
	hkm_test_pages_left = -1;
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(q, 0, 52 * SZ_1K));
	hkm_kfree(q);
}

/* Nor those who may sleep and have vmalloc() to turn to. */
static void serves_no_kvmalloc(struct kunit *test)
{
	size_t size = SZ_64K;
	void *p;

	OPTIMIZER_HIDE_VAR(size);
	hkm_test_pages_left = 0;
	p = hkm_kvmalloc(size, GFP_KERNEL);
	hkm_test_pages_left = -1;
	expect_unreserved(test, p);
}

/* Nor those who say that they can do without. */
static void serves_no_opportunist(struct kunit *test)
{
	void *p;

	hkm_test_pages_left = 0;
	p = hkm_kunit_alloc(52 * SZ_1K, GFP_ATOMIC | __GFP_NOMEMALLOC |
			    __GFP_NORETRY | __GFP_NOWARN);
	hkm_test_pages_left = -1;
	expect_unreserved(test, p);
}

/* A second free of a block whose chunk is in the reserve by now. */
static void its_pages_cannot_be_freed(struct kunit *test)
{
	unsigned long foreigns = atomic_long_read(&hkm_test_reports[HKM_FOREIGN_FREE]);
	struct page *page;
	void *p;

	hkm_test_pages_left = 0;
	p = hkm_kunit_alloc(52 * SZ_1K, GFP_ATOMIC);
	hkm_test_pages_left = -1;
	KUNIT_ASSERT_TRUE(test, hkm_owns(p));
	page = virt_to_page(p);
	hkm_kfree(p);
	hkm_reclaim_all();
	rcu_barrier();
	KUNIT_ASSERT_EQ(test, hkm_reserve_count(), NR_CHUNKS);
	/* So that what goes wrong does no harm. */
	get_page(page);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&hkm_test_reports[HKM_FOREIGN_FREE]),
			foreigns + 1);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
	if (page_ref_count(page) == 2)
		put_page(page);
}

static struct kunit_case reserve_cases[] = {
	KUNIT_CASE(is_filled_as_asked),
	KUNIT_CASE(serves_those_who_cannot_sleep),
	KUNIT_CASE(serves_no_one_else),
	KUNIT_CASE(serves_no_kvmalloc),
	KUNIT_CASE(serves_no_opportunist),
	KUNIT_CASE(its_pages_cannot_be_freed),
	KUNIT_CASE(what_comes_back_fills_it),
	KUNIT_CASE(comes_before_the_inventory),
	KUNIT_CASE(pool_itself_fills_it),
	KUNIT_CASE(freed_blocks_fill_it_soon),
	KUNIT_CASE(lost_chunk_is_not_waited_for),
	KUNIT_CASE(blocks_are_clear_where_asked),
	{}
};

static struct kunit_suite reserve_suite = {
	.name = "hakmem_reserve",
	.init = reserve_begin,
	.exit = reserve_end,
	.test_cases = reserve_cases,
};

kunit_test_suites(&reserve_suite);
