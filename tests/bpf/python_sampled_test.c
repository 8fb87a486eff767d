/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Python frames as the kernel side samples them, at any instant of programs that call, raise, generate and delete
 * without pause: every function must have been called by one that calls it, up to the thread's root.
 */
#include "tests/bpf/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glob.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/layout/python.h"

/* Who calls whom in python_busy.py; before 3.11 the plain names. */
static const char *const calls[][8] = {
	{"leaf", "middle", "key", "replaced", "numbers", "Thing.__init__", "Thing.__del__", "Thing.__lt__"},
	{"leaf", "in_exceptions", "__init__", "__del__", "__lt__"},
	{"middle", "main", "recursive"},
	{"key", "in_sort"},
	{"replaced", "in_regex", "sub"},
	{"sub", "in_regex"},
	{"_compile", "sub"},
	{"numbers", "in_generator"},
	{"recursive", "recursive", "main"},
	{"Thing.__init__", "in_objects.<locals>.<genexpr>"},
	{"__init__", "<genexpr>"},
	{"in_objects.<locals>.<genexpr>", "in_objects"},
	{"<genexpr>", "in_objects"},
	{"Thing.__lt__", "in_objects"},
	{"__lt__", "in_objects"},
	{"Thing.__del__", "in_objects", "in_objects.<locals>.<genexpr>", "main"},
	{"__del__", "in_objects", "<genexpr>", "main"},
	{"raising", "raising", "in_exceptions"},
	{"dumps", "in_json"},
	{"JSONEncoder.encode", "dumps"},
	{"encode", "dumps"},
	{"JSONEncoder.iterencode", "JSONEncoder.encode"},
	{"iterencode", "encode"},
	{"in_sort", "main"},
	{"in_regex", "main"},
	{"in_generator", "main"},
	{"in_objects", "main"},
	{"in_exceptions", "main"},
	{"in_json", "main"},
	{"main", "<module>", "Thread.run", "run"},
	{"Thread.run", "Thread._bootstrap_inner"},
	{"run", "_bootstrap_inner"},
	{"Thread._bootstrap_inner", "Thread._bootstrap"},
	{"_bootstrap_inner", "_bootstrap"},
};
static const char *const roots[] = {"<module>", "Thread._bootstrap", "_bootstrap"};

struct seen {
	struct fnp_sampler *sampler;
	uint32_t stacks, truncated, without, wrong;
	char example[1024];
};

static bool may_call(const char *caller, const char *callee)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(calls); i++) {
		for (size_t k = 1; strcmp(calls[i][0], callee) == 0 && k < 8 && calls[i][k]; k++) {
			if (strcmp(calls[i][k], caller) == 0)
				return true;
		}
	}
	return false;
}

static bool is_root(const char *name)
{
	for (size_t i = 0; i < FNP_ARRAY_SIZE(roots); i++) {
		if (strcmp(roots[i], name) == 0)
			return true;
	}
	return false;
}

static void visit(void *self, const struct fnp_sampled_stack *stack)
{
	static struct fnp_runtime_frame frame;
	struct seen *seen = self;
	char callee[256] = "", caller[256] = "";
	bool wrong = false;

	seen->stacks++;
	if (stack->truncation) {
		seen->truncated++;
		return;
	}
	for (uint32_t i = 0; i < stack->n_words;
	     i += 1 + (uint32_t)(stack->words[i] >> FNP_WORD_MORE_SHIFT & 7)) {
		if (stack->words[i] >> FNP_WORD_KIND_SHIFT != FNP_WORD_PYTHON)
			continue;
		bool named = fnp_sampler_name(seen->sampler, stack->words + i, FNP_PYTHON_WORDS, &frame) == 0;
		snprintf(caller, sizeof(caller), "%s", named ? frame.lines[0].name : "(no name)");
		if (callee[0] && !may_call(caller, callee) && !wrong) {
			wrong = true;
			snprintf(seen->example, sizeof(seen->example), "%s under %s", callee, caller);
		}
		memcpy(callee, caller, sizeof(callee));
	}
	seen->without += callee[0] == '\0';
	if (callee[0] && !wrong && !is_root(callee)) {
		wrong = true;
		snprintf(seen->example, sizeof(seen->example), "%s as a root", callee);
	}
	seen->wrong += wrong;
}

static void sample(const char *python)
{
	struct seen seen = {0};
	pid_t pid = fork();

	if (pid == 0) {
		execl(python, python, FNP_TEST_SOURCE "/python_busy.py", "2", (char *)NULL);
		_exit(127);
	}
	usleep(500000);
	struct fnp_sampler_options options = {
		.pid = pid, .period_ns = 500000, .keep_words = true, .runtimes = true};
	int r = fnp_sampler_create(&options, &seen.sampler);
	if (r == 0)
		r = fnp_sampler_run(seen.sampler, 1500, visit, &seen);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (r == 0)
		fnp_sampler_destroy(seen.sampler);
	if (r == -EPERM || r == -EACCES) {
		print_message("may not load BPF programs here\n");
		skip();
	}
	assert_int_equal(r, 0);
	print_message("%s: %u stacks, %u wrong, %u cut, %u without Python frames%s%s\n", python, seen.stacks,
		      seen.wrong, seen.truncated, seen.without, seen.wrong ? "; e.g. " : "", seen.example);
	assert_true(seen.stacks > 100);
	assert_int_equal(seen.wrong, 0);
	/* 99.5 %, as far as so few samples can tell. */
	assert_true((seen.truncated + seen.without) * 200 <= seen.stacks + 400);
}

static void no_chain_is_wrong_at_any_instant(void **state FNP_UNUSED)
{
	char pattern[1024];
	int n_tried = 0;

	for (int minor = 8; minor <= 15; minor++) {
		for (int own = 0; own < 2; own++) {
			glob_t files = {0};
			if (!own)
				snprintf(pattern, sizeof(pattern), "/usr/bin/python3.%d", minor);
			else
				snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.%d.*/bin/python3.%d",
					 getenv("HOME") ?: "/nowhere", minor, minor);
			if (glob(pattern, 0, NULL, &files) == 0 && files.gl_pathc > 0) {
				sample(files.gl_pathv[0]);
				n_tried++;
			}
			globfree(&files);
		}
	}
	if (n_tried == 0) {
		print_message("no CPython of version 3.8 to 3.15 here\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_chain_is_wrong_at_any_instant),
	};

	if (geteuid() != 0) {
		print_message("needs root: BPF\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
