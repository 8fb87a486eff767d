/* SPDX-License-Identifier: Apache-2.0 */
/* What processes tell of themselves goes to the row in which it began. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

/* The acting thread tells of something that began now, or when its process was at `seq`. */
static void tell_at(struct stage *s, uint32_t pid, uint64_t seq, const char *name)
{
	char text[32];
	uint64_t process = 0;

	for (size_t i = 0; i < s->n_actors; i++) {
		if (s->actors[i].pid == pid)
			process = s->actors[i].process;
	}
	snprintf(text, sizeof(text), "%s", name);
	struct fnp_invocations_place at = {
		.pid = pid, .tid = s->tid ? s->tid : pid, .process = process, .seq = seq, .time_ns = s->now_ns};
	struct fnp_row_event event = {.t_ns = s->now_ns, .tid = at.tid, .what = "gc", .name = text};
	fnp_invocations_row_event(s->engine, &at, &event);
	memset(text, 'X', sizeof(text)); /* it was copied, or it shows */
}

static void tell(struct stage *s, uint32_t pid, const char *name)
{
	tell_at(s, pid, seq_of(s, pid), name);
}

static void begin_instance(struct stage *s)
{
	stage_begin(s, FNP_MODE_HOST);
	play_exec(s, 10, "/usr/bin/python3", LAMBDA);
}

static void event_goes_to_the_row_in_which_it_began(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	tell(&s, 10, "init");
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	uint64_t during = seq_of(&s, 10);
	tell(&s, 10, "first");
	play_answer(&s, 10, 1, "r1");
	tell_at(&s, 10, during, "began before the answer");
	tell(&s, 10, "idle");
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->events.len, 1);
	assert_string_equal(row_of(&s, FNP_ROW_INIT, 10)->events.items[0].name, "init");
	assert_int_equal(row(&s, "r1")->events.len, 2);
	assert_string_equal(row(&s, "r1")->events.items[0].name, "first");
	assert_string_equal(row(&s, "r1")->events.items[1].name, "began before the answer");
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->events.len, 1);
	assert_int_equal(stage_counters(&s)->row_events, 4);
	assert_int_equal(stage_counters(&s)->row_events_lost, 0);
	stage_end(&s);
}

static void event_waits_for_the_process_events_before_it(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_next(&s, 10, 1);
	s.keep = true;
	play_work(&s, 10, 1, "r1");
	s.keep = false;
	tell(&s, 10, "early");
	assert_int_equal(stage_counters(&s)->row_events, 0);
	stage_deliver(&s, (const size_t[]){0}, 1);
	pass(&s, 1 * MS);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->events.len, 1);
	assert_string_equal(row(&s, "r1")->events.items[0].name, "early");
	stage_end(&s);
}

static void overlapping_invocations_get_the_events_of_their_threads(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/java", LAMBDA_MANY);
	play_thread(&s, 10, 11);
	play_next(&s, 10, 1);
	s.tid = 11;
	play_next(&s, 10, 2);
	play_work(&s, 10, 2, "b");
	s.tid = 10;
	play_work(&s, 10, 1, "a");
	tell(&s, 10, "of a");
	s.tid = 11;
	tell(&s, 10, "of b");
	s.tid = 12;
	tell(&s, 10, "of nobody");
	s.tid = 10;
	play_answer(&s, 10, 1, "a");
	s.tid = 11;
	play_answer(&s, 10, 2, "b");
	finish(&s);
	assert_string_equal(row(&s, "a")->events.items[0].name, "of a");
	assert_string_equal(row(&s, "b")->events.items[0].name, "of b");
	assert_int_equal(row(&s, "a")->events.len + row(&s, "b")->events.len, 2);
	assert_string_equal(row_of(&s, FNP_ROW_SHARED, 10)->events.items[0].name, "of nobody");
	stage_end(&s);
}

static void event_of_a_process_that_never_comes_is_counted(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	struct fnp_invocations_place at = {.pid = 99, .tid = 99, .process = 5, .seq = 1, .time_ns = s.now_ns};
	fnp_invocations_row_event(s.engine, &at, &(struct fnp_row_event){.what = "gc"});
	finish(&s);
	assert_int_equal(stage_counters(&s)->row_events_lost, 1);
	stage_end(&s);
}

static void lost_events_stand_in_the_active_row(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	fnp_invocations_row_events_lost(s.engine, 10, 0, 7);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->events_lost, 7);
	assert_int_equal(stage_counters(&s)->row_events_lost, 7);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_goes_to_the_row_in_which_it_began),
		cmocka_unit_test(event_waits_for_the_process_events_before_it),
		cmocka_unit_test(overlapping_invocations_get_the_events_of_their_threads),
		cmocka_unit_test(event_of_a_process_that_never_comes_is_counted),
		cmocka_unit_test(lost_events_stand_in_the_active_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
