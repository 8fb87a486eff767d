/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where wall time went, of one row or as the mean of several, side by side: the ledgers of an index's lines, added up
 * by column, as text.
 *
 * Lines of a ledger are taken by the names and in the order that the index has them. A line that a row does not have
 * is not known there: a column sums what is known, and counts its rows.
 */
#ifndef FNP_PROFILER_OUTPUT_LEDGER_TABLE_H
#define FNP_PROFILER_OUTPUT_LEDGER_TABLE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/vec.h"

#define FNP_LEDGER_COLUMNS_MAX 4
#define FNP_LEDGER_LINES_MAX 32
#define FNP_LEDGER_NAME_MAX 32

struct fnp_ledger_table_line {
	char name[FNP_LEDGER_NAME_MAX];
	double ns[FNP_LEDGER_COLUMNS_MAX];
};

/* In the caller's storage; all zero is empty. Owns nothing. */
struct fnp_ledger_table {
	struct fnp_ledger_table_line lines[FNP_LEDGER_LINES_MAX];
	size_t n_lines;
	uint64_t rows[FNP_LEDGER_COLUMNS_MAX]; /* how many were added */
};

/* Adds the ledger of an index's line to a column; false when the line has none. */
bool fnp_ledger_table_add(struct fnp_ledger_table *table, unsigned int column, const json_t *line);

/*
 * One row's ledger: share, time, name and a bar for each line that is not 0, in the order of the index, at most
 * `width` columns wide.
 */
void fnp_ledger_table_print_row(const struct fnp_ledger_table *table, size_t width, struct fnp_buffer *ret);

/* Columns with these titles, each the mean of its rows, and a last line with their sums. */
void fnp_ledger_table_print_means(const struct fnp_ledger_table *table, const char *const *titles,
				  unsigned int n_columns, struct fnp_buffer *ret);

/*
 * Which ranks of `n` rows, sorted by duration, stand for a quantile: those around its nearest rank, 5 % of all rows
 * to each side at the median, 1 % at the 99th percentile. One row alone would be as good or bad as its own luck.
 */
struct fnp_ledger_ranks {
	size_t begin, end;
};
struct fnp_ledger_ranks fnp_ledger_ranks_at(size_t n, unsigned int percentile);

#endif
