/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of numbers to one number, 0, 1, 2, ...: a tree's (parent, frame) to its node, (group, node) to its sum.
 * 16 to 24 bytes a pair, where base/intern would take 50. All zero is a valid empty table.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_PAIRS_H
#define FNP_PROFILER_OUTPUT_PAGE_PAIRS_H

#include "base/vec.h"

struct fnp_pair {
	uint32_t a, b;
};

struct fnp_pairs {
	FNP_VEC(struct fnp_pair) items;
	uint32_t *slots; /* number + 1, or 0 */
	size_t n_slots;	 /* a power of two, or 0 */
};

void fnp_pairs_deinit(struct fnp_pairs *pairs);

/* The pair's number; a new one when there are fewer than `max`, else -ENOSPC. -ENOMEM. */
int fnp_pairs_add(struct fnp_pairs *pairs, struct fnp_pair pair, size_t max, uint32_t *ret);

/* -ENOENT when the pair was never added. */
int fnp_pairs_find(const struct fnp_pairs *pairs, struct fnp_pair pair, uint32_t *ret);

#endif
