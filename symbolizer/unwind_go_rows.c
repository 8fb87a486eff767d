/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of Go's own table. Its runtime walks stacks by it, so it is there in stripped programs, too, and says of each
 * instruction how far the stack pointer is from the return address: also in functions without a frame, and in prologues,
 * where a frame pointer tells of the caller's caller. It says nothing of the frame pointer, which no walk by these rows
 * needs; Go saves it below the return address, in every function whose frame is not empty.
 */
#include "symbolizer/unwind_go.h"

#include <errno.h>

#include "symbolizer/go_table.h"

#define DEPTH_MAX (1 << 28) /* bytes of one frame; Go's linker allows fewer */
#define MACHINE_SP 7
#define WORD 8

/* Gathers the rows of a table; every piece costs fuel, because functions may share pieces without end. */
struct gatherer {
	const struct fnp_go_table *table;
	struct fnp_rows *rows;
	uint64_t fuel;
};

static int add_piece(struct gatherer *g, uint64_t start, int64_t depth)
{
	struct fnp_rule rule = {
		.cfa_kind = FNP_CFA_REG,
		.cfa_reg = MACHINE_SP,
		.ra_offset = -WORD,
		.saved = FNP_SAVED_SAME | FNP_SAVED_AT_CFA << 4,
	};

	if (depth < 0 || depth > DEPTH_MAX)
		return fnp_rows_end(g->rows, start);
	rule.cfa_offset = (int)depth + WORD;
	return fnp_rows_add(g->rows, start, &rule);
}

static int add_function(struct gatherer *g, const struct fnp_go_code *code)
{
	struct fnp_go_depths depths;
	uint64_t at = code->start;
	int r = 0;

	fnp_go_depths_begin(g->table, code, &depths);
	while (r == 0 && at < code->end && g->fuel > 0 && fnp_go_depths_next(g->table, &depths)) {
		g->fuel--;
		if (depths.end <= at)
			continue;
		r = add_piece(g, at, depths.depth);
		at = FNP_MIN(depths.end, code->end);
	}
	return r ?: fnp_rows_end(g->rows, at);
}

static int add_functions(struct gatherer *g)
{
	struct fnp_go_code code;
	int r = 0;

	for (uint64_t i = 0; r == 0 && g->fuel > 0 && fnp_go_table_code(g->table, i, &code) == 0; i++) {
		g->fuel--;
		r = add_function(g, &code);
	}
	return r;
}

int fnp_unwind_go_fill(const struct fnp_object *object, struct fnp_rows *rows)
{
	FNP_CLEANUP(fnp_go_table_destroyp) struct fnp_go_table *table = NULL;
	struct fnp_rows own;
	struct gatherer g;
	int r;

	if (fnp_object_header(object)->e_machine != EM_X86_64)
		return 0;
	r = fnp_go_table_create(object, &table);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = fnp_rows_init(&own, rows->base);
	if (r < 0)
		return r;
	g = (struct gatherer){.table = table, .rows = &own, .fuel = fnp_go_table_size(table)};
	r = add_functions(&g);
	r = r ?: fnp_rows_fill(rows, &own);
	fnp_rows_deinit(&own);
	return r;
}
