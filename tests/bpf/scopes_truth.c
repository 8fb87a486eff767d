/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are the inlined methods right that leaves of compiled Java code are named by?
 *
 *	scopes_truth PID MS
 *
 * PID is a JVM with -XX:+UnlockDiagnosticVMOptions -XX:+DebugNonSafepoints: its compilers describe every instruction. The
 * process is sampled, each pc in compiled code named by that, which is the truth, and by what is left when the extra
 * descriptions are taken away (those without an oop map), which is what any JVM has. Prints how many agree, how many
 * have too few frames, and how many are wrong: a frame that was not there, or a line that was another.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/vec.h"
#include "tests/bpf/hotspot_library.h"

#define PAGES 64
#define THREADS_MAX 256

static struct fnp_hotspot_view view;
static struct fnp_hotspot_cache cache;
static struct fnp_map blind_codes; /* address ^ id to struct fnp_hotspot_code */

static struct counts {
	size_t samples, exact, fewer, missing, wrong;
	size_t line_right, line_wrong, line_unknown;
} flow, next;

/* ---- finding --------------------------------------------------------------------------------------------------- */

static uint64_t word_at(uint64_t address)
{
	uint64_t word = 0;

	fnp_runtime_read(view.place.pid, address, &word, sizeof(word));
	return word;
}

/* The blob around a pc, or 0. */
static uint64_t find_blob(uint64_t pc)
{
	const struct fnp_hotspot_layout *l = &view.layout;

	for (size_t i = 0; i < FNP_HOTSPOT_HEAPS_MAX; i++) {
		const struct fnp_hotspot_heap *heap = &l->heaps[i];
		uint64_t segment = (pc - heap->start) >> l->segment_shift;
		uint8_t distance = 1;
		if (pc < heap->start || pc >= heap->end)
			continue;
		while (distance) {
			if (fnp_runtime_read(view.place.pid, heap->segments + segment, &distance, 1) < 0 ||
			    distance == 0xff)
				return 0;
			segment -= distance;
		}
		return heap->start + (segment << l->segment_shift) + l->block_header;
	}
	return 0;
}

static uint64_t code_start(uint64_t blob)
{
	uint64_t start = word_at(blob + view.layout.blob_code);

	return view.layout.flags & FNP_HOTSPOT_CODE_POINTERS ? start : blob + (uint32_t)start;
}

/* ---- what any JVM has -------------------------------------------------------------------------------------------- */

/* Leaves the descriptions that have an oop map: struct { int n, size; struct { int pc, map; } pairs[]; }. */
static void keep_safepoints(struct fnp_hotspot_code *code)
{
	uint64_t maps = word_at(code->address + view.tables.values[FNP_HOTSPOT_BLOB_OOP_MAPS]);
	uint32_t n = maps ? (uint32_t)word_at(maps) : 0;
	size_t kept = 0;

	for (size_t i = 0; i < code->n_spots; i++) {
		for (uint32_t m = 0; m < n; m++) {
			if ((uint32_t)word_at(maps + 8 + 8ULL * m) == code->spots[i].code) {
				code->spots[kept++] = code->spots[i];
				break;
			}
		}
	}
	code->n_spots = kept;
}

static struct fnp_hotspot_code *blind_code(uint64_t blob, uint32_t id)
{
	uint64_t key = blob * 0x9e3779b97f4a7c15ULL ^ id;
	struct fnp_hotspot_code *code = fnp_map_find_ptr(&blind_codes, key);

	if (code)
		return code;
	if (fnp_hotspot_code_read(&cache, &view, blob, id, &code) < 0)
		return NULL;
	keep_safepoints(code);
	code->is_detailed = false;
	if (code->n_spots) {
		size_t size = code->spots[code->n_spots - 1].code + 15U;
		fnp_autofree uint8_t *bytes = malloc(size);
		fnp_runtime_read(view.place.pid, code_start(blob), bytes, size);
		int r = fnp_hotspot_flow(code, bytes, size);
		if (r < 0)
			printf("no flow: %d, %zu bytes\n", r, size);
	}
	fnp_map_set_ptr(&blind_codes, key, code);
	return code;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static bool judge(const struct fnp_hotspot_chain *truth, const struct fnp_hotspot_chain *said, struct counts *c)
{
	size_t n = FNP_MIN(truth->n, said->n);
	uint32_t line = said->scopes[0].line;
	bool is_wrong = said->n > truth->n;

	c->samples++;
	for (size_t i = 1; i <= n; i++)
		is_wrong |= truth->scopes[truth->n - i].method != said->scopes[said->n - i].method;
	if (is_wrong) {
		c->wrong++;
		return true;
	}
	if (said->n < truth->n) {
		c->fewer++;
		c->missing += truth->n - said->n;
	} else {
		c->exact++;
	}
	if (line == 0)
		c->line_unknown++;
	else if (line == truth->scopes[truth->n - said->n].line)
		c->line_right++;
	else
		c->line_wrong++;
	return false;
}

static void print_chain(const char *what, const struct fnp_hotspot_chain *chain)
{
	printf(" %s", what);
	for (size_t i = chain->n; i-- > 0;)
		printf(";%s:%u", chain->scopes[i].method->name, chain->scopes[i].line);
}

static void look(uint64_t pc)
{
	uint64_t blob = find_blob(pc);
	uint32_t id = blob ? (uint32_t)word_at(blob + view.layout.compile_id) : 0;
	const struct fnp_hotspot_code *code;
	struct fnp_hotspot_chain truth, said, old;

	if (!blob || fnp_hotspot_cache_code(&cache, &view, blob, id, &code) < 0 || code->n_spots == 0)
		return;
	struct fnp_hotspot_code *blind = blind_code(blob, id);
	uint32_t offset = (uint32_t)(pc - code_start(blob));
	if (!blind)
		return;
	fnp_hotspot_code_at(code, offset, &truth);
	fnp_hotspot_code_at(blind, offset | FNP_HOTSPOT_LEAF, &said);
	fnp_hotspot_code_at(blind, offset, &old);
	judge(&truth, &old, &next);
	bool is_wrong = judge(&truth, &said, &flow);
	if ((is_wrong || said.n < truth.n) && getenv("EXAMPLES")) {
		printf("%s %s+%x:", is_wrong ? "wrong" : "fewer", code->method->name, offset);
		print_chain("truth", &truth);
		print_chain("said", &said);
		printf("\n");
	}
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

static void drain(struct perf_event_mmap_page *page)
{
	const char *data = (const char *)page + 4096;
	uint64_t size = PAGES * 4096ULL, head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);

	while (page->data_tail < head) {
		struct {
			struct perf_event_header header;
			uint64_t ip;
		} record;
		for (size_t i = 0; i < sizeof(record); i++)
			((char *)&record)[i] = data[(page->data_tail + i) % size];
		if (record.header.type == PERF_RECORD_SAMPLE)
			look(record.ip);
		__atomic_store_n(&page->data_tail, page->data_tail + record.header.size, __ATOMIC_RELEASE);
	}
}

static size_t open_all(pid_t pid, struct perf_event_mmap_page **pages)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_CPU_CLOCK,
				       .sample_period = 500000,
				       .sample_type = PERF_SAMPLE_IP,
				       .exclude_kernel = 1,
				       .watermark = 0,
				       .wakeup_events = 1};
	char path[64];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	for (struct dirent *e; tasks && (e = readdir(tasks)) && n < THREADS_MAX;) {
		int fd = (int)syscall(SYS_perf_event_open, &attr, (pid_t)strtol(e->d_name, NULL, 10), -1, -1,
				      0);
		void *page = fd < 0 ? MAP_FAILED
				    : mmap(NULL, (PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (page != MAP_FAILED)
			pages[n++] = page;
	}
	if (tasks)
		closedir(tasks);
	return n;
}

static void print_counts(const char *what, const struct counts *c)
{
	double n = c->samples ? (double)c->samples / 100 : 1;
	double lines = (double)(c->line_right + c->line_wrong + c->line_unknown);

	printf("%s: %zu samples, exact %.2f%%, fewer %.2f%% (by %.1f), wrong %.2f%%; lines right %.1f%%, "
	       "wrong %.1f%%, unknown "
	       "%.1f%%\n",
	       what, c->samples, (double)c->exact / n, (double)c->fewer / n,
	       c->fewer ? (double)c->missing / (double)c->fewer : 0, (double)c->wrong / n,
	       100 * (double)c->line_right / lines, 100 * (double)c->line_wrong / lines,
	       100 * (double)c->line_unknown / lines);
}

int main(int argc, char **argv)
{
	struct perf_event_mmap_page *pages[THREADS_MAX];
	struct fnp_runtime_id id = {0};
	pid_t pid = argc > 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	int r = pid ? find_hotspot_library(pid, &view.place) : -EINVAL;

	if (r == 0) {
		fnp_runtime_recognise(view.place.object, &id);
		view.version = id.major;
		r = fnp_hotspot_tables_read(&view.place, &view.tables);
		fnp_hotspot_symbols_read(&view.place, &view.tables);
	}
	r = r ?: fnp_hotspot_layout_read(&view.tables, &view.layout);
	r = r ?: fnp_hotspot_layout_places(&view.place, &view.tables, &view.layout);
	if (r < 0) {
		fprintf(stderr, "scopes_truth: %s\n", strerror(-r));
		return 1;
	}
	view.is_detailed = true;
	size_t n = open_all(pid, pages);
	for (long ms = strtol(argv[2], NULL, 10); ms > 0; ms -= 20) {
		usleep(20000);
		for (size_t i = 0; i < n; i++)
			drain(pages[i]);
	}
	print_counts("next ", &next);
	print_counts("flow ", &flow);
	return 0;
}
