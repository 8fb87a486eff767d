/* SPDX-License-Identifier: Apache-2.0 */
/* Names, texts and line tables of code objects: every form that CPython has, and bytes that lie. */
#include "bpf/walk/walk.h"

#include "symbolizer/python.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"

static uint32_t line_at(uint16_t minor, const void *table, size_t size, int32_t instruction)
{
	struct fnp_python_code_info info = {
		.table = (uint8_t *)(uintptr_t)table, .table_size = size, .first_line = 10};

	return fnp_python_line(&info, minor, instruction);
}

#define LINE(minor, table, instruction) line_at(minor, table, sizeof(table), instruction)

static void lnotab_adds_lines_up_to_the_instruction(void **state FNP_UNUSED)
{
	/* 4 bytes, then 2 lines on; 255 and 45 bytes, then 200 lines on in two steps; 2 bytes, then a line back */
	static const uint8_t table[] = {4, 2, 255, 0, 45, 127, 0, 73, 2, 255};

	assert_int_equal(LINE(8, table, 0), 10);
	assert_int_equal(LINE(9, table, 3), 10);
	assert_int_equal(LINE(8, table, 4), 12);
	assert_int_equal(LINE(8, table, 303), 12);
	assert_int_equal(LINE(8, table, 304), 212);
	assert_int_equal(LINE(8, table, 306), 211);
	assert_int_equal(LINE(8, table, 99999), 211);
}

static void ranges_of_3_10_may_have_no_line(void **state FNP_UNUSED)
{
	static const uint8_t table[] = {4, 1, 2, 128, 2, 255, 254, 0};

	assert_int_equal(LINE(10, table, 0), 11);
	assert_int_equal(LINE(10, table, 4), 0);
	assert_int_equal(LINE(10, table, 6), 10);
	assert_int_equal(LINE(10, table, 100), 10);
	assert_int_equal(LINE(10, table, 300), 0);
}

static void locations_of_3_11_have_five_forms(void **state FNP_UNUSED)
{
	static const uint8_t table[] = {
		0x80 | 0 << 3 | 1,  0x55,	       /* two units, short: same line */
		0x80 | 12 << 3 | 0, 1,		 2,    /* one unit, two lines on */
		0x80 | 13 << 3 | 0, 0x40 | 0x08, 0x06, /* one unit, no columns: +196 lines (varint of two) */
		0x80 | 14 << 3 | 0, 0x03,	 0x00, 0x01, 0x41, 1, /* one unit, long form: one line back */
		0x80 | 15 << 3 | 7,				      /* eight units without a line */
		0x80 | 10 << 3 | 0, 1,		 2,		      /* one unit, same line */
	};

	assert_int_equal(LINE(11, table, 0), 10);
	assert_int_equal(LINE(15, table, 3), 10);
	assert_int_equal(LINE(12, table, 4), 12);
	assert_int_equal(LINE(12, table, 6), 12 + 196);
	assert_int_equal(LINE(13, table, 8), 12 + 195);
	assert_int_equal(LINE(14, table, 10), 0);
	assert_int_equal(LINE(14, table, 25), 0);
	assert_int_equal(LINE(14, table, 26), 12 + 195);
	assert_int_equal(LINE(14, table, 28), 0);
}

static void code_that_has_not_begun_is_at_its_first_line(void **state FNP_UNUSED)
{
	static const uint8_t table[] = {4, 2};

	assert_int_equal(LINE(8, table, -1), 10);
	assert_int_equal(LINE(13, table, -2), 10);
}

static void broken_tables_have_no_line(void **state FNP_UNUSED)
{
	static const uint8_t no_start[] = {0x08, 0x00}, cut[] = {0x80 | 13 << 3},
			     endless[] = {0x80 | 13 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xff,		  0xff, 0xff, 0xff, 0xff, 0xff};

	assert_int_equal(LINE(12, no_start, 0), 0);
	assert_int_equal(LINE(12, cut, 0), 0);
	assert_int_equal(LINE(12, endless, 0), 0);
	assert_int_equal(line_at(12, NULL, 0, 0), 0);
}

static void assert_utf8(const void *units, size_t size, uint8_t kind, bool cut, const char *want)
{
	char *text = fnp_python_text_to_utf8(units, size, kind, cut);

	assert_string_equal(text, want);
	free(text);
}

static void texts_of_every_width_become_utf8(void **state FNP_UNUSED)
{
	static const uint16_t wide[] = {'n', 0x540d, 0xd800};
	static const uint32_t widest[] = {'x', 0x1d431, 0x110000};

	assert_utf8("plain", 5, 1, false, "plain");
	assert_utf8("gr\xf6\xdf", 4, 1, false, "gr\xc3\xb6\xc3\x9f");
	assert_utf8(wide, sizeof(wide), 2, false, "n\xe5\x90\x8d?");
	assert_utf8(widest, sizeof(widest), 4, true, "x\xf0\x9d\x90\xb1?...");
	assert_utf8("a\0b", 3, 1, false, "a?b");
	assert_utf8("", 0, 0, false, "");
}

/* One entry as the kernel side writes it. */
static void put_entry(struct fnp_buffer *b, struct fnp_python_code head, const char *name, const char *file,
		      const void *table)
{
	static const uint8_t zero[8];
	const struct {
		const void *data;
		size_t size;
	} parts[] = {{name, head.name.copied}, {file, head.file.copied}, {table, head.table_copied}};

	head.size = sizeof(head);
	for (size_t i = 0; i < 3; i++)
		head.size += (uint32_t)((parts[i].size + 7) & ~(size_t)7);
	fnp_buffer_append(b, &head, sizeof(head));
	for (size_t i = 0; i < 3; i++) {
		fnp_buffer_append(b, parts[i].data, parts[i].size);
		fnp_buffer_append(b, zero, -parts[i].size & 7);
	}
}

static void an_entry_of_the_kernel_side_is_taken(void **state FNP_UNUSED)
{
	struct fnp_python_code head = {.code = 0x1234,
				       .cookie = 77,
				       .first_line = 10,
				       .table_length = 2,
				       .table_copied = 2,
				       .name = {.length = 11, .kind = 1, .copied = 11},
				       .file = {.length = 300, .kind = 1, .copied = 4}};
	struct fnp_python_code got;
	struct fnp_python_code_info info;
	struct fnp_buffer b = {0};

	put_entry(&b, head, "Thing.field", "/a/b", "\x04\x02");
	struct fnp_cursor c = fnp_cursor_of(b.data, b.len);
	assert_int_equal(fnp_python_code_info_take(&c, &got, &info), 0);
	assert_int_equal(fnp_cursor_left(&c), 0);
	assert_int_equal(got.code, 0x1234);
	assert_int_equal(got.cookie, 77);
	assert_string_equal(info.name, "Thing.field");
	assert_string_equal(info.file, "/a/b...");
	assert_true(info.cut);
	assert_int_equal(fnp_python_line(&info, 9, 4), 12);
	fnp_python_code_info_deinit(&info);
	fnp_buffer_deinit(&b);
}

static void entries_that_lie_about_their_size_are_refused(void **state FNP_UNUSED)
{
	const struct fnp_python_code good = {.name = {.length = 4, .kind = 2, .copied = 8},
					     .file = {.length = 1, .kind = 1, .copied = 1},
					     .table_copied = 3};
	struct fnp_buffer b = {0};

	put_entry(&b, good, "a\0b\0c\0d", "f", "abc");
	for (size_t len = 0; len < b.len; len++) {
		struct fnp_cursor c = fnp_cursor_of(b.data, len);
		struct fnp_python_code head;
		struct fnp_python_code_info info;
		assert_int_equal(fnp_python_code_info_take(&c, &head, &info), -EBADMSG);
	}
	for (size_t at = 0; at < sizeof(good); at += 2) {
		struct fnp_buffer changed = {0};
		struct fnp_python_code head;
		struct fnp_python_code_info info = {0};
		fnp_buffer_append(&changed, b.data, b.len);
		memset(changed.data + at, 0xff, 2);
		struct fnp_cursor c = fnp_cursor_of(changed.data, changed.len);
		if (fnp_python_code_info_take(&c, &head, &info) == 0)
			fnp_python_code_info_deinit(&info);
		fnp_buffer_deinit(&changed);
	}
	fnp_buffer_deinit(&b);
}

static void an_entry_without_a_text_is_skipped(void **state FNP_UNUSED)
{
	struct fnp_python_code_info info;
	struct fnp_python_code head = {.name = {.kind = 0}, .file = {.kind = 1}}, got;
	struct fnp_buffer b = {0};

	put_entry(&b, head, "", "", "");
	struct fnp_cursor c = fnp_cursor_of(b.data, b.len);
	assert_int_equal(fnp_python_code_info_take(&c, &got, &info), -ENODATA);
	assert_int_equal(fnp_cursor_left(&c), 0);
	fnp_buffer_deinit(&b);
}

static void code_objects_differ_by_their_cookies(void **state FNP_UNUSED)
{
	uint32_t cookie = fnp_python_cookie(1, 2, 3, 4, 5);

	assert_int_not_equal(cookie, fnp_python_cookie(2, 2, 3, 4, 5));
	assert_int_not_equal(cookie, fnp_python_cookie(1, 3, 3, 4, 5));
	assert_int_not_equal(cookie, fnp_python_cookie(1, 2, 4, 4, 5));
	assert_int_not_equal(cookie, fnp_python_cookie(1, 2, 3, 5, 5));
	assert_int_not_equal(cookie, fnp_python_cookie(1, 2, 3, 4, 6));
	assert_int_equal(cookie, fnp_python_cookie(1, 2, 3, 4, 5));
}

/* A code object of 3.11 and what it refers to, as they lie in memory. */
struct made_code {
	uint64_t code[18];
	struct made_text {
		uint64_t count, type, length, hash, state, wide;
		char units[200];
	} name, file;
	struct made_bytes {
		uint64_t count, type, size, hash;
		char bytes[200];
	} table;
};

static const struct fnp_python_layout layout_of_3_11 = {.code_type_offset = 8,
							.code_first_line = 72,
							.code_file = 112,
							.code_name = 128,
							.code_table = 136,
							.code_size = 144,
							.text_size = 48,
							.text_wide = 72,
							.text_length = 16,
							.text_state = 32,
							.text_kind_bit = 2,
							.bytes_size = 16,
							.bytes_data = 32};

static struct made_text made_text(const char *text)
{
	struct made_text made = {.length = strlen(text), .hash = UINT64_MAX, .state = (1 | 8 | 16) << 2};

	memcpy(made.units, text, strlen(text) + 1);
	return made;
}

static int read_own(void *context FNP_UNUSED, void *to, size_t size, fnp_u64 address)
{
	if (address >> 48)
		return -1;
	memcpy(to, (const void *)(uintptr_t)address, size);
	return 0;
}

/* As the walker makes it of this memory. */
static uint32_t cookie_of(const struct made_code *made, struct fnp_python_layout layout)
{
	static struct fnp_walk walk;
	struct fnp_walk_map map = {"fnp_python_layouts", &layout, 1, sizeof(layout), NULL};
	struct fnp_walk_env env = {.maps = &map, .n_maps = 1, .read = read_own};

	fnp_walk_env = &env;
	walk.python_file = 0; /* a new walk */
	memcpy(walk.scratch + FNP_PYTHON_CODE_AT, made->code, sizeof(made->code));
	uint32_t cookie = (uint32_t)fnp_python_cookie_of(&walk, 0, (uintptr_t)made->code);
	fnp_walk_env = NULL;
	return cookie;
}

static int read_info(const struct made_code *made, uint32_t cookie, const struct fnp_python_layout *layout)
{
	struct fnp_python_place place = {.pid = getpid()};
	struct fnp_python_code_info info = {0};
	int r = fnp_python_code_info_read(&place, layout, (uintptr_t)made->code, cookie, &info);

	fnp_python_code_info_deinit(&info);
	return r;
}

/* The memory has changed, and no address: it is another code object, for the walker and for who reads its names. */
static void assert_other(const struct made_code *made, uint32_t *cookie)
{
	uint32_t now = cookie_of(made, layout_of_3_11);

	assert_int_not_equal(now, *cookie);
	assert_int_equal(read_info(made, *cookie, &layout_of_3_11), -ESRCH);
	assert_int_equal(read_info(made, now, &layout_of_3_11), 0);
	*cookie = now;
}

static void what_has_the_same_addresses_is_told_apart(void **state FNP_UNUSED)
{
	static struct made_code made;
	struct fnp_python_layout numbered = layout_of_3_11;

	made.name = made_text("fn_1");
	made.file = made_text("<string>");
	made.table = (struct made_bytes){.size = 5, .bytes = "abcde"};
	made.code[14] = (uintptr_t)&made.file;
	made.code[16] = (uintptr_t)&made.name;
	made.code[17] = (uintptr_t)&made.table;
	uint32_t cookie = cookie_of(&made, layout_of_3_11);
	assert_int_equal(read_info(&made, cookie, &layout_of_3_11), 0);
	made.name.units[3] = '2';
	assert_other(&made, &cookie);
	made.name.hash = 77;
	assert_other(&made, &cookie);
	made.file.units[1] = 'S';
	assert_other(&made, &cookie);
	/* A table is looked at where the name says nothing. */
	made.table.bytes[4] = 'f';
	assert_int_equal(cookie_of(&made, layout_of_3_11), cookie);
	made.name = made_text("<module>");
	assert_other(&made, &cookie);
	made.table.bytes[4] = 'g';
	assert_other(&made, &cookie);
	made.table.bytes[5] = 'g'; /* behind its end */
	assert_int_equal(cookie_of(&made, layout_of_3_11), cookie);
	made.table.size = 0;
	assert_other(&made, &cookie);
	made.file = made_text("/a/path/of/more/bytes/than/are/looked/at/each/time/a/code/object/is/met/on/a/"
			      "stack/because/that/"
			      "would/cost/too/much/in/a/sample/file_1.py");
	assert_other(&made, &cookie);
	made.file.units[made.file.length - 4] = '2';
	assert_other(&made, &cookie);
	/* What has a number needs no look at its texts. */
	numbered.code_version = 92;
	((uint32_t *)made.code)[23] = 4;
	cookie = cookie_of(&made, numbered);
	assert_int_equal(read_info(&made, cookie, &numbered), 0);
	made.name.hash++;
	assert_int_equal(cookie_of(&made, numbered), cookie);
	((uint32_t *)made.code)[23] = 5;
	assert_int_not_equal(cookie_of(&made, numbered), cookie);
	assert_int_equal(read_info(&made, cookie, &numbered), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lnotab_adds_lines_up_to_the_instruction),
		cmocka_unit_test(ranges_of_3_10_may_have_no_line),
		cmocka_unit_test(locations_of_3_11_have_five_forms),
		cmocka_unit_test(code_that_has_not_begun_is_at_its_first_line),
		cmocka_unit_test(broken_tables_have_no_line),
		cmocka_unit_test(texts_of_every_width_become_utf8),
		cmocka_unit_test(an_entry_of_the_kernel_side_is_taken),
		cmocka_unit_test(entries_that_lie_about_their_size_are_refused),
		cmocka_unit_test(an_entry_without_a_text_is_skipped),
		cmocka_unit_test(code_objects_differ_by_their_cookies),
		cmocka_unit_test(what_has_the_same_addresses_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
