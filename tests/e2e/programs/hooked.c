/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spends CPU time in calls that fnprof hooks: sends and receives over a TCP connection to itself, and new mappings.
 * usage: hooked MILLISECONDS      of CPU time; prints what it spent, in nanoseconds
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void connect_to_self(int *ret_one, int *ret_other)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	*ret_one = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &len) ||
	    connect(*ret_one, (struct sockaddr *)&at, len))
		exit(2);
	*ret_other = accept(listener, NULL, NULL);
	close(listener);
}

int main(int argc, char **argv)
{
	uint64_t end = cpu_ns() + (uint64_t)(argc > 1 ? atoi(argv[1]) : 1000) * 1000000;
	char buffer[64] = "hello";
	int one, other;

	connect_to_self(&one, &other);
	while (cpu_ns() < end) {
		for (int i = 0; i < 20; i++) {
			if (send(one, buffer, sizeof(buffer), 0) < 0 ||
			    recv(other, buffer, sizeof(buffer), 0) <= 0)
				return 2;
		}
		munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	}
	printf("%llu\n", (unsigned long long)cpu_ns());
	return 0;
}
