/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/x86_code.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define INSTRUCTION_MAX 15

enum operands {
	NONE = 0,
	BAD = 1,
	MODRM = 2,
	IMM8 = 4,
	IMM32 = 8,    /* 16 bits with prefix 66 */
	IMM_BIG = 16, /* 64 bits with REX.W */
	IMM16 = 32,
	MOFFS = 64,
	GROUP3 = 128, /* an immediate number when ModRM.reg is 0 or 1 */
};

#define MI (MODRM | IMM8)

/* Appendix A, table A-2, as 64-bit mode has it; prefixes are gone already. */
static uint8_t one_byte(uint8_t opcode)
{
	static const uint8_t low[8] = {MODRM, MODRM, MODRM, MODRM, IMM8, IMM32, BAD, BAD};

	if (opcode < 0x40)
		return low[opcode & 7];
	switch (opcode) {
	case 0x40 ... 0x4f:
	case 0x60 ... 0x62:
	case 0x64 ... 0x67:
	case 0x82:
	case 0x9a:
	case 0xc4:
	case 0xc5:
	case 0xce:
	case 0xd4 ... 0xd6:
	case 0xea:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return BAD;
	case 0x63:
	case 0x84 ... 0x8f:
	case 0xd0 ... 0xd3:
	case 0xd8 ... 0xdf:
	case 0xfe:
	case 0xff:
		return MODRM;
	case 0x68:
	case 0xa9:
	case 0xe8:
	case 0xe9:
		return IMM32;
	case 0x6a:
	case 0x70 ... 0x7f:
	case 0xa8:
	case 0xb0 ... 0xb7:
	case 0xcd:
	case 0xe0 ... 0xe7:
	case 0xeb:
		return IMM8;
	case 0x6b:
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
		return MI;
	case 0x69:
	case 0x81:
	case 0xc7:
		return MODRM | IMM32;
	case 0xa0 ... 0xa3:
		return MOFFS;
	case 0xb8 ... 0xbf:
		return IMM_BIG;
	case 0xc2:
	case 0xca:
		return IMM16;
	case 0xc8:
		return IMM16 | IMM8;
	case 0xf6:
	case 0xf7:
		return MODRM | GROUP3;
	}
	return NONE;
}

/* Table A-3: everything else behind 0f has ModRM alone. */
static uint8_t two_byte(uint8_t opcode)
{
	switch (opcode) {
	case 0x05 ... 0x09:
	case 0x0b:
	case 0x0e:
	case 0x30 ... 0x37:
	case 0x77:
	case 0xa0 ... 0xa2:
	case 0xa8 ... 0xaa:
	case 0xc8 ... 0xcf:
		return NONE;
	case 0x80 ... 0x8f:
		return IMM32;
	case 0x0f:
	case 0x70 ... 0x73:
	case 0xa4:
	case 0xac:
	case 0xba:
	case 0xc2:
	case 0xc4 ... 0xc6:
		return MI;
	case 0x04:
	case 0x0a:
	case 0x0c:
	case 0x24 ... 0x27:
		return BAD;
	}
	return MODRM;
}

struct prefixes {
	uint8_t rex;
	bool has_rex;
	bool extended; /* EVEX: displacements of 8 bits are scaled; only the length matters here */
};

static int read_vex(struct fnp_cursor *c, uint8_t first, struct fnp_x86 *x, struct prefixes *p)
{
	uint8_t bytes[3] = {0};
	size_t n = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;

	if (fnp_cursor_copy(c, bytes, n) < 0)
		return -EBADMSG;
	x->vex = true;
	p->extended = n == 3;
	p->rex = (uint8_t)((~bytes[0] >> 5 & 4) | (n > 1 ? (~bytes[0] >> 5 & 3) : 0));
	x->map = n == 1 ? 1 : bytes[0] & (n == 2 ? 31 : 7);
	x->vvvv = (uint8_t)(~bytes[n == 1 ? 0 : 1] >> 3 & 15);
	x->wide = n > 1 && (bytes[1] & 0x80);
	return x->map >= 1 && x->map <= 3 ? 0 : -EBADMSG;
}

/* Prefixes and opcode; ret_rex is what extends the registers' numbers. */
static int read_opcode(struct fnp_cursor *c, struct fnp_x86 *x, struct prefixes *p)
{
	uint8_t byte;

	for (;;) {
		if (fnp_cursor_u8(c, &byte) < 0)
			return -EBADMSG;
		if (byte == 0x66)
			x->is_16 = true;
		else if (byte == 0xf3)
			x->repeat = true;
		else if (byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x26 && byte != 0x64 &&
			 byte != 0x65 && byte != 0x67 && byte != 0xf0 && byte != 0xf2)
			break;
	}
	if (byte >= 0x40 && byte <= 0x4f) {
		p->rex = byte & 15;
		p->has_rex = true;
		x->wide = byte & 8;
		if (fnp_cursor_u8(c, &byte) < 0)
			return -EBADMSG;
	} else if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
		return read_vex(c, byte, x, p) < 0 ? -EBADMSG : fnp_cursor_u8(c, &x->opcode);
	}
	if (byte == 0x0f) {
		x->map = 1;
		if (fnp_cursor_u8(c, &byte) < 0)
			return -EBADMSG;
		if (byte == 0x38 || byte == 0x3a) {
			x->map = byte == 0x38 ? 2 : 3;
			if (fnp_cursor_u8(c, &byte) < 0)
				return -EBADMSG;
		}
	}
	x->opcode = byte;
	return 0;
}

/* ModRM, SIB and displacement (tables 2-2 and 2-3). */
static int read_modrm(struct fnp_cursor *c, uint8_t rex, struct fnp_x86 *x)
{
	uint8_t modrm, sib, mod;
	int8_t small;

	if (fnp_cursor_u8(c, &modrm) < 0)
		return -EBADMSG;
	mod = modrm >> 6;
	x->has_modrm = true;
	x->group = modrm >> 3 & 7;
	x->reg = x->group | (rex & 4) << 1;
	x->direct = mod == 3;
	x->rm = (modrm & 7) | (rex & 1) << 3;
	if (mod == 3)
		return 0;
	if ((modrm & 7) == 4) {
		if (fnp_cursor_u8(c, &sib) < 0)
			return -EBADMSG;
		x->rm = (sib & 7) | (rex & 1) << 3;
		x->indexed = ((sib >> 3 & 7) | (rex & 2) << 2) != 4;
		if ((sib & 7) == 5 && mod == 0) {
			x->rm = FNP_X86_NO_REGISTER;
			return fnp_cursor_copy(c, &x->displacement, 4);
		}
	} else if ((modrm & 7) == 5 && mod == 0) {
		x->rm = FNP_X86_NO_REGISTER;
		x->rip = true;
		return fnp_cursor_copy(c, &x->displacement, 4);
	}
	if (mod == 2)
		return fnp_cursor_copy(c, &x->displacement, 4);
	if (mod == 1) {
		if (fnp_cursor_copy(c, &small, 1) < 0)
			return -EBADMSG;
		x->displacement = small;
	}
	return 0;
}

static int read_immediate(struct fnp_cursor *c, uint8_t operands, struct fnp_x86 *x)
{
	int8_t i8;
	int16_t i16;
	int32_t i32;

	if ((operands & GROUP3) && x->group < 2)
		operands |= x->opcode == 0xf6 ? IMM8 : IMM32;
	if (operands & MOFFS)
		return fnp_cursor_skip(c, 8);
	if ((operands & IMM_BIG) && x->wide)
		return fnp_cursor_copy(c, &x->immediate, 8);
	if ((operands & IMM16) || ((operands & (IMM32 | IMM_BIG)) && x->is_16 && !x->wide)) {
		if (fnp_cursor_copy(c, &i16, 2) < 0)
			return -EBADMSG;
		x->immediate = i16;
	} else if (operands & (IMM32 | IMM_BIG)) {
		if (fnp_cursor_copy(c, &i32, 4) < 0)
			return -EBADMSG;
		x->immediate = i32;
	}
	if (operands & IMM8) {
		if (fnp_cursor_copy(c, &i8, 1) < 0)
			return -EBADMSG;
		x->immediate = i8;
	}
	return 0;
}

/* Without REX the registers 4 to 7 of bytes are ah, ch, dh and bh, which are parts of 0 to 3. */
static void name_bytes(struct fnp_x86 *x)
{
	uint8_t op = x->opcode;
	bool reg, rm;

	if (x->map == 0) {
		reg = op < 0x40 ? (op & 5) == 0
				: op == 0x84 || op == 0x86 || op == 0x88 || op == 0x8a || (op & 0xf8) == 0xb0;
		rm = reg || op == 0x80 || op == 0xc0 || op == 0xc6 || op == 0xd0 || op == 0xd2 ||
		     op == 0xf6 || op == 0xfe;
	} else {
		reg = x->map == 1 && (op == 0xb0 || op == 0xc0);
		rm = reg || (x->map == 1 && ((op & 0xf0) == 0x90 || op == 0xb6 || op == 0xbe));
	}
	if (reg && x->reg >= 4 && x->reg < 8)
		x->reg -= 4;
	if (rm && x->direct && x->rm >= 4 && x->rm < 8)
		x->rm -= 4;
}

int fnp_x86_decode(const uint8_t *code, size_t size, struct fnp_x86 *ret)
{
	struct fnp_cursor c = fnp_cursor_of(code, FNP_MIN(size, INSTRUCTION_MAX));
	struct fnp_x86 x = {.rm = FNP_X86_NO_REGISTER, .reg = FNP_X86_NO_REGISTER};
	struct prefixes p = {0};
	uint8_t operands;

	if (read_opcode(&c, &x, &p) < 0)
		return -EBADMSG;
	if (x.map == 0)
		operands = one_byte(x.opcode);
	else if (x.map == 1)
		operands = two_byte(x.opcode);
	else
		operands = x.map == 3 ? MI : MODRM;
	if (operands & BAD)
		return -EBADMSG;
	/* Near jumps and calls have 32 bits whatever the prefixes say. */
	if ((x.map == 0 && (x.opcode == 0xe8 || x.opcode == 0xe9)) || (x.map == 1 && (x.opcode & 0xf0) == 0x80))
		x.is_16 = false;
	if ((operands & MODRM) && read_modrm(&c, p.rex, &x) < 0)
		return -EBADMSG;
	if (read_immediate(&c, operands, &x) < 0)
		return -EBADMSG;
	if (x.map == 0 && !x.has_modrm)
		x.reg = (x.opcode & 7) | (p.rex & 1) << 3;
	if (!p.has_rex && !x.vex)
		name_bytes(&x);
	x.size = (uint8_t)fnp_cursor_offset(&c);
	*ret = x;
	return 0;
}
