// SPDX-License-Identifier: GPL-2.0
/*
 * Which sizes are worth a class: by tables, and against trying them all.
 */
#include <kunit/test.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "../learner/dyn.h"

/* One decision with all that belongs to it. */
struct choice {
	struct hkm_dyn_input input;
	struct hkm_dyn_state state;
	struct hkm_dyn_actions actions;
};

static void choice_reset(struct choice *c)
{
	unsigned int i;

	memset(c, 0, sizeof(*c));
	c->input.dyn_max = HKM_NR_DYN;
	c->input.nr_cpus = 2;
	for (i = 0; i < HKM_NR_DYN; i++)
		c->input.vacant[i] = true;
}

/* A choice, and one for a second opinion. */
static int choice_begin(struct kunit *test)
{
	struct choice *c = kunit_kzalloc(test, 2 * sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	choice_reset(c);
	test->priv = c;
	return 0;
}

static void live(struct choice *c, size_t size, u64 nr)
{
	c->input.live[hkm_size_step(size)] = nr;
}

static void decide(struct choice *c)
{
	hkm_dyn_decide(&c->input, &c->state, &c->actions);
}

/* As the thread does with what was decided; all that retire are vacant at once. */
static void apply(struct choice *c)
{
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++) {
		c->input.size[i] = c->actions.size[i];
		c->input.vacant[i] = !c->actions.size[i];
		c->input.retired[i] = 0;
	}
}

static unsigned int nr_sizes(const struct choice *c)
{
	unsigned int i, nr = 0;

	for (i = 0; i < HKM_NR_DYN; i++)
		nr += c->actions.size[i] != 0;
	return nr;
}

static bool has_size(const struct choice *c, u32 size)
{
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++)
		if (c->actions.size[i] == size)
			return true;
	return false;
}

static unsigned int errors_in(const struct choice *c)
{
	unsigned int errors = nr_sizes(c) > c->input.dyn_max, i, id, j;

	for (i = 0; i < HKM_NR_DYN; i++) {
		u32 size = c->actions.size[i];

		if (!size)
			continue;
		errors += size % HKM_GRAIN_BYTES || size <= SZ_2K || size >= HKM_MAX_BYTES;
		errors += size != c->input.size[i] && size != c->input.retired[i] &&
			  !c->input.vacant[i];
		for (id = 0; id < HKM_CLASS_DYN1; id++)
			errors += size == hkm_classes[id].size_bytes;
		for (j = 0; j < i; j++)
			errors += size == c->actions.size[j];
		errors += (c->actions.reason[i] == HKM_REASON_NONE) !=
			  (size == c->input.size[i]);
	}
	return errors;
}

/* Memory for a block: the span's, divided by the blocks in it. */
static u64 block_cost(u32 size)
{
	struct hkm_class cl;

	hkm_class_set(&cl, size);
	return DIV_ROUND_UP(hkm_span_bytes(&cl), cl.nr_blocks);
}

/* Memory for what is live with the fixed classes and @nr more. */
static u64 cost_with(const struct choice *c, const u32 *size, unsigned int nr)
{
	unsigned int step, i, id;
	u64 sum = 0;

	for (step = 0; step < HKM_NR_STEPS; step++) {
		u32 bytes = SZ_2K + step * HKM_GRAIN_BYTES, best = HKM_MAX_BYTES;

		for (id = 0; id < HKM_CLASS_DYN1; id++)
			if (hkm_classes[id].size_bytes >= bytes)
				best = min(best, hkm_classes[id].size_bytes);
		for (i = 0; i < nr; i++)
			if (size[i] >= bytes)
				best = min(best, size[i]);
		if (c->input.live[step])
			sum += c->input.live[step] * block_cost(best);
	}
	return sum;
}

static void one_size_gets_its_class(struct kunit *test)
{
	/* What is asked for, and a block at least as large that costs least. */
	static const struct {
		u32 asked;
		u64 cost;
	} want[] = {
		{ 9320, DIV_ROUND_UP(SZ_128K, 13) },
		{ 12000, DIV_ROUND_UP(SZ_64K, 5) },
		{ 18000, DIV_ROUND_UP(SZ_128K, 7) },
		{ 36000, DIV_ROUND_UP(SZ_256K, 7) },
		{ 51000, DIV_ROUND_UP(SZ_256K, 5) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		struct choice *c = test->priv;
		u64 before, after;

		choice_reset(c);
		live(c, want[i].asked, 10000);
		decide(c);
		KUNIT_EXPECT_EQ_MSG(test, nr_sizes(c), 1, "%u", want[i].asked);
		KUNIT_EXPECT_GE(test, c->actions.size[0], want[i].asked);
		KUNIT_EXPECT_EQ_MSG(test, block_cost(c->actions.size[0]), want[i].cost,
				    "%u: %u", want[i].asked, c->actions.size[0]);
		KUNIT_EXPECT_EQ(test, c->actions.reason[0], HKM_REASON_LEARNED);
		before = cost_with(c, NULL, 0);
		after = cost_with(c, c->actions.size, 1);
		KUNIT_EXPECT_EQ(test, c->actions.bytes_before, before);
		KUNIT_EXPECT_EQ(test, c->actions.bytes_after, after);
	}
}

static void fixed_sizes_get_none(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int id;

	for (id = 0; id < HKM_CLASS_DYN1; id++)
		live(c, hkm_classes[id].size_bytes, 10000);
	/* 52 KiB does: five of 51.2 KiB in a span would cost less. */
	live(c, HKM_MAX_BYTES, 0);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
}

static void little_is_let_be(struct kunit *test)
{
	struct choice *c = test->priv;

	live(c, 9320, 300);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
	/* Enough, but of sizes that leave little to be saved. */
	live(c, 9320, 0);
	live(c, 15900, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
}

/* The fewest blocks of a size that are worth a class, about. */
static void enough_is_not_let_be(struct kunit *test)
{
	static const struct {
		unsigned int nr_cpus;
		unsigned int other;	/* blocks of 16 KiB */
		u32 asked;
		unsigned int few;
		unsigned int enough;
	} table[] = {
		/* 4 MiB are live. */
		{ 2, 0, 9320, 431, 432 },
		/* It saves 1 MiB. */
		{ 0, 0, 13000, 410, 425 },
		/* 1/32 of all. */
		{ 0, 10000, 9320, 1000, 1015 },
		/* And what its CPUs park. */
		{ 64, 0, 9320, 1500, 1530 },
	};
	struct choice *c = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		choice_reset(c);
		c->input.nr_cpus = table[i].nr_cpus;
		live(c, SZ_16K, table[i].other);
		live(c, table[i].asked, table[i].few);
		decide(c);
		KUNIT_EXPECT_EQ_MSG(test, nr_sizes(c), 0, "row %u", i);
		live(c, table[i].asked, table[i].enough);
		decide(c);
		KUNIT_EXPECT_EQ_MSG(test, nr_sizes(c), 1, "row %u", i);
	}
}

static void random_load(struct choice *c, struct rnd_state *rnd)
{
	unsigned int i;

	for (i = 0; i < HKM_NR_STEPS; i++)
		c->input.live[i] = prandom_u32_state(rnd) % 3 ? 0 :
				   prandom_u32_state(rnd) % 4000;
}

/* The least that any two classes leave. */
static u64 best_of_two(const struct choice *c)
{
	u64 least = cost_with(c, NULL, 0);
	u32 size[2];

	for (size[0] = 2560; size[0] < HKM_MAX_BYTES; size[0] += 3 * HKM_GRAIN_BYTES)
		for (size[1] = 2560; size[1] <= size[0]; size[1] += HKM_GRAIN_BYTES)
			least = min(least, cost_with(c, size, 2));
	return least;
}

static void none_is_better(struct kunit *test)
{
	struct choice *c = test->priv;
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 7);
	c->input.dyn_max = 2;
	c->input.nr_cpus = 0;
	for (i = 0; i < 3; i++) {
		random_load(c, &rnd);
		decide(c);
		/* But for the rent of two, 1/128. */
		KUNIT_EXPECT_LE(test, c->actions.bytes_after,
				best_of_two(c) + c->actions.bytes_before / 128);
		cond_resched();
	}
}

static void even_mix_costs_a_tenth_more(struct kunit *test)
{
	struct choice *c = test->priv;
	u64 asked = 0;
	unsigned int i;

	for (i = 0; i < HKM_NR_STEPS; i++) {
		c->input.live[i] = 1000;
		asked += 1000 * (SZ_2K - HKM_GRAIN_BYTES / 2 + i * HKM_GRAIN_BYTES);
	}
	decide(c);
	KUNIT_EXPECT_GT(test, c->actions.bytes_before * 100, asked * 140);
	KUNIT_EXPECT_LT(test, c->actions.bytes_after * 100, asked * 112);
}

static void sizes_stay_for_little(struct kunit *test)
{
	struct choice *c = test->priv;
	u32 first;

	live(c, 9320, 10000);
	decide(c);
	apply(c);
	first = c->actions.size[0];
	/* A few of another size: not worth a change. */
	live(c, 9800, 200);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	KUNIT_EXPECT_TRUE(test, has_size(c, first));
	KUNIT_EXPECT_EQ(test, c->actions.reason[0], HKM_REASON_NONE);
	/* Many are; and the class that is right stays where it is. */
	live(c, 18000, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 2);
	KUNIT_EXPECT_EQ(test, c->actions.size[0], first);
}

static void useless_class_retires(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	live(c, 9320, 10000);
	decide(c);
	apply(c);
	live(c, 9320, 0);
	live(c, 16000, 10000);
	for (i = 0; i < 2; i++) {
		decide(c);
		KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	}
	/* Of use once: it counts anew. */
	live(c, 9320, 10000);
	decide(c);
	live(c, 9320, 0);
	for (i = 0; i < 2; i++) {
		decide(c);
		KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	}
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
	KUNIT_EXPECT_EQ(test, c->actions.reason[0], HKM_REASON_RETIRED);
}

/* Neither saves anything beside the other, but one of them does. */
static void one_of_two_useless_classes_stays(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	memset(c->input.vacant, 0, sizeof(c->input.vacant));
	c->input.size[0] = 10240;
	c->input.size[1] = 10752;
	live(c, 9320, 10000);
	for (i = 0; i < 6; i++) {
		decide(c);
		memcpy(c->input.size, c->actions.size, sizeof(c->input.size));
	}
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
}

static void only_vacant_classes_are_given_sizes(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++)
		c->input.vacant[i] = i == 5;
	live(c, 9320, 10000);
	live(c, 18000, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	KUNIT_EXPECT_GT(test, c->actions.size[5], 18000);
	c->input.vacant[5] = false;
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
}

static void no_class_goes_for_one_that_cannot_come(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	/* Not the best, but it saves; the others wait for their last blocks. */
	c->input.size[0] = 12800;
	memset(c->input.vacant, 0, sizeof(c->input.vacant));
	live(c, 9320, 10000);
	for (i = 0; i < 4; i++) {
		decide(c);
		KUNIT_EXPECT_EQ(test, c->actions.size[0], 12800);
		KUNIT_EXPECT_EQ(test, c->actions.bytes_after, c->actions.bytes_before);
	}
	/* Nor where there is room for some of what is wanted. */
	c->input.vacant[1] = true;
	live(c, 36000, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, c->actions.size[0], 12800);
	KUNIT_EXPECT_GT(test, c->actions.size[1], 36000);
	/* Then it goes, when it has been of no use for long. */
	c->input.vacant[2] = true;
	decide(c);
	KUNIT_EXPECT_TRUE(test, has_size(c, 9728));
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_TRUE(test, has_size(c, 12800));
		apply(c);
		decide(c);
	}
	KUNIT_EXPECT_FALSE(test, has_size(c, 12800));
	KUNIT_EXPECT_TRUE(test, has_size(c, 9728));
}

/* All classes have retired with blocks that stay: one is of the size that is wanted. */
static void retired_class_serves_its_size_again(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	for (i = 0; i < HKM_NR_DYN; i++) {
		c->input.vacant[i] = false;
		c->input.retired[i] = i == 4 ? 9728 : 30720 + i * HKM_GRAIN_BYTES;
	}
	live(c, 9320, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	KUNIT_EXPECT_EQ(test, c->actions.size[4], 9728);
	KUNIT_EXPECT_EQ(test, c->actions.reason[4], HKM_REASON_LEARNED);
	/* But not if another class has that size by now. */
	c->input.size[2] = 9728;
	c->input.retired[2] = 0;
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	KUNIT_EXPECT_EQ(test, c->actions.size[2], 9728);
}

/* Where each class costs much, two that can stand in for each other are of no use. */
static void best_class_stays_where_it_is(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i;

	c->input.nr_cpus = 64;
	c->input.size[2] = 10752;
	c->input.vacant[2] = false;
	live(c, 9320, 6000);
	for (i = 0; i < 30; i++) {
		decide(c);
		KUNIT_EXPECT_EQ(test, c->actions.size[0], 9728);
		apply(c);
	}
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
}

/* Classes that serve again count too, where some make room for others. */
static void no_more_than_dyn_max_with_retired_ones(struct kunit *test)
{
	static const u32 unwanted[] = { 2560, 3072, 3584, 4608, 5120 };
	static const u32 retired[] = { 9728, 18432, 26112 };
	struct choice *c = test->priv;
	unsigned int i;

	c->input.dyn_max = 5;
	for (i = 0; i < HKM_NR_DYN; i++) {
		c->input.vacant[i] = false;
		if (i < 5)
			c->input.size[i] = unwanted[i];
		else
			c->input.retired[i] = retired[i - 5];
	}
	live(c, 9320, 10000);
	live(c, 18000, 10000);
	live(c, 26000, 10000);
	live(c, 36000, 10000);
	live(c, 43000, 10000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 5);
	KUNIT_EXPECT_EQ(test, errors_in(c), 0);
}

static void load_that_comes_and_goes_keeps_its_classes(struct kunit *test)
{
	struct choice *c = test->priv;
	unsigned int i, changes = 0;

	for (i = 0; i < 60; i++) {
		live(c, 9320, i % 4 < 2 ? 10000 : 0);
		live(c, 12000, i % 4 < 2 ? 0 : 10000);
		decide(c);
		changes += memcmp(c->actions.size, c->input.size,
				  sizeof(c->input.size)) != 0;
		apply(c);
	}
	KUNIT_EXPECT_EQ(test, changes, 2);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 2);
}

static void classes_that_all_serve_are_replaced_in_turn(struct kunit *test)
{
	/* Each saves something, and another size would save more. */
	static const struct {
		u32 size;
		u32 asked;
	} now[HKM_NR_DYN] = {
		{ 5120, 4200 }, { 6144, 5200 }, { 10240, 9320 }, { 12288, 11000 },
		{ 20480, 18000 }, { 26112, 24000 }, { 40960, 34000 }, { 50176, 43000 },
	};
	struct choice *c = test->priv;
	u64 asked = 0;
	unsigned int i;

	memset(c->input.vacant, 0, sizeof(c->input.vacant));
	for (i = 0; i < HKM_NR_DYN; i++) {
		c->input.size[i] = now[i].size;
		live(c, now[i].asked, 10000);
		asked += 10000 * now[i].asked;
	}
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), HKM_NR_DYN - 1);
	KUNIT_EXPECT_GT(test, c->actions.bytes_before * 100, asked * 115);
	/* It still has blocks: no other goes before it has made room. */
	memcpy(c->input.size, c->actions.size, sizeof(c->input.size));
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), HKM_NR_DYN - 1);
	for (i = 0; i < 2 * HKM_NR_DYN; i++) {
		apply(c);
		decide(c);
	}
	KUNIT_EXPECT_LT(test, c->actions.bytes_after * 100, asked * 110);
}

/* All serve, and what is wanted is among them: then none has to make room. */
static void no_class_goes_where_none_is_wanted(struct kunit *test)
{
	static const u32 size[HKM_NR_DYN] = {
		9728, 18432, 2560, 3072, 3584, 4608, 5120, 5632,
	};
	struct choice *c = test->priv;
	unsigned int i;

	c->input.nr_cpus = 64;
	memset(c->input.vacant, 0, sizeof(c->input.vacant));
	memcpy(c->input.size, size, sizeof(size));
	live(c, 9320, 10000);
	live(c, 18000, 10000);
	for (i = 0; i < 2; i++) {
		decide(c);
		KUNIT_EXPECT_EQ(test, nr_sizes(c), HKM_NR_DYN);
	}
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 2);
}

/* However little it saves, beside others that are not wanted. */
static void class_of_the_best_set_makes_no_room(struct kunit *test)
{
	static const u32 size[HKM_NR_DYN] = {
		4608, 6144, 10240, 12288, 20480, 26112, 40960, 50176,
	};
	static const u32 asked[HKM_NR_DYN] = {
		4200, 5200, 9320, 11000, 18000, 24000, 34000, 43000,
	};
	struct choice *c = test->priv;
	unsigned int i;

	memset(c->input.vacant, 0, sizeof(c->input.vacant));
	memcpy(c->input.size, size, sizeof(size));
	for (i = 0; i < HKM_NR_DYN; i++)
		live(c, asked[i], i ? 10000 : 6000);
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), HKM_NR_DYN - 1);
	KUNIT_EXPECT_TRUE(test, has_size(c, 4608));
}

static void lower_bound_drops_the_least_useful(struct kunit *test)
{
	struct choice *c = test->priv;

	live(c, 9320, 1500);
	live(c, 18000, 10000);
	live(c, 36000, 10000);
	decide(c);
	apply(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 3);
	c->input.dyn_max = 2;
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 2);
	KUNIT_EXPECT_FALSE(test, has_size(c, 9728));
	/* Also while nothing is live. */
	memset(c->input.live, 0, sizeof(c->input.live));
	c->input.dyn_max = 1;
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 1);
	c->input.dyn_max = 0;
	decide(c);
	KUNIT_EXPECT_EQ(test, nr_sizes(c), 0);
}

/* Some of the classes that serve nothing still have a size, good or bad. */
static void retire_some(struct choice *c, struct rnd_state *rnd)
{
	unsigned int nr = prandom_u32_state(rnd) % HKM_NR_DYN, i;
	u32 size;

	while (nr--) {
		i = prandom_u32_state(rnd) % HKM_NR_DYN;
		if (c->input.size[i])
			continue;
		size = SZ_2K + prandom_u32_state(rnd) % 12 * SZ_4K;
		size += (1 + prandom_u32_state(rnd) % 3) * HKM_GRAIN_BYTES;
		c->input.vacant[i] = false;
		c->input.retired[i] = size;
	}
}

static void any_load_gives_valid_sizes(struct kunit *test)
{
	struct choice *c = test->priv, *again = c + 1;
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 11);
	for (i = 0; i < 300; i++) {
		random_load(c, &rnd);
		c->input.dyn_max = prandom_u32_state(&rnd) % (HKM_NR_DYN + 1);
		retire_some(c, &rnd);
		/* More than any machine has. */
		if (i % 10 == 0)
			c->input.live[i % HKM_NR_STEPS] = 1ULL << 40;
		*again = *c;
		decide(c);
		decide(again);
		KUNIT_EXPECT_EQ_MSG(test, errors_in(c), 0, "load %u", i);
		KUNIT_EXPECT_EQ(test, memcmp(c->actions.size, again->actions.size,
					     sizeof(c->actions.size)), 0);
		apply(c);
		cond_resched();
	}
}

static struct kunit_case dyn_cases[] = {
	KUNIT_CASE(one_size_gets_its_class),
	KUNIT_CASE(fixed_sizes_get_none),
	KUNIT_CASE(little_is_let_be),
	KUNIT_CASE(enough_is_not_let_be),
	KUNIT_CASE(none_is_better),
	KUNIT_CASE(even_mix_costs_a_tenth_more),
	KUNIT_CASE(sizes_stay_for_little),
	KUNIT_CASE(useless_class_retires),
	KUNIT_CASE(one_of_two_useless_classes_stays),
	KUNIT_CASE(only_vacant_classes_are_given_sizes),
	KUNIT_CASE(no_class_goes_for_one_that_cannot_come),
	KUNIT_CASE(retired_class_serves_its_size_again),
	KUNIT_CASE(best_class_stays_where_it_is),
	KUNIT_CASE(no_more_than_dyn_max_with_retired_ones),
	KUNIT_CASE(load_that_comes_and_goes_keeps_its_classes),
	KUNIT_CASE(classes_that_all_serve_are_replaced_in_turn),
	KUNIT_CASE(no_class_goes_where_none_is_wanted),
	KUNIT_CASE(class_of_the_best_set_makes_no_room),
	KUNIT_CASE(lower_bound_drops_the_least_useful),
	KUNIT_CASE(any_load_gives_valid_sizes),
	{}
};

static struct kunit_suite dyn_suite = {
	.name = "hakmem_dyn",
	.init = choice_begin,
	.test_cases = dyn_cases,
};

kunit_test_suites(&dyn_suite);
