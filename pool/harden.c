// SPDX-License-Identifier: GPL-2.0
/*
 * Reports of callers' mistakes, each kind once.
 */
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/random.h>

#include "chunk.h"
#include "harden.h"
#include "../include/hkm_compat.h"

/* Set once, before the first chunk exists. */
unsigned long hkm_secret __ro_after_init;
EXPORT_SYMBOL_IF_KUNIT(hkm_secret);

static unsigned long reported;

static const char * const misuse_text[HKM_NR_MISUSES] = {
	[HKM_DOUBLE_FREE]   = "double free",
	[HKM_INTERIOR_FREE] = "free of an address that starts no block",
	[HKM_FOREIGN_FREE]  = "free of memory that no allocator gave out",
	[HKM_STRAY_KFREE]   = "kfree() of pool memory",
};

void __init hkm_harden_init(void)
{
	hkm_secret = get_random_long();
}

/**
 * hkm_report() - tell of a caller's mistake
 * @what: kind; only the first of each kind is printed
 * @p: the pointer in question
 * @site: return address of the call, 0 where unknown
 *
 * Context: Any, NMI included.
 */
void hkm_report(enum hkm_misuse what, const void *p, unsigned long site)
{
	const struct hkm_chunk *chunk;

	if (test_and_set_bit(what, &reported))
		return;

	preempt_disable();
	chunk = hkm_chunk_lookup(p);
	if (chunk)
		pr_err("%s: %px, class %s, chunk %px, by %pS; refused\n",
		       misuse_text[what], p,
		       hkm_classes[chunk->class_id].name, chunk->base,
		       (void *)site);
	else
		pr_err("%s: %px, by %pS; refused\n", misuse_text[what], p,
		       (void *)site);
	preempt_enable();
}
