/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what a walk and its names touch of a running JVM, for fuzz_hotspot_heap:
 *
 *	hotspot_record PID FOLDER/PREFIX [N]
 *
 * Stops threads that are in Java code, up to N (4) times, walks each as the fuzzer will, with a memory that notes what is
 * read, and writes PREFIX-1 and so on. Prints the frames' names, innermost first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"
#include "tests/bpf/hotspot_library.h"
#include "tests/fuzz/hotspot_heap.h"

#define LOOKS 400
#define JOINED 32 /* bytes between two pieces that become one */

struct piece {
	struct heap_piece head;
	uint8_t *bytes;
};

static FNP_VEC(struct piece) pieces;
static int memory_fd = -1;
static bool notes;

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void keep(uint64_t address, const void *bytes, size_t size)
{
	struct piece piece = {.head = {.address = address, .size = size}, .bytes = malloc(size)};

	if (!piece.bytes || fnp_vec_push(&pieces, piece) < 0)
		exit(1);
	memcpy(piece.bytes, bytes, size);
}

/* What was read before is what it was: the process runs on. */
static int read_noted(void *context, void *to, size_t size, fnp_u64 address)
{
	(void)context;
	for (size_t i = 0; i < pieces.len; i++) {
		const struct piece *piece = &pieces.items[i];
		uint64_t offset = address - piece->head.address;

		if (address >= piece->head.address && offset <= piece->head.size &&
		    size <= piece->head.size - offset) {
			memcpy(to, piece->bytes + offset, size);
			return 0;
		}
	}
	if (pread(memory_fd, to, size, (off_t)address) != (ssize_t)size)
		return -1;
	if (notes)
		keep(address, to, size);
	return 0;
}

/* In libc's place: what the symbolizer reads processes by. */
ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long n_local,
			 const struct iovec *remote, unsigned long n_remote, unsigned long flags)
{
	(void)pid, (void)n_local, (void)n_remote, (void)flags;
	if (read_noted(NULL, local->iov_base, local->iov_len, (uintptr_t)remote->iov_base) < 0) {
		errno = EFAULT;
		return -1;
	}
	return (ssize_t)local->iov_len;
}

/* ---- the JVM --------------------------------------------------------------------------------------------------- */

static int read_view(pid_t pid, struct fnp_hotspot_view *view)
{
	struct fnp_runtime_id id = {0};
	int r = find_hotspot_library(pid, &view->place);

	if (r < 0)
		return r;
	fnp_runtime_recognise(view->place.object, &id);
	view->version = id.major;
	r = fnp_hotspot_tables_read(&view->place, &view->tables);
	fnp_hotspot_symbols_read(&view->place, &view->tables);
	r = r ?: fnp_hotspot_layout_read(&view->tables, &view->layout);
	return r ?: fnp_hotspot_layout_places(&view->place, &view->tables, &view->layout);
}

static bool is_in_java(const struct fnp_hotspot_view *view, uint64_t pc)
{
	for (size_t i = 0; i < FNP_HOTSPOT_HEAPS_MAX; i++) {
		if (pc >= view->layout.heaps[i].start && pc < view->layout.heaps[i].end)
			return true;
	}
	return false;
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct piece *)a)->head.address, y = ((const struct piece *)b)->head.address;

	return x < y ? -1 : x > y;
}

/* Pieces that touch, or nearly do, become one; what lies between them is read. */
static void join_pieces(void)
{
	size_t n = 0;

	qsort(pieces.items, pieces.len, sizeof(pieces.items[0]), by_address);
	for (size_t i = 1; i < pieces.len; i++) {
		struct piece *one = &pieces.items[n], *next = &pieces.items[i];
		uint64_t end = one->head.address + one->head.size,
			 next_end = next->head.address + next->head.size;
		uint8_t *bytes;

		if (next->head.address > end + JOINED) {
			pieces.items[++n] = *next;
			continue;
		}
		if (next_end <= end)
			continue;
		bytes = realloc(one->bytes, next_end - one->head.address);
		if (!bytes)
			exit(1);
		if (next->head.address > end &&
		    pread(memory_fd, bytes + one->head.size, next->head.address - end, (off_t)end) < 0)
			memset(bytes + one->head.size, 0, next->head.address - end);
		memcpy(bytes + (next->head.address - one->head.address), next->bytes, next->head.size);
		one->bytes = bytes;
		one->head.size = next_end - one->head.address;
	}
	pieces.len = pieces.len ? n + 1 : 0;
}

static int write_heap(const char *path, const struct heap_head *head, const struct fnp_hotspot_tables *tables)
{
	fnp_autofclose FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fwrite(head, sizeof(*head), 1, f);
	fwrite(tables->values, sizeof(tables->values), 1, f);
	for (size_t i = 0; i < pieces.len; i++) {
		fwrite(&pieces.items[i].head, sizeof(pieces.items[i].head), 1, f);
		fwrite(pieces.items[i].bytes, pieces.items[i].head.size, 1, f);
	}
	printf("%s: %ld bytes, %zu pieces\n", path, ftell(f), pieces.len);
	return ferror(f) ? -EIO : 0;
}

static void print_names(const struct fnp_hotspot_view *view)
{
	struct fnp_hotspot_cache cache = {0};
	struct fnp_hotspot_chain chain;

	for (uint32_t i = 0; i < walk.n_words; i += 1 + (walk.words[i] >> FNP_WORD_MORE_SHIFT & 7)) {
		uint64_t address = walk.words[i] & FNP_WORD_VALUE_MASK & ~7ULL;
		const struct fnp_hotspot_method *method;
		const struct fnp_hotspot_code *code;

		if (walk.words[i] >> FNP_WORD_KIND_SHIFT != FNP_WORD_HOTSPOT) {
			printf("\t%lx\n", (unsigned long)walk.words[i]);
			continue;
		}
		uint32_t mark = (uint32_t)(walk.words[i + 1] >> 32), place = (uint32_t)walk.words[i + 1];
		if ((walk.words[i] & 7) == FNP_HOTSPOT_INTERPRETED &&
		    fnp_hotspot_cache_method(&cache, view, address, mark, &method) == 0)
			printf("\t%s\n", method->name);
		if ((walk.words[i] & 7) != FNP_HOTSPOT_COMPILED ||
		    fnp_hotspot_cache_code(&cache, view, address, mark, &code) < 0)
			continue;
		fnp_hotspot_code_at(code, place, &chain);
		for (size_t k = 0; k < chain.n; k++)
			printf("\t%s%s\n", chain.scopes[k].method->name, k + 1 < chain.n ? " (inlined)" : "");
	}
	fnp_hotspot_cache_clear(&cache);
}

static bool record_thread(const struct fnp_hotspot_view *seen, pid_t tid, const char *path)
{
	struct fnp_hotspot_view view = {.place = seen->place, .tables = seen->tables};
	struct heap_head head = {
		.magic = HEAP_MAGIC, .version = seen->version, .n_values = FNP_HOTSPOT_FIELDS_MAX};
	struct user_regs_struct regs;
	int status;
	bool done = false;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
		return false;
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0 && waitpid(tid, &status, __WALL) == tid &&
	    ptrace(PTRACE_GETREGS, tid, 0, &regs) == 0 && is_in_java(seen, regs.rip)) {
		memcpy(head.regs, &regs, FNP_MIN(sizeof(head.regs), sizeof(regs)));
		notes = true;
		done = look_at_heap(&head, &view, read_noted) == 0;
		notes = false;
		join_pieces();
		done = done && write_heap(path, &head, &view.tables) == 0;
		if (done)
			print_names(&view);
	}
	ptrace(PTRACE_DETACH, tid, 0, 0);
	for (size_t i = 0; i < pieces.len; i++)
		free(pieces.items[i].bytes);
	pieces.len = 0;
	return done;
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	long wanted = argc > 3 ? strtol(argv[3], NULL, 10) : 4;
	struct fnp_hotspot_view view = {0};
	char path[4096];
	long n = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	memory_fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = memory_fd < 0 ? -errno : read_view(pid, &view);
	if (r < 0) {
		fprintf(stderr, "hotspot_record: %s\n", strerror(-r));
		return 1;
	}
	for (int look = 0; look < LOOKS && n < wanted; look++) {
		snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
		DIR *tasks = opendir(path);
		for (struct dirent *e; tasks && n < wanted && (e = readdir(tasks));) {
			snprintf(path, sizeof(path), "%s-%ld", argv[2], n + 1);
			n += record_thread(&view, (pid_t)strtol(e->d_name, NULL, 10), path);
		}
		if (tasks)
			closedir(tasks);
		usleep(7000);
	}
	return n == wanted ? 0 : 1;
}
