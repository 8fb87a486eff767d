/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the code says (`_Unwind_RaiseException` and its like, gcc 12 and 14; unwind.inc, uw_install_context):
 *
 *	call	uw_install_context_1	the context to go to is its second argument, and lies in this frame
 *	mov	ra(%rbp), %rsi		two of its fields: pc and CFA of the frame to go to
 *	mov	cfa(%rbp), %rdi
 *	call	_Unwind_DebugHook
 *	mov	%rsi, 8(%rbp,%rdx)	the landing pad, over the return address below that frame
 *	lea	8(%rbp,%rcx), %rcx	where that is; these two in either order
 *	mov	-56(%rbp), %rax ...	what was copied
 *	mov	(%rbp), %rbp
 *	mov	%rcx, %rsp
 *	pop	%rcx; jmp *%rcx		or: ret
 *
 * A part whose code is not as expected has no rule: stacks end there.
 */
#include "symbolizer/unwind_handover.h"

#include "symbolizer/x86_code.h"

#define RCX 1 /* as instructions number registers */
#define RDI 7
#define SAVED(fp, ra) ((fp) | (ra) << 4)

/*
 * struct _Unwind_Context of unwind-dw2.c: pointers to where 17 registers are saved, by DWARF's numbers, and one more;
 * then CFA and pc. Distances from the CFA's field, which is what the code reads.
 */
#define CONTEXT_START (-18 * 8)
#define CONTEXT_FP (CONTEXT_START + FNP_REG_FP * 8)
#define CONTEXT_RA (CONTEXT_START + FNP_REG_RA * 8)
#define CONTEXT_PC 8

static const struct fnp_rule unknown = {.cfa_kind = FNP_CFA_EXPRESSION};

/* The function, and where in it, as offsets, the parts of the hand-over begin. */
struct handover {
	uint64_t address;
	const uint8_t *code;
	size_t size;
	size_t call;	/* that copies the registers */
	size_t written; /* behind the landing pad's way over a return address */
	size_t pointed; /* behind rcx' becoming its place */
	size_t leave;	/* `mov (%rbp), %rbp` */
	size_t leave_size;
	int32_t cfa; /* of the context's field, from rbp */
};

static bool is_one_byte(const struct fnp_x86 *x, uint8_t opcode)
{
	return x->map == 0 && !x->vex && x->opcode == opcode;
}

static bool is_jump(const struct fnp_x86 *x)
{
	return (x->map == 0 && !x->vex &&
		((x->opcode & 0xf0) == 0x70 || x->opcode == 0xe9 || x->opcode == 0xeb)) ||
	       (x->map == 1 && (x->opcode & 0xf0) == 0x80);
}

/* ret, hlt, int3, ud2 and jumps to what is not known */
static bool leads_away(const struct fnp_x86 *x)
{
	if (x->map == 1)
		return x->opcode == 0x0b;
	return x->map == 0 && !x->vex &&
	       (x->opcode == 0xc3 || x->opcode == 0xc2 || x->opcode == 0xf4 || x->opcode == 0xcc ||
		(x->opcode == 0xff && (x->group == 4 || x->group == 5)));
}

/* 8(%rbp,any) */
static bool is_return_slot(const struct fnp_x86 *x)
{
	return x->wide && !x->direct && x->rm == FNP_X86_RBP && x->indexed && x->displacement == 8;
}

static bool is_frame_load(const struct fnp_x86 *x)
{
	return is_one_byte(x, 0x8b) && x->wide && !x->direct && x->rm == FNP_X86_RBP && !x->indexed;
}

/* Finds the parts, going through the function up to `leave`. */
static bool find_parts(struct handover *h)
{
	size_t calls[2] = {0}; /* the last two */
	bool has_cfa = false, has_start = false;
	struct fnp_x86 x;

	for (size_t at = 0; at < h->leave; at += x.size) {
		if (fnp_x86_decode(h->code + at, h->size - at, &x) < 0)
			return false;
		if (is_one_byte(&x, 0xe8)) {
			calls[0] = calls[1];
			calls[1] = at;
		} else if (is_one_byte(&x, 0x89) && is_return_slot(&x)) {
			h->written = at + x.size;
		} else if (is_one_byte(&x, 0x8d) && is_return_slot(&x) && x.reg == RCX) {
			h->pointed = at + x.size;
		}
	}
	h->call = calls[0];
	for (size_t at = h->call; at < calls[1]; at += x.size) {
		if (fnp_x86_decode(h->code + at, h->size - at, &x) < 0)
			return false;
		if (is_frame_load(&x) && x.reg == RDI) {
			h->cfa = x.displacement;
			has_cfa = true;
		}
	}
	/* The context's own address is taken somewhere. */
	for (size_t at = 0; has_cfa && at < h->call; at += x.size) {
		if (fnp_x86_decode(h->code + at, h->size - at, &x) < 0)
			return false;
		has_start = has_start || (is_one_byte(&x, 0x8d) && !x.direct && x.rm == FNP_X86_RBP &&
					  !x.indexed && x.displacement == h->cfa + CONTEXT_START);
	}
	return has_start && h->call > 0 && h->written > calls[1] && h->pointed > calls[1];
}

/* From the call to the end only this is done: no way leads in but at the call, and none out but at the end. */
static bool is_closed(const struct handover *h)
{
	struct fnp_x86 x;

	for (size_t at = 0; at < h->size; at += x.size) {
		bool inside = at >= h->call && at < h->leave;
		int64_t to;

		if (fnp_x86_decode(h->code + at, h->size - at, &x) < 0)
			return false;
		if (inside && leads_away(&x))
			return false;
		if (!is_jump(&x))
			continue;
		to = (int64_t)(at + x.size) + x.immediate;
		if (inside != (to > (int64_t)h->call && to <= (int64_t)h->leave) &&
		    !(!inside && to == (int64_t)h->call))
			return false;
	}
	return true;
}

static int overlay(struct fnp_rows *rows, const struct handover *h, size_t start, size_t end,
		   const struct fnp_rule *rule)
{
	return start < end ? fnp_rows_overlay(rows, h->address + start, h->address + end, rule) : 0;
}

/* While rbp is the function's own. The frame that is gone to is there as its context says, then as it was copied. */
static int overlay_with_frame(struct fnp_rows *rows, const struct handover *h)
{
	size_t both = FNP_MAX(h->written, h->pointed);
	struct fnp_rule rule = {.cfa_kind = FNP_CFA_DEREF,
				.cfa_reg = FNP_REG_FP,
				.cfa_offset = h->cfa,
				.fp_offset = h->cfa + CONTEXT_FP,
				.ra_offset = h->cfa + CONTEXT_RA,
				.saved = SAVED(FNP_SAVED_AT_FP_AT, FNP_SAVED_AT_FP_AT)};
	int r = overlay(rows, h, h->call, h->written, &rule);

	/* Where the return address of the last frame that is over was, the landing pad is now. */
	rule.ra_offset = h->cfa + CONTEXT_PC;
	rule.saved = SAVED(FNP_SAVED_AT_FP_AT, FNP_SAVED_AT_FP);
	rule.flags = FNP_RULE_EXACT;
	r = r ?: overlay(rows, h, h->written, both, &rule);
	rule = (struct fnp_rule){.cfa_kind = FNP_CFA_REG,
				 .cfa_reg = 2, /* rcx */
				 .cfa_offset = 8,
				 .ra_offset = -8,
				 .saved = SAVED(FNP_SAVED_AT_FP, FNP_SAVED_AT_CFA),
				 .flags = FNP_RULE_EXACT};
	return r ?: overlay(rows, h, both, h->leave + 4, &rule);
}

/* mov %rcx, %rsp; pop %rcx; jmp *%rcx */
static int overlay_leave(struct fnp_rows *rows, const struct handover *h)
{
	struct fnp_rule rule = {.cfa_kind = FNP_CFA_REG,
				.cfa_reg = 2,
				.cfa_offset = 8,
				.ra_offset = -8,
				.saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_AT_CFA),
				.flags = FNP_RULE_EXACT};
	int r = overlay(rows, h, h->leave + 4, h->leave + 7, &rule);

	rule.cfa_reg = FNP_REG_SP;
	r = r ?: overlay(rows, h, h->leave + 7, h->leave + 8, &rule);
	rule.cfa_offset = 0;
	rule.ra_offset = 2;
	rule.saved = SAVED(FNP_SAVED_SAME, FNP_SAVED_REGISTER);
	return r ?: overlay(rows, h, h->leave + 8, h->leave + h->leave_size, &rule);
}

static bool has_frame(const struct fnp_rows *rows, uint64_t address)
{
	const struct fnp_rule *here = fnp_rows_rule_at(rows, address);

	return here && here->cfa_kind == FNP_CFA_REG && here->cfa_reg == FNP_REG_FP && here->cfa_offset == 16;
}

int fnp_handover_overlay(const struct fnp_object *object, const struct fnp_cfi *cfi, struct fnp_rows *rows,
			 const struct fnp_unwind_place *leave)
{
	const struct fnp_cfi_fde *fde = fnp_cfi_find(cfi, cfi->fdes.len, leave->address);
	struct handover h = {.leave_size = fnp_pattern_size(leave->pattern)};

	if (!fde || fde->end - fde->start > 65536 || !has_frame(rows, leave->address))
		return 0;
	h.address = fde->start;
	h.size = fde->end - fde->start;
	h.leave = leave->address - fde->start;
	if (h.leave_size > h.size - h.leave || fnp_object_read_address(object, h.address, h.size, &h.code) < 0)
		return 0;
	if (find_parts(&h) && is_closed(&h) && has_frame(rows, h.address + h.call)) {
		int r = overlay_with_frame(rows, &h);
		return r ?: overlay_leave(rows, &h);
	}
	/* What of the code before is the hand-over is not known, so no rule holds from its first call on. */
	if (h.call == 0)
		h.call = h.leave > 0xb0 ? h.leave - 0xb0 : 0;
	return overlay(rows, &h, h.call, h.leave + h.leave_size, &unknown);
}
