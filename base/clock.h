/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times are CLOCK_MONOTONIC nanoseconds inside, UTC at the edges. The offset between the two is taken once, at
 * the start of a recording, so that a wall clock that jumps moves no invocation.
 */
#ifndef FNP_BASE_CLOCK_H
#define FNP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define FNP_NS_PER_S UINT64_C(1000000000)

/* CLOCK_MONOTONIC as the kernel and BPF programs have it, also where a time namespace shows us another. */
uint64_t fnp_clock_ns(void);

/* A moment of fnp_clock_ns() for calls that wait until a moment of CLOCK_MONOTONIC. */
void fnp_clock_to_timespec(uint64_t ns, struct timespec *ret);

/* CPU time of this process so far, all threads. */
uint64_t fnp_clock_own_cpu_ns(void);

/* Add this to monotonic nanoseconds to get nanoseconds since 1970. */
int64_t fnp_clock_utc_offset_ns(void);

#define FNP_CLOCK_TEXT_MAX 40

/* "2026-11-22T10:15:30.123456789Z" for nanoseconds since 1970. */
void fnp_clock_format_rfc3339(int64_t utc_ns, char ret[static FNP_CLOCK_TEXT_MAX]);

/* "20261122T101530.123456789Z": for file names. */
void fnp_clock_format_compact(int64_t utc_ns, char ret[static FNP_CLOCK_TEXT_MAX]);

#endif
