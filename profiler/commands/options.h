/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a verb's arguments: a table says which options there are, where their values go, and what help prints.
 *
 * Accepted: `-o DIR`, `-oDIR`, `--output DIR`, `--output=DIR`, and `--`, after which nothing is an option. Each
 * mistake is one sentence on standard error, with what was probably meant.
 */
#ifndef FNP_PROFILER_COMMANDS_OPTIONS_H
#define FNP_PROFILER_COMMANDS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profiler/commands/command.h"

enum fnp_option_type {
	FNP_OPTION_FLAG,   /* value: bool */
	FNP_OPTION_TEXT,   /* value: const char *, points into argv */
	FNP_OPTION_NUMBER, /* value: uint64_t, whole, from min to max */
	FNP_OPTION_LIST,   /* value: struct fnp_option_list; may be given several times */
};

#define FNP_OPTION_LIST_MAX 16
struct fnp_option_list {
	const char *items[FNP_OPTION_LIST_MAX]; /* point into argv */
	size_t n;
};

struct fnp_option {
	char letter;	      /* 0: none */
	const char *name;     /* without dashes */
	const char *argument; /* as help names it: "DIR"; NULL for a flag */
	const char *help;
	enum fnp_option_type type;
	void *value; /* untouched when the option is not given */
	uint64_t min, max;
};

struct fnp_arguments {
	char **items; /* what is no option, in its order, then NULL; points into argv */
	int n;
	bool after_dashes; /* a `--` was there */
};

struct fnp_options {
	const struct fnp_command_ops *command;
	const struct fnp_option *table;
	size_t n;
	int min_arguments, max_arguments; /* how many words that are no option; max -1: any number */
	bool dashes_before_arguments;	  /* words must stand after `--`, as a command to run */
};

/* What a verb does with the result of fnp_options_parse(): returns it when it is not FNP_OPTIONS_GO_ON. */
#define FNP_OPTIONS_GO_ON (-1)

/*
 * Reads argv[1] and on. FNP_OPTIONS_GO_ON, or the exit status: FNP_EXIT_OK after help was printed, FNP_EXIT_USAGE
 * after a mistake was said. argv is reordered.
 */
int fnp_options_parse(const struct fnp_options *options, int argc, char **argv, struct fnp_arguments *ret);

/* Says a mistake in one sentence and where to find help: FNP_EXIT_USAGE. */
int fnp_options_mistake(const struct fnp_command_ops *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
