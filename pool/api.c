// SPDX-License-Identifier: GPL-2.0
/*
 * What clients call.
 */
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "freelist.h"
#include "harden.h"
#include "refill.h"
#include "../include/hakmem.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

/* Zones, owners and nodes that the pool cannot honour. */
#define HKM_GFP_KERNEL_ONLY (__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | \
			     __GFP_MOVABLE | __GFP_RECLAIMABLE | \
			     __GFP_ACCOUNT | __GFP_THISNODE)

static unsigned int site_home(unsigned long site)
{
	return hash_long(site, ilog2(HKM_NR_SHARDS));
}

/* Clears all of a block, as krealloc() with __GFP_ZERO relies on. */
static noinline void *block_clear(void *block)
{
	return memset(block, 0, hkm_ksize(block));
}

/* The kernel allocator takes no requests in NMI context. */
static noinline void *alloc_kernel(size_t size, gfp_t flags)
{
	if (in_nmi())
		return NULL;
	return kmalloc(size, flags);
}

/* Ends alloc_fast()'s section. NULL if neither CPU nor shared tier has stock. */
static void *alloc_stocked(struct hkm_cpu *cpu, unsigned int class_id,
			   unsigned int home, bool *zeroed)
{
	void *block = NULL;

	if (likely(cpu != &hkm_cpu_busy)) {
		block = hkm_cpu_alloc(cpu, class_id, home, zeroed);
	} else if (hkm_freelist_pop(class_id, home, &block, 1) ||
		   hkm_remote_drain(class_id, home, &block, 1)) {
		hkm_count(class_id, HKM_slow_allocs);
	}
	hkm_cpu_leave(cpu);
	preempt_enable();
	return block;
}

/*
 * The ring had nothing, or belongs to the context that we interrupted. Ends what
 * alloc_fast() began.
 */
static noinline void *alloc_slow(size_t size, gfp_t flags,
				 unsigned int class_id, unsigned long site,
				 struct hkm_cpu *cpu)
{
	unsigned int home = site_home(site);
	bool zeroed = false;
	void *block;

	block = alloc_stocked(cpu, class_id, home, &zeroed);
	if (unlikely(!block)) {
		might_alloc(flags);
		if (!in_nmi())
			block = hkm_alloc_refill(class_id, home, flags, &zeroed);
	}
	if (unlikely(!block)) {
		hkm_count(class_id, HKM_unserved);
		hkm_count(class_id, HKM_fallbacks);
		return alloc_kernel(size, flags);
	}
	hkm_block_unmark(block);
	if (want_init_on_alloc(flags) && !zeroed)
		block_clear(block);
	return block;
}

/*
 * Serves from this CPU's ring. False if that is empty or in use: then preemption
 * stays off and the busy section open.
 *
 * This and hkm_kfree() are the hot paths: what leaves them does so by a call in
 * tail position with the arguments where they are, so that no register need be
 * saved or moved on the way through.
 */
static __always_inline bool alloc_fast(size_t step, void **block,
				       unsigned int *class_id,
				       struct hkm_cpu **cpu)
{
	struct hkm_ring *ring;
	unsigned long nr;

	preempt_disable();
	*class_id = rcu_dereference_sched(hkm_policy)->class_of[step];
	*cpu = hkm_cpu_enter();
	ring = hkm_cpu_ring(*cpu, *class_id * sizeof(*ring));
	nr = ring->nr;
	if (unlikely(!nr))
		return false;
	*block = ring->slot[--nr];
	WRITE_ONCE(ring->nr, nr);
	data_race(ring->hits++); /* read by hkm_stats_read() elsewhere */
	hkm_cpu_leave(*cpu);
	preempt_enable();
	hkm_block_unmark(*block);
	return true;
}

/**
 * hkm_kmalloc() - allocate memory
 * @size: bytes wanted
 * @flags: gfp flags, with kmalloc()'s meaning
 *
 * Requests above 1.5 KiB and up to 52 KiB come from the pool; all others, those
 * with flags that ask for a zone, a node or accounting, and those for which the
 * page allocator has no chunk, come from kmalloc(). Power-of-two sizes are
 * aligned to their size, all others to at least 512 bytes.
 *
 * Context: Any; sleeps only if @flags allow. In NMI context only what is
 * already stocked is handed out.
 * Return: the memory, physically contiguous; NULL on failure; ZERO_SIZE_PTR for
 * @size 0.
 */
void *hkm_kmalloc(size_t size, gfp_t flags)
{
	size_t step = hkm_size_step(size);
	unsigned int class_id;
	struct hkm_cpu *cpu;
	void *block;

	if (unlikely(step >= HKM_NR_STEPS || (flags & HKM_GFP_KERNEL_ONLY)))
		return alloc_kernel(size, flags);
	/* Elsewhere, where only refills may sleep, alloc_slow() does. */
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) || IS_ENABLED(CONFIG_LOCKDEP))
		might_alloc(flags);
	if (unlikely(!alloc_fast(step, &block, &class_id, &cpu)))
		return alloc_slow(size, flags, class_id, _RET_IP_, cpu);
	if (unlikely(want_init_on_alloc(flags)))
		return block_clear(block);
	return block;
}
EXPORT_SYMBOL_GPL(hkm_kmalloc);

/**
 * hkm_kmalloc_node() - allocate memory on a NUMA node
 * @size: bytes wanted
 * @flags: gfp flags, with kmalloc()'s meaning
 * @node: node to prefer, or NUMA_NO_NODE
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc(). A @node other than the only one there is, or
 * NUMA_NO_NODE, is left to kmalloc_node().
 */
void *hkm_kmalloc_node(size_t size, gfp_t flags, int node)
{
	if (node == NUMA_NO_NODE || num_online_nodes() == 1)
		return hkm_kmalloc(size, flags);
	if (in_nmi())
		return NULL;
	return kmalloc_node(size, flags, node);
}
EXPORT_SYMBOL_GPL(hkm_kmalloc_node);

/**
 * hkm_kmalloc_nolock() - allocate memory that is already stocked
 * @size: bytes wanted, above 1.5 KiB and up to 52 KiB
 * @flags: only __GFP_ZERO matters
 *
 * For callers that may not enter the page allocator, whatever it holds.
 *
 * Context: Any, NMI included. Never sleeps, takes no lock.
 * Return: the memory; NULL if nothing is stocked or @size is not the pool's.
 */
void *hkm_kmalloc_nolock(size_t size, gfp_t flags)
{
	size_t step = hkm_size_step(size);
	unsigned int class_id;
	struct hkm_cpu *cpu;
	bool zeroed = false;
	void *block;

	if (step >= HKM_NR_STEPS || (flags & HKM_GFP_KERNEL_ONLY))
		return NULL;
	if (!alloc_fast(step, &block, &class_id, &cpu)) {
		block = alloc_stocked(cpu, class_id, site_home(_RET_IP_), &zeroed);
		if (!block) {
			hkm_count(class_id, HKM_unserved);
			return NULL;
		}
		hkm_block_unmark(block);
	}
	if (want_init_on_alloc(flags) && !zeroed)
		block_clear(block);
	return block;
}
EXPORT_SYMBOL_GPL(hkm_kmalloc_nolock);

/* Whether an address that is not the pool's may be given to kfree() here. */
static bool is_kernels(const void *p)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(p) || !virt_addr_valid(p) || in_nmi())
		return false;
	page = virt_to_head_page(p);
	return PageSlab(page) || (hkm_page_is_large_kmalloc(page) &&
				  page_address(page) == p);
}

/* An address that is not the pool's: kmalloc's, nobody's, or nothing. */
static noinline void free_foreign(const void *p, unsigned long site)
{
	if (is_kernels(p))
		kfree(p);
	else if (!ZERO_OR_NULL_PTR(p))
		hkm_report(HKM_FOREIGN_FREE, p, site);
}

/* Not a live block of the pool. Ends the caller's preempt_disable(). */
static noinline void free_odd(const void *p, const struct hkm_chunk *chunk,
			      unsigned long site)
{
	unsigned int index;

	if (chunk != &hkm_no_chunk) {
		hkm_count(chunk->class_id, HKM_rejects);
		hkm_report(hkm_chunk_block_index(chunk, p, &index) ?
			   HKM_DOUBLE_FREE : HKM_INTERIOR_FREE, p, site);
	}
	preempt_enable();
	if (chunk == &hkm_no_chunk)
		free_foreign(p, site);
}

/* The ring is full, or in use. Ends the busy section and preempt_disable(). */
static noinline void free_slow(void *block, struct hkm_chunk *chunk,
			       struct hkm_cpu *cpu)
{
	if (likely(cpu != &hkm_cpu_busy))
		hkm_cpu_free(cpu, chunk->class_id, block);
	else
		hkm_remote_push(chunk->class_id, block);
	hkm_cpu_leave(cpu);
	preempt_enable();
}

static noinline void free_cleared(void *block, struct hkm_chunk *chunk)
{
	memset(block, 0, hkm_classes[chunk->class_id].size_bytes);
	hkm_block_mark(block);
	free_slow(block, chunk, hkm_cpu_enter());
}

/**
 * hkm_kfree() - free memory
 * @p: what one of the allocation functions, or kmalloc(), returned; or NULL
 *
 * A pointer that starts no block of the pool, or a block that is free already,
 * is reported and otherwise ignored.
 *
 * Context: Any; in NMI context not for memory that came from kmalloc().
 */
void hkm_kfree(const void *p)
{
	struct hkm_chunk *chunk;
	struct hkm_ring *ring;
	struct hkm_cpu *cpu;
	unsigned long nr;

	preempt_disable();
	chunk = hkm_chunk_lookup_raw(p);
	if (unlikely(!hkm_chunk_block_start(chunk, p) || hkm_block_is_marked(p)))
		return free_odd(p, chunk, _RET_IP_);
	if (want_init_on_free())
		return free_cleared((void *)p, chunk);
	hkm_block_mark((void *)p);

	cpu = hkm_cpu_enter();
	ring = hkm_cpu_ring(cpu, chunk->ring_offset);
	nr = ring->nr;
	if (unlikely(nr >= ring->limit))
		return free_slow((void *)p, chunk, cpu);
	ring->slot[nr] = (void *)p;
	WRITE_ONCE(ring->nr, nr + 1);
	hkm_cpu_leave(cpu);
	preempt_enable();
}
EXPORT_SYMBOL_GPL(hkm_kfree);

/**
 * hkm_owns() - tell whether an address lies in the pool
 * @p: any address
 *
 * Context: Any.
 * Return: true for memory that the pool gave out or could give out; false for
 * memory that was passed on to kmalloc(), and for any other address.
 */
bool hkm_owns(const void *p)
{
	bool owns;

	preempt_disable();
	owns = hkm_chunk_lookup(p);
	preempt_enable();
	return owns;
}
EXPORT_SYMBOL_GPL(hkm_owns);

/**
 * hkm_ksize() - usable size of an allocation
 * @p: what an allocation function returned, or NULL
 *
 * Context: Any.
 * Return: bytes that may be used, at least those asked for; 0 for NULL,
 * ZERO_SIZE_PTR, and an address that no allocation function returned.
 */
size_t hkm_ksize(const void *p)
{
	struct hkm_chunk *chunk;
	unsigned int index;
	size_t size = 0;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (chunk && hkm_chunk_block_index(chunk, p, &index))
		size = hkm_classes[chunk->class_id].size_bytes;
	preempt_enable();
	if (!chunk && is_kernels(p))
		size = ksize(p);
	return size;
}
EXPORT_SYMBOL_GPL(hkm_ksize);

/**
 * hkm_krealloc() - change the size of an allocation
 * @p: what an allocation function returned, or NULL
 * @new_size: bytes wanted; 0 frees @p
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * The contents are kept up to the smaller of both sizes. With __GFP_ZERO the
 * rest is zero, provided that every earlier call for @p had it too.
 *
 * Context: As hkm_kmalloc().
 * Return: the memory, which may have moved; NULL on failure, and then @p is
 * still valid; ZERO_SIZE_PTR for @new_size 0.
 */
void *hkm_krealloc(const void *p, size_t new_size, gfp_t flags)
{
	size_t old_size;
	void *known;
	void *fresh;

	if (ZERO_OR_NULL_PTR(p))
		return hkm_kmalloc(new_size, flags);
	if (!new_size) {
		hkm_kfree(p);
		return ZERO_SIZE_PTR;
	}
	old_size = hkm_ksize(p);
	if (!old_size) {
		hkm_report(HKM_FOREIGN_FREE, p, _RET_IP_);
		return NULL;
	}
	if (!hkm_owns(p)) {
		if (new_size <= old_size ||
		    hkm_size_step(new_size) >= HKM_NR_STEPS)
			return krealloc(p, new_size, flags);
		/* In place: makes all of it known as in use, to be copied. */
		known = krealloc(p, old_size, flags);
		if (!known)
			return NULL;
		p = known;
	} else if (new_size <= old_size) {
		/* So that what is grown into later is zero. */
		if (want_init_on_alloc(flags))
			memset((void *)p + new_size, 0, old_size - new_size);
		return (void *)p;
	}

	fresh = hkm_kmalloc(new_size, flags);
	if (fresh) {
		memcpy(fresh, p, old_size);
		hkm_kfree(p);
	}
	return fresh;
}
EXPORT_SYMBOL_GPL(hkm_krealloc);

/**
 * hkm_kfree_sensitive() - clear memory, then free it
 * @p: what an allocation function returned, or NULL
 *
 * Context: As hkm_kfree().
 */
void hkm_kfree_sensitive(const void *p)
{
	size_t size;

	if (!hkm_owns(p) && is_kernels(p)) {
		kfree_sensitive(p);
		return;
	}
	size = hkm_ksize(p);
	if (size && hkm_owns(p) && !hkm_block_is_marked(p))
		memzero_explicit((void *)p, size);
	hkm_kfree(p);
}
EXPORT_SYMBOL_GPL(hkm_kfree_sensitive);
