/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_flat.h"

#include "symbolizer/code_rules.h"
#include "symbolizer/code_state.h"

#define BEGIN_SIZE 8 /* bytes that tell how a function begins */
#define SIZE_MIN 256 /* bytes; there is very much that lies apart, and mostly less */

/* One rule for all of it, which is rsp and something. */
static bool is_flat(const struct fnp_rows *rows, uint64_t start, struct fnp_rule *ret)
{
	const struct fnp_row *last = rows->rows.len ? &rows->rows.items[rows->rows.len - 1] : NULL;

	if (!last || start < rows->base || last->offset > start - rows->base)
		return false;
	*ret = rows->rules.items[last->rule];
	return ret->cfa_kind == FNP_CFA_REG && ret->cfa_reg == FNP_REG_SP &&
	       ret->cfa_offset >= FNP_CODE_ENTRY_DEPTH && !ret->flags && ret->saved >> 4 == FNP_SAVED_AT_CFA;
}

/* push, or sub from rsp: no function that begins so is a leaf that leaves the stack alone. */
static bool begins_with_push(const uint8_t *code)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

	code += memcmp(code, endbr64, sizeof(endbr64)) == 0 ? sizeof(endbr64) : 0;
	code += code[0] == 0x41;
	return (code[0] & 0xf8) == 0x50 ||
	       (code[0] == 0x48 && (code[1] == 0x83 || code[1] == 0x81) && code[2] == 0xec);
}

/* What cannot be read as instructions counts as moving it. */
static bool moves_stack(const struct fnp_code *code)
{
	for (size_t offset = 0; offset < code->size;) {
		struct fnp_code_state s = FNP_CODE_ENTRY;
		struct fnp_x86 x;

		if (fnp_x86_decode(code->bytes + offset, code->size - offset, &x) < 0 ||
		    fnp_code_step(&x, &s) < 0 || !s.has_depth || s.depth != FNP_CODE_ENTRY_DEPTH)
			return true;
		offset += x.size;
	}
	return false;
}

int fnp_flat_doubt(const struct fnp_object *object, struct fnp_rows *rows, uint64_t start, uint64_t end,
		   bool leaves)
{
	static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};
	struct fnp_code code = {.address = start, .size = end - start};
	bool moves = false;
	struct fnp_rule rule;
	int r = 0;

	if (end <= start || end - start < BEGIN_SIZE || !is_flat(rows, start, &rule) ||
	    (end - start < SIZE_MIN && rule.cfa_offset != FNP_CODE_ENTRY_DEPTH) ||
	    (!leaves && rule.cfa_offset == FNP_CODE_ENTRY_DEPTH) ||
	    fnp_object_read_address(object, start, code.size, &code.bytes) < 0)
		return 0;
	if (rule.cfa_offset == FNP_CODE_ENTRY_DEPTH)
		return begins_with_push(code.bytes) ? fnp_rows_end(rows, start) : 0;
	for (struct fnp_code left = code; !moves && left.size > 0;) {
		struct fnp_code part = left;

		part.size = fnp_code_rules_next(&left);
		moves = moves_stack(&part);
		left.bytes += part.size;
		left.address += part.size;
		left.size -= part.size;
	}
	if (!moves)
		return 0;
	rule.flags |= FNP_RULE_BELIEVED;
	while (r == 0 && code.size > 0) {
		struct fnp_code part = code;

		part.size = fnp_code_rules_next(&code);
		r = fnp_rows_add(rows, part.address, moves_stack(&part) ? &unknown : &rule);
		code.bytes += part.size;
		code.address += part.size;
		code.size -= part.size;
	}
	return r;
}
