/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a phase of a start becomes the phase. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

static void tell(struct stage *s, uint32_t pid, const char *what, const char *name)
{
	char text[40];
	uint64_t process = 0;

	for (size_t i = 0; i < s->n_actors; i++) {
		if (s->actors[i].pid == pid)
			process = s->actors[i].process;
	}
	snprintf(text, sizeof(text), "%s", name);
	struct fnp_invocations_place at = {
		.pid = pid, .tid = pid, .process = process, .seq = seq_of(s, pid), .time_ns = s->now_ns};
	struct fnp_row_event event = {
		.t_ns = s->now_ns, .tid = pid, .what = what, .name = text, .how = FNP_EVENT_UPROBE};
	fnp_invocations_row_event(s->engine, &at, &event);
}

static void assert_phase(const struct fnp_row *row, size_t i, const char *name, uint64_t ns)
{
	assert_string_equal(row->events.items[i].what, FNP_PHASE);
	assert_string_equal(row->events.items[i].name, name);
	assert_int_equal(row->events.items[i].duration_ns, ns);
}

static void phases_of_an_init_sum_to_its_time(void **state)
{
	struct stage s;
	const struct fnp_row *init;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	burn(&s, 10, 3 * MS);
	tell(&s, 10, FNP_PHASE, FNP_PHASE_LINKED);
	burn(&s, 10, 9 * MS);
	tell(&s, 10, FNP_PHASE, FNP_PHASE_STARTED);
	burn(&s, 10, 1 * MS);
	tell(&s, 10, FNP_PHASE, FNP_PHASE_STARTED); /* a thread of the runtime; the first one counts */
	tell(&s, 10, "import", "json");
	burn(&s, 10, 20 * MS);
	play_next(&s, 10, 1);
	finish(&s);
	init = row_of(&s, FNP_ROW_INIT, 10);
	assert_int_equal(init->events.len, 4);
	assert_phase(init, 0, FNP_PHASE_LINKED, 3 * MS);
	assert_phase(init, 1, FNP_PHASE_STARTED, 9 * MS);
	assert_phase(init, 2, "program start", 21 * MS);
	assert_string_equal(init->events.items[3].name, "json");
	assert_int_equal(init->duration_ns, 33 * MS);
	stage_end(&s);
}

static void phase_whose_begin_was_not_met_has_both_names(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	burn(&s, 10, 12 * MS);
	tell(&s, 10, FNP_PHASE, FNP_PHASE_STARTED);
	burn(&s, 10, 20 * MS);
	play_next(&s, 10, 1);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->events.len, 2);
	assert_phase(row_of(&s, FNP_ROW_INIT, 10), 0, "exec and dynamic linking, runtime start", 12 * MS);
	assert_phase(row_of(&s, FNP_ROW_INIT, 10), 1, "program start", 20 * MS);
	stage_end(&s);
}

static void only_a_start_has_phases(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_LAUNCHED);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	tell(&s, 10, FNP_PHASE, FNP_PHASE_STARTED);
	play_answer(&s, 10, 1, "r1");
	play_fork(&s, 10, 20);
	play_exec_of(&s, 20, "/usr/bin/python3", "A=b", 4);
	tell(&s, 20, FNP_PHASE, FNP_PHASE_LINKED);
	play_end(&s, 20, 0, 0);
	finish(&s);
	assert_int_equal(row(&s, "r1")->events.len, 0);
	for (size_t i = 0; i < s.rows.len; i++)
		assert_int_equal(s.rows.items[i]->events.len, 0);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(phases_of_an_init_sum_to_its_time),
		cmocka_unit_test(phase_whose_begin_was_not_met_has_both_names),
		cmocka_unit_test(only_a_start_has_phases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
