/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policy: everything the allocator may be tuned by, in one object that never
 * changes once it is published.
 */
#ifndef _HKM_POLICY_H
#define _HKM_POLICY_H

#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "decide.h"
#include "wmax.h"
#include "../pool/size_class.h"

enum hkm_dyn_mode {
	HKM_DYN_OFF,		/* classes keep the sizes that they have */
	HKM_DYN_ON,
	HKM_NR_DYN_MODES
};

/**
 * struct hkm_policy - one set of decisions
 * @generation: number of the policy, from 1 on
 * @cpu_budget_bytes: most that one CPU's rings and active pages may hold
 * @reserve_chunks: 64 KiB chunks kept on each node for callers that cannot sleep
 * @idle_ms: what a CPU or class has not used for this long is drained
 * @refill_bundle: most 64 KiB chunks that one refill takes
 * @w_max_pct: @w_max that was asked for
 * @w_max_mode: enum hkm_wmax_mode
 * @w_max_epoch: grows each time that others than the learner set @w_max
 * @w_max: a block of another class may serve, if it is no larger than this share of
 *	what was asked for; on CPUs of even and of odd numbers. With the learner
 *	off, as requested
 * @learner_enabled: whether the learner may change @cap_chunks, @w_max and @dyn_bytes,
 *	0 or 1
 * @learner_epoch: grows with each policy that has the learner off
 * @learner_interval_ms: how often it decides
 * @decide: what it goes by
 * @dyn_mode: whether @dyn_bytes is learned
 * @dyn_max: most dynamic classes that serve requests
 * @dyn_bytes: per dynamic class, size of its blocks if requests are served from it,
 *	else 0
 * @cap_requested: per class, @cap_chunks that were asked for
 * @ring_limit: per class, most slots of a CPU's ring
 * @cap_chunks: per class, 64 KiB chunks of free memory that it may hold on each
 *	node; with the learner off, as requested
 * @bundle: per class, spans that one refill takes; of large blocks, one
 * @next_class: per class, the next larger one that a request may be served from, up
 *	to 52 KiB; HKM_NR_CLASSES if there is none
 * @bin_of: per node, bin for each step of sizes, see hkm_size_step()
 * @rcu: for the policy that took its place
 *
 * Readers use RCU with preemption off.
 */
struct hkm_policy {
	u32 generation;
	u32 cpu_budget_bytes;
	u32 reserve_chunks;
	u32 idle_ms;
	u32 refill_bundle;
	u32 w_max_pct;
	u32 w_max_mode;
	u32 w_max_epoch;
	u32 w_max[2];
	u32 learner_enabled;
	u32 learner_epoch;
	u32 learner_interval_ms;
	struct hkm_decide_params decide;
	u32 dyn_mode;
	u32 dyn_max;
	u32 dyn_bytes[HKM_NR_DYN];
	u32 cap_requested[HKM_NR_CLASSES];
	u32 ring_limit[HKM_NR_CLASSES];
	u32 cap_chunks[HKM_NR_CLASSES];
	/* What follows is worked out from the above by hkm_policy_commit(). */
	u8 bundle[HKM_NR_CLASSES];
	u8 next_class[HKM_NR_CLASSES];
	u8 bin_of[HKM_MAX_NODES][HKM_NR_STEPS];
	struct rcu_head rcu;
};

extern struct hkm_policy __rcu *hkm_policy;
/*
 * The row of the policy's bin_of that a CPU's requests go by: its node's. So they
 * pay for one load to find the policy, and none to find the node.
 */
DECLARE_PER_CPU(const u8 *, hkm_bin_of);
/* That node. */
DECLARE_PER_CPU(int, hkm_near_nid);

/*
 * Bins of this CPU's node, by hkm_size_step(). As rcu_dereference_sched(), which
 * takes no per-CPU variable: read once (__this_cpu_read() may not be), and what it
 * points at depends on it.
 */
static __always_inline const u8 *hkm_policy_bins(void)
{
	return this_cpu_read(hkm_bin_of);
}

/* Bounds of what may be asked for. */
#define HKM_RESERVE_CHUNKS_MAX		256
#define HKM_CPU_BUDGET_BYTES_MIN	SZ_64K
#define HKM_CPU_BUDGET_BYTES_MAX	(64 * SZ_1M)
#define HKM_IDLE_MS_MIN			1000
#define HKM_IDLE_MS_MAX			3600000
#define HKM_REFILL_BUNDLE_MAX		HKM_SPAN_MAX_CHUNKS
#define HKM_W_MAX_PCT_MIN		100
#define HKM_W_MAX_PCT_MAX		200
#define HKM_INTERVAL_MS_MIN		100
#define HKM_INTERVAL_MS_MAX		2000	/* shorter than a slice of hold_ms */
#define HKM_DWELL_MS_MAX		3600000
#define HKM_BUDGET_CHUNKS_MAX		(1U << 20)

void hkm_policy_set_w_max(struct hkm_policy *policy);
void hkm_policy_publish(struct hkm_policy *policy);
void hkm_policy_cpu_comes(int cpu);
struct hkm_policy *hkm_policy_edit(void);
int hkm_policy_commit(struct hkm_policy *policy);
void hkm_policy_abort(struct hkm_policy *policy);

int hkm_policy_init(void);
void hkm_policy_exit(void);

#endif /* _HKM_POLICY_H */
