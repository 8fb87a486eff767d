/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timeline of one row, as the page's script reads it: its threads, when its samples came, its events.
 *
 * A row may have more events than a page has room for. All are counted, by what they are; kept are the longest, and
 * before them marks, phases, collections and the states of threads, which the others are read by. Texts stand in a
 * table of their own, so that a program that tells endless names costs frames none of theirs.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_TIMELINE_H
#define FNP_PROFILER_OUTPUT_PAGE_TIMELINE_H

#include "profiler/output/page/event_lines.h"
#include "profiler/output/page/tree.h"

#define FNP_PAGE_TIMELINE_EVENTS_MAX 2000 /* of one row on the page */

struct fnp_page_timelines {
	int dirfd;
	struct fnp_intern *texts; /* 0 is "" */
};

/* A row that is to be told. */
struct fnp_page_timeline_row {
	const char *events; /* path below the recording; NULL: it has none */
	uint64_t start_ns;
	const struct fnp_profile *profile; /* NULL: could not be read */
	const uint32_t *nodes;		   /* of the tree, by the profile's samples */
};

int fnp_page_timelines_init(struct fnp_page_timelines *timelines, int dirfd);
void fnp_page_timelines_deinit(struct fnp_page_timelines *timelines);

/*
 * Appends the row's timeline to `ret`: times are from the row's begin, each the difference to the one before it.
 *
 *	threads		number, then each: tid, its name
 *	samples		number, then each: time, tid, node
 *	kinds		number, then each: what, events, their time in all, the longest
 *	events		number, then each: begin, duration, tid, what, name, cause, how
 *	unreadable	lines of the events' file that are none
 *
 * Texts are numbers in the table; times and nodes are signed. True in `ret_any` when there is anything to be told. 0 or
 * -ENOMEM: an events' file that cannot be read counts as one unreadable line.
 */
int fnp_page_timeline_add(struct fnp_page_timelines *timelines, const struct fnp_page_timeline_row *row,
			  struct fnp_buffer *ret, bool *ret_any);

/* The table of texts, as tree.h's strings are encoded. */
void fnp_page_timelines_encode_texts(const struct fnp_page_timelines *timelines, struct fnp_buffer *ret);

#endif
