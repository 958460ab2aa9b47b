/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What KASAN and kmemleak are told. Nothing at all on kernels without them.
 *
 * To KASAN a free block is poisoned, but for the word with its key, which is
 * looked at on free; so is what lies behind the bytes asked for. The functions
 * that would do it are not exported; generic KASAN's shadow is plain memory, though,
 * and the values are the page allocator's.
 *
 * To kmemleak each block that a caller holds is an object. Its locks are not for
 * NMI context, nor for callers of hkm_kmalloc_nolock(): what is allocated there
 * it does not know, and the latter get no samples, which it has to know.
 */
#ifndef _HKM_TOOLS_H
#define _HKM_TOOLS_H

#include <linux/kasan.h>
#include <linux/kmemleak.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/string.h>

#ifdef CONFIG_KASAN_GENERIC

#define HKM_KASAN_FREE		0xff	/* "use-after-free" */
#define HKM_KASAN_REDZONE	0xfe	/* "slab-out-of-bounds" */

static inline void hkm_kasan_set(const void *p, size_t bytes, u8 value)
{
	/* A sample's: the shadow, if there is one, is not ours. */
	if (is_vmalloc_addr(p))
		return;
	__memset(kasan_mem_to_shadow(p), value,
		 bytes >> KASAN_SHADOW_SCALE_SHIFT);
}

/* @bytes are the block's, not those asked for. */
static inline void hkm_kasan_poison(const void *block, size_t bytes)
{
	hkm_kasan_set(block, 8, HKM_KASAN_FREE);
	hkm_kasan_set(block + 16, bytes - 16, HKM_KASAN_FREE);
}

static inline void hkm_kasan_unpoison(const void *block, size_t bytes)
{
	hkm_kasan_set(block, bytes, 0);
}

static inline void hkm_kasan_redzone(const void *block, size_t size, size_t bytes)
{
	/* A free looks at the first two words, however few bytes are in use. */
	size_t whole = round_down(max_t(size_t, size, 16), 8);

	if (size > whole) {
		hkm_kasan_set(block + whole, 8, size - whole);
		whole += 8;
	}
	hkm_kasan_set(block + whole, bytes - whole, HKM_KASAN_REDZONE);
}

#else

static inline void hkm_kasan_poison(const void *block, size_t bytes) { }
static inline void hkm_kasan_unpoison(const void *block, size_t bytes) { }
static inline void hkm_kasan_redzone(const void *block, size_t size,
				     size_t bytes) { }

#endif /* CONFIG_KASAN_GENERIC */

#ifdef CONFIG_DEBUG_KMEMLEAK
void hkm_nmi_free(void *block);
void hkm_nmi_free_exit(void);
#else
static inline void hkm_nmi_free(void *block) { }
static inline void hkm_nmi_free_exit(void) { }
#endif

/* Its holder may come to use all of the block, see hkm_krealloc(). */
static inline void hkm_leak_alloc(const void *block, size_t bytes, gfp_t flags)
{
	if (IS_ENABLED(CONFIG_DEBUG_KMEMLEAK) && !in_nmi())
		kmemleak_alloc(block, bytes, 1, flags);
}

static inline void hkm_leak_free(const void *block)
{
	if (IS_ENABLED(CONFIG_DEBUG_KMEMLEAK))
		kmemleak_free(block);
}

#endif /* _HKM_TOOLS_H */
