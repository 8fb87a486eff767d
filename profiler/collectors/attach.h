/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three steps that every collector takes with its skeleton, as macros, because each skeleton is a type of its own.
 */
#ifndef FNP_PROFILER_COLLECTORS_ATTACH_H
#define FNP_PROFILER_COLLECTORS_ATTACH_H

#include <bpf/libbpf.h>

#include "base/log.h"
#include "profiler/collectors/kernel.h"

/* Sets the values that all objects share (bpf/targets.h). */
#define fnp_collector_configure(kernel, skeleton)                                                            \
	do {                                                                                                 \
		(skeleton)->rodata->own_pid_ns = fnp_kernel_own_pid_ns(kernel);                              \
		(skeleton)->rodata->n_cpus = fnp_kernel_n_cpus(kernel);                                      \
	} while (0)

/* Switches on the walkers of an object that takes stacks. */
#define fnp_collector_configure_walks(skeleton)                                                              \
	do {                                                                                                 \
		(skeleton)->rodata->fnp_walk_python_on = true;                                               \
		(skeleton)->rodata->fnp_walk_hotspot_on = true;                                              \
		(skeleton)->rodata->fnp_walk_v8_on = true;                                                   \
	} while (0)

/* Prepares, loads and adopts an object; says what the verifier or the kernel refused. */
int fnp_collector_load(struct fnp_kernel *kernel, struct bpf_object_skeleton *skeleton, const char *name);

/* Attaches one program; NULL and a message on failure. */
int fnp_collector_attach(struct bpf_program *program, struct bpf_link **ret);

#endif
