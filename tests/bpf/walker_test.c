/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walker in the kernel over real programs without frame pointers. Runs as root; skipped elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bpf/sampler.h"

#define PERIOD_NS 1000000

struct seen {
	unsigned int stacks, whole, of_depth, depth_marker, resumed;
	unsigned int min_words, max_words, expected;
	uint32_t causes[16];
};

static void count(void *self, const struct fnp_sampled_stack *stack)
{
	struct seen *seen = self;

	seen->stacks++;
	seen->whole += stack->truncation == FNP_TRUNCATION_NONE;
	seen->of_depth += stack->n_words == seen->expected;
	seen->resumed += stack->resumed;
	seen->causes[stack->truncation & 15]++;
	if (seen->min_words == 0 || stack->n_words < seen->min_words)
		seen->min_words = stack->n_words;
	if (stack->n_words > seen->max_words)
		seen->max_words = stack->n_words;
}

static void sample(const char *depth, bool without_tables, struct seen *seen)
{
	pid_t pid = fnp_sampler_start(PROGRAMS "/deep", depth);
	struct fnp_sampler_options options = {
		.pid = pid, .period_ns = PERIOD_NS, .keep_words = true, .without_tables = without_tables};
	struct fnp_sampler *sampler = NULL;
	int r = fnp_sampler_create(&options, &sampler);

	if (r == 0) {
		/* On a busy machine the program gets its turns late. */
		for (int i = 0; r == 0 && i < 30 && seen->stacks <= 50; i++)
			r = fnp_sampler_run(sampler, 400, count, seen);
		fprintf(stderr, "loaded in %.1f ms\n", (double)fnp_sampler_load_ns(sampler) / 1e6);
		fnp_sampler_destroy(sampler);
	}
	fnp_sampler_stop(pid);
	assert_int_equal(r, 0);
	fprintf(stderr, "depth %s: %u stacks, %u whole, %u as expected (%u), words %u..%u, %u resumed; causes",
		depth, seen->stacks, seen->whole, seen->of_depth, seen->expected, seen->min_words,
		seen->max_words, seen->resumed);
	for (int i = 0; i < 16; i++)
		fprintf(stderr, " %u", seen->causes[i]);
	fprintf(stderr, "\n");
	assert_true(seen->stacks > 50);
}

static void every_stack_reaches_the_root(void **state)
{
	/* burn, 21 times descend, main, two of libc's, _start */
	struct seen seen = {.expected = 26};

	(void)state;
	sample("20", false, &seen);
	assert_int_equal(seen.whole, seen.stacks);
	assert_int_equal(seen.of_depth, seen.stacks);
	assert_int_equal(seen.resumed, 0);
}

static void deep_recursion_continues_by_tail_calls(void **state)
{
	struct seen seen = {.expected = 406};

	(void)state;
	sample("400", false, &seen);
	assert_int_equal(seen.of_depth, seen.stacks);
}

static void endless_recursion_keeps_the_leaf_side_under_a_marker(void **state)
{
	struct seen seen = {0};

	(void)state;
	sample("6000", false, &seen);
	assert_true(seen.min_words > 1024);
	assert_int_equal(seen.causes[FNP_TRUNCATION_DEPTH], seen.stacks);
}

static void what_was_not_loaded_is_walked_in_user_space(void **state)
{
	struct seen seen = {.expected = 26};

	(void)state;
	sample("20", true, &seen);
	assert_int_equal(seen.resumed, seen.stacks);
	assert_int_equal(seen.of_depth, seen.stacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_stack_reaches_the_root),
		cmocka_unit_test(deep_recursion_continues_by_tail_calls),
		cmocka_unit_test(endless_recursion_keeps_the_leaf_side_under_a_marker),
		cmocka_unit_test(what_was_not_loaded_is_walked_in_user_space),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "needs root to load BPF programs\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
