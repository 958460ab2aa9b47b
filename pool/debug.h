/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checks that cost time and memory, for those who ask for them at load.
 */
#ifndef _HKM_DEBUG_H
#define _HKM_DEBUG_H

#include <linux/bits.h>
#include <linux/types.h>

struct hkm_chunk;

#define HKM_DEBUG_POISON	BIT(0)
#define HKM_DEBUG_REDZONE	BIT(1)
#define HKM_DEBUG_SITES		BIT(2)

/* Set at init. */
extern unsigned int hkm_debug;
extern bool hkm_random_order;

/**
 * struct hkm_track - what debugging knows of one block
 * @alloc_site: return address of the latest allocation; 0 if never allocated
 * @free_site: return address of the latest free; 0 if not freed since
 * @size: bytes asked for
 *
 * Owned by the block's owner. There if any check is on.
 */
struct hkm_track {
	unsigned long alloc_site;
	unsigned long free_site;
	u32 size;
};

int hkm_debug_init(const char *letters, bool random_order);
size_t hkm_debug_track_bytes(unsigned int nr_blocks);
void hkm_debug_create(struct hkm_chunk *chunk);
void hkm_debug_release(struct hkm_chunk *chunk);
void hkm_debug_alloc(void *block, size_t size, unsigned long site);
bool hkm_debug_free(void *block, const struct hkm_chunk *chunk,
		    unsigned long site);
void hkm_debug_resize(void *block, size_t size);
size_t hkm_debug_size(const struct hkm_chunk *chunk, unsigned int index);
const struct hkm_track *hkm_debug_track(const struct hkm_chunk *chunk,
					const void *p);

#endif /* _HKM_DEBUG_H */
