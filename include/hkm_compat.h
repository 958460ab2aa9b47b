/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between the kernels that hakmem builds for. The only place with
 * kernel version tests; each is named by the feature it stands for.
 */
#ifndef _HKM_COMPAT_H
#define _HKM_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <kunit/visibility.h>

/* 6.13: symbol namespaces became string literals. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define HKM_IMPORT_KUNIT_NS MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#else
#define HKM_IMPORT_KUNIT_NS MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#endif

/* 6.13: hrtimer_setup() took the place of hrtimer_init(). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

/* 6.7: shrinkers are allocated by the kernel. */
static inline struct shrinker *
hkm_shrinker_alloc(const char *name,
		   unsigned long (*count)(struct shrinker *, struct shrink_control *),
		   unsigned long (*scan)(struct shrinker *, struct shrink_control *))
{
	struct shrinker *shrinker;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker = shrinker_alloc(0, "%s", name);
#else
	shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif
	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_register(shrinker);
#else
	if (register_shrinker(shrinker, "%s", name)) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

static inline void hkm_shrinker_free(struct shrinker *shrinker)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

/* 6.2: callbacks may be put off for seconds, but for those of this. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define call_rcu_hurry call_rcu
#endif

/* Flat memory models have no such limit; the widest direct map serves. */
#ifndef MAX_PHYSMEM_BITS
#define MAX_PHYSMEM_BITS 52
#endif

/* Up to 6.3. Nothing tells its buffers of one page from any other page. */
#ifdef CONFIG_SLOB
#error "hakmem: CONFIG_SLOB is not supported; choose SLUB"
#endif

/*
 * Whether @page, the head page of a heap address, backs a kmalloc() buffer
 * above the slab sizes. From 6.15 on such pages have a type of their own; before,
 * they are told from other compound pages only by what kmalloc() does not set.
 */
static inline bool hkm_page_is_large_kmalloc(const struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	return PageLargeKmalloc(page);
#else
	return PageHead((struct page *)page) && !page_private(page);
#endif
}

#endif /* _HKM_COMPAT_H */
