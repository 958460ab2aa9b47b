/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policy: everything the allocator may be tuned by, in one object that never
 * changes once it is published.
 */
#ifndef _HKM_POLICY_H
#define _HKM_POLICY_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include "../pool/size_class.h"

/**
 * struct hkm_policy - one set of decisions
 * @cpu_budget_bytes: most that one CPU's rings and active pages may hold
 * @idle_ms: what a CPU or class has not used for this long is drained
 * @cap_chunks: per class, 64 KiB chunks of free memory that it may hold
 * @bundle: per class, spans that one refill takes, 1 to 4 chunks in all
 * @class_of: class for each step of sizes, see hkm_size_step()
 *
 * Readers use RCU with preemption off.
 */
struct hkm_policy {
	u32 cpu_budget_bytes;
	u32 idle_ms;
	u16 cap_chunks[HKM_NR_CLASSES];
	u8 bundle[HKM_NR_CLASSES];
	u8 class_of[HKM_NR_STEPS];
};

extern struct hkm_policy __rcu *hkm_policy;

int hkm_policy_init(void);
void hkm_policy_exit(void);

#endif /* _HKM_POLICY_H */
