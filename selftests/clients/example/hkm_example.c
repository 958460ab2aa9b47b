// SPDX-License-Identifier: GPL-2.0
/*
 * The README's example: a module that keeps one jumbo frame.
 */
#include <linux/module.h>
#include <hakmem.h>

static void *frame;

static int __init example_init(void)
{
	frame = hkm_kmalloc(9320, GFP_KERNEL);
	if (!frame)
		return -ENOMEM;
	memset(frame, 0xff, 9320);
	return 0;
}

static void __exit example_exit(void)
{
	hkm_kfree(frame);
}

module_init(example_init);
module_exit(example_exit);
MODULE_DESCRIPTION("Example client of hakmem");
MODULE_LICENSE("GPL");
