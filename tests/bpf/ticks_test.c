/* SPDX-License-Identifier: Apache-2.0 */
/* What ticks stand for, on timers that are late, withheld and started anew. Times in microseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "bpf/ticks.h"

#define US 1000ULL
#define BEGIN 1000000
#define PERIOD 500

struct cpu {
	struct fnp_tick_state state;
	struct fnp_timer_state timer;
};

/* The timer starts at BEGIN, the first tick comes when it is due. */
static struct cpu ticking(void)
{
	struct cpu cpu = {.timer = {.starts = 2, .started_ns = BEGIN * US, .period_ns = PERIOD * US}};

	fnp_tick_comes(&cpu.state, &cpu.timer, (BEGIN + PERIOD) * US);
	assert_int_equal(
		fnp_ticks_owed(&cpu.state, &cpu.timer, (BEGIN + PERIOD - 10) * US, (BEGIN + PERIOD) * US),
		PERIOD * US);
	return cpu;
}

/* The thread that came at BEGIN + `in` leaves at BEGIN + `at`: the microseconds that it is owed then. */
static uint64_t leave(struct cpu *cpu, uint64_t at, uint64_t in)
{
	return fnp_ticks_owed(&cpu->state, &cpu->timer, (BEGIN + in) * US, (BEGIN + at) * US) / US;
}

/* A tick meets it. */
static uint64_t tick(struct cpu *cpu, uint64_t at, uint64_t in)
{
	fnp_tick_comes(&cpu->state, &cpu->timer, (BEGIN + at) * US);
	return leave(cpu, at, in);
}

static void start_anew(struct cpu *cpu, uint64_t at, uint64_t period)
{
	cpu->timer.starts += 2;
	cpu->timer.started_ns = (BEGIN + at) * US;
	cpu->timer.period_ns = period * US;
}

static void a_tick_stands_for_its_period_however_late_it_comes(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 1000, 10), 500);
	assert_int_equal(tick(&cpu, 1530, 10), 500);
	assert_int_equal(tick(&cpu, 2000, 10), 500);
	assert_int_equal(cpu.state.missed, 0);
}

static void ticks_that_never_came_are_those_of_the_thread_that_was_there(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 2500, 10), 2000);
	assert_int_equal(cpu.state.missed, 3);
}

static void ticks_that_were_due_before_a_thread_came_are_not_its_own(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 2500, 2300), 500);
	assert_int_equal(tick(&cpu, 5000, 3900), 1500);
	assert_int_equal(cpu.state.missed, 3 + 4);
}

static void a_late_tick_is_that_of_the_thread_that_left(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(leave(&cpu, 1010, 900), 500);
	/* It meets another one, which came later. */
	assert_int_equal(tick(&cpu, 1025, 1012), 0);
	assert_int_equal(leave(&cpu, 1400, 1012), 0);
	/* Nobody was there. */
	assert_int_equal(tick(&cpu, 1600, 1550), 0);
	assert_int_equal(leave(&cpu, 1900, 1550), 0);
}

static void what_a_thread_had_it_does_not_have_again(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 1020, 900), 500);
	assert_int_equal(leave(&cpu, 1060, 900), 0);
	assert_int_equal(tick(&cpu, 2020, 1900), 500);
	assert_int_equal(leave(&cpu, 2600, 1900), 500);
	assert_int_equal(tick(&cpu, 2610, 2605), 0);
}

/* The grid was believed 30 us later than it is. */
static void a_tick_that_comes_before_its_time_is_due(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 970, 900), 500);
	assert_int_equal(leave(&cpu, 1100, 900), 0);
	assert_int_equal(tick(&cpu, 1470, 1300), 500);
	assert_int_equal(tick(&cpu, 1980, 1800), 500);
	/* Not one that is that late. */
	assert_int_equal(tick(&cpu, 2300, 2200), 0);
	assert_int_equal(tick(&cpu, 2470, 2200), 500);
}

static void the_first_tick_of_a_grid_may_be_early(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	start_anew(&cpu, 1700, 400);
	assert_int_equal(leave(&cpu, 1701, 1650), 0);
	assert_int_equal(tick(&cpu, 2060, 2000), 400 + 200 - 40);
	assert_int_equal(tick(&cpu, 2460, 2000), 400);
}

static void a_new_period_takes_up_where_the_old_one_ended(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	start_anew(&cpu, 700, 300);
	assert_int_equal(tick(&cpu, 1000, 10), 500);
	assert_int_equal(tick(&cpu, 1310, 10), 300);
	start_anew(&cpu, 1500, 700);
	assert_int_equal(tick(&cpu, 2200, 10), 900);
	assert_int_equal(tick(&cpu, 2905, 10), 700);
	assert_int_equal(cpu.state.missed, 0);
}

/* What the old grid owes at its end is not lost with it. */
static void who_stays_over_a_new_start_has_what_was_due_before(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	start_anew(&cpu, 1700, 400);
	assert_int_equal(leave(&cpu, 1750, 900), 1000);
	assert_int_equal(tick(&cpu, 2100, 2000), 600);
}

/* When the next tick is due. */
static uint64_t next_due(const struct cpu *cpu, uint64_t at)
{
	const struct fnp_tick_state *state = &cpu->state;
	uint64_t n = fnp_ticks_until(state, (BEGIN + at) * US);

	return (state->first_ns + n * state->period_ns) / US - BEGIN;
}

/*
 * Threads come and go, ticks come late, never or on time, and meet whom they meet; the timer starts anew at any time. What
 * all of them had is the time up to the last tick that was due.
 */
static void all_that_is_due_is_had_once(void **state)
{
	struct cpu cpu = ticking();
	uint64_t at = PERIOD, in = PERIOD, sum = 0, random = 88172645463325252ULL;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		at += 1 + random % 170;
		if (random / 200 % 40 == 0) {
			sum += leave(&cpu, at, in);
			start_anew(&cpu, at, 250 + random / 9000 % 500);
		} else if (random / 200 % 3 == 0 && next_due(&cpu, at) > at + 100) {
			sum += tick(&cpu, at, in);
		}
		if (random / 1000 % 2 == 0) {
			sum += leave(&cpu, at, in);
			in = at;
		}
	}
	at += 5000;
	sum += leave(&cpu, at, in);
	assert_int_equal(sum, next_due(&cpu, at) - cpu.state.period_ns / US - PERIOD);
}

/* All of the thread's time is in the ticks, whatever happens to the timer while it runs. */
static void no_time_of_a_thread_that_stays_is_lost(void **state)
{
	struct cpu cpu = ticking();
	uint64_t at = PERIOD, sum = 0, random = 88172645463325252ULL;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (random % 5 == 0) {
			at += random / 5 % 100;
			start_anew(&cpu, at, 250 + random / 500 % 500);
		}
		at += cpu.timer.period_ns / US * (1 + random / 7 % 3);
		sum += tick(&cpu, at, 10);
	}
	assert_int_equal(sum, at - PERIOD);
}

static void while_the_period_is_changed_the_old_one_holds(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	cpu.timer.starts++;
	cpu.timer.period_ns = 0;
	assert_int_equal(tick(&cpu, 1010, 10), 500);
	assert_int_equal(tick(&cpu, 2510, 2200), 500);
	cpu.timer.starts--;
	start_anew(&cpu, 2600, 400);
	assert_int_equal(tick(&cpu, 3000, 10), 500);
}

static void of_a_timer_that_was_not_told_of_nothing_is_owed(void **state)
{
	struct cpu cpu = {{0}};

	(void)state;
	assert_int_equal(tick(&cpu, 500, 10), 0);
	assert_int_equal(leave(&cpu, 1200, 10), 0);
	assert_int_equal(cpu.state.missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tick_stands_for_its_period_however_late_it_comes),
		cmocka_unit_test(ticks_that_never_came_are_those_of_the_thread_that_was_there),
		cmocka_unit_test(ticks_that_were_due_before_a_thread_came_are_not_its_own),
		cmocka_unit_test(a_late_tick_is_that_of_the_thread_that_left),
		cmocka_unit_test(what_a_thread_had_it_does_not_have_again),
		cmocka_unit_test(a_tick_that_comes_before_its_time_is_due),
		cmocka_unit_test(the_first_tick_of_a_grid_may_be_early),
		cmocka_unit_test(a_new_period_takes_up_where_the_old_one_ended),
		cmocka_unit_test(who_stays_over_a_new_start_has_what_was_due_before),
		cmocka_unit_test(all_that_is_due_is_had_once),
		cmocka_unit_test(no_time_of_a_thread_that_stays_is_lost),
		cmocka_unit_test(while_the_period_is_changed_the_old_one_holds),
		cmocka_unit_test(of_a_timer_that_was_not_told_of_nothing_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
