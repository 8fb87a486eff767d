// SPDX-License-Identifier: Apache-2.0
// C++: exceptions, virtual calls, algorithms, threads' roots.
#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

volatile unsigned long sink;

struct shape {
	virtual ~shape() {}
	virtual double area(int depth) const = 0;
};

struct square : shape {
	double side;
	explicit square(double s) : side(s) {}
	__attribute__((noinline)) double area(int depth) const override
	{
		if (depth == 0)
			throw std::runtime_error("deep enough");
		return side * side + area(depth - 1);
	}
};

__attribute__((noinline)) static double try_it(const shape &s, int depth)
{
	std::string guard(depth, 'x');
	try {
		return s.area(depth);
	} catch (const std::exception &e) {
		return std::string(e.what()).size() + guard.size();
	}
}

__attribute__((noinline)) static void words()
{
	std::map<std::string, int> counts;
	for (int i = 0; i < 200; i++)
		counts[std::to_string((i * 7919) % 101)]++;
	for (auto &c : counts)
		sink += c.second;
}

__attribute__((noinline)) static void sorted()
{
	std::vector<std::string> v;
	for (int i = 0; i < 100; i++)
		v.push_back(std::to_string(i * 31 % 97));
	std::sort(v.begin(), v.end(), [](const std::string &a, const std::string &b) { return a > b; });
	sink += v[3].size();
}

static void work()
{
	square s(2);
	for (;;) {
		words();
		sorted();
		sink += static_cast<unsigned long>(try_it(s, 12));
	}
}

int main()
{
	alarm(120);
	std::thread other(work);
	work();
}
