/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites share. They test the pool of the loaded module, which nobody
 * else may use meanwhile: each case finds it empty and must leave it so.
 */
#ifndef _HKM_KUNIT_COMMON_H
#define _HKM_KUNIT_COMMON_H

#include <kunit/test.h>
#include <linux/percpu.h>

#include "../include/hakmem.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"
#include "../pool/chunk.h"
#include "../pool/cpu_cache.h"
#include "../pool/size_class.h"
#include "../pool/stats.h"

#define HKM_KUNIT_DIRT	0xa5

/* Every suite's init and exit. The first pins the case to one CPU. */
int hkm_kunit_begin(struct kunit *test);
void hkm_kunit_end(struct kunit *test);

/* Gives all chunks back; no block may be anybody's. */
void hkm_kunit_empty(void);

/* The class after @id that serves requests; HKM_NR_CLASSES after the last. */
unsigned int hkm_kunit_class_after(unsigned int id);

/* Dynamic classes that serve nothing are left out. */
#define hkm_kunit_for_each_class(id)					\
	for ((id) = 0; (id) < HKM_NR_CLASSES; (id) = hkm_kunit_class_after(id))

/* Allocate as callers do, with size and origin hidden from the compiler. */
void *hkm_kunit_alloc(size_t size, gfp_t gfp);
void *hkm_kunit_alloc_class(unsigned int bin, gfp_t gfp);
void **hkm_kunit_pointers(struct kunit *test, unsigned int nr);
void hkm_kunit_free_all(void **blocks, unsigned int nr);

/* A chunk whose blocks are all the test's, and count as moving. */
struct hkm_chunk *hkm_kunit_chunk(struct kunit *test, unsigned int bin,
				  unsigned int home);
void hkm_kunit_chunk_blocks(struct hkm_chunk *chunk, void **blocks);
/* hkm_chunk_lookup(), for what the test keeps from going away. */
struct hkm_chunk *hkm_kunit_lookup(const void *p);

/* The shared tier, with preemption off inside, for blocks that are the test's. */
unsigned int hkm_kunit_push(unsigned int bin, void **blocks,
			    unsigned int nr);
unsigned int hkm_kunit_pop(unsigned int bin, unsigned int home,
			   void **blocks, unsigned int max);
bool hkm_kunit_remote_push(unsigned int bin, void *block);
unsigned int hkm_kunit_drain(unsigned int bin, unsigned int home,
			     void **blocks, unsigned int max);
unsigned int hkm_kunit_pop_all(unsigned int bin, void **blocks,
			       unsigned int max);

u64 hkm_kunit_counter(unsigned int bin, enum hkm_counter counter);
s64 hkm_kunit_live(unsigned int bin);
/* Makes up for frees of blocks that were never counted as allocated. */
void hkm_kunit_count_allocs(unsigned int bin, unsigned int nr);

static inline const struct hkm_policy *hkm_kunit_in_force(void)
{
	return rcu_dereference_protected(hkm_policy, true);
}

/* A copy of the policy that the case may write to; end() undoes it. */
struct hkm_policy *hkm_kunit_policy(struct kunit *test);
/* Changes the policy as a write to a file does; end() undoes it. */
#define HKM_KUNIT_EDIT(test, field, value)				\
do {									\
	struct hkm_policy *policy;					\
									\
	hkm_kunit_policy(test);						\
	policy = hkm_policy_edit();					\
	KUNIT_ASSERT_NOT_NULL(test, policy);				\
	policy->field = (value);					\
	KUNIT_EXPECT_EQ(test, hkm_policy_commit(policy), 0);		\
} while (0)
/* Another size for class dyn1; end() undoes it. */
void hkm_kunit_dyn1(struct kunit *test, u32 size_bytes);

/* Runs @fn on @nr threads, spread over the CPUs, and waits for them. */
void hkm_kunit_threads(struct kunit *test, unsigned int nr,
		       void (*fn)(unsigned int id, void *arg), void *arg);

/* Leaves pages full of dirt for the next to allocate. */
void hkm_kunit_dirty_pages(void);

/* Front end of the CPU that the case is pinned to. */
static inline struct hkm_cpu *hkm_kunit_cpu(void)
{
	return hkm_cpu_of(raw_smp_processor_id());
}

static inline struct hkm_ring *hkm_kunit_ring(unsigned int bin)
{
	return &hkm_kunit_cpu()->ring[bin];
}

/* Begins a section as a caller would that an interrupt then hits. */
struct hkm_cpu *hkm_kunit_cpu_get(void);
void hkm_kunit_cpu_put(struct hkm_cpu *cpu);

/* Whether the @nr bytes at @p all have the value @byte. */
bool hkm_kunit_filled(const void *p, int byte, size_t nr);

#endif /* _HKM_KUNIT_COMMON_H */
