/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One x86-64 instruction, taken apart as far as the stack is concerned: its length, its opcode, its operands'
 * registers, its immediate number (Intel SDM, volume 2, chapter 2 and appendix A).
 */
#ifndef FNP_SYMBOLIZER_X86_CODE_H
#define FNP_SYMBOLIZER_X86_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FNP_X86_RCX 1 /* as instructions number registers */
#define FNP_X86_RSP 4
#define FNP_X86_RBP 5
#define FNP_X86_NO_REGISTER 0xff
#define FNP_X86_SIZE_MAX 15 /* bytes of an instruction */

struct fnp_x86 {
	uint8_t size;
	uint8_t map;	/* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
	uint8_t opcode; /* its last byte */
	bool vex;	/* VEX or EVEX; `vvvv` is its third operand */
	bool wide;	/* REX.W: 64-bit operands */
	bool is_16;	/* prefix 66 */
	bool repeat;	/* prefix f3 */
	bool has_modrm;
	uint8_t reg; /* of ModRM, 0 to 15 (0 to 3 for ah to bh); of one-byte opcodes with a register in them, that register */
	uint8_t rm;    /* a register when `direct`; else the base register or FNP_X86_NO_REGISTER */
	bool direct;   /* ModRM names a register, no memory */
	bool indexed;  /* the memory operand has an index register */
	bool rip;      /* the memory operand is at the next instruction's address + displacement */
	uint8_t group; /* bits 5..3 of ModRM, which complete some opcodes */
	uint8_t vvvv;
	int32_t displacement;
	int64_t immediate; /* of jumps and calls: the distance from the next instruction */
};

/* The instruction at `code`, of which `size` bytes are there. 0; -EBADMSG when it is none, or cut (then `ret` is anything). */
int fnp_x86_decode(const uint8_t *code, size_t size, struct fnp_x86 *ret);

/*
 * The size of the instruction at `code` when it is one of the many that have one opcode byte, no prefix but REX, and do
 * not change where control goes; 0 for all others: fnp_x86_decode() has to tell. It takes a third of that one's time.
 */
size_t fnp_x86_plain_size(const uint8_t *code, size_t size);

#endif
