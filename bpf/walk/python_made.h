/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Code that CPython made itself, in memory without a file: traces of its JIT (3.13 and later, off by default), and the
 * trampolines of `-X perf`. It has no unwind table, mostly no frame pointer, and stands for no frame of its own: the Python
 * frames that it runs are in the thread's chain, and are taken at the loop's frame that called it. So all that is
 * wanted is this frame of the loop. Three ways, in this order; without any of them the walk ends, because frame pointers
 * that are none would leave frames out in silence.
 *
 * 1. What follows the pc is the end of a function: stack adjusted, registers popped, `ret`. Run in the mind, it says
 *    where the return address is, and is exact. So end trampolines, and the JIT's entry.
 * 2. The frame pointer leads to a return address in the loop. The JIT of 3.15 keeps it.
 * 3. The JIT's entry saves registers, calls the trace, and ends as in 1. The trace itself moves the stack by a few words
 *    and hands over to the next one by a jump. So above sp there is a return address into code with such an end, and
 *    exactly that many words after it one into the loop. Both must be there. A trace that needs the frame pointer for
 *    something else saves it first: then it lies next to the entry's return address.
 */
#ifndef FNP_BPF_WALK_PYTHON_MADE_H
#define FNP_BPF_WALK_PYTHON_MADE_H

#include "bpf/layout/python.h"
#include "bpf/walk/walk.h"

#define FNP_PYTHON_MADE_WORDS 48 /* of the stack that are looked at */
#define FNP_PYTHON_MADE_ENTRY 12 /* words that the JIT's entry saves at most */
#define FNP_PYTHON_MADE_SAVED 4
#define FNP_PYTHON_MADE_BYTES 32 /* of a function's end; a power of two */
#define FNP_PYTHON_MADE_STEPS 12
#define FNP_PYTHON_MADE_FRAME (64 << 10)  /* bytes of a frame at most */
#define FNP_PYTHON_MADE_TEXT (256U << 20) /* bytes from the interpreter's data to its code at most */

/*
 * The end of a function at `address`: the words that are popped before it returns, and in bits 15..8 one more than the
 * place among them of what the frame pointer becomes (0: it is not popped). Negative when it is no such end.
 *
 * What is known so far stands in memory, where the verifier forgets it: else it follows every sequence of instructions on
 * its own, half a million steps of them.
 */
FNP_SUBPROGRAM int fnp_python_made_end(struct fnp_walk *walk, fnp_u64 address)
{
	volatile fnp_u32 *state; /* offset, words, place of the frame pointer */
	const fnp_u8 *code;

	if (!walk || fnp_read_user(walk->scratch, FNP_PYTHON_MADE_BYTES, address))
		return -1;
	code = (const fnp_u8 *)walk->scratch;
	state = (volatile fnp_u32 *)(walk->scratch + FNP_PYTHON_MADE_BYTES / 8);
	state[0] = state[1] = state[2] = 0;
	for (int i = 0; i < FNP_PYTHON_MADE_STEPS; i++) {
		fnp_u32 at = state[0];
		fnp_u8 op, second, third, fourth;

		if (at > FNP_PYTHON_MADE_BYTES - 4)
			return -1;
		op = code[at & (FNP_PYTHON_MADE_BYTES - 1)];
		second = code[(at + 1) & (FNP_PYTHON_MADE_BYTES - 1)];
		third = code[(at + 2) & (FNP_PYTHON_MADE_BYTES - 1)];
		fourth = code[(at + 3) & (FNP_PYTHON_MADE_BYTES - 1)];
		if (op == 0xc3) /* ret */
			return (int)(state[1] | state[2] << 8);
		if (op >= 0x58 && op <= 0x5f && op != 0x5c) { /* pop; not into the stack pointer */
			state[1] = state[1] + 1;
			if (op == 0x5d)
				state[2] = state[1];
			state[0] = at + 1;
		} else if (op == 0x41 && second >= 0x58 && second <= 0x5f) { /* pop of r8 to r15 */
			state[1] = state[1] + 1;
			state[0] = at + 2;
		} else if (op == 0x48 && second == 0x83 && third == 0xc4 && !(fourth & 0x87)) { /* add $N,%rsp */
			state[1] = state[1] + fourth / 8;
			state[0] = at + 4;
		} else {
			return -1;
		}
	}
	return -1;
}

/* Takes what fnp_python_made_end() said of a function whose words begin at `sp`. 0 or negative. */
FNP_SUBPROGRAM int fnp_python_made_return(struct fnp_walk *walk, int end, fnp_u64 sp)
{
	fnp_u64 pc, fp;
	fnp_u32 words = end & 0xff, slot = end >> 8 & 0xff;

	if (!walk || end < 0)
		return -1;
	fp = walk->fp;
	if (slot && fnp_walk_load(walk, sp + 8 * (fnp_u64)(slot - 1), &fp))
		return -1;
	if (fnp_walk_load(walk, sp + 8 * (fnp_u64)words, &pc) || fnp_native_find_mapping(walk, pc - 1))
		return -1;
	return fnp_walk_caller(walk, pc, sp + 8 * (fnp_u64)(words + 1), fp);
}

/* Is this a return address into the interpreter's loop? */
FNP_SUBPROGRAM int fnp_python_made_is_loop(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 word, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);

	if (!walk || !l || l->code_type + bias - word + FNP_PYTHON_MADE_TEXT > 2 * (fnp_u64)FNP_PYTHON_MADE_TEXT)
		return 0;
	return fnp_native_find_mapping(walk, word - 1) == 0 && walk->here.kind == FNP_CODE_PYTHON &&
	       walk->here.data != FNP_PYTHON_MADE;
}

FNP_INLINE bool fnp_python_made_is_frame(fnp_u64 fp, fnp_u64 sp)
{
	return fp >= sp && fp - sp < FNP_PYTHON_MADE_FRAME && !(fp & 7);
}

/* Way 3: what the frame pointer was when the trace began that returns to the word number `entry`. */
FNP_INLINE void fnp_python_made_frame_pointer(struct fnp_walk *walk, fnp_u32 entry)
{
	fnp_u64 first = walk->sp + 8 * (fnp_u64)entry, word;

	for (fnp_u32 i = 1; i <= FNP_PYTHON_MADE_SAVED && i <= entry; i++) {
		if (fnp_python_made_is_frame(walk->fp, first))
			return;
		if (fnp_walk_load(walk, first - 8 * (fnp_u64)i, &word) == 0 &&
		    fnp_python_made_is_frame(word, first))
			walk->fp = word;
	}
}

/* Way 3, for the return address into the loop that is the word number `loop` above sp. 0 or negative. */
FNP_SUBPROGRAM int fnp_python_made_entry(struct fnp_walk *walk, fnp_u32 loop)
{
	fnp_u64 sp, word;
	int end;

	if (!walk)
		return -1;
	sp = walk->sp;
	for (fnp_u32 words = 0; words < FNP_PYTHON_MADE_ENTRY && words < loop; words++) {
		if (fnp_walk_load(walk, sp + 8 * (fnp_u64)(loop - words - 1), &word) || word >> 47 ||
		    word < 4096)
			continue;
		end = fnp_python_made_end(walk, word);
		if (end >= 0 && (end & 0xff) == words) {
			fnp_python_made_frame_pointer(walk, loop - words - 1);
			return fnp_python_made_return(walk, end, sp + 8 * (fnp_u64)(loop - words));
		}
	}
	return -1;
}

/* From code that the interpreter made to what called it; pushes nothing. As a walker returns, or 1: no way was found. */
FNP_SUBPROGRAM int fnp_python_made(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	fnp_u64 word;

	if (!walk)
		return -1;
	if (fnp_python_made_return(walk, fnp_python_made_end(walk, walk->pc), walk->sp) == 0)
		return 0;
	if (walk->fp >= walk->sp && walk->fp - walk->sp < FNP_PYTHON_MADE_FRAME &&
	    fnp_walk_load(walk, walk->fp + 8, &word) == 0 && fnp_python_made_is_loop(walk, layout, word, bias)) {
		fnp_u64 sp = walk->fp + 16, fp;

		return fnp_walk_load(walk, walk->fp, &fp) ? 1 : fnp_walk_caller(walk, word, sp, fp);
	}
	for (fnp_u32 i = 1; i < FNP_PYTHON_MADE_WORDS; i++) {
		if (fnp_walk_load(walk, walk->sp + 8 * (fnp_u64)i, &word))
			break;
		if (fnp_python_made_is_loop(walk, layout, word, bias) && fnp_python_made_entry(walk, i) == 0)
			return 0;
	}
	return 1;
}

#endif
