/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that repeats in step with the clock, the case in which a sampler on a fixed grid sees the same part of the
 * cycle again and again: 60 % of each period in sixty(), then 30 % in thirty(), then 10 % in ten().
 * usage: cycle PERIOD_US MILLISECONDS
 */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static volatile uint64_t sink;

/* The clock is read by the caller, so that nearly all time is spent in the three functions themselves. */
#define WORK(name)                                                                                           \
	__attribute__((noinline, noclone, no_icf)) static void name(void)                                    \
	{                                                                                                    \
		for (int i = 0; i < 3000; i++)                                                               \
			sink = sink * 1664525 + 1013904223;                                                  \
	}
WORK(sixty)
WORK(thirty)
WORK(ten)

int main(int argc, char **argv)
{
	uint64_t period = (uint64_t)atoi(argc > 1 ? argv[1] : "1000") * 1000;
	uint64_t end = now_ns() + (uint64_t)atoi(argc > 2 ? argv[2] : "1000") * 1000000;

	for (uint64_t now = now_ns(); now < end; now = now_ns()) {
		uint64_t at = now % period * 10 / period;

		if (at < 6)
			sixty();
		else if (at < 9)
			thirty();
		else
			ten();
	}
	return 0;
}
