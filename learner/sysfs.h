/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _HKM_SYSFS_H
#define _HKM_SYSFS_H

int hkm_sysfs_init(void);
void hkm_sysfs_exit(void);

#endif /* _HKM_SYSFS_H */
