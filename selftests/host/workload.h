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
#define MAX_PHASES	4

/**
 * struct workload - a load
 * @name: for tables and file names
 * @what: one line about it
 * @class_id: class that the plots show
 * @seconds: how long it takes
 * @phase: seconds at which it changes, 0 first
 * @falls: what it needs becomes less, for good or for long
 * @misses_best: for each phase, why the cost law is known to be over 5 % above the
 *	best static CAP in it; NULL if it is not
 * @misses_memory: why it is known to hold more than it should
 * @budget: global budget in chunks, 0 for the default
 * @step: does what happens in the step that ends at @ms
 */
struct workload {
	const char *name;
	const char *what;
	unsigned int class_id;
	unsigned int seconds;
	unsigned int phase[MAX_PHASES];
	bool falls;
	const char *misses_best[MAX_PHASES];
	const char *misses_memory;
	u32 budget;
	void (*step)(unsigned int ms);
};

extern const struct workload workloads[];
extern const unsigned int nr_workloads;
/* Another load after each random_begin() with another number. */
extern const struct workload random_workload;

void random_begin(unsigned int nr);
int recording_load(const char *path);

#endif /* _HKM_HOST_WORKLOAD_H */
