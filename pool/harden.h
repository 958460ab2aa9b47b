/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Callers' mistakes: the checks that are cheap enough to be always on, and
 * the reports of all. The numbers are also include/trace/events/hakmem.h's.
 */
#ifndef _HKM_HARDEN_H
#define _HKM_HARDEN_H

#include <linux/atomic.h>
#include <linux/string.h>
#include <linux/types.h>

enum hkm_misuse {
	HKM_DOUBLE_FREE,
	HKM_INTERIOR_FREE,
	HKM_FOREIGN_FREE,
	HKM_STRAY_KFREE,
	HKM_WRITE_AFTER_FREE,
	HKM_WRITE_PAST_END,
	HKM_WRITE_BEFORE,
	HKM_NR_MISUSES
};

extern unsigned long hkm_secret;

/*
 * A free block carries a key in its second word: a per-boot secret and the
 * block's own address. It is written on free and cleared on allocation, so
 * that finding it on free tells of a double free (the idea of glibc's tcache).
 * Callers cannot guess it, and a copied block does not carry it along.
 */
static __always_inline unsigned long hkm_block_key(const void *block)
{
	return hkm_secret ^ (unsigned long)block;
}

static __always_inline bool hkm_block_is_marked(const void *block)
{
	return ((const unsigned long *)block)[1] == hkm_block_key(block);
}

static __always_inline void hkm_block_mark(void *block)
{
	((unsigned long *)block)[1] = hkm_block_key(block);
}

static __always_inline void hkm_block_unmark(void *block)
{
	((unsigned long *)block)[1] = 0;
}

/* All of a block but its mark. */
static inline void hkm_block_clear_unmarked(void *block, size_t bytes)
{
	unsigned long *word = block;

	word[0] = 0;
	if (bytes > 2 * sizeof(*word))
		memset(word + 2, 0, bytes - 2 * sizeof(*word));
}

void hkm_harden_init(void);
__printf(4, 5)
void hkm_report(enum hkm_misuse what, const void *p, unsigned long site,
		const char *fmt, ...);
void hkm_report_refused(enum hkm_misuse what, const void *p, unsigned long site);

#if IS_ENABLED(CONFIG_KUNIT)
extern atomic_long_t hkm_test_reports[HKM_NR_MISUSES];
#endif

#endif /* _HKM_HARDEN_H */
