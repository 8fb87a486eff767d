/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectors, loaded by threads. Most of the time that loading takes is the kernel's, which verifies one program at a time
 * on the CPU of who asks: two who ask need half of it.
 */
#ifndef FNP_PROFILER_LOADING_H
#define FNP_PROFILER_LOADING_H

#include "profiler/collectors/collector.h"

#define FNP_COLLECTORS_MAX 32

struct fnp_loading;

/* Begins to load those of fnp_collectors whose places are set in the mask `chosen`. `kernel` must live until the end. */
int fnp_loading_begin(struct fnp_kernel *kernel, uint32_t chosen, struct fnp_loading **ret);

/* True when fnp_loading_finish() would not wait. */
bool fnp_loading_is_over(const struct fnp_loading *loading);

/*
 * Waits for the end, and frees `loading`. States of those that could be loaded, which are the caller's now, are put at their
 * places. 0, or the error of one that is required.
 */
int fnp_loading_finish(struct fnp_loading *loading, void *states[FNP_COLLECTORS_MAX]);

#endif
