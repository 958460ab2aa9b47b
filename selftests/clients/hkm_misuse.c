// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a caller's mistake of the kind named by the parameter what, twice, then
 * checks that the pool still hands out every block once and whole. Loading the
 * module does it; the parameter mismatches holds what went wrong, and address
 * the pointer that was first misused.
 *
 * Where a report has to name the caller, it is block_get...(), block_put(),
 * free_wrong() or free_unnoticed().
 */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <hakmem.h>
#include <hkm_compat.h>

#include "pattern.h"

#define POOL_MIN_BYTES	SZ_2K
#define POOL_MAX_BYTES	(52 * SZ_1K)
#define BLOCK_BYTES	9320
/* The class that serves it by default: dyn1, six to a chunk. */
#define BLOCK_CLASS_BYTES	10752
/* Served by a class of large blocks, 512 KiB. */
#define LARGE_BYTES	300000

/* What it may be shrunk to in place. */
#define SHRUNK_BYTES	9000

#define REPEATS		2
/* More than fit in a ring: the first ones freed are in the shared tier then. */
#define MANY		64
#define CHECK_HOLDS	64
#define CHECK_CPU_ROUNDS	500
#define TICK_NS		(100 * NSEC_PER_USEC)
#define TICK_WAIT	(60 * HZ)

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "kind of mistake, see the table in the source");

static uint rounds = 10000;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "allocations to check the pool with (default 10000)");

static ulong stale;
module_param(stale, ulong, 0444);
MODULE_PARM_DESC(stale, "for stale_free: a block that leave_live left, under an earlier hakmem");

static uint mismatches;
module_param(mismatches, uint, 0444);
MODULE_PARM_DESC(mismatches, "result: things that were not as they had to be");

static char address[2 * sizeof(void *) + 1];
module_param_string(address, address, sizeof(address), 0444);
MODULE_PARM_DESC(address, "result: the pointer first misused");

static u8 module_data[PAGE_SIZE];
static void *many[2 * MANY];
/* For the end: written to after they are freed. */
static void *kept[REPEATS];

static void expect(bool ok, const char *text)
{
	if (ok)
		return;
	mismatches++;
	pr_err("%s: %s\n", what, text);
}

static void misused(const void *p)
{
	if (!*address)
		snprintf(address, sizeof(address), "%px", p);
}

/* The barriers keep the calls from becoming jumps, whose site is the caller's. */
static noinline void *block_get(size_t bytes)
{
	void *p = hkm_kmalloc(bytes, GFP_KERNEL);

	expect(p && hkm_owns(p), "the pool gave no block");
	return p;
}

/* The same, in an interrupt. */
static noinline void *block_get_stocked(size_t bytes)
{
	void *p = hkm_kmalloc_nolock(bytes, 0);

	expect(p, "nothing is stocked");
	return p;
}

static noinline void block_put(void *p)
{
	hkm_kfree(p);
	barrier();
}

static noinline void free_wrong(void *p)
{
	unsigned int i;

	misused(p);
	for (i = 0; i < REPEATS; i++) {
		hkm_kfree(p);
		barrier();
	}
}

/* Blocks @from up to @to of many. */
static void many_get(unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		many[from] = block_get(BLOCK_BYTES);
}

static void many_put(unsigned int from, unsigned int to)
{
	for (; from < to; from++)
		block_put(many[from]);
}

/* What marks a block as free is in its second word. */
static void key_overwrite(void *p)
{
	((unsigned long *)p)[1] = 1;
}

static void free_twice(size_t bytes)
{
	void *p = block_get(bytes);

	block_put(p);
	free_wrong(p);
	expect(block_get(bytes) == p, "the block was not in the ring");
	block_put(p);
}

static void double_free(void)
{
	free_twice(BLOCK_BYTES);
}

static void double_free_large(void)
{
	free_twice(LARGE_BYTES);
}

static void free_wrong_on_this_cpu(void *p)
{
	free_wrong(p);
}

static void double_free_other_cpu(void)
{
	int other = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	void *p = block_get(BLOCK_BYTES);

	block_put(p);
	if (other < nr_cpu_ids)
		smp_call_function_single(other, free_wrong_on_this_cpu, p, true);
	else
		free_wrong(p);
}

static void double_free_batch(void)
{
	many_get(0, MANY);
	many_put(0, MANY);
	free_wrong(many[0]);
}

/* A block that was never handed out: the one after the first of a new chunk. */
static void double_free_active(void)
{
	void *first = block_get(SZ_8K), *next = first + SZ_8K;

	free_wrong(next);
	expect(block_get(SZ_8K) == next, "the block was not in the active page");
	block_put(next);
	block_put(first);
}

/**
 * struct hit - an interrupt that waits until it hits the pool at work
 * @timer: fires on the CPU of the task
 * @victim: a live block, freed by the interrupt
 * @overwrite: whether the victim's key is to be overwritten
 * @done: the mistake was made
 */
struct hit {
	struct hrtimer timer;
	void *victim;
	bool overwrite;
	bool done;
};

/*
 * What is freed next to the pool at work goes to a remote stack, and a request
 * is served with something else, of which the shared tier has enough. At any
 * other time both use the ring, and the victim comes back.
 */
static enum hrtimer_restart hit_run(struct hrtimer *timer)
{
	struct hit *hit = container_of(timer, struct hit, timer);
	void *p;

	block_put(hit->victim);
	p = block_get_stocked(BLOCK_BYTES);
	if (p == hit->victim) {
		hrtimer_forward_now(timer, ns_to_ktime(TICK_NS));
		return HRTIMER_RESTART;
	}
	if (hit->overwrite)
		key_overwrite(hit->victim);
	free_wrong(hit->victim);
	block_put(p);
	WRITE_ONCE(hit->done, true);
	return HRTIMER_NORESTART;
}

static void remote_free_twice(bool overwrite)
{
	unsigned long end = jiffies + TICK_WAIT;
	static struct hit hit;

	hit.overwrite = overwrite;
	many_get(0, MANY);
	hit.victim = block_get(BLOCK_BYTES);
	many_put(0, MANY);

	hrtimer_setup(&hit.timer, hit_run, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&hit.timer, ns_to_ktime(TICK_NS),
		      HRTIMER_MODE_REL_PINNED_HARD);
	while (!READ_ONCE(hit.done) && time_before(jiffies, end)) {
		block_put(block_get(POOL_MIN_BYTES));
		cond_resched();
	}
	hrtimer_cancel(&hit.timer);
	expect(hit.done, "no interrupt hit the pool at work");
}

static void double_free_remote(void)
{
	remote_free_twice(false);
}

/* Without its key the block passes for a live one, but for debug=. */
static noinline void free_unnoticed(void *p)
{
	misused(p);
	key_overwrite(p);
	hkm_kfree(p);
	barrier();
}

/* It is found out when it enters the shared tier while it is there. */
static void overwritten_ring(void)
{
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		many_get(0, MANY);
		block_put(many[0]);
		free_unnoticed(many[0]);
		many_put(1, MANY);
	}
}

static void overwritten_batch(void)
{
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		many_get(0, 2 * MANY);
		many_put(0, MANY);
		free_unnoticed(many[0]);
		many_put(MANY, 2 * MANY);
	}
}

static void overwritten_remote(void)
{
	remote_free_twice(true);
}

static void interior_free(void)
{
	void *p = block_get(BLOCK_BYTES);

	free_wrong(p + 64);
	free_wrong(p + SZ_4K);
	free_wrong(p + BLOCK_BYTES - 1);
	block_put(p);
}

/* The rest of a chunk, behind the only block of 52 KiB in it. */
static void tail_free(void)
{
	void *p = block_get(POOL_MAX_BYTES);

	free_wrong(p + POOL_MAX_BYTES);
	block_put(p);
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

/* An address of nobody's block, to be refused, with memory to be left alone. */
static void free_foreign(void *p, size_t bytes)
{
	pattern_fill(p, bytes, 1);
	free_wrong(p);
	expect(pattern_ok(p, bytes, 1), "foreign memory was written to");
}

static void foreign_vmalloc(void)
{
	void *p = vmalloc(SZ_64K);

	expect(p, "no memory");
	if (p)
		free_foreign(p, SZ_64K);
	vfree(p);
}

static void foreign_page(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	expect(page, "no memory");
	if (page)
		free_foreign((void *)page, PAGE_SIZE);
	free_page(page);
}

static void foreign_stack(void)
{
	u64 local[64];

	free_foreign(local, sizeof(local));
}

static void foreign_module(void)
{
	free_foreign(module_data, sizeof(module_data));
	free_wrong(foreign_module);
}

/* Beyond all memory, not canonical, and the last byte there is. */
static void foreign_garbage(void)
{
	free_wrong((void *)(PAGE_OFFSET + BIT(45)));
	free_wrong((void *)0xdead4ead00000000);
	free_wrong((void *)ULONG_MAX);
}

static void foreign_err_ptr(void)
{
	free_wrong(ERR_PTR(-ENOMEM));
	free_wrong(ERR_PTR(-MAX_ERRNO));
}

static void foreign_user(void)
{
	free_wrong((void *)(TASK_SIZE - PAGE_SIZE));
	free_wrong((void *)PAGE_SIZE);
	free_wrong(ZERO_SIZE_PTR + 1);
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
	unsigned int i;

	misused(p);
	pattern_fill(p, POOL_MAX_BYTES, 1);
	for (i = 0; i < REPEATS; i++)
		kfree(p);
	expect(pattern_ok(p, POOL_MAX_BYTES, 1), "the block was taken away");
	block_put(p);
}

/* Found when the block is handed out again. */
static void write_after_free_at(size_t offset)
{
	unsigned int i;
	u8 *p;

	for (i = 0; i < REPEATS; i++) {
		p = block_get(BLOCK_BYTES);
		misused(p);
		block_put(p);
		p[offset] ^= 1;
		expect(block_get(BLOCK_BYTES) == p, "another block came");
		block_put(p);
	}
}

static void write_after_free(void)
{
	write_after_free_at(100);
}

static void write_after_free_key(void)
{
	write_after_free_at(sizeof(unsigned long));
}

/* Found when hakmem is unloaded; misuse_exit() makes the mistake. */
static void write_after_free_unload(void)
{
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		kept[i] = block_get(BLOCK_BYTES);
		misused(kept[i]);
	}
}

/* Found when the block is freed. */
static void write_past(size_t bytes)
{
	unsigned int i;
	u8 *p;

	for (i = 0; i < REPEATS; i++) {
		p = block_get(bytes);
		misused(p);
		p[bytes] ^= 1;
		block_put(p);
	}
}

static void write_past_end(void)
{
	write_past(BLOCK_BYTES);
}

static void write_past_large(void)
{
	write_past(LARGE_BYTES);
}

static noinline u8 *block_resize(u8 *p, size_t bytes)
{
	OPTIMIZER_HIDE_VAR(bytes);
	p = hkm_krealloc(p, bytes, GFP_KERNEL);
	expect(p, "no memory to resize to");
	return p;
}

/* In place, where the end is then. */
static void write_past_new_end(void)
{
	unsigned int i;
	u8 *p;

	for (i = 0; i < REPEATS; i++) {
		p = block_resize(block_get(BLOCK_BYTES), SHRUNK_BYTES);
		misused(p);
		p[SHRUNK_BYTES] ^= 1;
		block_put(p);
	}
}

/* No mistake: each time all that was asked for is used. */
static void resize(void)
{
	static const size_t sizes[] = { SHRUNK_BYTES, BLOCK_BYTES, POOL_MIN_BYTES,
					POOL_MAX_BYTES, 8, BLOCK_BYTES };
	u8 *p = block_get(BLOCK_BYTES);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = block_resize(p, sizes[i]);
		memset(p, i, sizes[i]);
	}
	block_put(block_resize(p, 8));
}

static void write_into_next(void)
{
	void *p = block_get(BLOCK_BYTES), *next = block_get(BLOCK_BYTES);

	expect(next == p + BLOCK_CLASS_BYTES, "the blocks are not neighbours");
	misused(p);
	memset(p + BLOCK_BYTES, 1, BLOCK_CLASS_BYTES - BLOCK_BYTES + 64);
	block_put(p);
	block_put(next);
}

/* The ring has a block: this request does not sleep, but might have. */
static void atomic_alloc(void)
{
	static DEFINE_SPINLOCK(lock);
	void *p = block_get(SZ_8K);

	block_put(p);
	misused(p);
	spin_lock(&lock);
	expect(hkm_kmalloc(SZ_8K, GFP_KERNEL) == p, "the ring had no block");
	spin_unlock(&lock);
	block_put(p);
}

/* No mistake: neither from a ring and to it, nor where more than that is done. */
static void atomic_free(void)
{
	static DEFINE_SPINLOCK(lock);
	void *p = kmalloc(BLOCK_BYTES, GFP_KERNEL);

	many_get(0, MANY);
	spin_lock(&lock);
	many_put(0, MANY);
	hkm_kfree(p);
	p = hkm_kmalloc(BLOCK_BYTES, GFP_ATOMIC);
	hkm_kfree(p);
	spin_unlock(&lock);
	expect(p, "no memory");
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
	static const size_t sizes[] = { BLOCK_BYTES, BLOCK_BYTES, POOL_MIN_BYTES,
					POOL_MAX_BYTES };
	unsigned int i;
	void *p;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = block_get(sizes[i]);
		pattern_fill(p, sizes[i], 1);
		/* Not the one that starts a chunk. */
		if (i == 1)
			misused(p);
	}
}

/* The memory is still its user's, who however cannot free it any more. */
static void stale_free(void)
{
	void *p = (void *)stale;

	expect(!hkm_owns(p), "a new pool owns it");
	expect(pattern_ok(p, BLOCK_BYTES, 1), "it was somebody else's meanwhile");
	free_foreign(p, BLOCK_BYTES);
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
	MISTAKE(null),
	MISTAKE(zero_size),
	MISTAKE(huge),
	MISTAKE(overflow),
	MISTAKE(atomic_free),
	MISTAKE(atomic_alloc),
	MISTAKE(double_free),
	MISTAKE(double_free_large),
	MISTAKE(double_free_other_cpu),
	MISTAKE(double_free_batch),
	MISTAKE(double_free_remote),
	MISTAKE(double_free_active),
	MISTAKE(overwritten_ring),
	MISTAKE(overwritten_batch),
	MISTAKE(overwritten_remote),
	MISTAKE(interior_free),
	MISTAKE(tail_free),
	MISTAKE(foreign_kmalloc),
	MISTAKE(foreign_vmalloc),
	MISTAKE(foreign_page),
	MISTAKE(foreign_stack),
	MISTAKE(foreign_module),
	MISTAKE(foreign_garbage),
	MISTAKE(foreign_err_ptr),
	MISTAKE(foreign_user),
	MISTAKE(stray_kfree),
	MISTAKE(write_after_free),
	MISTAKE(write_after_free_key),
	MISTAKE(write_after_free_unload),
	MISTAKE(write_past_end),
	MISTAKE(write_past_large),
	MISTAKE(write_past_new_end),
	MISTAKE(resize),
	MISTAKE(write_into_next),
	MISTAKE(leave_live),
	MISTAKE(stale_free),
#undef MISTAKE
};

struct checked {
	void *p;
	u32 bytes;
};

static bool overlap(const struct checked *a, const struct checked *b)
{
	return a->p && b->p && a->p < b->p + b->bytes && b->p < a->p + a->bytes;
}

static void checked_take(struct checked *hold, unsigned int n, u32 bytes)
{
	struct checked fresh = { .p = block_get(bytes), .bytes = bytes };
	unsigned int i;

	if (!fresh.p)
		return;
	expect(hkm_ksize(fresh.p) >= bytes, "a block is too small");
	for (i = 0; i < CHECK_HOLDS; i++)
		expect(!overlap(&hold[i], &fresh), "two live blocks overlap");
	hold[n] = fresh;
	pattern_fill(fresh.p, bytes, n);
}

static void checked_drop(struct checked *hold, unsigned int n)
{
	if (!hold[n].p)
		return;
	expect(pattern_ok(hold[n].p, hold[n].bytes, n), "a block was damaged");
	block_put(hold[n].p);
	hold[n].p = NULL;
}

static void go_to_cpu(unsigned int cpu)
{
	expect(!set_cpus_allowed_ptr(current, cpumask_of(cpu)), "CPU is offline");
}

/*
 * Holds many blocks at a time: were one of them given out twice, it shows. Goes
 * from CPU to CPU, as any ring may be affected.
 */
static void pool_check(void)
{
	static struct checked hold[CHECK_HOLDS];
	int cpu = raw_smp_processor_id();
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < rounds; i++) {
		if (i % CHECK_CPU_ROUNDS == CHECK_CPU_ROUNDS - 1) {
			cpu = cpumask_next(cpu, cpu_online_mask);
			if (cpu >= nr_cpu_ids)
				cpu = cpumask_first(cpu_online_mask);
			go_to_cpu(cpu);
		}
		checked_drop(hold, i % CHECK_HOLDS);
		checked_take(hold, i % CHECK_HOLDS,
			     POOL_MIN_BYTES + prandom_u32_state(&rnd) %
			     (POOL_MAX_BYTES - POOL_MIN_BYTES + 1));
	}
	for (i = 0; i < CHECK_HOLDS; i++)
		checked_drop(hold, i);
}

static int __init misuse_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		if (strcmp(mistakes[i].name, what))
			continue;
		/* So that it is known in whose ring a block is. */
		go_to_cpu(raw_smp_processor_id());
		mistakes[i].make();
		pool_check();
		return 0;
	}
	pr_err("what=%s: no such mistake\n", what);
	return -EINVAL;
}

static void __exit misuse_exit(void)
{
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		if (!kept[i])
			continue;
		block_put(kept[i]);
		((u8 *)kept[i])[100] ^= 1;
	}
}

module_init(misuse_init);
module_exit(misuse_exit);
MODULE_DESCRIPTION("Mistakes of hakmem's callers");
MODULE_LICENSE("GPL");
