// SPDX-License-Identifier: GPL-2.0
/*
 * Dynamic classes: how one comes by another size of blocks.
 *
 * The hot paths read a class's geometry (hkm_classes) with no regard to change. So
 * it changes only while nobody can have a reason to read it:
 *
 * - No policy in force has the class serve requests, and a grace period has ended
 *   since. Whoever finds a class by a policy uses it in the section with preemption
 *   off that read the policy, or takes a hold of it before leaving that: so no new
 *   holders appear. A request holds the class from when it found no stock
 *   until it has pages or has failed, for it may sleep in between.
 * - There are no holders left, and after that was seen, no chunks: without a holder
 *   none is created. Whatever else goes by the class, a free, trim, a CPU that moves
 *   what it parks, does so for a block in hand, and so for a chunk.
 * - No CPU has room granted for the class: that counts in its blocks.
 * - Another grace period has ended: poppers may look at chunks that have just gone.
 *
 * What was seen then stays so. Counting and showing go on at all times, and make no
 * use of the geometry of a class that has no blocks.
 *
 * The policy that has the class serve again is published after the change: whoever
 * finds the class by it sees the new geometry, as its address depends on that.
 */
#include <linux/bitops.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

#include "chunk.h"
#include "cpu_cache.h"
#include "dyn_class.h"
#include "trim.h"
#include "../include/hkm_compat.h"

static bool bin_held(unsigned int bin)
{
	s64 holds = 0;
	int i;

	/* Nobody adds to them: a sum that misses some of those that left is not 0. */
	for_each_possible_cpu(i)
		holds += READ_ONCE(per_cpu_ptr(&hkm_counters[bin], i)->holds);
	/* Pairs with smp_wmb() in hkm_class_put(). */
	smp_rmb();
	return holds;
}

static bool bin_parked(unsigned int bin)
{
	int i;

	for_each_possible_cpu(i)
		if (hkm_cpu_parks(hkm_cpu_of(i), bin))
			return true;
	return false;
}

static bool class_vacant(unsigned int class_id)
{
	unsigned int bin;

	/* Of all nodes first: a holder may get a chunk of another than its own. */
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		if (bin_held(bin))
			return false;
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		if (hkm_chunk_count(bin) || bin_parked(bin))
			return false;
	return true;
}

/**
 * hkm_dyn_classes_vacant() - tell which classes may be given another size
 * @dyns: dynamic classes that no policy in force has serve requests, one bit each
 *
 * Context: Task; may sleep.
 * Return: those of them whose present geometry is, and will be, of no use to anybody.
 */
unsigned long hkm_dyn_classes_vacant(unsigned long dyns)
{
	unsigned long vacant = 0;
	unsigned int i;

	if (!dyns)
		return 0;
	/* The latest policy that has them serve. */
	synchronize_rcu();
	for_each_set_bit(i, &dyns, HKM_NR_DYN)
		if (class_vacant(HKM_CLASS_DYN1 + i))
			__set_bit(i, &vacant);
	/* Chunks that have just gone. */
	synchronize_rcu();
	return vacant;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_dyn_classes_vacant);

static void bin_resize(unsigned int bin, u32 size_bytes)
{
	int i;

	hkm_class_set(&hkm_classes[bin], size_bytes);
	/* The mean of what is asked for will be another. */
	for_each_possible_cpu(i) {
		struct hkm_counters *counters = per_cpu_ptr(&hkm_counters[bin], i);

		WRITE_ONCE(counters->asked, 0);
		WRITE_ONCE(counters->asked_bytes, 0);
	}
}

/**
 * hkm_dyn_class_resize() - give a class another size
 * @class_id: a class that hkm_dyn_classes_vacant() has found vacant
 * @size_bytes: multiple of the grain, within the bounds of dyn1_bytes
 *
 * Context: Task; may sleep.
 */
void hkm_dyn_class_resize(unsigned int class_id, u32 size_bytes)
{
	unsigned int bin;

	/* Against passes over all bins. */
	mutex_lock(&hkm_trim_lock);
	for (bin = class_id; bin < hkm_nr_bins; bin += HKM_NR_CLASSES)
		bin_resize(bin, size_bytes);
	mutex_unlock(&hkm_trim_lock);
}
EXPORT_SYMBOL_IF_KUNIT(hkm_dyn_class_resize);
