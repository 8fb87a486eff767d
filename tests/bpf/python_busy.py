# SPDX-License-Identifier: Apache-2.0
# A program that is always busy, in stacks that are known: from `main` on each function may only call those that the
# table of the test says. Threads, callbacks from C, generators, recursion, exceptions, objects that come and go.
import functools
import json
import re
import sys
import threading


def leaf(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def middle(n):
    return leaf(n) + leaf(n // 2)


def key(value):
    return leaf(value % 7)


def in_sort():
    return sorted(range(50), key=key)


def replaced(match):
    leaf(3)
    return match.group(0)


def in_regex():
    return re.sub("a", replaced, "a" * 20)


def numbers(n):
    for i in range(n):
        leaf(2)
        yield i


def in_generator():
    return sum(numbers(20))


def recursive(n):
    if n == 0:
        return middle(20)
    return recursive(n - 1)


class Thing:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = leaf(value)

    def __del__(self):
        leaf(1)

    def __lt__(self, other):
        leaf(1)
        return self.value < other.value


def in_objects():
    return min(Thing(i) for i in range(10))


def raising(n):
    if n == 0:
        raise ValueError("deep")
    raising(n - 1)


def in_exceptions():
    try:
        raising(10)
    except ValueError:
        leaf(5)


def in_json():
    json.dumps({"a": [1, 2, {"b": "c" * 100}] * 10})


def main():
    while True:
        middle(100)
        in_sort()
        in_regex()
        in_generator()
        recursive(50)
        in_objects()
        in_exceptions()
        in_json()


if len(sys.argv) > 1:
    threads = [threading.Thread(target=main, daemon=True) for _ in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
main()
