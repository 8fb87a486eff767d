/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb, runs it, and sees that what it printed has arrived. */
#include "profiler/commands/command.h"

int main(int argc, char **argv)
{
	return fnp_command_main(argc, argv);
}
