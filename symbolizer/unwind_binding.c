/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysdeps/x86_64/dl-trampoline.h, _dl_runtime_resolve:
 *
 *	push	%rbx
 *	mov	%rsp, %rbx		from here on, the frame is rbx + 32
 *	and	$-64, %rsp; sub ...
 *	mov	16(%rbx), %rsi		both words that the PLT pushed
 *	mov	8(%rbx), %rdi
 *	call	_dl_fixup
 *
 * A walk that comes from below has no rbx. _dl_fixup pushes it; until it has, nothing says where the frame is.
 */
#include "symbolizer/unwind_binding.h"

#include "symbolizer/x86_code.h"

#define CALL_SIZE 5
#define PROLOGUE_MAX 96
#define RBX 3	      /* as instructions number registers; also DWARF's number */
#define FRAME_SIZE 32 /* from rbx */

static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};

/* Moves between registers, and what reads memory into them, that leave rbx and rsp alone. */
static bool is_harmless(const struct fnp_x86 *x)
{
	if (x->vex || x->map > 1)
		return false;
	if (x->map == 1)
		return x->opcode == 0x1e && x->direct; /* endbr64 */
	switch (x->opcode) {
	case 0x8b: /* mov, lea, movsxd into ModRM.reg */
	case 0x8d:
	case 0x63:
	case 0x33:
		return x->reg != RBX && x->reg != FNP_X86_RSP;
	case 0x89: /* mov, xor into ModRM.rm */
	case 0x31:
		return x->direct && x->rm != RBX && x->rm != FNP_X86_RSP;
	}
	return false;
}

/* How far below its frame's address a function pushes rbx, and the size of the code up to there. */
static bool find_push(const uint8_t *code, size_t size, int *ret_distance, size_t *ret_size)
{
	struct fnp_x86 x;
	int distance = 8;

	for (size_t at = 0; at < size; at += x.size) {
		if (fnp_x86_decode(code + at, size - at, &x) < 0)
			return false;
		if (x.map == 0 && !x.vex && (x.opcode & 0xf8) == 0x50) {
			distance += 8;
			if (x.reg == RBX) {
				*ret_distance = distance;
				*ret_size = at + x.size;
				return true;
			}
		} else if (!is_harmless(&x)) {
			return false;
		}
	}
	return false;
}

int fnp_binding_overlay(const struct fnp_object *object, struct fnp_rows *rows, uint64_t call)
{
	const struct fnp_rule *here = fnp_rows_rule_at(rows, call);
	struct fnp_rule rule = {.cfa_kind = FNP_CFA_DEREF_PLUS,
				.cfa_reg = FNP_REG_SP,
				.ra_offset = -8,
				.saved = FNP_SAVED_SAME | FNP_SAVED_AT_CFA << 4};
	const uint8_t *code;
	uint64_t callee;
	int32_t to;
	size_t size;
	int distance, r;

	if (!here || here->cfa_kind != FNP_CFA_REG || here->cfa_reg != RBX ||
	    here->cfa_offset != FRAME_SIZE || here->saved != rule.saved || here->ra_offset != rule.ra_offset ||
	    fnp_object_read_address(object, call + 1, sizeof(to), &code) < 0)
		return 0;
	memcpy(&to, code, sizeof(to));
	callee = call + CALL_SIZE + (uint64_t)(int64_t)to;
	if (fnp_object_read_address(object, callee, PROLOGUE_MAX, &code) < 0 ||
	    !find_push(code, PROLOGUE_MAX, &distance, &size))
		return 0;
	rule.cfa_offset = FNP_CFA_OFFSETS(-distance, FRAME_SIZE);
	/* At the call itself rbx is at hand. */
	r = fnp_rows_overlay(rows, call + 1, call + CALL_SIZE, &rule);
	return r ?: fnp_rows_overlay(rows, callee, callee + size, &unknown);
}
