/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared tier: per class, 64 lock-free stacks of batches of free blocks, and
 * 64 multi-producer stacks for frees that may not use the per-CPU tier.
 */
#ifndef _HKM_FREELIST_H
#define _HKM_FREELIST_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/types.h>

#include "size_class.h"

/* One for each call site's hash, and beside it one for its chunks that drain. */
#define HKM_NR_HOMES	32
#define HKM_DRAINS	HKM_NR_HOMES
#define HKM_NR_SHARDS	(2 * HKM_NR_HOMES)

struct hkm_chunk;
struct hkm_slot;

/**
 * struct hkm_shard - heads of one shard
 * @head: stack of batches: generation tag above a compressed block address
 * @remote: stack of single blocks, drained whole
 */
struct hkm_shard {
	atomic64_t head;
	struct hkm_slot *remote;
} ____cacheline_aligned;

/**
 * struct hkm_shared - shared tier of one class
 * @nonempty: shards whose @head may hold batches, one bit each
 * @remote_nonempty: shards whose @remote may hold blocks
 * @shard: the stacks
 */
struct hkm_shared {
	atomic64_t nonempty;
	atomic64_t remote_nonempty;
	struct hkm_shard shard[HKM_NR_SHARDS];
};

int hkm_shared_init(void);
void hkm_shared_exit(void);

unsigned int hkm_freelist_push(unsigned int bin, void *const *blocks,
			       unsigned int nr);
unsigned int hkm_freelist_pop(unsigned int bin, unsigned int home,
			      void **blocks, unsigned int max);

bool hkm_remote_push(unsigned int bin, void *block);
unsigned int hkm_remote_drain(unsigned int bin, unsigned int home,
			      void **blocks, unsigned int max);

bool hkm_chain_add(struct hkm_chunk *chunk, void *block);
void hkm_chain_clear(struct hkm_chunk *chunk);
void hkm_chain_push(struct hkm_chunk *chunk);

#if IS_ENABLED(CONFIG_KUNIT)
struct hkm_shared *hkm_test_shared(unsigned int bin, u64 *mask);
#endif

#endif /* _HKM_FREELIST_H */
