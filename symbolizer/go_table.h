/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that every Go program carries for its own stack traces (.gopclntab): names and lines, also of stripped
 * programs. Go 1.18 and later; older layouts are not read.
 *
 * The table also knows inlined calls, but in a place that moves from version to version: at an address inside inlined
 * code the function that exists is named, without file and line, since those would be the inlined one's.
 */
#ifndef FNP_SYMBOLIZER_GO_TABLE_H
#define FNP_SYMBOLIZER_GO_TABLE_H

#include <stdbool.h>

#include "base/cursor.h"
#include "symbolizer/object.h"

struct fnp_go_table;

/* Strings point into the object. */
struct fnp_go_function {
	const char *name;    /* "main.(*T).Work" */
	const char *file;    /* "" when not known */
	uint32_t line;	     /* 0 when not known */
	uint32_t start_line; /* 0 when not known (before Go 1.20) */
};

/* -ENOENT when the object is no Go program, or its table is not understood. It must outlive the table. */
int fnp_go_table_create(const struct fnp_object *object, struct fnp_go_table **ret);
void fnp_go_table_destroy(struct fnp_go_table *table);

FNP_DEFINE_CLEANUP(fnp_go_table_destroyp, struct fnp_go_table *, fnp_go_table_destroy)

/* -ENOENT when no function of Go's has this address. */
int fnp_go_table_find(const struct fnp_go_table *table, uint64_t address, struct fnp_go_function *ret);

/* ---- all functions, one after another ---- */

/* A function's code, as the ELF file counts; padding behind it belongs to it. */
struct fnp_go_code {
	uint64_t start, end;
	const char *name; /* "" when it cannot be read */
	uint32_t depths;  /* where its depths stand */
};

/* Bytes of the table: a bound for what may be read of it. */
uint64_t fnp_go_table_size(const struct fnp_go_table *table);

/* The function with a number from 0 on, in the order of addresses. -ENOENT: there is none, or the table is broken there. */
int fnp_go_table_code(const struct fnp_go_table *table, uint64_t number, struct fnp_go_code *ret);

/* How far the stack pointer is from where it was at a function's first instruction, piece by piece. */
struct fnp_go_depths {
	struct fnp_cursor bytes;
	uint64_t end;  /* of the piece, as the ELF file counts; it begins where the one before ended */
	int64_t depth; /* in bytes */
	bool is_first;
};

void fnp_go_depths_begin(const struct fnp_go_table *table, const struct fnp_go_code *code,
			 struct fnp_go_depths *ret);
/* The next piece; false: there is none. Pieces may be empty, and reach behind the function's end. */
bool fnp_go_depths_next(const struct fnp_go_table *table, struct fnp_go_depths *depths);

#endif
