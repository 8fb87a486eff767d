/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the V8 walker is told before it walks, and what a JavaScript frame is in a stack. Plain data.
 *
 * **Layout.** One for each process, like its ranges: written by user space to the array `fnp_v8_layouts`, whose index
 * stands in fnp_space.runtime[2][0]. Offsets and types are V8's own constants (v8dbg_*);
 * offsets of fields are less the tag, so that they are added to a tagged pointer. Code ranges of the isolates, wasm
 * code and the embedded builtins (also their copies near the code ranges) have the kind FNP_CODE_V8.
 *
 * **Frames.** A head word FNP_WORD(FNP_WORD_V8, 3, address | enum fnp_v8_frame << FNP_V8_FRAME_SHIFT) and three more.
 * Objects move, so a function is its script's id and its number in it, and its address is only where to read names
 * soon; the cookie tells whether it still is the one that was seen.
 *   INTERPRETED  address of the SharedFunctionInfo; ids; offset of the bytecode or FNP_V8_NO_OFFSET; cookie
 *   COMPILED     the same; the same; the pc | FNP_V8_EXACT where it is one; cookie, hash of the code there << 32
 *   FUNCTION     the same, where in the function is not known; 0; cookie
 *   AWAITING     as INTERPRETED, of an async function that waits there for what runs above it; it is not on the stack
 *   CODE         the pc, of code that is no function's, or whose frame does not say which; the frame's type; FNP_V8_EXACT
 *		  or 0; hash of the code there << 32
 * A return address stands one byte before where it leads to, as in native frames. Builtins are native words.
 */
#ifndef FNP_BPF_LAYOUT_V8_H
#define FNP_BPF_LAYOUT_V8_H

#include "bpf/types.h"

enum fnp_v8_frame {
	FNP_V8_INTERPRETED = 0,
	FNP_V8_COMPILED = 1,
	FNP_V8_FUNCTION = 2,
	FNP_V8_CODE = 3,
	FNP_V8_AWAITING = 4,
};
#define FNP_V8_FRAME_SHIFT 48
#define FNP_V8_EXACT (1ULL << 63)
#define FNP_V8_LATE (1ULL << 62) /* of a compiled frame: see `late` below */
#define FNP_V8_LEFT                                                                                          \
	(1ULL << 61) /* it was left for the deoptimizer: the pc is one behind its code's own, without hash */
#define FNP_V8_NO_OFFSET 0xffffffffU
#define FNP_V8_WORDS 4

/* What a range of the kind FNP_CODE_V8 holds: its `data`. */
enum fnp_v8_range {
	FNP_V8_RANGE_CODE = 0,	     /* generated code */
	FNP_V8_RANGE_BUILTINS = 1,   /* embedded builtins, the file's or a copy */
	FNP_V8_RANGE_TRAMPOLINE = 2, /* of these the one that enters the interpreter */
	FNP_V8_RANGE_DEOPT = 3,	     /* of the deoptimizer's entry what replaces the frame by others */
};

#define FNP_V8_LAYOUTS_MAX 256

struct fnp_v8_layout {
	fnp_u16 map_type; /* Map: its objects' type */
	fnp_u16 function_shared;
	fnp_u16 shared_name, shared_script, shared_literal;
	fnp_u16 shared_shape;
	fnp_u16 script_id;
	fnp_u16 bytecode_data; /* BytecodeArray: its first bytecode */
	/* Instance types. */
	fnp_u16 type_shared, type_script, type_bytecode;
	/* Slots below rbp. */
	fnp_u16 slot_context, slot_function, slot_bytecode, slot_offset;
	/*
	 * For a walk over the copy of a stack, beside a heap that has changed since: what lies at a function's address
	 * may be another function by now. Then only what does not move is believed: the function must have the
	 * bytecode, or the code, that the frame runs. `shared_data`: its bytecode, or what has that at `data_bytecode`.
	 */
	fnp_u16 shared_data, data_bytecode, late;
	fnp_u16 knows_trampoline; /* there is a range FNP_V8_RANGE_TRAMPOLINE */
	/* Who awaits (walk/v8_await.h): a field, and instance types; type_async_function 0: not known. */
	fnp_u16 function_context;
	fnp_u16 type_async_function, type_async_generator, type_request, type_promise, type_reaction,
		type_capability;
	fnp_u16 deopt_input;   /* Deoptimizer: what describes the frame that it replaces; 0: not known */
	fnp_u16 deopt_content; /* of that: the copy of the frame */
};

#define FNP_V8_FUNCTION_MAX 64 /* bytes read of each; all fields above lie in them */
#define FNP_V8_SHARED_MAX 72
#define FNP_V8_SCRIPT_MAX 104

/*
 * Of what tells functions apart that were at one address in turn: also the address of the name (or of what has it),
 * which stays where it is but for the rare collections that move old objects, and from `shape`, the words from
 * `shared_shape` on, the number of parameters and the distance from `function` to the first of them.
 */
static inline fnp_u32 fnp_v8_cookie(fnp_u64 ids, fnp_u64 name, fnp_u64 shape)
{
	fnp_u64 h = (ids ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	h = (h ^ (h >> 32) ^ name) * 0xc4ceb9fe1a85ec53ULL;
	h = (h ^ (h >> 29) ^ (shape & 0xffffffff0000ULL)) * 0xff51afd7ed558ccdULL;
	return (fnp_u32)(h >> 32);
}

/*
 * Of the eight bytes of code before the next instruction, and of those from it on: 16 bits each. Code holds addresses of
 * objects, which the collector changes when it moves them; no address lies on both sides of where an instruction begins,
 * so code is still the same when one of the halves is.
 */
static inline fnp_u32 fnp_v8_code_hash(fnp_u64 before, fnp_u64 behind)
{
	fnp_u64 a = (before ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
	fnp_u64 b = (behind ^ 0x9e3779b97f4a7c15ULL) * 0xc4ceb9fe1a85ec53ULL;

	return (fnp_u32)((a ^ a >> 32) >> 16 & 0xffff) << 16 | (fnp_u32)((b ^ b >> 32) >> 16 & 0xffff);
}

static inline int fnp_v8_code_is_same(fnp_u32 a, fnp_u32 b)
{
	return a >> 16 == b >> 16 || (a & 0xffff) == (b & 0xffff);
}

_Static_assert(sizeof(struct fnp_v8_layout) == 56, "layout");

#endif
