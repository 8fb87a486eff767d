/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs are stepped, an instruction at a time, and walked at each. One throws: every stack is whole, and has the frame
 * that catches where it must be, also while libgcc writes that frame's registers over its own. One calls functions that
 * are bound at their first call. Two change between contexts, of makecontext() and as Boost does. One leaves its calls by
 * longjmp(). One is assembly that describes itself.
 */
#include "tests/bpf/live_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "bpf/wire.h"

#define STEPS 40000
#define TAIL 5		/* what stopped itself, main, two of the C library, _start */
#define FUNCTION 0x1000 /* bytes that a function of the program does not have */

static struct live_stack stack;

/* Is the next instruction libgcc's last one but two, with which it leaves for a landing pad? */
static bool leaves(pid_t pid)
{
	struct user_regs_struct regs;
	uint64_t code;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return false;
	code = (uint64_t)ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)(regs.rip - 4),
				0); // NOLINT: of the target
	return memcmp(&code, "\x48\x8b\x6d\x00\x48\x89\xcc", 7) == 0;
}

static bool is_near(uint64_t a, uint64_t b)
{
	return a - b < FUNCTION || b - a < FUNCTION;
}

/* The last frames are those that stood there when the program stopped itself. */
static bool has_tail(const uint64_t *tail, size_t n)
{
	if (stack.truncation != FNP_TRUNCATION_NONE || stack.n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t address = stack.frames[stack.n - n + i].address;

		if (i == 0 || (i == 1 && n > 2) ? !is_near(address, tail[i]) : address != tail[i])
			return false;
	}
	return true;
}

struct seen {
	size_t tail; /* frames from the root that must stand in all stacks */
	unsigned int steps, left, wrong, cut;
};

static void count(const uint64_t *tail, struct seen *seen)
{
	seen->steps++;
	/* Between two calls, what stopped itself is not there. */
	if (has_tail(tail, seen->tail) ||
	    (stack.truncation == FNP_TRUNCATION_NONE && stack.n == seen->tail - 1))
		return;
	if (stack.truncation != FNP_TRUNCATION_NONE)
		seen->cut++;
	else
		seen->wrong++;
	if (seen->cut + seen->wrong > 10)
		return;
	fprintf(stderr, "step %u, cause %u:", seen->steps, stack.truncation);
	for (size_t k = 0; k < stack.n && k < 12; k++)
		fprintf(stderr, " %s+%lx", stack.frames[k].object, stack.frames[k].address);
	fprintf(stderr, "\n");
}

static void step_through(pid_t pid, unsigned int steps, struct seen *seen)
{
	struct live_process *process = NULL;
	uint64_t tail[TAIL] = {0};
	int status;

	assert_int_equal(live_process_create(pid, &process), 0);
	assert_int_equal(live_process_walk(process, pid, true, &stack), 0);
	assert_int_equal(stack.truncation, FNP_TRUNCATION_NONE);
	assert_true(stack.n >= seen->tail);
	for (size_t i = 0; i < seen->tail; i++)
		tail[i] = stack.frames[stack.n - seen->tail + i].address;
	while (seen->steps < steps) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(live_process_walk(process, pid, true, &stack), 0);
		seen->left += leaves(pid);
		count(tail, seen);
	}
	live_process_destroy(process);
	fprintf(stderr, "%u steps, %u ways to a landing pad, %u stacks wrong, %u cut\n", seen->steps,
		seen->left, seen->wrong, seen->cut);
	assert_int_equal(seen->wrong, 0);
}

static void check(const char *name, unsigned int steps, struct seen *ret)
{
	char path[512];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), PROGRAMS "/%s", name);
	if (access(path, X_OK) != 0)
		skip(); /* no compiler for it here */
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid); /* its exec */
	assert_int_equal(ptrace(PTRACE_CONT, pid, 0, 0), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	step_through(pid, steps, ret);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void every_instruction_of_an_exception_has_a_whole_stack(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("throws", STEPS, &seen);
	assert_true(seen.left >= 3);
	assert_int_equal(seen.cut, 0);
}

static void so_has_a_stripped_static_program(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("throws_static", STEPS, &seen);
	assert_true(seen.left >= 3);
	assert_int_equal(seen.cut, 0);
}

static void first_calls_are_whole_but_for_the_linkers_first_instructions(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("binds", STEPS / 4, &seen);
	/* The linker's function pushes rbx as its sixth or seventh instruction; ten functions are bound. */
	assert_true(seen.cut <= 10 * 12);
}

static void contexts_have_a_first_frame(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = 2}; /* the context's function, and where it will return to */

	check("contexts", STEPS / 4, &seen);
	/* While the stack pointer is the new context's and the return address is not pushed yet. */
	assert_true(seen.cut <= STEPS / 4 / 10);
}

static void so_have_boosts_contexts_at_every_instruction(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = 2};

	check("fcontexts", STEPS / 8, &seen);
	assert_int_equal(seen.cut, 0);
}

static void every_instruction_of_a_longjmp_has_a_whole_stack(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("longjmps", STEPS / 4, &seen);
	assert_int_equal(seen.cut, 0);
}

static void so_has_one_in_a_static_program(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("longjmps_static", STEPS / 4, &seen);
	assert_int_equal(seen.cut, 0);
}

static void musl_has_one_but_for_the_jump_itself(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL - 1}; /* it has a frame less below main */

	check("longjmps_musl", STEPS / 4, &seen);
	/* No rule holds for the jump itself: the buffer says where it goes, the stack pointer is there already. */
	assert_true(seen.cut > 0 && seen.cut <= STEPS / 4 / 30);
}

static void every_instruction_of_assembly_that_describes_itself_has_a_whole_stack(void **state FNP_UNUSED)
{
	struct seen seen = {.tail = TAIL};

	check("assembly", STEPS / 8, &seen);
	assert_int_equal(seen.cut, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_of_an_exception_has_a_whole_stack),
		cmocka_unit_test(so_has_a_stripped_static_program),
		cmocka_unit_test(contexts_have_a_first_frame),
		cmocka_unit_test(so_have_boosts_contexts_at_every_instruction),
		cmocka_unit_test(first_calls_are_whole_but_for_the_linkers_first_instructions),
		cmocka_unit_test(every_instruction_of_a_longjmp_has_a_whole_stack),
		cmocka_unit_test(every_instruction_of_assembly_that_describes_itself_has_a_whole_stack),
		cmocka_unit_test(so_has_one_in_a_static_program),
		cmocka_unit_test(musl_has_one_but_for_the_jump_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
