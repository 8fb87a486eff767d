/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>

#include "base/file.h"
#include "profiler/rate.h"

static char folder[] = "/tmp/fnprof-rate-XXXXXX";

/* The rate that is allowed where the kernel's file has this text. */
static uint32_t allowed(const char *text, uint32_t wanted_hz)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/limit", folder);
	assert_int_equal(fnp_file_write_at(AT_FDCWD, path, text, strlen(text)), 0);
	wanted_hz = fnp_rate_allowed(path, wanted_hz);
	unlink(path);
	return wanted_hz;
}

static void lower_limit_is_taken(void **state)
{
	(void)state;
	assert_int_equal(allowed("500\n", 999), 500);
	assert_int_equal(allowed("1\n", 10000), 1);
}

static void higher_limit_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(allowed("100000\n", 10000), 10000);
	assert_int_equal(allowed("99\n", 99), 99);
}

static void what_is_no_limit_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(allowed("", 99), 99);
	assert_int_equal(allowed("0\n", 99), 99);
	assert_int_equal(allowed("-7\n", 99), 99);
	assert_int_equal(allowed("many\n", 99), 99);
	assert_int_equal(fnp_rate_allowed("/proc/no/such/file", 99), 99);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lower_limit_is_taken),
		cmocka_unit_test(higher_limit_changes_nothing),
		cmocka_unit_test(what_is_no_limit_changes_nothing),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
