/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From hits of probes to events with a begin and a length.
 *
 * A begin waits, by process and thread, for the end of its pair; spans of a thread may nest, and marks may overlap. A
 * span belongs to the number of its begin. One whose process ends first lasts to that end.
 */
#ifndef FNP_PROFILER_SPANS_H
#define FNP_PROFILER_SPANS_H

#include "bpf/wire.h"
#include "profiler/invocations/invocations.h"
#include "profiler/probe_meanings.h"

struct fnp_spans;

/* A finished event is given to `tell`; its texts are valid during the call. */
int fnp_spans_create(void (*tell)(void *self, const struct fnp_invocations_place *at,
				  const struct fnp_row_event *event),
		     void *self, struct fnp_spans **ret);
void fnp_spans_destroy(struct fnp_spans *spans);
FNP_DEFINE_CLEANUP(fnp_spans_destroyp, struct fnp_spans *, fnp_spans_destroy)

/* What a hit is, as far as the place says. */
struct fnp_spans_hit {
	const struct fnp_probe_meaning *meaning;
	const char *provider, *name; /* of the probe, for FNP_NAMING_ASKED */
	enum fnp_event_how how;
	unsigned int version, minor; /* of the runtime; 0: not known */
};

/* A checked record of a probe. */
void fnp_spans_take(struct fnp_spans *spans, const struct fnp_spans_hit *hit,
		    const struct fnp_probe_record *record);

/* Nothing will tell the ends of this pair any more: what is open is forgotten. */
void fnp_spans_forget(struct fnp_spans *spans, enum fnp_probe_pair pair);

/* A process is over (pid 0: all are): what is open in it ends now. */
void fnp_spans_end_process(struct fnp_spans *spans, uint32_t pid, uint64_t process, uint64_t time_ns);

/* Spans that were given up because too many were open. */
uint64_t fnp_spans_lost(const struct fnp_spans *spans);

#endif
