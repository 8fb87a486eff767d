/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The Python walker: in place of each native frame of the interpreter's loop, the Python frames that it ran.
 *
 * CPython keeps a chain of frames, newest first, in its thread's state. One native frame of the loop runs one of them
 * (to 3.10), or a run of them (calls between Python functions need no C stack from 3.11 on) that ends as enum
 * fnp_python_chain says. Taking just that run at each native frame puts C functions that call back into Python where
 * they belong.
 *
 * A sample may fall between the moment when the native frame exists and the one when its first Python frame is linked,
 * or after it was unlinked. What lies on the C stack tells: a struct or shim inside the native frame (between its sp and
 * its CFA) belongs to it, one beyond belongs to a caller. So such a native frame stands for nothing, and the others
 * keep theirs. In 3.11 and 3.12 the struct is linked a few instructions before it is filled: what the newest one says
 * counts only when its run leads to the frame that the next one names. Else the run is taken back, and the caller's
 * struct is found where this one is: at the same distance from the CFA, because the same function made both.
 *
 * Each interpreter of a process has a state of its own for the thread: where the chain ends and native frames of the loop
 * are left, python_interpreters.h looks for the state that ran them.
 *
 * A call takes a few frames, and says by returning 0 without moving on that there are more. State between calls is in
 * walk->chain: the next frame, where its run belongs, and what is done.
 */
#ifndef FNP_BPF_WALK_PYTHON_H
#define FNP_BPF_WALK_PYTHON_H

#include "bpf/layout/python.h"
#include "bpf/walk/walk.h"

#define FNP_PYTHON_FRAMES_A_CALL 16

FNP_SWITCH(fnp_walk_python_on);
FNP_ARRAY(fnp_python_layouts, struct fnp_python_layout, FNP_PYTHON_LAYOUTS_MAX);

#include "bpf/walk/python_made.h"

/* walk->chain */
#define FNP_PYTHON_FRAME 0	  /* the next frame; 0: none is left */
#define FNP_PYTHON_CFRAME 1	  /* the struct on the C stack that belongs to it; 0: there are none */
#define FNP_PYTHON_STATE 2	  /* enum fnp_python_state */
#define FNP_PYTHON_TAKEN 3	  /* the shim that ended the last run; 0: none */
#define FNP_PYTHON_WORDS_BEFORE 4 /* n_words when the current run began */
#define FNP_PYTHON_RUNS 5	  /* runs that have ended */
#define FNP_PYTHON_LINKED 6	  /* the struct lies in the current native frame */
#define FNP_PYTHON_DISTANCE 7	  /* from the struct to the CFA, in every native frame */
#define FNP_PYTHON_COROUTINE 8	  /* of the frame taken last, if it may be one's; 0 */
#define FNP_PYTHON_TASK 9	  /* of python_tasks.h */
#define FNP_PYTHON_THREAD 10	  /* the thread's state whose chain this is */
#define FNP_PYTHON_THREADS 11	  /* how many of the thread's states were entered so far */
#define FNP_PYTHON_SEARCHES 12	  /* for another one */

enum fnp_python_state {
	FNP_PYTHON_NEW = 0,	/* the thread's state was not looked for yet */
	FNP_PYTHON_BETWEEN = 1, /* at the start of a run */
	FNP_PYTHON_INSIDE = 2,	/* a run has begun in the current native frame */
	FNP_PYTHON_OVER = 3,	/* nothing more is to be had */
	FNP_PYTHON_LOST = 4,	/* the next struct must be found by its distance from the CFA */
	FNP_PYTHON_ENDED = 5,	/* this chain has; another interpreter may have one */
};

/* walk->scratch: a frame's bytes, then a code object's. */
#define FNP_PYTHON_CODE_AT (FNP_PYTHON_FRAME_MAX / 8)
_Static_assert(FNP_PYTHON_FRAME_MAX + FNP_PYTHON_CODE_MAX <= sizeof(((struct fnp_walk *)0)->scratch),
	       "scratch");
_Static_assert(FNP_PYTHON_DIGEST_MAX <= FNP_PYTHON_FRAME_MAX, "scratch");

FNP_INLINE fnp_u64 fnp_python_frame_word(const struct fnp_walk *walk, fnp_u32 offset)
{
	return walk->scratch[(offset / 8) & (FNP_PYTHON_CODE_AT - 1)];
}

FNP_INLINE fnp_u64 fnp_python_code_word(const struct fnp_walk *walk, fnp_u32 offset)
{
	fnp_u32 i = offset / 8;

	return i < FNP_PYTHON_CODE_MAX / 8 ? walk->scratch[FNP_PYTHON_CODE_AT + i] : 0;
}

/* One word of the process; 0 also when it cannot be read. */
FNP_INLINE fnp_u64 fnp_python_read(struct fnp_walk *walk, fnp_u64 address)
{
	return fnp_read_user(&walk->value, sizeof(walk->value), address) ? 0 : walk->value;
}

/* The value of a thread-specific key in the C library's own table. */
FNP_INLINE fnp_u64 fnp_python_specific(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 self,
				       fnp_u32 key)
{
	fnp_u64 block;

	if (l->flags & FNP_PYTHON_MUSL) {
		block = fnp_python_read(walk, self + 0x80);
		return block && key < 128 ? fnp_python_read(walk, block + 8 * key) : 0;
	}
	/* struct pthread: 32 pairs (sequence, data), then pointers to further blocks of 32. */
	if (key < 32)
		return fnp_python_read(walk, self + 0x310 + 16 * key + 8);
	block = key < 1024 ? fnp_python_read(walk, self + 0x310 + 16 * 32 + 8 * (key / 32)) : 0;
	return block ? fnp_python_read(walk, block + 16 * (key & 31) + 8) : 0;
}

/* A thread-local variable: at a fixed place, or in its library's block; 0 while the thread has none. */
FNP_INLINE fnp_u64 fnp_python_local(struct fnp_walk *walk, const struct fnp_python_layout *l,
				    const struct fnp_python_tls *tls, fnp_u64 self, fnp_u64 bias)
{
	fnp_u64 module, offset, dtv, block;

	if (tls->offset)
		return fnp_python_read(walk, self + tls->offset);
	if (!tls->got)
		return 0;
	module = fnp_python_read(walk, tls->got + bias);
	offset = fnp_python_read(walk, tls->got + bias + 8);
	dtv = fnp_python_read(walk, self + 8);
	if (!dtv || module == 0 || module > 4096)
		return 0;
	block = fnp_python_read(walk, dtv + (l->flags & FNP_PYTHON_MUSL ? 8 : 16) * module);
	return block && block != ~0ULL ? fnp_python_read(walk, block + offset) : 0;
}

/* The state that holds the interpreter lock, if it is this thread's; to 3.11. */
FNP_INLINE fnp_u64 fnp_python_current(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 self,
				      fnp_u64 bias)
{
	fnp_u64 state = l->current ? fnp_python_read(walk, l->current + bias) : 0;

	return state && fnp_python_read(walk, state + l->tstate_thread_id) == self ? state : 0;
}

/* The state of the current thread by its own variables, or 0. */
FNP_INLINE fnp_u64 fnp_python_thread(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 self,
				     fnp_u64 bias)
{
	fnp_u64 state = fnp_python_local(walk, l, &l->running, self, bias);

	if (!state)
		state = fnp_python_local(walk, l, &l->bound, self, bias);
	if (state || !l->key || fnp_read_user(&walk->value, 4, l->key + bias))
		return state;
	state = fnp_python_specific(walk, l, self, (fnp_u32)walk->value);
	/* The place in the C library's memory is an assumption: the state must say that it is this thread's. */
	if (state && fnp_python_read(walk, state + l->tstate_thread_id) != self)
		state = 0;
	return state;
}

/*
 * Says whether the thread holds the interpreter lock. To 3.11 the state that does is kept for all threads, later each
 * thread has a variable that is set while it does. A thread without a state has nothing to do with the lock.
 */
FNP_SUBPROGRAM int fnp_python_gil(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 self = fnp_thread_pointer(), holder;

	if (!walk || !l || !(l->flags & FNP_PYTHON_GIL) || walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_OVER)
		return 0;
	if (l->current) {
		holder = fnp_python_read(walk, l->current + bias);
		if (holder && fnp_python_read(walk, holder + l->tstate_thread_id) != self)
			holder = 0;
	} else {
		holder = fnp_python_local(walk, l, &l->running, self, bias);
	}
	return fnp_walk_push(
		walk, FNP_WORD(FNP_WORD_LABEL, 0, holder ? FNP_LABEL_GIL_HELD : FNP_LABEL_GIL_NOT_HELD));
}

/* The frame in a struct on the C stack, and the struct of the caller's native frame. */
FNP_INLINE void fnp_python_enter(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 cframe)
{
	walk->chain[FNP_PYTHON_CFRAME] = cframe;
	if (cframe && l->cframe_frame != 0xffff)
		walk->chain[FNP_PYTHON_FRAME] = fnp_python_read(walk, cframe + l->cframe_frame);
}

/* Goes on with the newest frame of a thread's state. */
FNP_INLINE void fnp_python_take_state(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 state)
{
	walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_BETWEEN;
	walk->chain[FNP_PYTHON_THREAD] = state;
	walk->chain[FNP_PYTHON_THREADS]++;
	walk->chain[FNP_PYTHON_FRAME] = l->tstate_frame ? fnp_python_read(walk, state + l->tstate_frame) : 0;
	if (l->tstate_cframe)
		fnp_python_enter(walk, l, fnp_python_read(walk, state + l->tstate_cframe));
}

#include "bpf/walk/python_interpreters.h"

FNP_SUBPROGRAM int fnp_python_begin(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 self = fnp_thread_pointer(), state;

	if (!walk || !l)
		return -1;
	walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_OVER;
	state = fnp_python_current(walk, l, self, bias);
	if (state) {
		fnp_python_take_state(walk, l, state);
		return 0;
	}
	state = fnp_python_thread(walk, l, self, bias);
	if (state)
		fnp_python_take_state(walk, l, state);
	if (l->current || (!state && l->tstate_cframe))
		fnp_python_youngest(walk, l, layout, bias);
	return 0;
}

/*
 * Where the instructions begin that a frame runs, whose bytes and whose code's bytes are in scratch. Without the interpreter
 * lock each thread but the first one specialises a copy of its own; the code object has an array of them: its size, then
 * the addresses. 0: not known.
 */
FNP_INLINE fnp_u64 fnp_python_first_instruction(struct fnp_walk *walk, const struct fnp_python_layout *l,
						fnp_u64 code)
{
	fnp_u64 copies;
	fnp_u32 copy;

	if (!l->code_copies)
		return code + l->code_bytes;
	copy = fnp_python_frame_word(walk, l->frame_copy) >> (8 * (l->frame_copy & 7));
	if (copy == 0)
		return code + l->code_bytes;
	copies = fnp_python_read(walk, code + l->code_copies);
	return copies ? fnp_python_read(walk, copies + 8 + 8 * (fnp_u64)copy) : 0;
}

#include "bpf/walk/python_cookie.h"

enum fnp_python_step { FNP_PYTHON_MORE, FNP_PYTHON_END, FNP_PYTHON_BROKEN, FNP_PYTHON_FULL };

/* Pushes the frame whose bytes are in scratch (and then gone), with `awaiting` in its head word. MORE, also for what has no source. */
FNP_SUBPROGRAM int fnp_python_show(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias, fnp_u64 awaiting)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 code, instruction, name, file, cookie, begin;
	fnp_u32 first_line, size;

	if (!walk || !l)
		return FNP_PYTHON_BROKEN;
	code = fnp_python_frame_word(walk, l->frame_code) & ~7ULL; /* 3.14 keeps tags there */
	size = l->code_size;
	if (size > FNP_PYTHON_CODE_MAX || fnp_read_user(walk->scratch + FNP_PYTHON_CODE_AT, size, code))
		return FNP_PYTHON_BROKEN;
	if (l->code_type && fnp_python_code_word(walk, l->code_type_offset) != l->code_type + bias)
		return FNP_PYTHON_BROKEN;
	instruction = fnp_python_frame_word(walk, l->frame_instruction);
	if (l->flags & FNP_PYTHON_INSTRUCTION_POINTER) {
		begin = fnp_python_first_instruction(walk, l, code);
		instruction = begin ? instruction - begin : FNP_PYTHON_NOWHERE;
	} else if (l->flags & FNP_PYTHON_INSTRUCTION_DOUBLE)
		instruction *= 2;
	name = fnp_python_code_word(walk, l->code_name);
	file = fnp_python_code_word(walk, l->code_file);
	first_line = fnp_python_code_word(walk, l->code_first_line) >> (8 * (l->code_first_line & 7));
	/* What runs under a call of a class in 3.12 and later: no source, and its name for a file. */
	if (name == file && first_line == 0)
		return FNP_PYTHON_MORE;
	fnp_python_identity(walk, l, layout, code);
	cookie = fnp_python_cookie_by(walk, l);
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_PYTHON, 1, code | awaiting)))
		return FNP_PYTHON_FULL;
	fnp_walk_push_more(walk, cookie << 32 | (fnp_u32)instruction);
	return FNP_PYTHON_MORE;
}

/* The generator or coroutine that may have the frame whose bytes are in scratch, or 0. */
FNP_INLINE fnp_u64 fnp_python_coroutine(const struct fnp_walk *walk, const struct fnp_python_layout *l,
					fnp_u64 frame)
{
	const struct fnp_python_tasks *tasks = &l->tasks;

	if (tasks->frame_coroutine)
		return fnp_python_frame_word(walk, tasks->frame_coroutine);
	if (!tasks->task_coroutine ||
	    (fnp_python_frame_word(walk, tasks->frame_owner) >> (8 * (tasks->frame_owner & 7)) & 0xff) != 1)
		return 0;
	return frame - tasks->coroutine_frame;
}

/* Takes the next frame of the chain: pushes it, or finds that the run has ended. */
FNP_SUBPROGRAM int fnp_python_frame(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 frame;
	fnp_u32 entry, size;
	int step;

	if (!walk || !l)
		return FNP_PYTHON_BROKEN;
	frame = walk->chain[FNP_PYTHON_FRAME];
	if (!frame)
		return FNP_PYTHON_END;
	size = l->frame_size;
	if (size > FNP_PYTHON_FRAME_MAX || fnp_read_user(walk->scratch, size, frame))
		return FNP_PYTHON_BROKEN;
	walk->chain[FNP_PYTHON_FRAME] = fnp_python_frame_word(walk, l->frame_back);
	entry = (fnp_python_frame_word(walk, l->frame_entry) >> (8 * (l->frame_entry & 7))) & 0xff;
	if (l->chain == FNP_PYTHON_ENTRY_SHIM && entry >= l->shim_owner) {
		walk->chain[FNP_PYTHON_TAKEN] = frame;
		return FNP_PYTHON_END;
	}

	walk->chain[FNP_PYTHON_COROUTINE] = fnp_python_coroutine(walk, l, frame);
	step = fnp_python_show(walk, layout, bias, 0);
	if (step != FNP_PYTHON_MORE)
		return step;
	if (l->chain == FNP_PYTHON_ONE || (l->chain == FNP_PYTHON_ENTRY_FLAG && entry))
		return FNP_PYTHON_END;
	return FNP_PYTHON_MORE;
}

/*
 * Does a run begin in the current native frame, whose CFA this is? Not when what must lie inside it on the C stack lies
 * beyond it, or was taken already.
 */
FNP_INLINE bool fnp_python_runs_here(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 cfa)
{
	fnp_u64 taken = walk->chain[FNP_PYTHON_TAKEN];
	signed char state = 0;

	walk->chain[FNP_PYTHON_LINKED] = walk->chain[FNP_PYTHON_CFRAME] < cfa;
	if (walk->chain[FNP_PYTHON_CFRAME] < cfa)
		return !(taken >= walk->sp && taken < cfa);
	/* 3.10 links the struct after the frame and unlinks it before: the caller's frame is executing, this one not. */
	if (l->chain != FNP_PYTHON_ONE ||
	    fnp_read_user(&walk->value, 1, walk->chain[FNP_PYTHON_FRAME] + l->frame_entry))
		return false;
	state = walk->value;
	return state != 0;
}

/* At the first turn of a native frame: 1 when a run begins, 0 when it stands for nothing. */
FNP_SUBPROGRAM int fnp_python_arrive(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	struct fnp_rule rule;
	fnp_u64 cfa;

	if (!walk || !l)
		return 0;
	rule = walk->rule;
	walk->chain[FNP_PYTHON_LINKED] = 1;
	if (fnp_native_cfa(walk, &rule, &cfa) == 0) {
		if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_LOST)
			fnp_python_enter(walk, l, cfa - walk->chain[FNP_PYTHON_DISTANCE]);
		if (!fnp_python_runs_here(walk, l, cfa))
			return 0;
		walk->chain[FNP_PYTHON_DISTANCE] = cfa - walk->chain[FNP_PYTHON_CFRAME];
	}
	walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_INSIDE;
	walk->chain[FNP_PYTHON_WORDS_BEFORE] = walk->n_words;
	return 1;
}

/*
 * The run in the current native frame has ended, as `step` says: the next one belongs to the caller's native frame.
 * 0, or negative when the chain is broken.
 */
FNP_SUBPROGRAM int fnp_python_leave(struct fnp_walk *walk, fnp_u32 layout, int step)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 cframe, back;

	if (!walk || !l)
		return -1;
	cframe = walk->chain[FNP_PYTHON_LINKED] ? walk->chain[FNP_PYTHON_CFRAME] : 0;
	back = walk->chain[FNP_PYTHON_FRAME];
	if (cframe)
		fnp_python_enter(walk, l, fnp_python_read(walk, cframe + l->cframe_previous));
	if (cframe && l->cframe_frame != 0xffff && walk->chain[FNP_PYTHON_RUNS] == 0 &&
	    (step == FNP_PYTHON_BROKEN || back != walk->chain[FNP_PYTHON_FRAME])) {
		if (walk->chain[FNP_PYTHON_WORDS_BEFORE] <= walk->n_words)
			walk->n_words = walk->chain[FNP_PYTHON_WORDS_BEFORE];
		walk->chain[FNP_PYTHON_RUNS]++;
		walk->chain[FNP_PYTHON_TAKEN] = 0;
		walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_LOST;
		walk->doubt = FNP_TRUNCATION_RUNTIME;
		return 0;
	}
	walk->chain[FNP_PYTHON_RUNS]++;
	walk->chain[FNP_PYTHON_STATE] = walk->chain[FNP_PYTHON_FRAME] ? FNP_PYTHON_BETWEEN : FNP_PYTHON_ENDED;
	if (step == FNP_PYTHON_BROKEN)
		return -1;
	if (walk->n_words > walk->chain[FNP_PYTHON_WORDS_BEFORE])
		walk->doubt = 0;
	return 0;
}

#include "bpf/walk/python_tasks.h"

/* Other code without a file than the interpreter's own is believed to keep frame pointers, as everywhere. */
FNP_INLINE int fnp_python_made_frame(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	int r = fnp_python_made(walk, layout, bias);

	if (r <= 0)
		return r;
	if (!l || !(l->flags & FNP_PYTHON_JIT))
		return fnp_walk_native(walk);
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_NATIVE, 0, walk->pc - !walk->exact)))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
}

/* From 3.15 on a chain ends in a frame of the thread's state, which no native frame runs: this one is another's. */
FNP_INLINE bool fnp_python_is_own_end(const struct fnp_walk *walk, int step)
{
	return step == FNP_PYTHON_END && !walk->chain[FNP_PYTHON_FRAME] && walk->chain[FNP_PYTHON_RUNS] &&
	       walk->n_words == walk->chain[FNP_PYTHON_WORDS_BEFORE];
}

FNP_SUBPROGRAM int fnp_walk_python(struct fnp_walk *walk)
{
	const struct fnp_space *space;
	fnp_u32 layout;
	fnp_u64 bias;
	int step = FNP_PYTHON_END;

	if (!fnp_walk_python_on || !walk)
		return -1;
	space = fnp_array_at(fnp_spaces, walk->space);
	if (!space)
		return fnp_walk_native(walk);
	layout = space->runtime[0][0];
	bias = space->runtime[0][1];
	if (walk->data == FNP_PYTHON_MADE)
		return fnp_python_made_frame(walk, layout, bias);
	if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_NEW) {
		fnp_python_begin(walk, layout, bias);
		fnp_python_gil(walk, layout, bias);
	}
	if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_ENDED ||
	    (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_BETWEEN && !walk->chain[FNP_PYTHON_FRAME]))
		fnp_python_other(walk, layout, bias);
	/* Without Python frames for it the loop's frame is shown as what it is. */
	if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_OVER ||
	    walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_ENDED ||
	    walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_NEW) {
		if (walk->chain[FNP_PYTHON_RUNS] == 0)
			walk->doubt = FNP_TRUNCATION_RUNTIME;
		return fnp_walk_native(walk);
	}
	if (walk->chain[FNP_PYTHON_STATE] != FNP_PYTHON_INSIDE && !fnp_python_arrive(walk, layout))
		return fnp_walk_native(walk);
	for (int i = 0; i < FNP_PYTHON_FRAMES_A_CALL; i++) {
		step = fnp_python_frame(walk, layout, bias);
		if (step != FNP_PYTHON_MORE)
			break;
	}
	if (step == FNP_PYTHON_MORE)
		return 0;
	if (step == FNP_PYTHON_FULL)
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	if (fnp_python_is_own_end(walk, step)) {
		walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_ENDED;
		return 0;
	}
	if (fnp_python_leave(walk, layout, step)) {
		walk->chain[FNP_PYTHON_STATE] = FNP_PYTHON_OVER;
		walk->doubt = FNP_TRUNCATION_RUNTIME;
		return fnp_walk_native(walk);
	}
	if (walk->chain[FNP_PYTHON_COROUTINE])
		fnp_python_task(walk, layout, bias);
	return fnp_walk_unwind(walk);
}

#endif
