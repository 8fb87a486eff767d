/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/kept_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void the_newest_of_a_place_is_kept(void **state)
{
	struct fnp_kept_memory kept = {0};
	char bytes[4];

	(void)state;
	fnp_kept_memory_put(&kept, 7, 0x1000, "old", 4);
	fnp_kept_memory_put(&kept, 7, 0x1000, "new", 4);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0x1000, bytes, 4), 0);
	assert_string_equal(bytes, "new");
	fnp_kept_memory_clear(&kept);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0x1000, bytes, 4), -ENOENT);
}

static void other_processes_places_and_sizes_are_not_mixed_up(void **state)
{
	struct fnp_kept_memory kept = {0};
	char bytes[8];

	(void)state;
	fnp_kept_memory_put(&kept, 7, 0x1000, "abcdefg", 8);
	assert_int_equal(fnp_kept_memory_get(&kept, 8, 0x1000, bytes, 8), -ENOENT);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0x1008, bytes, 8), -ENOENT);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0x1000, bytes, 4), -ENOENT);
	fnp_kept_memory_clear(&kept);
}

static void no_more_than_some_megabytes_are_kept(void **state)
{
	struct fnp_kept_memory kept = {0};
	uint8_t *bytes = calloc(1, 65536);

	(void)state;
	assert_non_null(bytes);
	for (uint64_t i = 0; i < 1000; i++)
		fnp_kept_memory_put(&kept, 7, 0x10000 * i, bytes, 65536);
	assert_true(kept.bytes < 8 << 20);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0, bytes, 65536), 0);
	assert_int_equal(fnp_kept_memory_get(&kept, 7, 0x10000 * 999, bytes, 65536), -ENOENT);
	fnp_kept_memory_clear(&kept);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_of_a_place_is_kept),
		cmocka_unit_test(other_processes_places_and_sizes_are_not_mixed_up),
		cmocka_unit_test(no_more_than_some_megabytes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
