/* SPDX-License-Identifier: Apache-2.0 */
/* An entry that says one thing of code that does several is believed no further than what it finds makes sense. */
#include <dwarf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bpf/walk/walk.h"
#include "symbolizer/unwind.h"
#include "tests/symbolizer/elf_writer.h"

#define CODE 0x401000
#define SIZE 0x400
#define STACK 0x7ffc00000000ULL

/* The interpreter is [0, 0x200), in three parts; who calls it is [0x200, 0x300), and nobody calls that. */
#define PLAIN 0x10
#define MOVES 0x80
#define BEHIND 0x110
#define CALLER 0x200
#define CALL_END 0x225

static void put_code(uint8_t code[SIZE])
{
	memset(code, 0x90, SIZE);
	memcpy(code + MOVES - 2, "\xeb\x70", 2);
	memcpy(code + MOVES + 0x7e, "\xeb\x70", 2);
	code[CALLER - 1] = 0xc3;
	memcpy(code + CALL_END - 5, "\xe8\xdb\xfd\xff\xff", 5);
	code[SIZE - 1] = 0xc3;
}

static void append_u32(struct fnp_buffer *b, uint32_t value)
{
	fnp_buffer_append(b, &value, sizeof(value));
}

static void add_entry(struct fnp_buffer *b, uint32_t start, uint32_t size, const uint8_t instructions[7])
{
	append_u32(b, 20);
	append_u32(b, (uint32_t)b->len);
	append_u32(b, CODE + start);
	append_u32(b, size);
	fnp_buffer_byte(b, 0);
	fnp_buffer_append(b, instructions, 7);
}

/* .eh_frame: the interpreter has rsp + `depth` throughout; its caller is the first frame of its thread. */
static struct fnp_object *object_of(const uint8_t *code, uint8_t depth, uint32_t size)
{
	static const uint8_t cie[] = {20,
				      0,
				      0,
				      0,
				      0,
				      0,
				      0,
				      0,
				      1,
				      'z',
				      'R',
				      0,
				      1,
				      0x78,
				      16,
				      1,
				      DW_EH_PE_udata4,
				      DW_CFA_def_cfa,
				      7,
				      8,
				      DW_CFA_offset | 16,
				      1,
				      0,
				      0};
	const uint8_t flat[7] = {DW_CFA_def_cfa_offset, depth}, root[7] = {DW_CFA_undefined, 16};
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_object *object = NULL;
	struct elf_writer w = {0};

	fnp_buffer_append(&b, cie, sizeof(cie));
	add_entry(&b, 0, size, flat);
	add_entry(&b, CALLER, SIZE - CALLER, root);
	append_u32(&b, 0);
	elf_writer_segment(&w, 0x1000, CODE, code, SIZE, PF_R | PF_X);
	elf_writer_section(&w, ".eh_frame", SHT_PROGBITS, b.data, b.len);
	struct fnp_buffer file = elf_writer_finish(&w);
	assert_int_equal(fnp_object_open_memory(file.data, file.len, "flat", &object), 0);
	fnp_buffer_deinit(&file);
	return object;
}

static struct fnp_unwind *table_of(const uint8_t *code, uint8_t depth, uint32_t size)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = object_of(code, depth, size);
	struct fnp_unwind *unwind = NULL;

	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	return unwind;
}

static void assert_rule(const struct fnp_unwind *unwind, uint32_t at, int cfa_offset, uint8_t flags)
{
	const struct fnp_rule *rule = fnp_unwind_find(unwind, CODE + at);

	assert_non_null(rule);
	assert_int_equal(rule->cfa_kind, FNP_CFA_REG);
	assert_int_equal(rule->cfa_offset, cfa_offset);
	assert_int_equal(rule->flags, flags);
}

static void what_moves_the_stack_has_no_rule_and_the_rest_a_doubted_one(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	uint8_t code[SIZE];

	(void)state;
	put_code(code);
	code[MOVES + 0x40] = 0x50; /* push rax */
	unwind = table_of(code, 80, CALLER);
	assert_rule(unwind, 0, 80, FNP_RULE_BELIEVED);
	assert_rule(unwind, MOVES - 1, 80, FNP_RULE_BELIEVED);
	assert_int_equal(fnp_unwind_find(unwind, CODE + MOVES)->cfa_kind, FNP_CFA_EXPRESSION);
	assert_int_equal(fnp_unwind_find(unwind, CODE + MOVES + 0x7f)->cfa_kind, FNP_CFA_EXPRESSION);
	assert_rule(unwind, MOVES + 0x80, 80, FNP_RULE_BELIEVED);
	assert_rule(unwind, CALLER - 1, 80, FNP_RULE_BELIEVED);
}

static void what_leaves_the_stack_alone_is_as_it_was_said(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *plain = NULL, *leaf = NULL, *small = NULL;
	uint8_t code[SIZE];

	(void)state;
	put_code(code);
	plain = table_of(code, 80, CALLER);
	assert_rule(plain, MOVES, 80, 0);
	code[MOVES + 0x40] = 0x50;
	leaf = table_of(code, 8, CALLER); /* as functions begin */
	assert_rule(leaf, MOVES, 8, 0);
	small = table_of(code, 80, 0xff);
	assert_rule(small, MOVES, 80, 0);
}

/* Such entries say where a function begins and ends, and forget its pushes: what was read from its code is right. */
static void a_leaf_that_begins_with_a_push_is_told_by_its_code(void **state)
{
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	uint8_t code[SIZE];

	(void)state;
	memset(code, 0x90, SIZE);
	memcpy(code, "\x53\x55", 2); /* push rbx; push rbp */
	memcpy(code + 0x20, "\x5d\x5b\xc3", 3);
	code[SIZE - 1] = 0xc3;
	unwind = table_of(code, 8, 0x23);
	assert_rule(unwind, 0, 8, FNP_RULE_FOLLOWED);
	assert_rule(unwind, 1, 16, FNP_RULE_FOLLOWED);
	assert_rule(unwind, 2, 24, FNP_RULE_FOLLOWED);
	assert_int_equal(fnp_unwind_find(unwind, CODE + 2)->fp_offset, -24);
	assert_rule(unwind, 0x20, 24, FNP_RULE_FOLLOWED);
	assert_rule(unwind, 0x22, 8, FNP_RULE_FOLLOWED);
}

/* ---- walked ---- */

struct memory {
	uint8_t code[SIZE];
	uint64_t stack[64];
};

static int read_memory(void *context, void *to, size_t size, fnp_u64 address)
{
	const struct memory *m = context;
	bool in_code = address >= CODE && address - CODE <= SIZE && size <= SIZE - (address - CODE);

	if (!in_code && (address < STACK || address - STACK > sizeof(m->stack) ||
			 size > sizeof(m->stack) - (address - STACK)))
		return -1;
	memcpy(to, in_code ? m->code + (address - CODE) : (const uint8_t *)m->stack + (address - STACK), size);
	return 0;
}

static void *find_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

static struct fnp_walk walk;

/* Walks from an instruction of the interpreter whose return address is `ra`; how it ended. */
static uint32_t end_of(uint32_t at, uint64_t ra, uint32_t *ret_frames)
{
	struct fnp_code_range range = {.start = CODE, .end = CODE + SIZE, .object = 1};
	struct fnp_space space = {.count = 1, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	struct fnp_table tables[2] = {{0}};
	struct memory memory = {.stack = {[9] = ra}};
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;

	put_code(memory.code);
	memory.code[MOVES + 0x40] = 0x50;
	unwind = table_of(memory.code, 80, CALLER);
	tables[1] = unwind->table;
	struct fnp_walk_arena arena = {.blocks = unwind->lines, .n = (uint32_t)unwind->n_lines};
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", &range, 1, sizeof(range), NULL},
		{"fnp_native_tables", tables, 2, sizeof(tables[0]), NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .arenas = &arena,
				   .n_arenas = 1,
				   .read = read_memory,
				   .context = &memory};
	fnp_walk_env = &env;
	memset(&walk, 0, sizeof(walk));
	walk.regs[FNP_WALK_SLOT_SP] = walk.sp = STACK;
	walk.fp = STACK + 0x80;
	walk.pc = CODE + at;
	fnp_walk_init(&walk, 1);
	(void)fnp_walk_run(&walk);
	fnp_walk_env = NULL;
	*ret_frames = walk.n_words;
	return walk.truncation;
}

static void a_zero_that_a_doubted_rule_finds_is_no_first_frame(void **state)
{
	uint32_t frames;

	(void)state;
	assert_int_equal(end_of(PLAIN, CODE + CALL_END, &frames), FNP_TRUNCATION_NONE);
	assert_int_equal(frames, 2);
	assert_int_equal(end_of(BEHIND, CODE + CALL_END, &frames), FNP_TRUNCATION_NONE);
	assert_int_equal(frames, 2);
	assert_int_equal(end_of(PLAIN, 0, &frames), FNP_TRUNCATION_NO_ROW);
	assert_int_equal(frames, 2); /* with the marker */
	assert_int_equal(end_of(PLAIN, CODE + CALL_END + 4, &frames), FNP_TRUNCATION_NO_ROW);
	assert_int_equal(frames, 2);
	assert_int_equal(end_of(MOVES + 0x20, CODE + CALL_END, &frames), FNP_TRUNCATION_EXPRESSION);
	assert_int_equal(frames, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_moves_the_stack_has_no_rule_and_the_rest_a_doubted_one),
		cmocka_unit_test(what_leaves_the_stack_alone_is_as_it_was_said),
		cmocka_unit_test(a_leaf_that_begins_with_a_push_is_told_by_its_code),
		cmocka_unit_test(a_zero_that_a_doubted_rule_finds_is_no_first_frame),
	};

	return cmocka_run_group_tests_name("unwind_flat", tests, NULL, NULL);
}
