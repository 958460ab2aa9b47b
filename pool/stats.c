// SPDX-License-Identifier: GPL-2.0
/*
 * Counters.
 */
#include <linux/percpu.h>
#include <linux/string.h>

#include "cpu_cache.h"
#include "stats.h"
#include "../include/hkm_compat.h"

/**
 * hkm_stats_read() - sum one bin's counters over all CPUs
 * @bin: the bin
 * @sum: filled in
 *
 * Not a snapshot: CPUs go on counting meanwhile.
 *
 * Context: Any.
 */
void hkm_stats_read(unsigned int bin, struct hkm_class_stats *sum)
{
	unsigned int c;
	int i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(i) {
		const struct hkm_counters *counters =
			per_cpu_ptr(&hkm_counters[bin], i);
		const struct hkm_ring *ring = &hkm_cpu_of(i)->ring[bin];

		sum->hits_ring += READ_ONCE(ring->hits);
		sum->hits_active += READ_ONCE(ring->hits_active);
		sum->frees += hkm_ring_frees(ring);
		for (c = 0; c < HKM_NR_COUNTERS; c++)
			sum->slow[c] += READ_ONCE(counters->slow[c]);
	}
	sum->frees += sum->slow[HKM_remote_frees];
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_read);

/**
 * hkm_stats_class() - sum one class's counters over all CPUs and nodes
 * @class_id: the class
 * @sum: filled in
 *
 * Context: Any.
 */
void hkm_stats_class(unsigned int class_id, struct hkm_class_stats *sum)
{
	struct hkm_class_stats part;
	unsigned int bin, c;

	memset(sum, 0, sizeof(*sum));
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES) {
		hkm_stats_read(bin, &part);
		sum->hits_ring += part.hits_ring;
		sum->hits_active += part.hits_active;
		sum->frees += part.frees;
		for (c = 0; c < HKM_NR_COUNTERS; c++)
			sum->slow[c] += part.slow[c];
	}
}

/**
 * hkm_stats_live() - blocks that callers hold
 * @sum: a bin's or class's counters
 *
 * Return: their number, exact while nobody allocates or frees.
 */
s64 hkm_stats_live(const struct hkm_class_stats *sum)
{
	return sum->hits_ring + sum->hits_active + sum->slow[HKM_slow_allocs] -
	       sum->frees;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_live);
