/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the engine share; nobody outside this folder includes it.
 *
 *	invocations.c	the public face: rounds, the table of processes, what is due
 *	process.c	one process: its rows outside of invocations, exec, fork and exit
 *	cpu.c		which row a stretch of CPU time goes to
 *	handling.c	which thread handled an invocation; ledgers
 *	ledger.c	what stood between two readings of a process's clocks
 *	active.c	the begin and the end of invocations
 *	attribute.c	which row a sample belongs to; samples that must wait
 *	streams.c	connections, and what their messages mean
 *	handover.c	invocations that several processes serve
 *	timeline.c	what processes tell of themselves, into rows
 *	off_cpu.c	times that threads were off their CPU, into rows
 *	collections.c	the ledger's line of collections
 *	phases.c	the phases of a start
 *	order.c		events of one process in the order of their numbers
 *
 * Three rules that hold between calls:
 *   I1  The phases of a process are sorted by number, and the last one's row is open. A number belongs to the
 *	 invocations whose [begin, end) holds it, else to the last phase that does not begin after it.
 *   I2  `cpu_mark` is the CPU time of the process that has been charged to rows (and to `pool_ns`). It is moved by
 *	 engine_charge alone, *before* the set of active invocations changes. So the rows of a pid sum to its CPU time.
 *   I3  An invocation is in `active` or `ended` of its process until its row is closed; who remembers it for longer
 *	 keeps its serial, not its address. Processes that work for an exec invocation are counted in `users`.
 */
#ifndef FNP_PROFILER_INVOCATIONS_ENGINE_H
#define FNP_PROFILER_INVOCATIONS_ENGINE_H

#include "profiler/invocations/invocations.h"
#include "profiler/records.h"
#include "profiler/sources/source.h"

#define FNP_ENGINE_PROCESSES_MAX 16384
#define FNP_ENGINE_CONNECTIONS_MAX 4096
#define FNP_ENGINE_ACTIVE_MAX 1024 /* of one process */
#define FNP_ENGINE_PHASES_MAX 64   /* open rows of one process that execs in a loop */
#define FNP_ENGINE_HELD_MAX 16384  /* samples that wait */
#define FNP_ENGINE_QUEUE_MAX 64	   /* events of one process that wait for an earlier one */
#define FNP_ENGINE_THREADS_MAX 1024
#define FNP_ENGINE_GCS_MAX 4096	 /* collections of one process that rows may still want */
#define FNP_ENGINE_OFF_MAX 20000 /* times off a CPU of one process that are open, or that wait for a row */

#define FNP_ENGINE_LATE_NS (100 * 1000000ULL)  /* what has not come after so long is lost */
#define FNP_ENGINE_GRACE_NS (200 * 1000000ULL) /* from a row's end to its closing: other CPUs' late records */
#define FNP_ENGINE_POST_NS                                                                                   \
	(600 * 1000000ULL) /* so long an invocation waits for the CPU time after its answer */
#define FNP_ENGINE_GONE_NS                                                                                   \
	(2000 * 1000000ULL) /* from the last exit, when nobody says that the process is gone */

struct process;

struct invocation {
	struct fnp_row *row;
	struct process *process;
	uint64_t serial;
	struct fnp_moment begin, end;
	uint64_t end_seq;     /* UINT64_MAX: it lasts to the end of its process, as far as is known */
	uint64_t alone_ns;    /* CPU time while it was the only one */
	uint64_t inferred_ns; /* weight of samples that were given to it by thread */
	bool overlapped;      /* there were others, at least for a time */
	bool disturbed;	      /* its thread received or answered for another one meanwhile */
	bool certain;	      /* the thread that received it answered it, and nothing else meanwhile */
	bool was_handed;      /* another process fetched it, see handover.c */
	uint64_t answered_ns; /* another process answered it at that time; 0: not yet */
	enum fnp_outcome answered_outcome;
	bool doubtful;	      /* events of its process were lost since it began */
	uint32_t users;	      /* exec: processes that work for it, itself included */
	uint32_t handler_tid; /* of an ended one: the thread that handled it, as far as is known */
};

/* A thread was off its CPU. */
struct off_time {
	struct fnp_row_stack one;
	struct fnp_stack_epoch *epoch;
	uint64_t begin_ns, end_ns;	 /* end 0: it still is */
	uint64_t queued_ns;		 /* the last part of it, in a run queue */
	uint64_t walk_ns;		 /* the first part of it, in which its stack was taken */
	bool was_certain;		 /* so long a one is always taken: it stands for itself alone */
	uint32_t expected_us, period_us; /* as in struct fnp_sample_record */
	uint32_t wait;			 /* enum fnp_wait, or FNP_WAIT_MAX: it was pushed */
	struct fnp_peer peer;		 /* port 0: not known */
	struct off_time *older; /* of those that are open, one of the same thread that began before; owned */
};

/* A collection of a process's runtime. */
struct collection {
	uint64_t begin_ns, duration_ns;
	uint32_t tid;
	struct fnp_event_spent spent;
};

struct phase {
	uint64_t from_seq;
	struct fnp_row *row;
	uint64_t due_ns; /* 0: the row is open */
	bool past; /* of a program before the last exec: what is known of the process now is not about it */
};

struct thread_origin {
	uint32_t tid, creator;
	uint64_t seq; /* of the fork */
};

struct process {
	uint32_t pid;
	uint64_t process;      /* 0: not known yet */
	uint32_t parent_pid;   /* that forked it; 0: not seen */
	uint64_t parent;       /* likewise, its `process` */
	struct process *older; /* an earlier process of this pid whose rows are not all closed */

	struct fnp_claim claim;
	bool claimed;
	bool unwanted; /* nobody wants it: kept for a while so that its late records are known */
	bool waits_for_exec;
	bool birth_seen;  /* its fork or exec was seen: its first row is whole */
	bool has_image;	  /* it runs a program of its own (exec, or attached), not its parent's */
	bool descendant;  /* it was started by a watched process */
	bool instance;	  /* it asked for work, or failed to begin */
	bool served;	  /* it had an invocation */
	bool unseen_call; /* it is part of an exec invocation that had begun before we came */
	char *unseen_id;  /* the id of that one; NULL: it has none */
	bool dead, gone;
	uint64_t unwanted_ns; /* since when its late records are known; 0: it has just been found unwanted */
	uint64_t exit_ns;
	char *program, *runtime;
	char *learned_function, *learned_version; /* from an invocation */
	char *init_id;				  /* of the init row that the next invocation paid for */

	uint64_t next_seq;		    /* 0: any will do */
	FNP_VEC(struct fnp_record *) queue; /* sorted by number */
	struct fnp_moment last;		    /* the last event */
	struct fnp_moment image;	    /* the exec of the program that it runs; `seq` 0: not seen */
	uint32_t handler_tid;		    /* the thread that answered last; 0: none yet */
	struct fnp_moment handler_exit; /* the exit of the thread that would have answered, when it was seen */

	FNP_VEC(struct phase) phases;
	struct fnp_row *own;  /* open row of an image that may still become an init; one of phases, or NULL */
	struct fnp_row *idle; /* one of phases, or NULL */
	struct fnp_row *shared; /* NULL until two invocations overlap */
	FNP_VEC(struct invocation *) active;
	FNP_VEC(struct invocation *) ended; /* in the order in which they ended */
	struct invocation *owner;	    /* the exec invocation that it works for */
	uint64_t for_serial;		    /* invocation of another process that started it; 0: none */
	uint64_t paid_ns;		    /* of its CPU time, to that one */
	uint64_t cpu_mark;
	uint64_t pool_ns;		       /* CPU time while several were active, not yet given to one */
	FNP_VEC(struct thread_origin) threads; /* a ring of the newest */
	size_t next_thread;
	struct fnp_map off_open;		/* by thread, its newest struct off_time *, owned */
	FNP_VEC(struct off_time) off_done;	/* that wait for the rows of invocations */
	FNP_VEC(struct collection) collections; /* in the order of their ends */
	unsigned int n_pending; /* connections on which a begin or an end may still be dated back */
};

struct connection {
	uint64_t socket;
	struct connection *next, *prev; /* by last use; the first is the newest */
	struct process *process;	/* of its last event */
	struct fnp_http_connection *http;
	const struct fnp_source_ops *source;
	uint16_t local_port, remote_port;
	struct fnp_work request;      /* the one that is being sent */
	struct fnp_moment unread_end; /* of the last one that could not be read; `seq` 0: it has not ended */
	bool pending;
};

struct held {
	uint32_t pid;
	uint64_t process, seq, time_ns;
	struct fnp_row_stack one;
	enum fnp_truncation_cause truncation;
	struct fnp_stack_epoch *epoch;
};

/* An event of a row that waits; its texts are its own. */
struct held_event {
	struct fnp_invocations_place at;
	struct fnp_row_event event;
};

struct fnp_invocations {
	struct fnp_invocations_options options;
	struct fnp_invocations_counters counters;
	struct fnp_map processes; /* pid to the newest process of that pid */
	struct fnp_map serials;	  /* open invocations */
	struct fnp_map sockets;	  /* to struct connection */
	struct connection *newest, *oldest;
	FNP_VEC(struct held) held;
	FNP_VEC(struct held_event) held_events;
	uint64_t next_serial;
	uint64_t next_id[FNP_ROW_KINDS];
	uint64_t now_ns; /* of the last round */
	bool finishing;
};

/* ---- invocations.c ---- */
struct process *fnp_engine_find(const struct fnp_invocations *engine, uint32_t pid, uint64_t process);
/* A new entry, which hides an older one of the same pid; NULL: no memory, or too many. */
struct process *fnp_engine_add(struct fnp_invocations *engine, uint32_t pid, uint64_t process);
/* A process that nobody announced: its environment is asked for. */
struct process *fnp_engine_adopt(struct fnp_invocations *engine, uint32_t pid, uint64_t process,
				 uint64_t now_ns);
/* Hands a row to the sink; with `current`, what is known of its process now may name it. */
void fnp_engine_close_row(struct fnp_invocations *engine, struct process *process, struct fnp_row *row,
			  bool current);

/* ---- process.c ---- */
void fnp_engine_apply(struct fnp_invocations *engine, struct process *process, const struct fnp_record *record);
struct phase *fnp_engine_phase_at(struct process *process, uint64_t seq);
/* What is known from its environment, or from being started by a watched process. */
void fnp_engine_claim(struct fnp_invocations *engine, struct process *process,
		      const struct fnp_environment *environment);
/* It ran already when we came: if it is an exec invocation, that one's begin was not seen, and it gets no row. */
int fnp_engine_note_unseen_call(struct process *process);
int fnp_engine_open_own(struct process *process, uint64_t from_seq, uint64_t start_ns);
/* It asked for work (or its init failed) at this moment. */
void fnp_engine_become_instance(struct fnp_invocations *engine, struct process *process,
				const struct fnp_moment *moment, enum fnp_outcome outcome);
void fnp_engine_end_process(struct fnp_invocations *engine, struct process *process, uint64_t time_ns);
void fnp_engine_close_due(struct fnp_invocations *engine, struct process *process, uint64_t now_ns);
void fnp_engine_free_process(struct fnp_invocations *engine, struct process *process);
void fnp_engine_name_runtime(struct fnp_invocations *engine, struct process *process);
char *fnp_engine_row_id(struct fnp_invocations *engine, enum fnp_row_kind kind, uint32_t pid);

/* ---- cpu.c ---- */
void fnp_engine_charge(struct process *process, uint64_t process_ns);
/* The last word on a process: an estimate that was too high (time stolen by the host) is taken back. */
void fnp_engine_settle(struct process *process, uint64_t final_ns);

/* ---- active.c ---- */
struct invocation *fnp_engine_begin(struct fnp_invocations *engine, struct process *process,
				    struct fnp_identity *identity, const struct fnp_moment *begin);
void fnp_engine_end(struct fnp_invocations *engine, struct invocation *invocation,
		    const struct fnp_moment *end, enum fnp_outcome outcome);
/* The process is the invocation, in the row that it has. */
void fnp_engine_begin_exec(struct fnp_invocations *engine, struct process *process,
			   const struct fnp_moment *begin);
struct invocation *fnp_engine_find_active(struct process *process, const char *id);
struct invocation *fnp_engine_find_ended(struct process *process, const char *id);
/* Events were lost, or the process asks anew: what is in doubt and cannot go on is over. */
void fnp_engine_end_doubtful(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_moment *moment);
void fnp_engine_close_invocation(struct fnp_invocations *engine, struct invocation *invocation);
void fnp_engine_free_invocation(struct fnp_invocations *engine, struct invocation *invocation);

/* ---- handover.c ---- */
/* Another process than the one that has it answers an invocation; false: nobody has one of this id. */
bool fnp_engine_answer_elsewhere(struct fnp_invocations *engine, const struct process *process,
				 const char *id, const struct fnp_moment *end, enum fnp_outcome outcome);
/* An event of a process: what others have answered meanwhile is over. */
void fnp_engine_end_answered(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_moment *moment);
/* A process exits in peace: its parent goes on with its invocation, if it fetched it for that one; true when it did. */
bool fnp_engine_hand_over(struct fnp_invocations *engine, struct process *process);

/* ---- attribute.c ---- */
/* Puts held samples into their rows, as far as that is decided now; `force`: all, or all of one process. */
void fnp_engine_release(struct fnp_invocations *engine, bool force);
void fnp_engine_release_process(struct fnp_invocations *engine, const struct process *process);

/* The row that a moment of a thread belongs to, as far as is known now, NULL: none; `ret_wait`: it may change. */
struct fnp_row *fnp_engine_row_at(const struct fnp_invocations *engine, struct process *process, uint32_t tid,
				  uint64_t seq, bool *ret_wait);

/* ---- timeline.c ---- */
/* As fnp_engine_release and fnp_engine_release_process, for events of rows. */
void fnp_engine_release_events(struct fnp_invocations *engine, const struct process *of, bool force);
void fnp_engine_drop_events(struct fnp_invocations *engine);

/* The newest fork of a thread of this number up to the event `before`; NULL: not known. */
const struct thread_origin *fnp_engine_origin_of(const struct process *process, uint32_t tid, uint64_t before);

/* ---- handling.c ---- */
/* The ledger of a row whose duration stands (`shares_thread`: its thread handles others meanwhile); nothing where the kernel side's clocks were not given. */
void fnp_engine_make_ledger(const struct process *process, const struct fnp_moment *begin,
			    const struct fnp_moment *end, struct fnp_row *row, bool shares_thread);
/* This thread answered. */
void fnp_engine_note_handler(struct process *process, uint32_t tid);
/* A thread exits; kept when it is the one that would have answered. */
void fnp_engine_note_exit(struct process *process, const struct fnp_moment *moment);

/* ---- collections.c ---- */
/* The runtime of a process told of a collection that is over. */
void fnp_engine_note_collection(struct process *process, const struct fnp_row_event *event);
/* A row that closes: the collections that its runtime told of get their line. Without any, it stays unknown. */
void fnp_engine_ledger_gc(const struct process *process, struct fnp_row *row);
/* Those that no row wants any more go. */
void fnp_engine_prune_collections(struct process *process);

/* ---- phases.c ---- */
/* A row that closes: what ended a phase becomes the phase. */
void fnp_engine_make_phases(struct fnp_row *row);

/* ---- off_cpu.c ---- */
/* An ended invocation is about to close: its times off the CPU go into its row. */
void fnp_engine_take_off_cpu(struct fnp_invocations *engine, struct process *process, struct invocation *one);
/* Since when times of a process may still be wanted by an invocation. */
uint64_t fnp_engine_oldest_wanted(const struct process *process);
/* What no row wants any more goes. */
void fnp_engine_prune_off_cpu(struct process *process);
void fnp_engine_drop_off_cpu(struct process *process);

/* ---- streams.c ---- */
void fnp_engine_socket_event(struct fnp_invocations *engine, struct process *process,
			     const struct fnp_socket_record *record);
void fnp_engine_streams_gap(struct fnp_invocations *engine, struct process *process);
void fnp_engine_forget_streams(struct fnp_invocations *engine, const struct process *process);
/* The smallest number of this process that may still become a begin or an end; 0: none. */
uint64_t fnp_engine_pending(const struct fnp_invocations *engine, const struct process *process);

/* ---- order.c ---- */
/* Takes an event and applies what is in turn. */
int fnp_engine_take_event(struct fnp_invocations *engine, struct process *process,
			  const struct fnp_record *record);
/* Numbers that have not come by now are lost; `all`: whatever waits is applied. */
void fnp_engine_expire_gaps(struct fnp_invocations *engine, struct process *process, bool all);
void fnp_engine_drop_queue(struct process *process);

#endif
