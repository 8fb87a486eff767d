# SPDX-License-Identifier: Apache-2.0
# A program whose stacks are known by construction: at each stop it writes what its stack is, as the interpreter itself
# sees it, and stops itself in the middle of a call of pthread_kill(). Who watches walks the stopped thread, compares, and
# sends SIGCONT. Lines: "@stop NAME TID", then for each Python frame, leaf first, "name<TAB>file<TAB>first line<TAB>line",
# where a C library stands between two frames "!object", then "end".
import contextlib
import ctypes
import functools
import os
import re
import signal
import sys
import threading
import time


write = ctypes.PyDLL(None).write  # unlike os.write it keeps the interpreter's lock
STOPS = int(os.environ.get("FNPROF_TEST_STOPS", "20"))


def report(name, frame, between, tid=None):
    lines = ["@stop %s %d" % (name, tid or threading.get_native_id())]
    while frame is not None:
        code = frame.f_code
        called = getattr(code, "co_qualname", code.co_name)
        lines.append("%s\t%s\t%d\t%d" % (called, code.co_filename, code.co_firstlineno, frame.f_lineno))
        if called in between:
            lines.append("!" + between[called])
        frame = frame.f_back
    lines.append("end\n")
    data = "\n".join(lines).encode("utf-8", "surrogateescape")
    while data:
        data = data[write(1, data, len(data)):]


def stop(name, between={}):
    report(name, sys._getframe(), between) or signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def nested():
    def inner():
        def innermost():
            stop("nested")
        innermost()
    inner()


class Thing:
    def method(self):
        stop("method")

    @classmethod
    def of_class(cls):
        return cls().method()

    @staticmethod
    def plain():
        Thing.of_class()

    @property
    def value(self):
        Thing.plain()
        return 1


def generator():
    yield 1
    stop("generator")
    yield 2


def delegating():
    yield from generator()


def generators():
    for _ in delegating():
        pass
    [x for x in delegating()]
    sum(x for x in delegating())


def key(value):
    if value == 3:
        stop("key")
    return -value


def keys():
    sorted([1, 2, 3], key=key)
    list(map(lambda value: key(value), [1, 3]))


def replace(match):
    stop("replace")
    return match.group(0)


def replaces():
    re.sub("b+", replace, "abbbc")


def deep(n):
    if n == 0:
        stop("deep")
    else:
        deep(n - 1)


def deep_through_c(n):
    if n == 0:
        stop("deep_through_c")
    else:
        list(map(deep_through_c, [n - 1]))


def decorator(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


@decorator
@functools.lru_cache(None)
def decorated():
    stop("decorated")


seen = []


def compare(a, b):
    if not seen:
        seen.append(1)
        stop("compare", {"compare": "libc.so.6"})
    return a[0] - b[0]


def through_libc():
    libc = ctypes.CDLL("libc.so.6")
    signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, 4, signature(compare))


class Context:
    def __enter__(self):
        stop("enter")
        return self

    def __exit__(self, *args):
        stop("exit")

    def __eq__(self, other):
        stop("eq")
        return True

    __hash__ = None

    def __del__(self):
        stop("del")


def protocols():
    with Context() as context:
        pass
    context == 1
    del context


def größe_名字_𝐱():
    stop("unicode")


def many_lines(
    a,
    b=1,
):
    x = [
        a,

        stop("many_lines"),
        b,
    ]




    stop("many_lines_later")
    return x


def asynchronous():
    import asyncio

    async def leaf():
        await asyncio.sleep(0)
        stop("async")

    async def middle():
        await leaf()

    asyncio.run(middle())


def in_thread():
    thread = threading.Thread(target=nested)
    thread.start()
    thread.join()


def released():
    report("released", sys._getframe(), {}) or time.sleep(3600)


def without_lock():
    threading.Thread(target=released, daemon=True).start()
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def give_way(value):
    """Here, and nowhere else, the thread gives the interpreter's lock away."""
    time.sleep(0.00002)
    return value


def ascend(n):
    return ascend(n - 1) + 1 if n else max(map(give_way, range(2)))


def counted(n):
    for i in range(n):
        yield give_way(i)


class Ordered:
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return give_way(self.n) < other.n


def wander(there, left):
    """Python code of many kinds."""
    there.append(threading.get_native_id())
    while left:
        sorted(range(3), key=lambda n: give_way(-n))
        sorted(map(Ordered, (3, 1, 2)))
        re.sub("a+", lambda found: give_way(found.group(0)), "aabaaab")
        [sum(counted(y)) for y in range(4)]
        ascend(sum(left) % 40)
        with contextlib.suppress(ValueError):
            int(give_way("no"))
        functools.reduce(lambda x, y: give_way(x) + y, range(3))


def as_the_interpreter_says():
    """Stops at which another thread's stack is what sys._current_frames() says of it."""
    there, left = [], [STOPS]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is asked to give the lock away
    thread = threading.Thread(target=wander, args=(there, left), daemon=True)
    thread.start()
    while left[0]:
        time.sleep(0.0003)
        frame = sys._current_frames().get(thread.ident)
        if there and frame and frame.f_code is give_way.__code__:
            report("wandering", frame, {}, there[0]) or signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            left[0] -= 1
        frame = None
    left.clear()
    thread.join()
    sys.setswitchinterval(interval)


INNER = r"""
import os, signal, sys, threading, time
def lines_of(frame):
    lines = []
    while frame is not None:
        code = frame.f_code
        called = getattr(code, "co_qualname", code.co_name)
        lines.append("%s\t%s\t%d\t%d" % (called, code.co_filename, code.co_firstlineno, frame.f_lineno))
        frame = frame.f_back
    return lines
def report(frame):
    lines = ["@stop subinterpreter %d" % threading.get_native_id()] + lines_of(frame)
    os.write(1, ("\n".join(lines + OUTER + ["end\n"])).encode("utf-8", "surrogateescape"))
def inner(n=0):
    n and inner(n - 1) or n or report(sys._getframe()) or signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
def released():
    report(sys._getframe()) or time.sleep(3600)
"""


def lines_of(frame):
    lines = []
    while frame is not None:
        code = frame.f_code
        called = getattr(code, "co_qualname", code.co_name)
        lines.append("%s\t%s\t%d\t%d" % (called, code.co_filename, code.co_firstlineno, frame.f_lineno))
        frame = frame.f_back
    return lines


def interpreters():
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return __import__(name)
        except ImportError:
            pass


def started(config=None):
    """An interpreter that is ready, so that only what is called runs later."""
    module = interpreters()
    interpreter = module.create(config) if config else module.create()
    module.run_string(interpreter, INNER)
    return interpreter


def given(outer, call):
    return "OUTER = %r\n%s\n" % (outer, call)


def in_subinterpreter():
    """What runs it is below it on the stack, on the thread's state of another interpreter."""
    module = interpreters()
    interpreter = started()
    module.run_string(interpreter, given(lines_of(sys._getframe()), "inner()"))
    module.run_string(interpreter, given(lines_of(sys._getframe()), "inner(90)"))
    list(map(lambda call: module.run_string(interpreter, given(lines_of(sys._getframe()), call)), ["inner(3)"]))


def subinterpreter_in_subinterpreter():
    """To 3.9 nothing on the stack tells which of three interpreters a frame is of."""
    module = interpreters()
    if sys.version_info < (3, 10) or sys.version_info[:2] == (3, 12):
        return  # 3.12 refuses the module there
    middle, call = started(), "module.run_string(interpreter, %r %% (lines_of(sys._getframe()) + OUTER) + 'inner()\\n')" % "OUTER = %r\n"
    module.run_string(middle, "import %s as module\ninterpreter = module.create()\nmodule.run_string(interpreter, %r)\n" % (
        module.__name__, INNER))
    module.run_string(middle, given(lines_of(sys._getframe()), call))


def release(interpreter=None):
    interpreter = interpreter or started()
    interpreters().run_string(interpreter, given(lines_of(sys._getframe()), "released()"))


def subinterpreter_without_lock():
    threading.Thread(target=release, daemon=True).start()
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    if sys.version_info < (3, 10):
        return  # nothing tells there that a state is another thread's than it says
    threading.Thread(target=release, args=(started(),), daemon=True).start()
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def subinterpreter_with_its_own_lock():
    if sys.version_info < (3, 13):
        return
    module, interpreter = interpreters(), started("isolated")
    module.run_string(interpreter, given(lines_of(sys._getframe()), "inner()"))


def in_subinterpreters():
    if interpreters() is None:
        return
    in_subinterpreter()
    subinterpreter_with_its_own_lock()
    subinterpreter_in_subinterpreter()
    subinterpreter_without_lock()


def in_exec():
    exec(compile("def made():\n  stop('exec')\n\nmade()\n", "<made here>", "exec"), {"stop": stop})
    eval("stop('eval')")


def in_exception():
    try:
        raise ValueError
    except ValueError:
        try:
            stop("except")
        finally:
            stop("finally")


class Warm:
    def __init__(self, last):
        if last:
            stop("warm_init")


def specialised():
    for i in range(200):
        Warm(i == 199)


class InBody:
    stop("class_body")


def main():
    nested()
    Thing().value
    generators()
    keys()
    replaces()
    sys.setrecursionlimit(5000)
    deep(900)
    deep_through_c(100)
    decorated()
    through_libc()
    protocols()
    größe_名字_𝐱()
    many_lines(1)
    asynchronous()
    in_thread()
    without_lock()
    if not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled():
        as_the_interpreter_says()
    in_exec()
    in_exception()
    specialised()
    (lambda: stop("lambda"))()


main()
in_subinterpreters()
stop("module")
os._exit(0)  # threads of subinterpreters are there still
