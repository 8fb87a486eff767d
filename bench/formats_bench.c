/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What encoding costs: 10,000 stacks of 30 frames out of 3,000 functions, as folded stacks and as pprof, packed and
 * plain, and pprof read back. CPU time, so that other work of the machine counts little; the results are checked.
 *
 * usage: formats_bench [TIMES [DIR]]
 * Prints one line a figure: name, CPU nanoseconds of one encoding, samples, bytes. With DIR the encoded profile is
 * left there as bench.pb.gz, bench.folded and, as `perf script` would print it, bench.perf, for formats_peers.py.
 */
#include <fcntl.h>
#include <time.h>

#include "base/file.h"
#include "formats/format.h"
#include "formats/mapping_names.h"
#include "formats/pprof_reader.h"

#define STACKS 10000
#define FRAMES 30
#define FUNCTIONS (FRAMES * 100)
#define SMALL_STACKS 12
#define WEIGHT_NS 10101010

static void check(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "formats_bench: wrong result: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The same numbers in every run. */
static uint32_t next_number(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static uint32_t string(struct fnp_profile *profile, const char *text)
{
	uint32_t n = 0;

	check(fnp_profile_add_string(profile, text, &n) == 0, "string");
	return n;
}

static struct fnp_profile_line add_function(struct fnp_profile *profile, uint32_t i)
{
	struct fnp_profile_function function = {.start_line = i + 1};
	struct fnp_profile_line line = {.line = i + 3};
	char name[64];

	snprintf(name, sizeof(name), "module_%u.%.*sfunction_%u", i % 40, (int)(i % 20),
		 "handle_some_request_", i);
	function.name = function.system_name = string(profile, name);
	snprintf(name, sizeof(name), "/app/src/module_%u.c", i % 40);
	function.file = string(profile, name);
	check(fnp_profile_add_function(profile, &function, &line.function) == 0, "function");
	return line;
}

/* A location a function: names of 20 to 40 bytes, as C and Python have them; every tenth has an inlined one. */
static uint32_t add_location(struct fnp_profile *profile, uint32_t program, uint32_t i)
{
	struct fnp_profile_location location = {.address = 0x401000 + (uint64_t)i * 64, .mapping = program};
	struct fnp_profile_line lines[2] = {add_function(profile, i)};
	uint32_t n_lines = 1, n = 0;

	if (i % 10 == 9)
		lines[n_lines++] = add_function(profile, i / 2);
	check(fnp_profile_add_location(profile, &location, lines, n_lines, &n) == 0, "location");
	return n;
}

static void add_label(struct fnp_profile *profile, const char *key, const char *text)
{
	struct fnp_profile_label label = {.key = string(profile, key), .unit = FNP_LABEL_TEXT};

	label.text = string(profile, text);
	check(fnp_profile_add_common_label(profile, &label) == 0, "label");
}

static struct fnp_profile *build(uint32_t stacks)
{
	struct fnp_profile *profile = NULL;
	struct fnp_profile_mapping mapping = {.start = 0x400000, .limit = 0x800000};
	struct fnp_profile_label duration = {.number = 100000000}, thread = {.unit = FNP_LABEL_TEXT};
	uint32_t locations[FUNCTIONS], stack[FRAMES], program;
	uint64_t state = 1;

	memset(locations, 0xff, sizeof(locations));
	check(fnp_profile_create(&profile) == 0, "profile");
	profile->time_ns = INT64_C(1700000000000000000);
	profile->duration_ns = duration.number;
	profile->period_ns = WEIGHT_NS;
	mapping.file = string(profile, "/app/bin/server");
	check(fnp_profile_add_mapping(profile, &mapping, &program) == 0, "mapping");
	add_label(profile, "function", "orders");
	add_label(profile, "request_id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
	duration.key = string(profile, "duration");
	duration.unit = string(profile, "nanoseconds");
	check(fnp_profile_add_common_label(profile, &duration) == 0, "label");
	thread.key = string(profile, "thread");
	thread.text = string(profile, "worker");
	for (uint32_t i = 0; i < stacks; i++) {
		/* Near the root stacks are alike, towards the leaf they part. */
		for (uint32_t depth = 0; depth < FRAMES; depth++) {
			uint32_t choices = depth < 10 ? 1 : depth < 20 ? 4 : 100;
			uint32_t function = depth * 100 + next_number(&state) % choices;
			if (locations[function] == UINT32_MAX)
				locations[function] = add_location(profile, program, function);
			stack[FRAMES - 1 - depth] = locations[function];
		}
		check(fnp_profile_add_sample(profile, stack, FRAMES, &thread, 1, (int64_t[]){1, WEIGHT_NS}) == 0,
		      "sample");
	}
	check(profile->samples.len == stacks, "every stack is another one");
	return profile;
}

static void print(const char *name, uint64_t ns, size_t stacks, size_t bytes)
{
	printf("%s %llu %zu %zu\n", name, (unsigned long long)ns, stacks, bytes);
}

static void bench_encode(const struct fnp_profile *profile, const char *name,
			 int (*encode)(const struct fnp_profile *profile, struct fnp_buffer *ret),
			 unsigned int times)
{
	size_t bytes = 0;
	uint64_t begin = cpu_ns();

	for (unsigned int i = 0; i < times; i++) {
		fnp_autobuffer struct fnp_buffer b = {0};
		check(encode(profile, &b) == 0 && (bytes == 0 || bytes == b.len), "encoding");
		bytes = b.len;
	}
	print(name, (cpu_ns() - begin) / times, profile->samples.len, bytes);
}

static void bench_read(const struct fnp_profile *profile, unsigned int times)
{
	fnp_autobuffer struct fnp_buffer b = {0};
	uint64_t begin;

	check(fnp_format_find("pprof")->encode(profile, &b) == 0, "encoding");
	begin = cpu_ns();
	for (unsigned int i = 0; i < times; i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *again = NULL;
		check(fnp_pprof_read(b.data, b.len, 1 << 28, &again) == 0 && again->samples.len == STACKS &&
			      fnp_profile_sum(again, 1) == (int64_t)STACKS * WEIGHT_NS,
		      "reading back");
	}
	print("pprof-read", (cpu_ns() - begin) / times, STACKS, b.len);
}

static void bench_build(unsigned int times)
{
	uint64_t begin = cpu_ns();

	for (unsigned int i = 0; i < times; i++) {
		FNP_CLEANUP(fnp_profile_destroyp) struct fnp_profile *profile = build(STACKS);
		check(fnp_profile_sum(profile, 1) == (int64_t)STACKS * WEIGHT_NS, "sum");
	}
	print("build", (cpu_ns() - begin) / times, STACKS, 0);
}

static void put_perf_script(const struct fnp_profile *profile, struct fnp_buffer *b)
{
	for (size_t i = 0; i < profile->samples.len; i++) {
		const struct fnp_profile_sample *sample = &profile->samples.items[i];

		fnp_buffer_printf(b, "server 4242 [000] %zu.%06zu: %d cpu-clock: \n", i / 99, i % 99,
				  WEIGHT_NS);
		for (uint32_t k = 0; k < sample->n_locations; k++) {
			const struct fnp_profile_location *location =
				&profile->locations.items[profile->stacks.items[sample->first_location + k]];
			const struct fnp_profile_line *line = &profile->lines.items[location->first_line];
			uint32_t name = profile->functions.items[line->function].name;
			fnp_buffer_printf(b, "\t%16llx %s+0x4 (/app/bin/server)\n",
					  (unsigned long long)location->address,
					  fnp_profile_string(profile, name));
		}
		fnp_buffer_byte(b, '\n');
	}
}

static void write_all(const struct fnp_profile *profile, const char *path)
{
	fnp_autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fnp_autobuffer struct fnp_buffer pprof = {0}, folded = {0}, perf = {0};

	check(dir >= 0, "the folder to write to");
	check(fnp_format_find("pprof")->encode(profile, &pprof) == 0, "encoding");
	check(fnp_format_find("folded")->encode(profile, &folded) == 0, "encoding");
	put_perf_script(profile, &perf);
	check(fnp_file_write_at(dir, "bench.pb.gz", pprof.data, pprof.len) == 0, "writing");
	check(fnp_file_write_at(dir, "bench.folded", folded.data, folded.len) == 0, "writing");
	check(!perf.error && fnp_file_write_at(dir, "bench.perf", perf.data, perf.len) == 0, "writing");
}

int main(int argc, char **argv)
{
	FNP_CLEANUP(fnp_profile_destroyp)
	struct fnp_profile *profile = build(STACKS), *small = build(SMALL_STACKS);
	unsigned int times = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 20;

	check(times > 0, "how many times");
	bench_build(times);
	bench_encode(profile, "folded", fnp_format_find("folded")->encode, times);
	bench_encode(profile, "pprof", fnp_format_find("pprof")->encode, times);
	bench_encode(profile, "pprof-plain", fnp_pprof_encode_plain, times);
	bench_encode(profile, "speedscope", fnp_format_find("speedscope")->encode, times);
	bench_encode(profile, "flamegraph", fnp_format_find("flamegraph")->encode, times);
	bench_read(profile, times);
	/* Invocations are many and small. */
	bench_encode(small, "folded-small", fnp_format_find("folded")->encode, times * 100);
	bench_encode(small, "pprof-small", fnp_format_find("pprof")->encode, times * 100);
	bench_encode(small, "pprof-plain-small", fnp_pprof_encode_plain, times * 100);
	if (argc > 2)
		write_all(profile, argv[2]);
	return 0;
}
