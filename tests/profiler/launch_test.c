/* SPDX-License-Identifier: Apache-2.0 */
/* The command is held until it may go, gets what it was given, and its end is told as a shell tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "profiler/launch.h"

static void prepare(struct fnp_launch *launch, char *const *command)
{
	struct fnp_launch_signals signals = {.pipe = {.sa_handler = SIG_DFL},
					     .file_size = {.sa_handler = SIG_DFL}};

	sigemptyset(&signals.mask);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	*launch = (struct fnp_launch)FNP_LAUNCH_NONE;
	assert_int_equal(fnp_launch_prepare(launch, command, &signals), 0);
	assert_true(launch->pid > 0);
}

static int wait_for_end(struct fnp_launch *launch)
{
	for (int i = 0; i < 5000 && !fnp_launch_has_ended(launch); i++)
		poll(NULL, 0, 1);
	assert_true(fnp_launch_has_ended(launch));
	return fnp_launch_exit_status(launch);
}

static void the_command_waits_until_it_may_go(void **state)
{
	char *const command[] = {"/bin/sh", "-c", "exit 7", NULL};
	struct fnp_launch launch;

	(void)state;
	prepare(&launch, command);
	poll(NULL, 0, 50);
	assert_false(fnp_launch_has_ended(&launch));
	assert_int_equal(fnp_launch_go(&launch), 0);
	assert_int_equal(wait_for_end(&launch), 7);
	fnp_launch_deinit(&launch);
}

static void an_end_by_a_signal_is_128_and_its_number(void **state)
{
	char *const command[] = {"/bin/sh", "-c", "kill -TERM $$", NULL};
	struct fnp_launch launch;

	(void)state;
	prepare(&launch, command);
	assert_int_equal(fnp_launch_go(&launch), 0);
	assert_int_equal(wait_for_end(&launch), 128 + SIGTERM);
	fnp_launch_deinit(&launch);
}

static void a_command_that_does_not_exist_is_told_from_one_that_cannot_be_executed(void **state)
{
	char *const missing[] = {"/nonexistent/command", NULL};
	char *const folder[] = {"/", NULL};
	struct fnp_launch launch;

	(void)state;
	prepare(&launch, missing);
	assert_int_equal(fnp_launch_go(&launch), -ENOENT);
	assert_int_equal(wait_for_end(&launch), 127);
	fnp_launch_deinit(&launch);
	prepare(&launch, folder);
	assert_int_equal(fnp_launch_go(&launch), -EACCES);
	assert_int_equal(wait_for_end(&launch), 126);
	fnp_launch_deinit(&launch);
}

static void a_command_that_never_goes_does_not_run(void **state)
{
	char path[] = "/tmp/fnprof-launch-XXXXXX";
	int fd = mkstemp(path);
	char *const command[] = {"/bin/rm", "-f", path, NULL};
	struct fnp_launch launch;

	(void)state;
	assert_true(fd >= 0);
	prepare(&launch, command);
	fnp_launch_deinit(&launch);
	assert_int_equal(wait_for_end(&launch), 125);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	close(fd);
}

/* Ctrl-C while everything is still being loaded. */
static void a_command_that_a_signal_ends_while_it_waits_has_that_status(void **state)
{
	char *const command[] = {"/bin/sh", "-c", "exit 7", NULL};
	struct fnp_launch launch;

	(void)state;
	prepare(&launch, command);
	kill(launch.pid, SIGINT);
	assert_int_equal(waitid(P_PID, (id_t)launch.pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(fnp_launch_go(&launch), 0);
	assert_int_equal(wait_for_end(&launch), 128 + SIGINT);
	fnp_launch_deinit(&launch);
}

/* Ends itself by a signal that we ignore. */
static void assert_ends_by(const char *kill, int signum)
{
	char *const command[] = {"/bin/sh", "-c", (char *)(uintptr_t)kill, NULL};
	struct fnp_launch launch;

	prepare(&launch, command);
	assert_int_equal(fnp_launch_go(&launch), 0);
	assert_int_equal(wait_for_end(&launch), 128 + signum);
	fnp_launch_deinit(&launch);
}

static void the_command_has_the_signals_that_we_were_given(void **state)
{
	(void)state;
	assert_ends_by("kill -PIPE $$; exit 7", SIGPIPE);
	assert_ends_by("kill -XFSZ $$; exit 7", SIGXFSZ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_waits_until_it_may_go),
		cmocka_unit_test(an_end_by_a_signal_is_128_and_its_number),
		cmocka_unit_test(a_command_that_does_not_exist_is_told_from_one_that_cannot_be_executed),
		cmocka_unit_test(a_command_that_never_goes_does_not_run),
		cmocka_unit_test(a_command_that_a_signal_ends_while_it_waits_has_that_status),
		cmocka_unit_test(the_command_has_the_signals_that_we_were_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
