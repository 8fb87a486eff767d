/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording came to, in words: the paragraphs that people read at its end, and what `show` prints of a
 * function. Text only; where it goes is the caller's matter.
 *
 * Names come from the programs that were looked at: they are made printable and cut to their column.
 */
#ifndef FNP_PROFILER_OUTPUT_REPORT_H
#define FNP_PROFILER_OUTPUT_REPORT_H

#include "base/buffer.h"
#include "profiler/output/summary.h"
#include "profiler/output/tally.h"

struct fnp_report {
	const char *dir;     /* path as it was given */
	const char *program; /* how we were called; NULL: fnprof */
	bool page;	     /* index.html is there */
	const struct fnp_tally *tally;
	const struct fnp_summary *summary;
	uint64_t not_written; /* samples of rows that could not be written */
	size_t columns;	      /* of the terminal that it is for; 0: none, any width will do */
	bool debuginfod;      /* debug data was asked for */
};

/* The closing line: counts and where the files are, one line with its newline. */
void fnp_report_line(const struct fnp_report *report, struct fnp_buffer *ret);

/* The closing summary: the line, slowest invocations, hottest functions, what could not be known, own cost. */
void fnp_report_summary(const struct fnp_report *report, struct fnp_buffer *ret);

/* "Hottest functions", by own time, at most `max` of them, for a terminal of so many columns (0: none); nothing without
 * samples. */
void fnp_report_hottest(const struct fnp_tally *tally, size_t max, size_t columns, struct fnp_buffer *ret);

/* "1,204": a number for people. Returns ret. */
const char *fnp_report_number(uint64_t number, char ret[static 32]);

/* Appends a foreign text, printable, at most `width` columns (cut with "..."), filled up with spaces when `pad`. */
void fnp_report_name(struct fnp_buffer *b, const char *text, size_t width, bool pad);

#endif
