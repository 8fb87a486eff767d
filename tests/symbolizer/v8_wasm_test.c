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
static uint8_t copy[sizeof(module)];

static struct fnp_v8_view build(void)
{
	struct fnp_v8_view view = {.pid = getpid(), .tables = {.wasm_size = 32, .wasm_index = 56}};

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

static void code_is_found_through_its_maps(void **state)
{
	struct fnp_v8_view view = build();
	fnp_autofree char *name = NULL;
	struct fnp_v8_wasm wasm;

	(void)state;
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x110ff, &wasm), 0);
	assert_int_equal(wasm.index, 5);
	assert_int_equal(fnp_v8_wasm_read_name(&view, &wasm, &name), 0);
	assert_string_equal(name, "\u00e9");
}

static void code_without_a_name_has_its_number(void **state)
{
	struct fnp_v8_view view = build();
	fnp_autofree char *name = NULL;
	struct fnp_v8_wasm wasm;

	(void)state;
	code[7] = 7;
	assert_int_equal(fnp_v8_wasm_find(&view, (uint64_t)(uintptr_t)manager, 0x11000, &wasm), 0);
	assert_int_equal(fnp_v8_wasm_read_name(&view, &wasm, &name), 0);
	assert_string_equal(name, "wasm-function[7]");
}

static void code_of_another_module_or_behind_its_end_is_not_found(void **state)
{
	struct fnp_v8_view view = build();
	struct fnp_v8_wasm wasm;
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
	struct fnp_v8_wasm wasm;

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
		cmocka_unit_test(code_without_a_name_has_its_number),
		cmocka_unit_test(code_of_another_module_or_behind_its_end_is_not_found),
		cmocka_unit_test(maps_that_lead_in_a_circle_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
