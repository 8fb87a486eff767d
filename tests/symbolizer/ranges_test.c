/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/ranges.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The slow truth: the interval with the address that begins last, of those that begin together the last given. */
static const struct fnp_range *expected(const struct fnp_range *intervals, size_t n, uint32_t address)
{
	const struct fnp_range *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (address >= intervals[i].start && address < intervals[i].end)
			best = &intervals[i];
	}
	return best;
}

static void every_address_gets_the_interval_that_begins_last(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct fnp_range intervals[12];
		fnp_ranges painted = {0};
		uint32_t start = 0;

		for (uint32_t i = 0; i < 12; i++) {
			seed = seed * 1664525 + 1013904223;
			start += seed >> 28 & 3;
			intervals[i] = (struct fnp_range){
				.start = start, .end = start + (seed >> 20 & 15), .value = i};
		}
		assert_int_equal(fnp_ranges_paint(intervals, 12, &painted), 0);
		assert_true(painted.len <= 24);
		for (uint32_t address = 0; address < 80; address++) {
			const struct fnp_range *want = expected(intervals, 12, address);
			const struct fnp_range *got = fnp_ranges_find(painted.items, painted.len, address);
			assert_int_equal(want == NULL, got == NULL);
			if (want)
				assert_int_equal(got->value, want->value);
		}
		fnp_vec_deinit(&painted);
	}
}

static void nothing_painted_has_nothing(void **state)
{
	fnp_ranges painted = {0};

	(void)state;
	assert_int_equal(fnp_ranges_paint(NULL, 0, &painted), 0);
	assert_null(fnp_ranges_find(painted.items, painted.len, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_gets_the_interval_that_begins_last),
		cmocka_unit_test(nothing_painted_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
