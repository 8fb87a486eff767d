# SPDX-License-Identifier: Apache-2.0
"""A thread that holds the interpreter lock whenever it runs, and one that computes without it."""
import hashlib
import sys
import threading
import time

END = time.perf_counter() + float(sys.argv[1])
DATA = bytes(range(256)) * 40000


def holds():
    while time.perf_counter() < END:
        sum(i * i for i in range(1000))


def releases():
    while time.perf_counter() < END:
        hashlib.sha256(DATA).digest()


threads = [threading.Thread(target=function) for function in (holds, releases)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
