/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sizes that are worth a class: counts what is asked for, has hkm_dyn_decide()
 * decide, and puts that in force.
 */
#ifndef _HKM_SIZES_H
#define _HKM_SIZES_H

#include <linux/types.h>

void hkm_sizes_begin(u64 now_ms);
void hkm_sizes_count(unsigned int class_id, s64 live);
unsigned long hkm_sizes_step(u64 now_ms);

#endif /* _HKM_SIZES_H */
