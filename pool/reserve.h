/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reserve: chunks kept for callers that cannot sleep.
 */
#ifndef _HKM_RESERVE_H
#define _HKM_RESERVE_H

#include <linux/gfp.h>
#include <linux/types.h>

struct hkm_chunk;
struct page;

struct page *hkm_reserve_get(unsigned int node, struct hkm_chunk **descriptor);
bool hkm_reserve_claim(struct hkm_chunk *chunk);
void hkm_reserve_unclaim(const struct page *page);
bool hkm_reserve_put(struct page *page, bool claimed, gfp_t gfp);
unsigned int hkm_reserve_missing(unsigned int node);
void hkm_reserve_fill(gfp_t gfp);
long hkm_reserve_count(void);

void hkm_reserve_init(void);
void hkm_reserve_exit(void);

#endif /* _HKM_RESERVE_H */
