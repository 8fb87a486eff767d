/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function to try fnprof on that is executed once a request, as CGI programs and OpenFaaS's watchdogs do: the
 * request is in the environment (Http_X_Call_Id, ...), the payload is a number of milliseconds of CPU time on the
 * command line, the answer goes to standard output.
 *
 * Built with `cc -O2 -g -o function function.c`.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

__attribute__((noinline)) static uint32_t sign_receipt(uint32_t sum)
{
	for (int i = 0; i < 20000; i++)
		sum = sum * 1664525 + 1013904223;
	return sum;
}

__attribute__((noinline)) static uint32_t price_order(uint64_t end)
{
	uint32_t sum = 1;

	while (cpu_ns() < end)
		sum = sign_receipt(sum);
	return sum;
}

int main(int argc, char **argv)
{
	double ms = argc > 1 ? atof(argv[1]) : 5;
	const char *id = getenv("Http_X_Call_Id");
	uint32_t sum = price_order((uint64_t)(ms * 1e6));

	printf("{\"call\": \"%s\", \"price\": %u, \"cpu_ns\": %llu}\n", id ? id : "", sum % 100,
	       (unsigned long long)cpu_ns());
	return argc > 2 ? atoi(argv[2]) : 0;
}
