/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which unit has an address: the index of an object's debug data.
 *
 * It is made in two steps, when addresses need them: from .debug_aranges, which touches no unit, and from the root DIEs
 * of the units that .debug_aranges leaves out.
 */
#ifndef FNP_SYMBOLIZER_DWARF_INDEX_H
#define FNP_SYMBOLIZER_DWARF_INDEX_H

#include "symbolizer/dwarf_units.h"

/* All zero at first, but for `code`. */
struct fnp_dwarf_index {
	struct fnp_dwarf_code code;
	bool has_aranges;
	bool has_roots;	  /* also those that .debug_aranges leaves out */
	fnp_ranges units; /* addresses from code.start; value: offset of the unit in .debug_info */
};

void fnp_dwarf_index_deinit(struct fnp_dwarf_index *index);

/*
 * The unit that has an address, which is code.start or more; `units` are those of the file that has the index's code.
 * Making the index enters units, and may forget their states: the caller holds none. -ENOENT, -ENOMEM.
 */
int fnp_dwarf_index_find(struct fnp_dwarf_index *index, struct fnp_dwarf_units *units, uint64_t address,
			 struct fnp_dwarf_entry **ret);

#endif
