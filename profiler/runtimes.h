/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language runtimes of watched processes: recognised once a file, attached once a process, asked for names.
 */
#ifndef FNP_PROFILER_RUNTIMES_H
#define FNP_PROFILER_RUNTIMES_H

#include "profiler/targets/processes.h"
#include "symbolizer/runtime.h"

struct fnp_runtimes;

int fnp_runtimes_create(struct fnp_objects *objects, struct fnp_runtimes **ret);
void fnp_runtimes_destroy(struct fnp_runtimes *runtimes);
FNP_DEFINE_CLEANUP(fnp_runtimes_destroyp, struct fnp_runtimes *, fnp_runtimes_destroy)

/* "python3.12", "native"; NULL while nothing of the process is known. Lives as long as the table. */
const char *fnp_runtimes_process_name(struct fnp_runtimes *runtimes, const struct fnp_process *process);

/* One managed frame, named; NULL when nothing is known of it. Valid until the next call. */
const struct fnp_runtime_frame *fnp_runtimes_name(struct fnp_runtimes *runtimes, const struct fnp_process *process,
						  const uint64_t *words, size_t n_words);

#endif
