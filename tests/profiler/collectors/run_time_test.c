/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "profiler/collectors/run_time.h"

#define MS(n) ((uint64_t)(n)*1000000)
#define BEGIN MS(5000)

/* Turns it every `every_ms`, as the session does; the time that it was on. */
static uint64_t run(struct fnp_duty *duty, unsigned int every_ms, unsigned int ms)
{
	uint64_t on_ns = 0;

	for (unsigned int at = 0; at < ms; at += every_ms) {
		if (fnp_duty_turn(duty, BEGIN + MS(at)))
			on_ns += MS(every_ms);
	}
	return on_ns;
}

static void it_counts_from_the_first_moment(void **state)
{
	struct fnp_duty duty = {0};

	(void)state;
	assert_true(fnp_duty_turn(&duty, BEGIN));
	assert_true(fnp_duty_turn(&duty, BEGIN + MS(999)));
	assert_false(fnp_duty_turn(&duty, BEGIN + MS(1000)));
}

static void it_is_on_a_tenth_of_the_time(void **state)
{
	struct fnp_duty duty = {0};

	(void)state;
	assert_in_range(run(&duty, 10, 200000), MS(19000), MS(21000));
}

static void what_runs_evenly_is_told_whole_whenever_asked(void **state)
{
	(void)state;
	/* The session may be late: its turns are where they are. */
	for (unsigned int every_ms = 7; every_ms <= 150; every_ms += 13) {
		for (unsigned int ms = 300; ms <= 90000; ms += 7000) {
			struct fnp_duty duty = {0};
			uint64_t on_ns = run(&duty, every_ms, ms),
				 total = MS((ms + every_ms - 1) / every_ms * every_ms);

			/* A quarter of each nanosecond that it was on was ours. */
			assert_in_range(fnp_duty_scale(&duty, BEGIN + total, on_ns / 4), total / 4 - 1000,
					total / 4 + 1000);
		}
	}
}

static void a_moment_alone_is_told_as_it_was_counted(void **state)
{
	struct fnp_duty duty = {0};

	(void)state;
	fnp_duty_turn(&duty, BEGIN);
	assert_int_equal(fnp_duty_scale(&duty, BEGIN, 12), 12);
	assert_int_equal(fnp_duty_scale(&duty, BEGIN + MS(50), 12), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_counts_from_the_first_moment),
		cmocka_unit_test(it_is_on_a_tenth_of_the_time),
		cmocka_unit_test(what_runs_evenly_is_told_whole_whenever_asked),
		cmocka_unit_test(a_moment_alone_is_told_as_it_was_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
