/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reserve: chunks kept for callers that cannot sleep.
 */
#ifndef _HKM_RESERVE_H
#define _HKM_RESERVE_H

#include <linux/types.h>

struct hkm_chunk;
struct page;

struct page *hkm_reserve_get(unsigned int node, struct hkm_chunk **descriptor);
bool hkm_reserve_put(struct page *page, gfp_t gfp);
bool hkm_reserve_fill(void);
long hkm_reserve_count(void);

void hkm_reserve_init(void);
void hkm_reserve_exit(void);

#endif /* _HKM_RESERVE_H */
