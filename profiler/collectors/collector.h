/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam of collectors: a group of eBPF programs with its user-space half.
 *
 * A collector is bpf/NAME.bpf.c, profiler/collectors/NAME.c with `const struct fnp_collector_ops fnp_collector_NAME`,
 * and one word in the list of profiler/collectors/CMakeLists.txt (and of bpf/). Its life, in order:
 *   load     open its skeleton, choose programs by what the kernel has, fnp_kernel_prepare(), load, fnp_kernel_adopt();
 *            in some thread, while others load theirs;
 *   attach   the programs are live;
 *   poll     optional, in each round of the session (about ten times a second), the last in it, which began at `now_ns`;
 *   detach   nothing new comes any more; records that are in the rings are still read;
 *   close    everything is freed; also after a load that failed half way.
 * Who knows why something failed has said it. A collector that is not `required` costs only its feature.
 */
#ifndef FNP_PROFILER_COLLECTORS_COLLECTOR_H
#define FNP_PROFILER_COLLECTORS_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/collectors/kernel.h"

/* What became of the times that watched threads left their CPU. */
struct fnp_off_cpu_counts {
	uint64_t times; /* that one left */
	uint64_t stacks; /* taken; the rest was left out by chance, in proportion to how short it was expected to be */
	uint64_t refused;    /* chosen, but the budget or the ring was full */
	uint64_t refused_ns; /* what those would have stood for, as it was expected */
};

/* Loading takes time, in which a command is not yet started. */
enum fnp_collector_when {
	FNP_COLLECTOR_FIRST,
	FNP_COLLECTOR_BEFORE_COMMAND, /* without a command once the recording is live: processes run already */
	FNP_COLLECTOR_LATE,	      /* once the recording is live */
};

struct fnp_collector_ops {
	const char *name;
	const char *description; /* one line, for people */
	bool required;
	enum fnp_collector_when when; /* it is loaded */
	int (*load)(struct fnp_kernel *kernel, void **ret_state);
	int (*attach)(void *state);
	void (*poll)(void *state, uint64_t now_ns);
	unsigned int (*poll_ms)(void *state); /* how often it would like to be polled; NULL: no matter */
	void (*detach)(void *state);
	void (*close)(void *state);
	/* Ticks that never came, so far; NULL: none to tell. */
	uint64_t (*ticks_missed)(void *state);
	/* Adds to `ret`; NULL: nothing to tell. */
	void (*off_cpu)(void *state, struct fnp_off_cpu_counts *ret);
};

/* All collectors in the order in which they are loaded, ended by NULL. */
extern const struct fnp_collector_ops *const fnp_collectors[];

#endif
