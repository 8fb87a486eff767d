/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How attribute values are written (DWARF 5, 7.5.6), with the GNU extensions for split units and dwz, and what
 * addresses a list of ranges has (2.17.3, and .debug_ranges of DWARF 4).
 */
#include "symbolizer/dwarf_form.h"

#include <dwarf.h>

int fnp_dwarf_form_size(uint16_t form, uint8_t offset_size)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_ref_sup4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
		return 4;
	case DW_FORM_addr: /* only units with addresses of 8 bytes are read */
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_sec_offset:
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
	case DW_FORM_GNU_ref_alt:
		return offset_size;
	default:
		return -1;
	}
}

static int skip_block(struct fnp_cursor *c, uint16_t form)
{
	uint64_t size = 0;
	uint32_t size4 = 0;
	uint16_t size2 = 0;
	uint8_t size1 = 0;
	int r;

	if (form == DW_FORM_block1) {
		r = fnp_cursor_u8(c, &size1);
		size = size1;
	} else if (form == DW_FORM_block2) {
		r = fnp_cursor_u16(c, &size2);
		size = size2;
	} else if (form == DW_FORM_block4) {
		r = fnp_cursor_u32(c, &size4);
		size = size4;
	} else {
		r = fnp_dwarf_uleb128(c, &size);
	}
	return r < 0 ? r : fnp_cursor_skip(c, size);
}

static int skip_leb128(struct fnp_cursor *c)
{
	for (const uint8_t *p = c->pos; p < c->end; p++) {
		if (!(*p & 0x80)) {
			c->pos = p + 1;
			return 0;
		}
	}
	return -EBADMSG;
}

int fnp_dwarf_form_skip(const struct fnp_dwarf_unit *unit, uint16_t form, struct fnp_cursor *c)
{
	int size = fnp_dwarf_form_size(form, unit->offset_size);
	const char *string;
	uint64_t inner;

	if (size >= 0)
		return fnp_cursor_skip(c, (uint64_t)size);
	switch (form) {
	case DW_FORM_ref_addr: /* as wide as an address in DWARF 2 */
		return fnp_cursor_skip(c, unit->version <= 2 ? unit->address_size : unit->offset_size);
	case DW_FORM_string:
		return fnp_cursor_string(c, &string);
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return skip_block(c, form);
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_str_index:
	case DW_FORM_GNU_addr_index:
		return skip_leb128(c);
	case DW_FORM_indirect:
		/* One level: a form that names itself again and again is nobody's. */
		if (fnp_dwarf_uleb128(c, &inner) < 0 || inner == DW_FORM_indirect || inner > UINT16_MAX)
			return -EBADMSG;
		return fnp_dwarf_form_skip(unit, (uint16_t)inner, c);
	default:
		return -EBADMSG;
	}
}

/* A little-endian number of 1 to 8 bytes; by one load, but at the end of the section. */
static int read_fixed(struct fnp_cursor *c, int size, uint64_t *ret)
{
	uint64_t value = 0;
	int r;

	if (fnp_cursor_left(c) >= sizeof(value)) {
		memcpy(&value, c->pos, sizeof(value));
		c->pos += size;
		*ret = value & UINT64_MAX >> (64 - 8 * size);
		return 0;
	}
	r = fnp_cursor_copy(c, &value, (uint64_t)size);

	if (r == 0)
		*ret = value;
	return r;
}

static int read_number(const struct fnp_dwarf_unit *unit, uint16_t form, struct fnp_cursor *c, uint64_t *ret)
{
	int size = fnp_dwarf_form_size(form, unit->offset_size);

	switch (form) {
	case DW_FORM_flag_present:
		*ret = 1;
		return 0;
	case DW_FORM_sdata:
		return fnp_dwarf_sleb128(c, (int64_t *)ret);
	case DW_FORM_ref_addr:
		return read_fixed(c, unit->version <= 2 ? unit->address_size : unit->offset_size, ret);
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_str_index:
	case DW_FORM_GNU_addr_index:
		return fnp_dwarf_uleb128(c, ret);
	default:
		if (size > 0 && size <= 8)
			return read_fixed(c, size, ret);
		return fnp_dwarf_form_skip(unit, form, c);
	}
}

int fnp_dwarf_form_read(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_attribute *attribute,
			struct fnp_cursor *c, struct fnp_dwarf_value *ret)
{
	struct fnp_dwarf_value value = {.form = attribute->form};
	uint64_t inner;
	int r;

	if (value.form == DW_FORM_indirect) {
		if (fnp_dwarf_uleb128(c, &inner) < 0 || inner == DW_FORM_indirect || inner > UINT16_MAX)
			return -EBADMSG;
		value.form = (uint16_t)inner;
	}
	if (value.form == DW_FORM_implicit_const) {
		value.number = (uint64_t)(int64_t)attribute->implicit;
		r = 0;
	} else if (attribute->size > 0 && attribute->size <= 8 && value.form == attribute->form) {
		r = read_fixed(c, attribute->size, &value.number);
	} else if (value.form == DW_FORM_string) {
		r = fnp_cursor_string(c, &value.string);
	} else {
		r = read_number(unit, value.form, c, &value.number);
	}
	if (r < 0)
		return r;
	switch (value.form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		value.number += unit->offset;
		break;
	default:
		break;
	}
	*ret = value;
	return 0;
}

const char *fnp_dwarf_string_at(struct fnp_dwarf_file *file, enum fnp_dwarf_section section, uint64_t offset)
{
	struct fnp_cursor c = fnp_dwarf_section(file, section);
	const char *string;

	return fnp_cursor_seek(&c, offset) == 0 && fnp_cursor_string(&c, &string) == 0 ? string : NULL;
}

/* The number'th entry of a table of offsets or addresses that starts at `base`. */
static int table_entry(struct fnp_cursor table, uint64_t base, uint64_t number, uint8_t size, uint64_t *ret)
{
	if (fnp_cursor_seek(&table, base) < 0 || number >= fnp_cursor_left(&table) / size)
		return -ENOENT;
	table.pos += number * size;
	return fnp_dwarf_offset(&table, size, ret);
}

const char *fnp_dwarf_string(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *value)
{
	struct fnp_dwarf_file *file = unit->file;
	uint64_t offset;

	switch (value->form) {
	case DW_FORM_string:
		return value->string;
	case DW_FORM_strp:
		return fnp_dwarf_string_at(file, FNP_DWARF_STR, value->number);
	case DW_FORM_line_strp:
		return fnp_dwarf_string_at(file, FNP_DWARF_LINE_STR, value->number);
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
		return file->alt ? fnp_dwarf_string_at(file->alt, FNP_DWARF_STR, value->number) : NULL;
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		if (table_entry(fnp_dwarf_section(file, FNP_DWARF_STR_OFFSETS), unit->str_offsets_base,
				value->number, unit->offset_size, &offset) < 0)
			return NULL;
		return fnp_dwarf_string_at(file, FNP_DWARF_STR, offset);
	default:
		return NULL;
	}
}

/* Addresses of a split unit stand in the main file. */
static int indexed_address(const struct fnp_dwarf_unit *unit, uint64_t index, uint64_t *ret)
{
	const struct fnp_dwarf_unit *owner = unit->skeleton ? unit->skeleton : unit;

	return table_entry(fnp_dwarf_section(owner->file, FNP_DWARF_ADDR), owner->addr_base, index, 8, ret);
}

int fnp_dwarf_address(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *value, uint64_t *ret)
{
	switch (value->form) {
	case DW_FORM_addr:
		*ret = value->number;
		return 0;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return indexed_address(unit, value->number, ret);
	default:
		return -ENOENT;
	}
}

struct range_reader {
	const struct fnp_dwarf_unit *unit;
	uint64_t base;
	int (*each)(void *context, uint64_t low, uint64_t high);
	void *context;
};

static int give(const struct range_reader *reader, uint64_t low, uint64_t high)
{
	int r = fnp_dwarf_burn(reader->unit->file, 1);

	return r < 0 || low >= high ? r : reader->each(reader->context, low, high);
}

/* .debug_ranges: pairs relative to a base; {-1, base} sets it, {0, 0} ends. */
static int read_ranges(struct range_reader *reader, uint64_t offset)
{
	const struct fnp_dwarf_unit *unit = reader->unit;
	struct fnp_dwarf_file *file = unit->skeleton ? unit->skeleton->file : unit->file;
	struct fnp_cursor c = fnp_dwarf_section(file, FNP_DWARF_RANGES);
	uint64_t low, high;

	if (unit->skeleton)
		offset += unit->skeleton->ranges_base;
	if (fnp_cursor_seek(&c, offset) < 0)
		return -EBADMSG;
	for (;;) {
		if (fnp_cursor_u64(&c, &low) < 0 || fnp_cursor_u64(&c, &high) < 0)
			return -EBADMSG;
		if (low == 0 && high == 0)
			return 0;
		if (low == UINT64_MAX) {
			reader->base = high;
			continue;
		}
		int r = give(reader, reader->base + low, reader->base + high);
		if (r != 0)
			return r;
	}
}

/* One entry of a DW_AT_rnglists list; *ret_low == *ret_high where it gives no range. */
static int read_rnglist_entry(struct range_reader *reader, uint8_t kind, struct fnp_cursor *c,
			      uint64_t *ret_low, uint64_t *ret_high)
{
	const struct fnp_dwarf_unit *unit = reader->unit;
	uint64_t a = 0, b = 0;
	bool two = kind != DW_RLE_base_addressx && kind != DW_RLE_base_address,
	     fixed = kind >= DW_RLE_base_address;

	/* base_address, start_end and start_length have addresses of 8 bytes, the others indexes as LEB128. */
	if ((fixed ? fnp_cursor_u64(c, &a) : fnp_dwarf_uleb128(c, &a)) < 0 ||
	    (two && (kind == DW_RLE_start_end ? fnp_cursor_u64(c, &b) : fnp_dwarf_uleb128(c, &b)) < 0))
		return -EBADMSG;
	if ((kind == DW_RLE_base_addressx || kind == DW_RLE_startx_endx || kind == DW_RLE_startx_length) &&
	    indexed_address(unit, a, &a) < 0)
		return -EBADMSG;
	if (kind == DW_RLE_startx_endx && indexed_address(unit, b, &b) < 0)
		return -EBADMSG;
	*ret_low = *ret_high = 0;
	if (!two) {
		reader->base = a;
		return 0;
	}
	*ret_low = a;
	*ret_high = kind == DW_RLE_startx_length || kind == DW_RLE_start_length ? a + b : b;
	return 0;
}

static int read_rnglist(struct range_reader *reader, uint64_t offset)
{
	struct fnp_cursor c = fnp_dwarf_section(reader->unit->file, FNP_DWARF_RNGLISTS);
	uint64_t low, high;
	uint8_t kind;

	if (fnp_cursor_seek(&c, offset) < 0)
		return -EBADMSG;
	for (;;) {
		if (fnp_cursor_u8(&c, &kind) < 0 || kind > DW_RLE_start_length)
			return -EBADMSG;
		if (kind == DW_RLE_end_of_list)
			return 0;
		if (kind == DW_RLE_offset_pair) {
			if (fnp_dwarf_uleb128(&c, &low) < 0 || fnp_dwarf_uleb128(&c, &high) < 0)
				return -EBADMSG;
			low += reader->base;
			high += reader->base;
		} else if (read_rnglist_entry(reader, kind, &c, &low, &high) < 0) {
			return -EBADMSG;
		}
		int r = give(reader, low, high);
		if (r != 0)
			return r;
	}
}

int fnp_dwarf_ranges(const struct fnp_dwarf_unit *unit, const struct fnp_dwarf_value *low_pc,
		     const struct fnp_dwarf_value *high_pc, const struct fnp_dwarf_value *ranges,
		     int (*each)(void *context, uint64_t low, uint64_t high), void *context)
{
	const struct fnp_dwarf_unit *main = unit->skeleton ? unit->skeleton : unit;
	struct range_reader reader = {.unit = unit, .base = main->low_pc, .each = each, .context = context};
	uint64_t low, high, offset = ranges->number;

	if (ranges->form) {
		if (unit->version < 5)
			return read_ranges(&reader, offset);
		if (ranges->form == DW_FORM_rnglistx) {
			struct fnp_cursor c = fnp_dwarf_section(unit->file, FNP_DWARF_RNGLISTS);
			if (table_entry(c, unit->rnglists_base, ranges->number, unit->offset_size, &offset) < 0)
				return -EBADMSG;
			offset += unit->rnglists_base;
		}
		return read_rnglist(&reader, offset);
	}
	if (fnp_dwarf_address(unit, low_pc, &low) < 0 || !high_pc->form)
		return 0;
	/* An address, or (since DWARF 4) a distance. */
	if (fnp_dwarf_address(unit, high_pc, &high) < 0)
		high = low + high_pc->number;
	return give(&reader, low, high);
}
