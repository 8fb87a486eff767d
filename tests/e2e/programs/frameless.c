/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frameless MS: runs code that it makes itself, and that keeps no frame pointer: rbp points to two words on the stack that look
 * like a frame of decoy(), which nobody called, as in a JIT that uses the register for what it likes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* push %rbp; mov %rsi,%rbp; mov %rdi,%rcx; 1: dec %rcx; jnz 1b; pop %rbp; ret */
static const uint8_t code[] = {0x55, 0x48, 0x89, 0xf5, 0x48, 0x89, 0xf9,
			       0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3};

volatile unsigned long sink;

__attribute__((noinline)) void decoy(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		sink += i;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((noinline)) void caller(void (*made)(uint64_t, const volatile uintptr_t *), uint64_t end_ns)
{
	volatile uintptr_t frame[16] = {0};

	frame[8] = (uintptr_t)&frame[12];
	frame[9] = (uintptr_t)decoy + 2;
	while (cpu_ns() < end_ns)
		made(100000, &frame[8]);
}

int main(int argc, char **argv)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc < 2 || memory == MAP_FAILED)
		return 1;
	memcpy(memory, code, sizeof(code));
	caller((void (*)(uint64_t, const volatile uintptr_t *))(uintptr_t)memory,
	       cpu_ns() + strtoull(argv[1], NULL, 10) * 1000000);
	decoy(1);
	return 0;
}
