/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage of the demo: one server for each function, and the plan of what it is asked when. It runs in a process of
 * its own, so that nothing of it is in the recording.
 */
#ifndef FNP_PROFILER_DEMO_STAGE_H
#define FNP_PROFILER_DEMO_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

#define FNP_STAGE_MAX 8

/* What one function has done; in memory that is shared with the process that looks on. */
struct fnp_stage_state {
	uint64_t answered, errors;
	bool asked;	  /* it asked for work */
	bool init_failed; /* it said so */
};

struct fnp_stage;

/* Opens a server for each name; they must outlive the stage. */
int fnp_stage_create(const char *const *functions, size_t n, struct fnp_stage **ret);
void fnp_stage_destroy(struct fnp_stage *stage);
FNP_DEFINE_CLEANUP(fnp_stage_destroyp, struct fnp_stage *, fnp_stage_destroy)

/* "127.0.0.1:PORT" of a function. */
const char *fnp_stage_address(const struct fnp_stage *stage, size_t function);

/* Serves until each function has worked for `duration_ns` since it first asked, or will never ask. 0 or -errno. */
int fnp_stage_run(struct fnp_stage *stage, uint64_t duration_ns, struct fnp_stage_state *states);

#endif
