/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dynamic classes: how one comes by another size of blocks.
 */
#ifndef _HKM_DYN_CLASS_H
#define _HKM_DYN_CLASS_H

#include <linux/types.h>

unsigned long hkm_dyn_classes_vacant(unsigned long dyns);
void hkm_dyn_class_resize(unsigned int class_id, u32 size_bytes);

#endif /* _HKM_DYN_CLASS_H */
