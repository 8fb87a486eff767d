/* SPDX-License-Identifier: Apache-2.0 */
/* Times by another clock than the one that was read, of clocks that drift. In microseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "bpf/behind.h"

#define US 1000ULL
#define BEGIN 1000000

/* Where the other clock's moment at BEGIN + `at` is seen: it is `behind` us behind, and was read `late` us ago. */
static int64_t error_of(struct fnp_behind *state, int64_t at, int64_t behind, uint64_t late, bool is_fresh)
{
	uint64_t moment = (BEGIN + (uint64_t)at) * US;
	uint64_t said = moment - (uint64_t)behind * US;

	return ((int64_t)fnp_behind_time(state, said, moment + late * US, is_fresh) - (int64_t)moment) /
	       (int64_t)US;
}

static void the_first_look_is_believed(void **context FNP_UNUSED)
{
	struct fnp_behind state = {0};

	assert_int_equal(error_of(&state, 0, 500, 3, false), 3);
}

static void the_smallest_look_is_the_difference(void **context FNP_UNUSED)
{
	struct fnp_behind state = {0};

	error_of(&state, 0, 500, 3, true);
	assert_int_equal(error_of(&state, 10, 500, 1, true), 1);
	assert_int_equal(error_of(&state, 20, 500, 40, false), 1);
}

static void a_clock_that_overtakes_the_other_is_followed(void **context FNP_UNUSED)
{
	struct fnp_behind state = {0};

	/* From 200 us behind to 200 us ahead, and back. */
	for (int64_t i = 0; i < 400; i++)
		assert_in_range(error_of(&state, 100 * i, 200 - i, i % 3 ? 1 : 4, i % 2) + 10, 10, 14);
	for (int64_t i = 0; i < 400; i++)
		assert_in_range(error_of(&state, 100 * (400 + i), -200 + i, i % 3 ? 1 : 4, i % 2) + 10, 4, 14);
}

static void what_was_long_ago_says_nothing(void **context FNP_UNUSED)
{
	struct fnp_behind state = {0};

	error_of(&state, 0, 500, 0, true);
	assert_int_equal(error_of(&state, 30000, 900, 2, false), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look_is_believed),
		cmocka_unit_test(the_smallest_look_is_the_difference),
		cmocka_unit_test(a_clock_that_overtakes_the_other_is_followed),
		cmocka_unit_test(what_was_long_ago_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
