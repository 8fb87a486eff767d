/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attribution: from checked records to rows.
 *
 * The engine knows every watched process, what its sources say about it, its connections and its active invocations.
 * It turns events into intervals of event numbers (event N began invocation X, event M ended it), gives each sample
 * to the row whose interval holds the sample's number, and each stretch of CPU time to the row that was active. Rows
 * are closed a short grace after their end, and handed to the sink.
 *
 * It touches no kernel, file or clock: records, times and the callbacks below are all that it sees, so that a test is
 * a list of records. Not thread safe; callbacks must not call back into the engine.
 *
 * How the session drives it, in each round:
 *	1. now = fnp_clock_ns(), *before* it reads the rings: all that happened up to `now` is then delivered first;
 *	2. every event in the ring: fnp_record_check, fnp_invocations_event;
 *	3. every sample in the ring: stack interned, fnp_invocations_sample;
 *	4. processes that are over for good: fnp_invocations_gone; what the kernel side lost: fnp_invocations_loss;
 *	5. fnp_invocations_advance(now).
 * Rounds at least every 100 ms keep rows within 1 s of their end.
 */
#ifndef FNP_PROFILER_INVOCATIONS_INVOCATIONS_H
#define FNP_PROFILER_INVOCATIONS_INVOCATIONS_H

#include "base/buffer.h"
#include "profiler/invocations/row.h"

struct fnp_invocations;

enum fnp_invocations_mode {
	FNP_MODE_HOST,	   /* only processes in which a source finds work, and what they start */
	FNP_MODE_GIVEN,	   /* the PIDs that were attached, and all they start: each has rows */
	FNP_MODE_LAUNCHED, /* CMD and all it starts: likewise */
};

/* What the engine asks of the session. Every function but `set_filter` and `unwatch` may be NULL. */
struct fnp_invocations_host {
	void *self;

	/*
	 * The kernel side's filter of a process is to be this: `flags` are of enum fnp_target_flags (without
	 * FNP_TARGET_PROVISIONAL: it is decided), `port` as in struct fnp_target. Children inherit it in the kernel.
	 * Every attach and every exec is answered by this or by `unwatch`: until then the kernel side should let all
	 * TCP sockets through (FNP_TARGET_SOCKETS, port 0), so that the first request of a quick client is seen.
	 */
	void (*set_filter)(void *self, uint32_t pid, uint32_t flags, uint16_t port);

	/* No source wants this process (host-wide mode only): it is to be watched no longer. */
	void (*unwatch)(void *self, uint32_t pid, uint64_t process);

	/*
	 * "python3.12", "jvm21", "node24", "native"; NULL when not known. Asked when the process begins its first
	 * invocation, when it ends, and when a row of it closes, until there is an answer. The text is copied.
	 */
	const char *(*runtime_name)(void *self, uint32_t pid, uint64_t process);

	/* CPU time of a process that still lives, as its target counts it now. 0 or -errno. */
	int (*cpu_now)(void *self, uint32_t pid, uint64_t process, uint64_t *ret_ns);

	/*
	 * The environment of a process that lives, as /proc/PID/environ has it; asked when a record's copy was cut, and
	 * for a process whose first records were lost. 0 or -errno.
	 */
	int (*environment)(void *self, uint32_t pid, uint64_t process, struct fnp_buffer *ret);
};

struct fnp_invocations_options {
	enum fnp_invocations_mode mode;
	struct fnp_row_sink sink;
	struct fnp_invocations_host host;
	int64_t utc_offset_ns; /* fnp_clock_utc_offset_ns() at the start of the recording */
};

int fnp_invocations_create(const struct fnp_invocations_options *options, struct fnp_invocations **ret);

/* Frees everything; rows that are still open are not handed to the sink (fnp_invocations_finish does that). */
void fnp_invocations_destroy(struct fnp_invocations *engine);
FNP_DEFINE_CLEANUP(fnp_invocations_destroyp, struct fnp_invocations *, fnp_invocations_destroy)

/*
 * A process that runs already (-p, the scan at a host-wide start), before its first record is given. In
 * FNP_MODE_LAUNCHED for CMD's process, too, which then waits for its exec. In FNP_MODE_HOST one that no source wants
 * is not taken: -ENOENT, and nothing is remembered.
 */
struct fnp_invocations_process {
	uint32_t pid;
	uint64_t process; /* as in struct fnp_record; 0: not known yet */
	uint64_t now_ns;
	const char *program;	 /* path or name of its executable; NULL: not known */
	const char *environment; /* as in /proc/PID/environ; NULL: none */
	size_t environment_size;
	bool waits_for_exec; /* FNP_TARGET_WAIT_EXEC: nothing of it counts before its exec */
};
int fnp_invocations_attach(struct fnp_invocations *engine, const struct fnp_invocations_process *process);

/*
 * An event, checked. Records of one process may come a little out of order (their numbers tell); a number that is
 * still missing after 100 ms is counted as lost. 0, or -ENOMEM: then the event is lost and counted.
 */
int fnp_invocations_event(struct fnp_invocations *engine, const struct fnp_record *record);

/*
 * A sample, checked; `one` is its stack (count 1, weight_ns and tid are set by the engine from the record). It is
 * always taken: put into its row now, kept until its process's events arrived, or counted by cause. All samples of a
 * row must be of one `epoch`, which must live until the sink has the row.
 */
void fnp_invocations_sample(struct fnp_invocations *engine, const struct fnp_sample_record *record,
			    struct fnp_row_stack one, struct fnp_stack_epoch *epoch);

/*
 * Calls `visit` for every stack that an open row or a waiting sample refers to; the same may come again. With `next`
 * each comes once, `visit` gives it its number in that epoch, and all that is open belongs to it from then on.
 */
typedef void fnp_row_stack_fn(void *self, struct fnp_row_stack *one);
void fnp_invocations_each_stack(struct fnp_invocations *engine, struct fnp_stack_epoch *next,
				fnp_row_stack_fn *visit, void *self);

/*
 * A thread left its CPU, with this stack; and it is back. Both checked, in the order of their ring. Times that find no
 * row, room or memory are counted in off_cpu_lost.
 */
void fnp_invocations_off_cpu(struct fnp_invocations *engine, const struct fnp_sample_record *record,
			     struct fnp_row_stack one, struct fnp_stack_epoch *epoch);
void fnp_invocations_off_cpu_end(struct fnp_invocations *engine, const struct fnp_off_cpu_end_record *record);

/* "sleep", "lock", ...; of FNP_WAIT_MAX and above "run_queue". */
const char *fnp_wait_name(uint32_t wait);

/* `n` ticks of this process became no sample. They stand in the row that is active now. */
void fnp_invocations_loss(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
			  enum fnp_loss_cause cause, uint64_t n);

/*
 * Something that the process told of itself (a collection, an import, a mark). `at` says when and where it began, by
 * number: it goes to the row that a sample of that moment would go to, and waits as one. Texts are copied.
 */
struct fnp_invocations_place {
	uint32_t pid;
	uint32_t tid;
	uint64_t process;
	uint64_t seq;
	uint64_t time_ns;
};
void fnp_invocations_row_event(struct fnp_invocations *engine, const struct fnp_invocations_place *at,
			       const struct fnp_row_event *event);

/* `n` of those could not be told; they are counted in the row that is active now. */
void fnp_invocations_row_events_lost(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
				     uint64_t n);

/*
 * A process left its last CPU; all its records have been given. `final` is the last state of its target: cpu_ns is
 * charged to the end, `lost` is NOT added here (use fnp_invocations_loss). Without this call a process whose exit was
 * seen is closed after 2 s with the CPU time that is known.
 */
void fnp_invocations_gone(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
			  const struct fnp_target *final, uint64_t time_ns);

/* Everything that happened before `now_ns` has been given: closes what is due. */
void fnp_invocations_advance(struct fnp_invocations *engine, uint64_t now_ns);

/* The recording ends: invocations that are active become `unfinished`, and every row is closed. */
void fnp_invocations_finish(struct fnp_invocations *engine, uint64_t now_ns);

/* True while at least one watched process lives. */
bool fnp_invocations_any_alive(const struct fnp_invocations *engine);

/* True while one of those lives that the recording began with (-p ends with the last one), whatever they have started. */
bool fnp_invocations_any_given_alive(const struct fnp_invocations *engine);

struct fnp_invocations_counters {
	uint64_t samples;	   /* that stand in rows, open and closed */
	uint64_t samples_unwanted; /* of processes that no source wanted: their ticks are nobody's */
	uint64_t losses[FNP_LOSS_MAX]; /* ticks: those given with fnp_invocations_loss, and what the engine lost */
	uint64_t losses_unwanted; /* ticks given with fnp_invocations_loss for processes that were not wanted */
	uint64_t events_lost;	  /* events for which there was no memory or no room */
	uint64_t events_missing; /* numbers that never came: the kernel side counts the same as events_lost */
	uint64_t streams_lost;	 /* times that a connection was out of step with HTTP */
	uint64_t answers_unknown;	  /* answers to invocations whose begin was not seen */
	uint64_t invocations;		  /* rows of kind invocation that were closed */
	uint64_t rows;			  /* all rows that were closed */
	uint64_t rows_failed;		  /* rows that the sink refused */
	uint64_t row_events;		  /* that stand in rows */
	uint64_t row_events_lost;	  /* that found no row, no room or no memory */
	uint64_t off_cpu_ns;		  /* of times off a CPU that had a stack, with what they stand for */
	uint64_t off_cpu_lost;		  /* such times that found no room */
	struct fnp_ledger_counts ledgers; /* of rows that were closed */
	uint64_t active;		  /* invocations that are active now */
	uint64_t processes;		  /* watched now */
};
void fnp_invocations_counters(const struct fnp_invocations *engine, struct fnp_invocations_counters *ret);

#endif
