/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults at the first instruction of a function for the seconds that it is told. The byte before that is one that a
 * breakpoint would leave there: the end of the jump with which the function before it ends, and that has a frame.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096
#define PAGES 256

void touch(const char *at);

__asm__(".text\n"
	".globl before\n"
	".type before, @function\n"
	"before:\n"
	"	.cfi_startproc\n"
	"	sub $0x38, %rsp\n"
	"	.cfi_adjust_cfa_offset 0x38\n"
	"	.fill 0x30, 1, 0x90\n"
	"	.byte 0xeb, 0xcc\n"
	"	.cfi_endproc\n"
	"	.size before, . - before\n"
	".globl touch\n"
	".type touch, @function\n"
	"touch:\n"
	"	.cfi_startproc\n"
	"	mov (%rdi), %al\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size touch, . - touch\n"
	".section .note.GNU-stack, \"\", @progbits\n"
	".text\n");

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double end = now() + (argc > 1 ? atof(argv[1]) : 1);
	char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return 1;
	while (now() < end) {
		if (madvise(pages, PAGES * PAGE, MADV_DONTNEED) < 0)
			return 1;
		for (int i = 0; i < PAGES; i++)
			touch(pages + i * PAGE);
	}
	return 0;
}
