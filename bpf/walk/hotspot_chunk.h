/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Frames of a virtual thread that lie in the heap. When it parks they move into a chunk there; when it goes on only the
 * topmost few come back to its carrier's stack, and the last of these returns to a stub that fetches more. So a walk that
 * meets this return address goes on in the chunk, and from the last of its chunks to the frame that entered the
 * continuation, which is on the stack.
 *
 * The entry lies above the frames that came back and below that frame's rbp. It names the continuation, this its newest
 * chunk, a chunk its parent. In a chunk frames lie as on a stack, but an interpreted one's
 * address (in its callee's slot for rbp) and its sender's sp are counted in words from where they stand.
 *
 * The collector may move a chunk while we look. Copies that were left behind say where the new one is, or still have what
 * they had; whatever is read is checked like anything else, and what is not understood ends in a marker.
 */
#ifndef FNP_BPF_WALK_HOTSPOT_CHUNK_H
#define FNP_BPF_WALK_HOTSPOT_CHUNK_H

#include "bpf/walk/hotspot.h"

#define FNP_HOTSPOT_CHUNK_HOPS 4	  /* from a chunk without frames, or that was moved, to the next */
#define FNP_HOTSPOT_CHUNK_WORDS (1 << 20) /* of frames in a chunk */
#define FNP_HOTSPOT_ARGUMENTS 64	  /* words of a frame's arguments that are looked over */
#define FNP_HOTSPOT_COLOURS 47	     /* an address has no bits from here on, a reference with colours has */
#define FNP_HOTSPOT_COLOURS_SHIFT 12 /* four bits, of which the one that is set stands before the address */

/* In the entry into a continuation (ContinuationEntry, 21 to 27). */
#define FNP_HOTSPOT_ENTRY_PARENT 8	  /* the entry around it, above it on the stack */
#define FNP_HOTSPOT_ENTRY_CONTINUATION 16 /* its object */
#define FNP_HOTSPOT_ENTRY_FLAGS 32	  /* 0 or 1, and in the upper half words of arguments */

/* The call stub, or the first frame of a continuation: both keep a frame pointer. What walkers return. */
FNP_SUBPROGRAM int fnp_hotspot_entry_frame(struct fnp_walk *walk)
{
	fnp_u64 pc, fp;

	if (!walk)
		return -1;
	if (walk->fp < walk->sp || walk->fp - walk->sp > FNP_HOTSPOT_STACK_MAX ||
	    fnp_walk_load(walk, walk->fp, &fp) || fnp_walk_load(walk, walk->fp + 8, &pc))
		return fnp_walk_stop(walk, FNP_TRUNCATION_RUNTIME);
	return fnp_walk_caller(walk, pc, walk->fp + 16, fp);
}

/* The object that a reference names: one of 32 bits, one that ZGC coloured, or an address. */
FNP_INLINE fnp_u64 fnp_hotspot_object(const struct fnp_hotspot_layout *l, fnp_u64 reference)
{
	fnp_u32 bits = reference >> FNP_HOTSPOT_COLOURS_SHIFT & 15;

	if (l->flags & FNP_HOTSPOT_NARROW_REFERENCES) {
		reference = (fnp_u32)reference;
		return reference ? l->narrow_base + (reference << (l->narrow_shift & 7)) : 0;
	}
	if (reference >> FNP_HOTSPOT_COLOURS)
		return reference >> (FNP_HOTSPOT_COLOURS_SHIFT + (bits & 1   ? 1
								  : bits & 2 ? 2
								  : bits & 4 ? 3
									     : 4));
	/* Without an address there are colours alone. */
	return reference >> 16 ? reference : 0;
}

/* A frame in a chunk, whose rbp was saved at `link`. 0, or negative: it is none. */
FNP_SUBPROGRAM int fnp_hotspot_parked(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 pc, fnp_u64 sp,
				      fnp_u64 link)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 fp;

	if (!walk || !l || fnp_hotspot_heap_of(l, pc) < 0 || fnp_walk_load(walk, link, &fp))
		return -1;
	if (pc - l->interpreter < l->interpreter_end - l->interpreter)
		fp = link + 8 * fp;
	return fnp_walk_caller(walk, pc, sp, fp);
}

/* Goes to the topmost frame of a chunk, or of one behind it. 0; 1: there is none; or negative: not understood. */
FNP_SUBPROGRAM int fnp_hotspot_chunk(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 chunk)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u32 size, sp, bottom, head;

	if (!walk || !l)
		return -1;
	head = l->chunk_stack;
	if (head > FNP_HOTSPOT_CHUNK_MAX)
		return -1;
	for (int i = 0; i < FNP_HOTSPOT_CHUNK_HOPS; i++) {
		if (!chunk)
			return 1;
		if (fnp_read_user(walk->scratch, head, chunk))
			return -1;
		if ((walk->scratch[0] & 3) == 3) {
			chunk = walk->scratch[0] & ~3ULL;
			continue;
		}
		size = fnp_hotspot_word(walk, l->chunk_size);
		bottom = fnp_hotspot_word(walk, l->chunk_bottom);
		sp = fnp_hotspot_word(walk, l->chunk_sp);
		if (size > FNP_HOTSPOT_CHUNK_WORDS || bottom > size || sp > bottom)
			return -1;
		walk->parked_parent = fnp_hotspot_object(l, fnp_hotspot_word(walk, l->chunk_parent));
		if (sp < bottom) {
			walk->parked_end = chunk + head + 8ULL * bottom;
			chunk += head + 8ULL * sp;
			return fnp_hotspot_parked(walk, layout, fnp_hotspot_word(walk, l->chunk_pc), chunk,
						  chunk - 16);
		}
		chunk = walk->parked_parent;
	}
	return -1;
}

/* Back to the stack, to the frame that entered the continuation. `r` as fnp_hotspot_chunk says it. */
FNP_INLINE int fnp_hotspot_unparked(struct fnp_walk *walk, int r)
{
	if (r < 0)
		walk->doubt = FNP_TRUNCATION_PARKED;
	walk->parked_end = 0;
	walk->sp = walk->parked_fp;
	walk->fp = walk->parked_fp;
	return fnp_hotspot_entry_frame(walk);
}

/* A frame in a chunk has been taken: its caller, whose rbp was saved at `link`. What walkers return. */
FNP_SUBPROGRAM int fnp_hotspot_parked_caller(struct fnp_walk *walk, fnp_u32 layout, fnp_u64 pc, fnp_u64 sp,
					     fnp_u64 link)
{
	int r;

	if (!walk)
		return -1;
	if (sp < walk->parked_end)
		r = fnp_hotspot_parked(walk, layout, pc, sp, link);
	else
		r = fnp_hotspot_chunk(walk, layout, walk->parked_parent);
	return r == 0 ? 0 : fnp_hotspot_unparked(walk, r);
}

/*
 * Does the entry into a continuation lie at an address? It says how many words of arguments lie between it and the frames
 * below it, which end at walk->sp. 1 or 0.
 */
FNP_INLINE int fnp_hotspot_is_entry(struct fnp_walk *walk, const struct fnp_hotspot_layout *l, fnp_u64 at)
{
	fnp_u64 flags, parent, pc;

	if (fnp_walk_load(walk, at + FNP_HOTSPOT_ENTRY_FLAGS, &flags) || (fnp_u32)flags > 1 ||
	    (at - walk->sp) / 8 - (flags >> 32) > 1)
		return 0;
	return fnp_walk_load(walk, at + FNP_HOTSPOT_ENTRY_PARENT, &parent) == 0 &&
	       (parent == 0 || parent > at) && fnp_walk_load(walk, at + l->entry_size + 8, &pc) == 0 &&
	       fnp_hotspot_heap_of(l, pc) >= 0;
}

/* The entry's address, or 0. */
FNP_SUBPROGRAM fnp_u64 fnp_hotspot_find_entry(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 at;

	if (!walk || !l)
		return 0;
	at = (walk->sp + 15) & ~15ULL;
	for (int i = 0; i < FNP_HOTSPOT_ARGUMENTS / 2; i++) {
		if (fnp_hotspot_is_entry(walk, l, at))
			return at;
		at += 16;
	}
	return 0;
}

/*
 * All frames of a continuation have been taken. When it has been parked, and all of them were fetched at once, what the last
 * one keeps of rbp need not be that of the frame that entered; the entry tells where that is. What walkers return.
 */
FNP_SUBPROGRAM int fnp_hotspot_continued(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 entry = 0;

	if (!walk || !l)
		return -1;
	if (l->flags & FNP_HOTSPOT_CHUNKS)
		entry = fnp_hotspot_find_entry(walk, layout);
	if (entry)
		walk->fp = entry + l->entry_size;
	return fnp_hotspot_entry_frame(walk);
}

/* A frame that returns to the stub that fetches more of them has been taken. What walkers return. */
FNP_SUBPROGRAM int fnp_hotspot_thaw(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_hotspot_layout *l = fnp_array_at(fnp_hotspot_layouts, layout);
	fnp_u64 entry = 0, continuation, chunk = 0;
	int r = -1;

	if (!walk || !l)
		return -1;
	if (l->flags & FNP_HOTSPOT_CHUNKS)
		entry = fnp_hotspot_find_entry(walk, layout);
	if (!entry)
		return fnp_walk_stop(walk, FNP_TRUNCATION_PARKED);
	walk->parked_fp = entry + l->entry_size;
	continuation = fnp_hotspot_read(walk, entry + FNP_HOTSPOT_ENTRY_CONTINUATION);
	if (continuation)
		chunk = fnp_hotspot_object(l, fnp_hotspot_read(walk, continuation + l->continuation_tail));
	if (chunk)
		r = fnp_hotspot_chunk(walk, layout, chunk);
	return r == 0 ? 0 : fnp_hotspot_unparked(walk, -1);
}

#endif
