/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks a buffer as its owner's, so that a second owner of the same memory, or
 * a write from next door, shows. Sparse enough for emulated KASAN kernels: the
 * first and last 64 bytes, and a word in every 256.
 */
#ifndef _HKM_PATTERN_H
#define _HKM_PATTERN_H

#include <linux/hash.h>
#include <linux/types.h>

#define PATTERN_EDGE	(64 / sizeof(u64))
#define PATTERN_STRIDE	(256 / sizeof(u64))

/* Depends on the address: contents that moved do not pass either. */
static inline u64 pattern_word(const u64 *word, u32 tag)
{
	return ((unsigned long)word + tag) * GOLDEN_RATIO_64;
}

/* The marked word that follows word @i of @nr. */
static inline size_t pattern_next(size_t i, size_t nr)
{
	if (i + 1 < PATTERN_EDGE || i + 1 + PATTERN_EDGE >= nr)
		return i + 1;
	return min(round_down(i, PATTERN_STRIDE) + PATTERN_STRIDE,
		   nr - PATTERN_EDGE);
}

static inline void pattern_fill(void *p, size_t bytes, u32 tag)
{
	size_t nr = bytes / sizeof(u64), i;
	u64 *word = p;

	for (i = 0; i < nr; i = pattern_next(i, nr))
		word[i] = pattern_word(&word[i], tag);
}

/* Whether @p still holds what pattern_fill() with the same arguments wrote. */
static inline bool pattern_ok(const void *p, size_t bytes, u32 tag)
{
	size_t nr = bytes / sizeof(u64), i;
	const u64 *word = p;

	for (i = 0; i < nr; i = pattern_next(i, nr))
		if (word[i] != pattern_word(&word[i], tag))
			return false;
	return true;
}

#endif /* _HKM_PATTERN_H */
