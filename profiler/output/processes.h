/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rows of each process came to, for summary.json: so that a reader can hold the CPU time of a pid's rows
 * to the CPU time of the process. Bounded: past the bound processes are counted, not kept.
 */
#ifndef FNP_PROFILER_OUTPUT_PROCESSES_H
#define FNP_PROFILER_OUTPUT_PROCESSES_H

#include "base/map.h"
#include "profiler/output/summary.h"

#define FNP_PROCESSES_MAX 10000

/* In the caller's storage; all zero is empty. */
struct fnp_processes {
	FNP_VEC(struct fnp_summary_process) list;
	struct fnp_map by_identity; /* hash of (pid, process) -> index in list */
	uint64_t omitted;	    /* rows of processes past the bound */
};

void fnp_processes_deinit(struct fnp_processes *processes);

/* Counts a row that was written. 0 or -ENOMEM. */
int fnp_processes_add_row(struct fnp_processes *processes, const struct fnp_row *row);

/* Sets the CPU time of the process itself. 0 or -ENOMEM. */
int fnp_processes_set_cpu(struct fnp_processes *processes, uint32_t pid, uint64_t process, uint64_t cpu_ns);

#endif
