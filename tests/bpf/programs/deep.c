/* SPDX-License-Identifier: Apache-2.0 */
/* deep DEPTH: burns CPU below DEPTH frames of recursion, until it is killed. */
#include <stdlib.h>
#include <unistd.h>

volatile unsigned long burnt;

__attribute__((noinline)) static unsigned long burn(void)
{
	for (;;) {
		for (int i = 0; i < 1000; i++)
			burnt += (unsigned long)i * 17;
		__asm__ volatile("" ::: "memory");
	}
	return burnt;
}

__attribute__((noinline)) static unsigned long descend(int depth)
{
	volatile char frame[48];

	frame[0] = (char)depth;
	if (depth == 0)
		return burn();
	return descend(depth - 1) + (unsigned long)frame[0];
}

int main(int argc, char **argv)
{
	alarm(120);
	return (int)descend(argc > 1 ? atoi(argv[1]) : 20);
}
