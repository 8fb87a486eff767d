/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks by number. Equal stacks of all rows get one number, so that a row holds a handful of integers; what a number
 * means stands in an epoch, which owns every byte of it. A recording may last for weeks, and most rows leave within a
 * second: when a table has grown, what open rows still refer to moves to a new epoch, under new numbers, and the old
 * one is freed as a whole. There is one epoch at a time.
 */
#ifndef FNP_PROFILER_STACK_TABLE_H
#define FNP_PROFILER_STACK_TABLE_H

#include "base/intern.h"
#include "formats/profile.h"
#include "profiler/invocations/invocations.h"

/* A resolved frame, as the stack table holds it: an array of these, leaf first, is a stack. */
struct fnp_frame {
	uint64_t address; /* kernel: as it is; native: as the object counts, without object the process's own;
			     marker: enum fnp_truncation_cause; managed: 0 */
	uint32_t object;  /* native: number of its file; managed, and native of tier JIT: number of its name
			     (struct fnp_managed_frame); of a marker not 0: no frame, but an enum fnp_word_label */
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
	size_t turn_bytes;	    /* so big, it is worth a new one */
	unsigned int rest;	    /* calls of fnp_stack_epoch_turn() to go by before */
};

/* True when frame->object is the number of a struct fnp_managed_frame. */
bool fnp_frame_is_named(const struct fnp_frame *frame);

/* An empty epoch; each of its tables is bounded (then -ENOSPC from fnp_intern_add). */
int fnp_stack_epoch_create(struct fnp_stack_epoch **ret);
void fnp_stack_epoch_destroy(struct fnp_stack_epoch *epoch);
FNP_DEFINE_CLEANUP(fnp_stack_epoch_destroyp, struct fnp_stack_epoch *, fnp_stack_epoch_destroy)

/* True when there is little room left for stacks: deep ones should do with less. */
bool fnp_stack_epoch_is_scarce(const struct fnp_stack_epoch *epoch);

/* Memory held, in bytes. */
size_t fnp_stack_epoch_bytes(const struct fnp_stack_epoch *epoch);

/*
 * When *epoch has grown past its mark: moves what rows and waiting samples of `invocations` refer to, frees the old one
 * and puts the new one into *epoch. On failure (-ENOMEM, -ENOSPC) nothing has changed; it is tried again some
 * calls later.
 */
int fnp_stack_epoch_turn(struct fnp_stack_epoch **epoch, struct fnp_invocations *invocations);

#endif
