/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/resume.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/cursor.h"
#include "base/log.h"
#include "bpf/walk/walk.h"
#include "profiler/targets/kept_memory.h"

/* Programs of FNP_WALK_TURNS frames; as many as the kernel side would have run. */
#define ROUNDS (FNP_WALK_CONTINUATIONS + 1)
#define TABLES_MAX 64 /* that a single walk waits for */
#define STACK_BYTES_MAX (8U << 20)
#define STACK_PAGE 4096

struct fnp_resumer {
	struct fnp_spaces *spaces;
	fnp_code_range_vec ranges;
	struct fnp_walk walk;
	uint32_t version;		/* of the walk's space: of each attempt another */
	struct fnp_v8_layout v8_layout; /* for a heap that has changed since */
	/* The copy of the stack that is walked. */
	uint64_t stack_start;
	const uint8_t *stack;
	size_t stack_size;
	uint32_t holes;	  /* struct fnp_resume */
	pid_t code_pid;	  /* whose code is read as it is now; 0: none */
	pid_t live_pid;	  /* whose memory beside the stack is read as it is now; 0: none */
	uint64_t process; /* struct fnp_process's number of it; 0: not known */
	bool looks_ahead; /* what is read beside the stack is kept */
	struct fnp_kept_memory kept;
	struct fnp_hotspot_layout hotspot;
	/* Memory beside the stack: struct fnp_python_piece and bytes, one after another. */
	struct fnp_cursor pieces;
};

int fnp_resumer_create(struct fnp_spaces *spaces, struct fnp_resumer **ret)
{
	struct fnp_resumer *resumer = calloc(1, sizeof(*resumer));

	if (!resumer)
		return -ENOMEM;
	resumer->spaces = spaces;
	*ret = resumer;
	return 0;
}

void fnp_resumer_destroy(struct fnp_resumer *resumer)
{
	if (!resumer)
		return;
	fnp_vec_deinit(&resumer->ranges);
	fnp_kept_memory_clear(&resumer->kept);
	free(resumer);
}

static int read_piece(struct fnp_cursor pieces, void *to, size_t size, uint64_t address)
{
	struct fnp_python_piece piece;
	const uint8_t *bytes;

	while (fnp_cursor_copy(&pieces, &piece, sizeof(piece)) == 0 && piece.size <= fnp_cursor_left(&pieces) &&
	       fnp_cursor_bytes(&pieces, (piece.size + 7) & ~UINT64_C(7), &bytes) == 0) {
		uint64_t offset = address - piece.address;
		if (address < piece.address || offset > piece.size || size > piece.size - offset)
			continue;
		memcpy(to, bytes + offset, size);
		return 0;
	}
	return -1;
}

/*
 * What stands beside the stack stays as it is while its frames live: code, and what the JVM keeps of methods. Above the
 * copy the stack itself goes on, and that has changed since.
 */
static int read_beside(struct fnp_resumer *resumer, void *to, size_t size, uint64_t address)
{
	struct iovec local = {.iov_base = to, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	/* The stack itself is not what it was any more; nor what lies right below it. */
	bool on_stack = address - (resumer->stack_start - STACK_PAGE) < STACK_BYTES_MAX + STACK_PAGE;
	pid_t pid = on_stack ? 0 : resumer->live_pid;

	for (size_t i = 0; !pid && resumer->code_pid && i < resumer->ranges.len; i++) {
		const struct fnp_code_range *range = &resumer->ranges.items[i];
		if (address >= range->start && address < range->end)
			pid = resumer->code_pid;
	}
	if (pid && process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size) {
		if (resumer->looks_ahead && resumer->process)
			fnp_kept_memory_put(&resumer->kept, resumer->process, address, to, size);
		return 0;
	}
	return on_stack ? -1 : fnp_kept_memory_get(&resumer->kept, resumer->process, address, to, size);
}

/* Does [address, address + size), which lies in the copy, touch a page that was not in memory? */
static bool has_hole(const struct fnp_resumer *resumer, uint64_t address, size_t size)
{
	uint64_t first = resumer->stack_start / STACK_PAGE;

	for (uint64_t page = address / STACK_PAGE; page <= (address + size - 1) / STACK_PAGE; page++) {
		if (page - first < 32 && resumer->holes >> (page - first) & 1)
			return true;
	}
	return false;
}

static int read_stack(void *context, void *to, size_t size, fnp_u64 address)
{
	struct fnp_resumer *resumer = context;
	uint64_t offset = address - resumer->stack_start;

	if (address < resumer->stack_start || offset > resumer->stack_size ||
	    size > resumer->stack_size - offset)
		return read_piece(resumer->pieces, to, size, address) == 0
			       ? 0
			       : read_beside(resumer, to, size, address);
	if (resumer->holes && size && has_hole(resumer, address, size))
		return -1;
	memcpy(to, resumer->stack + offset, size);
	return 0;
}

/* Checks the section and sets the state of the walk that it describes. */
static int take_section(struct fnp_resumer *resumer, const void *section, size_t size, struct fnp_resume *ret)
{
	struct fnp_resume resume;

	if (size < sizeof(resume))
		return -EBADMSG;
	memcpy(&resume, section, sizeof(resume));
	if (resume.stack_bytes > size - sizeof(resume))
		return -EBADMSG;
	resumer->stack_start = resume.stack;
	resumer->stack = (const uint8_t *)section + sizeof(resume);
	resumer->stack_size = resume.stack_bytes;
	resumer->holes = resume.holes;
	*ret = resume;
	return 0;
}

static void *find_space_ref(const struct fnp_walk_map *map, const void *key)
{
	(void)key;
	return map->values;
}

static void restore(struct fnp_walk *walk, const struct fnp_resume *resume, uint32_t pid,
		    const struct fnp_resume_stack *stack, uint32_t n_words)
{
	const uint64_t *words = stack->words;

	fnp_walk_init(walk, pid);
	if (stack->python && stack->python_size >= sizeof(walk->chain))
		memcpy(walk->chain, stack->python, sizeof(walk->chain));
	walk->pc = resume->pc;
	walk->sp = resume->sp;
	walk->fp = resume->fp;
	walk->lr = resume->lr;
	walk->regs_at = resume->regs_at;
	walk->exact = resume->exact != 0;
	walk->leaf = resume->leaf != 0;
	memcpy(walk->regs, resume->regs, sizeof(walk->regs));
	memcpy(walk->words, words, n_words * sizeof(words[0]));
	walk->n_words = n_words;
}

static void run(struct fnp_walk *walk)
{
	for (int i = 0; i < ROUNDS && fnp_walk_run(walk); i++)
		;
	fnp_walk_end(walk);
}

/* Rules that a walk remembers are of its process and time: none is found again by another one. */
static uint32_t next_version(struct fnp_resumer *resumer)
{
	if (++resumer->version == 0) {
		memset(resumer->walk.cache, 0, sizeof(resumer->walk.cache));
		memset(resumer->walk.leaves, 0, sizeof(resumer->walk.leaves));
		resumer->version = 1;
	}
	return resumer->version;
}

/* The walkers of runtimes, with the layouts that they had when the sample was taken. */
static void switch_on(struct fnp_resumer *resumer, const struct fnp_process *process,
		      const struct fnp_resume_stack *stack)
{
	if (stack->hotspot_layout)
		resumer->hotspot = *stack->hotspot_layout;
	/* Frames in the heap are not what they were any more. */
	resumer->hotspot.flags &= (fnp_u16)~FNP_HOTSPOT_CHUNKS;
	if (stack->v8_layout)
		resumer->v8_layout = *stack->v8_layout;
	resumer->v8_layout.late = 1;
	resumer->process = process->process;
	resumer->code_pid = process->exited ? 0 : (pid_t)process->pid;
	resumer->live_pid = stack->hotspot_layout || stack->v8_layout ? resumer->code_pid : 0;
	fnp_walk_python_on = true;
	fnp_walk_hotspot_on = stack->hotspot_layout != NULL;
	fnp_walk_v8_on = stack->v8_layout != NULL;
}

static void switch_off(void)
{
	fnp_walk_python_on = fnp_walk_hotspot_on = fnp_walk_v8_on = false;
}

/* One attempt with what is loaded now. */
static int attempt(struct fnp_resumer *resumer, const struct fnp_process *process,
		   const struct fnp_resume *resume, const struct fnp_resume_stack *stack, uint32_t n_words)
{
	uint32_t version = next_version(resumer);
	struct fnp_space space = {.first = 0, .count = (uint32_t)resumer->ranges.len, .version = version};
	struct fnp_space_ref ref = {.space = 0, .version = version};
	struct fnp_tables *tables = fnp_spaces_tables(resumer->spaces);
	const struct fnp_table *shown;
	const struct fnp_walk_arena *arenas;
	size_t n_shown, n_arenas;
	int r;

	fnp_spaces_runtime_words(resumer->spaces, process->pid, space.runtime);
	space.runtime[0][0] = space.runtime[1][0] = space.runtime[2][0] = 0; /* of the one layout below */
	r = fnp_tables_lock(tables, &shown, &n_shown, &arenas, &n_arenas);
	if (r < 0)
		return r;
	struct fnp_walk_map maps[] = {
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_space_ref},
		{"fnp_spaces", &space, 1, sizeof(space), NULL},
		{"fnp_code_ranges", resumer->ranges.items, resumer->ranges.len, sizeof(struct fnp_code_range),
		 NULL},
		{"fnp_native_tables", (void *)(uintptr_t)shown, n_shown, sizeof(*shown), NULL},
		{"fnp_python_layouts", (void *)(uintptr_t)stack->python_layout, stack->python_layout != NULL,
		 sizeof(*stack->python_layout), NULL},
		{"fnp_hotspot_layouts", &resumer->hotspot, stack->hotspot_layout != NULL,
		 sizeof(resumer->hotspot), NULL},
		{"fnp_v8_layouts", &resumer->v8_layout, stack->v8_layout != NULL, sizeof(resumer->v8_layout),
		 NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .arenas = arenas,
				   .n_arenas = n_arenas,
				   .read = read_stack,
				   .context = resumer};
	fnp_walk_env = &env;
	switch_on(resumer, process, stack);
	restore(&resumer->walk, resume, process->pid, stack, n_words);
	run(&resumer->walk);
	switch_off();
	fnp_walk_env = NULL;
	fnp_tables_unlock(tables);
	return 0;
}

/* Did the walk end at code of a runtime that is starting? */
static bool waits_for_runtime(const struct fnp_resumer *resumer)
{
	const struct fnp_walk *walk = &resumer->walk;

	return walk->resumable && walk->truncation == FNP_TRUNCATION_NO_TABLE &&
	       walk->here.data == FNP_SPACE_EXPECTED;
}

/* Nobody will say any more whose code this is. */
static void expect_nothing(struct fnp_resumer *resumer)
{
	for (size_t i = 0; i < resumer->ranges.len; i++) {
		struct fnp_code_range *range = &resumer->ranges.items[i];
		if (range->data == FNP_SPACE_EXPECTED) {
			range->kind = FNP_CODE_FRAME_POINTER;
			range->data = 0;
		}
	}
}

/*
 * Walks on by frame pointers through the code whose tables are still made. The JVM and V8 keep them, so this mostly
 * comes to the frames that the true walk will come to; what it shows is not believed, only looked up.
 */
static void look_ahead(struct fnp_resumer *resumer, const struct fnp_process *process,
		       const struct fnp_resume *resume, struct fnp_resume_stack *stack, uint32_t n_words)
{
	struct fnp_tables *tables = fnp_spaces_tables(resumer->spaces);
	bool before = resumer->looks_ahead;

	if (process->exited || !process->process || (!stack->hotspot_layout && !stack->v8_layout))
		return;
	for (size_t i = 0; i < resumer->ranges.len; i++) {
		struct fnp_code_range *range = &resumer->ranges.items[i];
		if (range->kind == FNP_CODE_NATIVE && fnp_tables_is_building(tables, range->object))
			range->kind = FNP_CODE_FRAME_POINTER;
	}
	resumer->looks_ahead = true;
	if (attempt(resumer, process, resume, stack, n_words) == 0) {
		stack->ahead = resumer->walk.words;
		stack->n_ahead = resumer->walk.n_words;
	}
	resumer->looks_ahead = before;
}

/* The slot of the table that the walk ended for; 0 when it ended for another reason. */
static uint32_t missing_table(const struct fnp_resumer *resumer)
{
	const struct fnp_walk *walk = &resumer->walk;

	return walk->resumable && walk->truncation == FNP_TRUNCATION_NO_TABLE ? walk->here.object : 0;
}

int fnp_resumer_walk(struct fnp_resumer *resumer, const struct fnp_process *process, uint64_t time_ns,
		     const void *section, size_t size, struct fnp_resume_stack *stack)
{
	struct fnp_resume resume;
	uint32_t kept, missing = 0, before;
	int r = take_section(resumer, section, size, &resume);

	if (r < 0)
		return r;
	if (resume.drop > stack->n_words || stack->n_words > FNP_USER_WORDS_MAX)
		return -EBADMSG;
	kept = stack->n_words - resume.drop;
	resumer->pieces = fnp_cursor_of(stack->python, stack->python ? stack->python_size : 0);
	fnp_cursor_skip(&resumer->pieces, FNP_MIN(sizeof(struct fnp_python_resume), stack->python_size));
	r = fnp_spaces_ranges_at(resumer->spaces, process, time_ns, &resumer->ranges);
	if (r == 0 && stack->may_wait)
		expect_nothing(resumer);
	for (int i = 0; r == 0 && i < TABLES_MAX; i++) {
		before = missing;
		r = attempt(resumer, process, &resume, stack, kept);
		missing = r == 0 ? missing_table(resumer) : 0;
		if (r == 0 && waits_for_runtime(resumer))
			r = -EAGAIN;
		if (missing == 0 || missing == before)
			break;
		if (stack->may_wait)
			fnp_tables_wait(fnp_spaces_tables(resumer->spaces), missing);
		else if (fnp_tables_is_building(fnp_spaces_tables(resumer->spaces), missing))
			r = -EAGAIN;
	}
	if (r == -EAGAIN)
		look_ahead(resumer, process, &resume, stack, kept);
	fnp_spaces_release_ranges(resumer->spaces, &resumer->ranges);
	if (r < 0)
		return r;
	stack->words = resumer->walk.words;
	stack->n_words = resumer->walk.n_words;
	stack->truncation = resumer->walk.truncation;
	return 0;
}

void fnp_resumer_look_ahead(struct fnp_resumer *resumer, bool is_on)
{
	resumer->looks_ahead = is_on;
}

void fnp_resumer_forget(struct fnp_resumer *resumer)
{
	if (resumer->kept.bytes)
		fnp_kept_memory_clear(&resumer->kept);
}
