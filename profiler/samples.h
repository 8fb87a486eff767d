/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a sample record to a number in the stack table.
 *
 * Addresses become (object, address as the ELF file counts) while the process and its mappings are what they were;
 * frames of a managed runtime are named at once, for the same reason. Native names wait until a profile is built.
 * Equal stacks get one number. The table belongs to an epoch, which lives while a row refers to it.
 */
#ifndef FNP_PROFILER_SAMPLES_H
#define FNP_PROFILER_SAMPLES_H

#include "formats/profile.h"
#include "profiler/invocations/row.h"
#include "profiler/targets/processes.h"

struct fnp_resumer;
struct fnp_runtimes;

/* A resolved frame, as the stack table holds it: an array of these, leaf first, is a stack. */
struct fnp_frame {
	uint64_t address; /* kernel: as it is; native: as the object counts, without object the process's own;
			     marker: enum fnp_truncation_cause; managed: 0 */
	uint32_t object;  /* native: number of its file; managed, and native of tier JIT: number of its name
			     (struct fnp_managed_frame) */
	uint8_t kind;	  /* enum fnp_frame_kind */
	uint8_t tier;	  /* enum fnp_frame_tier */
	uint16_t pad;
};

/* A managed frame's name: texts are numbers in the epoch's strings. Lines follow, innermost first. */
struct fnp_managed_line {
	uint32_t name, file, start_line, line;
};
struct fnp_managed_frame {
	uint64_t address;
	uint32_t mapping; /* text: "[python]" */
	uint32_t n_lines;
	struct fnp_managed_line lines[];
};

struct fnp_stack_epoch {
	struct fnp_intern *stacks;  /* arrays of struct fnp_frame */
	struct fnp_intern *strings; /* names of managed frames, threads' names */
	struct fnp_intern *managed; /* struct fnp_managed_frame */
};

struct fnp_samples;

/* Nothing is owned. */
int fnp_samples_create(struct fnp_objects *objects, struct fnp_resumer *resumer,
		       struct fnp_runtimes *runtimes, struct fnp_samples **ret);
void fnp_samples_destroy(struct fnp_samples *samples);
FNP_DEFINE_CLEANUP(fnp_samples_destroyp, struct fnp_samples *, fnp_samples_destroy)

/*
 * Resolves the stack of a checked sample of `process`; a walk that the kernel side had to leave is ended first. 0 and
 * the stack's and thread's numbers and why it is not whole in `ret`; -ENOMEM, -ENOSPC: the sample is lost.
 */
struct fnp_sample_stack {
	struct fnp_row_stack one;
	enum fnp_truncation_cause truncation;
};
int fnp_samples_take(struct fnp_samples *samples, const struct fnp_sample_record *record,
		     struct fnp_process *process, struct fnp_sample_stack *ret);

struct fnp_stack_epoch *fnp_samples_epoch(struct fnp_samples *samples);

/* Memory held by the table. */
size_t fnp_samples_bytes(const struct fnp_samples *samples);

#endif
