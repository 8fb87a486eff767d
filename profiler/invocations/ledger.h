/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a row: where its wall time went. Every nanosecond stands in exactly one line, the first of these that
 * held at that instant; the lines sum to the row's duration.
 *
 *	frozen		stopped: cgroup freezer, SIGSTOP, a debugger
 *	gc		a collection of the runtime ran or stopped it
 *	on_cpu		at least one of the process's threads computed
 *	stolen		on a CPU, but the host ran something else there
 *	run_queue	at least one thread could have run, and none did
 *	lock ... other	what the handling thread waited for
 *	waiting_async	no thread holds it: an event loop that waits, or work that wanders between threads
 */
#ifndef FNP_PROFILER_INVOCATIONS_LEDGER_H
#define FNP_PROFILER_INVOCATIONS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/wire.h"

/* X(NAME, text), in the order of precedence. */
#define FNP_LEDGER(X)                                                                                        \
	X(FROZEN, "frozen")                                                                                  \
	X(GC, "gc")                                                                                          \
	X(ON_CPU, "on_cpu")                                                                                  \
	X(STOLEN, "stolen")                                                                                  \
	X(RUN_QUEUE, "run_queue")                                                                            \
	X(LOCK, "lock")                                                                                      \
	X(POLL, "poll")                                                                                      \
	X(NETWORK, "network")                                                                                \
	X(DISK, "disk")                                                                                      \
	X(PIPE, "pipe")                                                                                      \
	X(SLEEP, "sleep")                                                                                    \
	X(PAGE_FAULT, "page_fault")                                                                          \
	X(CHILD, "child")                                                                                    \
	X(OTHER, "other")                                                                                    \
	X(WAITING_ASYNC, "waiting_async")

#define FNP_X_LEDGER(name, text) FNP_LEDGER_##name,
enum fnp_ledger_line { FNP_LEDGER(FNP_X_LEDGER) FNP_LEDGER_LINES };

struct fnp_ledger {
	bool known;	    /* else there is none, and `ns` means nothing */
	bool has_gc;	    /* the runtime told of its collections: else the line is absent, not 0 */
	uint64_t mended_ns; /* that the lines did not come to the duration by, before they were made to */
	uint64_t ns[FNP_LEDGER_LINES]; /* sum to the row's duration */
};

const char *fnp_ledger_line_name(enum fnp_ledger_line line);

/* Of many rows. */
struct fnp_ledger_counts {
	uint64_t rows;		/* that have a ledger */
	uint64_t mended_rows;	/* whose lines had to be made to come to the duration */
	uint64_t mended_ns;	/* by this much in all */
	uint64_t mended_max_ns; /* and in one at most */
};

void fnp_ledger_count(struct fnp_ledger_counts *counts, const struct fnp_ledger *ledger);

/* Between which two moments, and by whose waits. */
struct fnp_ledger_span {
	const struct fnp_clocks *begin, *end;
	/* The handling thread's, of FNP_WAIT_MAX lines, at the begin and at the end. NULL: no thread holds the work. */
	const fnp_u64 *waits_begin, *waits_end;
	uint64_t duration_ns; /* the row's */
	bool poll_is_async; /* its handling thread runs an event loop: its polls wait for nothing of its own */
	bool rest_is_unknown; /* quiet time without a wait is `other`, not waiting_async: a thread's waits are missing */
};

/*
 * Clocks that do not sum to the duration to the nanosecond (two CPUs at one instant) are made to. Without both clocks
 * there is no ledger.
 */
void fnp_ledger_between(const struct fnp_ledger_span *span, struct fnp_ledger *ret);

/*
 * A collection of `gc_ns` stopped the row, or ran in it: it comes out of the lines that it hides. Where the clocks of the
 * process were read at its begin and its end, these are known, and what it was quiet for is taken from lock and what
 * follows it; else on_cpu, stolen and run_queue give in proportion first.
 */
struct fnp_ledger_gc {
	uint64_t gc_ns;
	bool known;
	uint64_t on_cpu_ns, stolen_ns, run_queue_ns; /* of it */
};
void fnp_ledger_take_gc(struct fnp_ledger *ledger, const struct fnp_ledger_gc *gc);

#endif
