/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watched processes: which program each runs, and what is mapped where and since when.
 *
 * Mappings come from map_events as they are made, and once from /proc for processes that ran before we looked. A
 * mapping is valid from its time on, until a newer one covers it or a new image begins; older ones are kept a while
 * for samples that were taken before.
 */
#ifndef FNP_PROFILER_TARGETS_PROCESSES_H
#define FNP_PROFILER_TARGETS_PROCESSES_H

#include "base/vec.h"
#include "profiler/targets/objects.h"

struct fnp_mapping {
	uint64_t start, end; /* addresses of the process */
	uint64_t offset;     /* of `start` in the file */
	uint64_t from_ns;    /* valid since */
	uint32_t object;     /* FNP_OBJECT_NONE: anonymous memory */
};

struct fnp_process {
	uint32_t pid;
	uint64_t process;		      /* struct fnp_record; 0 until a record said it */
	uint64_t image_ns;		      /* when its present image began; 0: before we looked */
	char *path;			      /* of the program; "" when not known */
	const char *program;		      /* its base name, else the thread's name */
	uint32_t program_object;	      /* the program's own file, FNP_OBJECT_NONE when not known */
	FNP_VEC(struct fnp_mapping) mappings; /* in the order of their times */
	uint64_t maps_generation;	      /* counts up with each change of the mappings */
	bool exited;
	bool wanted; /* a source claimed it, or it was given */
	uint64_t exited_ns;
	void *runtime; /* owned by profiler/runtimes.c */
};

struct fnp_processes;

int fnp_processes_create(struct fnp_objects *objects, struct fnp_processes **ret);
void fnp_processes_destroy(struct fnp_processes *processes);
FNP_DEFINE_CLEANUP(fnp_processes_destroyp, struct fnp_processes *, fnp_processes_destroy)

struct fnp_process *fnp_processes_find(struct fnp_processes *processes, uint32_t pid);

/* A process that is not known yet (`process` 0: not known); one of this pid that ended is replaced. */
int fnp_processes_add(struct fnp_processes *processes, uint32_t pid, uint64_t process,
		      struct fnp_process **ret);

/* A child begins with what its parent has mapped. */
int fnp_processes_fork(struct fnp_processes *processes, const struct fnp_process *parent, uint32_t pid,
		       uint64_t process, struct fnp_process **ret);

/* A new image: its program is `path` (as given to execve; the first file that is mapped says it better). */
int fnp_processes_exec(struct fnp_process *process, const char *path, uint64_t time_ns);

void fnp_processes_remove(struct fnp_processes *processes, uint32_t pid);

/*
 * Reads /proc/PID/maps and exe of a process that runs already; its mappings are valid from the beginning of its present
 * image, as far as that is known.
 */
int fnp_processes_read_maps(struct fnp_processes *processes, struct fnp_process *process);

/* For fnp_map_events_deliver(): false when the process is not known. `self` is the struct fnp_processes. */
bool fnp_processes_take_map_event(void *self, const struct fnp_map_event *event);

/* The mapping that held `address` at a time; NULL when none is known. Valid until the next change. */
const struct fnp_mapping *fnp_process_find_mapping(const struct fnp_process *process, uint64_t address,
						   uint64_t time_ns);

/* Calls `visit` for each process; it may remove the one it is given. */
void fnp_processes_each(struct fnp_processes *processes,
			void (*visit)(void *self, struct fnp_process *process), void *self);

/* Called after the mappings of a process changed, for who mirrors them (unwind tables); one listener. */
void fnp_processes_on_mapping(struct fnp_processes *processes,
			      void (*changed)(void *self, struct fnp_process *process), void *self);

#endif
