/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Python frames of living interpreters, walked by the kernel side's source and named: a program stops itself where its
 * stack is known, and says what it is (python_truth.py). Every interpreter that is found here is tried: those in PATH
 * and pyenv's; FNPROF_TEST_PYTHONS (separated by colons) adds others.
 */
#include "tests/bpf/live_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/vec.h"
#include "bpf/wire.h"

#define EXPECTED_MAX 1200

static char truth[4096]; /* path of the program */

struct subject {
	pid_t pid;
	FILE *out;
	struct live_process *process;
	char *expected[EXPECTED_MAX];
	size_t n_expected;
};

static void start(struct subject *s, const char *python)
{
	int ends[2];

	memset(s, 0, sizeof(*s));
	assert_int_equal(pipe(ends), 0);
	s->pid = fork();
	if (s->pid == 0) {
		dup2(ends[1], 1);
		close(ends[0]);
		setenv("PYTHONUTF8", "1", 1);
		setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
		execlp(python, python, truth, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	s->out = fdopen(ends[0], "r");
	assert_non_null(s->out);
}

static void finish(struct subject *s)
{
	for (size_t i = 0; i < s->n_expected; i++)
		free(s->expected[i]);
	live_process_destroy(s->process);
	fclose(s->out);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* Reads one stop: its name and thread; false at the end of the program. */
static bool read_stop(struct subject *s, char name[64], int *tid)
{
	char *line = NULL;
	size_t cap = 0;
	bool found = false;

	for (size_t i = 0; i < s->n_expected; i++)
		free(s->expected[i]);
	s->n_expected = 0;
	while (getline(&line, &cap, s->out) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "@stop %63s %d", name, tid) == 2) {
			found = true;
		} else if (strcmp(line, "end") == 0) {
			break;
		} else {
			assert_true(s->n_expected < EXPECTED_MAX);
			s->expected[s->n_expected++] = strdup(line);
		}
	}
	free(line);
	return found;
}

/* Waits until the process has stopped itself. */
static void wait_stopped(pid_t pid)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 5000; i++) {
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
		const char *state = strrchr(text, ')');
		if (state && (state[2] == 'T' || state[2] == 't'))
			return;
		usleep(1000);
	}
	fail_msg("%d does not stop", (int)pid);
}

/* The Python frames and the objects between them are the expected ones, all of them and no other. */
static void compare(const struct subject *s, const struct live_stack *stack, const char *name)
{
	size_t e = 0;

	for (size_t i = 0; i < stack->n; i++) {
		const struct live_frame *f = &stack->frames[i];
		char text[2048];

		if (f->kind == FNP_WORD_NATIVE) {
			if (e < s->n_expected && s->expected[e][0] == '!' &&
			    strcmp(f->object, s->expected[e] + 1) == 0)
				e++;
			continue;
		}
		snprintf(text, sizeof(text), "%s\t%s\t%u\t%u", f->name, f->file, f->start_line, f->line);
		if (e == s->n_expected || strcmp(text, s->expected[e]) != 0)
			fail_msg("%s: frame %zu is '%s', not '%s'", name, i, text,
				 e < s->n_expected ? s->expected[e] : "(end)");
		e++;
	}
	if (e < s->n_expected)
		fail_msg("%s: %zu of %zu frames, then '%s' is missing", name, e, s->n_expected, s->expected[e]);
	assert_int_equal(stack->truncation, FNP_TRUNCATION_NONE);
}

/* The number of stops that were compared; -EPERM when this machine does not let us look. */
static int try_python(const char *python)
{
	static struct live_stack stack;
	struct subject s;
	char name[64];
	int tid, n = 0, r = 0;

	start(&s, python);
	while (r == 0 && read_stop(&s, name, &tid)) {
		wait_stopped(s.pid);
		r = s.process ? live_process_update(s.process) : live_process_create(s.pid, &s.process);
		r = r ?: live_process_walk(s.process, tid, false, &stack);
		if (r == 0) {
			compare(&s, &stack, name);
			n++;
		}
		kill(s.pid, SIGCONT);
	}
	assert_true(r < 0 || n > 20);
	if (n)
		print_message("%s (%s): %d stops\n", python, live_process_runtime(s.process), n);
	finish(&s);
	return r < 0 ? r : n;
}

static void try_pattern(const char *pattern, int *n_tried)
{
	glob_t files = {0};
	int n = 0;

	if (glob(pattern, 0, NULL, &files) == 0) {
		for (size_t i = 0; i < files.gl_pathc && n >= 0; i++) {
			n = try_python(files.gl_pathv[i]);
			*n_tried += n > 0;
		}
	}
	globfree(&files);
	if (n == -EPERM || n == -EACCES) {
		print_message("may not look into processes here\n");
		skip();
	}
	assert_true(n >= 0);
}

static void every_frame_of_a_known_stack_is_right(void **state FNP_UNUSED)
{
	char pattern[4096], others[4096];
	int n_tried = 0;

	for (int minor = 8; minor <= 15; minor++) {
		snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.%d.*/bin/python3.%d",
			 getenv("HOME") ?: "/nowhere", minor, minor);
		try_pattern(pattern, &n_tried);
		snprintf(pattern, sizeof(pattern), "/usr/bin/python3.%d", minor);
		try_pattern(pattern, &n_tried);
	}
	snprintf(others, sizeof(others), "%s", getenv("FNPROF_TEST_PYTHONS") ?: "");
	for (char *rest = others, *one; (one = strsep(&rest, ":"));) {
		if (*one)
			try_pattern(one, &n_tried);
	}
	if (n_tried == 0) {
		print_message("no CPython of version 3.8 to 3.15 here\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_of_a_known_stack_is_right),
	};

	snprintf(truth, sizeof(truth), "%s", FNP_TEST_SOURCE "/python_truth.py");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
