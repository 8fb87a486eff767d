/* SPDX-License-Identifier: Apache-2.0 */
/* Several invocations in one process at a time. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

/* An instance whose threads 10 and 11 have asked for work on connections 1 and 2. */
static void begin_two(struct stage *s)
{
	stage_begin(s, FNP_MODE_HOST);
	play_exec(s, 10, "/usr/bin/java", LAMBDA_MANY);
	play_thread(s, 10, 11);
	play_next(s, 10, 1);
	s->tid = 11;
	play_next(s, 10, 2);
	s->tid = 10;
}

static void on(struct stage *s, uint32_t tid)
{
	s->tid = tid;
}

static void threads_that_receive_and_answer_tell_invocations_apart(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	on(&s, 10);
	play_work(&s, 10, 1, "a");
	on(&s, 11);
	play_work(&s, 10, 2, "b");
	burn(&s, 10, 6 * MS);
	take_sample(&s, 10);
	on(&s, 10);
	burn(&s, 10, 4 * MS);
	take_sample(&s, 10);
	take_sample(&s, 10);
	assert_int_equal(stage_counters(&s)->samples, 0); /* they wait for the answers */
	play_answer(&s, 10, 1, "a");
	on(&s, 11);
	play_answer(&s, 10, 2, "b");
	finish(&s);
	assert_int_equal(row(&s, "a")->samples, 2);
	assert_int_equal(row(&s, "a")->attribution[FNP_ATTRIBUTION_INFERRED], 2);
	assert_int_equal(row(&s, "b")->samples, 1);
	/* b was never alone before its end but for its last moments: its thread's time is its own */
	assert_int_equal(row(&s, "b")->cpu_ns, 6 * MS);
	assert_int_equal(row(&s, "a")->cpu_ns, 4 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->samples, 0);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->cpu_ns, 0);
	stage_end(&s);
}

static void what_other_threads_do_meanwhile_is_shared(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	play_work(&s, 10, 1, "a");
	on(&s, 11);
	play_work(&s, 10, 2, "b");
	on(&s, 13);
	burn(&s, 10, 6 * MS);
	take_sample(&s, 10);
	on(&s, 10);
	play_answer(&s, 10, 1, "a");
	on(&s, 11);
	play_answer(&s, 10, 2, "b");
	pass(&s, 700 * MS);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->samples, 1);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->attribution[FNP_ATTRIBUTION_SHARED], 1);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->cpu_ns, 6 * MS);
	assert_int_equal(cpu_of(&s, 10), 6 * MS);
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 1);
	stage_end(&s);
}

static void thread_created_for_an_invocation_belongs_to_it(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	play_work(&s, 10, 1, "a");
	on(&s, 11);
	play_work(&s, 10, 2, "b");
	on(&s, 10);
	play_thread(&s, 10, 12);
	on(&s, 12);
	play_thread(&s, 10, 13);
	on(&s, 13);
	burn(&s, 10, 6 * MS);
	take_sample(&s, 10);
	on(&s, 10);
	play_answer(&s, 10, 1, "a");
	finish(&s);
	assert_int_equal(row(&s, "a")->attribution[FNP_ATTRIBUTION_INFERRED], 1);
	assert_int_equal(row(&s, "b")->outcome, FNP_OUTCOME_UNFINISHED);
	stage_end(&s);
}

static void answer_from_another_thread_makes_its_samples_shared(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	play_work(&s, 10, 1, "a");
	on(&s, 11);
	play_work(&s, 10, 2, "b");
	on(&s, 10);
	burn(&s, 10, 6 * MS);
	take_sample(&s, 10);
	on(&s, 14);
	play_answer(&s, 10, 3, "a");
	on(&s, 14);
	play_answer(&s, 10, 4, "b");
	finish(&s);
	assert_int_equal(row(&s, "a")->samples, 0);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->samples, 1);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->cpu_ns, 6 * MS);
	stage_end(&s);
}

static void one_thread_with_two_invocations_is_shared(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	play_work(&s, 10, 1, "a");
	burn(&s, 10, 2 * MS);
	take_sample(&s, 10); /* a alone */
	play_work(&s, 10, 2, "b");
	burn(&s, 10, 6 * MS);
	take_sample(&s, 10);
	play_answer(&s, 10, 3, "a");
	burn(&s, 10, 3 * MS);
	take_sample(&s, 10); /* b alone */
	play_answer(&s, 10, 3, "b");
	finish(&s);
	assert_int_equal(row(&s, "a")->attribution[FNP_ATTRIBUTION_EXACT], 1);
	assert_int_equal(row(&s, "a")->cpu_ns, 2 * MS);
	assert_int_equal(row(&s, "b")->attribution[FNP_ATTRIBUTION_EXACT], 1);
	assert_int_equal(row(&s, "b")->cpu_ns, 3 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->samples, 1);
	assert_int_equal(row_of(&s, FNP_ROW_SHARED, 10)->cpu_ns, 6 * MS);
	assert_int_equal(cpu_of(&s, 10), 11 * MS);
	stage_end(&s);
}

static void no_overlap_no_shared_row(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	for (int i = 0; i < 5; i++) {
		char id[8];

		snprintf(id, sizeof(id), "r%d", i);
		on(&s, i % 2 ? 11 : 10);
		play_work(&s, 10, (uint64_t)(1 + i % 2), id);
		burn(&s, 10, MS);
		take_sample(&s, 10);
		play_answer(&s, 10, (uint64_t)(1 + i % 2), id);
		play_accepted(&s, 10, (uint64_t)(1 + i % 2));
		play_next(&s, 10, (uint64_t)(1 + i % 2));
	}
	finish(&s);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 5);
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 0);
	assert_int_equal(row(&s, "r3")->attribution[FNP_ATTRIBUTION_EXACT], 1);
	stage_end(&s);
}

static void thousands_of_samples_that_wait_are_all_kept(void **state)
{
	struct stage s;

	(void)state;
	begin_two(&s);
	play_work(&s, 10, 1, "a");
	on(&s, 11);
	play_work(&s, 10, 2, "b");
	for (int i = 0; i < 20000; i++)
		take_sample(&s, 10);
	play_answer(&s, 10, 2, "b");
	finish(&s);
	assert_int_equal(row(&s, "b")->samples + row_of(&s, FNP_ROW_SHARED, 10)->samples, 20000);
	assert_true(row(&s, "b")->samples >= 8192);
	assert_int_equal(stage_counters(&s)->samples, 20000);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_that_receive_and_answer_tell_invocations_apart),
		cmocka_unit_test(what_other_threads_do_meanwhile_is_shared),
		cmocka_unit_test(thread_created_for_an_invocation_belongs_to_it),
		cmocka_unit_test(answer_from_another_thread_makes_its_samples_shared),
		cmocka_unit_test(one_thread_with_two_invocations_is_shared),
		cmocka_unit_test(no_overlap_no_shared_row),
		cmocka_unit_test(thousands_of_samples_that_wait_are_all_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
