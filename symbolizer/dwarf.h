/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's debug data: functions, inlined callers and lines by address, read unit by unit as addresses need them.
 *
 * At first use an index of which unit has which addresses is made (.debug_aranges, for units that it leaves out their
 * root DIE). What is kept of a unit (abbreviations, its functions, its rows) is bounded: when it grows past the
 * budget all is forgotten, and read again where it is needed.
 */
#ifndef FNP_SYMBOLIZER_DWARF_H
#define FNP_SYMBOLIZER_DWARF_H

#include "base/buffer.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/dwarf_function.h"

struct fnp_dwarf;

/* One function at an address. Strings are valid until the next look-up. */
struct fnp_dwarf_frame {
	const char *linkage_name; /* NULL when there is none */
	const char *name;	  /* NULL when there is none */
	uint64_t file;		  /* number for fnp_dwarf_path(); 0 with line 0: not known */
	uint32_t line;		  /* 0: not known */
	uint32_t start_line;	  /* 0: not known */
};

struct fnp_dwarf_location {
	struct fnp_dwarf_frame frames[FNP_DWARF_INLINE_MAX + 1]; /* innermost first */
	size_t n;						 /* 0: no function is known, but its line */
	uint64_t file;						 /* of the address itself */
	uint32_t line;
	uint64_t unit; /* with a file's number the key of its path */
};

/*
 * `object` is the ELF file with the DWARF sections (the code's own or its debug file; it must outlive the result), `code`
 * where the code is. -ENOENT when it has no .debug_info.
 */
int fnp_dwarf_create(struct fnp_object *object, struct fnp_dwarf_code code, struct fnp_debug_roots roots,
		     struct fnp_dwarf **ret);
void fnp_dwarf_destroy(struct fnp_dwarf *dwarf);

/* How much of units is kept, in bytes; 64 MiB unless set. Less costs reading units again. */
void fnp_dwarf_set_budget(struct fnp_dwarf *dwarf, size_t bytes);

FNP_DEFINE_CLEANUP(fnp_dwarf_destroyp, struct fnp_dwarf *, fnp_dwarf_destroy)

/* -ENOENT when no unit has this address, or its unit knows neither function nor line there. */
int fnp_dwarf_find(struct fnp_dwarf *dwarf, uint64_t address, struct fnp_dwarf_location *ret);

/* Appends the path of a file that the last find() of this unit gave, with a NUL. -ENOENT. */
int fnp_dwarf_path(struct fnp_dwarf *dwarf, uint64_t unit, uint64_t file, struct fnp_buffer *ret);

#endif
