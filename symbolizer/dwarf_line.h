/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line table of a unit: which source line an address comes from (DWARF 5, chapter 6.2).
 */
#ifndef FNP_SYMBOLIZER_DWARF_LINE_H
#define FNP_SYMBOLIZER_DWARF_LINE_H

#include "base/buffer.h"
#include "symbolizer/dwarf_function.h"

#define FNP_DWARF_END_OF_SEQUENCE UINT32_MAX

/* Counts up to the address of the next row. */
struct fnp_dwarf_row {
	uint32_t address; /* from code.start */
	uint32_t file;	  /* number in the table; FNP_DWARF_END_OF_SEQUENCE: nothing is known from here on */
	uint32_t line;
};

typedef FNP_VEC(struct fnp_dwarf_row) fnp_dwarf_rows;

/* Runs the line program of a unit whose root was read; rows sorted by address. A unit without one has no rows. */
int fnp_dwarf_rows_read(const struct fnp_dwarf_unit *unit, struct fnp_dwarf_code code, fnp_dwarf_rows *ret);

/* The row of an address (from code.start), or NULL. */
const struct fnp_dwarf_row *fnp_dwarf_row_find(const struct fnp_dwarf_row *rows, size_t n, uint64_t address);

/* Writes the path of a file of the table, absolute where the unit says so. -ENOENT. */
int fnp_dwarf_file_path(const struct fnp_dwarf_unit *unit, uint64_t file, struct fnp_buffer *ret);

#endif
