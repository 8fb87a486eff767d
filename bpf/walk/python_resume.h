/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a walk that user space must end needs to go on with Python's frames: the walker's state, and the memory of the
 * frames that are left and of their code objects, as it is now. What lies on the C stack comes with that stack's copy.
 *
 * Without it such a stack would lose its Python part: where code is met whose table is not loaded yet (the first
 * milliseconds of a program), and in the moment in which a process is given another space.
 */
#ifndef FNP_BPF_WALK_PYTHON_RESUME_H
#define FNP_BPF_WALK_PYTHON_RESUME_H

#include "bpf/walk/walk.h"

#ifdef __bpf__

#define FNP_PYTHON_PIECE_WORDS (sizeof(struct fnp_python_piece) / 8)
#define FNP_PYTHON_PIECE_MAX 256 /* bytes; a power of two */
/* Words of the two pieces of one frame, and some. */
#define FNP_PYTHON_PIECES_WORDS (2 * (FNP_PYTHON_PIECE_WORDS + FNP_PYTHON_PIECE_MAX / 8) + 16)

/* The walk is over: walk->chain is copied away, and its first word stays the next frame. */
#define FNP_PYTHON_KEEP_AT 1

/* Puts `size` bytes at an address behind what is there. 0 or negative. */
FNP_SUBPROGRAM int fnp_python_keep_piece(struct fnp_walk *walk, fnp_u64 address, fnp_u32 size)
{
	struct fnp_python_piece piece = {.address = address, .size = size};
	fnp_u32 at, offset;

	if (!walk || size == 0 || size > FNP_PYTHON_PIECE_MAX)
		return -1;
	at = walk->chain[FNP_PYTHON_KEEP_AT];
	if (at > FNP_WALK_WORDS - FNP_PYTHON_PIECES_WORDS)
		return -1;
	offset = (at + FNP_PYTHON_PIECE_WORDS) * 8;
	if (fnp_read_user((void *)walk->words + offset, size & (2 * FNP_PYTHON_PIECE_MAX - 1), address))
		return -1;
	__builtin_memcpy(&walk->words[at], &piece, sizeof(piece));
	walk->chain[FNP_PYTHON_KEEP_AT] = at + FNP_PYTHON_PIECE_WORDS + (size + 7) / 8;
	return 0;
}

/* What fnp_python_first_instruction() reads. */
FNP_INLINE void fnp_python_keep_copy(struct fnp_walk *walk, const struct fnp_python_layout *l, fnp_u64 code)
{
	fnp_u32 copy = fnp_python_frame_word(walk, l->frame_copy) >> (8 * (l->frame_copy & 7));
	fnp_u64 copies;

	if (copy == 0 || fnp_python_keep_piece(walk, code + l->code_copies, 8))
		return;
	copies = fnp_python_read(walk, code + l->code_copies);
	if (copies)
		fnp_python_keep_piece(walk, copies + 8 + 8 * (fnp_u64)copy, 8);
}

/* What is made of the texts of the code object in scratch: they may be gone when this walk goes on. */
FNP_SUBPROGRAM int fnp_python_keep_identity(struct fnp_walk *walk, fnp_u64 code, fnp_u64 identity)
{
	struct fnp_python_piece piece = {.address = code | FNP_PYTHON_IDENTITY_AT, .size = 8};
	fnp_u32 at;

	if (!walk)
		return -1;
	at = walk->chain[FNP_PYTHON_KEEP_AT];
	if (at > FNP_WALK_WORDS - FNP_PYTHON_PIECES_WORDS)
		return -1;
	__builtin_memcpy(&walk->words[at], &piece, sizeof(piece));
	walk->words[at + FNP_PYTHON_PIECE_WORDS] = identity;
	walk->chain[FNP_PYTHON_KEEP_AT] = at + FNP_PYTHON_PIECE_WORDS + 1;
	return 0;
}

/* Keeps the next frame of the chain. 0: there may be more. */
FNP_SUBPROGRAM int fnp_python_keep_frame(struct fnp_walk *walk, fnp_u32 layout)
{
	const struct fnp_python_layout *l = fnp_array_at(fnp_python_layouts, layout);
	fnp_u64 frame, code;
	fnp_u32 cookie, n, size;

	if (!walk || !l)
		return -1;
	frame = walk->chain[FNP_PYTHON_FRAME];
	size = l->frame_size;
	if (!frame || size > FNP_PYTHON_FRAME_MAX || fnp_read_user(walk->scratch, size, frame) ||
	    fnp_python_keep_piece(walk, frame, size))
		return -1;
	walk->chain[FNP_PYTHON_FRAME] = fnp_python_frame_word(walk, l->frame_back);
	code = fnp_python_frame_word(walk, l->frame_code) & ~7ULL;
	size = l->code_size;
	if (size > FNP_PYTHON_CODE_MAX || fnp_read_user(walk->scratch + FNP_PYTHON_CODE_AT, size, code) ||
	    fnp_python_keep_piece(walk, code, size))
		return 0; /* a shim */
	if (l->code_copies)
		fnp_python_keep_copy(walk, l, code);
	cookie = fnp_python_cookie_of(walk, layout, code);
	if (!l->code_version)
		fnp_python_keep_identity(walk, code, walk->value);
	n = walk->n_python_kept;
	if (n >= FNP_WALK_PYTHON_KEPT)
		return -1;
	walk->python_kept[2 * n] = code;
	walk->python_kept[2 * n + 1] = cookie;
	walk->n_python_kept = n + 1;
	return 0;
}

/* Adds the section at walk->words[at]; the number of words that it takes, 0 when there is nothing to keep. */
FNP_SUBPROGRAM int fnp_walk_python_resume(struct fnp_walk *walk, fnp_u32 at)
{
	struct fnp_wire_section section = {.type = FNP_SECTION_RESUME_PYTHON};
	const struct fnp_space *space;
	fnp_u32 layout, words;

	if (!fnp_walk_python_on || !walk || !walk->resumable ||
	    at > FNP_WALK_WORDS - FNP_PYTHON_PIECES_WORDS - 1 - FNP_PYTHON_CHAIN)
		return 0;
	space = fnp_array_at(fnp_spaces, walk->space);
	if (!space)
		return 0;
	layout = space->runtime[0][0];
	if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_NEW)
		fnp_python_begin(walk, layout, space->runtime[0][1]);
	if (walk->chain[FNP_PYTHON_STATE] == FNP_PYTHON_NEW)
		return 0;
	__builtin_memcpy(&walk->words[at + 1], walk->chain, sizeof(walk->chain));
	walk->chain[FNP_PYTHON_KEEP_AT] = at + 1 + FNP_PYTHON_CHAIN;
	for (int i = 0; i < FNP_WALK_PYTHON_KEPT; i++) {
		if (fnp_python_keep_frame(walk, layout))
			break;
	}
	words = (fnp_u32)walk->chain[FNP_PYTHON_KEEP_AT] - at;
	section.size = 8 * (words - 1);
	if (at < FNP_WALK_WORDS)
		__builtin_memcpy(&walk->words[at], &section, sizeof(section));
	return words;
}

#endif

#endif
