# SPDX-License-Identifier: Apache-2.0
"""What a web-like function pays for everything that is on by default, with a recording and without: the time in which a
caller has its answer, and the CPU time of its process a call.

Two processes of the same function differ by ten percent, for where their memory lies, and the machine's speed drifts by
as much within a minute. So it is one process, with a recording of it and without by turns, each turn some tens of calls,
and what is compared is each turn with its two neighbours; the median of these ratios, and how far it can be trusted (half
the distance of the quartiles by the root of their number), are the figure.

Beside it stands what the kernel side says it used itself, which no noise of the function's moves: run times of our programs
that ran on behalf of any process, for each CPU time of the function. What traps of probes cost is in the first figure
alone."""
import collections
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time
import typing

from fnprof_e2e import TREE, Function, Recording
from invocations_bench import memory_directory
from runtime_api import RuntimeApi
import prepare

WEB = TREE / "bench/web"
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


def web_client(name, scratch):
    """The web-like function under this runtime; raises Unavailable."""
    client = prepare.prepare(name)
    if not name.startswith("java"):
        return prepare.Client(client.argv, client.runtime, WEB, {**client.env, "LAMBDA_TASK_ROOT": str(WEB)})
    jars = client.argv[client.argv.index("-cp") + 1]
    compiler = pathlib.Path(client.argv[0]).with_name("javac")
    prepare.run([compiler, "-d", scratch, "-cp", jars, WEB / "Web.java"])
    argv = [jars + f":{scratch}" if word == jars else "Web" if word.endswith("Handler") else word for word in client.argv]
    return prepare.Client(argv, client.runtime, scratch, client.env, "Web")


class Turn(typing.NamedTuple):
    cpu_ns: float  # of the process, a call
    wall_ns: float  # from the call to its answer


def turn_of(api, function, calls):
    """The medians of tens, so that what happens once in a while is left out of both sides alike."""
    cpu, wall = [], []
    for _ in range(calls // 10):
        begin, begun = function.cpu_so_far(), time.monotonic_ns()
        for n in range(10):
            api.invoke({"shop": n})
        wall.append((time.monotonic_ns() - begun) / 10)
        cpu.append((function.cpu_so_far() - begin) / 10)
    return Turn(statistics.median(cpu), statistics.median(wall))


def ratios_of(turns):
    """Each turn with a recording by the mean of its neighbours without."""
    return [turns[n] / statistics.mean((turns[n - 1], turns[n + 1])) - 1 for n in range(1, len(turns) - 1, 2)]


@contextlib.contextmanager
def recording_of(function):
    """As people would, with its files in memory."""
    with tempfile.TemporaryDirectory(prefix="fnprof-bench-", dir=memory_directory()) as folder, \
            Recording("-F", 99, "-p", function.pid, directory=f"{folder}/out") as recording:
        yield
        recording.stop()


def turns_of(api, function, rounds, calls):
    """[Turn without a recording, with, without, ...]"""
    turns = []
    for _ in range(rounds):
        turns.append(turn_of(api, function, calls))
        with recording_of(function):
            turn_of(api, function, 30)
            turns.append(turn_of(api, function, calls))
    return turns + [turn_of(api, function, calls)]


def inside_of(api, function, calls, programs):
    """{program: ns a call}; counting costs something itself, so it is a recording of its own."""
    before = STATS.read_text()
    STATS.write_text("1")
    try:
        with recording_of(function):
            turn_of(api, function, 100)
            begin = programs()
            turn_of(api, function, calls)
            end = programs()
    finally:
        STATS.write_text(before)
    return collections.Counter({name: (ns - begin.get(name, (0, 0))[1]) / calls for name, (_, ns) in end.items()})


def slowdown(row, programs, names=("python3.11", "node24", "java17"), rounds=15, calls=100):
    for name in os.environ.get("FNPROF_BENCH_RUNTIMES", " ".join(names)).split():
        try:
            with tempfile.TemporaryDirectory(prefix="fnprof-bench-") as scratch, RuntimeApi() as api, \
                    Function(web_client(name, scratch), api) as function:
                api.wait_for_next()
                turn_of(api, function, 1000)
                show(row, name, turns_of(api, function, rounds, calls), inside_of(api, function, 500, programs))
        except prepare.Unavailable as reason:
            print(f"  left out: {reason}", file=sys.stderr)


def show(row, name, turns, inside):
    for what, values in (("answers", [turn.wall_ns for turn in turns]), ("CPU time", [turn.cpu_ns for turn in turns])):
        ratios = ratios_of(values)
        low, middle, high = statistics.quantiles(ratios, n=4)
        row(f"slowdown of a web-like function, {name}", 100 * middle, "%", 1,
            f"{what}, +-{100 * (high - low) / 2 / len(ratios) ** 0.5:.2f}; {statistics.median(values[::2]) / 1e6:.2f} ms a call "
            f"without; {len(ratios)} turns of one process")
    alone = statistics.median(turn.cpu_ns for turn in turns[::2])
    row("  in our programs", 100 * sum(inside.values()) / alone, "%", None,
        "of that CPU time, by their run times, of the whole host")
    for program, ns in inside.most_common(8):
        row(f"    {program}", ns / 1e3, "us", None, "a call")
