/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "profiler/invocations/row.h"

static void equal_stacks_of_a_thread_are_merged(void **state)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_IDLE);

	(void)state;
	/* Far more additions than stacks, so that both the short and the indexed way are gone. */
	for (uint32_t i = 0; i < 1000; i++) {
		struct fnp_row_stack one = {.stack = i % 100, .tid = 5, .comm = 1, .count = 1, .weight_ns = 3};
		assert_int_equal(fnp_row_add_sample(row, &one, FNP_ATTRIBUTION_NONE, FNP_TRUNCATION_LOOP), 0);
	}
	assert_int_equal(row->stacks.len, 100);
	for (size_t i = 0; i < row->stacks.len; i++) {
		assert_int_equal(row->stacks.items[i].count, 10);
		assert_int_equal(row->stacks.items[i].weight_ns, 30);
	}
	assert_int_equal(row->samples, 1000);
	assert_int_equal(row->sampled_ns, 3000);
	assert_int_equal(row->attribution[FNP_ATTRIBUTION_NONE], 1000);
	assert_int_equal(row->truncated[FNP_TRUNCATION_LOOP], 1000);
}

static void threads_and_names_are_kept_apart(void **state)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_PROCESS);

	(void)state;
	for (uint32_t i = 0; i < 40; i++) {
		struct fnp_row_stack one = {.stack = 1, .tid = i / 2, .comm = i % 2, .count = 1, .weight_ns = 1};
		assert_int_equal(fnp_row_add_sample(row, &one, FNP_ATTRIBUTION_EXACT, FNP_TRUNCATION_NONE), 0);
	}
	assert_int_equal(row->stacks.len, 40);
	assert_int_equal(row->truncated[FNP_TRUNCATION_NONE], 0);
}

static void times_lead_to_their_stacks_up_to_a_bound(void **state)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_INVOCATION);

	(void)state;
	for (uint32_t i = 0; i < FNP_ROW_TIMES_MAX + 10; i++) {
		struct fnp_row_stack one = {.stack = i * 7 % 50, .tid = 5, .count = 1, .weight_ns = 1};
		assert_int_equal(fnp_row_add_sample(row, &one, FNP_ATTRIBUTION_EXACT, FNP_TRUNCATION_NONE), 0);
		fnp_row_add_time(row, 1000 + i);
	}
	assert_int_equal(row->samples, FNP_ROW_TIMES_MAX + 10);
	assert_int_equal(row->times.len, FNP_ROW_TIMES_MAX);
	for (uint32_t i = 0; i < FNP_ROW_TIMES_MAX; i++) {
		assert_int_equal(row->times.items[i].t_ns, 1000 + i);
		assert_int_equal(row->stacks.items[row->times.items[i].at].stack, i * 7 % 50);
	}
}

static void rows_of_the_whole_recording_keep_no_times(void **state)
{
	static const enum fnp_row_kind kinds[] = {FNP_ROW_IDLE, FNP_ROW_SHARED};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(kinds); i++) {
		FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(kinds[i]);
		struct fnp_row_stack one = {.count = 1};
		assert_int_equal(fnp_row_add_sample(row, &one, FNP_ATTRIBUTION_NONE, FNP_TRUNCATION_NONE), 0);
		fnp_row_add_time(row, 1);
		assert_int_equal(row->times.len, 0);
	}
}

static void events_are_bounded_and_what_is_over_is_counted(void **state)
{
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_IDLE);
	char name[] = "name";
	struct fnp_row_event event = {.what = "gc", .name = name};

	(void)state;
	for (size_t i = 0; i < FNP_ROW_EVENTS_MAX; i++)
		assert_int_equal(fnp_row_add_event(row, &event), 0);
	assert_int_equal(fnp_row_add_event(row, &event), -ENOSPC);
	assert_int_equal(fnp_row_add_event(row, &event), -ENOSPC);
	assert_int_equal(row->events.len, FNP_ROW_EVENTS_MAX);
	assert_int_equal(row->events_lost, 2);
}

static void events_are_sorted_by_begin_and_the_outer_one_is_first(void **state)
{
	static const struct fnp_row_event told[] = {{.t_ns = 30, .duration_ns = 1},
						    {.t_ns = 10, .duration_ns = 5},
						    {.t_ns = 10, .duration_ns = 50}};
	FNP_CLEANUP(fnp_row_destroyp) struct fnp_row *row = fnp_row_create(FNP_ROW_IDLE);

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(told); i++)
		assert_int_equal(fnp_row_add_event(row, &told[i]), 0);
	fnp_row_sort_events(row);
	assert_int_equal(row->events.items[0].duration_ns, 50);
	assert_int_equal(row->events.items[1].duration_ns, 5);
	assert_int_equal(row->events.items[2].t_ns, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_stacks_of_a_thread_are_merged),
		cmocka_unit_test(threads_and_names_are_kept_apart),
		cmocka_unit_test(times_lead_to_their_stacks_up_to_a_bound),
		cmocka_unit_test(rows_of_the_whole_recording_keep_no_times),
		cmocka_unit_test(events_are_bounded_and_what_is_over_is_counted),
		cmocka_unit_test(events_are_sorted_by_begin_and_the_outer_one_is_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
