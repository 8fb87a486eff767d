/* SPDX-License-Identifier: Apache-2.0 */
/* `inspect`: a verb of verbs, each about what fnprof makes of one thing. */
#include "profiler/commands/command.h"

#include "base/memory.h"

extern const struct fnp_command_ops fnp_command_inspect;

static int run(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		printf("%s\n\n%s\n\n", fnp_command_inspect.synopsis, fnp_command_inspect.description);
		fnp_command_list(fnp_inspect_commands);
		return FNP_EXIT_OK;
	}
	return fnp_command_dispatch(fnp_inspect_commands, "thing to inspect", argc, argv);
}

const struct fnp_command_ops fnp_command_inspect = {
	.name = "inspect",
	.synopsis = "fnprof inspect process PID | object FILE [--rows] | symbols FILE",
	.description = "what fnprof makes of a process, of an ELF file, of addresses",
	.run = run,
};
