// SPDX-License-Identifier: GPL-2.0
/*
 * Samples: placed against the guard page, gone once freed, and mistakes with
 * them reported and contained.
 */
#include <linux/completion.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "common.h"
#include "../pool/harden.h"
#include "../pool/sample.h"

#define INTERVAL_MS	3600000	/* No sample comes but those that a case asks for. */
#define SLOTS		16
#define VMALLOCS	64

/* Origin and size hidden from the compiler, which would see the mistakes. */
static noinline void *hidden(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

static void *resize(void *p, size_t size, gfp_t gfp)
{
	OPTIMIZER_HIDE_VAR(size);
	return hidden(hkm_krealloc(hidden(p), size, gfp));
}

/* The next request gets a sample. */
static void *sample_get(struct kunit *test, size_t size, gfp_t gfp)
{
	void *p;

	hkm_test_sample_next();
	p = hkm_kunit_alloc(size, gfp);
	KUNIT_ASSERT_TRUE(test, is_vmalloc_addr(p));
	return p;
}

/* By the page table: User Mode Linux does not survive a look at the address. */
static bool mapped(const void *p)
{
	return vmalloc_to_page(p);
}

static u64 nr_rejects(void)
{
	u64 sum = 0;
	int id;

	hkm_kunit_for_each_class(id)
		sum += hkm_kunit_counter(id, HKM_rejects);
	return sum;
}

static unsigned int cpus_watched(void)
{
	unsigned int nr = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		nr += per_cpu(hkm_cpu_this, cpu) == &hkm_cpu_watched;
	return nr;
}

static void gate_opens_for_one_request(struct kunit *test)
{
	u64 samples = hkm_kunit_counter(HKM_CLASS_8K, HKM_samples);
	void *p, *q;

	KUNIT_EXPECT_EQ(test, cpus_watched(), 0);
	hkm_test_sample_next();
	KUNIT_EXPECT_NOT_NULL(test, hkm_sample_gate);
	KUNIT_EXPECT_EQ(test, cpus_watched(), num_possible_cpus());
	p = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	KUNIT_EXPECT_NULL(test, hkm_sample_gate);
	q = hkm_kunit_alloc(SZ_8K, GFP_KERNEL);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(p));
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(q));
	hkm_test_sample_settle();
	KUNIT_EXPECT_EQ(test, cpus_watched(), 0);
	KUNIT_EXPECT_EQ(test, hkm_kunit_counter(HKM_CLASS_8K, HKM_samples), samples + 1);
	/* Blocks of the pool only. */
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 1);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_kunit_live(HKM_CLASS_8K), 1);
	hkm_kfree(q);
}

static void other_sizes_leave_the_gate_open(struct kunit *test)
{
	void *p;

	hkm_test_sample_next();
	p = hkm_kunit_alloc(HKM_MIN_BYTES - 1, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(p));
	hkm_kfree(p);
	/* Too large for a slot. */
	p = hkm_kunit_alloc(HKM_SAMPLE_BYTES + 1, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(p));
	hkm_kfree(p);
	p = hkm_kmalloc_nolock(HKM_SAMPLE_BYTES + 1, 0);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(p));
	hkm_kfree(p);
	KUNIT_EXPECT_NOT_NULL(test, hkm_sample_gate);
}

static void every_size_ends_at_the_guard(struct kunit *test)
{
	unsigned int misplaced = 0, open = 0, damaged = 0, wrong_size = 0;
	size_t size, align;
	u8 *p, *end;

	for (size = HKM_MIN_BYTES; size <= HKM_SAMPLE_BYTES;
	     size = size == HKM_SAMPLE_BYTES ? size + 1 : min(size + 509, HKM_SAMPLE_BYTES)) {
		p = sample_get(test, size, GFP_KERNEL);
		end = PTR_ALIGN(p + size, 512);
		misplaced += !IS_ALIGNED((unsigned long)p, 512);
		open += mapped(end) || !mapped(end - 1);
		wrong_size += hkm_ksize(p) != size;
		memset(p, HKM_KUNIT_DIRT, size);
		damaged += !hkm_kunit_filled(p, HKM_KUNIT_DIRT, size);
		hkm_kfree(p);
	}
	for (align = SZ_2K; align <= SZ_64K; align *= 2) {
		p = sample_get(test, align, GFP_KERNEL);
		misplaced += !IS_ALIGNED((unsigned long)p, align);
		open += mapped(p + align) || !mapped(p + align - 1);
		hkm_kfree(p);
	}
	KUNIT_EXPECT_EQ(test, misplaced, 0);
	KUNIT_EXPECT_EQ(test, open, 0);
	KUNIT_EXPECT_EQ(test, wrong_size, 0);
	KUNIT_EXPECT_EQ(test, damaged, 0);
}

static void freed_sample_is_unmapped(struct kunit *test)
{
	u8 *p = sample_get(test, 9000, GFP_KERNEL);

	memset(p, HKM_KUNIT_DIRT, 9000);
	KUNIT_EXPECT_TRUE(test, mapped(p));
	hkm_kfree(p);
	hkm_test_sample_settle();
	KUNIT_EXPECT_FALSE(test, mapped(p));
	KUNIT_EXPECT_FALSE(test, mapped(p + 8999));
}

static void questions_know_samples(struct kunit *test)
{
	u8 *p = sample_get(test, 9000, GFP_KERNEL);

	KUNIT_EXPECT_TRUE(test, hkm_owns(p));
	KUNIT_EXPECT_TRUE(test, hkm_owns(p + 8999));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 9000);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p + 8), 0);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p - 512), 0);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
}

static void zeroed_if_asked(struct kunit *test)
{
	u8 *p = sample_get(test, 9001, GFP_KERNEL | __GFP_ZERO);

	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, 9001));
	hkm_kfree(p);
	hkm_test_sample_next();
	p = hidden(hkm_kmalloc_nolock(SZ_4K, __GFP_ZERO));
	if (IS_ENABLED(CONFIG_DEBUG_KMEMLEAK)) {
		/* It would have to be told, under locks; and nothing else is in stock. */
		KUNIT_EXPECT_NULL(test, p);
		return;
	}
	KUNIT_ASSERT_TRUE(test, is_vmalloc_addr(p));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, 0, SZ_4K));
	hkm_kfree(p);
}

static void interrupted_section_takes_none(struct kunit *test)
{
	struct hkm_cpu *cpu;
	void *p;

	hkm_test_sample_next();
	cpu = hkm_kunit_cpu_get();
	p = hkm_kmalloc_nolock(SZ_8K, 0);
	hkm_kunit_cpu_put(cpu);
	KUNIT_EXPECT_NULL(test, p);
	KUNIT_EXPECT_NOT_NULL(test, hkm_sample_gate);
}

static void *from_irq_block;
static DECLARE_COMPLETION(from_irq_done);

static void from_irq(struct irq_work *work)
{
	hkm_kfree(from_irq_block);
	complete(&from_irq_done);
}

static DEFINE_IRQ_WORK(from_irq_work, from_irq);

static void freed_in_interrupt(struct kunit *test)
{
	u8 *p = sample_get(test, SZ_16K, GFP_KERNEL);

	from_irq_block = p;
	reinit_completion(&from_irq_done);
	irq_work_queue(&from_irq_work);
	wait_for_completion(&from_irq_done);
	hkm_test_sample_settle();
	KUNIT_EXPECT_FALSE(test, mapped(p));
}

/* Mistakes are told by kind, once: what comes after is the count, and no harm. */
static void double_free_is_refused(struct kunit *test)
{
	u64 rejects = nr_rejects();
	u8 *p = sample_get(test, 9000, GFP_KERNEL), *q;

	hkm_kfree(p);
	hkm_kfree(hidden(p));
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects + 1);
	hkm_test_sample_settle();
	hkm_kfree(hidden(p));
	hkm_kvfree(hidden(p));
	hkm_kfree_sensitive(hidden(p));
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects + 4);
	q = sample_get(test, 9000, GFP_KERNEL);
	memset(q, HKM_KUNIT_DIRT, 9000);
	KUNIT_EXPECT_EQ(test, hkm_ksize(q), 9000);
	hkm_kfree(q);
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects + 4);
}

static void interior_free_is_refused(struct kunit *test)
{
	static const int offset[] = { -1, -512, 1, 8, 512, 4096, 8999, 9000 };
	u64 rejects = nr_rejects();
	u8 *p = sample_get(test, 9000, GFP_KERNEL);
	unsigned int i;

	memset(p, HKM_KUNIT_DIRT, 9000);
	for (i = 0; i < ARRAY_SIZE(offset); i++) {
		hkm_kfree(hidden(p + offset[i]));
		hkm_kvfree(hidden(p + offset[i]));
		hkm_kfree_sensitive(hidden(p + offset[i]));
	}
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects + 3 * ARRAY_SIZE(offset));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 9000));
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 9000);
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects + 3 * ARRAY_SIZE(offset));
}

static long nr_reports(enum hkm_misuse what)
{
	return atomic_long_read(&hkm_test_reports[what]);
}

static void write_around_is_reported_on_free(struct kunit *test)
{
	long past = nr_reports(HKM_WRITE_PAST_END), before;
	u8 *p = sample_get(test, 9000, GFP_KERNEL);

	p[8999] ^= 1;
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_PAST_END), past);
	p = sample_get(test, 9000, GFP_KERNEL);
	p[9000] ^= 1;
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_PAST_END), past + 1);
	p = sample_get(test, 9000, GFP_KERNEL);
	p[9215] ^= 1;
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_PAST_END), past + 2);

	before = nr_reports(HKM_WRITE_BEFORE);
	p = sample_get(test, SZ_8K, GFP_KERNEL);
	*p ^= 1;
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_BEFORE), before);
	p = sample_get(test, SZ_8K, GFP_KERNEL);
	p[-1] ^= 1;
	hkm_kfree(p);
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_BEFORE), before + 1);
}

/* What was written is told of as long as it is no fault yet. */
static void write_after_free_is_reported(struct kunit *test)
{
	static const int offset[] = { 0, 5000, 8999, 9100, -1 };
	long reports = nr_reports(HKM_WRITE_AFTER_FREE);
	unsigned int i;
	u8 *p;

	for (i = 0; i < ARRAY_SIZE(offset); i++) {
		p = sample_get(test, 9000, GFP_KERNEL);
		/* The work that unmaps it is this CPU's. */
		preempt_disable();
		hkm_kfree(p);
		p = hidden(p);
		p[offset[i]] ^= 1;
		preempt_enable();
		hkm_test_sample_settle();
		KUNIT_EXPECT_EQ_MSG(test, nr_reports(HKM_WRITE_AFTER_FREE),
				    reports + i + 1, "offset %d", offset[i]);
	}
	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kfree(p);
	hkm_test_sample_settle();
	KUNIT_EXPECT_EQ(test, nr_reports(HKM_WRITE_AFTER_FREE), reports + i);
}

static void krealloc_moves_samples(struct kunit *test)
{
	void *p = sample_get(test, 9000, GFP_KERNEL), *q;

	memset(p, HKM_KUNIT_DIRT, 9000);
	/* In place, and as large as it was after that. */
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 2000, GFP_KERNEL), p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 9000);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 2000));
	memset(p, HKM_KUNIT_DIRT, 9000);
	/* Into the pool; and a block of the pool into a sample. */
	q = resize(p, 9001, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(q));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(q, HKM_KUNIT_DIRT, 9000));
	hkm_test_sample_next();
	p = resize(q, 20000, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, is_vmalloc_addr(p));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 9000));
	KUNIT_EXPECT_PTR_EQ(test, resize(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
}

static void krealloc_zeroes_the_rest(struct kunit *test)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	u8 *p = sample_get(test, 9000, gfp);

	memset(p, HKM_KUNIT_DIRT, 9000);
	p = resize(resize(p, 2000, gfp), 9000, gfp);
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p, HKM_KUNIT_DIRT, 2000));
	KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(p + 2000, 0, 7000));
	hkm_kfree(p);
}

struct item {
	u8 before[64];
	struct rcu_head rcu;
	u8 behind[8192];
};

static void every_kind_of_free(struct kunit *test)
{
	u64 rejects = nr_rejects();
	struct item *item;
	void *p;

	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kvfree(p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kfree_sensitive(p);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kvfree_sensitive(p, 9000);
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);

	item = sample_get(test, sizeof(*item), GFP_KERNEL);
	hkm_kfree_rcu(item, rcu);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_ksize(item), 0);
	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kfree_rcu_mightsleep(p);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, hkm_ksize(p), 0);
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects);
}

/* Takes the addresses that were a sample's: they are no sample's then. */
static void address_is_given_up(struct kunit *test)
{
	u8 *p = sample_get(test, SZ_32K, GFP_KERNEL), *q[VMALLOCS];
	unsigned int nr, owned = 0, left = 0;
	u64 rejects = nr_rejects();
	bool reused = false;

	hkm_kfree(p);
	hkm_test_sample_settle();
	for (nr = 0; nr < VMALLOCS && !reused; nr++) {
		q[nr] = hidden(vmalloc(HKM_CHUNK_BYTES));
		KUNIT_ASSERT_NOT_NULL(test, q[nr]);
		reused = q[nr] < p + SZ_32K && p < q[nr] + HKM_CHUNK_BYTES;
	}
	if (!reused)
		kunit_info(test, "nothing else got the addresses");
	while (nr--) {
		owned += hkm_owns(q[nr]);
		hkm_kvfree(q[nr]);
		left += mapped(q[nr]);
	}
	KUNIT_EXPECT_EQ(test, owned, 0);
	KUNIT_EXPECT_EQ(test, left, 0);
	KUNIT_EXPECT_EQ(test, nr_rejects(), rejects);
}

static void slots_run_out_and_come_back(struct kunit *test)
{
	void *blocks[SLOTS], *p;
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		blocks[i] = sample_get(test, 9000, GFP_KERNEL);
		memset(blocks[i], i, 9000);
	}
	hkm_test_sample_next();
	KUNIT_EXPECT_NULL(test, hkm_sample_gate);
	KUNIT_EXPECT_EQ(test, cpus_watched(), 0);
	p = hkm_kunit_alloc(9000, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(p));
	hkm_kfree(p);
	for (i = 0; i < SLOTS; i++) {
		KUNIT_EXPECT_TRUE(test, hkm_kunit_filled(blocks[i], i, 9000));
		hkm_kfree(blocks[i]);
	}
	p = sample_get(test, 9000, GFP_KERNEL);
	hkm_kfree(p);
}

static void exit_ends_it_all(struct kunit *test)
{
	u8 *freed = sample_get(test, 9000, GFP_KERNEL);

	/* One slot waits for a request, one to be unmapped. */
	hkm_test_sample_next();
	hkm_kfree(freed);
	hkm_sample_exit();
	KUNIT_EXPECT_NULL(test, hkm_sample_gate);
	KUNIT_EXPECT_EQ(test, cpus_watched(), 0);
	KUNIT_EXPECT_FALSE(test, mapped(freed));
	KUNIT_EXPECT_FALSE(test, hkm_owns(freed));
	freed = hkm_kunit_alloc(9000, GFP_KERNEL);
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(freed));
	hkm_kfree(freed);
}

static void interval_is_bounded(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hkm_sample_init(INTERVAL_MS + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, hkm_sample_init(UINT_MAX), -EINVAL);
	KUNIT_EXPECT_EQ(test, hkm_sample_init(INTERVAL_MS), 0);
}

static int sample_begin(struct kunit *test)
{
	int err = hkm_kunit_begin(test);

	if (err)
		return err;
	err = hkm_sample_init(INTERVAL_MS);
	hkm_sample_start();
	return err;
}

static void sample_end(struct kunit *test)
{
	hkm_sample_exit();
	KUNIT_EXPECT_EQ(test, cpus_watched(), 0);
	hkm_kunit_end(test);
}

static struct kunit_case sample_cases[] = {
	KUNIT_CASE(gate_opens_for_one_request),
	KUNIT_CASE(other_sizes_leave_the_gate_open),
	KUNIT_CASE(every_size_ends_at_the_guard),
	KUNIT_CASE(freed_sample_is_unmapped),
	KUNIT_CASE(questions_know_samples),
	KUNIT_CASE(zeroed_if_asked),
	KUNIT_CASE(interrupted_section_takes_none),
	KUNIT_CASE(freed_in_interrupt),
	KUNIT_CASE(double_free_is_refused),
	KUNIT_CASE(interior_free_is_refused),
	KUNIT_CASE(write_around_is_reported_on_free),
	KUNIT_CASE(write_after_free_is_reported),
	KUNIT_CASE(krealloc_moves_samples),
	KUNIT_CASE(krealloc_zeroes_the_rest),
	KUNIT_CASE(every_kind_of_free),
	KUNIT_CASE(address_is_given_up),
	KUNIT_CASE(slots_run_out_and_come_back),
	KUNIT_CASE(exit_ends_it_all),
	KUNIT_CASE(interval_is_bounded),
	{}
};

static struct kunit_suite sample_suite = {
	.name = "hakmem_sample",
	.init = sample_begin,
	.exit = sample_end,
	.test_cases = sample_cases,
};

kunit_test_suites(&sample_suite);
