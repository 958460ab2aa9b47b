/* SPDX-License-Identifier: GPL-2.0 */
/*
 * History: what the learner has decided lately.
 */
#ifndef _HKM_HISTORY_H
#define _HKM_HISTORY_H

#include <linux/types.h>

#include "decide.h"

#define HKM_HISTORY_EVENTS	64

/**
 * enum hkm_subject - what a decision is about
 * @HKM_SUBJECT_CAP: CAP of a class
 * @HKM_SUBJECT_W_MAX: policy/w_max_pct
 * @HKM_SUBJECT_SIZE: block size of a dynamic class
 * @HKM_NR_SUBJECTS: their number
 */
enum hkm_subject {
	HKM_SUBJECT_CAP,
	HKM_SUBJECT_W_MAX,
	HKM_SUBJECT_SIZE,
	HKM_NR_SUBJECTS
};

/**
 * struct hkm_event - one decision
 * @at_ms: when, by CLOCK_MONOTONIC
 * @subject: about what
 * @class_id: of which class; HKM_NR_CLASSES of none
 * @reason: why
 * @value_old: what it was
 * @value_new: what it is from now on
 * @before: the figure that was decided by, at the time before
 * @after: the same figure now
 */
struct hkm_event {
	u64 at_ms;
	enum hkm_subject subject;
	unsigned int class_id;
	enum hkm_reason reason;
	u32 value_old;
	u32 value_new;
	u32 before;
	u32 after;
};

/* Enough for any event as text, with the 0 byte. */
#define HKM_EVENT_CHARS		96

void hkm_history_add(const struct hkm_event *event);
bool hkm_history_get(unsigned int nr, struct hkm_event *event);
u64 hkm_history_nr(void);
void hkm_event_print(const struct hkm_event *event, char line[HKM_EVENT_CHARS]);

void hkm_history_init(void);
void hkm_history_exit(void);

#endif /* _HKM_HISTORY_H */
