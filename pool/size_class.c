// SPDX-License-Identifier: GPL-2.0
/*
 * Size classes.
 *
 * The fixed sizes follow the requests that kmalloc() serves worst: above
 * 8 KiB each call goes to the page allocator, and order 4 (33-64 KiB) is not
 * even kept in its per-CPU lists. Dynamic classes take their sizes from the load,
 * to fill the gaps that cost it most; the first has that of a module parameter to
 * begin with. Large sizes, from 64 KiB on, are kmalloc()'s own powers of two: nothing
 * is left over in a span.
 */
#include <linux/errno.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/nodemask.h>

#include "debug.h"
#include "size_class.h"
#include "../include/hkm_compat.h"

struct hkm_class hkm_classes[HKM_MAX_BINS] = {
	[HKM_CLASS_2K]	 = { .name = "2k",   .size_bytes = SZ_2K },
	[HKM_CLASS_4K]	 = { .name = "4k",   .size_bytes = SZ_4K },
	[HKM_CLASS_8K]	 = { .name = "8k",   .size_bytes = SZ_8K },
	[HKM_CLASS_16K]	 = { .name = "16k",  .size_bytes = SZ_16K },
	[HKM_CLASS_32K]	 = { .name = "32k",  .size_bytes = SZ_32K },
	[HKM_CLASS_52K]	 = { .name = "52k",  .size_bytes = HKM_MAX_BYTES },
	[HKM_CLASS_DYN1] = { .name = "dyn1" },
	[HKM_CLASS_DYN1 + 1] = { .name = "dyn2" },
	[HKM_CLASS_DYN1 + 2] = { .name = "dyn3" },
	[HKM_CLASS_DYN1 + 3] = { .name = "dyn4" },
	[HKM_CLASS_DYN1 + 4] = { .name = "dyn5" },
	[HKM_CLASS_DYN1 + 5] = { .name = "dyn6" },
	[HKM_CLASS_DYN1 + 6] = { .name = "dyn7" },
	[HKM_CLASS_DYN1 + 7] = { .name = "dyn8" },
	[HKM_CLASS_64K]	 = { .name = "64k",  .size_bytes = SZ_64K },
	[HKM_CLASS_128K] = { .name = "128k", .size_bytes = SZ_128K },
	[HKM_CLASS_256K] = { .name = "256k", .size_bytes = SZ_256K },
	[HKM_CLASS_512K] = { .name = "512k", .size_bytes = SZ_512K },
	[HKM_CLASS_1M]	 = { .name = "1m",   .size_bytes = SZ_1M },
};
EXPORT_SYMBOL_IF_KUNIT(hkm_classes);

unsigned int hkm_nr_bins;
EXPORT_SYMBOL_IF_KUNIT(hkm_nr_bins);

/* Bytes of @span_bytes that blocks of @size_bytes leave unused. */
static unsigned long span_waste(unsigned long span_bytes, u32 size_bytes)
{
	return span_bytes % size_bytes;
}

/**
 * hkm_class_set() - give a class its block size and lay its blocks out
 * @cl: the class
 * @size_bytes: block size, a multiple of the grain, or from one chunk on a power
 *	of two; 0 for a class not in use
 *
 * A block of a chunk or more is a span by itself. Of others, one chunk makes a
 * span where its blocks leave at most 1/16 of it unused; else the smallest span of
 * up to four chunks, and of HKM_MAX_BLOCKS, that leaves the smallest share.
 *
 * Context: Any.
 */
void hkm_class_set(struct hkm_class *cl, u32 size_bytes)
{
	unsigned long best = span_waste(HKM_CHUNK_BYTES, size_bytes ?: 1);
	unsigned int order;

	cl->size_bytes = size_bytes;
	cl->span_order = 0;
	if (!size_bytes)
		return;

	if (size_bytes >= HKM_CHUNK_BYTES) {
		cl->span_order = ilog2(size_bytes) - HKM_CHUNK_SHIFT;
	} else if (best > HKM_CHUNK_BYTES / 16) {
		for (order = 1; HKM_SPAN_MAX_CHUNKS >> order; order++) {
			unsigned long waste = span_waste(HKM_CHUNK_BYTES << order,
							 size_bytes);

			if ((HKM_CHUNK_BYTES << order) / size_bytes > HKM_MAX_BLOCKS)
				break;
			/* Shares of different spans: compare crosswise. */
			if (waste < best << (order - cl->span_order)) {
				best = waste;
				cl->span_order = order;
			}
		}
	}
	cl->nr_blocks = hkm_span_bytes(cl) / size_bytes;
	cl->magic = ~0ULL / size_bytes + 1;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_class_set);

/*
 * The smallest class of at least @need bytes, and aligned to @align; of the dynamic
 * ones, those whose bits are set in @dyns.
 */
static unsigned int class_smallest(u32 need, u32 align, unsigned long dyns)
{
	unsigned int best = HKM_NR_CLASSES, id;

	for (id = 0; id < HKM_NR_CLASSES; id++) {
		u32 have = hkm_classes[id].size_bytes;

		if (hkm_class_is_dyn(id) && !(dyns & BIT(id - HKM_CLASS_DYN1)))
			continue;
		if (have >= need && have % align == 0 &&
		    (best == HKM_NR_CLASSES ||
		     have < hkm_classes[best].size_bytes))
			best = id;
	}
	return best;
}

/**
 * hkm_class_next() - the next larger class
 * @class_id: a class that is not large
 * @dyns: dynamic classes that serve requests, one bit each
 *
 * Context: Any.
 * Return: the smallest such class that is not large either; HKM_NR_CLASSES if there
 * is none.
 */
unsigned int hkm_class_next(unsigned int class_id, unsigned long dyns)
{
	unsigned int id = class_smallest(hkm_classes[class_id].size_bytes + 1,
					 HKM_GRAIN_BYTES, dyns);

	return hkm_class_is_large(id) ? HKM_NR_CLASSES : id;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_class_next);

/**
 * hkm_class_table_build() - smallest class for each step of sizes
 * @table: filled with its bins, see hkm_size_step()
 * @nid: node of the bins
 * @dyns: dynamic classes that serve requests, one bit each
 *
 * Where red zones are wanted, it is a class with room for one, if there is such
 * a class and the alignment of powers of two can be kept.
 *
 * Context: Any.
 */
void hkm_class_table_build(u8 table[HKM_NR_STEPS], int nid, unsigned long dyns)
{
	unsigned int step, id;

	for (step = 0; step < HKM_NR_STEPS; step++) {
		u32 need = hkm_step_bytes(step);

		id = class_smallest(need, HKM_GRAIN_BYTES, dyns);
		if (hkm_debug & HKM_DEBUG_REDZONE) {
			u32 align = is_power_of_2(need) ? need : HKM_GRAIN_BYTES;
			unsigned int larger = class_smallest(need + 1, align, dyns);

			if (larger != HKM_NR_CLASSES)
				id = larger;
		}
		table[step] = hkm_bin(id, nid);
	}
}
EXPORT_SYMBOL_IF_KUNIT(hkm_class_table_build);

/**
 * hkm_size_classes_init() - lay out all classes
 * @dyn1_bytes: size of class dyn1, 0 for none
 *
 * Context: Module init.
 * Return: 0, or -EINVAL where @dyn1_bytes is no multiple of the grain, out of
 * range, or another class's size.
 */
int hkm_size_classes_init(unsigned int dyn1_bytes)
{
	unsigned int id;

	if (dyn1_bytes && (dyn1_bytes % HKM_GRAIN_BYTES ||
			   dyn1_bytes < HKM_MIN_BYTES ||
			   dyn1_bytes > HKM_MAX_BYTES))
		return -EINVAL;
	for (id = 0; id < HKM_CLASS_DYN1; id++)
		if (hkm_classes[id].size_bytes == dyn1_bytes)
			return -EINVAL;

	hkm_classes[HKM_CLASS_DYN1].size_bytes = dyn1_bytes;
	for (id = 0; id < HKM_NR_CLASSES; id++)
		hkm_class_set(&hkm_classes[id], hkm_classes[id].size_bytes);

	hkm_nr_bins = min(nr_node_ids, HKM_MAX_NODES) * HKM_NR_CLASSES;
	for (id = HKM_NR_CLASSES; id < hkm_nr_bins; id++)
		hkm_classes[id] = hkm_classes[hkm_bin_class(id)];
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(hkm_size_classes_init);
