// SPDX-License-Identifier: GPL-2.0
/*
 * The parts of the API that need nothing of the pool but to allocate, to free,
 * and to tell whose an address is.
 */
#include <linux/device.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "api.h"
#include "chunk.h"
#include "sample.h"
#include "../include/hakmem.h"
#include "../include/hkm_compat.h"

/**
 * hkm_kmemdup() - copy memory into a new allocation
 * @src: what to copy
 * @size: its bytes
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: the copy, as hkm_kmalloc().
 */
void *hkm_kmemdup(const void *src, size_t size, gfp_t flags)
{
	void *p = hkm_kmalloc_from(size, flags, _RET_IP_);

	return p ? memcpy(p, src, size) : NULL;
}
EXPORT_SYMBOL_GPL(hkm_kmemdup);

/**
 * hkm_kmalloc_bulk() - allocate several pieces of memory of one size
 * @size: bytes wanted in each
 * @flags: gfp flags as for hkm_kmalloc()
 * @nr: how many
 * @p: filled with them
 *
 * Context: As hkm_kmalloc().
 * Return: @nr, or 0 if they could not all be had; then none is kept.
 */
unsigned int hkm_kmalloc_bulk(size_t size, gfp_t flags, size_t nr, void **p)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		p[i] = hkm_kmalloc_from(size, flags, _RET_IP_);
		if (unlikely(!p[i])) {
			hkm_kfree_bulk(i, p);
			return 0;
		}
	}
	return nr;
}
EXPORT_SYMBOL_GPL(hkm_kmalloc_bulk);

/**
 * hkm_kfree_bulk() - free several allocations
 * @nr: how many
 * @p: the allocations, of any sizes
 *
 * Context: As hkm_kfree().
 */
void hkm_kfree_bulk(size_t nr, void **p)
{
	size_t i;

	for (i = 0; i < nr; i++)
		hkm_kfree(p[i]);
}
EXPORT_SYMBOL_GPL(hkm_kfree_bulk);

/**
 * hkm_kvmalloc_node() - allocate memory on a node that need not be contiguous
 * @size: bytes wanted
 * @flags: gfp flags as for kvmalloc()
 * @node: as for hkm_kmalloc_node()
 *
 * Tries the pool where the size is the pool's, and no node of several is asked
 * for; then kvmalloc_node(). Above 52 KiB the pool does not reclaim for it.
 *
 * Context: Task; may sleep.
 * Return: the memory, to be freed by hkm_kvfree(); NULL on failure;
 * ZERO_SIZE_PTR for @size 0.
 */
void *hkm_kvmalloc_node(size_t size, gfp_t flags, int node)
{
	void *p = NULL;

	if (node == NUMA_NO_NODE || num_online_nodes() == 1)
		p = hkm_pool_alloc(size, flags, _RET_IP_);
	return p ?: kvmalloc_node(size, flags, node);
}
EXPORT_SYMBOL_GPL(hkm_kvmalloc_node);

/**
 * hkm_kvfree() - free memory of hkm_kvmalloc() and its kin
 * @p: what one of the allocation functions, kvmalloc(), or vmalloc() returned;
 *	or NULL
 *
 * Context: Any but NMI; from vmalloc() also not with a lock held that forbids
 * sleeping.
 */
void hkm_kvfree(const void *p)
{
	if (is_vmalloc_addr(p) && !hkm_sample_owns(p))
		vfree(p);
	else
		hkm_kfree(p);
}
EXPORT_SYMBOL_GPL(hkm_kvfree);

/**
 * hkm_kvfree_sensitive() - clear memory, then free it
 * @p: as for hkm_kvfree()
 * @size: bytes to clear
 *
 * Context: As hkm_kvfree().
 */
void hkm_kvfree_sensitive(const void *p, size_t size)
{
	if (is_vmalloc_addr(p) && !hkm_sample_owns(p))
		kvfree_sensitive(p, size);
	else
		hkm_kfree_sensitive(p);
}
EXPORT_SYMBOL_GPL(hkm_kvfree_sensitive);

/**
 * hkm_kvrealloc() - make memory of hkm_kvmalloc() and its kin larger
 * @p: as for hkm_kvfree()
 * @old_size: bytes of it to keep
 * @new_size: bytes wanted
 * @flags: gfp flags as for kvmalloc()
 *
 * Context: Task; may sleep.
 * Return: @p, if it is as large already; else new memory with the contents of
 * @p, which was freed; NULL on failure, and then @p is still valid.
 */
void *hkm_kvrealloc(const void *p, size_t old_size, size_t new_size, gfp_t flags)
{
	void *fresh;

	if (old_size >= new_size)
		return (void *)p;
	fresh = hkm_kvmalloc(new_size, flags);
	if (!fresh)
		return NULL;
	memcpy(fresh, p, old_size);
	hkm_kvfree(p);
	return fresh;
}
EXPORT_SYMBOL_GPL(hkm_kvrealloc);

static void kfree_rcu_ended(struct rcu_head *head)
{
	hkm_kfree(hkm_block_of(head));
}

/**
 * __hkm_kfree_rcu() - free a block of the pool after a grace period
 * @head: anywhere in the block
 *
 * For hkm_kfree_rcu().
 *
 * Context: Any but NMI.
 */
void __hkm_kfree_rcu(struct rcu_head *head)
{
	call_rcu(head, kfree_rcu_ended);
}
EXPORT_SYMBOL_GPL(__hkm_kfree_rcu);

struct pending_free {
	struct rcu_head rcu;
	const void *p;
};

static void pending_free_ended(struct rcu_head *head)
{
	struct pending_free *pending = container_of(head, struct pending_free, rcu);

	hkm_kvfree(pending->p);
	kfree(pending);
}

/**
 * __hkm_kfree_rcu_mightsleep() - free memory after a grace period
 * @p: as for hkm_kvfree()
 *
 * Sleeps for a grace period only where there is no memory for a note of @p.
 *
 * Context: Task; may sleep.
 */
void __hkm_kfree_rcu_mightsleep(const void *p)
{
	struct pending_free *pending;

	might_sleep();
	if (ZERO_OR_NULL_PTR(p))
		return;
	pending = kmalloc(sizeof(*pending), GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (pending) {
		pending->p = p;
		call_rcu(&pending->rcu, pending_free_ended);
	} else {
		synchronize_rcu();
		hkm_kvfree(p);
	}
}
EXPORT_SYMBOL_GPL(__hkm_kfree_rcu_mightsleep);

static void devm_release(struct device *dev, void *res)
{
	hkm_kfree(*(void **)res);
}

static int devm_match(struct device *dev, void *res, void *p)
{
	return *(void **)res == p;
}

/**
 * devm_hkm_kmalloc() - allocate memory that a device owns
 * @dev: the device; the memory is freed when its driver lets go of it
 * @size: bytes wanted
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: Any but NMI; sleeps only if @flags allow.
 * Return: the memory, or NULL on failure; ZERO_SIZE_PTR for @size 0.
 */
void *devm_hkm_kmalloc(struct device *dev, size_t size, gfp_t flags)
{
	void **res;

	if (unlikely(!size))
		return ZERO_SIZE_PTR;
	res = devres_alloc(devm_release, sizeof(*res), flags);
	if (unlikely(!res))
		return NULL;
	*res = hkm_kmalloc_from(size, flags, _RET_IP_);
	if (unlikely(!*res)) {
		devres_free(res);
		return NULL;
	}
	devres_add(dev, res);
	return *res;
}
EXPORT_SYMBOL_GPL(devm_hkm_kmalloc);

/**
 * devm_hkm_kfree() - free memory that a device owns, before it does
 * @dev: the device
 * @p: what devm_hkm_kmalloc() returned for it, or NULL
 *
 * Context: Any but NMI.
 */
void devm_hkm_kfree(struct device *dev, const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		WARN_ON(devres_release(dev, devm_release, devm_match, (void *)p));
}
EXPORT_SYMBOL_GPL(devm_hkm_kfree);

/* After the last call of a client. */
void hkm_derived_exit(void)
{
	/* For __hkm_kfree_rcu() and __hkm_kfree_rcu_mightsleep(). */
	rcu_barrier();
}
