/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fragments: chunks of less than 64 KiB.
 */
#ifndef _HKM_FRAGMENT_H
#define _HKM_FRAGMENT_H

#include <linux/gfp.h>
#include <linux/types.h>

struct hkm_chunk;

bool hkm_fragment_map(struct hkm_chunk *chunk, gfp_t gfp);
void hkm_fragment_unmap(struct hkm_chunk *chunk);
void hkm_area_dissolve(struct hkm_chunk *entry,
		       void (*fn)(struct hkm_chunk *chunk, void *arg), void *arg);

#endif /* _HKM_FRAGMENT_H */
