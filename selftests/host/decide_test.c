// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a KUnit suite of the learner's laws, SUITE, in user space.
 */
#include "kunit.h"
#include SUITE

/* What classes are laid out by: no red zones. */
unsigned int hkm_debug;

int main(void)
{
	const struct kunit_case *c;
	unsigned int nr = 0, bad = 0;

	printf("KTAP version 1\n");
	for (c = host_suite->test_cases; c->run_case; c++) {
		struct kunit test = {};

		if (host_suite->init(&test))
			return 2;
		c->run_case(&test);
		kfree(test.memory);
		bad += !!test.faults;
		printf("%s %u %s\n", test.faults ? "not ok" : "ok", ++nr, c->name);
	}
	printf("1..%u\n", nr);
	return !!bad;
}
