/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ring buffer of the kernel side (BPF_MAP_TYPE_RINGBUF), read by its only reader.
 *
 * libbpf's own reader maps the records twice, one behind the other, so that none is split at the end; what is mapped
 * counts as ours. Here they are mapped once, and a record is copied out in two pieces where it must be: our records are
 * copied in any case.
 */
#ifndef FNP_PROFILER_RING_READER_H
#define FNP_PROFILER_RING_READER_H

#include <stdbool.h>

#include "base/memory.h"

struct fnp_ring_reader;

/* `fd`, of a map with `size` bytes (a power of two, whole pages), stays the caller's. 0 or -errno. */
int fnp_ring_reader_create(int fd, size_t size, struct fnp_ring_reader **ret);
void fnp_ring_reader_destroy(struct fnp_ring_reader *ring);
FNP_DEFINE_CLEANUP(fnp_ring_reader_destroyp, struct fnp_ring_reader *, fnp_ring_reader_destroy)

/* True when a record is there: its size in bytes. What was reserved and given up is passed over. */
bool fnp_ring_reader_next(struct fnp_ring_reader *ring, size_t *ret_size);

/* Copies the record that fnp_ring_reader_next() told of, and gives its place back. */
void fnp_ring_reader_take(struct fnp_ring_reader *ring, void *to);

#endif
