/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refill: blocks from the page allocator, and back to it at unload.
 */
#ifndef _HKM_REFILL_H
#define _HKM_REFILL_H

#include <linux/gfp.h>
#include <linux/types.h>

void *hkm_alloc_refill(unsigned int bin, unsigned int home, int nid, gfp_t gfp,
		       bool *zeroed);
void *hkm_alloc_reserved(unsigned int bin, unsigned int home);
void *hkm_alloc_kept(unsigned int bin, unsigned int home);
void hkm_pool_drain(void);

#endif /* _HKM_REFILL_H */
