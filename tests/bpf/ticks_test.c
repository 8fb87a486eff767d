/* SPDX-License-Identifier: Apache-2.0 */
/* What a tick stands for, on timers that are late, withheld and started anew. Times in microseconds. */
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
	struct fnp_tick first = {.now_ns = (BEGIN + PERIOD) * US, .asked_period_ns = PERIOD * US};

	assert_int_equal(fnp_tick_interval(&cpu.state, &cpu.timer, &first), PERIOD * US);
	return cpu;
}

/* The tick at BEGIN + `at`, of a thread that came at BEGIN + `in`; 0: nobody saw. Its interval in microseconds. */
static uint64_t tick(struct cpu *cpu, uint64_t at, uint64_t in, bool from_idle)
{
	struct fnp_tick tick = {.now_ns = (BEGIN + at) * US,
				.asked_period_ns = PERIOD * US,
				.in_ns = in ? (BEGIN + in) * US : 0,
				.from_idle = from_idle};

	return fnp_tick_interval(&cpu->state, &cpu->timer, &tick) / US;
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
	assert_int_equal(tick(&cpu, 1000, 10, false), 500);
	assert_int_equal(tick(&cpu, 1530, 10, false), 500);
	assert_int_equal(tick(&cpu, 2000, 10, false), 500);
	assert_int_equal(cpu.state.missed, 0);
}

static void ticks_that_never_came_are_those_of_the_thread_that_was_there(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 2500, 10, false), 2000);
	assert_int_equal(cpu.state.missed, 3);
}

static void ticks_that_were_due_before_a_thread_came_are_not_its_own(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 2500, 2300, true), 500);
	assert_int_equal(tick(&cpu, 5000, 3900, true), 1500);
	assert_int_equal(cpu.state.missed, 3 + 4);
}

static void a_thread_whose_arrival_nobody_saw_has_one_period(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 2500, 0, false), 500);
}

static void a_tick_that_was_due_while_the_cpu_was_idle_is_idles(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	assert_int_equal(tick(&cpu, 1200, 1150, true), 0);
	assert_int_equal(tick(&cpu, 1500, 1150, true), 500);
	/* Not from idle: a thread that came between takes the place of the one before it. */
	assert_int_equal(tick(&cpu, 2010, 2005, false), 500);
	/* In the midst of the switch it is the thread's, as the kernel charges it. */
	assert_int_equal(tick(&cpu, 2504, 2502, true), 500);
}

static void a_new_period_takes_up_where_the_old_one_ended(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	start_anew(&cpu, 700, 300);
	assert_int_equal(tick(&cpu, 1000, 10, false), 500);
	assert_int_equal(tick(&cpu, 1310, 10, false), 300);
	start_anew(&cpu, 1500, 700);
	assert_int_equal(tick(&cpu, 2200, 10, false), 900);
	assert_int_equal(tick(&cpu, 2905, 10, false), 700);
	assert_int_equal(cpu.state.missed, 0);
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
		sum += tick(&cpu, at, 10, true);
	}
	assert_true(sum == at - PERIOD);
}

static void while_the_period_is_changed_the_old_one_holds(void **state)
{
	struct cpu cpu = ticking();

	(void)state;
	cpu.timer.starts++;
	cpu.timer.period_ns = 0;
	assert_int_equal(tick(&cpu, 1010, 10, false), 510);
	assert_int_equal(tick(&cpu, 2500, 2200, true), 490);
	cpu.timer.starts--;
	start_anew(&cpu, 2600, 400);
	assert_int_equal(tick(&cpu, 3000, 10, false), 500);
}

static void a_timer_that_nobody_tells_of_is_believed(void **state)
{
	struct cpu cpu = {{0}};

	(void)state;
	assert_int_equal(tick(&cpu, 500, 10, false), 500);
	assert_int_equal(tick(&cpu, 1200, 10, false), 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tick_stands_for_its_period_however_late_it_comes),
		cmocka_unit_test(ticks_that_never_came_are_those_of_the_thread_that_was_there),
		cmocka_unit_test(ticks_that_were_due_before_a_thread_came_are_not_its_own),
		cmocka_unit_test(a_thread_whose_arrival_nobody_saw_has_one_period),
		cmocka_unit_test(a_tick_that_was_due_while_the_cpu_was_idle_is_idles),
		cmocka_unit_test(a_new_period_takes_up_where_the_old_one_ended),
		cmocka_unit_test(no_time_of_a_thread_that_stays_is_lost),
		cmocka_unit_test(while_the_period_is_changed_the_old_one_holds),
		cmocka_unit_test(a_timer_that_nobody_tells_of_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
