/* SPDX-License-Identifier: Apache-2.0 */
/* Walks that user space ends, over made mappings and a made stack: code without a file is walked by frame pointers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "profiler/targets/resume.h"

#define CODE ((uint64_t)(uintptr_t)code)
#define CALL 0xe8 /* call, with a distance of 32 bits behind it */
#define STACK 0x7000
#define WORDS 32

/* What the process has where a JIT's code would be: that is the test itself. Before 0x101 and 0x301 stands a call. */
static uint8_t code[0x10000] = {[0x101 - 5] = CALL, [0x301 - 5] = CALL};

struct world {
	struct fnp_objects *objects;
	struct fnp_processes *processes;
	struct fnp_spaces *spaces;
	struct fnp_process *process;
	struct fnp_resumer *resumer;
};

struct section {
	struct fnp_resume resume;
	uint64_t stack[WORDS];
};

static int set_up(void **state)
{
	struct fnp_spaces_fds none = {-1, -1, -1, -1, -1};
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(fnp_objects_create(&w->objects), 0);
	assert_int_equal(fnp_processes_create(w->objects, &w->processes), 0);
	assert_int_equal(fnp_spaces_create(&none, w->objects, &w->spaces), 0);
	assert_int_equal(fnp_processes_add(w->processes, (uint32_t)getpid(), 0, &w->process), 0);
	assert_int_equal(fnp_resumer_create(w->spaces, &w->resumer), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fnp_resumer_destroy(w->resumer);
	fnp_processes_destroy(w->processes);
	fnp_spaces_destroy(w->spaces);
	fnp_objects_destroy(w->objects);
	free(w);
	return 0;
}

/* A leaf in CODE whose frame pointer is 16 bytes above its sp; its caller, in CODE as well, is the first frame. */
static struct section two_frames(void)
{
	struct section section = {.resume = {.pc = CODE + 0x10,
					     .sp = STACK,
					     .fp = STACK + 16,
					     .stack = STACK,
					     .stack_bytes = sizeof(section.stack),
					     .exact = 1,
					     .leaf = 1}};

	section.stack[2] = STACK + 64;
	section.stack[3] = CODE + 0x101;
	return section;
}

static struct fnp_resume_stack walk(struct world *w, const struct section *section, uint64_t time_ns)
{
	static const uint64_t none[1];
	struct fnp_resume_stack stack = {.words = none, .may_wait = true};

	assert_int_equal(fnp_resumer_walk(w->resumer, w->process, time_ns, section, sizeof(*section), &stack),
			 0);
	return stack;
}

static void map_code(struct world *w, uint64_t from_ns)
{
	struct fnp_mapping mapping = {.start = CODE, .end = CODE + 0x10000, .from_ns = from_ns};

	assert_int_equal(fnp_vec_push(&w->process->mappings, mapping), 0);
}

/* The 0 that stands above the last frame may be anything: where frame pointers are only believed it is no root. */
static void frames_of_code_without_a_file_are_walked_as_far_as_they_are_called(void **state)
{
	struct section section = two_frames();
	struct fnp_resume_stack stack;

	map_code(*state, 10);
	stack = walk(*state, &section, 20);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_ROW);
	assert_int_equal(stack.n_words, 3);
	assert_int_equal(stack.words[0], FNP_WORD(FNP_WORD_NATIVE, 0, CODE + 0x10));
	assert_int_equal(stack.words[1], FNP_WORD(FNP_WORD_NATIVE, 0, CODE + 0x100));
	assert_int_equal(stack.words[2], FNP_WORD(FNP_WORD_MARKER, 0, FNP_TRUNCATION_NO_ROW));
}

/* A JIT may use rbp for whatever it likes, and then what lies above where it points is no return address. */
static void what_stands_behind_no_call_is_no_caller(void **state)
{
	struct section section = two_frames();
	struct fnp_resume_stack stack;

	map_code(*state, 10);
	section.stack[3] = CODE + 0x201;
	stack = walk(*state, &section, 20);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_ROW);
	assert_int_equal(stack.n_words, 2);
	assert_int_equal(stack.words[1], FNP_WORD(FNP_WORD_MARKER, 0, FNP_TRUNCATION_NO_ROW));
	section.stack[3] = 0x1234; /* no memory at all */
	stack = walk(*state, &section, 20);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_ROW);
	section.stack[2] = CODE + 0x301;
	section.resume.fp = STACK + 12; /* frames lie at multiples of 8 */
	assert_int_equal(walk(*state, &section, 20).truncation, FNP_TRUNCATION_NO_ROW);
}

/* Before `push rbp`, behind it while rbp is what was pushed, and at `ret`, the frame that rbp tells is the caller's. */
static void a_leaf_without_its_frame_has_its_own_caller(void **state)
{
	static const struct {
		uint8_t bytes[8]; /* from one before the pc on */
		size_t caller;	  /* the word of the stack that has it */
		bool is_pushed;	  /* the word before that is rbp */
	} leaves[] = {
		{{0x90, 0x55}, 0},
		{{0x90, 0xf3, 0x0f, 0x1e, 0xfa, 0x55}, 0},
		{{0x55, 0x48, 0x89, 0xe5}, 1, true},
		{{0x55, 0x48, 0x89, 0xf5}, 1, true},
		{{0x55, 0x90}, 3}, /* the end of another instruction */
		{{0x5d, 0xc3}, 0},
		{{0x90, 0x90}, 3},
	};

	map_code(*state, 10);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(leaves); i++) {
		struct section section = two_frames();
		struct fnp_resume_stack stack;

		section.stack[leaves[i].caller] = CODE + 0x301;
		if (leaves[i].is_pushed)
			section.stack[0] = section.resume.fp;
		memcpy(code + 0xf, leaves[i].bytes, sizeof(leaves[i].bytes));
		stack = walk(*state, &section, 20);
		assert_true(stack.n_words >= 2);
		assert_int_equal(stack.words[1], FNP_WORD(FNP_WORD_NATIVE, 0, CODE + 0x300));
	}
	memset(code + 0xf, 0, 8);
}

static void what_an_earlier_walk_remembered_is_not_believed(void **state)
{
	struct section section = two_frames();
	struct fnp_resume_stack stack;

	map_code(*state, 10);
	for (int i = 0; i < 3; i++)
		walk(*state, &section, 20);
	/* Before it was mapped. */
	stack = walk(*state, &section, 5);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_MAPPING);
	assert_int_equal(stack.n_words, 2);
	assert_int_equal(stack.words[1], FNP_WORD(FNP_WORD_MARKER, 0, FNP_TRUNCATION_NO_MAPPING));
}

static void code_of_a_runtime_that_starts_waits_for_it(void **state)
{
	static const uint64_t none[1];
	struct fnp_resume_stack stack = {.words = none};
	struct section section = two_frames();
	struct world *w = *state;

	map_code(w, 10);
	fnp_spaces_expect_runtime(w->spaces, w->process, true);
	assert_int_equal(fnp_resumer_walk(w->resumer, w->process, 20, &section, sizeof(section), &stack),
			 -EAGAIN);
	assert_int_equal(walk(w, &section, 20).n_words,
			 3); /* there is no more time: frame pointers are believed */
	fnp_spaces_expect_runtime(w->spaces, w->process, false);
	assert_int_equal(fnp_resumer_walk(w->resumer, w->process, 20, &section, sizeof(section), &stack), 0);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_ROW);
	assert_int_equal(stack.n_words, 3);
}

static void a_new_image_waits_for_no_old_runtime(void **state)
{
	static const uint64_t none[1];
	struct fnp_resume_stack stack = {.words = none};
	struct section section = two_frames();
	struct world *w = *state;

	fnp_spaces_expect_runtime(w->spaces, w->process, true);
	w->process->image_ns = 15;
	map_code(w, 16);
	fnp_spaces_update(w->spaces, w->process);
	assert_int_equal(fnp_resumer_walk(w->resumer, w->process, 20, &section, sizeof(section), &stack), 0);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NO_ROW);
}

/* A process with a runtime may be read beside the copy, but its stack has gone on since. */
static void the_stack_of_now_is_not_read(void **state)
{
	static uint64_t live[1024];
	struct fnp_v8_layout layout = {0};
	struct fnp_resume_stack stack = {.words = live, .may_wait = true, .v8_layout = &layout};
	struct section section = two_frames();

	map_code(*state, 10);
	for (size_t i = 0; i < FNP_ARRAY_SIZE(live); i++)
		live[i] = CODE + 0x901;
	section.resume.stack = section.resume.sp = (uintptr_t)&live[512];
	section.resume.fp = section.resume.sp - 8;
	section.stack[0] = CODE + 0x101;
	assert_int_equal(fnp_resumer_walk(((struct world *)*state)->resumer, ((struct world *)*state)->process,
					  20, &section, sizeof(section), &stack),
			 0);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_BAD_READ);
	for (size_t i = 0; i < stack.n_words; i++)
		assert_int_not_equal(stack.words[i], FNP_WORD(FNP_WORD_NATIVE, 0, CODE + 0x900));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			frames_of_code_without_a_file_are_walked_as_far_as_they_are_called, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_stands_behind_no_call_is_no_caller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_leaf_without_its_frame_has_its_own_caller, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_an_earlier_walk_remembered_is_not_believed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(code_of_a_runtime_that_starts_waits_for_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_new_image_waits_for_no_old_runtime, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_stack_of_now_is_not_read, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
