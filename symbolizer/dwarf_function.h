/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which functions a unit has, and what was inlined at an address of one.
 */
#ifndef FNP_SYMBOLIZER_DWARF_FUNCTION_H
#define FNP_SYMBOLIZER_DWARF_FUNCTION_H

#include "symbolizer/dwarf_file.h"
#include "symbolizer/ranges.h"

/* The object's code: ranges that begin outside were thrown away by the linker. */
struct fnp_dwarf_code {
	uint64_t start, end; /* end - start < 4 GiB */
};

/*
 * The functions with code in a unit whose root was read, as painted ranges: addresses from code.start, value is the
 * offset of the DIE from the unit's. Without `deep` those inside other functions (methods of local classes, closures)
 * may be missing, and only those: what is inside a function's DIE has its code elsewhere, so an address that no range
 * has is the one reason to read deep, which takes several times as long.
 */
int fnp_dwarf_functions_read(const struct fnp_dwarf_unit *unit, struct fnp_dwarf_code code, bool deep,
			     fnp_ranges *ret);

#define FNP_DWARF_INLINE_MAX 64

/* A function that was inlined, and where it was called. */
struct fnp_dwarf_inlined {
	uint64_t die;		       /* offset in .debug_info */
	uint64_t call_file, call_line; /* in the function around it; 0: not known */
};

/* The chain of inlined functions at an address. */
struct fnp_dwarf_inlined_chain {
	struct fnp_dwarf_inlined items[FNP_DWARF_INLINE_MAX]; /* outermost first */
	size_t n;
};

/* What is inlined at `address` in the function whose DIE is at `die`. Past the maximum the innermost are left out. */
int fnp_dwarf_inlined_at(const struct fnp_dwarf_unit *unit, uint64_t die, uint64_t address,
			 struct fnp_dwarf_inlined_chain *ret);

#endif
