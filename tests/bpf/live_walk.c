/* SPDX-License-Identifier: Apache-2.0 */

#include "bpf/walk/walk.h"

#include "tests/bpf/live_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "base/intern.h"
#include "base/vec.h"
#include "symbolizer/runtime.h"
#include "symbolizer/unwind.h"

struct file {
	char *path;
	struct fnp_object *object;
	struct fnp_unwind *unwind;
};

struct live_process {
	pid_t pid;
	FNP_VEC(struct file) files; /* number 0 is none */
	FNP_VEC(struct fnp_runtime_mapping) mappings;
	FNP_VEC(uint32_t) mapping_files;
	FNP_VEC(struct fnp_code_range) ranges;
	FNP_VEC(struct fnp_table) tables;
	FNP_VEC(struct fnp_walk_arena) arenas;
	struct fnp_space space;
	struct fnp_runtime_match match;
	struct fnp_runtime *runtime;
	struct fnp_intern *texts;
	uint32_t version;
	struct fnp_walk walk;
};

static int read_process(void *context, void *to, size_t size, fnp_u64 address)
{
	struct live_process *p = context;

	return fnp_runtime_read(p->pid, address, to, size);
}

static void *find_pid(const struct fnp_walk_map *map, const void *key FNP_UNUSED)
{
	return map->values;
}

static int file_of(struct live_process *p, const char *path, const char *range, uint32_t *ret)
{
	char name[128];

	for (uint32_t i = 1; i < p->files.len; i++) {
		if (strcmp(p->files.items[i].path, path) == 0) {
			*ret = i;
			return 0;
		}
	}
	struct file file = {.path = strdup(path)};
	snprintf(name, sizeof(name), "/proc/%d/map_files/%s", (int)p->pid, range);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (!file.path)
		return -ENOMEM;
	if (fd >= 0 && fnp_object_open_fd(fd, path, &file.object) == 0)
		fnp_unwind_build(file.object, &file.unwind);
	if (fnp_vec_push(&p->files, file) < 0)
		return -ENOMEM;
	struct fnp_table table = {0};
	struct fnp_walk_arena arena = {0};
	if (file.unwind) {
		table = file.unwind->table;
		table.arena = (fnp_u32)p->arenas.len;
		arena = (struct fnp_walk_arena){.blocks = file.unwind->lines, .n = file.unwind->n_lines};
	}
	if (fnp_vec_push(&p->tables, table) < 0 || fnp_vec_push(&p->arenas, arena) < 0)
		return -ENOMEM;
	*ret = (uint32_t)p->files.len - 1;
	return 0;
}

static int read_mappings(struct live_process *p)
{
	char path[64], *line = NULL;
	size_t cap = 0;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)p->pid);
	fnp_autofclose FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	p->mappings.len = p->mapping_files.len = 0;
	while (r == 0 && getline(&line, &cap, f) > 0) {
		unsigned long start, limit, offset;
		char range[64];
		char permissions[5], name[4096] = "";
		uint32_t file = 0;
		if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %4095[^\n]", &start, &limit, permissions, &offset,
			   name) < 4)
			continue;
		snprintf(range, sizeof(range), "%lx-%lx", start, limit);
		if (name[0] == '/')
			r = file_of(p, name, range, &file);
		struct fnp_runtime_mapping mapping = {.start = start,
						      .limit = limit,
						      .offset = offset,
						      .object = file ? p->files.items[file].object : NULL,
						      .executable = permissions[2] == 'x'};
		r = r ?: fnp_vec_push(&p->mappings, mapping);
		r = r ?: fnp_vec_push(&p->mapping_files, file);
	}
	free(line);
	return r;
}

/* Adds [start, end) of a mapping, cut where the runtime's own ranges are. */
static int add_ranges(struct live_process *p, const struct fnp_runtime_mapping *m, uint32_t file)
{
	struct fnp_code_range whole = {.start = m->start, .end = m->limit, .object = file};
	const struct fnp_runtime_range *special = NULL;
	size_t n = p->runtime && m->object == p->match.object ? p->match.id.ops->ranges(p->runtime, &special)
							      : 0;
	uint64_t address;
	int r = 0;

	if (m->object && fnp_object_address_of_offset(m->object, m->offset, &address) == 0)
		whole.bias = m->start - address;
	while (r == 0 && whole.start < whole.end) {
		struct fnp_code_range part = whole;
		for (size_t i = 0; i < n; i++) {
			uint64_t start = special[i].start + whole.bias, end = special[i].end + whole.bias;
			if (part.start >= start && part.start < end) {
				part.kind = p->match.id.ops->code_kind;
				part.end = FNP_MIN(part.end, end);
			} else if (start > part.start && start < part.end && part.kind == 0) {
				part.end = start;
			}
		}
		r = fnp_vec_push(&p->ranges, part);
		whole.start = part.end;
	}
	return r;
}

int live_process_update(struct live_process *p)
{
	struct fnp_runtime_match matches[FNP_RUNTIME_MATCHES_MAX];
	int r = read_mappings(p);

	if (r < 0)
		return r;
	struct fnp_runtime_process view = {
		.pid = p->pid, .mappings = p->mappings.items, .n_mappings = p->mappings.len};
	if (!p->runtime && fnp_runtime_find(&view, NULL, NULL, matches) > 0) {
		p->match = matches[0];
		if (p->match.id.ops->attach)
			p->match.id.ops->attach(&view, &p->match, &p->runtime);
	}
	p->ranges.len = 0;
	for (size_t i = 0; r == 0 && i < p->mappings.len; i++) {
		if (p->mappings.items[i].executable)
			r = add_ranges(p, &p->mappings.items[i], p->mapping_files.items[i]);
	}
	p->version++;
	p->space = (struct fnp_space){.first = 0, .count = (fnp_u32)p->ranges.len, .version = p->version};
	p->space.runtime[0][1] = p->match.bias;
	return r;
}

int live_process_create(pid_t pid, struct live_process **ret)
{
	struct live_process *p = calloc(1, sizeof(*p));
	struct file none = {0};
	struct fnp_table no_table = {0};
	struct fnp_walk_arena no_arena = {0};

	if (!p)
		return -ENOMEM;
	p->pid = pid;
	int r = fnp_vec_push(&p->files, none);
	r = r ?: fnp_vec_push(&p->tables, no_table);
	r = r ?: fnp_vec_push(&p->arenas, no_arena);
	r = r ?: live_process_update(p);
	if (r < 0) {
		live_process_destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

void live_process_destroy(struct live_process *p)
{
	if (!p)
		return;
	if (p->runtime)
		p->match.id.ops->detach(p->runtime);
	for (size_t i = 1; i < p->files.len; i++) {
		fnp_unwind_destroy(p->files.items[i].unwind);
		if (p->files.items[i].object)
			fnp_object_unref(p->files.items[i].object);
		free(p->files.items[i].path);
	}
	fnp_vec_deinit(&p->files);
	fnp_vec_deinit(&p->mappings);
	fnp_vec_deinit(&p->mapping_files);
	fnp_vec_deinit(&p->ranges);
	fnp_vec_deinit(&p->tables);
	fnp_vec_deinit(&p->arenas);
	fnp_intern_destroy(p->texts);
	free(p);
}

const char *live_process_runtime(const struct live_process *p)
{
	return p->match.id.ops ? p->match.id.text : "native";
}

static const char *keep(struct live_process *p, const char *text)
{
	uint32_t id;

	return fnp_intern_text(p->texts, text, &id) < 0 ? "?" : fnp_intern_get_text(p->texts, id);
}

static const struct file *file_at(const struct live_process *p, uint64_t address)
{
	for (size_t i = 0; i < p->ranges.len; i++) {
		if (address >= p->ranges.items[i].start && address < p->ranges.items[i].end)
			return &p->files.items[p->ranges.items[i].object];
	}
	return &p->files.items[0];
}

static void name_frame(struct live_process *p, const uint64_t *words, size_t n, struct live_frame *ret)
{
	static struct fnp_runtime_frame named; /* too big for a stack that fuzzers watch */

	*ret = (struct live_frame){.kind = (int)(words[0] >> FNP_WORD_KIND_SHIFT),
				   .address = words[0] & FNP_WORD_VALUE_MASK,
				   .object = "",
				   .name = "?",
				   .file = ""};
	if (ret->kind == FNP_WORD_NATIVE) {
		const struct file *file = file_at(p, ret->address);
		if (file->object)
			ret->object = keep(p, fnp_object_base_name(file->object));
		ret->hidden = p->runtime && p->match.id.ops->native(p->runtime, file->object, NULL) !=
						    FNP_RUNTIME_NATIVE_SHOWN;
	} else if (p->runtime && ret->kind == p->match.id.ops->word_kind &&
		   p->match.id.ops->name_frame(p->runtime, words, n, &named) == 0) {
		ret->name = keep(p, named.lines[0].name);
		ret->file = keep(p, named.lines[0].file);
		ret->start_line = named.lines[0].start_line;
		ret->line = named.lines[0].line;
	}
}

static int walk_registers(struct live_process *p, const struct user_regs_struct *regs, struct live_stack *ret)
{
	const void *layout = NULL;
	size_t layout_size = 0;

	if (p->runtime)
		layout = p->match.id.ops->layout(p->runtime, &layout_size);
	struct fnp_space_ref ref = {.space = 0, .version = p->version};
	const struct fnp_walk_map maps[] = {
		{"fnp_code_ranges", p->ranges.items, p->ranges.len, sizeof(struct fnp_code_range), NULL},
		{"fnp_spaces", &p->space, 1, sizeof(p->space), NULL},
		{"fnp_native_tables", p->tables.items, p->tables.len, sizeof(struct fnp_table), NULL},
		{"fnp_pid_spaces", &ref, 1, sizeof(ref), find_pid},
		{"fnp_python_layouts", (void *)(uintptr_t)layout, 1, layout_size, NULL},
	};
	struct fnp_walk_env env = {.maps = maps,
				   .n_maps = FNP_ARRAY_SIZE(maps),
				   .arenas = p->arenas.items,
				   .n_arenas = p->arenas.len,
				   .read = read_process,
				   .context = p,
				   .thread_pointer = regs->fs_base};
	struct fnp_walk *walk = &p->walk;

	fnp_walk_env = &env;
	fnp_walk_python_on = true;
	memset(walk->regs, 0, sizeof(walk->regs));
	memcpy(walk->regs, regs, FNP_MIN(sizeof(walk->regs), sizeof(*regs)));
	walk->pc = regs->rip;
	walk->sp = regs->rsp;
	walk->fp = regs->rbp;
	fnp_walk_init(walk, (fnp_u32)p->pid);
	while (fnp_walk_run(walk))
		;
	fnp_walk_end(walk);
	ret->truncation = walk->truncation;
	ret->n = 0;
	for (size_t i = 0; i < walk->n_words && ret->n < LIVE_FRAMES_MAX;) {
		size_t n = 1 + ((walk->words[i] >> FNP_WORD_MORE_SHIFT) & 7);
		uint64_t words[8] = {0};
		for (size_t k = 0; k < n && i + k < walk->n_words; k++)
			words[k] = walk->words[i + k];
		if (words[0] >> FNP_WORD_KIND_SHIFT != FNP_WORD_LABEL)
			name_frame(p, words, n, &ret->frames[ret->n++]);
		i += n;
	}
	return 0;
}

int live_process_walk(struct live_process *p, pid_t tid, bool traced, struct live_stack *ret)
{
	struct user_regs_struct regs;
	int status, r = 0;

	fnp_intern_destroy(p->texts);
	p->texts = NULL;
	r = fnp_intern_create(0, &p->texts);
	if (r < 0)
		return r;
	if (!traced) {
		if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
			return -errno;
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 || waitpid(tid, &status, __WALL) != tid)
			r = -errno;
	}
	if (r == 0 && ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		r = -errno;
	if (r == 0)
		r = walk_registers(p, &regs, ret);
	if (!traced)
		ptrace(PTRACE_DETACH, tid, 0, 0);
	return r;
}
