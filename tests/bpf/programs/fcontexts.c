/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two contexts that change over to each other for ever by a few instructions that describe nothing of themselves, in the
 * way of Boost.Context; stops itself inside of one.
 */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_BYTES 65536

__asm__(".text\n"
	".type change, @function\n"
	"change:\n"
	"	lea -56(%rsp), %rsp\n"
	"	mov %r12, 8(%rsp)\n"
	"	mov %r13, 16(%rsp)\n"
	"	mov %r14, 24(%rsp)\n"
	"	mov %r15, 32(%rsp)\n"
	"	mov %rbx, 40(%rsp)\n"
	"	mov %rbp, 48(%rsp)\n"
	"	mov %rsp, %rax\n"
	"	mov %rdi, %rsp\n"
	"	mov 56(%rsp), %r8\n"
	"	mov 8(%rsp), %r12\n"
	"	mov 16(%rsp), %r13\n"
	"	mov 24(%rsp), %r14\n"
	"	mov 32(%rsp), %r15\n"
	"	mov 40(%rsp), %rbx\n"
	"	mov 48(%rsp), %rbp\n"
	"	lea 64(%rsp), %rsp\n"
	"	mov %rax, %rdi\n"
	"	jmp *%r8\n"
	".size change, . - change\n"
	".type begin, @function\n"
	"begin:\n"
	"	push %rbp\n"
	"	jmp *%rbx\n"
	"finish:\n"
	"	xor %rdi, %rdi\n"
	"	call abort\n"
	"	hlt\n"
	".size begin, . - begin\n");

/* Leaves this context, which comes back with what it was left as in `other`. */
uint8_t *change(uint8_t *to);
/* A context begins at the one, and ends at the other. */
void begin(void);
void finish(void);

volatile unsigned long sink;

__attribute__((noinline)) static void descend(int depth)
{
	if (depth > 0)
		descend(depth - 1);
	sink++;
}

static uint8_t *second; /* until it runs */

static void work(uint8_t *from)
{
	static int rounds;

	if (second) {
		uint8_t *to = second;

		second = NULL;
		from = change(to);
	}
	for (;;) {
		if (++rounds == 6)
			raise(SIGSTOP);
		descend(rounds & 7);
		from = change(from);
	}
}

static uint8_t *make(void)
{
	uint8_t *kept = (uint8_t *)malloc(STACK_BYTES) + STACK_BYTES - 128;
	void *words[] = {(void *)work, (void *)finish, (void *)begin};

	kept -= (uintptr_t)kept % 16;
	memcpy(kept + 40, words, sizeof(words));
	return kept;
}

int main(void)
{
	alarm(120);
	second = make();
	change(make());
	return 1;
}
