/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trim: whole free chunks leave the shared tier.
 */
#ifndef _HKM_TRIM_H
#define _HKM_TRIM_H

#include <linux/mutex.h>

extern struct mutex hkm_trim_lock;

long hkm_trim_bin_locked(unsigned int bin, long keep, long most);
long hkm_trim_bin(unsigned int bin, long keep);

#endif /* _HKM_TRIM_H */
