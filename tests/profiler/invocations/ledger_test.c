/* SPDX-License-Identifier: Apache-2.0 */
/* From two readings of a process's clocks to lines that sum to the time between them. */
#include "profiler/invocations/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static uint64_t sum_of(const struct fnp_ledger *ledger)
{
	uint64_t sum = 0;

	for (int line = 0; line < FNP_LEDGER_LINES; line++)
		sum += ledger->ns[line];
	return sum;
}

/* 10 ms on a CPU of which 1 was stolen, 2 in the queue, 88 quiet: 50 asleep, 30 in a poll. */
static struct fnp_clocks begin_clocks(void)
{
	return (struct fnp_clocks){.on_cpu_ns = 5 * MS,
				   .stolen_ns = MS,
				   .run_queue_ns = 7 * MS,
				   .quiet_ns = 900 * MS,
				   .has_first = 1};
}

static struct fnp_clocks end_clocks(void)
{
	struct fnp_clocks clocks = {
		.on_cpu_ns = 15 * MS, .stolen_ns = 2 * MS, .run_queue_ns = 9 * MS, .quiet_ns = 988 * MS};

	clocks.own[FNP_WAIT_SLEEP] = 50 * MS;
	clocks.own[FNP_WAIT_POLL] = 30 * MS;
	return clocks;
}

static void lines_are_the_differences_of_the_clocks(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin,
				       .end = &end,
				       .waits_begin = begin.own,
				       .waits_end = end.own,
				       .duration_ns = 100 * MS};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_between(&span, &ledger);
	assert_true(ledger.known);
	assert_false(ledger.has_gc);
	assert_int_equal(ledger.ns[FNP_LEDGER_ON_CPU], 9 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_STOLEN], MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_RUN_QUEUE], 2 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_SLEEP], 50 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_POLL], 30 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_WAITING_ASYNC], 8 * MS);
	assert_int_equal(sum_of(&ledger), 100 * MS);
}

static void polls_of_an_event_loop_wait_for_nothing_of_its_own(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin,
				       .end = &end,
				       .waits_begin = begin.own,
				       .waits_end = end.own,
				       .duration_ns = 100 * MS,
				       .poll_is_async = true};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.ns[FNP_LEDGER_POLL], 0);
	assert_int_equal(ledger.ns[FNP_LEDGER_WAITING_ASYNC], 38 * MS);
}

static void without_a_thread_quiet_time_is_async_or_unknown(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin, .end = &end, .duration_ns = 100 * MS};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.ns[FNP_LEDGER_WAITING_ASYNC], 88 * MS);
	span.rest_is_unknown = true;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.ns[FNP_LEDGER_WAITING_ASYNC], 0);
	assert_int_equal(ledger.ns[FNP_LEDGER_OTHER], 88 * MS);
}

static void clocks_that_are_ahead_or_behind_still_sum_to_the_duration(void **state)
{
	static const uint64_t durations[] = {0, 1, 3 * MS, 100 * MS - 40, 100 * MS + 40, 5000 * MS};

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		struct fnp_clocks begin = begin_clocks(), end = end_clocks();
		struct fnp_ledger_span span = {.begin = &begin,
					       .end = &end,
					       .waits_begin = begin.own,
					       .waits_end = end.own,
					       .duration_ns = durations[i]};
		struct fnp_ledger ledger = {0};

		fnp_ledger_between(&span, &ledger);
		assert_int_equal(sum_of(&ledger), durations[i]);
	}
}

static void clocks_that_went_back_count_as_nothing(void **state)
{
	struct fnp_clocks begin = end_clocks(), end = begin_clocks();
	struct fnp_ledger_span span = {
		.begin = &begin, .end = &end, .waits_begin = begin.own, .waits_end = end.own, .duration_ns = 7};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.ns[FNP_LEDGER_OTHER], 7);
	assert_int_equal(sum_of(&ledger), 7);
}

static void collections_come_out_of_what_they_hide(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin,
				       .end = &end,
				       .waits_begin = begin.own,
				       .waits_end = end.own,
				       .duration_ns = 100 * MS};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_take_gc(&ledger, &(struct fnp_ledger_gc){.gc_ns = MS});
	assert_false(ledger.has_gc);
	fnp_ledger_between(&span, &ledger);
	fnp_ledger_take_gc(&ledger, &(struct fnp_ledger_gc){
					    .gc_ns = 6 * MS}); /* half of the 12 in which it was not waiting */
	assert_true(ledger.has_gc);
	assert_int_equal(ledger.ns[FNP_LEDGER_GC], 6 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_ON_CPU], 4500000);
	assert_int_equal(ledger.ns[FNP_LEDGER_STOLEN], 500000);
	assert_int_equal(ledger.ns[FNP_LEDGER_RUN_QUEUE], MS);
	assert_int_equal(sum_of(&ledger), 100 * MS);
	/* More than there is to hide is not made up. */
	fnp_ledger_take_gc(&ledger, &(struct fnp_ledger_gc){.gc_ns = 1000 * MS});
	assert_int_equal(sum_of(&ledger), 100 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_SLEEP], 50 * MS);
}

static void collection_whose_clocks_are_known_takes_exactly_those(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin, .end = &end, .duration_ns = 100 * MS};
	const struct fnp_ledger_gc gc = {
		.gc_ns = 10 * MS, .known = true, .on_cpu_ns = 6 * MS, .run_queue_ns = MS};
	struct fnp_ledger ledger = {0};

	(void)state;
	end.own[FNP_WAIT_LOCK] = 5 * MS;
	span.waits_begin = begin.own;
	span.waits_end = end.own;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.mended_ns, 0);
	fnp_ledger_take_gc(&ledger, &gc);
	assert_int_equal(ledger.ns[FNP_LEDGER_GC], 10 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_ON_CPU], 3 * MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_STOLEN], MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_RUN_QUEUE], MS);
	assert_int_equal(ledger.ns[FNP_LEDGER_LOCK], 2 * MS); /* what it was quiet for */
	assert_int_equal(ledger.ns[FNP_LEDGER_SLEEP], 50 * MS);
	assert_int_equal(sum_of(&ledger), 100 * MS);
}

static void what_the_lines_were_made_to_fit_by_is_said(void **state)
{
	struct fnp_clocks begin = begin_clocks(), end = end_clocks();
	struct fnp_ledger_span span = {.begin = &begin, .end = &end, .duration_ns = 100 * MS + 40};
	struct fnp_ledger ledger = {0};

	(void)state;
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.mended_ns, 40);
	span.duration_ns = 100 * MS - 70;
	ledger = (struct fnp_ledger){0};
	fnp_ledger_between(&span, &ledger);
	assert_int_equal(ledger.mended_ns, 70);
}

static void every_line_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(fnp_ledger_line_name(FNP_LEDGER_FROZEN), "frozen");
	assert_string_equal(fnp_ledger_line_name(FNP_LEDGER_PAGE_FAULT), "page_fault");
	assert_string_equal(fnp_ledger_line_name(FNP_LEDGER_WAITING_ASYNC), "waiting_async");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_the_differences_of_the_clocks),
		cmocka_unit_test(polls_of_an_event_loop_wait_for_nothing_of_its_own),
		cmocka_unit_test(without_a_thread_quiet_time_is_async_or_unknown),
		cmocka_unit_test(clocks_that_are_ahead_or_behind_still_sum_to_the_duration),
		cmocka_unit_test(clocks_that_went_back_count_as_nothing),
		cmocka_unit_test(collections_come_out_of_what_they_hide),
		cmocka_unit_test(collection_whose_clocks_are_known_takes_exactly_those),
		cmocka_unit_test(what_the_lines_were_made_to_fit_by_is_said),
		cmocka_unit_test(every_line_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
