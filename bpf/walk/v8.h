/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The V8 walker: from a pc in generated code or in the embedded builtins to the JavaScript function that runs there,
 * and to its caller.
 *
 * All of V8's frames keep a frame pointer, whatever made their code. Below it stands either the frame's type (a small
 * integer) or, in frames of JavaScript functions, the context and the function. So whoever was called is found through
 * rbp; a leaf may be code that made no frame, or is about to (v8_leaf.h).
 *
 * What a JavaScript frame runs is told by its return address: the embedded builtins mean the interpreter, whose frame
 * says which bytecode; anything else is compiled code, which user space looks up by the pc. Builtins themselves are
 * shown as native frames, by the symbols of their file.
 */
#ifndef FNP_BPF_WALK_V8_H
#define FNP_BPF_WALK_V8_H

#include "bpf/layout/v8.h"
#include "bpf/walk/walk.h"

FNP_SWITCH(fnp_walk_v8_on);
FNP_ARRAY(fnp_v8_layouts, struct fnp_v8_layout, FNP_V8_LAYOUTS_MAX);

#define FNP_V8_STACK_MAX (1 << 20) /* bytes of one frame */
#define FNP_V8_TYPES_MAX 64	   /* of frames that are no function's */

/* walk->scratch, in words: a JSFunction, its SharedFunctionInfo, its Script. */
#define FNP_V8_FUNCTION_AT 0
#define FNP_V8_SHARED_AT 8
#define FNP_V8_SCRIPT_AT 17
_Static_assert(FNP_V8_FUNCTION_MAX <= 8 * 8 && FNP_V8_SHARED_MAX <= 8 * 9 && FNP_V8_SCRIPT_MAX <= 8 * 13,
	       "scratch");
_Static_assert(8 * FNP_V8_SCRIPT_AT + FNP_V8_SCRIPT_MAX <= sizeof(((struct fnp_walk *)0)->scratch),
	       "scratch");

/* walk->chain */
#define FNP_V8_SHARED_MAP 0 /* maps that were found to be these types' in this walk */
#define FNP_V8_SCRIPT_MAP 1
#define FNP_V8_BYTECODE_MAP 2
#define FNP_V8_IDS 3 /* of the function that was read last */
#define FNP_V8_COOKIE 4
#define FNP_V8_SHARED 5
#define FNP_V8_OFFSET                                                                                        \
	6 /* of the bytecode that the leaf runs for the next frame, one more; 0: the frame says it */
#define FNP_V8_AWAIT 7 /* see v8_await.h; 0: nothing is followed */

/* What the slot of the function in a frame holds. */
enum fnp_v8_slot {
	FNP_V8_NO_FUNCTION = -1,
	FNP_V8_SCRIPT_FUNCTION = 0,
	FNP_V8_BUILTIN_FUNCTION = 1, /* one without a script */
};

FNP_INLINE fnp_u64 fnp_v8_word(const struct fnp_walk *walk, fnp_u32 at, fnp_u32 offset)
{
	fnp_u32 i = at + (offset + 1) / 8;

	return i < 39 ? walk->scratch[i] >> (8 * ((offset + 1) & 7)) : 0;
}

/* One word of the process; 0 also when it cannot be read. */
FNP_INLINE fnp_u64 fnp_v8_read(struct fnp_walk *walk, fnp_u64 address)
{
	return fnp_read_user(&walk->value, sizeof(walk->value), address) ? 0 : walk->value;
}

FNP_INLINE bool fnp_v8_is_pointer(fnp_u64 value)
{
	return (value & 3) == 1;
}

/* Is this the map of objects of a type? `known` is where the walk remembers one that was. */
FNP_INLINE bool fnp_v8_is_map(struct fnp_walk *walk, const struct fnp_v8_layout *l, fnp_u64 map, fnp_u32 type,
			      fnp_u32 known)
{
	if (!fnp_v8_is_pointer(map))
		return false;
	if (walk->chain[known & 7] == map)
		return true;
	if ((fnp_v8_read(walk, map + l->map_type) & 0xffff) != type)
		return false;
	walk->chain[known & 7] = map;
	return true;
}

/* Reads a function: enum fnp_v8_slot; its ids and cookie come into walk->chain. */
FNP_SUBPROGRAM int fnp_v8_function_at(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 function)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 shared, script, ids;

	if (!walk || !l)
		return FNP_V8_NO_FUNCTION;
	if (!fnp_v8_is_pointer(function) ||
	    fnp_read_user(&walk->scratch[FNP_V8_FUNCTION_AT], FNP_V8_FUNCTION_MAX, function - 1))
		return FNP_V8_NO_FUNCTION;
	shared = fnp_v8_word(walk, FNP_V8_FUNCTION_AT, l->function_shared);
	if (!fnp_v8_is_pointer(shared) ||
	    fnp_read_user(&walk->scratch[FNP_V8_SHARED_AT], FNP_V8_SHARED_MAX, shared - 1) ||
	    !fnp_v8_is_map(walk, l, walk->scratch[FNP_V8_SHARED_AT], l->type_shared, FNP_V8_SHARED_MAP))
		return FNP_V8_NO_FUNCTION;
	script = fnp_v8_word(walk, FNP_V8_SHARED_AT, l->shared_script);
	if (!fnp_v8_is_pointer(script) ||
	    fnp_read_user(&walk->scratch[FNP_V8_SCRIPT_AT], FNP_V8_SCRIPT_MAX, script - 1) ||
	    !fnp_v8_is_map(walk, l, walk->scratch[FNP_V8_SCRIPT_AT], l->type_script, FNP_V8_SCRIPT_MAP))
		return FNP_V8_BUILTIN_FUNCTION;
	ids = fnp_v8_word(walk, FNP_V8_SCRIPT_AT, l->script_id) >> 32 << 32 |
	      (fnp_u32)fnp_v8_word(walk, FNP_V8_SHARED_AT, l->shared_literal);
	walk->chain[FNP_V8_IDS] = ids;
	walk->chain[FNP_V8_SHARED] = shared - 1;
	walk->chain[FNP_V8_COOKIE] = fnp_v8_cookie(ids, fnp_v8_word(walk, FNP_V8_SHARED_AT, l->shared_name),
						   fnp_v8_word(walk, FNP_V8_SHARED_AT, l->shared_shape));
	return FNP_V8_SCRIPT_FUNCTION;
}

/* The same of the function in the frame at `fp`. */
FNP_SUBPROGRAM int fnp_v8_function_of(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 fp)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 function;

	if (!walk || !l || fnp_walk_load(walk, fp - l->slot_function, &function))
		return FNP_V8_NO_FUNCTION;
	return fnp_v8_function_at(walk, layout, function);
}

/* Adds a frame of the function that was read last. 0, or negative: no room. */
FNP_INLINE int fnp_v8_push(struct fnp_walk *walk, fnp_u32 frame, fnp_u64 where, fnp_u64 hash)
{
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_V8, 3,
					 walk->chain[FNP_V8_SHARED] | (fnp_u64)frame << FNP_V8_FRAME_SHIFT)))
		return -1;
	fnp_walk_push_more(walk, walk->chain[FNP_V8_IDS]);
	fnp_walk_push_more(walk, where);
	fnp_walk_push_more(walk, walk->chain[FNP_V8_COOKIE] | hash << 32);
	return 0;
}

/* Adds a function of which no more is known than that it is on the stack. 0, or negative: no room. */
FNP_INLINE int fnp_v8_push_function(struct fnp_walk *walk, const struct fnp_v8_layout *l)
{
	if (l->late)
		walk->chain[FNP_V8_IDS] = 0; /* it may be another: without a name */
	return fnp_v8_push(walk, FNP_V8_FUNCTION, 0, 0);
}

/* Does the function that was read last have this bytecode now? */
FNP_INLINE bool fnp_v8_has_bytecode(struct fnp_walk *walk, const struct fnp_v8_layout *l, fnp_u64 bytecode)
{
	fnp_u64 data = fnp_v8_word(walk, FNP_V8_SHARED_AT, l->shared_data);

	return data == bytecode ||
	       (fnp_v8_is_pointer(data) && (fnp_v8_read(walk, data + l->data_bytecode) == bytecode ||
					    fnp_v8_read(walk, data + 7) == bytecode));
}

/* The hash of the code around an address, 0 when it cannot be read. */
FNP_INLINE fnp_u64 fnp_v8_hash_at(struct fnp_walk *walk, fnp_u64 pc)
{
	if (fnp_read_user(walk->scratch, 16, pc - 8))
		return 0;
	return fnp_v8_code_hash(walk->scratch[0], walk->scratch[1]);
}

/* Adds a frame of compiled code that is not known to be a function's. 0, or negative: no room. */
FNP_SUBPROGRAM int fnp_v8_push_code(struct fnp_walk *walk, fnp_u64 type)
{
	fnp_u64 pc;

	if (!walk)
		return -1;
	pc = walk->pc - !walk->exact;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_V8, 3, pc | (fnp_u64)FNP_V8_CODE << FNP_V8_FRAME_SHIFT)))
		return -1;
	fnp_walk_push_more(walk, type);
	fnp_walk_push_more(walk, walk->exact ? FNP_V8_EXACT : 0);
	fnp_walk_push_more(walk, fnp_v8_hash_at(walk, walk->pc) << 32);
	return 0;
}

/* Adds the frame of what the pc is in, when it is no function's: a builtin, or code. */
FNP_SUBPROGRAM int fnp_v8_push_other(struct fnp_walk *walk, fnp_u64 type, fnp_u32 builtin)
{
	if (!walk)
		return -1;
	/* The leaf was called by this, not by the interpreter. */
	if (!walk->exact)
		walk->chain[FNP_V8_OFFSET] = 0;
	if (builtin)
		return fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc - !walk->exact));
	return fnp_v8_push_code(walk, type);
}

/*
 * Adds the function of the frame at walk->fp, where the interpreter says that it is. 0; 1: it is not interpreted;
 * negative: no room.
 */
FNP_SUBPROGRAM int fnp_v8_push_interpreted(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 bytecode, offset;

	if (!walk || !l)
		return -1;
	if (walk->exact && walk->sp > walk->fp - l->slot_offset)
		return 1;
	if (fnp_walk_load(walk, walk->fp - l->slot_bytecode, &bytecode) ||
	    fnp_walk_load(walk, walk->fp - l->slot_offset, &offset) || (fnp_u32)offset ||
	    !fnp_v8_is_pointer(bytecode) ||
	    !fnp_v8_is_map(walk, l, fnp_v8_read(walk, bytecode - 1), l->type_bytecode, FNP_V8_BYTECODE_MAP))
		return 1;
	offset = (offset >> 32) - l->bytecode_data;
	if (walk->chain[FNP_V8_OFFSET]) {
		offset = walk->chain[FNP_V8_OFFSET] - 1;
		walk->chain[FNP_V8_OFFSET] = 0;
		if (offset != FNP_V8_NO_OFFSET)
			offset -= l->bytecode_data;
	}
	if ((offset >> 31 && offset != FNP_V8_NO_OFFSET) ||
	    (l->late && !fnp_v8_has_bytecode(walk, l, bytecode)))
		return 1;
	return fnp_v8_push(walk, FNP_V8_INTERPRETED, offset, 0);
}

#include "bpf/walk/v8_await.h"

/*
 * Adds the frame at walk->fp, which is that of the code at walk->pc. 0; 1: it is to be tried again, behind those that
 * await what was added before it; negative: no room.
 */
FNP_SUBPROGRAM int fnp_v8_push_framed(struct fnp_walk *walk, fnp_u32 layout, fnp_u32 builtin)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 context, pc;
	int r;

	if (!walk || !l || fnp_walk_load(walk, walk->fp - l->slot_context, &context))
		return -1;
	pc = walk->pc - !walk->exact;
	if (!(context & 1))
		return fnp_v8_push_other(walk, context >> 1, builtin);
	r = fnp_v8_function_of(walk, layout, walk->fp);
	if (r == FNP_V8_BUILTIN_FUNCTION && fnp_v8_await_begin(walk, l))
		return 1;
	if (r != FNP_V8_SCRIPT_FUNCTION)
		return fnp_v8_push_other(walk, FNP_V8_TYPES_MAX, builtin);
	if (!builtin)
		return fnp_v8_push(walk, FNP_V8_COMPILED,
				   pc | (walk->exact ? FNP_V8_EXACT : 0) | (l->late ? FNP_V8_LATE : 0),
				   fnp_v8_hash_at(walk, walk->pc));
	r = fnp_v8_push_interpreted(walk, layout);
	return r > 0 ? fnp_v8_push_function(walk, l) : r;
}

/* Goes on with the caller of the frame at walk->fp. */
FNP_SUBPROGRAM int fnp_v8_return(struct fnp_walk *walk)
{
	fnp_u64 pc, fp;

	if (!walk)
		return -1;
	if (walk->fp < walk->sp || walk->fp - walk->sp > FNP_V8_STACK_MAX || (walk->fp & 7) ||
	    fnp_walk_load(walk, walk->fp + 8, &pc) || fnp_walk_load(walk, walk->fp, &fp) || pc == 0)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	return fnp_walk_caller(walk, pc, walk->fp + 16, fp);
}

/* Does code of V8's stand here, and a call before it? */
FNP_SUBPROGRAM int fnp_v8_is_return(struct fnp_walk *walk, fnp_u64 address)
{
	fnp_u64 code;

	if (!walk || address >> 47 || address < 4096)
		return 0;
	if (address < walk->here.start || address >= walk->here.end) {
		if (fnp_native_find_mapping(walk, address))
			return 0;
	}
	if (walk->here.kind != FNP_CODE_V8)
		return 0;
	code = fnp_v8_read(walk, address - 8);
	return (code >> 24 & 0xff) == 0xe8 ||	  /* call rel32 */
	       (code >> 48 & 0xf8ff) == 0xd0ff || /* call reg */
	       (code >> 40 & 0xf8ff) == 0x50ff || /* call [reg + disp8] */
	       (code >> 32 & 0xf8ff) == 0x50ff || /* call [reg + reg + disp8] */
	       (code >> 16 & 0xf8ff) == 0x90ff;	  /* call [reg + disp32] */
}

/*
 * The same for a builtin whose frame is no function's. Where the interpreter's frame becomes another tier's, one word (the
 * accumulator) lies between the frame and the return address, or there is none: then the function itself is what is below.
 */
FNP_SUBPROGRAM int fnp_v8_return_of_builtin(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 pc, fp, below;
	int r;

	if (!walk || !l || fnp_walk_load(walk, walk->fp + 8, &pc) || fnp_walk_load(walk, walk->fp, &fp))
		return walk ? fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME) : -1;
	if ((pc >= walk->here.start && pc < walk->here.end) || fnp_native_find_mapping(walk, pc) == 0)
		return fnp_v8_return(walk);
	if (fnp_walk_load(walk, walk->fp + 16, &below) == 0 && fnp_v8_is_return(walk, below))
		return fnp_walk_caller(walk, below, walk->fp + 24, fp);
	if ((!fnp_v8_is_pointer(pc) && (fnp_u32)pc) ||
	    fnp_v8_function_of(walk, layout, fp) != FNP_V8_SCRIPT_FUNCTION)
		return fnp_v8_return(walk);
	fnp_walk_caller(walk, pc, walk->fp + 16, fp);
	r = fnp_v8_push_interpreted(walk, layout);
	if (r > 0)
		r = fnp_v8_push_function(walk, l);
	return r < 0 ? fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH) : fnp_v8_return(walk);
}

FNP_INLINE bool fnp_v8_knows_trampoline(fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);

	return l && l->knows_trampoline;
}

#include "bpf/walk/v8_deopt.h"
#include "bpf/walk/v8_leaf.h"

FNP_SUBPROGRAM int fnp_walk_v8(struct fnp_walk *walk)
{
	const struct fnp_space *space;
	fnp_u32 layout, builtin;
	int r;

	if (!fnp_walk_v8_on || !walk)
		return -1;
	space = fnp_array_at(fnp_spaces, walk->space);
	layout = space ? space->runtime[2][0] : FNP_V8_LAYOUTS_MAX;
	if (!fnp_array_at(fnp_v8_layouts, layout))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	builtin = walk->data;
	if (builtin == FNP_V8_RANGE_DEOPT)
		return fnp_v8_deopt(walk, layout);
	/* The offset of the leaf is of use to the interpreter's frame below it; what makes calls itself has told the frame. */
	if (!walk->exact && builtin != FNP_V8_RANGE_TRAMPOLINE && fnp_v8_knows_trampoline(layout))
		walk->chain[FNP_V8_OFFSET] = 0;
	if (walk->exact) {
		r = fnp_v8_leaf(walk, layout, builtin);
		if (r <= 0)
			return r;
	}
	if (walk->fp < walk->sp || walk->fp - walk->sp > FNP_V8_STACK_MAX || (walk->fp & 7))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (fnp_v8_await(walk, layout))
		return 0;
	r = fnp_v8_push_framed(walk, layout, builtin);
	if (r < 0)
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	if (r)
		return 0;
	return builtin ? fnp_v8_return_of_builtin(walk, layout) : fnp_v8_return(walk);
}

#endif
