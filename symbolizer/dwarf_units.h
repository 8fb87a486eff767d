/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units of one file with debug data: which there are, and what was read of each.
 *
 * Units are known by their offset in .debug_info: all of them when they were listed, else those that somebody entered.
 * A unit's state is made when it is opened, and kept until all are forgotten. A split unit (.dwo) hangs on its
 * skeleton's state.
 */
#ifndef FNP_SYMBOLIZER_DWARF_UNITS_H
#define FNP_SYMBOLIZER_DWARF_UNITS_H

#include "symbolizer/dwarf_line.h"

#define FNP_DWARF_PAGES_MIN (UINT64_C(4) << 20) /* kept mapped; counted low: the kernel maps whole folios */
#define FNP_DWARF_FAULT_BYTES 65536 /* the kernel maps up to 16 pages around the one that is touched */

/* What reading costs; one for all files of an object's debug data. */
struct fnp_dwarf_cost {
	uint64_t fuel; /* left; see dwarf_file.h */
	size_t state_bytes, state_bytes_max;
	uint64_t read_bytes; /* of the files, since their pages were given back; estimated */
};

struct fnp_dwarf_state {
	struct fnp_dwarf_unit unit;
	bool has_functions, has_deep_functions, has_rows;
	fnp_ranges functions;
	fnp_dwarf_rows rows;
	struct fnp_dwarf_units *split; /* of the .dwo file, owned; NULL */
	struct fnp_dwarf_state *split_unit;
	bool split_tried;
};

struct fnp_dwarf_entry {
	uint64_t offset;
	struct fnp_dwarf_state *state; /* owned; NULL: not open */
	bool broken;		       /* cannot be read: not tried again for every address */
};

/* Whose file is not owned takes file.object out before deinit. */
struct fnp_dwarf_units {
	struct fnp_dwarf_file file;
	struct fnp_dwarf_cost *cost;		 /* not owned */
	FNP_VEC(struct fnp_dwarf_entry) entries; /* sorted by offset */
	bool listed;				 /* entries has them all, not only those of .debug_aranges */
};

void fnp_dwarf_units_deinit(struct fnp_dwarf_units *units);

/* Closes all units; entries stay. */
void fnp_dwarf_units_forget(struct fnp_dwarf_units *units);

/*
 * Lists all units, going from header to header; what follows a broken one is not known. States are forgotten: the
 * caller holds none. Nothing is done where they were listed before. 0 or -ENOMEM.
 */
int fnp_dwarf_units_list(struct fnp_dwarf_units *units);

/* The entry whose unit has an offset of .debug_info, as far as its start tells; NULL. */
struct fnp_dwarf_entry *fnp_dwarf_units_find(struct fnp_dwarf_units *units, uint64_t offset);

/*
 * A unit with its root read. `skeleton` is that of a split unit, else NULL. The state is the units', until they are
 * forgotten. -EBADMSG where it cannot be read, -ETIME without fuel, -ENOMEM.
 */
int fnp_dwarf_units_open(struct fnp_dwarf_units *units, struct fnp_dwarf_entry *entry,
			 const struct fnp_dwarf_unit *skeleton, struct fnp_dwarf_state **ret);

/*
 * Opens the split half of an open unit, when it says that it has one: DW_AT_dwo_name, from the folder where the compiler
 * ran; it must have the same id. Then state->split_unit is set. A file that is missing is no error; tried once.
 */
int fnp_dwarf_units_open_split(struct fnp_dwarf_units *units, struct fnp_dwarf_state *state);

#endif
