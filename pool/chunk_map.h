/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunk map: how chunks get into it. Look-ups are in chunk.h.
 */
#ifndef _HKM_CHUNK_MAP_H
#define _HKM_CHUNK_MAP_H

#include <linux/gfp.h>

struct hkm_chunk;

int hkm_chunk_map_init(void);
void hkm_chunk_map_exit(void);
int hkm_map_watch_init(void);
void hkm_map_watch_exit(void);

struct hkm_chunk **hkm_map_entry_get(const void *p, gfp_t gfp);
struct hkm_chunk **hkm_map_entry(const void *p);
void hkm_map_set(struct hkm_chunk **entry, unsigned int nr,
		 struct hkm_chunk *chunk);
void hkm_map_for_each(void (*fn)(struct hkm_chunk *chunk, void *arg), void *arg);

#endif /* _HKM_CHUNK_MAP_H */
