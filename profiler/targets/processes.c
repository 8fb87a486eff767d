/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/targets/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"

#define MAPPINGS_MAX 16384
#define PROC_MAPS_MAX (64 << 20)

struct fnp_processes {
	struct fnp_objects *objects; /* not owned */
	struct fnp_map by_pid;
	void (*changed)(void *self, struct fnp_process *process);
	void *changed_self;
};

static void process_destroy(struct fnp_process *process)
{
	if (!process)
		return;
	free(process->path);
	fnp_vec_deinit(&process->mappings);
	free(process);
}
FNP_DEFINE_CLEANUP(process_destroyp, struct fnp_process *, process_destroy)

int fnp_processes_create(struct fnp_objects *objects, struct fnp_processes **ret)
{
	struct fnp_processes *processes = calloc(1, sizeof(*processes));

	if (!processes)
		return -ENOMEM;
	processes->objects = objects;
	*ret = processes;
	return 0;
}

void fnp_processes_destroy(struct fnp_processes *processes)
{
	if (!processes)
		return;
	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&processes->by_pid, s));)
		process_destroy((void *)(uintptr_t)s->value);
	fnp_map_deinit(&processes->by_pid);
	free(processes);
}

void fnp_processes_on_mapping(struct fnp_processes *processes,
			      void (*changed)(void *self, struct fnp_process *process), void *self)
{
	processes->changed = changed;
	processes->changed_self = self;
}

static void tell(struct fnp_processes *processes, struct fnp_process *process)
{
	process->maps_generation++;
	if (processes->changed)
		processes->changed(processes->changed_self, process);
}

struct fnp_process *fnp_processes_find(struct fnp_processes *processes, uint32_t pid)
{
	return fnp_map_find_ptr(&processes->by_pid, pid);
}

static int set_path(struct fnp_process *process, const char *path)
{
	char *copy = strdup(path);
	const char *slash;

	if (!copy)
		return -ENOMEM;
	free(process->path);
	process->path = copy;
	slash = strrchr(copy, '/');
	process->program = slash && slash[1] ? slash + 1 : copy;
	return 0;
}

int fnp_processes_add(struct fnp_processes *processes, uint32_t pid, uint64_t process, struct fnp_process **ret)
{
	FNP_CLEANUP(process_destroyp) struct fnp_process *fresh = calloc(1, sizeof(*fresh));
	int r;

	if (!fresh)
		return -ENOMEM;
	fresh->pid = pid;
	fresh->process = process;
	r = set_path(fresh, "");
	if (r < 0)
		return r;
	process_destroy(fnp_processes_find(processes, pid));
	r = fnp_map_set_ptr(&processes->by_pid, pid, fresh);
	if (r < 0) {
		fnp_map_remove(&processes->by_pid, pid);
		return r;
	}
	*ret = TAKE_PTR(fresh);
	return 0;
}

int fnp_processes_fork(struct fnp_processes *processes, const struct fnp_process *parent, uint32_t pid,
		       uint64_t process, struct fnp_process **ret)
{
	struct fnp_process *child;
	int r = fnp_processes_add(processes, pid, process, &child);

	r = r ?: set_path(child, parent->path);
	r = r ?: fnp_vec_append(&child->mappings, parent->mappings.items, parent->mappings.len);
	if (r < 0)
		return r;
	child->program_object = parent->program_object;
	child->image_ns = parent->image_ns;
	tell(processes, child);
	*ret = child;
	return 0;
}

int fnp_processes_exec(struct fnp_process *process, const char *path, uint64_t time_ns)
{
	int r = set_path(process, path);

	if (r == 0 && !process->image_ns)
		process->image_ns = time_ns;
	return r;
}

void fnp_processes_remove(struct fnp_processes *processes, uint32_t pid)
{
	process_destroy(fnp_processes_find(processes, pid));
	fnp_map_remove(&processes->by_pid, pid);
}

/* Forgets what newer mappings cover whole, and images before the present one, once they are old. */
static void forget_covered(struct fnp_process *process)
{
	size_t kept = 0;

	for (size_t i = 0; i < process->mappings.len; i++) {
		const struct fnp_mapping *m = &process->mappings.items[i];
		bool covered = m->from_ns < process->image_ns;

		for (size_t k = i + 1; k < process->mappings.len && !covered; k++) {
			const struct fnp_mapping *newer = &process->mappings.items[k];
			covered = newer->start <= m->start && newer->end >= m->end;
		}
		if (!covered)
			process->mappings.items[kept++] = *m;
	}
	process->mappings.len = kept;
}

static int add_mapping(struct fnp_processes *processes, struct fnp_process *process,
		       const struct fnp_map_event *event)
{
	struct fnp_mapping mapping = {
		.start = event->start, .end = event->end, .offset = event->offset, .from_ns = event->time_ns};
	int r = fnp_objects_find(processes->objects, event, &mapping.object);

	if (r < 0)
		return r;
	if (process->mappings.len >= 1024 && (process->mappings.len & 255) == 0)
		forget_covered(process);
	if (process->mappings.len >= MAPPINGS_MAX) {
		fnp_warning_once("process %u has more than %d executable mappings: the rest is not known",
				 process->pid, MAPPINGS_MAX);
		return 0;
	}
	r = fnp_vec_push(&process->mappings, mapping);
	if (r < 0)
		return r;
	if (!process->program_object && mapping.object && event->path[0] == '/') {
		/* The kernel maps the program itself first. */
		process->program_object = mapping.object;
		r = set_path(process, event->path);
	}
	return r;
}

bool fnp_processes_take_map_event(void *self, const struct fnp_map_event *event)
{
	struct fnp_processes *processes = self;
	struct fnp_process *process = fnp_processes_find(processes, event->pid);

	if (!process)
		return false;
	if (event->exec) {
		process->image_ns = event->time_ns;
		process->program_object = FNP_OBJECT_NONE;
	} else if (add_mapping(processes, process, event) < 0) {
		fnp_warning_once("no memory for the mappings of process %u", event->pid);
	}
	tell(processes, process);
	return true;
}

/* "7f00-7f10 r-xp 00000000 fd:01 123   /path": an executable one becomes an event. */
static bool parse_maps_line(const char *line, uint32_t pid, struct fnp_map_event *ret)
{
	struct fnp_map_event e = {.pid = pid};
	char permissions[8];
	int path_at = 0;

	if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %n", &e.start, &e.end, permissions, &e.offset,
		   &e.identity.major, &e.identity.minor, &e.identity.inode, &path_at) < 7 ||
	    e.end <= e.start)
		return false;
	if (!strchr(permissions, 'x'))
		return false;
	e.path = strdup(path_at && line[path_at] ? line + path_at : "//anon");
	*ret = e;
	return e.path != NULL;
}

static void drop_deleted_mark(char *path)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(path);

	if (len > sizeof(mark) - 1 && strcmp(path + len - (sizeof(mark) - 1), mark) == 0)
		path[len - (sizeof(mark) - 1)] = '\0';
}

static int read_exe(struct fnp_process *process)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%u/exe", process->pid);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	drop_deleted_mark(path);
	return set_path(process, path);
}

int fnp_processes_read_maps(struct fnp_processes *processes, struct fnp_process *process)
{
	fnp_autobuffer struct fnp_buffer text = {0};
	fnp_autofree char *program = NULL;
	char path[64];
	char *rest;
	int r;

	snprintf(path, sizeof(path), "/proc/%u/maps", process->pid);
	r = fnp_file_read_at(AT_FDCWD, path, PROC_MAPS_MAX, &text);
	if (r == 0 && read_exe(process) == 0)
		program = strdup(process->path);
	rest = (char *)text.data;
	for (char *line; r == 0 && (line = strsep(&rest, "\n")) && *line;) {
		struct fnp_map_event event;
		if (!parse_maps_line(line, process->pid, &event))
			continue;
		drop_deleted_mark(event.path);
		event.time_ns = process->image_ns;
		r = add_mapping(processes, process, &event);
		if (program && strcmp(event.path, program) == 0 && process->mappings.len)
			process->program_object = process->mappings.items[process->mappings.len - 1].object;
		free(event.path);
	}
	if (program && set_path(process, program) < 0)
		return -ENOMEM;
	tell(processes, process);
	return r;
}

const struct fnp_mapping *fnp_process_find_mapping(const struct fnp_process *process, uint64_t address,
						   uint64_t time_ns)
{
	/* The newest that was valid then; what an exec replaced is not. */
	for (size_t i = process->mappings.len; i-- > 0;) {
		const struct fnp_mapping *m = &process->mappings.items[i];

		if (address < m->start || address >= m->end || m->from_ns > time_ns)
			continue;
		if (m->from_ns < process->image_ns && process->image_ns <= time_ns)
			continue;
		return m;
	}
	return NULL;
}

void fnp_processes_each(struct fnp_processes *processes,
			void (*visit)(void *self, struct fnp_process *process), void *self)
{
	FNP_VEC(struct fnp_process *) all = {0};

	for (struct fnp_map_slot *s = NULL; (s = fnp_map_next(&processes->by_pid, s));) {
		if (fnp_vec_push(&all, (struct fnp_process *)(uintptr_t)s->value) < 0)
			break;
	}
	for (size_t i = 0; i < all.len; i++)
		visit(self, all.items[i]);
	fnp_vec_deinit(&all);
}
