/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the kernel side is told of a place that a probe sits on: where its arguments are when a thread comes there, and
 * which of them point to text. Filled from the notes of an ELF file (symbolizer/usdt*.c) or from a table, read by
 * bpf/usdt.bpf.c.
 *
 * An argument is at most a constant, a register, or one word of memory at base + (index << scale) + offset: all that
 * assemblers can write as one operand.
 */
#ifndef FNP_BPF_LAYOUT_PROBE_H
#define FNP_BPF_LAYOUT_PROBE_H

#include "bpf/types.h"

#define FNP_PROBE_SPECS_MAX 2048
#define FNP_PROBE_SPEC_ARGUMENTS 12 /* the format's own bound */
#define FNP_PROBE_SPEC_TEXTS 3
#define FNP_PROBE_TEXT_BYTES 256 /* of one text; what is longer is cut. A power of two. */

enum fnp_probe_argument_kind {
	FNP_PROBE_UNKNOWN = 0, /* a form that is not understood, or a register that the kernel does not show */
	FNP_PROBE_CONSTANT = 1,
	FNP_PROBE_REGISTER = 2,
	FNP_PROBE_MEMORY = 3,
};

/* Registers are numbers of 64-bit words in the kernel's struct pt_regs, or one of these. */
#define FNP_PROBE_REGISTERS 34
#define FNP_PROBE_NO_REGISTER 0xff
#define FNP_PROBE_BIAS 0xfe /* what the object's addresses are moved by in this process */

enum fnp_probe_index_form { FNP_PROBE_INDEX_64 = 0, FNP_PROBE_INDEX_U32 = 1, FNP_PROBE_INDEX_S32 = 2 };

struct fnp_probe_argument {
	fnp_s64 offset; /* of a constant: itself */
	fnp_u8 kind;	/* enum fnp_probe_argument_kind */
	fnp_u8 size;	/* 1, 2, 4 or 8 bytes */
	fnp_u8 is_signed;
	fnp_u8 base;  /* FNP_PROBE_REGISTER, _MEMORY */
	fnp_u8 index; /* of memory */
	fnp_u8 index_form;
	fnp_u8 scale; /* shift of the index */
	fnp_u8 shift; /* of a register's value, to the right: 8 for %ah */
};

enum fnp_probe_text_kind {
	FNP_PROBE_TEXT_STRING = 0,   /* ends in NUL */
	FNP_PROBE_TEXT_SIZED = 1,    /* its length is another argument */
	FNP_PROBE_TEXT_RAW = 2,	     /* FNP_PROBE_TEXT_RAW_BYTES of memory, whatever they are */
	FNP_PROBE_TEXT_RAW_LONG = 3, /* likewise, FNP_PROBE_TEXT_LONG_BYTES */
};
#define FNP_PROBE_TEXT_RAW_BYTES 128
#define FNP_PROBE_TEXT_LONG_BYTES 248

struct fnp_probe_text {
	fnp_u8 argument; /* that holds the address */
	fnp_u8 kind;	 /* enum fnp_probe_text_kind */
	fnp_u8 length;	 /* SIZED: the argument that holds the length */
	fnp_u8 through;	 /* not 0: the address stands in memory, so many bytes after the argument's address */
};

enum fnp_probe_flags {
	FNP_PROBE_MARKS = 1 << 0,  /* only when the first text begins with "fnprof." */
	FNP_PROBE_CLOCKS = 1 << 1, /* the record brings the clocks of its process, behind the texts */
	FNP_PROBE_SLEEP_BEGIN = 1 << 2, /* no record: the thread sleeps from now on, as many ms as argument 0 says */
	FNP_PROBE_SLEEP_END = 1 << 3, /* no record: it does no longer */
};

struct fnp_probe_spec {
	fnp_u64 address;     /* of the place, as the object counts */
	fnp_u64 peek;	     /* address of a pointer as the object counts; 0: none */
	fnp_u32 peek_offset; /* the 32 bits that are told stand so far from where it points */
	fnp_u8 n_arguments;
	fnp_u8 n_texts;
	fnp_u8 flags; /* enum fnp_probe_flags */
	fnp_u8 pad;
	struct fnp_probe_text texts[FNP_PROBE_SPEC_TEXTS];
	fnp_u32 pad2;
	struct fnp_probe_argument arguments[FNP_PROBE_SPEC_ARGUMENTS];
};

_Static_assert(sizeof(struct fnp_probe_argument) == 16, "layout");
_Static_assert(sizeof(struct fnp_probe_spec) == 40 + 16 * FNP_PROBE_SPEC_ARGUMENTS, "layout");

#endif
