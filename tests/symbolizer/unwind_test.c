/* SPDX-License-Identifier: Apache-2.0 */
#include <dwarf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "symbolizer/unwind.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_rows.h"

#define SECTION 0x10000
#define X86_64                                                                                               \
	{                                                                                                    \
		.sp = 7, .fp = 6, .ra = 16                                                                   \
	}

/* ---- a section built entry by entry ---- */

static void u32(struct fnp_buffer *b, uint32_t value)
{
	fnp_buffer_append(b, &value, sizeof(value));
}

/* `size` bytes of instructions behind `head`, padded, with the length before them. */
static size_t entry(struct fnp_buffer *b, uint32_t id, const struct fnp_buffer *head, const uint8_t *code,
		    size_t size)
{
	size_t at = b->len, length = 4 + head->len + size, padded = (length + 7) / 8 * 8 + 4;

	u32(b, (uint32_t)padded);
	u32(b, id);
	fnp_buffer_append(b, head->data, head->len);
	fnp_buffer_append(b, code, size);
	while (b->len < at + 4 + padded)
		fnp_buffer_byte(b, DW_CFA_nop);
	return at;
}

/* A CIE as gcc writes it: rsp+8, return address at c-8. */
static size_t cie(struct fnp_buffer *b, const char *augmentation)
{
	static const uint8_t code[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};
	fnp_autobuffer struct fnp_buffer head = {0};

	fnp_buffer_byte(&head, 1);
	fnp_buffer_append(&head, augmentation, strlen(augmentation) + 1);
	fnp_buffer_byte(&head, 1);    /* code alignment */
	fnp_buffer_byte(&head, 0x78); /* data alignment -8 */
	fnp_buffer_byte(&head, 16);
	fnp_buffer_byte(&head, 1); /* of the augmentation data */
	fnp_buffer_byte(&head, DW_EH_PE_udata4);
	return entry(b, 0, &head, code, sizeof(code));
}

static void fde(struct fnp_buffer *b, size_t cie_at, uint32_t start, uint32_t size, const uint8_t *code,
		size_t code_size)
{
	fnp_autobuffer struct fnp_buffer head = {0};

	u32(&head, start);
	u32(&head, size);
	fnp_buffer_byte(&head, 0);
	entry(b, (uint32_t)(b->len + 4 - cie_at), &head, code, code_size);
}

/* ---- what came of it ---- */

struct seen {
	struct {
		uint64_t address;
		struct fnp_rule rule;
	} rows[64];
	size_t n;
};

static int take(void *self, uint64_t address, const struct fnp_rule *rule)
{
	struct seen *seen = self;

	assert_true(seen->n < FNP_ARRAY_SIZE(seen->rows));
	seen->rows[seen->n].address = address;
	seen->rows[seen->n++].rule = *rule;
	return 0;
}

/* Reads a section and runs its only entry. */
static void run(const struct fnp_buffer *b, struct seen *seen)
{
	struct fnp_cfi cfi = {.machine = X86_64};
	struct fnp_cfi_section section = {
		.bytes = fnp_cursor_of(b->data, b->len), .address = SECTION, .eh = true};

	*seen = (struct seen){0};
	assert_int_equal(fnp_cfi_read(&cfi, &section), 0);
	assert_int_equal(cfi.fdes.len, 1);
	assert_int_equal(fnp_cfi_run(&cfi, &cfi.fdes.items[0], cfi.fdes.items[0].end, take, seen), 0);
	fnp_cfi_deinit(&cfi);
}

static void run_code(const uint8_t *code, size_t size, struct seen *seen)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t at = cie(&b, "zR");

	fde(&b, at, 0x1000, 0x100, code, size);
	run(&b, seen);
}

#define RUN(seen, ...)                                                                                       \
	do {                                                                                                 \
		const uint8_t code_[] = {__VA_ARGS__};                                                       \
		run_code(code_, sizeof(code_), seen);                                                        \
	} while (0)

static void a_pushed_frame_pointer_makes_three_rows(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
	    DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.rows[0].address, 0x1000);
	assert_int_equal(seen.rows[0].rule.cfa_offset, 8);
	assert_int_equal(seen.rows[0].rule.saved, FNP_SAVED_SAME | FNP_SAVED_AT_CFA << 4);
	assert_int_equal(seen.rows[1].address, 0x1001);
	assert_int_equal(seen.rows[1].rule.fp_offset, -16);
	assert_int_equal(seen.rows[2].address, 0x1004);
	assert_int_equal(seen.rows[2].rule.cfa_reg, 6);
	assert_int_equal(seen.rows[2].rule.cfa_offset, 16);
	assert_int_equal(seen.rows[2].rule.ra_offset, -8);
}

static void an_entry_without_instructions_has_its_cies_row(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_nop);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.rows[0].rule.cfa_offset, 8);
}

static void restored_state_has_its_cfa_back(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 32, DW_CFA_remember_state,
	    DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8, DW_CFA_advance_loc | 1, DW_CFA_restore_state);
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.rows[3].rule.cfa_offset, 32);
}

static void a_restore_without_remember_ends_in_a_row_that_cannot_be_held(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_advance_loc | 4, DW_CFA_restore_state);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.rows[1].rule.cfa_kind, FNP_CFA_EXPRESSION);
}

static void offsets_beyond_16_bits_are_held(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 0xf0, 0xa2, 0x04); /* 70000 */
	assert_int_equal(seen.rows[1].rule.cfa_offset, 70000);
}

static void offsets_beyond_32_bits_are_said_to_be_an_expression(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
	assert_int_equal(seen.rows[1].rule.cfa_kind, FNP_CFA_EXPRESSION);
}

static void the_lazy_plt_is_a_rule(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and,
	    DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_PLT);
	assert_int_equal(seen.rows[0].rule.cfa_reg, 11);
	assert_int_equal(seen.rows[0].rule.cfa_offset, 8);
}

static void a_realigned_stack_is_a_rule(void **state)
{
	struct seen seen;

	(void)state;
	/* CFA at [rbp - 8], rbp at [rbp + 0]. */
	RUN(&seen, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, DW_CFA_expression, 6, 2,
	    DW_OP_breg6, 0);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_DEREF);
	assert_int_equal(seen.rows[0].rule.cfa_offset, -8);
	assert_int_equal(seen.rows[0].rule.saved & 15, FNP_SAVED_AT_FP);
}

static void a_stack_pointer_that_was_put_by_is_a_rule(void **state)
{
	struct seen seen;

	(void)state;
	/* *(rsp + 152) + 8 */
	RUN(&seen, DW_CFA_def_cfa_expression, 6, DW_OP_breg7, 0x98, 0x01, DW_OP_deref, DW_OP_plus_uconst, 8);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_DEREF_PLUS);
	assert_int_equal(seen.rows[0].rule.cfa_reg, 7);
	assert_int_equal(FNP_CFA_OFFSET_A(seen.rows[0].rule.cfa_offset), 152);
	assert_int_equal(FNP_CFA_OFFSET_B(seen.rows[0].rule.cfa_offset), 8);
	/* *(rbp - 8) + 56 */
	RUN(&seen, DW_CFA_def_cfa_expression, 5, DW_OP_breg6, 0x78, DW_OP_deref, DW_OP_plus_uconst, 56);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_DEREF_PLUS);
	assert_int_equal(seen.rows[0].rule.cfa_reg, 6);
	assert_int_equal(FNP_CFA_OFFSET_A(seen.rows[0].rule.cfa_offset), -8);
	assert_int_equal(FNP_CFA_OFFSET_B(seen.rows[0].rule.cfa_offset), 56);
	/* *(rsp + 8 + r9 * 8) + 8 */
	RUN(&seen, DW_CFA_def_cfa_expression, 10, DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_lit8, DW_OP_mul,
	    DW_OP_plus, DW_OP_deref, DW_OP_plus_uconst, 8);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_DEREF_INDEX);
	assert_int_equal(seen.rows[0].rule.cfa_reg, 9);
	assert_int_equal(FNP_CFA_OFFSET_A(seen.rows[0].rule.cfa_offset), 8);
	assert_int_equal(FNP_CFA_OFFSET_B(seen.rows[0].rule.cfa_offset), 8);
	/* Offsets of more than 16 bits. */
	RUN(&seen, DW_CFA_def_cfa_expression, 7, DW_OP_breg7, 0x80, 0x80, 0x02, DW_OP_deref,
	    DW_OP_plus_uconst, 8);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_EXPRESSION);
	RUN(&seen, DW_CFA_def_cfa_expression, 7, DW_OP_breg7, 8, DW_OP_deref, DW_OP_plus_uconst, 0x80, 0x80,
	    0x02);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_EXPRESSION);
}

static void any_other_expression_is_said_to_be_one(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_def_cfa_expression, 3, DW_OP_breg7, 8, DW_OP_neg);
	assert_int_equal(seen.rows[0].rule.cfa_kind, FNP_CFA_EXPRESSION);
}

static void an_odd_stack_pointer_is_marked(void **state)
{
	struct seen seen;

	(void)state;
	/* The return address stands at the CFA, which is not where the stack pointer is. */
	RUN(&seen, DW_CFA_def_cfa, 5, 0, DW_CFA_register, 7, 8, DW_CFA_offset | 16, 1);
	assert_true(seen.rows[0].rule.flags & FNP_RULE_ODD_SP);
	RUN(&seen, DW_CFA_def_cfa, 5, 0, DW_CFA_expression, 7, 2, DW_OP_breg5, 48, DW_CFA_register, 16, 1);
	assert_true(seen.rows[0].rule.flags & FNP_RULE_ODD_SP);
}

static void a_frame_that_is_all_in_registers_stands_on_its_stack_pointer(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_remember_state, DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 5, 0, DW_CFA_register, 7, 8,
	    DW_CFA_register, 6, 9, DW_CFA_register, 16, 1, DW_CFA_advance_loc | 4, DW_CFA_restore_state);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.rows[1].rule.cfa_kind, FNP_CFA_REG);
	assert_int_equal(seen.rows[1].rule.cfa_reg, 8);
	assert_int_equal(seen.rows[1].rule.cfa_offset, 0);
	assert_int_equal(seen.rows[1].rule.saved, FNP_SAVED_REGISTER | FNP_SAVED_REGISTER << 4);
	assert_int_equal(seen.rows[1].rule.fp_offset, 9);
	assert_int_equal(seen.rows[1].rule.ra_offset, 1);
	assert_int_equal(seen.rows[1].rule.flags, FNP_RULE_OTHER_STACK);
	assert_int_equal(seen.rows[2].rule.cfa_reg, 7);
	assert_int_equal(seen.rows[2].rule.flags, 0);
}

static void an_undefined_return_address_ends_the_stack(void **state)
{
	struct seen seen;

	(void)state;
	RUN(&seen, DW_CFA_undefined, 16);
	assert_int_equal(seen.rows[0].rule.saved >> 4, FNP_SAVED_UNDEFINED);
}

static void a_signal_frame_is_flagged(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t at = cie(&b, "zRS");
	struct seen seen;

	(void)state;
	fde(&b, at, 0x1000, 0x10, NULL, 0);
	run(&b, &seen);
	assert_true(seen.rows[0].rule.flags & FNP_RULE_SIGNAL);
}

static void truncated_sections_give_whole_entries_or_none(void **state)
{
	static const uint8_t code[] = {DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16};
	fnp_autobuffer struct fnp_buffer b = {0};
	size_t at = cie(&b, "zR"), whole;

	(void)state;
	fde(&b, at, 0x1000, 0x10, code, sizeof(code));
	whole = b.len;
	for (size_t size = 0; size <= whole; size++) {
		struct fnp_cfi cfi = {.machine = X86_64};
		uint8_t *copy = malloc(size ? size : 1); /* so that a byte too much is seen */
		struct fnp_cfi_section section = {
			.bytes = fnp_cursor_of(copy, size), .address = SECTION, .eh = true};

		assert_non_null(copy);
		memcpy(copy, b.data, size);
		assert_int_equal(fnp_cfi_read(&cfi, &section), 0);
		assert_int_equal(cfi.fdes.len, size == whole);
		fnp_cfi_deinit(&cfi);
		free(copy);
	}
}

static void an_entry_of_an_unknown_augmentation_is_skipped_and_counted(void **state)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	struct fnp_cfi cfi = {.machine = X86_64};
	struct fnp_cfi_section section = {.address = SECTION, .eh = true};
	size_t at = cie(&b, "eh");

	(void)state;
	fde(&b, at, 0x1000, 0x10, NULL, 0);
	section.bytes = fnp_cursor_of(b.data, b.len);
	assert_int_equal(fnp_cfi_read(&cfi, &section), 0);
	assert_int_equal(cfi.fdes.len, 0);
	assert_int_equal(cfi.skipped, 1);
	fnp_cfi_deinit(&cfi);
}

static void arm64_keeps_the_return_address_in_its_register(void **state)
{
	struct fnp_cfi cfi = {.machine = {.sp = 31, .fp = 29, .ra = 30, .ra_in_register = true}};
	static const uint8_t initial[] = {DW_CFA_def_cfa, 31, 0};
	/* stp x29, x30, [sp, #-32]! */
	static const uint8_t code[] = {DW_CFA_advance_loc | 1,
				       DW_CFA_def_cfa_offset,
				       32,
				       DW_CFA_offset | 29,
				       4,
				       DW_CFA_offset | 30,
				       3};
	fnp_autobuffer struct fnp_buffer b = {0}, head = {0};
	struct fnp_cfi_section section = {.address = SECTION, .eh = true};
	struct seen seen = {0};
	size_t at;

	(void)state;
	fnp_buffer_append(&head, "\1zR\0\4\x78\x1e\1\3", 9); /* version, "zR", factors, x30, udata4 */
	at = entry(&b, 0, &head, initial, sizeof(initial));
	fde(&b, at, 0x1000, 0x10, code, sizeof(code));
	section.bytes = fnp_cursor_of(b.data, b.len);
	assert_int_equal(fnp_cfi_read(&cfi, &section), 0);
	assert_int_equal(cfi.fdes.len, 1);
	assert_int_equal(fnp_cfi_run(&cfi, &cfi.fdes.items[0], 0x1010, take, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.rows[0].rule.cfa_reg, 31);
	assert_int_equal(seen.rows[0].rule.saved >> 4, FNP_SAVED_SAME);
	assert_int_equal(seen.rows[1].address, 0x1004);
	assert_int_equal(seen.rows[1].rule.saved, FNP_SAVED_AT_CFA | FNP_SAVED_AT_CFA << 4);
	assert_int_equal(seen.rows[1].rule.fp_offset, -32);
	assert_int_equal(seen.rows[1].rule.ra_offset, -24);
	fnp_cfi_deinit(&cfi);
}

/* ---- packing ---- */

static struct fnp_rule rule_number(uint32_t n)
{
	return (struct fnp_rule){.cfa_kind = FNP_CFA_REG,
				 .cfa_reg = 7,
				 .cfa_offset = (int)n * 8 + 8,
				 .ra_offset = -8,
				 .saved = FNP_SAVED_AT_CFA << 4};
}

/* n rows with `rules` different rules at irregular distances; each is found at its first and last byte. */
static void pack_and_find(uint32_t n, uint32_t rules, uint32_t distance)
{
	struct fnp_unwind unwind = {0};
	struct fnp_rows rows;
	uint64_t *starts = calloc(n + 1, sizeof(*starts)), at = 0x401000;
	uint32_t random = 12345;

	assert_non_null(starts);
	assert_int_equal(fnp_rows_init(&rows, 0x400000), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct fnp_rule rule = rule_number(i % rules);

		starts[i] = at;
		assert_int_equal(fnp_rows_add(&rows, at, &rule), 0);
		random = random * 1664525 + 1013904223;
		at += 1 + random % distance;
	}
	starts[n] = at;
	assert_int_equal(fnp_rows_end(&rows, at), 0);
	assert_int_equal(fnp_rows_pack(&rows, &unwind.table, &unwind.lines, &unwind.n_lines), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct fnp_rule want = rule_number(i % rules);
		const struct fnp_rule *first = fnp_unwind_find(&unwind, starts[i]);
		const struct fnp_rule *last = fnp_unwind_find(&unwind, starts[i + 1] - 1);

		assert_non_null(first);
		assert_memory_equal(first, &want, sizeof(want));
		assert_memory_equal(last, &want, sizeof(want));
	}
	assert_true(!fnp_unwind_find(&unwind, 0x3fffff));
	assert_int_equal(fnp_unwind_find(&unwind, 0x400fff)->cfa_kind, FNP_CFA_NONE);
	free(unwind.lines);
	fnp_rows_deinit(&rows);
	free(starts);
}

static void rows_are_found_at_their_first_and_last_byte(void **state)
{
	(void)state;
	pack_and_find(3, 3, 50);
	pack_and_find(5000, 40, 30);
	pack_and_find(3000, 3, 1); /* a row a byte */
}

static void many_rules_need_the_wide_form(void **state)
{
	(void)state;
	pack_and_find(5000, 4000, 100);
}

static void sparse_rows_are_found(void **state)
{
	(void)state;
	pack_and_find(400, 7, 1000000);
}

static void rules_past_the_limit_cost_their_rows_alone(void **state)
{
	struct fnp_unwind unwind = {0};
	struct fnp_rows rows;
	const uint32_t n = 70000;

	(void)state;
	assert_int_equal(fnp_rows_init(&rows, 0), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct fnp_rule rule = rule_number(i);
		assert_int_equal(fnp_rows_add(&rows, i * 16, &rule), 0);
	}
	assert_int_equal(fnp_rows_end(&rows, n * 16), 0);
	assert_int_equal(fnp_rows_pack(&rows, &unwind.table, &unwind.lines, &unwind.n_lines), 0);
	assert_true(rows.degraded > 4000);
	assert_int_equal(fnp_unwind_find(&unwind, 16 * 100)->cfa_offset, 808);
	assert_int_equal(fnp_unwind_find(&unwind, 16 * (n - 1))->cfa_kind, FNP_CFA_EXPRESSION);
	free(unwind.lines);
	fnp_rows_deinit(&rows);
}

static void rows_that_go_back_are_left_out(void **state)
{
	struct fnp_rule one = {.cfa_kind = FNP_CFA_REG, .cfa_offset = 8}, two = one;
	struct fnp_rows rows = {0};

	(void)state;
	two.cfa_offset = 16;
	assert_int_equal(fnp_rows_init(&rows, 0x1000), 0);
	assert_int_equal(fnp_rows_add(&rows, 0x1010, &one), 0);
	assert_int_equal(fnp_rows_add(&rows, 0x1004, &two), 0);
	assert_int_equal(rows.rows.len, 1);
	assert_null(fnp_rows_rule_at(&rows, 0x1004));
	assert_memory_equal(fnp_rows_rule_at(&rows, 0x1010), &one, sizeof(one));
	fnp_rows_deinit(&rows);
}

static void an_overlay_ends_where_it_says_and_what_was_there_goes_on(void **state)
{
	struct fnp_rule one = rule_number(1), two = rule_number(2), over = rule_number(9);
	struct fnp_rows rows;

	(void)state;
	assert_int_equal(fnp_rows_init(&rows, 0x1000), 0);
	assert_int_equal(fnp_rows_add(&rows, 0x1000, &one), 0);
	assert_int_equal(fnp_rows_add(&rows, 0x1010, &two), 0);
	assert_int_equal(fnp_rows_overlay(&rows, 0x1008, 0x1018, &over), 0);
	assert_memory_equal(fnp_rows_rule_at(&rows, 0x1007), &one, sizeof(one));
	assert_memory_equal(fnp_rows_rule_at(&rows, 0x1008), &over, sizeof(one));
	assert_memory_equal(fnp_rows_rule_at(&rows, 0x1017), &over, sizeof(one));
	assert_memory_equal(fnp_rows_rule_at(&rows, 0x1018), &two, sizeof(one));
	assert_null(fnp_rows_rule_at(&rows, 0xfff));
	fnp_rows_deinit(&rows);
}

/* Rows of a number's rule, each where the one before ends. */
static void add_rows(struct fnp_rows *rows, const uint32_t (*all)[2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct fnp_rule rule = {.cfa_kind = all[i][1] ? FNP_CFA_REG : FNP_CFA_NONE,
					.cfa_offset = (int)all[i][1]};

		assert_int_equal(fnp_rows_add(rows, 0x1000 + all[i][0], &rule), 0);
	}
}

static void what_fills_gaps_stands_between_rows_that_stay(void **state)
{
	/* Begins before the first row, in a gap, up to a row's first byte, over rows, and behind the last. */
	static const uint32_t own[][2] = {{16, 1}, {32, 2},  {48, 0},  {80, 3},
					  {96, 4}, {112, 0}, {144, 5}, {160, 0}};
	static const uint32_t other[][2] = {{0, 7},   {8, 0},	{56, 8},  {80, 0},  {84, 9},
					    {100, 0}, {120, 7}, {130, 8}, {150, 9}, {200, 0}};
	struct fnp_rows rows, more;

	(void)state;
	assert_int_equal(fnp_rows_init(&rows, 0x1000), 0);
	assert_int_equal(fnp_rows_init(&more, 0x1000), 0);
	add_rows(&rows, own, FNP_ARRAY_SIZE(own));
	add_rows(&more, other, FNP_ARRAY_SIZE(other));
	assert_int_equal(fnp_rows_fill(&rows, &more), 0);
	for (uint32_t at = 0; at < 220; at++) {
		uint32_t here = 0, there = 0;
		const struct fnp_rule *rule = fnp_rows_rule_at(&rows, 0x1000 + at);

		for (size_t i = 0; i < FNP_ARRAY_SIZE(own); i++)
			here = at >= own[i][0] ? own[i][1] : here;
		for (size_t i = 0; i < FNP_ARRAY_SIZE(other); i++)
			there = at >= other[i][0] ? other[i][1] : there;
		assert_int_equal(rule ? (uint32_t)rule->cfa_offset : 0, here ? here : there);
	}
	for (size_t i = 1; i < rows.rows.len; i++)
		assert_true(rows.rows.items[i - 1].offset < rows.rows.items[i].offset);
	fnp_rows_deinit(&rows);
	fnp_rows_deinit(&more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pushed_frame_pointer_makes_three_rows),
		cmocka_unit_test(an_entry_without_instructions_has_its_cies_row),
		cmocka_unit_test(restored_state_has_its_cfa_back),
		cmocka_unit_test(a_restore_without_remember_ends_in_a_row_that_cannot_be_held),
		cmocka_unit_test(offsets_beyond_16_bits_are_held),
		cmocka_unit_test(offsets_beyond_32_bits_are_said_to_be_an_expression),
		cmocka_unit_test(the_lazy_plt_is_a_rule),
		cmocka_unit_test(a_realigned_stack_is_a_rule),
		cmocka_unit_test(a_stack_pointer_that_was_put_by_is_a_rule),
		cmocka_unit_test(any_other_expression_is_said_to_be_one),
		cmocka_unit_test(an_odd_stack_pointer_is_marked),
		cmocka_unit_test(a_frame_that_is_all_in_registers_stands_on_its_stack_pointer),
		cmocka_unit_test(an_undefined_return_address_ends_the_stack),
		cmocka_unit_test(a_signal_frame_is_flagged),
		cmocka_unit_test(truncated_sections_give_whole_entries_or_none),
		cmocka_unit_test(an_entry_of_an_unknown_augmentation_is_skipped_and_counted),
		cmocka_unit_test(arm64_keeps_the_return_address_in_its_register),
		cmocka_unit_test(rows_are_found_at_their_first_and_last_byte),
		cmocka_unit_test(many_rules_need_the_wide_form),
		cmocka_unit_test(sparse_rows_are_found),
		cmocka_unit_test(rules_past_the_limit_cost_their_rows_alone),
		cmocka_unit_test(rows_that_go_back_are_left_out),
		cmocka_unit_test(an_overlay_ends_where_it_says_and_what_was_there_goes_on),
		cmocka_unit_test(what_fills_gaps_stands_between_rows_that_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
