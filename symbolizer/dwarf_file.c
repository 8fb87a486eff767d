/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections, abbreviations and the heads of DIEs. Forms are read in dwarf_form.c.
 */
#include "symbolizer/dwarf_file.h"

#include <dwarf.h>

#include "symbolizer/dwarf_form.h"

#define SECTION_MAX (UINT64_C(1) << 30)
#define ABBREV_CODE_MAX 16384 /* codes are dense in practice; the largest seen is below 1,000 */

static const char *const section_names[FNP_DWARF_SECTIONS] = {
	[FNP_DWARF_INFO] = ".debug_info",
	[FNP_DWARF_ABBREV] = ".debug_abbrev",
	[FNP_DWARF_LINE] = ".debug_line",
	[FNP_DWARF_STR] = ".debug_str",
	[FNP_DWARF_LINE_STR] = ".debug_line_str",
	[FNP_DWARF_ADDR] = ".debug_addr",
	[FNP_DWARF_STR_OFFSETS] = ".debug_str_offsets",
	[FNP_DWARF_RANGES] = ".debug_ranges",
	[FNP_DWARF_RNGLISTS] = ".debug_rnglists",
	[FNP_DWARF_ARANGES] = ".debug_aranges",
};

void fnp_dwarf_file_deinit(struct fnp_dwarf_file *file)
{
	for (size_t i = 0; i < FNP_DWARF_SECTIONS; i++)
		fnp_section_data_deinit(&file->sections[i]);
	fnp_object_unref(file->object);
	*file = (struct fnp_dwarf_file){0};
}

void fnp_dwarf_file_release_pages(const struct fnp_dwarf_file *file)
{
	fnp_object_release_pages(file->object);
	for (size_t i = 0; i < FNP_DWARF_SECTIONS; i++)
		fnp_section_data_release_pages(&file->sections[i]);
}

struct fnp_cursor fnp_dwarf_section(struct fnp_dwarf_file *file, enum fnp_dwarf_section section)
{
	char name[64];

	if (!file->loaded[section]) {
		file->loaded[section] = true;
		snprintf(name, sizeof(name), "%s%s", section_names[section], file->split ? ".dwo" : "");
		if (fnp_section_data_load(file->object, name, SECTION_MAX, &file->sections[section]) < 0)
			file->sections[section].bytes = fnp_cursor_of("", 0);
	}
	return file->sections[section].bytes;
}

void fnp_dwarf_unit_deinit(struct fnp_dwarf_unit *unit)
{
	fnp_vec_deinit(&unit->abbrevs.by_code);
	fnp_vec_deinit(&unit->abbrevs.attributes);
}

int fnp_dwarf_unit_read_header(struct fnp_dwarf_file *file, uint64_t offset, struct fnp_dwarf_unit *ret)
{
	struct fnp_cursor all = fnp_dwarf_section(file, FNP_DWARF_INFO), c;
	struct fnp_dwarf_unit unit = {.file = file, .offset = offset, .offset_size = 4, .type = DW_UT_compile};
	uint32_t length32;
	uint64_t length;
	int r;

	if (fnp_cursor_seek(&all, offset) < 0 || fnp_cursor_u32(&all, &length32) < 0)
		return -EBADMSG;
	length = length32;
	if (length32 == UINT32_MAX) {
		unit.offset_size = 8;
		if (fnp_cursor_u64(&all, &length) < 0)
			return -EBADMSG;
	}
	uint64_t start = fnp_cursor_offset(&all);
	if (fnp_cursor_sub(&all, length, &c) < 0 || fnp_cursor_u16(&c, &unit.version) < 0)
		return -EBADMSG;
	unit.end = start + length;
	if (unit.version >= 5) {
		if (fnp_cursor_u8(&c, &unit.type) < 0 || fnp_cursor_u8(&c, &unit.address_size) < 0 ||
		    fnp_dwarf_offset(&c, unit.offset_size, &unit.abbrev_offset) < 0)
			return -EBADMSG;
		r = unit.type == DW_UT_skeleton || unit.type == DW_UT_split_compile
			    ? fnp_cursor_u64(&c, &unit.dwo_id)
			    : 0;
		if (r == 0 && (unit.type == DW_UT_type || unit.type == DW_UT_split_type))
			r = fnp_cursor_skip(&c, 8 + unit.offset_size); /* signature, offset of the type */
	} else {
		r = fnp_dwarf_offset(&c, unit.offset_size, &unit.abbrev_offset);
		if (r == 0)
			r = fnp_cursor_u8(&c, &unit.address_size);
	}
	if (r < 0)
		return -EBADMSG;
	unit.first_die = start + fnp_cursor_offset(&c);
	unit.name = unit.comp_dir = unit.dwo_name = "";
	unit.line_offset = UINT64_MAX;
	*ret = unit;
	return 0;
}

/* What does not depend on values, once for an abbreviation and not for each of its DIEs. */
static void measure(struct fnp_dwarf_abbrev *abbrev, struct fnp_dwarf_attribute *attributes, uint8_t offset_size)
{
	int32_t at = 0;

	abbrev->sibling = abbrev->sibling_at = -1;
	for (uint32_t i = 0; i < abbrev->n; i++) {
		struct fnp_dwarf_attribute *a = &attributes[i];
		int size = fnp_dwarf_form_size(a->form, offset_size);

		if (a->form != DW_FORM_implicit_const)
			a->size = size;

		if (a->name == DW_AT_low_pc || a->name == DW_AT_ranges)
			abbrev->has_pc = true;
		if (a->name == DW_AT_sibling && a->form == DW_FORM_ref4) {
			abbrev->sibling = (int32_t)i;
			abbrev->sibling_at = at;
		}
		at = at < 0 || size < 0 || at > INT32_MAX - size ? -1 : at + size;
	}
	abbrev->fixed_bytes = at;
}

static int read_attributes(struct fnp_dwarf_unit *unit, struct fnp_cursor *c)
{
	for (;;) {
		struct fnp_dwarf_attribute attribute = {0};
		uint64_t name, form;
		int64_t implicit = 0;

		if (fnp_dwarf_uleb128(c, &name) < 0 || fnp_dwarf_uleb128(c, &form) < 0 ||
		    (form == DW_FORM_implicit_const && fnp_dwarf_sleb128(c, &implicit) < 0))
			return -EBADMSG;
		if (name == 0 && form == 0)
			return 0;
		if (form > UINT16_MAX)
			return -EBADMSG;
		attribute.name = name > UINT16_MAX ? UINT16_MAX : (uint16_t)name;
		attribute.form = (uint16_t)form;
		attribute.implicit = (int32_t)FNP_MAX(FNP_MIN(implicit, (int64_t)INT32_MAX),
						      (int64_t)INT32_MIN);
		int r = fnp_vec_push(&unit->abbrevs.attributes, attribute);
		if (r == 0)
			r = fnp_dwarf_burn(unit->file, 1);
		if (r < 0)
			return r;
	}
}

static int set_abbrev(struct fnp_dwarf_unit *unit, uint64_t code, const struct fnp_dwarf_abbrev *abbrev)
{
	struct fnp_dwarf_abbrevs *abbrevs = &unit->abbrevs;
	int r = fnp_dwarf_burn(unit->file, code >= abbrevs->by_code.len ? code - abbrevs->by_code.len : 0);

	if (r == 0)
		r = fnp_vec_reserve(&abbrevs->by_code, code + 1);
	if (r < 0)
		return r;
	while (abbrevs->by_code.len <= code)
		abbrevs->by_code.items[abbrevs->by_code.len++] = (struct fnp_dwarf_abbrev){0};
	if (abbrevs->by_code.items[code].tag == 0)
		abbrevs->by_code.items[code] = *abbrev;
	return 0;
}

static int read_abbrevs(struct fnp_dwarf_unit *unit)
{
	struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_ABBREV);
	struct fnp_dwarf_abbrevs *abbrevs = &unit->abbrevs;

	if (fnp_cursor_seek(&c, unit->abbrev_offset) < 0)
		return -EBADMSG;
	/* So that there is memory to point into, even where no abbreviation has an attribute. */
	if (fnp_vec_reserve(&abbrevs->attributes, 64) < 0)
		return -ENOMEM;
	for (;;) {
		struct fnp_dwarf_abbrev abbrev = {.first = (uint32_t)abbrevs->attributes.len};
		uint64_t code, tag;

		if (fnp_dwarf_uleb128(&c, &code) < 0)
			return -EBADMSG;
		if (code == 0)
			return 0;
		if (code >= ABBREV_CODE_MAX || fnp_dwarf_uleb128(&c, &tag) < 0 ||
		    fnp_cursor_u8(&c, &abbrev.has_children) < 0)
			return -EBADMSG;
		int r = read_attributes(unit, &c);
		if (r < 0)
			return r;
		abbrev.tag = tag == 0 || tag > UINT16_MAX ? UINT16_MAX : (uint16_t)tag;
		abbrev.n = (uint32_t)abbrevs->attributes.len - abbrev.first;
		measure(&abbrev, abbrevs->attributes.items + abbrev.first, unit->offset_size);
		r = set_abbrev(unit, code, &abbrev);
		if (r < 0)
			return r;
	}
}

static inline int skip_value(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_attribute *attribute,
			     struct fnp_cursor *c)
{
	if (attribute->form == DW_FORM_implicit_const)
		return 0;
	if (attribute->size >= 0)
		return fnp_cursor_skip(c, (uint64_t)attribute->size);
	return fnp_dwarf_form_skip(unit, attribute->form, c);
}

int fnp_dwarf_die_skip(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
		       struct fnp_cursor *c)
{
	const struct fnp_dwarf_attribute *attributes = unit->abbrevs.attributes.items + abbrev->first;

	if (abbrev->fixed_bytes >= 0)
		return fnp_cursor_skip(c, (uint64_t)abbrev->fixed_bytes);
	for (uint32_t i = 0; i < abbrev->n; i++) {
		int r = skip_value(unit, &attributes[i], c);
		if (r < 0)
			return r;
	}
	return 0;
}

bool fnp_dwarf_die_to_sibling(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
			      struct fnp_cursor *c)
{
	const struct fnp_dwarf_attribute *attributes = unit->abbrevs.attributes.items + abbrev->first;
	struct fnp_cursor at = *c;
	uint32_t sibling;
	int r = 0;

	if (abbrev->sibling < 0)
		return false;
	if (abbrev->sibling_at >= 0)
		r = fnp_cursor_skip(&at, (uint64_t)abbrev->sibling_at);
	for (int32_t i = 0; r == 0 && abbrev->sibling_at < 0 && i < abbrev->sibling; i++)
		r = skip_value(unit, &attributes[i], &at);
	if (r < 0 || fnp_cursor_u32(&at, &sibling) < 0 || sibling > unit->end - unit->offset ||
	    unit->offset + sibling <= fnp_cursor_offset(&at))
		return false;
	return fnp_cursor_seek(c, unit->offset + sibling) == 0;
}

int fnp_dwarf_die_values(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_abbrev *abbrev,
			 struct fnp_cursor *c, const uint16_t *names, size_t n, struct fnp_dwarf_value *ret)
{
	const struct fnp_dwarf_attribute *attributes = unit->abbrevs.attributes.items + abbrev->first;

	memset(ret, 0, n * sizeof(*ret));
	for (uint32_t i = 0; i < abbrev->n; i++) {
		size_t k = 0;
		int r;

		while (k < n && names[k] != attributes[i].name)
			k++;
		if (k < n)
			r = fnp_dwarf_form_read(unit, &attributes[i], c, &ret[k]);
		else
			r = skip_value(unit, &attributes[i], c);
		if (r < 0)
			return r;
	}
	return fnp_dwarf_burn(unit->file, 1 + abbrev->n / 8);
}

enum {
	ROOT_LANGUAGE,
	ROOT_NAME,
	ROOT_COMP_DIR,
	ROOT_DWO_NAME,
	ROOT_GNU_DWO_NAME,
	ROOT_GNU_DWO_ID,
	ROOT_LOW_PC,
	ROOT_STMT_LIST,
	ROOT_STR_OFFSETS_BASE,
	ROOT_ADDR_BASE,
	ROOT_GNU_ADDR_BASE,
	ROOT_RNGLISTS_BASE,
	ROOT_GNU_RANGES_BASE,
	ROOT_VALUES,
};

static const uint16_t root_names[ROOT_VALUES] = {
	[ROOT_LANGUAGE] = DW_AT_language,
	[ROOT_NAME] = DW_AT_name,
	[ROOT_COMP_DIR] = DW_AT_comp_dir,
	[ROOT_DWO_NAME] = DW_AT_dwo_name,
	[ROOT_GNU_DWO_NAME] = DW_AT_GNU_dwo_name,
	[ROOT_GNU_DWO_ID] = DW_AT_GNU_dwo_id,
	[ROOT_LOW_PC] = DW_AT_low_pc,
	[ROOT_STMT_LIST] = DW_AT_stmt_list,
	[ROOT_STR_OFFSETS_BASE] = DW_AT_str_offsets_base,
	[ROOT_ADDR_BASE] = DW_AT_addr_base,
	[ROOT_GNU_ADDR_BASE] = DW_AT_GNU_addr_base,
	[ROOT_RNGLISTS_BASE] = DW_AT_rnglists_base,
	[ROOT_GNU_RANGES_BASE] = DW_AT_GNU_ranges_base,
};

/* Bases that a split unit leaves out stand after the header of its own section (DWARF 5, 7.26 to 7.28). */
static uint64_t default_base(const struct fnp_dwarf_unit *unit, uint64_t header32, uint64_t header64)
{
	if (!unit->file->split || unit->version < 5)
		return 0;
	return unit->offset_size == 8 ? header64 : header32;
}

static uint64_t number_or(const struct fnp_dwarf_value *value, uint64_t otherwise)
{
	return value->form ? value->number : otherwise;
}

static const char *string_or_empty(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *value)
{
	const char *string = fnp_dwarf_string(unit, value);

	return string ? string : "";
}

static void take_root_values(struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *v)
{
	/* Bases first: the other values need them. */
	unit->str_offsets_base = number_or(&v[ROOT_STR_OFFSETS_BASE], default_base(unit, 8, 16));
	unit->addr_base = number_or(&v[ROOT_ADDR_BASE], number_or(&v[ROOT_GNU_ADDR_BASE], 0));
	unit->rnglists_base = number_or(&v[ROOT_RNGLISTS_BASE], default_base(unit, 12, 20));
	unit->ranges_base = number_or(&v[ROOT_GNU_RANGES_BASE], 0);
	unit->language = (uint16_t)v[ROOT_LANGUAGE].number;
	unit->line_offset = number_or(&v[ROOT_STMT_LIST], UINT64_MAX);
	unit->name = string_or_empty(unit, &v[ROOT_NAME]);
	unit->comp_dir = string_or_empty(unit, &v[ROOT_COMP_DIR]);
	unit->dwo_name = string_or_empty(unit, &v[v[ROOT_DWO_NAME].form ? ROOT_DWO_NAME : ROOT_GNU_DWO_NAME]);
	if (unit->version < 5)
		unit->dwo_id = v[ROOT_GNU_DWO_ID].number;
	(void)fnp_dwarf_address(unit, &v[ROOT_LOW_PC], &unit->low_pc); /* stays 0 */
}

int fnp_dwarf_unit_read_root(struct fnp_dwarf_unit *unit)
{
	struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_INFO);
	struct fnp_dwarf_value values[ROOT_VALUES];
	struct fnp_dwarf_die die;
	int r;

	if (unit->version < 2 || unit->version > 5 || unit->address_size != 8)
		return -EBADMSG;
	r = read_abbrevs(unit);
	if (r < 0)
		return r;
	fnp_vec_shrink(&unit->abbrevs.by_code);
	fnp_vec_shrink(&unit->abbrevs.attributes);
	if (fnp_cursor_seek(&c, unit->first_die) < 0 || fnp_dwarf_die_read(unit, &c, &die) < 0 || !die.abbrev)
		return -EBADMSG;
	r = fnp_dwarf_die_values(unit, die.abbrev, &c, root_names, ROOT_VALUES, values);
	if (r < 0)
		return r;
	take_root_values(unit, values);
	return 0;
}
