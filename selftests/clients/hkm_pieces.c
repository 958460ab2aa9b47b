// SPDX-License-Identifier: GPL-2.0
/*
 * Holds blocks of fragments, for kmemleak to look at: the page allocator is made
 * to have no chunk. For kernels with KUnit, whose test hook it uses.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <hakmem.h>
#include <hkm_compat.h>
#include "../../pool/chunk.h"

#define NR_BLOCKS	16

static void *blocks[NR_BLOCKS];

static int __init pieces_init(void)
{
	int i;

	WRITE_ONCE(hkm_test_order_max, HKM_CHUNK_ORDER - 1);
	for (i = 0; i < NR_BLOCKS; i++)
		blocks[i] = hkm_kmalloc(SZ_4K << (i % 4), GFP_KERNEL);
	WRITE_ONCE(hkm_test_order_max, UINT_MAX);
	return 0;
}

static void __exit pieces_exit(void)
{
	int i;

	for (i = 0; i < NR_BLOCKS; i++)
		hkm_kfree(blocks[i]);
}

module_init(pieces_init);
module_exit(pieces_exit);
HKM_IMPORT_KUNIT_NS;
MODULE_DESCRIPTION("Holds blocks of fragments");
MODULE_LICENSE("GPL");
