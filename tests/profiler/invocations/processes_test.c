/* SPDX-License-Identifier: Apache-2.0 */
/* Processes as they start others, exec and end; exec invocations; who is watched. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

#define CGI                                                                                                  \
	"Http_X_Call_Id=call-1\0Http_Traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\0"

static void program_without_work_is_not_watched_host_wide(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/ls", "PATH=/bin\0");
	assert_int_equal(s.unwatched, 10);
	take_sample(&s, 10);
	assert_int_equal(stage_counters(&s)->samples_unwanted, 1);
	assert_false(fnp_invocations_any_alive(s.engine));
	finish(&s);
	assert_int_equal(s.rows.len, 0);
	stage_end(&s);
}

/* The agent did not run for ten seconds; the samples of that time are read after the exec. */
static void late_samples_of_an_unwanted_program_are_nobodys(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/ls", "PATH=/bin\0");
	fnp_invocations_advance(s.engine, s.now_ns + 10000000000);
	take_sample(&s, 10);
	assert_int_equal(stage_counters(&s)->samples_unwanted, 1);
	fnp_invocations_advance(s.engine, s.now_ns + 20000000000);
	assert_int_equal(stage_counters(&s)->processes, 0);
	finish(&s);
	assert_int_equal(stage_counters(&s)->losses[FNP_LOSS_UNKNOWN_PROCESS], 0);
	stage_end(&s);
}

static void program_that_execs_into_a_function_is_watched_again(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/sh", "PATH=/bin\0");
	s.actors[0].seq = 0; /* the kernel side begins to count anew */
	play_exec(&s, 10, "/bin/fun", LAMBDA);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(count_rows(&s, FNP_ROW_INIT), 1);
	stage_end(&s);
}

static void recording_of_given_processes_ends_without_what_they_started(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 10, "/bin/sh", "PATH=/bin", sizeof("PATH=/bin"));
	play_fork(&s, 10, 11);
	burn(&s, 11, MS);
	assert_true(fnp_invocations_any_given_alive(s.engine));
	play_end(&s, 10, 0, MS);
	assert_false(fnp_invocations_any_given_alive(s.engine));
	assert_true(fnp_invocations_any_alive(s.engine));
	stage_end(&s);
}

static void launched_command_has_rows_whatever_it_is(void **state)
{
	struct fnp_invocations_process command = {.pid = 10, .waits_for_exec = true};
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_LAUNCHED);
	assert_int_equal(fnp_invocations_attach(s.engine, &command), 0);
	assert_int_equal(s.flags, FNP_TARGET_SAMPLED | FNP_TARGET_WAIT_EXEC | FNP_TARGET_SOCKETS);
	play_exec(&s, 10, "/usr/bin/make", "PATH=/bin\0");
	burn(&s, 10, 4 * MS);
	assert_true(fnp_invocations_any_alive(s.engine));
	play_end(&s, 10, 0, MS);
	assert_false(fnp_invocations_any_alive(s.engine));
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 1);
	assert_string_equal(s.rows.items[0]->function, "make");
	assert_int_equal(s.rows.items[0]->duration_ns, 4 * MS);
	assert_int_equal(s.rows.items[0]->cpu_ns, 5 * MS);
	stage_end(&s);
}

static void exec_in_the_middle_begins_a_new_row(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 9, "/bin/bash", NULL, 0);
	burn(&s, 9, MS);
	play_fork(&s, 9, 10);
	burn(&s, 10, 2 * MS);
	take_sample(&s, 10);
	play_exec(&s, 10, "/bin/first", "A=1\0");
	burn(&s, 10, 3 * MS);
	take_sample(&s, 10);
	play_exec(&s, 10, "/bin/second", "A=1\0");
	burn(&s, 10, 4 * MS);
	take_sample(&s, 10);
	take_sample_at(&s, 10, 1); /* late, of the image before */
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 2);
	assert_string_equal(s.rows.items[0]->function, "first");
	assert_int_equal(s.rows.items[0]->cpu_ns, 5 * MS); /* fork to exec is in it */
	assert_int_equal(s.rows.items[0]->duration_ns, 3 * MS);
	assert_int_equal(s.rows.items[0]->samples, 3);
	assert_string_equal(s.rows.items[1]->function, "second");
	assert_int_equal(s.rows.items[1]->cpu_ns, 4 * MS);
	assert_int_equal(s.rows.items[1]->samples, 1);
	stage_end(&s);
}

static void bootstrap_script_has_its_own_row_before_the_init(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/sh", LAMBDA);
	burn(&s, 10, 2 * MS);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	burn(&s, 10, 5 * MS);
	play_next(&s, 10, 1);
	finish(&s);
	assert_string_equal(row_of(&s, FNP_ROW_PROCESS, 10)->function, "sh");
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 10)->cpu_ns, 2 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->cpu_ns, 5 * MS);
	assert_string_equal(row_of(&s, FNP_ROW_INIT, 10)->function, "fun");
	stage_end(&s);
}

static void fork_to_exec_belongs_to_init(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 9, "/bin/server", NULL, 0);
	play_fork(&s, 9, 10);
	burn(&s, 10, 2 * MS);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	burn(&s, 10, 5 * MS);
	play_next(&s, 10, 1);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->cpu_ns, 7 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->duration_ns, 5 * MS);
	stage_end(&s);
}

static void forked_workers_are_instances_of_their_own(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA_MANY);
	play_fork(&s, 10, 11);
	play_fork(&s, 10, 12);
	play_next(&s, 11, 1);
	play_next(&s, 12, 2);
	play_work(&s, 11, 1, "r1");
	play_work(&s, 12, 2, "r2");
	burn(&s, 11, 3 * MS);
	burn(&s, 12, 4 * MS);
	play_answer(&s, 11, 1, "r1");
	play_answer(&s, 12, 2, "r2");
	finish(&s);
	assert_int_equal(row(&s, "r1")->cpu_ns, 3 * MS);
	assert_int_equal(row(&s, "r2")->cpu_ns, 4 * MS);
	assert_int_equal(row(&s, "r1")->cold, FNP_TRUE);
	assert_string_equal(row(&s, "r2")->function, "fun");
	assert_int_equal(count_rows(&s, FNP_ROW_INIT), 2);
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 0);
	assert_int_equal(count_rows(&s, FNP_ROW_PROCESS), 1);
	stage_end(&s);
}

static void a_client_that_is_started_for_each_call_serves_its_parents_invocation(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/bash", LAMBDA);
	burn(&s, 10, 2 * MS);
	play_fork(&s, 10, 11);
	play_exec(&s, 11, "/usr/bin/curl", LAMBDA);
	burn(&s, 11, 3 * MS);
	play_next(&s, 11, 1);
	play_work(&s, 11, 1, "r1");
	burn(&s, 11, 4 * MS);
	play_end(&s, 11, 0, MS);
	burn(&s, 10, 20 * MS);
	take_sample(&s, 10);
	play_fork(&s, 10, 12);
	play_exec(&s, 12, "/usr/bin/curl", LAMBDA);
	play_error(&s, 12, 2, "r1");
	play_end(&s, 12, 0, MS);
	play_fork(&s, 10, 13);
	finish(&s);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 1);
	assert_int_equal(row(&s, "r1")->pid, 10);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_ERROR);
	assert_int_equal(row(&s, "r1")->cold, FNP_TRUE);
	assert_int_equal(row(&s, "r1")->cpu_ns, 20 * MS);
	assert_int_equal(row(&s, "r1")->duration_ns, 25 * MS);
	assert_int_equal(row(&s, "r1")->samples, 1);
	assert_int_equal(row(&s, "r1")->children_cpu_ns, 9 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->cpu_ns, 2 * MS);
	assert_int_equal(cpu_of(&s, 10), 22 * MS);
	assert_int_equal(cpu_of(&s, 11), 8 * MS);
	stage_end(&s);
}

static void a_child_that_answers_ends_its_parents_invocation(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	for (int i = 0; i < 2; i++) {
		char id[] = {'r', (char)('1' + i), 0};

		play_next(&s, 10, 1);
		play_work(&s, 10, 1, id);
		play_fork(&s, 10, 11 + (uint32_t)i);
		burn(&s, 11 + (uint32_t)i, 5 * MS);
		play_answer(&s, 11 + (uint32_t)i, 2 + (uint64_t)i, id);
		play_exit(&s, 11 + (uint32_t)i, 0); /* nobody says in time that it is gone */
	}
	play_next(&s, 10, 1);
	pass(&s, 700 * MS);
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r2")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r1")->duration_ns, 5 * MS);
	assert_int_equal(row(&s, "r2")->duration_ns, 5 * MS);
	assert_int_equal(row(&s, "r2")->pid, 10);
	assert_false(row(&s, "r1")->ledger.known);
	assert_int_equal(row(&s, "r1")->children_cpu_ns, 5 * MS);
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 0);
	stage_end(&s);
}

static void a_worker_that_dies_in_its_call_was_no_messenger(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/supervisor", LAMBDA);
	play_fork(&s, 10, 11); /* without a program of its own */
	play_next(&s, 11, 1);
	play_work(&s, 11, 1, "r1");
	play_end(&s, 11, 0, 0);
	play_fork(&s, 10, 12);
	play_exec(&s, 12, "/usr/bin/crasher", LAMBDA);
	play_next(&s, 12, 1);
	play_work(&s, 12, 1, "r2");
	play_end(&s, 12, 256, 0);
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_KILLED);
	assert_int_equal(row(&s, "r1")->pid, 11);
	assert_int_equal(row(&s, "r2")->outcome, FNP_OUTCOME_KILLED);
	assert_int_equal(row(&s, "r2")->pid, 12);
	stage_end(&s);
}

static void child_of_a_handler_has_its_row_and_is_paid_by_the_invocation(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	play_fork(&s, 10, 11);
	play_exec(&s, 11, "/usr/bin/ffmpeg", LAMBDA);
	burn(&s, 11, 6 * MS);
	take_sample(&s, 11);
	play_end(&s, 11, 0, MS);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_true(row(&s, "r1")->has_children_cpu);
	assert_int_equal(row(&s, "r1")->children_cpu_ns, 7 * MS);
	assert_int_equal(row(&s, "r1")->samples, 0);
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 11)->cpu_ns, 7 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 11)->samples, 1);
	stage_end(&s);
}

static void exec_invocation_is_its_process(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/resize", CGI);
	assert_int_equal(s.flags, FNP_TARGET_SAMPLED);
	burn(&s, 10, 5 * MS);
	take_sample(&s, 10);
	play_end(&s, 10, 0, MS);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 1);
	assert_non_null(row(&s, "call-1"));
	assert_int_equal(row(&s, "call-1")->kind, FNP_ROW_INVOCATION);
	assert_int_equal(row(&s, "call-1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "call-1")->cpu_ns, 6 * MS);
	assert_int_equal(row(&s, "call-1")->duration_ns, 5 * MS);
	assert_int_equal(row(&s, "call-1")->attribution[FNP_ATTRIBUTION_EXACT], 1);
	assert_string_equal(row(&s, "call-1")->function, "resize");
	assert_string_equal(row(&s, "call-1")->source, "exec");
	assert_string_equal(row(&s, "call-1")->trace_id, "0af7651916cd43dd8448eb211c80319c");
	assert_int_equal(row(&s, "call-1")->children_cpu_ns, 0);
	stage_end(&s);
}

static void exec_outcome_comes_from_the_exit_status(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/a", "Http_X_Call_Id=fails\0");
	play_end(&s, 10, 3 << 8, 0);
	play_exec(&s, 11, "/srv/a", "Http_X_Call_Id=dies\0");
	play_end(&s, 11, 9, 0);
	play_exec(&s, 12, "/srv/a", "Http_X_Call_Id=runs\0");
	pass(&s, 700 * MS);
	finish(&s);
	assert_int_equal(row(&s, "fails")->outcome, FNP_OUTCOME_ERROR);
	assert_int_equal(row(&s, "dies")->outcome, FNP_OUTCOME_KILLED);
	assert_int_equal(row(&s, "runs")->outcome, FNP_OUTCOME_UNFINISHED);
	stage_end(&s);
}

static void exec_without_id_is_named_by_pid_and_start(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/a", "GATEWAY_INTERFACE=CGI/1.1\0");
	finish(&s);
	assert_string_equal(s.rows.items[0]->id, "exec-10-20231114T221321.000000000Z");
	stage_end(&s);
}

static void what_an_exec_invocation_starts_belongs_to_it(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/sh", CGI);
	burn(&s, 10, 1 * MS);
	play_fork(&s, 10, 11);
	play_fork(&s, 11, 12);
	play_exec(&s, 11, "/bin/convert", CGI);
	burn(&s, 11, 5 * MS);
	burn(&s, 12, 7 * MS);
	take_sample(&s, 11);
	take_sample(&s, 12);
	play_end(&s, 11, 0, 0);
	play_end(&s, 12, 0, 0);
	play_exec(&s, 10, "/bin/last", CGI); /* the shell's last command: the same call */
	burn(&s, 10, 2 * MS);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 1);
	assert_int_equal(row(&s, "call-1")->samples, 2);
	assert_int_equal(row(&s, "call-1")->cpu_ns, 3 * MS);
	assert_int_equal(row(&s, "call-1")->children_cpu_ns, 12 * MS);
	assert_string_equal(row(&s, "call-1")->function, "sh");
	stage_end(&s);
}

static void call_that_clears_its_environment_stays_the_call(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/sh", CGI);
	play_exec(&s, 10, "/bin/clean", "PATH=/bin\0");
	burn(&s, 10, 5 * MS);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.unwatched, 0);
	assert_int_equal(s.rows.len, 1);
	assert_int_equal(row(&s, "call-1")->cpu_ns, 5 * MS);
	stage_end(&s);
}

static void call_of_another_id_inside_is_its_own(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/gateway", CGI);
	play_fork(&s, 10, 11);
	play_exec(&s, 11, "/bin/inner", "Http_X_Call_Id=call-2\0");
	burn(&s, 11, 5 * MS);
	play_end(&s, 11, 0, 0);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 2);
	assert_int_equal(row(&s, "call-2")->cpu_ns, 5 * MS);
	assert_int_equal(row(&s, "call-1")->children_cpu_ns, 0);
	stage_end(&s);
}

static void estimate_that_was_too_high_is_taken_back_in_the_end(void **state)
{
	struct fnp_target final = {.cpu_ns = 5 * MS};
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/a", CGI);
	burn(&s, 10, 6 * MS);
	play_fork(&s, 10, 11);
	play_exec(&s, 10, "/srv/a", CGI); /* charged up to 6 ms here, 1 ms of which the host had stolen */
	play_exit(&s, 10, 0);
	fnp_invocations_gone(s.engine, 10, s.actors[0].process, &final, s.now_ns);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "call-1")->cpu_ns, 5 * MS);
	stage_end(&s);
}

static void call_that_had_begun_before_we_came_has_no_row(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 10, "/bin/sh", CGI, sizeof(CGI) - 1);
	play_fork(&s, 10, 11);
	play_exec(&s, 11, "/bin/part", CGI);
	play_fork(&s, 10, 12);
	play_exec(&s, 12, "/bin/other", "Http_X_Call_Id=call-2\0");
	finish(&s);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 1);
	assert_non_null(row(&s, "call-2"));
	assert_int_equal(count_rows(&s, FNP_ROW_PROCESS), 2);
	assert_string_equal(row_of(&s, FNP_ROW_PROCESS, 11)->function, "part");
	stage_end(&s);
}

static void daemon_that_outlives_its_call_becomes_a_process(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/sh", CGI);
	play_fork(&s, 10, 11);
	burn(&s, 11, 5 * MS);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "call-1")->children_cpu_ns, 5 * MS);
	burn(&s, 11, 3 * MS);
	take_sample(&s, 11);
	play_end(&s, 11, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 11)->cpu_ns, 3 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 11)->samples, 1);
	stage_end(&s);
}

static void exec_under_a_watched_watchdog_is_recognised(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 9, "/usr/bin/fwatchdog", NULL, 0);
	play_fork(&s, 9, 10);
	burn(&s, 10, 2 * MS);
	take_sample(&s, 10);
	play_exec(&s, 10, "/srv/a", CGI);
	burn(&s, 10, 3 * MS);
	take_sample(&s, 10);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 1);
	assert_int_equal(row(&s, "call-1")->cpu_ns, 5 * MS);
	assert_int_equal(row(&s, "call-1")->samples, 2);
	assert_int_equal(row(&s, "call-1")->attribution[FNP_ATTRIBUTION_EXACT], 2);
	stage_end(&s);
}

static void pid_that_is_used_again_is_another_process(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/a", "Http_X_Call_Id=one\0");
	burn(&s, 10, 5 * MS);
	play_end(&s, 10, 0, 0);
	s.actors[0].pid = 0;
	play_exec(&s, 10, "/srv/a", "Http_X_Call_Id=two\0");
	burn(&s, 10, 3 * MS);
	take_sample(&s, 10);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "one")->cpu_ns, 5 * MS);
	assert_int_equal(row(&s, "one")->samples, 0);
	assert_int_equal(row(&s, "two")->cpu_ns, 3 * MS);
	assert_int_equal(row(&s, "two")->samples, 1);
	stage_end(&s);
}

static void cut_environment_is_asked_for(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	s.environment = LAMBDA;
	s.environment_size = sizeof(LAMBDA) - 1;
	play_exec(&s, 10, "/bin/fun", "");
	assert_int_equal(s.port, STAGE_PORT);
	assert_int_equal(s.unwatched, 0);
	stage_end(&s);
}

static void process_whose_exec_was_lost_is_found_by_its_environment(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	s.environment = LAMBDA;
	s.environment_size = sizeof(LAMBDA) - 1;
	s.skip = true;
	play_exec(&s, 10, "/bin/fun", LAMBDA);
	s.skip = false;
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r1");
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r1")->cold, FNP_UNKNOWN);
	assert_int_equal(count_rows(&s, FNP_ROW_INIT), 0);
	stage_end(&s);
}

static void end_without_word_of_it_is_accepted_after_a_while(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/srv/a", CGI);
	burn(&s, 10, 3 * MS);
	play_exit(&s, 10, 0);
	pass(&s, 1000 * MS);
	assert_int_equal(s.rows.len, 0);
	pass(&s, 1500 * MS);
	pass(&s, 10 * MS);
	assert_int_equal(row(&s, "call-1")->outcome, FNP_OUTCOME_OK);
	pass(&s, 3000 * MS);
	assert_int_equal(stage_counters(&s)->processes, 0);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_without_work_is_not_watched_host_wide),
		cmocka_unit_test(late_samples_of_an_unwanted_program_are_nobodys),
		cmocka_unit_test(program_that_execs_into_a_function_is_watched_again),
		cmocka_unit_test(recording_of_given_processes_ends_without_what_they_started),
		cmocka_unit_test(launched_command_has_rows_whatever_it_is),
		cmocka_unit_test(exec_in_the_middle_begins_a_new_row),
		cmocka_unit_test(bootstrap_script_has_its_own_row_before_the_init),
		cmocka_unit_test(fork_to_exec_belongs_to_init),
		cmocka_unit_test(forked_workers_are_instances_of_their_own),
		cmocka_unit_test(child_of_a_handler_has_its_row_and_is_paid_by_the_invocation),
		cmocka_unit_test(exec_invocation_is_its_process),
		cmocka_unit_test(exec_outcome_comes_from_the_exit_status),
		cmocka_unit_test(a_client_that_is_started_for_each_call_serves_its_parents_invocation),
		cmocka_unit_test(a_child_that_answers_ends_its_parents_invocation),
		cmocka_unit_test(a_worker_that_dies_in_its_call_was_no_messenger),
		cmocka_unit_test(exec_without_id_is_named_by_pid_and_start),
		cmocka_unit_test(what_an_exec_invocation_starts_belongs_to_it),
		cmocka_unit_test(call_that_clears_its_environment_stays_the_call),
		cmocka_unit_test(call_of_another_id_inside_is_its_own),
		cmocka_unit_test(estimate_that_was_too_high_is_taken_back_in_the_end),
		cmocka_unit_test(call_that_had_begun_before_we_came_has_no_row),
		cmocka_unit_test(daemon_that_outlives_its_call_becomes_a_process),
		cmocka_unit_test(exec_under_a_watched_watchdog_is_recognised),
		cmocka_unit_test(pid_that_is_used_again_is_another_process),
		cmocka_unit_test(cut_environment_is_asked_for),
		cmocka_unit_test(process_whose_exec_was_lost_is_found_by_its_environment),
		cmocka_unit_test(end_without_word_of_it_is_accepted_after_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
