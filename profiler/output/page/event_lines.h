/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a row, read back from its `.events.jsonl`, line by line: memory does not grow with the file.
 *
 * The file may have come from anywhere: lines that are no events, or longer than any of ours, are counted and passed
 * over; members of another type count as not known.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_EVENT_LINES_H
#define FNP_PROFILER_OUTPUT_PAGE_EVENT_LINES_H

#include <stdint.h>

/* Texts live until the callback returns; NULL is not known, but for `what`. They are not fit for a terminal yet. */
struct fnp_event_line {
	uint64_t t_ns, duration_ns; /* CLOCK_MONOTONIC; 0: it has no length */
	uint32_t tid;
	const char *what, *name, *cause, *how;
};

/*
 * Calls `take` for each event of the file at `path` below the recording's folder, in the file's order, until it
 * returns other than 0: then this is the result. `ret_unreadable` (NULL: not wanted) counts what is no event. -errno
 * without a message.
 */
int fnp_event_lines_read(int dirfd, const char *path,
			 int (*take)(void *context, const struct fnp_event_line *event), void *context,
			 uint64_t *ret_unreadable);

#endif
