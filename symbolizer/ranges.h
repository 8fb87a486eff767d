/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals that may nest and overlap, painted into disjoint ranges that a binary search reads: an address gets the
 * interval that begins last among those that have it.
 */
#ifndef FNP_SYMBOLIZER_RANGES_H
#define FNP_SYMBOLIZER_RANGES_H

#include <stdbool.h>

#include "base/vec.h"

/* [start, end) has `value`, whatever that means to the owner. Addresses count from the owner's base. */
struct fnp_range {
	uint32_t start, end;
	uint32_t value;
};

typedef FNP_VEC(struct fnp_range) fnp_ranges;

/*
 * Paints `n` intervals, sorted by start; of those that start together the later one lies on top. Appends to `ret`,
 * sorted and disjoint, at most 2 n of them. -ENOMEM.
 */
int fnp_ranges_paint(const struct fnp_range *intervals, size_t n, fnp_ranges *ret);

/* The last range that starts at or before the address and has it, or NULL. */
const struct fnp_range *fnp_ranges_find(const struct fnp_range *ranges, size_t n, uint64_t address);

/* For qsort: by start, then the longer first (so that the shorter lies on top). */
int fnp_ranges_compare(const void *a, const void *b);

#endif
