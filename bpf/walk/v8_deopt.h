/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Optimized code that is thrown away while it runs: the deoptimizer's entry copies the frame to its memory, takes it off
 * the stack, has the frames computed that stand for it in the interpreter, and puts these there. rbp points to the old
 * frame all the time, also where that is overwritten. So it is read from the copy while the frames are computed, and not
 * at all while they are put there. Where there will be one frame no function was inlined there; else user space looks
 * whether any was inlined in this code at all.
 */
#ifndef FNP_BPF_WALK_V8_DEOPT_H
#define FNP_BPF_WALK_V8_DEOPT_H

#include "bpf/walk/v8.h"

#define FNP_V8_DEOPT_BYTES_MAX (1 << 20) /* of a frame */
#define FNP_V8_DEOPT_FROM 40		 /* Deoptimizer: where it was entered from, in the code */
#define FNP_V8_DEOPT_COUNT 8 /* from its input on: how many frames there will be; 0: not known yet */

/*
 * From the entry, which called, to the caller of the frame. Before the call it pushed the Deoptimizer where the frame
 * had ended, and then where that is; a description begins with the frame's size.
 */
FNP_SUBPROGRAM int fnp_v8_deopt(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 at, input, size, copy, pc, fp, top, count, from;

	if (!walk || !l)
		return -1;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc - !walk->exact)))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	if (walk->exact || !l->deopt_input || fnp_walk_load(walk, walk->sp, &at) ||
	    fnp_walk_load(walk, at, &input))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	top = at + 8;
	count = fnp_v8_read(walk, input + l->deopt_input + FNP_V8_DEOPT_COUNT);
	from = fnp_v8_read(walk, input + FNP_V8_DEOPT_FROM);
	input = fnp_v8_read(walk, input + l->deopt_input);
	size = fnp_v8_read(walk, input);
	if (walk->fp >= top || size > FNP_V8_DEOPT_BYTES_MAX || top - walk->fp > size || top - walk->fp < 16)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	copy = input + l->deopt_content + size - (top - walk->fp);
	fp = fnp_v8_read(walk, copy);
	pc = fnp_v8_read(walk, copy + 8);
	if (!pc || fp < top)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	/* The copy may be of another moment than the frame; optimized code is always a script's. */
	if (fnp_v8_function_at(walk, layout, fnp_v8_read(walk, copy - l->slot_function)) !=
	    FNP_V8_SCRIPT_FUNCTION)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (l->late)
		walk->chain[FNP_V8_IDS] = 0; /* it may be another: without a name */
	if (fnp_v8_push(walk, (fnp_u32)count == 1 ? FNP_V8_FUNCTION : FNP_V8_COMPILED, from | FNP_V8_LEFT, 0))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	return fnp_walk_caller(walk, pc, top, fp);
}

#endif
