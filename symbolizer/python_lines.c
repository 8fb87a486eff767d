/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line of an instruction, by the three formats in which CPython has kept them.
 *
 *   to 3.9	co_lnotab: pairs of (bytes of code, signed lines) to be added up to the instruction
 *   3.10	co_linetable (PEP 626): pairs of (bytes that have this line, signed lines; -128: none)
 *   from 3.11	co_linetable (Objects/locations.md): entries of 1 to 8 two-byte units; a first byte has bit 7 set, the
 *		kind in bits 6..3 and the units less one in bits 2..0
 */
#include "symbolizer/python.h"

static uint32_t line_by_lnotab(struct fnp_cursor c, int64_t line, int64_t instruction)
{
	int64_t address = 0;
	uint8_t bytes, lines;

	while (fnp_cursor_u8(&c, &bytes) == 0 && fnp_cursor_u8(&c, &lines) == 0) {
		address += bytes;
		if (address > instruction)
			break;
		line += (int8_t)lines;
	}
	return line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
}

static uint32_t line_by_ranges(struct fnp_cursor c, int64_t line, int64_t instruction)
{
	int64_t end = 0;
	uint8_t bytes, lines;

	while (fnp_cursor_u8(&c, &bytes) == 0 && fnp_cursor_u8(&c, &lines) == 0) {
		bool has_line = (int8_t)lines != -128;

		end += bytes;
		if (has_line)
			line += (int8_t)lines;
		if (instruction < end)
			return has_line && line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
	}
	return 0;
}

/* Six bits a byte, least first; bit 6 says that there is another. */
static int read_varint(struct fnp_cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	uint8_t byte = 0;

	for (unsigned shift = 0; shift < 60; shift += 6) {
		if (fnp_cursor_u8(c, &byte) < 0)
			return -EBADMSG;
		value |= (uint64_t)(byte & 63) << shift;
		if (!(byte & 64)) {
			*ret = value;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Adds the entry's line difference; false when the instructions of the entry have no line. */
static int read_location(struct fnp_cursor *c, unsigned kind, int64_t *line, bool *ret_has_line)
{
	uint64_t number;
	int r = 0;

	*ret_has_line = true;
	if (kind <= 9) /* short form: columns alone */
		return fnp_cursor_skip(c, 1);
	if (kind <= 12) { /* 0 to 2 lines further */
		*line += kind - 10;
		return fnp_cursor_skip(c, 2);
	}
	if (kind == 15) {
		*ret_has_line = false;
		return 0;
	}
	r = read_varint(c, &number);
	if (r < 0)
		return r;
	*line += number & 1 ? -(int64_t)(number >> 1) : (int64_t)(number >> 1);
	for (int i = 0; r == 0 && kind == 14 && i < 3; i++)
		r = read_varint(c, &number);
	return r;
}

static uint32_t line_by_locations(struct fnp_cursor c, int64_t line, int64_t instruction)
{
	int64_t end = 0;
	uint8_t first;
	bool has_line;

	while (fnp_cursor_u8(&c, &first) == 0) {
		if (!(first & 0x80) || read_location(&c, (first >> 3) & 15, &line, &has_line) < 0)
			return 0;
		end += 2 * ((first & 7) + 1);
		if (instruction < end)
			return has_line && line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
	}
	return 0;
}

uint32_t fnp_python_line(const struct fnp_python_code_info *code, uint16_t minor, int32_t instruction)
{
	struct fnp_cursor c = fnp_cursor_of(code->table, code->table_size);

	if ((uint32_t)instruction == FNP_PYTHON_NOWHERE)
		return 0;
	if (instruction < 0)
		return code->first_line;
	if (minor <= 9)
		return line_by_lnotab(c, code->first_line, instruction);
	if (minor == 10)
		return line_by_ranges(c, code->first_line, instruction);
	return line_by_locations(c, code->first_line, instruction);
}
