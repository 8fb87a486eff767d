/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that no row says anything about, and that is no padding: gaps.
 */
#ifndef FNP_SYMBOLIZER_UNWIND_GAPS_H
#define FNP_SYMBOLIZER_UNWIND_GAPS_H

#include "base/vec.h"
#include "symbolizer/object.h"
#include "symbolizer/unwind_rows.h"

struct fnp_gap {
	uint64_t start, end;
};

struct fnp_gaps {
	const struct fnp_object *object; /* set by the caller, as `rows` is */
	const struct fnp_rows *rows;
	FNP_VEC(struct fnp_gap) items; /* ascending */
	uint64_t bytes;
	uint64_t released;  /* up to this address no code takes our memory */
	bool has_much_code; /* not all of it is looked at */
};

/* Finds them, 16 MiB of code at most, in an empty struct. 0 or -ENOMEM. */
int fnp_gaps_find(struct fnp_gaps *gaps);

/* Finds what is left of them, now that `rows` has more. 0 or -ENOMEM; the former are gone then, too. */
int fnp_gaps_find_left(struct fnp_gaps *gaps);
void fnp_gaps_deinit(struct fnp_gaps *gaps);

/* The number of gaps that begin at or before an address; and whether one covers it. */
size_t fnp_gaps_up_to(const struct fnp_gaps *gaps, uint64_t address);
bool fnp_gaps_have(const struct fnp_gaps *gaps, uint64_t address);

/* The first address from `at` on that is no padding; `end` when all is. */
uint64_t fnp_gaps_skip_padding(const struct fnp_gaps *gaps, uint64_t at, uint64_t end);

#endif
