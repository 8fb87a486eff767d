# SPDX-License-Identifier: Apache-2.0
"""Writes over its own interpreter's state, field by field, while it computes; of Python 3.11 and 3.12.

usage: hostile.py LIBRARY SECONDS       prints how often each field was spoilt
"""
import ctypes
import sys
import time

spoil = ctypes.PyDLL(sys.argv[1]).spoil
spoil.argtypes, spoil.restype = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64), None
thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p

# In a frame, a code object, and the thread's state.
PREVIOUS, CODE, INSTRUCTION, OWNER = {11: (48, 32, 56, 64), 12: (8, 0, 56, 64)}[sys.version_info[1]]
FIRST_LINE, FILE, NAME, TABLE, CFRAME, THREAD = 72 if sys.version_info[1] == 11 else 64, 112, 128, 136, 56, 136
LENGTH, STATE = 16, 32  # of a str; a bytes object has its length in the same place


def word(address):
    return ctypes.c_uint64.from_address(address).value


def values(frame):
    """What pointers and lengths become: nothing, near misses, kernel memory, cycles, 2 GB and more."""
    return (0, 1, 7, frame, frame + 1, frame - 8, 0xffffffffffffffff, 0xffff888000000000, 0x7ffffffff000, 0xdead0000,
            2**31 - 1, 2**31, 2**40, 2**63)


def fields():
    frame = word(id(sys._getframe(1)) + 24)
    code = word(frame + CODE)
    state = thread_state()
    return frame, {
        "previous": frame + PREVIOUS, "code": frame + CODE, "instruction": frame + INSTRUCTION, "owner": frame + OWNER,
        "type": code + 8, "line": code + FIRST_LINE, "file": code + FILE, "name": code + NAME, "table": code + TABLE,
        "length of the name": word(code + NAME) + LENGTH, "kind of the name": word(code + NAME) + STATE,
        "length of the file": word(code + FILE) + LENGTH, "length of the table": word(code + TABLE) + LENGTH,
        "cframe": state + CFRAME, "frame of the cframe": word(state + CFRAME), "thread": state + THREAD,
        "cframe's next": word(state + CFRAME) + 8, "cframe's last": word(state + CFRAME) + 16,
    }


def spoilt(n):
    """Each call has frames above that are right."""
    if n:
        return spoilt(n - 1)
    frame, places = fields()
    for name, address in places.items():
        for value in values(frame):
            spoil(address, value, 1_000_000)
    return len(places)


def honest():
    return sum(n * n for n in range(20000))


end = time.monotonic() + float(sys.argv[2])
rounds = 0
while time.monotonic() < end:
    fresh = {}
    exec(compile(f"def made_{rounds}(n, work):\n    return work(n)\n", f"<made {rounds}>", "exec"), fresh)
    fresh[f"made_{rounds}"](5, spoilt)
    for _ in range(20):
        honest()
    rounds += 1
print(rounds)
