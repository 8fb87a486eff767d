/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows on their way to a table: collected in ascending order with their rules interned, then laid out in cache lines
 * as bpf/layout/native.h says.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_ROWS_H
#define FNP_SYMBOLIZER_UNWIND_ROWS_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/vec.h"
#include "bpf/layout/native.h"

#define FNP_ROWS_SPAN_MAX 0x7fffffffU /* of code, from the first row */

struct fnp_row {
	uint32_t offset; /* from the base */
	uint32_t rule;	 /* index in `rules` */
};

struct fnp_rows {
	uint64_t base;
	FNP_VEC(struct fnp_row) rows;
	FNP_VEC(struct fnp_rule) rules; /* [0] is FNP_CFA_NONE */
	uint32_t *slots;		/* hash of rules: index + 1 */
	size_t n_slots;
	uint32_t last_rule;
	uint64_t degraded; /* rows whose rule found no room */
	uint64_t too_far;  /* rows beyond the span */
};

/* Rows from `base` on. 0 or -ENOMEM. */
int fnp_rows_init(struct fnp_rows *rows, uint64_t base);
void fnp_rows_deinit(struct fnp_rows *rows);

/*
 * Adds the row that begins at `address` and holds until the next one; of two rows at one address the later holds, and
 * one that lies before the last is left out. 0 or -ENOMEM.
 */
int fnp_rows_add(struct fnp_rows *rows, uint64_t address, const struct fnp_rule *rule);

/* From here on there is no row. */
int fnp_rows_end(struct fnp_rows *rows, uint64_t address);

/* The rule that holds at an address; NULL where there is none. */
const struct fnp_rule *fnp_rows_rule_at(const struct fnp_rows *rows, uint64_t address);

/* Once all rows are there: puts a rule over [start, end), whatever is there; behind it what was there goes on. */
int fnp_rows_overlay(struct fnp_rows *rows, uint64_t start, uint64_t end, const struct fnp_rule *rule);

/* Once all rows are there: takes rules from `other`, which has the same base, wherever there is none. 0 or -ENOMEM. */
int fnp_rows_fill(struct fnp_rows *rows, const struct fnp_rows *other);

/*
 * Lays the table out: `ret_lines` is one run of cache lines (index, blocks, rules; free() it), and `ret_table` says
 * what is where, in lines from the first. 0 or -ENOMEM.
 */
int fnp_rows_pack(struct fnp_rows *rows, struct fnp_table *ret_table, struct fnp_block **ret_lines,
		  size_t *ret_n_lines);

#endif
