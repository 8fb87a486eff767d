/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command that `record -- CMD` profiles: forked early, held until everything is live, then executed.
 *
 * It gets our standard streams, our environment and the signal state that we were started with.
 */
#ifndef FNP_PROFILER_LAUNCH_H
#define FNP_PROFILER_LAUNCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fnp_launch {
	pid_t pid; /* 0: no command */
	int go_fd; /* one byte here lets it go; closing it makes it end */
	int error_fd;
	bool ended;
	int wait_status;
};

#define FNP_LAUNCH_NONE                                                                                      \
	{                                                                                                    \
		.go_fd = -1, .error_fd = -1                                                                  \
	}

/* What the command is to have of signals: as they were when we were started. */
struct fnp_launch_signals {
	sigset_t mask;
	struct sigaction pipe;	    /* of SIGPIPE, which we ignore */
	struct sigaction file_size; /* of SIGXFSZ, likewise */
};

/* Forks and holds. */
int fnp_launch_prepare(struct fnp_launch *launch, char *const *command,
		       const struct fnp_launch_signals *signals);

/*
 * Lets it execute, and waits until it has: 0, or what execvp() failed with (said, and the process is gone). 0 also when
 * a signal has ended it before. The caller ignores SIGPIPE.
 */
int fnp_launch_go(struct fnp_launch *launch);

/* True once the command has ended; never blocks. */
bool fnp_launch_has_ended(struct fnp_launch *launch);

/* The command's status as a shell tells it: its own, or 128 + the signal. Only after it has ended. */
int fnp_launch_exit_status(const struct fnp_launch *launch);

/* Lets go of what is held; a command that was never let go ends without having run. */
void fnp_launch_deinit(struct fnp_launch *launch);

#endif
