/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled rows against readelf --debug-dump=frames-interp, byte of code for byte of code, over real libraries.
 *
 * A byte agrees when CFA, rbp and ra print the same. Known reasons to differ, counted apart and never wrong:
 *   expression  readelf says `exp`; we hold a plain rule for the shapes that we know, or say `exp`, too
 *   registers   where the caller's stack pointer is in a register (longjmp), ours takes that for the CFA
 *   handed over libgcc's way to a landing pad (unwind_handover.h): what its entry says was true of a frame that is over
 *   overlap     two entries claim the byte; readelf prints both, a table can hold one
 * What is left may be 0.01 % of the bytes at most; so may be what we say `exp` to and readelf does not.
 */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbolizer/unwind.h"

struct counts {
	uint64_t bytes, rows, different, not_expressible, expression, handed_over, overlap;
	unsigned int shown;
};

/* The row of readelf's that is compared, and in which columns it stands. */
struct entry {
	uint64_t start, end, row;
	bool has_row;
	int column_fp, column_sp, column_ra; /* -1: not there, so `u` */
	char cfa[32], fp[32], sp[32], ra[32];
};

static void text_of(char *to, const char *from)
{
	snprintf(to, 32, "%s", from);
}

static const char *register_name(unsigned int reg)
{
	static const char *const names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
					    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	return reg < FNP_ARRAY_SIZE(names) ? names[reg] : "?";
}

static const char *print_saved(unsigned int kind, int offset, char *buffer)
{
	switch (kind) {
	case FNP_SAVED_AT_CFA:
		snprintf(buffer, 32, "c%+d", offset);
		return buffer;
	case FNP_SAVED_CFA:
		snprintf(buffer, 32, "v%+d", offset);
		return buffer;
	case FNP_SAVED_SAME:
	case FNP_SAVED_UNDEFINED:
		return "u";
	case FNP_SAVED_REGISTER:
		return register_name((unsigned int)offset);
	}
	return "exp";
}

static const char *print_cfa(const struct fnp_rule *rule, char *buffer)
{
	if (!rule || rule->cfa_kind == FNP_CFA_NONE)
		return "-";
	if (rule->cfa_kind != FNP_CFA_REG)
		return "exp";
	snprintf(buffer, 32, "%s%+d", register_name(rule->cfa_reg), rule->cfa_offset);
	return buffer;
}

static bool same_saved(const char *theirs, const char *ours)
{
	/* `s`: DW_CFA_same_value; `vexp`: a value by expression, which ours is never more than `exp` to. */
	return strcmp(theirs, ours) == 0 || (strcmp(theirs, "s") == 0 && strcmp(ours, "u") == 0) ||
	       (strcmp(theirs, "vexp") == 0 && strcmp(ours, "exp") == 0);
}

/* Our CFA is what readelf says that the caller's stack pointer is: in a register. */
static bool is_by_stack_pointer(const struct entry *e, const struct fnp_rule *rule)
{
	return rule && rule->cfa_kind == FNP_CFA_REG && rule->cfa_offset == 0 &&
	       (rule->flags & FNP_RULE_OTHER_STACK) && strcmp(e->sp, register_name(rule->cfa_reg)) == 0;
}

static void compare_piece(const struct fnp_unwind *unwind, const struct entry *e, uint64_t from, uint64_t to,
			  struct counts *counts)
{
	const struct fnp_rule *rule = fnp_unwind_find(unwind, from);
	char cfa_buffer[32], fp_buffer[32], ra_buffer[32];
	const char *cfa = print_cfa(rule, cfa_buffer);
	const char *fp = rule ? print_saved(rule->saved & 15, rule->fp_offset, fp_buffer) : "-";
	const char *ra = rule ? print_saved(rule->saved >> 4, rule->ra_offset, ra_buffer) : "-";

	counts->bytes += to - from;
	if ((strcmp(e->cfa, cfa) == 0 || is_by_stack_pointer(e, rule)) && same_saved(e->fp, fp) &&
	    same_saved(e->ra, ra)) {
		if (strcmp(cfa, "exp") == 0)
			counts->expression += to - from;
		return;
	}
	if (strcmp(cfa, "exp") == 0 && strcmp(e->cfa, "exp") != 0) {
		counts->not_expressible += to - from;
		return;
	}
	/* The frame that is gone to is found through rcx, or where a pointer in this one says: in no other code. */
	if (rule && (rule->flags & FNP_RULE_EXACT) && !(rule->flags & FNP_RULE_SIGNAL) &&
	    strcmp(e->cfa, "rbp+16") == 0) {
		counts->handed_over += to - from;
		return;
	}
	counts->different += to - from;
	if (counts->shown++ < 8)
		fprintf(stderr, "  %lx..%lx of %lx..%lx: readelf %s %s %s, ours %s %s %s\n", from, to,
			e->start, e->end, e->cfa, e->fp, e->ra, cfa, fp, ra);
}

/* Our rows inside [from, to), piece by piece; `cursor` stands at or before it. */
static void compare_range(const struct fnp_unwind *unwind, const struct entry *e, uint64_t from, uint64_t to,
			  size_t *cursor, struct fnp_unwind_row *row, struct counts *counts)
{
	if (row->start > from) { /* readelf went back: entries are in the order of the file */
		*cursor = 0;
		fnp_unwind_next_row(unwind, cursor, row);
	}
	while (from < to) {
		uint64_t until;

		while (row->end <= from && fnp_unwind_next_row(unwind, cursor, row))
			;
		until = row->end > from && row->end < to ? row->end : to;
		compare_piece(unwind, e, from, until, counts);
		from = until;
	}
}

static void columns_of(struct entry *e, char *line)
{
	char *save = NULL;
	int n = 0;

	e->column_fp = e->column_sp = e->column_ra = -1;
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save), n++) {
		if (strcmp(word, "rbp") == 0)
			e->column_fp = n;
		else if (strcmp(word, "rsp") == 0)
			e->column_sp = n;
		else if (strcmp(word, "ra") == 0)
			e->column_ra = n;
	}
}

static void row_of(struct entry *e, char *line)
{
	char *save = NULL;
	int n = 0;

	text_of(e->fp, "u");
	text_of(e->sp, "u");
	text_of(e->ra, "u");
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save), n++) {
		/* A register stands as `r1 (rdx)`. */
		if (word[0] == '(') {
			word[strcspn(word, ")")] = '\0';
			word++;
			n--;
		}
		if (n == 0)
			e->row = strtoull(word, NULL, 16);
		else if (n == 1)
			text_of(e->cfa, word);
		if (n == e->column_fp)
			text_of(e->fp, word);
		if (n == e->column_sp)
			text_of(e->sp, word);
		if (n == e->column_ra)
			text_of(e->ra, word);
	}
	e->has_row = true;
}

static void compare_object(const char *path, struct counts *counts)
{
	FNP_CLEANUP(fnp_object_unrefp) struct fnp_object *object = NULL;
	FNP_CLEANUP(fnp_unwind_destroyp) struct fnp_unwind *unwind = NULL;
	fnp_autofree char *command = NULL;
	struct fnp_unwind_row row = {0};
	struct entry e = {0}, next;
	size_t cursor = 0, size = 0;
	fnp_autofree char *line = NULL;
	uint64_t covered = 0;
	bool skip = false;
	FILE *in;

	assert_int_equal(fnp_object_open_path(path, &object), 0);
	assert_int_equal(fnp_unwind_build(object, &unwind), 0);
	assert_true(asprintf(&command, "readelf --debug-dump=frames-interp '%s' 2>/dev/null", path) > 0);
	in = popen(command, "r");
	assert_non_null(in);
	while (getline(&line, &size, in) > 0) {
		const char *pc = strstr(line, " pc=");

		if (strstr(line, " FDE ") && pc) {
			if (e.has_row && !skip)
				compare_range(unwind, &e, e.row, e.end, &cursor, &row, counts);
			e = (struct entry){.column_fp = -1, .column_sp = -1, .column_ra = -1};
			if (sscanf(pc, " pc=%lx..%lx", &e.start, &e.end) != 2)
				e.end = 0;
			/* Entries of functions that the linker dropped. */
			skip = e.end <= e.start || e.start == 0;
			if (!skip && e.start < covered)
				counts->overlap++;
			covered = covered > e.end ? covered : e.end;
			continue;
		}
		if (strstr(line, " CIE ")) {
			if (e.has_row && !skip)
				compare_range(unwind, &e, e.row, e.end, &cursor, &row, counts);
			e = (struct entry){0};
			skip = true;
			continue;
		}
		if (strstr(line, "   LOC ")) {
			columns_of(&e, line);
			continue;
		}
		if (line[0] != '0' || strlen(line) < 18 || line[16] != ' ' || skip)
			continue;
		next = e;
		row_of(&next, line);
		if (e.has_row && next.row > e.row)
			compare_range(unwind, &e, e.row, next.row < e.end ? next.row : e.end, &cursor, &row,
				      counts);
		e = next;
		counts->rows++;
	}
	if (e.has_row && !skip)
		compare_range(unwind, &e, e.row, e.end, &cursor, &row, counts);
	pclose(in);
	fprintf(stderr, "%s: %lu rows of readelf, %u of ours; of %lu bytes %lu differ, %lu not expressible, %lu expressions, %lu handed over\n",
		path, counts->rows, unwind->rows, counts->bytes, counts->different, counts->not_expressible,
		counts->expression, counts->handed_over);
	fprintf(stderr, "  %.2f bytes a row, %u rules, page shift %u, %u skipped, %u degraded\n",
		(double)unwind->n_lines * 64 / unwind->rows, unwind->table.n_rules, unwind->table.page_shift,
		unwind->skipped, unwind->degraded);
}

static const char *only_path;

static void rows_equal_readelf(void **state)
{
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
#if !defined(__SANITIZE_ADDRESS__) /* minutes, then */
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/bin/python3.11",
		"/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so",
		"/usr/bin/node",
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
#endif
	};
	unsigned int compared = 0;

	(void)state;
	if (system("readelf --version >/dev/null 2>&1") != 0)
		skip();
	for (size_t i = 0; i < FNP_ARRAY_SIZE(paths); i++) {
		const char *path = only_path ? only_path : paths[i];
		struct counts counts = {0};

		if (access(path, R_OK) != 0)
			continue;
		compare_object(path, &counts);
		assert_true(counts.bytes > 0);
		assert_true(counts.different == 0);
		assert_true((counts.not_expressible + counts.handed_over) * 10000 <= counts.bytes);
		compared++;
		if (only_path)
			break;
	}
	if (compared == 0)
		skip();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_equal_readelf),
	};

	only_path = argc > 1 ? argv[1] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
