/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a row as lines of JSON: the file `.events.jsonl` beside its profile. */
#ifndef FNP_PROFILER_OUTPUT_EVENTS_H
#define FNP_PROFILER_OUTPUT_EVENTS_H

#include "base/buffer.h"
#include "profiler/invocations/row.h"

/*
 * Appends a line for each event: {"t_ns", "duration_ns", "tid", "what", "name", "cause", "how"}; what is not known is
 * absent. The arguments of a probe that was asked for stand in "arguments", as text. Errors are the buffer's.
 */
void fnp_events_lines(const struct fnp_row *row, struct fnp_buffer *ret);

#endif
