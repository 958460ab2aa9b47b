/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What may serve instead: counts what substitutes cost and save, has
 * hkm_wmax_decide() decide, and puts that in force.
 */
#ifndef _HKM_SUBSTITUTES_H
#define _HKM_SUBSTITUTES_H

#include <linux/types.h>

struct hkm_decide_params;

void hkm_substitutes_step(const struct hkm_decide_params *params, u64 now_ms);

#endif /* _HKM_SUBSTITUTES_H */
