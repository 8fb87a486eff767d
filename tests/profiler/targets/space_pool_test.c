/* SPDX-License-Identifier: Apache-2.0 */
/* Spaces without a kernel side, and without tables: ranges whose object is slot 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "profiler/targets/space_pool.h"

struct world {
	struct fnp_tables *tables;
	struct fnp_space_pool *pool;
	fnp_code_range_vec ranges;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(fnp_tables_create(-1, -1, 1 << 20, &w->tables), 0);
	assert_int_equal(fnp_space_pool_create(-1, -1, w->tables, &w->pool), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fnp_vec_deinit(&w->ranges);
	fnp_space_pool_destroy(w->pool);
	fnp_tables_destroy(w->tables);
	free(w);
	return 0;
}

/* A space of one range at `start`, with a word. */
static uint32_t take(struct world *w, uint64_t start, uint64_t word)
{
	struct fnp_code_range range = {.start = start, .end = start + 4096, .kind = FNP_CODE_FRAME_POINTER};
	struct fnp_space_words words = {0};
	uint32_t index;

	words.runtime[0][0] = word;
	assert_int_equal(fnp_vec_push(&w->ranges, range), 0);
	assert_int_equal(fnp_space_pool_take(w->pool, &w->ranges, &words, &index), 0);
	assert_int_equal(w->ranges.len, 0);
	return index;
}

static void who_looks_alike_has_the_same_space_until_the_last_one_gives_it(void **state)
{
	struct world *w = *state;
	uint32_t one = take(w, 0x1000, 7), other = take(w, 0x1000, 7);
	uint32_t version = fnp_space_pool_version(w->pool, one);

	assert_int_equal(one, other);
	assert_int_not_equal(version, 0);
	fnp_space_pool_give(w->pool, one);
	assert_int_equal(fnp_space_pool_version(w->pool, one), version);
	fnp_space_pool_give(w->pool, one);
	assert_int_equal(fnp_space_pool_version(w->pool, one), 0);
}

static void other_ranges_or_other_words_have_a_space_of_their_own(void **state)
{
	struct world *w = *state;
	uint32_t one = take(w, 0x1000, 7), count;

	assert_int_not_equal(take(w, 0x2000, 7), one);
	assert_int_not_equal(take(w, 0x1000, 8), one);
	assert_int_equal(fnp_space_pool_ranges(w->pool, one, &count)->start, 0x1000);
	assert_int_equal(count, 1);
}

static void space_given_back_is_not_used_at_once(void **state)
{
	struct world *w = *state;
	uint32_t one = take(w, 0x1000, 7);

	fnp_space_pool_give(w->pool, one);
	assert_int_not_equal(take(w, 0x1000, 7), one);
}

static void without_room_the_ranges_stay_the_callers(void **state)
{
	struct fnp_code_range range = {.start = 0x1000, .end = 0x2000, .kind = FNP_CODE_FRAME_POINTER};
	struct fnp_space_words words = {0};
	struct world *w = *state;
	uint32_t index = 12345;

	for (uint32_t i = 0; i < FNP_SPACES_MAX; i++)
		(void)take(w, 0x1000, i + 1);
	assert_int_equal(fnp_vec_push(&w->ranges, range), 0);
	assert_int_equal(fnp_space_pool_take(w->pool, &w->ranges, &words, &index), -ENOSPC);
	assert_int_equal(w->ranges.len, 1);
	assert_int_equal(index, 12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_looks_alike_has_the_same_space_until_the_last_one_gives_it,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_ranges_or_other_words_have_a_space_of_their_own, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(space_given_back_is_not_used_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_room_the_ranges_stay_the_callers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
