/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb, runs it, and sees that what it printed has arrived. */
#include "profiler/commands/command.h"

#include <fcntl.h>
#include <unistd.h>

/*
 * A standard stream that is closed keeps its number: else what we open next would have it, and messages would go there.
 * Reading finds nothing, writing still fails, and for a command that we start it is closed, as it was for us.
 */
static void hold_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= STDIN_FILENO && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	hold_standard_streams();
	return fnp_command_main(argc, argv);
}
