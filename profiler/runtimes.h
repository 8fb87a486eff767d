/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language runtimes of watched processes: recognised once a file, attached once a process, asked for names.
 *
 * Attaching tells the kernel side how to walk the process: the layout goes into the walker's map once a file, and the
 * process's space says which one holds, where the file lies, and which code stands for the runtime's frames.
 */
#ifndef FNP_PROFILER_RUNTIMES_H
#define FNP_PROFILER_RUNTIMES_H

#include "profiler/targets/spaces.h"
#include "symbolizer/runtime.h"

struct fnp_runtimes;

struct fnp_runtimes_options {
	struct fnp_objects *objects; /* not owned */
	struct fnp_spaces *spaces;   /* not owned; NULL: the kernel side is told nothing */
	/* The file descriptor of a walker's map of layouts, by its name; negative: that walker is not loaded. */
	int (*layouts_fd)(void *self, const char *name);
	void *self;
	bool source_maps; /* see struct fnp_runtime_process */
};

int fnp_runtimes_create(const struct fnp_runtimes_options *options, struct fnp_runtimes **ret);
void fnp_runtimes_destroy(struct fnp_runtimes *runtimes);
FNP_DEFINE_CLEANUP(fnp_runtimes_destroyp, struct fnp_runtimes *, fnp_runtimes_destroy)

/* What a file is; kept as long as the object. NULL: no memory. */
const struct fnp_runtime_id *fnp_runtimes_id(struct fnp_runtimes *runtimes, const struct fnp_object *object);

/* An object is to be closed: forgets it. False when it is a runtime: those are known by their objects' addresses for good. */
bool fnp_runtimes_let_go(struct fnp_runtimes *runtimes, const struct fnp_object *object);

/* The mappings of a process changed: a runtime may be there now, or another image. */
void fnp_runtimes_update(struct fnp_runtimes *runtimes, struct fnp_process *process);

/* For runtimes that make their code after they were loaded: looks whether it is there now. Cheap once it is. */
void fnp_runtimes_refresh(struct fnp_runtimes *runtimes, struct fnp_process *process);

/*
 * Looks at runtimes that are starting, for stacks that wait for them; once a round. How many have come, or were given up,
 * since the beginning: when that has changed, try those stacks again.
 */
uint64_t fnp_runtimes_tend(struct fnp_runtimes *runtimes);

/* A process is forgotten. */
void fnp_runtimes_remove(struct fnp_runtimes *runtimes, struct fnp_process *process);

/* Has the process a runtime whose code comes before anybody can see what it is (a JVM)? */
bool fnp_runtimes_code_comes_first(const struct fnp_process *process);

/* "python3.12", "native"; NULL while nothing of the process is known. Lives as long as the table. */
const char *fnp_runtimes_process_name(struct fnp_runtimes *runtimes, const struct fnp_process *process);

/* What the walker of frames of this kind reads (of the first such runtime): as fnp_runtime_ops.layout. NULL. */
const void *fnp_runtimes_layout(struct fnp_runtimes *runtimes, struct fnp_process *process, uint8_t word_kind);

/* What the kernel side copied of names, a section of a sample: kept for this process's frames. */
void fnp_runtimes_learn(struct fnp_runtimes *runtimes, struct fnp_process *process, uint8_t word_kind,
			const void *data, size_t size);

/* One managed frame, named; NULL when nothing is known of it. Valid until the next call. */
const struct fnp_runtime_frame *fnp_runtimes_name(struct fnp_runtimes *runtimes, struct fnp_process *process,
						  const uint64_t *words, size_t n_words);

/*
 * Code that no ELF file holds, as it was at a time, by the process's jitdump or perf map (/tmp/perf-PID.map), if it writes
 * one; else NULL. Valid until the next call. The map is looked for at the first such address, and again after a second.
 */
const struct fnp_runtime_frame *fnp_runtimes_name_jit(struct fnp_runtimes *runtimes,
						      struct fnp_process *process, uint64_t address,
						      uint64_t time_ns);

/* Where the code lies in a file that a runtime has copied to this address, in the same process; 0: it is no copy. */
uint64_t fnp_runtimes_original(const struct fnp_process *process, uint64_t address);

/* How a native frame of this process is shown, whose address is as the object counts; `process` NULL: as it is. */
enum fnp_runtime_native fnp_runtimes_native(const struct fnp_process *process, const struct fnp_object *object,
					    uint64_t address, const char *name);

#endif
