/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page: one HTML file that shows a recording, made from the recording's own files.
 *
 * It holds the list of rows, the call tree of everything together (always whole), and the graphs of single rows:
 * first the slowest and an even choice of the rest, as many as fit; the page says which are in. Names and stacks
 * stand in shared tables, deflated; nothing is fetched. Everything read is hostile: a recording may have come from
 * somebody else. Names reach the page only inside those tables, never as HTML or script.
 */
#ifndef FNP_PROFILER_OUTPUT_PAGE_H
#define FNP_PROFILER_OUTPUT_PAGE_H

#include "base/memory.h"

#define FNP_PAGE_BYTES_MAX (32u << 20)

struct fnp_page_options {
	const char *path; /* where to write it; NULL: index.html in the recording */
	FILE *stream;	  /* or this, which stays open; wins over path */
	size_t max_bytes; /* of the page; 0: FNP_PAGE_BYTES_MAX */
};

/* What came of it, for a closing line. */
struct fnp_page_counts {
	uint64_t rows;	     /* in the index */
	uint64_t unreadable; /* rows whose line or profile could not be read; in no graph */
	uint64_t listed;     /* rows in the page's list */
	uint64_t singles;    /* listed rows whose own graph is in (or that have no samples) */
	uint64_t bytes;	     /* of the page */
};

/*
 * Reads index.jsonl, summary.json and profiles/ below `dirfd` and writes the page, whole or not at all. `options`
 * and `ret` may be NULL. Memory does not grow with the number of samples. -errno without a message: the caller knows
 * what the file means.
 */
int fnp_page_write(int dirfd, const struct fnp_page_options *options, struct fnp_page_counts *ret);

#endif
