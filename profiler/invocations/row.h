/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row: one line of the index and one profile. What an invocation, an init, a process, its idle or its shared time
 * came to. Plain data, filled by invocations/, closed once, then read by output/ and freed.
 *
 * Stacks are numbers of the recording's stack table (profiler/samples.h); a row holds how often and how long each
 * was seen, by thread.
 */
#ifndef FNP_PROFILER_INVOCATIONS_ROW_H
#define FNP_PROFILER_INVOCATIONS_ROW_H

#include <stdbool.h>

#include "base/map.h"
#include "base/vec.h"
#include "bpf/wire.h"
#include "profiler/invocations/ledger.h"

enum fnp_row_kind {
	FNP_ROW_INVOCATION,
	FNP_ROW_INIT,
	FNP_ROW_IDLE,
	FNP_ROW_SHARED,
	FNP_ROW_PROCESS,
	FNP_ROW_KINDS,
};

/* How it is known that a sample belongs to its row. */
enum fnp_attribution {
	FNP_ATTRIBUTION_EXACT, /* by the runtime's context, or the process is the invocation, or the only active one */
	FNP_ATTRIBUTION_INFERRED, /* by thread */
	FNP_ATTRIBUTION_SHARED,
	FNP_ATTRIBUTION_NONE, /* rows that are no invocation */
	FNP_ATTRIBUTIONS,
};

enum fnp_outcome {
	FNP_OUTCOME_UNKNOWN, /* absent from the line */
	FNP_OUTCOME_OK,
	FNP_OUTCOME_ERROR,
	FNP_OUTCOME_TIMEOUT,
	FNP_OUTCOME_KILLED,
	FNP_OUTCOME_UNFINISHED,
};

enum fnp_tristate { FNP_UNKNOWN, FNP_FALSE, FNP_TRUE };

/* One stack of one thread in this row. */
struct fnp_row_stack {
	uint32_t stack; /* number in the stack table of `epoch` */
	uint32_t comm;	/* number of the thread's name in the same epoch */
	uint32_t tid;
	uint32_t count; /* samples */
	uint64_t weight_ns;
	uint64_t off_cpu_ns, run_queue_ns; /* that it was off its CPU with this stack, and then waited for one */
};

/* When one sample was taken, in rows that have a begin and an end of their own. */
struct fnp_row_time {
	uint64_t t_ns; /* CLOCK_MONOTONIC */
	uint32_t at;   /* its stack's place in `stacks` */
};

#define FNP_ROW_TIMES_MAX 4096 /* 41 s of one CPU at the default rate; what comes after them has no time */

/* How an event is known. */
enum fnp_event_how {
	FNP_EVENT_USDT,
	FNP_EVENT_UPROBE,
	FNP_EVENT_SAMPLES,
	FNP_EVENT_WRITE, /* a marked write of the program */
	FNP_EVENT_HOWS,
};

#define FNP_ROW_EVENTS_MAX 20000 /* of one row; what comes after them is counted */
#define FNP_ROW_EVENT_TEXT_MAX 1024

/* Phases of a start, as they stand in `name`; each is told at its end (phases.c). */
#define FNP_PHASE "phase"
#define FNP_PHASE_LINKED "exec and dynamic linking"
#define FNP_PHASE_STARTED "runtime start"

/* Where an event's time went, by the clocks of its process; what is missing to its duration was quiet. */
struct fnp_event_spent {
	bool known;
	uint64_t on_cpu_ns, stolen_ns, run_queue_ns;
};

/* Something that a runtime or a program told of itself, or that was seen in it: a collection, an import, a mark. */
struct fnp_row_event {
	uint64_t t_ns;	      /* its begin, CLOCK_MONOTONIC */
	uint64_t duration_ns; /* 0: it has no length */
	uint32_t tid;
	enum fnp_event_how how;
	const char *what;	      /* "gc", "import", ...: lives as long as the program */
	char *name;		      /* owned by the row; NULL: not known */
	char *cause;		      /* likewise */
	char *arguments;	      /* likewise; numbers with a space between them */
	struct fnp_event_spent spent; /* of collections */
};

struct fnp_stack_epoch; /* profiler/samples.h: the table that the numbers above belong to */

/* Texts are owned by the row, or NULL when not known. */
struct fnp_row {
	enum fnp_row_kind kind;
	char *id;
	char *function;
	char *version;
	char *source;
	char *runtime;
	char *init;	      /* id of its init row */
	char *trace_id;	      /* 32 lower-case hexadecimal digits */
	char *parent_span_id; /* 16 */
	uint32_t pid;
	uint64_t process;  /* with pid: which process (struct fnp_record) */
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t duration_ns;
	uint64_t deadline_utc_ns; /* 0: not known */
	enum fnp_outcome outcome;
	enum fnp_tristate cold;

	uint64_t samples;
	uint64_t sampled_ns;
	uint64_t cpu_ns;
	uint64_t children_cpu_ns, post_cpu_ns;
	bool has_children_cpu, has_post_cpu;
	struct fnp_ledger ledger;		/* of invocations and inits */
	uint32_t handler_tid;			/* whose waits stand in it; 0: nobody's */
	uint64_t attribution[FNP_ATTRIBUTIONS]; /* samples */
	uint64_t losses[FNP_LOSS_MAX];		/* ticks */
	uint64_t truncated[FNP_TRUNCATION_MAX]; /* samples, by why their stack was cut */

	FNP_VEC(struct fnp_row_stack) stacks;
	uint32_t newest; /* place in `stacks` of the last sample's */
	FNP_VEC(struct fnp_row_time)
	times;			       /* of the first FNP_ROW_TIMES_MAX samples; see fnp_row_add_time() */
	struct fnp_map index;	       /* builder's own: finds equal stacks */
	struct fnp_stack_epoch *epoch; /* held by the row; NULL without samples */

	FNP_VEC(struct fnp_row_event) events; /* sorted by t_ns once the row is closed */
	uint64_t events_lost;
};

/* An empty row of this kind; NULL when there is no memory. */
struct fnp_row *fnp_row_create(enum fnp_row_kind kind);
void fnp_row_destroy(struct fnp_row *row);
FNP_DEFINE_CLEANUP(fnp_row_destroyp, struct fnp_row *, fnp_row_destroy)

/* Adds one sample; merges with an equal stack of the same thread. 0 or -ENOMEM (then nothing changed). */
int fnp_row_add_sample(struct fnp_row *row, const struct fnp_row_stack *one, enum fnp_attribution attribution,
		       enum fnp_truncation_cause truncation);

/* Stacks of the row have new numbers. */
void fnp_row_reindex(struct fnp_row *row);

/*
 * Keeps when the sample that was added last was taken: of invocations, inits and processes, up to the bound and as long as
 * there is memory. Idle and shared rows last as long as the recording, and nobody looks for a moment in them.
 */
void fnp_row_add_time(struct fnp_row *row, uint64_t t_ns);

/* Adds an event, texts copied; -ENOMEM, -ENOSPC: it is counted as lost. */
int fnp_row_add_event(struct fnp_row *row, const struct fnp_row_event *event);

/* Brings the events into the order of their begins; of two at once the longer, which holds the other, is first. */
void fnp_row_sort_events(struct fnp_row *row);

const char *fnp_event_how_name(enum fnp_event_how how);
/* Adds a stack that took time off a CPU; it counts as no sample. 0 or -ENOMEM (then nothing changed). */
int fnp_row_add_off_cpu(struct fnp_row *row, const struct fnp_row_stack *one);

const char *fnp_row_kind_name(enum fnp_row_kind kind);
const char *fnp_outcome_name(enum fnp_outcome outcome); /* NULL for FNP_OUTCOME_UNKNOWN */

/*
 * Where closed rows go. `close_row` takes the row over, also when it fails. Rows come in the order in which they
 * closed.
 */
struct fnp_row_sink {
	int (*close_row)(void *self, struct fnp_row *row);
	void *self;
};

#endif
