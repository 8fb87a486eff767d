/* SPDX-License-Identifier: Apache-2.0 */
/* Times off a CPU, as the kernel side tells them, and the rows that they are put into. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/profiler/invocations/stage.h"

static uint64_t process_of(const struct stage *s, uint32_t pid)
{
	for (size_t i = 0; i < s->n_actors; i++) {
		if (s->actors[i].pid == pid)
			return s->actors[i].process;
	}
	return 0;
}

/* A time off the CPU of a thread. */
struct off {
	uint32_t tid, wait, stack;
	uint64_t begin_ns, end_ns, queued_ns, walk_ns;
	uint32_t expected_us, period_us;
	bool was_certain;
	struct fnp_peer peer;
};

static void leave(struct stage *s, const struct off *off)
{
	struct {
		struct fnp_sample_record record;
		struct fnp_wire_section section;
		struct fnp_peer peer;
	} sent = {.section = {.type = FNP_SECTION_PEER, .size = sizeof(sent.peer)}, .peer = off->peer};
	struct fnp_sample_record record = {.head = {.type = FNP_RECORD_OFF_CPU,
						    .size = sizeof(record),
						    .time_ns = off->begin_ns,
						    .pid = 10,
						    .tid = off->tid,
						    .process = process_of(s, 10),
						    .seq = seq_of(s, 10)},
					   .expected_us = off->expected_us,
					   .period_us = off->period_us,
					   .cpu = off->wait};
	struct fnp_row_stack one = {.stack = off->stack, .tid = off->tid};

	sent.record = record;
	sent.record.head.n_sections = off->peer.port != 0;
	fnp_invocations_off_cpu(s->engine, &sent.record, one, s->epoch);
}

static void come_back(struct stage *s, const struct off *off)
{
	struct fnp_off_cpu_end_record record = {.head = {.type = FNP_RECORD_OFF_CPU_END,
							 .size = sizeof(record),
							 .time_ns = off->end_ns,
							 .pid = 10,
							 .tid = off->tid,
							 .process = process_of(s, 10)},
						.begin_ns = off->begin_ns,
						.queued_ns = off->queued_ns,
						.walk_ns = off->walk_ns,
						.was_certain = off->was_certain};

	fnp_invocations_off_cpu_end(s->engine, &record);
}

/* The process waits so, from now on, and time goes on by it. */
static void wait_for(struct stage *s, struct off off, uint64_t ns)
{
	off.begin_ns = s->now_ns;
	off.end_ns = s->now_ns + ns;
	leave(s, &off);
	s->now_ns += ns;
	come_back(s, &off);
}

static void begin_call(struct stage *s)
{
	stage_begin(s, FNP_MODE_HOST);
	play_exec(s, 10, "/usr/bin/python3", LAMBDA);
	play_next(s, 10, 1);
	play_work(s, 10, 1, "r1");
}

static const struct fnp_row_stack *stack_of(const struct fnp_row *row, uint32_t stack)
{
	for (size_t i = 0; i < row->stacks.len; i++) {
		if (row->stacks.items[i].stack == stack)
			return &row->stacks.items[i];
	}
	return NULL;
}

static void wait_of_the_handling_thread_stands_with_its_stack(void **state)
{
	struct stage s;
	const struct fnp_row_stack *one;

	(void)state;
	begin_call(&s);
	wait_for(&s, (struct off){.tid = 10, .wait = FNP_WAIT_SLEEP, .stack = 7}, 40 * MS);
	wait_for(&s, (struct off){.tid = 10, .wait = FNP_WAIT_LOCK, .stack = 8, .queued_ns = 2 * MS}, 12 * MS);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	one = stack_of(row(&s, "r1"), 7);
	assert_non_null(one);
	assert_int_equal(one->off_cpu_ns, 40 * MS);
	assert_int_equal(one->run_queue_ns, 0);
	assert_int_equal(one->count, 0); /* it is no sample */
	one = stack_of(row(&s, "r1"), 8);
	assert_int_equal(one->off_cpu_ns, 10 * MS);
	assert_int_equal(one->run_queue_ns, 2 * MS);
	assert_int_equal(row(&s, "r1")->events.len, 2);
	assert_string_equal(row(&s, "r1")->events.items[0].what, "off_cpu");
	assert_string_equal(row(&s, "r1")->events.items[0].name, "sleep");
	assert_int_equal(stage_counters(&s)->off_cpu_ns, 52 * MS);
	assert_int_equal(stage_counters(&s)->off_cpu_lost, 0);
	stage_end(&s);
}

static void short_wait_that_was_taken_by_chance_stands_for_more(void **state)
{
	struct stage s;

	(void)state;
	begin_call(&s);
	/* Taken with probability 50/400; one that became long stands for eight times itself at most. */
	wait_for(&s,
		 (struct off){.tid = 10, .wait = FNP_WAIT_DISK, .stack = 7, .expected_us = 50, .period_us = 400},
		 40000);
	wait_for(&s,
		 (struct off){.tid = 10, .wait = FNP_WAIT_DISK, .stack = 8, .expected_us = 50, .period_us = 400},
		 3 * MS);
	wait_for(&s,
		 (struct off){.tid = 10, .wait = FNP_WAIT_DISK, .stack = 9, .expected_us = 1, .period_us = 400},
		 2 * MS);
	/* Of its 65 us it spent 15 having its stack taken. */
	wait_for(&s,
		 (struct off){.tid = 10,
			      .wait = FNP_WAIT_DISK,
			      .stack = 6,
			      .expected_us = 50,
			      .period_us = 400,
			      .walk_ns = 15000},
		 65000);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(stack_of(row(&s, "r1"), 6)->off_cpu_ns, 400000);
	assert_int_equal(stack_of(row(&s, "r1"), 7)->off_cpu_ns, 320000);
	assert_int_equal(stack_of(row(&s, "r1"), 8)->off_cpu_ns, 24 * MS);
	assert_int_equal(stack_of(row(&s, "r1"), 9)->off_cpu_ns, 16 * MS);
	stage_end(&s);
}

/* Had it not been taken when it began, it would have been when it was over. */
static void long_wait_that_was_taken_by_chance_stands_for_itself_where_all_are_taken(void **state)
{
	struct stage s;

	(void)state;
	begin_call(&s);
	wait_for(&s,
		 (struct off){.tid = 10,
			      .wait = FNP_WAIT_DISK,
			      .stack = 8,
			      .expected_us = 50,
			      .period_us = 400,
			      .was_certain = true},
		 3 * MS);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(stack_of(row(&s, "r1"), 8)->off_cpu_ns, 3 * MS);
	stage_end(&s);
}

static void only_what_lies_within_the_call_is_its_own(void **state)
{
	struct stage s;
	struct off long_wait = {.tid = 10, .wait = FNP_WAIT_NETWORK, .stack = 7},
		   other = {.tid = 11, .stack = 9};

	(void)state;
	stage_begin(&s, FNP_MODE_HOST);
	play_exec(&s, 10, "/usr/bin/python3", LAMBDA);
	play_next(&s, 10, 1);
	long_wait.begin_ns = other.begin_ns = s.now_ns;
	leave(&s, &long_wait); /* for work: of the wait only what comes after the begin would count */
	leave(&s, &other);
	s.now_ns += 100 * MS;
	long_wait.end_ns = s.now_ns;
	come_back(&s, &long_wait);
	play_work(&s, 10, 1, "r1");
	/* A thread of a pool that waits for the next work before, during and after. */
	wait_for(&s, (struct off){.tid = 12, .wait = FNP_WAIT_LOCK, .stack = 4}, 5 * MS);
	s.now_ns += 10 * MS;
	play_answer(&s, 10, 1, "r1");
	s.now_ns += 10 * MS;
	other.end_ns = s.now_ns;
	come_back(&s, &other);
	finish(&s);
	assert_null(stack_of(row(&s, "r1"), 7));
	assert_null(stack_of(row(&s, "r1"), 9));
	assert_int_equal(stack_of(row(&s, "r1"), 4)->off_cpu_ns, 5 * MS);
	stage_end(&s);
}

static void wait_that_never_ended_counts_up_to_the_end_of_the_call(void **state)
{
	struct stage s;
	struct off off = {.tid = 10, .wait = FNP_WAIT_PIPE, .stack = 7};

	(void)state;
	begin_call(&s);
	off.begin_ns = s.now_ns;
	leave(&s, &off);
	s.now_ns += 30 * MS;
	play_exit(&s, 10, 9);
	finish(&s);
	assert_int_equal(stack_of(row(&s, "r1"), 7)->off_cpu_ns, 30 * MS);
	stage_end(&s);
}

/* The first one's stack had to wait for tables, the next one's had not. */
static void begin_that_comes_after_the_next_one_has_its_end(void **state)
{
	struct stage s;
	struct off first = {.tid = 10, .stack = 5}, second = {.tid = 10, .stack = 6};

	(void)state;
	begin_call(&s);
	first.begin_ns = s.now_ns;
	first.end_ns = second.begin_ns = s.now_ns + 3 * MS;
	second.end_ns = s.now_ns + 7 * MS;
	leave(&s, &second);
	leave(&s, &first);
	come_back(&s, &first);
	come_back(&s, &second);
	s.now_ns += 8 * MS;
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(stack_of(row(&s, "r1"), 5)->off_cpu_ns, 3 * MS);
	assert_int_equal(stack_of(row(&s, "r1"), 6)->off_cpu_ns, 4 * MS);
	stage_end(&s);
}

static void wait_for_the_network_names_its_peer(void **state)
{
	struct off off = {.tid = 10, .wait = FNP_WAIT_NETWORK, .stack = 7};
	struct stage s;

	(void)state;
	begin_call(&s);
	off.peer = (struct fnp_peer){.address = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 7}, .port = 5432};
	wait_for(&s, off, 2 * MS);
	off.peer = (struct fnp_peer){.address = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, .port = 443};
	wait_for(&s, off, 3 * MS);
	off.peer.port = 0;
	wait_for(&s, off, 4 * MS);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->events.len, 3);
	assert_string_equal(row(&s, "r1")->events.items[0].cause, "10.0.0.7:5432");
	assert_string_equal(row(&s, "r1")->events.items[1].cause, "[2001:db8::1]:443");
	assert_null(row(&s, "r1")->events.items[2].cause);
	stage_end(&s);
}

static void waits_whose_ends_never_come_are_bounded_and_counted(void **state)
{
	struct off off = {.tid = 10, .wait = FNP_WAIT_LOCK, .stack = 7};
	struct stage s;

	(void)state;
	begin_call(&s);
	for (uint64_t i = 0; i < 100; i++) {
		off.begin_ns = s.now_ns + i * MS;
		leave(&s, &off);
	}
	assert_int_equal(stage_counters(&s)->off_cpu_lost, 36);
	s.now_ns += 200 * MS;
	off.end_ns = s.now_ns;
	come_back(&s, &off);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(stack_of(row(&s, "r1"), 7)->off_cpu_ns, 101 * MS);
	assert_int_equal(stage_counters(&s)->off_cpu_lost, 99);
	stage_end(&s);
}

static void end_without_its_begin_is_nothing(void **state)
{
	struct stage s;
	struct off off = {.tid = 10, .wait = FNP_WAIT_PIPE, .stack = 7, .begin_ns = 5, .end_ns = 900};

	(void)state;
	begin_call(&s);
	come_back(&s, &off);
	leave(&s, &off);
	off.begin_ns = 6; /* of another one, whose begin was lost */
	come_back(&s, &off);
	play_answer(&s, 10, 1, "r1");
	finish(&s);
	assert_int_equal(row(&s, "r1")->stacks.len, 0);
	assert_int_equal(stage_counters(&s)->off_cpu_ns, 0);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_of_the_handling_thread_stands_with_its_stack),
		cmocka_unit_test(short_wait_that_was_taken_by_chance_stands_for_more),
		cmocka_unit_test(long_wait_that_was_taken_by_chance_stands_for_itself_where_all_are_taken),
		cmocka_unit_test(only_what_lies_within_the_call_is_its_own),
		cmocka_unit_test(wait_that_never_ended_counts_up_to_the_end_of_the_call),
		cmocka_unit_test(begin_that_comes_after_the_next_one_has_its_end),
		cmocka_unit_test(wait_for_the_network_names_its_peer),
		cmocka_unit_test(waits_whose_ends_never_come_are_bounded_and_counted),
		cmocka_unit_test(end_without_its_begin_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
