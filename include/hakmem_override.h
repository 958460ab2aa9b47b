/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sends a module's kmalloc() family to hakmem, its sources left as they are.
 *
 * One line in the module's Kbuild does it:
 *	ccflags-y += -include <path>/hakmem_override.h
 * and KBUILD_EXTRA_SYMBOLS=<path>/Module.symvers on make's command line, as for
 * any client. The functions are exported to modules under the GPL only.
 *
 * Names are replaced, not calls: a kfree() that is passed as a callback, and a
 * variable marked __free(kfree), end up here too. All functions that free take
 * memory of either kind, so what the kernel allocated for the module (kstrdup(),
 * memdup_user(), kasprintf() ...) is freed as ever. Requests that are not for
 * the pool, by size or by flags (GFP_DMA, __GFP_ACCOUNT ...), stay with the
 * kernel's allocator.
 *
 * What may not be done with memory that may be the pool's, which is all that
 * the module asks for in 1.5 KiB to 1 MiB:
 * - to hand it to code that frees it itself, by the kernel's own kfree():
 *   build_skb(), kobject names, seq_file's private data, kfree_link(), objects
 *   that a subsystem's core frees (RDMA's), a helper module built without this
 *   header. Up to 6.12 hakmem names such memory when it is unloaded, newer
 *   kernels warn at once; either way it is lost.
 * - to take it for slab memory: kmem_cache_free(), kmem_cache_charge(),
 *   kmem_dump_obj(), kfree_nolock(), krealloc_noprof(), __free(kvfree_atomic).
 * - to rely on more than hkm_kmalloc()'s alignment, 512 bytes but for powers of
 *   two: above 8 KiB kmalloc()'s memory starts a page, the pool's need not.
 * - to have its pages outlive it by get_page().
 *
 * Left to the kernel, being safe but not served: devm_kmalloc() and its kin,
 * allocation by kmalloc_nolock(), kmem_buckets, kvmemdup() or *_noprof(), and
 * what is inline in the headers included here. Inline functions of headers that
 * the module includes itself are served; mind what frees their memory.
 *
 * With memory allocation profiling, pool memory is accounted to hakmem.
 *
 * The headers below are read before the source's first line. Macros that it
 * defines for them come too late then, and the compiler warns: repeat these in
 * the Kbuild, word for word:
 *	ccflags-y += -D'pr_fmt(fmt)=KBUILD_MODNAME ": " fmt'
 */
#ifndef _HAKMEM_OVERRIDE_H
#define _HAKMEM_OVERRIDE_H

/* Ahead of the macros, so that what is inline in them stays as it is. */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#ifndef COUNT_ARGS
#include <linux/args.h>
#endif
#include "hakmem.h"

static inline __alloc_size(1, 2) void *
hkm_override_kvmalloc_array(size_t n, size_t size, gfp_t flags, int node)
{
	size_t bytes;

	if (unlikely(check_mul_overflow(n, size, &bytes)))
		return NULL;
	return hkm_kvmalloc_node(bytes, flags, node);
}

/*
 * kvrealloc() without the old size. Where it has that form it is a macro; where
 * it has not, nobody calls this for memory of vmalloc().
 */
static inline __must_check __realloc_size(2) void *
hkm_override_kvrealloc(const void *p, size_t size, gfp_t flags)
{
	void *fresh;

#ifdef kvrealloc
	/* But for a sample, which is the pool's. */
	if (is_vmalloc_addr(p) && !hkm_owns(p))
		return kvrealloc(p, size, flags);
#endif
	fresh = hkm_krealloc(p, size, (flags | __GFP_NOWARN | __GFP_NORETRY) &
			     ~__GFP_NOFAIL);
	return fresh ?: hkm_kvrealloc(p, hkm_ksize(p), size, flags);
}

#define __hkm_override_kvrealloc_3 hkm_override_kvrealloc
#define __hkm_override_kvrealloc_4 hkm_kvrealloc

#define __hkm_override_kvfree_rcu_1 hkm_kfree_rcu_mightsleep

/*
 * hkm_kfree_rcu(), but on the macro behind kfree_rcu(), a name that is redefined here.
 * hkm_kfree_rcu() expands to this one: their variables must have other names.
 */
#define __hkm_override_kvfree_rcu_2(ptr, rhf)				\
do {									\
	typeof(ptr) __hkm_kernels = (ptr);				\
									\
	if (hkm_owns(__hkm_kernels))					\
		__hkm_kfree_rcu(&__hkm_kernels->rhf);			\
	else								\
		kvfree_rcu_arg_2(__hkm_kernels, rhf);			\
} while (0)

#define __hkm_override_by_count(name, ...) \
	CONCATENATE(name, COUNT_ARGS(__VA_ARGS__))(__VA_ARGS__)

#ifdef DEFINE_FREE
DEFINE_FREE(hkm_kfree_sensitive, void *, hkm_kfree_sensitive(_T))

#define __free_kfree __free_hkm_kfree
#define __free_kvfree __free_hkm_kvfree
#define __free_kfree_sensitive __free_hkm_kfree_sensitive
#endif

#undef kmalloc
#undef kmalloc_node
#undef kmalloc_array
#undef kmalloc_array_node
#undef kmalloc_track_caller
#undef kmalloc_node_track_caller
#undef kzalloc
#undef kzalloc_node
#undef kcalloc
#undef kcalloc_node
#undef krealloc
#undef krealloc_array
#undef krealloc_node
#undef krealloc_node_align
#undef kmemdup
#undef kmemdup_array
#define kmalloc hkm_kmalloc
#define kmalloc_node hkm_kmalloc_node
#define kmalloc_array hkm_kmalloc_array
#define kmalloc_array_node hkm_kmalloc_array_node
#define kmalloc_track_caller hkm_kmalloc
#define kmalloc_node_track_caller hkm_kmalloc_node
#define kzalloc hkm_kzalloc
#define kzalloc_node hkm_kzalloc_node
#define kcalloc hkm_kcalloc
#define kcalloc_node hkm_kcalloc_node
#define krealloc hkm_krealloc
#define krealloc_array hkm_krealloc_array
#define krealloc_node(p, size, flags, node) hkm_krealloc(p, size, flags)
#define krealloc_node_align(p, size, align, flags, node) hkm_krealloc(p, size, flags)
#define kmemdup hkm_kmemdup
#define kmemdup_array(src, n, size, flags) hkm_kmemdup(src, size_mul(n, size), flags)

#undef kvmalloc
#undef kvmalloc_node
#undef kvmalloc_array
#undef kvmalloc_array_node
#undef kvzalloc
#undef kvzalloc_node
#undef kvcalloc
#undef kvcalloc_node
#undef kvrealloc
#undef kvrealloc_node
#undef kvrealloc_node_align
#define kvmalloc hkm_kvmalloc
#define kvmalloc_node hkm_kvmalloc_node
#define kvmalloc_array hkm_kvmalloc_array
#define kvmalloc_array_node hkm_override_kvmalloc_array
#define kvzalloc hkm_kvzalloc
#define kvzalloc_node(size, flags, node) hkm_kvmalloc_node(size, (flags) | __GFP_ZERO, node)
#define kvcalloc hkm_kvcalloc
#define kvcalloc_node(n, size, flags, node) \
	hkm_override_kvmalloc_array(n, size, (flags) | __GFP_ZERO, node)
#define kvrealloc_node(p, size, flags, node) hkm_override_kvrealloc(p, size, flags)
#define kvrealloc_node_align(p, size, align, flags, node) \
	hkm_override_kvrealloc(p, size, flags)
#define kvrealloc(...) __hkm_override_by_count(__hkm_override_kvrealloc_, __VA_ARGS__)

#undef kfree
#undef kfree_bulk
#undef kfree_sensitive
#undef kfree_rcu
#undef kfree_rcu_mightsleep
#undef kvfree
#undef kvfree_sensitive
#undef kvfree_rcu
#undef kvfree_rcu_mightsleep
#undef ksize
#define kfree hkm_kfree
#define kfree_bulk hkm_kfree_bulk
#define kfree_sensitive hkm_kfree_sensitive
#define kfree_rcu kvfree_rcu
#define kfree_rcu_mightsleep hkm_kfree_rcu_mightsleep
#define kvfree hkm_kvfree
#define kvfree_sensitive hkm_kvfree_sensitive
#define kvfree_rcu(...) __hkm_override_by_count(__hkm_override_kvfree_rcu_, __VA_ARGS__)
#define kvfree_rcu_mightsleep hkm_kfree_rcu_mightsleep
#define ksize hkm_ksize

#endif /* _HAKMEM_OVERRIDE_H */
