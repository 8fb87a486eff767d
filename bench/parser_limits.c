/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one input of at most 1 MB costs a parser: limits_NAME SEEDS, where NAME is a fuzzer and SEEDS the folder of its seeds.
 *
 * Each seed is taken as it is, and blown up to 1 MB in a few ways. Each input is a process of its own: its CPU time, and how
 * far its memory grew above what it had before, as the kernel counts both. One line is printed, the status is 1 when an
 * input took more than 64 MiB or a second.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

#define INPUT_MAX 1000000
#define MEMORY_MAX_KIB (64 * 1024)
#define TIME_MAX_MS 1000.0
#define HANGS_S 30
#define SEEDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum form { AS_IT_IS, REPEATED, MUTATED, ZEROS_BEHIND, ONES_BEHIND, FORMS };
static const char *const forms[] = {"as it is", "repeated", "repeated with errors", "zeros behind",
				    "ones behind"};

struct cost {
	long kib;
	double ms;
};

/* A line of /proc/self/status in KiB. */
static long status_kib(const char *key)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtol(line + strlen(key), NULL, 10);
	}
	if (f)
		fclose(f);
	return kib;
}

static void reset_peak(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we");

	if (f) {
		fputs("5", f);
		fclose(f);
	}
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Runs one input in a process of its own. One that ends by a signal took for ever. */
static struct cost measure(const uint8_t *input, size_t size, struct cost *shared)
{
	int status = 0;
	pid_t pid;

	*shared = (struct cost){.ms = HANGS_S * 1e3};
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		long before;
		double begin;

		alarm(HANGS_S);
		reset_peak();
		before = status_kib("VmRSS:");
		begin = cpu_ms();
		LLVMFuzzerTestOneInput(input, size);
		shared->ms = cpu_ms() - begin;
		shared->kib = status_kib("VmHWM:") - before;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return *shared;
}

/* The input of a form, made of a seed; its size. */
static size_t make(const uint8_t *seed, size_t size, enum form form, uint8_t *ret)
{
	uint32_t random = 12345;

	size = size > INPUT_MAX ? INPUT_MAX : size;
	memcpy(ret, seed, size);
	if (form == AS_IT_IS || size == 0)
		return size;
	if (form == ZEROS_BEHIND || form == ONES_BEHIND) {
		memset(ret + size, form == ZEROS_BEHIND ? 0 : 0xff, INPUT_MAX - size);
		return INPUT_MAX;
	}
	for (size_t at = size; at < INPUT_MAX; at++)
		ret[at] = ret[at - size];
	for (size_t at = size; form == MUTATED && at < INPUT_MAX; at += 1 + (random >> 24)) {
		random = random * 1664525 + 1013904223;
		ret[at] = (uint8_t)(random >> 16);
	}
	return INPUT_MAX;
}

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	uint8_t *seed = malloc(INPUT_MAX), *input = malloc(INPUT_MAX);
	struct cost *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				   -1, 0);
	struct cost most = {0};
	char most_memory[400] = "", longest[400] = "";
	struct dirent **files = NULL;
	int n = argc == 2 ? scandir(argv[1], &files, is_file, alphasort) : -1, step, inputs = 0;

	if (n < 0 || !seed || !input || shared == MAP_FAILED)
		return fnp_error(2, "usage: %s SEEDS", argv[0]);
	step = 1 + n / SEEDS_MAX;
	for (int i = 0; i < n; i += step) {
		char path[4096];
		size_t size;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", argv[1], files[i]->d_name);
		f = fopen(path, "re");
		size = f ? fread(seed, 1, INPUT_MAX, f) : 0;
		if (f)
			fclose(f);
		for (enum form form = AS_IT_IS; form < FORMS; form++) {
			struct cost cost = measure(input, make(seed, size, form, input), shared);

			inputs++;
			if (cost.kib > most.kib)
				snprintf(most_memory, sizeof(most_memory), "%s %s", files[i]->d_name,
					 forms[form]);
			if (cost.ms > most.ms)
				snprintf(longest, sizeof(longest), "%s %s", files[i]->d_name, forms[form]);
			most.kib = cost.kib > most.kib ? cost.kib : most.kib;
			most.ms = cost.ms > most.ms ? cost.ms : most.ms;
		}
	}
	printf("%4d inputs: at most %6.1f MiB (%s), %7.1f ms (%s)\n", inputs, (double)most.kib / 1024,
	       most_memory, most.ms, longest);
	return most.kib > MEMORY_MAX_KIB || most.ms > TIME_MAX_MS;
}
