/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stddef.h>

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

/* The wire leaves the first thread's waits out where it makes the event itself. */
static void clocks_end_before_the_waits_that_are_left_out(void **state)
{
	struct {
		struct fnp_socket_record record;
		struct fnp_wire_section section;
		struct fnp_clocks clocks;
	} one = {
		.record.head = {.type = FNP_RECORD_SOCKET, .n_sections = 1, .size = sizeof(one)},
		.section = {.type = FNP_SECTION_CLOCKS, .size = sizeof(struct fnp_clocks)},
		.clocks = {.quiet_ns = 8, .has_first = 1, .own = {1}, .first = {2}},
	};
	struct fnp_moment moment = fnp_record_moment(&one.record.head);

	(void)state;
	assert_true(moment.has_clocks);
	assert_true(moment.clocks.has_first);
	assert_int_equal(moment.clocks.first[0], 2);
	one.section.size = offsetof(struct fnp_clocks, first);
	moment = fnp_record_moment(&one.record.head);
	assert_true(moment.has_clocks);
	assert_false(moment.clocks.has_first);
	assert_int_equal(moment.clocks.quiet_ns, 8);
	assert_int_equal(moment.clocks.own[0], 1);
	assert_int_equal(moment.clocks.first[0], 0);
	one.section.size -= 8;
	assert_false(fnp_record_moment(&one.record.head).has_clocks);
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
		cmocka_unit_test(clocks_end_before_the_waits_that_are_left_out),
		cmocka_unit_test(record_that_lies_about_its_sizes_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
