/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JIT as small as they come: it makes loops in anonymous memory, tells of them in a jitdump (`jit FOLDER MS`) or, without
 * a folder (`jit "" MS`), in a perf map, and uses its memory again for another function after half of its CPU time.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* push %rbp; mov %rsp,%rbp; mov %rdi,%rcx; 1: dec %rcx; jnz 1b; pop %rbp; ret */
static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf9,
			       0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3};
#define LOOP_OFFSET 7

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static FILE *open_dump(const char *folder)
{
	struct {
		uint32_t magic, version, size, machine, pad, pid;
		uint64_t time, flags;
	} head = {0x4a695444, 1, sizeof(head), 62, 0, (uint32_t)getpid(), clock_ns(CLOCK_MONOTONIC), 0};
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), folder[0] ? "%s/jit-%d.dump" : "%s/tmp/perf-%d.map", folder, getpid());
	file = fopen(path, "w+");
	if (!file)
		exit(2);
	if (folder[0]) {
		fwrite(&head, sizeof(head), 1, file);
		fflush(file);
		if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0) == MAP_FAILED)
			exit(3);
	}
	return file;
}

/* Two lines: 41 for the head of the function, 42 for its loop. */
static void tell_lines(FILE *file, uint64_t address)
{
	struct {
		uint32_t id, size;
		uint64_t time, address, n;
	} head = {2, sizeof(head) + 2 * 16 + 8 + 2, clock_ns(CLOCK_MONOTONIC), address, 2};
	struct {
		uint64_t address;
		uint32_t line, column;
	} lines[] = {{address, 41, 0}, {address + LOOP_OFFSET, 42, 0}};

	fwrite(&head, sizeof(head), 1, file);
	fwrite(&lines[0], sizeof(lines[0]), 1, file);
	fwrite("loops.x", 8, 1, file);
	fwrite(&lines[1], sizeof(lines[1]), 1, file);
	fwrite("\xff", 2, 1, file);
}

static void tell(FILE *file, int is_dump, const char *name, const void *place)
{
	uint64_t address = (uint64_t)(uintptr_t)place;
	struct {
		uint32_t id, size;
		uint64_t time;
		uint32_t pid, tid;
		uint64_t vma, address, bytes, index;
	} load = {0,
		  (uint32_t)(sizeof(load) + strlen(name) + 1 + sizeof(code)),
		  clock_ns(CLOCK_MONOTONIC),
		  (uint32_t)getpid(),
		  (uint32_t)getpid(),
		  address,
		  address,
		  sizeof(code),
		  0};

	if (!is_dump) {
		fprintf(file, "%llx %zx %s\n", (unsigned long long)address, sizeof(code), name);
	} else {
		tell_lines(file, address);
		fwrite(&load, sizeof(load), 1, file);
		fwrite(name, strlen(name) + 1, 1, file);
		fwrite(code, sizeof(code), 1, file);
	}
	fflush(file);
}

int main(int argc, char **argv)
{
	uint8_t *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	void (*loop)(uint64_t) = (void (*)(uint64_t))(uintptr_t)memory;
	uint64_t half_ns = argc > 2 ? strtoull(argv[2], NULL, 10) * 500000 : 0;
	FILE *file = argc > 2 ? open_dump(argv[1]) : NULL;

	if (!file || memory == MAP_FAILED)
		return 1;
	memcpy(memory, code, sizeof(code));
	for (int i = 0; i < 2; i++) {
		uint64_t end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + half_ns;
		tell(file, argv[1][0], i ? "second loop" : "first loop", memory);
		while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
			loop(100000);
	}
	return 0;
}
