/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References are followed a few times, never in circles.
 */
#include "symbolizer/dwarf_names.h"

#include <dwarf.h>

#define HOPS_MAX 16 /* abstract_origin -> specification -> ... */

enum {
	NAME_LINKAGE,
	NAME_MIPS_LINKAGE,
	NAME_PLAIN,
	NAME_DECL_LINE,
	NAME_ORIGIN,
	NAME_SPECIFICATION,
	NAME_VALUES,
};

static const uint16_t name_attributes[NAME_VALUES] = {
	[NAME_LINKAGE] = DW_AT_linkage_name,
	[NAME_MIPS_LINKAGE] = DW_AT_MIPS_linkage_name,
	[NAME_PLAIN] = DW_AT_name,
	[NAME_DECL_LINE] = DW_AT_decl_line,
	[NAME_ORIGIN] = DW_AT_abstract_origin,
	[NAME_SPECIFICATION] = DW_AT_specification,
};

/* Follows a reference. -ENOENT where it leads nowhere, -EAGAIN when the units must be listed first. */
static int follow(const struct fnp_dwarf_value *reference, struct fnp_dwarf_units *alt,
		  struct fnp_dwarf_place *place)
{
	struct fnp_dwarf_units *units = place->units;
	struct fnp_dwarf_entry *entry;

	switch (reference->form) {
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		units = alt;
		break;
	case DW_FORM_ref_sig8:
	case 0:
		return -ENOENT;
	default:
		break;
	}
	if (!units->file.object)
		return -ENOENT; /* there is no alternate file */
	if (units == place->units && reference->number >= place->state->unit.first_die &&
	    reference->number < place->state->unit.end) {
		place->die = reference->number;
		return 0;
	}
	if (!units->listed)
		return -EAGAIN;
	entry = fnp_dwarf_units_find(units, reference->number);
	if (!entry || fnp_dwarf_units_open(units, entry, NULL, &place->state) < 0)
		return -ENOENT;
	if (reference->number < place->state->unit.first_die || reference->number >= place->state->unit.end)
		return -ENOENT;
	place->units = units;
	place->die = reference->number;
	return 0;
}

static int read_values(const struct fnp_dwarf_place *place, struct fnp_dwarf_value *ret)
{
	const struct fnp_dwarf_unit *unit = &place->state->unit;
	struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_INFO);
	struct fnp_dwarf_die die;

	if (fnp_cursor_seek(&c, place->die) < 0 || fnp_dwarf_die_read(unit, &c, &die) < 0 || !die.abbrev)
		return -EBADMSG;
	return fnp_dwarf_die_values(unit, die.abbrev, &c, name_attributes, NAME_VALUES, ret);
}

int fnp_dwarf_names_read(struct fnp_dwarf_place place, struct fnp_dwarf_units *alt, struct fnp_dwarf_names *ret)
{
	struct fnp_dwarf_names names = {0};
	struct fnp_dwarf_value v[NAME_VALUES];
	int r = 0;

	for (int hop = 0; r == 0 && hop < HOPS_MAX; hop++) {
		if (read_values(&place, v) < 0)
			break;
		const struct fnp_dwarf_unit *unit = &place.state->unit;
		if (!names.linkage_name)
			names.linkage_name = fnp_dwarf_string(
				unit, &v[v[NAME_LINKAGE].form ? NAME_LINKAGE : NAME_MIPS_LINKAGE]);
		if (!names.name)
			names.name = fnp_dwarf_string(unit, &v[NAME_PLAIN]);
		if (!names.start_line && v[NAME_DECL_LINE].form)
			names.start_line = (uint32_t)v[NAME_DECL_LINE].number;
		if (names.linkage_name && names.start_line)
			break;
		r = follow(&v[v[NAME_ORIGIN].form ? NAME_ORIGIN : NAME_SPECIFICATION], alt, &place);
	}
	if (r == -EAGAIN)
		return r;
	*ret = names;
	return 0;
}
