/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one invocation at a time: the rows of a Lambda instance. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

/* A process that starts, burns 5 ms, and asks for work on connection 1. */
static void begin_instance(struct stage *s)
{
	stage_begin(s, FNP_MODE_HOST);
	play_exec(s, 10, "/usr/bin/python3", LAMBDA);
	burn(s, 10, 5 * MS);
	play_next(s, 10, 1);
}

/* One whole invocation that burns this much. */
static void serve(struct stage *s, const char *id, uint64_t ns)
{
	play_work(s, 10, 1, id);
	burn(s, 10, ns);
	play_answer(s, 10, 1, id);
	play_accepted(s, 10, 1);
}

static void instance_has_init_invocations_and_idle(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	assert_int_equal(s.flags, FNP_TARGET_SAMPLED | FNP_TARGET_SOCKETS);
	assert_int_equal(s.port, STAGE_PORT);
	serve(&s, "r1", 20 * MS);
	burn(&s, 10, 3 * MS);
	play_next(&s, 10, 1);
	serve(&s, "r2", 40 * MS);
	pass(&s, 700 * MS);
	play_end(&s, 10, 0, 7 * MS);
	pass(&s, 700 * MS);

	assert_int_equal(s.rows.len, 4);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->cpu_ns, 5 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->duration_ns, 5 * MS);
	assert_string_equal(row_of(&s, FNP_ROW_INIT, 10)->source, "lambda");
	assert_int_equal(row(&s, "r1")->cpu_ns, 20 * MS);
	assert_int_equal(row(&s, "r1")->duration_ns, 20 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r1")->cold, FNP_TRUE);
	assert_string_equal(row(&s, "r1")->init, row_of(&s, FNP_ROW_INIT, 10)->id);
	assert_string_equal(row(&s, "r1")->function, "fun");
	assert_string_equal(row(&s, "r1")->version, "3");
	assert_string_equal(row(&s, "r1")->runtime, "native");
	assert_string_equal(row(&s, "r1")->trace_id, "5759e988bd862e3fe1be46a994272793");
	assert_string_equal(row(&s, "r1")->parent_span_id, "53995c3f42cd8ad8");
	assert_true(row(&s, "r1")->has_post_cpu);
	assert_int_equal(row(&s, "r1")->post_cpu_ns, 3 * MS);
	assert_int_equal(row(&s, "r2")->cpu_ns, 40 * MS);
	assert_int_equal(row(&s, "r2")->cold, FNP_FALSE);
	assert_null(row(&s, "r2")->init);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->cpu_ns, 10 * MS);
	assert_int_equal(cpu_of(&s, 10), 75 * MS);
	stage_end(&s);
}

static void samples_go_by_number_not_by_arrival(void **state)
{
	struct stage s;
	uint64_t init, first, between;

	(void)state;
	begin_instance(&s);
	init = seq_of(&s, 10) - 1;
	play_work(&s, 10, 1, "r1");
	first = seq_of(&s, 10);
	play_answer(&s, 10, 1, "r1");
	between = seq_of(&s, 10);
	play_accepted(&s, 10, 1);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "r2");
	take_sample_at(&s, 10, init);
	take_sample_at(&s, 10, first);
	take_sample_at(&s, 10, first + 1); /* the head of its answer is out, the last byte is not */
	take_sample_at(&s, 10, between);
	take_sample(&s, 10);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->samples, 1);
	assert_int_equal(row(&s, "r1")->samples, 2);
	assert_int_equal(row(&s, "r1")->sampled_ns, 20 * MS);
	assert_int_equal(row(&s, "r1")->attribution[FNP_ATTRIBUTION_EXACT], 2);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->samples, 1);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->attribution[FNP_ATTRIBUTION_NONE], 1);
	assert_int_equal(row(&s, "r2")->samples, 1);
	assert_int_equal(row(&s, "r2")->outcome, FNP_OUTCOME_UNFINISHED);
	assert_int_equal(stage_counters(&s)->samples, 5);
	stage_end(&s);
}

static void sample_waits_for_its_event(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	take_sample_at(&s, 10, seq_of(&s, 10) + 1);
	assert_int_equal(stage_counters(&s)->samples, 0);
	play_work(&s, 10, 1, "r1");
	pass(&s, 10 * MS);
	assert_int_equal(stage_counters(&s)->samples, 1);
	finish(&s);
	assert_int_equal(row(&s, "r1")->samples, 1);
	stage_end(&s);
}

static void sample_whose_event_never_comes_is_decided_in_the_end(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	take_sample_at(&s, 10, seq_of(&s, 10) + 5);
	pass(&s, 200 * MS);
	assert_int_equal(stage_counters(&s)->samples, 1);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->samples, 1);
	stage_end(&s);
}

static void sample_before_the_exec_record_waits_for_it(void **state)
{
	struct stage s;
	struct actor *actor;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	s.keep = true;
	play_exec(&s, 10, "/bin/x", LAMBDA);
	actor = &s.actors[0];
	take_sample_at(&s, actor->pid, 1);
	stage_deliver(&s, (size_t[]){0}, 1);
	pass(&s, 10 * MS);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_PROCESS, 10)->samples, 1);
	stage_end(&s);
}

static void events_out_of_order_are_put_in_order(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	s.keep = true;
	play_work(&s, 10, 1, "r1");
	burn(&s, 10, 8 * MS);
	play_answer(&s, 10, 1, "r1"); /* two events */
	stage_deliver(&s, (size_t[]){2, 0, 1}, 3);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->cpu_ns, 8 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(stage_counters(&s)->events_missing, 0);
	stage_end(&s);
}

static void lost_answer_leaves_the_invocation_unfinished(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	s.skip = true;
	play_answer(&s, 10, 1, "r1");
	s.skip = false;
	play_accepted(&s, 10, 1);
	play_next(&s, 10, 1);
	pass(&s, 150 * MS);
	serve(&s, "r2", MS);
	pass(&s, 700 * MS);
	assert_int_equal(stage_counters(&s)->events_missing, 2);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_UNFINISHED);
	assert_int_equal(row(&s, "r2")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r2")->cpu_ns, MS);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 2);
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 0);
	stage_end(&s);
}

static void error_answer_is_an_error(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	play_error(&s, 10, 7, "r1"); /* on another connection */
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_ERROR);
	stage_end(&s);
}

static void error_after_a_refused_answer_is_an_error(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	play_answer(&s, 10, 1, "r1");
	play_in(&s, 10, 1, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
	play_error(&s, 10, 1, "r1");
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_ERROR);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 1);
	stage_end(&s);
}

static void streamed_answer_ends_with_its_last_chunk(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	play_out(&s, 10, 1,
		 "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\n"
		 "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n");
	burn(&s, 10, 4 * MS);
	play_out(&s, 10, 1, "5\r\nhello\r\n");
	burn(&s, 10, 4 * MS);
	play_out(&s, 10, 1, "0\r\nLambda-Runtime-Function-Error-Type: Boom\r\n\r\n");
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->cpu_ns, 8 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_ERROR);
	stage_end(&s);
}

static void answer_whose_bytes_are_not_seen_ends_with_the_last_before_the_reply(void **state)
{
	struct stage s;
	uint64_t last;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	play_out(&s, 10,
		 1, "POST /2018-06-01/runtime/invocation/r1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	burn(&s, 10, 4 * MS);
	play_out_unseen(&s, 10, 1, 5000);
	last = seq_of(&s, 10);
	burn(&s, 10, 2 * MS);
	take_sample_at(&s, 10, last - 1);
	take_sample_at(&s, 10, last); /* after the last byte, as will turn out */
	pass(&s, 10 * MS);
	play_accepted(&s, 10, 1);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->cpu_ns, 4 * MS);
	assert_int_equal(row(&s, "r1")->duration_ns, 4 * MS);
	assert_int_equal(row(&s, "r1")->samples, 1);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->samples, 1);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->cpu_ns, 2 * MS);
	stage_end(&s);
}

static void answer_that_cannot_be_read_ends_the_only_invocation(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	for (int i = 0; i < 2; i++) {
		play_work(&s, 10, 1, i ? "r2" : "r1");
		burn(&s, 10, 4 * MS);
		play_out_unseen(&s, 10, 2, 150);
		play_out_unseen(&s, 10, 2, 5000);
		burn(&s, 10, 2 * MS);
		play_accepted(&s, 10, 2);
		play_next(&s, 10, 1);
	}
	pass(&s, 700 * MS);
	for (int i = 0; i < 2; i++) {
		const struct fnp_row *one = row(&s, i ? "r2" : "r1");

		assert_non_null(one);
		assert_int_equal(one->duration_ns, 4 * MS);
		assert_int_equal(one->cpu_ns, 4 * MS);
		assert_int_equal(one->outcome, FNP_OUTCOME_UNKNOWN);
	}
	assert_int_equal(count_rows(&s, FNP_ROW_SHARED), 0);
	stage_end(&s);
}

static void request_that_cannot_be_read_ends_nothing_unless_it_is_accepted(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	play_out_unseen(&s, 10, 2, 150); /* an extension's, say */
	play_in(&s, 10, 2, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	burn(&s, 10, 4 * MS);
	play_answer(&s, 10, 1, "r1");
	play_accepted(&s, 10, 1);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->duration_ns, 4 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	stage_end(&s);
}

static void answer_that_cannot_be_read_ends_none_of_several(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA_MANY);
	play_next(&s, 10, 1);
	play_next(&s, 10, 2);
	play_work(&s, 10, 1, "r1");
	play_work(&s, 10, 2, "r2");
	play_out_unseen(&s, 10, 3, 150);
	play_accepted(&s, 10, 3);
	pass(&s, 700 * MS);
	assert_null(row(&s, "r1"));
	assert_null(row(&s, "r2"));
	assert_int_equal(stage_counters(&s)->answers_unknown, 1);
	stage_end(&s);
}

static void invocation_begins_with_the_first_byte_of_a_split_head(void **state)
{
	struct stage s;
	uint64_t first;

	(void)state;
	begin_instance(&s);
	play_in(&s, 10, 1, "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-");
	first = seq_of(&s, 10);
	take_sample_at(&s, 10, first);
	burn(&s, 10, 2 * MS);
	play_in(&s, 10, 1, "Request-Id: r1\r\n");
	pass(&s, 10 * MS);
	play_in(&s, 10, 1, "Content-Length: 0\r\n\r\n");
	burn(&s, 10, 2 * MS);
	play_answer(&s, 10, 1, "r1");
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->cpu_ns, 4 * MS);
	assert_int_equal(row(&s, "r1")->duration_ns, 14 * MS);
	assert_int_equal(row(&s, "r1")->samples, 1);
	stage_end(&s);
}

static void process_that_dies_before_its_deadline_was_killed(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	burn(&s, 10, 10 * MS);
	play_end(&s, 10, 9, 5 * MS);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_KILLED);
	assert_int_equal(row(&s, "r1")->duration_ns, 10 * MS);
	/* tearing down belongs to what was active */
	assert_int_equal(row(&s, "r1")->cpu_ns, 15 * MS);
	assert_int_equal(cpu_of(&s, 10), 20 * MS);
	stage_end(&s);
}

static void process_that_dies_after_its_deadline_timed_out(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	pass(&s, 3001 * MS);
	play_end(&s, 10, 9, 0);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_TIMEOUT);
	stage_end(&s);
}

static void failed_init_has_a_row(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	burn(&s, 10, 5 * MS);
	play_out(&s, 10, 1, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
	burn(&s, 10, 1 * MS);
	play_out(&s, 10, 1, "{}");
	burn(&s, 10, 2 * MS);
	play_end(&s, 10, 256, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 2);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->outcome, FNP_OUTCOME_ERROR);
	assert_int_equal(row_of(&s, FNP_ROW_INIT, 10)->cpu_ns, 6 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->cpu_ns, 2 * MS);
	stage_end(&s);
}

static void candidate_that_never_asks_is_a_process(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/opt/extensions/logger", LAMBDA);
	play_out(&s, 10, 1, "GET /2020-01-01/extension/event/next HTTP/1.1\r\n\r\n");
	play_in(&s, 10, 1, "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: no\r\nContent-Length: 0\r\n\r\n");
	burn(&s, 10, 2 * MS);
	play_end(&s, 10, 0, 0);
	pass(&s, 700 * MS);
	assert_int_equal(s.rows.len, 1);
	assert_int_equal(s.rows.items[0]->kind, FNP_ROW_PROCESS);
	assert_string_equal(s.rows.items[0]->function, "logger");
	assert_null(s.rows.items[0]->source);
	assert_int_equal(s.rows.items[0]->cpu_ns, 2 * MS);
	stage_end(&s);
}

static void same_paths_on_another_server_mean_nothing(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/x", LAMBDA);
	play_out_to(&s, 10, 1, 9002, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n");
	finish(&s);
	assert_int_equal(s.rows.len, 1);
	assert_int_equal(s.rows.items[0]->kind, FNP_ROW_PROCESS);
	stage_end(&s);
}

static void attached_in_mid_invocation_counts_from_the_next_answer(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 10, "/usr/bin/node", LAMBDA, sizeof(LAMBDA) - 1);
	burn(&s, 10, 3 * MS);
	take_sample(&s, 10);
	play_answer(&s, 10, 1, "before");
	play_accepted(&s, 10, 1);
	play_next(&s, 10, 1);
	serve(&s, "r1", 2 * MS);
	play_next(&s, 10, 1);
	serve(&s, "r2", 2 * MS);
	finish(&s);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 2);
	assert_int_equal(count_rows(&s, FNP_ROW_INIT), 0);
	assert_int_equal(count_rows(&s, FNP_ROW_PROCESS), 0);
	assert_int_equal(row(&s, "r1")->cold, FNP_UNKNOWN);
	assert_int_equal(row(&s, "r2")->cold, FNP_FALSE);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->cpu_ns, 3 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->samples, 1);
	assert_int_equal(stage_counters(&s)->answers_unknown, 1);
	stage_end(&s);
}

static void attached_while_it_waits_begins_with_the_answer(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_GIVEN);
	play_attach(&s, 10, "/usr/bin/node", LAMBDA, sizeof(LAMBDA) - 1);
	serve(&s, "r1", 2 * MS);
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r1")->cpu_ns, 2 * MS);
	assert_int_equal(count_rows(&s, FNP_ROW_IDLE), 1);
	stage_end(&s);
}

static void function_comes_from_the_arn_without_environment(void **state)
{
	struct stage s;

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/bin/bootstrap", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001\0");
	play_next(&s, 10, 1);
	serve(&s, "r1", MS);
	finish(&s);
	assert_string_equal(row(&s, "r1")->function, "fromarn");
	assert_string_equal(row(&s, "r1")->version, "9");
	assert_string_equal(row_of(&s, FNP_ROW_IDLE, 10)->function, "fromarn");
	stage_end(&s);
}

static void hostile_id_is_kept_as_it_is(void **state)
{
	static char id[4200];
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "../../etc/passwd");
	play_answer(&s, 10, 1, "../../etc/passwd");
	play_accepted(&s, 10, 1);
	play_next(&s, 10, 1);
	play_work(&s, 10, 1, "a b\xff");
	play_answer(&s, 10, 1, "a%20b%ff");
	memset(id, 'i', sizeof(id) - 1);
	pass(&s, 700 * MS);
	assert_int_equal(row(&s, "../../etc/passwd")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "a b\xff")->outcome, FNP_OUTCOME_OK);
	stage_end(&s);
}

static void work_after_the_answer_is_idle_and_post(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	serve(&s, "r1", 2 * MS);
	play_next(&s, 10, 1);
	pass(&s, 100 * MS);
	burn(&s, 10, 50 * MS); /* a thread that goes on, without any event */
	take_sample(&s, 10);
	pass(&s, 500 * MS);
	assert_int_equal(row(&s, "r1")->cpu_ns, 2 * MS);
	assert_int_equal(row(&s, "r1")->post_cpu_ns, 50 * MS);
	finish(&s);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->cpu_ns, 50 * MS);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->samples, 1);
	stage_end(&s);
}

static void rows_close_within_a_second(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	serve(&s, "r1", 2 * MS);
	play_next(&s, 10, 1);
	serve(&s, "r2", 2 * MS);
	pass(&s, 150 * MS);
	assert_null(row(&s, "r1"));
	pass(&s, 60 * MS); /* the next one has begun: nothing more to come */
	assert_non_null(row(&s, "r1"));
	assert_null(row(&s, "r2"));
	pass(&s, 400 * MS);
	assert_non_null(row(&s, "r2"));
	stage_end(&s);
}

static void losses_stand_in_the_row_that_is_active(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	play_work(&s, 10, 1, "r1");
	fnp_invocations_loss(s.engine, 10, s.actors[0].process, FNP_LOSS_RING_FULL, 3);
	play_answer(&s, 10, 1, "r1");
	fnp_invocations_loss(s.engine, 10, s.actors[0].process, FNP_LOSS_BAD_RECORD, 1);
	finish(&s);
	assert_int_equal(row(&s, "r1")->losses[FNP_LOSS_RING_FULL], 3);
	assert_int_equal(row_of(&s, FNP_ROW_IDLE, 10)->losses[FNP_LOSS_BAD_RECORD], 1);
	assert_int_equal(stage_counters(&s)->losses[FNP_LOSS_RING_FULL], 3);
	stage_end(&s);
}

static void reconnects_and_closed_connections_are_followed(void **state)
{
	struct stage s;

	(void)state;
	begin_instance(&s);
	serve(&s, "r1", MS);
	play_close(&s, 10, 1);
	play_next(&s, 10, 2);
	play_work(&s, 10, 2, "r2");
	play_answer(&s, 10, 3, "r2");
	play_accepted(&s, 10, 3);
	play_close(&s, 10, 3);
	finish(&s);
	assert_int_equal(row(&s, "r1")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(row(&s, "r2")->outcome, FNP_OUTCOME_OK);
	assert_int_equal(count_rows(&s, FNP_ROW_INVOCATION), 2);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instance_has_init_invocations_and_idle),
		cmocka_unit_test(samples_go_by_number_not_by_arrival),
		cmocka_unit_test(sample_waits_for_its_event),
		cmocka_unit_test(sample_whose_event_never_comes_is_decided_in_the_end),
		cmocka_unit_test(sample_before_the_exec_record_waits_for_it),
		cmocka_unit_test(events_out_of_order_are_put_in_order),
		cmocka_unit_test(lost_answer_leaves_the_invocation_unfinished),
		cmocka_unit_test(error_answer_is_an_error),
		cmocka_unit_test(error_after_a_refused_answer_is_an_error),
		cmocka_unit_test(streamed_answer_ends_with_its_last_chunk),
		cmocka_unit_test(answer_whose_bytes_are_not_seen_ends_with_the_last_before_the_reply),
		cmocka_unit_test(answer_that_cannot_be_read_ends_the_only_invocation),
		cmocka_unit_test(request_that_cannot_be_read_ends_nothing_unless_it_is_accepted),
		cmocka_unit_test(answer_that_cannot_be_read_ends_none_of_several),
		cmocka_unit_test(invocation_begins_with_the_first_byte_of_a_split_head),
		cmocka_unit_test(process_that_dies_before_its_deadline_was_killed),
		cmocka_unit_test(process_that_dies_after_its_deadline_timed_out),
		cmocka_unit_test(failed_init_has_a_row),
		cmocka_unit_test(candidate_that_never_asks_is_a_process),
		cmocka_unit_test(same_paths_on_another_server_mean_nothing),
		cmocka_unit_test(attached_in_mid_invocation_counts_from_the_next_answer),
		cmocka_unit_test(attached_while_it_waits_begins_with_the_answer),
		cmocka_unit_test(function_comes_from_the_arn_without_environment),
		cmocka_unit_test(hostile_id_is_kept_as_it_is),
		cmocka_unit_test(work_after_the_answer_is_idle_and_post),
		cmocka_unit_test(rows_close_within_a_second),
		cmocka_unit_test(losses_stand_in_the_row_that_is_active),
		cmocka_unit_test(reconnects_and_closed_connections_are_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
