/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>

#include "profiler/records.h"

struct socket_with_data {
	struct fnp_socket_record record;
	struct fnp_wire_section unknown;
	uint8_t unknown_data[8];
	struct fnp_wire_section data;
	uint8_t bytes[8];
} __attribute__((aligned(8)));

static struct socket_with_data example(void)
{
	return (struct socket_with_data){
		.record.head = {.type = FNP_RECORD_SOCKET,
				.n_sections = 2,
				.size = sizeof(struct socket_with_data),
				.seq = 7,
				.tid = 3,
				.time_ns = 9},
		.record.cpu = {.process_ns = 100, .thread_ns = 50},
		.unknown = {.type = 999, .size = 5},
		.data = {.type = FNP_SECTION_DATA, .size = 3, .truncated = 1},
		.bytes = "abc",
	};
}

static void sections_are_found_past_unknown_ones(void **state)
{
	struct socket_with_data one = example();
	const struct fnp_record *record;
	struct fnp_record_part part;

	(void)state;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), 0);
	part = fnp_record_section(record, FNP_SECTION_DATA);
	assert_int_equal(part.size, 3);
	assert_true(part.truncated);
	assert_memory_equal(part.data, "abc", 3);
	assert_null(fnp_record_section(record, FNP_SECTION_ENVIRONMENT).data);
}

static void moment_has_number_and_times_of_the_event(void **state)
{
	struct socket_with_data one = example();
	struct fnp_moment moment = fnp_record_moment(&one.record.head);

	(void)state;
	assert_int_equal(moment.seq, 7);
	assert_int_equal(moment.tid, 3);
	assert_int_equal(moment.time_ns, 9);
	assert_int_equal(moment.process_ns, 100);
	assert_int_equal(moment.thread_ns, 50);
}

static void record_that_lies_about_its_sizes_is_refused(void **state)
{
	struct socket_with_data one = example();
	const struct fnp_record *record = NULL;

	(void)state;
	assert_int_equal(fnp_record_check(&one, sizeof(one.record.head) - 1, &record), -EBADMSG);
	assert_int_equal(fnp_record_check(&one, sizeof(one) - 8, &record), -EBADMSG);
	one.record.head.size = sizeof(one.record) - 8;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), -EBADMSG);
	one = example();
	one.record.head.n_sections = 3;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), -EBADMSG);
	one = example();
	one.data.size = 9;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), -EBADMSG);
	one = example();
	one.unknown.size = UINT32_MAX;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), -EBADMSG);
	one = example();
	one.record.head.type = 77;
	assert_int_equal(fnp_record_check(&one, sizeof(one), &record), -EBADMSG);
	assert_null(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_are_found_past_unknown_ones),
		cmocka_unit_test(moment_has_number_and_times_of_the_event),
		cmocka_unit_test(record_that_lies_about_its_sizes_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
