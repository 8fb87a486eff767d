/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytecode a pc of baseline code was made of: from lengths of code and sizes of bytecodes. */
#include "symbolizer/v8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { WIDE = 0, EXTRA_WIDE = 1, ONE = 10, TWO = 11, UNKNOWN = 12, N = 16 };

/* ONE is one byte; TWO has an operand of one, two or four; UNKNOWN has no size. */
static struct fnp_v8_tables tables(void)
{
	struct fnp_v8_tables t = {.n_bytecodes = N};

	for (int scale = 0; scale < 3; scale++) {
		t.bytecode_sizes[scale * N + ONE] = 1;
		t.bytecode_sizes[scale * N + TWO] = (uint8_t)(1 + (1 << scale));
	}
	return t;
}

static int find(const uint8_t *lengths, size_t n, const uint8_t *bytecode, size_t size, uint32_t pc,
		uint32_t *ret)
{
	struct fnp_v8_tables t = tables();

	return fnp_v8_baseline_find(&t, fnp_cursor_of(lengths, n), bytecode, size, pc, ret);
}

static void each_pc_belongs_to_the_bytecode_whose_code_it_is_in(void **state)
{
	/* A prologue of 20 bytes, then 5, 0, 200 (two bytes) and 7. */
	static const uint8_t lengths[] = {20, 5, 0, 0xc8, 0x01, 7}, bytecode[] = {ONE, TWO, 1, ONE, TWO, 2};
	static const struct {
		uint32_t pc, offset;
	} expected[] = {{20, 0}, {24, 0}, {25, 3}, {224, 3}, {225, 4}, {231, 4}};
	uint32_t offset;

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(expected); i++) {
		assert_int_equal(
			find(lengths, sizeof(lengths), bytecode, sizeof(bytecode), expected[i].pc, &offset), 0);
		assert_int_equal(offset, expected[i].offset);
	}
}

static void prologue_and_what_is_behind_the_last_one_are_of_none(void **state)
{
	static const uint8_t lengths[] = {20, 5}, bytecode[] = {ONE};
	uint32_t offset;

	(void)state;
	assert_int_equal(find(lengths, sizeof(lengths), bytecode, sizeof(bytecode), 19, &offset), -ESRCH);
	assert_int_equal(find(lengths, sizeof(lengths), bytecode, sizeof(bytecode), 25, &offset), -ESRCH);
}

static void wide_operands_are_counted_with_their_prefix(void **state)
{
	static const uint8_t lengths[] = {0, 1, 1, 1},
			     bytecode[] = {WIDE, TWO, 0, 0, EXTRA_WIDE, TWO, 0, 0, 0, 0, ONE};
	uint32_t offset;

	(void)state;
	assert_int_equal(find(lengths, sizeof(lengths), bytecode, sizeof(bytecode), 1, &offset), 0);
	assert_int_equal(offset, 4);
	assert_int_equal(find(lengths, sizeof(lengths), bytecode, sizeof(bytecode), 2, &offset), 0);
	assert_int_equal(offset, 10);
}

static void tables_that_do_not_fit_have_no_answer(void **state)
{
	static const uint8_t lengths[] = {0, 1, 1, 1}, unknown[] = {UNKNOWN, ONE, ONE},
			     beyond[] = {200, ONE, ONE}, cut[] = {ONE, WIDE}, endless[] = {0, 0xff, 0xff};
	uint32_t offset;

	(void)state;
	assert_int_equal(find(lengths, sizeof(lengths), unknown, sizeof(unknown), 1, &offset), -ESRCH);
	assert_int_equal(find(lengths, sizeof(lengths), beyond, sizeof(beyond), 1, &offset), -ESRCH);
	assert_int_equal(find(lengths, sizeof(lengths), cut, sizeof(cut), 1, &offset), -ESRCH);
	assert_int_equal(find(lengths, sizeof(lengths), cut, 1, 2, &offset), -ESRCH);
	assert_int_equal(find(endless, sizeof(endless), cut, sizeof(cut), 1, &offset), -ESRCH);
	assert_int_equal(find(NULL, 0, cut, sizeof(cut), 0, &offset), -ESRCH);
}

/* An address in the code is changed by the collector on one side of where an instruction begins, never on both. */
static void code_is_the_same_when_one_side_of_the_pc_is(void **state)
{
	uint32_t hash = fnp_v8_code_hash(0x1122334455667788, 0x99aabbccddeeff00);

	(void)state;
	assert_true(fnp_v8_code_is_same(hash, fnp_v8_code_hash(0x1122334455667789, 0x99aabbccddeeff00)));
	assert_true(fnp_v8_code_is_same(hash, fnp_v8_code_hash(0x1122334455667788, 0x99aabbccddeeff01)));
	assert_false(fnp_v8_code_is_same(hash, fnp_v8_code_hash(0x1122334455667789, 0x99aabbccddeeff01)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pc_belongs_to_the_bytecode_whose_code_it_is_in),
		cmocka_unit_test(prologue_and_what_is_behind_the_last_one_are_of_none),
		cmocka_unit_test(wide_operands_are_counted_with_their_prefix),
		cmocka_unit_test(tables_that_do_not_fit_have_no_answer),
		cmocka_unit_test(code_is_the_same_when_one_side_of_the_pc_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
