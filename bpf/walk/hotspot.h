/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The HotSpot walker: from a pc in a code heap to the Java frame that it belongs to, and to that frame's caller.
 *
 * The heap's segment map leads from a pc to the blob of code around it. Interpreted frames are those of rbp, and hold
 * their Method and bytecode pointer at fixed slots. Compiled frames have a fixed size that stands in the blob. Callers
 * are always at a call, so both hold for them; a leaf may be anywhere: frames in the making, or being left, are told
 * from whole ones by the few instructions that make and leave them (hotspot_leaf.h).
 *
 * A compiled frame whose code was thrown away while it waits returns to a handler in that code; where it was stands in
 * the frame. The first Java frame returns into the call stub, which keeps a frame pointer, and so on to native code.
 */
#ifndef FNP_BPF_WALK_HOTSPOT_H
#define FNP_BPF_WALK_HOTSPOT_H

#include "bpf/layout/hotspot.h"
#include "bpf/walk/walk.h"

FNP_SWITCH(fnp_walk_hotspot_on);
FNP_ARRAY(fnp_hotspot_layouts, struct fnp_hotspot_layout, FNP_HOTSPOT_LAYOUTS_MAX);

#define FNP_HOTSPOT_HOPS 24		/* of 32 KB each, from a pc to the start of its blob */
#define FNP_HOTSPOT_STACK_MAX (1 << 20) /* bytes of one interpreted frame */

/* Slots of an interpreted frame, from rbp. */
#define FNP_HOTSPOT_SENDER_SP 8
#define FNP_HOTSPOT_METHOD 24
#define FNP_HOTSPOT_BCP 64

/* walk->scratch: a blob's head, or bytes of code, or a ConstMethod; in the last word the blob's address. */
#define FNP_HOTSPOT_BLOB_AT 47
_Static_assert(FNP_HOTSPOT_HEAD_MAX <= 8 * FNP_HOTSPOT_BLOB_AT, "scratch");
_Static_assert(sizeof(((struct fnp_walk *)0)->scratch) == 8 * (FNP_HOTSPOT_BLOB_AT + 1), "scratch");

/* Where the caller is; answers of the subprograms, in walk->chain. */
#define FNP_HOTSPOT_CALLER_PC 1
#define FNP_HOTSPOT_CALLER_SP 2
#define FNP_HOTSPOT_CALLER_FP 3

FNP_INLINE fnp_u64 fnp_hotspot_word(const struct fnp_walk *walk, fnp_u32 offset)
{
	fnp_u32 i = offset / 8;

	return i < FNP_HOTSPOT_BLOB_AT ? walk->scratch[i] >> (8 * (offset & 7)) : 0;
}

/* One word of the process; 0 also when it cannot be read. */
FNP_INLINE fnp_u64 fnp_hotspot_read(struct fnp_walk *walk, fnp_u64 address)
{
	return fnp_read_user(&walk->value, sizeof(walk->value), address) ? 0 : walk->value;
}

FNP_INLINE int fnp_hotspot_caller_is(struct fnp_walk *walk, fnp_u64 pc, fnp_u64 sp, fnp_u64 fp)
{
	walk->chain[FNP_HOTSPOT_CALLER_PC] = pc;
	walk->chain[FNP_HOTSPOT_CALLER_SP] = sp;
	walk->chain[FNP_HOTSPOT_CALLER_FP] = fp;
	return 0;
}

#define FNP_HOTSPOT_TEXT(a, b, c, d, e, f, g, h)                                                             \
	((fnp_u64)(a) | (fnp_u64)(b) << 8 | (fnp_u64)(c) << 16 | (fnp_u64)(d) << 24 | (fnp_u64)(e) << 32 |   \
	 (fnp_u64)(f) << 40 | (fnp_u64)(g) << 48 | (fnp_u64)(h) << 56)

/* Of a blob in a JVM that does not number its kinds, by the first eight bytes of its name. */
FNP_INLINE int fnp_hotspot_kind_of_name(fnp_u64 name)
{
	if (name == FNP_HOTSPOT_TEXT('n', 'm', 'e', 't', 'h', 'o', 'd', 0) ||
	    name == FNP_HOTSPOT_TEXT('n', 'a', 't', 'i', 'v', 'e', ' ', 'n'))
		return FNP_HOTSPOT_BLOB_NMETHOD;
	if (name == FNP_HOTSPOT_TEXT('R', 'u', 'n', 't', 'i', 'm', 'e', 'S'))
		return FNP_HOTSPOT_BLOB_RUNTIME_STUB;
	if (name == FNP_HOTSPOT_TEXT('I', '2', 'C', '/', 'C', '2', 'I', ' '))
		return FNP_HOTSPOT_BLOB_ADAPTER;
	if (name == FNP_HOTSPOT_TEXT('v', 't', 'a', 'b', 'l', 'e', ' ', 'c'))
		return FNP_HOTSPOT_BLOB_VTABLE;
	if (name == FNP_HOTSPOT_TEXT('S', 'a', 'f', 'e', 'p', 'o', 'i', 'n'))
		return FNP_HOTSPOT_BLOB_SAFEPOINT;
	if (name == FNP_HOTSPOT_TEXT('D', 'e', 'o', 'p', 't', 'i', 'm', 'i'))
		return FNP_HOTSPOT_BLOB_DEOPTIMIZATION;
	if (name == FNP_HOTSPOT_TEXT('U', 'n', 'c', 'o', 'm', 'm', 'o', 'n'))
		return FNP_HOTSPOT_BLOB_UNCOMMON_TRAP;
	if (name == FNP_HOTSPOT_TEXT('E', 'x', 'c', 'e', 'p', 't', 'i', 'o'))
		return FNP_HOTSPOT_BLOB_EXCEPTION;
	if (name == FNP_HOTSPOT_TEXT('u', 'p', 'c', 'a', 'l', 'l', '_', 's'))
		return FNP_HOTSPOT_BLOB_UPCALL;
	return FNP_HOTSPOT_BLOB_BUFFER;
}

/* The number of the code heap that an address lies in, or negative. */
FNP_INLINE int fnp_hotspot_heap_of(const struct fnp_hotspot_layout *l, fnp_u64 address)
{
	int heap = -1;

	for (int i = 0; i < FNP_HOTSPOT_HEAPS_MAX; i++) {
		if (address >= l->heaps[i].start && address < l->heaps[i].end)
			heap = i;
	}
	return heap;
}

/*
 * Finds the blob around a pc: its head comes into walk->scratch, its address into the last word. Returns enum
 * fnp_hotspot_blob, or negative: there is none, or it is being made.
 */
FNP_SUBPROGRAM int fnp_hotspot_find(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 pc)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 start, segments, segment, distance = 1;
	fnp_u32 size, shift;
	int heap, kind;

	if (!walk || !l)
		return -1;
	heap = fnp_hotspot_heap_of(l, pc);
	if (heap < 0)
		return -1;
	start = l->heaps[heap & (FNP_HOTSPOT_HEAPS_MAX - 1)].start;
	segments = l->heaps[heap & (FNP_HOTSPOT_HEAPS_MAX - 1)].segments;
	shift = l->segment_shift & 15;
	segment = (pc - start) >> shift;
	for (int i = 0; i < FNP_HOTSPOT_HOPS && distance; i++) {
		if (fnp_read_user(&walk->value, 1, segments + segment))
			return -1;
		distance = walk->value & 0xff;
		if (distance == 0xff || distance > segment)
			return -1;
		segment -= distance;
	}
	size = l->read_size;
	if (distance || size > FNP_HOTSPOT_HEAD_MAX)
		return -1;
	start += (segment << shift) + l->block_header;
	if (fnp_read_user(walk->scratch, size, start))
		return -1;
	walk->scratch[FNP_HOTSPOT_BLOB_AT] = start;
	if (l->blob_kind)
		return fnp_hotspot_word(walk, l->blob_kind) & 0xff;
	kind = fnp_hotspot_kind_of_name(fnp_hotspot_read(walk, fnp_hotspot_word(walk, l->blob_name)));
	/* C1's and C2's runtime stubs have names of their own; code in buffers has no frame size. */
	if (kind == FNP_HOTSPOT_BLOB_BUFFER && (fnp_u32)fnp_hotspot_word(walk, l->blob_frame_size))
		kind = FNP_HOTSPOT_BLOB_RUNTIME_STUB;
	return kind;
}

#include "bpf/walk/hotspot_chunk.h"

/* ---- interpreted frames ------------------------------------------------------------------------------------- */

/* Adds a frame of a Method; `bcp` 0: at its first instruction. 0; 1: it is no Method; or negative: no room. */
FNP_SUBPROGRAM int fnp_hotspot_push_method(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 method, fnp_u64 bcp)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 constant, holder, name, bci, code_size;

	if (!walk || !l)
		return -1;
	constant = method & 7 ? 0 : fnp_hotspot_read(walk, method + l->method_const);
	if (!constant || fnp_read_user(walk->scratch, FNP_HOTSPOT_CONST_MAX, constant))
		return 1;
	holder = fnp_hotspot_read(walk, fnp_hotspot_word(walk, l->const_pool) + l->pool_holder);
	name = holder ? fnp_hotspot_read(walk, holder + l->class_name) : 0;
	if (!name)
		return 1;
	code_size = fnp_hotspot_word(walk, l->const_code_size) & 0xffff;
	bci = bcp ? bcp - constant - l->const_size : 0;
	if (code_size == 0)
		bci = FNP_HOTSPOT_NATIVE_BCI;
	else if (bci >= code_size)
		return 1;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_HOTSPOT, 1, method | FNP_HOTSPOT_INTERPRETED)))
		return -1;
	fnp_walk_push_more(
		walk, (fnp_u64)fnp_hotspot_cookie(constant, name, fnp_hotspot_word(walk, l->const_name) & 0xffff)
				      << 32 |
			      (fnp_u32)bci);
	return 0;
}

/* A whole interpreted frame: that of rbp. What walkers return. */
FNP_SUBPROGRAM int fnp_hotspot_interpreted(struct fnp_walk *walk, fnp_u32 layout)
{
	fnp_u64 method, bcp = 0, sender_sp, pc, fp;
	int r = 1;

	if (!walk)
		return -1;
	fp = walk->fp;
	if (fp < walk->sp || fp - walk->sp > FNP_HOTSPOT_STACK_MAX ||
	    fnp_walk_load(walk, fp - FNP_HOTSPOT_METHOD, &method) || fnp_walk_load(walk, fp + 8, &pc) ||
	    fnp_walk_load(walk, fp - FNP_HOTSPOT_SENDER_SP, &sender_sp) || fnp_walk_load(walk, fp, &fp))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	/* While it runs, the interpreter has its bytecode pointer in r13; at a call it is saved. */
	if (walk->exact && fnp_walk_reg(walk, 13, &bcp) == 0 && bcp)
		r = fnp_hotspot_push_method(walk, layout, method, bcp);
	if (r == 1) {
		if (fnp_walk_load(walk, walk->fp - FNP_HOTSPOT_BCP, &bcp))
			return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
		r = fnp_hotspot_push_method(walk, layout, method, bcp);
	}
	if (r < 0)
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	if (walk->parked_end) /* there it is counted from the frame, in words */
		sender_sp = walk->fp + 8 * sender_sp;
	/* linkToStatic and its kin take an argument away from between the caller's and its callee's frame. */
	if (r > 0 || sender_sp < walk->fp + 8 || sender_sp - walk->fp > FNP_HOTSPOT_STACK_MAX)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (walk->parked_end)
		return fnp_hotspot_parked_caller(walk, layout, pc, sender_sp, walk->fp);
	return fnp_walk_caller(walk, pc, sender_sp, fp);
}

/* ---- compiled frames ---------------------------------------------------------------------------------------- */

/* The first instruction of the blob in walk->scratch. */
FNP_INLINE fnp_u64 fnp_hotspot_code(const struct fnp_walk *walk, const struct fnp_hotspot_layout *l)
{
	fnp_u64 code = fnp_hotspot_word(walk, l->blob_code);

	if (l->flags & FNP_HOTSPOT_CODE_POINTERS)
		return code;
	return walk->scratch[FNP_HOTSPOT_BLOB_AT] + (fnp_u32)code;
}

/* Is this return address the handler by which the code of a waiting frame was replaced? */
FNP_INLINE bool fnp_hotspot_is_deopt(const struct fnp_walk *walk, const struct fnp_hotspot_layout *l)
{
	fnp_u64 handler = fnp_hotspot_word(walk, l->deopt), handle = 0;

	if (l->deopt_handle)
		handle = fnp_hotspot_word(walk, l->deopt_handle);
	if (!(l->flags & FNP_HOTSPOT_CODE_POINTERS)) {
		handler = walk->scratch[FNP_HOTSPOT_BLOB_AT] + (fnp_u32)handler;
		handle = walk->scratch[FNP_HOTSPOT_BLOB_AT] + (fnp_u32)handle;
	}
	return walk->pc == handler || (l->deopt_handle && walk->pc == handle);
}

/* Adds the frame of the nmethod in walk->scratch. 0; 1: not understood; negative: no room. */
FNP_SUBPROGRAM int fnp_hotspot_push_compiled(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 pc, code;

	if (!walk || !l)
		return -1;
	pc = walk->pc;
	code = fnp_hotspot_code(walk, l);
	if (!walk->exact && fnp_hotspot_is_deopt(walk, l) &&
	    fnp_walk_load(walk, walk->sp + (fnp_u32)fnp_hotspot_word(walk, l->original_pc), &pc))
		return 1;
	if (pc < code || pc - code > 64 << 20)
		return 1;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_HOTSPOT, 1,
					 walk->scratch[FNP_HOTSPOT_BLOB_AT] | FNP_HOTSPOT_COMPILED)))
		return -1;
	fnp_walk_push_more(walk, fnp_hotspot_word(walk, l->compile_id) << 32 | (fnp_u32)(pc - code) |
					 (walk->exact ? FNP_HOTSPOT_LEAF : 0));
	return 0;
}

/* Adds a leaf that runs code of the JVM's own. */
FNP_SUBPROGRAM int fnp_hotspot_push_stub(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);

	if (!walk || !l)
		return -1;
	if (fnp_walk_push(walk, FNP_WORD(FNP_WORD_HOTSPOT, 1,
					 walk->scratch[FNP_HOTSPOT_BLOB_AT] | FNP_HOTSPOT_STUB)))
		return -1;
	fnp_walk_push_more(walk, fnp_hotspot_word(walk, l->blob_name) << 32 |
					 (fnp_u32)(walk->pc - walk->scratch[FNP_HOTSPOT_BLOB_AT]));
	return 0;
}

/* Does the blob in walk->scratch have a frame of one size? -1: its makers did not count. */
FNP_INLINE bool fnp_hotspot_has_size(const struct fnp_walk *walk, const struct fnp_hotspot_layout *l)
{
	fnp_u32 words = fnp_hotspot_word(walk, l->blob_frame_size);

	return words > 0 && words <= FNP_HOTSPOT_STACK_MAX / 8;
}

/* The caller of a whole frame of the blob in walk->scratch: by the size that it has for all of its code. */
FNP_SUBPROGRAM int fnp_hotspot_sized(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 sp, pc, fp;
	fnp_u32 words;

	if (!walk || !l)
		return -1;
	words = fnp_hotspot_word(walk, l->blob_frame_size);
	if (words > FNP_HOTSPOT_STACK_MAX / 8)
		return -1;
	if (words == 0) { /* code that leaves the stack alone */
		if (!walk->exact || fnp_walk_load(walk, walk->sp, &pc))
			return -1;
		return fnp_hotspot_caller_is(walk, pc, walk->sp + 8, walk->fp);
	}
	sp = walk->sp + 8 * (fnp_u64)words;
	fp = walk->fp;
	if (fnp_walk_load(walk, sp - 8, &pc) || (words > 1 && fnp_walk_load(walk, sp - 16, &fp)))
		return -1;
	return fnp_hotspot_caller_is(walk, pc, sp, fp);
}

#include "bpf/walk/hotspot_leaf.h"

/* Was the frame before this one a method's? */
FNP_INLINE bool fnp_hotspot_called_java(const struct fnp_walk *walk)
{
	fnp_u32 n = walk->n_words;
	fnp_u64 head;

	if (n < FNP_HOTSPOT_WORDS || n > FNP_USER_WORDS_MAX)
		return false;
	head = walk->words[(n - FNP_HOTSPOT_WORDS) & (FNP_USER_WORDS_MAX - 1)];
	return head >> FNP_WORD_MORE_SHIFT == (FNP_WORD_HOTSPOT << 3 | 1) && (head & 7) != FNP_HOTSPOT_STUB;
}

FNP_INLINE int fnp_hotspot_return(struct fnp_walk *walk, fnp_u32 layout)
{
	if (walk->chain[FNP_HOTSPOT_CALLER_SP] < walk->sp)
		return fnp_walk_stop(walk, FNP_TRUNCATION_LOOP);
	if (walk->parked_end)
		return fnp_hotspot_parked_caller(walk, layout, walk->chain[FNP_HOTSPOT_CALLER_PC],
						 walk->chain[FNP_HOTSPOT_CALLER_SP],
						 walk->chain[FNP_HOTSPOT_CALLER_SP] - 16);
	return fnp_walk_caller(walk, walk->chain[FNP_HOTSPOT_CALLER_PC], walk->chain[FNP_HOTSPOT_CALLER_SP],
			       walk->chain[FNP_HOTSPOT_CALLER_FP]);
}

FNP_SUBPROGRAM int fnp_hotspot_compiled(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	bool may_have_pushed;
	int r;

	if (!walk || !l)
		return -1;
	may_have_pushed = walk->exact || !fnp_hotspot_called_java(walk);
	r = fnp_hotspot_push_compiled(walk, layout);
	if (r)
		return fnp_walk_stop(walk, r < 0 ? FNP_TRUNCATION_DEPTH : FNP_TRUNCATION_RUNTIME);
	r = walk->exact ? fnp_hotspot_compiled_leaf(walk, layout) : 1;
	if (r > 0)
		r = fnp_hotspot_sized(walk, layout);
	/* Whoever calls compiled code is in a code heap, the call stub too. */
	if (r == 0 && !walk->parked_end && fnp_hotspot_heap_of(l, walk->chain[FNP_HOTSPOT_CALLER_PC]) < 0)
		r = may_have_pushed ? fnp_hotspot_pushed(walk, layout) : 1;
	return r ? fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME) : fnp_hotspot_return(walk, layout);
}

/*
 * A compiled frame is to be replaced by interpreted ones. While that is prepared it is still there and whole; once they lie
 * on the stack, their slots are not filled yet.
 */
FNP_SUBPROGRAM int fnp_hotspot_deoptimizing(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 pc;

	if (!walk || !l || walk->exact || !fnp_hotspot_has_size(walk, l) || fnp_hotspot_sized(walk, layout))
		return -1;
	pc = walk->chain[FNP_HOTSPOT_CALLER_PC];
	if (fnp_hotspot_heap_of(l, pc) < 0 || pc - l->interpreter < l->interpreter_end - l->interpreter)
		return -1;
	return 0;
}

/* Code of the JVM's own. */
FNP_SUBPROGRAM int fnp_hotspot_stub(struct fnp_walk *walk, fnp_u32 layout, int kind)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	int r;

	if (!walk || !l)
		return -1;
	if (walk->exact && fnp_hotspot_push_stub(walk, layout))
		return fnp_walk_stop(walk, FNP_TRUNCATION_DEPTH);
	/*
	 * Beside the call stub, a method returns to one stub only: that which brings back further frames of a virtual
	 * thread. Until then they lie in a chunk in the heap; rbp is that of the entry into the carrier's frames.
	 */
	if (!walk->exact && kind == FNP_HOTSPOT_BLOB_BUFFER && fnp_hotspot_called_java(walk))
		walk->doubt = FNP_TRUNCATION_PARKED;
	if (kind == FNP_HOTSPOT_BLOB_UNCOMMON_TRAP || kind == FNP_HOTSPOT_BLOB_DEOPTIMIZATION)
		r = fnp_hotspot_deoptimizing(walk, layout);
	else if (walk->exact)
		r = fnp_hotspot_stub_leaf(walk, layout, kind);
	else if (kind == FNP_HOTSPOT_BLOB_RUNTIME_STUB || kind == FNP_HOTSPOT_BLOB_SAFEPOINT)
		r = fnp_hotspot_has_size(walk, l) ? fnp_hotspot_sized(walk, layout) : fnp_hotspot_framed(walk);
	else
		r = fnp_hotspot_framed(walk);
	return r < 0 ? fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME) : fnp_hotspot_return(walk, layout);
}

FNP_SUBPROGRAM int fnp_walk_hotspot(struct fnp_walk *walk)
{
	const struct fnp_hotspot_layout *l;
	const struct fnp_space *space;
	fnp_u32 layout;
	int kind;

	if (!fnp_walk_hotspot_on || !walk)
		return -1;
	space = fnp_array_at(fnp_spaces, walk->space);
	layout = space ? space->runtime[1][0] : FNP_HOTSPOT_LAYOUTS_MAX;
	l = fnp_array_at(fnp_hotspot_layouts, layout);
	if (!l)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (walk->pc == l->call_stub_return)
		return fnp_hotspot_entry_frame(walk);
	if (walk->pc == l->continuation_return && walk->pc)
		return fnp_hotspot_continued(walk, layout);
	if (walk->pc == l->thaw_return && walk->pc)
		return fnp_hotspot_thaw(walk, layout);
	if (walk->pc - l->interpreter < l->interpreter_end - l->interpreter) {
		kind = walk->exact ? fnp_hotspot_interpreter_leaf(walk, layout) : 1;
		if (kind == 0)
			return fnp_hotspot_return(walk, layout);
		return kind < 0 ? fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME)
				: fnp_hotspot_interpreted(walk, layout);
	}
	kind = fnp_hotspot_find(walk, layout, walk->pc);
	if (kind < 0)
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	if (kind == FNP_HOTSPOT_BLOB_NMETHOD)
		return fnp_hotspot_compiled(walk, layout);
	return fnp_hotspot_stub(walk, layout, kind);
}

#endif
