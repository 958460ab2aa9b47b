/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reclaim: when memory that is held but not used is given back.
 */
#ifndef _HKM_RECLAIM_H
#define _HKM_RECLAIM_H

#include <linux/types.h>

int hkm_reclaim_init(void);
void hkm_reclaim_exit(void);

void hkm_reclaim_kick(void);
void hkm_reclaim_tick(void);
void hkm_reclaim_unpark(unsigned int class_id);
long hkm_reclaim_all(void);
bool hkm_reclaim_at_cap(unsigned int bin);
bool hkm_reclaim_was_forced(void);

#if IS_ENABLED(CONFIG_KUNIT)
void hkm_test_tick_own(bool own);
void hkm_test_shrink_wait(void (*wait)(void));
unsigned long hkm_test_shrink(unsigned long nr);
#endif

#endif /* _HKM_RECLAIM_H */
