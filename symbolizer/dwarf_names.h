/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a function's DIE. They stand at the DIE itself, at the abstract function that it is an instance of, or at
 * its declaration; references may lead from unit to unit, and into the alternate file.
 */
#ifndef FNP_SYMBOLIZER_DWARF_NAMES_H
#define FNP_SYMBOLIZER_DWARF_NAMES_H

#include "symbolizer/dwarf_units.h"

/* A DIE that a reference may lead to. */
struct fnp_dwarf_place {
	struct fnp_dwarf_units *units;
	struct fnp_dwarf_state *state;
	uint64_t die; /* its offset in .debug_info */
};

struct fnp_dwarf_names {
	const char *linkage_name; /* NULL when there is none */
	const char *name;	  /* NULL when there is none */
	uint32_t start_line;	  /* 0: not known */
};

/*
 * What can be known of the names of the DIE at `place`; strings live as long as the file. `alt` are the units of the
 * alternate file. -EAGAIN when a reference left its unit before all units of its file were listed: list them, which
 * forgets all states, and look again from the beginning. Otherwise 0, also where a reference leads nowhere.
 */
int fnp_dwarf_names_read(struct fnp_dwarf_place place, struct fnp_dwarf_units *alt,
			 struct fnp_dwarf_names *ret);

#endif
