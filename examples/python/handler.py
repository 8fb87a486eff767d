# SPDX-License-Identifier: Apache-2.0
"""A function to try fnprof on, for AWS Lambda's Python runtime (awslambdaric): handler.handler.

It prices orders. What a call does is chosen by `kind` in its payload, so that one function shows fast and slow
invocations, errors, waiting, threads and work after the answer; every answer says how much CPU time the call
spent by the thread's own clock, and when it ran (CLOCK_MONOTONIC), which tests compare with what was profiled.
"""
import hashlib
import json
import threading
import time
import zlib


def load_catalogue(entries=4000):
    """Work of the cold start: what a real function does while it is imported."""
    return {hashlib.md5(str(n).encode()).hexdigest()[:8]: n % 97 + 3 for n in range(entries)}


CATALOGUE = load_catalogue()
PAGE = json.dumps(sorted(CATALOGUE)).encode()


def compress_receipt(data):
    return zlib.compress(data, 6)


def sign_receipt(data):
    return hashlib.pbkdf2_hmac("sha256", data[:64], b"salt", 500)


def rank_items(keys):
    return sorted(keys, key=lambda key: (CATALOGUE[key], key))


def price_order(milliseconds):
    """Spends this much CPU time of the calling thread, about a third each in Python, zlib and OpenSSL."""
    start = time.thread_time_ns()
    end = start + int(milliseconds * 1e6)
    keys = list(CATALOGUE)[:600]
    while time.thread_time_ns() < end:
        rank_items(keys)
        compress_receipt(PAGE[:4096])
        sign_receipt(PAGE)
    return time.thread_time_ns() - start


def fast(event):
    return {"price": sum(CATALOGUE.values())}


def slow(event):
    price_order(event.get("ms", 60))
    return {}


def native(event):
    """CPU time in native code alone: one kind of frame above the interpreter's."""
    end = time.thread_time_ns() + int(event.get("ms", 60) * 1e6)
    while time.thread_time_ns() < end:
        hashlib.pbkdf2_hmac("sha256", b"order", b"salt", 2000)
    return {}


def sleep(event):
    time.sleep(event.get("ms", 60) / 1000)
    return {}


def error(event):
    raise ValueError("the order has no items")


def big(event):
    return {"receipt": "x" * int(event.get("bytes", 300_000))}


def threads(event):
    """Two threads, of which each starts another; all work at once and are waited for."""
    spent = []

    def work(depth):
        child = threading.Thread(target=work, args=(depth - 1,)) if depth > 1 else None
        if child:
            child.start()
        spent.append(price_order(event.get("ms", 10)))
        if child:
            child.join()

    pair = [threading.Thread(target=work, args=(2,)) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    return {"threads_cpu_ns": sum(spent)}


def after(event):
    """Answers at once; a thread goes on to work afterwards, while the function has nothing to do."""
    threading.Timer(0.03, price_order, args=(event.get("ms", 60),)).start()
    return {}


KINDS = {kind.__name__: kind for kind in (fast, slow, native, sleep, error, big, threads, after)}


def handler(event, context):
    begin, cpu = time.monotonic_ns(), time.thread_time_ns()
    answer = KINDS[event.get("kind", "fast")](event)
    answer.update(
        request_id=context.aws_request_id,
        cpu_ns=time.thread_time_ns() - cpu,
        begin_ns=begin,
        end_ns=time.monotonic_ns(),
    )
    return answer
