/* SPDX-License-Identifier: Apache-2.0 */
/* crowd N: N threads at once, each of which computes a little, waits, and computes again. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_barrier_t all;

static void compute(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

static void *run(void *unused)
{
	struct timespec time = {.tv_nsec = 20000000};

	compute();
	pthread_barrier_wait(&all);
	for (int i = 0; i < 3; i++) {
		nanosleep(&time, NULL);
		compute();
	}
	return unused;
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? (unsigned int)atoi(argv[1]) : 100;
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_barrier_init(&all, NULL, n + 1);
	for (unsigned int i = 0; i < n; i++) {
		if (!threads || pthread_create(&threads[i], &attr, run, NULL) != 0) {
			fprintf(stderr, "no more than %u threads here\n", i);
			exit(77);
		}
	}
	pthread_barrier_wait(&all);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return 0;
}
