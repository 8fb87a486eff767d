/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DWARF sections of one file, and how its abbreviations, forms, strings and range lists are read.
 *
 * DWARF describes a program as a tree of DIEs (debugging information entries), cut into units. A DIE is the number of
 * an abbreviation, and the values of its attributes one after the other; the abbreviation (in .debug_abbrev) says
 * which attributes these are and in which form each is written. Numbers in this code are those of the DWARF 5
 * standard; 7.5.4 has the forms, 2.17 and 7.25 the ranges. Units may refer to DIEs and strings in an alternate file
 * (dwz), and have most of themselves in another (split DWARF).
 *
 * Work is bounded by fuel: who starts a look-up fills it, each step takes one, and an input that makes us run in
 * circles ends with -ETIME.
 */
#ifndef FNP_SYMBOLIZER_DWARF_FILE_H
#define FNP_SYMBOLIZER_DWARF_FILE_H

#include "base/vec.h"
#include "symbolizer/object.h"
#include "symbolizer/section_data.h"

enum fnp_dwarf_section {
	FNP_DWARF_INFO,
	FNP_DWARF_ABBREV,
	FNP_DWARF_LINE,
	FNP_DWARF_STR,
	FNP_DWARF_LINE_STR,
	FNP_DWARF_ADDR,
	FNP_DWARF_STR_OFFSETS,
	FNP_DWARF_RANGES,
	FNP_DWARF_RNGLISTS,
	FNP_DWARF_ARANGES,
	FNP_DWARF_SECTIONS,
};

struct fnp_dwarf_file {
	struct fnp_object *object; /* owned, unless its owner takes it out before deinit */
	struct fnp_section_data sections[FNP_DWARF_SECTIONS];
	bool loaded[FNP_DWARF_SECTIONS];
	bool split;		    /* a .dwo file: section names end in .dwo */
	struct fnp_dwarf_file *alt; /* not owned; NULL when there is none */
	uint64_t *fuel;		    /* not owned */
};

void fnp_dwarf_file_deinit(struct fnp_dwarf_file *file);

/* Gives back the memory that reading took; pointers stay valid. */
void fnp_dwarf_file_release_pages(const struct fnp_dwarf_file *file);

/* A section's bytes, decompressed at the first use; empty when it is missing or broken. */
struct fnp_cursor fnp_dwarf_section(struct fnp_dwarf_file *file, enum fnp_dwarf_section section);

/* Takes `steps` of the fuel; -ETIME when it is used up. */
static inline int fnp_dwarf_burn(const struct fnp_dwarf_file *file, uint64_t steps)
{
	if (steps > *file->fuel) {
		*file->fuel = 0;
		return -ETIME;
	}
	*file->fuel -= steps;
	return 0;
}

struct fnp_dwarf_attribute {
	uint16_t name, form;
	union {
		int32_t implicit; /* DW_FORM_implicit_const: its value */
		int32_t size;	  /* the others: bytes of the value, -1 when that varies */
	};
};

struct fnp_dwarf_abbrev {
	uint16_t tag; /* 0: this code is not used */
	uint8_t has_children;
	uint8_t has_pc;	     /* DW_AT_low_pc or DW_AT_ranges is among them */
	uint32_t first, n;   /* attributes */
	int32_t sibling;     /* number of the attribute DW_AT_sibling, when its form is DW_FORM_ref4, or -1 */
	int32_t sibling_at;  /* bytes from the first attribute to that one, or -1 when that varies */
	int32_t fixed_bytes; /* of all attributes together, or -1 when that varies */
};

/* The abbreviations of a unit, by code. */
struct fnp_dwarf_abbrevs {
	FNP_VEC(struct fnp_dwarf_abbrev) by_code;
	FNP_VEC(struct fnp_dwarf_attribute) attributes;
};

struct fnp_dwarf_unit {
	struct fnp_dwarf_file *file;
	uint64_t offset, end; /* of the unit in .debug_info, with its header */
	uint64_t first_die;
	uint16_t version;
	uint8_t address_size, offset_size; /* 8; 4 or 8 */
	uint8_t type;			   /* DW_UT_* */
	uint64_t abbrev_offset;
	uint64_t dwo_id; /* 0 when it has none */
	struct fnp_dwarf_abbrevs abbrevs;
	/* From the root DIE. */
	uint16_t language;
	const char *name, *comp_dir, *dwo_name; /* "" when missing */
	uint64_t low_pc;			/* base of range lists */
	uint64_t line_offset;			/* UINT64_MAX: no line table */
	uint64_t str_offsets_base, addr_base, rnglists_base, ranges_base;
	/* In a split unit: the unit of the main file that has the addresses. */
	const struct fnp_dwarf_unit *skeleton;
};

/*
 * Reads the header of the unit at an offset of .debug_info, nothing else. -EBADMSG, also for versions other than
 * 2 to 5 and addresses that are not 8 bytes wide.
 */
int fnp_dwarf_unit_read_header(struct fnp_dwarf_file *file, uint64_t offset, struct fnp_dwarf_unit *ret);

/* Reads abbreviations and root DIE of a unit whose header was read. deinit it also after a failure. */
int fnp_dwarf_unit_read_root(struct fnp_dwarf_unit *unit);
void fnp_dwarf_unit_deinit(struct fnp_dwarf_unit *unit);

/* A value of an attribute. Which field counts follows from the form. */
struct fnp_dwarf_value {
	uint16_t form;	    /* 0: the attribute is missing */
	uint64_t number;    /* constants, offsets, indexes; references as absolute offsets in .debug_info */
	const char *string; /* DW_FORM_string */
};

/* A DIE: its abbreviation, and a cursor at its first attribute. */
struct fnp_dwarf_die {
	const struct fnp_dwarf_abbrev *abbrev; /* NULL: the end of a list of siblings */
	uint64_t offset;
};

/* fnp_cursor_uleb128(), quick for the one byte that most numbers take. */
static inline int fnp_dwarf_uleb128(struct fnp_cursor *c, uint64_t *ret)
{
	if (c->pos < c->end && *c->pos < 0x80) {
		*ret = *c->pos++;
		return 0;
	}
	return fnp_cursor_uleb128(c, ret);
}

/* Reads the head of the DIE at the cursor, which then stands at its first attribute. */
static inline int fnp_dwarf_die_read(const struct fnp_dwarf_unit *unit, struct fnp_cursor *c,
				     struct fnp_dwarf_die *ret)
{
	struct fnp_dwarf_die die = {.offset = fnp_cursor_offset(c)};
	uint64_t code;

	if (fnp_dwarf_uleb128(c, &code) < 0)
		return -EBADMSG;
	if (code != 0) {
		if (code >= unit->abbrevs.by_code.len || unit->abbrevs.by_code.items[code].tag == 0)
			return -EBADMSG;
		die.abbrev = &unit->abbrevs.by_code.items[code];
	}
	*ret = die;
	return 0;
}

/* Moves the cursor past the attributes of a DIE. */
int fnp_dwarf_die_skip(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
		       struct fnp_cursor *c);

/*
 * Moves the cursor, at the first attribute of a DIE, to its next sibling when the DIE says where that is, and that lies
 * ahead; else leaves it.
 */
bool fnp_dwarf_die_to_sibling(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
			      struct fnp_cursor *c);

/*
 * Reads the attributes of a DIE whose names are in `names` into the same place of `ret` (form 0 where one is
 * missing), and moves past all. At most 16 names.
 */
int fnp_dwarf_die_values(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
			 struct fnp_cursor *c, const uint16_t *names, size_t n, struct fnp_dwarf_value *ret);

int fnp_dwarf_form_read(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_attribute *attribute,
			struct fnp_cursor *c, struct fnp_dwarf_value *ret);

/* The string of a value, NULL when it is none. Lives as long as the file. */
const char *fnp_dwarf_string(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *value);

/* The address of a value (DW_FORM_addr, DW_FORM_addrx*); -ENOENT. */
int fnp_dwarf_address(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *value, uint64_t *ret);

/*
 * Calls `each` for every range of a DIE with these attributes; empty and reversed ones are left out. `each` returns
 * 0 to go on, else the code that the function returns then.
 */
int fnp_dwarf_ranges(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *low_pc,
		     const struct fnp_dwarf_value *high_pc, const struct fnp_dwarf_value *ranges,
		     int (*each)(void *context, uint64_t low, uint64_t high), void *context);

#endif
