/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for programs/hostile.py: writes over a word of its process, computes for a while without looking at it, and
 * puts back what was there.
 */
#include <stdint.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void spoil(volatile uint64_t *word, uint64_t value, uint64_t ns)
{
	uint64_t before = *word, end = now_ns() + ns;

	*word = value;
	while (now_ns() < end)
		;
	*word = before;
}
