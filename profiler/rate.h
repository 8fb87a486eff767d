/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many samples a second and CPU the kernel lets through. Timers like ours may be opened at any rate, but past
 * kernel.perf_event_max_sample_rate they are switched off until the next scheduler tick, without a word.
 */
#ifndef FNP_PROFILER_RATE_H
#define FNP_PROFILER_RATE_H

#include <stdint.h>

#define FNP_RATE_HZ_MAX 10000 /* that can be asked for */
#define FNP_RATE_LIMIT_FILE "/proc/sys/kernel/perf_event_max_sample_rate"

/* The lower one of `wanted_hz` and the number in the file; a limit that cannot be read is none. Says nothing. */
uint32_t fnp_rate_allowed(const char *limit_file, uint32_t wanted_hz);

#endif
