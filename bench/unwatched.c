/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What common operations cost a program that nobody watches, in nanoseconds of its own CPU time each: run it with and
 * without a recording of the host, in turn, and compare.
 *
 * usage: unwatched       prints one line of JSON
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* CPU time of this process and of the children that it waited for. */
static double cpu_ns(void)
{
	struct rusage own, children;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return 1e9 * (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec +
			      children.ru_stime.tv_sec) +
	       1e3 * (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec +
			      children.ru_stime.tv_usec);
}

static int system_calls(int n)
{
	for (int i = 0; i < n; i++)
		syscall(SYS_getppid);
	return 0;
}

static int socket_pairs(int n)
{
	char buffer[64] = {0};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		if (send(fds[0], buffer, sizeof(buffer), 0) < 0 || recv(fds[1], buffer, sizeof(buffer), 0) < 0)
			return -errno;
	}
	close(fds[0]);
	close(fds[1]);
	return 0;
}

/* Two processes on one CPU that give it to each other: two switches a turn. */
static int switches(int n)
{
	cpu_set_t all, one;
	pid_t child;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	child = fork();
	for (int i = 0; i < n; i++)
		sched_yield();
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	sched_setaffinity(0, sizeof(all), &all);
	return child < 0 ? -errno : 0;
}

static int execs(int n)
{
	char *argv[] = {(char *)"/bin/true", NULL};

	for (int i = 0; i < n; i++) {
		pid_t pid;

		if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0 || waitpid(pid, NULL, 0) < 0)
			return -1;
	}
	return 0;
}

int main(void)
{
	static const struct {
		const char *name;
		int (*work)(int n);
		int n, per;
	} works[] = {
		{"system call", system_calls, 300000, 1},
		{"socket send + receive", socket_pairs, 60000, 1},
		{"context switch", switches, 30000, 2},
		{"exec", execs, 60, 1},
	};

	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		double before = cpu_ns();

		if (works[i].work(works[i].n) != 0)
			return 1;
		printf("%s\"%s\": %.1f", i ? ", " : "{", works[i].name,
		       (cpu_ns() - before) / works[i].n / works[i].per);
	}
	puts("}");
	return 0;
}
