/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Watching: all requests take the slow path, where something looks at them.
 */
#ifndef _HKM_WATCH_H
#define _HKM_WATCH_H

void hkm_watch_init(void);
int hkm_watch_get(void);
void hkm_watch_put(void);

#endif /* _HKM_WATCH_H */
