/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/x86_code.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

enum operands {
	BAD = 1,
	MODRM = 2,
	IMM8 = 4,
	IMM32 = 8,    /* 16 bits with prefix 66 */
	IMM_BIG = 16, /* 64 bits with REX.W */
	IMM16 = 32,
	MOFFS = 64,
	GROUP3 = 128, /* an immediate number when ModRM.reg is 0 or 1 */
};

/* What is read before the size is looked at: prefixes and a byte, 0f 38 or VEX, opcode, ModRM, SIB, two numbers. */
#define BYTES_READ (FNP_X86_SIZE_MAX + 3 + 1 + 2 + 4 + 8)

#define MI (MODRM | IMM8)

/* Appendix A, table A-2, as 64-bit mode has it; prefixes are gone already. */
static const uint8_t one_byte[256] = {
#define ARITHMETIC(first)                                                                                    \
	[(first)...(first) + 3] = MODRM, [(first) + 4] = IMM8, [(first) + 5] = IMM32,                        \
			     [(first) + 6 ...(first) + 7] = BAD
	ARITHMETIC(0x00),
	ARITHMETIC(0x08),
	ARITHMETIC(0x10),
	ARITHMETIC(0x18),
	ARITHMETIC(0x20),
	ARITHMETIC(0x28),
	ARITHMETIC(0x30),
	ARITHMETIC(0x38),
#undef ARITHMETIC
	[0x40 ... 0x4f] = BAD,
	[0x60 ... 0x62] = BAD,
	[0x63] = MODRM,
	[0x64 ... 0x67] = BAD,
	[0x68] = IMM32,
	[0x69] = MODRM | IMM32,
	[0x6a] = IMM8,
	[0x6b] = MI,
	[0x70 ... 0x7f] = IMM8,
	[0x80] = MI,
	[0x81] = MODRM | IMM32,
	[0x82] = BAD,
	[0x83] = MI,
	[0x84 ... 0x8f] = MODRM,
	[0x9a] = BAD,
	[0xa0 ... 0xa3] = MOFFS,
	[0xa8] = IMM8,
	[0xa9] = IMM32,
	[0xb0 ... 0xb7] = IMM8,
	[0xb8 ... 0xbf] = IMM_BIG,
	[0xc0 ... 0xc1] = MI,
	[0xc2] = IMM16,
	[0xc4 ... 0xc5] = BAD,
	[0xc6] = MI,
	[0xc7] = MODRM | IMM32,
	[0xc8] = IMM16 | IMM8,
	[0xca] = IMM16,
	[0xcd] = IMM8,
	[0xce] = BAD,
	[0xd0 ... 0xd3] = MODRM,
	[0xd4 ... 0xd6] = BAD,
	[0xd8 ... 0xdf] = MODRM,
	[0xe0 ... 0xe7] = IMM8,
	[0xe8 ... 0xe9] = IMM32,
	[0xea] = BAD,
	[0xeb] = IMM8,
	[0xf0] = BAD,
	[0xf2 ... 0xf3] = BAD,
	[0xf6 ... 0xf7] = MODRM | GROUP3,
	[0xfe ... 0xff] = MODRM,
};

/* Table A-3. Most of it has ModRM alone, so that the table has what is different from that: 0 is MODRM, MODRM is nothing. */
static const uint8_t two_byte[256] = {
	[0x04] = BAD,
	[0x05 ... 0x09] = MODRM,
	[0x0a] = BAD,
	[0x0b] = MODRM,
	[0x0c] = BAD,
	[0x0e] = MODRM,
	[0x0f] = IMM8,
	[0x24 ... 0x27] = BAD,
	[0x30 ... 0x37] = MODRM,
	[0x70 ... 0x73] = IMM8,
	[0x77] = MODRM,
	[0x80 ... 0x8f] = MODRM | IMM32,
	[0xa0 ... 0xa2] = MODRM,
	[0xa4] = IMM8,
	[0xa8 ... 0xaa] = MODRM,
	[0xac] = IMM8,
	[0xba] = IMM8,
	[0xc2] = IMM8,
	[0xc4 ... 0xc6] = IMM8,
	[0xc8 ... 0xcf] = MODRM,
};

/* Prefixes but for REX and those that begin VEX: 1, and of those that matter here 2 (66) and 3 (f3). */
static const uint8_t prefixes[256] = {[0x26] = 1, [0x2e] = 1, [0x36] = 1, [0x3e] = 1, [0x64] = 1, [0x65] = 1,
				      [0x66] = 2, [0x67] = 1, [0xf0] = 1, [0xf2] = 1, [0xf3] = 3};

/* What is read: at least BYTES_READ bytes are there. Whether they are part of the code is asked at the end, once. */
struct reader {
	const uint8_t *pos;
	uint8_t rex;
	bool has_rex;
};

static int32_t read_i32(struct reader *r)
{
	int32_t value;

	memcpy(&value, r->pos, sizeof(value));
	r->pos += sizeof(value);
	return value;
}

static int read_vex(struct reader *r, uint8_t first, struct fnp_x86 *x)
{
	size_t n = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;
	const uint8_t *bytes = r->pos;

	r->pos += n;
	x->vex = true;
	r->rex = (uint8_t)((~bytes[0] >> 5 & 4) | (n > 1 ? (~bytes[0] >> 5 & 3) : 0));
	x->map = n == 1 ? 1 : bytes[0] & (n == 2 ? 31 : 7);
	x->vvvv = (uint8_t)(~bytes[n == 1 ? 0 : 1] >> 3 & 15);
	x->wide = n > 1 && (bytes[1] & 0x80);
	return x->map >= 1 && x->map <= 3 ? 0 : -EBADMSG;
}

/* Prefixes and opcode. */
static int read_opcode(struct reader *r, struct fnp_x86 *x)
{
	const uint8_t *begin = r->pos;
	uint8_t byte = *r->pos++;

	for (; prefixes[byte]; byte = *r->pos++) {
		if (r->pos - begin >= FNP_X86_SIZE_MAX)
			return -EBADMSG;
		x->is_16 |= prefixes[byte] == 2;
		x->repeat |= prefixes[byte] == 3;
	}
	if ((byte & 0xf0) == 0x40) {
		r->rex = byte & 15;
		r->has_rex = true;
		x->wide = byte & 8;
		byte = *r->pos++;
	} else if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
		if (read_vex(r, byte, x) < 0)
			return -EBADMSG;
		x->opcode = *r->pos++;
		return 0;
	}
	if (byte == 0x0f) {
		x->map = 1;
		byte = *r->pos++;
		if (byte == 0x38 || byte == 0x3a) {
			x->map = byte == 0x38 ? 2 : 3;
			byte = *r->pos++;
		}
	}
	x->opcode = byte;
	return 0;
}

/* ModRM, SIB and displacement (tables 2-2 and 2-3). */
static void read_modrm(struct reader *r, struct fnp_x86 *x)
{
	uint8_t modrm = *r->pos++, mod = modrm >> 6, base = modrm & 7, sib;

	x->has_modrm = true;
	x->group = modrm >> 3 & 7;
	x->reg = x->group | (r->rex & 4) << 1;
	x->direct = mod == 3;
	x->rm = base | (r->rex & 1) << 3;
	if (mod == 3)
		return;
	if (base == 4) {
		sib = *r->pos++;
		base = sib & 7;
		x->rm = base | (r->rex & 1) << 3;
		x->indexed = ((sib >> 3 & 7) | (r->rex & 2) << 2) != 4;
	} else {
		x->rip = base == 5 && mod == 0;
	}
	if (base == 5 && mod == 0)
		x->rm = FNP_X86_NO_REGISTER;
	if (mod == 1)
		x->displacement = (int8_t)*r->pos++;
	else if (mod == 2 || (base == 5 && mod == 0))
		x->displacement = read_i32(r);
}

static void read_immediate(struct reader *r, uint8_t operands, struct fnp_x86 *x)
{
	int16_t i16;

	if ((operands & GROUP3) && x->group < 2)
		operands |= x->opcode == 0xf6 ? IMM8 : IMM32;
	if (operands & MOFFS) {
		r->pos += 8;
		return;
	}
	if ((operands & IMM_BIG) && x->wide) {
		memcpy(&x->immediate, r->pos, 8);
		r->pos += 8;
		return;
	}
	if ((operands & IMM16) || ((operands & (IMM32 | IMM_BIG)) && x->is_16 && !x->wide)) {
		memcpy(&i16, r->pos, sizeof(i16));
		x->immediate = i16;
		r->pos += sizeof(i16);
	} else if (operands & (IMM32 | IMM_BIG)) {
		x->immediate = read_i32(r);
	}
	if (operands & IMM8)
		x->immediate = (int8_t)*r->pos++;
}

/* Without REX the registers 4 to 7 of bytes are ah, ch, dh and bh, which are parts of 0 to 3. */
static void name_bytes(struct fnp_x86 *x)
{
	uint8_t op = x->opcode;
	bool reg, rm;

	if ((x->reg & ~3) != 4 && (!x->direct || (x->rm & ~3) != 4))
		return;
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

static uint8_t operands_of(const struct fnp_x86 *x)
{
	if (x->map == 0)
		return one_byte[x->opcode];
	if (x->map == 1)
		return two_byte[x->opcode] ^ MODRM;
	return x->map == 3 ? MI : MODRM;
}

int fnp_x86_decode(const uint8_t *code, size_t size, struct fnp_x86 *ret)
{
	uint8_t copy[BYTES_READ], operands;
	struct reader r = {.pos = code};

	if (size < BYTES_READ) {
		memset(copy, 0, sizeof(copy));
		if (size > 0)
			memcpy(copy, code, size);
		r.pos = code = copy;
	}
	*ret = (struct fnp_x86){.rm = FNP_X86_NO_REGISTER, .reg = FNP_X86_NO_REGISTER};
	if (read_opcode(&r, ret) < 0)
		return -EBADMSG;
	operands = operands_of(ret);
	if (operands & BAD)
		return -EBADMSG;
	/* Near jumps and calls have 32 bits whatever the prefixes say. */
	if (ret->is_16 && ((ret->map == 0 && (ret->opcode & 0xfe) == 0xe8) ||
			   (ret->map == 1 && (ret->opcode & 0xf0) == 0x80)))
		ret->is_16 = false;
	if (operands & MODRM)
		read_modrm(&r, ret);
	else if (ret->map == 0)
		ret->reg = (ret->opcode & 7) | (r.rex & 1) << 3;
	if (operands & ~MODRM)
		read_immediate(&r, operands, ret);
	if ((size_t)(r.pos - code) > FNP_MIN(size, FNP_X86_SIZE_MAX))
		return -EBADMSG;
	if (!r.has_rex && !ret->vex)
		name_bytes(ret);
	ret->size = (uint8_t)(r.pos - code);
	return 0;
}

/* Jumps, calls and returns without a condition, and hlt. */
static bool leaves(uint8_t opcode)
{
	return opcode == 0xc3 || (opcode >= 0xe8 && opcode <= 0xeb) || opcode == 0xf4 || opcode == 0xff;
}

size_t fnp_x86_plain_size(const uint8_t *code, size_t size)
{
	const uint8_t *pos = code;
	uint8_t operands, modrm;

	if (size < BYTES_READ)
		return 0;
	pos += (*pos & 0xf0) == 0x40;
	operands = one_byte[*pos];
	if ((operands & ~(MODRM | IMM8 | IMM32)) || leaves(*pos))
		return 0;
	pos++;
	if (operands & MODRM) {
		/* By the two highest bits: bytes of displacement. */
		static const uint8_t displacement[4] = {0, 1, 4, 0};
		bool has_sib;

		modrm = *pos++;
		has_sib = modrm < 0xc0 && (modrm & 7) == 4;
		pos += displacement[modrm >> 6] +
		       (modrm < 0x40 && ((has_sib ? *pos : modrm) & 7) == 5 ? 4U : 0U) + has_sib;
	}
	return (size_t)(pos - code) + (operands & IMM8 ? 1U : 0U) + (operands & IMM32 ? 4U : 0U);
}
