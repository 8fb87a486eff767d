/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings what was written to the disk, for power cuts, beside the recording: a file system may need seconds for it,
 * and samples do not wait.
 */
#ifndef FNP_PROFILER_OUTPUT_SYNCER_H
#define FNP_PROFILER_OUTPUT_SYNCER_H

#include "base/memory.h"

struct fnp_syncer;

/* Starts a thread that syncs the file system of `dirfd`, which must stay open until destroy. */
int fnp_syncer_create(int dirfd, struct fnp_syncer **ret);

/* Waits for a sync that is under way. */
void fnp_syncer_destroy(struct fnp_syncer *syncer);
FNP_DEFINE_CLEANUP(fnp_syncer_destroyp, struct fnp_syncer *, fnp_syncer_destroy)

/* Asks for a sync and does not wait; one that is under way is not doubled. The error of an earlier one, or 0. */
int fnp_syncer_kick(struct fnp_syncer *syncer);

#endif
