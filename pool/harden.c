// SPDX-License-Identifier: GPL-2.0
/*
 * Reports of callers' mistakes, each kind once.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <trace/events/hakmem.h>

#include "chunk.h"
#include "debug.h"
#include "harden.h"
#include "../include/hkm_compat.h"

/* Set once, before the first chunk exists. */
unsigned long hkm_secret __ro_after_init;
EXPORT_SYMBOL_IF_KUNIT(hkm_secret);

static unsigned long reported;

#if IS_ENABLED(CONFIG_KUNIT)
/* Test hook: reports of each kind, those not printed too. */
atomic_long_t hkm_test_reports[HKM_NR_MISUSES];
EXPORT_SYMBOL_IF_KUNIT(hkm_test_reports);

static void test_report_count(enum hkm_misuse what)
{
	atomic_long_add(1, &hkm_test_reports[what]);
}
#else
static void test_report_count(enum hkm_misuse what) { }
#endif

static const char * const misuse_text[HKM_NR_MISUSES] = {
	[HKM_DOUBLE_FREE]   = "double free",
	[HKM_INTERIOR_FREE] = "free of an address that starts no block",
	[HKM_FOREIGN_FREE]  = "free of memory that no allocator gave out",
	[HKM_STRAY_KFREE]   = "kfree() of pool memory",
	[HKM_WRITE_AFTER_FREE] = "write after free",
	[HKM_WRITE_PAST_END] = "write past the end of a block",
	[HKM_WRITE_BEFORE]  = "write before the start of a block",
};

void __init hkm_harden_init(void)
{
	hkm_secret = get_random_long();
}

/* Prints the first of each kind; all are traced. */
static void report(enum hkm_misuse what, const void *p, unsigned long site,
		   struct va_format *detail)
{
	const char *text = misuse_text[what], *class;
	const struct hkm_track *track;
	const struct hkm_chunk *chunk;

	trace_misuse(what, p, site);
	test_report_count(what);
	if (test_and_set_bit(what, &reported))
		return;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	track = chunk ? hkm_debug_track(chunk, p) : NULL;
	class = chunk ? hkm_classes[chunk->bin].name : NULL;
	if (!chunk)
		pr_err("%s: %px, %pV\n", text, p, detail);
	else if (!track)
		pr_err("%s: %px, class %s, chunk %px, %pV\n", text, p, class,
		       chunk->base, detail);
	else if (!track->free_site)
		pr_err("%s: %px, class %s, chunk %px, %pV, allocated by %pS\n",
		       text, p, class, chunk->base, detail,
		       (void *)track->alloc_site);
	else
		pr_err("%s: %px, class %s, chunk %px, %pV, allocated by %pS, freed by %pS\n",
		       text, p, class, chunk->base, detail,
		       (void *)track->alloc_site, (void *)track->free_site);
	preempt_enable();
}

/**
 * hkm_report() - tell of a caller's mistake
 * @what: kind; only the first of each kind is printed
 * @p: the pointer in question
 * @site: return address of the call, 0 where unknown
 * @fmt: what else there is to say
 *
 * Context: Any, NMI included.
 */
void hkm_report(enum hkm_misuse what, const void *p, unsigned long site,
		const char *fmt, ...)
{
	struct va_format detail = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	detail.va = &args;
	report(what, p, site, &detail);
	va_end(args);
}

/**
 * hkm_report_refused() - tell of a call that was refused
 * @what: kind; only the first of each kind is printed
 * @p: the pointer in question
 * @site: return address of the call, 0 where unknown
 *
 * Context: Any, NMI included.
 */
void hkm_report_refused(enum hkm_misuse what, const void *p, unsigned long site)
{
	hkm_report(what, p, site, "by %pS; refused", (void *)site);
}
