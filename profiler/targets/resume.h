/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on with a walk that the kernel side had to leave because code was not loaded yet: the same walkers, compiled
 * for user space, over the copy of the stack that came with the sample, with the mappings as they were at its time.
 */
#ifndef FNP_PROFILER_TARGETS_RESUME_H
#define FNP_PROFILER_TARGETS_RESUME_H

#include "bpf/layout/hotspot.h"
#include "bpf/layout/python.h"
#include "bpf/layout/v8.h"
#include "bpf/wire.h"
#include "profiler/targets/spaces.h"

struct fnp_resumer;

int fnp_resumer_create(struct fnp_spaces *spaces, struct fnp_resumer **ret);
void fnp_resumer_destroy(struct fnp_resumer *resumer);
FNP_DEFINE_CLEANUP(fnp_resumer_destroyp, struct fnp_resumer *, fnp_resumer_destroy)

/* A user stack as a sample brings it. */
struct fnp_resume_stack {
	const uint64_t *words;
	uint32_t n_words;
	uint32_t truncation; /* enum fnp_truncation_cause */
	bool may_wait;	     /* for tables that are being compiled; else -EAGAIN while there are such */
	/* For frames of Python: the bytes of FNP_SECTION_RESUME_PYTHON, not trusted, and the interpreter's layout. */
	const void *python;
	size_t python_size;
	const struct fnp_python_layout *python_layout; /* NULL: the stack has a marker where Python's frames were */
	/* Of a JVM that was not known when the sample was taken; its code and methods are read where they are. NULL: none */
	const struct fnp_hotspot_layout *hotspot_layout;
	/* The same of a process with V8, whose objects move: frames that do not fit any more have no name. */
	const struct fnp_v8_layout *v8_layout;
	/*
	 * An answer with -EAGAIN: frames that the walk may come to, to be named while the process lives; not all need be right.
	 * Memory of the resumer, as that of `words`.
	 */
	const uint64_t *ahead;
	uint32_t n_ahead;
};

/*
 * Goes on from `section` (the bytes of FNP_SECTION_RESUME, of `size`, not trusted) for a sample of `process` taken at
 * `time_ns`. `stack` is what the sample has, and becomes the whole
 * stack, in memory of the resumer that is valid until the next call; untouched on failure. 0, -EAGAIN, -EBADMSG,
 * -ENOMEM.
 *
 * With -EAGAIN it has looked ahead: what it read of the process's memory is kept, for it may be gone when the tables are
 * there.
 */
int fnp_resumer_walk(struct fnp_resumer *resumer, const struct fnp_process *process, uint64_t time_ns,
		     const void *section, size_t size, struct fnp_resume_stack *stack);

/* Whether what the next walks read is kept, also when they come to their end. */
void fnp_resumer_look_ahead(struct fnp_resumer *resumer, bool is_on);

/* No stack waits any more: nothing of what was read ahead will be asked for. */
void fnp_resumer_forget(struct fnp_resumer *resumer);

#endif
