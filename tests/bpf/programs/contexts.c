/* SPDX-License-Identifier: Apache-2.0 */
/* Two contexts of makecontext() that change over to each other for ever; stops itself inside of one. */
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES 65536

volatile unsigned long sink;
static ucontext_t first, contexts[2];

__attribute__((noinline)) static void descend(int depth)
{
	if (depth > 0)
		descend(depth - 1);
	sink++;
}

static void work(int number, int depth)
{
	for (int round = 0;; round++) {
		if (round == 2 && number == 0)
			raise(SIGSTOP);
		descend(depth);
		swapcontext(&contexts[number], &contexts[1 - number]);
	}
}

int main(void)
{
	alarm(120);
	for (int i = 0; i < 2; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = malloc(STACK_BYTES);
		contexts[i].uc_stack.ss_size = STACK_BYTES;
		contexts[i].uc_link = &first;
		makecontext(&contexts[i], (void (*)(void))work, 2, i, 5 + i);
	}
	return swapcontext(&first, &contexts[0]);
}
