/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings of the kernel side, and a helper that empties them while the session is busy.
 *
 * A round may take long: a big file's names are read, a disk is slow. Meanwhile the rings would fill, and what does not
 * fit is lost. So while a round lasts, a thread of our own looks at the rings every few milliseconds and moves what is
 * there into memory, up to a bound. Records are handed out in the order of their ring in any case: first what was moved,
 * then what stands in the ring.
 *
 * One thread takes records out (the session's); the helper only moves. `lock` guards the rings' consumers and the queues.
 */
#ifndef FNP_PROFILER_RINGS_H
#define FNP_PROFILER_RINGS_H

#include <stdbool.h>

#include "base/memory.h"

enum fnp_ring { FNP_RING_EVENTS, FNP_RING_SAMPLES, FNP_RING_PROBES, FNP_RINGS };

struct fnp_rings;

/* `fds` are the maps'; they stay the caller's. A negative one: that ring is not there, and always empty. */
int fnp_rings_create(const int fds[FNP_RINGS], struct fnp_rings **ret);
void fnp_rings_destroy(struct fnp_rings *rings);
FNP_DEFINE_CLEANUP(fnp_rings_destroyp, struct fnp_rings *, fnp_rings_destroy)

/* To poll for reading; -1: that ring is not there. */
int fnp_rings_fd(const struct fnp_rings *rings, enum fnp_ring which);

/* Around a round: between the two the helper is awake. */
void fnp_rings_begin_round(struct fnp_rings *rings);
void fnp_rings_end_round(struct fnp_rings *rings);

/*
 * Hands out every record that stands in the ring now, in order. Records are 8-byte aligned and valid during the call
 * of `take`.
 */
void fnp_rings_take(struct fnp_rings *rings, enum fnp_ring which,
		    void (*take)(void *self, const void *data, size_t size), void *self);

/*
 * Shows some tens of what fnp_rings_take() will hand out next, from the word `*from` on, which becomes where they end; set
 * it to 0 after each take. The records stay. `show` must not take.
 */
void fnp_rings_peek(struct fnp_rings *rings, enum fnp_ring which, size_t *from,
		    void (*show)(void *self, const void *data, size_t size), void *self);

/* Bytes that were moved because a round took long, so far. */
uint64_t fnp_rings_moved_bytes(const struct fnp_rings *rings);

#endif
