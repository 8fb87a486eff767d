/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/hotspot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/*
 * Code of a method `outer` into which `inner` was inlined, and where its compiler described what. Scopes: 0 outer at line
 * 10; 1 inner at line 20, called from 0; 2 inner at line 21; 3 outer at line 11.
 */
static struct fnp_hotspot_method outer = {.name = "outer"}, inner = {.name = "inner"};

static struct fnp_hotspot_scope scopes[] = {
	{.method = &outer, .bci = 1, .line = 10, .caller = FNP_HOTSPOT_NO_SCOPE},
	{.method = &inner, .bci = 5, .line = 20, .caller = 0},
	{.method = &inner, .bci = 6, .line = 21, .caller = 0},
	{.method = &outer, .bci = 2, .line = 11, .caller = FNP_HOTSPOT_NO_SCOPE},
};

#define NOP 0x90
#define POLL 0x41, 0x85, 0x00 /* test [r8], eax */
#define CALL 0xe8, 0x00, 0x00, 0x00, 0x00
#define RET 0xc3
#define JMP(distance) 0xeb, (uint8_t)(distance)
#define JZ(distance) 0x74, (uint8_t)(distance)

static struct fnp_hotspot_chain at(const uint8_t *bytes, size_t size, const struct fnp_hotspot_spot *spots,
				   size_t n_spots, uint32_t offset)
{
	struct fnp_hotspot_code code = {.method = &outer,
					.spots = (struct fnp_hotspot_spot *)spots,
					.n_spots = n_spots,
					.scopes = scopes,
					.n_scopes = FNP_ARRAY_SIZE(scopes)};
	struct fnp_hotspot_chain chain;

	assert_int_equal(fnp_hotspot_flow(&code, bytes, size), 0);
	fnp_hotspot_code_at(&code, offset | FNP_HOTSPOT_LEAF, &chain);
	free(code.stretches);
	return chain;
}

static void assert_inner(const struct fnp_hotspot_chain *chain)
{
	assert_int_equal(chain->n, 2);
	assert_ptr_equal(chain->scopes[0].method, &inner);
	assert_ptr_equal(chain->scopes[1].method, &outer);
}

static void assert_outer(const struct fnp_hotspot_chain *chain)
{
	assert_int_equal(chain->n, 1);
	assert_ptr_equal(chain->scopes[0].method, &outer);
}

#define AT(offset) at(bytes, sizeof(bytes), spots, FNP_ARRAY_SIZE(spots), offset)

/* On the way to an inlined call, and behind it, only the outer method is certain. */
static void code_before_an_inlined_call_is_the_callers(void **state)
{
	static const uint8_t bytes[] = {NOP, NOP, CALL, NOP, RET};
	static const struct fnp_hotspot_spot spots[] = {{7, 1}};
	struct fnp_hotspot_chain chain = AT(1);

	(void)state;
	assert_outer(&chain);
	assert_int_equal(chain.scopes[0].line, 0);
	chain = AT(2);
	assert_inner(&chain);
	assert_int_equal(chain.scopes[0].line, 20);
	assert_int_equal(chain.scopes[1].line, 10);
	chain = AT(7);
	assert_outer(&chain);
}

static void code_between_two_places_of_an_inlined_method_is_its_own(void **state)
{
	static const uint8_t bytes[] = {CALL, NOP, NOP, CALL, RET};
	static const struct fnp_hotspot_spot same[] = {{5, 1}, {12, 1}}, spots[] = {{5, 1}, {12, 2}};
	struct fnp_hotspot_chain chain = AT(6);

	(void)state;
	assert_inner(&chain);
	assert_int_equal(chain.scopes[0].line, 0); /* 20 or 21 */
	assert_int_equal(chain.scopes[1].line, 10);
	chain = at(bytes, sizeof(bytes), same, 2, 6);
	assert_int_equal(chain.scopes[0].line, 20);
}

/* 0: jz 9; 2: call (inner); 7: jmp 0; 9: ret. The test of the loop may lead out of it, but belongs to it ... */
static void loop_belongs_to_the_method_of_its_poll(void **state)
{
	static const uint8_t bytes[] = {NOP, JZ(7), NOP, NOP, POLL, JMP(-10), RET};
	static const struct fnp_hotspot_spot spots[] = {{5, 1}};
	struct fnp_hotspot_chain chain = AT(1);

	(void)state;
	assert_inner(&chain);
	chain = AT(3);
	assert_inner(&chain);
	chain = AT(10);
	assert_outer(&chain);
}

/* ... unless something in it is the outer method's. */
static void loop_with_places_of_two_methods_is_the_outer_ones(void **state)
{
	static const uint8_t bytes[] = {NOP, CALL, NOP, POLL, JMP(-12), RET};
	static const struct fnp_hotspot_spot spots[] = {{6, 1}, {7, 3}};
	struct fnp_hotspot_chain chain = AT(0);

	(void)state;
	assert_outer(&chain);
	chain = AT(6);
	assert_outer(&chain);
}

/* Two ways, one through the inlined method: what they have in common. */
static void branch_is_what_both_ways_have_in_common(void **state)
{
	static const uint8_t bytes[] = {CALL, NOP, JZ(7), CALL, JMP(5), CALL, NOP, RET};
	static const struct fnp_hotspot_spot spots[] = {{5, 2}, {13, 1}, {20, 3}};
	struct fnp_hotspot_chain chain = AT(5);

	(void)state;
	assert_outer(&chain);
	chain = AT(20);
	assert_outer(&chain);
}

/* A jump to a slow way behind the last return is of the bytecode that the slow way is of. */
static void check_that_leads_to_a_slow_way_is_its_own(void **state)
{
	static const uint8_t bytes[] = {NOP, JZ(2), NOP, RET, NOP, CALL};
	static const struct fnp_hotspot_spot spots[] = {{11, 2}};
	struct fnp_hotspot_chain chain = AT(1);

	(void)state;
	assert_inner(&chain);
	assert_int_equal(chain.scopes[0].line, 21);
	chain = AT(0);
	assert_outer(&chain);
	chain = AT(3);
	assert_outer(&chain);
}

static void scopes_that_go_round_are_refused(void **state)
{
	struct fnp_hotspot_scope round[] = {{.method = &outer, .caller = 1}, {.method = &outer, .caller = 0}};
	struct fnp_hotspot_spot spot = {1, 0};
	struct fnp_hotspot_code code = {
		.method = &outer, .spots = &spot, .n_spots = 1, .scopes = round, .n_scopes = 2};
	static const uint8_t bytes[] = {NOP, RET};

	(void)state;
	assert_int_equal(fnp_hotspot_flow(&code, bytes, sizeof(bytes)), -ESRCH);
	assert_null(code.stretches);
}

/* Every byte may be anything: no bound is passed, and every answer ends at the compiled method. */
static void bytes_that_are_no_code_have_an_answer(void **state)
{
	uint8_t bytes[4096];
	struct fnp_hotspot_spot spots[64];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		for (uint32_t i = 0; i < FNP_ARRAY_SIZE(spots); i++)
			spots[i] = (struct fnp_hotspot_spot){i * 64 + bytes[i] % 64, bytes[i + 64] % 5};
		struct fnp_hotspot_chain chain = at(bytes, sizeof(bytes), spots, FNP_ARRAY_SIZE(spots),
						    (uint32_t)round * 20);
		assert_true(chain.n >= 1 && chain.n <= 2);
		assert_ptr_equal(chain.scopes[chain.n - 1].method, &outer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_before_an_inlined_call_is_the_callers),
		cmocka_unit_test(code_between_two_places_of_an_inlined_method_is_its_own),
		cmocka_unit_test(loop_belongs_to_the_method_of_its_poll),
		cmocka_unit_test(loop_with_places_of_two_methods_is_the_outer_ones),
		cmocka_unit_test(branch_is_what_both_ways_have_in_common),
		cmocka_unit_test(check_that_leads_to_a_slow_way_is_its_own),
		cmocka_unit_test(scopes_that_go_round_are_refused),
		cmocka_unit_test(bytes_that_are_no_code_have_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
