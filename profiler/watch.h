/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is watched, kept in step on four sides: the kernel's targets, the table of processes and their mappings, the
 * runtimes, and attribution. Records come in here, checked; rows go out through the sink.
 *
 * One round, driven by the session:
 *	fnp_watch_round(watch, now)
 * takes everything up to `now` in the order that makes it right: events (who exists), mappings (what is where), samples
 * (taken with both known), then processes that are over. A sample that was taken after `now` waits for the next round.
 */
#ifndef FNP_PROFILER_WATCH_H
#define FNP_PROFILER_WATCH_H

#include "profiler/collectors/kernel.h"
#include "profiler/invocations/invocations.h"
#include "profiler/probes.h"
#include "profiler/profiles.h"
#include "profiler/samples.h"

struct fnp_watch;

struct fnp_watch_options {
	struct fnp_kernel *kernel; /* loaded; not owned */
	enum fnp_invocations_mode mode;
	int64_t utc_offset_ns;
	int64_t period_ns;
	const char *const *probes; /* "provider:probe", asked for by name; not owned */
	size_t n_probes;
	bool debuginfod;  /* debug data is asked for at its servers */
	bool source_maps; /* see struct fnp_runtime_process */
	/* A closed row with its profile; neither is kept. */
	int (*write)(void *self, const struct fnp_row *row, const struct fnp_profile *profile);
	/* A process is over, or the recording is: what it used in all. */
	int (*add_process)(void *self, uint32_t pid, uint64_t process, uint64_t cpu_ns);
	void *self;
};

struct fnp_watch_totals {
	uint64_t ticks;
	uint64_t losses[FNP_LOSS_MAX];
	uint64_t events_lost;
	uint64_t off_cpu_lost; /* times off a CPU that found no room */
	struct fnp_ledger_counts ledgers;
	struct fnp_probes_late probes_late;
};

int fnp_watch_create(const struct fnp_watch_options *options, struct fnp_watch **ret);
void fnp_watch_destroy(struct fnp_watch *watch);
FNP_DEFINE_CLEANUP(fnp_watch_destroyp, struct fnp_watch *, fnp_watch_destroy)

/* Watches a process that runs already; said when it cannot be. */
int fnp_watch_add_pid(struct fnp_watch *watch, uint32_t pid);

/* Watches CMD's process, which waits for its exec. Its file gets its probes now. */
int fnp_watch_add_command(struct fnp_watch *watch, uint32_t pid, const char *program);

/* Watches every process of the host in which a source finds work. */
int fnp_watch_scan_host(struct fnp_watch *watch);

/* Mapping events begin to flow. Call it before processes are added. */
int fnp_watch_start(struct fnp_watch *watch);

#define FNP_WATCH_FDS 4

/* Descriptors to poll for reading: the rings (-1: one that is not there), and the one of mappings. */
void fnp_watch_fds(const struct fnp_watch *watch, int ret[FNP_WATCH_FDS]);

int fnp_watch_round(struct fnp_watch *watch, uint64_t now_ns);

/* In milliseconds: how long the session may sleep. Short while a new program is being mapped. */
int fnp_watch_patience_ms(const struct fnp_watch *watch, uint64_t now_ns);

/* Once a second or so: gives back memory that is easily had again. */
void fnp_watch_tidy(struct fnp_watch *watch);

/* True while one of the processes lives that were given with -p. */
bool fnp_watch_any_given_alive(const struct fnp_watch *watch);

/* Nothing new comes: takes the rest, closes every row, and says what it came to. */
int fnp_watch_finish(struct fnp_watch *watch, uint64_t now_ns, struct fnp_watch_totals *ret);

void fnp_watch_counters(const struct fnp_watch *watch, struct fnp_invocations_counters *ret);

#endif
