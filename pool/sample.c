// SPDX-License-Identifier: GPL-2.0
/*
 * Samples: now and then a block that faults when it is misused (the idea of
 * KFENCE).
 *
 * About once per interval one request is served from a slot of its own: 64 KiB
 * of virtual memory with the block at its end, where a guard page follows. The
 * block is aligned as the pool's are, so that up to 511 bytes may lie between;
 * they, and all in front of the block, hold a pattern which is checked when it
 * is freed. Then the slot is unmapped. So a write past the block's end, and any
 * access after it was freed, hits no memory: the kernel oopses at the instruction
 * that did it, and here we add whose block it was.
 *
 * The hot path has no part in it: when a slot is ready, all requests are
 * watched (watch.c), and the first to come takes it.
 *
 *	UNMAPPED -> READY	tick: the slot unmapped longest is mapped and put
 *				in the gate
 *	READY -> LIVE		by the request that took it out of the gate
 *	LIVE -> FREEING		by the free that wins the cmpxchg; others are
 *				refused
 *	FREEING -> FREED	by that free, in any context, NMI included
 *	FREED -> UNMAPPED	by settle(), as unmapping may sleep
 *
 * A slot belongs to whoever moves it on. sample_lock is held by tick and
 * settle().
 *
 * Limits: the memory is contiguous for the processor only, nothing for
 * virt_to_phys(), DMA or scatterlists. The addresses are the kernel's once they
 * are unmapped: what is used long after it was freed may hit another mapping.
 * From free to unmapping a write is not a fault, but seen and reported. Samples
 * are not in the pool's counts of blocks.
 */
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kdebug.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/poison.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <trace/events/hakmem.h>

#include "cpu_cache.h"
#include "harden.h"
#include "sample.h"
#include "size_class.h"
#include "tools.h"
#include "watch.h"
#include "../include/hkm_compat.h"

#define HKM_SAMPLE_MAX_MS	3600000
#define HKM_SAMPLE_SLOTS	16
#define HKM_SAMPLE_PAGES	(HKM_SAMPLE_BYTES / PAGE_SIZE)
#define HKM_SAMPLE_FILL		POISON_FREE

enum sample_state {
	SAMPLE_UNMAPPED,
	SAMPLE_READY,
	SAMPLE_LIVE,
	SAMPLE_FREEING,
	SAMPLE_FREED,
};

/**
 * struct hkm_sample - one slot
 * @state: enum sample_state
 * @base: start of the mapping; once unmapped, where it was
 * @page: its pages, the slot's until exit
 * @unmapped: number of its latest unmapping, counted over all slots
 * @size: bytes asked for; 0 if nobody had it since it was mapped
 * @bin: class of the request
 * @alloc_site: return address of the allocation
 * @free_site: return address of the free; 0 if not freed
 */
struct hkm_sample {
	atomic_t state;
	void *base;
	struct page *page[HKM_SAMPLE_PAGES];
	unsigned long unmapped;
	u32 size;
	u8 bin;
	unsigned long alloc_site;
	unsigned long free_site;
};

static struct hkm_sample samples[HKM_SAMPLE_SLOTS];

struct hkm_sample *hkm_sample_gate;
EXPORT_SYMBOL_IF_KUNIT(hkm_sample_gate);

/* Set at init; 0: no samples. */
static unsigned int interval_ms;

static DEFINE_MUTEX(sample_lock);
/* Protected by sample_lock. */
static bool watching;
static unsigned long nr_unmapped;

static void tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(tick_work, tick);
static void settle(struct work_struct *work);
static DECLARE_WORK(settle_work, settle);

/* In between, as requests and frees may come in NMI context. */
static void settle_soon(struct irq_work *work)
{
	schedule_work(&settle_work);
}

static DEFINE_IRQ_WORK(settle_irq_work, settle_soon);

/* With the alignment that the pool gives: by size for powers of two. */
static void *block_of(const struct hkm_sample *sample)
{
	u32 align = is_power_of_2(sample->size) ? sample->size : HKM_GRAIN_BYTES;

	return sample->base + HKM_SAMPLE_BYTES - round_up(sample->size, align);
}

/*
 * The slot that an address lies in. Of those unmapped, only if nothing else lies
 * there by now.
 */
static struct hkm_sample *slot_find(const void *p)
{
	struct hkm_sample *stale = NULL;
	unsigned int i;

	if (!is_vmalloc_addr(p))
		return NULL;
	for (i = 0; i < HKM_SAMPLE_SLOTS; i++) {
		struct hkm_sample *sample = &samples[i];
		unsigned long offset = p - READ_ONCE(sample->base);

		if (offset >= HKM_SAMPLE_BYTES)
			continue;
		if (atomic_read(&sample->state) != SAMPLE_UNMAPPED)
			return sample;
		stale = sample;
	}
	return stale && !vmalloc_to_page(p) ? stale : NULL;
}

static bool slot_pages_get(struct hkm_sample *sample)
{
	unsigned int i;

	for (i = 0; i < HKM_SAMPLE_PAGES; i++) {
		if (!sample->page[i])
			sample->page[i] = alloc_page(GFP_KERNEL | __GFP_NOWARN);
		if (!sample->page[i])
			return false;
	}
	return true;
}

static bool slot_map(struct hkm_sample *sample)
{
	void *base;

	if (!slot_pages_get(sample))
		return false;
	/* VM_IOREMAP for nothing but the alignment to the size that it brings. */
	BUILD_BUG_ON(HKM_SAMPLE_BYTES > 1UL << IOREMAP_MAX_ORDER);
	base = vmap(sample->page, HKM_SAMPLE_PAGES, VM_MAP | VM_IOREMAP,
		    PAGE_KERNEL);
	if (!base)
		return false;
	memset(base, HKM_SAMPLE_FILL, HKM_SAMPLE_BYTES);
	sample->size = 0;
	sample->alloc_site = 0;
	sample->free_site = 0;
	WRITE_ONCE(sample->base, base);
	atomic_set(&sample->state, SAMPLE_READY);
	return true;
}

/* Nobody reaches the memory any more: what was written to it shows now. */
static void freed_check(const struct hkm_sample *sample)
{
	const void *start, *bad;
	unsigned int i;

	for (i = 0; i < HKM_SAMPLE_PAGES; i++) {
		start = page_address(sample->page[i]);
		bad = memchr_inv(start, HKM_SAMPLE_FILL, PAGE_SIZE);
		if (!bad)
			continue;
		bad = sample->base + i * PAGE_SIZE + (bad - start);
		hkm_report(HKM_WRITE_AFTER_FREE, block_of(sample), 0,
			   "offset %td in a sample of %u bytes, allocated by %pS, freed by %pS",
			   bad - block_of(sample), sample->size,
			   (void *)sample->alloc_site, (void *)sample->free_site);
		return;
	}
}

static void slot_unmap(struct hkm_sample *sample)
{
	/* First: then whoever gets the addresses next is not taken for us. */
	atomic_set(&sample->state, SAMPLE_UNMAPPED);
	sample->unmapped = ++nr_unmapped;
	vunmap(sample->base);
	/* Else other CPUs, and this one, could go on by what their TLBs hold. */
	vm_unmap_aliases();
}

static void freed_unmap(void)
{
	unsigned int i;

	for (i = 0; i < HKM_SAMPLE_SLOTS; i++) {
		struct hkm_sample *sample = &samples[i];

		/* Pairs with the atomic_set_release() in slot_retire(). */
		if (atomic_read_acquire(&sample->state) != SAMPLE_FREED)
			continue;
		hkm_leak_free(block_of(sample));
		slot_unmap(sample);
		freed_check(sample);
	}
}

/* The slot unmapped longest, so that late accesses are still seen; or NULL. */
static struct hkm_sample *slot_oldest(void)
{
	struct hkm_sample *oldest = NULL;
	unsigned int i;

	for (i = 0; i < HKM_SAMPLE_SLOTS; i++) {
		struct hkm_sample *sample = &samples[i];

		if (atomic_read(&sample->state) == SAMPLE_UNMAPPED &&
		    (!oldest || sample->unmapped < oldest->unmapped))
			oldest = sample;
	}
	return oldest;
}

static void tick_later(void)
{
	schedule_delayed_work(&tick_work, msecs_to_jiffies(interval_ms));
}

static bool gate_open(void)
{
	struct hkm_sample *sample = slot_oldest();

	if (!sample || !slot_map(sample))
		return false;
	/* Pairs with the xchg() in hkm_sample_claim(). */
	smp_store_release(&hkm_sample_gate, sample);
	hkm_watch_get();
	watching = true;
	return true;
}

/* An interval is over. Where all slots are in use, so is the next. */
static void tick(struct work_struct *work)
{
	mutex_lock(&sample_lock);
	if (!gate_open())
		tick_later();
	mutex_unlock(&sample_lock);
}

/* A sample was taken, or freed. */
static void settle(struct work_struct *work)
{
	mutex_lock(&sample_lock);
	freed_unmap();
	if (watching && !READ_ONCE(hkm_sample_gate)) {
		hkm_watch_put();
		watching = false;
		tick_later();
	}
	mutex_unlock(&sample_lock);
}

/**
 * hkm_sample_alloc() - serve a request with a sample
 * @sample: what hkm_sample_claim() returned
 * @size: bytes wanted, of the pool's sizes, up to HKM_SAMPLE_BYTES
 * @flags: the caller's
 * @bin: class of the request
 * @site: return address of the call
 *
 * Context: Any, NMI included.
 * Return: the block.
 */
void *hkm_sample_alloc(struct hkm_sample *sample, size_t size, gfp_t flags,
		       unsigned int bin, unsigned long site)
{
	void *block;

	sample->size = size;
	sample->bin = bin;
	sample->alloc_site = site;
	block = block_of(sample);
	atomic_set(&sample->state, SAMPLE_LIVE);
	if (want_init_on_alloc(flags))
		memset(block, 0, size);
	hkm_count(bin, HKM_samples);
	hkm_leak_alloc(block, size, flags);
	trace_alloc(site, block, size, size, flags, bin);
	irq_work_queue(&settle_irq_work);
	return block;
}

/* A live sample was freed: no one else touches the slot now. */
static void slot_retire(struct hkm_sample *sample, unsigned long site)
{
	void *block = block_of(sample), *past = block + sample->size;
	void *end = sample->base + HKM_SAMPLE_BYTES;
	const void *bad;

	sample->free_site = site;
	bad = memchr_inv(sample->base, HKM_SAMPLE_FILL, block - sample->base);
	if (bad)
		hkm_report(HKM_WRITE_BEFORE, block, site,
			   "offset %td from a sample of %u bytes, allocated by %pS, freed by %pS",
			   bad - block, sample->size,
			   (void *)sample->alloc_site, (void *)site);
	bad = memchr_inv(past, HKM_SAMPLE_FILL, end - past);
	if (bad)
		hkm_report(HKM_WRITE_PAST_END, block, site,
			   "offset %td in a sample of %u bytes, allocated by %pS, freed by %pS",
			   bad - block, sample->size,
			   (void *)sample->alloc_site, (void *)site);
	trace_free(site, block, sample->bin);
	memset(sample->base, HKM_SAMPLE_FILL, HKM_SAMPLE_BYTES);
	/* Pairs with the atomic_read_acquire() in freed_unmap(). */
	atomic_set_release(&sample->state, SAMPLE_FREED);
	irq_work_queue(&settle_irq_work);
}

/**
 * hkm_sample_free() - free a sample
 * @p: any address that lies in no chunk
 * @site: return address of the call
 *
 * Reports and refuses what starts no sample, or one that is free already.
 *
 * Context: Any, NMI included.
 * Return: false if @p does not lie in a slot.
 */
bool hkm_sample_free(const void *p, unsigned long site)
{
	struct hkm_sample *sample = slot_find(p);

	if (!sample)
		return false;
	if (p != block_of(sample)) {
		hkm_count(sample->bin, HKM_rejects);
		hkm_report(HKM_INTERIOR_FREE, p, site,
			   "by %pS; refused; offset %td in a sample of %u bytes, allocated by %pS",
			   (void *)site, p - block_of(sample), sample->size,
			   (void *)sample->alloc_site);
	} else if (atomic_cmpxchg(&sample->state, SAMPLE_LIVE, SAMPLE_FREEING) !=
		   SAMPLE_LIVE) {
		hkm_count(sample->bin, HKM_rejects);
		hkm_report(HKM_DOUBLE_FREE, p, site,
			   "by %pS; refused; a sample of %u bytes, allocated by %pS, freed by %pS",
			   (void *)site, sample->size,
			   (void *)sample->alloc_site, (void *)sample->free_site);
	} else {
		slot_retire(sample, site);
	}
	return true;
}

/**
 * hkm_sample_owns() - tell whether an address lies in a slot
 * @p: any address
 *
 * Context: Any.
 * Return: true also for a sample that was freed, until something else is there.
 */
bool hkm_sample_owns(const void *p)
{
	return slot_find(p);
}

/**
 * hkm_sample_size() - usable size of a sample
 * @p: any address
 *
 * Context: Any.
 * Return: bytes asked for, if a live sample starts there; else 0.
 */
size_t hkm_sample_size(const void *p)
{
	const struct hkm_sample *sample = slot_find(p);

	if (!sample || atomic_read(&sample->state) != SAMPLE_LIVE ||
	    p != block_of(sample))
		return 0;
	return sample->size;
}

/**
 * hkm_sample_block_of() - find the sample that an address lies in
 * @p: an address in a sample that the caller holds
 *
 * Return: the block.
 */
void *hkm_sample_block_of(const void *p)
{
	return block_of(slot_find(p));
}

#if defined(CONFIG_X86) && !defined(CONFIG_UML)
static const void *fault_address(void)
{
	return (void *)read_cr2();
}
#else
static const void *fault_address(void)
{
	return NULL;
}
#endif

/* Adds to an oops whose memory it was that the fault hit. */
static int sample_oops(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	const void *p = fault_address();
	const struct hkm_sample *sample;

	if (action != DIE_OOPS)
		return NOTIFY_DONE;
	/* Or in the guard page behind. */
	sample = slot_find(p) ?: slot_find(p - PAGE_SIZE);
	if (!sample || !sample->alloc_site)
		return NOTIFY_DONE;
	if (sample->free_site)
		pr_err("fault at %px: offset %td in a sample of %u bytes, allocated by %pS, freed by %pS\n",
		       p, p - block_of(sample), sample->size,
		       (void *)sample->alloc_site, (void *)sample->free_site);
	else
		pr_err("fault at %px: offset %td in a sample of %u bytes, allocated by %pS\n",
		       p, p - block_of(sample), sample->size,
		       (void *)sample->alloc_site);
	return NOTIFY_DONE;
}

static struct notifier_block sample_oops_nb = {
	.notifier_call = sample_oops,
};

/**
 * hkm_sample_init() - choose how often to sample
 * @ms: interval in milliseconds, up to an hour; 0 for never
 *
 * Context: Module init.
 * Return: 0, or -EINVAL if it is longer.
 */
int hkm_sample_init(unsigned int ms)
{
	if (ms > HKM_SAMPLE_MAX_MS)
		return -EINVAL;
	interval_ms = ms;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_sample_init);

/* Begins to sample, if so asked. */
void hkm_sample_start(void)
{
	if (!interval_ms)
		return;
	register_die_notifier(&sample_oops_nb);
	tick_later();
}
EXPORT_SYMBOL_IF_KUNIT(hkm_sample_start);

/* Gives a slot's memory back, unless it is somebody's still. */
static void slot_release(struct hkm_sample *sample)
{
	unsigned int i;

	if (atomic_read(&sample->state) == SAMPLE_LIVE) {
		pr_err("still in use: %px, a sample of %u bytes, allocated by %pS; its memory stays allocated\n",
		       block_of(sample), sample->size,
		       (void *)sample->alloc_site);
		return;
	}
	if (atomic_read(&sample->state) == SAMPLE_READY)
		slot_unmap(sample);
	for (i = 0; i < HKM_SAMPLE_PAGES; i++)
		if (sample->page[i])
			__free_page(sample->page[i]);
	memset(sample, 0, sizeof(*sample));
}

/**
 * hkm_sample_exit() - end sampling, after the last call of a client
 *
 * Samples that are still in use are named, and their memory is leaked.
 *
 * Context: Task; may sleep.
 */
void hkm_sample_exit(void)
{
	unsigned int i;

	if (!interval_ms)
		return;
	/* Each may start the next; without requests, tick starts nothing. */
	irq_work_sync(&settle_irq_work);
	/* It may be ending on another CPU than the one waited for. */
	synchronize_rcu();
	cancel_work_sync(&settle_work);
	cancel_delayed_work_sync(&tick_work);
	unregister_die_notifier(&sample_oops_nb);
	hkm_sample_gate = NULL;
	if (watching)
		hkm_watch_put();
	watching = false;
	freed_unmap();
	for (i = 0; i < HKM_SAMPLE_SLOTS; i++)
		slot_release(&samples[i]);
	interval_ms = 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_sample_exit);

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: has what was taken and freed dealt with. */
void hkm_test_sample_settle(void)
{
	irq_work_sync(&settle_irq_work);
	flush_work(&settle_work);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_sample_settle);

/* Test hook: ends the interval now. */
void hkm_test_sample_next(void)
{
	hkm_test_sample_settle();
	cancel_delayed_work_sync(&tick_work);
	tick(NULL);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_test_sample_next);
#endif
