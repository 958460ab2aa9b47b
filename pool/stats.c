// SPDX-License-Identifier: GPL-2.0
/*
 * Counters, and where all the memory is.
 *
 * Every byte of the chunks held is in one of six places (struct hkm_totals), and
 * each of these is counted by itself, none as what the others leave. What moves
 * a block counts it out of one place and into the other in one section with
 * preemption off. So at any moment at which no CPU is in such a section, the places
 * add up to what is held: while nobody uses the pool, and in stop_machine(). Read
 * while CPUs go on, they may miss what moves meanwhile, or have it twice.
 */
#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/string.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "inventory.h"
#include "stats.h"
#include "../include/hkm_compat.h"

static unsigned long run_bytes(const struct hkm_run *run)
{
	const void *end = READ_ONCE(run->end), *next = READ_ONCE(run->next);

	/* Not of one page, if its CPU installed another in between. */
	if (!end || end - next > HKM_SPAN_MAX_CHUNKS * HKM_CHUNK_BYTES)
		return 0;
	return end - next;
}

static unsigned long ring_parked(const struct hkm_ring *ring, unsigned int bin)
{
	unsigned long bytes = run_bytes(&ring->run[0]) + run_bytes(&ring->run[1]);

	return READ_ONCE(ring->nr) + (bytes ? bytes / hkm_classes[bin].size_bytes : 0);
}

/* CPUs of even numbers, of odd ones: bits for stats_add(). */
#define EVEN_CPUS	BIT(0)
#define ODD_CPUS	BIT(1)

static void stats_add(struct hkm_class_stats *sum, unsigned int bin, unsigned long cpus)
{
	unsigned int c;
	int i;

	for_each_possible_cpu(i) {
		const struct hkm_counters *counters =
			per_cpu_ptr(&hkm_counters[bin], i);
		const struct hkm_ring *ring = &hkm_cpu_of(i)->ring[bin];

		if (!(cpus & BIT(i & 1)))
			continue;
		sum->hits_ring += READ_ONCE(ring->hits);
		sum->hits_active += READ_ONCE(ring->hits_active);
		sum->frees += hkm_ring_frees(ring) +
			      READ_ONCE(counters->slow[HKM_remote_frees]);
		for (c = 0; c < HKM_NR_COUNTERS; c++)
			sum->slow[c] += READ_ONCE(counters->slow[c]);
		sum->parked += ring_parked(ring, bin);
		sum->shared += READ_ONCE(counters->shared);
		sum->moving += READ_ONCE(counters->moving);
		sum->asked += READ_ONCE(counters->asked);
		sum->asked_bytes += READ_ONCE(counters->asked_bytes);
	}
}

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
	memset(sum, 0, sizeof(*sum));
	stats_add(sum, bin, EVEN_CPUS | ODD_CPUS);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_read);

/* Over all nodes. */
static void class_add(unsigned int class_id, struct hkm_class_stats *sum,
		      unsigned long cpus)
{
	unsigned int bin;

	memset(sum, 0, sizeof(*sum));
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		stats_add(sum, bin, cpus);
}

/**
 * hkm_stats_class() - sum one class's counters over all CPUs and nodes
 * @class_id: the class
 * @sum: filled in
 *
 * Context: Any.
 */
void hkm_stats_class(unsigned int class_id, struct hkm_class_stats *sum)
{
	class_add(class_id, sum, EVEN_CPUS | ODD_CPUS);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_class);

/**
 * hkm_stats_class_half() - sum one class's counters over half of the CPUs
 * @class_id: the class
 * @odd: those of odd numbers, and not of even ones
 * @sum: filled in
 *
 * Context: Any.
 */
void hkm_stats_class_half(unsigned int class_id, bool odd, struct hkm_class_stats *sum)
{
	class_add(class_id, sum, odd ? ODD_CPUS : EVEN_CPUS);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_class_half);

/**
 * hkm_stats_histogram() - tell what sizes were asked for off the hot path
 * @nr: filled with requests since the module was loaded, by hkm_size_step()
 *
 * Context: Any.
 */
void hkm_stats_histogram(u64 nr[HKM_NR_STEPS])
{
	unsigned int step;
	int i;

	memset(nr, 0, HKM_NR_STEPS * sizeof(*nr));
	for_each_possible_cpu(i) {
		const struct hkm_histogram *one = per_cpu_ptr(hkm_histogram, i);

		for (step = 0; step < HKM_NR_STEPS; step++)
			nr[step] += READ_ONCE(one->nr[step]);
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_histogram);

/**
 * hkm_stats_free_chunks() - free memory of a bin that no CPU parks
 * @bin: the bin
 *
 * Context: Any.
 * Return: 64 KiB chunks that it would fill: what trim could give back, were it not
 * scattered.
 */
long hkm_stats_free_chunks(unsigned int bin)
{
	const struct hkm_class *cl = &hkm_classes[bin];
	s64 blocks = hkm_inventory_blocks(bin);
	int i;

	if (!hkm_chunk_count(bin))
		return 0;
	for_each_possible_cpu(i) {
		const struct hkm_counters *counters =
			per_cpu_ptr(&hkm_counters[bin], i);

		blocks += READ_ONCE(counters->shared) + READ_ONCE(counters->moving);
	}
	return max_t(s64, blocks, 0) / cl->nr_blocks << cl->span_order;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_free_chunks);

/**
 * hkm_stats_live() - blocks that callers hold
 * @sum: a bin's or class's counters
 *
 * Context: Any.
 * Return: their number, exact while nobody allocates or frees.
 */
s64 hkm_stats_live(const struct hkm_class_stats *sum)
{
	return sum->hits_ring + sum->hits_active + sum->slow[HKM_slow_allocs] -
	       sum->frees;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_live);

/**
 * hkm_stats_requested() - what callers asked for of the blocks that they hold
 * @sum: a class's counters
 *
 * An estimate: the hot path notes no sizes. The mean of those noted since the
 * class got its size stands for all.
 *
 * Context: Any.
 * Return: bytes.
 */
s64 hkm_stats_requested(const struct hkm_class_stats *sum)
{
	if (!sum->asked)
		return 0;
	return hkm_stats_live(sum) * (s64)(sum->asked_bytes / sum->asked);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_stats_requested);

/**
 * hkm_class_held() - tell whether a class holds chunks
 * @class_id: the class
 *
 * Context: Any.
 * Return: true if it does, on any node.
 */
bool hkm_class_held(unsigned int class_id)
{
	unsigned int bin;

	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		if (hkm_chunk_count(bin))
			return true;
	return false;
}

/**
 * hkm_class_sum() - sum of what a function tells of bins, over all nodes
 * @class_id: the class
 * @count: the function
 *
 * Return: the sum.
 */
long hkm_class_sum(unsigned int class_id, long (*count)(unsigned int bin))
{
	unsigned int bin;
	long sum = 0;

	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		sum += count(bin);
	return sum;
}

static void totals_add(struct hkm_totals *totals, unsigned int class_id)
{
	struct hkm_class_stats sum;
	unsigned int bin;
	s64 size = 0;

	/* Not that of a class that may get another: see dyn_class.c. */
	preempt_disable();
	if (hkm_class_held(class_id))
		size = hkm_classes[class_id].size_bytes;
	preempt_enable();
	if (!size)
		return;
	hkm_stats_class(class_id, &sum);
	totals->live += hkm_stats_live(&sum) * size;
	totals->parked += sum.parked * size;
	totals->shared += sum.shared * size;
	totals->moving += sum.moving * size;
	totals->requested += hkm_stats_requested(&sum);
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES) {
		totals->held += hkm_chunk_bytes_held(bin);
		totals->inventory += hkm_inventory_blocks(bin) * size;
		totals->unusable += hkm_chunk_unusable_bytes(bin);
	}
}

/**
 * hkm_totals_read() - tell where all the memory is
 * @totals: filled in
 *
 * Exact while all CPUs are stopped, or nobody uses the pool; see above.
 *
 * Context: Any.
 */
void hkm_totals_read(struct hkm_totals *totals)
{
	unsigned int id;

	memset(totals, 0, sizeof(*totals));
	for (id = 0; id < HKM_NR_CLASSES; id++)
		totals_add(totals, id);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_totals_read);
