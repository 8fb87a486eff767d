/* SPDX-License-Identifier: Apache-2.0 */
/* A table built here, byte by byte, as the Go linker writes it, and broken one thing at a time. */
#include "symbolizer/go_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "symbolizer/symbolize.h"
#include "symbolizer/unwind.h"
#include "tests/symbolizer/elf_writer.h"

#define TEXT 0x401000
#define TABLE 0x500000
#define MODULE 0x600000

static const uint8_t text[256];

/* Offsets of the table's parts. */
enum {
	NAMES = 72,
	UNIT_FILES = 112,
	FILE_NAMES = 120,
	PC_VALUES = 160,
	FUNCTIONS = 200,
	RECORD_A = 40, /* from FUNCTIONS */
	RECORD_B = 120,
	TABLE_BYTES = 400,
};

struct table {
	uint8_t bytes[TABLE_BYTES];
	uint64_t module[24];
};

static void put32(uint8_t *bytes, size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static void put64(uint8_t *bytes, size_t at, uint64_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static void put_record(uint8_t *record, uint32_t entry, uint32_t name, uint32_t lines, uint32_t inlined)
{
	put32(record, 0, entry);
	put32(record, 4, name);
	put32(record, 16, entry ? 26 : 17); /* pcsp */
	put32(record, 20, 1);		    /* pcfile */
	put32(record, 24, lines);
	put32(record, 28, 3); /* npcdata */
	put32(record, 32, 1); /* unit's files begin at entry 1 */
	put32(record, 36, 7); /* start line */
	put32(record, 44 + 8, inlined);
}

/* main.first [0, 0x20): line 10, from 0x10 on 12; main.second [0x20, 0x40): inlined from 0x30 on. */
static void build(struct table *t)
{
	*t = (struct table){.module = {[0] = TABLE, [20] = TEXT, [22] = TEXT}};
	put32(t->bytes, 0, 0xfffffff1);
	t->bytes[6] = 1;
	t->bytes[7] = 8;
	put64(t->bytes, 8, 2);
	put64(t->bytes, 32, NAMES);
	put64(t->bytes, 40, UNIT_FILES);
	put64(t->bytes, 48, FILE_NAMES);
	put64(t->bytes, 56, PC_VALUES);
	put64(t->bytes, 64, FUNCTIONS);
	memcpy(t->bytes + NAMES, "main.first\0main.(*T).second@1", 30);
	put32(t->bytes, UNIT_FILES, UINT32_MAX);
	put32(t->bytes, UNIT_FILES + 4, 6);
	memcpy(t->bytes + FILE_NAMES, "x.go\0\0/src/main.go", 19);
	/* pcfile @1: 0 over all; pcln @4: 10, then 12; @9: 20 over all; inlined @12: none, then call 0 */
	memcpy(t->bytes + PC_VALUES, "\0\2\x40\0\x16\x10\4\x10\0\x2a\x40\0\0\x10\2\x10\0", 17);
	/* pcsp @17: 0, behind one byte 8, behind four 40, in the last byte 0; @26: 0 over all */
	memcpy(t->bytes + PC_VALUES + 17, "\2\1\x10\3\x40\x1b\x4f\1\0\2\x20\0", 12);
	put32(t->bytes, FUNCTIONS, 0);
	put32(t->bytes, FUNCTIONS + 4, RECORD_A);
	put32(t->bytes, FUNCTIONS + 8, 0x20);
	put32(t->bytes, FUNCTIONS + 12, RECORD_B);
	put32(t->bytes, FUNCTIONS + 16, 0x40);
	put_record(t->bytes + FUNCTIONS + RECORD_A, 0, 0, 4, 0);
	put_record(t->bytes + FUNCTIONS + RECORD_B, 0x20, 11, 9, 12);
}

static struct fnp_object *program(const struct table *t)
{
	struct elf_writer w = {0};
	struct fnp_object *object = NULL;

	elf_writer_segment(&w, 0x1000, TEXT, text, sizeof(text), PF_R | PF_X);
	elf_writer_segment(&w, 0x2000, MODULE, t->module, sizeof(t->module), PF_R | PF_W);
	uint32_t index = elf_writer_section(&w, ".gopclntab", SHT_PROGBITS, t->bytes, sizeof(t->bytes));
	w.sections[index - 1].address = TABLE;
	struct fnp_buffer file = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "go", &object), 0);
	fnp_buffer_deinit(&file);
	return object;
}

static void functions_and_lines_are_found(void **state)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *go = NULL;
	struct fnp_go_function function;
	struct table t;

	(void)state;
	build(&t);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_go_table_create(object, &go), 0);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0xf, &function), 0);
	assert_string_equal(function.name, "main.first");
	assert_string_equal(function.file, "/src/main.go");
	assert_int_equal(function.line, 10);
	assert_int_equal(function.start_line, 7);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0x10, &function), 0);
	assert_int_equal(function.line, 12);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0x2f, &function), 0);
	assert_string_equal(function.name, "main.(*T).second@1");
	assert_int_equal(function.line, 20);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0x40, &function), -ENOENT);
	assert_int_equal(fnp_go_table_find(go, TEXT - 1, &function), -ENOENT);
}

static void inlined_code_has_no_line_of_its_caller(void **state)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *go = NULL;
	struct fnp_go_function function;
	struct table t;

	(void)state;
	build(&t);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_go_table_create(object, &go), 0);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0x30, &function), 0);
	assert_string_equal(function.name, "main.(*T).second@1");
	assert_string_equal(function.file, "");
	assert_int_equal(function.line, 0);
}

static void symbolizer_keeps_the_names_as_they_are(void **state)
{
	FNP_CLEANUP(fnp_symbolizer_destroyp) struct fnp_symbolizer *symbolizer = NULL;
	struct fnp_symbol_chain chain;
	struct table t;

	(void)state;
	build(&t);
	assert_int_equal(fnp_symbolizer_create(NULL, &symbolizer), 0);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_symbolizer_resolve(symbolizer, object, TEXT + 0x20, &chain), 0);
	assert_int_equal(chain.n, 1);
	assert_string_equal(chain.symbols[0].name, "main.(*T).second@1");
	assert_string_equal(chain.symbols[0].file, "/src/main.go");
}

static void assert_cfa(const struct fnp_unwind *unwind, uint64_t offset, int expected)
{
	const struct fnp_rule *rule = fnp_unwind_find(unwind, TEXT + offset);

	assert_non_null(rule);
	assert_int_equal(rule->cfa_kind, FNP_CFA_REG);
	assert_int_equal(rule->cfa_reg, FNP_REG_SP);
	assert_int_equal(rule->cfa_offset, expected);
	assert_int_equal(rule->ra_offset, -8);
}

static void assert_no_row(const struct fnp_unwind *unwind, uint64_t offset)
{
	const struct fnp_rule *rule = fnp_unwind_find(unwind, TEXT + offset);

	assert_true(!rule || rule->cfa_kind == FNP_CFA_NONE);
}

/* Of a stripped program nothing else says how its stacks are walked. */
static void depths_of_the_stack_become_rows(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct table t;

	(void)state;
	build(&t);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	assert_cfa(unwind, 0, 8);
	assert_cfa(unwind, 1, 16);
	assert_cfa(unwind, 3, 16);
	assert_cfa(unwind, 4, 48);
	assert_cfa(unwind, 0x1e, 48);
	assert_cfa(unwind, 0x1f, 8);
	assert_cfa(unwind, 0x3f, 8);
	assert_no_row(unwind, 0x40);
}

static void depths_that_make_no_sense_are_no_rows(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct table t;

	(void)state;
	build(&t);
	t.bytes[PC_VALUES + 19] = 0x13;					 /* 10 less instead of 8 more */
	memcpy(t.bytes + PC_VALUES + 30, "\xfe\xff\xff\xff\x0f\x20", 7); /* 2 GB deep, all but a byte */
	put32(t.bytes, FUNCTIONS + RECORD_B + 16, 30);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	assert_cfa(unwind, 0, 8);
	assert_no_row(unwind, 1);
	assert_no_row(unwind, 0x20);
	put32(t.bytes, FUNCTIONS + RECORD_B + 16, UINT32_MAX);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *nowhere = program(&t);
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *no_rows = NULL;
	assert_int_equal(fnp_unwind_build(nowhere, &no_rows), 0);
	assert_no_row(no_rows, 0x20);
}

/* Where goroutines begin, by the name that the table has. */
static void the_first_frame_is_found_by_its_name_in_the_table(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	const struct fnp_rule *rule;
	struct table t;

	(void)state;
	build(&t);
	memcpy(t.bytes + NAMES + 11, "runtime.goexit", 15);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	rule = fnp_unwind_find(unwind, TEXT + 0x21);
	assert_non_null(rule);
	assert_int_equal(rule->saved >> 4, FNP_SAVED_UNDEFINED);
	assert_cfa(unwind, 1, 16);
}

static void assert_refused(const struct table *t)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(t);
	struct fnp_go_table *go = NULL;

	assert_int_equal(fnp_go_table_create(object, &go), -ENOENT);
}

static void tables_that_lie_are_refused(void **state)
{
	struct table t;

	(void)state;
	build(&t);
	put32(t.bytes, 0, 0xfffffffb); /* before 1.16 */
	assert_refused(&t);
	build(&t);
	put64(t.bytes, 8, 1000); /* more functions than bytes */
	assert_refused(&t);
	build(&t);
	put64(t.bytes, 64, UINT64_MAX);
	assert_refused(&t);
	build(&t);
	t.module[20] = TEXT + 1; /* the first function elsewhere than the text's start says */
	assert_refused(&t);
	build(&t);
	t.module[20] = t.module[22] = MODULE; /* text that is no code */
	assert_refused(&t);
}

static void offsets_past_the_end_name_nothing(void **state)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *go = NULL;
	struct fnp_go_function function;
	struct table t;

	(void)state;
	build(&t);
	put32(t.bytes, FUNCTIONS + 4, UINT32_MAX);
	put32(t.bytes, FUNCTIONS + RECORD_B + 4, UINT32_MAX);
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = program(&t);
	assert_int_equal(fnp_go_table_create(object, &go), 0);
	assert_int_equal(fnp_go_table_find(go, TEXT, &function), -ENOENT);
	assert_int_equal(fnp_go_table_find(go, TEXT + 0x20, &function), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_and_lines_are_found),
		cmocka_unit_test(inlined_code_has_no_line_of_its_caller),
		cmocka_unit_test(symbolizer_keeps_the_names_as_they_are),
		cmocka_unit_test(depths_of_the_stack_become_rows),
		cmocka_unit_test(depths_that_make_no_sense_are_no_rows),
		cmocka_unit_test(the_first_frame_is_found_by_its_name_in_the_table),
		cmocka_unit_test(tables_that_lie_are_refused),
		cmocka_unit_test(offsets_past_the_end_name_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
