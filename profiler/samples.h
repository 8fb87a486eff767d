/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a sample record to a number in the stack table.
 *
 * Addresses become (object, address as the ELF file counts) while the process and its mappings are what they were;
 * frames of a managed runtime are named at once, for the same reason. Native names wait until a profile is built.
 * Equal stacks get one number (profiler/stack_table.h).
 */
#ifndef FNP_PROFILER_SAMPLES_H
#define FNP_PROFILER_SAMPLES_H

#include "formats/profile.h"
#include "profiler/stack_table.h"
#include "profiler/targets/processes.h"

struct fnp_resumer;
struct fnp_runtimes;

struct fnp_samples;

/* Nothing is owned. */
int fnp_samples_create(struct fnp_objects *objects, struct fnp_resumer *resumer,
		       struct fnp_runtimes *runtimes, struct fnp_samples **ret);
void fnp_samples_destroy(struct fnp_samples *samples);
FNP_DEFINE_CLEANUP(fnp_samples_destroyp, struct fnp_samples *, fnp_samples_destroy)

/*
 * Resolves the stack of a checked sample of `process`; a walk that the kernel side had to leave is ended first. 0 and
 * the stack's and thread's numbers and why it is not whole in `ret`; -ENOMEM, -ENOSPC: the sample is lost. -EAGAIN, unless
 * it `may_wait`: tables for this walk are being compiled; what else can vanish meanwhile was read.
 */
struct fnp_sample_stack {
	struct fnp_row_stack one;
	enum fnp_truncation_cause truncation;
};
int fnp_samples_take(struct fnp_samples *samples, const struct fnp_sample_record *record,
		     struct fnp_process *process, bool may_wait, struct fnp_sample_stack *ret);

/* Reads what a sample's names stand in while that is there; it is taken later. */
void fnp_samples_read_ahead(struct fnp_samples *samples, const struct fnp_sample_record *record,
			    struct fnp_process *process);

struct fnp_stack_epoch *fnp_samples_epoch(struct fnp_samples *samples);

/* Between two rounds: when the stack table has grown, what no row of `invocations` refers to is freed. */
void fnp_samples_tidy(struct fnp_samples *samples, struct fnp_invocations *invocations);

/* Memory held by the table. */
size_t fnp_samples_bytes(const struct fnp_samples *samples);

#endif
