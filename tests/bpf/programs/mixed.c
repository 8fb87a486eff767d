/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does for ever what makes stacks hard to walk: callbacks from libc, alloca, big frames, signal handlers on their own
 * stack, jumps out of frames, tail calls, calls through the PLT and the vdso, calls that do not return.
 */
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

volatile unsigned long sink;
static jmp_buf jump;
static char alternate[65536] __attribute__((aligned(16)));

NOINLINE static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	sink += (unsigned long)x;
	return x < y ? -1 : x > y;
}

NOINLINE static unsigned long leaf(unsigned long n)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		sum += i ^ sink;
	return sum;
}

NOINLINE static unsigned long tail(unsigned long n)
{
	sink++;
	return leaf(n + 3);
}

NOINLINE static unsigned long with_alloca(size_t n)
{
	char *p = alloca(n);

	memset(p, (int)n, n);
	sink += (unsigned long)p[n / 2];
	return tail(n) + (unsigned long)p[0];
}

NOINLINE static unsigned long big_frame(int depth)
{
	volatile char big[70000];

	big[0] = (char)depth;
	big[69999] = 1;
	return depth == 0 ? with_alloca(100) : big_frame(depth - 1) + (unsigned long)big[0];
}

NOINLINE static unsigned long aligned_frame(unsigned long n)
{
	volatile char wide[128] __attribute__((aligned(64)));

	wide[n & 127] = (char)n;
	return leaf(n) + (unsigned long)wide[0] + with_alloca(n & 255);
}

NOINLINE static void sort(void)
{
	int numbers[200];

	for (int i = 0; i < 200; i++)
		numbers[i] = (i * 7919 + (int)sink) % 1009;
	qsort(numbers, 200, sizeof(numbers[0]), compare);
	sink += (unsigned long)numbers[100];
}

NOINLINE static void format(void)
{
	char text[200];

	snprintf(text, sizeof(text), "%d %s %f %lx", (int)sink, "text", (double)sink / 3, sink);
	sink += strlen(text);
}

NOINLINE static void handler(int sig)
{
	sink += leaf(500) + (unsigned long)sig;
	sort();
}

NOINLINE __attribute__((noreturn)) static void leave(int n)
{
	sink += leaf(300);
	longjmp(jump, n + 1);
}

NOINLINE static void jumps(void)
{
	if (setjmp(jump) == 0)
		leave(1);
	sink += leaf(100);
}

NOINLINE static void clocks(void)
{
	struct timespec t;

	for (int i = 0; i < 50; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		sink += (unsigned long)t.tv_nsec;
	}
}

NOINLINE static unsigned long recurse(int depth)
{
	return depth == 0 ? leaf(200) : recurse(depth - 1) * 3 + 1;
}

NOINLINE static void allocate(void)
{
	void *blocks[64];

	for (int i = 0; i < 64; i++)
		blocks[i] = malloc((size_t)(i * 37 % 900 + 1));
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
}

int main(void)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};
	struct itimerval timer = {.it_interval = {.tv_usec = 700}, .it_value = {.tv_usec = 700}};
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

	alarm(120);
	sigaltstack(&stack, NULL);
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &timer, NULL);
	for (;;) {
		sort();
		format();
		sink += aligned_frame(sink & 63) + big_frame(3) + recurse(40);
		jumps();
		clocks();
		allocate();
	}
}
