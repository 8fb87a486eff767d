/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#include "profiler/output/json.h"

static json_t *parsed(struct fnp_buffer *b)
{
	json_t *root = json_loadb((const char *)b->data, b->len, 0, NULL);

	assert_int_equal(b->error, 0);
	assert_non_null(root);
	return root;
}

static void members_are_separated_and_nested(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	static const char expected[] =
		"{\"a\":\"x\",\"n\":0,\"o\":{\"t\":true,\"f\":false},\"e\":{},\"z\":7}";

	(void)state;
	fnp_json_open(&b, NULL);
	fnp_json_text(&b, "a", "x");
	fnp_json_u64(&b, "n", 0);
	fnp_json_open(&b, "o");
	fnp_json_bool(&b, "t", true);
	fnp_json_bool(&b, "f", false);
	fnp_json_close(&b);
	fnp_json_open(&b, "e");
	fnp_json_close(&b);
	fnp_json_u64(&b, "z", 7);
	fnp_json_close(&b);
	assert_int_equal(b.len, strlen(expected));
	assert_memory_equal(b.data, expected, b.len);
}

static void every_byte_survives_or_is_repaired(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	char text[256];

	(void)state;
	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
	fnp_json_open(&b, NULL);
	fnp_json_text(&b, "t", text);
	fnp_json_close(&b);
	assert_null(memchr(b.data, '\n', b.len));

	json_auto_t *root = parsed(&b);
	const char *back = json_string_value(json_object_get(root, "t"));
	assert_int_equal(strlen(back), 255);
	assert_memory_equal(back, text, 127); /* ASCII as it was */
	for (size_t i = 127; i < 255; i++)
		assert_int_equal(back[i], '?'); /* lone bytes are no UTF-8 */
}

static void valid_utf8_is_kept(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_json_open(&b, NULL);
	fnp_json_text(&b, "t", "größe \xf0\x9f\x94\xa5");
	fnp_json_close(&b);
	json_auto_t *root = parsed(&b);
	assert_string_equal(json_string_value(json_object_get(root, "t")), "größe \xf0\x9f\x94\xa5");
}

static void a_text_that_ends_in_a_brace_still_gets_its_comma(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};

	(void)state;
	fnp_json_open(&b, NULL);
	fnp_json_text(&b, "a", "{");
	fnp_json_u64(&b, "b", 18446744073709551615u);
	fnp_json_close(&b);
	assert_memory_equal(b.data, "{\"a\":\"{\",\"b\":18446744073709551615}", b.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_separated_and_nested),
		cmocka_unit_test(every_byte_survives_or_is_repaired),
		cmocka_unit_test(valid_utf8_is_kept),
		cmocka_unit_test(a_text_that_ends_in_a_brace_still_gets_its_comma),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
