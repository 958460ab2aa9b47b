// SPDX-License-Identifier: GPL-2.0
/*
 * The count lane: what one allocation and its free cost, for hkm_kmalloc() and
 * for kmalloc() in the same boot, in ticks of the TSC. Under QEMU's -icount
 * shift=0 a tick is one instruction.
 *
 * "hot" holds one block at a time, "deep" 64. Each figure is the least of
 * REPEATS runs, which leaves out warming up and interrupts, less the cost of the
 * same loop without the calls. Passing arguments and calling counts. Results go
 * to the kernel log when the module is loaded.
 */
#include <linux/compiler.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timex.h>
#include <hakmem.h>

#define REPEATS	20
#define PAIRS	256
#define DEPTH	64

static const size_t sizes[] = {
	2048, 4096, 8192, 9320, 16384, 32768, 40960, 53248,
	65536, 131072, 262144, 524288, 1048576
};

static void *held[DEPTH];

typedef void *(*alloc_fn)(size_t size, gfp_t flags);
typedef void (*free_fn)(const void *p);

/*
 * The functions are constants where this is inlined, so that they are called
 * directly, and the empty ones below leave only the loop. Blocks go through
 * held[] in any case, which is part of it.
 */
static __always_inline u64 ticks_one_run(alloc_fn alloc, free_fn free,
					 size_t size, unsigned int depth)
{
	unsigned int round, i;
	u64 start = get_cycles();

	for (round = 0; round < PAIRS / depth; round++) {
		for (i = 0; i < depth; i++) {
			held[i] = alloc(size, GFP_KERNEL);
			barrier();
		}
		for (i = 0; i < depth; i++) {
			free(held[i]);
			barrier();
		}
	}
	return get_cycles() - start;
}

static __always_inline u64 ticks_least(alloc_fn alloc, free_fn free,
				       size_t size, unsigned int depth)
{
	u64 least = U64_MAX;
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		least = min(least, ticks_one_run(alloc, free, size, depth));
		cond_resched();
	}
	return least;
}

/*
 * What a call leaves of the registers, but no call: so the loop around it keeps
 * its counters where it keeps them around the real ones.
 */
static __always_inline void *empty_alloc(size_t size, gfp_t flags)
{
	void *p;

	asm volatile("" : "=a" (p) : : "rcx", "rdx", "rsi", "rdi", "r8", "r9",
		     "r10", "r11", "cc", "memory");
	return p;
}

static __always_inline void empty_free(const void *p)
{
	asm volatile("" : "+D" (p) : : "rax", "rcx", "rdx", "rsi", "r8", "r9",
		     "r10", "r11", "cc", "memory");
}

/* kmalloc() is an inline function, or a macro. */
static __always_inline void *kernel_alloc(size_t size, gfp_t flags)
{
	return kmalloc(size, flags);
}

static unsigned int per_pair(u64 ticks, u64 loop_ticks)
{
	return DIV_ROUND_CLOSEST_ULL(ticks - min(ticks, loop_ticks), PAIRS);
}

/* Ticks per pair of hkm_kmalloc() and of kmalloc(). */
static __always_inline void measure(size_t size, unsigned int depth,
				    unsigned int *hkm, unsigned int *kernel)
{
	u64 loop = ticks_least(empty_alloc, empty_free, size, depth);

	*hkm = per_pair(ticks_least(hkm_kmalloc, hkm_kfree, size, depth), loop);
	*kernel = per_pair(ticks_least(kernel_alloc, kfree, size, depth), loop);
}

/* Figures of requests that went to the kernel allocator would mislead. */
static bool pool_serves(size_t size)
{
	void *p = hkm_kmalloc(size, GFP_KERNEL);
	bool owned = p && hkm_owns(p);

	hkm_kfree(p);
	return owned;
}

static int __init bench_init(void)
{
	unsigned int hkm_hot, hkm_deep, kmalloc_hot, kmalloc_deep;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!pool_serves(sizes[i])) {
			pr_err("hakmem does not serve %zu bytes\n", sizes[i]);
			return -ENOMEM;
		}
		measure(sizes[i], 1, &hkm_hot, &kmalloc_hot);
		measure(sizes[i], DEPTH, &hkm_deep, &kmalloc_deep);
		pr_info("size=%zu hkm_hot=%u hkm_deep=%u kmalloc_hot=%u kmalloc_deep=%u\n",
			sizes[i], hkm_hot, hkm_deep, kmalloc_hot, kmalloc_deep);
	}
	return 0;
}

static void __exit bench_exit(void)
{
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_DESCRIPTION("Cost of hkm_kmalloc() and kmalloc()");
MODULE_LICENSE("GPL");
