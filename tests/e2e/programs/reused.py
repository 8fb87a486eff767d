# SPDX-License-Identifier: Apache-2.0
"""Functions that are made, run for 3 ms of CPU time and thrown away: the next one gets the same memory for its code object and all that
this refers to. What has the number N is called fn_N, and waits on line 2 + N % 2 below its first one. Prints, as JSON, how
many ran, and how many of them had the addresses of an earlier one.

usage: reused.py SECONDS
"""
import json
import sys
import time

QUALIFIED = sys.version_info >= (3, 11)  # the name that a profile shows
clock, places = time.thread_time, []


def executed(number):
    space = {"clock": clock}
    exec("def fn_%06d():\n    end = clock() + 0.003\n%s    while clock() < end: pass\n" % (number, "\n" * (number % 2)), space)
    return space.popitem()[1]


def replaced(number):
    def even():
        end = clock() + 0.003
        while clock() < end: pass

    def odd():
        end = clock() + 0.003

        while clock() < end: pass
    function = odd if number % 2 else even
    names = {"co_name": "fn_%06d" % number, "co_filename": "<cell %06d>" % number}
    if QUALIFIED:
        names["co_qualname"] = names["co_name"]
    function.__code__ = function.__code__.replace(**names)
    return function


def one(make):
    function = make(len(places))
    code = function.__code__
    name = code.co_qualname if QUALIFIED else code.co_name
    places.append(hash((id(code), id(name), id(code.co_filename), code.co_firstlineno)))
    del code, name
    function()


for way in executed, replaced:
    until = time.monotonic() + float(sys.argv[1]) / 2
    while time.monotonic() < until:
        one(way)
print(json.dumps({"ran": len(places), "shared": len(places) - len(set(places))}))
