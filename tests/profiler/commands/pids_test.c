/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/commands/pids.h"

static void numbers_are_read_and_kept_once(void **state)
{
	FNP_CLEANUP(fnp_pids_deinit) struct fnp_pids pids = {0};

	(void)state;
	assert_int_equal(fnp_pids_parse("12,345,12,1", &pids), 0);
	assert_int_equal(pids.list.len, 3);
	assert_int_equal(pids.list.items[0], 12);
	assert_int_equal(pids.list.items[1], 345);
	assert_int_equal(pids.list.items[2], 1);
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {"",	  ",",	 "1,",		",1",
					  "1,,2", "0",	 "-1",		"1 2",
					  "abc",  "1;2", "99999999999", "12345678901234567890123"};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(bad); i++) {
		struct fnp_pids pids = {0};
		assert_int_equal(fnp_pids_parse(bad[i], &pids), -EINVAL);
		assert_int_equal(pids.list.len, 0);
	}
}

static void own_process_is_one(void **state)
{
	(void)state;
	assert_int_equal(fnp_pids_check((uint32_t)getpid()), 0);
}

static void number_of_nothing_is_no_process(void **state)
{
	(void)state;
	assert_int_equal(fnp_pids_check(4194304), -ESRCH); /* PID_MAX_LIMIT itself is never given out */
}

static void *check_own_tid(void *result)
{
	*(int *)result = fnp_pids_check((uint32_t)gettid());
	return NULL;
}

static void thread_is_told_from_its_process(void **state)
{
	pthread_t thread;
	int result = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, check_own_tid, &result), 0);
	pthread_join(thread, NULL);
	assert_int_equal(result, -EINVAL);
}

static void kernel_thread_is_refused(void **state)
{
	FILE *f = fopen("/proc/2/comm", "re");
	char name[32] = "";

	(void)state;
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	if (strcmp(name, "kthreadd\n") != 0) {
		print_message("no kernel thread is visible in this PID namespace\n");
		skip();
	}
	assert_int_equal(fnp_pids_check(2), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_and_kept_once),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(own_process_is_one),
		cmocka_unit_test(number_of_nothing_is_no_process),
		cmocka_unit_test(thread_is_told_from_its_process),
		cmocka_unit_test(kernel_thread_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
