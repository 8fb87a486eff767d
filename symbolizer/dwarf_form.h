/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes of forms, for the readers of DWARF among themselves.
 */
#ifndef FNP_SYMBOLIZER_DWARF_FORM_H
#define FNP_SYMBOLIZER_DWARF_FORM_H

#include "symbolizer/dwarf_file.h"

/* Bytes that a form takes, -1 when that varies with the value. */
int fnp_dwarf_form_size(uint16_t form, uint8_t offset_size);

int fnp_dwarf_form_skip(const struct fnp_dwarf_unit *unit, uint16_t form, struct fnp_cursor *c);

/* An offset of 4 or 8 bytes. */
static inline int fnp_dwarf_offset(struct fnp_cursor *c, uint8_t offset_size, uint64_t *ret)
{
	uint32_t small;
	int r;

	if (offset_size == 8)
		return fnp_cursor_u64(c, ret);
	r = fnp_cursor_u32(c, &small);
	if (r == 0)
		*ret = small;
	return r;
}

/* fnp_cursor_sleb128(), likewise. */
static inline int fnp_dwarf_sleb128(struct fnp_cursor *c, int64_t *ret)
{
	if (c->pos < c->end && *c->pos < 0x80) {
		*ret = (int64_t)(*c->pos & 0x3f) - (*c->pos & 0x40);
		c->pos++;
		return 0;
	}
	return fnp_cursor_sleb128(c, ret);
}

/* A string at an offset of a section, NULL when there is none. */
const char *fnp_dwarf_string_at(struct fnp_dwarf_file *file, enum fnp_dwarf_section section, uint64_t offset);

#endif
