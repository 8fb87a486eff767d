# SPDX-License-Identifier: Apache-2.0
"""Subinterpreters at work, each beneath frames of the interpreter that calls it, made while the program runs.

usage: interpreters.py SECONDS     for each way; prints the ways that this interpreter has
"""
import sys
import threading
import time

SECONDS = float(sys.argv[1])
WORK = """
import time
def sub_burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(200))
def sub_sorts(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sorted(range(100), key=lambda n: -n)
def sub_work(seconds):
    sub_burn(seconds / 2)
    sub_sorts(seconds / 2)
sub_work(%g)
""" % SECONDS


def low_level():
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return __import__(name)
        except ImportError:
            pass
    sys.exit("no subinterpreters here")


MODULE = low_level()


def created(own_lock):
    if sys.version_info < (3, 12):
        return MODULE.create()
    if sys.version_info < (3, 13):
        return MODULE.create(isolated=own_lock)
    return MODULE.create("isolated" if own_lock else "legacy")


def only_main():
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        sum(range(200))


def shared_lock():
    MODULE.run_string(created(False), WORK)


def own_lock():
    if sys.version_info >= (3, 12):
        MODULE.run_string(created(True), WORK)


def beneath_c():
    list(map(lambda code: MODULE.run_string(created(False), code), [WORK]))


def in_thread(own_lock):
    MODULE.run_string(created(own_lock), WORK)


def in_threads():
    """At once where each has a lock of its own."""
    threads = [threading.Thread(target=in_thread, args=(sys.version_info >= (3, 12),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def high_level():
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        interpreters.create().exec(WORK)


def main():
    only_main()
    shared_lock()
    own_lock()
    beneath_c()
    in_threads()
    high_level()
    only_main()


main()
