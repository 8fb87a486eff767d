/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and responses by their tags, in the orders in which threads may let us see them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/sources/http_exchanges.h"

static int push(struct fnp_http_exchanges *exchanges, uint64_t tag)
{
	return fnp_http_exchanges_push(exchanges, (struct fnp_http_exchange){.tag = tag});
}

static uint64_t pop(struct fnp_http_exchanges *exchanges)
{
	return fnp_http_exchanges_pop(exchanges).tag;
}

static void responses_come_in_the_order_of_their_requests(void **state)
{
	struct fnp_http_exchanges exchanges = {0};

	(void)state;
	for (uint64_t round = 1; round <= 3 * FNP_HTTP_EXCHANGES_MAX; round++) {
		assert_int_equal(push(&exchanges, 2 * round), 0);
		assert_int_equal(push(&exchanges, 2 * round + 1), 0);
		assert_int_equal(pop(&exchanges), 2 * round);
		assert_int_equal(pop(&exchanges), 2 * round + 1);
	}
}

static void too_many_requests_are_refused(void **state)
{
	struct fnp_http_exchanges exchanges = {0};

	(void)state;
	for (uint64_t tag = 1; tag <= FNP_HTTP_EXCHANGES_MAX; tag++)
		assert_int_equal(push(&exchanges, tag), 0);
	assert_int_equal(push(&exchanges, 99), -ENOSPC);
	assert_int_equal(pop(&exchanges), 1);
}

static void response_that_overtook_its_request_takes_no_other_ones_place(void **state)
{
	struct fnp_http_exchanges exchanges = {0};

	(void)state;
	assert_int_equal(push(&exchanges, 1), 0);
	assert_int_equal(pop(&exchanges), 1);
	assert_int_equal(pop(&exchanges), 0);
	assert_int_equal(push(&exchanges, 2), 0); /* answered already */
	assert_int_equal(push(&exchanges, 3), 0);
	assert_int_equal(pop(&exchanges), 3);
}

static void response_before_any_pair_may_be_of_a_request_that_was_never_seen(void **state)
{
	struct fnp_http_exchanges exchanges = {0};

	(void)state;
	assert_int_equal(pop(&exchanges), 0);
	assert_int_equal(push(&exchanges, 1), 0);
	assert_int_equal(pop(&exchanges), 1);
}

static void what_was_forgotten_is_owed_to_nobody(void **state)
{
	struct fnp_http_exchanges exchanges = {0};

	(void)state;
	assert_int_equal(push(&exchanges, 1), 0);
	assert_int_equal(pop(&exchanges), 1);
	assert_int_equal(pop(&exchanges), 0);
	fnp_http_exchanges_forget(&exchanges);
	assert_int_equal(push(&exchanges, 2), 0);
	assert_int_equal(pop(&exchanges), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_come_in_the_order_of_their_requests),
		cmocka_unit_test(too_many_requests_are_refused),
		cmocka_unit_test(response_that_overtook_its_request_takes_no_other_ones_place),
		cmocka_unit_test(response_before_any_pair_may_be_of_a_request_that_was_never_seen),
		cmocka_unit_test(what_was_forgotten_is_owed_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
