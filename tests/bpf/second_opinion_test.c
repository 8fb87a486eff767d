/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker in user space beside libunwind: real programs are stopped at random moments and then stepped, one
 * instruction at a time, and both walk the same stopped thread.
 *
 * The two agree when every frame is the same, to the root. Differences have names:
 *   theirs ended   libunwind stops early (no .eh_frame_hdr, no rule that it knows); ours goes on to the root
 *   theirs lost    libunwind goes on by a guess where it has no rule (Go and lld's layout, static programs without
 *                  .eh_frame_hdr, the vdso), and what it takes for the next frame may be any word of the stack
 *   handed over    inside of `_Unwind_RaiseException` and its like, by libunwind's names, libgcc writes the registers of
 *                  the frame that catches over those that it saved: ours goes on with that frame, libunwind with what was
 *                  the caller, or with what has half been written (stepped_test.c says whether ours is right)
 *   ours ended     we say so with a marker
 *   wrong          a frame differs that both show
 * Besides, every caller of ours must stand behind a call instruction, whatever libunwind thinks.
 */
#include <dirent.h>
#include <errno.h>
#include <libunwind-ptrace.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/walk/walk.h"
#include "profiler/targets/spaces.h"

#define FRAMES_MAX 600
#define STEPS 40

struct counts {
	unsigned int stacks, same, whole, theirs_ended, theirs_lost, ours_ended, handed_over, wrong, no_call,
		shown;
	unsigned int causes[16];
};

struct opinion {
	pid_t pid;
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_process *process;
	struct fnp_spaces *spaces;
	fnp_code_range_vec ranges;
	struct fnp_walk walk;
	bool changes_stacks; /* a Go program */
	unw_addr_space_t space;
	void *upt;
	uint64_t theirs[FRAMES_MAX];
	unsigned int n_theirs;
	unsigned int n_certain; /* of theirs: as many were found by rules */
};

static int read_memory(void *context, void *to, size_t size, fnp_u64 address)
{
	struct opinion *o = context;
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)address, size}; // NOLINT: of the target

	return process_vm_readv(o->pid, &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -1;
}

static void *find_space_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

static void registers_of(struct fnp_walk *walk, const struct user_regs_struct *regs)
{
	/* struct user_regs_struct begins like struct pt_regs. */
	memcpy(walk->regs, regs, sizeof(walk->regs));
	walk->pc = regs->rip;
	walk->sp = regs->rsp;
	walk->fp = regs->rbp;
}

static void walk_ours(struct opinion *o, const struct user_regs_struct *regs)
{
	struct fnp_space space = {.count = (uint32_t)o->ranges.len, .version = 1};
	struct fnp_space_ref ref = {.version = 1};
	const struct fnp_table *tables;
	const struct fnp_walk_arena *arenas;
	size_t n_tables, n_arenas;

	assert_int_equal(fnp_tables_lock(fnp_spaces_tables(o->spaces), &tables, &n_tables, &arenas, &n_arenas),
			 0);
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_space_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", o->ranges.items, o->ranges.len, sizeof(struct fnp_code_range), NULL},
		{"fnp_native_tables", (void *)(uintptr_t)tables, n_tables, sizeof(*tables), NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .arenas = arenas,
				   .n_arenas = n_arenas,
				   .read = read_memory,
				   .context = o};
	fnp_walk_env = &env;
	registers_of(&o->walk, regs);
	fnp_walk_init(&o->walk, (uint32_t)o->pid);
	for (int i = 0; i < 32 && fnp_walk_run(&o->walk); i++)
		;
	fnp_walk_end(&o->walk);
	fnp_walk_env = NULL;
	fnp_tables_unlock(fnp_spaces_tables(o->spaces));
}

/* libunwind makes up a function of one byte where it has no rule. */
static bool has_rule(unw_cursor_t *cursor)
{
	unw_proc_info_t info = {0};

	return unw_get_proc_info(cursor, &info) == 0 && info.end_ip > info.start_ip + 1;
}

static void walk_theirs(struct opinion *o)
{
	unw_cursor_t cursor;
	bool exact = true, certain = true;

	o->n_theirs = o->n_certain = 0;
	if (unw_init_remote(&cursor, o->space, o->upt) != 0)
		return;
	do {
		unw_word_t ip = 0;

		if (unw_get_reg(&cursor, UNW_REG_IP, &ip) != 0 || ip == 0)
			break;
		/* Of libunwind this says: the frame was interrupted by a signal. */
		exact = exact || unw_is_signal_frame(&cursor) > 0;
		o->theirs[o->n_theirs++] = exact ? ip : ip - 1;
		exact = false;
		o->n_certain += certain;
		certain = certain && has_rule(&cursor);
	} while (o->n_theirs < FRAMES_MAX && unw_step(&cursor) > 0);
}

static void show(const struct opinion *o, const char *what)
{
	unsigned int n = o->walk.n_words > o->n_theirs ? o->walk.n_words : o->n_theirs;

	fprintf(stderr, "  %s (cause %u):", what, o->walk.truncation);
	for (unsigned int i = 0; i < n && i < 14; i++)
		fprintf(stderr, " %lx/%lx", i < o->walk.n_words ? o->walk.words[i] : 0,
			i < o->n_theirs ? o->theirs[i] : 0);
	fprintf(stderr, "\n");
	if (getenv("SHOW_RANGES"))
		for (size_t i = 0; i < o->ranges.len; i++)
			fprintf(stderr, "    %lx-%lx bias %lx object %u kind %u data %u\n",
				o->ranges.items[i].start, o->ranges.items[i].end, o->ranges.items[i].bias,
				o->ranges.items[i].object, o->ranges.items[i].kind, o->ranges.items[i].data);
}

static bool in_code(const struct opinion *o, uint64_t address)
{
	for (size_t i = 0; i < o->ranges.len; i++) {
		if (address >= o->ranges.items[i].start && address < o->ranges.items[i].end)
			return true;
	}
	return false;
}

/* libunwind has no table for the vdso: it guesses there. */
static bool in_vdso(const struct opinion *o, uint64_t address)
{
	for (size_t i = 0; i < o->process->mappings.len; i++) {
		const struct fnp_mapping *m = &o->process->mappings.items[i];
		const struct fnp_target_object *object = fnp_objects_get(o->objects, m->object);

		if (address >= m->start && address < m->end)
			return object && strcmp(object->name, "vdso") == 0;
	}
	return false;
}

/* From the first difference on, theirs is a guess, or no code, or leaves frames out. */
static bool theirs_lost(const struct opinion *o, unsigned int i, unsigned int n)
{
	unsigned int k = i;

	if (i >= o->n_certain)
		return true;
	for (unsigned int before = 0; before < i; before++) {
		if (in_vdso(o, o->walk.words[before]))
			return true;
	}

	for (; i < o->n_theirs && in_code(o, o->theirs[i]); i++) {
		while (k < n && o->walk.words[k] != o->theirs[i])
			k++;
		if (k == n)
			return false;
	}
	return true;
}

/* Does libgcc pass on an exception in the first or the second frame? */
static bool hands_over(const struct opinion *o)
{
	unw_cursor_t cursor;

	if (unw_init_remote(&cursor, o->space, o->upt) != 0)
		return false;
	for (int i = 0; i < 2; i++) {
		char name[64] = "";
		unw_word_t offset;

		if (unw_get_proc_name(&cursor, name, sizeof(name), &offset) == 0 &&
		    strncmp(name, "_Unwind_R", strlen("_Unwind_R")) == 0)
			return true;
		if (unw_step(&cursor) <= 0)
			return false;
	}
	return false;
}

/* Is there a call instruction that ends behind this byte? */
static bool follows_call(struct opinion *o, uint64_t address)
{
	uint8_t code[8];

	if (read_memory(o, code, 7, address - 6) != 0)
		return false;
	if (code[2] == 0xe8)
		return true;
	for (int at = 0; at <= 5; at++) { /* ff /2, with 0 to 5 bytes behind the second */
		if (code[at] == 0xff && ((code[at + 1] >> 3) & 7) == 2)
			return true;
	}
	return false;
}

static bool callers_follow_calls(struct opinion *o, unsigned int n)
{
	struct fnp_walk *walk = &o->walk;

	/* Go puts the address where a goroutine ends under its first frame; nobody called from there. */
	if (walk->truncation == FNP_TRUNCATION_NONE && n > 1)
		n--;
	for (unsigned int i = 1; i < n; i++) {
		const uint8_t return_from_signal[] = {0x48, 0xc7, 0xc0, 0x0f};
		uint8_t code[4];

		if (follows_call(o, walk->words[i]))
			continue;
		/* The return from a signal, and what the signal interrupted. */
		if (read_memory(o, code, 4, walk->words[i] + 1) == 0 &&
		    memcmp(code, return_from_signal, 4) == 0) {
			i++;
			continue;
		}
		return false;
	}
	return true;
}

static void compare(struct opinion *o, struct counts *counts)
{
	bool whole = o->walk.truncation == FNP_TRUNCATION_NONE;
	unsigned int n = o->walk.n_words - !whole, common = n < o->n_theirs ? n : o->n_theirs, i = 0;
	const char *what = NULL;

	counts->stacks++;
	counts->whole += whole;
	counts->causes[o->walk.truncation & 15]++;
	while (i < common && o->walk.words[i] == o->theirs[i])
		i++;
	if (i == n && i == o->n_theirs && whole) {
		counts->same++;
	} else if (whole && hands_over(o)) {
		counts->handed_over++;
	} else if (i < common && theirs_lost(o, i, n)) {
		counts->theirs_lost++;
	} else if (i < common) {
		counts->wrong++;
		what = "differs";
	} else if (whole && (i == n || (o->changes_stacks && i + 1 == n))) {
		/* They go on past a first frame, into what happens to lie above it; or, in Go, past the function that
		 * went over to the thread's own stack, by a frame pointer that belongs to the goroutine's. */
		counts->theirs_lost++;
	} else if (whole && n > o->n_theirs) {
		counts->theirs_ended++;
	} else {
		counts->ours_ended++;
		what = "ours ended";
	}
	/* The frame that catches goes on where its landing pad is. */
	if (!callers_follow_calls(o, n) && !hands_over(o)) {
		counts->no_call++;
		what = "a caller without a call";
	}
	if (what && counts->shown++ < 6)
		show(o, what);
}

/* All threads of the process, one after the other. */
static void look(struct opinion *o, pid_t tid, struct counts *counts)
{
	struct user_regs_struct regs;

	for (int i = 0; i < STEPS; i++) {
		int status;

		if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0)
			return;
		o->upt = _UPT_create(tid);
		walk_ours(o, &regs);
		walk_theirs(o);
		compare(o, counts);
		_UPT_destroy(o->upt);
		if (ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL) < 0 || waitpid(tid, &status, __WALL) != tid ||
		    !WIFSTOPPED(status))
			return;
		/* A signal of the program's own must reach it. */
		if (WSTOPSIG(status) != SIGTRAP) {
			if (ptrace(PTRACE_SINGLESTEP, tid, NULL, (void *)(uintptr_t)WSTOPSIG(status)) < 0 ||
			    waitpid(tid, &status, __WALL) != tid)
				return;
		}
	}
}

static pid_t last_thread(pid_t pid)
{
	char path[64];
	DIR *dir;
	pid_t tid = pid;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] != '.' && rand() % 2)
			tid = (pid_t)strtol(e->d_name, NULL, 10);
	}
	if (dir)
		closedir(dir);
	return tid;
}

static int open_opinion(struct opinion *o, pid_t pid)
{
	struct fnp_spaces_fds fds = {-1, -1, -1, -1, -1};
	int r = fnp_objects_create(&o->objects);

	o->pid = pid;
	r = r ?: fnp_processes_create(o->objects, &o->processes);
	r = r ?: fnp_spaces_create(&fds, o->objects, &o->spaces);
	r = r ?: fnp_processes_add(o->processes, (uint32_t)pid, 0, &o->process);
	r = r ?: fnp_processes_read_maps(o->processes, o->process);
	r = r ?: fnp_spaces_ranges_at(o->spaces, o->process, UINT64_MAX, &o->ranges);
	for (uint32_t slot = 1; slot < FNP_TABLES_SLOT_NEVER; slot++)
		fnp_tables_wait(fnp_spaces_tables(o->spaces), slot);
	o->space = unw_create_addr_space(&_UPT_accessors, 0);
	unw_set_caching_policy(o->space, UNW_CACHE_GLOBAL);
	return r;
}

static void close_opinion(struct opinion *o)
{
	unw_destroy_addr_space(o->space);
	fnp_spaces_release_ranges(o->spaces, &o->ranges);
	fnp_vec_deinit(&o->ranges);
	fnp_processes_destroy(o->processes);
	fnp_spaces_destroy(o->spaces);
	fnp_objects_destroy(o->objects);
}

/* Waits until the program has worked for a while: all that it maps is mapped, also on a busy machine. */
static void wait_until_it_works(pid_t pid)
{
	unsigned long long on_cpu_ns = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	for (int i = 0; i < 3000 && on_cpu_ns < 100000000; i++) {
		FILE *f = fopen(path, "re");

		if (!f || fscanf(f, "%llu", &on_cpu_ns) != 1)
			i = 3000;
		if (f)
			fclose(f);
		usleep(10000);
	}
	assert_true(on_cpu_ns >= 100000000);
}

static void look_at(const char *program, unsigned int stops, struct counts *counts)
{
	struct opinion *o = calloc(1, sizeof(*o));
	pid_t pid = fork();
	int status;

	assert_non_null(o);
	if (pid == 0) {
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	wait_until_it_works(pid);
	o->changes_stacks = strstr(program, "_go") != NULL;
	assert_int_equal(open_opinion(o, pid), 0);
	srand(1);
	for (unsigned int i = 0; i < stops; i++) {
		pid_t tid = last_thread(pid);

		usleep((unsigned int)(rand() % 3000));
		if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
			continue;
		if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0 && waitpid(tid, &status, __WALL) == tid &&
		    WIFSTOPPED(status))
			look(o, tid, counts);
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
	close_opinion(o);
	free(o);
	fprintf(stderr,
		"%s: %u stacks, %u the same, %u whole; %u theirs ended, %u theirs lost, %u handed over, "
		"%u ours ended, %u wrong, %u without call; causes",
		program, counts->stacks, counts->same, counts->whole, counts->theirs_ended,
		counts->theirs_lost, counts->handed_over, counts->ours_ended, counts->wrong, counts->no_call);
	for (int i = 0; i < 12; i++)
		fprintf(stderr, " %u", counts->causes[i]);
	fprintf(stderr, "\n");
}

static unsigned int stops = 25;

static void check(const char *name, unsigned int whole_per_mille)
{
	struct counts counts = {0};
	char path[512];

	snprintf(path, sizeof(path), PROGRAMS "/%s", name);
	if (access(path, X_OK) != 0)
		skip(); /* its compiler is not here */
	look_at(path, stops, &counts);
	assert_true(counts.stacks > 100);
	assert_int_equal(counts.wrong, 0);
	assert_int_equal(counts.no_call, 0);
	/* One stop that meets an exception being passed on is STEPS stacks. */
	assert_true(counts.handed_over <= 10 * STEPS);
	assert_true(counts.whole * 1000 >= counts.stacks * whole_per_mille);
}

#define PROGRAM_TEST(name, per_mille)                                                                        \
	static void name##_is_walked_as_libunwind_walks_it(void **state)                                     \
	{                                                                                                    \
		(void)state;                                                                                 \
		check(#name, per_mille);                                                                     \
	}

PROGRAM_TEST(mixed_c, 995)
PROGRAM_TEST(mixed_c_lto, 995)
PROGRAM_TEST(mixed_c_static, 995)
PROGRAM_TEST(mixed_c_static_described, 995)
PROGRAM_TEST(mixed_c_clang, 995)
PROGRAM_TEST(mixed_c_musl, 990)
PROGRAM_TEST(mixed_cc, 995)
PROGRAM_TEST(mixed_rs, 995)
PROGRAM_TEST(mixed_go, 995)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mixed_c_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_c_lto_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_c_static_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_c_static_described_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_c_clang_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_c_musl_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_cc_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_rs_is_walked_as_libunwind_walks_it),
		cmocka_unit_test(mixed_go_is_walked_as_libunwind_walks_it),
	};

	if (argc > 1)
		stops = (unsigned int)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
