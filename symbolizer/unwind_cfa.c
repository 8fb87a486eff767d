/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of call frame information, run to rules.
 *
 * A rule here is already the compact one of bpf/layout/native.h. Offsets that need more than 32 bits make the thing
 * that they belong to an expression; no instruction makes the rest of the function unknown, except one that cannot be
 * decoded.
 */
#include "symbolizer/unwind_cfa.h"

#include <dwarf.h>

#define REMEMBERED_MAX 32
#define SP_AT_CFA (-1)

/* Older <dwarf.h> lacks it; on arm64 it toggles whether the return address is signed, which the walker masks anyway. */
#define CFA_NEGATE_RA_STATE 0x2d

struct remembered {
	struct fnp_rule rule;
	int sp_in;
};

struct machine_state {
	const struct fnp_cfi_machine *machine;
	const struct fnp_cfi_cie *cie;
	struct fnp_rule rule;
	int sp_in;		       /* the register that the caller's stack pointer is in, or SP_AT_CFA */
	struct remembered *remembered; /* REMEMBERED_MAX of them, of which n_remembered are set */
	unsigned int n_remembered;
	uint64_t address;
};

static void set_cfa(struct machine_state *s, uint8_t kind, uint64_t reg, int64_t offset)
{
	s->rule.cfa_kind = kind;
	s->rule.cfa_reg = (uint8_t)reg;
	s->rule.cfa_offset = (int)offset;
	if (offset != (int)offset || reg > UINT8_MAX) {
		s->rule.cfa_kind = FNP_CFA_EXPRESSION;
		s->rule.cfa_reg = 0;
		s->rule.cfa_offset = 0;
	}
}

/*
 * The caller's stack pointer is its frame's address. The few places that say otherwise cannot be walked, unless it is in
 * a register (see walkable()); a return from a signal says the same in other words.
 */
static void set_stack_pointer(struct machine_state *s, uint8_t kind, int64_t offset)
{
	bool usual = (kind == FNP_SAVED_CFA && offset == 0) ||
		     (kind == FNP_SAVED_AT_SP && s->rule.cfa_kind == FNP_CFA_DEREF &&
		      s->rule.cfa_reg == s->machine->sp && s->rule.cfa_offset == offset);

	s->rule.flags = (uint8_t)(usual ? s->rule.flags & ~FNP_RULE_ODD_SP : s->rule.flags | FNP_RULE_ODD_SP);
	s->sp_in = kind == FNP_SAVED_REGISTER && offset >= 0 && offset < 16 && offset != s->machine->sp
			   ? (int)offset
			   : SP_AT_CFA;
}

/*
 * longjmp() that is about to jump: the CFA is the jump buffer, and all that matters of the frame that it goes to is in
 * registers, its stack pointer, too. That one's value does as well for a CFA when nothing is saved at the other.
 */
static struct fnp_rule walkable(const struct machine_state *s)
{
	unsigned int fp = s->rule.saved & 15, ra = s->rule.saved >> 4;
	struct fnp_rule rule = s->rule;

	if (!(rule.flags & FNP_RULE_ODD_SP) || s->sp_in == SP_AT_CFA || ra != FNP_SAVED_REGISTER ||
	    (fp != FNP_SAVED_REGISTER && fp != FNP_SAVED_SAME))
		return rule;
	rule.cfa_kind = FNP_CFA_REG;
	rule.cfa_reg = (uint8_t)s->sp_in;
	rule.cfa_offset = 0;
	rule.flags = (uint8_t)((rule.flags & ~FNP_RULE_ODD_SP) | FNP_RULE_OTHER_STACK);
	return rule;
}

static void set_saved(struct machine_state *s, uint64_t reg, uint8_t kind, int64_t offset)
{
	if (offset != (int)offset) {
		kind = FNP_SAVED_EXPRESSION;
		offset = 0;
	}
	if (reg == s->machine->fp) {
		s->rule.saved = (uint8_t)((s->rule.saved & 0xf0) | kind);
		s->rule.fp_offset = (int)offset;
	} else if (reg == s->machine->ra) {
		s->rule.saved = (uint8_t)((s->rule.saved & 0x0f) | kind << 4);
		s->rule.ra_offset = (int)offset;
	} else if (reg == s->machine->sp) {
		set_stack_pointer(s, kind, offset);
	}
}

static void restore(struct machine_state *s, uint64_t reg)
{
	const struct fnp_rule *initial = &s->cie->initial;

	if (reg == s->machine->fp)
		set_saved(s, reg, initial->saved & 0x0f, initial->fp_offset);
	else if (reg == s->machine->ra)
		set_saved(s, reg, initial->saved >> 4, initial->ra_offset);
	else if (reg == s->machine->sp)
		set_stack_pointer(s, FNP_SAVED_CFA, 0);
}

/* An expression that begins with one register plus an offset. */
static int breg(struct fnp_cursor *c, uint64_t *ret_reg, int64_t *ret_offset)
{
	uint64_t reg;
	uint8_t op;

	if (fnp_cursor_u8(c, &op) < 0)
		return -EBADMSG;
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31)
		reg = op - DW_OP_breg0;
	else if (op != DW_OP_bregx || fnp_cursor_uleb128(c, &reg) < 0)
		return -EBADMSG;
	if (fnp_cursor_sleb128(c, ret_offset) < 0)
		return -EBADMSG;
	*ret_reg = reg;
	return 0;
}

/*
 * The lazy PLT entry as binutils describes it: rsp + 8 + ((rip & 15) >= N) * 8, where N is how far into the entry its
 * index has been pushed.
 */
static bool plt_threshold(const struct fnp_cursor *expression, uint8_t *ret)
{
	static const uint8_t head[] = {DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and};
	static const uint8_t tail[] = {DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	const uint8_t *p = expression->pos;

	if (fnp_cursor_left(expression) != sizeof(head) + 1 + sizeof(tail) ||
	    memcmp(p, head, sizeof(head)) != 0 || memcmp(p + sizeof(head) + 1, tail, sizeof(tail)) != 0)
		return false;
	if (p[sizeof(head)] < DW_OP_lit0 || p[sizeof(head)] > DW_OP_lit15)
		return false;
	*ret = p[sizeof(head)] - DW_OP_lit0;
	return true;
}

/* What follows what names the register: deref, and perhaps plus a number. */
static bool deref_plus(struct fnp_cursor *c, int64_t *ret_plus)
{
	uint64_t plus;
	uint8_t op;

	if (fnp_cursor_u8(c, &op) < 0 || op != DW_OP_deref || fnp_cursor_u8(c, &op) < 0 ||
	    op != DW_OP_plus_uconst || fnp_cursor_uleb128(c, &plus) < 0 || fnp_cursor_left(c) > 0)
		return false;
	*ret_plus = plus > INT16_MAX ? INT64_MAX : (int64_t)plus;
	return true;
}

/* `*(R + offset) + plus`, or with rsp and the index R times 8 for R: where OpenSSL's assembly puts rsp before it aligns it. */
static bool put_by(struct machine_state *s, struct fnp_cursor c, uint64_t reg, int64_t offset)
{
	static const uint8_t times[] = {DW_OP_lit8, DW_OP_mul, DW_OP_plus};
	uint8_t kind = FNP_CFA_DEREF_PLUS;
	struct fnp_cursor rest = c;
	int64_t zero, plus;

	if (!deref_plus(&rest, &plus)) {
		if (reg != s->machine->sp || breg(&c, &reg, &zero) < 0 || zero != 0 ||
		    fnp_cursor_left(&c) < sizeof(times) || memcmp(c.pos, times, sizeof(times)) != 0)
			return false;
		rest = fnp_cursor_of(c.pos + sizeof(times), fnp_cursor_left(&c) - sizeof(times));
		if (!deref_plus(&rest, &plus))
			return false;
		kind = FNP_CFA_DEREF_INDEX;
	}
	if (offset != (int16_t)offset || plus != (int16_t)plus)
		return false;
	set_cfa(s, kind, reg, FNP_CFA_OFFSETS(offset, plus));
	return true;
}

static void cfa_expression(struct machine_state *s, struct fnp_cursor expression)
{
	struct fnp_cursor c = expression;
	uint8_t op = 0, threshold;
	uint64_t reg;
	int64_t offset;

	if (s->machine->ra == 16 && plt_threshold(&expression, &threshold)) {
		set_cfa(s, FNP_CFA_PLT, threshold, 8);
		return;
	}
	if (breg(&c, &reg, &offset) == 0) {
		if (put_by(s, c, reg, offset))
			return;
		if (fnp_cursor_left(&c) == 0) {
			set_cfa(s, FNP_CFA_REG, reg, offset);
			return;
		}
		if (fnp_cursor_left(&c) == 1 && fnp_cursor_u8(&c, &op) == 0 && op == DW_OP_deref) {
			set_cfa(s, FNP_CFA_DEREF, reg, offset);
			return;
		}
	}
	set_cfa(s, FNP_CFA_EXPRESSION, 0, 0);
}

/* Of a register: the address where it was saved. */
static void saved_expression(struct machine_state *s, uint64_t saved, struct fnp_cursor expression)
{
	uint64_t reg;
	int64_t offset;

	if (breg(&expression, &reg, &offset) == 0 && fnp_cursor_left(&expression) == 0) {
		if (reg == s->machine->sp) {
			set_saved(s, saved, FNP_SAVED_AT_SP, offset);
			return;
		}
		if (reg == s->machine->fp) {
			set_saved(s, saved, FNP_SAVED_AT_FP, offset);
			return;
		}
	}
	set_saved(s, saved, FNP_SAVED_EXPRESSION, 0);
}

static int read_block(struct fnp_cursor *c, struct fnp_cursor *ret)
{
	uint64_t size;

	if (fnp_cursor_uleb128(c, &size) < 0)
		return -EBADMSG;
	return fnp_cursor_sub(c, size, ret);
}

static int64_t factored(const struct machine_state *s, int64_t offset)
{
	int64_t product;

	/* A product that overflows is out of every range that a rule can hold. */
	return __builtin_mul_overflow(offset, s->cie->data_align, &product) ? INT64_MAX : product;
}

/* Instructions with a register and an offset: one shape for six of them. */
static int offset_instruction(struct machine_state *s, struct fnp_cursor *c, uint8_t op)
{
	uint64_t reg, unsigned_offset = 0;
	int64_t offset = 0;
	bool is_signed = op == DW_CFA_offset_extended_sf || op == DW_CFA_def_cfa_sf ||
			 op == DW_CFA_val_offset_sf;

	if (fnp_cursor_uleb128(c, &reg) < 0)
		return -EBADMSG;
	if (is_signed ? fnp_cursor_sleb128(c, &offset) < 0 : fnp_cursor_uleb128(c, &unsigned_offset) < 0)
		return -EBADMSG;
	if (!is_signed)
		offset = unsigned_offset > INT64_MAX ? INT64_MAX : (int64_t)unsigned_offset;
	switch (op) {
	case DW_CFA_def_cfa:
		set_cfa(s, FNP_CFA_REG, reg, offset);
		break;
	case DW_CFA_def_cfa_sf:
		set_cfa(s, FNP_CFA_REG, reg, factored(s, offset));
		break;
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
		set_saved(s, reg, FNP_SAVED_AT_CFA, factored(s, offset));
		break;
	case DW_CFA_GNU_negative_offset_extended:
		set_saved(s, reg, FNP_SAVED_AT_CFA, factored(s, -offset));
		break;
	default: /* val_offset, val_offset_sf */
		set_saved(s, reg, FNP_SAVED_CFA, factored(s, offset));
		break;
	}
	return 0;
}

static int def_cfa_offset(struct machine_state *s, struct fnp_cursor *c, bool is_signed)
{
	uint64_t unsigned_offset;
	int64_t offset;

	if (is_signed) {
		if (fnp_cursor_sleb128(c, &offset) < 0)
			return -EBADMSG;
		offset = factored(s, offset);
	} else {
		if (fnp_cursor_uleb128(c, &unsigned_offset) < 0)
			return -EBADMSG;
		offset = unsigned_offset > INT64_MAX ? INT64_MAX : (int64_t)unsigned_offset;
	}
	/* Of meaning for a register plus an offset alone. */
	if (s->rule.cfa_kind == FNP_CFA_REG)
		set_cfa(s, FNP_CFA_REG, s->rule.cfa_reg, offset);
	return 0;
}

static int register_instruction(struct machine_state *s, struct fnp_cursor *c, uint8_t op)
{
	uint64_t reg, other;
	struct fnp_cursor block;

	if (fnp_cursor_uleb128(c, &reg) < 0)
		return -EBADMSG;
	switch (op) {
	case DW_CFA_def_cfa_register:
		if (s->rule.cfa_kind == FNP_CFA_REG)
			set_cfa(s, FNP_CFA_REG, reg, s->rule.cfa_offset);
		return 0;
	case DW_CFA_restore_extended:
		restore(s, reg);
		return 0;
	case DW_CFA_undefined:
		set_saved(s, reg, FNP_SAVED_UNDEFINED, 0);
		return 0;
	case DW_CFA_same_value:
		set_saved(s, reg, FNP_SAVED_SAME, 0);
		return 0;
	case DW_CFA_register:
		if (fnp_cursor_uleb128(c, &other) < 0)
			return -EBADMSG;
		set_saved(s, reg, FNP_SAVED_REGISTER, other > INT32_MAX ? INT64_MAX : (int64_t)other);
		return 0;
	case DW_CFA_expression:
		if (read_block(c, &block) < 0)
			return -EBADMSG;
		saved_expression(s, reg, block);
		return 0;
	default: /* DW_CFA_val_expression */
		if (read_block(c, &block) < 0)
			return -EBADMSG;
		set_saved(s, reg, FNP_SAVED_EXPRESSION, 0);
		return 0;
	}
}

static int set_address(struct machine_state *s, struct fnp_cursor *c)
{
	uint64_t address;

	/* Only with plain addresses: nobody has been seen to write it in .eh_frame. */
	if (s->cie->pointer_encoding != DW_EH_PE_absptr || s->cie->address_size != 8 ||
	    fnp_cursor_u64(c, &address) < 0)
		return -EBADMSG;
	if (address < s->address)
		return -EBADMSG;
	s->address = address;
	return 0;
}

static int advance(struct machine_state *s, uint64_t delta)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, s->cie->code_align, &bytes) || bytes > UINT64_MAX - s->address)
		return -EBADMSG;
	s->address += bytes;
	return 0;
}

/* Instructions that move on to another address. */
static int location_instruction(struct machine_state *s, struct fnp_cursor *c, uint8_t op)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;
	uint8_t u8;

	switch (op) {
	case DW_CFA_set_loc:
		return set_address(s, c);
	case DW_CFA_advance_loc1:
		return fnp_cursor_u8(c, &u8) < 0 ? -EBADMSG : advance(s, u8);
	case DW_CFA_advance_loc2:
		return fnp_cursor_u16(c, &u16) < 0 ? -EBADMSG : advance(s, u16);
	case DW_CFA_advance_loc4:
		return fnp_cursor_u32(c, &u32) < 0 ? -EBADMSG : advance(s, u32);
	case DW_CFA_MIPS_advance_loc8:
		return fnp_cursor_u64(c, &u64) < 0 ? -EBADMSG : advance(s, u64);
	}
	return -EBADMSG;
}

static int remember(struct machine_state *s)
{
	if (s->n_remembered == REMEMBERED_MAX)
		return -EBADMSG;
	s->remembered[s->n_remembered++] = (struct remembered){s->rule, s->sp_in};
	return 0;
}

static int restore_remembered(struct machine_state *s)
{
	if (s->n_remembered == 0)
		return -EBADMSG;
	s->n_remembered--;
	s->rule = s->remembered[s->n_remembered].rule;
	s->sp_in = s->remembered[s->n_remembered].sp_in;
	return 0;
}

/* One instruction that is not one of the three with an operand in its opcode. */
static int extended_instruction(struct machine_state *s, struct fnp_cursor *c, uint8_t op)
{
	struct fnp_cursor block;
	uint64_t ignored;

	switch (op) {
	case DW_CFA_nop:
	case CFA_NEGATE_RA_STATE:
		return 0;
	case DW_CFA_set_loc:
	case DW_CFA_advance_loc1:
	case DW_CFA_advance_loc2:
	case DW_CFA_advance_loc4:
	case DW_CFA_MIPS_advance_loc8:
		return location_instruction(s, c, op);
	case DW_CFA_remember_state:
		return remember(s);
	case DW_CFA_restore_state:
		return restore_remembered(s);
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
		return def_cfa_offset(s, c, op == DW_CFA_def_cfa_offset_sf);
	case DW_CFA_def_cfa_expression:
		if (read_block(c, &block) < 0)
			return -EBADMSG;
		cfa_expression(s, block);
		return 0;
	case DW_CFA_GNU_args_size:
		return fnp_cursor_uleb128(c, &ignored);
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_GNU_negative_offset_extended:
		return offset_instruction(s, c, op);
	case DW_CFA_def_cfa_register:
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_register:
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		return register_instruction(s, c, op);
	}
	return -EBADMSG;
}

static int instruction(struct machine_state *s, struct fnp_cursor *c)
{
	uint64_t offset;
	uint8_t op;

	if (fnp_cursor_u8(c, &op) < 0)
		return -EBADMSG;
	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		return advance(s, op & 0x3f);
	case DW_CFA_offset:
		if (fnp_cursor_uleb128(c, &offset) < 0)
			return -EBADMSG;
		if ((op & 0x3f) == s->machine->fp || (op & 0x3f) == s->machine->ra)
			set_saved(s, op & 0x3f, FNP_SAVED_AT_CFA,
				  offset > INT64_MAX ? INT64_MAX : factored(s, (int64_t)offset));
		return 0;
	case DW_CFA_restore:
		restore(s, op & 0x3f);
		return 0;
	}
	return extended_instruction(s, c, op);
}

void fnp_cfa_initial(const struct fnp_cfi_machine *machine, struct fnp_cfi_cie *cie)
{
	struct remembered remembered[REMEMBERED_MAX];
	struct machine_state s = {.machine = machine, .cie = cie, .sp_in = SP_AT_CFA, .remembered = remembered};
	struct fnp_cursor c = cie->instructions;

	/* Until it says otherwise nothing is known; on x86-64 a return address that is nowhere ends the stack. */
	s.rule.cfa_kind = FNP_CFA_EXPRESSION;
	s.rule.saved = (machine->ra_in_register ? FNP_SAVED_SAME : FNP_SAVED_UNDEFINED) << 4;
	s.rule.flags = cie->signal ? FNP_RULE_SIGNAL : 0;
	while (fnp_cursor_left(&c) > 0) {
		if (instruction(&s, &c) < 0 || s.address != 0) {
			cie->bad = true;
			return;
		}
	}
	cie->initial = s.rule;
}

int fnp_cfi_run(const struct fnp_cfi *cfi, const struct fnp_cfi_fde *fde, uint64_t end,
		int (*emit)(void *self, uint64_t address, const struct fnp_rule *rule), void *self)
{
	const struct fnp_cfi_cie *cie = &cfi->cies.items[fde->cie];
	struct remembered remembered[REMEMBERED_MAX]; /* not set: many functions remember nothing */
	struct machine_state s = {.machine = &cfi->machine,
				  .cie = cie,
				  .rule = cie->initial,
				  .sp_in = SP_AT_CFA,
				  .remembered = remembered,
				  .address = fde->start};
	struct fnp_cursor c = fnp_cursor_of(fde->instructions, fde->size);
	struct fnp_rule emitted = {0}, rule;
	uint64_t row = fde->start;
	bool first = true;
	int r;

	while (fnp_cursor_left(&c) > 0) {
		r = instruction(&s, &c);
		if (r < 0) {
			s.rule = (struct fnp_rule){.cfa_kind = FNP_CFA_EXPRESSION};
			break;
		}
		if (s.address == row)
			continue;
		/* The row that ended here is what stood before the instruction, and that changed the address alone. */
		rule = walkable(&s);
		if (first || !fnp_rule_is(&rule, &emitted)) {
			r = emit(self, row, &rule);
			if (r != 0)
				return r;
			emitted = rule;
			first = false;
		}
		row = s.address;
		if (row >= end)
			return 0;
	}
	rule = walkable(&s);
	return row < end && (first || !fnp_rule_is(&rule, &emitted)) ? emit(self, row, &rule) : 0;
}
