/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/hotspot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_class(const char *internal, const char *shown)
{
	char name[128];

	snprintf(name, sizeof(name), "%s", internal);
	fnp_hotspot_class_name(name);
	assert_string_equal(name, shown);
}

static void names_of_classes_have_dots(void **state FNP_UNUSED)
{
	expect_class("java/lang/String", "java.lang.String");
	expect_class("Main", "Main");
	expect_class("a/Outer$Inner", "a.Outer$Inner");
	expect_class("a/0xen", "a.0xen");
	expect_class("", "");
}

static void addresses_of_hidden_classes_are_not_shown(void **state FNP_UNUSED)
{
	expect_class("a/Foo$$Lambda$14+0x0000000800c03000", "a.Foo$$Lambda");
	expect_class("a/Foo$$Lambda+0x00007f1234000a00", "a.Foo$$Lambda");
	expect_class("a/Foo$$Lambda/0x00007f1234000a00", "a.Foo$$Lambda");
	expect_class("java/lang/invoke/LambdaForm$MH+0x0000000800c04c00", "java.lang.invoke.LambdaForm$MH");
}

static uint32_t unsigned5(const void *bytes, size_t size, bool without_zero)
{
	struct fnp_cursor c = fnp_cursor_of(bytes, size);
	uint32_t value = 0;

	assert_int_equal(fnp_hotspot_unsigned5(&c, without_zero, &value), 0);
	assert_int_equal(fnp_cursor_left(&c), 0);
	return value;
}

static void numbers_are_read_in_both_forms(void **state FNP_UNUSED)
{
	assert_int_equal(unsigned5("\x00", 1, false), 0);
	assert_int_equal(unsigned5("\xbf", 1, false), 191);
	assert_int_equal(unsigned5("\xc0\x00", 2, false), 192);
	assert_int_equal(unsigned5("\xc1\x01", 2, false), 193 + 64);
	assert_int_equal(unsigned5("\x01", 1, true), 0);
	assert_int_equal(unsigned5("\xbf", 1, true), 190);
	assert_int_equal(unsigned5("\xc0\x01", 2, true), 191);
	assert_int_equal(unsigned5("\xc1\x01", 2, true), 192);
	assert_int_equal(unsigned5("\xc0\x02", 2, true), 191 + 64);
	assert_int_equal(unsigned5("\xff\xc0\x01", 3, true), 254 + 64 * 191);
}

static void numbers_that_end_early_are_refused(void **state FNP_UNUSED)
{
	struct fnp_cursor c = fnp_cursor_of("\xff\xff", 2);
	uint32_t value;

	assert_int_equal(fnp_hotspot_unsigned5(&c, false, &value), -EBADMSG);
	c = fnp_cursor_of("\x00", 1);
	assert_int_equal(fnp_hotspot_unsigned5(&c, true, &value), -EBADMSG);
}

static void lines_hold_up_to_the_next_entry(void **state FNP_UNUSED)
{
	/* bytecode 0: line 5; 4: line 7; 300: line 4, by the long form of signed numbers */
	uint8_t table[] = {0 << 3 | 5, 4 << 3 | 2, 0xff, 0, 0, 0, 0};
	struct fnp_hotspot_method method = {.table = table, .table_size = sizeof(table)};
	struct fnp_hotspot_view view = {.version = 17};
	uint32_t start;

	/* 296 is 592 with the sign in bit 0: 208 + 64 * 6; -3 is 5. */
	table[3] = 208;
	table[4] = 6;
	table[5] = 5;
	assert_int_equal(fnp_hotspot_method_line(&view, &method, 0, &start), 5);
	assert_int_equal(start, 5);
	assert_int_equal(fnp_hotspot_method_line(&view, &method, 3, &start), 5);
	assert_int_equal(fnp_hotspot_method_line(&view, &method, 299, &start), 7);
	assert_int_equal(fnp_hotspot_method_line(&view, &method, 300, &start), 4);
	assert_int_equal(fnp_hotspot_method_line(&view, &method, UINT32_MAX, &start), 0);
}

static void methods_without_lines_have_none(void **state FNP_UNUSED)
{
	struct fnp_hotspot_method method = {0};
	struct fnp_hotspot_view view = {.version = 25};
	uint32_t start = 9;

	assert_int_equal(fnp_hotspot_method_line(&view, &method, 3, &start), 0);
	assert_int_equal(start, 0);
}

/* What a JVM has of one method, in this process; its pool has two constants. */
struct memory {
	uint64_t method[2], constant[8], class[2];
	struct {
		uint64_t holder;
		uint32_t length, file;
		uint64_t constants[4];
	} pool;
	struct {
		uint16_t length;
		char body[14];
	} symbols[2];
};

static int name_of_method(struct memory *m, uint32_t file, struct fnp_hotspot_method *ret)
{
	struct fnp_hotspot_view view = {.place.pid = getpid(), .version = 25};
	uint64_t *v = view.tables.values;
	struct fnp_hotspot_identity identity;

	for (size_t i = 0; i < FNP_HOTSPOT_FIELDS_MAX; i++)
		v[i] = FNP_HOTSPOT_ABSENT;
	v[FNP_HOTSPOT_POOL_LENGTH] = offsetof(struct memory, pool.length) - offsetof(struct memory, pool);
	v[FNP_HOTSPOT_POOL_SOURCE_FILE] = offsetof(struct memory, pool.file) - offsetof(struct memory, pool);
	v[FNP_HOTSPOT_SIZEOF_POOL] = offsetof(struct memory, pool.constants) - offsetof(struct memory, pool);
	v[FNP_HOTSPOT_SYMBOL_LENGTH] = 0;
	v[FNP_HOTSPOT_SYMBOL_BODY] = 2;
	view.layout.const_name = 8;
	m->method[0] = (uintptr_t)m->constant;
	m->constant[0] = (uintptr_t)&m->pool;
	m->constant[1] = 1;
	m->class[0] = (uintptr_t)&m->symbols[0];
	m->pool.holder = (uintptr_t)m->class;
	m->pool.length = 2;
	m->pool.file = file;
	m->pool.constants[1] = (uintptr_t)&m->symbols[1];
	m->pool.constants[3] = 0x123; /* behind its end */
	memcpy(m->symbols[0].body, "Handle", m->symbols[0].length = 6);
	memcpy(m->symbols[1].body, "link", m->symbols[1].length = 4);
	assert_int_equal(fnp_hotspot_method_identify(&view, (uintptr_t)m->method, &identity), 0);
	return fnp_hotspot_method_read(&view, &identity, ret);
}

static void a_file_that_cannot_be_read_costs_no_name(void **state FNP_UNUSED)
{
	const uint32_t files[] = {0, 3, 0xffff};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FNP_CLEANUP(fnp_hotspot_method_deinit) struct fnp_hotspot_method method = {0};
		struct memory memory = {0};

		assert_int_equal(name_of_method(&memory, files[i], &method), 0);
		assert_string_equal(method.name, "Handle.link");
		assert_null(method.file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_classes_have_dots),
		cmocka_unit_test(addresses_of_hidden_classes_are_not_shown),
		cmocka_unit_test(numbers_are_read_in_both_forms),
		cmocka_unit_test(numbers_that_end_early_are_refused),
		cmocka_unit_test(lines_hold_up_to_the_next_entry),
		cmocka_unit_test(methods_without_lines_have_none),
		cmocka_unit_test(a_file_that_cannot_be_read_costs_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
