/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `record` says while it runs and at its end, on standard error.
 *
 * On a terminal: a live line, rewritten in place and wiped before any message, and at the end a summary. Without
 * one: nothing while it runs, one line at the end, no escape code.
 */
#ifndef FNP_PROFILER_OUTPUT_TERMINAL_H
#define FNP_PROFILER_OUTPUT_TERMINAL_H

#include "profiler/output/report.h"

/* How it stands now. */
struct fnp_live {
	uint64_t elapsed_ns;
	uint64_t invocations;
	uint64_t samples;
	uint64_t losses;     /* ticks */
	uint64_t own_cpu_ns; /* of the program and its BPF code, as far as known */
};

struct fnp_terminal {
	int fd;
	bool is_terminal;
	bool always_summary; /* also without a terminal */
	uint64_t next_ns;    /* not drawn again before */
	bool has_base; /* `base` holds the first state: what starting cost is not what recording costs */
	struct fnp_live base;
};

/* Sets up for standard error. One at a time: messages wipe its line. */
void fnp_terminal_init(struct fnp_terminal *terminal, bool always_summary);

/* Wipes the live line. */
void fnp_terminal_deinit(struct fnp_terminal *terminal);

/* Draws the live line, at most four times a second; call it as often as you like. */
void fnp_terminal_update(struct fnp_terminal *terminal, const struct fnp_live *live);

/* Says how it ended. */
void fnp_terminal_finish(struct fnp_terminal *terminal, const struct fnp_report *report);

/* How many columns a terminal has; 0: `fd` is none. */
size_t fnp_terminal_columns(int fd);

/* The live line's text, without escapes, cut to `width` columns; its cost is that since `base`. */
void fnp_terminal_live_text(const struct fnp_live *live, const struct fnp_live *base, size_t width,
			    struct fnp_buffer *ret);

#endif
