// SPDX-License-Identifier: GPL-2.0
/*
 * For the tests of what tracepoints, KASAN and kmemleak see: does what the
 * parameter what says, when loaded.
 */
#include <linux/module.h>
#include <linux/sizes.h>
#include <hakmem.h>

#define BLOCK_BYTES	9320
#define NR_BLOCKS	100

static char *what = "traffic";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "traffic, read_after_free, read_past_end, or leak");

/* From a caller that the compiler cannot follow. */
static noinline u8 *block_get(void)
{
	u8 *p = hkm_kmalloc(BLOCK_BYTES, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	return p;
}

static noinline void block_put(u8 *p)
{
	hkm_kfree(p);
	/* So that it is this function which the free returns to. */
	barrier();
}

/* One hundred blocks at once, so that new chunks are needed. */
static int traffic(void)
{
	static u8 *blocks[NR_BLOCKS];
	int i;

	for (i = 0; i < NR_BLOCKS; i++)
		blocks[i] = block_get();
	for (i = 0; i < NR_BLOCKS; i++)
		block_put(blocks[i]);
	return 0;
}

static int read_after_free(void)
{
	u8 *p = block_get();

	block_put(p);
	pr_info("read %02x\n", READ_ONCE(p[4000]));
	return 0;
}

static int read_past_end(void)
{
	u8 *p = block_get();

	pr_info("read %02x\n", READ_ONCE(p[BLOCK_BYTES]));
	block_put(p);
	return 0;
}

/* One block that nothing refers to; its neighbours are held for a while. */
static int leak(void)
{
	u8 *p[3] = { block_get(), block_get(), block_get() };

	block_put(p[0]);
	block_put(p[2]);
	p[1] = NULL;
	return 0;
}

static int __init wild_init(void)
{
	if (!strcmp(what, "traffic"))
		return traffic();
	if (!strcmp(what, "read_after_free"))
		return read_after_free();
	if (!strcmp(what, "read_past_end"))
		return read_past_end();
	if (!strcmp(what, "leak"))
		return leak();
	pr_err("what=%s: no such thing\n", what);
	return -EINVAL;
}

static void __exit wild_exit(void)
{
}

module_init(wild_init);
module_exit(wild_exit);
MODULE_DESCRIPTION("What tools are to see of hakmem's clients");
MODULE_AUTHOR("hakmem developers");
MODULE_LICENSE("GPL");
