/* SPDX-License-Identifier: Apache-2.0 */
/* Source maps: places, names, and maps that lie. Segments are written by the test's own encoder. */
#include "symbolizer/source_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put(char *text, int value)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = value < 0 ? (unsigned)-value << 1 | 1 : (unsigned)value << 1;
	size_t n = strlen(text);

	do {
		text[n++] = digits[(bits & 31) | (bits > 31 ? 32 : 0)];
		bits >>= 5;
	} while (bits);
	text[n] = '\0';
}

static int parse(const char *mappings, struct fnp_source_map **ret)
{
	char json[1024];
	int n = snprintf(
		json, sizeof(json),
		"{\"version\":3,\"sourceRoot\":\"src\",\"sources\":[\"a.ts\",\"b.ts\"],\"names\":[\"first\","
		"\"second\"],\"mappings\":\"%s\"}",
		mappings);

	return fnp_source_map_parse(json, (size_t)n, ret);
}

static void place_is_that_of_the_last_segment_before_it_on_its_line(void **state)
{
	FNP_CLEANUP(fnp_source_map_destroyp) struct fnp_source_map *map = NULL;
	struct fnp_source_place place;
	char text[256] = "";

	(void)state;
	/* Line 0: column 4 is a.ts:100, the name first; column 900 is nothing. Line 2: column 7 is b.ts:3. */
	const int numbers[] = {4, 0, 99, 5, 0};
	for (size_t i = 0; i < 5; i++)
		put(text, numbers[i]);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), ",");
	put(text, 896);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), ";;");
	const int more[] = {7, 1, -97, 0};
	for (size_t i = 0; i < 4; i++)
		put(text, more[i]);
	assert_int_equal(parse(text, &map), 0);
	assert_int_equal(fnp_source_map_find(map, 0, 3, &place), -ENOENT);
	for (uint32_t column = 4; column < 900; column += 5) {
		assert_int_equal(fnp_source_map_find(map, 0, column, &place), 0);
		assert_string_equal(place.file, "src/a.ts");
		assert_string_equal(place.name, "first");
		assert_int_equal(place.line, 100);
		assert_int_equal(place.column, 4);
	}
	assert_int_equal(fnp_source_map_find(map, 0, 900, &place), -ENOENT);
	assert_int_equal(fnp_source_map_find(map, 1, 900, &place), -ENOENT);
	assert_int_equal(fnp_source_map_find(map, 2, 6, &place), -ENOENT);
	assert_int_equal(fnp_source_map_find(map, 2, UINT32_MAX, &place), 0);
	assert_string_equal(place.file, "src/b.ts");
	assert_null(place.name);
	assert_int_equal(place.line, 3);
	assert_int_equal(fnp_source_map_find(map, UINT32_MAX, 0, &place), -ENOENT);
}

static void columns_that_go_back_are_put_in_order(void **state)
{
	FNP_CLEANUP(fnp_source_map_destroyp) struct fnp_source_map *map = NULL;
	struct fnp_source_place place;

	(void)state;
	/* Column 8 (line 1 of the source), then column 2 (line 3). */
	assert_int_equal(parse("QAAA,NAEA", &map), 0);
	assert_int_equal(fnp_source_map_find(map, 0, 5, &place), 0);
	assert_int_equal(place.line, 3);
	assert_int_equal(fnp_source_map_find(map, 0, 9, &place), 0);
	assert_int_equal(place.line, 1);
}

static void source_or_name_that_is_not_there_is_none(void **state)
{
	FNP_CLEANUP(fnp_source_map_destroyp) struct fnp_source_map *map = NULL;
	struct fnp_source_place place;

	(void)state;
	/* Source 2 of two; then source 0 with name 2 of two. */
	assert_int_equal(parse("AEAA,CFAAE", &map), 0);
	assert_int_equal(fnp_source_map_find(map, 0, 0, &place), -ENOENT);
	assert_int_equal(fnp_source_map_find(map, 0, 1, &place), 0);
	assert_null(place.name);
}

static void lies_are_refused(void **state)
{
	static const char *const mappings[] = {"!",    "A!", "AA",	   "AAA",     "AAAAAA",	  "D",
					       "ADAA", "g",  "gggggggggA", "+/////D", "AAAA,ADAA"};
	static const char *const jsons[] = {"",
					    "{",
					    "[]",
					    "null",
					    "{\"version\":3}",
					    "{\"version\":2,\"sources\":[],\"mappings\":\"\"}",
					    "{\"version\":3,\"sources\":{},\"mappings\":\"\"}",
					    "{\"version\":3,\"sources\":[],\"mappings\":7}",
					    "{\"version\":3,\"sections\":[]}",
					    ")]}'"};
	struct fnp_source_map *map = NULL;

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(mappings); i++)
		assert_int_equal(parse(mappings[i], &map), -EBADMSG);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(jsons); i++)
		assert_int_equal(fnp_source_map_parse(jsons[i], strlen(jsons[i]), &map), -EBADMSG);
	assert_null(map);
}

static void mutated_maps_are_taken_or_refused(void **state)
{
	static const char good[] =
		"{\"version\":3,\"sources\":[\"a.ts\",null],\"names\":[\"x\",5],\"mappings\":\"AAAAA,"
		"CCAAA;;gBAgBC,QAAA;AAAA,CAAC,SAASA,IAAI,EAAE\"}";
	uint32_t random = 1;
	size_t taken = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		FNP_CLEANUP(fnp_source_map_destroyp) struct fnp_source_map *map = NULL;
		struct fnp_source_place place;
		char bytes[sizeof(good)];

		memcpy(bytes, good, sizeof(good));
		for (int k = 0; k < 1 + i % 3; k++) {
			random = random * 1664525 + 1013904223;
			bytes[(random >> 8) % (sizeof(good) - 1)] = (char)(random >> 24);
		}
		if (fnp_source_map_parse(bytes, sizeof(good) - 1 - (i % 7 == 0), &map) < 0)
			continue;
		taken++;
		for (uint32_t line = 0; line < 5; line++) {
			if (fnp_source_map_find(map, line, 20, &place) == 0)
				assert_true(place.line >= 1 && place.file[0] != '\0');
		}
	}
	assert_true(taken > 100);
}

static void base64_ends_where_it_ends(void **state)
{
	static const struct {
		const char *text, *bytes;
	} expected[] = {{"aGVsbG8=", "hello"}, {"aGVsbG8h", "hello!"}, {"aGU", "he"}, {"aGVs\nbG8", "hel"}};

	(void)state;
	for (size_t i = 0; i < FNP_ARRAY_SIZE(expected); i++) {
		fnp_autofree uint8_t *bytes = NULL;
		size_t size;

		assert_int_equal(
			fnp_source_map_base64(expected[i].text, strlen(expected[i].text), &bytes, &size), 0);
		assert_int_equal(size, strlen(expected[i].bytes));
		assert_memory_equal(bytes, expected[i].bytes, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(place_is_that_of_the_last_segment_before_it_on_its_line),
		cmocka_unit_test(columns_that_go_back_are_put_in_order),
		cmocka_unit_test(source_or_name_that_is_not_there_is_none),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(mutated_maps_are_taken_or_refused),
		cmocka_unit_test(base64_ends_where_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
