/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be probed in one file: the places of its notes and functions that have a meaning or were asked for. */
#ifndef FNP_PROFILER_PROBE_PLAN_H
#define FNP_PROFILER_PROBE_PLAN_H

#include "base/vec.h"
#include "profiler/probe_meanings.h"
#include "symbolizer/runtime.h"
#include "symbolizer/usdt.h"

struct fnp_planned_probe {
	const struct fnp_probe_meaning *meaning;
	const char *provider; /* NULL: a function */
	const char *name;
	int asked; /* number of the pattern that asked for it; -1: it is on by itself */
	uint64_t offset, semaphore_offset;
	enum fnp_usdt_instruction instruction;
	struct fnp_probe_spec spec;
};

/* Texts are the object's. */
struct fnp_probe_plan {
	const struct fnp_object *object; /* not owned */
	const char *runtime;		 /* that it is; NULL: none */
	unsigned int version, minor;	 /* of the runtime; 0: none, or not known */
	FNP_VEC(struct fnp_planned_probe) probes;
	bool peeks;  /* one of them peeks at the JVM's heap ... */
	bool peeked; /* ... whose place is known, or never will be */
	unsigned int peek_attempts;
};

/*
 * `asked_list` are patterns of "provider:name"; what a file tells without notes has its runtime's name and the kind of event
 * ("python:gc"). `id` is what the object was recognised as. 0 and a plan that may be empty, to
 * be given to fnp_probe_plan_deinit; or -ENOMEM.
 */
int fnp_probe_plan_make(const struct fnp_object *object, const struct fnp_runtime_id *id,
			const char *const *asked_list, size_t n_asked, struct fnp_probe_plan *ret);
void fnp_probe_plan_deinit(struct fnp_probe_plan *plan);

#endif
