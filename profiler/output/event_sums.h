/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the events of a row come to: how many there were of each kind and how long they took, the dearest things that
 * were loaded, the phases of a start, whom it waited for. Fed with one event after the other it stays small.
 */
#ifndef FNP_PROFILER_OUTPUT_EVENT_SUMS_H
#define FNP_PROFILER_OUTPUT_EVENT_SUMS_H

#include "base/buffer.h"
#include "profiler/output/page/event_lines.h"

#define FNP_EVENT_SUMS_KINDS_MAX 32
#define FNP_EVENT_SUMS_DEAREST 10
#define FNP_EVENT_SUMS_PHASES_MAX 16
#define FNP_EVENT_SUMS_PEERS_MAX 16
#define FNP_EVENT_SUMS_TEXT_MAX 120

struct fnp_event_sum {
	char what[56];
	uint64_t count, total_ns, longest_ns;
};

struct fnp_event_named {
	char what[32], name[FNP_EVENT_SUMS_TEXT_MAX];
	uint64_t t_ns, duration_ns;
};

/* In the caller's storage; all zero is empty. Owns nothing. */
struct fnp_event_sums {
	struct fnp_event_sum kinds[FNP_EVENT_SUMS_KINDS_MAX]; /* in the order of their first event */
	size_t n_kinds;
	uint64_t others;					/* events of kinds past the bound */
	struct fnp_event_named dearest[FNP_EVENT_SUMS_DEAREST]; /* imports, classes, modules; longest first */
	size_t n_dearest;
	struct fnp_event_named phases[FNP_EVENT_SUMS_PHASES_MAX]; /* what is `phase`, in the file's order */
	size_t n_phases;
	struct fnp_event_sum peers[FNP_EVENT_SUMS_PEERS_MAX]; /* `what` is whom threads waited for in the network */
	size_t n_peers;
};

/* `sums` is a struct fnp_event_sums: fit for fnp_event_lines_read(). Always 0. */
int fnp_event_sums_add(void *sums, const struct fnp_event_line *event);

/* Tables of what there is, each with its heading; nothing without events. Times of phases count from `start_ns`. */
void fnp_event_sums_print(const struct fnp_event_sums *sums, uint64_t start_ns, struct fnp_buffer *ret);

#endif
