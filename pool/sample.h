/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples: now and then a block that faults when it is misused.
 */
#ifndef _HKM_SAMPLE_H
#define _HKM_SAMPLE_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/types.h>

#include "size_class.h"

/* The largest sample. A power of two: its end suits all alignments. */
#define HKM_SAMPLE_BYTES	HKM_CHUNK_BYTES

struct hkm_sample;

/* The slot that waits for a request, or NULL. */
extern struct hkm_sample *hkm_sample_gate;

/*
 * The slot that waits, which then is the caller's; mostly there is none. Pairs with
 * the smp_store_release() in gate_open().
 */
static inline struct hkm_sample *hkm_sample_claim(void)
{
	if (likely(!READ_ONCE(hkm_sample_gate)))
		return NULL;
	return xchg(&hkm_sample_gate, NULL);
}

int hkm_sample_init(unsigned int interval_ms);
void hkm_sample_start(void);
void hkm_sample_exit(void);

void *hkm_sample_alloc(struct hkm_sample *sample, size_t size, gfp_t flags,
		       unsigned int bin, unsigned long site);
bool hkm_sample_free(const void *p, unsigned long site);
bool hkm_sample_owns(const void *p);
size_t hkm_sample_size(const void *p);
void *hkm_sample_block_of(const void *p);

#if IS_ENABLED(CONFIG_KUNIT)
void hkm_test_sample_next(void);
void hkm_test_sample_settle(void);
#endif

#endif /* _HKM_SAMPLE_H */
