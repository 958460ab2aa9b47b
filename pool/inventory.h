/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inventory: whole free chunks that are kept, between the shared tier and the
 * page allocator.
 */
#ifndef _HKM_INVENTORY_H
#define _HKM_INVENTORY_H

#include <linux/types.h>

struct hkm_chunk;

struct hkm_chunk *hkm_inventory_get(unsigned int bin);
bool hkm_inventory_put(struct hkm_chunk *chunk, long keep);
long hkm_inventory_shrink(unsigned int bin, long keep, long most);
long hkm_inventory_count(unsigned int bin);
long hkm_inventory_blocks(unsigned int bin);

#endif /* _HKM_INVENTORY_H */
