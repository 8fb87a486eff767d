/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves deep calls by longjmp(), for ever; stops itself once everything has been called. */
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

volatile unsigned long sink;
static sigjmp_buf target;

__attribute__((noinline)) static int descend(int depth, int value)
{
	volatile char kept[64];

	kept[depth & 63] = (char)value;
	if (depth == 0)
		siglongjmp(target, value);
	return descend(depth - 1, value) + kept[depth & 63];
}

__attribute__((noinline)) static void work(int round)
{
	if (round == 3)
		raise(SIGSTOP);
	/* Now and then with the signal mask, which is more calls on the way. */
	if (sigsetjmp(target, round % 8 == 0) == 0)
		sink += (unsigned long)descend(round & 7, 1 + (round & 1));
	sink++;
}

int main(void)
{
	alarm(120);
	for (int round = 0;; round++)
		work(round);
}
