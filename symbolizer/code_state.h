/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the stack before an instruction, and what the instruction makes of it.
 */
#ifndef FNP_SYMBOLIZER_CODE_STATE_H
#define FNP_SYMBOLIZER_CODE_STATE_H

#include "symbolizer/x86_code.h"

#define FNP_CODE_NOWHERE (-1)
#define FNP_CODE_ENTRY_DEPTH 8 /* bytes of stack at a function's first instruction: its return address */

enum fnp_code_fp {
	FNP_CODE_FP_SAME = 0,  /* rbp is the caller's */
	FNP_CODE_FP_SAVED = 1, /* the caller's is at CFA - fp_at */
	FNP_CODE_FP_LOST = 2,
};

/* Before an instruction. */
struct fnp_code_state {
	int32_t depth; /* CFA = rsp + depth, when has_depth */
	int32_t frame; /* CFA = rbp + frame, when has_frame */
	int32_t fp_at;
	uint8_t visited, has_depth, has_frame, fp; /* enum fnp_code_fp */
	/*
	 * Where a function aligns the stack by hand: the stack pointer from before in a register, which stands `copy` below the CFA
	 * (the number of the register and 1; 0: in none), then put by in memory, at rsp + by_sp_at or rbp + by_fp_at (-1: it is
	 * not there): CFA = M[...] + put.
	 */
	uint8_t copy_in;
	int16_t copy, put, by_sp_at, by_fp_at;
	bool first;   /* rbp was set to 0: the ABI's mark of a thread's first frame */
	bool doubted; /* every way here leads behind a call that may not return */
	bool returns; /* a way from here leads to a return */
	bool hidden;  /* two threads may be here, on different stacks */
};

/* At a function's first instruction. */
#define FNP_CODE_ENTRY                                                                                       \
	((struct fnp_code_state){.depth = FNP_CODE_ENTRY_DEPTH,                                              \
				 .has_depth = true,                                                          \
				 .by_sp_at = FNP_CODE_NOWHERE,                                               \
				 .by_fp_at = FNP_CODE_NOWHERE})

/* What the instruction makes of the state. 0; -ENOENT when it sets the stack pointer in a way that is not understood. */
int fnp_code_step(const struct fnp_x86 *x, struct fnp_code_state *state);

/* Whether two ways bring the same. */
bool fnp_code_state_is(const struct fnp_code_state *a, const struct fnp_code_state *b);

/* Leaves what is true on both ways. -ENOENT when that is nothing, or when they contradict each other. */
int fnp_code_state_join(struct fnp_code_state *into, const struct fnp_code_state *other);

#endif
