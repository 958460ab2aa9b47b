// SPDX-License-Identifier: GPL-2.0
/*
 * The same test bodies on kmalloc()'s functions and on ours, in one boot. A body
 * notes what it finds as named facts. Both sides must find the same, but for
 * the differences stated in differences[], which must show in turn. They are
 * explained in Documentation/differences.md.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/net.h>
#include <linux/nodemask.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "common.h"

/* What is freed by RCU here. */
struct delayed {
	u64 before;
	struct rcu_head rcu;
	u64 after;
};

/* kmalloc() has no such function; this is what ours stands for. */
static unsigned int kmalloc_bulk(size_t size, gfp_t flags, size_t nr, void **p)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		p[i] = kmalloc(size, flags);
		if (!p[i])
			break;
	}
	if (i == nr)
		return nr;
	while (i--)
		kfree(p[i]);
	return 0;
}

/* Whose functions are asked. */
static bool ours;

/* its_kmalloc() and so on; the compiler sees neither size nor origin. */
#define COMPARE(type, name, params, args)				\
static noinline __noclone type its_##name params			\
{									\
	type result = ours ? hkm_##name args : name args;		\
									\
	OPTIMIZER_HIDE_VAR(result);					\
	return result;							\
}

#define COMPARE_VOID(name, params, args)				\
static noinline __noclone void its_##name params			\
{									\
	if (ours)							\
		hkm_##name args;					\
	else								\
		name args;						\
}

COMPARE(void *, kmalloc, (size_t size, gfp_t flags), (size, flags))
COMPARE(void *, kzalloc, (size_t size, gfp_t flags), (size, flags))
COMPARE(void *, kmalloc_node, (size_t size, gfp_t flags, int node),
	(size, flags, node))
COMPARE(void *, kzalloc_node, (size_t size, gfp_t flags, int node),
	(size, flags, node))
COMPARE(void *, kmalloc_array, (size_t n, size_t size, gfp_t flags),
	(n, size, flags))
COMPARE(void *, kcalloc, (size_t n, size_t size, gfp_t flags), (n, size, flags))
COMPARE(void *, kmalloc_array_node, (size_t n, size_t size, gfp_t flags, int node),
	(n, size, flags, node))
COMPARE(void *, kcalloc_node, (size_t n, size_t size, gfp_t flags, int node),
	(n, size, flags, node))
COMPARE(void *, krealloc, (void *p, size_t size, gfp_t flags), (p, size, flags))
COMPARE(void *, krealloc_array, (void *p, size_t n, size_t size, gfp_t flags),
	(p, n, size, flags))
COMPARE(void *, kmemdup, (const void *from, size_t size, gfp_t flags),
	(from, size, flags))
COMPARE(size_t, ksize, (const void *p), (p))
COMPARE_VOID(kfree, (const void *p), (p))
COMPARE_VOID(kfree_sensitive, (const void *p), (p))
COMPARE(unsigned int, kmalloc_bulk, (size_t size, gfp_t flags, size_t nr, void **p),
	(size, flags, nr, p))
COMPARE_VOID(kfree_bulk, (size_t nr, void **p), (nr, p))
COMPARE_VOID(kfree_rcu, (struct delayed *p), (p, rcu))
COMPARE_VOID(kfree_rcu_mightsleep, (void *p), (p))
COMPARE(void *, kvmalloc, (size_t size, gfp_t flags), (size, flags))
COMPARE(void *, kvzalloc, (size_t size, gfp_t flags), (size, flags))
COMPARE(void *, kvmalloc_array, (size_t n, size_t size, gfp_t flags),
	(n, size, flags))
COMPARE(void *, kvcalloc, (size_t n, size_t size, gfp_t flags), (n, size, flags))
COMPARE_VOID(kvfree, (const void *p), (p))
COMPARE_VOID(kvfree_sensitive, (const void *p, size_t size), (p, size))

static void *its_kvrealloc(void *p, size_t old_size, size_t size, gfp_t flags)
{
	if (ours)
		return hkm_kvrealloc(p, old_size, size, flags);
	/* Since 6.10 a macro, and without the old size. */
#ifdef kvrealloc
	return kvrealloc(p, size, flags);
#else
	return kvrealloc(p, old_size, size, flags);
#endif
}

#define MAX_FACTS 64

struct fact {
	const char *name;
	u64 value;
	bool promised;
};

/* What one body found about one size on one side. */
struct record {
	size_t size;
	unsigned int nr;
	struct fact fact[MAX_FACTS];
};

typedef void body_fn(struct record *r);

static void note(struct record *r, const char *name, u64 value, bool promised)
{
	if (r->nr < MAX_FACTS)
		r->fact[r->nr] = (struct fact){ name, value, promised };
	r->nr++;
}

/* Must be the same on both sides. */
static void fact(struct record *r, const char *name, u64 value)
{
	note(r, name, value, false);
}

/* Documented, and so must hold on both sides. */
static void promise(struct record *r, const char *name, bool holds)
{
	note(r, name, holds, true);
}

/* What suite_init() got from the task that loads the module. */
static struct device *device;
static struct mm_struct *user_mm;
static u8 __user *user;

#define USER_BYTES SZ_2M

/* Every word of a buffer is told from the others, and from other seeds'. */
static u64 pattern(u64 seed, size_t at)
{
	return (seed + at + 1) * 0x9e3779b97f4a7c15ULL;
}

static void fill(void *p, size_t size, u64 seed)
{
	u64 word;
	size_t at;

	for (at = 0; at + sizeof(word) <= size; at += sizeof(word))
		*(u64 *)(p + at) = pattern(seed, at);
	word = pattern(seed, at);
	memcpy(p + at, &word, size - at);
}

static bool intact(const void *p, size_t size, u64 seed)
{
	u64 word;
	size_t at;

	for (at = 0; at + sizeof(word) <= size; at += sizeof(word))
		if (*(const u64 *)(p + at) != pattern(seed, at))
			return false;
	word = pattern(seed, at);
	return !memcmp(p + at, &word, size - at);
}

static bool zero(const void *p, size_t size)
{
	return hkm_kunit_filled(p, 0, size);
}

/* What is allocated next, of this size, may well be dirty. */
static void leave_dirt(struct record *r)
{
	void *p[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = its_kmalloc(r->size, GFP_KERNEL);
		if (p[i])
			memset(p[i], HKM_KUNIT_DIRT, r->size);
	}
	while (i--)
		its_kfree(p[i]);
}

/* How many blocks to hold at once: up to @max, but not much memory. */
static unsigned int how_many(size_t size, unsigned int max)
{
	return clamp_t(size_t, SZ_512K / size, 2, max);
}

static void address_facts(struct record *r)
{
	u8 *p = its_kmalloc(r->size, GFP_KERNEL), *last = p + r->size - 1;
	size_t align = is_power_of_2(r->size) ? r->size : ARCH_KMALLOC_MINALIGN;

	promise(r, "served", p);
	if (!p)
		return;
	fact(r, "usable bytes", its_ksize(p));
	promise(r, "all bytes usable", its_ksize(p) >= r->size);
	promise(r, "aligned", IS_ALIGNED((unsigned long)p, align));
	promise(r, "in the direct map",
		virt_addr_valid(p) && virt_addr_valid(last) && !is_vmalloc_addr(p));
	promise(r, "physically contiguous",
		virt_to_phys(last) - virt_to_phys(p) == r->size - 1);
	promise(r, "page found",
		page_address(virt_to_page(p)) == PTR_ALIGN_DOWN(p, PAGE_SIZE) &&
		page_address(virt_to_page(last)) == PTR_ALIGN_DOWN(last, PAGE_SIZE));
	/* Larger ones are no slab memory, and kernels differ about them. */
	if (r->size <= KMALLOC_MAX_CACHE_SIZE)
		fact(r, "sent by reference", sendpage_ok(virt_to_page(p)));
	*p = 1;
	*last = 2;
	promise(r, "writable to its last byte", READ_ONCE(*last) == 2);
	its_kfree(p);
}

static void alignment_facts(struct record *r)
{
	unsigned int nr = how_many(r->size, 8), small = 0, grain = 0, divisor = 0, i;
	size_t align = is_power_of_2(r->size) ? r->size : ARCH_KMALLOC_MINALIGN;
	void *p[8];

	for (i = 0; i < nr; i++) {
		p[i] = its_kmalloc(r->size, GFP_KERNEL);
		promise(r, "served", p[i]);
		small += !IS_ALIGNED((unsigned long)p[i], align);
		grain += !IS_ALIGNED((unsigned long)p[i], HKM_GRAIN_BYTES);
		divisor += !IS_ALIGNED((unsigned long)p[i], r->size & -r->size);
	}
	promise(r, "powers of two to their size", !small);
	/* More than was promised before 6.12, but all kernels do it. */
	if (r->size >= HKM_MIN_BYTES) {
		fact(r, "to 512", !grain);
		fact(r, "to the largest power of two that divides the size", !divisor);
	}
	for (i = 0; i < nr; i++)
		its_kfree(p[i]);
}

static void overlap_facts(struct record *r)
{
	unsigned int nr = how_many(r->size, 24), changed = 0, i;
	void *p[24];

	for (i = 0; i < nr; i++) {
		p[i] = its_kmalloc(r->size, GFP_KERNEL);
		promise(r, "served", p[i]);
		if (p[i])
			fill(p[i], r->size, i);
	}
	/* Every other one changes hands while its neighbours live. */
	for (i = 0; i < nr; i += 2) {
		changed += p[i] && !intact(p[i], r->size, i);
		its_kfree(p[i]);
	}
	for (i = 0; i < nr; i += 2) {
		p[i] = its_kmalloc(r->size, GFP_KERNEL);
		promise(r, "served again", p[i]);
		if (p[i])
			fill(p[i], r->size, nr + i);
	}
	for (i = 0; i < nr; i++) {
		changed += p[i] && !intact(p[i], r->size, i % 2 ? i : nr + i);
		its_kfree(p[i]);
	}
	promise(r, "all contents kept", !changed);
}

/* Leaves dirt for the next. */
static void cleared(struct record *r, const char *name, void *p)
{
	promise(r, name, p && zero(p, r->size));
	if (p)
		memset(p, HKM_KUNIT_DIRT, r->size);
	its_kvfree(p);
}

static void zeroing_facts(struct record *r)
{
	int node = numa_mem_id();

	leave_dirt(r);
	cleared(r, "__GFP_ZERO", its_kmalloc(r->size, GFP_KERNEL | __GFP_ZERO));
	cleared(r, "kzalloc", its_kzalloc(r->size, GFP_KERNEL));
	cleared(r, "kcalloc", its_kcalloc(1, r->size, GFP_KERNEL));
	cleared(r, "kzalloc_node", its_kzalloc_node(r->size, GFP_KERNEL, node));
	cleared(r, "kcalloc_node", its_kcalloc_node(r->size, 1, GFP_KERNEL, node));
	cleared(r, "krealloc", its_krealloc(NULL, r->size, GFP_KERNEL | __GFP_ZERO));
	cleared(r, "kvzalloc", its_kvzalloc(r->size, GFP_KERNEL));
	cleared(r, "kvcalloc", its_kvcalloc(1, r->size, GFP_KERNEL));
}

/*
 * What init_on_alloc and init_on_free promise to all who allocate. KASAN leaves
 * notes of its own in memory that was freed.
 */
static void boot_clearing_facts(struct record *r)
{
	bool clear = want_init_on_alloc(GFP_KERNEL) ||
		     (want_init_on_free() && !IS_ENABLED(CONFIG_KASAN));
	unsigned int i;

	for (i = 0; i < 3; i++) {
		u8 *p = its_kmalloc(r->size, GFP_KERNEL);

		promise(r, "served", p);
		if (!p)
			return;
		promise(r, "clear", !clear || zero(p, r->size));
		memset(p, HKM_KUNIT_DIRT, r->size);
		its_kfree(p);
	}
}

static void gfp_facts(struct record *r)
{
	static const struct {
		const char *name;
		gfp_t flags;
		size_t max;
	} request[] = {
		{ "GFP_KERNEL", GFP_KERNEL, SZ_2M },
		{ "GFP_NOFS", GFP_NOFS, SZ_2M },
		{ "GFP_NOIO", GFP_NOIO, SZ_2M },
		{ "GFP_ATOMIC", GFP_ATOMIC, SZ_128K },
		{ "GFP_ATOMIC, zeroed", GFP_ATOMIC | __GFP_ZERO, SZ_128K },
		{ "GFP_NOWAIT", GFP_NOWAIT | __GFP_NOWARN, SZ_128K },
		{ "__GFP_NORETRY", GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, SZ_128K },
		{ "__GFP_RETRY_MAYFAIL", GFP_KERNEL | __GFP_RETRY_MAYFAIL, SZ_2M },
		/* Above two pages, the page allocator warns of it. */
		{ "__GFP_NOFAIL", GFP_KERNEL | __GFP_NOFAIL, SZ_8K },
		{ "GFP_KERNEL_ACCOUNT", GFP_KERNEL_ACCOUNT, SZ_2M },
		{ "GFP_KERNEL_ACCOUNT, zeroed", GFP_KERNEL_ACCOUNT | __GFP_ZERO, SZ_2M },
		{ "__GFP_RECLAIMABLE", GFP_KERNEL | __GFP_RECLAIMABLE, SZ_2M },
		{ "__GFP_THISNODE", GFP_KERNEL | __GFP_THISNODE, SZ_2M },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(request); i++) {
		bool may_sleep = gfpflags_allow_blocking(request[i].flags);
		unsigned long irq_flags;
		u8 *p;

		if (r->size > request[i].max)
			continue;
		leave_dirt(r);
		if (!may_sleep)
			local_irq_save(irq_flags);
		p = its_kmalloc(r->size, request[i].flags);
		if (!may_sleep)
			local_irq_restore(irq_flags);
		promise(r, request[i].name,
			p && (!(request[i].flags & __GFP_ZERO) || zero(p, r->size)));
		if (p)
			memset(p, HKM_KUNIT_DIRT, r->size);
		if (!may_sleep)
			local_irq_save(irq_flags);
		its_kfree(p);
		if (!may_sleep)
			local_irq_restore(irq_flags);
	}
}

/* The zone is small, and so must the requests be. */
static void dma_zone_facts(struct record *r)
{
#ifdef CONFIG_ZONE_DMA
	u8 *p;

	if (r->size > SZ_64K)
		return;
	/* So that there is memory at hand, from another zone. */
	leave_dirt(r);
	p = its_kmalloc(r->size, GFP_KERNEL | __GFP_DMA);
	promise(r, "served", p);
	if (!p)
		return;
	promise(r, "zone", page_zonenum(virt_to_page(p)) == ZONE_DMA);
	promise(r, "below 16 MiB", virt_to_phys(p + r->size - 1) < SZ_16M);
	fill(p, r->size, 0);
	promise(r, "usable", intact(p, r->size, 0));
	its_kfree(p);
#endif
}

static void on_node(struct record *r, const char *name, int node, void *p)
{
	promise(r, name, p && page_to_nid(virt_to_page(p)) == node);
	its_kfree(p);
}

static void node_facts(struct record *r)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_THISNODE;
	int node;

	for_each_node_state(node, N_MEMORY) {
		on_node(r, "kmalloc_node", node,
			its_kmalloc_node(r->size, gfp, node));
		on_node(r, "kzalloc_node", node,
			its_kzalloc_node(r->size, gfp, node));
		on_node(r, "kmalloc_array_node", node,
			its_kmalloc_array_node(1, r->size, gfp, node));
		on_node(r, "kcalloc_node", node,
			its_kcalloc_node(1, r->size, gfp, node));
		on_node(r, "kmalloc_node, preferred", node,
			its_kmalloc_node(r->size, GFP_KERNEL, node));
	}
}

static void resize_facts(struct record *r)
{
	const size_t size = r->size;
	const size_t to[] = {
		size, size + 1, size - 1, size / 2 + 1, 2 * size,
		512, 3000, 9000, 40000, 100000,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(to); i++) {
		void *p, *q;

		if (!to[i])
			continue;
		p = its_kmalloc(size, GFP_KERNEL);
		promise(r, "served", p);
		if (!p)
			return;
		fill(p, size, i);
		q = its_krealloc(p, to[i], GFP_KERNEL);
		promise(r, "resized", q);
		if (q) {
			promise(r, "contents kept", intact(q, min(size, to[i]), i));
			promise(r, "usable", its_ksize(q) >= to[i]);
			memset(q, HKM_KUNIT_DIRT, to[i]);
		}
		if (to[i] <= size)
			fact(r, "shrinks in place", q == p);
		if (to[i] == size + 1)
			fact(r, "grows by a byte in place", q == p);
		its_kfree(q ?: p);
	}
}

/* Every call has __GFP_ZERO, as it must, for the rest to be zero. */
static void resize_zeroing_facts(struct record *r)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	const size_t size = r->size, less = size / 2 + 1;
	const size_t more[] = { size + 1, size + size / 3, 2 * size };
	unsigned int i;
	void *p;

	leave_dirt(r);
	for (i = 0; i < ARRAY_SIZE(more); i++) {
		p = its_kzalloc(size, GFP_KERNEL);
		promise(r, "served", p);
		if (!p)
			return;
		fill(p, size, i);
		p = its_krealloc(p, more[i], gfp);
		promise(r, "grows", p && intact(p, size, i) &&
			zero(p + size, more[i] - size));
		p = its_krealloc(p, less, gfp);
		promise(r, "shrinks", p && intact(p, min(less, size), i));
		p = its_krealloc(p, more[i], gfp);
		promise(r, "grows again", p && intact(p, min(less, size), i) &&
			zero(p + less, more[i] - less));
		its_kfree(p);
	}
}

static void resize_array_facts(struct record *r)
{
	void *p = its_kmalloc_array(r->size, 1, GFP_KERNEL);

	promise(r, "served", p);
	if (!p)
		return;
	fill(p, r->size, 0);
	p = its_krealloc_array(p, 2, r->size, GFP_KERNEL);
	promise(r, "grows", p && intact(p, r->size, 0));
	if (!p)
		return;
	fill(p, 2 * r->size, 1);
	p = its_krealloc_array(p, r->size, 1, GFP_KERNEL);
	promise(r, "shrinks", p && intact(p, r->size, 1));
	its_kfree(p);
}

#define SECRET 0x5ec4e75ec4e75ec4ULL

static void write_secret(u64 *p, size_t size)
{
	size_t i;

	for (i = 0; i < size / sizeof(*p); i++)
		p[i] = SECRET;
}

static bool has_secret(const u64 *p, size_t size)
{
	size_t i;

	for (i = 0; i < size / sizeof(*p); i++)
		if (p[i] == SECRET)
			return true;
	return false;
}

static void sensitive_facts(struct record *r)
{
	void *p;

	p = its_kmalloc(r->size, GFP_KERNEL);
	promise(r, "served", p);
	if (p)
		write_secret(p, r->size);
	its_kfree_sensitive(p);
	p = its_kmalloc(r->size, GFP_KERNEL);
	promise(r, "cleared by kfree_sensitive", p && !has_secret(p, r->size));
	its_kfree(p);

	p = its_kvmalloc(r->size, GFP_KERNEL);
	if (p)
		write_secret(p, r->size);
	its_kvfree_sensitive(p, r->size);
	p = its_kvmalloc(r->size, GFP_KERNEL);
	promise(r, "cleared by kvfree_sensitive", p && !has_secret(p, r->size));
	its_kvfree(p);
}

static void dup_facts(struct record *r)
{
	void *from = its_kmalloc(r->size, GFP_KERNEL), *p;

	promise(r, "served", from);
	if (!from)
		return;
	fill(from, r->size, 0);
	p = its_kmemdup(from, r->size, GFP_KERNEL);
	promise(r, "copied", p && p != from && intact(p, r->size, 0));
	promise(r, "left alone", intact(from, r->size, 0));
	its_kfree(from);
	its_kfree(p);
}

static void bulk_facts(struct record *r)
{
	static const gfp_t gfp[] = { GFP_KERNEL, GFP_KERNEL | __GFP_ZERO };
	unsigned int nr = how_many(r->size, 20), wrong, got, i, j;
	void *p[20];

	for (i = 0; i < ARRAY_SIZE(gfp); i++) {
		got = its_kmalloc_bulk(r->size, gfp[i], nr, p);
		promise(r, "all served", got == nr);
		if (got != nr)
			return;
		for (j = wrong = 0; j < nr; j++) {
			if (gfp[i] & __GFP_ZERO)
				wrong += !zero(p[j], r->size);
			fill(p[j], r->size, j);
		}
		promise(r, "clear", !wrong);
		for (j = 0; j < nr; j++)
			wrong += !intact(p[j], r->size, j);
		promise(r, "contents kept", !wrong);
		its_kfree_bulk(nr, p);
	}
	/* Allocated in bulk, freed singly; and the other way round. */
	promise(r, "served", its_kmalloc_bulk(r->size, GFP_KERNEL, 1, p));
	its_kfree(p[0]);
	p[0] = its_kmalloc(r->size, GFP_KERNEL);
	its_kfree_bulk(1, p);
}

static void kv_facts(struct record *r)
{
	void *p = its_kvmalloc(r->size, GFP_KERNEL);

	promise(r, "served", p);
	if (!p)
		return;
	/* Beyond that, it is a matter of what the page allocator has. */
	if (r->size <= SZ_128K)
		fact(r, "from vmalloc", is_vmalloc_addr(p));
	fill(p, r->size, 0);
	p = its_kvrealloc(p, r->size, 2 * r->size, GFP_KERNEL);
	promise(r, "grows", p && intact(p, r->size, 0));
	if (!p)
		return;
	fill(p, 2 * r->size, 1);
	p = its_kvrealloc(p, 2 * r->size, r->size, GFP_KERNEL);
	promise(r, "shrinks", p && intact(p, r->size, 1));
	p = its_kvrealloc(p, r->size, 2 * r->size, GFP_KERNEL | __GFP_ZERO);
	promise(r, "grows again", p && intact(p, r->size, 1));
	its_kvfree(p);

	leave_dirt(r);
	p = its_kvzalloc(r->size, GFP_KERNEL);
	if (p)
		fill(p, r->size, 2);
	p = its_kvrealloc(p, r->size, r->size + 700, GFP_KERNEL | __GFP_ZERO);
	promise(r, "the rest is zero", p && intact(p, r->size, 2) &&
		zero(p + r->size, 700));
	its_kvfree(p);

	p = its_kvmalloc_array(1, r->size, GFP_KERNEL);
	promise(r, "array", p);
	if (p)
		fill(p, r->size, 2);
	its_kvfree(p);
	/* What kmalloc() gave may be freed so too. */
	its_kvfree(its_kmalloc(r->size, GFP_KERNEL));
}

static void rcu_facts(struct record *r)
{
	struct delayed *p, *next;

	r->size = max(r->size, sizeof(*p));
	p = its_kmalloc(r->size, GFP_KERNEL);
	promise(r, "served", p);
	if (!p)
		return;
	p->before = SECRET;
	p->after = ~SECRET;
	rcu_read_lock();
	its_kfree_rcu(p);
	next = its_kmalloc(r->size, GFP_ATOMIC);
	promise(r, "not given out again", next && next != p);
	promise(r, "still there",
		READ_ONCE(p->before) == SECRET && READ_ONCE(p->after) == ~SECRET);
	rcu_read_unlock();
	its_kfree_rcu_mightsleep(next);
}

/* Hardened usercopy kills the task that copies what it should not. */
static void check_object(const u8 *p, size_t nr)
{
	check_object_size(p, nr, true);
	check_object_size(p, nr, false);
}

static void usercopy_facts(struct record *r)
{
	size_t size = min_t(size_t, r->size, USER_BYTES), at;
	u8 *p = its_kmalloc(r->size, GFP_KERNEL);
	unsigned long left = 0;

	promise(r, "served", p);
	if (!p)
		return;
	for (at = 0; at < size; at += 61) {
		check_object(p + at, 1);
		check_object(p + at, size - at);
		check_object(p, size - at);
	}
	check_object(p + size - 1, 1);

	fill(p, size, 0);
	for (at = 0; at < size; at += 61)
		left += copy_to_user(user + at, p + at, min_t(size_t, size - at, 61));
	memset(p, HKM_KUNIT_DIRT, size);
	/* And back, from the end, in parts of many lengths. */
	for (at = size; at; ) {
		size_t part = min(at, 61 + (size - at) / 3);

		at -= part;
		left += copy_from_user(p + at, user + at, part);
	}
	promise(r, "all copied", !left);
	promise(r, "as it was", intact(p, size, 0));
	its_kfree(p);
}

static void dma_facts(struct record *r)
{
	u8 *p = its_kmalloc(r->size, GFP_KERNEL);
	dma_addr_t addr;

	promise(r, "served", p);
	if (!p)
		return;
	fill(p, r->size, 0);
	addr = dma_map_single(device, p, r->size, DMA_BIDIRECTIONAL);
	promise(r, "mapped", !dma_mapping_error(device, addr));
	fact(r, "distance from the physical address", addr - virt_to_phys(p));
	dma_sync_single_for_cpu(device, addr, r->size, DMA_BIDIRECTIONAL);
	promise(r, "seen by the CPU", intact(p, r->size, 0));
	dma_unmap_single(device, addr, r->size, DMA_BIDIRECTIONAL);
	promise(r, "as it was", intact(p, r->size, 0));
	its_kfree(p);
}

static void scatterlist_facts(struct record *r)
{
	void *copy = its_kvmalloc(r->size, GFP_KERNEL);
	u8 *p = its_kmalloc(r->size, GFP_KERNEL);
	struct scatterlist sg[3];
	size_t third = r->size / 3, at, done;

	promise(r, "served", copy && p);
	if (!copy || !p)
		goto out;
	fill(p, r->size, 0);
	sg_init_one(sg, p, r->size);
	promise(r, "one entry, all copied",
		sg_copy_to_buffer(sg, 1, copy, r->size) == r->size);
	promise(r, "one entry, same bytes", intact(copy, r->size, 0));

	memset(p, HKM_KUNIT_DIRT, r->size);
	promise(r, "copied back",
		sg_copy_from_buffer(sg, 1, copy, r->size) == r->size);
	promise(r, "same bytes again", intact(p, r->size, 0));

	if (!third)
		goto out;
	/* Three parts of it, and copies that end anywhere in them. */
	sg_init_table(sg, ARRAY_SIZE(sg));
	sg_set_buf(&sg[0], p, third);
	sg_set_buf(&sg[1], p + third, third);
	sg_set_buf(&sg[2], p + 2 * third, r->size - 2 * third);
	memset(copy, HKM_KUNIT_DIRT, r->size);
	for (at = 0; at < r->size; at += done) {
		done = sg_pcopy_to_buffer(sg, ARRAY_SIZE(sg), copy + at,
					  third + 61, at);
		if (!done)
			break;
	}
	promise(r, "three entries, same bytes",
		at == r->size && intact(copy, r->size, 0));
out:
	its_kfree(p);
	its_kvfree(copy);
}

/* What just can be had, and what cannot. */
static void special_size_facts(struct record *r)
{
	static const size_t too_large[] = {
		KMALLOC_MAX_SIZE + 1, SIZE_MAX / 2, SIZE_MAX - PAGE_SIZE, SIZE_MAX,
	};
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;
	u8 *p = its_kmalloc(KMALLOC_MAX_SIZE, GFP_KERNEL);
	void *two[2];
	unsigned int i;

	promise(r, "the largest", p);
	if (p)
		p[KMALLOC_MAX_SIZE - 1] = 1;
	its_kfree(p);
	for (i = 0; i < ARRAY_SIZE(too_large); i++) {
		promise(r, "too large", !its_kmalloc(too_large[i], gfp));
		promise(r, "too large, zeroed", !its_kzalloc(too_large[i], gfp));
		promise(r, "too large, node",
			!its_kmalloc_node(too_large[i], gfp, numa_mem_id()));
	}
	promise(r, "too large, bulk",
		!its_kmalloc_bulk(KMALLOC_MAX_SIZE + 1, gfp, 2, two));
	promise(r, "too large for vmalloc", !its_kvmalloc(SIZE_MAX / 2, gfp));
	p = its_kvmalloc(KMALLOC_MAX_SIZE + 1, GFP_KERNEL);
	promise(r, "vmalloc", p && is_vmalloc_addr(p));
	if (p)
		p[KMALLOC_MAX_SIZE] = 1;
	p = its_kvrealloc(p, KMALLOC_MAX_SIZE + 1, KMALLOC_MAX_SIZE + SZ_64K,
			  GFP_KERNEL);
	promise(r, "vmalloc grows",
		p && is_vmalloc_addr(p) && p[KMALLOC_MAX_SIZE] == 1);
	its_kvfree(p);
}

static void nothing_facts(struct record *r)
{
	void *p[2];

	promise(r, "kmalloc", its_kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	promise(r, "kzalloc", its_kzalloc(0, GFP_ATOMIC) == ZERO_SIZE_PTR);
	promise(r, "kmalloc_node",
		its_kmalloc_node(0, GFP_KERNEL, numa_mem_id()) == ZERO_SIZE_PTR);
	promise(r, "kmalloc_array",
		its_kmalloc_array(0, SIZE_MAX, GFP_KERNEL) == ZERO_SIZE_PTR);
	promise(r, "kcalloc", its_kcalloc(SIZE_MAX, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	promise(r, "kmemdup", its_kmemdup(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	fact(r, "kvmalloc", (unsigned long)its_kvmalloc(0, GFP_KERNEL));
	promise(r, "ksize", !its_ksize(NULL) && !its_ksize(ZERO_SIZE_PTR));
	fact(r, "bulk of no blocks", its_kmalloc_bulk(100, GFP_KERNEL, 0, p));
	fact(r, "bulk of no bytes", its_kmalloc_bulk(0, GFP_KERNEL, 2, p));
	fact(r, "bulk of no bytes, the last", (unsigned long)p[1]);
	its_kfree_bulk(0, p);

	/* None of these may do anything. */
	its_kfree(NULL);
	its_kfree(ZERO_SIZE_PTR);
	its_kfree_sensitive(NULL);
	its_kfree_sensitive(ZERO_SIZE_PTR);
	its_kvfree(NULL);
	its_kvfree(ZERO_SIZE_PTR);
	its_kvfree_sensitive(NULL, 0);
	its_kfree_rcu(NULL);
}

static void resize_nothing_facts(struct record *r)
{
	static const size_t size[] = { 100, 3000, 9000, 100000 };
	unsigned int i;
	void *p;

	promise(r, "nothing to nothing",
		its_krealloc(NULL, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	for (i = 0; i < ARRAY_SIZE(size); i++) {
		p = its_krealloc(NULL, size[i], GFP_KERNEL);
		promise(r, "from NULL", p && its_ksize(p) >= size[i]);
		promise(r, "to nothing",
			its_krealloc(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
		p = its_krealloc(ZERO_SIZE_PTR, size[i], GFP_KERNEL);
		promise(r, "from no bytes", p && its_ksize(p) >= size[i]);
		if (!p)
			return;
		fill(p, size[i], i);
		promise(r, "too large",
			!its_krealloc(p, KMALLOC_MAX_SIZE + 1, GFP_KERNEL | __GFP_NOWARN));
		promise(r, "kept when too large", intact(p, size[i], i));
		its_kfree(p);
	}
}

static void overflow_facts(struct record *r)
{
	/* Wrapped around, twice @half is 2, and 6000 times @part is 8384. */
	const size_t half = SIZE_MAX / 2 + 2, part = SIZE_MAX / 6000 + 2;
	const gfp_t gfp = GFP_KERNEL;
	void *p = its_kmalloc(3000, gfp);

	promise(r, "served", p);
	if (!p)
		return;
	fill(p, 3000, 0);
	promise(r, "kmalloc_array",
		!its_kmalloc_array(half, 2, gfp) && !its_kmalloc_array(2, half, gfp));
	promise(r, "kmalloc_array, wrapped into the pool",
		!its_kmalloc_array(part, 6000, gfp));
	promise(r, "kcalloc",
		!its_kcalloc(half, 2, gfp) && !its_kcalloc(6000, part, gfp));
	promise(r, "kmalloc_array_node",
		!its_kmalloc_array_node(half, 2, gfp, NUMA_NO_NODE));
	promise(r, "kcalloc_node",
		!its_kcalloc_node(2, half, gfp, NUMA_NO_NODE));
	promise(r, "krealloc_array", !its_krealloc_array(p, half, 2, gfp) &&
		!its_krealloc_array(p, 6000, part, gfp));
	promise(r, "kvmalloc_array", !its_kvmalloc_array(half, 2, gfp));
	promise(r, "kvcalloc", !its_kvcalloc(6000, part, gfp));
	promise(r, "contents kept", intact(p, 3000, 0));
	its_kfree(p);
}

/*
 * Where the results may differ, and must somewhere in the sizes given. All else
 * is the same.
 */
static const struct difference {
	body_fn *body;
	const char *fact;
	size_t first, last;
} differences[] = {
	/* Blocks are not rounded up to a power of two: ksize() tells so, ... */
	{ address_facts, "usable bytes", 8193, 10752 },
	{ address_facts, "usable bytes", 32769, 53248 },
	/* ... krealloc() has less room to grow in place, ... */
	{ resize_facts, "grows by a byte in place", 8193, 10752 },
	{ resize_facts, "grows by a byte in place", 32769, 53248 },
	/* ... and 10.5 KiB blocks lie at multiples of 512. */
	{ alignment_facts, "to the largest power of two that divides the size",
	  8193, 10752 },
	/* Pages of the pool do not look like slab. */
	{ address_facts, "sent by reference", 1537, 8192 },
};

static const struct group {
	const char *name;
	size_t first, last;
} groups[] = {
	{ "below the pool", 1, 1536 },
	{ "2 KiB blocks", 1537, SZ_2K },
	{ "4 KiB blocks", SZ_2K + 1, SZ_4K },
	{ "8 KiB blocks", SZ_4K + 1, SZ_8K },
	{ "10.5 KiB blocks", SZ_8K + 1, 10752 },
	{ "16 KiB blocks", 10753, SZ_16K },
	{ "32 KiB blocks", SZ_16K + 1, SZ_32K },
	{ "52 KiB blocks", SZ_32K + 1, 53248 },
	{ "64 KiB blocks", 53249, SZ_64K },
	{ "128 KiB blocks", SZ_64K + 1, SZ_128K },
	{ "256 KiB blocks", SZ_128K + 1, SZ_256K },
	{ "512 KiB blocks", SZ_256K + 1, SZ_512K },
	{ "1 MiB blocks", SZ_512K + 1, SZ_1M },
	{ "above the pool", SZ_1M + 1, SZ_2M },
};

static void group_desc(const struct group *group, char *desc)
{
	strscpy(desc, group->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(group, groups, group_desc);

/* Cases run one at a time. */
static struct run {
	struct kunit *test;
	body_fn *body;
	struct record o, k;
	unsigned int facts;
	unsigned int shown[ARRAY_SIZE(differences)];
	bool failed;
} the_run;

static bool differs_by_design(struct run *run, const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++) {
		const struct difference *d = &differences[i];

		if (d->body == run->body && !strcmp(d->fact, name) &&
		    run->o.size >= d->first && run->o.size <= d->last) {
			run->shown[i]++;
			return true;
		}
	}
	return false;
}

static void compare_fact(struct run *run, const struct fact *o,
			 const struct fact *k)
{
	size_t size = run->o.size;

	if (strcmp(o->name, k->name)) {
		run->failed = true;
		KUNIT_FAIL(run->test, "%zu bytes: we come to \"%s\", kmalloc to \"%s\"",
			   size, o->name, k->name);
	} else if (o->value != k->value && !differs_by_design(run, o->name)) {
		run->failed = true;
		KUNIT_FAIL(run->test, "%zu bytes, \"%s\": %llu, kmalloc %llu",
			   size, o->name, o->value, k->value);
	} else if (k->promised && !k->value) {
		run->failed = true;
		KUNIT_FAIL(run->test, "%zu bytes, \"%s\" does not hold, nor for kmalloc",
			   size, o->name);
	}
}

/* Runs the body on both sides for one size. */
static void compare(struct run *run, size_t size)
{
	struct record *o = &run->o, *k = &run->k;
	unsigned int i;

	if (run->failed)
		return;
	o->size = size;
	k->size = size;
	o->nr = 0;
	k->nr = 0;
	ours = true;
	run->body(o);
	ours = false;
	run->body(k);
	o->size = size;
	KUNIT_EXPECT_LE(run->test, o->nr, MAX_FACTS);
	for (i = 0; i < min3(o->nr, k->nr, MAX_FACTS) && !run->failed; i++)
		compare_fact(run, &o->fact[i], &k->fact[i]);
	if (o->nr != k->nr && !run->failed) {
		run->failed = true;
		KUNIT_FAIL(run->test, "%zu bytes: %u facts, kmalloc %u", size,
			   o->nr, k->nr);
	}
	run->facts += o->nr;
}

static void compare_if_in(struct run *run, const struct group *group, size_t size)
{
	if (size >= group->first && size <= group->last)
		compare(run, size);
}

/* The ends of the group, powers of two, multiples of @step, and next to each. */
static void compare_group(struct run *run, const struct group *group, size_t step)
{
	size_t size;

	for (size = 1; size <= group->last; size *= 2) {
		compare_if_in(run, group, size - 1);
		compare_if_in(run, group, size);
		compare_if_in(run, group, size + 1);
	}
	for (size = round_up(group->first, step); size < group->last; size += step) {
		compare(run, size);
		compare(run, size + 1);
	}
	compare(run, group->first);
	compare(run, group->last - 1);
	compare(run, group->last);
}

/* Clearing megabytes takes its time, and KASAN does as much with its shadow. */
static bool memory_is_slow(void)
{
	return want_init_on_alloc(GFP_KERNEL) || want_init_on_free() ||
	       IS_ENABLED(CONFIG_KASAN);
}

/*
 * A cheap body sees all multiples of 512; others some sizes of each group, of
 * those above 128 KiB their ends.
 */
static void conform(struct kunit *test, body_fn *body, bool cheap)
{
	const struct group *group = test->param_value;
	struct run *run = &the_run;
	unsigned int i;

	*run = (struct run){ .test = test, .body = body };
	if (!group) {
		compare(run, 0);
	} else if (cheap) {
		compare_group(run, group, group->last > SZ_128K && memory_is_slow() ?
					  SZ_32K : 512);
	} else if (group->last > SZ_128K) {
		compare(run, group->first);
		compare(run, group->last);
	} else {
		compare_group(run, group,
			      roundup_pow_of_two(group->last - group->first) / 4);
	}
	if (run->failed)
		return;
	if (!run->facts)
		kunit_skip(test, "does not apply");
	for (i = 0; i < ARRAY_SIZE(differences) && group; i++) {
		const struct difference *d = &differences[i];

		if (d->body == body && d->first <= group->last &&
		    d->last >= group->first)
			KUNIT_EXPECT_GT_MSG(test, run->shown[i], 0,
					    "no longer differs: \"%s\"", d->fact);
	}
}

static void address(struct kunit *test)
{
	conform(test, address_facts, true);
}

static void usercopy(struct kunit *test)
{
	if (!user)
		kunit_skip(test, "loaded by no process");
	kthread_use_mm(user_mm);
	conform(test, usercopy_facts, false);
	kthread_unuse_mm(user_mm);
}

static void dma(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_HAS_DMA))
		kunit_skip(test, "no DMA on this machine");
	conform(test, dma_facts, false);
}

static void rcu(struct kunit *test)
{
	conform(test, rcu_facts, false);
	rcu_barrier();
}

#define CASE(name)							\
static void name(struct kunit *test)					\
{									\
	conform(test, name##_facts, false);				\
}

CASE(alignment)
CASE(overlap)
CASE(zeroing)
CASE(boot_clearing)
CASE(gfp)
CASE(dma_zone)
CASE(node)
CASE(resize)
CASE(resize_zeroing)
CASE(resize_array)
CASE(sensitive)
CASE(dup)
CASE(bulk)
CASE(kv)
CASE(scatterlist)
CASE(special_size)
CASE(nothing)
CASE(resize_nothing)
CASE(overflow)

static struct kunit_case conform_cases[] = {
	KUNIT_CASE_PARAM(address, group_gen_params),
	KUNIT_CASE_PARAM(alignment, group_gen_params),
	KUNIT_CASE_PARAM(overlap, group_gen_params),
	KUNIT_CASE_PARAM(zeroing, group_gen_params),
	KUNIT_CASE_PARAM(boot_clearing, group_gen_params),
	KUNIT_CASE_PARAM(gfp, group_gen_params),
	KUNIT_CASE_PARAM(dma_zone, group_gen_params),
	KUNIT_CASE_PARAM(node, group_gen_params),
	KUNIT_CASE_PARAM(resize, group_gen_params),
	KUNIT_CASE_PARAM(resize_zeroing, group_gen_params),
	KUNIT_CASE_PARAM(resize_array, group_gen_params),
	KUNIT_CASE_PARAM(sensitive, group_gen_params),
	KUNIT_CASE_PARAM(dup, group_gen_params),
	KUNIT_CASE_PARAM(bulk, group_gen_params),
	KUNIT_CASE_PARAM(kv, group_gen_params),
	KUNIT_CASE_PARAM(rcu, group_gen_params),
	KUNIT_CASE_PARAM(usercopy, group_gen_params),
	KUNIT_CASE_PARAM(dma, group_gen_params),
	KUNIT_CASE_PARAM(scatterlist, group_gen_params),
	KUNIT_CASE(special_size),
	KUNIT_CASE(nothing),
	KUNIT_CASE(resize_nothing),
	KUNIT_CASE(overflow),
	{}
};

/* Without a module: 6.1 has no sysfs directory for it yet. */
static int device_init(void)
{
	int err;

	if (!IS_ENABLED(CONFIG_HAS_DMA))
		return 0;
	device = __root_device_register("hkm_conform", NULL);
	if (IS_ERR(device))
		return PTR_ERR(device);
	device->dma_mask = &device->coherent_dma_mask;
	err = dma_set_mask_and_coherent(device, DMA_BIT_MASK(64));
	if (err)
		root_device_unregister(device);
	return err;
}

static void device_exit(void)
{
	if (IS_ENABLED(CONFIG_HAS_DMA))
		root_device_unregister(device);
}

/* Cases run on threads of the kernel; the task here is the module's loader. */
static int conform_init(struct kunit_suite *suite)
{
	int err = device_init();
	unsigned long addr;

	if (err || !current->mm)
		return err;
	addr = vm_mmap(NULL, 0, USER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	if (IS_ERR_VALUE(addr)) {
		device_exit();
		return addr;
	}
	user = (u8 __user *)addr;
	user_mm = current->mm;
	mmget(user_mm);
	return 0;
}

static void conform_exit(struct kunit_suite *suite)
{
	if (user) {
		vm_munmap((unsigned long)user, USER_BYTES);
		mmput(user_mm);
	}
	device_exit();
}

static struct kunit_suite conform_suite = {
	.name = "hakmem_conform",
	.suite_init = conform_init,
	.suite_exit = conform_exit,
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = conform_cases,
};

kunit_test_suites(&conform_suite);
