/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The learner's laws: from what was counted in a window of time to the CAPs of
 * the next. Pure functions; see Documentation/learner.md.
 */
#ifndef _HKM_DECIDE_H
#define _HKM_DECIDE_H

#include <linux/types.h>

#include "../pool/size_class.h"

/* Parts that the time a class is watched for is divided into. */
#define HKM_SLICES		8
/* Times that are remembered which it took a class to use again what it keeps. */
#define HKM_WAITS		8

/**
 * enum hkm_controller - which law decides
 * @HKM_CONTROLLER_STEP: keeps the hit rate in a band by fixed steps
 * @HKM_CONTROLLER_COST: keeps what saves more than it costs
 * @HKM_NR_CONTROLLERS: their number
 */
enum hkm_controller {
	HKM_CONTROLLER_STEP,
	HKM_CONTROLLER_COST,
	HKM_NR_CONTROLLERS
};

/**
 * enum hkm_reason - why something was changed
 * @HKM_REASON_NONE: it was not
 * @HKM_REASON_CLAMP: it was out of the range allowed
 * @HKM_REASON_BELOW_BAND: step law, too few hits
 * @HKM_REASON_ABOVE_BAND: step law, more hits than asked for
 * @HKM_REASON_GROW: cost law, chunks were given back that were needed soon after
 * @HKM_REASON_RESTORE: cost law, as GROW, and a shrink was why
 * @HKM_REASON_ROLLBACK: a trial has not paid: growth of a CAP, or another W_MAX
 * @HKM_REASON_SHRINK: cost law, some of what is kept was not used for long
 * @HKM_REASON_BUDGET: the global budget was needed elsewhere, or has shrunk
 * @HKM_REASON_EXPLORE: W_MAX, a candidate's turn to be tried
 * @HKM_REASON_CANARY: W_MAX, the best candidate beside the one in force
 * @HKM_REASON_ADOPT: W_MAX, that one was better
 * @HKM_REASON_LEARNED: block size that saves most of what requests leave unused
 * @HKM_REASON_RETIRED: block size that saves too little now
 * @HKM_NR_REASONS: their number
 */
enum hkm_reason {
	HKM_REASON_NONE,
	HKM_REASON_CLAMP,
	HKM_REASON_BELOW_BAND,
	HKM_REASON_ABOVE_BAND,
	HKM_REASON_GROW,
	HKM_REASON_RESTORE,
	HKM_REASON_ROLLBACK,
	HKM_REASON_SHRINK,
	HKM_REASON_BUDGET,
	HKM_REASON_EXPLORE,
	HKM_REASON_CANARY,
	HKM_REASON_ADOPT,
	HKM_REASON_LEARNED,
	HKM_REASON_RETIRED,
	HKM_NR_REASONS
};

/**
 * struct hkm_decide_params - what the laws may be tuned by
 * @controller: which law
 * @target_mid_bp: step law, hit rate wanted of mid classes, in 1/10000
 * @target_large_bp: the same of large classes
 * @band_bp: step law, distance from the target that is let be
 * @cap_step: step law, chunks of one change
 * @cap_min: lowest CAP of a class, in 64 KiB chunks
 * @cap_max: highest CAP of a class, at most HKM_CAP_LIMIT
 * @dwell_mid_ms: a mid class is let be for so long after a change; the cost law
 *	waits for it before it takes from a class, not before it gives
 * @dwell_large_ms: the same of large classes
 * @global_budget_chunks: most that the CAPs of all classes add up to
 * @min_samples: cost law, windows with fewer requests to a class raise no CAP; a
 *	request for a span of several chunks counts as so many
 * @hold_ms: cost law, what is kept and not used for so long is too much, or for
 *	less where it used to be used far more often; doubled up to fourfold each time
 *	that proves wrong
 * @canary_ms: cost law, growth must have saved something after so long
 * @idle_ms: the policy's: a class not used for so long keeps nothing, whatever
 *	its CAP
 * @cost_pop: instructions to restock from the shared tier
 * @cost_reuse: instructions to restock with one span of the inventory
 * @cost_refill: instructions to restock with one chunk of the page allocator
 * @cost_release: instructions to give one chunk back to it
 *
 * No cost is above HKM_COST_LIMIT.
 */
struct hkm_decide_params {
	enum hkm_controller controller;
	u32 target_mid_bp;
	u32 target_large_bp;
	u32 band_bp;
	u32 cap_step;
	u32 cap_min;
	u32 cap_max;
	u32 dwell_mid_ms;
	u32 dwell_large_ms;
	u32 global_budget_chunks;
	u32 min_samples;
	u32 hold_ms;
	u32 canary_ms;
	u32 idle_ms;
	u32 cost_pop;
	u32 cost_reuse;
	u32 cost_refill;
	u32 cost_release;
};

/* 2 GiB of free memory on a node. */
#define HKM_CAP_LIMIT		32767
#define HKM_COST_LIMIT		1000000

extern const struct hkm_decide_params hkm_decide_defaults;

/**
 * struct hkm_window_class - what one class did in a window
 * @requests: requests, however served
 * @pops: of them, served from the shared tier
 * @reuses: spans taken from the inventory
 * @refills: spans taken from the page allocator
 * @releases: spans given back to it
 * @held: chunks that the class holds at the end
 * @used_low: the fewest chunks that callers and CPUs had use for in the window, by
 *	several looks; the others were free
 * @used_high: the most; less than @used_low if nobody looked
 * @span_chunks: 64 KiB chunks in one span, at least 1
 * @cap: CAP in force
 *
 * All but @cap are sums over all nodes. CAP holds for each node, which keeps no more
 * than its own load leaves there.
 */
struct hkm_window_class {
	u64 requests;
	u64 pops;
	u64 reuses;
	u64 refills;
	u64 releases;
	u32 held;
	u32 used_low;
	u32 used_high;
	u32 span_chunks;
	u32 cap;
};

/**
 * struct hkm_window - what is known of a window of time
 * @now_ms: its end, by any clock that does not run backwards
 * @pressure: memory was short in it, and the shrinker took what there was
 * @class: the classes; those with no requests may be all zero but for
 *	@span_chunks and @cap
 */
struct hkm_window {
	u64 now_ms;
	bool pressure;
	struct hkm_window_class class[HKM_NR_CLASSES];
};

/**
 * struct hkm_class_state - what the laws remember of one class
 * @cap: CAP that was decided on last
 * @changed_ms: when it was last changed
 * @figure: the figure that the law went by then, see struct hkm_decision
 * @active_ms: end of the latest window with requests
 * @lost: cost law, instructions that a higher CAP would have saved, the older the
 *	less they count
 * @requests: requests, likewise
 * @canary_ms: when the watch over growth began
 * @canary_cap: CAP before it grew; 0 if no growth is being watched
 * @canary_figure: @lost of 1000 requests then
 * @canary_new: it has just grown: the next window has what was settled by that
 * @canary_lost: what was lost since
 * @canary_requests: requests since
 * @quiet_ms: it may not grow until then
 * @quiet_shift: that took so many times twice as long
 * @slice_ms: when slice @slice began
 * @slice: the latest slice, an index into the arrays below
 * @hold_shift: hold_ms is doubled so often
 * @hold_since_ms: since then
 * @shrunk: the latest change was a shrink
 * @gave_up_ms: @used_ms at the latest change
 * @gone: chunks given back in each slice and not missed so far
 * @low: fewest chunks used in each slice; U32_MAX if not known
 * @high: most chunks used in each slice
 * @used_ms: end of the latest window in which most of what is held was used
 * @unused: there was one since in which it was not
 * @unused_low: as @low, since @used_ms
 * @unused_high: as @high, since @used_ms
 * @wait_ms: the latest times from one such use to the next, with windows between
 *	them in which it was unused, or had been given up for that; 0 if there were
 *	not as many
 * @waits: their number so far, modulo HKM_WAITS
 */
struct hkm_class_state {
	u32 cap;
	u64 changed_ms;
	u32 figure;
	u64 active_ms;
	u64 lost;
	u64 requests;
	u64 canary_ms;
	u32 canary_cap;
	u32 canary_figure;
	bool canary_new;
	u64 canary_lost;
	u64 canary_requests;
	u64 quiet_ms;
	u8 quiet_shift;
	u64 slice_ms;
	u64 hold_since_ms;
	u8 slice;
	u8 hold_shift;
	bool shrunk;
	u64 gave_up_ms;
	u32 gone[HKM_SLICES];
	u32 low[HKM_SLICES];
	u32 high[HKM_SLICES];
	u64 used_ms;
	bool unused;
	u32 unused_low;
	u32 unused_high;
	u32 wait_ms[HKM_WAITS];
	u8 waits;
};

/**
 * struct hkm_decide_state - what the laws remember
 * @class: of each class
 * @now_ms: end of the latest window
 */
struct hkm_decide_state {
	struct hkm_class_state class[HKM_NR_CLASSES];
	u64 now_ms;
};

/**
 * struct hkm_decision - what was decided for one class
 * @reason: why; HKM_REASON_NONE if nothing is to change
 * @cap_old: CAP in force
 * @cap_new: CAP from now on
 * @before: the figure that the law goes by, when the class was last changed
 * @after: the same figure now: so, what that change has brought
 *
 * The figure is, of the step law, the hit rate in 1/10000; of the cost law, the
 * instructions that 1000 requests lose for want of CAP.
 */
struct hkm_decision {
	enum hkm_reason reason;
	u32 cap_old;
	u32 cap_new;
	u32 before;
	u32 after;
};

/**
 * struct hkm_actions - what was decided
 * @nr_changes: classes whose CAP is to change
 * @class: for each class
 */
struct hkm_actions {
	unsigned int nr_changes;
	struct hkm_decision class[HKM_NR_CLASSES];
};

const char *hkm_reason_name(enum hkm_reason reason);
bool hkm_decide_params_valid(const struct hkm_decide_params *params);
void hkm_decide_class_init(struct hkm_decide_state *state, unsigned int class_id,
			   u64 now_ms);
void hkm_decide_init(struct hkm_decide_state *state, u64 now_ms);
void hkm_decide(const struct hkm_window *window,
		const struct hkm_decide_params *params,
		struct hkm_decide_state *state, struct hkm_actions *actions);

#endif /* _HKM_DECIDE_H */
