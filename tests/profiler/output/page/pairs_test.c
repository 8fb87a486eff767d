/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/output/page/pairs.h"

static void equal_pairs_have_one_number_also_after_growth(void **state)
{
	struct fnp_pairs pairs = {0};
	uint32_t n;

	(void)state;
	assert_int_equal(fnp_pairs_find(&pairs, (struct fnp_pair){1, 2}, &n), -ENOENT);
	for (uint32_t i = 0; i < 10000; i++) {
		assert_int_equal(fnp_pairs_add(&pairs, (struct fnp_pair){i % 100, i / 100}, SIZE_MAX, &n), 0);
		assert_int_equal(n, i);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		assert_int_equal(fnp_pairs_add(&pairs, (struct fnp_pair){i % 100, i / 100}, 0, &n), 0);
		assert_int_equal(n, i);
		assert_int_equal(fnp_pairs_find(&pairs, (struct fnp_pair){i % 100, i / 100}, &n), 0);
		assert_int_equal(n, i);
	}
	assert_int_equal(fnp_pairs_find(&pairs, (struct fnp_pair){100, 0}, &n), -ENOENT);
	fnp_pairs_deinit(&pairs);
}

static void new_pair_past_the_bound_is_refused(void **state)
{
	struct fnp_pairs pairs = {0};
	uint32_t n = 77;

	(void)state;
	assert_int_equal(fnp_pairs_add(&pairs, (struct fnp_pair){1, 1}, 1, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(fnp_pairs_add(&pairs, (struct fnp_pair){1, 2}, 1, &n), -ENOSPC);
	assert_int_equal(n, 0);
	fnp_pairs_deinit(&pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_pairs_have_one_number_also_after_growth),
		cmocka_unit_test(new_pair_past_the_bound_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
