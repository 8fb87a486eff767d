/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The leaf of a JavaScript stack, where a frame may be in the making, or left already, or never be made. In all cases
 * what rbp points to is a frame of this stack (x86-64):
 *
 *   code enters by	push rbp; mov rbp, rsp; push rsi (context); push rdi (function); push rax, or push TYPE
 *			before that optimized code may look whether it was thrown away
 *    and leaves by	mov rsp, rbp; pop rbp; cmp N; jg; ret N*8	or	...; pop R; lea rsp, [rsp + N*8]; push R; ret
 *   many builtins (loads, stores, arithmetic, bytecode handlers, calls) make no frame: rbp is that of the function that
 *   called them, and the return address into it is on top of the stack, or a few words above
 *
 *   WebAssembly's baseline code begins with mov r12, N; call BUILTIN, which makes the frame for it: pop rdi; push rbp; ...
 *
 * A bytecode handler keeps the offset of its bytecode in a register; the frame has it only while the handler calls.
 *
 * Slots that lie below rsp are not filled yet, and hold what earlier calls left there: they are never read.
 */
#ifndef FNP_BPF_WALK_V8_LEAF_H
#define FNP_BPF_WALK_V8_LEAF_H

#include "bpf/walk/v8.h"

#define FNP_V8_R9 9
#define FNP_V8_R10 10
/* The interpreter's: offset of the bytecode, the BytecodeArray, the table of handlers. */
#define FNP_V8_BYTECODE_OFFSET 9
#define FNP_V8_BYTECODE_ARRAY 12
#define FNP_V8_DISPATCH 15
#define FNP_V8_HANDLER_MAX 4096 /* bytes of one */
#define FNP_V8_BEHIND 8		/* bytes of code read before the pc ... */
#define FNP_V8_AHEAD 24		/* ... and from it on */
#define FNP_V8_SEARCH 8		/* words above rsp in which a return address is looked for */
#define FNP_V8_PROLOGUE 16	/* bytes before a frame is made */

/* Eight bytes of code at an offset from the pc, of what was read around it. */
FNP_INLINE fnp_u64 fnp_v8_bytes(const struct fnp_walk *walk, int offset)
{
	const fnp_u8 *p = (const fnp_u8 *)walk->scratch + FNP_V8_BEHIND + offset;
	fnp_u64 bytes;

	__builtin_memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

/* Adds the leaf by itself, and goes on with a caller whose frame is still, or already, that of rbp. */
FNP_INLINE int fnp_v8_leaf_over(struct fnp_walk *walk, fnp_u32 builtin, fnp_u64 pc, fnp_u64 sp, fnp_u64 fp)
{
	if (fnp_v8_push_other(walk, FNP_V8_TYPES_MAX, builtin))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	return fnp_walk_caller(walk, pc, sp, fp);
}

/* Is the return address on top of the stack? Bytes that only stand where a frame is made or was left. */
FNP_INLINE bool fnp_v8_is_on_top(const struct fnp_walk *walk)
{
	fnp_u64 at = fnp_v8_bytes(walk, 0), next = fnp_v8_bytes(walk, 8);

	if ((at & 0xff) == 0xc3 || (at & 0xff) == 0xc2) /* ret */
		return true;
	if ((at & 0xffffff) == 0xf98348 && (at >> 32 & 0xffffff) == 0xc2037f) /* cmp rcx, N; jg; ret */
		return true;
	if ((at & 0xffffff) == 0xf88349 && (at >> 32 & 0xffff) == 0x8f0f && (next >> 16 & 0xff) == 0xc2)
		return true;
	if ((at & 0xffffff) == 0xc2037f || ((at & 0xffffffffffff) == 0x38f0f && (at >> 48 & 0xff) == 0xc2))
		return true;
	/* pop r10; lea rsp, [rsp + rcx*8] */
	return (at & 0xffffffffffff) == 0xcc248d485a41 || (at & 0xffffffffffff) == 0xc4248d4a5941;
}

/* The register that the return address is in on its way over the arguments; 0: none. */
FNP_INLINE fnp_u32 fnp_v8_is_in_register(const struct fnp_walk *walk)
{
	fnp_u64 at = fnp_v8_bytes(walk, 0);

	if ((at & 0xffffffffffffff) == 0xc35241cc248d48 || (at & 0xffffff) == 0xc35241)
		return FNP_V8_R10;
	if ((at & 0xffffffffffffff) == 0xc35141c4248d4a || (at & 0xffffff) == 0xc35141)
		return FNP_V8_R9;
	return 0;
}

/* Does push rbp; mov rbp, rsp stand within the next bytes? Bits without jumps: the verifier follows each. */
FNP_SUBPROGRAM int fnp_v8_is_before_frame(struct fnp_walk *walk)
{
	fnp_u64 found = 0;

	if (!walk)
		return 0;
	for (int i = 0; i < FNP_V8_PROLOGUE; i++) {
		fnp_u64 difference = (fnp_v8_bytes(walk, i) & 0xffffffff) ^ 0xe5894855;

		__asm__ volatile("" : "+r"(difference));
		found |= ~(difference | (0 - difference)) >> 63;
	}
	return found;
}

/*
 * Where baseline code of WebAssembly begins, or the builtin that makes its frame: its caller's frame is that of rbp.
 * 0: taken; 1: neither; negative: ended. Of the builtin the function that called it has no frame yet, and is not shown.
 */
FNP_SUBPROGRAM int fnp_v8_leaf_of_liftoff(struct fnp_walk *walk, fnp_u32 builtin)
{
	fnp_u64 at, before, pc, top;

	if (!walk)
		return -1;
	at = fnp_v8_bytes(walk, 0);
	before = fnp_v8_bytes(walk, -8);
	top = walk->sp;
	if (builtin) {
		if ((at & 0xffffffffff) != 0xe58948555f)
			return 1;
		top += 8;
	} else if (((at & 0xffff) != 0xbc41 || (at >> 48 & 0xff) != 0xe8) &&
		   ((at & 0xff) != 0xe8 || (before >> 16 & 0xffff) != 0xbc41)) {
		return 1;
	}
	if (fnp_walk_load(walk, top, &pc) || !fnp_v8_is_return(walk, pc))
		return 1;
	return fnp_v8_leaf_over(walk, builtin, pc, top + 8, walk->fp);
}

/*
 * Frames in the making or left, by the code around the pc. 0: taken; 1: the frame of rbp is whole, and is that of the
 * code at the pc or of what called it; negative: ended.
 */
FNP_SUBPROGRAM int fnp_v8_leaf_edges(struct fnp_walk *walk, fnp_u32 layout, fnp_u32 builtin)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 pc, fp, before;
	fnp_u32 reg;
	int r;

	if (!walk || !l)
		return -1;
	if (fnp_read_user(walk->scratch, FNP_V8_BEHIND + FNP_V8_AHEAD, walk->pc - FNP_V8_BEHIND)) {
		/* A page of the file that is not in memory yet, or no more: user space reads it. */
		if (fnp_v8_push_other(walk, FNP_V8_TYPES_MAX, builtin) == 0)
			walk->resumable = builtin != 0;
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	}
	before = fnp_v8_bytes(walk, -8);
	/* Between push rbp and mov rbp, rsp. */
	if (before >> 56 == 0x55 && (fnp_v8_bytes(walk, 0) & 0xffffff) == 0xe58948) {
		if (fnp_walk_load(walk, walk->sp + 8, &pc) || fnp_walk_load(walk, walk->sp, &fp))
			return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
		return fnp_v8_leaf_over(walk, builtin, pc, walk->sp + 16, fp);
	}
	r = fnp_v8_leaf_of_liftoff(walk, builtin);
	if (r <= 0)
		return r;
	reg = fnp_v8_is_in_register(walk);
	if (reg) {
		if (fnp_walk_reg(walk, reg, &pc))
			return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
		return fnp_v8_leaf_over(walk, builtin, pc, walk->sp, walk->fp);
	}
	if (fnp_v8_is_on_top(walk) || (!builtin && fnp_v8_is_before_frame(walk)) ||
	    (fnp_v8_bytes(walk, 0) & 0xffffffff) == 0xe5894855) {
		if (fnp_walk_load(walk, walk->sp, &pc))
			return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
		/* Regular expressions have subroutines, whose return addresses are none. */
		if (fnp_native_find_mapping(walk, pc) == 0)
			return fnp_v8_leaf_over(walk, builtin, pc, walk->sp + 8, walk->fp);
	}
	if (walk->fp < walk->sp || (walk->fp & 7)) {
		fnp_v8_push_other(walk, FNP_V8_TYPES_MAX, builtin);
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	}
	/* The frame is there, what tells its kind is not, or not any more. */
	if (walk->sp > walk->fp - l->slot_context ||
	    (walk->sp > walk->fp - l->slot_function &&
	     fnp_walk_load(walk, walk->fp - l->slot_context, &pc) == 0 && (pc & 1))) {
		if (fnp_v8_push_other(walk, FNP_V8_TYPES_MAX, builtin))
			return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
		return fnp_v8_return(walk);
	}
	return 1;
}

/*
 * The offset of the bytecode whose handler the leaf is, believed when the table of handlers leads to where the leaf is;
 * 0, or -1.
 */
FNP_SUBPROGRAM int fnp_v8_handler_offset(struct fnp_walk *walk)
{
	fnp_u64 offset, array, table, handler;

	if (!walk || fnp_walk_reg(walk, FNP_V8_BYTECODE_OFFSET, &offset) || offset >> 31 ||
	    fnp_walk_reg(walk, FNP_V8_BYTECODE_ARRAY, &array) || !fnp_v8_is_pointer(array) ||
	    fnp_walk_reg(walk, FNP_V8_DISPATCH, &table) ||
	    fnp_read_user(&walk->value, sizeof(walk->value), array + offset))
		return -1;
	handler = fnp_v8_read(walk, table + 8 * (walk->value & 0xff));
	if (walk->pc < handler || walk->pc - handler >= FNP_V8_HANDLER_MAX)
		return -1;
	walk->chain[FNP_V8_OFFSET] = offset + 1;
	return 0;
}

/*
 * A builtin, and a whole frame of a function at rbp: the builtin has no frame of its own. Where in the function it was
 * called is told by the return address, near the top of the stack.
 */
FNP_SUBPROGRAM int fnp_v8_frameless(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u32 search = FNP_V8_SEARCH;
	fnp_u64 word;
	int r = 1;

	if (!walk || !l)
		return -1;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc)))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	/* The one that enters the interpreter has the function's own frame, but for its first and last instructions. */
	if (walk->data == FNP_V8_RANGE_TRAMPOLINE)
		search = 1;
	for (fnp_u32 i = 0; i < FNP_V8_SEARCH; i++) {
		fnp_u64 at = walk->sp + 8 * i;

		if (i >= search || at >= walk->fp || fnp_walk_load(walk, at, &word))
			break;
		if (fnp_v8_is_return(walk, word))
			return fnp_walk_caller(walk, word, at + 8, walk->fp);
	}
	if (walk->data == FNP_V8_RANGE_TRAMPOLINE)
		r = fnp_v8_push_interpreted(walk, layout);
	if (r > 0)
		r = fnp_v8_push_function(walk, l);
	if (r < 0)
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	return fnp_v8_return(walk);
}

/* 0: the leaf was taken; 1: the frame of rbp is the leaf's own; negative: ended. */
FNP_SUBPROGRAM int fnp_v8_leaf(struct fnp_walk *walk, fnp_u32 layout, fnp_u32 builtin)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 context;
	int r;

	if (walk && walk->data == FNP_V8_RANGE_BUILTINS && fnp_v8_handler_offset(walk))
		walk->chain[FNP_V8_OFFSET] = FNP_V8_NO_OFFSET + 1ULL;
	r = fnp_v8_leaf_edges(walk, layout, builtin);
	if (!walk || !l || r <= 0 || !builtin)
		return r;
	if (fnp_walk_load(walk, walk->fp - l->slot_context, &context))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (!(context & 1) || fnp_v8_function_of(walk, layout, walk->fp) != FNP_V8_SCRIPT_FUNCTION)
		return 1;
	return fnp_v8_frameless(walk, layout);
}

#endif
