/* SPDX-License-Identifier: Apache-2.0 */
/* Places are found wherever they stand, and only where they stand: compared with a search byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "symbolizer/unwind_places.h"
#include "tests/symbolizer/elf_writer.h"

#define CODE 0x401000
#define SIZE 4096

static const struct {
	const char *bytes;
	size_t size;
} texts[] = {
	[FNP_PATTERN_SIGNAL_RETURN] = {"\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9},
	[FNP_PATTERN_SIGNAL_RETURN_SHORT] = {"\xb8\x0f\0\0\0\x0f\x05", 7},
	[FNP_PATTERN_CONTEXT_START] = {"\x48\x89\xdc\x48\x8b\x3c\x24\x48\x85\xff", 10},
	[FNP_PATTERN_CONTEXT_CHANGE] = {"\x48\x8b\xa2\xa0\0\0\0", 7},
	[FNP_PATTERN_GREENLET_CHANGE] = {"\x48\x01\xc4\x48\x01\xc5", 6},
	[FNP_PATTERN_LEAVE_BY_JUMP] = {"\x48\x8b\x6d\0\x48\x89\xcc\x59\xff\xe1", 10},
	[FNP_PATTERN_LEAVE_BY_RETURN] = {"\x48\x8b\x6d\0\x48\x89\xcc\xc3", 8},
	[FNP_PATTERN_BINDING] = {"\x48\x8b\x73\x10\x48\x8b\x7b\x08\xe8", 9},
	[FNP_PATTERN_FCONTEXT_BEGIN] = {"\x55\xff\xe3\x48\x31\xff\xe8", 7},
	[FNP_PATTERN_FCONTEXT_CHANGE] = {"\x48\x89\xe0\x48\x89\xfc", 6},
};

static struct fnp_object *object_of(const uint8_t *code, size_t size, const char *symbol, uint64_t at)
{
	struct elf_writer w = {0};
	struct fnp_object *object = NULL;

	elf_writer_segment(&w, 0x1000, CODE, code, size, PF_R | PF_X);
	if (symbol)
		elf_writer_symbol(&w, symbol, at, 64, STT_FUNC, STB_GLOBAL);
	struct fnp_buffer file = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "places", &object), 0);
	fnp_buffer_deinit(&file);
	return object;
}

static void a_pattern_is_found_once_at_every_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < FNP_PATTERN_COUNT; i++) {
		/* At the start, at each place in a word, at the end and one before it. */
		for (size_t k = 0; k < 12; k++) {
			size_t at = k < 10 ? k : SIZE - texts[i].size - (k - 10);
			FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
			struct fnp_unwind_places places = {0};
			uint8_t code[SIZE];

			memset(code, 0x90, sizeof(code));
			memcpy(code + at, texts[i].bytes, texts[i].size);
			object = object_of(code, sizeof(code), NULL, 0);
			assert_int_equal(fnp_unwind_places_find(object, &places), 0);
			assert_int_equal(places.items.len, 1);
			assert_int_equal(places.items.items[0].pattern, i);
			assert_int_equal(places.items.items[0].address, CODE + at);
			assert_int_equal(places.items.items[0].before, at);
			assert_int_equal(places.items.items[0].left, SIZE - at);
			assert_memory_equal(places.items.items[0].code, texts[i].bytes, texts[i].size);
			assert_int_equal(fnp_pattern_size((enum fnp_pattern)i), texts[i].size);
			fnp_unwind_places_deinit(&places);
		}
	}
}

static void random_code_has_the_places_that_a_plain_search_finds(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
		struct fnp_unwind_places places = {0};
		uint8_t code[SIZE];
		size_t n = 0;

		/* Patterns and parts of them, which may lie over each other. */
		memset(code, 0x48, sizeof(code));
		for (int k = 0; k < 200; k++) {
			size_t i = (size_t)rand_r(&seed) % FNP_PATTERN_COUNT;
			size_t size = 1 + (size_t)rand_r(&seed) % texts[i].size;

			memcpy(code + (size_t)rand_r(&seed) % (SIZE - size + 1), texts[i].bytes, size);
		}
		object = object_of(code, sizeof(code), NULL, 0);
		assert_int_equal(fnp_unwind_places_find(object, &places), 0);
		for (size_t at = 0; at < SIZE; at++) {
			for (size_t i = 0; i < FNP_PATTERN_COUNT; i++) {
				bool found = false;

				if (texts[i].size > SIZE - at ||
				    memcmp(code + at, texts[i].bytes, texts[i].size) != 0)
					continue;
				for (size_t k = 0; k < places.items.len; k++)
					found = found || (places.items.items[k].address == CODE + at &&
							  places.items.items[k].pattern == i);
				assert_true(found);
				n++;
			}
		}
		assert_int_equal(places.items.len, n);
		fnp_unwind_places_deinit(&places);
	}
}

static void much_code_is_searched_where_symbols_say_alone(void **state)
{
	const size_t size = (4U << 20) + 4096, at = 1 << 20;
	fnp_autofree uint8_t *code = malloc(size);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	struct fnp_unwind_places places = {0};

	(void)state;
	assert_non_null(code);
	memset(code, 0x90, size);
	memcpy(code + 16, texts[FNP_PATTERN_SIGNAL_RETURN].bytes, texts[FNP_PATTERN_SIGNAL_RETURN].size);
	memcpy(code + at + 7, texts[FNP_PATTERN_LEAVE_BY_JUMP].bytes, texts[FNP_PATTERN_LEAVE_BY_JUMP].size);
	object = object_of(code, size, "_Unwind_Resume", CODE + at);
	assert_int_equal(fnp_unwind_places_find(object, &places), 0);
	assert_true(places.named[FNP_NAMED_RESUME].is_found);
	assert_int_equal(places.items.len, 1);
	assert_int_equal(places.items.items[0].address, CODE + at + 7);
	assert_int_equal(places.items.items[0].left, 64 - 7);
	fnp_unwind_places_deinit(&places);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_is_found_once_at_every_place),
		cmocka_unit_test(random_code_has_the_places_that_a_plain_search_finds),
		cmocka_unit_test(much_code_is_searched_where_symbols_say_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
