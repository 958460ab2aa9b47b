/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of KUnit as suites use that need no kernel. Included after kernel.h,
 * ahead of the suite.
 */
#ifndef _HKM_HOST_KUNIT_H
#define _HKM_HOST_KUNIT_H

struct kunit {
	void *priv;
	void *memory;
	unsigned int faults;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
};

struct kunit_suite {
	const char *name;
	int (*init)(struct kunit *test);
	struct kunit_case *test_cases;
};

#define KUNIT_CASE(fn)		{ .run_case = fn, .name = #fn }
#define kunit_test_suites(suite) struct kunit_suite *const host_suite = suite
/* One piece for each case, which the runner frees. */
#define kunit_kzalloc(test, size, gfp) ((test)->memory = kzalloc(size, gfp))

#define KUNIT_EXPECT_TRUE_MSG(test, cond, fmt, ...)			\
do {									\
	if (!(cond) && (test)->faults++ < 10)				\
		printf("# line %d: not so: %s " fmt "\n", __LINE__, #cond, ##__VA_ARGS__); \
} while (0)
#define KUNIT_EXPECT_FALSE_MSG(test, cond, fmt, ...) \
	KUNIT_EXPECT_TRUE_MSG(test, !(cond), fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_EQ_MSG(test, a, b, fmt, ...) \
	KUNIT_EXPECT_TRUE_MSG(test, (a) == (b), "(%lld) " fmt, (s64)(a), ##__VA_ARGS__)
#define KUNIT_EXPECT_TRUE(test, cond)	KUNIT_EXPECT_TRUE_MSG(test, cond, "")
#define KUNIT_EXPECT_FALSE(test, cond)	KUNIT_EXPECT_FALSE_MSG(test, cond, "")
#define KUNIT_EXPECT_EQ(test, a, b)	KUNIT_EXPECT_EQ_MSG(test, a, b, "")
#define KUNIT_EXPECT_NE(test, a, b)	KUNIT_EXPECT_TRUE(test, (a) != (b))
#define KUNIT_EXPECT_LT(test, a, b)	KUNIT_EXPECT_TRUE_MSG(test, (a) < (b), "(%lld)", (s64)(a))
#define KUNIT_EXPECT_LE(test, a, b)	KUNIT_EXPECT_TRUE_MSG(test, (a) <= (b), "(%lld)", (s64)(a))
#define KUNIT_EXPECT_GT(test, a, b)	KUNIT_EXPECT_TRUE_MSG(test, (a) > (b), "(%lld)", (s64)(a))
#define KUNIT_EXPECT_GE(test, a, b)	KUNIT_EXPECT_TRUE_MSG(test, (a) >= (b), "(%lld)", (s64)(a))

#endif /* _HKM_HOST_KUNIT_H */
