/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that are known: the program's base name up to a dot chooses what it does (`recurse400`, `signal`, ...), for as
 * many milliseconds of CPU time as the first argument says. Every way through the program is known to truth_test.py, which
 * holds each recorded stack against it. Hence no function here does anything that is not in its list of calls, and
 * all time is spent below main.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#ifdef __clang__
#undef NOINLINE
#define NOINLINE __attribute__((noinline))
#endif
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

volatile unsigned long sink;
static const char *own_path;
static unsigned int milliseconds = 300;

NOINLINE static unsigned long leaf(unsigned long n)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		sum += i ^ sink;
	return sum;
}

static inline __attribute__((always_inline)) unsigned long innermost(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		sink += i;
	return sink;
}

static inline __attribute__((always_inline)) unsigned long between(unsigned long n)
{
	return innermost(n) * 3;
}

NOINLINE static unsigned long inlining(unsigned long n)
{
	return between(n) + 1;
}

/* Work behind the call that no compiler turns into a loop around it. */
#define BEHIND(n) __asm__ volatile("" : "+r"(n))

NOINLINE static unsigned long descend(int depth)
{
	unsigned long n = depth == 0 ? leaf(20000) : descend(depth - 1);

	BEHIND(n);
	return n;
}

NOINLINE static unsigned long tail(unsigned long n)
{
	sink++;
	return leaf(n + 3);
}

NOINLINE static unsigned long calls_tail(unsigned long n)
{
	return tail(n) + 1;
}

NOINLINE static void handler(int sig)
{
	sink += leaf(3000) + (unsigned long)sig;
}

NOINLINE static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	sink += leaf(20);
	return x < y ? -1 : x > y;
}

NOINLINE static unsigned long sort(void)
{
	int numbers[200];

	for (int i = 0; i < 200; i++)
		numbers[i] = (i * 7919 + (int)sink) % 1009;
	qsort(numbers, 200, sizeof(numbers[0]), compare);
	return (unsigned long)numbers[100];
}

#if defined(__GLIBC__) && !defined(__clang__)
static int one(int n)
{
	return (int)leaf((unsigned long)n) + 1;
}

static int (*choose(void))(int)
{
	return one;
}
/* Not static: calls go through the PLT, static programs have them in .iplt. */
int chosen(int n) __attribute__((ifunc("choose")));
#else
NOINLINE int chosen(int n)
{
	return (int)leaf((unsigned long)n) + 1;
}
#endif

NOINLINE static unsigned long stubs(void)
{
	static const char texts[4][8] = {"a", "bc", "def", "ghij"};
	char copy[64];
	unsigned long n = 0;

	for (unsigned long i = 0; i < 200; i++) {
		n += strlen(texts[(i + sink) & 3]);
		memcpy(copy, texts[i & 3], 1 + (n & 3));
		n += (unsigned long)copy[0] + (unsigned long)chosen((int)(n & 7)) + (unsigned long)abs(rand());
	}
	return n;
}

NOINLINE static unsigned long clocks(void)
{
	struct timespec t = {0};
	unsigned long n = 0;

	for (int i = 0; i < 200; i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		n += (unsigned long)t.tv_nsec;
	}
	return n;
}

static jmp_buf jump;

NOINLINE __attribute__((noreturn)) static void leave(int n)
{
	sink += leaf(300);
	longjmp(jump, n + 1);
}

/* The call is the last instruction: what lies behind it is another function. */
NOINLINE __attribute__((noreturn)) static void last_call(int n)
{
	sink += leaf(200);
	leave(n);
}

NOINLINE static unsigned long jumps(void)
{
	if (setjmp(jump) == 0)
		last_call(1);
	return leaf(100) + 1;
}

NOINLINE static unsigned long with_alloca(unsigned long n)
{
	char *p = alloca(n);

	memset(p, (int)n, n);
	sink += (unsigned long)p[n / 2];
	return leaf(n) + (unsigned long)p[0];
}

NOINLINE static unsigned long big_frame(int depth)
{
	volatile char big[70000];
	unsigned long n;

	big[0] = (char)depth;
	big[69999] = 1;
	n = depth == 0 ? with_alloca(100) : big_frame(depth - 1);
	BEHIND(n);
	return n + (unsigned long)big[0];
}

NOINLINE static unsigned long aligned_frame(unsigned long n)
{
	volatile char wide[128] __attribute__((aligned(64)));

	wide[n & 127] = (char)n;
	return leaf(n) + (unsigned long)wide[0] + with_alloca(100 + (n & 255));
}

#ifdef __x86_64__
unsigned long asm_with_cfi(unsigned long n);
unsigned long asm_leaf(unsigned long n);
unsigned long asm_pushes(unsigned long n);
unsigned long asm_frame_pointer(unsigned long n);
unsigned long asm_lies(unsigned long n);
extern unsigned long (*const asm_sharing[4])(unsigned long n);

NOINLINE unsigned long called_by_asm(unsigned long n)
{
	return leaf(n) + 1;
}

NOINLINE static unsigned long assembly(void)
{
	unsigned long n = asm_with_cfi(900) + asm_leaf(900) + asm_pushes(900) + asm_frame_pointer(900);

	for (int i = 0; i < 4; i++)
		n += asm_sharing[i](900);
	return n + asm_lies(900);
}
#endif

/* ---- what is done ---- */

static bool over(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000 >= milliseconds;
}

static void do_inline(void)
{
	sink += inlining(1000);
}

static void do_recurse400(void)
{
	sink += descend(400);
}

static void do_recurse3000(void)
{
	sink += descend(3000);
}

static void do_tail(void)
{
	sink += calls_tail(1000);
}

static void arm(int flags)
{
	static bool armed;
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
	struct itimerval timer = {.it_interval = {.tv_usec = 900}, .it_value = {.tv_usec = 900}};

	if (armed)
		return;
	armed = true;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &timer, NULL);
}

static void do_signal(void)
{
	arm(0);
	sink += calls_tail(1000);
}

static void do_altsignal(void)
{
	static char alternate[65536] __attribute__((aligned(16)));
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

	sigaltstack(&stack, NULL);
	arm(SA_ONSTACK);
	sink += calls_tail(1000);
}

static void do_qsort(void)
{
	sink += sort();
}

static void do_plt(void)
{
	sink += stubs();
}

static void do_vdso(void)
{
	sink += clocks();
}

static void do_longjmp(void)
{
	sink += jumps();
}

static void do_alloca(void)
{
	sink += big_frame(3) + aligned_frame(sink & 63);
}

static void do_asm(void)
{
#ifdef __x86_64__
	sink += assembly();
#endif
}

NOINLINE static void *in_thread(void *argument)
{
	while (!over())
		sink += calls_tail(1000);
	return argument;
}

static void do_threads(void)
{
	pthread_t threads[3];

	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, in_thread, NULL);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
}

NOINLINE static void in_child(void)
{
	while (!over())
		sink += calls_tail(1000);
	_exit(0);
}

static void do_fork(void)
{
	pid_t pid = over() ? -1 : fork();

	if (pid < 0)
		return;
	if (pid == 0)
		in_child();
	waitpid(pid, NULL, 0);
	while (!over())
		sink += calls_tail(1000);
}

/* The same file by another name: what follows exec does other things. */
static void other_path(const char *name, char *ret, size_t size)
{
	const char *slash = strrchr(own_path, '/'), *variant = strchr(slash, '.');

	snprintf(ret, size, "%.*s/%s%s", (int)(slash - own_path), own_path, name, variant ? variant : "");
}

static void do_exec(void)
{
	static int rounds;
	char path[512], ms[16];

	sink += calls_tail(1000);
	if (++rounds % 64 || !over())
		return;
	other_path("afterexec", path, sizeof(path));
	snprintf(ms, sizeof(ms), "%u", milliseconds * 2); /* exec keeps the CPU time */
	execl(path, path, ms, (char *)NULL);
	_exit(3);
}

static void do_vfork(void)
{
	char path[512], ms[16];
	pid_t pid;

	other_path("aftervfork", path, sizeof(path));
	snprintf(ms, sizeof(ms), "%u", 5U);
	pid = vfork();
	if (pid == 0) {
		execl(path, path, ms, (char *)NULL);
		_exit(3);
	}
	waitpid(pid, NULL, 0);
	sink += leaf(10000000);
}

/* A library that is loaded, called, closed, loaded again, deleted and called. */
static void do_dlopen(void)
{
	char path[512];
	unsigned long (*library)(unsigned long (*)(unsigned long), unsigned long);
	void *handle;

	if (over())
		return;
	other_path("library", path, sizeof(path));
	for (int i = 0; i < 2; i++) {
		handle = dlopen(path, RTLD_NOW);
		if (!handle)
			_exit(4);
		*(void **)&library = dlsym(handle, "library_enter");
		sink += library(leaf, 3000000);
		if (i == 0)
			dlclose(handle);
		else
			unlink(path);
	}
	while (!over())
		sink += library(leaf, 1000);
}

static const struct {
	const char *name;
	void (*run)(void);
} doings[] = {
	{"inline", do_inline},
	{"recurse400", do_recurse400},
	{"recurse3000", do_recurse3000},
	{"tail", do_tail},
	{"signal", do_signal},
	{"altsignal", do_altsignal},
	{"qsort", do_qsort},
	{"plt", do_plt},
	{"vdso", do_vdso},
	{"longjmp", do_longjmp},
	{"alloca", do_alloca},
	{"asm", do_asm},
	{"threads", do_threads},
	{"fork", do_fork},
	{"exec", do_exec},
	{"afterexec", do_tail},
	{"vfork", do_vfork},
	{"aftervfork", do_tail},
	{"dlopen", do_dlopen},
};

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');

	own_path = argv[0];
	if (argc > 1)
		milliseconds = (unsigned int)strtoul(argv[1], NULL, 10);
	for (size_t i = 0; slash && i < COUNT(doings); i++) {
		size_t len = strlen(doings[i].name);

		if (strncmp(doings[i].name, slash + 1, len) != 0 || (slash[1 + len] && slash[1 + len] != '.'))
			continue;
		do {
			for (int k = 0; k < 16; k++)
				doings[i].run();
		} while (!over());
		return 0;
	}
	return 2;
}
