/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user stack costs: BPF run time a sample of the walker by tables, beside bpf_get_stack() on the same program
 * compiled with frame pointers, in turn. Run as root: unwind_walk_bench [ROUNDS] [MS] [DEPTH].
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/bpf/sampler.h"

#define ROUNDS_MAX 50

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare_doubles);
	return values[n / 2];
}

/* Run time of one sample in us, measured for a while; negative when it could not be. */
static double measure(const char *program, const char *depth, uint64_t period_ns, bool get_stack,
		      unsigned int ms)
{
	pid_t pid = fnp_sampler_start(program, depth);
	struct fnp_sampler_options options = {.pid = pid, .period_ns = period_ns, .get_stack = get_stack};
	struct fnp_sampler *sampler = NULL;
	uint64_t n0, ns0, n1, ns1;
	int r = fnp_sampler_create(&options, &sampler);

	if (r < 0) {
		fnp_sampler_stop(pid);
		return -1;
	}
	fnp_sampler_run(sampler, 50, NULL, NULL);
	fnp_sampler_cost(sampler, &n0, &ns0);
	fnp_sampler_run(sampler, ms, NULL, NULL);
	fnp_sampler_cost(sampler, &n1, &ns1);
	fnp_sampler_destroy(sampler);
	fnp_sampler_stop(pid);
	return n1 > n0 ? (double)(ns1 - ns0) / (double)(n1 - n0) / 1e3 : -1;
}

int main(int argc, char **argv)
{
	/* Functions of the chain; 6 more frames stand around it. */
	static const char *const depths[] = {"0", "24", "94", "194"};
	static const unsigned int rates[] = {4000, 99};
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10;
	const char *only = argc > 3 ? argv[3] : NULL;
	unsigned int ms = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 300;

	if (rounds < 1 || rounds > ROUNDS_MAX || geteuid() != 0)
		return fnp_error(2, "usage, as root: %s [ROUNDS up to %d] [MS]", argv[0], ROUNDS_MAX);
	printf("BPF run time a sample in us, medians of %d rounds in turn\n", rounds);
	printf("%8s %8s %10s %10s %8s\n", "rate", "frames", "tables", "get_stack", "ratio");
	for (size_t k = 0; k < FNP_ARRAY_SIZE(rates); k++) {
		for (size_t d = 0; d < FNP_ARRAY_SIZE(depths); d++) {
			double tables[ROUNDS_MAX], get_stack[ROUNDS_MAX];
			unsigned int time_ms = rates[k] < 1000 ? ms * 4 : ms;
			double t, g;

			if (only && strcmp(only, depths[d]) != 0)
				continue;
			for (int i = 0; i < rounds; i++) {
				tables[i] = measure(PROGRAMS "/chain", depths[d], 1000000000U / rates[k],
						    false, time_ms);
				get_stack[i] = measure(PROGRAMS "/chain_fp", depths[d],
						       1000000000U / rates[k], true, time_ms);
			}
			t = median(tables, rounds);
			g = median(get_stack, rounds);
			printf("%8u %8d %10.2f %10.2f %8.2f\n", rates[k],
			       (int)strtol(depths[d], NULL, 10) + 6, t, g, t / g);
			fflush(stdout);
		}
	}
	return 0;
}
