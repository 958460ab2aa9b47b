/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hakmem - slab-style allocator for mid-size buffers.
 *
 * For buffers of 2 to 52 KiB that are taken and given back often: one ring
 * access per call at every size, and blocks that are not rounded up to powers
 * of two. Every other size is passed on to kmalloc(), so that a module may
 * send all its requests here. It is no replacement for a kmem_cache of small
 * objects, nor for memory that needs a zone or an owner (GFP_DMA,
 * __GFP_ACCOUNT): such requests go to kmalloc() too.
 *
 * The functions may be called from any context, NMI included, as far as the
 * gfp flags allow: see each one's Context.
 */
#ifndef _HAKMEM_H
#define _HAKMEM_H

#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/types.h>

void hkm_kfree(const void *p);
void hkm_kfree_sensitive(const void *p);
size_t hkm_ksize(const void *p);
bool hkm_owns(const void *p);

void *hkm_kmalloc(size_t size, gfp_t flags) __alloc_size(1) __malloc;
void *hkm_kmalloc_node(size_t size, gfp_t flags, int node) __alloc_size(1) __malloc;
void *hkm_kmalloc_nolock(size_t size, gfp_t flags) __alloc_size(1) __malloc;
void *hkm_krealloc(const void *p, size_t new_size, gfp_t flags) __must_check __realloc_size(2);

/**
 * hkm_kzalloc() - allocate zeroed memory
 * @size: bytes wanted
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: The block, or NULL on failure; ZERO_SIZE_PTR for @size 0.
 */
static inline __alloc_size(1) void *hkm_kzalloc(size_t size, gfp_t flags)
{
	return hkm_kmalloc(size, flags | __GFP_ZERO);
}

/**
 * hkm_kmalloc_array() - allocate memory for an array
 * @n: number of elements
 * @size: bytes of one element
 * @flags: gfp flags as for hkm_kmalloc()
 *
 * Context: As hkm_kmalloc().
 * Return: The block, or NULL on failure or where @n * @size overflows.
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
 * Return: The block, or NULL on failure or where @n * @size overflows.
 */
static inline __alloc_size(1, 2) void *hkm_kcalloc(size_t n, size_t size,
						   gfp_t flags)
{
	return hkm_kmalloc_array(n, size, flags | __GFP_ZERO);
}

#endif /* _HAKMEM_H */
