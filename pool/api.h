/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rest of the API is built from.
 */
#ifndef _HKM_API_H
#define _HKM_API_H

#include <linux/types.h>

void *hkm_kmalloc_from(size_t size, gfp_t flags, unsigned long site);
void *hkm_pool_alloc(size_t size, gfp_t flags, unsigned long site);
void *hkm_block_of(const void *p);
void hkm_derived_exit(void);

#endif /* _HKM_API_H */
