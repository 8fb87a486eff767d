/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that repeats in step with the clock, the case in which a sampler on a fixed grid sees the same part of the
 * cycle again and again: 60 % of each period in sixty(), then 30 % in thirty(), then 10 % in ten().
 * At its end it prints the CPU time that each had by the thread's own clock: on a busy machine the shares differ.
 * usage: cycle PERIOD_US MILLISECONDS
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static volatile uint64_t sink;
static uint64_t spent[3], cpu_ns;

#define WORK(name, which)                                                                                    \
	__attribute__((noinline, noclone, no_icf)) static void name(void)                                    \
	{                                                                                                    \
		uint64_t before = cpu_ns;                                                                    \
                                                                                                             \
		for (int i = 0; i < 3000; i++)                                                               \
			sink = sink * 1664525 + 1013904223;                                                  \
		cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);                                                    \
		spent[which] += cpu_ns - before;                                                             \
	}
WORK(sixty, 0)
WORK(thirty, 1)
WORK(ten, 2)

int main(int argc, char **argv)
{
	uint64_t period = (uint64_t)atoi(argc > 1 ? argv[1] : "1000") * 1000;
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (uint64_t)atoi(argc > 2 ? argv[2] : "1000") * 1000000;

	cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint64_t now = now_ns(CLOCK_MONOTONIC); now < end; now = now_ns(CLOCK_MONOTONIC)) {
		uint64_t at = now % period * 10 / period;

		if (at < 6)
			sixty();
		else if (at < 9)
			thirty();
		else
			ten();
	}
	printf("[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]\n", spent[0], spent[1], spent[2]);
	return 0;
}
