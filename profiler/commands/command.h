/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam of verbs.
 *
 * A verb is one file, commands/VERB.c, that defines `const struct fnp_command_ops fnp_command_VERB`, and one word in
 * the list of commands/CMakeLists.txt. The same for what follows a verb that has verbs of its own (`inspect
 * process`): commands/inspect_process.c defines fnp_command_inspect_process.
 */
#ifndef FNP_PROFILER_COMMANDS_COMMAND_H
#define FNP_PROFILER_COMMANDS_COMMAND_H

#include <stddef.h>

/* What the program exits with; `record` beside these with its command's status. */
enum fnp_exit {
	FNP_EXIT_OK = 0,
	FNP_EXIT_FAILED = 1,	     /* verbs other than record */
	FNP_EXIT_USAGE = 2,	     /* bad use: nothing was done */
	FNP_EXIT_NOT_RECORDED = 125, /* could not record or write */
	FNP_EXIT_NOT_EXECUTABLE = 126,
	FNP_EXIT_NOT_FOUND = 127,
};

struct fnp_command_ops {
	const char *name;	 /* "record"; of a sub-verb its own word, "process" */
	const char *synopsis;	 /* the whole line: "fnprof record [-o DIR] ..." */
	const char *description; /* one line, for the list of verbs */
	const char *details;	 /* paragraphs for its own help, or NULL */
	/* argv[0] is the verb. What goes wrong has been said; the program exits with the result. */
	int (*run)(int argc, char **argv);
};

/* All verbs, and those of `inspect`, in the order of their lists; ended by NULL. */
extern const struct fnp_command_ops *const fnp_commands[];
extern const struct fnp_command_ops *const fnp_inspect_commands[];

/* The whole program: an exit status. */
int fnp_command_main(int argc, char **argv);

/*
 * Runs the verb that argv[1] names, out of `table`; `what` is what such a word is called ("verb"). Unknown words
 * are said, with the one that was probably meant.
 */
int fnp_command_dispatch(const struct fnp_command_ops *const *table, const char *what, int argc, char **argv);

/* Lists the table, a line each, on standard output. */
void fnp_command_list(const struct fnp_command_ops *const *table);

#endif
