/* SPDX-License-Identifier: Apache-2.0 */
/* Debug data made by hand, which leads in circles; names then come from the symbol table, in little time. */
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>
#include <dwarf.h>

#include "symbolizer/symbolize.h"
#include "tests/symbolizer/elf_writer.h"

#define CODE 0x1000

static const uint8_t text[4096];

struct sections {
	struct fnp_buffer info, abbrev, ranges;
};

static void u16(struct fnp_buffer *b, uint16_t value)
{
	fnp_buffer_append(b, &value, sizeof(value));
}

static void u32(struct fnp_buffer *b, uint32_t value)
{
	fnp_buffer_append(b, &value, sizeof(value));
}

static void u64(struct fnp_buffer *b, uint64_t value)
{
	fnp_buffer_append(b, &value, sizeof(value));
}

/* An abbreviation from pairs of attribute and form. */
static void abbrev(struct sections *s, uint8_t code, uint8_t tag, bool children, const uint8_t *pairs, size_t n)
{
	fnp_buffer_byte(&s->abbrev, code);
	fnp_buffer_byte(&s->abbrev, tag);
	fnp_buffer_byte(&s->abbrev, children);
	fnp_buffer_append(&s->abbrev, pairs, n);
	u16(&s->abbrev, 0);
}

/* A DWARF 4 unit over all code; its length is set by finish(). */
static void start_unit(struct sections *s)
{
	static const uint8_t root[] = {DW_AT_low_pc, DW_FORM_addr, DW_AT_high_pc, DW_FORM_data8};

	abbrev(s, 1, DW_TAG_compile_unit, true, root, sizeof(root));
	u32(&s->info, 0);
	u16(&s->info, 4);
	u32(&s->info, 0);
	fnp_buffer_byte(&s->info, 8);
	fnp_buffer_byte(&s->info, 1);
	u64(&s->info, CODE);
	u64(&s->info, sizeof(text));
}

static struct fnp_object *finish(struct sections *s)
{
	struct elf_writer w = {0};
	struct fnp_object *object = NULL;
	uint32_t length;

	fnp_buffer_byte(&s->info, 0);
	fnp_buffer_byte(&s->abbrev, 0);
	length = (uint32_t)s->info.len - 4;
	memcpy(s->info.data, &length, 4);
	elf_writer_segment(&w, 0x1000, CODE, text, sizeof(text), PF_R | PF_X);
	elf_writer_symbol(&w, "symbol", CODE, sizeof(text), STT_FUNC, STB_GLOBAL);
	elf_writer_section(&w, ".debug_info", SHT_PROGBITS, s->info.data, s->info.len);
	elf_writer_section(&w, ".debug_abbrev", SHT_PROGBITS, s->abbrev.data, s->abbrev.len);
	elf_writer_section(&w, ".debug_ranges", SHT_PROGBITS, s->ranges.data, s->ranges.len);
	struct fnp_buffer file = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "hostile", &object), 0);
	fnp_buffer_deinit(&file);
	fnp_buffer_deinit(&s->info);
	fnp_buffer_deinit(&s->abbrev);
	fnp_buffer_deinit(&s->ranges);
	return object;
}

/* The name of the function that exists at CODE, checked over `n` addresses. */
static void assert_named(struct sections *s, const char *name, uint64_t n)
{
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = finish(s);
	struct fnp_symbol_chain chain;

	assert_int_equal(fnp_symbolizer_create(NULL, &symbolizer), 0);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(fnp_symbolizer_resolve(symbolizer, object, CODE + i, &chain), 0);
		assert_string_equal(chain.symbols[chain.n - 1].name, name);
	}
}

static void function(struct sections *s, uint8_t code)
{
	fnp_buffer_byte(&s->info, code);
	u64(&s->info, CODE);
	u64(&s->info, sizeof(text));
}

static void plain_function_is_named(void **state)
{
	static const uint8_t pairs[] = {DW_AT_low_pc,  DW_FORM_addr, DW_AT_high_pc,
					DW_FORM_data8, DW_AT_name,   DW_FORM_string};
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_subprogram, false, pairs, sizeof(pairs));
	function(&s, 2);
	fnp_buffer_append(&s.info, "from_dwarf", 11);
	assert_named(&s, "from_dwarf", 16);
}

static void origin_that_is_itself_ends(void **state)
{
	static const uint8_t pairs[] = {DW_AT_low_pc,  DW_FORM_addr,	      DW_AT_high_pc,
					DW_FORM_data8, DW_AT_abstract_origin, DW_FORM_ref4};
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_subprogram, false, pairs, sizeof(pairs));
	uint32_t own = (uint32_t)s.info.len;
	function(&s, 2);
	u32(&s.info, own);
	assert_named(&s, "symbol", 16);
}

/* A declaration whose specification is the definition whose origin it is, and a function from that circle. */
static void origin_and_specification_in_a_circle_end(void **state)
{
	static const uint8_t function_pairs[] = {DW_AT_low_pc,	DW_FORM_addr,	       DW_AT_high_pc,
						 DW_FORM_data8, DW_AT_abstract_origin, DW_FORM_ref4};
	static const uint8_t origin[] = {DW_AT_abstract_origin, DW_FORM_ref4};
	static const uint8_t specification[] = {DW_AT_specification, DW_FORM_ref4};
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_subprogram, false, function_pairs, sizeof(function_pairs));
	abbrev(&s, 3, DW_TAG_subprogram, false, origin, sizeof(origin));
	abbrev(&s, 4, DW_TAG_subprogram, false, specification, sizeof(specification));
	uint32_t first = (uint32_t)s.info.len + 1 + 8 + 8 + 4;
	function(&s, 2);
	u32(&s.info, first);
	fnp_buffer_byte(&s.info, 3);
	u32(&s.info, first + 5);
	fnp_buffer_byte(&s.info, 4);
	u32(&s.info, first);
	assert_named(&s, "symbol", 16);
}

/* 50,000 inlined calls, one in the other: more than any chain that is shown. */
static void inlined_calls_without_end_are_cut(void **state)
{
	static const uint8_t pairs[] = {DW_AT_low_pc,  DW_FORM_addr, DW_AT_high_pc,
					DW_FORM_data8, DW_AT_name,   DW_FORM_string};
	static const uint8_t inlined[] = {DW_AT_low_pc, DW_FORM_addr, DW_AT_high_pc, DW_FORM_data8};
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_subprogram, true, pairs, sizeof(pairs));
	abbrev(&s, 3, DW_TAG_inlined_subroutine, true, inlined, sizeof(inlined));
	function(&s, 2);
	fnp_buffer_append(&s.info, "outermost", 10);
	for (int i = 0; i < 50000; i++)
		function(&s, 3);
	assert_named(&s, "outermost", 16);
}

static void sibling_that_points_backwards_is_not_followed(void **state)
{
	static const uint8_t type[] = {DW_AT_sibling, DW_FORM_ref4};
	static const uint8_t pairs[] = {DW_AT_low_pc,  DW_FORM_addr, DW_AT_high_pc,
					DW_FORM_data8, DW_AT_name,   DW_FORM_string};
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_structure_type, true, type, sizeof(type));
	abbrev(&s, 3, DW_TAG_subprogram, false, pairs, sizeof(pairs));
	fnp_buffer_byte(&s.info, 2);
	u32(&s.info, 11);
	fnp_buffer_byte(&s.info, 0);
	function(&s, 3);
	fnp_buffer_append(&s.info, "after", 6);
	assert_named(&s, "after", 16);
}

/* 60,000 functions that all have the same 30,000 ranges: 1.8 billion if one counted them. */
static void ranges_that_many_functions_share_are_not_counted_to_the_end(void **state)
{
	static const uint8_t pairs[] = {DW_AT_ranges, DW_FORM_sec_offset};
	struct timespec before, after;
	struct sections s = {0};

	(void)state;
	start_unit(&s);
	abbrev(&s, 2, DW_TAG_subprogram, false, pairs, sizeof(pairs));
	for (int i = 0; i < 60000; i++) {
		fnp_buffer_byte(&s.info, 2);
		u32(&s.info, 0);
	}
	for (int i = 0; i < 30000; i++) {
		u64(&s.ranges, UINT64_C(0x100000000) + (uint64_t)i);
		u64(&s.ranges, UINT64_C(0x100000001) + (uint64_t)i);
	}
	u64(&s.ranges, 0);
	u64(&s.ranges, 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	assert_named(&s, "symbol", 200);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	/* Sanitizers make it ten times slower than the second that it may take. */
	assert_true(after.tv_sec - before.tv_sec < 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_function_is_named),
		cmocka_unit_test(origin_that_is_itself_ends),
		cmocka_unit_test(origin_and_specification_in_a_circle_end),
		cmocka_unit_test(inlined_calls_without_end_are_cut),
		cmocka_unit_test(sibling_that_points_backwards_is_not_followed),
		cmocka_unit_test(ranges_that_many_functions_share_are_not_counted_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
