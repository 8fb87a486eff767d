/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the program in this process, as its main() does, and keeps what it printed. */
#ifndef FNP_TESTS_PROFILER_COMMANDS_RUN_H
#define FNP_TESTS_PROFILER_COMMANDS_RUN_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "profiler/commands/command.h"

static struct fnp_buffer out; /* what the last run printed, a NUL after it */

/* Runs the program with standard output in a file; its exit status. */
static inline int run(char *const *words)
{
	char *argv[16] = {(char *)"fnprof"};
	int argc = 1;

	while (words[argc - 1]) {
		argv[argc] = words[argc - 1];
		argc++;
	}
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	int fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && saved >= 0);
	dup2(fd, STDOUT_FILENO);
	int status = fnp_command_main(argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fnp_buffer_deinit(&out);
	assert_int_equal(fnp_file_read_fd(fd, 1u << 24, &out), 0);
	close(fd);
	return status;
}

#define RUN(...) run((char *[]){__VA_ARGS__, NULL})

static inline const char *text(void)
{
	return (const char *)out.data;
}

static inline size_t lines(void)
{
	size_t n = 0;

	for (size_t i = 0; i < out.len; i++)
		n += out.data[i] == '\n';
	return n;
}

static inline bool has(const char *part)
{
	return strstr(text(), part) != NULL;
}

#endif
