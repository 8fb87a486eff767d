/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the kernel side and the program say to each other: ring records and map values, fixed width, the same bytes
 * for both compilers. It holds no code, so that BPF, C and tests can all read it.
 *
 * Numbers, not times, join records. Every watched process has an event number `seq`: each record about the process
 * that is not a sample (fork, exec, exit, socket) takes the next one, in the order in which it happened. A sample
 * carries the number that stood at its tick. So "this sample was taken between the message that began the
 * invocation and the one that ended it" is a comparison of numbers, and user space alone decides which messages
 * begin and end what. A gap in the numbers is a lost record.
 *
 * Exact CPU time travels the same way: each event carries the CPU time of its process and thread at that moment,
 * and the difference of two events is what was spent between them.
 *
 * Three rings: `events` (everything that has a number), `samples`, and `probes` (what runtimes and programs tell of
 * themselves, numbered as samples are). The second and the third may be full without harm to the first.
 */
#ifndef FNP_BPF_WIRE_H
#define FNP_BPF_WIRE_H

#include "bpf/types.h"

#define FNP_COMM_MAX 16

/*
 * How a CPU's sampling timer runs, as user space tells the sampler: started at `started_ns` or a little before, due each
 * `period_ns` from then on. `starts` counts in twos; it is odd while that is being changed.
 */
struct fnp_timer_state {
	fnp_u64 starts;
	fnp_u64 started_ns;
	fnp_u64 period_ns;
};

/*
 * Why a tick has no sample, and why a stack is not whole. Numbers are never used again; new ones go at the end.
 * X(NUMBER, NAME, text as it stands in files)
 */
#define FNP_LOSS_CAUSES(X)                                                                                   \
	X(0, RING_FULL, "ring_full")                                                                         \
	X(1, BAD_RECORD, "bad_record")                                                                       \
	X(2, NO_MEMORY, "no_memory")                                                                         \
	X(3, STACK_TABLE_FULL, "stack_table_full")                                                           \
	X(4, UNKNOWN_PROCESS, "unknown_process")

#define FNP_TRUNCATION_CAUSES(X)                                                                             \
	X(0, NONE, "whole")                                                                                  \
	X(1, DEPTH, "depth")                                                                                 \
	X(2, NO_MAPPING, "no mapping")                                                                       \
	X(3, NO_TABLE, "no unwind table")                                                                    \
	X(4, NO_ROW, "no unwind row")                                                                        \
	X(5, EXPRESSION, "DWARF expression")                                                                 \
	X(6, BAD_READ, "unreadable memory")                                                                  \
	X(7, LOOP, "stack goes backwards")                                                                   \
	X(8, BUDGET, "step budget")                                                                          \
	X(9, RUNTIME, "runtime in transition")                                                               \
	X(10, KERNEL_DEPTH, "kernel depth")                                                                  \
	X(11, PARKED, "frames of a virtual thread that are in the heap")

/*
 * What a thread that is not on a CPU waits for, by the system call that it is in or the fault that it took. The texts are
 * lines of the ledger. Numbers as above.
 */
#define FNP_WAITS(X)                                                                                         \
	X(0, FROZEN, "frozen")                                                                               \
	X(1, LOCK, "lock")                                                                                   \
	X(2, POLL, "poll")                                                                                   \
	X(3, NETWORK, "network")                                                                             \
	X(4, DISK, "disk")                                                                                   \
	X(5, PIPE, "pipe")                                                                                   \
	X(6, SLEEP, "sleep")                                                                                 \
	X(7, PAGE_FAULT, "page_fault")                                                                       \
	X(8, CHILD, "child")                                                                                 \
	X(9, OTHER, "other")

#define FNP_X_WAIT(n, name, text) FNP_WAIT_##name = n,
enum fnp_wait { FNP_WAITS(FNP_X_WAIT) FNP_WAIT_MAX };
#define FNP_X_LOSS(n, name, text) FNP_LOSS_##name = n,
enum fnp_loss_cause { FNP_LOSS_CAUSES(FNP_X_LOSS) FNP_LOSS_MAX };
#define FNP_X_TRUNCATION(n, name, text) FNP_TRUNCATION_##name = n,
enum fnp_truncation_cause { FNP_TRUNCATION_CAUSES(FNP_X_TRUNCATION) FNP_TRUNCATION_MAX };

/* ---- frames ------------------------------------------------------------------------------------------------- */

/*
 * User stacks are arrays of 64-bit words, leaf first. A frame is one head word and 0 to 7 further words:
 * bits 63..60 its kind (enum fnp_word_kind), bits 59..57 the number of further words, bits 56..0 a value.
 *   NATIVE   value = address to look up: the pc of the leaf and of frames interrupted by a signal, else the return
 *	      address minus one. No further words.
 *   MARKER   value = enum fnp_truncation_cause. Stands where the stack was cut; always room for it.
 *   LABEL    no frame: value = enum fnp_word_label, something that is known of the sample. No further words.
 *   others   as the runtime's layout header says.
 */
enum fnp_word_kind {
	FNP_WORD_NATIVE = 0,
	FNP_WORD_MARKER = 1,
	FNP_WORD_PYTHON = 2,
	FNP_WORD_HOTSPOT = 3,
	FNP_WORD_V8 = 4,
	FNP_WORD_LABEL = 5,
};
/* X(NUMBER, NAME, key and text of the label as they stand in files); 0 is none. */
#define FNP_WORD_LABELS(X)                                                                                   \
	X(1, GIL_HELD, "gil", "held")                                                                        \
	X(2, GIL_NOT_HELD, "gil", "not held")
#define FNP_X_WORD_LABEL(n, name, key, text) FNP_LABEL_##name = n,
enum fnp_word_label { FNP_WORD_LABELS(FNP_X_WORD_LABEL) FNP_LABEL_MAX };
#define FNP_WORD_KIND_SHIFT 60
#define FNP_WORD_MORE_SHIFT 57
#define FNP_WORD_VALUE_MASK ((1ULL << FNP_WORD_MORE_SHIFT) - 1)
#define FNP_WORD(kind, more, value)                                                                          \
	(((fnp_u64)(kind) << FNP_WORD_KIND_SHIFT) | ((fnp_u64)(more) << FNP_WORD_MORE_SHIFT) |               \
	 ((fnp_u64)(value)&FNP_WORD_VALUE_MASK))

#define FNP_KERNEL_FRAMES_MAX 127
#define FNP_USER_WORDS_MAX 4096 /* at least 1,024 frames of up to 4 words */

/* ---- records ------------------------------------------------------------------------------------------------ */

enum fnp_record_type {
	FNP_RECORD_SAMPLE = 1,
	FNP_RECORD_FORK = 2,
	FNP_RECORD_EXEC = 3,
	FNP_RECORD_EXIT = 4,
	FNP_RECORD_SOCKET = 5,
	FNP_RECORD_PROBE = 6,
	FNP_RECORD_OFF_CPU = 7,
	FNP_RECORD_OFF_CPU_END = 8,
};

/*
 * The head of every record. pid and tid count as in the PID namespace of the program. `process` is the start time of
 * the thread-group leader (CLOCK_MONOTONIC ns, task_struct.start_time): with pid it names a process for ever.
 */
struct fnp_record {
	fnp_u16 type; /* enum fnp_record_type */
	fnp_u16 n_sections;
	fnp_u32 size; /* of the whole record in bytes, a multiple of 8 */
	fnp_u64 time_ns;
	fnp_u32 pid;
	fnp_u32 tid;
	fnp_u64 process;
	fnp_u64 seq; /* of an event: its number; of a sample or probe: that of the last event before it */
};

/*
 * After a record's fixed part stand `n_sections` sections, each 8-byte aligned: this head, then `size` bytes, then
 * padding to 8. A reader skips types that it does not know.
 */
enum fnp_section_type {
	FNP_SECTION_KERNEL_STACK = 1, /* u64 addresses, leaf first; the first is a pc, the rest return addresses */
	FNP_SECTION_USER_STACK = 2, /* u64 words, see above */
	FNP_SECTION_CONTEXT = 3,    /* 8 to 32 bytes: the runtime's own context, see its layout header */
	FNP_SECTION_LABELS = 4,
	FNP_SECTION_RESUME = 5, /* struct fnp_resume and a copy of the stack: user space goes on with the walk */
	FNP_SECTION_FILE_NAME = 6,   /* of an exec: bytes as given to execve */
	FNP_SECTION_ARGUMENTS = 7,   /* of an exec: NUL-separated, cut at the section's size */
	FNP_SECTION_ENVIRONMENT = 8, /* likewise */
	FNP_SECTION_DATA = 9, /* of a socket event: the bytes moved, from the first, cut at the section's size */
	FNP_SECTION_PYTHON_CODE = 10, /* names of code objects that were new: see layout/python.h */
	FNP_SECTION_RESUME_PYTHON = 12, /* beside RESUME, memory that the Python walker needs: see layout/python.h */
	FNP_SECTION_PROBE_TEXT = 11, /* of a probe: bytes that an argument points to; one for each text of its spec */
	FNP_SECTION_CLOCKS = 13, /* of an exec, a last exit, a socket event, some probes: struct fnp_clocks */
	FNP_SECTION_PEER = 14,	 /* of an OFF_CPU that waits for the network: struct fnp_peer */
};

struct fnp_wire_section {
	fnp_u16 type;
	fnp_u16 truncated; /* 1: there was more than `size` */
	fnp_u32 size;
};

/*
 * A walk that ended where nothing was loaded yet. Take the last `drop` words of the user stack away and go on from
 * here; after this head stand `stack_bytes` bytes of memory from address `stack` upwards.
 */
#define FNP_RESUME_REGS 33
#define FNP_RESUME_STACK_MAX 32768
struct fnp_resume {
	fnp_u64 pc, sp, fp, lr;
	fnp_u64 regs_at; /* as in struct fnp_walk */
	fnp_u64 stack;
	fnp_u32 stack_bytes;
	fnp_u16 drop;
	fnp_u8 exact; /* as in struct fnp_walk */
	fnp_u8 leaf;
	fnp_u32 holes; /* pages, from that of `stack` on, that were not in memory; the copy has zeros there */
	fnp_u32 pad;
	fnp_u64 regs[FNP_RESUME_REGS]; /* as in struct fnp_walk; of meaning when `leaf` */
};

/*
 * Of a tick (SAMPLE), or of a thread that leaves its CPU (OFF_CPU). Not every time that a thread is off its CPU is taken:
 * one that was expected to last `expected_us` stands for `period_us` of such times, itself included. For how long it was
 * stands in an OFF_CPU_END record of the same thread.
 */
struct fnp_sample_record {
	struct fnp_record head; /* of OFF_CPU: time_ns is when it left */
	union {
		fnp_u64 weight_ns; /* SAMPLE: since this CPU's last tick, at most 4 periods */
		struct {
			fnp_u32 expected_us; /* OFF_CPU; 0: it was taken for certain */
			fnp_u32 period_us;   /* what was expected to be lost since the last such one */
		};
	};
	fnp_u32 cpu;		 /* of OFF_CPU: enum fnp_wait, or FNP_WAIT_MAX: it was pushed */
	fnp_u32 truncation;	 /* enum fnp_truncation_cause of the user stack */
	char comm[FNP_COMM_MAX]; /* of the thread; NUL-padded */
};

/* Whom a thread waits for: the other end of the one socket that its system call is about. */
struct fnp_peer {
	fnp_u8 address[16]; /* IPv6, or IPv4-mapped */
	fnp_u16 port;	    /* host byte order */
	fnp_u16 pad[3];
};

/* The thread is back. Both records are in the ring of samples, in this order. */
struct fnp_off_cpu_end_record {
	struct fnp_record head;
	fnp_u64 begin_ns;  /* time_ns of the OFF_CPU record */
	fnp_u64 queued_ns; /* the last part of it, in a run queue */
	fnp_u64 walk_ns; /* the first part of it, in which its stack was taken: it could not have come back */
	fnp_u64 was_certain; /* so long a one is taken in any case, now or when it is over: it stands for itself alone */
};

/* CPU time as it stood when an event happened, in ns of sum_exec_runtime. */
struct fnp_cpu_times {
	fnp_u64 process_ns; /* all threads since the process is watched */
	fnp_u64 thread_ns;  /* the thread that made the event, since it began */
	fnp_u64 ticks;	    /* of the process so far */
	fnp_u64 lost;	    /* ticks of the process so far that the kernel side could not record */
};

/*
 * Where the wall time of a process went up to an event, in ns: each instant since it is watched counts to the first of
 * these that holds. The differences between two events sum to the time between them. The thread that makes the event
 * is on a CPU, so its waits are whole; of the first thread (`first`) what it waits for now is in it as far as it goes.
 *
 * A thread's waits count quiet time alone, and begin with what its creator's were at its birth: along a line of
 * descent differences are right, whenever the threads began.
 *
 * `first` is left out, and the section ends before it, where the first thread makes the event or is dead.
 */
struct fnp_clocks {
	fnp_u64 on_cpu_ns;    /* at least one thread was on a CPU; what was stolen is in it */
	fnp_u64 run_queue_ns; /* none was, at least one could have been */
	fnp_u64 quiet_ns;     /* every thread waited */
	fnp_u64 stolen_ns;    /* of on_cpu_ns: no thread was charged for it */
	fnp_u32 has_first;    /* the first thread is alive, and another one than the event's */
	fnp_u32 pad;
	fnp_u64 own[FNP_WAIT_MAX];   /* quiet time by what the event's thread waited for */
	fnp_u64 first[FNP_WAIT_MAX]; /* likewise */
};

/* head.pid and head.tid are the creator's. A new thread has child_pid == head.pid. */
struct fnp_fork_record {
	struct fnp_record head;
	struct fnp_cpu_times cpu;
	fnp_u32 child_pid;
	fnp_u32 child_tid;
	fnp_u64 child_process;
};

/* The new image runs. Sections: FILE_NAME, ARGUMENTS, ENVIRONMENT. */
struct fnp_exec_record {
	struct fnp_record head;
	struct fnp_cpu_times cpu; /* what the process spent before the exec */
	fnp_u32 parent_pid;
	fnp_u32 old_tid; /* of the thread that called execve */
};

/* One thread ended; `last` says that it was the process's last one. CPU time spent after this comes with the
 * target's final state, see struct fnp_target. */
struct fnp_exit_record {
	struct fnp_record head;
	struct fnp_cpu_times cpu;
	fnp_s64 exit_code; /* as wait() gives it: code << 8, or the signal */
	fnp_u32 last;
	fnp_u32 pad;
};

enum fnp_socket_direction { FNP_SOCKET_RECEIVED = 0, FNP_SOCKET_SENT = 1 };

/* Bytes were moved on a TCP socket that the target's filter lets through. Section: DATA, where it could be read. */
struct fnp_socket_record {
	struct fnp_record head;
	struct fnp_cpu_times cpu;
	fnp_u64 socket;	     /* names the connection for as long as it lives; never 0 */
	fnp_u64 length;	     /* bytes moved, at least 1; 0: the peer closed (a receive that returned 0) */
	fnp_u16 local_port;  /* host byte order */
	fnp_u16 remote_port; /* host byte order */
	fnp_u8 direction;    /* enum fnp_socket_direction */
	fnp_u8 pad[3];
	fnp_u8 remote_address[16]; /* IPv6, or IPv4-mapped */
};

/*
 * A thread came to a place that user space put a probe on. What it means stands in the table of specs that user space
 * filled, under `spec`. Sections: PROBE_TEXT, as many as the spec has texts, in its order.
 */
#define FNP_PROBE_ARGUMENTS_MAX 12
#define FNP_PROBE_WRITTEN                                                                                    \
	0xffffffffU /* as `spec`: no place, a datagram that begins with "fnprof." is the text */
struct fnp_probe_record {
	struct fnp_record head;
	fnp_u32 spec;
	fnp_u16 n_arguments;
	fnp_u16 unknown; /* bit n: argument n could not be read */
	fnp_u64 ip;	 /* of the place, in the process */
	fnp_u64 peeked;	 /* what the spec peeks at, plus one; 0: none, or not readable */
	fnp_u64 arguments[FNP_PROBE_ARGUMENTS_MAX];
};

/* ---- map values --------------------------------------------------------------------------------------------- */

enum fnp_target_flags {
	FNP_TARGET_SAMPLED = 1 << 0,	 /* ticks are taken */
	FNP_TARGET_WAIT_EXEC = 1 << 1,	 /* nothing is taken until its next exec, which clears this */
	FNP_TARGET_PROVISIONAL = 1 << 2, /* put in by the kernel side at exec; user space has not decided yet */
	FNP_TARGET_SOCKETS = 1 << 3,	 /* socket events are taken, by `port` */
};

/*
 * A watched process: value of the map `targets`, key pid. User space reads it back whole when the process is gone. What each
 * switch needs stands together at the begin.
 */
struct fnp_target {
	fnp_u64 cpu_ns; /* of all its threads, charged at switches and events; may be ahead by stolen time */
	/* The process's clocks, see bpf/clocks.h. */
	fnp_u64 clock;	      /* threads on a CPU << 48 | time of the last change; 0: not begun */
	fnp_u64 alone_ns;     /* exactly one thread was on a CPU */
	fnp_u64 together_ns;  /* several */
	fnp_u64 run_queue_ns; /* none, but one could have been */
	fnp_u64 quiet_ns;     /* all waited */
	fnp_u64 quiet_told_ns; /* it stood so, at most, where an event told of it: that is not changed behind its back */
	fnp_u64 stolen_ns;   /* of alone_ns: in no thread's sum_exec_runtime */
	fnp_u32 flags;	     /* enum fnp_target_flags */
	fnp_u32 running;     /* its threads that are on a CPU now */
	fnp_u64 clock_begun; /* the clock's first time: what the four above sum to is the time since then */
	fnp_u64 process;     /* as in struct fnp_record; 0 until the kernel side has met it */
	fnp_u64 seq;	     /* number of the last event */
	fnp_u64 ticks;
	fnp_u64 lost[8]; /* ticks by enum fnp_loss_cause */
	fnp_u16 port;	 /* only sockets whose remote port this is; 0: all TCP sockets */
	fnp_u16 pad;
	fnp_u32 probes_lost; /* hits of probes that became no record */
	fnp_u64 events_lost; /* records with a number that the ring had no room for */
	fnp_u32 exits;	     /* its threads that began to exit (exit records) ... */
	fnp_u32 deads; /* ... and that left their CPU for the last time: when equal after the last one, it is over */
};

/* What user space runs the program fnp_set_filter with: PROVISIONAL is cleared, the rest of the target stays. */
struct fnp_filter_request {
	fnp_u32 pid;
	fnp_u32 flags;
	fnp_u16 port;
	fnp_u16 pad[3];
};

_Static_assert(sizeof(struct fnp_record) == 40, "wire");
_Static_assert(sizeof(struct fnp_wire_section) == 8, "wire");
_Static_assert(sizeof(struct fnp_sample_record) == 72, "wire");
_Static_assert(sizeof(struct fnp_fork_record) == 88, "wire");
_Static_assert(sizeof(struct fnp_exec_record) == 80, "wire");
_Static_assert(sizeof(struct fnp_exit_record) == 88, "wire");
_Static_assert(sizeof(struct fnp_socket_record) == 112, "wire");
_Static_assert(sizeof(struct fnp_probe_record) == 160, "wire");
_Static_assert(sizeof(struct fnp_off_cpu_end_record) == 72, "wire");
_Static_assert(sizeof(struct fnp_clocks) == 200, "wire");
_Static_assert(sizeof(struct fnp_peer) == 24, "wire");
_Static_assert(sizeof(struct fnp_target) == 192, "wire");
_Static_assert(sizeof(struct fnp_resume) == 328, "wire");
_Static_assert(FNP_LOSS_MAX <= 8, "struct fnp_target has room for eight causes");

#endif
