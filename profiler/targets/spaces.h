/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces as the walkers see them: which code lies where in each watched process, mirrored from
 * profiler/targets/processes into the maps of bpf/layout/native.h, with the unwind tables of the objects.
 *
 * A change of a process makes a new space (space_pool.h); processes that look alike (forked workers) share one.
 *
 * For the session:
 *	fnp_spaces_create(&fds, objects, &spaces);
 *	fnp_processes_on_mapping(processes, fnp_spaces_update, spaces);
 *	fnp_spaces_fork(spaces, pid, child)	before fnp_processes_fork()
 *	fnp_spaces_remove(spaces, pid)		when the process is removed
 *	fnp_resume_walk() (resume.h)		for samples with FNP_SECTION_RESUME, before frames get names
 * For a runtime:
 *	fnp_spaces_set_runtime()
 */
#ifndef FNP_PROFILER_TARGETS_SPACES_H
#define FNP_PROFILER_TARGETS_SPACES_H

#include "base/vec.h"
#include "profiler/targets/code_ranges.h"
#include "profiler/targets/processes.h"
#include "profiler/targets/space_pool.h"

/* Of the maps with these names; negative: plain memory, for tests. They stay the caller's. */
struct fnp_spaces_fds {
	int fnp_pid_spaces, fnp_spaces, fnp_code_ranges, fnp_native_tables, fnp_arenas;
};

/* Code of a process that a runtime's walker takes. */
struct fnp_code_special {
	uint64_t start, end;
	uint16_t kind; /* enum fnp_code_kind */
	uint16_t data; /* the walker's own */
};

struct fnp_spaces;

#define FNP_SPACES_TABLE_BYTES_MAX (32U << 20)

int fnp_spaces_create(const struct fnp_spaces_fds *fds, struct fnp_objects *objects, struct fnp_spaces **ret);
void fnp_spaces_destroy(struct fnp_spaces *spaces);
FNP_DEFINE_CLEANUP(fnp_spaces_destroyp, struct fnp_spaces *, fnp_spaces_destroy)

/* The mappings of a process changed, or it is new. `self` is the struct fnp_spaces. */
void fnp_spaces_update(void *self, struct fnp_process *process);

/*
 * Tries again for processes whose newest mappings there was no room for; to be called in each round. What they had
 * before is walked meanwhile, unless it is not true any more.
 */
void fnp_spaces_catch_up(struct fnp_spaces *spaces, struct fnp_processes *processes);

/* A child was forked: what a runtime said of its parent holds for it, too. */
void fnp_spaces_fork(struct fnp_spaces *spaces, uint32_t pid, uint32_t child_pid);

/* No samples of the process will come any more. */
void fnp_spaces_remove(struct fnp_spaces *spaces, uint32_t pid);

/*
 * What a runtime knows of a process: code that its walker takes, and the words that the walker finds in
 * fnp_space.runtime[kind - FNP_CODE_PYTHON]. Replaces what was said for this `kind` before; forgotten at exec. The
 * special ranges keep object and bias of the mapping that they lie in. 0 or -ENOMEM.
 */
int fnp_spaces_set_runtime(struct fnp_spaces *spaces, struct fnp_process *process, uint16_t kind,
			   const uint64_t words[FNP_SPACE_RUNTIME_WORDS],
			   const struct fnp_code_special *special, size_t n);

/*
 * A runtime comes up (true) that will say of code without a file how it is walked: until it does, by
 * fnp_spaces_set_runtime(), stacks through such code wait for it. False: it will not; frame pointers are believed again.
 */
void fnp_spaces_expect_runtime(struct fnp_spaces *spaces, struct fnp_process *process, bool is_expected);

/*
 * The code ranges of a process as they were at a time, ascending, into `ret` (emptied first). The objects' tables are
 * in use until fnp_spaces_release_ranges(). 0 or -ENOMEM.
 */
int fnp_spaces_ranges_at(struct fnp_spaces *spaces, const struct fnp_process *process, uint64_t time_ns,
			 fnp_code_range_vec *ret);
void fnp_spaces_release_ranges(struct fnp_spaces *spaces, fnp_code_range_vec *ranges);

/* The words of the runtimes, zero where nothing was said. */
void fnp_spaces_runtime_words(const struct fnp_spaces *spaces, uint32_t pid,
			      uint64_t ret[FNP_SPACE_RUNTIMES][FNP_SPACE_RUNTIME_WORDS]);

struct fnp_tables *fnp_spaces_tables(struct fnp_spaces *spaces);

#endif
