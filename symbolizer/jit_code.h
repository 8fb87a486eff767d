/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of code that a JIT made, in the order in which they were told. Code moves and memory is used again, so
 * pieces overlap: of those that have an address the newest counts.
 */
#ifndef FNP_SYMBOLIZER_JIT_CODE_H
#define FNP_SYMBOLIZER_JIT_CODE_H

#include <stdbool.h>

#include "base/vec.h"

#define FNP_JIT_PIECES_MAX (UINT32_C(1) << 20)
#define FNP_JIT_PIECE_BYTES_MAX (UINT64_C(256) << 20) /* no function is larger */

struct fnp_jit_piece {
	uint64_t start;
	uint32_t size;
	uint32_t name; /* the owner's */
};

/* From `start` on, up to the next one. */
struct fnp_jit_stretch {
	uint64_t start;
	uint32_t piece; /* UINT32_MAX: none */
};

/* In the storage of its owner, all zero at first. */
struct fnp_jit_code {
	FNP_VEC(struct fnp_jit_piece) pieces; /* in the order they were added */
	FNP_VEC(struct fnp_jit_stretch) stretches;
};

void fnp_jit_code_deinit(struct fnp_jit_code *code);

/* Could there be such a piece? */
bool fnp_jit_piece_is_sound(uint64_t start, uint64_t size);

/* Adds a sound piece, which is found after the next fnp_jit_code_sort(). -ENOSPC when there are too many, -ENOMEM. */
int fnp_jit_code_add(struct fnp_jit_code *code, const struct fnp_jit_piece *piece);

/* To be called after pieces were added. O(n log n) for all of them. 0 or -ENOMEM. */
int fnp_jit_code_sort(struct fnp_jit_code *code);

/* The number of the newest piece that has an address; -ENOENT. */
int fnp_jit_code_find(const struct fnp_jit_code *code, uint64_t address, uint32_t *ret);

#endif
