/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants of V8 that lie: one after the other says something else, and some at once, over a heap that is what V8's is. No
 * lie may lead out of what was read; what comes of it is an error, or a name of that heap.
 */
#include "symbolizer/v8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SHARED = 100, SCRIPT = 101, BYTECODE = 102, SCOPE = 103, CODE = 104, ARRAY = 105, STRING = 0x28 };

static _Alignas(4096) uint64_t heap[4096];

static uint64_t at(size_t word)
{
	return (uint64_t)(uintptr_t)&heap[word] + 1;
}

static uint64_t map_of(int type)
{
	memcpy((uint8_t *)&heap[2 * type] + 12, &(uint16_t){(uint16_t)type}, 2);
	return at(2 * (size_t)type);
}

static void put(size_t word, int type, const uint64_t *fields, size_t n)
{
	heap[word] = map_of(type);
	memcpy(&heap[word + 1], fields, n * sizeof(fields[0]));
}

#define PUT(word, type, ...)                                                                                 \
	put(word, type, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

enum {
	AT_TEXT = 400,
	AT_SCRIPT = 420,
	AT_SCOPE = 440,
	AT_SHARED = 460,
	AT_BYTECODE = 480,
	AT_TABLE = 500,
	AT_CODE = 520
};

static void build(void)
{
	memset(heap, 0, sizeof(heap));
	PUT(AT_TEXT, STRING, (uint64_t)4 << 32, 0x656d616e /* "name" */);
	PUT(AT_SCRIPT, SCRIPT, at(AT_TEXT), at(AT_TEXT), 0, 0, 0, 0, 0, (uint64_t)7 << 32, 0, 0, 0);
	PUT(AT_SCOPE, SCOPE, (uint64_t)0x5000 << 32, 0, 0, (uint64_t)1 << 32, (uint64_t)2 << 32, at(AT_TEXT),
	    0, 0);
	PUT(AT_SHARED, SHARED, at(AT_BYTECODE), at(AT_SCOPE), at(AT_SCRIPT), at(AT_SCRIPT), 0, 1, 2, 3);
	PUT(AT_BYTECODE, BYTECODE, (uint64_t)8 << 32, 0, at(AT_TABLE), at(AT_TABLE), 0, 0, 0, 0);
	PUT(AT_TABLE, ARRAY, (uint64_t)6 << 32, 0x100402020202, 0);
	PUT(AT_CODE, CODE, at(AT_CODE), at(AT_TABLE), at(AT_TABLE), (uint64_t)(uintptr_t)&heap[AT_CODE + 8],
	    64, 64, 64, 64);
}

/* Roughly what Node.js 24 publishes. */
static struct fnp_v8_tables honest(void)
{
	struct fnp_v8_tables t = {.code_deopt = 8,
				  .code_positions = 16,
				  .code_start = 32,
				  .code_flags = 40,
				  .code_size = 48,
				  .stream_code = 8,
				  .stream_start = 64,
				  .type_stream = CODE,
				  .bytecode_positions = 24};
	int32_t *v = t.values;

	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++)
		v[i] = FNP_V8_ABSENT;
	v[FNP_V8_TAGGED_SIZE] = 8;
	v[FNP_V8_SMI_SHIFT] = 31;
	v[FNP_V8_MAP_TYPE] = 12;
	v[FNP_V8_FUNCTION_SHARED] = 32;
	v[FNP_V8_SHARED_DATA] = 8;
	v[FNP_V8_SHARED_NAME] = 16;
	v[FNP_V8_SHARED_SCRIPT] = 24;
	v[FNP_V8_SHARED_FLAGS] = 56;
	v[FNP_V8_SHARED_LENGTH] = 48;
	v[FNP_V8_SCRIPT_SOURCE] = 8;
	v[FNP_V8_SCRIPT_NAME] = 16;
	v[FNP_V8_SCRIPT_LINE_ENDS] = 56;
	v[FNP_V8_STRING_LENGTH] = 12;
	v[FNP_V8_STRING_ONE_BYTE] = v[FNP_V8_STRING_TWO_BYTE] = 16;
	v[FNP_V8_FIRST_NO_STRING] = 64;
	v[FNP_V8_ARRAY_LENGTH] = 8;
	v[FNP_V8_ARRAY_DATA] = 16;
	v[FNP_V8_BYTECODE_DATA] = 64;
	v[FNP_V8_SCOPE_FIRST_VARS] = 5;
	v[FNP_V8_UNCOMPILED_INFERRED] = 8;
	v[FNP_V8_UNCOMPILED_START] = 16;
	v[FNP_V8_KIND_INTERPRETED] = 10;
	v[FNP_V8_KIND_BASELINE] = 11;
	v[FNP_V8_DEOPT_LITERALS] = 2;
	v[FNP_V8_DEOPT_SHARED] = 6;
	v[FNP_V8_DEOPT_INLINING] = 7;
	v[FNP_V8_SLOT_CONTEXT] = -8;
	v[FNP_V8_SLOT_FUNCTION] = -16;
	v[FNP_V8_SLOT_BYTECODE] = -32;
	v[FNP_V8_SLOT_OFFSET] = -40;
	v[FNP_V8_TYPE_SHARED] = SHARED;
	v[FNP_V8_TYPE_SCRIPT] = SCRIPT;
	v[FNP_V8_TYPE_SCOPE] = SCOPE;
	v[FNP_V8_TYPE_BYTECODE] = BYTECODE;
	v[FNP_V8_TYPE_CODE] = CODE;
	return t;
}

/* Reads all there is by these constants; true: a function was found. */
static bool read_all(const struct fnp_v8_tables *tables)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function function = {0};
	struct fnp_v8_view view = {.pid = getpid(), .tables = *tables};
	const struct fnp_v8_script *script;
	struct fnp_v8_scripts *scripts = NULL;
	struct fnp_v8_units *units = NULL;
	static struct fnp_v8_code code;
	uint64_t pc = (uint64_t)(uintptr_t)&heap[AT_CODE + 9];
	bool found;

	if (fnp_v8_layout_read(tables, &view.layout) < 0)
		return false;
	assert_true(view.layout.map_type <= 62 && view.layout.function_shared <= FNP_V8_FUNCTION_MAX - 8);
	assert_true(view.layout.shared_name <= FNP_V8_SHARED_MAX - 8 &&
		    view.layout.script_id <= FNP_V8_SCRIPT_MAX - 8);
	assert_true(view.layout.slot_function >= 8 && view.layout.slot_function <= 64);
	assert_int_equal(fnp_v8_scripts_create(false, &scripts), 0);
	assert_int_equal(fnp_v8_units_create(&units), 0);
	found = fnp_v8_function_read(&view, at(AT_SHARED), &function) == 0;
	if (found) {
		fnp_v8_bytecode_position(&view, function.bytecode, 3);
		if (fnp_v8_scripts_get(scripts, &view, function.script, (uint32_t)(function.ids >> 32),
				       &script) == 0)
			fnp_v8_script_line(script, function.start);
	}
	fnp_v8_units_read(units, &view, scripts,
			  &(struct fnp_v8_where){.pc = pc, .next = pc, .own = function.ids}, &code);
	fnp_v8_units_destroy(units);
	fnp_v8_scripts_destroy(scripts);
	return found;
}

static const int32_t lies[] = {
	INT32_MIN + 1, -65536, -64,  -8,    -1,	   0,	    1,	      3, 7, 8, 16, 63, 64, 65, 72, 96,
	104,	       128,    4095, 32767, 65535, 1 << 30, INT32_MAX};

static void the_honest_constants_find_the_function(void **state FNP_UNUSED)
{
	struct fnp_v8_tables tables = honest();

	build();
	assert_true(read_all(&tables));
}

static void no_single_lie_leads_astray(void **state FNP_UNUSED)
{
	build();
	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++) {
		for (size_t k = 0; k < FNP_ARRAY_SIZE(lies); k++) {
			struct fnp_v8_tables tables = honest();

			tables.values[i] = lies[k];
			read_all(&tables);
		}
	}
}

static void nor_do_many_at_once(void **state FNP_UNUSED)
{
	uint32_t random = 1;

	build();
	for (int round = 0; round < 3000; round++) {
		struct fnp_v8_tables tables = honest();

		for (int i = 0; i < 1 + round % 12; i++) {
			random = random * 1103515245 + 12345;
			tables.values[random / 65536 % FNP_V8_CONSTANTS_MAX] =
				lies[random / 7 % FNP_ARRAY_SIZE(lies)];
		}
		read_all(&tables);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_honest_constants_find_the_function),
		cmocka_unit_test(no_single_lie_leads_astray),
		cmocka_unit_test(nor_do_many_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
