# SPDX-License-Identifier: Apache-2.0
"""What recording a Python program costs: in the kernel by depth, the program itself beside none and beside py-spy (which
stops what it looks at), our memory by the number of its functions, and how long after its start its first stack is whole.

FNPROF_BENCH_PYTHON names the interpreter (python3), FNPROF_BENCH_PARTS some of depth, slowdown, memory, first."""
import mmap
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import prepare
from fnprof_e2e import TREE, Recording

sys.path.insert(0, str(TREE / "tests/formats"))
import check_pprof  # noqa: E402

PYTHON = os.environ.get("FNPROF_BENCH_PYTHON", sys.executable)
DEEP = """import sys, time
sys.setrecursionlimit(5000)
def deep(n):
    if n:
        return deep(n - 1)
    end = time.thread_time() + float(sys.argv[2])
    while time.thread_time() < end:
        sum(range(2000))
deep(int(sys.argv[1]))
"""
# Loops such as pyperformance has them, one round of each after the other; the number of rounds stands in a shared file.
WORK = """import json, mmap, re, struct, sys
def nbody(n):
    x, y, vx, vy = [0.0, 5.0, 9.0], [0.0, 1.0, -3.0], [0.1, 0.2, -0.1], [0.0, 0.3, -0.2]
    for _ in range(n):
        for i in range(3):
            for k in range(i):
                dx, dy = x[i] - x[k], y[i] - y[k]
                d = 0.001 / ((dx * dx + dy * dy + 0.01) ** 1.5)
                vx[i] -= dx * d; vy[i] -= dy * d; vx[k] += dx * d; vy[k] += dy * d
        for i in range(3):
            x[i] += vx[i]; y[i] += vy[i]
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
class Node:
    def __init__(self, left, right): self.left, self.right = left, right
    def count(self): return 1 + (self.left.count() + self.right.count() if self.left else 0)
def tree(n):
    return Node(tree(n - 1), tree(n - 1)) if n else Node(None, None)
def queens(n, row=0, columns=frozenset(), down=frozenset(), up=frozenset()):
    return 1 if row == n else sum(queens(n, row + 1, columns | {c}, down | {row - c}, up | {row + c}) for c in range(n)
                                  if c not in columns and row - c not in down and row + c not in up)
document = [{'id': i, 'name': 'name %d' % i, 'tags': ['a', 'b'], 'value': i / 3} for i in range(40)]
words = ' '.join('word%d mail%d@example.org' % (i, i) for i in range(150))
file = open(sys.argv[1], 'r+b') # to be kept: its number is closed with it
shared = mmap.mmap(file.fileno(), 4096)
n = 0
while True:
    nbody(60); fib(12); tree(6).count(); queens(4); json.loads(json.dumps(document))
    re.findall(r'[a-z0-9]+@[a-z.]+', words); sorted(words.split(), key=lambda w: w[::-1])
    n += 1
    struct.pack_into('q', shared, 0, n)
"""
# So many functions of their own names and lines; all of them are on stacks in turn.
MANY = """import sys, time
text = ''.join('def function_number_%d(n):\\n    total = 0\\n    for i in range(n):\\n        total += i * %d\\n    return total\\n'
               % (i, i) for i in range(int(sys.argv[1])))
exec(compile(text, '/srv/handler/many.py', 'exec'))
all_of_them = [value for name, value in list(globals().items()) if name.startswith('function_number_')]
end = time.time() + float(sys.argv[2])
while time.time() < end:
    for function in all_of_them: function(300)
"""
FIRST = """import time
def outer(): inner()
def inner():
    end = time.monotonic() + 1
    while time.monotonic() < end: sum(range(200))
outer()
"""


def cpu_ns(pid):
    return time.clock_gettime_ns(~pid << 3 | 2)


def depth(row):
    """Of each depth the same program, and beside it one in C, in turns; medians."""
    from programs_e2e import program
    depths, costs = (None, 10, 30, 100), {}
    for _ in range(3):
        for n in depths:
            argv = [PYTHON, "-S", "-E", "-c", DEEP, str(n), "30"] if n else [program("cycle"), "1000", "30000"]
            target = subprocess.Popen(argv)
            time.sleep(0.3)
            with Recording("-F", 997, "-p", target.pid, "-d", 3) as recording:
                recording.wait()
                cost = recording.summary["cost"]["bpf_ns"] / max(recording.summary["ticks"], 1) / 1e3
            target.kill()
            target.wait()
            costs.setdefault(n, []).append(cost)
    native = statistics.median(costs[None])
    for n in depths:
        us = statistics.median(costs[n])
        row(f"a sample of {n} Python frames" if n else "a sample of a C program", us, "us", None,
            f"all BPF time for each tick, 997 Hz, median of 3; {us - native:+.1f} us against C")


class Turn:
    """Rounds a second and CPU time a round of the program, while it is looked at and while it is not."""

    def __init__(self, shared, pid):
        self.shared, self.pid = shared, pid

    def take(self, seconds):
        begin, cpu, (n,) = time.monotonic_ns(), cpu_ns(self.pid), struct.unpack_from("q", self.shared)
        time.sleep(seconds)
        (m,) = struct.unpack_from("q", self.shared)
        return (time.monotonic_ns() - begin) / (m - n), (cpu_ns(self.pid) - cpu) / (m - n)


def look_with_fnprof(rate, pid, turn, seconds):
    with Recording("-F", rate, "-p", pid) as recording:
        time.sleep(0.3)
        taken = turn.take(seconds)
        recording.stop()
    return taken


def look_with_pyspy(rate, pid, turn, seconds):
    with tempfile.TemporaryDirectory() as scratch:
        spy = subprocess.Popen([prepare.pyspy(), "record", "--native", "-r", str(rate), "-d", str(int(seconds) + 4), "-f", "raw",
                                "-o", scratch + "/raw", "--pid", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        taken = turn.take(seconds)
        spy.wait()
    return taken


def slowdown(row, rounds=6, seconds=1.5):
    """One process, looked at and not by turns: each turn beside its two neighbours, the median of these ratios."""
    ways = {"fnprof 99 Hz": (look_with_fnprof, 99), "fnprof 999 Hz": (look_with_fnprof, 999)}
    try:
        prepare.pyspy()
        ways.update({"py-spy --native 99 Hz": (look_with_pyspy, 99), "py-spy --native 999 Hz": (look_with_pyspy, 999)})
    except prepare.Unavailable as reason:
        print(f"  left out: py-spy: {reason}")
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(4096))
        file.flush()
        target = subprocess.Popen([PYTHON, "-c", WORK, file.name])
        try:
            time.sleep(1.5)
            turn = Turn(mmap.mmap(file.fileno(), 4096), target.pid)
            alone, ratios = [turn.take(seconds)], {name: [] for name in ways}
            for _ in range(rounds):
                for name, (look, rate) in ways.items():
                    looked = look(rate, target.pid, turn, seconds)
                    alone.append(turn.take(seconds))
                    ratios[name].append([looked[i] / statistics.mean((alone[-2][i], alone[-1][i])) - 1 for i in range(2)])
        finally:
            target.kill()
            target.wait()
    for name, both in ratios.items():
        for i, what in enumerate(("wall time", "its CPU time")):
            low, middle, high = statistics.quantiles([ratio[i] for ratio in both], n=4)
            row(f"{what} of loops in Python, {name}", 100 * middle, "% more", None,
                f"+-{100 * (high - low) / 2 / rounds ** 0.5:.2f}; {rounds} turns of one process")


def memory(row):
    """The peak without what was kept from earlier recordings, with few functions and with a thousand."""
    peaks = {}
    for n in (10, 1000):
        with Recording("-F", 999, cmd=[PYTHON, "-S", "-E", "-c", MANY, str(n), "6"], env={"FNPROF_CACHE": ""}) as recording:
            recording.wait()
            peaks[n] = recording.summary["cost"]["rss_max_bytes"] / 1024
            (line,) = [line for line in recording.rows if line["kind"] == "process"]
            named = {frame for stack in recording.folded(line) for frame in stack if frame.startswith("function_number_")}
        row(f"peak RSS with {n} functions", peaks[n] / 1024, "MiB", None, f"999 Hz, 6 s, no caches; {len(named)} of them seen")
    row("RSS for each of 990 more functions", (peaks[1000] - peaks[10]) / 990, "KiB", None, "the difference; stacks and files in it")


def times_of(path):
    """{place of a sample in the file: nanoseconds after the profile's begin}, by the comment that fnprof writes."""
    check = check_pprof.Check(pathlib.Path(path).read_bytes())
    times = {}
    for number in check.profile["comment"]:
        text = check.text(number)
        if text.startswith("#fnprof.times "):
            for part in text.split(" ", 1)[1].split("|"):
                words = [int(word) for word in part.split()]
                times.update({words[0]: words[2::2]} if words else {})
    return check, times


def first(row):
    """From exec to the first sample whose stack has its Python frames and no marker, in the first process of a recording."""
    for how, env in (("nothing kept", {"FNPROF_CACHE": ""}), ("tables kept from before", {})):
        late, before, cut = [], [], []
        for _ in range(5):
            with Recording("-F", 4999, cmd=[PYTHON, "-S", "-E", "-c", FIRST], env=env) as recording:
                recording.wait()
                (line,) = [line for line in recording.rows if line["kind"] == "process"]
                check, times = times_of(recording.dir / line["pprof"])
            whole, python, marked = [], [], []
            for place, sample in enumerate(check.profile["sample"], 1):
                names = [(check.text(check.mappings[check.locations[n]["mapping_id"]]["filename"]),
                          check.text(check.functions[check.locations[n]["line"][0]["function_id"]]["name"]))
                         for n in sample["location_id"]]
                is_cut = any(file == "[marker]" and name.startswith("[truncated") for file, name in names)
                if is_cut:
                    marked += times.get(place, [])
                elif any(file == "[python]" for file, _ in names):
                    whole += times.get(place, [])
                    python += times.get(place, []) if any(name == "inner" for _, name in names) else []
            late.append(min(whole, default=0) / 1e6)
            before.append(min(python, default=0) / 1e6)
            cut.append(len(marked))
        row(f"exec to the first whole Python stack, {how}", statistics.median(late), "ms", None,
            f"4999 Hz, median of 5 ({min(late):.1f}-{max(late):.1f}); its own function is first seen at "
            f"{statistics.median(before):.1f} ms, {statistics.mean(cut):.1f} stacks are cut")


def python(row):
    parts = {"depth": depth, "slowdown": slowdown, "memory": memory, "first": first}
    for part in os.environ.get("FNPROF_BENCH_PARTS", " ".join(parts)).split():
        parts[part](row)
