/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/unwind_handover.h"

#include "symbolizer/x86_code.h"

#define HANDOVER_MAX 0xb0 /* bytes of code between the call that hands over and the jump away */
#define CALL_SIZE 5
#define COPY_MAX 4096 /* bytes of the function that copies the registers */
#define REGISTERS 17  /* that it copies; the last one is the return address (psABI, table 3.36) */

static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};

/* ---- the loop that copies the registers ---- */

/* Its code, and the part in which `index` (an instruction's number) holds the number of the register. */
struct loop {
	const uint8_t *code;
	uint64_t address;
	size_t size, start, end;
	uint8_t index;
};

static bool is_one_byte(const struct fnp_x86 *x, uint8_t opcode)
{
	return x->map == 0 && !x->vex && x->opcode == opcode;
}

/* cmp $17, index */
static bool is_bound(const struct fnp_x86 *x)
{
	return is_one_byte(x, 0x83) && x->group == 7 && x->direct && x->wide && x->immediate == REGISTERS;
}

/* xor index, index */
static bool is_zeroed(const struct fnp_x86 *x, uint8_t index)
{
	return (is_one_byte(x, 0x31) || is_one_byte(x, 0x33)) && x->direct && x->reg == index && x->rm == index;
}

static bool is_jump(const struct fnp_x86 *x)
{
	return (x->map == 0 && ((x->opcode & 0xf0) == 0x70 || x->opcode == 0xe9 || x->opcode == 0xeb)) ||
	       (x->map == 1 && (x->opcode & 0xf0) == 0x80);
}

/* Instructions of one byte's opcode that write what ModRM.rm names, if they write anything. */
static bool keeps_operand(const struct fnp_x86 *x, uint8_t index)
{
	bool is_it = x->direct && x->rm == index;

	switch (x->opcode) {
	case 0x38 ... 0x3b: /* cmp */
	case 0x84:	    /* test */
	case 0x85:
		return true;
	case 0x01: /* add, sub, and, or, mov to it */
	case 0x09:
	case 0x21:
	case 0x29:
	case 0x88:
	case 0x89:
	case 0xc1: /* shifts */
	case 0xc7:
		return !is_it;
	case 0x80:
	case 0x81:
	case 0x83: /* add $1 counts */
		return !is_it || x->group == 7 || (x->opcode == 0x83 && x->group == 0 && x->immediate == 1);
	case 0xf6:
	case 0xf7:
		return x->group == 0 || (x->group < 4 && !is_it);
	case 0x03: /* into ModRM.reg */
	case 0x0b:
	case 0x23:
	case 0x2b:
	case 0x63:
	case 0x8b:
	case 0x8d:
		return x->reg != index;
	}
	return false;
}

/* Whether the index is after an instruction what it was before it, or one more. What is not known does not. */
static bool keeps_index(const struct fnp_x86 *x, uint8_t index)
{
	if (is_jump(x))
		return true;
	if (x->vex || x->map > 1)
		return false;
	if (x->map == 1) {
		if (x->opcode == 0x1f)
			return true;
		if ((x->opcode & 0xf0) == 0x90) /* of the first four, the second byte also has a number */
			return x->direct ? x->rm != index && x->rm != index + 4 : true;
		return ((x->opcode & 0xf6) == 0xb6 || (x->opcode & 0xf0) == 0x40) && x->reg != index;
	}
	if (x->opcode == 0x90)
		return true;
	if (x->opcode == 0xa4 || x->opcode == 0xa5) /* movs: rcx, rsi, rdi */
		return index != 1 && index != 6 && index != 7;
	return x->has_modrm && keeps_operand(x, index);
}

/* Where the loop is: from the last zeroing before the first comparison to the jump behind the last one. */
static bool find_loop(struct loop *loop)
{
	size_t zeroed[16] = {0};
	struct fnp_x86 x;
	bool found = false, behind = false;

	for (size_t at = 0; at < loop->size; at += x.size) {
		if (fnp_x86_decode(loop->code + at, loop->size - at, &x) < 0)
			return false;
		if (behind) {
			if (!is_jump(&x))
				return false;
			loop->end = at + x.size;
		}
		behind = is_bound(&x);
		if (behind && found && x.rm != loop->index)
			return false;
		if (behind && !found) {
			loop->index = x.rm;
			loop->start = zeroed[x.rm & 15];
			found = true;
		}
		if (x.has_modrm && is_zeroed(&x, x.reg))
			zeroed[x.reg & 15] = at + x.size;
	}
	return found && !behind && loop->start > 0 && loop->end > loop->start;
}

/* In the loop the index only counts, and no way leads from it, or from what is behind it, to what is before it. */
static bool is_understood(const struct loop *loop)
{
	struct fnp_x86 x;

	for (size_t at = 0; at < loop->size; at += x.size) {
		int64_t to;

		if (fnp_x86_decode(loop->code + at, loop->size - at, &x) < 0)
			return false;
		if (at < loop->start)
			continue;
		if (at < loop->end && !keeps_index(&x, loop->index))
			return false;
		to = (int64_t)(at + x.size) + x.immediate;
		/* Cold code from before the loop may go to where the index is zeroed (two or three bytes). */
		if (is_jump(&x) && to >= 0 && to < (int64_t)loop->start &&
		    (at < loop->end || to + 3 < (int64_t)loop->start))
			return false;
	}
	return true;
}

static const struct fnp_cfi_fde *entry_at(const struct fnp_cfi *cfi, uint64_t address)
{
	size_t low = 0, high = cfi->fdes.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (cfi->fdes.items[middle].start < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < cfi->fdes.len && cfi->fdes.items[low].start == address ? &cfi->fdes.items[low] : NULL;
}

static bool read_loop(const struct fnp_object *object, const struct fnp_cfi *cfi, uint64_t address,
		      struct loop *ret)
{
	const struct fnp_cfi_fde *fde = entry_at(cfi, address);
	struct loop loop = {.address = address};

	if (!fde || fde->end - fde->start > COPY_MAX)
		return false;
	loop.size = fde->end - fde->start;
	if (fnp_object_read_address(object, address, loop.size, &loop.code) < 0 || !find_loop(&loop) ||
	    !is_understood(&loop))
		return false;
	*ret = loop;
	return true;
}

/* Whether a jump leads to behind `start`, before `end`. */
static bool is_entered(const struct loop *loop, size_t start, size_t end)
{
	struct fnp_x86 x;

	for (size_t at = 0; at < loop->size; at += x.size) {
		int64_t to;

		if (fnp_x86_decode(loop->code + at, loop->size - at, &x) < 0)
			return true;
		to = (int64_t)(at + x.size) + x.immediate;
		if (is_jump(&x) && to > (int64_t)start && to < (int64_t)end)
			return true;
	}
	return false;
}

/* Between the counting and the next jump the index is one ahead of the register that is copied. */
static int overlay_ahead(struct fnp_rows *rows, const struct loop *loop, const struct fnp_rule *rule)
{
	size_t counted = 0;
	struct fnp_x86 x;
	int r = 0;

	for (size_t at = loop->start; r == 0 && at < loop->end; at += x.size) {
		if (fnp_x86_decode(loop->code + at, loop->size - at, &x) < 0)
			return 0;
		if (counted > 0 && is_jump(&x)) {
			if (!is_entered(loop, counted - 1, at + x.size))
				r = fnp_rows_overlay(rows, loop->address + counted,
						     loop->address + at + x.size, rule);
			counted = 0;
		}
		if (is_one_byte(&x, 0x83) && x.direct && x.wide && x.group == 0 && x.rm == loop->index)
			counted = at + x.size;
	}
	return r;
}

/* While the loop is not yet at the return address, the frame that it works for has its caller. */
static int overlay_loop(struct fnp_rows *rows, const struct loop *loop)
{
	static const uint8_t dwarf[16] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
	const struct fnp_rule *here = fnp_rows_rule_at(rows, loop->address + loop->start);
	struct fnp_rule rule;
	int r;

	/* Four functions share it. */
	if (here && here->cfa_kind == FNP_CFA_WHILE)
		return 0;
	if (!here || here->cfa_kind != FNP_CFA_REG || here->cfa_reg != 7 ||
	    (here->saved & 15) != FNP_SAVED_SAME ||
	    here != fnp_rows_rule_at(rows, loop->address + loop->end - 1))
		return fnp_rows_overlay(rows, loop->address + loop->start, loop->address + loop->size,
					&unknown);
	rule = *here;
	rule.cfa_kind = FNP_CFA_WHILE;
	rule.cfa_reg = dwarf[loop->index & 15];
	rule.fp_offset = REGISTERS - 1;
	r = fnp_rows_overlay(rows, loop->address + loop->start, loop->address + loop->end, &rule);
	rule.fp_offset = REGISTERS;
	r = r ?: overlay_ahead(rows, loop, &rule);
	return r ?: fnp_rows_overlay(rows, loop->address + loop->end, loop->address + loop->size, &unknown);
}

/* ---- the functions that hand over ---- */

/* Where the second last of the calls before `end` begins, among those that stay in the function's own object. */
static size_t last_calls(const uint8_t *code, size_t end)
{
	size_t low = end > HANDOVER_MAX ? end - HANDOVER_MAX : 0, n = 0;

	for (size_t at = end; at-- > low;) {
		int32_t distance;

		if (code[at] != 0xe8 || end - at < CALL_SIZE)
			continue;
		memcpy(&distance, code + at + 1, sizeof(distance));
		if (distance > -(1 << 20) && distance < 1 << 20 && ++n == 2)
			return at;
	}
	return low;
}

/*
 * From the call on that copies the registers up to `end` nothing is known; during it, only the caller's frame pointer
 * is not, when it is understood how the copying goes.
 */
static int overlay_from_call(const struct fnp_object *object, const struct fnp_cfi *cfi,
			     struct fnp_rows *rows, uint64_t call, uint64_t end)
{
	const struct fnp_rule *here = fnp_rows_rule_at(rows, call);
	struct fnp_rule rule;
	const uint8_t *code;
	struct loop loop;
	int32_t distance;
	int r;

	if (!here || here->cfa_kind != FNP_CFA_REG || here->cfa_reg != 6 ||
	    fnp_object_read_address(object, call, CALL_SIZE, &code) < 0 || code[0] != 0xe8)
		return fnp_rows_overlay(rows, call, end, &unknown);
	memcpy(&distance, code + 1, sizeof(distance));
	if (!read_loop(object, cfi, call + CALL_SIZE + (uint64_t)(int64_t)distance, &loop))
		return fnp_rows_overlay(rows, call, end, &unknown);
	rule = *here;
	rule.fp_offset = 0;
	rule.saved = (rule.saved & 0xf0) | FNP_SAVED_UNDEFINED;
	r = overlay_loop(rows, &loop);
	r = r ?: fnp_rows_overlay(rows, call, call + CALL_SIZE, &rule);
	return r ?: fnp_rows_overlay(rows, call + CALL_SIZE, end, &unknown);
}

static int overlay_handover(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows,
			    const char *name)
{
	static const uint8_t leaves[][10] = {
		{0x48, 0x8b, 0x6d, 0x00, 0x48, 0x89, 0xcc, 0x59, 0xff, 0xe1}, /* with shadow stacks */
		{0x48, 0x8b, 0x6d, 0x00, 0x48, 0x89, 0xcc, 0xc3},
	};
	static const size_t sizes[] = {10, 8};
	struct fnp_object_symbol symbol;
	const uint8_t *code, *leave;
	int r = 0;

	if (fnp_object_find_symbol(object, name, &symbol) < 0 || symbol.size == 0 || symbol.size > 65536 ||
	    fnp_object_read_address(object, symbol.address, symbol.size, &code) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(leaves); i++) {
		leave = memmem(code, symbol.size, leaves[i], sizes[i]);
		if (leave)
			r = overlay_from_call(object, cfi, rows,
					      symbol.address + last_calls(code, (size_t)(leave - code)),
					      symbol.address + (uint64_t)(leave - code) + sizes[i]);
	}
	return r;
}

int fnp_handover_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows)
{
	static const char *const names[] = {"_Unwind_RaiseException", "_Unwind_Resume",
					    "_Unwind_ForcedUnwind", "_Unwind_Resume_or_Rethrow"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < FNP_ARRAY_SIZE(names); i++)
		r = overlay_handover(object, cfi, rows, names[i]);
	return r;
}
