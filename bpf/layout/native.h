/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the native walker is told before it walks: which code lies where in a process, and by which rule each
 * instruction's caller is found. Plain data, written by user space into arrays that both sides see.
 *
 *	pid --(hash)--> fnp_space_ref --> fnp_space: a run of fnp_code_range, sorted by start
 *	fnp_code_range: [start, end), kind of code, bias, object number
 *	object number --> fnp_table: where the object's rows lie
 *	address as the ELF file counts it --page index--> fnp_block --search--> rule number --> fnp_rule
 *
 * **Spaces** say what an address space looks like. They are never changed once a reference to them is out: a change is
 * a new space with a new version, and one write to the hash. A child by fork gets a copy of its parent's reference in
 * the kernel, so it can be walked at once. Old spaces are used again after a while, never at once.
 *
 * **Rows.** A row holds from its address to the next row's. Rows are kept in blocks of one cache line. A block begins
 * with the address of its first row (bits 30..0, from the table's base; bit 31 says which of two forms follows) and
 * holds 20 rows of a 16-bit distance and an 8-bit rule number, or 14 rows with 16-bit rule numbers. Rules are numbered
 * by how often they are used, so that nearly all blocks have the first form: 3.2 bytes a row. The page index has one
 * 32-bit block number for each 1 << page_shift bytes of code: the block that holds at the page's first byte.
 * Nothing but the number of rules of one object (65,535) is bounded by the format; rows past it become
 * FNP_CFA_EXPRESSION. Code farther than 2 GiB from the table's base has no rows.
 *
 * Everything of an object (page index, blocks, rules) lies in one run of cache lines of one arena.
 */
#ifndef FNP_BPF_LAYOUT_NATIVE_H
#define FNP_BPF_LAYOUT_NATIVE_H

#include "bpf/types.h"

/* ---- rules -------------------------------------------------------------------------------------------------- */

/* Registers as DWARF numbers them. */
#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
#define FNP_REG_FP 6	/* rbp */
#define FNP_REG_SP 7	/* rsp */
#define FNP_REG_RA 16	/* a column, not a register */
#define FNP_REGS_MAX 17 /* rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */
#else
#define FNP_REG_FP 29
#define FNP_REG_SP 31
#define FNP_REG_RA 30
#define FNP_REGS_MAX 33 /* x0..x30 sp pc */
#endif

/* The frame's canonical address. R is the register `cfa_reg`, M[] memory. */
enum fnp_cfa_kind {
	FNP_CFA_NONE = 0,	/* no row: rules end here */
	FNP_CFA_EXPRESSION = 1, /* there is a rule, and a row cannot hold it */
	FNP_CFA_REG = 2,	/* R + cfa_offset */
	FNP_CFA_DEREF = 3,	/* M[R + cfa_offset]: stacks that were realigned, return from a signal */
	FNP_CFA_PLT = 4,	/* sp + cfa_offset, + 8 when (pc & 15) >= 11: lazy PLT stubs */
	FNP_CFA_DEREF_PLUS = 5, /* M[R + a] + b, where cfa_offset is FNP_CFA_OFFSETS(a, b): sp was put by and realigned */
	FNP_CFA_DEREF_INDEX = 6, /* M[sp + R * 8 + a] + b: likewise, behind an array whose length is in R */
};

/* Two offsets of 16 bits in one of 32. */
#define FNP_CFA_OFFSETS(a, b) ((int)((fnp_u32)(fnp_u16)(a) | (fnp_u32)(fnp_u16)(b) << 16))
#define FNP_CFA_OFFSET_A(offset) ((short)(fnp_u16)(fnp_u32)(offset))
#define FNP_CFA_OFFSET_B(offset) ((short)(fnp_u16)((fnp_u32)(offset) >> 16))

/* Where the caller's frame pointer and the return address are. */
enum fnp_saved_kind {
	FNP_SAVED_SAME = 0,	  /* still in its own register (arm64: the return address in lr) */
	FNP_SAVED_AT_CFA = 1,	  /* M[CFA + offset] */
	FNP_SAVED_UNDEFINED = 2,  /* of the return address: this is the thread's first frame */
	FNP_SAVED_CFA = 3,	  /* CFA + offset itself */
	FNP_SAVED_AT_SP = 4,	  /* M[sp + offset] */
	FNP_SAVED_AT_FP = 5,	  /* M[fp + offset] */
	FNP_SAVED_REGISTER = 6,	  /* in the register whose number is `offset` */
	FNP_SAVED_EXPRESSION = 7, /* there is a rule, and a row cannot hold it */
	FNP_SAVED_AT_FP_AT = 8,	  /* M[M[fp + offset]]: a context that the frame holds says where */
};

enum fnp_rule_flags {
	FNP_RULE_SIGNAL = 1 << 0, /* the caller was interrupted: its pc is exact, its registers lie on the stack */
	FNP_RULE_OTHER_STACK = 1 << 2, /* the caller may be on another stack, at lower addresses */
	FNP_RULE_ODD_SP = 1 << 1,      /* the caller's sp is not the CFA: cannot be walked */
	FNP_RULE_EXACT = 1 << 3,       /* the caller's pc is where it will go on, no return address */
	FNP_RULE_BELIEVED = 1 << 4, /* nobody says so: it holds when the caller's pc stands behind a call */
	FNP_RULE_FOLLOWED = 1 << 5, /* from instructions: a return address of 0 is no thread's begin, but another use of rsp */
};

struct fnp_rule {
	int cfa_offset;
	int fp_offset;
	int ra_offset;
	fnp_u8 cfa_kind; /* enum fnp_cfa_kind */
	fnp_u8 cfa_reg;
	fnp_u8 saved; /* enum fnp_saved_kind: of the frame pointer, | of the return address << 4 */
	fnp_u8 flags; /* enum fnp_rule_flags */
};

/* ---- rows --------------------------------------------------------------------------------------------------- */

#define FNP_BLOCK_BYTES 64
#define FNP_BLOCK_NARROW 20
#define FNP_BLOCK_WIDE 14
#define FNP_BLOCK_IS_WIDE 0x80000000U
#define FNP_BLOCK_DISTANCE_MAX 0xfffeU /* unused rows have 0xffff */

struct fnp_block {
	fnp_u32 base; /* address of row 0 from the table's base, | FNP_BLOCK_IS_WIDE */
	union {
		struct {
			fnp_u16 distance[FNP_BLOCK_NARROW]; /* from `base`, ascending; [0] is 0 */
			fnp_u8 rule[FNP_BLOCK_NARROW];
		} narrow;
		struct {
			fnp_u16 distance[FNP_BLOCK_WIDE + 2];
			fnp_u16 rule[FNP_BLOCK_WIDE];
		} wide;
		fnp_u32 words[15];
	};
};

/* Instead of a number of pages. */
#define FNP_TABLE_NOT_LOADED 0U
#define FNP_TABLE_REFUSED 0xfffffffeU /* there will be none */
#define FNP_TABLE_FRAME_POINTERS                                                                             \
	0xffffffffU /* the object has no call frame information: frame pointers are believed */

/* Page index, blocks and rules of one object, as numbers of cache lines in its arena. */
struct fnp_table {
	fnp_u64 base;  /* address (as the ELF file counts) where the first page begins */
	fnp_u32 pages; /* pages of code (the index has one entry more), or one of the above */
	fnp_u32 arena;
	fnp_u32 index;	/* first cache line of the page index */
	fnp_u32 blocks; /* first block */
	fnp_u32 rules;	/* first cache line of the rules, four a line */
	fnp_u16 n_rules;
	fnp_u16 page_shift;
};

/* ---- spaces ------------------------------------------------------------------------------------------------- */

enum fnp_code_kind {
	FNP_CODE_NATIVE = 0,	    /* rows of `object` */
	FNP_CODE_FRAME_POINTER = 1, /* no rows will come; frame pointers are believed */
	FNP_CODE_PYTHON = 2, /* the interpreter's loop: native code with rows that stands for Python frames */
	FNP_CODE_HOTSPOT = 3, /* a code heap */
	FNP_CODE_V8 = 4,      /* a code range, or embedded builtins */
	FNP_CODE_TEST = 7,    /* the walkers' own tests */
};

struct fnp_code_range {
	fnp_u64 start, end; /* addresses in the process */
	fnp_u64 bias;	    /* address in the process minus address as the ELF file counts */
	fnp_u32 object;	    /* index of its fnp_table; 0: none (yet) */
	fnp_u16 kind;	    /* enum fnp_code_kind */
	fnp_u16 data;	    /* the kind's own */
};

#define FNP_SPACE_RUNTIMES 4
#define FNP_SPACE_RUNTIME_WORDS 6

struct fnp_space {
	fnp_u32 first; /* of its code ranges */
	fnp_u32 count;
	fnp_u32 version; /* 0: not in use; a reference with another one is too old */
	fnp_u32 pad;
	/*
	 * What a runtime's walker must know of this address space (a thread state's place, a heap's bounds, the number
	 * of a layout in the walker's own map), by enum fnp_code_kind - FNP_CODE_PYTHON. The layout header says what.
	 */
	fnp_u64 runtime[FNP_SPACE_RUNTIMES][FNP_SPACE_RUNTIME_WORDS];
};

/* The last of a runtime's words: not 0 when code without a file is to have its kind, with the data FNP_SPACE_ANONYMOUS. */
#define FNP_SPACE_RUNTIME_ANONYMOUS (FNP_SPACE_RUNTIME_WORDS - 1)
#define FNP_SPACE_ANONYMOUS 0xfffe
/* In fnp_code_range.data of code without a file while a runtime comes up that may have made it: no table is loaded yet. */
#define FNP_SPACE_EXPECTED 0xfffd

struct fnp_space_ref {
	fnp_u32 space;
	fnp_u32 version; /* never used twice; cached rules carry it */
};

#define FNP_SPACES_MAX 2048
#define FNP_CODE_RANGES_MAX 32768
#define FNP_TABLES_MAX 4096
#define FNP_ARENAS_MAX 64
#define FNP_ARENA_BYTES (2U << 20) /* bigger when one object needs more */
#define FNP_PIDS_MAX 8192

_Static_assert(sizeof(struct fnp_rule) == 16, "layout");
_Static_assert(sizeof(struct fnp_block) == FNP_BLOCK_BYTES, "layout");
_Static_assert(sizeof(struct fnp_table) == 32, "layout");
_Static_assert(sizeof(struct fnp_code_range) == 32, "layout");
_Static_assert(sizeof(struct fnp_space) == 208, "layout");

#endif
