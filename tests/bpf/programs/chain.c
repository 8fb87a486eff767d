/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain DEPTH: burns CPU below DEPTH different functions, each with a frame of its own size, until it is killed. Unlike
 * a recursion every frame has another return address, as in real programs.
 */
#include <stdlib.h>
#include <unistd.h>

volatile unsigned long burnt;

__attribute__((noinline)) static unsigned long burn(void)
{
	for (;;) {
		for (int i = 0; i < 1000; i++)
			burnt += (unsigned long)i * 17;
		__asm__ volatile("" ::: "memory");
	}
	return burnt;
}

typedef unsigned long function(int depth);

/* F(n) calls F(n + 1), or burns when the depth is reached. */
#define FUNCTION(n, next)                                                                                    \
	static function next;                                                                                \
	__attribute__((noinline)) static unsigned long n(int depth)                                          \
	{                                                                                                    \
		volatile char frame[16 + (__COUNTER__ * 7) % 112];                                           \
                                                                                                             \
		frame[0] = (char)depth;                                                                      \
		return (depth == 0 ? burn() : next(depth - 1)) + (unsigned long)frame[0];                    \
	}
#define TEN(n, next)                                                                                         \
	FUNCTION(n##0, n##1)                                                                                 \
	FUNCTION(n##1, n##2)                                                                                 \
	FUNCTION(n##2, n##3)                                                                                 \
	FUNCTION(n##3, n##4)                                                                                 \
	FUNCTION(n##4, n##5)                                                                                 \
	FUNCTION(n##5, n##6)                                                                                 \
	FUNCTION(n##6, n##7)                                                                                 \
	FUNCTION(n##7, n##8)                                                                                 \
	FUNCTION(n##8, n##9)                                                                                 \
	FUNCTION(n##9, next##0)
TEN(a, b)
TEN(b, c)
TEN(c, d)
TEN(d, e)
TEN(e, f)
TEN(f, g)
TEN(g, h)
TEN(h, i)
TEN(i, j)
TEN(j, k)
TEN(k, l)
TEN(l, m)
TEN(m, n)
TEN(n, o)
TEN(o, p)
TEN(p, q)
TEN(q, r)
TEN(r, s)
TEN(s, t)
TEN(t, u)

static unsigned long u0(int depth)
{
	(void)depth;
	return burn();
}

int main(int argc, char **argv)
{
	alarm(120);
	return (int)a0(argc > 1 ? atoi(argv[1]) : 25);
}
