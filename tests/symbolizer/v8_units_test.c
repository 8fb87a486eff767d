/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What code stands for, also when it is gone: a code object with its tables as V8 24 lays them out, in this process's own
 * memory, which then changes.
 */
#include "symbolizer/v8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SHARED = 100,
	SCRIPT = 101,
	BYTECODE = 102,
	SCOPE = 103,
	CODE = 104,
	ARRAY = 105,
	STREAM = 106,
	STRING = 0x28
};
enum { KIND_BASELINE = 11, KIND_TURBOFAN = 13, PLACE_OF_CODE = 64, CODE_BYTES = 256, HALF = 128 };
#define OUTER_IDS ((uint64_t)7 << 32 | 1)

static _Alignas(4096) uint64_t heap[8192];
static size_t used;
static uint64_t code_object, stream;
static struct fnp_v8_units *units;
static struct fnp_v8_scripts *scripts;

static uint64_t map_of(int type)
{
	memcpy((uint8_t *)&heap[2 * type] + 12, &(uint16_t){(uint16_t)type}, 2);
	return (uint64_t)(uintptr_t)&heap[2 * type] + 1;
}

static uint64_t object(int type, const uint64_t *fields, size_t n)
{
	size_t at = used;

	used += 1 + n + (n % 2 == 0);
	heap[at] = map_of(type);
	memcpy(&heap[at + 1], fields, n * sizeof(fields[0]));
	return (uint64_t)(uintptr_t)&heap[at] + 1;
}

#define OBJECT(type, ...)                                                                                    \
	object(type, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

static uint64_t *words_of(uint64_t tagged)
{
	return (uint64_t *)(uintptr_t)(tagged - 1);
}

static uint64_t text(const char *name)
{
	uint64_t characters = 0;

	memcpy(&characters, name, strlen(name));
	return OBJECT(STRING, (uint64_t)strlen(name) << 32, characters);
}

static uint64_t bytes(const void *data, size_t size)
{
	uint64_t array = OBJECT(ARRAY, (uint64_t)size << 32, 0, 0, 0, 0, 0, 0, 0);

	memcpy(words_of(array) + 2, data, size);
	return array;
}

static uint64_t function(uint64_t script, uint32_t literal, const char *name)
{
	uint64_t scope = OBJECT(SCOPE, 0x1000, 0, 0, (uint64_t)(10 * literal) << 32, 0, text(name), 0, 0);

	return OBJECT(SHARED, 0, 0, scope, 0, script, 0, (uint64_t)literal << 32, 0);
}

static size_t put_number(uint8_t *at, uint64_t value)
{
	size_t n = 0;

	for (value <<= 1; value > 127; value >>= 7)
		at[n++] = (uint8_t)value | 128;
	at[n++] = (uint8_t)value;
	return n;
}

/* `outer`, in the second half of whose code `inner` is inlined. */
static void build(int kind)
{
	uint8_t table[32], *at = table;
	struct {
		uint64_t position;
		int32_t function, pad;
	} inlining = {.position = 31 << 1};
	uint64_t script, literals, deopt;
	uint64_t fields[CODE_BYTES / 8 + 4] = {0};

	memset(heap, 0, sizeof(heap));
	used = 512;
	script = OBJECT(SCRIPT, text("a\nb\nc"), text("/a.js"), 0, 0, 0, 0, 0, (uint64_t)7 << 32, 0, 0, 0, 0);
	literals = OBJECT(ARRAY, (uint64_t)1 << 32, function(script, 2, "inner"));
	at += put_number(at, 0);
	at += put_number(at, 21 << 1);
	at += put_number(at, HALF);
	at += put_number(at, (uint64_t)1 << 31);
	deopt = OBJECT(ARRAY, (uint64_t)8 << 32, 0, 0, literals, 0, 0, 0, function(script, 1, "outer"),
		       bytes(&inlining, sizeof(inlining)));
	used = (used + 3) / 4 * 4;
	for (size_t i = 4; i < FNP_ARRAY_SIZE(fields); i++)
		fields[i] = 0x9090909090909000 + i;
	stream = object(STREAM, fields, FNP_ARRAY_SIZE(fields));
	code_object = OBJECT(CODE, deopt, bytes(table, (size_t)(at - table)), 0, 0, stream - 1 + 32,
			     (uint64_t)kind << 32, CODE_BYTES, 0, 0);
	words_of(stream)[1] = code_object;
}

static struct fnp_v8_view view_of_code(void)
{
	struct fnp_v8_view view = {.pid = getpid()};
	int32_t *v = view.tables.values;

	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++)
		v[i] = FNP_V8_ABSENT;
	v[FNP_V8_FIRST_NO_STRING] = 64;
	v[FNP_V8_STRING_LENGTH] = 12;
	v[FNP_V8_STRING_ONE_BYTE] = v[FNP_V8_STRING_TWO_BYTE] = v[FNP_V8_ARRAY_DATA] = 16;
	v[FNP_V8_ARRAY_LENGTH] = v[FNP_V8_SHARED_DATA] = v[FNP_V8_SCRIPT_SOURCE] = 8;
	v[FNP_V8_SCRIPT_NAME] = 16;
	v[FNP_V8_SCOPE_FIRST_VARS] = 5;
	v[FNP_V8_TYPE_SCOPE] = SCOPE;
	v[FNP_V8_TYPE_CODE] = CODE;
	v[FNP_V8_KIND_BASELINE] = KIND_BASELINE;
	v[FNP_V8_KIND_INTERPRETED] = 10;
	v[FNP_V8_DEOPT_LITERALS] = 2;
	v[FNP_V8_DEOPT_SHARED] = 6;
	v[FNP_V8_DEOPT_INLINING] = 7;
	view.tables.code_deopt = 8;
	view.tables.code_positions = 16;
	view.tables.code_start = 40;
	view.tables.code_flags = 52;
	view.tables.code_size = 56;
	view.tables.stream_code = 8;
	view.tables.stream_start = 32;
	view.tables.type_stream = STREAM;
	view.layout = (struct fnp_v8_layout){.map_type = 11,
					     .shared_name = 23,
					     .shared_script = 39,
					     .shared_shape = 47,
					     .shared_literal = 59,
					     .script_id = 63,
					     .type_shared = SHARED,
					     .type_script = SCRIPT,
					     .type_bytecode = BYTECODE};
	return view;
}

static struct fnp_v8_where where_at(uint32_t offset)
{
	uint64_t pc = stream - 1 + 32 + offset, around[2];

	memcpy(around, (const uint8_t *)(uintptr_t)pc - 8, sizeof(around));
	return (struct fnp_v8_where){
		.pc = pc, .next = pc, .hash = fnp_v8_code_hash(around[0], around[1]), .own = OUTER_IDS};
}

static int read_place(const struct fnp_v8_where *where, struct fnp_v8_code *ret)
{
	struct fnp_v8_view view = view_of_code();

	return fnp_v8_units_read(units, &view, scripts, where, ret);
}

static void expect_inlined(const struct fnp_v8_where *where)
{
	static struct fnp_v8_code code;

	assert_int_equal(read_place(where, &code), 0);
	assert_int_equal(code.n, 2);
	assert_string_equal(code.scopes[0].member->function.name, "inner");
	assert_string_equal(code.scopes[1].member->function.name, "outer");
	assert_string_equal(fnp_v8_script_file(code.scopes[0].member->script), "/a.js");
	assert_int_equal(code.scopes[0].position, 20);
	assert_int_equal(code.scopes[1].position, 30);
}

/* Other code lies there now, or none. */
static void throw_away(void)
{
	memset(words_of(stream), 0x11, 32 + CODE_BYTES);
	memset(words_of(code_object), 0, 72);
}

static void inlined_functions_stand_before_what_was_compiled(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where first, second;

	build(KIND_TURBOFAN);
	first = where_at(HALF - 8);
	second = where_at(HALF);
	assert_int_equal(read_place(&first, &code), 0);
	assert_int_equal(code.n, 1);
	assert_int_equal(code.tier, FNP_V8_TIER_TURBOFAN);
	assert_string_equal(code.scopes[0].member->function.name, "outer");
	expect_inlined(&second);
}

static void code_that_is_gone_has_names_at_places_never_met(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where first, second;

	build(KIND_TURBOFAN);
	first = where_at(HALF - 8);
	second = where_at(HALF + 16);
	assert_int_equal(read_place(&first, &code), 0);
	throw_away();
	expect_inlined(&second);
}

static void what_is_gone_is_not_named_for_another_function_or_other_bytes(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where seen, other;

	build(KIND_TURBOFAN);
	seen = where_at(HALF);
	assert_int_equal(read_place(&seen, &code), 0);
	throw_away();
	other = seen;
	other.own++;
	assert_int_equal(read_place(&other, &code), -ESRCH);
	other = seen;
	other.own = 0;
	assert_int_equal(read_place(&other, &code), -ESRCH);
	other = seen;
	other.hash ^= 0x00010001;
	assert_int_equal(read_place(&other, &code), -ESRCH);
	expect_inlined(&seen);
}

static void what_lies_there_now_goes_before_what_was_there(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where where;
	uint8_t table[] = {0, 84};

	build(KIND_TURBOFAN);
	where = where_at(HALF);
	expect_inlined(&where);
	/* Compiled anew at the same place, to the same bytes, with nothing inlined. */
	words_of(code_object)[2] = bytes(table, sizeof(table));
	assert_int_equal(read_place(&where, &code), 0);
	assert_int_equal(code.n, 1);
	assert_string_equal(code.scopes[0].member->function.name, "outer");
}

static void baseline_code_that_is_gone_was_baseline_code(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where where;

	build(KIND_BASELINE);
	where = where_at(HALF);
	assert_int_equal(read_place(&where, &code), 0);
	assert_int_equal(code.tier, FNP_V8_TIER_SPARKPLUG);
	throw_away();
	assert_int_equal(read_place(&where, &code), 0);
	assert_int_equal(code.tier, FNP_V8_TIER_SPARKPLUG);
	assert_int_equal(code.n, 0);
	assert_int_equal(code.bytecode, 0);
}

/* As V8 does when what the code assumed is no longer so. */
static void overwrite(void)
{
	memset((uint8_t *)words_of(stream) + 32, 0xcc, CODE_BYTES);
}

static void overwritten_code_is_told_by_its_tables(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where where, other;

	build(KIND_TURBOFAN);
	where = where_at(HALF);
	overwrite();
	expect_inlined(&where);
	other = where;
	other.own++;
	assert_int_equal(read_place(&other, &code), -ESRCH);
	other.own = 0;
	assert_int_equal(read_place(&other, &code), -ESRCH);
	/* Baseline code is not made so: other bytes are other code. */
	build(KIND_BASELINE);
	where = where_at(HALF);
	overwrite();
	assert_int_equal(read_place(&where, &code), -ESRCH);
}

static void code_that_lost_its_functions_is_told_where_none_was_inlined(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where alone, inlined;

	build(KIND_TURBOFAN);
	words_of(code_object)[1] = OBJECT(ARRAY, 0, 0);
	alone = where_at(HALF - 8);
	inlined = where_at(HALF);
	assert_int_equal(read_place(&inlined, &code), -ESRCH);
	assert_int_equal(read_place(&alone, &code), 0);
	assert_int_equal(code.n, 0);
	assert_int_equal(code.tier, FNP_V8_TIER_TURBOFAN);
	assert_int_equal(code.position, 20);
	assert_true(code.is_own);
	/* Nor are there positions: nothing is told. */
	build(KIND_TURBOFAN);
	words_of(code_object)[1] = words_of(code_object)[2] = OBJECT(ARRAY, 0, 0);
	fnp_v8_units_destroy(units);
	assert_int_equal(fnp_v8_units_create(&units), 0);
	assert_int_equal(read_place(&alone, &code), -ESRCH);
}

static void a_frame_that_is_being_replaced_is_told_when_nothing_was_inlined_in_its_code(void **state FNP_UNUSED)
{
	static struct fnp_v8_code code;
	struct fnp_v8_where where;

	build(KIND_TURBOFAN);
	where = where_at(HALF);
	where.is_left = true;
	where.hash = 0;
	assert_int_equal(read_place(&where, &code), -ESRCH);
	words_of(words_of(code_object)[1])[9] = bytes("", 0);
	fnp_v8_units_destroy(units);
	assert_int_equal(fnp_v8_units_create(&units), 0);
	assert_int_equal(read_place(&where, &code), 0);
	assert_int_equal(code.n, 0);
	assert_int_equal(code.tier, FNP_V8_TIER_TURBOFAN);
	assert_int_equal(code.position, -1);
	assert_true(code.is_own);
	where.own++;
	assert_int_equal(read_place(&where, &code), -ESRCH);
}

static int create(void **state FNP_UNUSED)
{
	return fnp_v8_scripts_create(false, &scripts) ?: fnp_v8_units_create(&units);
}

static int destroy(void **state FNP_UNUSED)
{
	fnp_v8_units_destroy(units);
	fnp_v8_scripts_destroy(scripts);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(inlined_functions_stand_before_what_was_compiled, create,
						destroy),
		cmocka_unit_test_setup_teardown(code_that_is_gone_has_names_at_places_never_met, create,
						destroy),
		cmocka_unit_test_setup_teardown(what_is_gone_is_not_named_for_another_function_or_other_bytes,
						create, destroy),
		cmocka_unit_test_setup_teardown(what_lies_there_now_goes_before_what_was_there, create, destroy),
		cmocka_unit_test_setup_teardown(baseline_code_that_is_gone_was_baseline_code, create, destroy),
		cmocka_unit_test_setup_teardown(overwritten_code_is_told_by_its_tables, create, destroy),
		cmocka_unit_test_setup_teardown(code_that_lost_its_functions_is_told_where_none_was_inlined,
						create, destroy),
		cmocka_unit_test_setup_teardown(
			a_frame_that_is_being_replaced_is_told_when_nothing_was_inlined_in_its_code, create,
			destroy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
