// SPDX-License-Identifier: GPL-2.0
/*
 * Takes memory apart: all that is free, page by page, and gives back all but one
 * page of each naturally aligned 64 KiB. Then no chunk is to be had, though most of
 * memory is free, and compaction cannot help, for the pages that stay do not
 * move. They come back when the module is unloaded.
 *
 * Writing to the parameter take makes that many requests, of the kind that other
 * parameters say, and keeps what they get; writing to drop frees as many, the
 * latest first. Each block is marked when it comes, and looked at before it goes.
 *
 * For the tests of what is served then. One writer at a time: as it is with the
 * parameters of a module.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/kstrtox.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <hakmem.h>

#include "pattern.h"

#define BLOCK_PAGES	(SZ_64K / PAGE_SIZE)
#define MAX_HOLDS	1024

/* To the last page, and without waiting for more. */
#define TAKE_GFP	(GFP_NOWAIT | __GFP_MEMALLOC | __GFP_NOWARN | __GFP_NORETRY)

/**
 * struct hold - one live block
 * @p: the block
 * @bytes: size asked for
 * @tag: its mark, see pattern.h
 */
struct hold {
	void *p;
	u32 bytes;
	u32 tag;
};

static uint bytes = SZ_2K;
module_param(bytes, uint, 0644);
MODULE_PARM_DESC(bytes, "size of requests (default 2048)");

static bool atomic;
module_param(atomic, bool, 0644);
MODULE_PARM_DESC(atomic, "make requests that may not sleep");

#define RESULT(name, what)						\
	static unsigned long name;					\
	module_param(name, ulong, 0444);				\
	MODULE_PARM_DESC(name, "result: " what)

RESULT(kept, "pages kept, one of each 64 KiB");
RESULT(served, "of the latest requests, those that got memory");
RESULT(of_pool, "of these, those that got blocks of the pool");
RESULT(mismatches, "blocks that were damaged");

enum allocator {
	KMALLOC,
	HKM,
	HKM_KV,
};

static const char *const allocators[] = {
	[KMALLOC] = "kmalloc",
	[HKM] = "hkm",
	[HKM_KV] = "hkm_kv",
};

static enum allocator allocator;

/* First those taken, then those kept. */
static struct page **pages;
static unsigned long nr_pages;

static struct hold holds[MAX_HOLDS];
static unsigned int nr_holds;

static void pages_take(unsigned long most)
{
	while (nr_pages < most) {
		struct page *page = alloc_page(TAKE_GFP);

		if (!page)
			break;
		pages[nr_pages++] = page;
	}
}

/* Frees all but the first page seen of each block. */
static void pages_thin_out(unsigned long *seen)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		struct page *page = pages[i];

		if (test_and_set_bit(page_to_pfn(page) / BLOCK_PAGES, seen))
			__free_page(page);
		else
			pages[kept++] = page;
	}
}

static int memory_fragment(void)
{
	unsigned long most = totalram_pages();
	unsigned long *seen;

	seen = bitmap_zalloc(PHYS_PFN(__pa(high_memory - 1)) / BLOCK_PAGES + 1, GFP_KERNEL);
	pages = kvcalloc(most, sizeof(*pages), GFP_KERNEL);
	if (!seen || !pages) {
		bitmap_free(seen);
		kvfree(pages);
		return -ENOMEM;
	}
	/* Nobody else should run while there is nothing left. */
	preempt_disable();
	pages_take(most);
	pages_thin_out(seen);
	preempt_enable();
	bitmap_free(seen);
	return 0;
}

static void *request(gfp_t flags)
{
	switch (allocator) {
	case HKM:
		return hkm_kmalloc(bytes, flags);
	case HKM_KV:
		return hkm_kvmalloc(bytes, flags);
	default:
		return kmalloc(bytes, flags);
	}
}

static void *request_atomic(void)
{
	void *p;

	preempt_disable();
	p = request(GFP_ATOMIC | __GFP_NOWARN);
	preempt_enable();
	return p;
}

static int take_set(const char *text, const struct kernel_param *kp)
{
	unsigned int nr;
	int err = kstrtouint(text, 0, &nr);

	if (err)
		return err;
	if (!pages || nr > MAX_HOLDS - nr_holds || (atomic && allocator == HKM_KV))
		return -EINVAL;
	served = 0;
	of_pool = 0;
	while (nr--) {
		struct hold *hold = &holds[nr_holds];

		hold->p = atomic ? request_atomic() : request(GFP_KERNEL | __GFP_NOWARN);
		cond_resched();
		if (!hold->p)
			continue;
		served++;
		of_pool += hkm_owns(hold->p);
		hold->bytes = bytes;
		hold->tag = nr_holds++;
		pattern_fill(hold->p, bytes, hold->tag);
	}
	return 0;
}

static const struct kernel_param_ops take_ops = {
	.set = take_set,
};
module_param_cb(take, &take_ops, NULL, 0200);
MODULE_PARM_DESC(take, "after load, written to make that many requests");

static void holds_drop(unsigned int nr)
{
	for (nr = min(nr, nr_holds); nr; nr--) {
		struct hold *hold = &holds[--nr_holds];

		if (!pattern_ok(hold->p, hold->bytes, hold->tag)) {
			mismatches++;
			pr_err_ratelimited("%u bytes at %p are damaged\n",
					   hold->bytes, hold->p);
		}
		hkm_kvfree(hold->p);
		cond_resched();
	}
}

static int drop_set(const char *text, const struct kernel_param *kp)
{
	unsigned int nr;
	int err = kstrtouint(text, 0, &nr);

	if (!err)
		holds_drop(nr);
	return err;
}

static const struct kernel_param_ops drop_ops = {
	.set = drop_set,
};
module_param_cb(drop, &drop_ops, NULL, 0200);
MODULE_PARM_DESC(drop, "written to free that many blocks, the latest first");

static int allocator_set(const char *text, const struct kernel_param *kp)
{
	int i = sysfs_match_string(allocators, text);

	if (i >= 0)
		allocator = i;
	return min(i, 0);
}

static const struct kernel_param_ops allocator_ops = {
	.set = allocator_set,
};
module_param_cb(allocator, &allocator_ops, NULL, 0200);
MODULE_PARM_DESC(allocator, "whom to ask: kmalloc (default), hkm or hkm_kv");

static int __init fragment_init(void)
{
	return memory_fragment();
}

static void __exit fragment_exit(void)
{
	holds_drop(nr_holds);
	while (kept)
		__free_page(pages[--kept]);
	kvfree(pages);
}

module_init(fragment_init);
module_exit(fragment_exit);
MODULE_DESCRIPTION("Memory where no 64 KiB are free in one piece");
MODULE_LICENSE("GPL");
