// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites share.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "common.h"
#include "../learner/learner.h"
#include "../pool/freelist.h"
#include "../pool/reclaim.h"
#include "../pool/refill.h"
#include "../pool/tools.h"

/* What end() puts back. */
static struct hkm_policy *policy_saved;
static u32 dyn1_saved;

/* A case left blocks behind: no later one could tell its own from them. */
static bool pool_dirty;

static void dyn1_set(u32 size_bytes)
{
	struct hkm_class *cl = &hkm_classes[HKM_CLASS_DYN1];
	u32 old = cl->size_bytes;
	int i;

	hkm_class_set(cl, size_bytes);
	for_each_possible_cpu(i) {
		struct hkm_cpu *cpu = hkm_cpu_of(i);

		hkm_cpu_budget(cpu)->parked_bytes += (size_bytes - old) *
				     cpu->ring[HKM_CLASS_DYN1].limit;
	}
}

static void policy_restore(void)
{
	struct hkm_policy *policy = rcu_dereference_protected(hkm_policy, true);

	if (dyn1_saved)
		dyn1_set(dyn1_saved);
	dyn1_saved = 0;
	if (policy_saved) {
		hkm_policy_publish(policy_saved);
		synchronize_rcu();
		kfree(policy);
	}
	policy_saved = NULL;
}

static void front_ends_reset(void)
{
	unsigned int id;
	int i;

	for_each_possible_cpu(i) {
		struct hkm_cpu *cpu = hkm_cpu_of(i);

		hkm_cpu_budget(cpu)->hand = 0;
		for (id = 0; id < HKM_NR_CLASSES; id++)
			cpu->ring[id].pause = 0;
	}
}

void hkm_kunit_empty(void)
{
	hkm_pool_drain();
	front_ends_reset();
}

int hkm_kunit_begin(struct kunit *test)
{
	unsigned int id;

	for (id = 0; id < HKM_NR_CLASSES; id++)
		pool_dirty |= hkm_kunit_live(id);
	if (pool_dirty) {
		kunit_err(test, "somebody else's blocks are in the pool");
		return -EBUSY;
	}
	hkm_test_learner_own(true);
	hkm_test_tick_own(true);
	hkm_kunit_empty();
	return set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
}

/* After the last block was freed and the last chunk released. */
static void accounts_are_settled(struct kunit *test)
{
	struct hkm_totals totals;

	hkm_totals_read(&totals);
	KUNIT_EXPECT_EQ(test, totals.held, 0);
	KUNIT_EXPECT_EQ(test, totals.live, 0);
	KUNIT_EXPECT_EQ(test, totals.parked, 0);
	KUNIT_EXPECT_EQ(test, totals.shared, 0);
	KUNIT_EXPECT_EQ(test, totals.inventory, 0);
	KUNIT_EXPECT_EQ(test, totals.moving, 0);
	KUNIT_EXPECT_EQ(test, totals.unusable, 0);
}

void hkm_kunit_end(struct kunit *test)
{
	unsigned int id;

	hkm_test_pages_left = -1;
	WRITE_ONCE(hkm_test_order_max, UINT_MAX);
	WRITE_ONCE(hkm_test_pages_wait, NULL);
	hkm_test_shrink_wait(NULL);
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		KUNIT_EXPECT_EQ_MSG(test, hkm_kunit_live(id), 0, "class %s",
				    hkm_classes[id].name);
		pool_dirty |= hkm_kunit_live(id);
	}
	/* Releases the chunks that have all their blocks: all should. */
	if (!pool_dirty)
		hkm_pool_drain();
	for (id = 0; id < HKM_NR_CLASSES; id++) {
		KUNIT_EXPECT_EQ_MSG(test, hkm_chunk_count(id), 0, "class %s",
				    hkm_classes[id].name);
		pool_dirty |= hkm_chunk_count(id);
	}
	if (!pool_dirty) {
		accounts_are_settled(test);
		policy_restore();
	}
	hkm_test_tick_own(false);
	KUNIT_EXPECT_EQ(test, hkm_test_learner_own(false), 0);
	rcu_barrier();
}

unsigned int hkm_kunit_class_after(unsigned int id)
{
	const struct hkm_policy *policy = rcu_dereference_protected(hkm_policy, true);

	do
		id++;
	while (hkm_class_is_dyn(id) && !policy->dyn_bytes[id - HKM_CLASS_DYN1]);
	return id;
}

noinline void *hkm_kunit_alloc(size_t size, gfp_t gfp)
{
	void *p;

	OPTIMIZER_HIDE_VAR(size);
	p = hkm_kmalloc(size, gfp);
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

void *hkm_kunit_alloc_class(unsigned int bin, gfp_t gfp)
{
	return hkm_kunit_alloc(hkm_classes[bin].size_bytes, gfp);
}

void **hkm_kunit_pointers(struct kunit *test, unsigned int nr)
{
	void **blocks = kunit_kcalloc(test, nr, sizeof(*blocks), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, blocks);
	return blocks;
}

void hkm_kunit_free_all(void **blocks, unsigned int nr)
{
	while (nr--)
		hkm_kfree(blocks[nr]);
}

struct hkm_chunk *hkm_kunit_chunk(struct kunit *test, unsigned int bin,
				  unsigned int home)
{
	struct hkm_chunk *chunk = hkm_chunk_create(bin, home, NUMA_NO_NODE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chunk);
	hkm_kasan_unpoison(chunk->base, chunk->nr_blocks *
			   hkm_classes[bin].size_bytes);
	return chunk;
}

void hkm_kunit_chunk_blocks(struct hkm_chunk *chunk, void **blocks)
{
	unsigned int i;

	for (i = 0; i < chunk->nr_blocks; i++)
		blocks[i] = chunk->base +
			    i * hkm_classes[chunk->bin].size_bytes;
}

struct hkm_chunk *hkm_kunit_lookup(const void *p)
{
	struct hkm_chunk *chunk;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	preempt_enable();
	return chunk;
}

unsigned int hkm_kunit_push(unsigned int bin, void **blocks,
			    unsigned int nr)
{
	preempt_disable();
	nr = hkm_freelist_push(bin, blocks, nr);
	hkm_count_moving(bin, -(long)nr);
	preempt_enable();
	return nr;
}

unsigned int hkm_kunit_pop(unsigned int bin, unsigned int home,
			   void **blocks, unsigned int max)
{
	unsigned int nr;

	preempt_disable();
	nr = hkm_freelist_pop(bin, home, blocks, max);
	hkm_count_moving(bin, nr);
	preempt_enable();
	return nr;
}

bool hkm_kunit_remote_push(unsigned int bin, void *block)
{
	bool taken;

	preempt_disable();
	taken = hkm_remote_push(bin, block);
	preempt_enable();
	return taken;
}

unsigned int hkm_kunit_drain(unsigned int bin, unsigned int home,
			     void **blocks, unsigned int max)
{
	unsigned int nr;

	preempt_disable();
	nr = hkm_remote_drain(bin, home, blocks, max);
	hkm_count_moving(bin, nr);
	preempt_enable();
	return nr;
}

unsigned int hkm_kunit_pop_all(unsigned int bin, void **blocks,
			       unsigned int max)
{
	unsigned int nr = 0, more;

	do {
		more = 0;
		if (nr < max)
			more = hkm_kunit_pop(bin, 0, blocks + nr, max - nr);
		nr += more;
	} while (more);
	return nr;
}

u64 hkm_kunit_counter(unsigned int bin, enum hkm_counter counter)
{
	struct hkm_class_stats sum;

	hkm_stats_read(bin, &sum);
	return sum.slow[counter];
}

s64 hkm_kunit_live(unsigned int bin)
{
	struct hkm_class_stats sum;

	hkm_stats_read(bin, &sum);
	return hkm_stats_live(&sum);
}

void hkm_kunit_count_allocs(unsigned int bin, unsigned int nr)
{
	this_cpu_add(hkm_counters[bin].slow[HKM_slow_allocs], nr);
	hkm_count_moving(bin, -(long)nr);
}

struct hkm_policy *hkm_kunit_policy(struct kunit *test)
{
	struct hkm_policy *old = rcu_dereference_protected(hkm_policy, true);
	struct hkm_policy *copy;

	if (policy_saved)
		return old;
	copy = kmemdup(old, sizeof(*old), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, copy);
	policy_saved = old;
	hkm_policy_publish(copy);
	return copy;
}

void hkm_kunit_dyn1(struct kunit *test, u32 size_bytes)
{
	struct hkm_policy *policy = hkm_kunit_policy(test);
	const struct hkm_class *cl = &hkm_classes[HKM_CLASS_DYN1];
	unsigned int id;

	/* Chunks know their class's size; there must be none. */
	KUNIT_ASSERT_EQ(test, hkm_chunk_count(HKM_CLASS_DYN1), 0);
	dyn1_saved = dyn1_saved ?: cl->size_bytes;
	dyn1_set(size_bytes);
	hkm_class_table_build(policy->bin_of[0], 0, 1);
	for (id = 0; id < HKM_NR_CLASSES; id++)
		policy->next_class[id] = hkm_class_next(id, 1);
	policy->bundle[HKM_CLASS_DYN1] = min(2, HKM_SPAN_MAX_CHUNKS >> cl->span_order);
}

struct thread {
	void (*fn)(unsigned int id, void *arg);
	void *arg;
	unsigned int id;
	struct completion *start;
	struct completion *done;
};

static int thread_main(void *data)
{
	struct thread *thread = data;

	wait_for_completion(thread->start);
	thread->fn(thread->id, thread->arg);
	kthread_complete_and_exit(thread->done, 0);
}

void hkm_kunit_threads(struct kunit *test, unsigned int nr,
		       void (*fn)(unsigned int id, void *arg), void *arg)
{
	DECLARE_COMPLETION_ONSTACK(start);
	DECLARE_COMPLETION_ONSTACK(done);
	struct thread *thread;
	unsigned int i, started = 0;
	int cpu = -1;

	thread = kunit_kcalloc(test, nr, sizeof(*thread), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	for (i = 0; i < nr; i++) {
		struct task_struct *task;

		thread[i] = (struct thread){ fn, arg, i, &start, &done };
		task = kthread_create(thread_main, &thread[i], "hkm_kunit/%u", i);
		if (IS_ERR(task))
			break;
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		kthread_bind(task, cpu);
		wake_up_process(task);
		started++;
	}
	complete_all(&start);
	for (i = 0; i < started; i++)
		wait_for_completion(&done);
	KUNIT_EXPECT_EQ(test, started, nr);
}

void hkm_kunit_dirty_pages(void)
{
	struct page *page[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_pages(GFP_KERNEL, HKM_CHUNK_ORDER);
		if (page[i])
			memset(page_address(page[i]), HKM_KUNIT_DIRT,
			       HKM_CHUNK_BYTES);
	}
	while (i--)
		if (page[i])
			__free_pages(page[i], HKM_CHUNK_ORDER);
}

struct hkm_cpu *hkm_kunit_cpu_get(void)
{
	preempt_disable();
	return hkm_cpu_enter();
}

void hkm_kunit_cpu_put(struct hkm_cpu *cpu)
{
	hkm_cpu_leave(cpu);
	preempt_enable();
}

/*
 * Looks at what KASAN has off limits too, such as what nobody asked for; and at so
 * much that KCSAN would take minutes.
 */
bool __no_sanitize_address __no_kcsan hkm_kunit_filled(const void *p, int byte, size_t nr)
{
	const u8 *b = p;

	while (nr && *b == (u8)byte) {
		nr--;
		b++;
	}
	return !nr;
}

MODULE_DESCRIPTION("KUnit tests for hakmem");
MODULE_AUTHOR("hakmem developers");
MODULE_LICENSE("GPL");
HKM_IMPORT_KUNIT_NS;
