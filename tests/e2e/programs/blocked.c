/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait, each in a function of its own, and say for how long: a line "NAME NS" each, the wall time of the waits
 * less the thread's CPU time in them.
 *
 *	blocked			what there is to wait for, one thread each
 *	blocked flood SECONDS	two threads that hand one byte to and fro as often as they can; prints how often
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 20

static uint64_t now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static void rest(long ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t begun;
static int tube[2], pair[2];

__attribute__((noinline)) static void nap(void)
{
	rest(7);
	__asm__ volatile("");
}

__attribute__((noinline)) static void grab(void)
{
	pthread_mutex_lock(&held);
	pthread_mutex_unlock(&held);
	rest(1);
}

__attribute__((noinline)) static void drain(void)
{
	char byte;

	if (read(tube[0], &byte, 1) != 1)
		exit(1);
}

__attribute__((noinline)) static void fetch(void)
{
	char byte;

	if (recv(pair[0], &byte, 1, 0) != 1)
		exit(1);
}

struct waiter {
	const char *name;
	void (*wait)(void);
	uint64_t waited_ns;
};

static void *run(void *self)
{
	struct waiter *waiter = self;
	uint64_t wall, cpu;

	pthread_barrier_wait(&begun);
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < ROUNDS; i++)
		waiter->wait();
	waiter->waited_ns = now(CLOCK_MONOTONIC) - wall - (now(CLOCK_THREAD_CPUTIME_ID) - cpu);
	return NULL;
}

static void serve(void)
{
	pthread_mutex_lock(&held);
	pthread_barrier_wait(&begun);
	for (int i = 0; i < ROUNDS; i++) {
		rest(6);
		pthread_mutex_unlock(&held);
		if (write(tube[1], "x", 1) != 1 || send(pair[1], "x", 1, 0) != 1)
			exit(1);
		rest(3);
		pthread_mutex_lock(&held);
	}
	pthread_mutex_unlock(&held);
}

static void wait_for_each(void)
{
	struct waiter waiters[] = {{"nap", nap, 0}, {"grab", grab, 0}, {"drain", drain, 0}, {"fetch", fetch, 0}};
	pthread_t threads[4];

	if (pipe(tube) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		exit(1);
	pthread_barrier_init(&begun, NULL, 5);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, run, &waiters[i]);
	serve();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		printf("%s %lu\n", waiters[i].name, (unsigned long)waiters[i].waited_ns);
}

static int there[2], back[2];

static void *answer(void *unused)
{
	char byte;

	(void)unused;
	while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
		;
	return NULL;
}

static void flood(uint64_t seconds)
{
	uint64_t end = now(CLOCK_MONOTONIC) + seconds * 1000000000, n = 0;
	pthread_t thread;
	char byte = 'x';

	if (pipe(there) < 0 || pipe(back) < 0 || pthread_create(&thread, NULL, answer, NULL) != 0)
		exit(1);
	for (; n % 256 != 0 || now(CLOCK_MONOTONIC) < end; n++) {
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			exit(1);
	}
	close(there[1]);
	pthread_join(thread, NULL);
	printf("%lu %lu\n", (unsigned long)n, (unsigned long)now(CLOCK_PROCESS_CPUTIME_ID));
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "flood") == 0)
		flood(strtoull(argv[2], NULL, 10));
	else
		wait_for_each();
	return 0;
}
