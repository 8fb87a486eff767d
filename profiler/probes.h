/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which probes sit where: the runtimes' own that cost next to nothing, and those that were asked for by name.
 *
 * A file is looked at once, when the first watched process maps it, and its probes are put on it for good, once an
 * inode: processes that come later have them from their first instruction on. One that is on by itself and is hit so
 * often that it would cost something is taken away again, and that is said.
 */
#ifndef FNP_PROFILER_PROBES_H
#define FNP_PROFILER_PROBES_H

#include "profiler/collectors/usdt.h"
#include "profiler/runtimes.h"
#include "profiler/spans.h"

struct fnp_probes;

struct fnp_probes_options {
	struct fnp_usdt *usdt; /* NULL: the collector is not there, and nothing happens */
	struct fnp_objects *objects;
	struct fnp_runtimes *runtimes;
	const char *const *asked; /* "provider:probe", each may be a pattern of a shell; live as long as this */
	size_t n_asked;
	/* A finished event. */
	void (*tell)(void *self, const struct fnp_invocations_place *at, const struct fnp_row_event *event);
	void *self;
};

int fnp_probes_create(const struct fnp_probes_options *options, struct fnp_probes **ret);
void fnp_probes_destroy(struct fnp_probes *probes);
FNP_DEFINE_CLEANUP(fnp_probes_destroyp, struct fnp_probes *, fnp_probes_destroy)

/* "provider:probe": -EINVAL for anything else. */
int fnp_probes_check_name(const char *name);

/* The mappings of a process that is wanted changed. */
void fnp_probes_update(struct fnp_probes *probes, struct fnp_process *process);

/* A file that a process is about to map; NULL and others that are no ELF files are passed over. */
void fnp_probes_expect(struct fnp_probes *probes, const char *path);

/*
 * A program that is about to run, as execvp() finds it: its file, and for the launcher of a JVM or of CPython the library
 * beside it, get their probes before its first instruction.
 */
void fnp_probes_expect_program(struct fnp_probes *probes, const char *program);

/* An object is to be closed: forgets it. False when probes were planned for it: they sit, and are told of by its plan. */
bool fnp_probes_let_go(struct fnp_probes *probes, const struct fnp_object *object);

/* A checked record. */
void fnp_probes_take(struct fnp_probes *probes, const struct fnp_probe_record *record);

/* A process is over (pid 0: all are). */
void fnp_probes_end_process(struct fnp_probes *probes, uint32_t pid, uint64_t process, uint64_t time_ns);

/* Processes that ran a file's code before its probes sat: the first of each file, and what started at the same time. */
struct fnp_probes_late {
	uint64_t processes; /* counted once for each file */
	uint64_t max_ns;    /* that one of them ran so */
};
struct fnp_probes_late fnp_probes_late(const struct fnp_probes *probes);

/* About once a second: takes away what is hit too often. */
void fnp_probes_tend(struct fnp_probes *probes, uint64_t now_ns);

/* Says which of those that were asked for were never met. */
void fnp_probes_finish(struct fnp_probes *probes);

#endif
