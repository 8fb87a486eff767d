/* SPDX-License-Identifier: Apache-2.0 */
#include "profiler/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "base/log.h"

/* In the child: nothing but system calls until exec. */
static void __attribute__((noreturn))
run_child(int go_fd, int error_fd, char *const *command, const struct fnp_launch_signals *signals)
{
	char byte;
	int error;

	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
	sigaction(SIGPIPE, &signals->pipe, NULL);
	sigaction(SIGXFSZ, &signals->file_size, NULL);
	if (read(go_fd, &byte, 1) != 1)
		_exit(125); /* the profiler is gone */
	execvp(command[0], command);
	error = errno;
	if (write(error_fd, &error, sizeof(error)) < 0) {
		/* The exit code says it as well. */
	}
	_exit(error == ENOENT ? 127 : 126);
}

int fnp_launch_prepare(struct fnp_launch *launch, char *const *command, const struct fnp_launch_signals *signals)
{
	int go[2] = {-1, -1}, error[2] = {-1, -1};
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(error, O_CLOEXEC) < 0) {
		int r = -errno;
		fnp_closep(&go[0]);
		fnp_closep(&go[1]);
		return fnp_error(r, "cannot make a pipe: %s", strerror(-r));
	}
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		close(error[0]);
		run_child(go[0], error[1], command, signals);
	}
	close(go[0]);
	close(error[1]);
	launch->go_fd = go[1];
	launch->error_fd = error[0];
	if (pid < 0)
		return fnp_error(-errno, "cannot start a process: %s", strerror(errno));
	launch->pid = pid;
	return 0;
}

int fnp_launch_go(struct fnp_launch *launch)
{
	int error = 0;
	ssize_t n;

	/* A signal may have ended it while it waited: then its status says so, as it would have later. */
	if (write(launch->go_fd, "x", 1) != 1 && errno != EPIPE)
		return -errno;
	fnp_closep(&launch->go_fd);
	do {
		n = read(launch->error_fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	fnp_closep(&launch->error_fd);
	return n == (ssize_t)sizeof(error) ? -error : 0;
}

bool fnp_launch_has_ended(struct fnp_launch *launch)
{
	if (launch->pid && !launch->ended)
		launch->ended = waitpid(launch->pid, &launch->wait_status, WNOHANG) == launch->pid;
	return launch->ended;
}

int fnp_launch_exit_status(const struct fnp_launch *launch)
{
	if (WIFSIGNALED(launch->wait_status))
		return 128 + WTERMSIG(launch->wait_status);
	return WEXITSTATUS(launch->wait_status);
}

void fnp_launch_deinit(struct fnp_launch *launch)
{
	fnp_closep(&launch->go_fd);
	fnp_closep(&launch->error_fd);
}
