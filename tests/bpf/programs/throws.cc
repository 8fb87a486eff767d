// SPDX-License-Identifier: Apache-2.0
// Throws through frames with something to clean up, for ever; stops itself once everything has been called.
#include <csignal>
#include <stdexcept>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

volatile unsigned long sink;

struct guard {
	unsigned long kept;
	NOINLINE ~guard() { sink += kept; }
};

/* More arguments than there are registers: the frame that catches has some on its stack. */
NOINLINE unsigned long descend(long depth, long a, long b, long c, long d, long e, long f, long g)
{
	guard kept{static_cast<unsigned long>(depth + g)};
	if (depth == 0)
		throw std::runtime_error("deep enough");
	return descend(depth - 1, b, c, d, e, f, g, a) + kept.kept;
}

NOINLINE unsigned long catcher(int round)
{
	if (round == 3)
		raise(SIGSTOP);
	try {
		return descend(round & 3, 1, 2, 3, 4, 5, 6, 7);
	} catch (const std::exception &e) {
		return static_cast<unsigned long>(e.what()[0]);
	}
}

int main()
{
	alarm(120);
	for (int round = 0;; round++)
		sink += catcher(round);
}
