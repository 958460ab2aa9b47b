// SPDX-License-Identifier: GPL-2.0
/*
 * What clients call.
 */
#include <linux/debug_locks.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/string.h>
#include <trace/events/hakmem.h>

#include "api.h"
#include "chunk.h"
#include "cpu_cache.h"
#include "debug.h"
#include "freelist.h"
#include "harden.h"
#include "refill.h"
#include "sample.h"
#include "tools.h"
#include "../include/hakmem.h"
#include "../include/hkm_compat.h"
#include "../learner/policy.h"

/* Zones, owners and nodes that the pool cannot honour. */
#define HKM_GFP_KERNEL_ONLY (__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM | \
			     __GFP_MOVABLE | __GFP_RECLAIMABLE | \
			     __GFP_ACCOUNT | __GFP_THISNODE)

static unsigned int site_home(unsigned long site)
{
	return hash_long(site, ilog2(HKM_NR_HOMES));
}

/* Bytes of a block that are its holder's; 0 if @p is none, or free. */
static size_t block_bytes(const struct hkm_chunk *chunk, const void *p)
{
	unsigned int index;

	if (!hkm_chunk_block_index(chunk, p, &index) || hkm_block_is_marked(p))
		return 0;
	return hkm_debug_size(chunk, index);
}

/* Clears all of a block, as krealloc() with __GFP_ZERO relies on. */
static void block_clear(void *block)
{
	memset(block, 0, hkm_ksize(block));
}

/* As hkm_kmalloc() ends on kernels that clear all memory. */
static noinline void *issue_cleared(void *block, size_t size,
				    unsigned int bin)
{
	block_clear(block);
	hkm_kasan_redzone(block, size, hkm_classes[bin].size_bytes);
	return block;
}

/* Hands out a block that came by the hot path. */
static __always_inline void *issue(void *block, size_t size, gfp_t flags,
				   unsigned int bin)
{
	if (unlikely(want_init_on_alloc(flags)))
		return issue_cleared(block, size, bin);
	hkm_kasan_redzone(block, size, hkm_classes[bin].size_bytes);
	return block;
}

/* Hands out a block that did not come by the hot path. */
static void *block_deliver(void *block, size_t size, gfp_t flags,
			   unsigned int bin, unsigned long site,
			   bool zeroed)
{
	u32 bytes = hkm_classes[bin].size_bytes;

	hkm_count_asked(bin, size);
	hkm_kasan_unpoison(block, bytes);
	if (unlikely(hkm_debug))
		hkm_debug_alloc(block, size, site);
	hkm_block_unmark(block);
	if (want_init_on_alloc(flags) && !zeroed)
		block_clear(block);
	hkm_kasan_redzone(block, size, bytes);
	trace_alloc(site, block, size, bytes, flags, bin);
	return block;
}

/* In alloc_fast()'s section. NULL if neither CPU nor shared tier has stock. */
static __always_inline void *stock_take(struct hkm_cpu *cpu, unsigned int bin,
					unsigned int home, bool *zeroed)
{
	void *block = NULL;

	if (likely(cpu != &hkm_cpu_busy))
		return hkm_cpu_alloc(hkm_cpu_own(cpu), bin, home, zeroed);
	if (hkm_freelist_pop(bin, home, &block, 1) ||
	    hkm_remote_drain(bin, home, &block, 1))
		hkm_count(bin, HKM_slow_allocs);
	return block;
}

/* The same, and ends that section. */
static __always_inline void *alloc_stocked(struct hkm_cpu *cpu,
					   unsigned int bin,
					   unsigned int home, bool *zeroed)
{
	void *block = stock_take(cpu, bin, home, zeroed);

	hkm_cpu_leave(cpu);
	preempt_enable();
	return block;
}

/* The same; the caller that gets NULL holds the class. */
static __always_inline void *alloc_stocked_or_hold(struct hkm_cpu *cpu,
						   unsigned int bin,
						   unsigned int home,
						   bool *zeroed)
{
	void *block = stock_take(cpu, bin, home, zeroed);

	if (unlikely(!block))
		hkm_class_hold(bin);
	hkm_cpu_leave(cpu);
	preempt_enable();
	return block;
}

/* Ends alloc_fast()'s section only if the request is to be a sample. */
static __always_inline void *alloc_sample(size_t size, gfp_t flags,
					  unsigned int bin,
					  unsigned long site, struct hkm_cpu *cpu)
{
	struct hkm_sample *sample;

	if (likely(cpu != &hkm_cpu_watched) || size > HKM_SAMPLE_BYTES)
		return NULL;
	sample = hkm_sample_claim();
	if (!sample)
		return NULL;
	hkm_cpu_leave(cpu);
	preempt_enable();
	return hkm_sample_alloc(sample, size, flags, bin, site);
}

static bool many_nodes(void)
{
	return hkm_nr_bins > HKM_NR_CLASSES;
}

/* What other nodes have in stock, nearest number first. */
static void *alloc_far(unsigned int bin, unsigned int home, bool *zeroed)
{
	unsigned int far;
	void *block;

	for (far = hkm_bin_class(bin); far < hkm_nr_bins; far += HKM_NR_CLASSES) {
		if (far == bin)
			continue;
		preempt_disable();
		block = alloc_stocked(hkm_cpu_enter(), far, home, zeroed);
		if (block)
			return block;
	}
	return NULL;
}

/* Near pages if there are any to spare; else far stock; else what there is. */
static noinline void *refill_many_nodes(unsigned int bin, unsigned int home,
					gfp_t flags, bool *zeroed)
{
	gfp_t near = (flags & ~__GFP_DIRECT_RECLAIM) | __GFP_THISNODE;
	int nid = raw_cpu_read(hkm_near_nid);

	return hkm_alloc_refill(bin, home, nid, near, zeroed) ?:
	       alloc_far(bin, home, zeroed) ?:
	       hkm_alloc_refill(bin, home, NUMA_NO_NODE, flags, zeroed);
}

static void *refill(unsigned int bin, unsigned int home, gfp_t flags,
		    bool *zeroed)
{
	if (many_nodes())
		return refill_many_nodes(bin, home, flags, zeroed);
	return hkm_alloc_refill(bin, home, NUMA_NO_NODE, flags, zeroed);
}

/* Those who cannot sleep, nor do without. */
static bool may_use_reserve(gfp_t flags)
{
	return !(flags & (__GFP_DIRECT_RECLAIM | __GFP_NOMEMALLOC));
}

/* What is kept for those who cannot sleep: of the bin's node, or of any. */
static noinline void *alloc_reserved(unsigned int bin, unsigned int home, gfp_t flags)
{
	unsigned int any = hkm_bin_class(bin);
	void *block;

	if (!may_use_reserve(flags))
		return NULL;
	block = hkm_alloc_reserved(bin, home);
	for (; !block && any < hkm_nr_bins; any += HKM_NR_CLASSES)
		block = hkm_alloc_reserved(any, home);
	return block;
}

/*
 * There is no block of a large class, nor, as far as that was tried, are there
 * pages for one: memory may be in pieces, and one of the next larger class stocked.
 * It serves too, at less than four bytes for each that was asked for. With @kept
 * also one of the inventory, which has a lock.
 */
static noinline void *alloc_larger(unsigned int *bin, unsigned int home,
				   bool kept, bool *zeroed)
{
	unsigned int larger = *bin + 1;
	void *block;

	if (!hkm_bin_is_large(*bin) || !hkm_bin_is_large(larger))
		return NULL;
	preempt_disable();
	block = alloc_stocked(hkm_cpu_enter(), larger, home, zeroed);
	if (!block && kept)
		block = hkm_alloc_kept(larger, home);
	if (block)
		*bin = larger;
	return block;
}

/* The class that may serve a request of another; HKM_NR_CLASSES: none. */
static unsigned int substitute_class(unsigned int class_id, size_t size)
{
	const struct hkm_policy *policy = rcu_dereference_sched(hkm_policy);
	unsigned int other = policy->next_class[class_id];

	if (other == HKM_NR_CLASSES ||
	    hkm_classes[other].size_bytes >
	    size * policy->w_max[smp_processor_id() & 1] / 100)
		return HKM_NR_CLASSES;
	return other;
}

/*
 * There is no block of the class, but perhaps one is stocked that is larger by no
 * more than the policy allows. Not for powers of two, which are to be aligned.
 */
static noinline void *alloc_substitute(unsigned int *bin, size_t size,
				       unsigned int home, bool *zeroed)
{
	unsigned int class_id = hkm_bin_class(*bin), other;
	void *block;

	if (hkm_class_is_large(class_id) || is_power_of_2(size))
		return NULL;
	/* One section: what the policy has is so until its end. */
	preempt_disable();
	class_id = substitute_class(class_id, size);
	if (class_id == HKM_NR_CLASSES) {
		preempt_enable();
		return NULL;
	}
	other = *bin - hkm_bin_class(*bin) + class_id;
	block = alloc_stocked(hkm_cpu_enter(), other, home, zeroed);
	if (block) {
		hkm_count(other, HKM_substitutes);
		*bin = other;
	}
	return block;
}

/* As many as the refill after them brings, more or less. */
#define BORROWS_IN_A_ROW	16
/* Per bin, misses in a row that another class served. Any CPU's: it is a hint. */
static u8 borrowed[HKM_MAX_BINS];

/*
 * A block of another class, some times, then new ones of its own: in turn. What is
 * borrowed goes back where it came from; a class that borrowed each time would never
 * come to have blocks of its own, and each of its requests would end up here.
 */
static void *alloc_borrow_or_refill(unsigned int *bin, size_t size, gfp_t flags,
				    unsigned int home, bool *zeroed)
{
	u8 so_far = READ_ONCE(borrowed[*bin]);
	bool own_first = so_far >= BORROWS_IN_A_ROW;
	unsigned int own = *bin;
	void *block = NULL;

	if (!own_first)
		block = alloc_substitute(bin, size, home, zeroed);
	if (!block && !in_nmi())
		block = refill(own, home, flags, zeroed);
	if (!block && own_first)
		block = alloc_substitute(bin, size, home, zeroed);
	if (block && *bin == own)
		WRITE_ONCE(borrowed[own], 0);
	else if (block && !own_first)
		WRITE_ONCE(borrowed[own], so_far + 1);
	return block;
}

/*
 * The ring had nothing, or belongs to the context that we interrupted, or all
 * requests are being watched. Ends what alloc_fast() began. NULL if neither the
 * pool nor the page allocator has stock.
 */
static void *pool_slow(size_t size, gfp_t flags, unsigned int bin,
		       unsigned long site, struct hkm_cpu *cpu)
{
	unsigned int home = site_home(site);
	bool zeroed = false;
	void *block;

	block = alloc_sample(size, flags, bin, site, cpu);
	if (unlikely(block))
		return block;
	block = alloc_stocked_or_hold(cpu, bin, home, &zeroed);
	if (unlikely(!block)) {
		unsigned int held = bin;

		might_alloc(flags);
		block = alloc_borrow_or_refill(&bin, size, flags, home, &zeroed);
		if (unlikely(!block))
			block = alloc_larger(&bin, home, !in_nmi(), &zeroed);
		if (unlikely(!block) && !in_nmi())
			block = alloc_reserved(bin, home, flags);
		hkm_class_put(held);
	}
	if (unlikely(!block)) {
		hkm_count(bin, HKM_unserved);
		return NULL;
	}
	block = block_deliver(block, size, flags, bin, site, zeroed);
	hkm_leak_alloc(block, hkm_classes[bin].size_bytes, flags);
	return block;
}

/* Bin of a size that the pool serves, of the node whose table is @bins. */
static __always_inline unsigned int bin_of(const u8 *bins, size_t size)
{
	size_t step = hkm_size_step(size);

	if (likely(step < HKM_NR_STEPS))
		return bins[step];
	/* As the table has it: room for a red zone, if there is such a class. */
	if (unlikely(hkm_debug & HKM_DEBUG_REDZONE) && size < HKM_LARGE_MAX_BYTES)
		size++;
	return bins[0] - hkm_bin_class(bins[0]) + hkm_large_class(size);
}

/* Whether a request is for the pool. */
static bool is_served(size_t size, gfp_t flags)
{
	return (hkm_size_step(size) < HKM_NR_STEPS || hkm_size_is_large(size)) &&
	       !(flags & HKM_GFP_KERNEL_ONLY);
}

/* A request for one node only, or for one that is not this CPU's. */
static void *alloc_on_node(size_t size, gfp_t flags, int nid, unsigned long site)
{
	unsigned int home = site_home(site), bin;
	gfp_t strict = flags | __GFP_THISNODE;
	bool zeroed = false;
	void *block;

	/* If another node will do as well, nothing is reclaimed on this one. */
	if (!(flags & __GFP_THISNODE))
		strict &= ~__GFP_DIRECT_RECLAIM;
	if (!is_served(size, flags & ~__GFP_THISNODE) ||
	    nr_node_ids > HKM_MAX_NODES || (unsigned int)nid >= nr_node_ids ||
	    !node_state(nid, N_NORMAL_MEMORY))
		goto kernel;
	might_alloc(flags);
	preempt_disable();
	bin = bin_of(rcu_dereference_sched(hkm_policy)->bin_of[nid], size);
	block = alloc_stocked_or_hold(hkm_cpu_enter(), bin, home, &zeroed);
	if (!block) {
		if (!in_nmi())
			block = hkm_alloc_refill(bin, home, nid, strict, &zeroed);
		if (!block && !in_nmi() && may_use_reserve(flags))
			block = hkm_alloc_reserved(bin, home);
		hkm_class_put(bin);
	}
	if (block) {
		block = block_deliver(block, size, flags, bin, site, zeroed);
		hkm_leak_alloc(block, hkm_classes[bin].size_bytes, flags);
		return block;
	}
	hkm_count(bin, HKM_unserved);
	hkm_count(bin, HKM_fallbacks);
kernel:
	return in_nmi() ? NULL : kmalloc_node(size, flags, nid);
}

/* The kernel allocator takes no requests in NMI context. */
static noinline void *alloc_kernel(size_t size, gfp_t flags)
{
	if (in_nmi())
		return NULL;
	return kmalloc(size, flags);
}

static noinline void *alloc_slow(size_t size, gfp_t flags,
				 unsigned int bin, unsigned long site,
				 struct hkm_cpu *cpu)
{
	void *block = pool_slow(size, flags, bin, site, cpu);

	if (likely(block))
		return block;
	hkm_count(bin, HKM_fallbacks);
	return alloc_kernel(size, flags);
}

/*
 * Serves from this CPU's ring. False if that is empty, in use, or watched: then
 * preemption stays off and the busy section open.
 *
 * This and hkm_kfree() are the hot paths: what leaves them does so by a call in
 * tail position with the arguments where they are, so that no register need be
 * saved or moved on the way through.
 */
static __always_inline bool alloc_fast(size_t size, void **block,
				       unsigned int *bin,
				       struct hkm_cpu **cpu)
{
	struct hkm_ring *ring;
	unsigned long nr;

	preempt_disable();
	*bin = bin_of(hkm_policy_bins(), size);
	*cpu = hkm_cpu_enter();
	ring = hkm_cpu_ring(*cpu, *bin * sizeof(*ring));
	nr = ring->nr;
	if (unlikely(!nr))
		return false;
	*block = ring->slot[--nr];
	data_race(ring->hits++); /* read by hkm_stats_read() elsewhere */
	hkm_ring_nr_set(ring, nr);
	hkm_cpu_leave(*cpu);
	preempt_enable();
	hkm_block_unmark(*block);
	hkm_kasan_unpoison(*block, hkm_classes[*bin].size_bytes);
	return true;
}

/*
 * All of an allocation of a size that the pool serves but alloc_slow(), which a
 * false return leaves to do: so the caller's site is looked up only there.
 */
static __always_inline bool alloc_hot(size_t size, gfp_t flags, void **block,
				      unsigned int *bin,
				      struct hkm_cpu **cpu)
{
	/* Elsewhere, where only refills may sleep, pool_slow() does. */
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) || IS_ENABLED(CONFIG_LOCKDEP))
		might_alloc(flags);
	if (unlikely(!alloc_fast(size, block, bin, cpu)))
		return false;
	*block = issue(*block, size, flags, *bin);
	hkm_leak_alloc(*block, hkm_classes[*bin].size_bytes, flags);
	return true;
}

/* What the class table does not serve: large sizes, and what is kmalloc()'s. */
static __always_inline bool is_odd(size_t size, gfp_t flags)
{
	return unlikely(hkm_size_step(size) >= HKM_NR_STEPS) ||
	       unlikely(flags & HKM_GFP_KERNEL_ONLY);
}

static noinline void *alloc_odd(size_t size, gfp_t flags, unsigned long site)
{
	unsigned int bin;
	struct hkm_cpu *cpu;
	void *block;

	if ((flags & __GFP_THISNODE) && many_nodes())
		return alloc_on_node(size, flags, numa_mem_id(), site);
	if (!is_served(size, flags))
		return alloc_kernel(size, flags);
	if (likely(alloc_hot(size, flags, &block, &bin, &cpu)))
		return block;
	return alloc_slow(size, flags, bin, site, cpu);
}

/* hkm_kmalloc() on behalf of a caller at @site. */
void *hkm_kmalloc_from(size_t size, gfp_t flags, unsigned long site)
{
	unsigned int bin;
	struct hkm_cpu *cpu;
	void *block;

	if (is_odd(size, flags))
		return alloc_odd(size, flags, site);
	if (likely(alloc_hot(size, flags, &block, &bin, &cpu)))
		return block;
	return alloc_slow(size, flags, bin, site, cpu);
}

/*
 * The same, but NULL where it would turn to kmalloc(). For those who can do with
 * pages that are not contiguous: large blocks are not worth any reclaim then.
 */
void *hkm_pool_alloc(size_t size, gfp_t flags, unsigned long site)
{
	unsigned int bin;
	struct hkm_cpu *cpu;
	void *block;

	if (!is_served(size, flags))
		return NULL;
	might_alloc(flags);
	if (hkm_size_is_large(size))
		flags = (flags & ~__GFP_DIRECT_RECLAIM) | __GFP_NOMEMALLOC;
	if (!alloc_fast(size, &block, &bin, &cpu))
		return pool_slow(size, flags, bin, site, cpu);
	block = issue(block, size, flags, bin);
	hkm_leak_alloc(block, hkm_classes[bin].size_bytes, flags);
	return block;
}

/**
 * hkm_kmalloc() - allocate memory
 * @size: bytes wanted
 * @flags: gfp flags, with kmalloc()'s meaning
 *
 * Requests above 1.5 KiB and up to 1 MiB come from the pool; all others, those
 * with flags for a zone, mobility or accounting (with one node, or more than
 * eight, also __GFP_THISNODE), and those for which the page allocator has no
 * pages, come from kmalloc(). Memory of the pool is aligned to 512 bytes at
 * least, and to its size where that is a power of two.
 *
 * Context: Any; sleeps only if @flags allow. In NMI context only what is
 * already stocked is handed out.
 * Return: the memory, physically contiguous (but for the samples that the module
 * parameter sample_interval_ms asks for); NULL on failure; ZERO_SIZE_PTR for
 * @size 0.
 */
void *hkm_kmalloc(size_t size, gfp_t flags)
{
	unsigned int bin;
	struct hkm_cpu *cpu;
	void *block;

	if (is_odd(size, flags))
		return alloc_odd(size, flags, _RET_IP_);
	if (likely(alloc_hot(size, flags, &block, &bin, &cpu)))
		return block;
	return alloc_slow(size, flags, bin, _RET_IP_, cpu);
}
EXPORT_SYMBOL_GPL(hkm_kmalloc);

/**
 * hkm_kmalloc_node() - allocate memory on a NUMA node
 * @size: bytes wanted
 * @flags: gfp flags, with kmalloc()'s meaning
 * @node: node to prefer, or NUMA_NO_NODE; with __GFP_THISNODE the only one
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc(); with __GFP_THISNODE, NULL where @node has no memory to
 * spare.
 */
void *hkm_kmalloc_node(size_t size, gfp_t flags, int node)
{
	if (node == NUMA_NO_NODE || !many_nodes() ||
	    (node == numa_mem_id() && !(flags & __GFP_THISNODE)))
		return hkm_kmalloc_from(size, flags, _RET_IP_);
	return alloc_on_node(size, flags, node, _RET_IP_);
}
EXPORT_SYMBOL_GPL(hkm_kmalloc_node);

/**
 * hkm_kmalloc_nolock() - allocate memory that is already stocked
 * @size: bytes wanted, above 1.5 KiB and up to 1 MiB
 * @flags: __GFP_ZERO or 0
 *
 * For callers that may not enter the page allocator, whatever it holds.
 *
 * Context: Any, NMI included. Never sleeps, takes no lock.
 * Return: the memory; NULL if nothing is stocked, or the pool does not serve @size.
 */
void *hkm_kmalloc_nolock(size_t size, gfp_t flags)
{
	unsigned int bin, home;
	struct hkm_cpu *cpu;
	bool zeroed = false;
	void *block;

	if (!is_served(size, flags))
		return NULL;
	if (alloc_fast(size, &block, &bin, &cpu))
		return issue(block, size, flags, bin);
	/* See tools.h. */
	if (!IS_ENABLED(CONFIG_DEBUG_KMEMLEAK)) {
		block = alloc_sample(size, flags, bin, _RET_IP_, cpu);
		if (unlikely(block))
			return block;
	}
	home = site_home(_RET_IP_);
	block = alloc_stocked_or_hold(cpu, bin, home, &zeroed);
	if (!block) {
		unsigned int held = bin;

		block = alloc_substitute(&bin, size, home, &zeroed);
		if (!block && many_nodes())
			block = alloc_far(bin, home, &zeroed);
		if (!block)
			block = alloc_larger(&bin, home, false, &zeroed);
		hkm_class_put(held);
	}
	if (!block) {
		hkm_count(bin, HKM_unserved);
		return NULL;
	}
	return block_deliver(block, size, flags, bin, _RET_IP_, zeroed);
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

/* An address in no chunk: a sample's, kmalloc's, nobody's, or nothing. */
static noinline void free_foreign(const void *p, unsigned long site)
{
	if (hkm_sample_free(p, site))
		return;
	if (is_kernels(p))
		kfree(p);
	else if (!ZERO_OR_NULL_PTR(p))
		hkm_report_refused(HKM_FOREIGN_FREE, p, site);
}

/* An address in the pool that is no live block. */
static void report_odd(const void *p, const struct hkm_chunk *chunk,
		       unsigned long site)
{
	unsigned int index;

	hkm_count(chunk->bin, HKM_rejects);
	hkm_report_refused(hkm_chunk_block_index(chunk, p, &index) ?
			   HKM_DOUBLE_FREE : HKM_INTERIOR_FREE, p, site);
}

/*
 * The ring is full, in use, or watched. Ends the busy section and
 * preempt_disable().
 */
static noinline void free_slow(void *block, struct hkm_chunk *chunk,
			       struct hkm_cpu *cpu, unsigned long site)
{
	if (unlikely(hkm_debug) && !hkm_debug_free(block, chunk, site)) {
		hkm_count(chunk->bin, HKM_rejects);
		goto leave;
	}
	trace_free(site, block, chunk->bin);
	if (likely(cpu != &hkm_cpu_busy))
		hkm_cpu_free(hkm_cpu_own(cpu), chunk->bin, block);
	else
		hkm_remote_push(chunk->bin, block);
leave:
	hkm_cpu_leave(cpu);
	preempt_enable();
}

/* A block is free from here on, for the tools too. */
static __always_inline void block_withdraw(void *block,
					   const struct hkm_chunk *chunk)
{
	u32 bytes = hkm_classes[chunk->bin].size_bytes;

	hkm_block_mark(block);
	debug_check_no_locks_freed(block, bytes);
	hkm_leak_free(block);
	hkm_kasan_poison(block, bytes);
}

/*
 * Clears up to 1 MiB, with preemption on. The block is marked before, so that a second
 * free is refused, and in no tier, so that its chunk stays. Ends the caller's
 * preempt_disable().
 */
static noinline void free_cleared(void *block, struct hkm_chunk *chunk,
				  unsigned long site)
{
	/* Not its red zone, which is yet to be looked at. */
	size_t bytes = block_bytes(chunk, block);

	if (unlikely(!bytes)) {
		/* Another free of it came first, or it is no block but the rest. */
		report_odd(block, chunk, site);
		preempt_enable();
		return;
	}
	hkm_block_mark(block);
	preempt_enable();
	hkm_kasan_unpoison(block, bytes);
	hkm_block_clear_unmarked(block, bytes);
	preempt_disable();
	block_withdraw(block, chunk);
	free_slow(block, chunk, hkm_cpu_enter(), site);
}

/* Frees a block of a fragment. Ends the caller's preempt_disable(). */
static void free_fragment(void *block, struct hkm_chunk *chunk, unsigned long site)
{
	if (IS_ENABLED(CONFIG_DEBUG_KMEMLEAK) && in_nmi())
		return hkm_nmi_free(block);
	if (want_init_on_free())
		return free_cleared(block, chunk, site);
	block_withdraw(block, chunk);
	free_slow(block, chunk, hkm_cpu_enter(), site);
}

/*
 * Not a live block of a chunk that the map names: of a fragment, or none. Ends the
 * caller's preempt_disable().
 */
static noinline void free_odd(const void *p, struct hkm_chunk *entry,
			      unsigned long site)
{
	struct hkm_chunk *chunk = hkm_chunk_resolve(entry, p);

	if (chunk != entry && hkm_chunk_block_start(chunk, p) &&
	    !hkm_block_is_marked(p))
		return free_fragment((void *)p, chunk, site);
	if (chunk != &hkm_no_chunk)
		report_odd(p, chunk, site);
	preempt_enable();
	if (chunk == &hkm_no_chunk)
		free_foreign(p, site);
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
	chunk = hkm_map_lookup(p);
	if (unlikely(!hkm_chunk_block_start(chunk, p) || hkm_block_is_marked(p)))
		return free_odd(p, chunk, _RET_IP_);
	if (IS_ENABLED(CONFIG_DEBUG_KMEMLEAK) && in_nmi())
		return hkm_nmi_free((void *)p);
	if (want_init_on_free())
		return free_cleared((void *)p, chunk, _RET_IP_);
	block_withdraw((void *)p, chunk);

	cpu = hkm_cpu_enter();
	ring = hkm_cpu_ring(cpu, chunk->ring_offset);
	nr = ring->nr;
	if (unlikely(nr >= ring->limit))
		return free_slow((void *)p, chunk, cpu, _RET_IP_);
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
	return owns || hkm_sample_owns(p);
}
EXPORT_SYMBOL_GPL(hkm_owns);

/**
 * hkm_block_of() - find the block that an address lies in
 * @p: an address in a block that the caller holds
 *
 * Return: the block.
 */
void *hkm_block_of(const void *p)
{
	struct hkm_chunk *chunk;
	void *block = NULL;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (likely(chunk))
		block = hkm_chunk_block(chunk, (p - chunk->base) /
					hkm_classes[chunk->bin].size_bytes);
	preempt_enable();
	return block ?: hkm_sample_block_of(p);
}

/**
 * hkm_ksize() - size of the memory behind an allocation
 * @p: what an allocation function returned, or NULL
 *
 * To use more than was asked for, call hkm_krealloc() first: compiler and KASAN
 * know no more than that.
 *
 * Context: Any; in NMI context not for memory that came from kmalloc().
 * Return: bytes to which hkm_krealloc() grows in place, at least those asked for;
 * 0 for NULL, ZERO_SIZE_PTR, memory of the pool that is free, and an address that
 * no allocation function returned.
 */
size_t hkm_ksize(const void *p)
{
	struct hkm_chunk *chunk;
	size_t size = 0;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (chunk)
		size = block_bytes(chunk, p);
	preempt_enable();
	if (!chunk)
		size = is_kernels(p) ? ksize(p) : hkm_sample_size(p);
	return size;
}
EXPORT_SYMBOL_GPL(hkm_ksize);

/* Bytes of the class of @p; 0 for a sample. */
static u32 class_bytes(const void *p)
{
	struct hkm_chunk *chunk;
	u32 bytes = 0;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (chunk)
		bytes = hkm_classes[chunk->bin].size_bytes;
	preempt_enable();
	return bytes;
}

/* Makes all of a block accessible to KASAN; a sample is. */
static void block_unpoison(const void *p)
{
	hkm_kasan_unpoison(p, class_bytes(p));
}

/* Ends a krealloc() in place: from @old_size bytes, all accessible to KASAN. */
static void block_shrink(void *p, size_t new_size, size_t old_size, gfp_t flags)
{
	/* So that what is grown into later is zero. */
	if (want_init_on_alloc(flags))
		memset(p + new_size, 0, old_size - new_size);
	if (hkm_sample_owns(p))
		return;
	if (unlikely(hkm_debug))
		hkm_debug_resize(p, new_size);
	hkm_kasan_redzone(p, new_size, class_bytes(p));
}

/* Reports a pointer that is no live allocation's. */
static void refuse(const void *p, unsigned long site)
{
	const struct hkm_chunk *chunk;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (chunk)
		report_odd(p, chunk, site);
	else
		hkm_report_refused(HKM_FOREIGN_FREE, p, site);
	preempt_enable();
}

/**
 * hkm_krealloc() - change the size of an allocation
 * @p: what an allocation function returned, or NULL
 * @new_size: bytes wanted; 0 frees @p
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * The contents are kept up to the smaller of both sizes. With __GFP_ZERO the
 * rest is zero, provided that every earlier call for @p had it too. A pointer to no
 * live allocation is reported, and NULL is returned.
 *
 * Context: As hkm_kmalloc(); in NMI context not for memory that came from
 * kmalloc().
 * Return: the memory, which may have moved; NULL on failure, and then @p is
 * still valid; ZERO_SIZE_PTR for @new_size 0.
 */
void *hkm_krealloc(const void *p, size_t new_size, gfp_t flags)
{
	size_t old_size;
	void *known;
	void *fresh;

	if (ZERO_OR_NULL_PTR(p))
		return hkm_kmalloc_from(new_size, flags, _RET_IP_);
	if (!new_size) {
		hkm_kfree(p);
		return ZERO_SIZE_PTR;
	}
	old_size = hkm_ksize(p);
	if (!old_size) {
		refuse(p, _RET_IP_);
		return NULL;
	}
	if (!hkm_owns(p)) {
		if (new_size <= old_size ||
		    !is_served(new_size, flags))
			return krealloc(p, new_size, flags);
		/* In place: makes all of it known as in use, to be copied. */
		known = krealloc(p, old_size, flags);
		if (!known)
			return NULL;
		p = known;
	} else {
		block_unpoison(p);
		if (new_size <= old_size) {
			block_shrink((void *)p, new_size, old_size, flags);
			return (void *)p;
		}
	}

	fresh = hkm_kmalloc_from(new_size, flags, _RET_IP_);
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
	if (size && hkm_owns(p)) {
		block_unpoison(p);
		memzero_explicit((void *)p, size);
	}
	hkm_kfree(p);
}
EXPORT_SYMBOL_GPL(hkm_kfree_sensitive);
