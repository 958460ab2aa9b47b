/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Size classes: which sizes the pool serves and how their blocks lie in
 * chunks. Pure arithmetic; nothing here allocates.
 */
#ifndef _HKM_SIZE_CLASS_H
#define _HKM_SIZE_CLASS_H

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define HKM_CHUNK_SHIFT		16
#define HKM_CHUNK_BYTES		(1UL << HKM_CHUNK_SHIFT)
#define HKM_CHUNK_ORDER		(HKM_CHUNK_SHIFT - PAGE_SHIFT)
/* Of classes with blocks smaller than a chunk. */
#define HKM_SPAN_MAX_CHUNKS	4

/* Block sizes and so block addresses are multiples of this. */
#define HKM_GRAIN_SHIFT		9
#define HKM_GRAIN_BYTES		(1U << HKM_GRAIN_SHIFT)

/* Requests by class table: HKM_MIN_BYTES .. HKM_MAX_BYTES, in steps of one grain. */
#define HKM_MIN_BYTES		(SZ_2K - HKM_GRAIN_BYTES + 1)
#define HKM_MAX_BYTES		(52 * SZ_1K)
#define HKM_NR_STEPS		((HKM_MAX_BYTES - HKM_MIN_BYTES) / HKM_GRAIN_BYTES + 1)

/* Above these, up to here, requests are large: see hkm_large_class(). */
#define HKM_LARGE_MAX_BYTES	SZ_1M

#define HKM_NR_DYN		8

enum hkm_class_id {
	HKM_CLASS_2K,
	HKM_CLASS_4K,
	HKM_CLASS_8K,
	HKM_CLASS_16K,
	HKM_CLASS_32K,
	HKM_CLASS_52K,
	HKM_CLASS_DYN1,		/* of sizes that the load calls for */
	HKM_CLASS_64K = HKM_CLASS_DYN1 + HKM_NR_DYN,	/* large: a block is a span */
	HKM_CLASS_128K,
	HKM_CLASS_256K,
	HKM_CLASS_512K,
	HKM_CLASS_1M,
	HKM_NR_CLASSES
};

/*
 * A bin is a class on a NUMA node: what blocks are kept in, from a CPU's ring to
 * the inventory. The numbers of node 0's bins are the classes'. Nodes beyond
 * HKM_MAX_NODES share bins with others, as if they were one.
 */
#define HKM_MAX_NODES		8
#define HKM_MAX_BINS		(HKM_MAX_NODES * HKM_NR_CLASSES)

/* Most blocks that one span of any class holds. */
#define HKM_MAX_BLOCKS		(HKM_CHUNK_BYTES / SZ_2K)

/**
 * struct hkm_class - geometry of one size class; but for the dynamic ones (see
 * dyn_class.c), constant once the module runs
 * @name: directory name in sysfs
 * @size_bytes: bytes of one block; a multiple of the grain; 0 if not in use
 * @nr_blocks: blocks in one span
 * @span_order: a span is 1 << span_order chunks in one page block
 * @magic: ceil(2^64 / size_bytes), for hkm_block_index()
 */
struct hkm_class {
	const char *name;
	u32 size_bytes;
	u16 nr_blocks;
	u8 span_order;
	u64 magic;
};

/* By bin: the same for each node. */
extern struct hkm_class hkm_classes[HKM_MAX_BINS];
/* Bins in use: those of the nodes that this machine may have. Set at init. */
extern unsigned int hkm_nr_bins;

/* The bin of a class on node @nid. */
static inline unsigned int hkm_bin(unsigned int class_id, int nid)
{
	return nid % HKM_MAX_NODES * HKM_NR_CLASSES + class_id;
}

static inline unsigned int hkm_bin_class(unsigned int bin)
{
	return bin % HKM_NR_CLASSES;
}

/* Index of a bin's node. */
static inline unsigned int hkm_bin_node(unsigned int bin)
{
	return bin / HKM_NR_CLASSES;
}

/* The bin of the same class on node @nid. */
static inline unsigned int hkm_bin_on(unsigned int bin, int nid)
{
	return hkm_bin(hkm_bin_class(bin), nid);
}

static inline bool hkm_class_is_dyn(unsigned int class_id)
{
	return class_id >= HKM_CLASS_DYN1 && class_id < HKM_CLASS_DYN1 + HKM_NR_DYN;
}

static inline bool hkm_class_is_large(unsigned int class_id)
{
	return class_id >= HKM_CLASS_64K;
}

static inline bool hkm_bin_is_large(unsigned int bin)
{
	return hkm_class_is_large(hkm_bin_class(bin));
}

static inline unsigned long hkm_span_bytes(const struct hkm_class *cl)
{
	return HKM_CHUNK_BYTES << cl->span_order;
}

/*
 * Position of a size in a class table. One unsigned compare with HKM_NR_STEPS
 * then refuses sizes that are too small, too large, and zero.
 */
static inline size_t hkm_size_step(size_t size)
{
	return (size - HKM_MIN_BYTES) >> HKM_GRAIN_SHIFT;
}

/* The largest size of a step. */
static inline u32 hkm_step_bytes(size_t step)
{
	return HKM_MIN_BYTES - 1 + (step + 1) * HKM_GRAIN_BYTES;
}

/* Whether a size is above the class table's, and not above the pool's. */
static inline bool hkm_size_is_large(size_t size)
{
	return size > HKM_MAX_BYTES && size <= HKM_LARGE_MAX_BYTES;
}

/* The smallest class for a large size. */
static inline unsigned int hkm_large_class(size_t size)
{
	return HKM_CLASS_64K + ilog2((u32)(size - 1) >> (HKM_CHUNK_SHIFT - 1));
}

/*
 * hkm_block_index() - index of the block that starts @offset bytes into a span
 * @offset: bytes from the span's first block, below 2^32
 * @magic: the class's
 * @index: quotient, valid only when the function returns true
 *
 * Exact division by multiplication; the low half of the product tells whether
 * there was a remainder (Lemire, Kaser, Kurz: "Faster remainder by direct
 * computation", 2019).
 *
 * Return: true if @offset is a multiple of the block size.
 */
static inline bool hkm_block_index(u32 offset, u64 magic, unsigned int *index)
{
	unsigned __int128 product = (unsigned __int128)offset * magic;

	*index = (u64)(product >> 64);
	return (u64)product < magic;
}

int hkm_size_classes_init(unsigned int dyn1_bytes);
void hkm_class_set(struct hkm_class *cl, u32 size_bytes);
unsigned int hkm_class_next(unsigned int class_id, unsigned long dyns);
void hkm_class_table_build(u8 table[HKM_NR_STEPS], int nid, unsigned long dyns);

#endif /* _HKM_SIZE_CLASS_H */
