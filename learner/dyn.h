/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which sizes are worth a class. A pure function, as decide.h has them.
 */
#ifndef _HKM_DYN_H
#define _HKM_DYN_H

#include <linux/types.h>

#include "decide.h"
#include "../pool/size_class.h"

/**
 * struct hkm_dyn_input - what is decided by
 * @live: blocks that callers hold, by hkm_size_step() of the size asked for
 * @size: block size that each dynamic class serves requests with; 0: none
 * @vacant: it serves none, and may be given any size
 * @retired: if it serves none and is not vacant, the size that it still has; else 0
 * @dyn_max: most classes that may serve at once
 * @nr_cpus: CPUs, each of which parks something for each class
 */
struct hkm_dyn_input {
	u64 live[HKM_NR_STEPS];
	u32 size[HKM_NR_DYN];
	bool vacant[HKM_NR_DYN];
	u32 retired[HKM_NR_DYN];
	unsigned int dyn_max;
	unsigned int nr_cpus;
};

/**
 * struct hkm_dyn_state - what is remembered from one decision to the next
 * @useless: per class, decisions in a row by which it did not pay
 * @block_bytes: scratch: memory that a block of a class costs, by the step of its size
 * @best: scratch: least memory for the first so many steps, by dynamic classes used
 * @from: scratch: the step that the last class of those begins with
 */
struct hkm_dyn_state {
	u8 useless[HKM_NR_DYN];
	u32 block_bytes[HKM_NR_STEPS];
	u64 best[HKM_NR_DYN + 1][HKM_NR_STEPS + 1];
	u8 from[HKM_NR_DYN + 1][HKM_NR_STEPS + 1];
};

/**
 * struct hkm_dyn_actions - what was decided
 * @size: block size that each class is to serve requests with; 0: none
 * @reason: per class, why if that is another; else HKM_REASON_NONE
 * @bytes_before: memory that the live blocks cost, if all were of the classes that
 *	serve now
 * @bytes_after: the same with the classes decided on
 */
struct hkm_dyn_actions {
	u32 size[HKM_NR_DYN];
	enum hkm_reason reason[HKM_NR_DYN];
	u64 bytes_before;
	u64 bytes_after;
};

void hkm_dyn_decide(const struct hkm_dyn_input *input, struct hkm_dyn_state *state,
		    struct hkm_dyn_actions *actions);

#endif /* _HKM_DYN_H */
