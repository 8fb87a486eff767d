/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Who awaits the asyncio task that runs: frames that are on no stack, behind the task's own.
 *
 * The outermost coroutine of a run of frames is a task's when C code called it. Which task's, no version says in a
 * place that can be found from outside (3.14 does, at another offset in each release), but the C stack does: what
 * resumes a coroutine for a task needs the task afterwards, so it lies above the loop's frame, where that saved its
 * caller's registers or a little higher. A word there that points to an object of asyncio's type of task, whose
 * coroutine is this one, is it.
 *
 * Who awaits a task: from 3.14 on the task says it itself. Before, its first callback is the wake-up of the one that does,
 * or belongs to a future that another one does (gather, wait_for, as_completed): true when that one's own note of what it
 * waits for says the same. Where several await it, or none is certain, nothing is shown.
 *
 * The frames of a task that awaits are those of its coroutine, of the coroutine which that awaits, and so on. Frames that
 * await directly, without a task, are on the stack and were taken already.
 */
#ifndef FNP_BPF_WALK_PYTHON_TASKS_H
#define FNP_BPF_WALK_PYTHON_TASKS_H

#include "bpf/layout/python.h"
#include "bpf/walk/walk.h"

#define FNP_PYTHON_TASK_SAVED 64 /* bytes of saved registers below the CFA of the loop's frame, and some */
#define FNP_PYTHON_TASK_WORDS 96 /* of the stack that are looked at */
#define FNP_PYTHON_TASK_STACK (8ULL << 20)
#define FNP_PYTHON_AWAITERS 8	 /* tasks, one awaiting the other */
#define FNP_PYTHON_COROUTINES 24 /* of one task */
#define FNP_PYTHON_CLOSURE 8	 /* cells that are looked at */
#define FNP_PYTHON_TYPE_NAME                                                                                 \
	16 /* from an object's type word to its name, as they lie in a type: tp_name ... */
#define FNP_PYTHON_TYPE_BASE 248 /* ... and tp_base */

/* Is this the type of asyncio's own tasks, by its name "_asyncio.Task", or one made from it? */
FNP_SUBPROGRAM int fnp_python_is_task_type(struct fnp_walk *walk, fnp_u64 type, fnp_u32 type_offset)
{
	fnp_u64 name;

	if (!walk)
		return 0;
	for (int i = 0; i < 2 && type; i++) {
		name = fnp_python_read(walk, type + type_offset + FNP_PYTHON_TYPE_NAME);
		if (name && fnp_python_read(walk, name) == 0x6f69636e7973615fULL && /* "_asyncio" */
		    fnp_python_read(walk, name + 6) == 0x6b7361542e6f69ULL) /* "io.Task" and its end */
			return 1;
		type = fnp_python_read(walk, type + type_offset + FNP_PYTHON_TYPE_BASE);
	}
	return 0;
}

FNP_INLINE bool fnp_python_is_coroutine(struct fnp_walk *walk, const struct fnp_python_layout *l,
					fnp_u64 object, fnp_u64 bias)
{
	return object && l->tasks.coroutine_type &&
	       fnp_python_read(walk, object + l->code_type_offset) == l->tasks.coroutine_type + bias;
}

/* The task whose coroutine is in the chain, from the C stack above the loop's frame: to chain[TASK]. 1 or 0. */
FNP_SUBPROGRAM int fnp_python_find_task(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	struct fnp_rule rule;
	fnp_u64 cfa, word, type;

	if (!walk || !l)
		return 0;
	rule = walk->rule;
	if (fnp_native_cfa(walk, &rule, &cfa))
		return 0;
	walk->chain[FNP_PYTHON_TASK] = cfa - FNP_PYTHON_TASK_SAVED;
	for (int i = 0; i < FNP_PYTHON_TASK_WORDS; i++) {
		if (fnp_walk_load(walk, walk->chain[FNP_PYTHON_TASK], &word))
			return 0;
		walk->chain[FNP_PYTHON_TASK] += 8;
		if ((word & 7) || word < 4096 || word >> 47 || word - walk->sp < FNP_PYTHON_TASK_STACK ||
		    fnp_python_read(walk, word + l->tasks.task_coroutine) != walk->chain[FNP_PYTHON_COROUTINE])
			continue;
		type = fnp_python_read(walk, word + l->code_type_offset);
		if (!fnp_python_is_task_type(walk, type, l->code_type_offset))
			continue;
		walk->chain[FNP_PYTHON_TASK] = word;
		return 1;
	}
	return 0;
}

/* Does the first callback of a future wake up a task that says it waits for this future? That one to walk->value, or 0. */
FNP_SUBPROGRAM int fnp_python_waiter(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 future)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 callback, task;

	if (!walk || !l || !future)
		return 0;
	callback = fnp_python_read(walk, future + l->tasks.task_callback);
	task = callback ? fnp_python_read(walk, callback + l->tasks.callback_self) : 0;
	if (!task || fnp_python_read(walk, task + l->tasks.task_coroutine - 8) != future)
		return 0;
	walk->value = task;
	return 1;
}

/* The same where the callback is a function with the future that is waited for in one of its cells. */
FNP_SUBPROGRAM int fnp_python_waiter_behind(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 future)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 cells, callback, size, cell;
	fnp_u32 head;

	if (!walk || !l)
		return 0;
	head = l->code_type_offset + 8; /* of an object without a size */
	callback = fnp_python_read(walk, future + l->tasks.task_callback);
	cells = callback ? fnp_python_read(walk, callback + l->tasks.function_closure) : 0;
	size = cells ? fnp_python_read(walk, cells + head) : 0;
	if (size > FNP_PYTHON_CLOSURE)
		return 0;
	for (fnp_u32 i = 0; i < FNP_PYTHON_CLOSURE; i++) {
		if (i >= size)
			break;
		cell = fnp_python_read(walk, cells + head + 8 + 8 * (fnp_u64)i);
		if (fnp_python_waiter(walk, layout, cell ? fnp_python_read(walk, cell + head) : 0))
			return 1;
	}
	return 0;
}

/* From the task in chain[TASK] to the one that awaits it. 1 or 0. */
FNP_SUBPROGRAM int fnp_python_awaiter(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 task, awaiter, type;

	if (!walk || !l)
		return 0;
	task = walk->chain[FNP_PYTHON_TASK];
	if (l->tasks.task_awaiter) {
		if (fnp_python_read(walk, task + l->tasks.task_awaiters) & 0xff)
			return 0;
		awaiter = fnp_python_read(walk, task + l->tasks.task_awaiter);
	} else {
		awaiter = fnp_python_waiter(walk, layout, task) || fnp_python_waiter_behind(walk, layout, task)
				  ? walk->value
				  : 0;
	}
	if (!awaiter || awaiter == task)
		return 0;
	type = fnp_python_read(walk, awaiter + l->code_type_offset);
	if (type != fnp_python_read(walk, task + l->code_type_offset) &&
	    !fnp_python_is_task_type(walk, type, l->code_type_offset))
		return 0;
	walk->chain[FNP_PYTHON_TASK] = awaiter;
	walk->chain[FNP_PYTHON_COROUTINE] = fnp_python_read(walk, awaiter + l->tasks.task_coroutine);
	return 1;
}

/* What a suspended frame, whose bytes are in scratch, awaits. */
FNP_INLINE fnp_u64 fnp_python_awaited(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 frame)
{
	fnp_u64 end = fnp_python_frame_word(walk, l->tasks.frame_top);

	if (l->tasks.frame_stack) {
		end = 8 * (fnp_u64)(fnp_u32)end;
		end += l->tasks.frame_stack_elsewhere ? fnp_python_frame_word(walk, l->tasks.frame_stack)
						      : frame + l->tasks.frame_stack;
	}
	return fnp_python_read(walk, end - l->tasks.awaited_back) & ~7ULL;
}

/* Pushes the frame of the coroutine in the chain, and goes on to the one that it awaits. 1, 0 at the end, or negative. */
FNP_SUBPROGRAM int fnp_python_await_frame(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 coroutine, frame;
	fnp_u32 size;

	if (!walk || !l)
		return -1;
	coroutine = walk->chain[FNP_PYTHON_COROUTINE];
	if (!fnp_python_is_coroutine(walk, l, coroutine, bias))
		return 0;
	frame = coroutine + l->tasks.coroutine_frame;
	if (l->tasks.frame_coroutine)
		frame = fnp_python_read(walk, frame);
	size = l->frame_size;
	if (!frame || size > FNP_PYTHON_FRAME_MAX || fnp_read_user(walk->scratch, size, frame))
		return -1;
	walk->chain[FNP_PYTHON_COROUTINE] = fnp_python_awaited(walk, l, frame);
	return fnp_python_show(walk, layout, bias, FNP_PYTHON_AWAITING) == FNP_PYTHON_MORE ? 1 : -1;
}

/* Frames were pushed from words[begin] on, outermost first: the other way round. */
FNP_SUBPROGRAM int fnp_python_turn_round(struct fnp_walk *walk, fnp_u32 begin)
{
	fnp_u32 i = begin, j;
	fnp_u64 head, more;

	if (!walk)
		return 0;
	j = walk->n_words;
	for (int n = 0; n < FNP_PYTHON_COROUTINES / 2; n++) {
		j -= FNP_PYTHON_WORDS;
		if (i >= j || j >= FNP_USER_WORDS_MAX - 1)
			break;
		head = walk->words[i & (FNP_USER_WORDS_MAX - 1)];
		more = walk->words[(i + 1) & (FNP_USER_WORDS_MAX - 1)];
		walk->words[i & (FNP_USER_WORDS_MAX - 1)] = walk->words[j & (FNP_USER_WORDS_MAX - 1)];
		walk->words[(i + 1) & (FNP_USER_WORDS_MAX - 1)] = walk->words[(j + 1) & (FNP_USER_WORDS_MAX - 1)];
		walk->words[j & (FNP_USER_WORDS_MAX - 1)] = head;
		walk->words[(j + 1) & (FNP_USER_WORDS_MAX - 1)] = more;
		i += FNP_PYTHON_WORDS;
	}
	return 0;
}

/* All frames of the awaiting task whose coroutine is in the chain; none when one of them cannot be had. 1 or 0. */
FNP_SUBPROGRAM int fnp_python_await_frames(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	fnp_u32 begin;
	int r = 1;

	if (!walk)
		return 0;
	begin = walk->n_words;
	for (int i = 0; i < FNP_PYTHON_COROUTINES && r > 0; i++)
		r = fnp_python_await_frame(walk, layout, bias);
	if (r == 0) {
		fnp_python_turn_round(walk, begin);
		return walk->n_words > begin;
	}
	if (begin <= walk->n_words)
		walk->n_words = begin;
	return 0;
}

/* A run has ended whose outermost frame may be a coroutine's: shows who awaits its task. */
FNP_SUBPROGRAM int fnp_python_task(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 bias)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 next;
	fnp_u32 size;

	if (!walk || !l || !fnp_python_is_coroutine(walk, l, walk->chain[FNP_PYTHON_COROUTINE], bias))
		return 0;
	/* One that a coroutine on the stack awaits is no task's. */
	next = walk->chain[FNP_PYTHON_FRAME];
	size = l->frame_size;
	if (next && size <= FNP_PYTHON_FRAME_MAX && fnp_read_user(walk->scratch, size, next) == 0 &&
	    fnp_python_is_coroutine(walk, l, fnp_python_coroutine(walk, l, next), bias))
		return 0;
	if (!fnp_python_find_task(walk, layout))
		return 0;
	for (int i = 0; i < FNP_PYTHON_AWAITERS; i++) {
		if (!fnp_python_awaiter(walk, layout) || !fnp_python_await_frames(walk, layout, bias))
			break;
	}
	return 0;
}

#endif
