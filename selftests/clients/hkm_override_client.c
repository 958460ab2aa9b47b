// SPDX-License-Identifier: GPL-2.0
/*
 * Calls the kernel's allocation functions, all of which the Kbuild sends to
 * hakmem by hakmem_override.h, and looks whose memory they give. Loading the
 * module does it; the log has a line for each function, and the parameter
 * failures counts those that are not as they have to be. What a function failed
 * to free shows in hakmem's counters, once the module is unloaded.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define BYTES	9320		/* the pool's */
#define SMALL	100		/* kmalloc()'s */
#define LARGE	SZ_8M		/* vmalloc()'s, even with kvmalloc() */
#define NR	5
#define EACH	(BYTES / NR)
#define FILLING	0x5a

static uint failures;
module_param(failures, uint, 0444);
MODULE_PARM_DESC(failures, "result: functions that are not as they have to be");

static bool samples;
module_param(samples, bool, 0444);
MODULE_PARM_DESC(samples, "hakmem hands out samples: wait for one (default N)");

static bool ok;

static void expect(bool holds, const char *text)
{
	if (holds)
		return;
	ok = false;
	pr_err("%s\n", text);
}

/* Clears nothing, so that memory which a function zeroes shows. */
static void block_check(void *p, bool zeroed)
{
	expect(p, "no memory");
	if (!p)
		return;
	expect(hkm_owns(p), "not from the pool");
	expect(!zeroed || !memchr_inv(p, 0, BYTES), "not zeroed");
	memset(p, FILLING, BYTES);
	hkm_kfree(p);
}

#define ALLOC(name, zeroed, call) \
	static void try_##name(void) { block_check(call, zeroed); }

/* What the module itself has copied. */
static const u8 source[BYTES] = { [0 ... BYTES - 1] = FILLING };

static void copy_check(void *p)
{
	expect(p && !memcmp(p, source, BYTES), "not a copy");
	block_check(p, false);
}

#define COPY(name, call) \
	static void try_##name(void) { copy_check(call); }

/* Memory of @bytes that holds what has to survive a change of its size. */
static void *filled(size_t bytes)
{
	void *p = kvmalloc(bytes, GFP_KERNEL);

	return p ? memset(p, FILLING, bytes) : NULL;
}

static void grown_check(void *p, size_t old_bytes)
{
	expect(p && !memchr_inv(p, FILLING, old_bytes), "contents lost");
	block_check(p, false);
}

/* From one class to another, and from kmalloc()'s memory to the pool's. */
#define GROW(name, call)						\
	static void *grow_##name(void *p, size_t old_bytes) { return call; } \
	static void try_##name(void)					\
	{								\
		grown_check(grow_##name(filled(SZ_4K), SZ_4K), SZ_4K);	\
		grown_check(grow_##name(filled(SMALL), SMALL), SMALL);	\
		grown_check(grow_##name(NULL, 0), 0);			\
	}

struct item {
	struct rcu_head rcu;
	u8 data[BYTES - sizeof(struct rcu_head)];
};

struct small_item {
	struct rcu_head rcu;
	u8 data[SMALL];
};

static struct item *item_get(void)
{
	struct item *p = kmalloc(sizeof(*p), GFP_KERNEL);

	expect(p && hkm_owns(p), "the pool gave no block");
	return p;
}

#define FREE(name, call) \
	static void try_##name(void) { struct item *p = item_get(); call; }

ALLOC(kmalloc, false, kmalloc(BYTES, GFP_KERNEL))
ALLOC(kmalloc_node, false, kmalloc_node(BYTES, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kmalloc_array, false, kmalloc_array(NR, EACH, GFP_KERNEL))
ALLOC(kmalloc_array_node, false, kmalloc_array_node(NR, EACH, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kmalloc_track_caller, false, kmalloc_track_caller(BYTES, GFP_KERNEL))
ALLOC(kmalloc_node_track_caller, false, kmalloc_node_track_caller(BYTES, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kzalloc, true, kzalloc(BYTES, GFP_KERNEL))
ALLOC(kzalloc_node, true, kzalloc_node(BYTES, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kcalloc, true, kcalloc(NR, EACH, GFP_KERNEL))
ALLOC(kcalloc_node, true, kcalloc_node(NR, EACH, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kvmalloc, false, kvmalloc(BYTES, GFP_KERNEL))
ALLOC(kvmalloc_node, false, kvmalloc_node(BYTES, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kvmalloc_array, false, kvmalloc_array(NR, EACH, GFP_KERNEL))
ALLOC(kvmalloc_array_node, false, kvmalloc_array_node(NR, EACH, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kvzalloc, true, kvzalloc(BYTES, GFP_KERNEL))
ALLOC(kvzalloc_node, true, kvzalloc_node(BYTES, GFP_KERNEL, NUMA_NO_NODE))
ALLOC(kvcalloc, true, kvcalloc(NR, EACH, GFP_KERNEL))
ALLOC(kvcalloc_node, true, kvcalloc_node(NR, EACH, GFP_KERNEL, NUMA_NO_NODE))
#ifdef kmalloc_obj
ALLOC(kmalloc_obj, false, kmalloc_obj(struct item))
ALLOC(kzalloc_obj, true, kzalloc_obj(struct item))
ALLOC(kmalloc_objs, false, kmalloc_objs(struct item, 1))
ALLOC(kvmalloc_obj, false, kvmalloc_obj(struct item))
#endif

COPY(kmemdup, kmemdup(source, BYTES, GFP_KERNEL))
COPY(kmemdup_array, kmemdup_array(source, NR, EACH, GFP_KERNEL))

GROW(krealloc, krealloc(p, BYTES, GFP_KERNEL))
GROW(krealloc_array, krealloc_array(p, NR, EACH, GFP_KERNEL))
GROW(krealloc_node, krealloc_node(p, BYTES, GFP_KERNEL, NUMA_NO_NODE))
GROW(kvrealloc, kvrealloc(p, BYTES, GFP_KERNEL))
GROW(kvrealloc_with_old_size, kvrealloc(p, old_bytes, BYTES, GFP_KERNEL))

FREE(kfree, kfree(p))
FREE(kfree_sensitive, kfree_sensitive(p))
FREE(kvfree, kvfree(p))
FREE(kvfree_sensitive, kvfree_sensitive(p, sizeof(*p)))
FREE(kfree_rcu, kfree_rcu(p, rcu))
FREE(kvfree_rcu, kvfree_rcu(p, rcu))
FREE(kfree_rcu_without_head, kfree_rcu(p))
FREE(kfree_rcu_mightsleep, kfree_rcu_mightsleep(p))
FREE(kvfree_rcu_mightsleep, kvfree_rcu_mightsleep(p))
#ifdef __free
FREE(cleanup_kfree, void *own __free(kfree) = p)
FREE(cleanup_kvfree, void *own __free(kvfree) = p)
FREE(cleanup_kfree_sensitive, void *own __free(kfree_sensitive) = p)
#endif

static void try_kfree_bulk(void)
{
	void *p[] = { item_get(), item_get(), kstrdup("small", GFP_KERNEL) };

	kfree_bulk(ARRAY_SIZE(p), p);
}

static void try_kfree_as_callback(void)
{
	void (*release)(const void *p) = kfree;

	release(item_get());
	release = kvfree;
	release(item_get());
}

static void try_ksize(void)
{
	struct item *p = item_get();

	expect(ksize(p) >= sizeof(*p), "the size of a block is not known");
	kfree(p);
}

/* What the kernel allocated. */
static void try_memory_of_kmalloc(void)
{
	struct small_item *p = kzalloc(sizeof(*p), GFP_KERNEL);
	void *large = kmalloc(2 * SZ_1M, GFP_KERNEL);

	expect(p && !hkm_owns(p), "the pool served what is too small");
	expect(large && !hkm_owns(large), "the pool served what is too large");
	if (p)
		kfree_rcu(p, rcu);
	kfree(large);
	kfree(kstrdup("text", GFP_KERNEL));
	kvfree(kasprintf(GFP_KERNEL, "%d", SMALL));
	kfree_sensitive(kstrdup("text", GFP_KERNEL));
	kfree_rcu_mightsleep(kstrdup("text", GFP_KERNEL));
	kfree(NULL);
	kvfree(NULL);
}

/* hakmem's own names are there too, and take what the kernel allocated. */
static void try_hkm_kfree_rcu(void)
{
	struct small_item *small = kzalloc(sizeof(*small), GFP_KERNEL);
	struct item *p = item_get();

	hkm_kfree_rcu(small, rcu);
	hkm_kfree_rcu(p, rcu);
}

static void try_memory_of_vmalloc(void)
{
	struct small_item *p = vzalloc(sizeof(*p));
	void *large = kvzalloc(LARGE, GFP_KERNEL);

	expect(is_vmalloc_addr(large), "no memory of vmalloc()");
	kvfree(large);
	kvfree(vmalloc(BYTES));
	kvfree_sensitive(vzalloc(BYTES), BYTES);
	if (p)
		kvfree_rcu(p, rcu);
}

/* Memory of vmalloc(), by its address, but the pool's: a new and larger block. */
static void try_kvrealloc_of_a_sample(void)
{
	unsigned int tries = samples ? 1000 : 0;
	void *p = NULL;

	while (tries-- && !is_vmalloc_addr(p)) {
		kvfree(p);
		usleep_range(1000, 2000);
		p = filled(BYTES);
	}
	expect(!samples || is_vmalloc_addr(p), "no sample");
	p = kvrealloc(p, 2 * BYTES, GFP_KERNEL);
	expect(p && (!samples || !memchr_inv(p, FILLING, BYTES)), "contents lost");
	if (p)
		memset(p, FILLING, 2 * BYTES);
	kvfree(p);
}

static void try_gfp_account(void)
{
	void *p = kmalloc(BYTES, GFP_KERNEL_ACCOUNT);

	expect(p && !hkm_owns(p), "the pool served what it cannot account");
	kfree(p);
}

static const struct {
	const char *name;
	void (*call)(void);
} functions[] = {
#define FUNCTION(name) { #name, try_##name }
	FUNCTION(kmalloc),
	FUNCTION(kmalloc_node),
	FUNCTION(kmalloc_array),
	FUNCTION(kmalloc_array_node),
	FUNCTION(kmalloc_track_caller),
	FUNCTION(kmalloc_node_track_caller),
	FUNCTION(kzalloc),
	FUNCTION(kzalloc_node),
	FUNCTION(kcalloc),
	FUNCTION(kcalloc_node),
	FUNCTION(kvmalloc),
	FUNCTION(kvmalloc_node),
	FUNCTION(kvmalloc_array),
	FUNCTION(kvmalloc_array_node),
	FUNCTION(kvzalloc),
	FUNCTION(kvzalloc_node),
	FUNCTION(kvcalloc),
	FUNCTION(kvcalloc_node),
#ifdef kmalloc_obj
	FUNCTION(kmalloc_obj),
	FUNCTION(kzalloc_obj),
	FUNCTION(kmalloc_objs),
	FUNCTION(kvmalloc_obj),
#endif
	FUNCTION(kmemdup),
	FUNCTION(kmemdup_array),
	FUNCTION(krealloc),
	FUNCTION(krealloc_array),
	FUNCTION(krealloc_node),
	FUNCTION(kvrealloc),
	FUNCTION(kvrealloc_with_old_size),
	FUNCTION(kfree),
	FUNCTION(kfree_sensitive),
	FUNCTION(kfree_bulk),
	FUNCTION(kfree_rcu),
	FUNCTION(kfree_rcu_without_head),
	FUNCTION(kfree_rcu_mightsleep),
	FUNCTION(kvfree),
	FUNCTION(kvfree_sensitive),
	FUNCTION(kvfree_rcu),
	FUNCTION(kvfree_rcu_mightsleep),
#ifdef __free
	FUNCTION(cleanup_kfree),
	FUNCTION(cleanup_kvfree),
	FUNCTION(cleanup_kfree_sensitive),
#endif
	FUNCTION(kfree_as_callback),
	FUNCTION(ksize),
	FUNCTION(hkm_kfree_rcu),
	FUNCTION(memory_of_kmalloc),
	FUNCTION(memory_of_vmalloc),
	FUNCTION(kvrealloc_of_a_sample),
	FUNCTION(gfp_account),
#undef FUNCTION
};

static int __init override_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		ok = true;
		functions[i].call();
		failures += !ok;
		pr_info("%s %s\n", ok ? "ok" : "not ok", functions[i].name);
	}
	return 0;
}

static void __exit override_exit(void)
{
	/* So that what kfree_rcu() frees is counted. */
	rcu_barrier();
}

module_init(override_init);
module_exit(override_exit);
MODULE_DESCRIPTION("Client of hakmem by way of hakmem_override.h");
MODULE_LICENSE("GPL");
