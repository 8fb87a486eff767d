/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules from instructions: of small functions, by hand; and of the C and C++ libraries' own, against what their
 * compiler says in .eh_frame. The decoder's lengths are held against objdump's.
 */
#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "symbolizer/code_rules.h"
#include "symbolizer/dynamic.h"
#include "symbolizer/unwind.h"
#include "symbolizer/x86_code.h"

static enum fnp_code_returns nobody_knows(void *self, uint64_t address)
{
	(void)self;
	(void)address;
	return FNP_CODE_RETURNS_UNKNOWN;
}

struct followed {
	struct fnp_code_rules *rules;
	struct fnp_code_found found;
	int r;
};

static int setup(void **state)
{
	struct followed *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? fnp_code_rules_create(nobody_knows, NULL, &f->rules) : -1;
}

static int teardown(void **state)
{
	struct followed *f = *state;

	fnp_code_rules_destroy(f->rules);
	fnp_vec_deinit(&f->found.calls);
	fnp_vec_deinit(&f->found.pointers);
	free(f);
	return 0;
}

#define FOLLOW(f, sure, ...)                                                                                 \
	do {                                                                                                 \
		static const uint8_t bytes[] = {__VA_ARGS__};                                                \
		struct fnp_code code = {.bytes = bytes, .address = 0x1000, .size = sizeof(bytes)};           \
                                                                                                             \
		(f)->r = fnp_code_rules_follow((f)->rules, &code, sure, &(f)->found);                        \
	} while (0)

/* CFA = register + offset, and where rbp is: its place below the CFA, 0 in its register, 1 lost. */
static void assert_rule(const struct followed *f, size_t offset, uint8_t reg, int cfa, int fp)
{
	struct fnp_rule rule;
	size_t size;

	assert_true(fnp_code_rules_at(f->rules, offset, &rule, &size));
	assert_int_equal(rule.cfa_kind, FNP_CFA_REG);
	assert_int_equal(rule.cfa_reg, reg);
	assert_int_equal(rule.cfa_offset, cfa);
	assert_int_equal(rule.saved & 15, fp == 0   ? FNP_SAVED_SAME
					  : fp == 1 ? FNP_SAVED_EXPRESSION
						    : FNP_SAVED_AT_CFA);
	assert_int_equal(rule.fp_offset, fp == 1 ? 0 : fp);
	assert_int_equal(rule.ra_offset, -8);
}

static void assert_no_rule(const struct followed *f, size_t offset)
{
	struct fnp_rule rule;
	size_t size;

	assert_false(fnp_code_rules_at(f->rules, offset, &rule, &size));
}

static void pushes_and_pops_are_counted(void **state)
{
	struct followed *f = *state;

	/* push rbx; push rbp; sub $24, rsp; xor ebp, ebp; add $24, rsp; pop rbp; pop rbx; ret */
	FOLLOW(f, true, 0x53, 0x55, 0x48, 0x83, 0xec, 24, 0x31, 0xed, 0x48, 0x83, 0xc4, 24, 0x5d, 0x5b, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 0, 7, 8, 0);
	assert_rule(f, 1, 7, 16, 0);
	assert_rule(f, 2, 7, 24, -24);
	assert_rule(f, 6, 7, 48, -24);
	assert_rule(f, 12, 7, 24, -24);
	assert_rule(f, 13, 7, 16, 0);
	assert_rule(f, 14, 7, 8, 0);
	assert_int_equal(fnp_code_rules_returns(f->rules), FNP_CODE_RETURNS);
	assert_int_equal(fnp_code_rules_end(f->rules), 15);
}

static void a_frame_pointer_carries_over_what_is_not_known_of_the_stack(void **state)
{
	struct followed *f = *state;

	/* push rbp; mov rsp, rbp; sub rax, rsp; nop; leave; ret */
	FOLLOW(f, true, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x90, 0xc9, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 4, 7, 16, -16);
	assert_rule(f, 7, 6, 16, -16);
	assert_rule(f, 9, 7, 8, 0);
}

/* CFA = M[register + at] + 16 or 8, and rbp 16 below it, or in its register. */
static void assert_put_by(const struct followed *f, size_t offset, uint8_t reg, int at, int put)
{
	struct fnp_rule rule;
	size_t size;

	assert_true(fnp_code_rules_at(f->rules, offset, &rule, &size));
	assert_int_equal(rule.cfa_kind, FNP_CFA_DEREF_PLUS);
	assert_int_equal(rule.cfa_reg, reg);
	assert_int_equal(rule.cfa_offset, FNP_CFA_OFFSETS(at, put));
	assert_int_equal(rule.ra_offset, -8);
}

static void a_stack_that_is_aligned_by_hand_is_put_by_in_memory(void **state)
{
	struct followed *f = *state;

	/*
	 * As JPEG's assembly does: push rbp; mov rsp, rax; sub $4, rsp; and $-16, rsp; mov rax, (rsp); mov rsp, rbp;
	 * lea -64(rbp), rsp; push rbx; pop rbx; mov rbp, rsp; pop rsp; pop rbp; ret
	 */
	FOLLOW(f, true, 0x55, 0x48, 0x89, 0xe0, 0x48, 0x83, 0xec, 0x04, 0x48, 0x83, 0xe4, 0xf0, 0x48, 0x89,
	       0x04, 0x24, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x65, 0xc0, 0x53, 0x5b, 0x48, 0x89, 0xec, 0x5c, 0x5d,
	       0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 8, 7, 20, -16);
	assert_rule(f, 12, 0, 16, -16);
	assert_put_by(f, 16, 7, 0, 16);
	assert_put_by(f, 19, 6, 0, 16);
	assert_put_by(f, 24, 6, 0, 16);
	assert_put_by(f, 28, 6, 0, 16);
	assert_rule(f, 29, 7, 16, -16);
	assert_rule(f, 30, 7, 8, 0);
	assert_int_equal(fnp_code_rules_returns(f->rules), FNP_CODE_RETURNS);
}

static void a_stack_that_is_aligned_by_hand_is_put_by_in_a_register(void **state)
{
	struct followed *f = *state;

	/* As video codecs' does: mov rsp, r10; and $-64, rsp; sub $64, rsp; 1: dec rcx; jne 1b; mov r10, rsp; ret */
	FOLLOW(f, true, 0x49, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x83, 0xec, 0x40, 0x48, 0xff, 0xc9,
	       0x75, 0xfb, 0x4c, 0x89, 0xd4, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 3, 7, 8, 0);
	assert_rule(f, 7, 10, 8, 0);
	assert_rule(f, 14, 10, 8, 0);
	assert_rule(f, 19, 7, 8, 0);
	/* ...; sub $72, rsp; mov r10, 64(rsp); xor r10d, r10d; push rax; pop rax; mov 64(rsp), rsp; ret */
	FOLLOW(f, true, 0x49, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x83, 0xec, 0x48, 0x4c, 0x89, 0x54,
	       0x24, 0x40, 0x45, 0x31, 0xd2, 0x50, 0x58, 0x48, 0x8b, 0x64, 0x24, 0x40, 0xc3);
	assert_int_equal(f->r, 0);
	assert_put_by(f, 16, 7, 64, 8);
	assert_put_by(f, 20, 7, 72, 8);
	assert_put_by(f, 21, 7, 64, 8);
	assert_rule(f, 26, 7, 8, 0);
}

/* What was put by in a register is not there any more when that was written to, or something else was called. */
static void a_copy_that_is_gone_is_not_believed(void **state)
{
	struct followed *f = *state;

	/* mov rsp, r10; and $-64, rsp; mov rcx, r10; mov r10, rsp; ret */
	FOLLOW(f, true, 0x49, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xc0, 0x49, 0x89, 0xca, 0x4c, 0x89, 0xd4, 0xc3);
	assert_no_rule(f, 10);
	/* mov rsp, r10; and $-64, rsp; call rcx; mov r10, rsp; ret */
	FOLLOW(f, true, 0x49, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xc0, 0xff, 0xd1, 0x4c, 0x89, 0xd4, 0xc3);
	assert_no_rule(f, 9);
	/* mov rsp, r10; and $-64, rsp; mov rcx, rsp; ret */
	FOLLOW(f, true, 0x49, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x89, 0xcc, 0xc3);
	assert_no_rule(f, 10);
}

static void what_returns_with_something_left_on_the_stack_is_no_function(void **state)
{
	struct followed *f = *state;

	FOLLOW(f, true, 0x53, 0xc3);
	assert_int_equal(f->r, -ENOENT);
	assert_no_rule(f, 0);
}

static void ways_that_meet_with_different_stacks_are_not_understood(void **state)
{
	struct followed *f = *state;

	/* test eax, eax; je +1; push rbx; nop; ret */
	FOLLOW(f, true, 0x85, 0xc0, 0x74, 0x01, 0x53, 0x90, 0xc3);
	assert_int_equal(f->r, -ENOENT);
}

static void behind_an_unknown_way_to_set_the_stack_pointer_nothing_is_known(void **state)
{
	struct followed *f = *state;

	FOLLOW(f, true, 0x90, 0x48, 0x8b, 0x67, 0x30, 0xc3); /* mov 48(rdi), rsp */
	assert_int_equal(f->r, 0);
	assert_rule(f, 1, 7, 8, 0);
	assert_no_rule(f, 5);
	FOLLOW(f, true, 0x48, 0x94, 0xc3); /* xchg rax, rsp */
	assert_no_rule(f, 2);
	FOLLOW(f, true, 0x48, 0x29, 0xc4, 0xc3); /* sub rax, rsp, without a frame pointer */
	assert_no_rule(f, 3);
	FOLLOW(f, false, 0x48, 0x29, 0xc4, 0xc3);
	assert_int_equal(f->r, -ENOENT);
}

static void the_second_byte_of_a_register_is_not_the_stack_pointer_s_first(void **state)
{
	struct followed *f = *state;

	/* push rax; or $12, ah; mov ch, bh; sete dh; mov $1, ch; pop rax; ret */
	FOLLOW(f, true, 0x50, 0x80, 0xcc, 0x0c, 0x88, 0xef, 0x0f, 0x94, 0xc6, 0xb5, 1, 0x58, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 4, FNP_REG_SP, 16, 0);
	assert_rule(f, 11, FNP_REG_SP, 16, 0);
	/* the same with REX: or $12, spl */
	FOLLOW(f, true, 0x50, 0x40, 0x80, 0xcc, 0x0c, 0x58, 0xc3);
	assert_no_rule(f, 5);
}

static void behind_a_call_that_may_not_return_only_what_returns_counts(void **state)
{
	struct followed *f = *state;

	/* sub $8, rsp; call far away; add $8, rsp; ret */
	FOLLOW(f, true, 0x48, 0x83, 0xec, 8, 0xe8, 0, 1, 0, 0, 0x48, 0x83, 0xc4, 8, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 9, 7, 16, 0);
	assert_int_equal(f->found.calls.len, 1);
	assert_int_equal(f->found.calls.items[0], 0x1109);
	/* sub $8, rsp; call far away; and another function, which goes round for ever: push rbx; jmp to itself */
	FOLLOW(f, true, 0x48, 0x83, 0xec, 8, 0xe8, 0, 1, 0, 0, 0x53, 0xeb, 0xfe);
	assert_int_equal(f->r, 0);
	assert_rule(f, 4, 7, 16, 0);
	assert_no_rule(f, 9);
	assert_no_rule(f, 10);
}

static void what_a_jump_table_leads_to_is_known_where_it_ends_as_it_must(void **state)
{
	struct followed *f = *state;

	/* push rbx; jmp *rax; pop rbx; ret; pop rcx; pop rcx; ret */
	FOLLOW(f, true, 0x53, 0xff, 0xe0, 0x5b, 0xc3, 0x59, 0x59, 0xc3);
	assert_int_equal(f->r, 0);
	assert_rule(f, 3, 7, 16, 0);
	assert_rule(f, 4, 7, 8, 0);
	assert_no_rule(f, 5);
}

static void what_may_be_no_function_must_return(void **state)
{
	struct followed *f = *state;

	FOLLOW(f, false, 0x31, 0xc0, 0xeb, 0xfe);
	assert_int_equal(f->r, -ENOENT);
	FOLLOW(f, false, 0x31, 0xc0, 0xe9, 0, 1, 0, 0); /* a jump away may go back into another one's middle */
	assert_int_equal(f->r, -ENOENT);
	FOLLOW(f, false, 0x31, 0xc0, 0xc3);
	assert_int_equal(f->r, 0);
}

/* Hand assembly: the way to the return leads into what lies before, which is known. */
static void what_shares_the_end_of_another_is_followed_with_it(void **state)
{
	/* inc eax; ret; nops; the function: dec eax; jmp to the ret */
	static const uint8_t bytes[] = {0xff, 0xc0, 0xc3, 0x90, 0xff, 0xc8, 0xeb, 0xfa};
	/* call what nobody knows; jmp to the ret */
	static const uint8_t calls[] = {0xff, 0xc0, 0xc3, 0xe8, 0, 1, 0, 0, 0xeb, 0xf8};
	/* pop rax; ret: the other one's stack is deeper */
	static const uint8_t deeper[] = {0x58, 0xc3, 0x90, 0x90, 0xff, 0xc8, 0xeb, 0xf8};
	struct fnp_code code = {.bytes = bytes, .address = 0x1000, .size = sizeof(bytes), .entry = 4};
	struct followed *f = *state;
	struct fnp_rule rule;
	size_t size;

	assert_int_equal(fnp_code_rules_follow(f->rules, &code, false, &f->found), 0);
	assert_true(fnp_code_rules_at(f->rules, 4, &rule, &size));
	assert_int_equal(rule.cfa_offset, 8);
	code.bytes = deeper;
	assert_int_equal(fnp_code_rules_follow(f->rules, &code, false, &f->found), -ENOENT);
	/* What is behind a call that may not return says nothing of what is only taken for a function. */
	code = (struct fnp_code){.bytes = calls, .address = 0x1000, .size = sizeof(calls), .entry = 3};
	assert_int_equal(fnp_code_rules_follow(f->rules, &code, false, &f->found), -ENOENT);
	code.entry = sizeof(calls);
	assert_int_equal(fnp_code_rules_follow(f->rules, &code, true, &f->found), -ENOENT);
}

static void the_end_of_another_is_no_function(void **state)
{
	struct followed *f = *state;

	/* call what nobody knows, and behind it, at the stack of a function's begin, another one: ret */
	FOLLOW(f, false, 0xe8, 0, 1, 0, 0, 0x90, 0x90, 0xc3);
	assert_int_equal(f->r, -ENOENT);
	/* With the stack where compilers have it, it is a function that calls. */
	FOLLOW(f, false, 0x50, 0xe8, 0, 1, 0, 0, 0x59, 0xc3);
	assert_int_equal(f->r, 0);
}

static void the_first_frame_of_a_thread_is_known_by_its_zero_frame_pointer(void **state)
{
	struct fnp_rule rule;
	struct followed *f = *state;
	size_t size;

	/* xor ebp, ebp; pop rdi; call *r9; hlt */
	FOLLOW(f, true, 0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1, 0xf4);
	assert_int_equal(f->r, 0);
	assert_true(fnp_code_rules_at(f->rules, 3, &rule, &size));
	assert_int_equal(rule.saved >> 4, FNP_SAVED_UNDEFINED);
}

/* ---- against the compiler's own words ---- */

struct counts {
	size_t functions, understood, instructions, different, unsaid;
};

static bool same_rule(const struct fnp_rule *mine, const struct fnp_rule *theirs)
{
	if (mine->saved >> 4 != FNP_SAVED_AT_CFA || theirs->cfa_kind != FNP_CFA_REG)
		return theirs->cfa_kind != FNP_CFA_REG;
	if (mine->cfa_reg == theirs->cfa_reg && mine->cfa_offset != theirs->cfa_offset)
		return false;
	/* A lost frame pointer is less than they know, and never wrong. */
	if ((mine->saved & 15) == FNP_SAVED_EXPRESSION || (theirs->saved & 15) == FNP_SAVED_EXPRESSION)
		return true;
	if ((theirs->saved & 15) == FNP_SAVED_UNDEFINED)
		return true;
	/* They may say where a copy is while the register still has it, or go on saying so. */
	return (mine->saved & 15) != (theirs->saved & 15) || mine->fp_offset == theirs->fp_offset;
}

static void compare_function(const struct fnp_unwind *unwind, const struct fnp_code *code,
			     const struct fnp_code_rules *rules, struct counts *counts)
{
	for (size_t offset = 0, size; offset < code->size; offset += size) {
		struct fnp_rule mine;
		const struct fnp_rule *theirs;

		if (!fnp_code_rules_at(rules, offset, &mine, &size))
			continue;
		theirs = fnp_unwind_find(unwind, code->address + offset);
		if (!theirs) {
			counts->unsaid++;
			continue;
		}
		counts->instructions++;
		if (same_rule(&mine, theirs))
			continue;
		if (counts->different++ < 5)
			print_message("%" PRIx64
				      ": reg %d + %d, rbp %d at %d; they: reg %d + %d, rbp %d at %d\n",
				      code->address + offset, mine.cfa_reg, mine.cfa_offset, mine.saved & 15,
				      mine.fp_offset, theirs->cfa_reg, theirs->cfa_offset, theirs->saved & 15,
				      theirs->fp_offset);
	}
}

static void compare_object(struct followed *f, const char *path, unsigned int understood_percent)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	struct fnp_symbol_source source;
	struct counts counts = {0};

	if (fnp_object_open_path(path, &object) < 0 || fnp_object_header(object)->e_machine != EM_X86_64)
		skip();
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	assert_int_equal(fnp_symbol_source_dynsym(object, &source), 0);
	for (size_t i = 0; i < source.n_symbols; i++) {
		struct fnp_code code;
		Elf64_Sym symbol;

		memcpy(&symbol, source.symbols + i * sizeof(symbol), sizeof(symbol));
		code = (struct fnp_code){.address = symbol.st_value, .size = symbol.st_size};
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
		    code.size == 0 || fnp_object_read_address(object, code.address, code.size, &code.bytes) < 0)
			continue;
		counts.functions++;
		if (fnp_code_rules_follow(f->rules, &code, true, &f->found) < 0)
			continue;
		counts.understood++;
		compare_function(unwind, &code, f->rules, &counts);
	}
	print_message("%s: %zu functions, %zu understood, %zu instructions, %zu different\n", path,
		      counts.functions, counts.understood, counts.instructions, counts.different);
	assert_true(counts.understood * 100 >= counts.functions * understood_percent);
	assert_int_equal(counts.different, 0);
}

static void the_c_library_s_functions_have_the_rules_that_its_compiler_wrote(void **state)
{
	compare_object(*state, "/lib/x86_64-linux-gnu/libc.so.6", 85);
}

static void the_cxx_library_s_functions_have_the_rules_that_its_compiler_wrote(void **state)
{
	compare_object(*state, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 85);
}

static void instructions_are_as_long_as_objdump_says(void **state)
{
	FILE *pipe = popen("objdump -dw --no-addresses /lib/x86_64-linux-gnu/libc.so.6 2>/dev/null", "r");
	size_t n = 0, different = 0;
	char line[1024];

	(void)state;
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		uint8_t code[16];
		size_t size = 0;
		struct fnp_x86 x;

		if (line[0] != '\t' || strstr(line, "(bad)") || strstr(line, "..."))
			continue;
		for (char *p = line + 1;
		     size < sizeof(code) && isxdigit(p[0]) && isxdigit(p[1]) && p[2] == ' '; p += 3)
			code[size++] = (uint8_t)strtoul(p, NULL, 16);
		n++;
		if (fnp_x86_decode(code, size, &x) == 0 && x.size == size)
			continue;
		/* fwait and prefixes that stand alone are shown as one with what follows. */
		if (code[0] == 0x9b)
			continue;
		if (different++ < 10)
			print_message("%s", line);
	}
	pclose(pipe);
	if (n == 0)
		skip(); /* no objdump, or no such library */
	print_message("%zu instructions\n", n);
	assert_true(n > 100000);
	assert_int_equal(different, 0);
}

static bool changes_control(const struct fnp_x86 *x)
{
	static const uint8_t opcodes[] = {0xc2, 0xc3, 0xe8, 0xe9, 0xeb, 0xf4, 0xff};

	return x->map == 0 && !x->vex && memchr(opcodes, x->opcode, sizeof(opcodes));
}

/* All pairs of first bytes, with others behind them. */
static void quick_size_of_an_instruction_is_its_size(void **state)
{
	uint64_t chance = 1;
	size_t plain = 0;

	(void)state;
	for (uint32_t i = 0; i < 65536 * 8; i++) {
		uint8_t code[64];
		struct fnp_x86 x;
		size_t size;

		for (size_t k = 0; k < sizeof(code); k++) {
			chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
			code[k] = (uint8_t)(chance >> 56);
		}
		code[0] = (uint8_t)i;
		code[1] = (uint8_t)(i >> 8);
		size = fnp_x86_plain_size(code, sizeof(code));
		if (size == 0)
			continue;
		plain++;
		assert_int_equal(fnp_x86_decode(code, sizeof(code), &x), 0);
		assert_int_equal(size, x.size);
		assert_false(changes_control(&x));
		assert_int_equal(fnp_x86_plain_size(code, size), 0); /* near the end somebody else looks */
	}
	assert_true(plain > 65536);
}

static void what_is_refused_by_itself_says_how_much_told_that(void **state)
{
	struct followed *f = *state;
	size_t looked_at = 0;

	/* push rax; ret: with something left on the stack. */
	FOLLOW(f, false, 0x50, 0xc3, 0x90, 0x90);
	assert_int_equal(f->r, -ENOENT);
	assert_true(fnp_code_rules_refused(f->rules, &looked_at));
	assert_int_equal(looked_at, 1 + FNP_X86_SIZE_MAX);

	/* jne +2; push rax; ret; nop; ret: both ways count, and the second one is looked at first. */
	FOLLOW(f, false, 0x75, 0x02, 0x50, 0xc3, 0x90, 0xc3);
	assert_int_equal(f->r, -ENOENT);
	assert_true(fnp_code_rules_refused(f->rules, &looked_at));
	assert_int_equal(looked_at, 4 + FNP_X86_SIZE_MAX);
}

static void what_leaves_the_code_is_refused_by_what_lies_around(void **state)
{
	struct followed *f = *state;
	size_t looked_at = 0;

	/* jne -16; push rax; ret */
	FOLLOW(f, false, 0x75, 0xf0, 0x50, 0xc3);
	assert_int_equal(f->r, -ENOENT);
	assert_true(fnp_code_rules_refused(f->rules, &looked_at));
	assert_true(looked_at == SIZE_MAX);
	/* jne +16; push rax; ret */
	FOLLOW(f, false, 0x75, 0x10, 0x50, 0xc3);
	assert_true(fnp_code_rules_refused(f->rules, &looked_at));
	assert_true(looked_at == SIZE_MAX);
}

static void what_asks_or_is_a_function_is_not_refused(void **state)
{
	struct followed *f = *state;
	size_t looked_at = 0;

	/* call +16; push rax; ret: were the callee known not to return, nothing would be wrong. */
	FOLLOW(f, false, 0xe8, 0x10, 0, 0, 0, 0x50, 0xc3);
	assert_false(fnp_code_rules_refused(f->rules, &looked_at));
	FOLLOW(f, false, 0x50, 0x58, 0xc3);
	assert_int_equal(f->r, 0);
	assert_false(fnp_code_rules_refused(f->rules, &looked_at));
	assert_int_equal(looked_at, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pushes_and_pops_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_refused_by_itself_says_how_much_told_that, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_leaves_the_code_is_refused_by_what_lies_around, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_asks_or_is_a_function_is_not_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_pointer_carries_over_what_is_not_known_of_the_stack,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_stack_that_is_aligned_by_hand_is_put_by_in_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stack_that_is_aligned_by_hand_is_put_by_in_a_register,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_that_is_gone_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_returns_with_something_left_on_the_stack_is_no_function,
						setup, teardown),
		cmocka_unit_test_setup_teardown(ways_that_meet_with_different_stacks_are_not_understood,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			behind_an_unknown_way_to_set_the_stack_pointer_nothing_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(the_second_byte_of_a_register_is_not_the_stack_pointer_s_first,
						setup, teardown),
		cmocka_unit_test_setup_teardown(behind_a_call_that_may_not_return_only_what_returns_counts,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_jump_table_leads_to_is_known_where_it_ends_as_it_must,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_be_no_function_must_return, setup, teardown),
		cmocka_unit_test_setup_teardown(what_shares_the_end_of_another_is_followed_with_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_end_of_another_is_no_function, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_frame_of_a_thread_is_known_by_its_zero_frame_pointer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_c_library_s_functions_have_the_rules_that_its_compiler_wrote, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_cxx_library_s_functions_have_the_rules_that_its_compiler_wrote, setup, teardown),
		cmocka_unit_test(instructions_are_as_long_as_objdump_says),
		cmocka_unit_test(quick_size_of_an_instruction_is_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
