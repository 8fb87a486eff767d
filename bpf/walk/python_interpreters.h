/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Several interpreters in one process (subinterpreters): a thread has a state in each that it works for, and each state a
 * chain of frames of its own. Where one interpreter calls another, the caller's frames lie farther out on the same stack,
 * and nothing in the callee's state leads to them.
 *
 * All states are in lists: interpreters, the newest first, and threads of each. Of those with this thread's number the
 * one is wanted whose newest native frame of the loop is the one that the walk has come to. What lies on the C stack
 * tells, as in python.h: the struct that the state refers to (3.10 to 3.12), or the shim that ends its first run (later).
 * Before 3.10 nothing lies there, and only a single other state leaves no doubt; nor does one whose first run is longer
 * than is followed here.
 *
 * Nearly all processes have one interpreter: then it is two reads, and those only where a chain has ended too early.
 */
#ifndef FNP_BPF_WALK_PYTHON_INTERPRETERS_H
#define FNP_BPF_WALK_PYTHON_INTERPRETERS_H

#include "bpf/layout/python.h"
#include "bpf/walk/walk.h"

#define FNP_PYTHON_STATES 64 /* states and interpreters that are looked at in one search */
#define FNP_PYTHON_SEARCHES_MAX 24
#define FNP_PYTHON_NATIVE_FRAME (64 << 10) /* bytes of one native frame at most */
#define FNP_PYTHON_FOLLOW 64		   /* frames of a run */

/* walk->scratch, while states are looked through. */
#define FNP_PYTHON_OTHER_INTERPRETER 0 /* the next one */
#define FNP_PYTHON_OTHER_STATE 1       /* the next one of the present interpreter */
#define FNP_PYTHON_OTHER_FOUND 2       /* by its place */
#define FNP_PYTHON_OTHER_PLACE 3       /* of that */
#define FNP_PYTHON_OTHER_UNPLACED 4    /* one whose place is not known ... */
#define FNP_PYTHON_OTHER_N_UNPLACED 5  /* ... and how many such there are */
#define FNP_PYTHON_OTHER_FRAME 6       /* for python_first_shim */

/* The shim that ends the run which begins with scratch[OTHER_FRAME]: to scratch[OTHER_FRAME]. 0 or negative. */
FNP_SUBPROGRAM int fnp_python_first_shim(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 frame;

	if (!walk || !l)
		return -1;
	for (int i = 0; i < FNP_PYTHON_FOLLOW; i++) {
		frame = walk->scratch[FNP_PYTHON_OTHER_FRAME];
		walk->value = 0;
		if (!frame || fnp_read_user(&walk->value, 1, frame + l->frame_entry))
			return -1;
		if ((walk->value & 0xff) >= l->shim_owner)
			return 0;
		walk->scratch[FNP_PYTHON_OTHER_FRAME] = fnp_python_read(walk, frame + l->frame_back);
	}
	return -1;
}

/*
 * Looks at one state: has it frames, and which place on the C stack? One is found when its place lies in [low, high), or,
 * of several, when its is the lowest. It must be this thread's by its number, unless this is one native frame: to 3.11 an
 * interpreter that one thread made and another runs has a state with the number of the first.
 */
FNP_SUBPROGRAM int fnp_python_consider(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 low, fnp_u64 high)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 state, frame, place = 0;
	bool mine;

	if (!walk || !l)
		return 0;
	state = walk->scratch[FNP_PYTHON_OTHER_STATE];
	walk->scratch[FNP_PYTHON_OTHER_STATE] = fnp_python_read(walk, state + l->tstate_next);
	mine = fnp_python_read(walk, state + l->tstate_thread_id) == fnp_thread_pointer();
	if (state == walk->chain[FNP_PYTHON_THREAD] || (!mine && !l->tstate_cframe))
		return 0;
	if (l->tstate_cframe)
		place = fnp_python_read(walk, state + l->tstate_cframe);
	if (!mine && (place < low || place >= high || high - low > FNP_PYTHON_NATIVE_FRAME))
		return 0;
	frame = l->tstate_frame ? fnp_python_read(walk, state + l->tstate_frame)
				: fnp_python_read(walk, place + l->cframe_frame);
	if (!frame)
		return 0;
	walk->scratch[FNP_PYTHON_OTHER_FRAME] = frame;
	if (!l->tstate_cframe && l->chain == FNP_PYTHON_ENTRY_SHIM && fnp_python_first_shim(walk, layout) == 0)
		place = walk->scratch[FNP_PYTHON_OTHER_FRAME];
	if (!place) {
		walk->scratch[FNP_PYTHON_OTHER_UNPLACED] = state;
		walk->scratch[FNP_PYTHON_OTHER_N_UNPLACED]++;
	} else if (place >= low && place < high &&
		   (!walk->scratch[FNP_PYTHON_OTHER_FOUND] || place < walk->scratch[FNP_PYTHON_OTHER_PLACE])) {
		walk->scratch[FNP_PYTHON_OTHER_FOUND] = state;
		walk->scratch[FNP_PYTHON_OTHER_PLACE] = place;
	}
	return 0;
}

/*
 * Looks through all states, as fnp_python_consider() says. Leaves what was found in scratch. 1: there is one interpreter
 * alone, negative: the list cannot be read.
 */
FNP_SUBPROGRAM int fnp_python_search(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias, fnp_u64 low,
				     fnp_u64 high)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 interpreter;

	if (!walk || !l || !l->interpreters)
		return 1;
	interpreter = fnp_python_read(walk, l->interpreters + bias);
	if (!interpreter)
		return -1;
	if (!fnp_python_read(walk, interpreter + l->interpreter_next))
		return 1;
	walk->scratch[FNP_PYTHON_OTHER_INTERPRETER] = interpreter;
	for (int i = FNP_PYTHON_OTHER_STATE; i <= FNP_PYTHON_OTHER_FRAME; i++)
		walk->scratch[i] = 0;
	for (int i = 0; i < FNP_PYTHON_STATES; i++) {
		if (walk->scratch[FNP_PYTHON_OTHER_STATE]) {
			fnp_python_consider(walk, layout, low, high);
			continue;
		}
		interpreter = walk->scratch[FNP_PYTHON_OTHER_INTERPRETER];
		if (!interpreter)
			break;
		walk->scratch[FNP_PYTHON_OTHER_STATE] = fnp_python_read(walk,
									interpreter + l->interpreter_threads);
		walk->scratch[FNP_PYTHON_OTHER_INTERPRETER] = fnp_python_read(
			walk, interpreter + l->interpreter_next);
	}
	return 0;
}

/*
 * Before 3.13 the thread's variable may name an older state than the one that runs, which was entered already, or none: to
 * the one that runs.
 */
FNP_INLINE void fnp_python_youngest(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u32 layout,
				    fnp_u64 bias)
{
	struct fnp_rule rule = walk->rule;
	fnp_u64 place = walk->chain[FNP_PYTHON_FRAME] ? walk->chain[FNP_PYTHON_CFRAME] : 0, cfa;

	if (fnp_native_cfa(walk, &rule, &cfa) || (place >= walk->sp && place < cfa))
		return;
	if (fnp_python_search(walk, layout, bias, walk->sp, cfa))
		return;
	if (!walk->scratch[FNP_PYTHON_OTHER_FOUND])
		fnp_python_search(walk, layout, bias, walk->sp, place ? place : ~0ULL);
	if (walk->scratch[FNP_PYTHON_OTHER_FOUND])
		fnp_python_take_state(walk, l, walk->scratch[FNP_PYTHON_OTHER_FOUND]);
	else if (!l->tstate_cframe && walk->scratch[FNP_PYTHON_OTHER_N_UNPLACED] == 1)
		fnp_python_take_state(walk, l, walk->scratch[FNP_PYTHON_OTHER_UNPLACED]);
	walk->chain[FNP_PYTHON_THREADS] = 1;
}

/* The chain has ended, and here is a native frame of the loop: whose is it? */
FNP_SUBPROGRAM int fnp_python_other(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	struct fnp_rule rule;
	fnp_u64 cfa, found, taken;
	int r;

	if (!walk || !l || walk->chain[FNP_PYTHON_SEARCHES] >= FNP_PYTHON_SEARCHES_MAX)
		return 0;
	walk->chain[FNP_PYTHON_SEARCHES]++;
	rule = walk->rule;
	if (fnp_native_cfa(walk, &rule, &cfa))
		return 0;
	taken = walk->chain[FNP_PYTHON_TAKEN];
	r = fnp_python_search(walk, layout, bias, walk->sp, cfa);
	if (r > 0) {
		walk->chain[FNP_PYTHON_SEARCHES] = FNP_PYTHON_SEARCHES_MAX;
		return 0;
	}
	found = r == 0 ? walk->scratch[FNP_PYTHON_OTHER_FOUND] : 0;
	if (r == 0 && !found && walk->chain[FNP_PYTHON_THREADS] == 1 &&
	    walk->scratch[FNP_PYTHON_OTHER_N_UNPLACED] == 1)
		found = walk->scratch[FNP_PYTHON_OTHER_UNPLACED];
	if (found)
		fnp_python_take_state(walk, l, found);
	else if (!(taken >= walk->sp && taken < cfa))
		walk->doubt = FNP_TRUNCATION_RUNTIME;
	return 0;
}

#endif
