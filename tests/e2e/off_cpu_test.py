#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stacks of threads that wait: which function waited, and for how long, by programs that say so themselves."""
import collections
import pathlib
import sys

import fnprof_e2e as e2e
from fnprof_e2e import Function, Recording, Stopped
import prepare
from programs_e2e import program
from runtime_api import RuntimeApi

sys.path.insert(0, str(e2e.TREE / "tests/formats"))
import check_pprof  # noqa: E402

MS = 1_000_000
DEEP = """import sys, time
sys.setrecursionlimit(500)
def deep(n, end):
    if n:
        return deep(n - 1, end)
    naps = waited = 0
    while time.monotonic() < end:
        begin = time.perf_counter_ns() - time.thread_time_ns()
        time.sleep(0.002)
        waited += time.perf_counter_ns() - time.thread_time_ns() - begin
        naps += 1
    print(naps, waited)
deep(150, time.monotonic() + float(sys.argv[1]))
"""

# A thousand short waits, and now and then a long one that nothing announces.
SELDOM = """import time
def quick(end):
    while time.monotonic() < end:
        time.sleep(0.001)
def slow():
    begin = time.monotonic_ns()
    time.sleep(0.15)
    print(begin, time.monotonic_ns() - begin)
quick(time.monotonic() + 3)
for _ in range(6):
    slow()
    quick(time.monotonic() + 0.3)
"""


def off_cpu(recording, row):
    """{stack as a tuple of names, leaf first: (off_cpu, run_queue) in ns} of a row's pprof file."""
    profile = check_pprof.message("profile", check_pprof.unpack((recording.dir / row["pprof"]).read_bytes()))
    texts = [raw.decode() for raw in profile["string_table"]]
    names = {one["id"]: texts[one["name"]] for one in profile["function"]}
    lines = {one["id"]: [names[line["function_id"]] for line in one["line"]] for one in profile["location"]}
    types = [texts[one["type"]] for one in profile["sample_type"]]
    out = collections.defaultdict(lambda: (0, 0))
    if "off_cpu" not in types:
        return out
    at = types.index("off_cpu"), types.index("run_queue")
    for sample in profile["sample"]:
        stack = tuple(name for where in sample["location_id"] for name in lines[where])
        out[stack] = tuple(a + sample["value"][n] for a, n in zip(out[stack], at))
    return out


def of_function(stacks, name):
    """ns that were lost below a function of this name, in a queue or not."""
    return sum(sum(ns) for stack, ns in stacks.items() if name in stack)


class OffCpu(e2e.TestCase):
    def test_each_function_of_a_native_program_has_its_wait(self):
        with Recording("-F", 997, cmd=[program("blocked")], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            row, = recording.of("process")
            self.assert_directory_is_whole(recording)
            stacks = off_cpu(recording, row)
            refused = recording.summary["off_cpu"]["refused"]
            events = e2e.read_lines(recording.dir / row["events"])
        self.assertEqual(refused, 0)
        for line in recording.stdout.splitlines():
            name, waited = line.split()[0], int(line.split()[1])
            ours = of_function(stacks, name)
            print(f"{name}: {ours / waited:.4f} of {waited / MS:.1f} ms", file=sys.stderr)
            self.assert_near(ours, waited, 0.02, f"wait below {name}()", slack=MS)
        for cause in ("sleep", "lock", "pipe", "network"):
            self.assertIn(cause, {event["name"] for event in events if event["what"] == "off_cpu"})

    def test_each_function_of_a_handler_has_its_wait(self):
        client = prepare.prepare("python3.11")
        here = e2e.TREE / "tests/e2e/programs/waits"
        client = prepare.Client(client.argv, client.runtime, here, {**client.env, "LAMBDA_TASK_ROOT": str(here)})
        kinds = ["sleep", "lock", "pipe", "network", "poll", "child"]
        with RuntimeApi() as api, Function(client, api, kind=Stopped) as function:
            with Recording("-F", 997, "-p", function.pid) as recording:
                function.go()
                api.wait_for_next()
                # Stacks of a process's first moments have native frames alone, until the tables of its interpreter are there.
                for _ in range(3):
                    api.invoke({"kind": "cpu", "ms": 200}, seconds=60)
                calls = [api.invoke({"kind": kind, "ms": 200}, seconds=60) for kind in kinds]
                function.end()
                recording.wait()
                rows = {row["id"]: row for row in recording.rows}
                for call in calls:
                    row, said = rows[call.id], call.answer()
                    waited, stacks = said["wall_ns"] - said["cpu_ns"], off_cpu(recording, row)
                    ours = of_function(stacks, call.kind)
                    print(f"{call.kind}: {ours / waited:.4f} of {waited / MS:.1f} ms", file=sys.stderr)
                    self.assert_near(ours, waited, 0.02, f"wait below {call.kind}()", slack=MS)
                    if call.kind == "network":
                        events = e2e.read_lines(recording.dir / row["events"])
                        longest = max((one for one in events if one.get("name") == "network"), key=lambda one: one["duration_ns"])
                        self.assertEqual(longest["cause"], said["told"])
                    # What the handling thread lost is what its ledger says, whoever else waited beside it.
                    handled = sum(sum(ns) for stack, ns in stacks.items() if "handler" in stack)
                    ledger = row["ledger"]
                    quiet = row["duration_ns"] - ledger["on_cpu"] - ledger["stolen"]
                    self.assertLess(handled, 1.02 * quiet + MS, (call.kind, ledger))

    def test_a_long_wait_that_nobody_expected_has_its_stack(self):
        if b"btf_trace_sched_exit_tp" not in pathlib.Path("/sys/kernel/btf/vmlinux").read_bytes():
            self.skipTest("this kernel has no tracepoint behind a switch (6.16 does)")
        with Recording("-F", 99, cmd=[sys.executable, "-S", "-E", "-c", SELDOM], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            row, = recording.of("process")
            self.assert_directory_is_whole(recording)
            stacks = off_cpu(recording, row)
            events = [one for one in e2e.read_lines(recording.dir / row["events"]) if one.get("name") == "sleep"]
        waits = [tuple(map(int, line.split())) for line in recording.stdout.splitlines()]
        for begin, lasted in waits:
            near = [one for one in events if abs(one["t_ns"] - begin) < MS]
            self.assertEqual(len(near), 1, (begin, lasted))
            self.assert_near(near[0]["duration_ns"], lasted, 0.02, "a wait", slack=MS)
        self.assert_near(of_function(stacks, "slow"), sum(lasted for _, lasted in waits), 0.02, "waits below slow()")

    def test_stacks_that_are_dear_are_fewer(self):
        seconds = 3
        with Recording("-F", 99, cmd=[sys.executable, "-S", "-E", "-c", DEEP, str(seconds)], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            row, = recording.of("process")
            summary, stacks = recording.summary, off_cpu(recording, row)
        naps, waited = map(int, recording.stdout.split())
        counts = summary["off_cpu"]
        print(f"{counts['stacks']} stacks of {naps} waits, {counts['refused']} refused", file=sys.stderr)
        # Each takes some 50 us: by their number alone three seconds had 570 a processor.
        self.assertGreater(counts["times"], 0.9 * naps)
        self.assertLess(counts["stacks"], 200)
        self.assertGreater(counts["stacks"], 10)
        ours = of_function(stacks, "deep")
        print(f"they stand for {ours / waited:.3f} of {waited / MS:.0f} ms", file=sys.stderr)
        # (Some dozens of stacks stand for all of it.)
        self.assertGreater(ours, 0.7 * waited)
        self.assertLess(ours, 1.3 * waited)

    def test_a_flood_of_switches_stays_within_the_budget(self):
        with Recording("-F", 99, cmd=[program("blocked"), "flood", 3], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            row, = recording.of("process")
            summary, stacks = recording.summary, off_cpu(recording, row)
        rounds, cpu_ns = map(int, recording.stdout.split())
        counts, seconds = summary["off_cpu"], summary["duration_ns"] / 1e9
        budget = 190 * 2 * seconds  # of two threads, so of two processors at most
        print(f"{counts['times'] / seconds:.0f} switches a second, {counts['stacks']} stacks, {counts['refused']} refused; "
              f"budget {budget:.0f}", file=sys.stderr)
        self.assertGreater(counts["times"], 0.9 * rounds)
        self.assertLess(counts["stacks"], 2 * budget)
        self.assertGreater(counts["stacks"], 20)
        # Few are taken, and stand for all: what two threads lost is what they were not on a CPU for.
        lost = sum(sum(ns) for ns in stacks.values())
        truth = 2 * row["duration_ns"] - cpu_ns
        print(f"they stand for {lost / truth:.3f} of {truth / MS:.0f} ms", file=sys.stderr)
        self.assertGreater(lost, 0.6 * truth)
        self.assertLess(lost, 1.4 * truth)


if __name__ == "__main__":
    e2e.main()
