/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Who awaits the async function that runs. Its continuation is called by a builtin whose context has the function's own
 * JSAsyncFunctionObject, and from there it goes: object -> promise -> its one reaction -> the builtin that will handle
 * it -> that one's context -> the object of the function that awaits. This is how V8 makes its own asynchronous stack
 * traces, and like them it ends where a promise has several reactions, or is handled by something else.
 *
 * Objects say themselves what they are, by the type in their map; what is no step of such a way ends it, and nothing is
 * made up. One step is one turn of the walk, so there is no loop here.
 */
#ifndef FNP_BPF_WALK_V8_AWAIT_H
#define FNP_BPF_WALK_V8_AWAIT_H

#include "bpf/walk/v8.h"

#define FNP_V8_AWAIT_STEPS 96 /* about three for each function that awaits */
#define FNP_V8_AWAIT_SHIFT 48 /* of the number of steps, above the object in walk->chain */

/* walk->scratch, in words: the object of a step; behind what fnp_v8_function_at() reads. */
#define FNP_V8_OBJECT_AT 30
#define FNP_V8_OBJECT_WORDS 12
_Static_assert(8 * (FNP_V8_OBJECT_AT + FNP_V8_OBJECT_WORDS) <= sizeof(((struct fnp_walk *)0)->scratch),
	       "scratch");

/* Fields, in words; the same in V8 10 to 14. */
#define FNP_V8_GENERATOR_FUNCTION 3
#define FNP_V8_GENERATOR_POSITION 6 /* offset of the bytecode where it waits */
#define FNP_V8_GENERATOR_WAITED 10  /* promise of an async function, first request of an async generator */
#define FNP_V8_PROMISE_REACTIONS 3
#define FNP_V8_PROMISE_FLAGS 4 /* their lowest two bits: 0 is pending */
#define FNP_V8_REACTION_NEXT 1 /* and so on; one more from V8 12 on */
#define FNP_V8_REACTION_HANDLER 3
#define FNP_V8_REACTION_PROMISE 4
#define FNP_V8_REQUEST_PROMISE 4
#define FNP_V8_CAPABILITY_PROMISE 1
#define FNP_V8_CONTEXT_FIRST 4 /* of what a builtin keeps in its context */
#define FNP_V8_CONTEXT_SECOND 5

FNP_INLINE fnp_u64 fnp_v8_object_word(const struct fnp_walk *walk, fnp_u32 i)
{
	return walk->scratch[FNP_V8_OBJECT_AT + i];
}

/*
 * The type of an object by its first word: its map, or while the collector works where the object was copied to, which
 * has the map then; what was copied keeps its other words. 0: none.
 */
FNP_INLINE fnp_u32 fnp_v8_type_by_map(struct fnp_walk *walk, const struct fnp_v8_layout *l, fnp_u64 map)
{
	if ((map & 7) == 0)
		map = fnp_v8_read(walk, map);
	return fnp_v8_is_pointer(map) ? fnp_v8_read(walk, map + l->map_type) & 0xffff : 0;
}

/* What handles a reaction, or else the promise that will have its result; 0: neither. */
FNP_SUBPROGRAM fnp_u64 fnp_v8_await_handler(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 handler, promise, context;
	fnp_u32 type;

	if (!walk || !l)
		return 0;
	handler = fnp_v8_object_word(walk, FNP_V8_REACTION_HANDLER);
	promise = fnp_v8_object_word(walk, FNP_V8_REACTION_PROMISE);
	if (fnp_v8_object_word(walk, FNP_V8_REACTION_NEXT) != 0) {
		if (fnp_v8_object_word(walk, FNP_V8_REACTION_NEXT + 1) != 0)
			return 0; /* several */
		handler = promise;
		promise = fnp_v8_object_word(walk, FNP_V8_REACTION_PROMISE + 1);
	}
	if (fnp_v8_function_at(walk, layout, handler) != FNP_V8_BUILTIN_FUNCTION)
		return promise;
	context = fnp_v8_word(walk, FNP_V8_FUNCTION_AT, l->function_context);
	if (!fnp_v8_is_pointer(context) ||
	    fnp_read_user(&walk->scratch[FNP_V8_OBJECT_AT], 8 * (FNP_V8_CONTEXT_SECOND + 1), context - 1))
		return 0;
	handler = fnp_v8_object_word(walk, FNP_V8_CONTEXT_FIRST);
	if (!fnp_v8_is_pointer(handler))
		return fnp_v8_object_word(walk, FNP_V8_CONTEXT_SECOND);
	type = fnp_v8_type_by_map(walk, l, fnp_v8_read(walk, handler - 1));
	return type == l->type_async_function || type == l->type_async_generator || type == l->type_promise
		       ? handler
		       : 0;
}

/* Adds the function of the object that awaits. 0, or negative: no room, or it is none. */
FNP_SUBPROGRAM int fnp_v8_push_awaiting(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 offset;

	if (!walk || !l)
		return -1;
	if (fnp_v8_function_at(walk, layout, fnp_v8_object_word(walk, FNP_V8_GENERATOR_FUNCTION)) !=
	    FNP_V8_SCRIPT_FUNCTION)
		return -1;
	offset = fnp_v8_object_word(walk, FNP_V8_GENERATOR_POSITION);
	offset = (fnp_u32)offset ? FNP_V8_NO_OFFSET : (offset >> 32) - l->bytecode_data;
	return fnp_v8_push(walk, FNP_V8_AWAITING, offset >> 31 ? FNP_V8_NO_OFFSET : offset, 0);
}

/* The object after the one that was read, whose type is known; 0: the way ends. */
FNP_INLINE fnp_u64 fnp_v8_await_next(struct fnp_walk *walk, const struct fnp_v8_layout *l, fnp_u32 layout,
				     fnp_u32 type)
{
	if (!type)
		return 0;
	if (type == l->type_async_function || type == l->type_async_generator)
		return fnp_v8_object_word(walk, FNP_V8_GENERATOR_WAITED);
	if (type == l->type_request)
		return fnp_v8_object_word(walk, FNP_V8_REQUEST_PROMISE);
	if (type == l->type_capability)
		return fnp_v8_object_word(walk, FNP_V8_CAPABILITY_PROMISE);
	if (type == l->type_promise)
		return fnp_v8_object_word(walk, FNP_V8_PROMISE_FLAGS) >> 32 & 3
			       ? 0
			       : fnp_v8_object_word(walk, FNP_V8_PROMISE_REACTIONS);
	return type == l->type_reaction ? fnp_v8_await_handler(walk, layout) : 0;
}

/* One step, from the object that walk->chain has. 1: there may be another; 0: it ends here. */
FNP_SUBPROGRAM int fnp_v8_await_step(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_v8_layout *l = fnp_array_at(fnp_v8_layouts, layout);
	fnp_u64 object, steps, next, ids;
	fnp_u32 type;

	if (!walk || !l)
		return 0;
	object = walk->chain[FNP_V8_AWAIT] & ((1ULL << FNP_V8_AWAIT_SHIFT) - 1);
	steps = walk->chain[FNP_V8_AWAIT] >> FNP_V8_AWAIT_SHIFT;
	if (!fnp_v8_is_pointer(object) || steps >= FNP_V8_AWAIT_STEPS ||
	    fnp_read_user(&walk->scratch[FNP_V8_OBJECT_AT], 8 * FNP_V8_OBJECT_WORDS, object - 1))
		return 0;
	type = fnp_v8_type_by_map(walk, l, fnp_v8_object_word(walk, 0));
	if (steps == 0) {
		/* The builtin may not have called it yet, or it has returned: then nobody awaits what runs. */
		ids = walk->chain[FNP_V8_IDS];
		if ((type != l->type_async_function && type != l->type_async_generator) ||
		    fnp_v8_function_at(walk, layout, fnp_v8_object_word(walk, FNP_V8_GENERATOR_FUNCTION)) !=
			    FNP_V8_SCRIPT_FUNCTION ||
		    walk->chain[FNP_V8_IDS] != ids)
			return 0;
	} else if ((type == l->type_async_function || type == l->type_async_generator) &&
		   fnp_v8_push_awaiting(walk, layout)) {
		return 0;
	}
	next = fnp_v8_await_next(walk, l, layout, type);
	if (!fnp_v8_is_pointer(next) || next >> FNP_V8_AWAIT_SHIFT)
		return 0;
	walk->chain[FNP_V8_AWAIT] = next | (steps + 1) << FNP_V8_AWAIT_SHIFT;
	return 1;
}

/*
 * At the frame of a builtin's function, which called what was taken last: is there something to follow? Then it stands in
 * walk->chain, and is done before the frame is taken.
 */
FNP_INLINE bool fnp_v8_await_begin(struct fnp_walk *walk, const struct fnp_v8_layout *l)
{
	fnp_u64 context, object;

	/* Followed already; the frame's address is no object's. */
	if (l->late || !l->type_async_function || walk->exact || walk->chain[FNP_V8_AWAIT] == walk->fp ||
	    fnp_walk_load(walk, walk->fp - l->slot_context, &context) || !fnp_v8_is_pointer(context))
		return false;
	object = fnp_v8_read(walk, context - 1 + 8 * FNP_V8_CONTEXT_FIRST);
	if (!fnp_v8_is_pointer(object) || object >> FNP_V8_AWAIT_SHIFT)
		return false;
	walk->chain[FNP_V8_AWAIT] = object;
	return true;
}

/* Follows what fnp_v8_await_begin() found. 1: it is not at its end; 0: nothing is left to follow. */
FNP_INLINE int fnp_v8_await(struct fnp_walk *walk, fnp_u32 layout)
{
	if (!fnp_v8_is_pointer(walk->chain[FNP_V8_AWAIT]))
		return 0;
	if (fnp_v8_await_step(walk, layout))
		return 1;
	walk->chain[FNP_V8_AWAIT] = walk->fp;
	return 0;
}

#endif
