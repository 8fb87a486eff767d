/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code ranges: which code lies where in an address space, ascending and apart, as struct fnp_code_range of
 * bpf/layout/native.h has it; and the room that they take in the array that the kernel side reads.
 */
#ifndef FNP_PROFILER_TARGETS_CODE_RANGES_H
#define FNP_PROFILER_TARGETS_CODE_RANGES_H

#include <stdbool.h>

#include "base/vec.h"
#include "bpf/layout/native.h"

typedef FNP_VEC(struct fnp_code_range) fnp_code_range_vec;

/* Puts `new` (not empty) over what is there. 0 or -ENOMEM, then nothing has changed. */
int fnp_code_ranges_paint(fnp_code_range_vec *ranges, const struct fnp_code_range *new);

/* Adjacent pieces of the same code become one: JITs map their memory page by page. */
void fnp_code_ranges_merge(fnp_code_range_vec *ranges);

/* Do both show the same code (wherever they lie)? */
bool fnp_code_range_same(const struct fnp_code_range *a, const struct fnp_code_range *b);

/* Of an array of `size` ranges: which part is in use. Zeroed but for `size` at first. */
struct fnp_code_room {
	struct fnp_code_run {
		uint32_t first, count;
		uint64_t free_since_ns;
	} * items;
	size_t len, cap;
	uint32_t used; /* from the array's start on, ever */
	uint32_t size;
};

/*
 * Room for `count` ranges that follow each other: *ret is the first one's index. What was given back is taken again a second
 * later at the earliest, because the kernel side may still look there. 0, or -ENOSPC.
 */
int fnp_code_room_take(struct fnp_code_room *room, uint32_t count, uint32_t *ret);

/* Gives back what fnp_code_room_take() gave. Without memory it is lost, which is said once. */
void fnp_code_room_give(struct fnp_code_room *room, uint32_t first, uint32_t count);

void fnp_code_room_deinit(struct fnp_code_room *room);

#endif
