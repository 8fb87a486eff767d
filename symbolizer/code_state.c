/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/code_state.h"

#include <errno.h>

#define DEPTH_MAX (1 << 28)

/* Is one of the ways to the frame's address there? */
static bool is_known(const struct fnp_code_state *s)
{
	return s->has_depth || s->has_frame || s->copy_in || s->by_sp_at != FNP_CODE_NOWHERE ||
	       s->by_fp_at != FNP_CODE_NOWHERE;
}

/* A place above what a register points to, or nowhere. */
static int16_t place_at(int64_t offset)
{
	return offset >= 0 && offset <= INT16_MAX ? (int16_t)offset : FNP_CODE_NOWHERE;
}

static int move(struct fnp_code_state *s, int64_t bytes)
{
	if (s->by_sp_at != FNP_CODE_NOWHERE)
		s->by_sp_at = place_at(s->by_sp_at + bytes);
	if (!s->has_depth)
		return is_known(s) ? 0 : -ENOENT;
	if (bytes > DEPTH_MAX || bytes < -DEPTH_MAX || s->depth + bytes > DEPTH_MAX || s->depth + bytes < -64)
		return -ENOENT;
	s->depth = (int32_t)(s->depth + bytes);
	/* What lies below the stack pointer is nobody's. */
	if (s->fp == FNP_CODE_FP_SAVED && s->depth < s->fp_at)
		s->fp = FNP_CODE_FP_LOST;
	return 0;
}

static void lose_fp(struct fnp_code_state *s)
{
	s->has_frame = false;
	s->by_fp_at = FNP_CODE_NOWHERE;
	s->first = false;
	if (s->fp == FNP_CODE_FP_SAME)
		s->fp = FNP_CODE_FP_LOST;
}

static int push(struct fnp_code_state *s, bool is_fp)
{
	int r = move(s, 8);

	if (r == 0 && is_fp && s->fp == FNP_CODE_FP_SAME && s->has_depth && !s->has_frame) {
		s->fp = FNP_CODE_FP_SAVED;
		s->fp_at = s->depth;
	}
	return r;
}

static int pop(struct fnp_code_state *s, bool is_fp)
{
	bool own = is_fp && s->fp == FNP_CODE_FP_SAVED && s->has_depth && s->depth == s->fp_at;

	if (is_fp && !own)
		lose_fp(s);
	if (own) {
		s->fp = FNP_CODE_FP_SAME;
		s->has_frame = false;
	}
	return move(s, -8);
}

/* The stack pointer is somewhere that no instruction says, and the frame's address must be known otherwise. */
static int lose_depth(struct fnp_code_state *s)
{
	s->has_depth = false;
	s->by_sp_at = FNP_CODE_NOWHERE;
	return is_known(s) ? 0 : -ENOENT;
}

/* The stack pointer is what it was when it was put by. */
static int take_back(struct fnp_code_state *s, int32_t depth)
{
	s->has_depth = true;
	s->depth = depth;
	s->by_sp_at = FNP_CODE_NOWHERE;
	return move(s, 0);
}

static int stack_from_frame(struct fnp_code_state *s, int64_t displacement)
{
	if (!s->has_frame && s->by_fp_at != FNP_CODE_NOWHERE) {
		s->has_depth = false;
		s->by_sp_at = place_at(s->by_fp_at - displacement);
		return 0;
	}
	if (!s->has_frame)
		return -ENOENT;
	s->has_depth = true;
	s->depth = s->frame;
	return move(s, -displacement);
}

/* Opcodes of one byte whose ModRM.rm is only read, or is no general register. */
static bool reads_rm(const struct fnp_x86 *x)
{
	uint8_t op = x->opcode;

	if (op < 0x40)
		return (op & 7) >= 2 || (op & 0x38) == 0x38;
	if (op == 0x80 || op == 0x81 || op == 0x83)
		return x->group == 7;
	if (op == 0xf6 || op == 0xf7)
		return x->group != 2 && x->group != 3;
	if (op == 0xff)
		return x->group >= 2;
	return op == 0x63 || op == 0x69 || op == 0x6b || op == 0x84 || op == 0x85 || op == 0x8a ||
	       op == 0x8b || op == 0x8e || (op >= 0xd8 && op <= 0xdf);
}

/* Likewise of ModRM.reg. */
static bool reads_reg(const struct fnp_x86 *x)
{
	uint8_t op = x->opcode;

	if (op < 0x40)
		return (op & 7) < 2 || (op & 0x38) == 0x38;
	return op == 0x80 || op == 0x81 || op == 0x83 || op == 0x84 || op == 0x85 || op == 0x88 ||
	       op == 0x89 || op == 0x8c || op == 0x8e || op == 0x8f || op == 0xc0 || op == 0xc1 ||
	       op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xdf) || op == 0xf6 || op == 0xf7 ||
	       op == 0xfe || op == 0xff;
}

/* Opcodes behind 0f (table A-3) that write general registers: those of ModRM.reg, then those of ModRM.rm. */
static bool writes_0f(const struct fnp_x86 *x, uint8_t reg)
{
	/* Of the vector instructions these alone have a general register: cvt*2si, movmsk*, pextrw, pmovmskb, kmov, movd. */
	if (x->vex && x->opcode != 0x2c && x->opcode != 0x2d && x->opcode != 0x50 && x->opcode != 0xc5 &&
	    x->opcode != 0xd7 && x->opcode != 0x93 && x->opcode != 0x7e)
		return false;
	switch (x->opcode) {
	case 0x02:
	case 0x03:
	case 0x2c:
	case 0x2d:
	case 0x40 ... 0x4f:
	case 0x50:
	case 0x93:
	case 0xaf:
	case 0xb6 ... 0xb8:
	case 0xbc ... 0xbf:
	case 0xc5:
	case 0xd7:
		if (x->reg == reg)
			return true;
		break;
	case 0xc0:
	case 0xc1:
		return x->reg == reg || (x->direct && x->rm == reg);
	}
	switch (x->opcode) {
	case 0x00:
	case 0x01:
	case 0x20 ... 0x23:
	case 0x7e:
	case 0x90 ... 0x9f:
	case 0xa4:
	case 0xa5:
	case 0xab ... 0xae:
	case 0xb0:
	case 0xb1:
	case 0xb3:
	case 0xba:
	case 0xbb:
	case 0xc7:
		return x->direct && x->rm == reg;
	case 0xc8 ... 0xcf:
		return true; /* bswap */
	}
	return false;
}

/* Likewise behind 0f 38 and 0f 3a: of BMI, movbe, crc32, pextr*, extractps, rorx, pcmp*stri. The rest is of vectors. */
static bool writes_0f_3(const struct fnp_x86 *x, uint8_t reg)
{
	if (x->map == 3 && (x->opcode == 0x61 || x->opcode == 0x63))
		return reg == FNP_X86_RCX;
	if (x->map == 3 && x->opcode >= 0x14 && x->opcode <= 0x17) /* what they take apart is a vector */
		return x->direct && x->rm == reg;
	if (x->map == 3 ? x->opcode == 0xf0 : x->opcode >= 0xf0)
		return x->reg == reg || (x->vex && x->vvvv == reg) || (x->direct && x->rm == reg);
	return false;
}

/* Whether a general register may be written; what is not known to be harmless counts. */
static bool may_write(const struct fnp_x86 *x, uint8_t reg)
{
	if (x->map == 1)
		return writes_0f(x, reg);
	if (x->map > 1)
		return writes_0f_3(x, reg);
	if (x->has_modrm)
		return (x->direct && x->rm == reg && !reads_rm(x)) || (x->reg == reg && !reads_reg(x));
	return ((x->opcode & 0xf0) == 0xb0 || (x->opcode & 0xf8) == 0x90) && x->reg == reg;
}

static bool is_group1_on_rsp(const struct fnp_x86 *x)
{
	return (x->opcode == 0x81 || x->opcode == 0x83) && x->direct && x->rm == FNP_X86_RSP && x->wide;
}

static bool is_move(const struct fnp_x86 *x)
{
	return x->map == 0 && !x->vex && x->wide && (x->opcode == 0x89 || x->opcode == 0x8b);
}

/* mov between two registers, in both encodings. */
static bool is_copy(const struct fnp_x86 *x, uint8_t *ret_to, uint8_t *ret_from)
{
	if (!is_move(x) || !x->direct)
		return false;
	*ret_to = x->opcode == 0x89 ? x->rm : x->reg;
	*ret_from = x->opcode == 0x89 ? x->reg : x->rm;
	return true;
}

/* mov or pop of what was put by, or of the register that has it, to rsp. 1: it was one, 0: it was none. */
static int take_stack_pointer_back(const struct fnp_x86 *x, struct fnp_code_state *s)
{
	uint8_t to, from;

	if (is_copy(x, &to, &from) && to == FNP_X86_RSP && s->copy_in && from == s->copy_in - 1)
		return take_back(s, s->copy) ?: 1;
	if (x->map == 0 && x->opcode == 0x5c && !x->is_16 && !x->has_modrm && x->reg == FNP_X86_RSP &&
	    s->by_sp_at == 0)
		return take_back(s, s->put) ?: 1;
	if (is_move(x) && x->opcode == 0x8b && !x->direct && x->reg == FNP_X86_RSP && !x->indexed &&
	    ((x->rm == FNP_X86_RSP && s->by_sp_at != FNP_CODE_NOWHERE && x->displacement == s->by_sp_at) ||
	     (x->rm == FNP_X86_RBP && s->by_fp_at != FNP_CODE_NOWHERE && x->displacement == s->by_fp_at)))
		return take_back(s, s->put) ?: 1;
	return 0;
}

/* Registers that a call may change: rax, rcx, rdx, rsi, rdi, r8 to r11. */
#define SCRATCH 0x0fc7U

/* What becomes of the copy of the stack pointer, and whether it is put by. */
static void follow_copy(const struct fnp_x86 *x, struct fnp_code_state *s)
{
	bool is_call = x->map == 0 && (x->opcode == 0xe8 || (x->opcode == 0xff && x->group == 2));
	uint8_t to, from;

	if (is_copy(x, &to, &from) && from == FNP_X86_RSP && to != FNP_X86_RBP && to != FNP_X86_RSP &&
	    s->has_depth && s->depth <= INT16_MAX) {
		s->copy_in = to + 1;
		s->copy = (int16_t)s->depth;
		return;
	}
	if (!s->copy_in)
		return;
	if (is_move(x) && x->opcode == 0x89 && !x->direct && x->reg == s->copy_in - 1 &&
	    x->rm == FNP_X86_RSP && !x->indexed && !s->has_depth) {
		s->by_sp_at = place_at(x->displacement);
		s->put = s->copy;
	} else if (may_write(x, s->copy_in - 1) || (is_call && SCRATCH >> (s->copy_in - 1) & 1)) {
		s->copy_in = 0;
	}
}

/* Instructions that set rsp. 1: it was one, 0: it was none, negative: not understood. */
static int set_stack_pointer(const struct fnp_x86 *x, struct fnp_code_state *s)
{
	int r = take_stack_pointer_back(x, s);

	if (r != 0)
		return r;
	r = -ENOENT;
	if (x->map != 0)
		return x->map == 1 && !(x->opcode >= 0xc8 && x->opcode <= 0xcf) && may_write(x, FNP_X86_RSP)
			       ? -ENOENT
			       : 0;
	if (x->opcode >= 0x50 && x->opcode <= 0x57)
		r = x->is_16 ? -ENOENT : push(s, x->reg == FNP_X86_RBP);
	else if (x->opcode >= 0x58 && x->opcode <= 0x5f)
		r = x->is_16 || x->reg == FNP_X86_RSP ? -ENOENT : pop(s, x->reg == FNP_X86_RBP);
	else if (x->opcode == 0x68 || x->opcode == 0x6a || x->opcode == 0x9c)
		r = push(s, false);
	else if (x->opcode == 0xff && x->group == 6)
		r = push(s, false);
	else if (x->opcode == 0x9d || x->opcode == 0x8f)
		r = pop(s, x->opcode == 0x8f && x->direct && x->rm == FNP_X86_RBP);
	else if (is_group1_on_rsp(x) && (x->group == 0 || x->group == 5))
		r = move(s, x->group == 5 ? x->immediate : -x->immediate);
	else if (is_group1_on_rsp(x) && x->group == 4)
		r = lose_depth(s);
	else if (x->opcode == 0x8d && x->reg == FNP_X86_RSP && x->wide && !x->indexed && x->rm == FNP_X86_RSP)
		r = move(s, -(int64_t)x->displacement);
	else if (x->opcode == 0x8d && x->reg == FNP_X86_RSP && x->wide && !x->indexed && x->rm == FNP_X86_RBP)
		r = stack_from_frame(s, x->displacement);
	else if ((x->opcode == 0x89 && x->direct && x->rm == FNP_X86_RSP && x->reg == FNP_X86_RBP && x->wide) ||
		 (x->opcode == 0x8b && x->direct && x->reg == FNP_X86_RSP && x->rm == FNP_X86_RBP && x->wide))
		r = stack_from_frame(s, 0);
	else if (x->opcode == 0xc9)
		r = stack_from_frame(s, 0) ?: pop(s, true);
	else if ((x->opcode == 0x29 || x->opcode == 0x2b) && x->wide && x->direct &&
		 (x->opcode == 0x29 ? x->rm : x->reg) == FNP_X86_RSP)
		r = lose_depth(s);
	else if (x->opcode != 0xc8 && !(x->has_modrm && may_write(x, FNP_X86_RSP)) &&
		 !((x->opcode & 0xf8) == 0x90 && x->reg == FNP_X86_RSP) &&
		 !((x->opcode & 0xf8) == 0xb8 && x->reg == FNP_X86_RSP))
		return 0;
	return r < 0 ? r : 1;
}

int fnp_code_step(const struct fnp_x86 *x, struct fnp_code_state *s)
{
	int r;

	follow_copy(x, s);
	r = set_stack_pointer(x, s);
	if (r < 0)
		return r;
	/* mov rbp, rsp; in both encodings. */
	if (r == 1) {
		/* rbp was seen to there, where it was popped. */
	} else if (x->map == 0 && x->wide && x->direct && !x->vex &&
		   ((x->opcode == 0x89 && x->rm == FNP_X86_RBP && x->reg == FNP_X86_RSP) ||
		    (x->opcode == 0x8b && x->reg == FNP_X86_RBP && x->rm == FNP_X86_RSP))) {
		lose_fp(s);
		s->has_frame = s->has_depth;
		s->frame = s->depth;
		s->by_fp_at = s->by_sp_at;
	} else if (x->map == 0 && (x->opcode == 0x31 || x->opcode == 0x33) && x->direct && x->rm == x->reg &&
		   x->reg == FNP_X86_RBP) {
		lose_fp(s);
		s->first = true;
	} else if (may_write(x, FNP_X86_RBP)) {
		lose_fp(s);
	}
	return is_known(s) ? 0 : -ENOENT;
}

bool fnp_code_state_is(const struct fnp_code_state *a, const struct fnp_code_state *b)
{
	return a->has_depth == b->has_depth && (!a->has_depth || a->depth == b->depth) &&
	       a->has_frame == b->has_frame && (!a->has_frame || a->frame == b->frame) && a->fp == b->fp &&
	       (a->fp != FNP_CODE_FP_SAVED || a->fp_at == b->fp_at) && a->first == b->first &&
	       a->doubted == b->doubted && a->copy_in == b->copy_in && (!a->copy_in || a->copy == b->copy) &&
	       a->by_sp_at == b->by_sp_at && a->by_fp_at == b->by_fp_at &&
	       ((a->by_sp_at == FNP_CODE_NOWHERE && a->by_fp_at == FNP_CODE_NOWHERE) || a->put == b->put);
}

int fnp_code_state_join(struct fnp_code_state *into, const struct fnp_code_state *other)
{
	if (into->has_depth && other->has_depth && into->depth != other->depth)
		return -ENOENT;
	into->has_depth &= other->has_depth;
	into->has_frame &= other->has_frame && into->frame == other->frame;
	if (into->fp != other->fp || (into->fp == FNP_CODE_FP_SAVED && into->fp_at != other->fp_at))
		into->fp = FNP_CODE_FP_LOST;
	into->first &= other->first;
	into->doubted &= other->doubted;
	if (into->copy_in != other->copy_in || into->copy != other->copy)
		into->copy_in = 0;
	if (into->by_sp_at != other->by_sp_at || into->put != other->put)
		into->by_sp_at = FNP_CODE_NOWHERE;
	if (into->by_fp_at != other->by_fp_at || into->put != other->put)
		into->by_fp_at = FNP_CODE_NOWHERE;
	return is_known(into) ? 0 : -ENOENT;
}
