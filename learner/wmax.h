/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The learner's law for W_MAX: how much larger a block of the next class may be to
 * serve a request. Pure functions; see Documentation/learner.md.
 */
#ifndef _HKM_WMAX_H
#define _HKM_WMAX_H

#include <linux/types.h>

#include "decide.h"
#include "../pool/size_class.h"

#define HKM_WMAX_ARMS		4
/* Trials of a round; all lengths are in windows with requests. */
#define HKM_WMAX_TRIALS		8
#define HKM_WMAX_TRIAL		10
/* Of a canary, each half. */
#define HKM_WMAX_CANARY		5
#define HKM_WMAX_REST		600
/* At rest, the load is looked at over so many. */
#define HKM_WMAX_LOOK		60

/* The candidates, in percent. */
extern const u32 hkm_wmax_pct[HKM_WMAX_ARMS];

/**
 * enum hkm_wmax_mode - who sets W_MAX
 * @HKM_WMAX_OFF: policy/w_max_pct
 * @HKM_WMAX_UCB1: the learner
 * @HKM_NR_WMAX_MODES: their number
 */
enum hkm_wmax_mode {
	HKM_WMAX_OFF,
	HKM_WMAX_UCB1,
	HKM_NR_WMAX_MODES
};

/**
 * struct hkm_wmax_counts - what half of the CPUs did with a class in a window
 * @requests: requests that the class served or passed on, however
 * @pops: of them, served from the shared tier
 * @reuses: spans taken from the inventory
 * @refills: spans taken from the page allocator
 * @fallbacks: requests handed to the kernel allocator
 * @substitutes: requests of the next smaller class that it served
 */
struct hkm_wmax_counts {
	u64 requests;
	u64 pops;
	u64 reuses;
	u64 refills;
	u64 fallbacks;
	u64 substitutes;
};

/**
 * struct hkm_wmax_class - one class in a window
 * @size_bytes: of its blocks
 * @span_chunks: 64 KiB chunks in one span
 * @next: class that may serve its requests; HKM_NR_CLASSES if there is none, or if
 *	it has no requests of its own
 * @held: it holds memory
 * @half: what the CPUs of even numbers did, and those of odd ones
 */
struct hkm_wmax_class {
	u32 size_bytes;
	u32 span_chunks;
	u32 next;
	bool held;
	struct hkm_wmax_counts half[2];
};

/**
 * struct hkm_wmax_window - a window of time
 * @epoch: grows each time that somebody else sets W_MAX
 * @w_max: what was set then, in percent; looked at only if @epoch is new
 * @relaid: some class has another size, or another next one, than in the last window
 * @class: the classes; of large ones, only that @next is none
 */
struct hkm_wmax_window {
	u32 epoch;
	u32 w_max;
	bool relaid;
	struct hkm_wmax_class class[HKM_NR_CLASSES];
};

/**
 * struct hkm_wmax_sum - what some CPUs did in some windows
 * @requests: requests to the classes concerned
 * @cost: instructions off the hot path for these
 * @missed_bytes: memory that a substitute served, or might have
 * @substitutes: requests served by substitutes
 */
struct hkm_wmax_sum {
	u64 requests;
	u64 cost;
	u64 missed_bytes;
	u64 substitutes;
};

/**
 * struct hkm_wmax_arm - a candidate in this round
 * @trials: how often it was tried
 * @reward: sum of what that brought, each from 0 to HKM_WMAX_ONE
 */
struct hkm_wmax_arm {
	u32 trials;
	u32 reward;
};

#define HKM_WMAX_ONE		(1U << 16)

enum hkm_wmax_phase {
	HKM_WMAX_WATCH,		/* is there anything to learn? */
	HKM_WMAX_EXPLORE,	/* a trial */
	HKM_WMAX_BESIDE,	/* a canary */
	HKM_WMAX_ADOPTED,	/* it was better: the next one follows */
	HKM_WMAX_AT_REST
};

/**
 * struct hkm_wmax_state - what the law remembers
 * @epoch: the latest window's
 * @phase: what it is at
 * @w_max: percent, to be in force on CPUs of even and of odd numbers
 * @in_force: percent, but for trials and canaries
 * @windows: so many has what is being measured had so far
 * @idle: windows without requests since the last with some
 * @sum: of those windows, by halves of the CPUs
 * @begin_cost: instructions that 1000 requests cost when the round began
 * @last_cost: and what they did by the latest measurement
 * @arm: the candidates
 * @trying: index of the one being tried
 * @tried: candidates that have had their canary, one bit each
 * @substituted: some request was served by a substitute in this round
 * @changed: something was adopted in this round
 * @split: a canary has half of the CPUs
 * @second: its second half has begun
 * @enough: so far, it has seen enough
 * @canary_cost: instructions for 1000 requests, in each half of a canary: without
 *	the candidate, and with it
 * @rest: windows of rest left
 * @rest_shift: the rest is doubled so often
 * @rest_cost: instructions for 1000 requests at its begin; 0 if not known yet
 */
struct hkm_wmax_state {
	u32 epoch;
	enum hkm_wmax_phase phase;
	u32 w_max[2];
	u32 in_force;
	u32 windows;
	u32 idle;
	struct hkm_wmax_sum sum[2];
	u32 begin_cost;
	u32 last_cost;
	struct hkm_wmax_arm arm[HKM_WMAX_ARMS];
	u8 trying;
	u8 tried;
	bool substituted;
	bool changed;
	bool split;
	bool second;
	bool enough;
	u32 canary_cost[2][2];
	u32 rest;
	u8 rest_shift;
	u32 rest_cost;
};

/**
 * struct hkm_wmax_decision - what was decided
 * @reason: HKM_REASON_EXPLORE, HKM_REASON_CANARY, HKM_REASON_ADOPT,
 *	HKM_REASON_ROLLBACK; HKM_REASON_NONE if nothing was
 * @pct_old: percent so far, of a trial or canary its own
 * @pct_new: percent from now on
 * @before: instructions that 1000 requests cost: when the round began; for the end
 *	of a canary, without it
 * @after: the same by the latest measurement; with the canary; 0 if not known
 */
struct hkm_wmax_decision {
	enum hkm_reason reason;
	u32 pct_old;
	u32 pct_new;
	u32 before;
	u32 after;
};

unsigned int hkm_wmax_pick(const struct hkm_wmax_arm *arm);
void hkm_wmax_decide(const struct hkm_wmax_window *window,
		     const struct hkm_decide_params *params,
		     struct hkm_wmax_state *state,
		     struct hkm_wmax_decision *decision);

#endif /* _HKM_WMAX_H */
