/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that lead from a place in code to a position in the source.
 *
 * Bytecode and optimized code have a table of positions: at which offset of code which position, in which inlining,
 * begins. Tables are numbers of 7 bits a byte, as differences to the entry before (source-position-table.cc). Bytecode
 * that was compiled lazily has none until somebody needs it: then there is no position.
 *
 * Baseline code has a table of lengths instead: of its prologue, then of what was made of each bytecode in turn
 * (bytecode-offset-iterator.h). So the bytecode is gone through beside it, and where that begins is looked up in the
 * bytecode's own table. How long each bytecode is stands in a table of the program itself, kBytecodeSizes: a byte for each
 * bytecode, for operands of 1, 2 and 4 bytes; a stripped program has no symbol for it, and its baseline code no lines.
 */
#include "symbolizer/v8.h"

#define TABLE_MAX (4 << 20)
#define BYTECODE_MAX (16 << 20)
/* The first bytecodes say that the operands of the next one are wider (bytecodes.h). */
enum { WIDE = 0, EXTRA_WIDE = 1, DEBUG_BREAK_WIDE = 2, DEBUG_BREAK_EXTRA_WIDE = 3, PREFIXES = 4 };

static int read_number(struct fnp_cursor *c, int64_t *ret)
{
	uint64_t value = 0;
	int r = fnp_cursor_uleb128(c, &value);

	if (r == 0)
		*ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
	return r;
}

/* Bit 0 says that it is of no JavaScript, then 30 bits of place and 16 of the inlining, from -1 on. */
void fnp_v8_position_set(uint64_t raw, struct fnp_v8_position *position)
{
	position->source = raw & 1 ? -1 : (int32_t)(raw >> 1 & 0x3fffffff) - 1;
	position->inlined = (int32_t)(raw >> 31 & 0xffff) - 1;
}

int fnp_v8_position_next(struct fnp_cursor *c, unsigned shift, uint64_t *raw, struct fnp_v8_position *state)
{
	int64_t code = 0, source = 0;
	int r;

	if (fnp_cursor_left(c) == 0)
		return -ENODATA;
	r = read_number(c, &code);
	r = r ?: read_number(c, &source);
	if (r < 0)
		return r;
	/* A negative distance marks what is no statement. */
	state->code += (uint32_t)(code >= 0 ? code : -(code + 1)) >> shift;
	*raw += (uint64_t)source;
	fnp_v8_position_set(*raw, state);
	return 0;
}

/* The bytes of an array whose first one lies at `data`, owned. */
static int read_array(const struct fnp_v8_view *view, uint64_t array, int32_t data, size_t max, uint8_t **ret,
		      size_t *ret_size)
{
	const int32_t *v = view->tables.values;
	uint64_t length;
	int r = fnp_v8_field(view, array, v[FNP_V8_ARRAY_LENGTH], &length);

	if (r < 0 || (uint32_t)length || length >> 32 > max ||
	    fnp_v8_type(view, array) < v[FNP_V8_FIRST_NO_STRING])
		return -ESRCH;
	length >>= 32;
	fnp_autofree uint8_t *bytes = malloc(length + 1);
	if (!bytes)
		return -ENOMEM;
	if (length && fnp_runtime_read(view->pid, array - 1 + (uint64_t)data, bytes, length) < 0)
		return -ESRCH;
	*ret = TAKE_PTR(bytes);
	*ret_size = length;
	return 0;
}

int fnp_v8_byte_array(const struct fnp_v8_view *view, uint64_t array, uint8_t **ret, size_t *ret_size)
{
	return read_array(view, array, view->tables.values[FNP_V8_ARRAY_DATA], TABLE_MAX, ret, ret_size);
}

int fnp_v8_position_find(struct fnp_cursor table, unsigned shift, uint32_t offset, struct fnp_v8_position *ret)
{
	struct fnp_v8_position next = {0}, found = {.source = -1, .inlined = -1};
	uint64_t raw = 0;
	int r;

	while ((r = fnp_v8_position_next(&table, shift, &raw, &next)) == 0 && next.code <= offset)
		found = next;
	if (r < 0 && r != -ENODATA)
		return -EBADMSG;
	*ret = found;
	return 0;
}

int32_t fnp_v8_bytecode_position(const struct fnp_v8_view *view, uint64_t bytecode, uint32_t offset)
{
	fnp_autofree uint8_t *bytes = NULL;
	struct fnp_v8_position position;
	uint64_t table;
	size_t size;

	if (fnp_v8_type(view, bytecode) != view->layout.type_bytecode ||
	    fnp_v8_field(view, bytecode, view->tables.bytecode_positions, &table) < 0 ||
	    fnp_v8_byte_array(view, table, &bytes, &size) < 0 ||
	    fnp_v8_position_find(fnp_cursor_of(bytes, size), view->tables.position_shift, offset, &position) < 0)
		return -1;
	return position.source;
}

/* ---- baseline code ------------------------------------------------------------------------------------------ */

/* The bytes of the bytecode at `at`, with its prefix; 0: not known. */
static size_t size_of_bytecode(const struct fnp_v8_tables *t, const uint8_t *bytes, size_t size, size_t at)
{
	unsigned scale = 0, prefix = 0;

	if (at < size && bytes[at] < PREFIXES) {
		scale = bytes[at] == WIDE || bytes[at] == DEBUG_BREAK_WIDE ? 1 : 2;
		prefix = 1;
	}
	if (at + prefix >= size || bytes[at + prefix] >= t->n_bytecodes)
		return 0;
	size_t own = t->bytecode_sizes[scale * t->n_bytecodes + bytes[at + prefix]];
	return own ? own + prefix : 0;
}

int fnp_v8_baseline_find(const struct fnp_v8_tables *t, struct fnp_cursor lengths, const uint8_t *bytecode,
			 size_t size, uint32_t pc, uint32_t *ret)
{
	uint64_t end = 0, length = 0;
	size_t at = 0;
	int r = fnp_cursor_uleb128(&lengths, &end);

	if (r < 0 || pc < end)
		return -ESRCH;
	while ((r = fnp_cursor_uleb128(&lengths, &length)) == 0) {
		size_t own = size_of_bytecode(t, bytecode, size, at);

		if (own == 0 || length > UINT32_MAX)
			return -ESRCH;
		end += length;
		if (pc < end) {
			*ret = (uint32_t)at;
			return 0;
		}
		at += own;
	}
	return -ESRCH;
}

int32_t fnp_v8_baseline_position(const struct fnp_v8_view *view, uint64_t bytecode, uint64_t table, uint32_t pc)
{
	const struct fnp_v8_tables *t = &view->tables;
	fnp_autofree uint8_t *lengths = NULL, *bytes = NULL;
	size_t n_lengths, n_bytes;
	uint64_t inner;
	uint32_t offset;

	if (t->n_bytecodes == 0)
		return -1;
	/* A copy that runs under an interpreter entry of its own (InterpreterData). */
	if (fnp_v8_type(view, bytecode) == t->values[FNP_V8_TYPE_INTERPRETER_DATA] &&
	    fnp_v8_field(view, bytecode, 8, &inner) == 0)
		bytecode = inner;
	if (fnp_v8_type(view, bytecode) != view->layout.type_bytecode ||
	    fnp_v8_byte_array(view, table, &lengths, &n_lengths) < 0 ||
	    read_array(view, bytecode, t->values[FNP_V8_BYTECODE_DATA], BYTECODE_MAX, &bytes, &n_bytes) < 0 ||
	    fnp_v8_baseline_find(t, fnp_cursor_of(lengths, n_lengths), bytes, n_bytes, pc, &offset) < 0)
		return -1;
	return fnp_v8_bytecode_position(view, bytecode, offset);
}
