/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the watch share, and nobody else sees:
 *	watch.c		life, what attribution asks of us, rounds
 *	watch_begin.c	who is watched from the beginning
 *	watch_records.c	what comes out of the rings
 *	watch_exits.c	processes that end
 *	watch_attend.c	processes that begin while a row is being written
 */
#ifndef FNP_PROFILER_WATCH_STATE_H
#define FNP_PROFILER_WATCH_STATE_H

#include <errno.h>

#include "base/log.h"
#include "profiler/probes.h"
#include "profiler/records.h"
#include "profiler/rings.h"
#include "profiler/runtimes.h"
#include "profiler/targets/spaces.h"
#include "profiler/watch.h"

/* A process that ended and is not settled yet, or is kept for its rows' sake. */
struct fnp_watch_exited {
	uint32_t pid;
	uint64_t process;
	uint64_t time_ns;
	bool over; /* its last thread has left its CPU; settled in the next round, when its samples are in */
	bool settled; /* given to everybody; its mappings are kept a while */
};

struct fnp_watch {
	struct fnp_watch_options options;
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_map_events *map_events;
	struct fnp_disk_cache *cache; /* NULL: none can be had */
	struct fnp_spaces *spaces;
	struct fnp_resumer *resumer;
	struct fnp_runtimes *runtimes;
	struct fnp_probes *probes;
	struct fnp_samples *samples;
	struct fnp_profiles *profiles;
	struct fnp_debuginfod *debuginfod; /* NULL: nobody asked for it */
	uint64_t fetch_wait_ns;		   /* how long rows may still wait for it while others work */
	struct fnp_invocations *invocations;
	struct fnp_rings *rings;
	FNP_VEC(uint64_t) held;	 /* samples of after this round's time, whole records one after the other */
	FNP_VEC(uint64_t) late;	 /* samples whose stacks wait for tables; likewise */
	uint64_t late_finished;	 /* fnp_tables_finished() + fnp_runtimes_tend() when they were last tried */
	bool may_wait;		 /* at the end of a recording: for those tables */
	FNP_VEC(uint64_t) early; /* events that were taken while rows were written; likewise */
	size_t early_begun;	 /* words of them whose processes and mappings are known already */
	size_t samples_seen;	 /* words of the next samples that were looked at while rows were written */
	uint64_t attended_ns;	 /* when fnp_watch_attend() last looked */
	bool may_attend;	 /* rows are closing, and nothing else is under way */
	FNP_VEC(struct fnp_watch_exited) exited;
	struct fnp_watch_totals totals;
	uint64_t now_ns;	    /* of this round */
	uint64_t maps_lost;	    /* mapping events, as far as made up for */
	uint64_t newborn_ns;	    /* the last exec */
	uint64_t swept_ns;	    /* fnp_watch_sweep_objects() */
	size_t sweep_at;	    /* so many objects are worth a sweep out of turn; 0: OBJECTS_MANY */
	uint64_t restless_until_ns; /* until then much is read that is soon gone */
};

/* ---- watch.c ---- */
/* NULL when it is not known, or the pid is another process's; `process` 0: any. */
struct fnp_process *fnp_watch_find_process(struct fnp_watch *watch, uint32_t pid, uint64_t process);
/* Its mappings, its runtimes and itself. */
void fnp_watch_forget_process(struct fnp_watch *watch, uint32_t pid);
/* The same, and the kernel's target. */
void fnp_watch_unwatch(struct fnp_watch *watch, uint32_t pid);

/* ---- watch_begin.c ---- */
/* A living process's environment, as /proc/PID/environ has it. */
int fnp_watch_read_environment(uint32_t pid, struct fnp_buffer *ret);

/* ---- watch_records.c ---- */
/* One record of a ring, not checked yet; `self` is the watch. */
void fnp_watch_take_event(void *self, const void *data, size_t size);
void fnp_watch_take_sample(void *self, const void *data, size_t size);
void fnp_watch_take_probe(void *self, const void *data, size_t size);
/* Its two halves: who begins, and what that means for invocations. */
int fnp_watch_begin_process(struct fnp_watch *watch, const struct fnp_record *head);
void fnp_watch_attribute_event(struct fnp_watch *watch, const struct fnp_record *head);
/* Samples that came before their time, in the round before. */
void fnp_watch_give_held(struct fnp_watch *watch);

/* Samples whose tables were not ready; none is left once the watch may wait. */
void fnp_watch_give_late(struct fnp_watch *watch);

/* ---- watch_attend.c ---- */
/* Between two steps of writing a row: learns of processes and mappings that are new. `self` is the watch. */
void fnp_watch_attend(void *self);
/* At the begin of a round: the rest of what that began. */
void fnp_watch_give_early(struct fnp_watch *watch);

/* ---- watch_objects.c ---- */
/* About once a second: closes files that nobody refers to any more. */
void fnp_watch_sweep_objects(struct fnp_watch *watch);

/* ---- watch_exits.c ---- */
void fnp_watch_remember_exit(struct fnp_watch *watch, const struct fnp_record *head);
/* Once a round: settles who is over, forgets who was kept long enough. */
void fnp_watch_visit_exited(struct fnp_watch *watch);
/* What the kernel counted for a process, into its rows and the totals. */
void fnp_watch_settle_losses(struct fnp_watch *watch, uint32_t pid, const struct fnp_target *target);

#endif
