/* SPDX-License-Identifier: Apache-2.0 */
/* Names of functions in the bytes of a module, and code found by the maps that lead to it, built in this process. */
#include "symbolizer/v8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t module[] = {
	0,
	'a',
	's',
	'm',
	1,
	0,
	0,
	0,
	/* imports: one memory after two functions */
	2,
	22,
	3,
	1,
	'e',
	1,
	'f',
	0,
	0,
	1,
	'e',
	1,
	'g',
	0,
	0,
	1,
	'e',
	1,
	'm',
	2,
	0,
	1,
	0,
	0,
	/* another custom section, then names: of the module, of functions 2 and 5 */
	0,
	6,
	4,
	'n',
	'a',
	'm',
	'f',
	1,
	0,
	21,
	4,
	'n',
	'a',
	'm',
	'e',
	0,
	2,
	1,
	'M',
	1,
	10,
	2,
	2,
	3,
	'o',
	'n',
	'e',
	5,
	2,
	0xc3,
	0xa9,
};

static void names_are_those_of_the_section_name(void **state)
{
	struct fnp_cursor c = fnp_cursor_of(module, sizeof(module));
	const uint8_t *name;
	size_t size;

	(void)state;
	assert_int_equal(fnp_v8_wasm_name(c, 2, &name, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(name, "one", 3);
	assert_int_equal(fnp_v8_wasm_name(c, 5, &name, &size), 0);
	assert_memory_equal(name, "\u00e9", 2);
	assert_int_equal(fnp_v8_wasm_name(c, 3, &name, &size), -ENOENT);
}

static void imported_functions_are_told_by_their_number(void **state)
{
	struct fnp_cursor c = fnp_cursor_of(module, sizeof(module));

	(void)state;
	assert_true(fnp_v8_wasm_is_import(c, 0));
	assert_true(fnp_v8_wasm_is_import(c, 1));
	assert_false(fnp_v8_wasm_is_import(c, 2));
}

static void modules_that_end_early_have_no_names(void **state)
{
	const uint8_t *name;
	size_t size;

	(void)state;
	for (size_t n = 0; n < sizeof(module) - 4; n++)
		assert_int_equal(fnp_v8_wasm_name(fnp_cursor_of(module, n), 5, &name, &size), -ENOENT);
}

/* A std::map of one node: colour, parent, left, right, count. */
static void make_map(uint64_t *head, uint64_t *node, uint64_t key, uint64_t first, uint64_t second)
{
	head[0] = 0xdeadbeef00000000; /* half of the word is padding */
	head[1] = head[2] = head[3] = (uint64_t)(uintptr_t)node;
	head[4] = 1;
	node[0] = 1;
	node[1] = (uint64_t)(uintptr_t)head;
	node[4] = key;
	node[5] = first;
	node[6] = second;
}

static uint64_t manager[64], region[8], native[256], entry[8], code[16], bytes[2];
static uint8_t copy[sizeof(module)], tables[64];
static struct fnp_v8_modules *modules;

static struct fnp_v8_view build(void)
{
	struct fnp_v8_view view = {.pid = getpid(),
				   .tables = {.wasm_size = 32,
					      .wasm_index = 56,
					      .wasm_tables = 24,
					      .wasm_trapping = 52,
					      .wasm_relocation = 36,
					      .wasm_positions = 40,
					      .wasm_inlinings = 44}};

	memset(code, 0, sizeof(code));
	memcpy(copy, module, sizeof(module));
	bytes[0] = (uint64_t)(uintptr_t)copy;
	bytes[1] = sizeof(copy);
	memset(manager, 0, sizeof(manager));
	memset(native, 0, sizeof(native));
	make_map(&manager[5], region, 0x10000, 0x20000, (uint64_t)(uintptr_t)native);
	make_map(&native[40], entry, 0x11000, (uint64_t)(uintptr_t)code, 0);
	native[30] = (uint64_t)(uintptr_t)bytes;
	code[0] = (uint64_t)(uintptr_t)native;
	code[1] = 0x11000;
	code[4] = 0x100;
	code[7] = 5;
	return view;
}

static int create(void **state)
{
	(void)state;
	return fnp_v8_modules_create(&modules);
}

static int destroy(void **state)
{
	(void)state;
	fnp_v8_modules_destroy(modules);
	return 0;
}

/* A number of 7 bits a byte, whose lowest bit is its sign. */
static size_t put_number(uint8_t *at, uint64_t value)
{
	size_t n = 0;

	for (value <<= 1; value > 127; value >>= 7)
		at[n++] = (uint8_t)value | 128;
	at[n++] = (uint8_t)value;
	return n;
}

static size_t put_inlining(uint8_t *at, int32_t function, bool is_tail, int64_t caller)
{
	uint64_t position = (uint64_t)(caller + 1) << 31 | 20;

	memcpy(at, &function, sizeof(function));
	at[4] = is_tail;
	memcpy(at + 5, &position, sizeof(position));
	return 13;
}

/* From 16 on what is at the pc is function 6, inlined in `middle`, inlined in the function of the code. */
static void put_tables(int32_t middle, bool is_tail)
{
	uint8_t *at = tables + 3; /* behind what traps, and relocations */
	uint32_t *sizes = (uint32_t *)code;
	size_t n = put_number(at, 0);

	n += put_number(at + n, 20);
	n += put_number(at + n, 16);
	n += put_number(at + n, (uint64_t)2 << 31);
	code[3] = (uint64_t)(uintptr_t)tables;
	sizes[52 / 4] = 1;
	sizes[36 / 4] = 2;
	sizes[40 / 4] = (uint32_t)n;
	n += put_inlining(at + n, middle, false, -1);
	n += put_inlining(at + n, 6, is_tail, 0);
	sizes[44 / 4] = 26;
}

static void code_is_found_through_its_maps(void **state)
{
	struct fnp_v8_view view = build();
	fnp_autofree char *name = NULL;
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x110ff, &wasm), 0);
	assert_int_equal(wasm.n, 1);
	assert_int_equal(wasm.functions[0], 5);
	assert_int_equal(fnp_v8_modules_name(modules, &view, &wasm, wasm.functions[0], &name), 0);
	assert_string_equal(name, "\u00e9");
}

static void functions_that_were_inlined_stand_before_the_one_that_exists(void **state)
{
	struct fnp_v8_view view = build();
	uint64_t at = (uint64_t)(uintptr_t)manager;
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	put_tables(7, false);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x1100f, &wasm), 0);
	assert_int_equal(wasm.n, 1);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11010, &wasm), 0);
	assert_int_equal(wasm.n, 3);
	assert_int_equal(wasm.functions[0], 6);
	assert_int_equal(wasm.functions[1], 7);
	assert_int_equal(wasm.functions[2], 5);
}

static void between_calls_the_function_that_exists_is_all_that_is_known(void **state)
{
	struct fnp_v8_view view = build();
	uint64_t at = (uint64_t)(uintptr_t)manager;
	struct fnp_v8_wasm wasm = {.exact = true};

	(void)state;
	put_tables(7, false);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11010, &wasm), 0);
	assert_int_equal(wasm.n, 3);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11011, &wasm), 0);
	assert_int_equal(wasm.n, 1);
	assert_int_equal(wasm.functions[0], 5);
}

static void who_called_for_good_is_there_no_more(void **state)
{
	struct fnp_v8_view view = build();
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	put_tables(7, true);
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x11010, &wasm), 0);
	assert_int_equal(wasm.n, 2);
	assert_int_equal(wasm.functions[0], 6);
	assert_int_equal(wasm.functions[1], 5);
}

static void tables_that_lie_leave_the_function_that_exists(void **state)
{
	struct fnp_v8_view view = build();
	uint64_t at = (uint64_t)(uintptr_t)manager;
	uint32_t *sizes = (uint32_t *)code;
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	for (int lie = 0; lie < 5; lie++) {
		put_tables(lie == 4 ? -3 : 7, false);
		if (lie == 0)
			sizes[44 / 4] = 25;
		else if (lie == 1)
			code[3] = 8;
		else if (lie == 2)
			sizes[44 / 4] = 13;
		else if (lie == 3)
			sizes[36 / 4] = UINT32_MAX;
		assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11010, &wasm), 0);
		assert_int_equal(wasm.n, 1);
		assert_int_equal(wasm.functions[0], 5);
	}
}

static void a_module_that_took_anothers_place_has_its_own_names(void **state)
{
	struct fnp_v8_view view = build();
	uint64_t at = (uint64_t)(uintptr_t)manager;
	fnp_autofree char *first = NULL, *second = NULL;
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11000, &wasm), 0);
	assert_int_equal(fnp_v8_modules_name(modules, &view, &wasm, 2, &first), 0);
	assert_string_equal(first, "one");
	*(uint8_t *)memmem(copy, sizeof(copy), "one", 3) = 'O';
	assert_int_equal(fnp_v8_modules_name(modules, &view, &wasm, 2, &second), 0);
	assert_string_equal(second, "One");
}

static void code_without_a_name_has_its_number(void **state)
{
	struct fnp_v8_view view = build();
	fnp_autofree char *name = NULL;
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	code[7] = 7;
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x11000, &wasm), 0);
	assert_int_equal(fnp_v8_modules_name(modules, &view, &wasm, wasm.functions[0], &name), 0);
	assert_string_equal(name, "wasm-function[7]");
}

static void code_of_another_module_or_behind_its_end_is_not_found(void **state)
{
	struct fnp_v8_view view = build();
	struct fnp_v8_wasm wasm = {0};
	uint64_t at = (uint64_t)(uintptr_t)manager;

	(void)state;
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11100, &wasm), -ESRCH);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x20000, &wasm), -ESRCH);
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0xffff, &wasm), -ESRCH);
	code[0] += 8;
	assert_int_equal(fnp_v8_wasm_find(&view, at, 0x11010, &wasm), -ESRCH);
}

static void maps_that_lead_in_a_circle_end(void **state)
{
	struct fnp_v8_view view = build();
	struct fnp_v8_wasm wasm = {0};

	(void)state;
	region[2] = region[3] = (uint64_t)(uintptr_t)region;
	entry[2] = entry[3] = (uint64_t)(uintptr_t)entry;
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0xfff, &wasm), -ESRCH);
	fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x11010, &wasm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_section_name),
		cmocka_unit_test(imported_functions_are_told_by_their_number),
		cmocka_unit_test(modules_that_end_early_have_no_names),
		cmocka_unit_test(code_is_found_through_its_maps),
		cmocka_unit_test(functions_that_were_inlined_stand_before_the_one_that_exists),
		cmocka_unit_test(between_calls_the_function_that_exists_is_all_that_is_known),
		cmocka_unit_test(who_called_for_good_is_there_no_more),
		cmocka_unit_test(tables_that_lie_leave_the_function_that_exists),
		cmocka_unit_test(a_module_that_took_anothers_place_has_its_own_names),
		cmocka_unit_test(code_without_a_name_has_its_number),
		cmocka_unit_test(code_of_another_module_or_behind_its_end_is_not_found),
		cmocka_unit_test(maps_that_lead_in_a_circle_end),
	};
	return cmocka_run_group_tests(tests, create, destroy);
}
