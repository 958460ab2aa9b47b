/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trim: memory that is held but not used goes back to the page allocator.
 */
#ifndef _HKM_TRIM_H
#define _HKM_TRIM_H

#include <linux/types.h>

int hkm_trim_init(void);
void hkm_trim_exit(void);

void hkm_trim_kick(void);
long hkm_trim_all(void);
bool hkm_trim_at_cap(unsigned int class_id);

long hkm_trim_class(unsigned int class_id, long keep);
void hkm_trim_tick(void);

#if IS_ENABLED(CONFIG_KUNIT)
void hkm_test_tick_own(bool own);
#endif

#endif /* _HKM_TRIM_H */
