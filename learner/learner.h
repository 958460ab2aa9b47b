/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The learner's thread: counts, has hkm_decide() decide, and puts that in force.
 */
#ifndef _HKM_LEARNER_H
#define _HKM_LEARNER_H

#include <linux/limits.h>
#include <linux/types.h>

/* hkm_learner_step(): not again before hkm_learner_wake(). */
#define HKM_LEARNER_IDLE	UINT_MAX

int hkm_learner_init(void);
void hkm_learner_exit(void);

void hkm_learner_wake(void);
void hkm_learner_kick(void);
unsigned int hkm_learner_step(u64 now_ms);

#if IS_ENABLED(CONFIG_KUNIT)
struct hkm_window;

int hkm_test_learner_own(bool own);
const struct hkm_window *hkm_test_learner_window(void);
#endif

#endif /* _HKM_LEARNER_H */
