/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `[DIR] [ID]` and the options that go with them: which rows of which recording a person means.
 *
 * One word is a recording when it is one, else an id in the newest recording of the working directory. An id is an
 * exact one, else the name of a function, else the beginning of exactly one id.
 */
#ifndef FNP_PROFILER_COMMANDS_SELECTION_H
#define FNP_PROFILER_COMMANDS_SELECTION_H

#include "profiler/commands/filter.h"
#include "profiler/commands/options.h"
#include "profiler/output/recording.h"

/* What was asked for; filled by the options below. */
struct fnp_selection_request {
	struct fnp_option_list filters;
	const char *kind; /* "all" lets every kind through; NULL: `default_kind` unless an id is given */
	const char *default_kind; /* where a recording has none of them, all kinds are taken */
};

/* Rows of an option table: `--filter` and `--kind`. */
#define FNP_SELECTION_OPTIONS(request)                                                                       \
	{0,                                                                                                  \
	 "filter",                                                                                           \
	 "KEY=TEXT",                                                                                         \
	 "only rows like this (also KEY~TEXT, KEY>NUMBER, KEY<NUMBER)",                                      \
	 FNP_OPTION_LIST,                                                                                    \
	 &(request)->filters},                                                                               \
	{                                                                                                    \
		0, "kind", "KIND", "invocation, init, idle, shared, process or all", FNP_OPTION_TEXT,        \
			&(request)->kind                                                                     \
	}

struct fnp_selection {
	struct fnp_recording recording;
	struct fnp_recording_rows rows;
	const char *id; /* as it was typed; NULL without one */
};

/*
 * Finds the rows. FNP_OPTIONS_GO_ON, or an exit status after the reason was said. An id that is nothing's is a
 * reason; no rows without an id are not.
 */
int fnp_selection_open(const struct fnp_command_ops *command, const struct fnp_arguments *words,
		       const struct fnp_selection_request *request, struct fnp_selection *ret);
void fnp_selection_deinit(struct fnp_selection *selection);

#endif
