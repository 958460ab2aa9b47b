// SPDX-License-Identifier: GPL-2.0
/*
 * Size classes: which class serves a size, and where its blocks lie.
 */
#include "common.h"

/* The class that the table should name, found without it. */
static unsigned int smallest_fit(size_t size)
{
	unsigned int id, best = HKM_NR_CLASSES;

	hkm_kunit_for_each_class(id) {
		u32 have = hkm_classes[id].size_bytes;

		if (have >= size &&
		    (best == HKM_NR_CLASSES || have < hkm_classes[best].size_bytes))
			best = id;
	}
	return best;
}

/* Sizes that @table sends to a class other than the smallest that fits. */
static unsigned int table_errors(const u8 *table)
{
	unsigned int errors = 0;
	size_t size;

	for (size = HKM_MIN_BYTES; size <= HKM_MAX_BYTES; size++)
		errors += table[hkm_size_step(size)] != smallest_fit(size);
	return errors;
}

static void table_names_smallest_fit(struct kunit *test)
{
	u8 table[HKM_NR_STEPS];

	hkm_class_table_build(table, 0, 1);
	KUNIT_EXPECT_EQ(test, table_errors(table), 0U);
	KUNIT_EXPECT_EQ(test,
			memcmp(table, hkm_kunit_in_force()->bin_of[0],
			       sizeof(table)), 0);
}

static void table_with_any_dyn1(struct kunit *test)
{
	u32 fixed = 0, size = 0;

	do {
		if (size != hkm_classes[fixed].size_bytes) {
			hkm_kunit_dyn1(test, size);
			KUNIT_EXPECT_EQ_MSG(test,
					    table_errors(hkm_kunit_policy(test)->bin_of[0]),
					    0U, "dyn1 %u", size);
		} else {
			fixed++;
		}
		size += size ? 1024 : SZ_2K;
	} while (size < HKM_MAX_BYTES);
}

static void table_names_bins_of_its_node(struct kunit *test)
{
	const struct hkm_policy *policy = hkm_kunit_in_force();
	u8 table[HKM_NR_STEPS];
	unsigned int nid, i, errors = 0;

	for (nid = 0; nid < HKM_MAX_NODES; nid++) {
		hkm_class_table_build(table, nid, 1);
		for (i = 0; i < HKM_NR_STEPS; i++)
			errors += table[i] != hkm_bin(policy->bin_of[0][i], nid) ||
				  table[i] != policy->bin_of[nid][i];
	}
	KUNIT_EXPECT_EQ(test, errors, 0U);
}

static void next_class_is_not_large(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hkm_class_next(HKM_CLASS_8K, 0), (unsigned int)HKM_CLASS_16K);
	KUNIT_EXPECT_EQ(test, hkm_class_next(HKM_CLASS_32K, 0), (unsigned int)HKM_CLASS_52K);
	KUNIT_EXPECT_EQ(test, hkm_class_next(HKM_CLASS_52K, 0), (unsigned int)HKM_NR_CLASSES);
}

static void step_bounds(struct kunit *test)
{
	static const size_t beyond[] = {
		0, 1, 1024, HKM_MIN_BYTES - 1, HKM_MAX_BYTES + 1,
		HKM_CHUNK_BYTES, 1UL << 32, SIZE_MAX - 1, SIZE_MAX,
	};
	unsigned int i;

	KUNIT_EXPECT_EQ(test, HKM_MIN_BYTES, 1537U);
	KUNIT_EXPECT_EQ(test, HKM_MAX_BYTES, 53248);
	KUNIT_EXPECT_EQ(test, hkm_size_step(HKM_MIN_BYTES), 0UL);
	KUNIT_EXPECT_EQ(test, hkm_size_step(SZ_2K), 0UL);
	KUNIT_EXPECT_EQ(test, hkm_size_step(SZ_2K + 1), 1UL);
	KUNIT_EXPECT_EQ(test, hkm_size_step(HKM_MAX_BYTES),
			(size_t)HKM_NR_STEPS - 1);
	for (i = 0; i < ARRAY_SIZE(beyond); i++)
		KUNIT_EXPECT_GE_MSG(test, hkm_size_step(beyond[i]),
				    (size_t)HKM_NR_STEPS, "size %zu", beyond[i]);
}

static void geometry_of_known_sizes(struct kunit *test)
{
	static const struct {
		u32 size_bytes;
		unsigned int span_order;
		unsigned int nr_blocks;
	} want[] = {
		{ SZ_2K, 0, 32 },
		{ SZ_4K, 0, 16 },
		{ SZ_8K, 0, 8 },
		{ 10752, 0, 6 },
		{ SZ_16K, 0, 4 },
		{ 24 * SZ_1K, 1, 5 },
		{ SZ_32K, 0, 2 },
		{ 36 * SZ_1K, 2, 7 },
		{ 40 * SZ_1K, 1, 3 },
		{ 48 * SZ_1K, 2, 5 },
		{ 52 * SZ_1K, 0, 1 },
		{ SZ_64K, 0, 1 },
		{ SZ_128K, 1, 1 },
		{ SZ_256K, 2, 1 },
		{ SZ_512K, 3, 1 },
		{ SZ_1M, 4, 1 },
	};
	struct hkm_class cl;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		hkm_class_set(&cl, want[i].size_bytes);
		KUNIT_EXPECT_EQ(test, cl.size_bytes, want[i].size_bytes);
		KUNIT_EXPECT_EQ_MSG(test, cl.span_order, want[i].span_order,
				    "size %u", want[i].size_bytes);
		KUNIT_EXPECT_EQ_MSG(test, cl.nr_blocks, want[i].nr_blocks,
				    "size %u", want[i].size_bytes);
	}
	hkm_class_set(&cl, 0);
	KUNIT_EXPECT_EQ(test, cl.size_bytes, 0U);
}

/* Share of a span left unused, in bytes per 256 KiB. */
static u32 waste(u32 size_bytes, unsigned int order)
{
	return (HKM_CHUNK_BYTES << order) % size_bytes << (2 - order);
}

static void spans_follow_waste_rule(struct kunit *test)
{
	struct hkm_class cl;
	u32 size;

	for (size = SZ_2K; size <= HKM_MAX_BYTES; size += HKM_GRAIN_BYTES) {
		unsigned int order = 0, want = 0;

		/* Over 1/16 unused: the best share, in the smallest such span. */
		if (waste(size, 0) > SZ_256K / 16)
			for (order = 1; order <= 2; order++)
				if (waste(size, order) < waste(size, want) &&
				    (HKM_CHUNK_BYTES << order) / size <= HKM_MAX_BLOCKS)
					want = order;
		hkm_class_set(&cl, size);
		KUNIT_EXPECT_EQ_MSG(test, cl.span_order, want, "size %u", size);
		KUNIT_EXPECT_EQ_MSG(test, cl.nr_blocks,
				    (HKM_CHUNK_BYTES << want) / size, "size %u",
				    size);
		KUNIT_EXPECT_LE(test, cl.nr_blocks, HKM_MAX_BLOCKS);
	}
}

/* Offsets of a span, @step apart, whose index or remainder comes out wrong. */
static unsigned int index_errors(const struct hkm_class *cl, u32 step)
{
	struct hkm_chunk *chunk = &(struct hkm_chunk){ .magic = cl->magic };
	u32 offset, errors = 0;

	chunk->base = (void *)PAGE_OFFSET;
	for (offset = 0; offset < hkm_span_bytes(cl); offset += step) {
		bool exact = offset % cl->size_bytes == 0, is_start;
		unsigned int index;

		is_start = hkm_block_index(offset, cl->magic, &index);
		errors += is_start != exact ||
			  (exact && index != offset / cl->size_bytes);
		errors += hkm_chunk_block_start(chunk, chunk->base + offset) !=
			  exact;
	}
	return errors;
}

static void block_index_is_exact(struct kunit *test)
{
	struct hkm_class cl;
	unsigned int id;
	u32 size;

	hkm_kunit_for_each_class(id) {
		KUNIT_EXPECT_EQ_MSG(test, index_errors(&hkm_classes[id], 1), 0U,
				    "class %s", hkm_classes[id].name);
		cond_resched();
	}
	for (size = SZ_2K; size <= HKM_MAX_BYTES; size += HKM_GRAIN_BYTES) {
		hkm_class_set(&cl, size);
		/* Odd, and so falls on all kinds of offset, and the grain. */
		KUNIT_EXPECT_EQ_MSG(test, index_errors(&cl, 57), 0U, "size %u",
				    size);
		KUNIT_EXPECT_EQ_MSG(test, index_errors(&cl, HKM_GRAIN_BYTES), 0U,
				    "size %u", size);
		cond_resched();
	}
}

static void init_refuses_bad_dyn1(struct kunit *test)
{
	static const unsigned int bad[] = {
		1, 511, 512, 1536, 1537, SZ_2K, 2049, 2559, SZ_4K, SZ_8K,
		10751, 10753, SZ_16K, SZ_32K, HKM_MAX_BYTES - 1, HKM_MAX_BYTES,
		HKM_MAX_BYTES + 512, SZ_64K, UINT_MAX - 511, UINT_MAX,
	};
	struct hkm_class before[HKM_NR_CLASSES];
	unsigned int i;

	memcpy(before, hkm_classes, sizeof(before));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, hkm_size_classes_init(bad[i]), -EINVAL,
				    "size %u", bad[i]);
		KUNIT_EXPECT_EQ(test,
				memcmp(before, hkm_classes, sizeof(before)), 0);
	}
}

static void init_takes_good_dyn1(struct kunit *test)
{
	static const unsigned int good[] = { 0, 2560, 9728, 40960, 52736 };
	const struct hkm_class *cl = &hkm_classes[HKM_CLASS_DYN1];
	struct hkm_class before[HKM_NR_CLASSES];
	unsigned int i;

	memcpy(before, hkm_classes, sizeof(before));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		KUNIT_EXPECT_EQ_MSG(test, hkm_size_classes_init(good[i]), 0,
				    "size %u", good[i]);
		KUNIT_EXPECT_EQ(test, cl->size_bytes, good[i]);
	}
	/* The fixed classes come out the same each time. */
	KUNIT_EXPECT_EQ(test, hkm_size_classes_init(before[HKM_CLASS_DYN1].size_bytes), 0);
	KUNIT_EXPECT_EQ(test, memcmp(before, hkm_classes, sizeof(before)), 0);
	memcpy(hkm_classes, before, sizeof(before));
}

static struct kunit_case size_class_cases[] = {
	KUNIT_CASE(table_names_smallest_fit),
	KUNIT_CASE(table_with_any_dyn1),
	KUNIT_CASE(table_names_bins_of_its_node),
	KUNIT_CASE(next_class_is_not_large),
	KUNIT_CASE(step_bounds),
	KUNIT_CASE(geometry_of_known_sizes),
	KUNIT_CASE(spans_follow_waste_rule),
	KUNIT_CASE(block_index_is_exact),
	KUNIT_CASE(init_refuses_bad_dyn1),
	KUNIT_CASE(init_takes_good_dyn1),
	{}
};

static struct kunit_suite size_class_suite = {
	.name = "hakmem_size_class",
	.init = hkm_kunit_begin,
	.exit = hkm_kunit_end,
	.test_cases = size_class_cases,
};

kunit_test_suites(&size_class_suite);
