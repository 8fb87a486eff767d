/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of V8's heap as they lie in memory: laid out here, in this process's own memory, which is then the "target".
 */
#include "symbolizer/v8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	TYPE_SCRIPT = 167,
	TYPE_SCOPE = 280,
	TYPE_SHARED = 282,
	TYPE_BYTECODE = 186,
	TYPE_CODE = 187,
	TYPE_STREAM = 192
};
enum { ONE_BYTE = 0x28, TWO_BYTE = 0x20, CONS = 0x29, SLICED = 0x2b, THIN = 0x2d, EXTERNAL = 0x2a };
enum { MAPS = 320 };

static _Alignas(64) uint64_t heap[4096];
static size_t used;

/* A tagged pointer to words of the heap. */
static uint64_t tagged(size_t at)
{
	return (uint64_t)(uintptr_t)&heap[at] + 1;
}

static uint64_t map_of(int type)
{
	memcpy((uint8_t *)&heap[2 * type] + 12, &(uint16_t){(uint16_t)type}, 2);
	return tagged(2 * (size_t)type);
}

static size_t allocate(int type, size_t words)
{
	size_t at = used;

	used += words;
	assert_true(used < FNP_ARRAY_SIZE(heap));
	heap[at] = map_of(type);
	return at;
}

static uint64_t text(const char *characters)
{
	size_t len = strlen(characters), at = allocate(ONE_BYTE, 2 + (len + 8) / 8);

	heap[at + 1] = (uint64_t)len << 32;
	memcpy(&heap[at + 2], characters, len);
	return tagged(at);
}

static uint64_t string_of(int type, uint32_t length, uint64_t first, uint64_t second)
{
	size_t at = allocate(type, 4);

	heap[at + 1] = (uint64_t)length << 32;
	heap[at + 2] = first;
	heap[at + 3] = second;
	return tagged(at);
}

static struct fnp_v8_view view_of_24(void)
{
	struct fnp_v8_view view = {.pid = getpid()};
	int32_t *v = view.tables.values;

	for (size_t i = 0; i < FNP_V8_CONSTANTS_MAX; i++)
		v[i] = FNP_V8_ABSENT;
	v[FNP_V8_FIRST_NO_STRING] = 128;
	v[FNP_V8_STRING_LENGTH] = 12;
	v[FNP_V8_STRING_ONE_BYTE] = v[FNP_V8_STRING_TWO_BYTE] = 16;
	v[FNP_V8_CONS_FIRST] = v[FNP_V8_SLICED_PARENT] = v[FNP_V8_THIN_ACTUAL] = v[FNP_V8_EXTERNAL_RESOURCE] = 16;
	v[FNP_V8_CONS_SECOND] = v[FNP_V8_SLICED_OFFSET] = 24;
	v[FNP_V8_ARRAY_LENGTH] = 8;
	v[FNP_V8_ARRAY_DATA] = 16;
	v[FNP_V8_SCRIPT_SOURCE] = 8;
	v[FNP_V8_SCRIPT_NAME] = 16;
	v[FNP_V8_SHARED_DATA] = 8;
	v[FNP_V8_SCOPE_FIRST_VARS] = 5;
	v[FNP_V8_TYPE_SCOPE] = TYPE_SCOPE;
	v[FNP_V8_TYPE_CODE] = TYPE_CODE;
	view.layout = (struct fnp_v8_layout){.map_type = 11,
					     .shared_name = 23,
					     .shared_script = 39,
					     .shared_shape = 47,
					     .shared_literal = 59,
					     .script_id = 63,
					     .type_shared = TYPE_SHARED,
					     .type_script = TYPE_SCRIPT,
					     .type_bytecode = TYPE_BYTECODE};
	view.tables.bytecode_positions = 24;
	return view;
}

static int reset(void **state FNP_UNUSED)
{
	memset(heap, 0, sizeof(heap));
	used = 2 * MAPS;
	return 0;
}

static void expect_text(uint64_t string, const char *expected)
{
	struct fnp_v8_view view = view_of_24();
	char *found = NULL;

	assert_int_equal(fnp_v8_string(&view, string, 256, &found), 0);
	assert_string_equal(found, expected);
	free(found);
}

static void strings_of_all_shapes_are_read(void **state FNP_UNUSED)
{
	uint64_t hello = text("hello"), world = text(" world");
	uint64_t cons = string_of(CONS, 11, hello, world);
	size_t wide = allocate(TWO_BYTE, 4);

	expect_text(hello, "hello");
	expect_text(cons, "hello world");
	expect_text(string_of(SLICED, 4, text("xhellox"), (uint64_t)2 << 32), "ello");
	expect_text(string_of(THIN, 5, hello, 0), "hello");
	expect_text(string_of(CONS, 22, cons, cons), "hello worldhello world");
	expect_text(string_of(EXTERNAL, 3, 0, (uint64_t)(uintptr_t) "abc"), "abc");
	heap[wide + 1] = (uint64_t)4 << 32;
	memcpy(&heap[wide + 2], u"\u65e5\xd835\xdcbb\xd800", 8);
	expect_text(tagged(wide), "\xe6\x97\xa5\xf0\x9d\x92\xbb\xef\xbf\xbd");
}

static void strings_that_lie_are_refused_or_cut(void **state FNP_UNUSED)
{
	struct fnp_v8_view view = view_of_24();
	uint64_t loop = string_of(CONS, 1000, 0, 0),
		 outside = string_of(SLICED, 4, text("abc"), (uint64_t)7 << 32);
	uint64_t not_string = tagged(allocate(TYPE_SCRIPT, 20));
	char *found = NULL;

	heap[(loop - 1 - (uint64_t)(uintptr_t)heap) / 8 + 2] = loop;
	heap[(loop - 1 - (uint64_t)(uintptr_t)heap) / 8 + 3] = loop;
	assert_true(fnp_v8_string(&view, loop, 256, &found) < 0);
	assert_true(fnp_v8_string(&view, outside, 256, &found) < 0);
	assert_true(fnp_v8_string(&view, not_string, 256, &found) < 0);
	assert_true(fnp_v8_string(&view, 1, 256, &found) < 0);
	assert_true(fnp_v8_string(&view, UINT64_MAX, 256, &found) < 0);
	assert_null(found);
}

static uint64_t script(uint32_t id, const char *name, const char *source)
{
	size_t at = allocate(TYPE_SCRIPT, 16);

	heap[at + 1] = text(source);
	heap[at + 2] = text(name);
	heap[at + 8] = (uint64_t)id << 32;
	return tagged(at);
}

/* A function whose scope has `flags`, then words as they stand behind start and end. */
static uint64_t function(uint64_t of_script, uint32_t literal, uint32_t flags, const uint64_t *words, size_t n)
{
	size_t scope = allocate(TYPE_SCOPE, 6 + n), at = allocate(TYPE_SHARED, 9);

	heap[scope + 1] = flags;
	heap[scope + 4] = (uint64_t)27 << 32;
	for (size_t i = 0; i < n; i++)
		heap[scope + 6 + i] = words[i];
	heap[at + 3] = tagged(scope);
	heap[at + 5] = of_script;
	heap[at + 7] = (uint64_t)literal << 32;
	return tagged(at);
}

static void expect_function(uint64_t shared, const char *name, uint32_t literal)
{
	FNP_CLEANUP(fnp_v8_function_deinit) struct fnp_v8_function found = {0};
	struct fnp_v8_view view = view_of_24();

	assert_int_equal(fnp_v8_function_read(&view, shared, &found), 0);
	assert_int_equal(found.ids, (uint64_t)88 << 32 | literal);
	assert_int_equal(found.start, 27);
	if (name)
		assert_string_equal(found.name, name);
	else
		assert_null(found.name);
}

static void a_function_has_its_own_name_else_the_inferred_one(void **state FNP_UNUSED)
{
	uint64_t of = script(88, "/a.js", "x"), empty = text(""), own = text("own"), inferred = text("o.prop");

	expect_function(function(of, 1, 0x171c4, (uint64_t[]){own, UINT64_MAX << 32, inferred}, 3), "own", 1);
	expect_function(function(of, 2, 0x171c4, (uint64_t[]){empty, UINT64_MAX << 32, inferred}, 3),
			"o.prop", 2);
	expect_function(function(of, 3, 0x40004, (uint64_t[]){inferred}, 1), NULL, 3);
	expect_function(function(of, 4, 0x04004, (uint64_t[]){inferred}, 1), "o.prop", 4);
	expect_function(function(of, 5, 0x03404, (uint64_t[]){0, own, 0}, 3), "own", 5);
}

static void what_is_no_function_of_a_script_is_refused(void **state FNP_UNUSED)
{
	struct fnp_v8_function found = {0};
	struct fnp_v8_view view = view_of_24();
	uint64_t of = script(88, "/a.js", "x");

	assert_int_equal(fnp_v8_function_read(&view, of, &found), -ESRCH);
	assert_int_equal(fnp_v8_function_read(&view, function(text("no script"), 1, 4, NULL, 0), &found),
			 -ESRCH);
	assert_int_equal(fnp_v8_function_read(&view, 7, &found), -ESRCH);
}

static void lines_are_counted_as_javascript_does(void **state FNP_UNUSED)
{
	struct fnp_v8_scripts *scripts;
	struct fnp_v8_view view = view_of_24();
	const struct fnp_v8_script *found;

	assert_int_equal(fnp_v8_scripts_create(false, &scripts), 0);
	assert_int_equal(fnp_v8_scripts_get(scripts, &view, script(5, "/a.js", "a\nb\r\nc\rd"), 5, &found), 0);
	assert_string_equal(fnp_v8_script_file(found), "/a.js");
	assert_int_equal(fnp_v8_script_line(found, 0), 1);
	assert_int_equal(fnp_v8_script_line(found, 2), 2);
	assert_int_equal(fnp_v8_script_line(found, 5), 3);
	assert_int_equal(fnp_v8_script_line(found, 7), 4);
	assert_int_equal(fnp_v8_script_line(found, 8), 4);
	assert_int_equal(fnp_v8_script_line(found, 9), 0);
	assert_int_equal(fnp_v8_script_line(found, -1), 0);
	assert_int_equal(fnp_v8_scripts_get(scripts, &view, script(5, "/a.js", "a"), 6, &found), -ESRCH);
	fnp_v8_scripts_destroy(scripts);
}

static void scripts_of_one_id_are_told_apart(void **state FNP_UNUSED)
{
	struct fnp_v8_scripts *scripts;
	struct fnp_v8_view view = view_of_24();
	const struct fnp_v8_script *a, *b, *moved;

	assert_int_equal(fnp_v8_scripts_create(false, &scripts), 0);
	assert_int_equal(fnp_v8_scripts_get(scripts, &view, script(5, "/a.js", "one"), 5, &a), 0);
	assert_int_equal(fnp_v8_scripts_get(scripts, &view, script(5, "/b.js", "two"), 5, &b), 0);
	assert_int_equal(fnp_v8_scripts_get(scripts, &view, script(5, "/a.js", "one"), 5, &moved), 0);
	assert_string_equal(fnp_v8_script_file(b), "/b.js");
	assert_ptr_equal(a, moved);
	fnp_v8_scripts_destroy(scripts);
}

static void positions_are_read_with_their_inlining(void **state FNP_UNUSED)
{
	/* 12: place 13; 26, no statement: place 40 in inlining 2 */
	static const uint8_t table[] = {24, 56, 0x1d, 0xec, 0x80, 0x80, 0x80, 0x30};
	struct fnp_cursor c = fnp_cursor_of(table, sizeof(table));
	struct fnp_v8_position position = {0};
	uint64_t raw = 0;

	assert_int_equal(fnp_v8_position_next(&c, 0, &raw, &position), 0);
	assert_int_equal(position.code, 12);
	assert_int_equal(position.source, 13);
	assert_int_equal(position.inlined, -1);
	assert_int_equal(fnp_v8_position_next(&c, 0, &raw, &position), 0);
	assert_int_equal(position.code, 26);
	assert_int_equal(position.source, 40);
	assert_int_equal(position.inlined, 2);
	assert_int_equal(fnp_v8_position_next(&c, 0, &raw, &position), -ENODATA);
	c = fnp_cursor_of(table, sizeof(table));
	position = (struct fnp_v8_position){0};
	raw = 0;
	assert_int_equal(fnp_v8_position_next(&c, 1, &raw, &position), 0);
	assert_int_equal(position.code, 6);
	c = fnp_cursor_of("\x80", 1);
	assert_true(fnp_v8_position_next(&c, 0, &raw, &position) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(strings_of_all_shapes_are_read, reset),
		cmocka_unit_test_setup(strings_that_lie_are_refused_or_cut, reset),
		cmocka_unit_test_setup(a_function_has_its_own_name_else_the_inferred_one, reset),
		cmocka_unit_test_setup(what_is_no_function_of_a_script_is_refused, reset),
		cmocka_unit_test_setup(lines_are_counted_as_javascript_does, reset),
		cmocka_unit_test_setup(scripts_of_one_id_are_told_apart, reset),
		cmocka_unit_test_setup(positions_are_read_with_their_inlining, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
