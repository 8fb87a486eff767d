/* SPDX-License-Identifier: Apache-2.0 */
/* Stops itself, and then calls functions that the dynamic linker has not bound yet. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile unsigned long sink;

__attribute__((noinline)) static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* An odd number of arguments on the stack: callers' frames lie differently. */
__attribute__((noinline)) static void calls(void)
{
	int numbers[] = {3, 1, 2};
	char text[64];

	raise(SIGSTOP);
	snprintf(text, sizeof(text), "%d %d %d %d %d", 1, 2, 3, 4, (int)sink);
	sink += strtoul(text, NULL, 10);
	qsort(numbers, 3, sizeof(numbers[0]), compare);
	sink += (unsigned long)getppid() + (unsigned long)getuid() + (unsigned long)clock();
	sink += (unsigned long)rand() + strcspn(text, "x") + (unsigned long)isatty(0);
}

int main(void)
{
	alarm(120);
	calls();
	for (;;)
		sink++;
}
