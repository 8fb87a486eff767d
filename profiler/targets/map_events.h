/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable mappings as they are made, on the whole host: perf's PERF_RECORD_MMAP2 (with build ids where the kernel
 * can read them, 5.12) and the moment of an exec (PERF_RECORD_COMM with its exec bit, which comes before the mappings
 * of the new image). No BPF: the kernel makes these records only for executable mappings, and nobody else pays.
 *
 * Records of all CPUs come out in the order of their times.
 */
#ifndef FNP_PROFILER_TARGETS_MAP_EVENTS_H
#define FNP_PROFILER_TARGETS_MAP_EVENTS_H

#include <stdbool.h>

#include "base/memory.h"

#define FNP_BUILD_ID_MAX 20

/* What says that two mappings show the same file. */
struct fnp_file_identity {
	uint8_t build_id[FNP_BUILD_ID_MAX];
	uint8_t build_id_size; /* 0: not known, then device and inode count */
	uint32_t major, minor;
	uint64_t inode;
};

struct fnp_map_event {
	uint64_t time_ns;
	uint32_t pid;
	bool exec; /* a new image begins: everything mapped before is gone; the other fields are 0 */
	uint64_t start, end, offset;
	struct fnp_file_identity identity;
	char *path; /* as seen by the process; "//anon", "[vdso]" for what is no file. Owned. */
};

struct fnp_map_events;

/*
 * Opens one small ring (64 KiB) a CPU. -EACCES or -EPERM with a message when the kernel does not let us.
 */
int fnp_map_events_create(struct fnp_map_events **ret);
void fnp_map_events_destroy(struct fnp_map_events *events);
FNP_DEFINE_CLEANUP(fnp_map_events_destroyp, struct fnp_map_events *, fnp_map_events_destroy)

/* Starts the flow. */
int fnp_map_events_enable(struct fnp_map_events *events);

/* Becomes readable when a ring is half full. It stays ours. */
int fnp_map_events_fd(const struct fnp_map_events *events);

/* Takes what stands in the rings into the queue, sorted by time. 0 or -ENOMEM. */
int fnp_map_events_read(struct fnp_map_events *events);

/*
 * Calls `take` for each queued event up to `until_ns`, oldest first. What `take` answers with false (nobody knows
 * that process yet) stays queued for 200 ms and is offered again.
 */
void fnp_map_events_deliver(struct fnp_map_events *events, uint64_t until_ns,
			    bool (*take)(void *self, const struct fnp_map_event *event), void *self);

/* Records that the kernel had no room for, so far. */
uint64_t fnp_map_events_lost(const struct fnp_map_events *events);

size_t fnp_map_events_ring_bytes(const struct fnp_map_events *events);

#endif
