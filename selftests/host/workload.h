/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loads for the simulator. Each is a function of time and of a seed, so that it is
 * the same for every policy.
 */
#ifndef _HKM_HOST_WORKLOAD_H
#define _HKM_HOST_WORKLOAD_H

#include "size_class.h"

/* Simulated CPUs. */
#define NR_SIM_CPUS	4
/* Time goes on in steps of this many milliseconds. */
#define STEP_MS		5
#define MAX_PHASES	8

/**
 * struct workload - a load
 * @name: for tables and file names
 * @what: one line about it
 * @class_id: class that the plots show
 * @seconds: how long it takes
 * @phase: seconds at which it changes, 0 first; where it ends @seconds, if before
 * @budget: global budget in chunks, 0 for the default
 * @step: does what happens in the step that ends at @ms
 */
struct workload {
	const char *name;
	const char *what;
	unsigned int class_id;
	unsigned int seconds;
	unsigned int phase[MAX_PHASES];
	u32 budget;
	void (*step)(unsigned int ms);
};

extern const struct workload workloads[];
extern const unsigned int nr_workloads;

int recording_load(const char *path);
/* Blocks that the load holds, in bytes; for checks. */
u64 workload_live_bytes(void);

#endif /* _HKM_HOST_WORKLOAD_H */
