/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of processes' memory, as they were when somebody read them: what a walk will need that waits for tables, when
 * its process may be gone. The newest of equal places is kept; of all together at most a few megabytes.
 */
#ifndef FNP_PROFILER_TARGETS_KEPT_MEMORY_H
#define FNP_PROFILER_TARGETS_KEPT_MEMORY_H

#include "base/map.h"

/* All zero is empty. */
struct fnp_kept_memory {
	struct fnp_map pieces; /* owned */
	size_t bytes;
};

/* `process` is struct fnp_process's number of it, which no other one has. Without room it is not kept. */
void fnp_kept_memory_put(struct fnp_kept_memory *kept, uint64_t process, uint64_t address, const void *bytes,
			 size_t size);

/* What was put for exactly this place and size. 0 or -ENOENT. */
int fnp_kept_memory_get(const struct fnp_kept_memory *kept, uint64_t process, uint64_t address, void *ret,
			size_t size);

void fnp_kept_memory_clear(struct fnp_kept_memory *kept);

#endif
