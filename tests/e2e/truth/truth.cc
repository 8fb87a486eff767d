// SPDX-License-Identifier: Apache-2.0
// Known stacks through exceptions, virtual calls, the standard library's callbacks and a thread.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define NOINLINE __attribute__((noinline, noclone))

volatile unsigned long sink;
static long milliseconds = 300;

static bool over()
{
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000 >= milliseconds;
}

NOINLINE unsigned long leaf(unsigned long n)
{
	unsigned long sum = 0;
	for (unsigned long i = 0; i < n; i++)
		sum += i ^ sink;
	return sum;
}

struct shape {
	virtual ~shape() {}
	virtual double area(int depth) const = 0;
};

struct square : shape {
	double side = 2;
	NOINLINE double area(int depth) const override
	{
		std::string guard(40, 'x');
		sink += leaf(50);
		if (depth == 0)
			throw std::runtime_error("deep enough");
		return side * side + area(depth - 1) + guard.size();
	}
};

NOINLINE double try_it(const shape &s, int depth)
{
	try {
		return s.area(depth);
	} catch (const std::exception &e) {
		return leaf(100) + 1;
	}
}

NOINLINE bool in_order(unsigned long a, unsigned long b)
{
	sink += leaf(10);
	return a > b;
}

NOINLINE void sorted()
{
	std::vector<unsigned long> v;
	for (unsigned long i = 0; i < 100; i++)
		v.push_back(i * 31 % 97);
	std::sort(v.begin(), v.end(), in_order);
	sink += v[3];
}

NOINLINE void work()
{
	square s;
	while (!over()) {
		for (int i = 0; i < 16; i++) {
			sorted();
			sink += static_cast<unsigned long>(try_it(s, 12));
		}
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		milliseconds = std::atol(argv[1]);
	std::thread other(work);
	work();
	other.join();
	return 0;
}
