/* SPDX-License-Identifier: Apache-2.0 */
/* Code ranges painted over each other, beside a plain array of addresses, and the room that they take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/memory.h"
#include "profiler/targets/code_ranges.h"

#define ADDRESSES 200

/* Which object each address shows, 0: none. */
static void read_back(const fnp_code_range_vec *ranges, uint32_t ret[ADDRESSES])
{
	uint64_t before = 0;

	memset(ret, 0, ADDRESSES * sizeof(*ret));
	for (size_t i = 0; i < ranges->len; i++) {
		const struct fnp_code_range *range = &ranges->items[i];

		assert_true(range->start >= before && range->start < range->end && range->end <= ADDRESSES);
		before = range->end;
		for (uint64_t at = range->start; at < range->end; at++)
			ret[at] = range->object;
	}
}

static void the_last_one_painted_is_seen(void **state)
{
	uint32_t truth[ADDRESSES] = {0}, seen[ADDRESSES];
	uint64_t random = 88172645463325252ULL;
	fnp_code_range_vec ranges = {0};

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct fnp_code_range new = {0};

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		new.start = random % (ADDRESSES - 1);
		new.end = new.start + 1 + random / 1000 % FNP_MIN(40, ADDRESSES - new.start - 1);
		new.object = (uint32_t)(1 + random / 100000 % 5);
		assert_int_equal(fnp_code_ranges_paint(&ranges, &new), 0);
		for (uint64_t at = new.start; at < new.end; at++)
			truth[at] = new.object;
		if (i % 7 == 0)
			fnp_code_ranges_merge(&ranges);
		read_back(&ranges, seen);
		assert_memory_equal(seen, truth, sizeof(truth));
	}
	fnp_vec_deinit(&ranges);
}

static void neighbours_of_one_code_become_one(void **state)
{
	const struct fnp_code_range pieces[] = {{.start = 0, .end = 10, .object = 1},
						{.start = 10, .end = 20, .object = 1},
						{.start = 20, .end = 30, .object = 2},
						{.start = 40, .end = 50, .object = 2}};
	fnp_code_range_vec ranges = {0};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(pieces); i++)
		assert_int_equal(fnp_code_ranges_paint(&ranges, &pieces[i]), 0);
	fnp_code_ranges_merge(&ranges);
	assert_int_equal(ranges.len, 3);
	assert_int_equal(ranges.items[0].end, 20);
	fnp_vec_deinit(&ranges);
}

static void room_is_not_given_twice(void **state)
{
	struct fnp_code_room room = {.size = 100};
	uint32_t first, second, third;

	(void)state;
	assert_int_equal(fnp_code_room_take(&room, 60, &first), 0);
	assert_int_equal(fnp_code_room_take(&room, 40, &second), 0);
	assert_int_equal(second, first + 60);
	assert_int_equal(fnp_code_room_take(&room, 1, &third), -ENOSPC);
	/* Somebody may look there still. */
	fnp_code_room_give(&room, first, 60);
	assert_int_equal(fnp_code_room_take(&room, 10, &third), -ENOSPC);
	fnp_code_room_give(&room, second, 40);
	assert_int_equal(room.len, 1);
	assert_int_equal(room.items[0].count, 100);
	room.items[0].free_since_ns = 0;
	assert_int_equal(fnp_code_room_take(&room, 100, &third), 0);
	assert_int_equal(third, 0);
	assert_int_equal(room.len, 0);
	fnp_code_room_deinit(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_one_painted_is_seen),
		cmocka_unit_test(neighbours_of_one_code_become_one),
		cmocka_unit_test(room_is_not_given_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
