/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rows of each process came to, for summary.json: so that a reader can hold the CPU time of a pid's rows
 * to the CPU time of the process. Bounded: past the bound processes are counted, not kept.
 */
#ifndef FNP_PROFILER_OUTPUT_PROCESS_SUMS_H
#define FNP_PROFILER_OUTPUT_PROCESS_SUMS_H

#include "base/map.h"
#include "profiler/output/summary.h"

#define FNP_PROCESS_SUMS_MAX 10000

/* In the caller's storage; all zero is empty. */
struct fnp_process_sums {
	FNP_VEC(struct fnp_summary_process) list;
	struct fnp_map by_identity; /* hash of (pid, process) -> index in list */
	uint64_t omitted;	    /* rows of processes past the bound */
};

void fnp_process_sums_deinit(struct fnp_process_sums *processes);

/* Counts a row that was written. 0 or -ENOMEM. */
int fnp_process_sums_add_row(struct fnp_process_sums *processes, const struct fnp_row *row);

/* Sets the CPU time of the process itself. 0 or -ENOMEM. */
int fnp_process_sums_set_cpu(struct fnp_process_sums *processes, uint32_t pid, uint64_t process,
			     uint64_t cpu_ns);

#endif
