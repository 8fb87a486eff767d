/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for unwind tables that the kernel side reads: arenas of cache lines, each a BPF array that both sides see,
 * made when they are needed, but for the first one, and never bigger than what they hold asks for (an arena is 2 MiB, or one
 * big table).
 *
 * An arena is mapped into our memory only while it is written or read here, because mapped pages would count twice.
 * Not thread safe: the tables' lock guards it.
 */
#ifndef FNP_PROFILER_TARGETS_ARENAS_H
#define FNP_PROFILER_TARGETS_ARENAS_H

#include "base/memory.h"
#include "bpf/walk/seam.h"

struct fnp_arenas;

/*
 * `map_fd` is that of the map fnp_arenas (an array of arrays), which stays the caller's; negative: plain memory, for
 * tests. `max_bytes` bounds all arenas together.
 */
int fnp_arenas_create(int map_fd, size_t max_bytes, struct fnp_arenas **ret);
void fnp_arenas_destroy(struct fnp_arenas *arenas);
FNP_DEFINE_CLEANUP(fnp_arenas_destroyp, struct fnp_arenas *, fnp_arenas_destroy)

/* Copies lines to one run of an arena. -ENOSPC when the bound is reached, -errno. */
int fnp_arenas_store(struct fnp_arenas *arenas, const struct fnp_block *lines, size_t n, uint32_t *ret_arena,
		     uint32_t *ret_first);

/* Nobody reads these lines any more. */
void fnp_arenas_free(struct fnp_arenas *arenas, uint32_t arena, uint32_t first, size_t n);

/* All arenas, mapped, for a walk in user space; valid until the next store, free or unmap. -errno. */
int fnp_arenas_map(struct fnp_arenas *arenas, const struct fnp_walk_arena **ret, size_t *ret_n);
void fnp_arenas_unmap(struct fnp_arenas *arenas);

size_t fnp_arenas_bytes(const struct fnp_arenas *arenas); /* held from the kernel */

#endif
