/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hakmem - slab-style allocator for mid-size and large buffers.
 *
 * For buffers of 2 KiB to 1 MiB that are taken and given back often: one ring
 * access per call up to 512 KiB, and blocks that up to 52 KiB are not rounded up
 * to powers of two. Every other size is passed on to kmalloc(), so that a module may
 * send all its requests here. It is no replacement for a kmem_cache of small
 * objects, nor for memory that needs a zone or an owner (GFP_DMA,
 * __GFP_ACCOUNT): such requests go to kmalloc() too. All symbols are exported to
 * GPL modules only.
 *
 * The functions may be called from any context, NMI included, as far as the
 * gfp flags allow: see each one's Context.
 */
#ifndef _HAKMEM_H
#define _HAKMEM_H

#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>

struct device;

void hkm_kfree(const void *p);
void hkm_kfree_sensitive(const void *p);
void hkm_kfree_bulk(size_t nr, void **p);
size_t hkm_ksize(const void *p);
bool hkm_owns(const void *p);

void *hkm_kmalloc(size_t size, gfp_t flags) __alloc_size(1) __malloc;
void *hkm_kmalloc_node(size_t size, gfp_t flags, int node) __alloc_size(1) __malloc;
void *hkm_kmalloc_nolock(size_t size, gfp_t flags) __alloc_size(1) __malloc;
void *hkm_krealloc(const void *p, size_t new_size, gfp_t flags) __must_check __realloc_size(2);
void *hkm_kmemdup(const void *src, size_t size, gfp_t flags) __realloc_size(2);
unsigned int __must_check hkm_kmalloc_bulk(size_t size, gfp_t flags, size_t nr,
					   void **p);

void hkm_kvfree(const void *p);
void hkm_kvfree_sensitive(const void *p, size_t size);
void *hkm_kvmalloc_node(size_t size, gfp_t flags, int node) __alloc_size(1) __malloc;
void *hkm_kvrealloc(const void *p, size_t old_size, size_t new_size,
		    gfp_t flags) __must_check __realloc_size(3);

void *devm_hkm_kmalloc(struct device *dev, size_t size, gfp_t flags) __alloc_size(2) __malloc;
void devm_hkm_kfree(struct device *dev, const void *p);

void __hkm_kfree_rcu(struct rcu_head *head);
void __hkm_kfree_rcu_mightsleep(const void *p);

/**
 * hkm_kzalloc() - allocate zeroed memory
 * @size: bytes wanted
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc().
 */
static inline __alloc_size(1) void *hkm_kzalloc(size_t size, gfp_t flags)
{
	return hkm_kmalloc(size, flags | __GFP_ZERO);
}

/**
 * hkm_kzalloc_node() - allocate zeroed memory on a NUMA node
 * @size: bytes wanted
 * @flags: gfp flags as for hkm_kmalloc()
 * @node: as for hkm_kmalloc_node()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc_node().
 */
static inline __alloc_size(1) void *hkm_kzalloc_node(size_t size, gfp_t flags,
						     int node)
{
	return hkm_kmalloc_node(size, flags | __GFP_ZERO, node);
}

/**
 * hkm_kmalloc_array_node() - allocate memory for an array on a NUMA node
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 * @node: as for hkm_kmalloc_node()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc_node(); NULL also where @n * @size overflows.
 */
static inline __alloc_size(1, 2) void *
hkm_kmalloc_array_node(size_t n, size_t size, gfp_t flags, int node)
{
	size_t bytes;

	if (unlikely(check_mul_overflow(n, size, &bytes)))
		return NULL;
	return hkm_kmalloc_node(bytes, flags, node);
}

/**
 * hkm_kmalloc_array() - allocate memory for an array
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc(); NULL also where @n * @size overflows.
 */
static inline __alloc_size(1, 2) void *hkm_kmalloc_array(size_t n, size_t size,
							 gfp_t flags)
{
	size_t bytes;

	if (unlikely(check_mul_overflow(n, size, &bytes)))
		return NULL;
	return hkm_kmalloc(bytes, flags);
}

/**
 * hkm_kcalloc() - allocate zeroed memory for an array
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc_array().
 */
static inline __alloc_size(1, 2) void *hkm_kcalloc(size_t n, size_t size,
						   gfp_t flags)
{
	return hkm_kmalloc_array(n, size, flags | __GFP_ZERO);
}

/**
 * hkm_kcalloc_node() - allocate zeroed memory for an array on a NUMA node
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 * @node: as for hkm_kmalloc_node()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_kmalloc_array_node().
 */
static inline __alloc_size(1, 2) void *
hkm_kcalloc_node(size_t n, size_t size, gfp_t flags, int node)
{
	return hkm_kmalloc_array_node(n, size, flags | __GFP_ZERO, node);
}

/**
 * hkm_krealloc_array() - change the size of an array
 * @p: what an allocation function returned, or NULL
 * @new_n: number of elements
 * @new_size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: As hkm_krealloc(); NULL also where @new_n * @new_size overflows.
 */
static inline __must_check __realloc_size(2, 3) void *
hkm_krealloc_array(void *p, size_t new_n, size_t new_size, gfp_t flags)
{
	size_t bytes;

	if (unlikely(check_mul_overflow(new_n, new_size, &bytes)))
		return NULL;
	return hkm_krealloc(p, bytes, flags);
}

/**
 * hkm_kvmalloc() - allocate memory that need not be physically contiguous
 * @size: bytes wanted
 * @flags: gfp flags as for kvmalloc()
 *
 * To be freed by hkm_kvfree().
 *
 * Context: Task; may sleep.
 * Return: the memory, or NULL on failure; ZERO_SIZE_PTR for @size 0.
 */
static inline __alloc_size(1) void *hkm_kvmalloc(size_t size, gfp_t flags)
{
	return hkm_kvmalloc_node(size, flags, NUMA_NO_NODE);
}

/**
 * hkm_kvzalloc() - allocate zeroed memory that need not be contiguous
 * @size: bytes wanted
 * @flags: gfp flags as for kvmalloc()
 *
 * Context: Task; may sleep.
 * Return: As hkm_kvmalloc().
 */
static inline __alloc_size(1) void *hkm_kvzalloc(size_t size, gfp_t flags)
{
	return hkm_kvmalloc(size, flags | __GFP_ZERO);
}

/**
 * hkm_kvmalloc_array() - allocate memory for an array that need not be contiguous
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for kvmalloc()
 *
 * Context: Task; may sleep.
 * Return: As hkm_kvmalloc(); NULL also where @n * @size overflows.
 */
static inline __alloc_size(1, 2) void *hkm_kvmalloc_array(size_t n, size_t size,
							  gfp_t flags)
{
	size_t bytes;

	if (unlikely(check_mul_overflow(n, size, &bytes)))
		return NULL;
	return hkm_kvmalloc(bytes, flags);
}

/**
 * hkm_kvcalloc() - allocate zeroed memory for an array that need not be contiguous
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for kvmalloc()
 *
 * Context: Task; may sleep.
 * Return: As hkm_kvmalloc_array().
 */
static inline __alloc_size(1, 2) void *hkm_kvcalloc(size_t n, size_t size,
						    gfp_t flags)
{
	return hkm_kvmalloc_array(n, size, flags | __GFP_ZERO);
}

/**
 * devm_hkm_kzalloc() - allocate zeroed memory that a device owns
 * @dev: the device
 * @size: bytes wanted
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As devm_hkm_kmalloc().
 * Return: As devm_hkm_kmalloc().
 */
static inline __alloc_size(2) void *devm_hkm_kzalloc(struct device *dev,
						     size_t size, gfp_t flags)
{
	return devm_hkm_kmalloc(dev, size, flags | __GFP_ZERO);
}

/**
 * hkm_kfree_rcu() - free memory after a grace period
 * @ptr: what an allocation function returned, or NULL
 * @rhf: name of the struct rcu_head in the type of *@ptr, in its first 4 KiB
 *
 * For memory of kmalloc(), and that of vmalloc(), it is the kernel's kfree_rcu().
 *
 * Context: Any but NMI.
 */
#define hkm_kfree_rcu(ptr, rhf)						\
do {									\
	typeof(ptr) __hkm_ptr = (ptr);					\
									\
	if (hkm_owns(__hkm_ptr))					\
		__hkm_kfree_rcu(&__hkm_ptr->rhf);			\
	else if (!ZERO_OR_NULL_PTR(__hkm_ptr))				\
		kfree_rcu(__hkm_ptr, rhf);				\
} while (0)

/**
 * hkm_kfree_rcu_mightsleep() - free memory without a rcu_head after a grace period
 * @ptr: what an allocation function returned, or NULL
 *
 * Context: Task; may sleep.
 */
#define hkm_kfree_rcu_mightsleep(ptr) __hkm_kfree_rcu_mightsleep(ptr)

/* Where slab.h brings cleanup.h. */
#ifdef DEFINE_FREE
DEFINE_FREE(hkm_kfree, void *, IS_ERR_OR_NULL(_T) ? (void)0 : hkm_kfree(_T))
DEFINE_FREE(hkm_kvfree, void *, IS_ERR_OR_NULL(_T) ? (void)0 : hkm_kvfree(_T))
#endif

#endif /* _HAKMEM_H */
