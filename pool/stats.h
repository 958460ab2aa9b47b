/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters: kept per CPU and bin, summed when read. And where all the memory is.
 */
#ifndef _HKM_STATS_H
#define _HKM_STATS_H

#include <linux/types.h>

#include "size_class.h"

/*
 * Counters off the hot path. Counted with this_cpu_inc(), so that contexts
 * that interrupt each other on one CPU lose nothing. X(name, what it counts)
 */
#define HKM_SLOW_COUNTERS(X)						\
	X(freelist_pops, "batches taken from the shared freelist")	\
	X(freelist_pushes, "batches put on the shared freelist")	\
	X(cas_retries, "compare-exchanges of freelist heads repeated")	\
	X(remote_frees, "blocks freed by way of a remote stack")	\
	X(remote_drains, "remote stacks drained")			\
	X(refills, "chunks taken from the page allocator")		\
	X(reuses, "chunks taken from the inventory, or the reserve")	\
	X(reserve_refills, "chunks taken from the reserve")		\
	X(releases, "chunks given back to the page allocator")		\
	X(fallbacks, "requests handed to the kernel allocator")		\
	X(slow_allocs, "misses that shared tier or refill served")	\
	X(refill_allocs, "slow_allocs that were served with new chunks")	\
	X(substitutes, "requests for smaller classes that it served")	\
	X(unserved, "misses that the pool did not serve")		\
	X(samples, "requests served with samples, see sample.c")	\
	X(rejects, "frees refused because the caller erred")

enum hkm_counter {
#define X(name, what) HKM_##name,
	HKM_SLOW_COUNTERS(X)
#undef X
	HKM_NR_COUNTERS
};

/**
 * struct hkm_class_stats - counters of one bin or class, summed over CPUs
 * @hits_ring: requests served from a ring
 * @hits_active: requests served from an active page
 * @frees: blocks freed
 * @slow: the counters of HKM_SLOW_COUNTERS
 * @parked: blocks in rings and active pages
 * @shared: blocks in the shared tier
 * @moving: blocks on their way between tiers
 * @asked: requests whose size was noted, as they were served off the hot path
 * @asked_bytes: what these asked for
 */
struct hkm_class_stats {
	u64 hits_ring;
	u64 hits_active;
	u64 frees;
	u64 slow[HKM_NR_COUNTERS];
	s64 parked;
	s64 shared;
	s64 moving;
	u64 asked;
	u64 asked_bytes;
};

/**
 * struct hkm_totals - where the pool's memory is, in bytes
 * @held: chunks held; the sum of all others but @requested
 * @live: blocks that callers hold
 * @parked: blocks in CPUs' rings and active pages
 * @shared: blocks in the shared tier
 * @inventory: blocks of chunks in the inventory
 * @moving: blocks that a refill or trim has in hand
 * @unusable: bytes behind the last block of each span
 * @requested: what callers asked for of @live; an estimate
 */
struct hkm_totals {
	s64 held;
	s64 live;
	s64 parked;
	s64 shared;
	s64 inventory;
	s64 moving;
	s64 unusable;
	s64 requested;
};

void hkm_stats_read(unsigned int bin, struct hkm_class_stats *sum);
void hkm_stats_class(unsigned int class_id, struct hkm_class_stats *sum);
void hkm_stats_class_half(unsigned int class_id, bool odd, struct hkm_class_stats *sum);
s64 hkm_stats_live(const struct hkm_class_stats *sum);
long hkm_stats_free_chunks(unsigned int bin);
void hkm_stats_histogram(u64 nr[HKM_NR_STEPS]);
s64 hkm_stats_requested(const struct hkm_class_stats *sum);
bool hkm_class_held(unsigned int class_id);
long hkm_class_sum(unsigned int class_id, long (*count)(unsigned int bin));
void hkm_totals_read(struct hkm_totals *totals);

#endif /* _HKM_STATS_H */
