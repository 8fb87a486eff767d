/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: a wall clock that jumps forward by a day, and back by two, every 300 ms of real time. CLOCK_MONOTONIC is
 * left alone, as the kernel leaves it alone when somebody sets the time.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ret)
{
	struct timespec mono;
	int r = (int)syscall(SYS_clock_gettime, id, ret);

	if (r == 0 && id == CLOCK_REALTIME) {
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &mono);
		ret->tv_sec += ((mono.tv_sec * 1000 + mono.tv_nsec / 1000000) / 300) % 3 * 86400 - 86400;
	}
	return r;
}
