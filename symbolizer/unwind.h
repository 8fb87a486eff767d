/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unwind table of an object: .eh_frame (and what only .debug_frame has) compiled to the rows that the kernel side
 * walks by. A table is immutable, plain bytes that can be copied to wherever they are used.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_H
#define FNP_SYMBOLIZER_UNWIND_H

#include <stdio.h>

#include "bpf/layout/native.h"
#include "symbolizer/object.h"

struct fnp_unwind {
	struct fnp_table table;	 /* lines count from lines[0]; `arena` is 0 */
	struct fnp_block *lines; /* page index, blocks, rules */
	size_t n_lines;
	uint32_t rows;
	uint32_t expressions; /* rows with a rule that a row cannot hold */
	uint32_t skipped;     /* entries that could not be read */
	uint32_t degraded;    /* rows whose rule found no room, or that lie too far away */
};

/*
 * Compiles an object. -ENOENT when it has no call frame information, -ENOEXEC for a machine that we do not know,
 * -EFBIG when its information is larger than 256 MiB, -ENOMEM.
 */
int fnp_unwind_build(const struct fnp_object *object, struct fnp_unwind **ret);
void fnp_unwind_destroy(struct fnp_unwind *unwind);
FNP_DEFINE_CLEANUP(fnp_unwind_destroyp, struct fnp_unwind *, fnp_unwind_destroy)

/* A table as it is read back, row by row. */
struct fnp_unwind_row {
	uint64_t start, end; /* addresses as the ELF file counts; end is the next row's start */
	const struct fnp_rule *rule;
};

/* The row with the number *cursor (0 at first), which then counts up. 1: there is one; 0: no more. */
int fnp_unwind_next_row(const struct fnp_unwind *unwind, size_t *cursor, struct fnp_unwind_row *ret);

/* The rule that holds at an address, NULL where there is none. The same search as the kernel side's. */
const struct fnp_rule *fnp_unwind_find(const struct fnp_unwind *unwind, uint64_t address);

/*
 * Prints all rows of the compiled table as `LOC CFA rbp ra`, as readelf --debug-dump=frames-interp writes them; rules
 * that come from expressions print as `exp`. 0 or -EIO.
 */
int fnp_unwind_print(const struct fnp_unwind *unwind, uint16_t elf_machine, FILE *out);

#endif
