/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/sources/environment.h"

static const struct fnp_environment_field fields[] = {{.name = "A"}, {.name = "Any_Case", .any_case = true}};

static void read_text(const char *text, size_t size, bool truncated, struct fnp_span ret[2])
{
	struct fnp_environment environment = {.data = text, .size = size, .truncated = truncated};

	fnp_environment_read(&environment, fields, 2, ret);
}

static void variables_are_found_by_their_whole_name(void **state)
{
	static const char text[] = "AB=1\0=A\0A=x=y\0A=second\0ANY_case=";
	struct fnp_span values[2];

	(void)state;
	read_text(text, sizeof(text), false, values);
	assert_true(fnp_span_equals(values[0], "x=y"));
	assert_true(fnp_span_equals(values[1], ""));
}

static void last_text_that_was_cut_is_not_taken(void **state)
{
	struct fnp_span values[2];

	(void)state;
	read_text("B=1\0A=hal", 9, true, values);
	assert_null(values[0].data);
	read_text("B=1\0A=hal", 9, false, values);
	assert_true(fnp_span_equals(values[0], "hal"));
}

static void nothing_is_found_in_nothing(void **state)
{
	struct fnp_span values[2];

	(void)state;
	read_text(NULL, 0, false, values);
	assert_null(values[0].data);
	read_text("\0\0\0", 3, false, values);
	assert_null(values[0].data);
}

static void numbers_are_whole_and_bounded(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_true(fnp_span_parse_u64(fnp_span_of("18446744073709551615"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	value = 7;
	assert_false(fnp_span_parse_u64(fnp_span_of("18446744073709551616"), UINT64_MAX, &value));
	assert_false(fnp_span_parse_u64(fnp_span_of("11"), 10, &value));
	assert_false(fnp_span_parse_u64(fnp_span_of("+1"), 10, &value));
	assert_false(fnp_span_parse_u64(fnp_span_of(""), 10, &value));
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_are_found_by_their_whole_name),
		cmocka_unit_test(last_text_that_was_cut_is_not_taken),
		cmocka_unit_test(nothing_is_found_in_nothing),
		cmocka_unit_test(numbers_are_whole_and_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
