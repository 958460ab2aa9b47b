// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a caller's mistake of the kind named by the parameter what, then
 * checks that the pool still hands out every block once and whole. Loading the
 * module does it; the parameter mismatches holds what went wrong.
 */
#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <hakmem.h>

#include "pattern.h"

#define POOL_MAX_BYTES	(52 * SZ_1K)
#define BLOCK_BYTES	9320
#define CHECK_ROUNDS	1000
#define CHECK_HOLDS	64

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "kind of mistake, see the table in the source");

static uint mismatches;
module_param(mismatches, uint, 0444);
MODULE_PARM_DESC(mismatches, "result: things that were not as they had to be");

static u8 module_data[PAGE_SIZE];

static void expect(bool ok, const char *text)
{
	if (ok)
		return;
	mismatches++;
	pr_err("%s: %s\n", what, text);
}

/* An address of nobody's block, to be refused, with memory to be left alone. */
static void free_foreign(void *p, size_t bytes)
{
	pattern_fill(p, bytes, 1);
	hkm_kfree(p);
	expect(pattern_ok(p, bytes, 1), "foreign memory was written to");
}

static void *block_get(size_t bytes)
{
	void *p = hkm_kmalloc(bytes, GFP_KERNEL);

	expect(p && hkm_owns(p), "the pool gave no block");
	return p;
}

static void double_free(void)
{
	void *p = block_get(BLOCK_BYTES);

	hkm_kfree(p);
	hkm_kfree(p);
}

static void free_on_this_cpu(void *p)
{
	hkm_kfree(p);
}

static void double_free_other_cpu(void)
{
	int other = cpumask_any_but(cpu_online_mask, get_cpu());
	void *p;

	put_cpu();
	p = block_get(BLOCK_BYTES);
	hkm_kfree(p);
	if (other < nr_cpu_ids)
		smp_call_function_single(other, free_on_this_cpu, p, true);
	else
		hkm_kfree(p);
}

static void interior_free(void)
{
	void *p = block_get(BLOCK_BYTES);

	hkm_kfree(p + 64);
	hkm_kfree(p + SZ_4K);
	hkm_kfree(p + BLOCK_BYTES - 1);
	hkm_kfree(p);
}

/* The rest of a chunk, behind the only block of 52 KiB in it. */
static void tail_free(void)
{
	void *p = block_get(POOL_MAX_BYTES);

	hkm_kfree(p + POOL_MAX_BYTES);
	hkm_kfree(p);
}

/* kmalloc()'s memory is welcome: all RAM once over would not fit if it leaked. */
static void foreign_kmalloc(void)
{
	static const size_t sizes[] = { 8, 100, BLOCK_BYTES, 256 * SZ_1K };
	size_t left = totalram_pages() * PAGE_SIZE;
	unsigned int i;
	void *p;

	for (i = 0; left; i = (i + 1) % ARRAY_SIZE(sizes)) {
		p = kmalloc(sizes[i], GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
		expect(p, "kmalloc() has no memory left");
		hkm_kfree(p);
		left -= min(left, sizes[i]);
		cond_resched();
	}
}

static void foreign_vmalloc(void)
{
	void *p = vmalloc(SZ_64K);

	expect(p, "no memory");
	if (p)
		free_foreign(p, SZ_64K);
	vfree(p);
}

static void foreign_stack(void)
{
	u64 local[64];

	free_foreign(local, sizeof(local));
}

static void foreign_module(void)
{
	free_foreign(module_data, sizeof(module_data));
	hkm_kfree(foreign_module);
}

static void null(void)
{
	hkm_kfree(NULL);
	hkm_kfree_sensitive(NULL);
	expect(!hkm_ksize(NULL), "NULL has a size");
	expect(!hkm_owns(NULL), "NULL is owned");
}

static void zero_size(void)
{
	void *p = hkm_kmalloc(0, GFP_KERNEL);

	expect(p == ZERO_SIZE_PTR, "no ZERO_SIZE_PTR for size 0");
	expect(!hkm_ksize(p), "ZERO_SIZE_PTR has a size");
	hkm_kfree(p);
	hkm_kfree_sensitive(p);
}

/*
 * The block of 52 KiB starts its chunk: kfree() takes the chunk for a buffer of
 * its own, as it would with any address in it.
 */
static void stray_kfree(void)
{
	void *p = block_get(POOL_MAX_BYTES);

	pattern_fill(p, POOL_MAX_BYTES, 1);
	kfree(p);
	expect(pattern_ok(p, POOL_MAX_BYTES, 1), "the block was taken away");
	hkm_kfree(p);
}

static void huge(void)
{
	size_t bytes[] = { SIZE_MAX, SIZE_MAX - SZ_64K, BIT(40),
			   KMALLOC_MAX_SIZE + 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bytes); i++) {
		OPTIMIZER_HIDE_VAR(bytes[i]);
		expect(!hkm_kmalloc(bytes[i], GFP_KERNEL | __GFP_NOWARN),
		       "memory for a size that no machine has");
	}
}

static void overflow(void)
{
	size_t nr = SIZE_MAX / BLOCK_BYTES + 2;

	/* Taken modulo 2^64, this is a size that the pool serves. */
	OPTIMIZER_HIDE_VAR(nr);
	expect(!hkm_kmalloc_array(nr, BLOCK_BYTES, GFP_KERNEL),
	       "an array that overflows");
	expect(!hkm_kcalloc(nr, BLOCK_BYTES, GFP_KERNEL),
	       "a zeroed array that overflows");
}

/* Blocks of three classes, which hakmem has to name when it is unloaded. */
static void leave_live(void)
{
	pattern_fill(block_get(2048), 2048, 1);
	pattern_fill(block_get(BLOCK_BYTES), BLOCK_BYTES, 1);
	pattern_fill(block_get(POOL_MAX_BYTES), POOL_MAX_BYTES, 1);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
#define MISTAKE(name) { #name, name }
	MISTAKE(nothing),
	MISTAKE(double_free),
	MISTAKE(double_free_other_cpu),
	MISTAKE(interior_free),
	MISTAKE(tail_free),
	MISTAKE(foreign_kmalloc),
	MISTAKE(foreign_vmalloc),
	MISTAKE(foreign_stack),
	MISTAKE(foreign_module),
	MISTAKE(null),
	MISTAKE(zero_size),
	MISTAKE(stray_kfree),
	MISTAKE(huge),
	MISTAKE(overflow),
	MISTAKE(leave_live),
#undef MISTAKE
};

/* Holds many blocks at a time: were one of them given out twice, it shows. */
static void pool_check(void)
{
	struct {
		void *p;
		u32 bytes;
	} hold[CHECK_HOLDS] = { };
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < CHECK_ROUNDS + CHECK_HOLDS; i++) {
		unsigned int n = i % CHECK_HOLDS;

		if (hold[n].p) {
			expect(pattern_ok(hold[n].p, hold[n].bytes, n),
			       "a block was damaged");
			hkm_kfree(hold[n].p);
			hold[n].p = NULL;
		}
		if (i >= CHECK_ROUNDS)
			continue;
		hold[n].bytes = SZ_2K + prandom_u32_state(&rnd) %
				(POOL_MAX_BYTES - SZ_2K + 1);
		hold[n].p = block_get(hold[n].bytes);
		if (hold[n].p)
			pattern_fill(hold[n].p, hold[n].bytes, n);
	}
}

static int __init misuse_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		if (strcmp(mistakes[i].name, what))
			continue;
		mistakes[i].make();
		pool_check();
		return 0;
	}
	pr_err("what=%s: no such mistake\n", what);
	return -EINVAL;
}

static void __exit misuse_exit(void)
{
}

module_init(misuse_init);
module_exit(misuse_exit);
MODULE_DESCRIPTION("Mistakes of hakmem's callers");
MODULE_LICENSE("GPL");
