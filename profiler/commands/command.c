/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/commands/command.h"

#include <errno.h>

#include "base/log.h"
#include "profiler/commands/suggest.h"

#ifndef FNPROF_VERSION
#define FNPROF_VERSION "unknown"
#endif

#define VERBS_MAX 32

#define FNP_REGISTER(name) extern const struct fnp_command_ops fnp_command_##name;
#include "commands_registry.inc"
#undef FNP_REGISTER
#define FNP_REGISTER(name) &fnp_command_##name,
const struct fnp_command_ops *const fnp_commands[] = {
#include "commands_registry.inc"
	NULL,
};
#undef FNP_REGISTER

#define FNP_REGISTER(name) extern const struct fnp_command_ops fnp_command_inspect_##name;
#include "inspect_commands_registry.inc"
#undef FNP_REGISTER
#define FNP_REGISTER(name) &fnp_command_inspect_##name,
const struct fnp_command_ops *const fnp_inspect_commands[] = {
#include "inspect_commands_registry.inc"
	NULL,
};
#undef FNP_REGISTER

void fnp_command_list(const struct fnp_command_ops *const *table)
{
	for (; *table; table++)
		printf("  %-10s%s\n", (*table)->name, (*table)->description);
}

static const struct fnp_command_ops *find(const struct fnp_command_ops *const *table, const char *name)
{
	for (; *table; table++) {
		if (strcmp((*table)->name, name) == 0)
			return *table;
	}
	return NULL;
}

static int unknown(const struct fnp_command_ops *const *table, const char *what, const char *word)
{
	const char *names[VERBS_MAX], *near;
	size_t n = 0;

	while (table[n] && n < VERBS_MAX) {
		names[n] = table[n]->name;
		n++;
	}
	near = fnp_suggest(word, names, n);
	if (near)
		fnp_error(0, "unknown %s \"%s\"; did you mean \"%s\"?", what, word, near);
	else
		fnp_error(0, "unknown %s \"%s\" (see fnprof --help)", what, word);
	return FNP_EXIT_USAGE;
}

int fnp_command_dispatch(const struct fnp_command_ops *const *table, const char *what, int argc, char **argv)
{
	const struct fnp_command_ops *command;

	if (argc < 2) {
		fnp_error(0, "a %s is missing (see fnprof --help)", what);
		return FNP_EXIT_USAGE;
	}
	command = find(table, argv[1]);
	return command ? command->run(argc - 1, argv + 1) : unknown(table, what, argv[1]);
}

static void print_help(void)
{
	printf("fnprof: one profile for every function invocation of this host\n\n"
	       "Usage: fnprof VERB [OPTION...] [ARGUMENT...]\n\n");
	fnp_command_list(fnp_commands);
	printf("\nTry \"fnprof demo\" first, and \"fnprof VERB --help\" for one verb's options.\n");
}

/*
 * A reader that went away (`fnprof ls | head`) is no failure to speak of: mostly SIGPIPE has ended us before this.
 * Anything else that kept output from arriving is.
 */
static int flush_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fnp_error(0, "cannot write to standard output: %s", strerror(errno));
	return status == FNP_EXIT_OK ? FNP_EXIT_FAILED : status;
}

static int run(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		fnp_error(0, "a verb is missing (see fnprof --help)");
		return FNP_EXIT_USAGE;
	}
	if (strcmp(word, "--version") == 0) {
		printf("fnprof " FNPROF_VERSION "\n");
		return FNP_EXIT_OK;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (strcmp(word, "help") == 0 && argc == 2)) {
		print_help();
		return FNP_EXIT_OK;
	}
	if (strcmp(word, "help") == 0) {
		char help[] = "--help";
		char *asked[] = {argv[0], argv[2], help, NULL};
		return fnp_command_dispatch(fnp_commands, "verb", 3, asked);
	}
	if (word[0] == '-') {
		fnp_error(0, "unknown option \"%s\" before the verb (see fnprof --help)", word);
		return FNP_EXIT_USAGE;
	}
	return fnp_command_dispatch(fnp_commands, "verb", argc, argv);
}

int fnp_command_main(int argc, char **argv)
{
	return flush_output(run(argc, argv));
}
