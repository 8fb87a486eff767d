# SPDX-License-Identifier: Apache-2.0
"""Python programs whose stacks are known.

usage: chains.py PART GATE           says "ready PID..." and runs PART for ever, from when the FIFO `GATE` is opened
       chains.py PART --truth OUT    runs PART a few times while the interpreter itself reports every place that it
                                     comes through, and writes all stacks that exist as a tree

Truth is the interpreter's own: at each call, line, instruction and return, a stack is the caller's stack and this
line. A sample that was taken at any instant is right when its Python frames are a path of that tree.
"""
import contextlib
import dis
import functools
import gc
import json
import os
import re
import sys
import threading

HERE = os.path.abspath(__file__)
tracer = None


def leaf(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


# ---- what a stack can be made of ----------------------------------------------------------------------------------

def nested():
    def inner():
        def innermost():
            return leaf(200)
        return innermost()
    return inner()


class Thing:
    def __init__(self, value):
        self.value = leaf(value)

    def method(self):
        return leaf(150)

    @classmethod
    def of_class(cls):
        return cls(40).method()

    @staticmethod
    def plain():
        return Thing.of_class()

    @property
    def attribute(self):
        return Thing.plain()

    def __del__(self):
        leaf(20)

    def __lt__(self, other):
        leaf(20)
        return self.value < other.value


def methods():
    return Thing(1).attribute + min(Thing(n) for n in range(5)).value


def closures():
    n = 100

    def closure(k):
        return leaf(n + k)

    return sum(map(closure, (1, 2, 3))) + (lambda: leaf(n))()


def comprehensions():
    return (len([leaf(30) for _ in range(4)]) + len({leaf(n) for n in range(20, 24)}) +
            len({n: leaf(30) for n in range(4)}) + sum(leaf(30) for _ in range(4)))


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


@counted
@counted
def decorated(n):
    return leaf(n)


def decorators():
    return decorated(200)


def numbers(n):
    for i in range(n):
        yield leaf(30) + i


def delegated(n):
    yield from numbers(n)


def generators():
    total = 0
    for n in delegated(5):
        total += n
    return total + sum(numbers(3))


def key(value):
    return leaf(value % 7 + 10)


def replaced(match):
    leaf(30)
    return match.group(0)


def callbacks():
    sorted(range(20), key=key)
    re.sub("a", replaced, "aaaa")
    return functools.reduce(lambda a, b: leaf(20) + a + b, range(5))


def deep(n):
    if n == 0:
        return leaf(3000)
    return deep(n - 1)


def recursion():
    return deep(900)


def through_c(n):
    if n == 0:
        return leaf(3000)
    return next(map(through_c, (n - 1,)))


def nested_in_c():
    return through_c(100)


made = {}
exec(compile("def executed():\n    return leaf(\n        200)\n\n\nexecuted()\n", "<made here>", "exec"),
     {"leaf": leaf}, made)


def executing():
    return made["executed"]() + eval("leaf(100)")


def raising(n):
    if n == 0:
        raise ValueError("deep")
    raising(n - 1)


@contextlib.contextmanager
def context():
    leaf(30)
    try:
        yield
    finally:
        leaf(30)


def exceptions():
    try:
        with context():
            raising(5)
    except ValueError:
        leaf(50)
    finally:
        leaf(50)


def über_größe(
    n,
):
    return [
        leaf(n),

        leaf(
            n + 1),
    ]


def lines():
    return über_größe(40)


class Slow:
    """What __del__ does while the collector runs is called from where the collector was."""

    def __init__(self):
        self.self = self

    def __del__(self):
        leaf(50)


def collected():
    Slow()
    gc.collect(0)


try:
    import ctypes
    COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    libc = ctypes.CDLL(None)
except (ImportError, OSError):
    ctypes = None


def compare(a, b):
    leaf(30)
    return a[0] - b[0]


def foreign():
    if ctypes:
        numbers = (ctypes.c_int * 6)(3, 1, 2, 6, 5, 4)
        libc.qsort(numbers, 6, 4, COMPARE(compare))


BASIC = (nested, methods, closures, comprehensions, decorators, generators, callbacks, recursion, nested_in_c,
         executing, exceptions, lines, collected, foreign)


def basic():
    for part in BASIC:
        part()


# ---- parts that need something of their own -----------------------------------------------------------------------

async def awaited(n):
    asyncio = sys.modules["asyncio"]
    await asyncio.sleep(0)
    leaf(100)
    await asyncio.sleep(0)
    return n


async def middle(n):
    return await awaited(n) + leaf(50)


async def asynchronous():
    asyncio = sys.modules["asyncio"]
    left = 3 if tracer else -1
    while left:
        await asyncio.gather(middle(1), middle(2))
        leaf(30)
        left -= 1


def tasks():
    sys.modules["asyncio"].run(asynchronous())


def greenlets():
    greenlet = sys.modules["greenlet"]

    def child():
        trace_here()
        for _ in range(20 if tracer else 2000):  # while one starts or ends it has no frame
            leaf(100)
            outer.switch()
            deep(3)

    outer = greenlet.getcurrent()
    inner = greenlet.greenlet(child)
    while not inner.dead:
        inner.switch()
        leaf(50)


def applied(row):
    return leaf(60) + float(row[0])


def arrays():
    numpy = sys.modules["numpy"]
    numbers = numpy.arange(12.0).reshape(4, 3)
    numpy.apply_along_axis(applied, 1, numbers)
    numpy.frompyfunc(key, 1, 1)(numpy.arange(4))
    numpy.sort(numpy.arange(2000)[::-1] % 37)


INNER = """
def leaf(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def inner():
    return [leaf(300) for _ in range(3)]


inner()
"""
interpreters = []


def subinterpreter():
    for name in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(ImportError):
            module = __import__(name)
            if not interpreters:
                interpreters.append(module.create())
            module.run_string(interpreters[0], INNER)
            return
    raise SystemExit(77)


PARTS = {"basic": basic, "tasks": tasks, "greenlets": greenlets, "arrays": arrays, "subinterpreter": subinterpreter}
MODULES = {"tasks": "asyncio", "greenlets": "greenlet", "arrays": "numpy"}  # loaded before anything is looked at


def run(part):
    left = 2 if tracer else -1
    while left:
        part()
        left -= 1


def wait(gate):
    if gate:
        os.close(os.open(gate, os.O_RDONLY))


def load_modules(name):
    if name in MODULES:
        __import__(MODULES[name])


def run_behind(gate, name, is_there):
    """What a thread or a child process does; `is_there` is told when it waits at the gate."""
    load_modules(name)
    if tracer is None and gate is None:
        start_truth()
    is_there.release()
    wait(gate)
    run(PARTS[name])
    if gate is None:
        write_truth(os.environ["CHAINS_OUT"] + ".%d" % os.getpid())


def many_threads(gate, name):
    # One alone while truth is written: some versions lose events of several.
    is_there, count = threading.Semaphore(0), 2 if gate else 1
    threads = [threading.Thread(target=run_behind, args=(gate, name, is_there), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        is_there.acquire()
    say_ready([os.getpid()], gate)
    for thread in threads:
        thread.join()


def many_processes(gate, name, method):
    import multiprocessing
    context = multiprocessing.get_context(method)
    is_there = context.Semaphore(0)
    children = [context.Process(target=run_behind, args=(gate, name, is_there), daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    for _ in children:
        is_there.acquire()
    say_ready([child.pid for child in children], gate)
    for child in children:
        child.join()


def say_ready(pids, gate):
    if gate:
        os.write(1, ("ready " + " ".join(map(str, pids)) + "\n").encode())


# ---- truth --------------------------------------------------------------------------------------------------------

MADE_BEFORE_IT_RUNS = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR


@functools.lru_cache(None)
def line_starts(code):
    return sorted(dis.findlinestarts(code))


def line_of(frame):
    """The line of the instruction. A traced frame of 3.9 says instead which line was last begun at its first one."""
    if sys.version_info >= (3, 10):
        return frame.f_lineno
    line = frame.f_code.co_firstlineno
    for start, number in line_starts(frame.f_code):
        if start <= frame.f_lasti:
            line = number
    return line


class Tracer:
    """A tree of places: node 0 is empty, every other one is (its caller's node, name, file, first line, line,
    is a generator or coroutine)."""

    def __init__(self):
        self.nodes, self.numbers, self.callers = [None], {}, {}

    def number(self, caller, code, line):
        place = (caller, code, line)
        if place not in self.numbers:
            self.numbers[place] = len(self.nodes)
            self.nodes.append((caller, getattr(code, "co_qualname", code.co_name), code.co_filename, code.co_firstlineno,
                               line or 0, bool(code.co_flags & MADE_BEFORE_IT_RUNS)))
        return self.numbers[place]

    def caller_of(self, frame):
        """The number of the stack below a frame; frames of this class are no part of it."""
        below, stack = frame.f_back, []
        while below is not None:
            if below.f_code not in OWN:
                stack.append((below.f_code, line_of(below)))
            below = below.f_back
        number = 0
        for code, line in reversed(stack):
            number = self.number(number, code, line)
        return number

    def __call__(self, frame, event, _argument):
        if frame.f_code in OWN:
            return None
        if event == "call" or id(frame) not in self.callers:
            self.callers[id(frame)] = self.caller_of(frame)  # not the frame itself: it would live longer
            frame.f_trace_opcodes = sys.version_info < (3, 12)  # later ones crash by it
        self.number(self.callers[id(frame)], frame.f_code, line_of(frame))
        if event == "return":
            self.callers.pop(id(frame), None)
        return self


def trace_here():
    if tracer:
        sys.settrace(tracer)


def with_truth(function):
    def traced_thread(*args, **kwargs):
        sys.settrace(tracer)
        return function(*args, **kwargs)
    OWN.add(traced_thread.__code__)
    return traced_thread


def start_truth():
    global tracer
    tracer = Tracer()
    for name in ("_start_new_thread", "_start_joinable_thread"):
        start = getattr(threading, name, None)
        if start:
            setattr(threading, name, lambda f, *a, _start=start, **k: _start(with_truth(f), *a, **k))
            OWN.add(getattr(threading, name).__code__)
    sys.settrace(tracer)
    frame = sys._getframe(1)
    while frame:  # what already runs: its lines are reported, too
        frame.f_trace = tracer
        frame = frame.f_back


def write_truth(path):
    sys.settrace(None)
    with open(path, "w") as file:
        json.dump(tracer.nodes, file)


OWN = {line_of.__code__, line_starts.__wrapped__.__code__, Tracer.__call__.__code__, Tracer.number.__code__,
       Tracer.caller_of.__code__, start_truth.__code__, write_truth.__code__, with_truth.__code__, trace_here.__code__}


def main():
    """PART is a name of PARTS, perhaps with "threads:", "fork:" or "spawn:" before it."""
    gate = None if sys.argv[2] == "--truth" else sys.argv[2]
    how, _, name = sys.argv[1].rpartition(":")
    sys.setrecursionlimit(5000)
    load_modules(name)
    if how in ("fork", "spawn"):
        __import__("multiprocessing")
    if gate is None:
        os.environ["CHAINS_OUT"] = sys.argv[3]
        if how != "spawn":
            start_truth()
    if how == "threads":
        many_threads(gate, name)
    elif how:
        many_processes(gate, name, how)
    else:
        say_ready([os.getpid()], gate)
        wait(gate)
        run(PARTS[name])
    if gate is None and tracer:
        write_truth(sys.argv[3])


if __name__ == "__main__":
    gc.disable()
    main()
