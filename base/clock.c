/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * FNP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int64_t namespace_ns;

/* A line "monotonic SECONDS NANOSECONDS"; no such file: no such namespaces. */
static void read_namespace(void)
{
	long long seconds, ns;
	FILE *file = fopen("/proc/self/timens_offsets", "re");

	if (!file)
		return;
	if (fscanf(file, "monotonic %lld %lld", &seconds, &ns) == 2)
		namespace_ns = seconds * (int64_t)FNP_NS_PER_S + ns;
	fclose(file);
}

static int64_t namespace_offset_ns(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_namespace);
	return namespace_ns;
}

uint64_t fnp_clock_ns(void)
{
	return now_ns(CLOCK_MONOTONIC) - (uint64_t)namespace_offset_ns();
}

void fnp_clock_to_timespec(uint64_t ns, struct timespec *ret)
{
	uint64_t here = ns + (uint64_t)namespace_offset_ns();

	*ret = (struct timespec){.tv_sec = (time_t)(here / FNP_NS_PER_S),
				 .tv_nsec = (long)(here % FNP_NS_PER_S)};
}

uint64_t fnp_clock_own_cpu_ns(void)
{
	return now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t fnp_clock_utc_offset_ns(void)
{
	uint64_t best_width = UINT64_MAX;
	int64_t best = 0;

	/* The narrowest of a few tries: we may be taken off the CPU between the two readings. */
	for (int i = 0; i < 5; i++) {
		uint64_t before = fnp_clock_ns();
		uint64_t utc = now_ns(CLOCK_REALTIME);
		uint64_t after = fnp_clock_ns();

		if (after - before < best_width) {
			best_width = after - before;
			best = (int64_t)(utc - (before + best_width / 2));
		}
	}
	return best;
}

static void format(int64_t utc_ns, const char *pattern, char *ret)
{
	time_t seconds = (time_t)(utc_ns / (int64_t)FNP_NS_PER_S);
	int64_t rest = utc_ns % (int64_t)FNP_NS_PER_S;
	char text[FNP_CLOCK_TEXT_MAX - 12];
	struct tm tm;

	if (rest < 0) {
		rest += (int64_t)FNP_NS_PER_S;
		seconds--;
	}
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), pattern, &tm);
	snprintf(ret, FNP_CLOCK_TEXT_MAX, "%s.%09dZ", text, (int)rest);
}

void fnp_clock_format_rfc3339(int64_t utc_ns, char ret[static FNP_CLOCK_TEXT_MAX])
{
	format(utc_ns, "%Y-%m-%dT%H:%M:%S", ret);
}

void fnp_clock_format_compact(int64_t utc_ns, char ret[static FNP_CLOCK_TEXT_MAX])
{
	format(utc_ns, "%Y%m%dT%H%M%S", ret);
}
